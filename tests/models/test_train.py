"""Training: repeated, stopped and gone on with, killed, diverged, and on two processes.

Runs are compared bit for bit by all that training.safetensors holds.
"""

import csv
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import fields
from functools import partial
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.torch import load_file

torch = pytest.importorskip("torch", reason="torch is not installed: NO model is tested")

from runs import (
    BATCH,
    NOISES,
    N,
    assert_same,
    config,
    dataset,
    files,
    longer,
    pictures,
    settings_of_torch,
    signal_at,
    state,
)

from dindic_models import step as step_module
from dindic_models import train as module
from dindic_models.batches import Batches
from dindic_models.checkpoint import load, read_tensors, write_tensors
from dindic_models.config import Config, make_model, seeds_of, starting_values
from dindic_models.data import open_data, rows, some, to_unit
from dindic_models.devices import Group, name_of
from dindic_models.encode import posteriors
from dindic_models.history import evaluate
from dindic_models.networks import NETWORKS, mlp
from dindic_models.state import State, adam
from dindic_models.step import Step
from dindic_models.train import (
    SHARED,
    TrainingDivergedError,
    TrainingStoppedError,
    plan,
    train,
    train_together,
)
from disentangle_indicators import indicators

CPU = torch.device("cpu")
STEPS = 5
"""Steps of an epoch, the last one of a single image."""

every = pytest.mark.parametrize("noise", NOISES)
needs_gpu = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no GPU here: CUDA graphs are tested with a stand-in"
)


@pytest.fixture(autouse=True)
def _settings():
    with settings_of_torch():
        yield


@pytest.fixture(autouse=True, scope="module")
def _narrow():
    """An mlp that is quickly trained and quickly saved; nobody waits for the disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(NETWORKS, "mlp", partial(mlp, hidden=(24, 12)))
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Train without a stop, on the usual images, once for all who ask for these settings."""
    done = {}

    def get(settings):
        if settings not in done:
            folder = tmp_path_factory.mktemp("whole")
            train(settings, dataset(), folder)
            done[settings] = folder
        return done[settings]

    return get


def stopped(settings, folder, *steps, number=signal.SIGINT, resume=False, data=None):
    show = signal_at(*steps, number=number)
    with pytest.raises(TrainingStoppedError) as stop:
        train(settings, data or dataset(), folder, progress=show, resume=resume)
    return stop.value


def table(folder):
    with open(folder / "history.csv", newline="") as stream:
        return list(csv.DictReader(stream))


# ---------------------------------------------------------------- the same seed, the same bits


@every
def test_the_same_seed_gives_the_same_bits_and_another_does_not(tmp_path, whole, noise):
    settings = config(samples=2, **NOISES[noise])
    one = whole(settings)
    torch.manual_seed(7)
    np.random.seed(7)  # noqa: NPY002
    train(settings, dataset(), tmp_path / "two")
    assert_same(one, tmp_path / "two")
    other = train(config(samples=2, seed=1, **NOISES[noise]), dataset(), tmp_path / "other")
    first, _, _ = state(one)
    weights = [n for n, t in other.state_dict().items() if t.numel() > 1 and n[:5] != "noise"]
    assert not any(torch.equal(first[f"model.{n}"], other.state_dict()[n]) for n in weights)


def test_the_seed_of_the_split_is_another(tmp_path):
    one, two = config(epochs=1), config(epochs=1, split_seed=1)
    train(one, dataset(), tmp_path / "a")
    train(two, dataset(), tmp_path / "b")
    assert state(tmp_path / "a")[2] != state(tmp_path / "b")[2]
    start = make_model(one, (1, 8, 8)), make_model(two, (1, 8, 8))
    assert all(torch.equal(a, b) for a, b in zip(*(m.parameters() for m in start), strict=True))


def test_kept_or_read_when_needed_the_bits_are_the_same(tmp_path, whole, monkeypatch):
    kept = whole(config())
    monkeypatch.setattr(module, "fits", lambda images, number: False)
    train(config(), dataset(), tmp_path)
    assert_same(kept, tmp_path)


def test_every_epoch_sees_every_image_once_in_an_order_of_its_own():
    orders = []
    for seed in (0, 1):
        for epoch in range(3):
            chosen, seeds = plan(config(seed=seed), 65, epoch)
            assert [len(c) for c in chosen] == [16, 16, 16, 16, 1]
            orders.append(np.concatenate(chosen))
            assert sorted(orders[-1]) == list(range(65))
            assert seeds == seeds_of(seed, "noise", epoch, number=5)
    assert len({tuple(order) for order in orders}) == 6
    assert [len(c) for c in plan(config(), 32, 0)[0]] == [16, 16]
    assert [len(c) for c in plan(config(), 3, 0)[0]] == [3]


def test_noise_differs_from_step_to_step():
    seeds = [seed for epoch in range(4) for seed in plan(config(), 65, epoch)[1]]
    assert len(set(seeds)) == 4 * STEPS


# ------------------------------------------------------------------------ stopped and resumed


@pytest.mark.parametrize(
    ("noise", "step"),
    [(noise, step) for noise in NOISES for step in (8, 10)]
    + [("mog", step) for step in (2, 5, 6, 14)],
)
def test_a_run_that_was_stopped_anywhere_ends_as_one_that_was_not(tmp_path, whole, noise, step):
    """In the middle of an epoch, at its last batch, and at its first."""
    settings = config(samples=2, **NOISES[noise])
    stop = stopped(settings, tmp_path, step)
    assert state(tmp_path)[1] == step
    assert (
        str(stop) == f"stopped in epoch {(step - 1) // 5 + 1}, after step {step}, which is saved"
    )
    train(settings, dataset(), tmp_path, resume=True)
    assert_same(whole(settings), tmp_path)


@pytest.mark.parametrize("network", [name for name in NETWORKS if name != "mlp"])
def test_every_network_goes_on_where_it_stopped(tmp_path, network):
    """Convolutions hold their weights in another memory layout than files do."""
    side = 32 if network == "burgess" else 8
    data = dataset(pictures(20).repeat(side // 8, 2).repeat(side // 8, 3))
    settings = config(network=network, batch=6, epochs=2)
    train(settings, data, tmp_path / "whole")
    stopped(settings, tmp_path / "parts", 2, data=data)
    train(settings, data, tmp_path / "parts", resume=True)
    assert_same(tmp_path / "whole", tmp_path / "parts")


@every
def test_more_epochs(tmp_path, whole, noise):
    settings = config(samples=2, **NOISES[noise])
    train(longer(settings, 1), dataset(), tmp_path)
    train(settings, dataset(), tmp_path, resume=True)
    assert_same(whole(settings), tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["config"]["epochs"] == 3


def test_stopped_again_and_again(tmp_path, whole):
    settings = config(samples=2, noise="mog", components=3)
    for resume in [False] + [True] * 3:
        stopped(settings, tmp_path, 3, resume=resume)
    assert state(tmp_path)[1] == 12
    train(settings, dataset(), tmp_path, resume=True)
    assert_same(whole(settings), tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_remembered_and_handlers_are_put_back(tmp_path, number):
    handlers = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    stop = stopped(config(), tmp_path / "run", 7, number=number)
    assert stop.signal == number
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert load(tmp_path / "run").config == config()


def test_the_second_interrupt_is_not_held_back(tmp_path):
    train(config(epochs=1), dataset(), tmp_path / "run")
    before = files(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        train(config(), dataset(), tmp_path / "run", resume=True, progress=signal_at(2, 2))
    after = files(tmp_path / "run")
    assert after.pop("config.json") != before.pop("config.json")
    assert after == before


def test_a_signal_in_the_last_epochs_last_batch_finds_a_whole_run(tmp_path, whole):
    train(config(), dataset(), tmp_path, progress=signal_at(15))
    assert_same(whole(config()), tmp_path)


def test_a_stop_at_the_end_of_an_epoch_leaves_its_row(tmp_path):
    stopped(config(), tmp_path / "run", 10)
    assert [row["epoch"] for row in table(tmp_path / "run")] == ["1", "2"]


def test_training_works_outside_the_main_thread(tmp_path, whole):
    thread = threading.Thread(target=train, args=(config(), dataset(), tmp_path))
    thread.start()
    thread.join()
    assert_same(whole(config()), tmp_path)


def test_a_run_that_is_whole_is_left_as_it_is(tmp_path, whole):
    copied(whole(config()), tmp_path / "run")
    before = files(tmp_path / "run")
    model = train(config(), dataset(), tmp_path / "run", resume=True)
    assert files(tmp_path / "run") == before
    assert not model.training
    saved = load_file(tmp_path / "run" / "model.safetensors")
    assert all(torch.equal(t, saved[name]) for name, t in model.state_dict().items())


# --------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "training.safetensors"])
def test_a_folder_that_holds_a_run_is_left_untouched(tmp_path, name):
    (tmp_path / name).write_text("precious")
    with pytest.raises(
        ValueError, match="holds a run already; give --resume .* or another folder"
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


OTHER = {
    "dataset": "mnist",
    "network": "linear",
    "latents": 3,
    "activation": "sigmoid",
    "init": "xavier",
    "noise": "mog",
    "sigma2": 0.2,
    "closed_form": True,
    "components": 3,
    "floor": 1e-4,
    "beta": 2.0,
    "samples": 2,
    "batch": 17,
    "lr": 2e-3,
    "seed": 1,
    "split": "official",
    "split_seed": 1,
    "precision": "float64",
}


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


def copied(run, folder):
    folder.mkdir()
    for name, content in files(run).items():
        (folder / name).write_bytes(content)
    return folder


def test_a_model_without_the_state_of_its_training(run, tmp_path):
    folder = copied(run, tmp_path / "run")
    (folder / "training.safetensors").unlink()
    before = files(folder)
    with pytest.raises(ValueError, match=r"has no training\.safetensors to go on from"):
        train(config(epochs=3), dataset(), folder, resume=True)
    assert files(folder) == before


def test_a_run_that_ended_before_its_first_checkpoint_starts_again(tmp_path, whole):
    with pytest.raises(KeyboardInterrupt):
        train(config(), dataset(), tmp_path / "run", progress=signal_at(2, 2))
    assert list(files(tmp_path / "run")) == ["config.json"]
    train(config(), dataset(), tmp_path / "run", resume=True)
    assert_same(tmp_path / "run", whole(config()))


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
        said["history"] = "[{"
    return tensors, said


@pytest.mark.parametrize("how", ["Adam", "weights", "shape", "totals", "step", "history"])
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


# --------------------------------------------------------------------------- what is written


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


def gain(settings, folder, **where):
    """Train, and return by how much the bound of the images held out rises."""
    start = make_model(settings, (1, 8, 8))
    kind = next(start.parameters()).dtype
    held_out = Batches(dataset().images, rows(dataset(), "validation"), CPU, kind)
    train(settings, dataset(), folder, **where)
    return float(table(folder)[-1]["evlb"]) - evaluate(start, held_out, settings)["evlb"]


@every
def test_training_raises_the_bound(tmp_path, noise):
    assert gain(config(epochs=6, lr=1e-2, **NOISES[noise]), tmp_path) > 3


def test_a_step_is_a_step_of_adam_on_the_mean_of_the_batch():
    """By hand, with beta and L: the loss of a batch does not depend on its size."""
    settings = config(beta=3.0, samples=2, precision="float64", lr=0.01)
    mine, other = (make_model(settings, (1, 8, 8)) for _ in range(2))
    state = State(settings, None, mine, adam(mine, settings.lr), torch.zeros(2).double())
    step = Step([state], Group())
    optimiser = torch.optim.Adam(other.parameters(), lr=0.01)
    x = torch.from_numpy(pictures(48) / np.float32(255)).double()
    for start, size in ((0, 16), (16, 16), (32, 5)):
        batch, seed = x[start : start + size], 40 + start
        step(batch, size, seed)
        generator = torch.Generator().manual_seed(seed)
        e = torch.randn(2, size, 2, generator=generator, dtype=torch.float64)
        mean, logvar = other.encode(batch)
        loss = 1.5 * (mean**2 + logvar.exp() - 1 - logvar).sum() / size
        for k in range(2):
            g = other.decode(mean + (0.5 * logvar).exp() * e[k])
            loss = loss - other.noise.log_prob(batch, g).sum() / size / 2
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    pairs = zip(mine.parameters(), other.parameters(), strict=True)
    assert max(float((a - b).detach().abs().max()) for a, b in pairs) < 1e-10


@pytest.mark.parametrize("n", [2, 3, 10])
def test_very_few_images(tmp_path, n):
    """Two leave none to be judged by."""
    train(config(), dataset(pictures(n)), tmp_path)
    assert len(table(tmp_path)) == 3
    assert ("evlb" in table(tmp_path)[0]) == (n > 2)


@pytest.mark.parametrize("precision", ["float32", "tf32", "bf16", "float64"])
def test_every_precision_trains_and_loads(tmp_path, precision):
    settings = config(epochs=5, lr=1e-2, precision=precision)
    assert gain(settings, tmp_path) > 3
    kind = torch.float64 if precision == "float64" else torch.float32
    assert {p.dtype for p in load(tmp_path).model.parameters()} == {kind}


@every
def test_bf16_keeps_the_digits_of_the_divergence(noise):
    """A KL of a hundredth of a nat is a difference of numbers around one."""
    model = make_model(config(precision="bf16", **NOISES[noise]), (1, 8, 8))
    x = torch.from_numpy(pictures(16) / np.float32(255))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        values = model(x, torch.zeros(1, 16, 2))
        mean, logvar = (value.double() for value in model.encode(x))
    kl = 0.5 * (mean**2 + logvar.exp() - 1 - logvar).sum(1)
    assert float(kl.max()) < 0.1
    torch.testing.assert_close(values.kl.double(), kl, rtol=1e-4, atol=1e-6)
    assert {value.dtype for value in values} == {torch.float32}


def test_deterministic_operations_train(tmp_path):
    train(config(network="mnist", epochs=1), dataset(), tmp_path / "a", deterministic=True)
    assert torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(False)
    train(config(network="mnist", epochs=1), dataset(), tmp_path / "b")
    assert_same(tmp_path / "a", tmp_path / "b")


def test_official_parts(tmp_path):
    images = pictures()
    parts = {"train": np.arange(33), "test": np.arange(40, 60)}
    whole = {**parts, "validation": np.arange(60, 70)}
    settings = config(split="official", epochs=1)
    for name, official, judges in (("two", parts, "test"), ("three", whole, "validation")):
        model = train(settings, dataset(images, official=official), tmp_path / name)
        assert state(tmp_path / name)[1] == 3
        row = evaluate(model, Batches(images, official[judges], CPU), settings)
        np.testing.assert_equal(state(tmp_path / name)[2][0] | row, state(tmp_path / name)[2][0])
    with pytest.raises(ValueError, match="array has no official part 'train'"):
        train(settings, dataset(), tmp_path / "none")


def test_at_most_so_many_images_are_judged(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "HELD_OUT", 3)
    settings = config(epochs=1)
    model = train(settings, dataset(), tmp_path)
    held_out = some(rows(dataset(), "validation"), 3, seed=settings.split_seed)
    row = evaluate(model, Batches(dataset().images, held_out, CPU), settings)
    assert state(tmp_path)[2][0]["evlb"] == row["evlb"]


def test_progress_counts_the_steps_that_are_left(tmp_path):
    seen = []

    def progress(steps, description, total):
        seen.append([description, total, 0])
        for step in steps:
            yield step
            seen[-1][2] += 1

    train(config(epochs=2), dataset(), tmp_path, progress=progress)
    train(config(epochs=3), dataset(), tmp_path, progress=progress, resume=True)
    assert [entry[:2] for entry in seen] == [
        ["reading images", 1],
        ["training", 10],
        ["reading images", 1],
        ["training", 5],
    ]


# --------------------------------------------------------------------- nan, and what survives


def poisoned(monkeypatch, after):
    """Let the bound be nan from the step after so many on."""
    calls, objective = [], step_module.objective

    def bad(values, beta):
        calls.append(1)
        return objective(values, beta) * (np.nan if len(calls) > after else 1)

    monkeypatch.setattr(step_module, "objective", bad)


@pytest.mark.parametrize("step", [6, 8, 10])
def test_nan_keeps_the_checkpoint_before_it(tmp_path, monkeypatch, step):
    """Also where only the weights are nan by the end of the epoch, not yet the sums."""
    train(config(epochs=1), dataset(), tmp_path)
    before = files(tmp_path)
    poisoned(monkeypatch, step - 6)
    message = r"the loss is not a finite number by step (\d+); the checkpoint before it stays"
    with pytest.raises(TrainingDivergedError, match=message):
        train(config(epochs=3), dataset(), tmp_path, resume=True)
    after = files(tmp_path)
    assert after.pop("config.json") != before.pop("config.json")
    assert after == before
    assert all(bool(t.isfinite().all()) for t in load(tmp_path).model.state_dict().values())


@pytest.mark.parametrize(
    "changes",
    [
        {"lr": 1e6},
        {"lr": 1e30},
        {"lr": 1e30, "batch": 100},
        {"noise": "fixed", "sigma2": 1e-42},
        {"lr": 1e30, "batch": 100, "noise": "network"},
        {"lr": 1e30, "batch": 100, "noise": "mog"},
    ],
)
def test_settings_that_diverge(tmp_path, changes):
    settings = config(epochs=60, **changes)
    with pytest.raises(TrainingDivergedError) as found:
        train(settings, dataset(), tmp_path)
    assert f"A smaller lr than {settings.lr:g}, or a larger sigma2" in str(found.value)


def test_posteriors_that_overflow_after_the_last_step_are_not_saved(tmp_path):
    """The one step's loss is finite, and so are the weights that it leads to."""
    with pytest.raises(TrainingDivergedError, match="by step 1;"):
        train(config(lr=1e30, batch=100, epochs=1), dataset(), tmp_path)
    assert list(files(tmp_path)) == ["config.json"]


@pytest.mark.parametrize("step", [2, 3])
def test_nan_is_found_before_a_stop_saves_it(tmp_path, monkeypatch, step):
    """In the weights alone, and in the sums; a GPU looks at these every hundred steps only."""
    train(config(epochs=1), dataset(), tmp_path)
    before = (tmp_path / "training.safetensors").read_bytes()
    monkeypatch.setitem(module.CHECK_EVERY, "cpu", 100)
    poisoned(monkeypatch, 1)
    with pytest.raises(TrainingDivergedError):
        train(config(), dataset(), tmp_path, resume=True, progress=signal_at(step))
    assert (tmp_path / "training.safetensors").read_bytes() == before


# ------------------------------------------------------------------------------------- killed


class KilledError(BaseException):
    """What nothing catches."""


@pytest.mark.parametrize("at", range(1, 8))
def test_killed_before_any_of_the_files_appears(tmp_path, whole, monkeypatch, at):
    """config, then training, model and history of each of two epochs."""
    replace, calls = os.replace, []

    def dies(source, target):
        calls.append(target)
        if len(calls) == at:
            raise KilledError
        replace(source, target)

    monkeypatch.setattr(os, "replace", dies)
    settings = config(epochs=2)
    with pytest.raises(KilledError):
        train(settings, dataset(), tmp_path / "run")
    monkeypatch.setattr(os, "replace", replace)
    if at > 3:
        assert all(bool(t.isfinite().all()) for t in load(tmp_path / "run").model.parameters())
    train(settings, dataset(), tmp_path / "run", resume=at > 1)
    assert_same(tmp_path / "run", whole(settings))
    kept = [files(folder)["model.safetensors"] for folder in (tmp_path / "run", whole(settings))]
    assert kept[0] == kept[1]
    assert len(table(tmp_path / "run")) == 2


@pytest.mark.parametrize("step", [2, 5, 6, 8])
def test_a_long_epoch_is_saved_within(tmp_path, whole, monkeypatch, step):
    """Here after every step; what is lost is the step at which the run dies."""
    monkeypatch.setattr(module, "SAVE_EVERY", -1.0)
    settings = config(epochs=2, samples=2, noise="mog")
    with pytest.raises(KeyboardInterrupt):
        train(settings, dataset(), tmp_path, progress=signal_at(step, step))
    assert state(tmp_path)[1] == step - 1
    load(tmp_path)
    train(settings, dataset(), tmp_path, resume=True)
    assert_same(tmp_path, whole(settings))


@pytest.mark.parametrize("every", [-1.0, 600.0])
def test_killed_between_the_last_step_of_an_epoch_and_its_row(tmp_path, whole, monkeypatch, every):
    monkeypatch.setattr(module, "SAVE_EVERY", every)

    def dies(*arguments):
        raise KilledError

    settings = config(epochs=2, samples=2, noise="mog")
    monkeypatch.setattr(module, "evaluate", dies)
    with pytest.raises(KilledError):
        train(settings, dataset(), tmp_path)
    monkeypatch.setattr(module, "evaluate", evaluate)
    train(settings, dataset(), tmp_path, resume=True)
    assert_same(tmp_path, whole(settings))


@pytest.mark.parametrize(
    ("seconds", "steps"),
    [(1, [5, 10]), (250, [2, 5, 7, 10]), (601, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])],
)
def test_when_checkpoints_are_saved(tmp_path, monkeypatch, seconds, steps):
    """By a clock that goes on by so many seconds when it is looked at, once at every step."""
    saved, save = [], State.save

    def noted(self, *arguments):
        saved.append(self.step)
        save(self, *arguments)

    monkeypatch.setattr(State, "save", noted)
    clock = SimpleNamespace(monotonic=count(0, seconds).__next__)
    monkeypatch.setattr(module, "time", clock)
    train(config(epochs=2), dataset(), tmp_path)
    assert saved == steps


KILLED = """
import os, signal, sys
from pathlib import Path

at, replace, calls = int(sys.argv.pop(1)), os.replace, []

def dies(source, target):
    calls.append(target)
    if len(calls) == at:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)

os.replace = dies
from dindic import main
main()
"""


def command(*words, code=None, **changes):
    """The words that train in a process of its own, as config does here."""
    program = ["-m", "dindic"] if code is None else ["-c", *code]
    flags = {"network": "linear", "activation": "linear", "latents": 2, "batch": BATCH}
    flags |= {"lr": 1e-3} | changes
    options = [word for name, value in flags.items() for word in (f"--{name}", str(value))]
    return [sys.executable, *program, "train", *words, *options, "--quiet"]


def environment():
    return os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}


def finish(words):
    return subprocess.run(words, capture_output=True, text=True, check=False, env=environment())


@pytest.fixture
def npy(tmp_path):
    path = tmp_path / "images.npy"
    np.save(path, pictures())
    return path


def opened(path):
    from dindic_models.data import open_data

    return open_data(path)


@pytest.mark.slow
@pytest.mark.parametrize("at", [5, 6, 7])
def test_a_real_kill_while_saving(tmp_path, npy, at):
    words = ["--data", str(npy), "-o", str(tmp_path / "run")]
    killed = finish(command(*words, code=[KILLED, str(at)], epochs=3))
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert any(name.endswith(".tmp") for name in files(tmp_path / "run"))
    load(tmp_path / "run")
    settings = config(network="linear")
    train(settings, opened(npy), tmp_path / "run", resume=True)
    train(settings, opened(npy), tmp_path / "whole")
    assert_same(tmp_path / "run", tmp_path / "whole")


@pytest.mark.slow
def test_kills_at_any_time(tmp_path, npy):
    """Each at another moment of a run that does hardly anything but save."""
    epochs, folder = 60, tmp_path / "run"
    rng = np.random.default_rng(0)
    words = command("--data", str(npy), "-o", str(folder), epochs=epochs, latents=3)
    for _ in range(3):
        process = subprocess.Popen(words, env=environment(), stderr=subprocess.PIPE, text=True)
        seen = folder / "history.csv"
        before = seen.stat().st_mtime_ns if seen.exists() else None
        while process.poll() is None:
            time.sleep(0.01)
            if seen.exists() and seen.stat().st_mtime_ns != before:
                break
        with process:
            time.sleep(rng.uniform(0.0, 0.2))
            process.kill()
        load(folder)
        words = [sys.executable, "-m", "dindic", "train", "--resume", str(folder), "--quiet"]
    reached = len(table(folder))
    assert reached < epochs
    assert finish(words).returncode == 0
    settings = config(network="linear", epochs=epochs, latents=3)
    train(settings, opened(npy), tmp_path / "whole")
    assert_same(folder, tmp_path / "whole")


# -------------------------------------------------------------------------------- two processes

TOGETHER = """
import json, os, sys
from contextlib import nullcontext

import torch
from runs import config, dataset, pictures, signal_at

from dindic_models import train as module
from dindic_models.devices import processes
from dindic_models.networks import NETWORKS

NETWORKS["mlp"] = lambda *shape, mlp=NETWORKS["mlp"]: mlp(*shape, hidden=(24, 12))
with processes(torch.device("cpu")) as group:
    module.processes = lambda device: nullcontext(group)
    for job in json.loads(sys.argv[1]):
        n, rank, step, resume = (job.pop(k) for k in ("n", "rank", "stop", "resume"))
        module.SAVE_EVERY = job.pop("save")
        folder = job.pop("folder")
        show = signal_at(step) if rank == group.rank else None
        try:
            module.train(
                config(**job), dataset(pictures(n)), folder, resume=resume, progress=show
            )
        except (module.TrainingStoppedError, module.TrainingDivergedError) as stop:
            with open(f"{folder}/{group.rank}.txt", "w") as stream:
                stream.write(str(stop))
"""


def together(folder, jobs):
    """Do jobs of training one after the other on two processes."""
    script = folder / "together.py"
    script.write_text(TOGETHER)
    usual = {"n": N, "rank": None, "stop": 1, "resume": False, "save": 600.0}
    jobs = [usual | job | {"folder": str(job["folder"])} for job in jobs]
    words = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    paths = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, *words, script, json.dumps(jobs)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | paths | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr


def assert_close(one, two, tolerance=1e-10):
    (tensors, step, rows), (others, other_step, other_rows) = state(one), state(two)
    assert step == other_step
    assert list(tensors) == list(others)
    for name, tensor in tensors.items():
        torch.testing.assert_close(tensor, others[name], rtol=tolerance, atol=tolerance, msg=name)
    assert len(rows) == len(other_rows)
    for row, other in zip(rows, other_rows, strict=True):
        assert list(row) == list(other)
        for name, value in row.items():
            np.testing.assert_allclose(value, other[name], rtol=1e-8, atol=1e-8, err_msg=name)


def test_two_processes_are_one(tmp_path):
    """The last batch is a single image, so that the second process has none of it.

    Also when a signal reaches one of them, in the middle of an epoch, and when one goes on.
    """
    double = {"precision": "float64", "samples": 2, "epochs": 2}
    jobs, alone = [], []
    for name, noise in NOISES.items():
        jobs.append({"folder": tmp_path / name, **double, **noise})
    jobs[-1]["save"] = -1.0  # after every step
    for rank, stop in ((0, 3), (1, 7)):
        job = {"folder": tmp_path / f"stop {rank}", **double, **NOISES["mog"]}
        jobs += [job | {"rank": rank, "stop": stop}, job | {"resume": True}]
    for job in ({"folder": tmp_path / "one goes on", **double, **NOISES["closed form"]},):
        jobs.append(job | {"rank": 1, "stop": 8})
        alone.append(job)
    together(tmp_path, jobs)
    for name, noise in NOISES.items():
        settings = config(**double, **noise)
        train(settings, dataset(), tmp_path / f"alone {name}")
        assert_close(tmp_path / name, tmp_path / f"alone {name}")
    for rank, stop in ((0, 3), (1, 7)):
        said = [(tmp_path / f"stop {rank}" / f"{r}.txt").read_text() for r in range(2)]
        assert said == [f"stopped in epoch {rank + 1}, after step {stop}, which is saved"] * 2
        assert_close(tmp_path / f"stop {rank}", tmp_path / "alone mog")
    settings = config(**double, **NOISES["closed form"])
    train(settings, dataset(), tmp_path / "one goes on", resume=True)
    assert_close(tmp_path / "one goes on", tmp_path / "alone closed form")


@pytest.mark.slow
def test_two_processes_on_other_networks_and_batches(tmp_path):
    double = {"precision": "float64", "epochs": 2}
    jobs = [
        {"folder": tmp_path / f"{network} {noise} {batch} {n}", "network": network, "batch": batch}
        | {"n": n}
        | double
        | NOISES[noise]
        for network in ("mlp", "mnist", "linear")
        for noise in NOISES
        for batch, n in ((1, 9), (5, N), (7, 70))
    ]
    together(tmp_path, jobs)
    for job in jobs:
        folder, n = job.pop("folder"), job.pop("n")
        train(config(**job), dataset(pictures(n)), tmp_path / "alone" / folder.name)
        assert_close(folder, tmp_path / "alone" / folder.name, 1e-9)


@pytest.mark.slow
def test_two_processes_both_find_a_loss_that_is_nan(tmp_path):
    """Of one of them, by its part of the images or by the images that only the first judges."""
    jobs = [
        {"folder": tmp_path / "a", "lr": 1e6},
        {"folder": tmp_path / "b", "lr": 1e30, "batch": 100},
    ]
    together(tmp_path, jobs)
    for job in jobs:
        said = {(job["folder"] / f"{rank}.txt").read_text() for rank in range(2)}
        assert len(said) == 1
        assert "the loss is not a finite number" in said.pop()


def launched(*words, **changes):
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return [*start, "--nproc-per-node", "2", *command(*words, **changes)[1:]]


@pytest.mark.slow
def test_a_signal_to_the_launcher_stops_both_at_a_checkpoint(tmp_path, npy):
    flags = {"precision": "float64", "epochs": 400, "noise": "network", "samples": 2}
    words = launched("--data", str(npy), "-o", str(tmp_path / "run"), **flags)
    with subprocess.Popen(words, env=environment(), stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not (tmp_path / "run" / "history.csv").exists():
            time.sleep(0.01)
        process.terminate()
        errors = process.communicate()[1]
    assert process.returncode != 0
    assert "exitcode: 1 " not in errors
    step = state(tmp_path / "run")[1]
    assert 5 <= step < 2000
    load(tmp_path / "run")
    settings = config(network="linear", **flags | {"epochs": step // 5 + 2})
    for name in ("run", "whole"):
        folder = tmp_path / name
        if name == "run":
            text = (folder / "config.json").read_text()
            assert '"epochs": 400' in text
        train(settings, opened(npy), folder, resume=name == "run")
    assert_close(tmp_path / "run", tmp_path / "whole", 1e-9)


@pytest.mark.slow
def test_two_processes_on_the_command_line(tmp_path, npy):
    flags = {"precision": "float64", "epochs": 2, "noise": "mog"}
    words = launched("--data", str(npy), "-o", str(tmp_path / "two"), **flags)
    words.remove("--quiet")
    done = finish(words)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("epoch 2/2") == done.stderr.count("written: ") == 1
    assert done.stderr.count("an array (81, 1, 8, 8) of uint8") == 1
    train(config(network="linear", **flags), opened(npy), tmp_path / "one")
    assert_close(tmp_path / "two", tmp_path / "one")


# --------------------------------------------------------------------------------- CUDA graphs


class Replayed:
    """What a recorded graph is to a step: it does the same again, on the same tensors."""

    made = 0

    def __init__(self, step):
        Replayed.made += 1
        self.replay = step


def recorded(step, changed):
    """Do what `record` does, without a GPU: warm up, capture, and take it all back."""
    before = [tensor.detach().clone() for tensor in changed]
    for _ in range(3):
        step()
    step()
    with torch.no_grad():
        for tensor, old in zip(changed, before, strict=True):
            tensor.copy_(old)
    return Replayed(step)


@pytest.mark.parametrize(
    ("noise", "stop"), [(noise, None) for noise in NOISES] + [("mog", 2), ("closed form", 7)]
)
def test_what_is_recorded_is_taken_back(tmp_path, whole, monkeypatch, noise, stop):
    """Nothing that a step changes is forgotten, and new batches reach the recorded tensors."""
    settings = config(samples=2, **NOISES[noise])
    eager = whole(settings)
    monkeypatch.setattr(Replayed, "made", 0)
    monkeypatch.setattr(step_module, "record", recorded)
    init = Step.__init__

    def graphed(self, *arguments):
        init(self, *arguments)
        self.graphed = True

    monkeypatch.setattr(Step, "__init__", graphed)
    if stop:
        stopped(settings, tmp_path, stop)
    train(settings, dataset(), tmp_path, resume=stop is not None)
    assert Replayed.made == (1 if stop is None else 2)
    assert_same(eager, tmp_path)


def test_everything_that_a_step_changes_is_named():
    for noise in NOISES:
        settings = config(**NOISES[noise])
        model = make_model(settings, (1, 8, 8))
        run = State(settings, None, model, adam(model, 0.01), torch.zeros(2).double())
        step = Step([run], Group())
        kept = step.tensors()
        step(torch.rand(16, 1, 8, 8), 16, 0)
        now = [*model.state_dict().values(), run.totals, *run.averages().values()]
        places = {t.data_ptr() for t in kept if t.numel()}
        assert {t.data_ptr() for t in now if t.numel()} == places


@needs_gpu
@every
def test_a_graph_is_the_same_run(tmp_path, noise, monkeypatch):
    """Over few steps, because rounding is amplified by Adam."""
    settings = config(samples=2, epochs=2, network="mnist", **NOISES[noise])
    gpu = torch.device("cuda", 0)
    train(settings, dataset(), tmp_path / "graph", device=gpu)
    init = Step.__init__

    def eager(self, *arguments):
        init(self, *arguments)
        assert self.graphed
        self.graphed = False

    monkeypatch.setattr(Step, "__init__", eager)
    train(settings, dataset(), tmp_path / "eager", device=gpu)
    for (name, one), two in zip(
        state(tmp_path / "graph")[0].items(), state(tmp_path / "eager")[0].values(), strict=True
    ):
        torch.testing.assert_close(one, two, rtol=1e-2, atol=1e-3, msg=name)
    for one, two in zip(state(tmp_path / "graph")[2], state(tmp_path / "eager")[2], strict=True):
        np.testing.assert_allclose(one["train_evlb"], two["train_evlb"], rtol=1e-3)


@needs_gpu
@every
def test_a_gpu_repeats_its_bits_when_told(tmp_path, noise):
    settings = config(network="mnist", **NOISES[noise])
    gpu = torch.device("cuda", 0)
    for name in "ab":
        train(settings, dataset(), tmp_path / name, device=gpu, deterministic=True)
    assert_same(tmp_path / "a", tmp_path / "b")


@needs_gpu
@pytest.mark.parametrize("precision", ["float32", "tf32", "bf16", "float64"])
def test_every_precision_on_a_gpu(tmp_path, precision):
    settings = config(network="mnist", epochs=8, lr=1e-2, precision=precision)
    assert gain(settings, tmp_path, device=torch.device("cuda", 0)) > 3
    assert load(tmp_path).model.state_dict()["encoder.head.bias"].device == CPU


@needs_gpu
def test_a_gpu_goes_on_where_it_stopped(tmp_path):
    settings = config(network="mnist")
    gpu = torch.device("cuda", 0)
    train(settings, dataset(), tmp_path / "whole", device=gpu, deterministic=True)
    with pytest.raises(TrainingStoppedError):
        train(
            settings,
            dataset(),
            tmp_path / "parts",
            device=gpu,
            deterministic=True,
            progress=signal_at(7),
        )
    again = {"device": gpu, "deterministic": True, "resume": True}
    train(settings, dataset(), tmp_path / "parts", **again)
    assert_same(tmp_path / "whole", tmp_path / "parts")


# ------------------------------------------------------------------------------ several at once


def members(**changes):
    """All kinds of noise, and what else models that are trained together may differ in."""
    settings = [config(samples=2, **noise, **changes) for noise in NOISES.values()]
    return [
        *settings,
        config(samples=2, beta=7.0, lr=3e-3, **changes),
        config(samples=2, network="linear", init="xavier", activation="sigmoid", **changes),
    ]


def each(folder):
    return [folder / str(i) for i in range(len(members()))]


def test_models_trained_together_are_those_trained_alone(tmp_path, whole):
    models = train_together(members(), dataset(), each(tmp_path))
    for settings, folder, model in zip(members(), each(tmp_path), models, strict=True):
        assert_same(whole(settings), folder)
        saved = load(folder)
        assert saved.config == settings
        assert not model.training
        weights = saved.model.state_dict()
        assert all(torch.equal(t, weights[name]) for name, t in model.state_dict().items())


@pytest.mark.parametrize("step", [3, 5, 11])
def test_models_trained_together_stop_and_go_on_together(tmp_path, whole, step):
    with pytest.raises(TrainingStoppedError):
        train_together(
            members(), dataset(), each(tmp_path), progress=signal_at(step), save_every=1e9
        )
    assert {state(folder)[1] for folder in each(tmp_path)} == {step}
    train_together(members(), dataset(), each(tmp_path), resume=True)
    for settings, folder in zip(members(), each(tmp_path), strict=True):
        assert_same(whole(settings), folder)


def test_a_model_of_a_group_goes_on_alone(tmp_path, whole):
    train_together(members(epochs=1), dataset(), each(tmp_path))
    train(members()[3], dataset(), tmp_path / "3", resume=True)
    assert_same(whole(members()[3]), tmp_path / "3")
    with pytest.raises(ValueError, match="must have come to the same step"):
        train_together(members(), dataset(), each(tmp_path), resume=True)


def test_one_that_diverges_is_named_and_the_others_keep_what_they_have(tmp_path):
    settings = [config(), config(lr=1e6), config(beta=2.0)]
    folders = [tmp_path / name for name in "abc"]
    with pytest.raises(TrainingDivergedError) as found:
        train_together(settings, dataset(), folders)
    assert found.value.folder == tmp_path / "b"
    rest = [settings[0], settings[2]], dataset(), [folders[0], folders[2]]
    train_together(*rest, resume=True)
    for one, folder in zip(rest[0], rest[2], strict=True):
        train(one, dataset(), tmp_path / "alone" / folder.name)
        assert_same(tmp_path / "alone" / folder.name, folder)


@pytest.mark.parametrize("name", SHARED)
def test_what_batches_depend_on_is_shared(tmp_path, name):
    settings = [config(), Config(**config().to_dict() | {name: OTHER[name]})]
    with pytest.raises(ValueError, match=f"that are trained together share {name}; got "):
        train_together(settings, dataset(), [tmp_path / "a", tmp_path / "b"])
    assert list(tmp_path.iterdir()) == []


def test_every_setting_is_shared_or_may_differ():
    """A new setting has to be put on one side."""
    own = ["network", "activation", "init", "noise", "sigma2", "closed_form", "components"]
    own += ["floor", "beta", "lr"]
    assert {*SHARED, *own, "epochs"} == {item.name for item in fields(Config)}


def test_folders_of_models_trained_together(tmp_path):
    for folders in ([tmp_path / "a"], [tmp_path / "a", tmp_path / "a"]):
        with pytest.raises(ValueError, match="folder"):
            train_together([config(), config(beta=2.0)], dataset(), folders)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "model.safetensors").write_text("precious")
    with pytest.raises(ValueError, match="holds a run already"):
        train_together([config(), config(beta=2.0)], dataset(), [tmp_path / "a", tmp_path / "b"])


def test_looks_at_held_out_images_and_checkpoints_may_be_rare(tmp_path, whole):
    """The weights are the same; the rows say less, and an interrupt loses nothing."""
    settings = config(epochs=5)
    said, saves, publish = [], [], State.publish
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(State, "publish", lambda self: (saves.append(self.step), publish(self)))
        train_together(
            [settings],
            dataset(),
            [tmp_path],
            judge_every=2,
            save_every=1e9,
            say=said.append,
        )
    assert saves == [25]
    assert [bool(row["evlb"]) for row in table(tmp_path)] == [False, True, False, True, True]
    assert ["used" in line for line in said] == [False, True, False, True, True]
    tensors, others = state(tmp_path)[0], state(whole(settings))[0]
    assert all(torch.equal(t, others[name]) for name, t in tensors.items())


def test_lines_give_the_range_of_the_models(tmp_path):
    said = []
    settings = [config(epochs=1), config(epochs=1, noise="fixed", sigma2=0.05)]
    train_together(settings, dataset(), [tmp_path / "a", tmp_path / "b"], say=said.append)
    (line,) = said
    assert line.startswith("epoch 1/1  2 models  EVLB ")
    assert " to " in line


def test_what_is_recorded_for_several_is_taken_back(tmp_path, whole, monkeypatch):
    monkeypatch.setattr(Replayed, "made", 0)
    monkeypatch.setattr(step_module, "record", recorded)
    init = Step.__init__

    def graphed(self, *arguments):
        init(self, *arguments)
        self.graphed = True

    monkeypatch.setattr(Step, "__init__", graphed)
    train_together(members(), dataset(), each(tmp_path))
    assert Replayed.made == 1
    for settings, folder in zip(members(), each(tmp_path), strict=True):
        assert_same(whole(settings), folder)


@needs_gpu
def test_branches_of_a_graph_are_the_same_runs(tmp_path):
    """Bit for bit, since every kernel is the same, whichever stream it ran on."""
    gpu = torch.device("cuda", 0)
    settings = [config(samples=2, network="mnist", **noise) for noise in NOISES.values()]
    folders = [tmp_path / str(i) for i in range(len(settings))]
    train_together(settings, dataset(), folders, device=gpu, deterministic=True)
    for one, folder in zip(settings, folders, strict=True):
        train(one, dataset(), tmp_path / "alone" / folder.name, device=gpu, deterministic=True)
        assert_same(tmp_path / "alone" / folder.name, folder)


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


@pytest.mark.slow
def test_sprites_soon_use_latents_from_where_they_start():
    """With a sigmoid no latent is used after 5,000 steps of half the size."""
    data = open_data(dataset="sprites")
    chosen = rows(data, "train")
    settings = Config(**starting_values("sprites", (1, 64, 64)) | {"dataset": "sprites"})
    state = State.new(settings, (1, 64, 64), None, CPU)
    step = Step([state], Group())
    batches, seeds = plan(settings, len(chosen), 0)
    for index, seed in zip(batches[:300], seeds, strict=False):
        state.totals.zero_()
        step(torch.from_numpy(to_unit(data.images[chosen[index]])), len(index), seed)
    assert float(state.totals[1]) / len(index) > 5
