"""Several models at once, and recorded steps with a stand-in for a CUDA graph."""

from dataclasses import fields

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: NO model is tested")

from runs import (
    NOISES,
    assert_same,
    config,
    dataset,
    signal_at,
    state,
)
from training import OTHER, Replayed, each, members, recorded, stopped, table

from dindic_models import step as step_module
from dindic_models.checkpoint import load
from dindic_models.config import Config, make_model
from dindic_models.devices import Group
from dindic_models.state import State, adam
from dindic_models.step import Step
from dindic_models.train import (
    SHARED,
    TrainingDivergedError,
    TrainingStoppedError,
    train,
    train_together,
)

pytestmark = pytest.mark.usefixtures("_settings", "_narrow")


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
    with pytest.raises(ValueError, match="contains a run already"):
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
