"""The folder of a run: what training refuses to touch, and what it writes."""

import json
import os
from dataclasses import fields

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: NO model is tested")

from runs import (
    NOISES,
    N,
    assert_same,
    config,
    dataset,
    files,
    pictures,
    settings_of_torch,
)
from training import CPU, OTHER, copied, every, table

from dindic_models import train as module
from dindic_models.batches import Batches
from dindic_models.checkpoint import load, read_tensors, write_tensors
from dindic_models.config import Config, make_model
from dindic_models.data import rows
from dindic_models.devices import name_of
from dindic_models.encode import posteriors
from dindic_models.folders import locked
from dindic_models.history import evaluate
from dindic_models.train import (
    plan,
    train,
)
from disentangle_indicators import indicators

pytestmark = pytest.mark.usefixtures("_settings", "_narrow")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "training.safetensors"])
def test_a_folder_that_holds_a_run_is_left_untouched(tmp_path, name):
    (tmp_path / name).write_text("precious")
    with pytest.raises(
        ValueError, match="contains a run already; resume it .resume=True., or name another folder"
    ):
        train(config(), dataset(), tmp_path)
    assert files(tmp_path) == {name: b"precious"}


def test_a_folder_with_other_things_is_used(tmp_path):
    (tmp_path / "notes.txt").write_text("kept")
    train(config(epochs=1), dataset(), tmp_path)
    names = ["config.json", "history.csv", "model.safetensors", "notes.txt"]
    assert sorted(files(tmp_path)) == [*names, "training.safetensors"]
    assert (tmp_path / "notes.txt").read_text() == "kept"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of two epochs, to look at."""
    folder = tmp_path_factory.mktemp("run")
    with settings_of_torch():
        train(config(epochs=2), dataset(), folder, source="images.npy")
    return folder


def test_every_setting_is_compared():
    assert {*OTHER, "epochs"} == {item.name for item in fields(Config)}


@pytest.mark.parametrize("name", OTHER)
def test_going_on_with_another_setting_is_refused(run, name):
    before = files(run)
    settings = Config(**config(epochs=4).to_dict() | {name: OTHER[name]})
    with pytest.raises(ValueError, match=rf"was trained with {name} = .*only epochs may change"):
        train(settings, dataset(), run, resume=True)
    assert files(run) == before


@pytest.mark.parametrize(
    "data",
    [
        dataset(fingerprint="sha256:1"),
        dataset(pictures().repeat(2, 2)),
    ],
)
def test_going_on_with_other_data_is_refused(run, data):
    before = files(run)
    with pytest.raises(ValueError, match=r"was trained on other data \(array\)"):
        train(config(epochs=4), data, run, resume=True)
    assert files(run) == before


def test_fewer_epochs_than_there_were_are_refused(run):
    before = files(run)
    with pytest.raises(ValueError, match="has been trained for more than 1 epochs"):
        train(config(epochs=1), dataset(), run, resume=True)
    assert files(run) == before


def test_a_model_without_the_state_of_its_training(run, tmp_path):
    folder = copied(run, tmp_path / "run")
    (folder / "training.safetensors").unlink()
    before = files(folder)
    with pytest.raises(ValueError, match=r"has no training\.safetensors to go on from"):
        train(config(epochs=3), dataset(), folder, resume=True)
    assert files(folder) == before


def changed(tensors, said, how):
    if how == "Adam":
        del tensors["adam.0.exp_avg"]
    elif how == "weights":
        del tensors["model.encoder.head.bias"]
    elif how == "shape":
        tensors["model.encoder.head.bias"] = torch.zeros(7)
    elif how == "totals":
        del tensors["totals"]
    elif how == "step":
        del said["step"]
    else:
        said["history"] = how
    return tensors, said


HISTORIES = ["[{", "{}", "[1]"]


@pytest.mark.parametrize("how", ["Adam", "weights", "shape", "totals", "step", *HISTORIES])
def test_a_state_that_lacks_something(run, tmp_path, how):
    folder = copied(run, tmp_path / "run")
    path = folder / "training.safetensors"
    write_tensors(path, *changed(*read_tensors(path), how))
    before = files(folder)
    with pytest.raises(ValueError, match=r"training\.safetensors: not the state of this run"):
        train(config(epochs=3), dataset(), folder, resume=True)
    assert files(folder) == before


def test_a_damaged_state(run, tmp_path):
    folder = copied(run, tmp_path / "run")
    path = folder / "training.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"training\.safetensors: damaged"):
        train(config(epochs=3), dataset(), folder, resume=True)


def test_the_folder(run):
    assert sorted(files(run)) == [
        "config.json",
        "history.csv",
        "model.safetensors",
        "training.safetensors",
    ]
    checkpoint = load(run)
    assert checkpoint.config == config(epochs=2)
    assert checkpoint.data == {
        "name": "array",
        "fingerprint": "sha256:0",
        "n": N,
        "path": "images.npy",
    }


COLUMNS = [
    "epoch",
    "step",
    "seconds",
    "train_evlb",
    "train_kl",
    "sigma2",
    "normalised_variance",
    "evlb",
    "evlb_at_normalised_variance",
    "log_likelihood",
    "squared_error",
    "kl_posterior_prior",
    "mutual_information",
    "kl_aggregate_prior",
    "kl_q_star_prior",
    "gaussian_total_correlation",
    "used",
]


@every
def test_the_last_row_is_what_the_saved_model_gives(tmp_path, noise):
    settings = config(beta=2.0, epochs=2, **NOISES[noise])
    lines = []
    train(settings, dataset(), tmp_path, say=lines.append)
    table_rows = table(tmp_path)
    mixture = ["effective_components"] if noise == "mog" else []
    assert list(table_rows[0]) == [*COLUMNS[:7], *mixture, *COLUMNS[7:]]
    assert [(row["epoch"], row["step"]) for row in table_rows] == [("1", "5"), ("2", "10")]
    last = {name: float(value) for name, value in table_rows[-1].items()}
    model = load(tmp_path).model
    held_out = rows(dataset(), "validation", split="paper", seed=0)
    assert len(held_out) == 8
    images = dataset().images
    again = evaluate(model, Batches(images, held_out, CPU), settings)
    np.testing.assert_equal({name: last[name] for name in again}, again)
    mean, logvar = next(posteriors(model, images, held_out))
    found = indicators(mean, np.exp(logvar))
    for name in COLUMNS[11:15]:
        np.testing.assert_allclose(last[name], float(getattr(found, name)), rtol=1e-4, atol=1e-6)
    assert last["used"] == found.used
    sigma2 = float(model.noise.variance().detach())
    assert (last["sigma2"], last["normalised_variance"]) == (sigma2, 2 * sigma2)
    assert [line.split("  ")[0] for line in lines] == ["epoch 1/2", "epoch 2/2"]
    assert f"EVLB {last['train_evlb']:.1f}" in lines[-1]
    assert f"held out: EVLB {last['evlb']:.1f}" in lines[-1]


@every
def test_the_rows_average_is_that_of_the_epochs_images(tmp_path, noise):
    """With steps so small that float32 weights do not move, all batches see one model."""
    settings = config(lr=1e-30, samples=3, epochs=2, beta=5.0, **NOISES[noise])
    model = make_model(settings, (1, 8, 8))
    fixed = {name: t.clone() for name, t in model.state_dict().items() if name[:5] != "noise"}
    trained = train(settings, dataset(), tmp_path).state_dict()
    assert all(torch.equal(trained[name], t) for name, t in fixed.items())
    x = torch.from_numpy(dataset().images[rows(dataset(), "train")] / np.float32(255))
    for epoch, row in enumerate(table(tmp_path)):
        bounds, divergences = [], []
        for index, seed in zip(*plan(settings, 65, epoch), strict=True):
            generator = torch.Generator().manual_seed(seed)
            e = torch.randn(3, len(index), 2, generator=generator)
            with torch.no_grad():
                mean, logvar = model.encode(x[index])
                outputs = [model.decode(mean + (0.5 * logvar).exp() * e[k]) for k in range(3)]
                kl = (0.5 * (mean**2 + logvar.exp() - 1 - logvar)).sum(1)
                bounds.append(sum(model.noise.log_prob(x[index], g) for g in outputs) / 3 - kl)
                divergences.append(kl)
                statistics = [model.noise.statistics(x[index], g) for g in outputs]
                model.noise.absorb(sum(statistics))  # which moves some noises by itself
        evlb, kl = (float(torch.cat(parts).mean()) for parts in (bounds, divergences))
        np.testing.assert_allclose(float(row["train_evlb"]), evlb, rtol=1e-5)
        np.testing.assert_allclose(float(row["train_kl"]), kl, rtol=1e-5)


def test_devices_are_remembered(tmp_path, whole):
    train(config(epochs=1), dataset(), tmp_path)
    assert load(tmp_path).devices == (name_of(CPU),)
    content = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(content | {"devices": ["another"]}))
    train(config(), dataset(), tmp_path, resume=True)
    assert load(tmp_path).devices == ("another", name_of(CPU))
    train(config(), dataset(), tmp_path, resume=True, device=CPU)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "name_of", lambda device: "one that had nothing to do")
        train(config(), dataset(), tmp_path, resume=True)
    assert load(tmp_path).devices == ("another", name_of(CPU))
    content.pop("devices")
    (tmp_path / "config.json").write_text(json.dumps(content))
    assert load(tmp_path).devices == ()
    assert_same(whole(config()), tmp_path)


def test_a_state_of_other_settings_is_refused(run, tmp_path):
    """Of a run of the same shapes, so that nothing else would notice."""
    folder = copied(run, tmp_path / "run")
    train(config(epochs=2, beta=9.0), dataset(), tmp_path / "other")
    (tmp_path / "other" / "training.safetensors").replace(folder / "training.safetensors")
    with pytest.raises(ValueError, match=r"training\.safetensors was trained with other settings"):
        train(config(epochs=3), dataset(), folder, resume=True)


@pytest.mark.skipif(os.name == "nt", reason="there is no flock on Windows")
def test_a_folder_that_another_process_trains_in_is_refused(tmp_path):
    with locked(tmp_path), pytest.raises(ValueError, match="another process writes to this"):
        train(config(epochs=1), dataset(), tmp_path)
    assert files(tmp_path) == {}
