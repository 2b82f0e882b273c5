"""dindic train, through real files; signals to real processes."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: dindic train is NOT tested")

from runs import assert_same, files, pictures, settings_of_torch, state

from dindic_models import train as module
from dindic_models.checkpoint import load, read_config
from dindic_models.config import Config
from dindic_models.train import TimeLimit

SMALL = ["--network", "linear", "--dimensions", 2, "--batch", 16, "--epochs", 2, "--lr", 0.001]


@pytest.fixture(autouse=True)
def _settings():
    with settings_of_torch():
        yield


@pytest.fixture
def npy(folder):
    np.save("images.npy", pictures())
    return "images.npy"


def settings(folder):
    return read_config(Path(folder))[0]


def test_a_run_says_what_it_does(dindic, npy, folder):
    result = dindic("train", "--data", npy, "-o", "run", *SMALL)
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    images = "an array (81, 1, 8, 8) of uint8, 81 images of 1x8x8, from images.npy"
    assert lines[0] == images
    assert [line.split("  ")[0] for line in lines[1:3]] == ["epoch 1/2", "epoch 2/2"]
    assert lines[3:] == ["written: run", "next: dindic encode run -o encodings.npz"]
    names = ["config.json", "history.csv", "model.safetensors", "training.safetensors"]
    assert sorted(files(folder / "run")) == names
    assert load("run").data["path"] == "images.npy"


def test_what_comes_next_works(dindic, npy):
    dindic("train", "--data", npy, "-o", "run", *SMALL)
    line = dindic("train", "--resume", "run").stderr.splitlines()[-1]
    dindic(*line.removeprefix("next: dindic ").split())
    line = dindic("encode", "run", "-o", "encodings.npz").stderr.splitlines()[-1]
    assert "8 rows x 2 latents" in dindic(*line.removeprefix("next: dindic ").split()).output


def test_quiet(dindic, npy):
    assert dindic("train", "--data", npy, "-o", "run", *SMALL, "--quiet").output == ""


def test_what_an_unknown_data_set_starts_from(dindic, npy):
    dindic("train", "array", "--data", npy, "-o", "run", "--epochs", 1, "--dimensions", 2)
    given = Config("array", "mnist", latents=2, epochs=1, lr=5e-4)
    assert settings("run") == given


def test_every_setting_has_a_flag(dindic, npy):
    values = {
        "network": "mlp",
        "latents": 3,
        "activation": "linear",
        "init": "xavier",
        "noise": "learned",
        "sigma2": 0.2,
        "closed_form": True,
        "components": 4,
        "floor": 0.002,
        "beta": 2.0,
        "samples": 2,
        "batch": 33,
        "epochs": 1,
        "lr": 0.01,
        "seed": 5,
        "split": "paper",
        "split_seed": 6,
        "precision": "float64",
    }
    flags = [
        word
        for name, value in values.items()
        for word in ([f"--{name.replace('_', '-')}"] + ([] if value is True else [value]))
    ]
    dindic("train", "--data", npy, "-o", "run", *flags)
    assert settings("run").to_dict() == {"dataset": "array"} | values


# ------------------------------------------------------------------------------ TOML and flags


TOML = """
data = "images.npy"
network = "linear"
latents = 2
batch = 16
epochs = 1
beta = 4
noise = "learned"
closed_form = true
"""


def test_flags_win_over_the_file_and_the_file_over_the_start(dindic, npy):
    Path("run.toml").write_text(TOML)
    dindic("train", "--config", "run.toml", "-o", "run")
    written = {"network": "linear", "latents": 2, "batch": 16, "epochs": 1, "beta": 4}
    written["activation"] = "linear"  # because the network is
    expected = Config("array", **written, closed_form=True, lr=5e-4)
    assert settings("run") == expected
    flags = ["--beta", 2, "--no-closed-form", "--lr", 0.25]
    dindic("train", "--config", "run.toml", "-o", "other", *flags)
    changes = {"beta": 2.0, "closed_form": False, "lr": 0.25}
    assert settings("other").to_dict() == expected.to_dict() | changes


def test_data_and_data_set_win_over_the_file(dindic, npy):
    np.save("other.npy", pictures(40))
    Path("run.toml").write_text(f'dataset = "array"\n{TOML}')
    result = dindic("train", "array", "--config", "run.toml", "--data", "other.npy", "-o", "run")
    assert "40 images of 1x8x8, from other.npy" in result.stderr


BAD_TOML = {
    "lattents = 3": "run.toml: there is no setting 'lattents'; there is latents",
    "latents = 0": "run.toml: latents must be at least 1; it is 0",
    "latents = 2.5": "run.toml: latents must be an integer; it is 2.5",
    "epochs = true": "run.toml: epochs must be an integer; it is True",
    'lr = "fast"': "run.toml: lr must be a number; it is 'fast'",
    "lr = nan": "run.toml: lr must be positive and finite; it is nan",
    "sigma2 = inf": "run.toml: sigma2 must be positive and finite; it is inf",
    'noise = "cauchy"': "run.toml: noise must be one of fixed, learned, mog, network; it is",
    "noise = ['mog']": "run.toml: noise must be text; it is ['mog']",
    "[train]\nlatents = 2": "run.toml: there is no setting 'train'",
    "latents 3": "run.toml: not TOML (",
    "data = 3": "run.toml: data must be a path; it is 3",
    "data = 'gone.npy'": "gone.npy: there is no such file or folder",
    "dataset = 'mnst'": "dataset must be one of",
    "dataset = 3": "dataset must be one of",
    "noise = 'mog'\nclosed_form = true": "closed_form goes with noise 'learned', not 'mog'",
}


@pytest.mark.parametrize("text", BAD_TOML)
def test_a_bad_file_of_settings(say, npy, text):
    Path("run.toml").write_text(text)
    data = [] if text.startswith("data =") else ["--data", npy]
    assert BAD_TOML[text] in say("train", "--config", "run.toml", *data, "-o", "run")
    assert not Path("run").exists()


def test_a_file_of_settings_that_is_not_there_or_no_text(say, npy, folder):
    words = ["train", "--data", npy, "-o", "run", "--config"]
    assert "no such file: run.toml" in say(*words, "run.toml")
    assert f"{folder} is a folder" in say(*words, folder)
    assert "images.npy: not TOML" in say(*words, npy)


# --------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give -o FOLDER for a new run, or --resume FOLDER"),
        (["--data", "images.npy"], "give -o FOLDER for a new run, or --resume FOLDER"),
        (["-o", "run", "--resume", "run"], "give -o FOLDER for a new run, or --resume FOLDER"),
        (["--resume", "run"], "run is not a run: it has no config.json"),
        (["array", "--resume", "run"], "--resume takes the data set and the settings of the run"),
        (["--config", "a.toml", "--resume", "run"], "--resume takes the data set"),
        (["-o", "run"], "give a path, or one of sprites, mnist"),
        (["fashion", "-o", "run"], "dataset must be one of"),
        (["celeba", "-o", "run"], "celeba needs a path."),
        (["yale", "--data", "gone", "-o", "run"], "gone: there is no such file or folder."),
        (["mnist", "--data", "gone", "-o", "run"], "gone: there is no such file or folder."),
        (["mnist", "--data", ".", "-o", "run"], "idx3-ubyte"),
        (["--data", "gone.npy", "-o", "run"], "gone.npy: there is no such file or folder"),
        (
            ["--data", "images.npy", "-o", "run", "--dimensions", "many"],
            "'many' is not a valid int",
        ),
        (["--data", "images.npy", "-o", "run", "--dimensions", "0"], "latents must be at least 1"),
        (["--data", "images.npy", "-o", "run", "--noise", "none"], "noise must be one of fixed"),
        (["--data", "images.npy", "-o", "run", "--network", "burgess"], "Burgess network takes"),
        (["--data", "images.npy", "-o", "run", "--split", "official"], "no official part"),
        (["--data", "images.npy", "-o", "run", "--device", "mps"], "there is no device 'mps'"),
    ],
)
def test_bad_words(say, npy, words, message):
    assert message in say("train", *words)
    assert not Path("run").exists() or not any(Path("run").iterdir())


@pytest.mark.parametrize("name", ["celeba", "yale", "dsprites"])
def test_a_data_set_that_is_not_there_is_told_where_to_get(say, folder, name):
    message = say("train", name, "-o", "run")
    assert message.startswith(f"Error: {name} needs a path.")
    assert len(message) > 100


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_no_gpu(say, npy):
    message = say("train", "--data", npy, "-o", "run", "--device", "cuda")
    assert message == "Error: --device cuda: torch finds no GPU here"


def test_a_folder_that_holds_a_run(dindic, say, npy, folder):
    dindic("train", "--data", npy, "-o", "run", *SMALL)
    before = files(folder / "run")
    message = say("train", "--data", npy, "-o", "run", *SMALL).split("npy ")[1]
    assert (
        message
        == "Error: run contains a run already; resume it (--resume), or name another folder"
    )
    assert files(folder / "run") == before


def test_a_folder_that_cannot_be(say, npy):
    assert "cannot write: " in say("train", "--data", npy, "-o", npy, *SMALL, code=1)
    np.testing.assert_array_equal(np.load(npy), pictures())


def test_a_loss_that_is_nan_ends_with_a_sentence(dindic, npy, folder):
    words = ["train", "--data", npy, "-o", "run", *SMALL, "--lr"]
    last = dindic(*words, 1e30, code=1).stderr.splitlines()[-1]
    assert last.startswith("Error: the loss is not a finite number by step ")
    assert "A smaller lr than 1e+30" in last
    assert list(files(folder / "run")) == ["config.json"]


# ----------------------------------------------------------------------------------------- resume


def test_resume_with_more_epochs(dindic, npy, folder):
    dindic("train", "--data", npy, "-o", "run", *SMALL)
    result = dindic("train", "--resume", "run", "--epochs", 4)
    assert [line[:9] for line in result.stderr.splitlines()[1:3]] == ["epoch 3/4", "epoch 4/4"]
    dindic("train", "--data", npy, "-o", "whole", *SMALL, "--epochs", 4)
    assert_same(folder / "run", folder / "whole")
    assert settings("run") == settings("whole")


def test_resume_and_nothing_is_left_to_do(dindic, npy, folder):
    dindic("train", "--data", npy, "-o", "run", *SMALL)
    before = files(folder / "run")
    dindic("train", "--resume", "run")
    assert files(folder / "run") == before


def test_resume_with_fewer_epochs(dindic, say, npy, folder):
    dindic("train", "--data", npy, "-o", "run", *SMALL)
    before = files(folder / "run")
    assert "more than 1 epochs" in say("train", "--resume", "run", "--epochs", 1)
    assert files(folder / "run") == before


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--beta", 2], "beta = 1.0, not 2.0"),
        (["--noise", "mog"], "noise = learned, not mog"),
        (["--closed-form"], "closed_form = False, not True"),
        (["--seed", 3], "seed = 0, not 3"),
        (["--precision", "float64"], "precision = float32, not float64"),
    ],
)
def test_resume_with_other_settings(dindic, say, npy, folder, flags, words):
    dindic("train", "--data", npy, "-o", "run", *SMALL)
    before = files(folder / "run")
    message = f"run was trained with {words}; only epochs may change"
    assert message in say("train", "--resume", "run", *flags)
    assert files(folder / "run") == before


def test_resume_where_the_data_have_moved(dindic, say, npy, folder):
    dindic("train", "--data", npy, "-o", "run", *SMALL)
    Path(npy).rename("moved.npy")
    missing = "images.npy, the training data of the run, is missing: add --data PATH"
    assert missing in say("train", "--resume", "run", "--epochs", 3)
    dindic("train", "--resume", "run", "--epochs", 3, "--data", "moved.npy")
    assert load("run").data["path"] == "moved.npy"
    np.save("other.npy", 255 - pictures())
    words = ["train", "--resume", "run", "--epochs", 4, "--data", "other.npy"]
    assert "run was trained on other data (array)" in say(*words)


def test_the_time_limit_ends_at_a_checkpoint_and_resume_goes_on(dindic, npy, folder, monkeypatch):
    """By a clock that goes on by ten seconds at every look: the sixth step ends the minute."""
    limit = partial(TimeLimit, clock=count(0, 10).__next__)
    flags = [*SMALL, "--epochs", 3]
    with monkeypatch.context() as patch:
        patch.setattr(module, "TimeLimit", limit)
        words = ["train", "--data", npy, "-o", "run", *flags, "--max-minutes", 1]
        errors = dindic(*words, code=75).stderr
    last = "the time is up in epoch 2, after step 6, which is saved; resume with: "
    assert errors.splitlines()[-1] == f"{last}dindic train --resume run"
    dindic("train", "--resume", "run", "--quiet", "--max-minutes", 60)
    dindic("train", "--data", npy, "-o", "whole", *flags, "--quiet")
    assert_same(folder / "run", folder / "whole")


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_a_signal_ends_at_a_checkpoint_and_resume_goes_on(dindic, npy, folder, number):
    """With weights at the end that are those of a run that was not stopped."""
    flags = [*SMALL, "--epochs", 20, "--samples", 2]
    words = [sys.executable, "-m", "dindic", "train", "--data", npy, "-o", "run", *flags]
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    with subprocess.Popen(
        list(map(str, words)), stderr=subprocess.PIPE, text=True, env=os.environ | threads
    ) as process:
        while process.poll() is None and not Path("run/history.csv").exists():
            time.sleep(0.002)
        process.send_signal(number)
        errors = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + number, errors
    assert "Traceback" not in errors
    _, step, rows = state(folder / "run")
    last = f"stopped in epoch {-(-step // 5)}, after step {step}, which is saved; resume with: "
    assert errors.splitlines()[-1] == f"{last}dindic train --resume run"
    assert 5 <= step < 100
    assert len(rows) == step // 5
    assert all(bool(p.isfinite().all()) for p in load("run").model.parameters())
    dindic("train", "--resume", "run", "--quiet")
    dindic("train", "--data", npy, "-o", "whole", *flags, "--quiet")
    assert_same(folder / "run", folder / "whole")
    assert len(state(folder / "run")[2]) == 20


# ------------------------------------------------------------------------------------------- help


@pytest.mark.parametrize("name", ["train", "encode"])
def test_help_does_not_wait_for_torch(name):
    code = f"""
import sys
from dindic import main
try:
    main(["{name}", "--help"])
except SystemExit as stop:
    assert stop.code == 0
assert not {{"torch", "sklearn", "pandas", "matplotlib"}} & set(sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Examples:" in done.stdout


def test_the_help_names_every_setting_of_a_run(dindic):
    text = dindic("train", "--help").stdout
    for name in Config().to_dict():
        flag = {"latents": "dimensions"}.get(name, name).replace("_", "-")
        assert name == "dataset" or f"--{flag}" in text
    assert "--latents" not in text


def test_config_json_says_what_a_reader_needs(dindic, npy):
    dindic("train", "--data", npy, "-o", "run", *SMALL)
    content = json.loads(Path("run/config.json").read_text())
    assert content["format"] == "dindic-model/1"
    assert content["shape"] == [1, 8, 8]
    assert content["data"]["n"] == 81
    assert content["config"]["network"] == "linear"


def test_a_full_disk_is_said_without_a_traceback(dindic, npy, folder, monkeypatch):
    from safetensors import SafetensorError

    from dindic_models import checkpoint

    def full(*args):
        raise SafetensorError("Error while serializing: I/O error: No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    last = dindic("train", "--data", npy, "-o", "run", *SMALL, code=1).stderr.splitlines()[-1]
    assert last.startswith("Error: cannot write: run/")
    assert last.endswith("No space left on device")
