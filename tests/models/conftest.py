"""Fixtures of runs; torch is imported by those that are asked for, since it may be missing."""

import os
import signal
from functools import partial

import numpy as np
import pytest


@pytest.fixture
def _interruptible():
    """Let an interrupt be one, also where tests are run by processes that ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def _settings():
    from runs import settings_of_torch

    with settings_of_torch():
        yield


@pytest.fixture(scope="module")
def _narrow():
    """An mlp that is quickly trained and quickly saved; nobody waits for the disk."""
    from dindic_models.networks import NETWORKS, mlp

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(NETWORKS, "mlp", partial(mlp, hidden=(24, 12)))
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Train without a stop, on the usual images, once for all who ask for these settings."""
    from runs import dataset, once

    from dindic_models.train import train

    return once(lambda settings, folder: train(settings, dataset(), folder), tmp_path_factory)


@pytest.fixture
def npy(tmp_path):
    from runs import pictures

    path = tmp_path / "images.npy"
    np.save(path, pictures())
    return path
