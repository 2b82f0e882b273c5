"""dindic check: a claimed score under every protocol, through real files."""

import csv
import io
import json

import numpy as np
import pytest
from cli_helpers import flat

from disentangle_indicators.supervised import METRICS, check_claim


@pytest.fixture
def arrays(pair):
    mean, var = pair
    return {
        "mean": mean,
        "var": var,
        "factors": np.clip(np.round(mean[:, :2] + 1.5), 0, 3).astype(int),
    }


@pytest.fixture
def file(npz, arrays):
    return npz("known.npz", **arrays)


MIG = ("--metric", "mig", "--claimed", "0.3")


def test_the_numbers_are_those_of_the_library(dindic, file, arrays):
    content = json.loads(dindic("check", file, *MIG, "--quiet", "--json", "-").stdout)
    assert content["schema"] == "dindic.check/1"
    mean, var, factors = arrays.values()
    check = check_claim(METRICS["mig"], mean, factors, var=var, claimed=0.3)
    for key in ("metric", "claimed", "attempts", "reached", "of", "sentence"):
        assert content[key] == check.to_dict()[key]
    assert len(content["attempts"]) == 16


def test_the_table_has_every_way_and_the_sentence(dindic, file):
    result = dindic("check", file, *MIG)
    text = flat(result.stdout)
    assert text.startswith("known.npz mean from 'mean', variance = 'var'")
    assert "Mutual information gap is between" in text
    for protocol in METRICS["mig"].protocols:
        assert result.stdout.count(f"mig@{protocol} ") == 4
    assert result.stderr == ""
    assert max(map(len, result.stdout.splitlines())) <= 100


def test_files_of_their_own(dindic, folder, file, arrays):
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)

    def attempts(*words):
        return json.loads(dindic(*words).stdout)["attempts"]

    plain = attempts("check", file, *MIG, "--quiet", "--json", "-")
    words = (file, "--factors", "factors.npy", *MIG, "--quiet", "--json", "-")
    assert attempts("check", *words) == plain
    words = ("--mean", "mean.npy", "--var", "var.npy", "--factors", "factors.npy", *MIG)
    assert attempts("check", *words, "--quiet", "--json", "-") == plain


def test_files_are_written(dindic, file, folder):
    words = ("--json", "a.json", "--csv", "a.csv", "--markdown", "a.md", "--quiet")
    dindic("check", file, *MIG, *words)
    rows = list(csv.DictReader(io.StringIO((folder / "a.csv").read_text())))
    attempts = json.loads((folder / "a.json").read_text())["attempts"]
    assert [float(row["value"]) for row in rows] == [a["value"] for a in attempts]
    assert "mig@ubisoft" in (folder / "a.md").read_text(encoding="utf-8")


def test_without_variances_there_are_no_samples(dindic, npz, arrays):
    npz("means.npz", mean=arrays["mean"], factors=arrays["factors"])
    found = json.loads(dindic("check", "means.npz", *MIG, "--quiet", "--json", "-").stdout)
    assert {attempt["codes"] for attempt in found["attempts"]} == {"mean"}


def test_gates_exit_3(dindic, file):
    words = ("check", file, *MIG, "--quiet", "--fail-if")
    assert "gate failed: of > 1" in dindic(*words, "of > 1", code=3).stderr
    dindic(*words, "of < 1")
    assert "no number is called 'value'" in dindic(*words, "value < 1", code=2).stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("known.npz",), "--metric"),
        (("known.npz", "--metric", "migg"), "no metric is called 'migg'; there is mig"),
        (("--metric", "mig"), "give FILE, or --mean"),
        (("known.npz", "--codes", "known.npz", "--metric", "mig"), "No such option"),
        (("known.npz", "--mean", "a.npy", "--metric", "mig"), "give either FILE or --mean"),
        (("good.npz", "--metric", "mig"), "there are no ground-truth factors"),
        (("nothing.npz", "--metric", "mig"), "there is no file nothing.npz"),
        (("known.npz", "--metric", "mig", "--claimed", "much"), "--claimed"),
        (("known.npz", "--metric", "mig", "--claimed", "90"), "did you mean 0.9?"),
        (("known.npz", "--metric", "mig", "--kinds", "size"), "is not NAME=KIND"),
        (
            ("known.npz", "--metric", "mig", "--kinds", "size=ordinal"),
            "no factor is called 'size'",
        ),
        (("known.npz", "--metric", "mig", "--plot", "a.png"), "No such option"),
        (("known.npz", "--metric", "mig", "--json", "known.npz"), "would overwrite an input"),
    ],
)
def test_bad_words(say, file, good, words, message):
    assert message in say("check", *words)
