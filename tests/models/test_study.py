"""A study: its models, a second call, what it refuses, and runs that diverge."""

import json
import math
import shutil

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: NO model is tested")

from runs import assert_same, config, dataset, longer, once, pictures
from studies import (
    EPOCHS,
    STEPS,
    assert_same_study,
    dies_at,
    few_runs,
    made,
    pair,
    results,
    signal_in,
    some_runs,
    table,
    times,
    tree,
)
from training import KilledError

from dindic_models import study as module
from dindic_models.checkpoint import file_hash, load, read_tensors, save_model
from dindic_models.config import Config
from dindic_models.state import State
from dindic_models.study import LOOKS, measure, run_study
from dindic_models.train import SHARED, TrainingStoppedError, train, train_together
from disentangle_indicators import read_encodings

pytestmark = pytest.mark.usefixtures("_interruptible", "_settings", "_narrow")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Studies that nothing stopped, each made once for all who ask for these runs."""
    get = once(lambda key, folder: run_study(dict(key), dataset(), folder), tmp_path_factory)
    return lambda configs: get(tuple(configs.items()))


@pytest.mark.parametrize("together", [None, 1, 3])
def test_the_models_are_those_that_are_trained_alone(tmp_path, together, whole):
    configs = some_runs()
    study = run_study(configs, dataset(), tmp_path / "study", together=together)
    assert list(study.rows) == list(configs)
    assert study.failed == {}
    for name, settings in configs.items():
        train(settings, dataset(), tmp_path / "alone" / name)
        assert_same(tmp_path / "study" / "models" / name, tmp_path / "alone" / name)
        assert study.checkpoint(name).config == settings
    assert_same_study(tmp_path / "study", whole(configs))


@pytest.mark.parametrize(
    ("together", "sizes"), [(1, [1] * 7), (2, [2, 2, 1, 1, 1]), (9, [5, 1, 1])]
)
def test_as_many_are_trained_at_once_as_asked(tmp_path, monkeypatch, together, sizes):
    """And only what has the same batches; evenly, so that no group is nearly empty."""
    seen = []

    def spy(configs, *arguments, **options):
        seen.append(configs)
        return train_together(configs, *arguments, **options)

    monkeypatch.setattr(module, "train_together", spy)
    run_study(some_runs(epochs=1), dataset(), tmp_path, together=together)
    assert [len(group) for group in seen] == sizes
    for group in seen:
        assert len({tuple(getattr(c, name) for name in (*SHARED, "epochs")) for c in group}) == 1


def test_four_of_three_at_once_are_two_and_two(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        module,
        "train_together",
        lambda configs, *a, **k: (seen.append(len(configs)), train_together(configs, *a, **k)),
    )
    configs = {f"beta_{b}": config(epochs=1, beta=float(b)) for b in range(1, 5)}
    run_study(configs, dataset(), tmp_path, together=3)
    assert seen == [2, 2]


def test_long_runs_look_at_held_out_images_a_few_times(tmp_path):
    settings = config(network="linear", epochs=25)
    run_study({"a": settings}, dataset(), tmp_path / "study")
    train(settings, dataset(), tmp_path / "alone")
    judged = [row["evlb"] != "" for row in table(tmp_path / "study/models/a/history.csv")]
    assert LOOKS <= sum(judged) <= LOOKS + 3
    assert judged[-1]
    one, two = (load(tmp_path / place) for place in ("study/models/a", "alone"))
    assert one.sha256 == two.sha256


def test_no_models_at_once():
    with pytest.raises(ValueError, match="together must be at least 1; got 0"):
        run_study(some_runs(), dataset(), "nowhere", together=0)


def test_where_the_data_came_from_is_kept(tmp_path):
    run_study({"a": config(epochs=1)}, dataset(), tmp_path, source="images.npy")
    assert load(tmp_path / "models" / "a").data["path"] == "images.npy"


def test_a_second_call_trains_and_measures_nothing(tmp_path, monkeypatch, whole):
    configs = some_runs()
    folder = tmp_path / "study"
    shutil.copytree(whole(configs), folder)
    before, when = tree(folder), times(folder)

    def never(*arguments, **options):
        raise AssertionError("this was done already")

    for name in ("train_together", "measure"):
        monkeypatch.setattr(module, name, never)
    study = run_study(configs, dataset(), folder)
    assert tree(folder) == before
    tables = {folder / name for name in ("results.csv", "latents.csv")}
    assert {path for path, time in times(folder).items() if when[path] != time} <= tables
    first = run_study(configs, dataset(), folder)
    assert study.to_json() == first.to_json()


def test_more_epochs_go_on_and_are_measured_again(tmp_path, whole):
    """Only where there are more; the other runs keep their files."""
    shutil.copytree(whole(few_runs()), tmp_path / "study")
    before = times(tmp_path / "study")
    configs = few_runs() | {"a": longer(few_runs()["a"], 3)}
    study = run_study(configs, dataset(), tmp_path / "study")
    changed = {path for path, time in times(tmp_path / "study").items() if before[path] != time}
    names = {str(path.relative_to(tmp_path / "study")) for path in changed}
    assert {name for name in names if name.startswith(("models/b", "models/c"))} == set()
    assert {"models/a/measured.json", "encodings/a.safetensors"} <= names
    assert not {"encodings/b.safetensors", "encodings/c.safetensors"} & names
    assert [row["epochs"] for row in study.rows.values()] == [3, 1, 1]
    assert_same_study(tmp_path / "study", whole(configs))


def test_more_runs_and_fewer(tmp_path, whole):
    """Models and rows of the others stay, as long as they are what was measured."""
    configs = few_runs()
    run_study({"a": configs["a"]}, dataset(), tmp_path)
    before = tree(tmp_path / "models")
    study = run_study(configs, dataset(), tmp_path)
    assert_same_study(tmp_path, whole(configs))
    assert {name: tree(tmp_path / "models")[name] for name in before} == before
    models = times(tmp_path / "models")
    fewer = run_study({"c": configs["c"]}, dataset(), tmp_path)
    assert list(fewer.rows) == ["c", "a", "b"]
    assert {name: str(row) for name, row in fewer.rows.items()} == {
        name: str(row)
        for name, row in study.rows.items()  # as text, so that nan is nan
    }
    assert times(tmp_path / "models") == models
    (tmp_path / "models/a/measured.json").write_text('{"schema": "another"}')
    (tmp_path / "models/b/model.safetensors").write_bytes(b"another model")
    assert list(run_study({"c": configs["c"]}, dataset(), tmp_path).rows) == ["c"]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema": "dindic.measured/0"}'])
def test_measurements_that_cannot_be_read_are_made_again(tmp_path, whole, content):
    folder, configs = tmp_path / "study", few_runs()
    shutil.copytree(whole(configs), folder)
    (folder / "models/a/measured.json").write_text(content)
    assert run_study(configs, dataset(), folder).failed == {}
    assert_same_study(folder, whole(configs))


def test_a_damaged_model_is_written_again_from_its_training(tmp_path, whole):
    folder, configs = tmp_path / "study", few_runs()
    shutil.copytree(whole(configs), folder)
    (folder / "models/a/model.safetensors").write_bytes(b"damaged")
    assert run_study(configs, dataset(), folder).failed == {}
    assert_same_study(folder, whole(configs))


def test_finished_models_are_measured_without_what_training_goes_on_from(tmp_path, whole):
    """As where they were copied from another machine; one that lacks epochs is refused."""
    configs = few_runs()
    shutil.copytree(whole(configs), tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "encodings")
    for path in tmp_path.glob("models/*/*"):
        if path.name not in ("config.json", "model.safetensors", "history.csv"):
            path.unlink()
    run_study(configs, dataset(), tmp_path)
    assert_same_study(tmp_path, whole(configs))
    more = {name: longer(one, EPOCHS + 1) for name, one in configs.items()}
    with pytest.raises(ValueError, match=r"has no training\.safetensors to go on from"):
        run_study(more, dataset(), tmp_path)


def test_measurements_are_renewed_when_other_images_are_asked_for(tmp_path, whole):
    """And when the model is another one; not else."""
    folder, configs = tmp_path / "study", few_runs()
    shutil.copytree(whole(configs), folder)
    study = run_study(configs, dataset(), folder, images=5)
    assert [row["images"] for row in study.rows.values()] == [5, 5, 5]
    kept = json.loads((folder / "models/a/measured.json").read_text())
    assert (kept["asked"], kept["row"]["images"]) == (5, 5)
    assert len(study.encoded("a")[0]) == 5
    run_study(configs, dataset(), folder)
    assert_same_study(folder, whole(configs))
    shutil.copy(folder / "models/a/model.safetensors", tmp_path / "model.safetensors")
    other = load(folder / "models/a").model
    with torch.no_grad():
        other.encoder.head.bias += 0.5
    row_before = kept_row(folder, "a")
    save_model(folder / "models/a", other, STEPS)
    changed = run_study(configs, dataset(), folder)
    assert changed.rows["a"]["mutual_information"] != row_before["mutual_information"]
    found = read_encodings(folder / "encodings/a.safetensors")
    assert found.metadata["model"] == file_hash(folder / "models/a/model.safetensors")
    shutil.copy(tmp_path / "model.safetensors", folder / "models/a/model.safetensors")
    (folder / "encodings/b.safetensors").unlink()
    run_study(configs, dataset(), folder)
    assert_same_study(folder, whole(configs))


def kept_row(folder, name):
    return json.loads((folder / "models" / name / "measured.json").read_text())["row"]


def test_what_was_measured_never_speaks_of_other_encodings(tmp_path, whole):
    """Interrupted between the encodings of fewer images and the numbers of these."""
    folder, configs = tmp_path / "study", few_runs()
    shutil.copytree(whole(configs), folder)
    with pytest.MonkeyPatch.context() as patch:
        dies_at(patch, 2)
        with pytest.raises(KilledError):
            run_study(configs, dataset(), folder, images=5)
    study = run_study(configs, dataset(), folder)
    assert {len(study.encoded(name)[0]) for name in configs} == {8}
    assert_same_study(folder, whole(configs))


@pytest.mark.parametrize(
    ("changes", "data"),
    [
        ({"beta": 3.0}, dataset()),
        ({"noise": "mog"}, dataset()),
        ({"seed": 1}, dataset()),
        ({"beta": 3.0, "epochs": 4}, dataset()),
        ({"epochs": 1}, dataset()),
        ({}, dataset(fingerprint="sha256:1")),
        ({}, dataset(pictures(160))),
        ({"epochs": 4}, dataset(fingerprint="sha256:1")),
    ],
)
@pytest.mark.parametrize("done", ["whole", "stopped"])
def test_a_folder_with_another_run_is_left_untouched(tmp_path, whole, changes, data, done):
    """Whether that run came to its end or not, and before anything else is trained."""
    old = {"a": config(epochs=EPOCHS)}
    folder = tmp_path / "study"
    if done == "whole":
        shutil.copytree(whole(old), folder)
    else:
        with pytest.raises(TrainingStoppedError):
            run_study(old, dataset(), folder, progress=signal_in("training", 7))
    before = tree(folder)
    other = Config(**old["a"].to_dict() | changes)
    data = data if len(data) == len(dataset()) else dataset(data.images, fingerprint="sha256:2")
    with pytest.raises(ValueError, match=r"models/a (holds|was|has)"):
        run_study({"new": config(latents=3), "a": other}, data, folder)
    assert tree(folder) == before


def test_fewer_epochs_where_a_run_was_stopped_at_their_end(tmp_path, whole):
    show = signal_in("training", STEPS)
    with pytest.raises(TrainingStoppedError):
        run_study(pair(epochs=3), dataset(), tmp_path, together=2, progress=show)
    assert {load(tmp_path / "models" / name).step for name in "ab"} == {STEPS}
    run_study(pair(epochs=1), dataset(), tmp_path)
    assert_same_study(tmp_path, whole(pair(epochs=1)))
    assert load(tmp_path / "models" / "a").config == pair(epochs=1)["a"]


def test_a_folder_of_something_else(tmp_path):
    (tmp_path / "models" / "a").mkdir(parents=True)
    (tmp_path / "models" / "a" / "model.safetensors").write_text("precious")
    before = tree(tmp_path)
    with pytest.raises(ValueError, match="models/a"):
        run_study({"a": config()}, dataset(), tmp_path)
    assert tree(tmp_path) == before


def test_a_run_that_diverges_has_no_row_and_the_others_are_those_without_it(tmp_path, whole):
    configs = few_runs()
    bad = {"bad": config(epochs=1, lr=1e6), "worse": config(epochs=1, lr=1e30)}
    mixed = {"bad": bad["bad"], "a": configs["a"], "worse": bad["worse"], "b": configs["b"]}
    study = run_study(mixed | {"c": configs["c"]}, dataset(), tmp_path, together=9)
    assert set(study.failed) == {"bad", "worse"}
    for name, lr in (("bad", "1e+06"), ("worse", "1e+30")):
        assert study.failed[name].startswith("the loss is not a finite number by step ")
        assert f"A smaller lr than {lr}" in study.failed[name]
        assert f"{name} has no row: the loss" in " ".join(repr(study).split())
        assert not (tmp_path / "models" / name / "model.safetensors").exists()
        assert not (tmp_path / "encodings" / f"{name}.safetensors").exists()
    assert list(study.rows) == ["a", "b", "c"]
    assert_same_study(tmp_path, whole(configs))
    assert json.loads(study.to_json())["failed"] == study.failed


def test_a_run_that_diverges_late_leaves_checkpoints_that_the_others_go_on_from(
    tmp_path, whole, monkeypatch
):
    """With a checkpoint after every epoch; the sums of one model are nan in the second."""
    monkeypatch.setattr(module, "SAVE_EVERY", 0.0)
    configs, check = few_runs(epochs=EPOCHS), State.check

    def poisoned(self, *arguments, **options):
        if self.folder.name == "bad" and self.step == 8:
            self.totals.fill_(math.nan)
        check(self, *arguments, **options)

    monkeypatch.setattr(State, "check", poisoned)
    first = {"a": configs["a"], "bad": config(epochs=EPOCHS, beta=9.0), "b": configs["b"]}
    steps = []

    def progress(work, words, total):
        steps.extend([total] if words == "training" else [])
        yield from work

    together = {"together": 3, "progress": progress}
    study = run_study(first | {"c": configs["c"]}, dataset(), tmp_path, **together)
    assert steps == [10, 5, 10]
    assert list(study.failed) == ["bad"]
    assert "by step 8;" in study.failed["bad"]
    rest = tmp_path / "models" / "bad"
    assert load(rest).step == STEPS
    shutil.rmtree(rest)
    assert_same_study(tmp_path, whole(configs))


def test_all_diverge(tmp_path):
    study = run_study({"a": config(lr=1e6), "b": config(lr=1e30)}, dataset(), tmp_path)
    assert study.rows == {}
    assert set(study.failed) == {"a", "b"}
    assert not list(tmp_path.glob("*.csv"))
    assert "b has no row: the loss is not" in repr(study)


@pytest.mark.parametrize("error", [FloatingPointError, ValueError])
def test_a_run_that_cannot_be_measured_is_named_and_the_others_have_rows(
    tmp_path, whole, monkeypatch, error
):
    """As where posteriors of the test images overflow, though none of those held out does."""

    def refuses(checkpoint, *arguments, **options):
        if checkpoint.path.name == "bad":
            raise error("a posterior is not finite")
        return measure(checkpoint, *arguments, **options)

    monkeypatch.setattr(module, "measure", refuses)
    study = run_study({"bad": config(epochs=1)} | few_runs(), dataset(), tmp_path)
    assert study.failed == {"bad": "it cannot be measured: a posterior is not finite"}
    shutil.rmtree(tmp_path / "models" / "bad")
    assert_same_study(tmp_path, whole(few_runs()))


# ------------------------------------------------------------------------- smaller encodings


@pytest.fixture
def few_are_enough(monkeypatch):
    """Figures from three images, which small studies have, and a header of known size."""
    monkeypatch.setattr(module, "FEWEST", 3)
    monkeypatch.setattr(module, "HEADER", 0)


LIMITED = {"max_mb": 5.5 * 16 / 1e6, "drawn": ("a",)}
"""Room for five images of two latents in float32."""


@pytest.mark.usefixtures("few_are_enough")
def test_encodings_stay_of_drawn_runs_and_of_as_many_images_as_fit(tmp_path, whole):
    """The numbers are those of all images, and a rerun with the same limit measures nothing."""
    configs = few_runs()
    study = run_study(configs, dataset(), tmp_path, **LIMITED)
    assert [path.name for path in (tmp_path / "encodings").iterdir()] == ["a.safetensors"]
    assert results(tmp_path / "results.csv") == results(whole(configs) / "results.csv")
    assert {row["images"] for row in study.rows.values()} == {8}
    mean, _ = study.encoded("a")
    every = read_tensors(whole(configs) / "encodings" / "a.safetensors")[0]["mean"].numpy()
    assert mean.shape == (5, 2)
    assert all(any(np.allclose(row, other, atol=1e-6) for other in every) for row in mean)
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(module, "measure")
        run_study(configs, dataset(), tmp_path, **LIMITED)
    run_study(configs, dataset(), tmp_path)
    assert_same_study(tmp_path, whole(configs))


@pytest.mark.usefixtures("few_are_enough")
def test_a_limit_that_is_large_enough_keeps_all_images_of_drawn_runs(tmp_path, whole):
    run_study(few_runs(), dataset(), tmp_path, max_mb=1.0, drawn=("a", "b"))
    names = ["encodings/a.safetensors", "encodings/b.safetensors"]
    kept, others = made(tmp_path), made(whole(few_runs()))
    assert [name for name in kept if name.startswith("encodings")] == names
    assert [kept[name] for name in names] == [others[name] for name in names]


@pytest.mark.usefixtures("few_are_enough")
def test_a_limit_that_is_too_small_is_refused_before_anything_is_trained(tmp_path):
    message = "max_mb must be at least 0.1: figures need the encodings of a, of 3 test images"
    with pytest.raises(ValueError, match=message):
        run_study(few_runs(), dataset(), tmp_path, max_mb=2 * 16 / 1e6, drawn=("a",))
    assert not (tmp_path / "models").exists()


def test_files_are_no_larger_than_the_limit(tmp_path, monkeypatch):
    """With the header that is reckoned with."""
    monkeypatch.setattr(module, "FEWEST", 3)
    data = dataset(pictures(2000), labels=np.arange(2000))
    configs = {"a": config(epochs=1, latents=16, batch=400)}
    study = run_study(configs, data, tmp_path, max_mb=0.03, drawn=("a",))
    assert len(study.encoded("a")[0]) == (30_000 - 8192) // (2 * 4 * 16 + 8)
    size = (tmp_path / "encodings" / "a.safetensors").stat().st_size
    assert 30_000 - 8192 < size <= 30_000
