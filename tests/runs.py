"""Small data sets, short runs, and what two of them have to have in common."""

import json
import os
import signal
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch

from dindic_models.checkpoint import TRAINING, read_tensors
from dindic_models.config import Config
from dindic_models.data import Data

NOISES = {
    "fixed": {"noise": "fixed", "sigma2": 0.05},
    "learned": {"noise": "learned"},
    "closed form": {"noise": "learned", "closed_form": True},
    "mog": {"noise": "mog", "components": 3},
    "network": {"noise": "network"},
}

N, BATCH = 81, 16
"""65 images to train on: four batches of 16 and one of a single image."""


def pictures(n=N, seed=0):
    """Grey images (n, 1, 8, 8) of uint8 that vary in two ways, and by a little noise."""
    rng = np.random.default_rng(seed)
    code, axes = rng.normal(size=(n, 2)), rng.normal(size=(2, 64)) / 6
    values = 0.5 + code @ axes + 0.05 * rng.normal(size=(n, 64))
    return np.rint(255 * values.clip(0, 1)).astype(np.uint8).reshape(n, 1, 8, 8)


def dataset(images=None, **changes):
    about = {"name": "array", "source": "made up", "fingerprint": "sha256:0"}
    return Data(images=pictures() if images is None else images, **about | changes)


def config(**changes):
    small = {"network": "mlp", "latents": 2, "epochs": 3, "batch": BATCH}
    return Config("array", **{"activation": "linear"} | small | changes)


def longer(settings, epochs):
    return replace(settings, epochs=epochs)


def signal_at(*steps, number=signal.SIGINT):
    """Show progress, and raise a signal before the steps of these numbers, from 1, are taken."""

    def progress(work, description, total):
        for i, step in enumerate(work, 1):
            for _ in range(steps.count(i) * (description == "training")):
                signal.raise_signal(number)
            yield step

    return progress


def state(folder):
    """All tensors that going on needs; steps and history without the time they took."""
    tensors, said = read_tensors(folder / TRAINING)
    history = json.loads(said["history"])
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in history]
    return tensors, int(said["step"]), rows


def assert_same(one, two):
    """Two runs came to the same state, bit for bit."""
    (tensors, step, rows), (others, other_step, other_rows) = state(one), state(two)
    assert step == other_step
    assert list(tensors) == list(others)
    different = [name for name, t in tensors.items() if not torch.equal(t, others[name])]
    assert different == []
    assert json.dumps(rows) == json.dumps(other_rows)  # as text, so that nan is nan


def files(folder):
    """What is in a folder, to the bit."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@contextmanager
def settings_of_torch():
    """Put back what `set_precision` changes."""
    cudnn, name = torch.backends.cudnn, "CUBLAS_WORKSPACE_CONFIG"
    before = torch.get_float32_matmul_precision(), cudnn.allow_tf32, cudnn.benchmark
    repeating, variable = torch.are_deterministic_algorithms_enabled(), os.environ.get(name)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        cudnn.allow_tf32, cudnn.benchmark = before[1:]
        torch.use_deterministic_algorithms(repeating)
        os.environ.pop(name, None)
        if variable is not None:
            os.environ[name] = variable


def once(make, tmp_path_factory):
    """Return a function of hashable settings: the folder that `make(settings, folder)` filled."""
    done = {}

    def get(settings):
        if settings not in done:
            done[settings] = tmp_path_factory.mktemp("whole")
            make(settings, done[settings])
        return done[settings]

    return get
