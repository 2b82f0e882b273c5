"""dindic match, through real files."""

import json

import numpy as np
import pytest
from cli_helpers import flat

FEW = ("--rotations", "99")


@pytest.fixture
def twins(npz):
    """Two encoders of the same rows, one a permutation of the other; labels in both."""
    rng = np.random.default_rng(0)
    mean = rng.normal(size=(400, 4))
    other = -mean[:, [1, 0, 3, 2]] + 0.05 * rng.normal(size=mean.shape)
    labels = rng.integers(5, size=400)
    var = 0.1 * rng.uniform(0.9, 1.1, size=mean.shape)
    one = npz("runs_seed0.npz", mean=mean, var=var, labels=labels)
    return one, npz("runs_seed1.npz", mean=other, var=var, labels=labels)


def test_the_sentence_comes_first(dindic, twins):
    result = dindic("match", *twins, *FEW)
    assert flat(result.stdout).startswith(
        "MATCH The same 4-dimensional space in both encoders, up to permutation and sign; the same "
        "axes for 4 of 4 latents."
    )
    assert "That the rows correspond is shown by labels." in flat(result.stdout)
    assert max(map(len, result.stdout.splitlines())) <= 100
    assert result.stderr == ""


def test_reports_pictures_and_gates(dindic, twins, folder):
    words = ("--json", "m.json", "--csv", "m.csv", "--plot", "m.png", "--quiet", *FEW)
    assert dindic("match", *twins, *words).stdout == ""
    content = json.loads((folder / "m.json").read_text())
    assert content["shared"] == [[4, 4], [4, 4]]
    assert content["provenance"]["call"].startswith("dindic match runs_seed0.npz")
    assert len((folder / "m.csv").read_text().splitlines()) == 5
    assert (folder / "m.png").stat().st_size > 1000
    gate = ("--fail-if", "rotations < 100")
    assert dindic("match", *twins, "--quiet", *gate, *FEW, code=3).stdout == ""


def test_rows_that_nothing_shows_to_be_the_same_are_asked_for(dindic, npz, twins):
    rng = np.random.default_rng(1)
    arrays = {"mean": rng.normal(size=(400, 3)), "var": np.full((400, 3), 0.1)}
    bare = npz("bare.npz", **arrays)
    asked = dindic("match", twins[0], bare, code=2)
    assert "the same inputs in the same order, add --same-rows" in flat(asked.stderr)
    assert "share 0 of 4 and of 3" in flat(
        dindic("match", twins[0], bare, "--same-rows", *FEW).stdout
    )
    short = npz("short.npz", mean=arrays["mean"][1:], var=arrays["var"][1:])
    assert "has 399" in dindic("match", bare, short, "--same-rows", code=2).stderr
    assert "2 to 50 encoders" in dindic("match", bare, code=2).stderr
    assert "not --mean" in dindic("match", bare, bare, "--mean", bare, code=2).stderr


def test_an_encoder_that_uses_nothing_is_named_with_the_option_that_helps(dindic, npz, twins):
    rng = np.random.default_rng(0)
    unused = npz("unused.npz", mean=1e-3 * rng.normal(size=(400, 4)), var=np.ones((400, 4)))
    refused = dindic("match", twins[0], unused, "--same-rows", code=2).stderr
    assert "--latents all matches all of them" in flat(refused)
