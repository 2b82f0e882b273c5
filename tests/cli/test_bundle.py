"""dindic bundle, and the bundle candidates that `make study-gpu` leaves."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: dindic bundle is NOT tested")

from layouts import WRITERS
from runs import pictures, settings_of_torch

from dindic_models.checkpoint import load
from dindic_models.config import settings
from dindic_models.devices import name_of
from dindic_models.networks import NETWORKS, mlp

ROOT = Path(__file__).parents[2]
CPU = name_of(torch.device("cpu"))


@pytest.fixture(autouse=True)
def _settings():
    with settings_of_torch():
        yield


@pytest.fixture
def run(dindic, folder, monkeypatch):
    """A small model, and the name of its folder."""
    monkeypatch.setitem(NETWORKS, "mlp", lambda *shape: mlp(*shape, hidden=(24, 12)))
    np.save("images.npy", pictures(400))
    flags = ["--network", "mlp", "--latents", 2, "--epochs", 4, "--batch", 16, "--lr", 0.01]
    dindic("train", "array", "--data", "images.npy", *flags, "-o", "run", "--quiet")
    return "run"


def test_a_candidate_has_its_provenance(dindic, run):
    result = dindic("bundle", run, "small", "-o", "candidates")
    assert result.stderr == "written: candidates/small\n"
    said = json.loads(Path("candidates/small/provenance.json").read_text())
    assert said["device"] == CPU
    assert (said["epochs"], said["seed"]) == (4, 0)
    assert said["data"]["fingerprint"].startswith("sha256:")
    words = "dindic train array --noise learned --epochs 4 --network mlp --dimensions 2 --batch 16"
    assert said["made_with"] == f"{words} --lr 0.01"
    assert load("candidates/small").config == load(run).config
    dindic("bundle", run, "small", "-o", "candidates", "--made-with", "by hand", "--quiet")
    said = json.loads(Path("candidates/small/provenance.json").read_text())
    assert said["made_with"] == "by hand"
    dindic("encode", "candidates/small", "--data", "images.npy", "-o", "x.npz")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["gone", "small"], "gone is not a run: it has no config.json"),
        (["run", "../small"], "NAME must be the name of a folder; it is '../small'"),
        (["run", "small", "--data", "gone"], "gone, the training data of the run, is missing"),
        (["run", "small", "--data", "others.npy"], "run was not trained on these data"),
    ],
)
def test_what_is_refused(say, run, words, message):
    np.save("others.npy", pictures(400, seed=1))
    assert message in say("bundle", *words, "-o", "candidates")
    assert not Path("candidates", "small").exists()


# ------------------------------------------------------------------------------ make study-gpu


def wheels(folder):
    """Two packages of pure Python as wheels, as they come along to a bare machine."""
    import array_api_compat
    import rich

    folder.mkdir()
    for package in (array_api_compat, rich):
        path = Path(package.__file__).parent
        made = shutil.make_archive(str(folder / path.name), "zip", path.parent, path.name)
        Path(made).rename(folder / f"{path.name}-1-py3-none-any.whl")
    return folder


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_the_study_of_a_bare_machine_from_images_to_candidates(tmp_path):
    """One epoch of few images; the first call has time for a step only, the second resumes."""
    data, out = WRITERS["mnist"](tmp_path / "mnist", parts=(("train", 180), ("t10k", 60))), "out"
    np.save(tmp_path / "images.npy", pictures(300))
    sprites = f"array --data {tmp_path / 'images.npy'} --network mlp --dimensions 2 --batch 16"
    words = [f"OUT={tmp_path / out}", f"DATA={data}", f"PYTHON={sys.executable}", "EPOCHS=1"]
    words += ["ONLY=learned_beta_1,fixed_sigma2_0.01", "SPRITES_EPOCHS=1", "DEVICE=cpu"]
    words += [f"SPRITES={sprites}", f"WHEELS={wheels(tmp_path / 'wheels')}"]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}

    def make(*more):
        command = ["make", "--no-print-directory", "-C", ROOT, "study-gpu", *words, *more]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, env=environment
        )

    sliced = make("MINUTES=0.001")
    assert sliced.returncode == 2  # of make, whatever a command returned
    assert "the time is up" in sliced.stderr
    assert "the same command resumes" in sliced.stderr
    assert "Error 75" in sliced.stderr
    done = make()
    assert done.returncode == 0, done.stderr
    with open(tmp_path / out / "results.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["run"] for row in rows] == ["fixed_sigma2_0.01", "learned_beta_1"]
    assert {row["device"] for row in rows} == {CPU}
    kept = [path.name for path in (tmp_path / out / "encodings").iterdir()]
    assert kept == ["learned_beta_1.safetensors"]
    assert (tmp_path / out / ".wheels" / "rich" / "__init__.py").is_file()
    for name, settled in (
        ("beta1", {"dataset": "mnist", "beta": 1.0}),
        ("sprites_beta4", {"dataset": "array", "beta": 4.0}),
    ):
        found = load(tmp_path / out / "candidates" / name)
        assert found.devices == (CPU,)
        said = found.config.to_dict()
        assert settings(said, name) == found.config
        assert said.items() >= settled.items()


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_the_study_of_a_bare_machine_needs_a_folder():
    done = subprocess.run(
        ["make", "-C", ROOT, "study-gpu"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "Name the output folder: make study-gpu OUT=folder" in done.stderr
