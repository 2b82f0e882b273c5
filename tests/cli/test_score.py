"""dindic score, through real files."""

import csv
import io
import json
import os
import re
import stat
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from disentangle_indicators import score

EXAMPLE = Path(__file__).parents[2] / "examples" / "data" / "mnist_vae.npz"
TO_SCALE = {
    "var": lambda var: var,
    "std": np.sqrt,
    "logvar": np.log,
    "logstd": lambda var: np.log(var) / 2,
}
FORMS = ["json", "csv", "markdown"]


def flat(text):
    """Undo the line breaks of the terminal."""
    return " ".join(text.split())


@pytest.fixture
def numbers(dindic):
    """Run a score and return its JSON."""

    def run(*words):
        return json.loads(dindic("score", *words, "--quiet", "--json", "-").stdout)

    return run


def test_the_example_prints_its_known_numbers(dindic):
    text = flat(dindic("score", EXAMPLE).stdout)
    assert "mean from 'mu', variance = exp('logvar') (schema: names)" in text
    assert "10000 samples x 10 latents" in text
    assert "USED 10 of 10 latents carry more than 0.5 nats" in text
    assert "all are used, so the width may be the limit" in text
    assert "1 kl_posterior_prior 19.327 ± 0.038 " in text
    assert "2 mutual_information 19.319 ± 0.038 " in text
    assert "4 kl_aggregate_prior ≥ 0.0081 ± " in text
    assert "5 kl_q_star_prior 0.0081 ± " in text
    assert "labels (10 values)" in text


@pytest.mark.parametrize("threshold", ["1e-9", "0.5", "1.42", "1.43"])
def test_the_example_uses_all_latents_at_any_threshold_below_1_43(numbers, threshold):
    assert numbers(EXAMPLE, "--threshold", threshold)["used"] == 10


def test_the_example_uses_fewer_latents_above_1_44(numbers):
    assert numbers(EXAMPLE, "--threshold", "1.44")["used"] == 9


def test_the_report_opens_with_the_verdict(dindic, good):
    result = dindic("score", good)
    lines = result.stdout.splitlines()
    assert lines[0] == "good.npz"
    assert "variance = 'var'" in lines[1]
    starts = [line.split(" ")[0] for line in lines if line[:1].isupper()]
    assert starts[:3] == ["USED", "PRIOR", "TRUST"]
    assert flat(result.stdout).index("TRUST") < flat(result.stdout).index("latent I(x; z_h)")
    assert result.stderr == ""


def test_latents_are_sorted_by_information_and_have_states(dindic, npz, pair):
    path = npz(mean=pair[0][:, ::-1], var=pair[1][:, ::-1])
    rows = re.findall(
        r"^ (\d+) +(-?[\d.]+) ± .* (\S+) *$", dindic("score", path).stdout, re.MULTILINE
    )
    assert [(h, state) for h, _, state in rows] == [
        ("3", "used"),
        ("2", "used"),
        ("1", "weak"),
        ("0", "unused"),
    ]
    information = [float(value) for _, value, _ in rows]
    assert information == sorted(information, reverse=True)


def test_tables_name_their_unit(dindic, good):
    text = flat(dindic("score", good).stdout)
    assert "latent I(x; z_h) [nats] Def 3 [nats] S Def 1 [nats] Var(mean) state" in text
    assert "Def name value [nats] how to read it" in text


def test_many_unused_latents_fold_into_one_line(dindic, npz):
    rng = np.random.default_rng(0)
    mean = rng.normal(size=(200, 128)) * np.where(np.arange(128) < 3, 0.95, 1e-3)
    var = np.where(np.arange(128) < 3, 0.1, 1.0) * np.ones_like(mean)
    text = dindic("score", npz(mean=mean, var=var)).stdout
    assert "125 more" in text
    assert len(re.findall(r" unused$", text, re.MULTILINE)) == 1
    assert len(re.findall(r" used$", text, re.MULTILINE)) == 3


@pytest.mark.parametrize("scale", TO_SCALE)
def test_npy_pairs_agree_with_the_file(numbers, good, pair, scale):
    np.save("m.npy", pair[0])
    np.save("s.npy", TO_SCALE[scale](pair[1]))
    found = numbers("--mean", "m.npy", f"--{scale}", "s.npy")
    assert found["mutual_information"] == pytest.approx(numbers(good)["mutual_information"], 1e-12)
    assert found["name"] == "m.npy"


@pytest.mark.parametrize("scale", TO_SCALE)
def test_the_scale_flag_decides(numbers, npz, good, pair, scale):
    path = npz(mean=pair[0], sigma=TO_SCALE[scale](pair[1]))
    found = numbers(path, "--scale", scale)
    assert found["mutual_information"] == pytest.approx(numbers(good)["mutual_information"], 1e-12)


def test_a_flag_against_the_name_is_noted(dindic, npz, pair):
    result = dindic("score", npz(mean=pair[0], var=pair[1]), "--scale", "std")
    assert "'var' is read as std, as the flag says" in result.stderr
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
        {"name": "size", "values": 4},
        {"name": "hue", "values": 4},
        {"name": "labels", "values": 5},
    ]
    text = flat(dindic("score", *words).stdout)
    assert "size (4 values), hue (4 values), labels (5 values)" in text


def test_factors_of_another_file(numbers, good):
    Path("f.csv").write_text("size,hue\n" + "\n".join(f"{i % 3},{i % 2}" for i in range(80)))
    found = numbers(good, "--factors", "f.csv")["factors"]
    assert found == [{"name": "size", "values": 3}, {"name": "hue", "values": 2}]


def test_constant_factors_have_one_value(dindic, npz, pair):
    path = npz(mean=pair[0], var=pair[1], factors=np.ones((80, 1)), labels=np.zeros(80, int))
    text = flat(dindic("score", path).stdout)
    assert "factor_0 (1 value" in text
    assert "labels (1 value" in text


def test_clusters_change_errors_and_not_values(dindic, numbers, npz, pair):
    c = np.repeat(np.arange(80), 3)
    many = npz("many.npz", mean=np.repeat(pair[0], 3, 0), var=np.repeat(pair[1], 3, 0), c=c)
    once = numbers(npz("once.npz", mean=pair[0], var=pair[1]))
    rows, clusters = numbers(many), numbers(many, "--cluster", "c")
    assert clusters["n_clusters"] == 80
    assert rows["n_clusters"] is None
    for name in ("kl_posterior_prior", "mutual_information", "kl_aggregate_prior"):
        assert clusters[name] == pytest.approx(rows[name], 1e-12)
        error = clusters["standard_errors"][name]
        assert error == pytest.approx(once["standard_errors"][name], 1e-9)
        assert rows["standard_errors"][name] < 0.6 * error
    assert "over 80 clusters" in flat(dindic("score", many, "--cluster", "c").stdout)


def test_threshold(dindic, numbers, good):
    assert [numbers(good, "--threshold", t)["used"] for t in ("0.1", "0.5", "0.9", "9")] == [
        3,
        2,
        1,
        0,
    ]
    assert "more than 0.25 nats" in flat(dindic("score", good, "--threshold", "0.25").stdout)


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


def test_threads_change_nothing(numbers, good):
    assert numbers(good, "--threads", "2") == numbers(good)


@pytest.mark.parametrize("form", FORMS)
def test_stdout_and_file_hold_the_same(dindic, good, form):
    on_stdout = dindic("score", good, f"--{form}", "-")
    in_file = dindic("score", good, "--quiet", f"--{form}", "out")
    assert in_file.output == ""
    assert Path("out").read_text(encoding="utf-8") == on_stdout.stdout
    assert on_stdout.stderr == ""


def test_json_is_strict_and_alone_on_stdout(dindic, npz, pair):
    def refuse(word):
        raise AssertionError(word)

    path = npz(mean=pair[0][:1], var=pair[1][:1])
    found = json.loads(dindic("score", path, "--json", "-").stdout, parse_constant=refuse)
    assert found["schema"] == "dindic.score/1"
    assert found["standard_errors"]["mutual_information"] is None
    assert sorted(found["verdict"]) == ["PRIOR", "TRUST", "USED"]


def test_json_equals_the_library(numbers, good, pair):
    expected = json.loads(score(pair[0], var=pair[1]).to_json())
    found = numbers(good)
    same = set(expected) - {"name", "source", "verdict", "notes"}
    assert {key: found[key] for key in same} == {key: expected[key] for key in same}
    assert found["verdict"] == expected["verdict"]


def test_csv_has_a_row_per_latent(dindic, good, pair):
    rows = list(csv.DictReader(io.StringIO(dindic("score", good, "--csv", "-").stdout)))
    assert [row["latent"] for row in rows] == ["0", "1", "2", "3"]
    assert [row["state"] for row in rows] == ["used", "used", "weak", "unused"]
    second = (pair[0] ** 2 + pair[1]).mean(axis=0)
    np.testing.assert_allclose([float(row["second_moment"]) for row in rows], second)


def test_markdown_has_whole_tables(dindic, good):
    text = dindic("score", good, "--markdown", "-").stdout
    assert "**USED** 2 of 4" in text
    assert (
        "| latent | I(x; z_h) [nats] | Def 3 [nats] | S | Def 1 [nats] | Var(mean) | state |"
        in text
    )


def test_all_outputs_at_once(dindic, good):
    files = ["a.json", "a.csv", "a.md", "a.png"]
    options = ["--json", "--csv", "--markdown", "--plot"]
    words = [word for both in zip(options, files, strict=True) for word in both]
    result = dindic("score", good, *words)
    assert result.stderr.splitlines() == [f"written: {file}" for file in files]
    assert all(Path(file).stat().st_size > 100 for file in files)
    assert "USED" in result.stdout


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_files_have_the_usual_permissions(dindic, good):
    dindic("score", good, "--json", "a.json", "--plot", "a.png", "--quiet")
    usual = stat.S_IMODE(os.stat(good).st_mode)
    assert [oct(stat.S_IMODE(os.stat(p).st_mode)) for p in ("a.json", "a.png")] == [oct(usual)] * 2


def test_plots(dindic, good):
    from matplotlib.image import imread

    for file in ("a.png", "a.svg", "a.pdf"):
        dindic("score", good, "--quiet", "--plot", file)
    assert imread("a.png").std() > 0.01
    assert ET.parse("a.svg").getroot().tag.endswith("svg")
    assert Path("a.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("target", ["a.bmp", "a", "-", "a.txt"])
def test_pictures_of_another_format(shell, good, target):
    done = shell("score", good, "--quiet", "--plot", target)
    assert done.returncode == 2
    assert "a picture ends in .png, .svg or .pdf" in done.stderr
    assert not Path(target).exists()


@pytest.mark.parametrize("form", [*FORMS, "plot"])
def test_a_folder_that_is_not_there_is_named(shell, good, folder, form):
    done = shell("score", good, "--quiet", f"--{form}", "missing/out.png")
    assert done.returncode in (1, 2)
    assert done.stdout == ""
    assert "missing/out.png" in done.stderr
    assert not re.search(r"missing/\.?(out\.png\.|tmp)", done.stderr)
    assert [p.name for p in folder.iterdir()] == ["good.npz"]


@pytest.mark.parametrize("form", [*FORMS, "plot"])
def test_a_failed_write_keeps_the_old_file(dindic, good, folder, monkeypatch, form):
    target = "out.png" if form == "plot" else f"out.{form}"
    Path(target).write_text("old")

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    monkeypatch.setattr(os, "replace", full)
    result = dindic("score", good, "--quiet", f"--{form}", target, code=1)
    assert "No space left on device" in result.stderr
    assert Path(target).read_text() == "old"
    assert sorted(p.name for p in folder.iterdir()) == ["good.npz", target]


@pytest.mark.parametrize(
    ("gate", "code"),
    [
        ("used < 3", 3),
        ("used < 2", 0),
        ("used <= 2", 3),
        ("used <= 1", 0),
        ("used == 2", 3),
        ("used == 3", 0),
        ("used != 3", 3),
        ("used != 2", 0),
        ("used >= 2", 3),
        ("used >= 3", 0),
        ("used > 1", 3),
        ("used > 2", 0),
        ("used>1", 3),
        (" used  >1e0 ", 3),
        ("used > -inf", 3),
        ("standard_errors.mutual_information > 0", 3),
        ("upper_bounds.full-mean < -1", 0),
        ("q_star.converged == 1", 3),
    ],
)
def test_gates(dindic, good, gate, code):
    result = dindic("score", good, "--quiet", "--fail-if", gate, code=code)
    assert result.stdout == ""
    assert bool(result.stderr) == (code == 3)


def test_a_failed_gate_says_what_failed_and_still_prints(dindic, good):
    words = ["--fail-if", "used < 3", "--fail-if", "n > 1e6", "--fail-if", "unused >= 1"]
    result = dindic("score", good, *words, "--csv", "a.csv", code=3)
    assert "gate failed: used < 3 (used = 2)" in result.stderr
    assert "gate failed: unused >= 1 (unused = 1)" in result.stderr
    assert "n >" not in result.stderr
    assert "Error" not in result.stderr
    assert "USED" in result.stdout
    assert Path("a.csv").is_file()


@pytest.mark.parametrize(
    ("name", "near"),
    [("usd", "used"), ("mutual_info", "mutual_information"), ("xxxxxxxxxxxx", "kl_q_star_prior")],
)
def test_an_unknown_gate_lists_near_names(dindic, good, name, near):
    message = dindic("score", good, "--quiet", "--fail-if", f"{name} > 4", code=2).stderr
    assert f"no scalar is called '{name}'" in message
    assert re.search(rf"[ ,]{near}[,\n]", message)


@pytest.mark.parametrize(
    "gate",
    ["", "used", "used >", "> 3", "used >> 3", "used = 3", "used > x", "used > nan", "1 > 0"],
)
def test_malformed_gates(say, good, gate):
    message = say("score", good, "--fail-if", gate)
    assert "is not NAME OP NUMBER" in message
    assert repr(gate) in message


def test_a_gate_on_a_missing_value(dindic, npz, pair):
    path = npz(mean=pair[0][:1], var=pair[1][:1])
    gate = "standard_errors.mutual_information > 0"
    message = dindic("score", path, "--quiet", "--fail-if", gate, code=2).stderr
    assert "'standard_errors.mutual_information'" in message


def test_gates_look_at_every_file(dindic, npz, good, pair):
    other = npz("other.npz", mean=pair[0][:, :2], var=pair[1][:, :2])
    dindic("score", other, good, "--quiet", "--fail-if", "d == 4", code=3)
    dindic("score", good, other, "--quiet", "--fail-if", "d == 4", code=3)
    dindic("score", good, other, "--quiet", "--fail-if", "d == 5")


def test_quiet_says_nothing(dindic, npz, pair):
    assert dindic("score", npz(mean=pair[0]), "--quiet").output == ""


def test_means_only(dindic, npz, pair):
    result = dindic("score", npz(mean=pair[0]))
    text = flat(result.stdout)
    assert "note: the file holds no scale: means only" in result.stderr
    assert "USED 3 of 4 latents are active units (Var(mean) ≥ 0.01)" in text
    assert "PRIOR The distance of the aggregated posterior from the prior is not known" in text
    assert "Definitions 1-7 cannot be had" in text
    assert "mean, logvar = encoder(x); np.savez(" in text
    assert "get_latent_representation(return_dist=True)" in text
    assert re.findall(r"(\d) +[\d.]+ +-?[\d.]+ +(active|inactive)", result.stdout) == [
        ("0", "active"),
        ("1", "active"),
        ("2", "active"),
        ("3", "inactive"),
    ]


def test_means_only_as_json_and_plot(dindic, numbers, npz, pair):
    path = npz(mean=pair[0])
    found = numbers(path)
    assert "mutual_information" not in found
    np.testing.assert_allclose(found["mean_variance"], pair[0].var(axis=0, ddof=1))
    dindic("score", path, "--quiet", "--plot", "a.png")
    assert Path("a.png").stat().st_size > 1000


def test_several_files_side_by_side(dindic, npz, good, pair):
    other = npz("other.npz", mean=pair[0] * 1.1, var=pair[1])
    text = dindic("score", good, other).stdout
    assert re.search(r"^ n +80 +80 *$", text, re.MULTILINE)
    assert re.search(r"^ +good\.npz +other\.npz *$", text, re.MULTILINE)
    assert "other.npz - good.npz" in text
    assert "as of independent samples" in flat(text)
    assert "--paired" in text


def test_paired(dindic, numbers, npz, good, pair):
    other = npz("other.npz", mean=pair[0] * 1.1, var=pair[1])
    apart, paired = numbers(good, other), numbers(good, other, "--paired")
    assert (apart["paired"], paired["paired"]) == (False, True)
    a, b = apart["differences"][0], paired["differences"][0]
    assert a["mutual_information"] == b["mutual_information"]
    assert b["mutual_information_se"] < 0.5 * a["mutual_information_se"]
    assert "paired over rows" in flat(dindic("score", good, other, "--paired").stdout)


@pytest.mark.parametrize("kind", ["labels", "factors"])
def test_the_same_labels_or_factors_make_a_pair(numbers, npz, pair, kind):
    column = np.random.default_rng(1).permutation(80)
    arrays = [column, column, column[::-1]]
    for i, values in enumerate(arrays):
        npz(f"{i}.npz", mean=pair[0] + i, var=pair[1], **{kind: values})
    npz("3.npz", mean=pair[0], var=pair[1])
    npz("4.npz", mean=pair[0][:40], var=pair[1][:40], **{kind: column[:40]})
    assert numbers("0.npz", "1.npz")["paired"] is True
    assert [numbers("0.npz", f"{i}.npz")["paired"] for i in (2, 3, 4)] == [False] * 3
    assert numbers("0.npz", "1.npz", "2.npz")["paired"] is False


def test_labels_that_are_all_alike_do_not_make_a_pair(numbers, npz, pair):
    for i in range(2):
        npz(f"{i}.npz", mean=pair[0][:: 1 - 2 * i], var=pair[1], labels=np.zeros(80, int))
    assert numbers("0.npz", "1.npz")["paired"] is False


def test_the_same_file_twice_differs_by_exactly_nothing(numbers, good):
    (difference,) = numbers(good, good, "--paired")["differences"]
    assert (difference.pop("of"), difference.pop("to")) == (good, good)
    assert set(difference.values()) == {0.0}


def test_pairs_of_different_length(say, npz, good, pair):
    other = npz("other.npz", mean=pair[0][:70], var=pair[1][:70])
    message = say("score", good, other, "--paired")
    assert "same rows" in message
    assert "80, 70" in message


def test_means_only_beside_a_whole_file(dindic, numbers, npz, good, pair):
    other = npz("other.npz", mean=pair[0])
    text = dindic("score", good, other).stdout
    assert re.search(r"^ mutual_information +[\d.]+ ± [\d.]+ +- *$", text, re.MULTILINE)
    assert re.search(r"^ active_units +3 +3 *$", text, re.MULTILINE)
    found = numbers(good, other)
    assert found["differences"] == []
    assert [file["name"] for file in found["files"]] == ["good.npz", "other.npz"]


def test_comparisons_as_csv_and_plot(dindic, good):
    rows = list(csv.DictReader(io.StringIO(dindic("score", good, good, "--csv", "-").stdout)))
    assert [row["name"] for row in rows] == ["good.npz"] * 2
    dindic("score", good, good, "--quiet", "--plot", "two.png")
    dindic("score", good, "--quiet", "--plot", "one.png")
    from matplotlib.image import imread

    assert imread("two.png").shape[0] == 2 * imread("one.png").shape[0]


@pytest.mark.parametrize("name", ["[/d]", "[bold]", "a[b"])
def test_file_names_with_brackets(dindic, npz, good, pair, name):
    Path(name).mkdir(parents=True)
    other = npz(f"{name}/good.npz", mean=pair[0], var=pair[1])
    text = flat(dindic("score", other, good).stdout)
    assert text.count(f"{name.rsplit('/', 1)[-1]}/good.npz") >= 3


ENTRIES = {
    "nan in mean": ("mean", np.nan, "mean must be finite; mean[17, 3] = nan"),
    "inf in mean": ("mean", np.inf, "mean must be finite; mean[17, 3] = inf"),
    "-inf in mean": ("mean", -np.inf, "mean must be finite; mean[17, 3] = -inf"),
    "nan in var": ("var", np.nan, "var must be finite; var[17, 3] = nan"),
    "inf in var": ("var", np.inf, "var must be finite; var[17, 3] = inf"),
    "negative var": ("var", -0.2, "is this logvar or logstd?); var[17, 3] = -0.2"),
    "zero var": ("var", 0.0, "var[17, 3] = 0"),
    "nan in logvar": ("logvar", np.nan, "logvar must be finite; logvar[17, 3] = nan"),
    "inf in logvar": ("logvar", -np.inf, "logvar must be finite; logvar[17, 3] = -inf"),
    "huge logvar": ("logvar", 1e4, "logvar gives variances outside"),
    "zero std": ("std", 0.0, "std[17, 3] = 0"),
    "nan in logstd": ("logstd", np.nan, "logstd[17, 3] = nan"),
}


@pytest.mark.parametrize("case", ENTRIES)
def test_bad_entries_are_named(say, npz, pair, case):
    key, value, message = ENTRIES[case]
    scale = "var" if key == "mean" else key
    arrays = {"mean": pair[0].copy(), scale: TO_SCALE[scale](pair[1].copy())}
    arrays[key][17, 3] = value
    said = say("score", npz(**arrays))
    assert message in said
    assert "Warning" not in said


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_bad_means_without_variances_are_named(say, npz, pair, value):
    pair[0][17, 3] = value
    assert f"mean[17, 3] = {value}" in say("score", npz(mean=pair[0]))


@pytest.mark.parametrize("key", ["mean", "var"])
def test_among_several_files_the_bad_one_is_named(say, npz, good, pair, key):
    arrays = {"mean": pair[0].copy(), "var": pair[1].copy()}
    arrays[key][0, 0] = np.nan
    assert "bad.npz" in say("score", good, npz("bad.npz", **arrays))


def test_rows_are_counted_over_all_batches(say, npz):
    mean = np.zeros((3_000, 400), np.float32)
    mean[2_900, 7] = np.nan
    said = say("score", npz(mean=mean, logvar=np.linspace(-1, 0, 400) * np.ones((3_000, 1))))
    assert "mean[2900, 7] = nan" in said


SHAPES = {
    "shape mismatch": ((80, 4), (79, 4), ["'mean' (80, 4)", "'var' (79, 4)", "shape of the mean"]),
    "transposed": ((80, 4), (4, 80), ["'var' (4, 80)", "shape of the mean"]),
    "no samples": ((0, 4), (0, 4), ["the mean has no samples", "(0, 4)"]),
    "no latents": ((80, 0), (80, 0), ["the mean has no latents", "(80, 0)"]),
    "one axis": ((80,), (80,), ["must have the shape (n, d)", "(80,)"]),
    "three axes": ((20, 4, 4), (20, 4, 4), ["(20, 4, 4)", "add --layout channels|flatten"]),
}


@pytest.mark.parametrize("case", SHAPES)
def test_bad_shapes_are_named(say, npz, case):
    mean, var, words = SHAPES[case]
    rng = np.random.default_rng(0)
    said = say("score", npz(mean=rng.normal(size=mean), var=rng.uniform(0.1, 1, size=var)))
    assert [word for word in words if word not in said] == []


def test_one_sample(dindic, numbers, npz, pair):
    path = npz(mean=pair[0][:1], var=pair[1][:1])
    text = flat(dindic("score", path).stdout)
    assert "± inf" in text
    assert "nan" not in text
    assert "One row cannot show which latents are used" in text
    found = numbers(path)
    assert found["n"] == 1
    assert found["kl_posterior_prior"] == pytest.approx(
        0.5 * float(np.sum(pair[0][0] ** 2 + pair[1][0] - np.log(pair[1][0]) - 1))
    )


def test_one_latent(dindic, numbers, npz, pair):
    path = npz(mean=pair[0][:, :1], var=pair[1][:, :1])
    text = flat(dindic("score", path).stdout)
    assert "USED 1 of 1 latent carries" in text
    assert "width may be the limit" not in text
    found = numbers(path)
    assert found["mutual_information"] == pytest.approx(found["mutual_information_per_latent"][0])
    assert found["gaussian_total_correlation"] == pytest.approx(0, abs=1e-12)


def test_constant_latents(dindic, npz, pair):
    pair[0][:, 2], pair[1][:, 2] = 0.0, 1.0
    result = dindic("score", npz(mean=pair[0], var=pair[1]))
    assert re.search(
        r"^ 2 +0\.000 ± 0\.000 +-?0\.000 ± 0\.000 +1\.000 +-?0\.000 +0\.0000 +unused *$",
        result.stdout,
        re.MULTILINE,
    )
    assert "nan" not in result.stdout


def test_constant_scale_warns(dindic, npz, pair):
    result = dindic("score", npz(mean=pair[0], var=np.full((80, 4), 0.25)))
    assert "WARNING: every entry of 'var' is 0.25" in flat(result.stderr)


def test_means_that_never_move_carry_nothing_by_the_tightest_bound(dindic, numbers, npz):
    path = npz(mean=np.ones((80, 4)), var=np.full((80, 4), 0.5))
    found = numbers(path)
    assert found["mutual_information"] == pytest.approx(2 * np.log(3))
    assert found["upper_bounds"]["full-mean"] == pytest.approx(0, abs=1e-12)
    assert found["active_units"] == 0
    assert "nan" not in dindic("score", path).stdout


def test_the_mean_stored_twice(say, npz, pair):
    assert "'var' holds the same numbers as 'mean'" in say("score", npz(mean=pair[1], var=pair[1]))


GARBAGE = {
    "text": b"hello, world\n",
    "nothing": b"",
    "half a zip": b"PK\x03\x04\x00\x00",
    "zeros": bytes(200),
}


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".safetensors", ".pt"])
@pytest.mark.parametrize("content", GARBAGE)
def test_damaged_files(say, folder, suffix, content):
    if suffix == ".pt":
        pytest.importorskip("torch")
    Path(f"bad{suffix}").write_bytes(GARBAGE[content])
    assert f"bad{suffix}: " in say("score", f"bad{suffix}")


def test_a_truncated_file(say, good):
    content = Path(good).read_bytes()
    Path("half.npz").write_bytes(content[: len(content) // 2])
    assert "half.npz: the file is damaged or not of this format" in say("score", "half.npz")


@pytest.mark.parametrize("name", ["missing.npz", "no/such/folder.npz"])
def test_missing_files(say, folder, name):
    said = say("score", name)
    assert name in said
    assert said.count("no such file") + said.count("there is no file") == 1


@pytest.mark.parametrize("name", ["a.txt", "a", "a.h5"])
def test_wrong_suffix(say, folder, name):
    Path(name).write_text("x")
    said = say("score", name)
    assert f"{name}: the suffix must be one of .npz" in said


def test_a_folder_is_no_file(say, folder):
    Path("d.npz").mkdir()
    assert "d.npz is a folder" in say("score", "d.npz")


AMBIGUOUS = {
    "two means": (("mean", "mu", "var"), ["'mean' and 'mu'", "--mean-key mean|mu"]),
    "two scales": (("mean", "var", "std"), ["'var' and 'std'", "--scale-key var|std"]),
    "vague scale": (("mean", "sigma"), ["'sigma'", "--scale var|std|logvar|logstd"]),
    "vague mean": (("latents_mean", "var"), ["'latents_mean'", "--mean-key latents_mean"]),
    "no names": (("arr_0", "arr_1"), ["--mean-key arr_0 --scale-key arr_1"]),
    "no mean": (("foo", "bar"), ["no key names a mean", "'foo' (80, 4)", "--mean-key KEY"]),
}


@pytest.mark.parametrize("case", AMBIGUOUS)
def test_ambiguous_keys_show_the_flag(say, npz, pair, case):
    keys, words = AMBIGUOUS[case]
    said = say("score", npz(**{key: pair[1] + i for i, key in enumerate(keys)}))
    assert [word for word in words if word not in said] == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give a FILE, or --mean"),
        (["--var", "v.npy"], "give a FILE, or --mean"),
        (["good.npz", "--mean", "m.npy"], "either FILE or --mean, not both"),
        (["--mean", "m.npy", "--var", "v.npy", "--std", "v.npy"], "got var, std"),
        (["--mean", "good.npz", "--var", "v.npy"], ".npy files"),
        (["--mean", "nope.npy", "--var", "v.npy"], "nope.npy"),
        (["good.npz", "--mean-key", "nope"], "--mean-key 'nope' is not in the file"),
        (["good.npz", "--scale-key", "nope"], "--scale-key 'nope' is not in the file"),
        (["good.npz", "--scale", "sigma"], "'sigma' is not one of"),
        (["good.npz", "--layout", "rows"], "'rows' is not one of"),
        (["good.npz", "--factors", "nope"], "factors: 'nope' is neither a key nor a file"),
        (["good.npz", "--labels", "nope"], "labels: 'nope' is neither a key nor a file"),
        (["good.npz", "--cluster", "nope"], "cluster: 'nope' is neither a key nor a file"),
        (["good.npz", "--factor-names", "a"], "factor_names"),
        (["good.npz", "--labels", "short.npy"], "labels must have the shape (80,)"),
        (["good.npz", "--cluster", "short.npy"], "cluster must have the shape (80,)"),
        (["good.npz", "--factors", "short.npy"], "factors must have the shape (80, k)"),
        (["good.npz", "--factors", "v.npy", "--factor-names", "a,b"], "must be 4 names"),
        (["good.npz", "--threshold", "0"], "threshold must be positive and finite; got 0"),
        (["good.npz", "--threshold", "-1"], "threshold must be positive and finite; got -1"),
        (["good.npz", "--threshold", "nan"], "threshold must be positive and finite; got nan"),
        (["good.npz", "--threshold", "x"], "'x' is not a valid float"),
        (["good.npz", "--threads", "x"], "'x' is not a valid integer"),
        (["good.npz", "--threads", "0"], "threads"),
        (["good.npz", "--prior-mean", "a,b"], "'a,b' is not a number"),
        (["good.npz", "--prior-mean", ""], "'' is not a number"),
        (["good.npz", "--prior-mean", "nan"], "prior_mean must be finite; got nan"),
        (["good.npz", "--prior-mean", "1,2"], "prior_mean must be one number or 4; got 2"),
        (["good.npz", "--prior-mean", "nope.npy"], "no such file: nope.npy"),
        (["good.npz", "--prior-mean", "text.npy"], "text.npy"),
        (["good.npz", "--prior-var", "0"], "prior_var must be positive and finite; got 0"),
        (["good.npz", "--prior-var", "-1"], "prior_var must be positive and finite; got -1"),
        (["good.npz", "--prior-var", "inf"], "prior_var must be positive and finite; got inf"),
        (["good.npz", "--prior-mean", "0,0,0"], "prior_mean must be one number or 4; got 3"),
        (["good.npz", "--prior-var", "1,1,1,1,1"], "prior_var must be one number or 4; got 5"),
        (["good.npz", "--json", "-", "--csv", "-"], "can go to stdout"),
    ],
)
def test_bad_words(say, good, pair, words, message):
    np.save("m.npy", pair[0])
    np.save("v.npy", pair[1])
    np.save("short.npy", np.arange(79))
    Path("text.npy").write_text("hello")
    assert message in say("score", *words)


def test_an_unknown_gate_is_refused_before_anything_is_written(dindic, good):
    dindic("score", good, "--json", "a.json", "--fail-if", "bogus > 1", code=2)
    assert not Path("a.json").exists()


def test_means_far_from_zero(dindic, numbers, npz, pair):
    """The uncentred families drown in the offset; the centred ones, and the table, do not."""
    path = npz(mean=pair[0] + 1e8, var=pair[1])
    assert "USED" in dindic("score", path).stdout
    found = numbers(path)
    near = numbers(npz("near.npz", mean=pair[0], var=pair[1]))
    assert found["gaussian_total_correlation"] == pytest.approx(
        near["gaussian_total_correlation"], abs=1e-6
    )
    bounds = found["upper_bounds"]
    assert bounds["full-mean"] == pytest.approx(near["upper_bounds"]["full-mean"], abs=1e-6)


@pytest.mark.parametrize("form", ["json", "csv", "markdown"])
def test_no_output_overwrites_an_input(dindic, good, form):
    before = Path(good).read_bytes()
    for name in (good, f"./{good}"):
        message = dindic("score", good, f"--{form}", name, code=2).stderr
        assert "would overwrite an input" in message
    assert Path(good).read_bytes() == before
    np.save("factors.npy", np.arange(80.0)[:, None])
    dindic("score", good, "--factors", "factors.npy", f"--{form}", "factors.npy", code=2)
    assert np.load("factors.npy").shape == (80, 1)


def test_pairs_made_by_labels_are_said_and_can_be_refused(dindic, numbers, npz, pair):
    labels = np.arange(80) % 5
    for i in range(2):
        npz(f"{i}.npz", mean=pair[0], var=pair[1] * (1 + i), labels=labels)
    assert "--no-paired" in dindic("score", "0.npz", "1.npz").stderr
    assert numbers("0.npz", "1.npz")["paired"] is True
    assert numbers("0.npz", "1.npz", "--no-paired")["paired"] is False


def test_a_gate_on_what_has_no_number(dindic, good):
    for name, why in (("used_range", "a list"), ("n_clusters", "not known here")):
        message = dindic("score", good, "--quiet", "--fail-if", f"{name} > 1", code=2).stderr
        assert f"{name} is {why}" in message


def test_joint_prints_ranges_and_its_seed(dindic, numbers, good):
    text = flat(dindic("score", good, "--joint", "--certify", "--points", "300").stdout)
    assert "Monte Carlo with 2 x 300 points, seed 0" in text
    assert "sums over all pairs of the 80 rows, no sampling" in text
    found = numbers(good, "--joint", "--points", "300")
    same = numbers(good, "--joint", "--points", "300", "--seed", "0")
    other = numbers(good, "--joint", "--points", "300", "--seed", "1")
    assert found["joint"] == same["joint"]
    ends = [of["joint"]["mutual_information_low"] for of in (found, other)]
    assert ends[0] != ends[1]
    assert found["marginals"] == other["marginals"]
    assert found["certificate"] is None


def test_gates_reach_the_aggregated_posterior(dindic, good):
    gate = "marginals.total_information > 0.1"
    assert "gate failed" in dindic("score", good, "--fail-if", gate, code=3).stderr
    dindic("score", good, "--joint", "--fail-if", "joint.saturation > 1.1")


def test_marginals_can_be_left_out(dindic, numbers, good):
    assert numbers(good, "--no-marginals")["marginals"] is None
    assert "I(x; z_h) [nats]" not in dindic("score", good, "--no-marginals").stdout


@pytest.mark.parametrize("words", [("--points", "99"), ("--seed", "-1")])
def test_points_and_seeds_are_checked(dindic, good, words):
    dindic("score", good, "--joint", *words, code=2)


@pytest.mark.parametrize("words", [("--points", "200"), ("--seed", "1")])
def test_points_and_seeds_go_with_joint(dindic, good, words):
    result = dindic("score", good, *words, code=2)
    assert f"{words[0]} goes with --joint" in result.stderr


def test_gates_on_what_was_not_computed_say_how_to_get_it(dindic, good):
    gate = "joint.mutual_information_low > 2"
    result = dindic("score", good, "--fail-if", gate, code=2)
    assert "joint.mutual_information_low is not there without --joint" in result.stderr


@pytest.mark.parametrize("flag", ["--joint", "--certify", "--marginals"])
def test_means_alone_have_no_joint(dindic, npz, pair, flag):
    result = dindic("score", npz(mean=pair[0]), flag, code=2)
    assert "needs the posterior variances" in result.stderr


METRICS = ("--metrics", "mig,sap@ubisoft", "--null", "4")


@pytest.fixture
def known(npz, pair):
    """A file with two factors, of which latents 0 and 1 are noisy copies."""
    mean, var = pair
    factors = np.clip(np.round(mean[:, :2] + 1.5), 0, 3).astype(int)
    return npz("known.npz", mean=mean, var=var, factors=factors)


def test_metrics_are_in_the_table_and_the_json(dindic, numbers, known):
    text = flat(dindic("score", known, *METRICS).stdout)
    assert "Metrics of posterior means, the 2 of 4 latents that are used" in text
    assert "4 permutations and 20 halves" in text
    found = numbers(known, *METRICS)["metrics"]
    assert list(found["metrics"]) == ["mig@default", "sap@ubisoft"]
    for name, metric in found["metrics"].items():
        assert name in text
        assert f"{metric['value']:.3f}"[:4] in text
        assert metric["permutations"] == 4
        assert metric["parameters"]
    assert found["schema"] == "dindic.metrics/1"
    assert numbers(known)["metrics"] is None


def test_metrics_equal_the_library(numbers, known):
    with np.load(known) as file:
        card = score(**file, metrics=["mig", "sap@ubisoft"], null=4, rng=0)
    assert numbers(known, *METRICS)["metrics"] == card.metrics.to_dict()
    other = numbers(known, *METRICS, "--seed", "1")["metrics"]["metrics"]["mig@default"]
    assert other["null"] != card.metrics.to_dict()["metrics"]["mig@default"]["null"]


def test_a_protocol_for_those_that_name_none(numbers, known):
    words = ("--metrics", "mig,mcc,sap@ubisoft", "--protocol", "locatello2019", "--null", "0")
    found = numbers(known, *words)["metrics"]
    assert list(found["metrics"]) == ["mig@locatello2019", "mcc@default", "sap@ubisoft"]
    assert "without locatello2019, so by default: mcc" in found["notes"]


def test_codes_latents_and_kinds_reach_the_metrics(numbers, known):
    words = ("--codes", "sample", "--latents", "all", "--kinds", "shape=circular:4,size=ordinal")
    found = numbers(known, *METRICS, *words, "--factor-names", "shape,size")["metrics"]
    assert found["codes"] == "sample"
    assert found["latents"] == [0, 1, 2, 3]
    assert found["kinds"] == {"shape": "circular", "size": "ordinal"}


def test_gates_reach_metrics_by_name_and_protocol(dindic, known):
    words = ("score", known, *METRICS, "--quiet", "--fail-if")
    result = dindic(*words, "metrics.metrics.mig@default.value < 2", code=3)
    assert "gate failed: metrics.metrics.mig@default.value < 2 (" in result.stderr
    dindic(*words, "metrics.metrics.mig@default.value < 0.1")
    dindic(*words, "metrics.metrics.sap@ubisoft.p_value > 1")
    message = dindic(*words, "metrics.metrics.mig@ubisoft.value < 1", code=2).stderr
    assert "no scalar is called 'metrics.metrics.mig@ubisoft.value'" in message
    words = ("score", known, "--quiet", "--fail-if", "metrics.metrics.mig@default.value < 0.1")
    assert "is not there without --metrics" in flat(dindic(*words, code=2).stderr)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--metrics", "migg"), "no metric is called 'migg'; there is mig"),
        (("--metrics", "mig@locatello"), "there is mig@locatello2019"),
        (("--metrics", "mig", "--protocol", "nobody"), "no protocol is called 'nobody'; there is"),
        (("--metrics", ","), "no metric is named; there is higgins"),
        (("--metrics", ""), "no metric is named; there is higgins"),
        (("--metrics", "mig", "--null", "-1"), "--null"),
        (("--metrics", "mig", "--codes", "both"), "--codes"),
        (("--metrics", "mig", "--latents", "some"), "--latents"),
        (("--metrics", "mig", "--kinds", "shape"), "'shape' is not NAME=KIND,..."),
        (("--metrics", "mig", "--kinds", "=ordinal"), "is not NAME=KIND,..."),
        (("--metrics", "mig", "--kinds", "size=ordinal"), "no factor is called 'size'"),
        (("--metrics", "mig", "--kinds", "factor_0=square"), "must be one of categorical"),
        (("--protocol", "ubisoft"), "--protocol goes with --metrics"),
        (("--null", "5"), "--null goes with --metrics"),
        (("--codes", "mean"), "--codes goes with --metrics"),
        (("--latents", "all"), "--latents goes with --metrics"),
        (("--kinds", "factor_0=ordinal"), "--kinds goes with --metrics"),
    ],
)
def test_bad_words_about_metrics(say, known, words, message):
    assert message in say("score", known, *words)


def test_metrics_need_factors(say, good):
    assert "metrics need ground-truth factors" in say("score", good, "--metrics", "mig")


def test_metrics_of_several_files_are_compared(dindic, numbers, npz, known):
    with np.load(known) as file:
        arrays = dict(file)
    npz("other.npz", **(arrays | {"mean": arrays["mean"][:, ::-1], "var": arrays["var"][:, ::-1]}))
    words = (known, "other.npz", *METRICS)
    text = flat(dindic("score", *words).stdout)
    assert "mig@default" in text
    assert "sap@ubisoft" in text
    cards = numbers(*words)["files"]
    both = [card["metrics"]["metrics"]["mig@default"]["value"] for card in cards]
    assert both[0] == pytest.approx(both[1], abs=1e-12)
    gate = ("--quiet", "--fail-if", "metrics.metrics.mig@default.value < 2")
    failed = dindic("score", *words, *gate, code=3).stderr
    assert failed.count("gate failed") == 2


def test_without_variances_metrics_see_the_means(dindic, npz, pair):
    npz("means.npz", mean=pair[0], factors=(pair[0][:, :2] > 0).astype(int))
    text = flat(dindic("score", "means.npz", *METRICS).stdout)
    assert "Metrics of posterior means" in text
    words = ("score", "means.npz", *METRICS, "--codes", "sample")
    assert "samples need the posterior variances" in flat(dindic(*words, code=2).stderr)
