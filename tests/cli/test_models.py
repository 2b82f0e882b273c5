"""dindic models, and bundled models where a command takes one."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: dindic models is NOT tested")

from dindic_models.checkpoint import bundled_names
from disentangle_indicators import read_encodings


def test_the_list(dindic):
    result = dindic("models")
    for name in bundled_names():
        assert f"\n {name} " in result.stdout
    assert "trained on" in result.stdout
    assert result.stderr == ""


def test_one_in_full(dindic):
    result = dindic("models", "beta10")
    for word in ("made_with", "device", "seed", "epochs", "fingerprint", "mutual_information"):
        assert word in result.stdout


def test_json(dindic):
    content = json.loads(dindic("models", "--json", "-").stdout)
    assert content["schema"] == "dindic.models/1"
    assert sorted(content["models"]) == sorted(bundled_names())
    one = json.loads(dindic("models", "beta1", "--json", "-").stdout)
    assert one["models"] == {"beta1": content["models"]["beta1"]}


def test_a_name_that_is_not_there(dindic):
    assert "there is beta0.5" in dindic("models", "beta", code=2).output


def test_encode_by_name_brings_the_factors(dindic, folder):
    result = dindic("encode", "sprites_beta4", "--images", 60, "-o", "x.npz")
    assert "sprites_beta4 is a bundled model of sprites" in result.stderr
    assert "epoch" in result.stderr
    found = read_encodings("x.npz")
    assert found.d == 10
    assert found.factors.values.shape == (60, 5)
    scored = dindic("score", "x.npz", "--metrics", "mig")
    assert "60 rows x 10 latents" in scored.output


def test_traverse_by_name(dindic, folder):
    dindic("traverse", "sprites_beta4", "--kind", "reconstruction", "-o", "x.png")
    assert (folder / "x.png").stat().st_size > 1000


def test_images_of_the_wrong_size_are_refused(dindic, folder):
    np.save("images.npy", np.zeros((20, 28, 28, 3), np.uint8))
    words = dindic("encode", "beta10", "--data", "images.npy", "-o", "x.npz", code=2).output
    assert "the model takes images with 1 channel" in words
    assert not (folder / "x.npz").exists()
