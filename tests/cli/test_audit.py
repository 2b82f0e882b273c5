"""dindic audit, through real files."""

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from cli_helpers import flat

from dindic.audit import _long
from disentangle_indicators.rotation import audit_rotations
from disentangle_indicators.supervised import METRICS

EXAMPLE = Path(__file__).parents[2] / "examples" / "data" / "dsprites_btcvae.npz"


@pytest.fixture
def arrays():
    """A code of two factors in latents 0 and 2, turned by 30 degrees; latent 1 is unused."""
    rng = np.random.default_rng(0)
    factors = rng.integers(6, size=(200, 2))
    z = (factors - factors.mean(axis=0)) / factors.std(axis=0)
    cos, sin = np.cos(np.pi / 6), np.sin(np.pi / 6)
    z = z @ np.array([[cos, sin], [-sin, cos]])
    mean = np.column_stack([z[:, 0], 0.01 * rng.normal(size=200), z[:, 1]])
    return {"mean": mean, "var": np.tile([0.01, 1.0, 0.01], (200, 1)), "factors": factors}


@pytest.fixture
def file(npz, arrays):
    return npz("turned.npz", **arrays)


QUICK = ("--metrics", "mig", "--rotations", "9")


def test_the_example_finds_the_position_turned_by_45_degrees(dindic):
    text = flat(dindic("audit", EXAMPLE, *QUICK).stdout)
    assert re.search(r"A better rotation exists: turn latents 4 and 8 by -?4[45] degrees", text)
    assert "5 of 10 latents (2, 3, 4, 6, 8), the used ones, rotated, n = 5000" in text


def test_the_numbers_are_those_of_the_library(dindic, file, arrays):
    words = ("--metrics", "sap, mig,sap", "--rotations", "9", "--seed", "3")
    content = json.loads(dindic("audit", file, *words, "--json", "-").stdout)
    assert content["schema"] == "dindic.audits/1"
    assert list(content["audits"]) == ["sap", "mig"]
    mean, var, factors = arrays.values()
    for metric, found in content["audits"].items():
        audit = audit_rotations(metric, mean, factors, var=var, rotations=9, rng=3)
        assert found == {k: v for k, v in audit.to_dict().items() if k != "provenance"}
        assert found["rotated"] == [0, 2]
        assert found["best"]["turns"][0][:2] == [0, 2]


def test_the_table_names_metrics_turns_and_p_values(dindic, file):
    result = dindic("audit", file, "--metrics", "mig,sap", "--rotations", "9")
    text = flat(result.stdout)
    assert text.startswith("turned.npz mean from 'mean', variance = 'var'")
    for metric in ("mig", "sap"):
        assert f"{metric} RANDOM" in text
        assert f"{metric} BETTER" in text
    assert "Under 9 random rotations" in text
    assert "0-2: -30°" in text or "0-2: -31°" in text
    assert max(map(len, result.stdout.splitlines())) <= 100
    assert result.stderr == ""


def test_options_reach_the_library(dindic, file):
    words = ("--no-search", "--latents", "all", "--workers", "2", "--quiet", "--json", "-")
    audit = json.loads(dindic("audit", file, *QUICK, *words).stdout)["audits"]["mig"]
    assert audit["rotated"] == [0, 1, 2]
    assert audit["best"] is None
    words = ("--no-search", "--threshold", "1e-9", "--quiet", "--json", "-")
    audit = json.loads(dindic("audit", file, *QUICK, *words).stdout)["audits"]["mig"]
    assert audit["rotated"] == [0, 1, 2]


def test_files_are_written(dindic, file, folder):
    words = ("--json", "a.json", "--csv", "a.csv", "--markdown", "a.md", "--plot", "a.png")
    result = dindic("audit", file, *QUICK, *words)
    assert result.stderr.count("written: ") == 4
    (row,) = csv.DictReader(io.StringIO((folder / "a.csv").read_text()))
    audit = json.loads((folder / "a.json").read_text())["audits"]["mig"]
    assert float(row["p_value"]) == audit["p_value"]
    assert float(row["best_gain"]) == audit["best"]["gain"]
    assert "| mig, best |" in (folder / "a.md").read_text(encoding="utf-8")
    assert (folder / "a.png").read_bytes().startswith(b"\x89PNG")


def test_quiet_prints_nothing(dindic, file):
    result = dindic("audit", file, *QUICK, "--no-search", "--quiet")
    assert result.output == ""


def test_arrays_in_files_of_their_own(dindic, folder, arrays):
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    words = ("--mean", "mean.npy", "--var", "var.npy", "--factors", "factors.npy")
    assert "mig BETTER A better rotation" in flat(dindic("audit", *words, *QUICK).stdout)


def test_protocols_by_name_reach_the_library_and_gates(dindic, file):
    words = ("--metrics", "mig@locatello2019", "--rotations", "2", "--no-search", "--quiet")
    content = json.loads(dindic("audit", file, *words, "--json", "-").stdout)
    assert content["audits"]["mig@locatello2019"]["parameters"]["protocol"] == "locatello2019"
    gate = ("--fail-if", "audits.mig@locatello2019.score >= 0")
    assert "gate failed" in dindic("audit", file, *words, *gate, code=3).stderr


def test_all_metrics_and_those_that_take_long(dindic, file):
    result = dindic("audit", file, "--metrics", "all", "--rotations", "2", "--no-search")
    text = flat(result.stdout)
    assert all(f"{name} RANDOM" in text for name in METRICS)
    notes = [line for line in result.stderr.splitlines() if line.startswith("note: ")]
    refit = [name for name, metric in METRICS.items() if "default" in metric.refits]
    assert [note.split()[1] for note in notes] == refit == [
        "higgins", "dci", "explicitness", "infomec",
    ]  # fmt: skip
    assert "note: dci is fitted anew for each rotation; --no-search" in result.stderr
    (slow,) = _long(["mig", "dci@locatello2019"])
    assert slow.startswith("dci@locatello2019 takes minutes for each rotation; --no-search and")


def test_a_gate_that_holds_exits_3(dindic, file):
    words = ("audit", file, *QUICK, "--no-search", "--fail-if")
    assert "gate failed" in dindic(*words, "audits.mig.p_value >= 0.1", code=3).stderr
    dindic(*words, "audits.mig.score > 1")
    assert "no number is called 'p_value'" in dindic(*words, "p_value > 1", code=2).stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--metrics", "migg"), "no metric is called 'migg'; there is mig"),
        (("--metrics", "zzzz"), "no metric is called 'zzzz'; there is higgins, factor_vae"),
        (("--metrics", ","), "',' contains no name"),
        (("--rotations", "1"), "--rotations"),
        (("--threshold", "0"), "--threshold must be positive"),
        (("--threshold", "50"), "no latent is used"),
        (("--plot", "a.doc"), "a picture ends in .png, .svg or .pdf"),
        (
            ("--json", "-", "--csv", "-"),
            "only one of json, csv, markdown, latex, html can go to standard output",
        ),
        (("--json", "turned.npz"), "would overwrite an input"),
        (("--mean", "a.npy"), "give either FILE or --mean"),
    ],
)
def test_bad_options_are_refused(say, file, words, message):
    assert message in say("audit", file, *words)


def test_a_file_without_factors_is_told_how_to_get_them(say, good):
    message = say("audit", good)
    assert "good.npz: there are no ground-truth factors; add --factors KEY" in message
    assert "--factors FILE.npy" in message


def test_no_file_is_refused(say):
    assert "give FILE, or --mean" in say("audit")
    assert "there is no file nothing.npz" in say("audit", "nothing.npz")
