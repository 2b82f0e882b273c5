"""A study that is stopped or killed goes on where it was."""

import os
import shutil
import signal
from itertools import count

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: NO model is tested")

from runs import dataset, once
from studies import (
    EPOCHS,
    STEPS,
    assert_same_study,
    dies_at,
    few_runs,
    no_leftovers,
    pair,
    signal_in,
    some_runs,
    times,
    tree,
)
from training import KilledError

from dindic_models.study import run_study
from dindic_models.train import TimeIsUpError, TimeLimit, TrainingStoppedError

pytestmark = pytest.mark.usefixtures("_interruptible", "_settings", "_narrow")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Studies that nothing stopped, each made once for all who ask for these runs."""
    get = once(lambda key, folder: run_study(dict(key), dataset(), folder), tmp_path_factory)
    return lambda configs: get(tuple(configs.items()))


LAST = 5 * EPOCHS * STEPS
"""Steps of five groups: 2, 2, 1, 1 and 1 models."""


@pytest.mark.parametrize(
    ("description", "at"),
    [
        *[("training", at) for at in (1, 5, 13, 38, LAST - 1)],
        ("reading images", 3),
    ],
)
def test_a_study_that_was_stopped_goes_on_where_it_was(tmp_path, whole, description, at):
    """In any group, at the first batch, within an epoch, and at its last batch."""
    configs = some_runs()
    show = signal_in(description, at)
    with pytest.raises(TrainingStoppedError) as stop:
        run_study(configs, dataset(), tmp_path, together=2, progress=show)
    assert stop.value.signal == signal.SIGINT
    assert not (tmp_path / "results.csv").exists()
    assert no_leftovers(tmp_path)
    run_study(configs, dataset(), tmp_path, together=2)
    assert_same_study(tmp_path, whole(configs))


def test_stopped_again_and_again(tmp_path, whole):
    """Every seven steps, and gone on with by groups of another size."""
    configs = some_runs()
    for stops in range(20):
        try:
            show = signal_in("training", 7, signal.SIGTERM)
            run_study(configs, dataset(), tmp_path, together=1 + stops % 3, progress=show)
        except TrainingStoppedError:
            continue
        break
    assert 4 < stops < 19
    assert_same_study(tmp_path, whole(configs))


@pytest.mark.parametrize("at", [1, 4])
def test_a_study_that_was_interrupted_while_measuring(tmp_path, whole, at):
    """What was trained and measured by then is left as it is."""
    configs = some_runs()
    with pytest.raises(KeyboardInterrupt):
        run_study(configs, dataset(), tmp_path, progress=signal_in("measuring", at))
    before = times(tmp_path)
    measured = [path for path in before if path.name == "measured.json"]
    assert len(measured) == at - 1
    run_study(configs, dataset(), tmp_path)
    assert {path: time for path, time in times(tmp_path).items() if path in before} == before
    assert_same_study(tmp_path, whole(configs))


FILES = 2 * (4 + 2) + 2
"""Of two runs: settings, state, model, history; encodings, what was measured; two tables."""


@pytest.mark.parametrize("at", range(1, FILES + 1))
def test_killed_before_any_of_the_files_appears(tmp_path, whole, at):
    with pytest.MonkeyPatch.context() as patch:
        dies_at(patch, at)
        with pytest.raises(KilledError):
            run_study(pair(), dataset(), tmp_path)
    assert no_leftovers(tmp_path)
    run_study(pair(), dataset(), tmp_path)
    assert_same_study(tmp_path, whole(pair()))


def test_those_are_all_files(tmp_path, monkeypatch):
    calls = dies_at(monkeypatch, 0)
    run_study(pair(), dataset(), tmp_path)
    assert len(calls) == FILES == len(tree(tmp_path))


@pytest.mark.parametrize("at", range(1, FILES + 1))
def test_killed_while_it_goes_on_for_more_epochs(tmp_path, whole, at):
    """Where files of the shorter runs are there: none of them passes for one of the longer."""
    configs = pair(epochs=2)
    shutil.copytree(whole(pair()), tmp_path / "study")
    with pytest.MonkeyPatch.context() as patch:
        dies_at(patch, at)
        with pytest.raises(KilledError):
            run_study(configs, dataset(), tmp_path / "study")
    assert no_leftovers(tmp_path)
    run_study(configs, dataset(), tmp_path / "study")
    assert_same_study(tmp_path / "study", whole(configs))


@pytest.mark.parametrize("at", [1, 2, 9, 10, 13])
def test_a_full_disk_leaves_no_parts_of_files(tmp_path, whole, monkeypatch, at):
    calls = []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) == at:
            raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            run_study(pair(), dataset(), tmp_path)
    assert no_leftovers(tmp_path)
    run_study(pair(), dataset(), tmp_path)
    assert_same_study(tmp_path, whole(pair()))


# ------------------------------------------------------------------------------ the time limit


def after(looks):
    """A limit that is over at the look of this number, from 1."""
    return TimeLimit(looks, clock=count(0, 60).__next__)


def test_a_study_in_slices_ends_as_one_that_is_not(tmp_path, whole):
    """Wherever the time is up: before a group, within an epoch, or before a model is measured."""
    configs, said = few_runs(epochs=EPOCHS), []
    for _ in range(30):
        try:
            run_study(configs, dataset(), tmp_path, together=2, limit=after(6))
        except TimeIsUpError as stop:
            said.append(str(stop))
            assert no_leftovers(tmp_path)
            continue
        break
    assert 2 < len(said) < 29
    assert any("which is saved" in line for line in said)
    assert_same_study(tmp_path, whole(configs))


def test_no_time_at_all_trains_nothing(tmp_path):
    with pytest.raises(TimeIsUpError, match="after 0 of 2 groups of models that lack training"):
        run_study(few_runs(), dataset(), tmp_path, together=2, limit=after(1))
    assert list((tmp_path / "models").glob("*")) == []


def test_models_that_are_measured_stay_so(tmp_path, whole):
    shutil.copytree(whole(pair()) / "models", tmp_path / "models")
    for path in list(tmp_path.rglob("measured.json")):
        path.unlink()
    with pytest.raises(TimeIsUpError, match="after 1 of 2 models are measured"):
        run_study(pair(), dataset(), tmp_path, limit=after(2))
    assert len(list(tmp_path.rglob("measured.json"))) == 1
    run_study(pair(), dataset(), tmp_path)
    assert_same_study(tmp_path, whole(pair()))
