"""Training that is killed or diverges leaves the checkpoint before it."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: NO model is tested")

from runs import (
    assert_same,
    config,
    dataset,
    files,
    signal_at,
    state,
)
from training import KilledError, command, environment, finish, opened, table

from dindic_models import step as step_module
from dindic_models import train as module
from dindic_models.checkpoint import load
from dindic_models.history import evaluate
from dindic_models.train import (
    TrainingDivergedError,
    train,
)

pytestmark = pytest.mark.usefixtures("_settings", "_narrow")


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
