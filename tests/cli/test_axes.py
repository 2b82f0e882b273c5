"""dindic axes, through real files."""

import csv
import io
import json
import xml.etree.ElementTree as ET
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from cli_helpers import flat

from disentangle_indicators.rotation import AxisPair, axes

EXAMPLE = Path(__file__).parents[2] / "examples" / "data" / "dsprites_btcvae.npz"


@pytest.fixture
def arrays():
    """Two uniform sources in latents 0 and 2, turned by 30 degrees; latent 1 is unused."""
    rng = np.random.default_rng(0)
    cos, sin = np.cos(np.pi / 6), np.sin(np.pi / 6)
    z = rng.uniform(-1.7, 1.7, size=(800, 2)) @ np.array([[cos, sin], [-sin, cos]])
    mean = np.column_stack([z[:, 0], 0.01 * rng.normal(size=800), z[:, 1]])
    return {"mean": mean, "var": np.tile([0.05, 1.0, 0.05], (800, 1))}


@pytest.fixture
def file(npz, arrays):
    return npz("turned.npz", **arrays)


def test_the_table_says_which_pair_would_be_better_turned(dindic, file):
    result = dindic("axes", file)
    text = flat(result.stdout)
    assert text.startswith("turned.npz mean from 'mean', variance = 'var'")
    assert "AXES The pair is less dependent after a rotation." in text
    assert "Turning latents 0 and 2 by -" in text
    assert "0, 2 -" in text
    assert text.count("better axes") == 1
    assert "p gain: corrected for the number of pairs" in text
    assert max(map(len, result.stdout.splitlines())) <= 100
    assert result.stderr == ""


def test_the_numbers_are_those_of_the_library(dindic, file, arrays):
    words = ("--seed", "3", "--latents", "all", "--json", "-")
    content = json.loads(dindic("axes", file, *words).stdout)
    found = axes(**arrays, rng=3, latents="all")
    for key in ("pairs", "rotation", "turns", "total_gain", "standard_error", "small"):
        assert content[key] == json.loads(found.to_json())[key]
    assert content["seed"] == 3
    assert content["rotated"] == [0, 1, 2]
    words = ("--threshold", "1e-9", "--json", "-")
    assert json.loads(dindic("axes", file, *words).stdout)["rotated"] == [0, 1, 2]


def test_some_rows_are_drawn_where_asked(dindic, file, arrays):
    content = json.loads(dindic("axes", file, "--rows", "200", "--json", "-").stdout)
    assert content["total_gain"] == axes(**arrays, rows=200, rng=0).total_gain
    assert "note: 200 random rows of 800" in dindic("axes", file, "--rows", "200").stdout


def test_a_prior_gives_the_units(dindic, npz, arrays, file):
    scaled = npz("scaled.npz", mean=3 * arrays["mean"] + 1, var=9 * arrays["var"])
    words = ("--quiet", "--json", "-")
    prior = ("--prior-mean", "1", "--prior-var", "9")
    same, own = (
        json.loads(dindic("axes", *given, *words).stdout) for given in ((scaled, *prior), (file,))
    )
    assert same["rotated"] == own["rotated"]
    assert same["total_gain"] == pytest.approx(own["total_gain"], abs=1e-6)


def test_seeds_decide(dindic, file):
    words = (file, "--quiet", "--json", "-")
    first, same, other = (
        dindic("axes", *words, "--seed", seed).stdout for seed in ("0", "0", "1")
    )
    assert first == same
    assert first != other


def test_csv_has_a_row_per_pair(dindic, file):
    rows = list(csv.DictReader(io.StringIO(dindic("axes", file, "--csv", "-").stdout)))
    assert len(rows) == 1
    assert (rows[0]["i"], rows[0]["j"], rows[0]["verdict"]) == ("0", "2", "better axes")
    assert [name for name in rows[0] if name] == [
        field.name for field in fields(AxisPair) if field.name != "provenance"
    ]
    assert float(rows[0]["best_degrees"]) == pytest.approx(-30, abs=3)


@pytest.mark.parametrize(("form", "start"), [("json", "{"), ("csv", "i,"), ("markdown", "")])
def test_files_are_written(dindic, file, form, start):
    result = dindic("axes", file, f"--{form}", "out")
    assert result.stderr == "written: out\n"
    assert "AXES" in result.stdout
    quiet = dindic("axes", file, f"--{form}", "-").stdout
    text = Path("out").read_text(encoding="utf-8")
    assert text.replace("--json out", "--json -") == quiet
    assert text.lstrip(",").startswith(start)


def test_the_picture_is_written(dindic, file):
    assert "written: axes.svg" in dindic("axes", file, "--plot", "axes.svg").stderr
    assert ET.parse("axes.svg").getroot().tag.endswith("svg")
    assert "a picture ends in" in flat(dindic("axes", file, "--plot", "a.doc", code=2).stderr)


def test_gates(dindic, file):
    words = ("axes", file)
    failed = dindic(*words, "--fail-if", "total_gain > 0.01", "--json", "out.json", code=3)
    assert "gate failed" in failed.stderr
    assert "total_gain" in failed.stderr
    assert Path("out.json").is_file()
    dindic(*words, "--fail-if", "total_gain > 5")
    dindic(*words, "--fail-if", "total_gains > 5", code=2)


def test_quiet_says_nothing(dindic, file):
    result = dindic("axes", file, "--quiet", "--csv", "out.csv")
    assert (result.stdout, result.stderr) == ("", "")
    assert Path("out.csv").is_file()


def test_one_used_latent_is_said_to_be_one(dindic, npz, arrays):
    name = npz(mean=arrays["mean"][:, :2], var=arrays["var"][:, :2])
    result = dindic("axes", name, "--plot", "none.png", "--csv", "none.csv", "--json", "none.json")
    assert "There is nothing to rotate: one latent is used." in flat(result.stdout)


def test_means_alone_are_refused(say, npz, arrays):
    message = say("axes", npz(mean=arrays["mean"]))
    assert "encodings.npz: axes need the posterior variances" in message


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["missing.npz"], "missing.npz"),
        ([], "give FILE, or --mean"),
        (["turned.npz", "--seed", "-1"], "--seed"),
        (["turned.npz", "--latents", "some"], "--latents"),
        (["turned.npz", "--threshold", "0"], "--threshold must be positive"),
        (["turned.npz", "--json", "-", "--csv", "-"], "can go to standard output"),
        (["turned.npz", "--json", "turned.npz"], "would overwrite an input"),
        (["turned.npz", "--prior-var", "0"], "prior"),
    ],
)
def test_bad_input_is_refused(say, file, words, message):
    assert message in say("axes", *words)


def test_few_rows_are_refused(say, npz, arrays):
    few = npz(mean=arrays["mean"][:7], var=arrays["var"][:7])
    assert "axes need at least 8 rows; got 7" in say("axes", few)


def test_separate_arrays_are_read(dindic, folder, file, arrays):
    np.save("mu.npy", arrays["mean"])
    np.save("lv.npy", np.log(arrays["var"]))
    words = ("--quiet", "--json", "-")
    apart = json.loads(dindic("axes", "--mean", "mu.npy", "--logvar", "lv.npy", *words).stdout)
    whole = json.loads(dindic("axes", file, *words).stdout)
    assert apart["total_gain"] == pytest.approx(whole["total_gain"], abs=1e-9)


@pytest.mark.slow
def test_the_example_finds_the_position_turned_by_45_degrees(dindic):
    text = flat(dindic("axes", EXAMPLE).stdout)
    assert "Of 10 pairs of used latents, 1 is less dependent after a rotation, 9 are" in text
    assert "Turning latents 4 and 8 by" in text
