"""dindic study, through real files in the official layouts; signals to real processes."""

import csv
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from itertools import count
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: dindic study is NOT tested")

from layouts import WRITERS
from matplotlib.image import imread
from runs import settings_of_torch, signal_at

from dindic_models import train
from dindic_models.checkpoint import load
from dindic_models.config import Config
from dindic_models.grids import GRIDS
from dindic_models.networks import NETWORKS, conv
from dindic_models.train import TimeLimit

module = importlib.import_module("dindic.study")
"""The module, which the command of its name hides."""


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


@pytest.fixture(autouse=True)
def _narrow(monkeypatch):
    """The networks of the paper with few filters; nobody waits for the disk."""
    for name in GRIDS:
        monkeypatch.setitem(NETWORKS, name, partial(conv, channels=(3, 3), hidden=8))
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


PLACES = {"mnist": "mnist", "celeba": "celeba", "yale": "CroppedYale"}


@pytest.fixture
def data(folder):
    """A small data set of a name, in its official layout, in the current folder."""

    def get(name):
        options = {
            "mnist": {"parts": (("train", 30), ("t10k", 10))},
            "celeba": {"n": 25},
            "yale": {"subjects": range(1, 9)},
        }
        return WRITERS[name](folder / PLACES[name], **options[name]).name

    return get


def table(path="study/results.csv"):
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


def results(path="study/results.csv"):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in table(path)]


def tree(folder, *endings):
    paths = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    return {str(p): p.read_bytes() for p in paths if not endings or p.name.endswith(endings)}


RUNS = {
    "mnist": ["fixed_sigma2_0.02", "fixed_sigma2_0.03", "learned_beta_1"],
    "celeba": ["mog2_beta_40", "mog2_beta_40_latents_32"],
    "yale": ["learned_beta_120", "network"],
}

FIGURES = {
    "mnist": ["04", "05", "06", "08", "09", "10"],
    "celeba": ["03", "03_latents_32", "07", "15"],
    "yale": ["14"],
}

TEST = {"mnist": 8, "celeba": 3, "yale": 2}


def words(name, place, *more, epochs=1, output="study"):
    only = ["--only", ",".join(RUNS[name])]
    start = ["study", name, "--data", place, "-o", output, "--device", "cpu"]
    return [*start, "--epochs", epochs, *([] if "--only" in more else only), *more]


# --------------------------------------------------------------------------- end to end


@pytest.mark.parametrize("name", RUNS)
def test_a_study_from_official_files_to_figures(dindic, data, name):
    place = data(name)
    result = dindic(*words(name, place, "--seeds", "0"))
    rows = table()
    assert [row["run"] for row in rows] == RUNS[name]
    for row in rows:
        assert (row["epochs"], row["images"]) == ("1", str(TEST[name]))
        folder = Path("study/models", row["run"])
        checkpoint = load(folder)
        own = GRIDS[name][row["run"]] | {"epochs": 1}
        assert checkpoint.config.to_dict().items() >= own.items()
        assert checkpoint.data["path"] == place
        assert checkpoint.data["name"] == name
        assert Path("study/encodings", f"{row['run']}.safetensors").is_file()
    latents = table("study/latents.csv")
    assert len(latents) == sum(int(row["latents"]) for row in rows)
    drawn = sorted(path.name for path in Path("study/figures").iterdir())
    expected = [f"figure_{number}.png" for number in FIGURES[name]]
    assert drawn == sorted([*expected, *["noise_of_the_network.png"] * (name == "yale")])
    for path in Path("study/figures").iterdir():
        assert imread(path).std() > 0
    lines = result.stderr.splitlines()
    assert place in lines[0]
    assert lines[1] == f"{len(rows)} runs on cpu"
    written = [line.removeprefix("written: ") for line in lines if line.startswith("written: ")]
    assert written[:2] == ["study/results.csv", "study/latents.csv"]
    assert sorted(Path(path).name for path in written[2:]) == drawn
    assert all(Path(path).is_file() for path in written)
    for run in RUNS[name]:
        assert run in result.stdout
    if name == "mnist":
        assert "figure_11 is not drawn: it needs learned_beta_0.5" in lines


def test_what_is_written_can_be_scored(dindic, data):
    dindic(*words("mnist", data("mnist"), "--no-figures", "--quiet"))
    found = dindic("score", "study/encodings/learned_beta_1.safetensors", "--json", "-")
    card = json.loads(found.stdout)
    row = {row["run"]: row for row in table()}["learned_beta_1"]
    text = json.dumps(card)
    assert f'"n": {row["images"]}' in text
    assert f'"used": {row["used"]}' in text


def test_json_on_stdout(dindic, data):
    place = data("mnist")
    result = dindic(*words("mnist", place, "--no-figures", "--json", "-"))
    content = json.loads(result.stdout)
    assert content["schema"] == "dindic.study/1"
    assert content["dataset"] == "mnist"
    assert content["failed"] == {}
    assert list(content["rows"]) == RUNS["mnist"]
    for row in table():
        for column, value in content["rows"][row["run"]].items():
            assert row[column] == ("" if value is None else str(value))
    assert not Path("study/figures").exists()
    dindic(*words("mnist", place, "--no-figures", "--quiet", "--json", "study.json"))
    written = json.loads(Path("study.json").read_text())
    assert written.pop("provenance")["call"].startswith("dindic study mnist ")
    del content["provenance"]
    assert written == content


def test_quiet_writes_and_says_nothing(dindic, data):
    result = dindic(*words("mnist", data("mnist"), "--quiet", "--only", "fixed_sigma2_0.0[23]"))
    assert result.output == ""
    assert len(table()) == 2
    assert Path("study/figures/figure_05.png").is_file()


def test_all_flags_reach_the_runs(dindic, data):
    more = ["--seeds", "3,4", "--together", 2, "--images", 5, "--precision", "float64"]
    dindic(*words("mnist", data("mnist"), *more, "--closed-form", "--no-figures", "--quiet"))
    rows = table()
    names = [f"{run}_seed_{seed}" for seed in (3, 4) for run in RUNS["mnist"]]
    assert [row["run"] for row in rows] == names
    for row in rows:
        config = load(Path("study/models", row["run"])).config
        usual = Config("mnist", "mnist", epochs=1, precision="float64", seed=int(row["seed"]))
        run = GRIDS["mnist"][row["run"][:-7]]
        closed = run["noise"] == "learned"
        assert config.to_dict() == usual.to_dict() | run | {"closed_form": closed}
        assert row["images"] == "5"


def test_the_tables_do_not_depend_on_how_many_are_trained_at_once(dindic, data):
    place = data("mnist")
    for together in (1, 3):
        output = f"study{together}"
        flags = ["--together", together, "--no-figures", "--quiet"]
        dindic(*words("mnist", place, *flags, output=output))
    assert results("study1/results.csv") == results("study3/results.csv")


# --------------------------------------------------------------------------- called again


def test_the_same_command_goes_on(dindic, data, monkeypatch):
    """With nothing to do: the models, encodings and tables stay, and so does what is said."""
    place = data("mnist")
    first = dindic(*words("mnist", place, "--no-figures"))
    before = tree("study")
    from dindic_models import study

    monkeypatch.delattr(study, "train_together")
    monkeypatch.delattr(study, "measure")
    second = dindic(*words("mnist", place, "--no-figures"))
    assert tree("study") == before
    assert second.stdout == first.stdout
    assert "epoch 1/1" in first.stderr
    assert "epoch" not in second.stderr


def test_more_epochs(dindic, data):
    place = data("mnist")
    dindic(*words("mnist", place, "--no-figures", "--quiet"))
    dindic(*words("mnist", place, "--no-figures", "--quiet", epochs=3))
    dindic(*words("mnist", place, "--no-figures", "--quiet", epochs=3, output="whole"))
    assert results() == results("whole/results.csv")
    assert {row["epochs"] for row in table()} == {"3"}


def test_other_settings_are_refused(dindic, say, data):
    place = data("mnist")
    dindic(*words("mnist", place, "--no-figures", "--quiet", epochs=2))
    before = tree("study")
    flags = ["--no-figures", "--quiet"]
    message = say(*words("mnist", place, *flags, "--closed-form", epochs=2))
    assert "was trained with closed_form = False, not True; only epochs may change" in message
    assert "more than 1 epochs" in say(*words("mnist", place, *flags))
    assert "was trained with precision" in say(
        *words("mnist", place, *flags, "--precision", "tf32")
    )
    assert tree("study") == before


# ----------------------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            ["--only", "learned_beta_3"],
            "the study has no run 'learned_beta_3'; it has fixed_sigma2",
        ),
        (["--only", "learned*,mog*"], "the study has no run 'mog*'; it has"),
        (["--seeds", "-1"], "seed must not be negative; it is -1"),
        (["--seeds", "one"], "'one' is not whole numbers between commas"),
        (["--precision", "float8"], "precision must be one of float32"),
        (["--epochs", "0"], "0 is not in the range"),
        (["--together", "0"], "0 is not in the range"),
        (["--images", "1"], "1 is not in the range"),
        (["--device", "mps"], "there is no device 'mps'"),
        (["--data", "gone"], "gone: there is no such file or folder"),
        (["--data", "."], "idx3-ubyte"),
    ],
)
def test_bad_words(say, data, more, message):
    assert message in say(*words("mnist", data("mnist")), *more)
    assert not Path("study").exists()


@pytest.mark.parametrize("name", ["celeba", "yale"])
def test_data_that_are_not_there(say, folder, name):
    """A sentence says where to get them."""
    message = say("study", name, "-o", "study")
    assert f"{name} needs a path." in message
    assert len(message) > 100
    message = say("study", name, "--data", "gone", "-o", "study")
    assert "gone: there is no such file or folder" in message
    assert list(Path().iterdir()) == []


def test_no_such_study_and_no_folder(say, folder):
    assert "'sprites' is not one of 'mnist', 'celeba', 'yale'" in say(
        "study", "sprites", "-o", "a"
    )
    assert "Missing option '-o'" in say("study", "mnist")


def test_a_folder_that_cannot_be(say, data):
    Path("taken").write_text("precious")
    message = say(*words("mnist", data("mnist"), "--quiet", output="taken"), code=1)
    assert "cannot write: " in message
    assert Path("taken").read_text() == "precious"


def test_a_run_that_diverges(dindic, data, monkeypatch):
    """Exit 1, after the others have their rows and the figures that can be are drawn."""
    beta = {"noise": "learned", "beta": 10.0, "lr": 1e30}
    monkeypatch.setitem(GRIDS["mnist"], "learned_beta_10", beta)
    command = words("mnist", data("mnist"), "--only", "fixed_sigma2_0.02,learned_beta_10")
    result = dindic(*command, code=1)
    assert [row["run"] for row in table()] == ["fixed_sigma2_0.02"]
    said = " ".join(result.stdout.split())
    assert "learned_beta_10 has no row: the loss is not a finite number by step 1;" in said
    assert "figure_13 is not drawn: it needs learned_beta_10" in result.stderr
    assert Path("study/figures/figure_04.png").is_file()
    found = dindic(*command, "--no-figures", "--json", "-", code=1)
    assert list(json.loads(found.stdout)["failed"]) == ["learned_beta_10"]


def test_all_runs_diverge(dindic, data, monkeypatch):
    monkeypatch.setitem(GRIDS["mnist"], "learned_beta_10", {"noise": "learned", "lr": 1e30})
    result = dindic(*words("mnist", data("mnist"), "--only", "learned_beta_10"), code=1)
    assert "no run has a row" in result.stdout
    assert not Path("study/results.csv").exists()
    assert "written: " not in result.stderr


# ------------------------------------------------------------------------------ signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_training(dindic, data, monkeypatch, number):
    place = data("mnist")
    flags = ["--together", 2, "--no-figures"]
    with monkeypatch.context() as patch:
        patch.setattr(module, "progress", signal_at(2, number=number))
        result = dindic(*words("mnist", place, *flags, epochs=3), code=128 + number)
    last = result.stderr.splitlines()[-1]
    assert last == "stopped in epoch 2, after step 2, which is saved; the same command resumes"
    assert result.stdout == ""
    assert not Path("study/results.csv").exists()
    dindic(*words("mnist", place, *flags, epochs=3))
    dindic(*words("mnist", place, *flags, epochs=3, output="whole"))
    assert results() == results("whole/results.csv")


def clock(monkeypatch, seconds):
    """Let every look at the time limit be so many seconds after the one before."""
    limit = partial(TimeLimit, clock=count(0, seconds).__next__)
    monkeypatch.setattr(train, "TimeLimit", limit)


def test_the_time_limit_ends_a_slice(dindic, data, monkeypatch):
    place = data("mnist")
    flags = [*words("mnist", place, "--no-figures", epochs=3), "--max-minutes", 1]
    clock(monkeypatch, 20)
    result = dindic(*flags, "--together", 3, code=75)
    last = result.stderr.splitlines()[-1]
    assert last == (
        "the time is up in epoch 2, after step 2, which is saved; the same command resumes"
    )
    assert result.stdout == ""
    clock(monkeypatch, 0)
    dindic(*flags)
    dindic(*words("mnist", place, "--no-figures", epochs=3, output="whole"))
    assert results() == results("whole/results.csv")


def test_encodings_stay_of_the_figures_models_only(dindic, data):
    dindic(*words("mnist", data("mnist")), "--max-mb", 1)
    assert [path.name for path in Path("study/encodings").iterdir()] == [
        "learned_beta_1.safetensors"
    ]
    assert Path("study/figures/figure_10.png").is_file()
    assert len(table()) == 3


def test_a_limit_of_megabytes_that_is_too_small(say, data):
    flags = words("mnist", data("mnist"), "--quiet")
    assert "--max-mb must be at least 0.1: figures need" in say(*flags, "--max-mb", 0.001)
    assert not Path("study/models").exists()


@pytest.mark.parametrize("description", ["measuring", "drawing"])
def test_an_interrupt_after_training(dindic, data, monkeypatch, description):
    place = data("mnist")

    def interrupted(work, said, total):
        for step in work:
            if said == description:
                signal.raise_signal(signal.SIGINT)
            yield step

    with monkeypatch.context() as patch:
        patch.setattr(module, "progress", interrupted)
        result = dindic(*words("mnist", place), code=130)
    assert result.stderr.splitlines()[-1] == "stopped; the same command resumes"
    assert Path("study/results.csv").exists() == (description == "drawing")
    again = dindic(*words("mnist", place, "--no-figures"))
    assert "epoch" not in again.stderr
    assert len(table()) == 3


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_an_interrupt_of_a_real_process(dindic, data):
    place = data("mnist")
    flags = [*words("mnist", place, "--together", 1, "--no-figures", epochs=40)]
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    with subprocess.Popen(
        [sys.executable, "-m", "dindic", *map(str, flags)],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | threads,
    ) as process:
        config = Path("study/models", RUNS["mnist"][0], "config.json")
        while process.poll() is None and not config.exists():
            time.sleep(0.002)
        process.send_signal(signal.SIGINT)
        errors = process.communicate(timeout=60)[1]
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert errors.splitlines()[-1].endswith("which is saved; the same command resumes")
    shell = [sys.executable, "-m", "dindic"]
    for output in ("study", "whole"):
        words_of = words("mnist", place, "--together", 1, "--no-figures", epochs=40, output=output)
        done = subprocess.run(
            [*shell, *map(str, words_of), "--quiet"], check=False, env=os.environ | threads
        )
        assert done.returncode == 0
    assert results() == results("whole/results.csv")


# --------------------------------------------------------------------------------- help


def test_help_does_not_wait_for_torch_and_counts_the_runs():
    code = """
import sys
from dindic import main
try:
    main(["study", "--help"])
except SystemExit as stop:
    assert stop.code == 0
assert not {"torch", "sklearn", "pandas", "matplotlib"} & set(sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for name, grid in GRIDS.items():
        assert f"{name:6}  {len(grid)} models" in done.stdout
    assert "Examples:" in done.stdout
