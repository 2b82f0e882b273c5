"""Runs of training in tests: stopped, killed, in other processes, together; and a stand-in for a GPU."""

import csv
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from runs import (
    BATCH,
    NOISES,
    config,
    dataset,
    files,
    signal_at,
    state,
)

from dindic_models.batches import Batches
from dindic_models.config import make_model
from dindic_models.data import open_data, rows
from dindic_models.history import evaluate
from dindic_models.train import (
    TrainingStoppedError,
    train,
)

CPU = torch.device("cpu")

STEPS = 5
"""Steps of an epoch, the last one of a single image."""

every = pytest.mark.parametrize("noise", NOISES)


def stopped(settings, folder, *steps, number=signal.SIGINT, resume=False, data=None):
    show = signal_at(*steps, number=number)
    with pytest.raises(TrainingStoppedError) as stop:
        train(settings, data or dataset(), folder, progress=show, resume=resume)
    return stop.value


def table(folder):
    with open(folder / "history.csv", newline="") as stream:
        return list(csv.DictReader(stream))


def copied(run, folder):
    folder.mkdir()
    for name, content in files(run).items():
        (folder / name).write_bytes(content)
    return folder


def gain(settings, folder, **where):
    """Train, and return by how much the bound of the images held out rises."""
    start = make_model(settings, (1, 8, 8))
    kind = next(start.parameters()).dtype
    held_out = Batches(dataset().images, rows(dataset(), "validation"), CPU, kind)
    train(settings, dataset(), folder, **where)
    return float(table(folder)[-1]["evlb"]) - evaluate(start, held_out, settings)["evlb"]


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


class KilledError(BaseException):
    """What nothing catches."""


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


def opened(path):

    return open_data(path)


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
