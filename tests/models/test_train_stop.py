"""Training that is stopped and resumed gives the bits of training that is not."""

import json
import signal
import threading
from itertools import count
from types import SimpleNamespace

import pytest
from safetensors.torch import load_file

torch = pytest.importorskip("torch", reason="torch is not installed: NO model is tested")

from runs import (
    NOISES,
    assert_same,
    config,
    dataset,
    files,
    longer,
    pictures,
    signal_at,
    state,
)
from training import copied, every, stopped, table

from dindic_models import train as module
from dindic_models.checkpoint import load
from dindic_models.networks import NETWORKS
from dindic_models.state import State
from dindic_models.train import TimeIsUpError, TimeLimit, TrainingStoppedError, train

pytestmark = pytest.mark.usefixtures("_settings", "_narrow")


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


def test_a_run_that_ended_before_its_first_checkpoint_starts_again(tmp_path, whole):
    with pytest.raises(KeyboardInterrupt):
        train(config(), dataset(), tmp_path / "run", progress=signal_at(2, 2))
    assert list(files(tmp_path / "run")) == ["config.json"]
    train(config(), dataset(), tmp_path / "run", resume=True)
    assert_same(tmp_path / "run", whole(config()))


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


# ------------------------------------------------------------------------------ the time limit


def after(looks):
    """A limit that is over at the look of this number, from 1: one look a step."""
    return TimeLimit(looks, clock=count(0, 60).__next__)


@pytest.mark.parametrize("step", [1, 5, 8, 14])
def test_the_time_limit_stops_at_a_checkpoint_and_a_rerun_resumes(tmp_path, whole, step):
    message = f"the time is up in epoch {(step - 1) // 5 + 1}, after step {step}, which is saved"
    with pytest.raises(TimeIsUpError, match=message):
        train(config(), dataset(), tmp_path, limit=after(step))
    assert state(tmp_path)[1] == step
    train(config(), dataset(), tmp_path, resume=True)
    assert_same(whole(config()), tmp_path)


def test_slices_of_four_steps(tmp_path, whole):
    for slices in range(1, 9):
        try:
            train(config(), dataset(), tmp_path, resume=slices > 1, limit=after(4))
        except TimeIsUpError:
            continue
        break
    assert slices == 4
    assert_same(whole(config()), tmp_path)


@pytest.mark.parametrize("looks", [15, 100])
def test_a_limit_that_is_not_over_before_the_last_step_changes_nothing(tmp_path, whole, looks):
    train(config(), dataset(), tmp_path, limit=after(looks))
    assert_same(whole(config()), tmp_path)


def test_a_signal_comes_before_the_limit(tmp_path):
    with pytest.raises(TrainingStoppedError):
        train(config(), dataset(), tmp_path, limit=after(3), progress=signal_at(3))
