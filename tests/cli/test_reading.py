"""How commands read files: keys, scales, layouts, factors, clusters and priors."""

import json
from inspect import signature
from pathlib import Path

import numpy as np
import pytest
from cli_helpers import TO_SCALE, flat

from dindic import main
from disentangle_indicators import read_encodings, score

ARGUMENTS = [
    name
    for name in signature(read_encodings).parameters
    if name not in ("path", "threads", "progress")
]
"""What commands can be told about a file."""


@pytest.mark.parametrize("scale", TO_SCALE)
def test_npy_pairs_agree_with_the_file(numbers, good, pair, scale):
    np.save("m.npy", pair[0])
    np.save("s.npy", TO_SCALE[scale](pair[1]))
    found = numbers("--mean", "m.npy", f"--{scale}", "s.npy")
    assert found["mutual_information"] == pytest.approx(numbers(good)["mutual_information"], 1e-12)
    assert found["name"] == "m.npy"


def test_two_tables_as_pandas_writes_them(numbers, folder, good, pair):
    import pandas as pd

    for name, values in zip(("m.csv", "v.csv"), pair, strict=True):
        pd.DataFrame(values).to_csv(name)
    expected = numbers(good)["mutual_information"]
    for words in (("m.csv",), ("--mean", "m.csv")):
        found = numbers(*words, "--var", "v.csv")
        assert found["mutual_information"] == pytest.approx(expected, 1e-12)


@pytest.mark.parametrize("half", ["std", "logvar"])
def test_packed_moments(dindic, say, numbers, npz, pair, half):
    """A latent cache: half of its channels are scales, and the advice made latents of them."""
    mean, scale = pair[0].reshape(20, 4, 2, 2), TO_SCALE[half](pair[1]).reshape(20, 4, 2, 2)
    path = npz("moments.npz", moments=np.concatenate([mean, scale], axis=1))
    apart = npz("apart.npz", **{"mean": mean, half: scale})
    assert "add --packed mean,logvar|mean,std" in say("score", path)
    words = ("--layout", "channels")
    found = numbers(path, "--packed", f"mean,{half}", *words)
    expected = numbers(apart, *words)
    assert (found["d"], found["n"], found["n_clusters"]) == (4, 80, 20)
    assert found["mutual_information"] == expected["mutual_information"]
    result = dindic("score", apart, *words)
    assert "20 images of 4 sites, the sites of an image are a cluster" in flat(result.stdout)
    whole = np.sqrt(mean.var() + np.mean(pair[1]))
    assert "note: standard deviation of each channel: " in result.stderr
    assert f"1 / that of all entries = {1 / whole:.4g}" in flat(result.stderr)


def test_a_table_of_factors_with_text(numbers, good):
    lines = [f'c{i},"T, naive",{"ab"[i % 2]},{i % 3}' for i in range(80)]
    Path("obs.csv").write_text(",cell_type,batch,dose\n" + "\n".join(lines))
    found = numbers(good, "--factors", "obs.csv")["factors"]
    assert [(f["name"], f["kind"], f["values"]) for f in found] == [
        ("cell_type", "categorical", 1),
        ("batch", "categorical", 2),
        ("dose", "ordinal", 3),
    ]


def test_one_width_for_each_row_is_noted(dindic, npz, pair):
    result = dindic("score", npz(mean=pair[0], var=pair[1][:, :1]))
    assert "note: 'var' has the shape (80, 1): one width for each row" in flat(result.stderr)


def test_swapped_axes_are_noted(dindic, say, numbers, npz, good, pair):
    path = npz("t.npz", mean=pair[0].T, var=pair[1].T, y=np.arange(80) % 3)
    assert "swapped, add --layout transposed" in flat(dindic("score", path).stderr)
    assert "swapped, add --layout transposed" in say("score", path, "--labels", "y")
    found = numbers(path, "--layout", "transposed", "--labels", "y")
    assert found["mutual_information"] == numbers(good)["mutual_information"]


@pytest.mark.parametrize("scale", TO_SCALE)
def test_the_scale_flag_decides(numbers, npz, good, pair, scale):
    path = npz(mean=pair[0], sigma=TO_SCALE[scale](pair[1]))
    found = numbers(path, "--scale", scale)
    assert found["mutual_information"] == pytest.approx(numbers(good)["mutual_information"], 1e-12)


def test_a_flag_against_the_name_is_noted(dindic, npz, pair):
    result = dindic("score", npz(mean=pair[0], var=pair[1]), "--scale", "std")
    assert "'var' is read as std, as --scale std asks" in result.stderr
    assert "variance = 'var'^2 (schema: flag)" in result.stdout


def test_keys(numbers, npz, good, pair):
    path = npz(a=pair[0], b=pair[1], mean=pair[0] * 9, var=pair[1] / 9)
    found = numbers(path, "--mean-key", "a", "--scale-key", "b", "--scale", "var")
    assert found["mutual_information"] == numbers(good)["mutual_information"]


@pytest.mark.parametrize(("layout", "n", "d"), [("channels", 80, 4), ("flatten", 20, 16)])
def test_layout(numbers, npz, pair, layout, n, d):
    path = npz(mean=pair[0].reshape(20, 4, 2, 2), var=pair[1].reshape(20, 4, 2, 2))
    found = numbers(path, "--layout", layout)
    assert (found["n"], found["d"]) == (n, d)
    assert found["n_clusters"] == (20 if layout == "channels" else None)


def test_factors_names_and_labels_are_described(dindic, numbers, npz, pair):
    path = npz(mean=pair[0], var=pair[1], g=np.arange(160).reshape(80, 2) % 8, y=np.arange(80) % 5)
    words = [path, "--factors", "g", "--factor-names", "size,hue", "--labels", "y"]
    assert numbers(*words)["factors"] == [
        {"name": "size", "kind": "ordinal", "values": 4, "missing": 0},
        {"name": "hue", "kind": "ordinal", "values": 4, "missing": 0},
        {"name": "labels", "kind": "categorical", "values": 5, "missing": 0},
    ]
    text = flat(dindic("score", *words).stdout)
    assert (
        "size (ordinal, 4 values), hue (ordinal, 4 values), labels (categorical, 5 values)" in text
    )


def test_factors_of_another_file(numbers, good):
    Path("f.csv").write_text("size,hue\n" + "\n".join(f"{i % 3},{i % 2}" for i in range(80)))
    found = numbers(good, "--factors", "f.csv")["factors"]
    assert [(f["name"], f["values"]) for f in found] == [("size", 3), ("hue", 2)]


def test_constant_factors_have_one_value(dindic, npz, pair):
    path = npz(mean=pair[0], var=pair[1], factors=np.ones((80, 1)), labels=np.zeros(80, int))
    text = flat(dindic("score", path).stdout)
    assert "factor_0 (ordinal, 1 value" in text
    assert "labels (categorical, 1 value" in text


def test_clusters_change_errors_and_not_values(dindic, numbers, npz, pair):
    c = np.repeat(np.arange(80), 3)
    many = npz("many.npz", mean=np.repeat(pair[0], 3, 0), var=np.repeat(pair[1], 3, 0), c=c)
    alone = npz("once.npz", mean=pair[0], var=pair[1], c=np.arange(80))
    once = numbers(alone, "--clusters", "c")
    rows, clusters = numbers(many), numbers(many, "--clusters", "c")
    assert clusters["n_clusters"] == 80
    assert rows["n_clusters"] is None
    for name in ("kl_posterior_prior", "mutual_information", "kl_aggregate_prior"):
        assert clusters[name] == pytest.approx(rows[name], 1e-12)
        error = clusters["standard_errors"][name]
        assert error == pytest.approx(once["standard_errors"][name], 1e-9)
        assert rows["standard_errors"][name] < 0.6 * error
    assert "over 80 clusters" in flat(dindic("score", many, "--clusters", "c").stdout)


def test_a_series_has_blocks_as_clusters(dindic, say, numbers, npz):
    """Rows of an autocorrelated series: the standard error is that of its blocks, as by hand."""
    rng = np.random.default_rng(0)
    walk = np.zeros((600, 2))
    for t in range(1, 600):
        walk[t] = 0.95 * walk[t - 1] + 0.3 * rng.normal(size=2)
    hours, shuffled = np.arange(600) / 4, rng.permutation(600)
    path = npz(mean=walk[shuffled], var=np.full((600, 2), 0.1), t=hours[shuffled])
    blocks = npz("b.npz", mean=walk, var=np.full((600, 2), 0.1), c=np.arange(600) // 20)
    found, by_hand = numbers(path, "--order", "t"), numbers(blocks, "--clusters", "c")
    assert found["n_clusters"] == 30
    errors = [card["standard_errors"]["kl_posterior_prior"] for card in (found, by_hand)]
    assert errors[0] == pytest.approx(errors[1], 1e-9)
    assert errors[0] > 2 * numbers(path)["standard_errors"]["kl_posterior_prior"]
    rows = numbers(blocks, "--order", "rows")["standard_errors"]["kl_posterior_prior"]
    assert rows == pytest.approx(errors[1], 1e-9)
    note = "rows are a series: 30 consecutive blocks of rows serve as clusters"
    assert note in flat(dindic("score", path, "--order", "t").stderr)
    assert "either clusters or order" in say("score", path, "--order", "t", "--clusters", "t")


def test_priors_agree_with_scaled_arrays(numbers, npz, good, pair):
    centre, spread = np.array([1.0, 0.0, -2.0, 0.5]), np.array([0.1, 1.0, 4.0, 2.0])
    np.save("centre.npy", centre)
    np.save("spread.npy", spread)
    by_hand = numbers(npz(mean=(pair[0] - centre) / np.sqrt(spread), var=pair[1] / spread))
    lists = numbers(good, "--prior-mean", "1,0,-2,0.5", "--prior-var", "0.1, 1, 4, 2")
    files = numbers(good, "--prior-mean", "centre.npy", "--prior-var", "spread.npy")
    assert lists["kl_posterior_prior"] == files["kl_posterior_prior"]
    assert lists["kl_posterior_prior"] == pytest.approx(by_hand["kl_posterior_prior"], 1e-12)
    one = numbers(good, "--prior-mean", "-1.5", "--prior-var", "4")
    by_hand = numbers(npz(mean=(pair[0] + 1.5) / 2, var=pair[1] / 4))
    assert one["kl_aggregate_prior"] == pytest.approx(by_hand["kl_aggregate_prior"], 1e-12)


@pytest.mark.parametrize("name", ["score", "audit", "axes", "check", "convert"])
def test_reading_options_are_the_same_in_all_commands(name):
    """Convert stores no prior and no kinds, so it has no such options."""
    mine = {option.name: option for option in main.commands[name].params}
    expected = {option.name: option for option in main.commands["score"].params}
    for argument in ARGUMENTS:
        if name == "convert" and argument in ("prior_mean", "prior_var", "kinds"):
            assert argument not in mine
        else:
            assert (mine[argument].opts, mine[argument].help) == (
                expected[argument].opts,
                expected[argument].help,
            )


def test_the_prior_is_in_the_json_and_in_the_table(dindic, numbers, npz, good, pair):
    found = numbers(good, "--prior-var", "4")
    by_hand = score(pair[0] / 2, var=pair[1] / 4)
    assert (found["prior_mean"], found["prior_var"]) == (0.0, 4.0)
    assert found["mutual_information"] == pytest.approx(by_hand.mutual_information, 1e-12)
    assert "; in units of the prior N(0, 4)" in flat(
        dindic("score", good, "--prior-var", "4").stdout
    )


@pytest.mark.parametrize("flag", ["--clusters", "--cluster"])
def test_clusters_reach_the_metrics(numbers, npz, flag):
    """With ten copies of each row the standard error is that of one copy, and not less."""
    rng = np.random.default_rng(0)
    factors = rng.integers(4, size=(300, 2))
    arrays = {
        "mean": factors - 1.5 + 0.5 * rng.normal(size=(300, 2)),
        "var": np.full((300, 2), 0.1),
        "factors": factors,
        "c": np.arange(300),
    }
    once = npz("once.npz", **arrays)
    many = npz("many.npz", **{key: np.repeat(array, 10, axis=0) for key, array in arrays.items()})
    words = ("--metrics", "mig@locatello2019", "--permutations", "0")
    alone, rows, clusters = (
        numbers(*given, *words)["metrics"]["metrics"]["mig@locatello2019"]["standard_error"]
        for given in ((once,), (many,), (many, flag, "c"))
    )
    assert clusters == pytest.approx(alone, rel=0.4)
    assert rows < 0.5 * alone


def test_several_commands_take_the_prior_and_clusters(dindic, npz, pair):
    factors = np.clip(np.round(pair[0][:, :2] + 1.5), 0, 3).astype(int)
    c = np.arange(80) // 2
    path = npz("a.npz", mean=pair[0], var=pair[1], factors=factors, c=c)
    wide = npz("b.npz", mean=2 * pair[0], var=4 * pair[1], factors=factors, c=c)
    dindic("convert", path, "stored.npz", "--order", "rows")
    assert len(set(read_encodings("stored.npz").clusters)) == 30
    for words in (
        ("check", "--metric", "sap@ubisoft"),
        ("axes",),
        ("audit", "--metrics", "sap@ubisoft", "--rotations", "2"),
    ):
        plain, scaled = (
            json.loads(
                dindic(words[0], *given, *words[1:], "--clusters", "c", "--json", "-").stdout
            )
            for given in ((path,), (wide, "--prior-var", "4"))
        )
        kept = {"check": "attempts", "axes": "rotated", "audit": "audits"}[words[0]]
        assert plain[kept] == scaled[kept]
