"""The bundled models: what they say of themselves holds, and they are found by name."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: NO model is tested")

from runs import config, dataset, files, pictures

import dindic_models
from dindic_models import bundled
from dindic_models.bundled import _put, bundle, listing, provenance, sentence
from dindic_models.checkpoint import (
    BUNDLED,
    bundled_names,
    file_hash,
    load,
    read_tensors,
    write_tensors,
)
from dindic_models.data import open_data
from dindic_models.encode import posteriors
from dindic_models.study import measure
from dindic_models.train import train
from disentangle_indicators._files import temporary_of

SHARED = Path(os.environ.get("DINDIC_DATA", ""))
MNIST = {"beta0.5": 0.5, "beta1": 1.0, "beta10": 10.0, "sigma2_0.11": 1.0}

every = pytest.mark.parametrize("name", bundled_names())


def test_the_models_that_the_package_promises():
    assert set(bundled_names()) >= {*MNIST, "sprites_beta4"}
    for name, beta in MNIST.items():
        settings = load(name).config
        assert (settings.dataset, settings.latents, settings.beta) == ("mnist", 128, beta)
        assert settings.network == "mnist"
    assert load("sigma2_0.11").config.noise == "fixed"
    assert float(load("sigma2_0.11").model.noise.variance()) == pytest.approx(0.11)
    assert load("sprites_beta4").config.latents == 10


def test_they_are_small_enough_for_a_wheel():
    assert sum(path.stat().st_size for path in BUNDLED.rglob("*") if path.is_file()) < 12e6


@every
def test_provenance_is_that_of_the_files(name):
    found, said = load(name), provenance(name)
    assert said["weights"]["sha256"] == found.sha256
    assert said["settings"] == found.config.to_dict()
    assert said["device"] == "; ".join(found.devices)
    assert said["device"] != "not recorded"
    assert said["steps"] == found.step
    assert said["data"] == found.data
    assert said["seed"] == found.config.seed
    assert said["epochs"] <= found.config.epochs
    sigma2 = float(found.model.noise.variance().detach())
    assert said["indicators"]["sigma2"] == pytest.approx(sigma2, rel=1e-6)
    assert max(said["changed_by_half_precision"].values()) <= 0.01
    assert f"epochs on {said['device']}" in sentence(name).replace("epoch ", "epochs ")


@every
def test_weights_are_in_half_precision_and_noise_is_exact(name):
    tensors = read_tensors(BUNDLED / name / "model.safetensors")[0]
    kinds = {key: t.dtype for key, t in tensors.items() if not key.startswith("noise.")}
    assert set(kinds.values()) == {torch.float16}
    assert all(t.dtype != torch.float16 for key, t in tensors.items() if key not in kinds)


@every
def test_no_path_of_whoever_trained_it(name):
    assert "path" not in load(name).data


@pytest.mark.slow
def test_indicators_of_the_sprites_are_measured_again(tmp_path):
    check("sprites_beta4", open_data(dataset="sprites"), tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(
    not (SHARED / "mnist").is_dir(),
    reason="set DINDIC_DATA: the indicators of bundled MNIST models are NOT measured again",
)
@pytest.mark.parametrize("name", MNIST)
def test_indicators_of_mnist_are_measured_again(tmp_path, name):
    check(name, open_data(SHARED / "mnist"), tmp_path)


def check(name, data, tmp_path):
    said = provenance(name)["indicators"]
    assert data.fingerprint == load(name).data["fingerprint"]
    again = measure(load(name), data, tmp_path / "x.safetensors", images=said["images"]).row
    assert list(again) == list(said)
    for key, value in said.items():
        assert again[key] == pytest.approx(value, rel=1e-3, abs=1e-6), key


def test_load_is_where_the_package_says():
    assert dindic_models.load is load
    mean, logvar = load("beta10").model.encode(torch.zeros(3, 1, 28, 28))
    assert mean.shape == logvar.shape == (3, 128)


def test_a_folder_of_that_name_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train(config(epochs=1), dataset(), "beta10")
    assert load("beta10").config == config(epochs=1)


def test_names_that_are_not_there():
    with pytest.raises(FileNotFoundError, match=r"no such model: beta99; bundled ones are beta0"):
        load("beta99")
    with pytest.raises(ValueError, match=r"no bundled model is called 'x'; there is beta0"):
        provenance("x")
    for name in ("./beta10", "beta10/"):  # paths, not names
        with pytest.raises(FileNotFoundError):
            load(name)
    for name in ("../weights/beta10", "beta10/", ".", ""):
        with pytest.raises(ValueError, match="no bundled model"):
            provenance(name)


def test_the_listing_has_a_line_for_each():
    table = repr(listing())
    for name in bundled_names():
        assert name in table
    full = repr(listing(("beta10",)))
    assert "sha256:" in full
    assert {"Origin", "Settings", "Indicators"} <= set(full.split())
    assert "mutual_information" in full
    assert set(listing().to_dict()["models"]) == set(bundled_names())


# ------------------------------------------------------------------- other files than were bundled


@pytest.fixture
def copy(tmp_path):
    """A bundled model in a folder of its own, where it can be changed."""
    return Path(shutil.copytree(BUNDLED / "beta10", tmp_path / "copy"))


def test_other_weights_than_the_bundled_ones_are_refused(copy):
    load(copy)
    tensors, said = read_tensors(copy / "model.safetensors")
    write_tensors(
        copy / "model.safetensors",
        tensors | {"encoder.head.bias": tensors["encoder.head.bias"] + 1},
        said,
    )
    with pytest.raises(
        ValueError,
        match=r"model\.safetensors: its sha256 is \w{12}\.\.\., and provenance\.json has",
    ):
        load(copy)
    (copy / "provenance.json").unlink()  # a run, of which nothing is promised
    load(copy)


def test_one_byte_of_the_weights_is_enough(copy):
    content = bytearray((copy / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (copy / "model.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match="the file was changed or damaged"):
        load(copy)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"weights": {}}', '{"weights": "x"}'])
def test_provenance_without_a_hash_is_refused(copy, content):
    (copy / "provenance.json").write_text(content)
    with pytest.raises(ValueError, match=r"provenance\.json: damaged"):
        load(copy)


# ----------------------------------------------------------------------------- making one


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "run"
    train(config(epochs=4, lr=1e-2), dataset(pictures(400)), folder, source="secret.npy")
    return folder


def test_a_run_is_bundled(run, tmp_path):
    data = dataset(pictures(400))
    folder = bundle(run, "small", data, made_with="by hand", folder=tmp_path)
    assert folder == tmp_path / "small"
    assert sorted(files(folder)) == ["config.json", "model.safetensors", "provenance.json"]
    assert [path.name for path in tmp_path.iterdir()] == ["small"]
    small, whole = load(folder), load(run)
    assert small.config == whole.config
    assert (small.step, small.devices) == (whole.step, whole.devices)
    assert "secret" not in (folder / "config.json").read_text()
    rows = np.arange(50)
    one, two = (
        np.concatenate([m for m, _ in posteriors(c.model, data.images, rows)])
        for c in (small, whole)
    )
    assert 0 < np.abs(one - two).max() < 1e-2
    for key, t in small.model.noise.state_dict().items():
        assert torch.equal(t, whole.model.noise.state_dict()[key])
    assert file_hash(folder / "model.safetensors") != whole.sha256
    said = json.loads((folder / "provenance.json").read_text())
    for key, name in (("weights", "model.safetensors"), ("config", "config.json")):
        assert said[key]["sha256"] == file_hash(folder / name)
    bundle(run, "small", data, made_with="again", folder=tmp_path)
    assert "again" in (folder / "provenance.json").read_text()


def test_other_settings_than_the_bundled_ones_are_refused(run, tmp_path):
    folder = bundle(run, "small", dataset(pictures(400)), made_with="by hand", folder=tmp_path)
    text = (folder / "config.json").read_text()
    (folder / "config.json").write_text(text.replace('"beta": 1.0', '"beta": 2.0'))
    with pytest.raises(ValueError, match=r"config\.json: its sha256 is"):
        load(folder)


def test_what_half_precision_would_change_is_refused(run, tmp_path, monkeypatch):
    monkeypatch.setattr(bundled, "TOLERANCE", 0.0)
    with pytest.raises(ValueError, match=r"half precision changes \w+ by 0\.\d\d%"):
        bundle(run, "small", dataset(pictures(400)), made_with="by hand", folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_other_data_are_refused(run, tmp_path):
    other = dataset(pictures(400), fingerprint="sha256:1")
    with pytest.raises(ValueError, match="was not trained on these data"):
        bundle(run, "small", other, made_with="by hand", folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("taken", ["small", ".dindic-old-small"])
@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_is_no_bundle_is_not_replaced(run, tmp_path, taken, kind):
    there = tmp_path / taken
    note = there / "notes.txt" if kind == "folder" else there
    note.parent.mkdir(exist_ok=True)
    note.write_text("mine")
    with pytest.raises(ValueError, match=rf"{taken} is no bundled model: .*; name another"):
        bundle(run, "small", dataset(pictures(400)), made_with="by hand", folder=tmp_path)
    assert note.read_text() == "mine"
    assert [each.name for each in tmp_path.iterdir()] == [taken]


def test_what_a_killed_process_left_is_put_back_or_swept(run, tmp_path, monkeypatch):
    data, made = dataset(pictures(400)), {"made_with": "by hand", "folder": tmp_path}
    bundle(run, "small", data, **made)
    ended = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"],
        check=True,
        capture_output=True,
        text=True,
    )
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: int(ended.stdout))
        temporary_of(tmp_path / "small").mkdir()
    (tmp_path / "small").rename(tmp_path / ".dindic-old-small")
    with monkeypatch.context() as patch:
        patch.setattr(bundled, "TOLERANCE", 0.0)
        with pytest.raises(ValueError, match="half precision changes"):
            bundle(run, "small", data, **made)
    assert [each.name for each in tmp_path.iterdir()] == ["small"]
    assert load(tmp_path / "small").step > 0


@pytest.mark.parametrize("after", [1, 9])
def test_a_bundle_that_cannot_take_its_place_leaves_the_old_one(tmp_path, monkeypatch, after):
    old = tmp_path / "small"
    old.mkdir()
    (old / "config.json").write_text("old")
    calls, rename = [], os.rename

    def failing(*names):
        calls.append(names)
        if len(calls) > after:
            raise OSError(28, "No space left on device")
        rename(*names)

    monkeypatch.setattr(os, "rename", failing)
    with pytest.raises(OSError, match="No space left|No such file"):
        _put(tmp_path / "gone", old)
    assert (old / "config.json").read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["small"]


@pytest.mark.parametrize("there", [True, False])
def test_an_old_bundle_that_a_killed_process_left_aside_is_in_nobodys_way(tmp_path, there):
    """Killed after the new one was in its place, or before."""
    aside, target = tmp_path / ".dindic-old-small", tmp_path / "small"
    for folder, content in ((aside, "older"), (target, "old")):
        if folder == aside or there:
            folder.mkdir()
            (folder / "config.json").write_text(content)
    with pytest.raises(OSError, match="No such file"):
        _put(tmp_path / "gone", target)
    assert (target / "config.json").read_text() == ("old" if there else "older")
    new = tmp_path / "new"
    new.mkdir()
    (new / "config.json").write_text("new")
    _put(new, target)
    assert (target / "config.json").read_text() == "new"
    assert [file.name for file in tmp_path.iterdir()] == ["small"]
