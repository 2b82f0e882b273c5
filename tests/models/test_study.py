"""A study: its models, what stops it, what it measures, and what a second call leaves as it is."""

import csv
import json
import math
import os
import shutil
import signal
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: NO model is tested")

from runs import NOISES, assert_same, config, dataset, longer, pictures, settings_of_torch

from dindic_models import study as module
from dindic_models.batches import Batches
from dindic_models.checkpoint import file_hash, load, read_tensors, save_model
from dindic_models.config import Config, seed_of
from dindic_models.data import rows, some
from dindic_models.grids import GRIDS
from dindic_models.history import evaluate
from dindic_models.networks import NETWORKS, mlp
from dindic_models.objective import convention_gap
from dindic_models.state import State
from dindic_models.study import LOOKS, Study, measure, run_study
from dindic_models.train import SHARED, TrainingStoppedError, train, train_together
from disentangle_indicators import read_encodings
from disentangle_indicators.aggregate import marginals

GAUSSIAN = ("fixed", "learned")
EPOCHS, STEPS = 2, 5
"""Of the small studies; an epoch ends with a batch of a single image."""


@pytest.fixture(autouse=True)
def _interruptible():
    """Let an interrupt be one, also where tests are run by processes that ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


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


def some_runs(**changes):
    """Every noise, and runs that cannot be trained with these: another seed, another width."""
    usual = {"epochs": EPOCHS} | changes
    found = {name.replace(" ", "_"): config(**noise, **usual) for name, noise in NOISES.items()}
    found["seed_1"] = config(seed=1, beta=4.0, **usual)
    found["wide"] = config(**usual | {"latents": 3})
    return found


def few_runs(**changes):
    """Two runs that are trained together, and one that is not."""
    return pair(**changes) | {"c": config(**{"seed": 1, "epochs": 1} | changes)}


def pair(**changes):
    usual = {"epochs": 1} | changes
    return {"a": config(beta=2.0, **usual), "b": config(noise="mog", **usual)}


def tree(folder):
    """What is below a folder, to the bit."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def times(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def table(path):
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


def results(folder):
    """The rows of results.csv without the time they took."""
    return [{k: v for k, v in row.items() if k != "seconds"} for row in table(folder)]


def assert_same_study(one, two):
    """Two studies have the same results, latents, encodings and weights, bit for bit."""
    assert results(one / "results.csv") == results(two / "results.csv")
    first, second = made(one), made(two)
    assert list(first) == list(second)
    assert [name for name in first if first[name] != second[name]] == []


def made(folder):
    """What a study has to give again; of encodings the order in the header of the file is free."""
    found = {}
    for name, content in tree(folder).items():
        if name.startswith("encodings"):
            tensors, said = read_tensors(folder / name)
            found[name] = said, {key: t.numpy().tobytes() for key, t in tensors.items()}
        elif name.endswith(("model.safetensors", "latents.csv", "measured.json")):
            found[name] = content
    return found


def no_leftovers(folder):
    return [path for path in folder.rglob("*") if path.name.startswith(".")] == []


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Studies that nothing stopped, each made once for all who ask for these runs."""
    done = {}

    def get(configs):
        key = tuple(configs.items())
        if key not in done:
            folder = tmp_path_factory.mktemp("whole")
            run_study(configs, dataset(), folder)
            done[key] = folder
        return done[key]

    return get


# ---------------------------------------------------------------------------- the models


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


# -------------------------------------------------------------------- stopped and gone on with


def signal_in(description, at, number=signal.SIGINT):
    """Show progress, and raise a signal before step `at` of all such steps of the study."""
    seen = 0

    def progress(work, words, total):
        nonlocal seen
        for step in work:
            if words == description:
                seen += 1
                if seen == at:
                    signal.raise_signal(number)
            yield step

    return progress


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


class KilledError(BaseException):
    """What nothing catches."""


def dies_at(monkeypatch, at):
    """Let everything end just before the file of that number appears."""
    rename, calls = os.replace, []

    def dies(source, target):
        calls.append(target)
        if len(calls) == at:
            raise KilledError
        rename(source, target)

    monkeypatch.setattr(os, "replace", dies)
    return calls


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


# ---------------------------------------------------------------------------- called again


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


# -------------------------------------------------------------------------- what is refused


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


# -------------------------------------------------------------------------- runs that diverge


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


# --------------------------------------------------------------------------- what is measured

COLUMNS = [
    *["run", "noise", "sigma2_given", "beta", "latents", "seed", "epochs", "seconds", "device"],
    *["sigma2", "normalised_variance", "squared_error", "evlb", "evlb_at_normalised_variance"],
    *["kl_posterior_prior", "mutual_information", "largest_mutual_information_per_latent"],
    *["kl_aggregate_prior", "kl_q_star_prior", "mutual_information_via_q_star"],
    *["largest_mutual_information_per_latent_via_q_star", "gaussian_total_correlation"],
    *["total_information", "total_kl_prior", "used", "used_exact", "normal_variance"],
    *["normal_variance_used", "images"],
]

LATENTS = [
    *["run", "latent", "second_moment", "mutual_information_per_latent"],
    *["mutual_information_per_latent_via_q_star", "information", "kl_prior"],
]


def well_trained():
    """Runs of all noises and different beta that use some of their latents and not others."""
    usual = {"epochs": 8, "lr": 2e-2, "latents": 3}
    return {
        "fixed_low": config(noise="fixed", sigma2=0.005, **usual),
        "fixed_high": config(noise="fixed", sigma2=0.03, beta=2.0, **usual),
        "learned": config(noise="learned", **usual),
        "learned_beta_0.1": config(noise="learned", beta=0.1, **usual),
        "learned_beta_7": config(noise="learned", beta=7.0, **usual),
        "closed_form": config(noise="learned", closed_form=True, beta=0.5, **usual),
        "double": config(noise="learned", precision="float64", **usual),
        "mog": config(noise="mog", components=3, beta=0.5, **usual),
        "network": config(noise="network", beta=0.5, **usual),
    }


DATA = dataset(pictures(400), labels=np.arange(400))
NAMES = pytest.mark.parametrize("name", well_trained())
OF_ONE_VARIANCE = pytest.mark.parametrize(
    "name", [name for name, c in well_trained().items() if c.noise in GAUSSIAN]
)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A study whose models have learned something."""
    folder = tmp_path_factory.mktemp("measured")
    with settings_of_torch():
        return run_study(well_trained(), DATA, folder)


def arrays(study, name):
    """Means and variances of the test images, float64, from the file."""
    found = read_encodings(study.folder / "encodings" / f"{name}.safetensors")
    parts = [(np.asarray(m, float), np.asarray(v, float)) for m, v in found.batches()]
    return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))


def test_the_models_are_not_all_alike(measured):
    """So that the tests below can fail: some latents are used, some normal, some both."""
    counts = {
        n: (r["used"], r["used_exact"], r["normal_variance"]) for n, r in measured.rows.items()
    }
    assert len(set(counts.values())) > 3, counts
    for k in range(3):
        assert len({found[k] for found in counts.values()}) > 1, counts
    assert any(0 < row["normal_variance_used"] < 3 for row in measured.rows.values())


def test_a_row_for_every_model_and_every_latent(measured):
    lines = table(measured.folder / "results.csv")
    assert [line["run"] for line in lines] == list(well_trained())
    assert list(lines[0]) == COLUMNS
    latents = table(measured.folder / "latents.csv")
    assert list(latents[0]) == LATENTS
    pairs = [(line["run"], int(line["latent"])) for line in latents]
    assert pairs == [(name, h) for name in well_trained() for h in range(3)]


def test_every_column_is_documented():
    text = f"{measure.__doc__} {Study.__doc__} {module.Measured.__doc__}"
    for column in COLUMNS:
        named = f"``{column}``" in text
        definition = column.removeprefix("largest_") in (
            *["kl_posterior_prior", "mutual_information", "mutual_information_per_latent"],
            *["kl_aggregate_prior", "kl_q_star_prior", "mutual_information_via_q_star"],
            "mutual_information_per_latent_via_q_star",
        )
        about = column in ("run", "sigma2_given", "latents", "total_information", "total_kl_prior")
        assert named or definition or about, column


@NAMES
def test_rows_hold_settings_and_finite_numbers(measured, name):
    (line,) = [x for x in table(measured.folder / "results.csv") if x["run"] == name]
    settings = well_trained()[name]
    assert (line["noise"], float(line["beta"])) == (settings.noise, settings.beta)
    assert (line["latents"], line["seed"], line["epochs"]) == ("3", "0", "8")
    assert line["images"] == "40"
    assert line["device"].startswith("CPU")
    assert float(line["seconds"]) > 0
    empty = {column for column, value in line.items() if value == ""}
    expected = set() if settings.noise == "fixed" else {"sigma2_given"}
    expected |= set() if settings.noise in GAUSSIAN else {"evlb_at_normalised_variance"}
    assert empty == expected
    words = {"run", "noise", "device", *empty}
    assert all(math.isfinite(float(line[column])) for column in set(line) - words)


@NAMES
def test_tables_and_the_study_say_the_same(measured, name):
    """Every digit in results.csv, six in latents.csv."""
    (line,) = [x for x in table(measured.folder / "results.csv") if x["run"] == name]
    row = measured.rows[name]
    assert list(row) == COLUMNS[1:]
    for column, value in row.items():
        if isinstance(value, float) and math.isnan(value):
            assert line[column] == ""
        elif isinstance(value, str):
            assert line[column] == value
        else:
            assert float(line[column]) == value
    content = json.loads(measured.to_json())
    assert content["schema"] == "dindic.study/1"
    assert content["rows"][name].keys() == row.keys()
    assert content["rows"][name]["evlb"] == row["evlb"]


def definitions(mean, var):
    """Definitions 1 to 7 as they are written in section 6.2 and appendix B.1, in nats."""
    s = np.mean(mean**2 + var, axis=0)
    to_prior = 0.5 * (mean**2 + var - 1 - np.log(var))
    to_q_star = 0.5 * (np.log(s / var) + (mean**2 + var) / s - 1)
    q_star_to_prior = 0.5 * (s - 1 - np.log(s))
    first, third = to_prior.mean(0).sum(), to_q_star.mean(0)
    second, fifth = third.sum(), q_star_to_prior.sum()
    seventh = to_prior.mean(0) - q_star_to_prior
    return {
        "kl_posterior_prior": first,
        "mutual_information": second,
        "largest_mutual_information_per_latent": third.max(),
        "kl_aggregate_prior": first - second,
        "kl_q_star_prior": fifth,
        "mutual_information_via_q_star": first - fifth,
        "largest_mutual_information_per_latent_via_q_star": seventh.max(),
        "used": (third > 0.5).sum(),
        "normal_variance": (abs(s - 1) <= 0.1).sum(),
        "normal_variance_used": ((abs(s - 1) <= 0.1) & (third > 0.5)).sum(),
        "second_moment": s,
        "mutual_information_per_latent": third,
        "mutual_information_per_latent_via_q_star": seventh,
    }


def of_latents(study, name, column):
    lines = table(study.folder / "latents.csv")
    return [float(line[column]) for line in lines if line["run"] == name]


@NAMES
def test_the_indicators_are_those_of_the_encodings(measured, name):
    """To the rounding of the logarithms and squares of float32, a sum over three latents."""
    close = {"rtol": 1e-9, "atol": 1e-9} if name == "double" else {"rtol": 1e-6, "atol": 1e-6}
    for column, value in definitions(*arrays(measured, name)).items():
        if np.ndim(value):
            np.testing.assert_allclose(
                of_latents(measured, name, column), value, rtol=1e-5, atol=1e-6, err_msg=column
            )
        else:
            found = measured.rows[name][column]
            np.testing.assert_allclose(found, value, err_msg=column, **close)


def exact(mean, var):
    """I(x; z_h) and KL(q(z_h) || p) of a mixture in one dimension, by a fine grid."""
    sd = np.sqrt(var)
    z = np.linspace((mean - 12 * sd).min(), (mean + 12 * sd).max(), 200_001)
    log_q = np.full_like(z, -np.inf)
    for m, v in zip(mean, var, strict=True):
        log_q = np.logaddexp(log_q, -0.5 * ((z - m) ** 2 / v + np.log(2 * np.pi * v)))
    log_q -= np.log(len(mean))
    q, step = np.exp(log_q), z[1] - z[0]
    entropy = -(q * log_q).sum() * step
    cross = 0.5 * np.log(2 * np.pi) + 0.5 * np.mean(mean**2 + var)
    return entropy - np.mean(0.5 * np.log(2 * np.pi * np.e * var)), cross - entropy


@NAMES
def test_exact_information_is_that_of_the_mixture(measured, name):
    mean, var = arrays(measured, name)
    row, found = measured.rows[name], marginals(mean, var)
    pairs = np.array([exact(mean[:, h], var[:, h]) for h in range(3)])
    information, divergence = pairs.T
    np.testing.assert_allclose(row["total_information"], found.information.sum(), rtol=1e-9)
    np.testing.assert_allclose(row["total_kl_prior"], found.kl_prior.sum(), rtol=1e-9)
    np.testing.assert_allclose(row["total_information"], information.sum(), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(row["total_kl_prior"], divergence.sum(), rtol=1e-6, atol=1e-6)
    columns = ((information, "information"), (divergence, "kl_prior"))
    for values, column in columns:
        kept = of_latents(measured, name, column)
        np.testing.assert_allclose(kept, values, rtol=1e-5, atol=1e-6)
    assert row["used_exact"] == (information > 0.5).sum()


@NAMES
def test_the_total_correlation_is_that_of_a_gaussian_with_these_moments(measured, name):
    mean, var = arrays(measured, name)
    covariance = np.cov(mean.T, bias=True) + np.diag(var.mean(0))
    value = 0.5 * (np.log(np.diag(covariance)).sum() - np.linalg.slogdet(covariance)[1])
    found = measured.rows[name]["gaussian_total_correlation"]
    np.testing.assert_allclose(found, value, rtol=1e-4, atol=1e-8)


@NAMES
def test_information_is_bounded_as_the_paper_says(measured, name):
    """Exact I <= Definition 3 for every latent, I <= log n, Definition 4 <= KL(q(z) || p)."""
    row = measured.rows[name]
    third, information = (
        np.array(of_latents(measured, name, column))
        for column in ("mutual_information_per_latent", "information")
    )
    assert (information <= third + 1e-6).all()
    assert (information <= np.log(40)).all()
    assert row["kl_aggregate_prior"] <= row["total_kl_prior"] + 1e-9
    assert row["used_exact"] <= row["used"]
    assert row["normal_variance_used"] <= min(row["normal_variance"], row["used"])


def by_hand(study, name):
    """KL and squared residuals of every test image in float64, with the codes that are drawn."""
    model = load(study.folder / "models" / name).model.double()
    settings = well_trained()[name]
    test = rows(DATA, "test", split="paper", seed=0)
    x = torch.from_numpy(DATA.images[test]).double() / 255
    kind = torch.float64 if settings.precision == "float64" else torch.float32
    generator = torch.Generator().manual_seed(seed_of(settings.seed, "evaluation"))
    e = torch.randn((1, len(test), 3), generator=generator, dtype=kind)[0].double()
    with torch.no_grad():
        mean, logvar = model.encode(x)
        g = model.decode(mean + (0.5 * logvar).exp() * e)
        kl = 0.5 * (mean**2 + logvar.exp() - 1 - logvar).sum(1)
        squared = (x - model.noise.mean(g)).square().flatten(1)
    return model, g, kl, squared


@OF_ONE_VARIANCE
def test_the_bound_is_that_of_gaussian_noise(measured, name):
    """In float64 with the same codes: what differs is the rounding of float32, 1e-7 a pixel."""
    row = measured.rows[name]
    model, _, kl, squared = by_hand(measured, name)
    beta, noise = well_trained()[name].beta, model.noise
    sigma2 = noise.sigma2 if row["noise"] == "fixed" else (2 * noise.log_sigma).exp()
    sigma2 = float(sigma2.detach())
    assert row["sigma2"] == pytest.approx(sigma2, rel=1e-6)
    assert row["normalised_variance"] == pytest.approx(beta * sigma2, rel=1e-6)
    if row["noise"] == "fixed":
        assert row["sigma2_given"] == well_trained()[name].sigma2
        assert sigma2 == pytest.approx(row["sigma2_given"], rel=1e-6)
    for column, s in (("evlb", sigma2), ("evlb_at_normalised_variance", beta * sigma2)):
        each = -0.5 * (squared / s + math.log(2 * math.pi * s)).sum(1) - kl
        assert row[column] == pytest.approx(float(each.mean()), rel=1e-5, abs=1e-4), column
    assert row["squared_error"] == pytest.approx(float(squared.mean()), rel=1e-5)
    assert row["kl_posterior_prior"] == pytest.approx(float(kl.mean()), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("name", ["mog", "network"])
def test_the_bound_is_that_of_noise_of_many_variances(measured, name):
    row = measured.rows[name]
    model, g, kl, squared = by_hand(measured, name)
    noise, density = model.noise, torch.zeros_like(squared)
    if name == "mog":
        for weight, s in zip(noise.weights, noise.variances, strict=True):
            density += weight * (-0.5 * squared / s).exp() / (2 * math.pi * s).sqrt()
        sigma2 = float((noise.weights * noise.variances).sum())
    else:
        s = noise.floor + g.chunk(2, dim=1)[1].exp().flatten(1)
        density = (-0.5 * squared / s).exp() / (2 * math.pi * s).sqrt()
        sigma2 = float(noise.running[0] / noise.running[1])
    evlb = float((density.log().sum(1) - kl).mean())
    assert row["evlb"] == pytest.approx(evlb, rel=1e-5, abs=1e-4)
    assert math.isnan(row["evlb_at_normalised_variance"])
    assert row["squared_error"] == pytest.approx(float(squared.mean()), rel=1e-5)
    assert row["sigma2"] == pytest.approx(sigma2, rel=1e-6)
    assert row["normalised_variance"] == pytest.approx(0.5 * sigma2, rel=1e-6)


@OF_ONE_VARIANCE
def test_the_two_conventions_differ_by_a_closed_form(measured, name):
    """d/2 (r/s (1/beta - 1) + log beta) for each model; where r = s that of erratum E22."""
    row, pixels = measured.rows[name], 64
    beta, ratio = row["beta"], row["squared_error"] / row["sigma2"]
    gap = pixels / 2 * (ratio * (1 / beta - 1) + math.log(beta))
    found = row["evlb"] - row["evlb_at_normalised_variance"]
    scale = abs(row["evlb"]) + abs(row["evlb_at_normalised_variance"]) + pixels * ratio / beta
    assert found == pytest.approx(gap, abs=1e-6 * scale)
    assert convention_gap(pixels, beta) == pytest.approx(
        gap - pixels / 2 * (ratio - 1) * (1 / beta - 1)
    )
    if beta == 1:
        assert found == pytest.approx(0, abs=1e-6 * scale)


@NAMES
def test_the_encodings_are_those_of_the_test_images(measured, name):
    found = read_encodings(measured.folder / "encodings" / f"{name}.safetensors")
    test = rows(DATA, "test", split="paper", seed=0)
    np.testing.assert_array_equal(found.labels, test)
    assert not set(test) & set(rows(DATA, "train")) | set(test) & set(rows(DATA, "validation"))
    checkpoint = measured.checkpoint(name)
    assert found.metadata["model"] == checkpoint.sha256
    assert found.metadata["data_fingerprint"] == DATA.fingerprint
    x = torch.from_numpy(DATA.images[test] / np.float32(255))
    x = x.double() if name == "double" else x
    with torch.no_grad():
        mean, logvar = checkpoint.model.encode(x)
    mine = measured.encoded(name)
    np.testing.assert_allclose(mine[0], mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(mine[1], logvar.exp(), rtol=1e-5)


def test_all_test_images_are_measured_or_some_of_them_at_random(tmp_path, measured):
    found = measure(measured.checkpoint("learned"), DATA, tmp_path / "a.safetensors", images=7)
    chosen = some(rows(DATA, "test"), 7, seed=0)
    np.testing.assert_array_equal(read_encodings(tmp_path / "a.safetensors").labels, chosen)
    assert found.row["images"] == 7
    mean, var = (
        values[np.isin(rows(DATA, "test"), chosen)] for values in arrays(measured, "learned")
    )
    first = definitions(mean, var)["kl_posterior_prior"]
    assert found.row["kl_posterior_prior"] == pytest.approx(first, rel=1e-5)
    judged = evaluate_on(measured.checkpoint("learned"), chosen)
    assert found.row["evlb"] == judged["evlb"]


def evaluate_on(checkpoint, chosen):
    batches = Batches(DATA.images, chosen, torch.device("cpu"))
    return evaluate(checkpoint.model, batches, checkpoint.config)


def test_images_of_the_split_that_the_model_was_trained_on(tmp_path):
    """Another random split, and the official parts, have other test images."""
    data = dataset(
        pictures(60),
        labels=np.arange(60),
        official={"train": np.arange(40), "test": np.arange(45, 60)},
    )
    configs = {
        "paper": config(epochs=1),
        "other": config(epochs=1, split_seed=5),
        "official": config(epochs=1, split="official"),
    }
    study = run_study(configs, data, tmp_path)
    for name, settings in configs.items():
        test = rows(data, "test", split=settings.split, seed=settings.split_seed)
        found = read_encodings(tmp_path / "encodings" / f"{name}.safetensors")
        np.testing.assert_array_equal(found.labels, test)
        assert study.rows[name]["images"] == len(test)


def test_weights_of_others_are_not_measured(tmp_path, measured):
    checkpoint = replace(measured.checkpoint("learned"), config=None)
    with pytest.raises(ValueError, match="measuring needs the settings it was trained with"):
        measure(checkpoint, DATA, tmp_path / "a.safetensors")
    assert not any(tmp_path.iterdir())


def test_no_test_images_no_row(tmp_path):
    study = run_study({"a": config(epochs=1)}, dataset(pictures(3)), tmp_path)
    assert study.rows == {}
    assert "there are no images to encode" in study.failed["a"]


# ------------------------------------------------------------------------------ what is shown


def test_the_table_says_epochs_device_and_units(measured):
    text = " ".join(repr(measured).split())
    assert "9 models of array, 8 epochs, trained on CPU" in text
    assert "measured on 40 test images" in text
    assert "squared pixel units" in text
    assert "nats an image" in text
    for name, row in measured.rows.items():
        assert name in text
        assert f"{row['mutual_information']:.1f}" in text
        assert f"{row['evlb']:.0f}" in text
    assert "nan" not in text
    assert measured.to_markdown().count("\n| learned") == 3


@pytest.mark.parametrize("name", GRIDS)
def test_names_and_numbers_of_all_runs_fit_in_the_table(measured, name):
    """With bounds as those of real images are."""
    rows = {}
    for run, own in GRIDS[name].items():
        like = {"fixed": "fixed_low"}.get(own["noise"], own["noise"])
        rows[run] = measured.rows[like] | {"evlb": -12345.6}
        if own["noise"] in GAUSSIAN:
            rows[run]["evlb_at_normalised_variance"] = 1234.5
    latents = dict.fromkeys(rows, measured.latents["learned"])
    lines = repr(replace(measured, rows=rows, latents=latents)).splitlines()
    for run, row in rows.items():
        (line,) = [line for line in lines if line.strip().startswith(f"{run} ")]
        assert f"{row['mutual_information']:.1f}" in line
        assert "-12346" in line
        assert ("1234" in line.replace("-12346", "")) == (row["noise"] in GAUSSIAN)


def test_the_paper_is_quoted_where_it_prints_a_number(tmp_path):
    configs = {
        name: config(epochs=1, beta=b) for name, b in (("learned_beta_10", 10.0), ("a", 2.0))
    }
    study = run_study(configs, dataset(name="mnist"), tmp_path)
    table = study.blocks()[-1]
    (line,) = table.rows
    assert table.title == "Printed in the paper"
    assert line[:3] == ("learned_beta_10", "βσ²", "0.112")
    assert float(line[3]) == pytest.approx(
        study.rows["learned_beta_10"]["normalised_variance"], 1e-2
    )


def test_epochs_of_runs_that_differ_are_a_range(tmp_path):
    configs = {"a": config(epochs=1), "b": config(epochs=3, beta=2.0)}
    text = repr(run_study(configs, dataset(), tmp_path))
    assert "2 models of array, 1 to 3 epochs, trained on" in text
