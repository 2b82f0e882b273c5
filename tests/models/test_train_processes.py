"""Training in two processes gives the run of one."""

import json
import os
import subprocess
import sys
import time

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: NO model is tested")

from runs import (
    NOISES,
    N,
    config,
    dataset,
    pictures,
    state,
)
from training import assert_close, command, environment, finish, opened

from dindic_models.checkpoint import load
from dindic_models.train import (
    train,
)

pytestmark = pytest.mark.usefixtures("_settings", "_narrow")


TOGETHER = """
import json, os, sys
from contextlib import nullcontext

import torch
from runs import config, dataset, pictures, signal_at

from dindic_models import train as module
from dindic_models.devices import processes
from dindic_models.networks import NETWORKS

NETWORKS["mlp"] = lambda *shape, mlp=NETWORKS["mlp"]: mlp(*shape, hidden=(24, 12))
with processes(torch.device("cpu")) as group:
    module.processes = lambda device: nullcontext(group)
    for job in json.loads(sys.argv[1]):
        n, rank, step, resume = (job.pop(k) for k in ("n", "rank", "stop", "resume"))
        module.SAVE_EVERY = job.pop("save")
        folder = job.pop("folder")
        show = signal_at(step) if rank == group.rank else None
        try:
            module.train(
                config(**job), dataset(pictures(n)), folder, resume=resume, progress=show
            )
        except (module.TrainingStoppedError, module.TrainingDivergedError) as stop:
            with open(f"{folder}/{group.rank}.txt", "w") as stream:
                stream.write(str(stop))
"""


def together(folder, jobs):
    """Do jobs of training one after the other on two processes."""
    script = folder / "together.py"
    script.write_text(TOGETHER)
    usual = {"n": N, "rank": None, "stop": 1, "resume": False, "save": 600.0}
    jobs = [usual | job | {"folder": str(job["folder"])} for job in jobs]
    words = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    paths = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, *words, script, json.dumps(jobs)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | paths | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr


def test_two_processes_are_one(tmp_path):
    """The last batch is a single image, so that the second process has none of it.

    Also when a signal reaches one of them, in the middle of an epoch, and when one goes on.
    """
    double = {"precision": "float64", "samples": 2, "epochs": 2}
    jobs, alone = [], []
    for name, noise in NOISES.items():
        jobs.append({"folder": tmp_path / name, **double, **noise})
    jobs[-1]["save"] = -1.0  # after every step
    for rank, stop in ((0, 3), (1, 7)):
        job = {"folder": tmp_path / f"stop {rank}", **double, **NOISES["mog"]}
        jobs += [job | {"rank": rank, "stop": stop}, job | {"resume": True}]
    for job in ({"folder": tmp_path / "one goes on", **double, **NOISES["closed form"]},):
        jobs.append(job | {"rank": 1, "stop": 8})
        alone.append(job)
    together(tmp_path, jobs)
    for name, noise in NOISES.items():
        settings = config(**double, **noise)
        train(settings, dataset(), tmp_path / f"alone {name}")
        assert_close(tmp_path / name, tmp_path / f"alone {name}")
    for rank, stop in ((0, 3), (1, 7)):
        said = [(tmp_path / f"stop {rank}" / f"{r}.txt").read_text() for r in range(2)]
        assert said == [f"stopped in epoch {rank + 1}, after step {stop}, which is saved"] * 2
        assert_close(tmp_path / f"stop {rank}", tmp_path / "alone mog")
    settings = config(**double, **NOISES["closed form"])
    train(settings, dataset(), tmp_path / "one goes on", resume=True)
    assert_close(tmp_path / "one goes on", tmp_path / "alone closed form")


@pytest.mark.slow
def test_two_processes_on_other_networks_and_batches(tmp_path):
    double = {"precision": "float64", "epochs": 2}
    jobs = [
        {"folder": tmp_path / f"{network} {noise} {batch} {n}", "network": network, "batch": batch}
        | {"n": n}
        | double
        | NOISES[noise]
        for network in ("mlp", "mnist", "linear")
        for noise in NOISES
        for batch, n in ((1, 9), (5, N), (7, 70))
    ]
    together(tmp_path, jobs)
    for job in jobs:
        folder, n = job.pop("folder"), job.pop("n")
        train(config(**job), dataset(pictures(n)), tmp_path / "alone" / folder.name)
        assert_close(folder, tmp_path / "alone" / folder.name, 1e-9)


@pytest.mark.slow
def test_two_processes_both_find_a_loss_that_is_nan(tmp_path):
    """Of one of them, by its part of the images or by the images that only the first judges."""
    jobs = [
        {"folder": tmp_path / "a", "lr": 1e6},
        {"folder": tmp_path / "b", "lr": 1e30, "batch": 100},
    ]
    together(tmp_path, jobs)
    for job in jobs:
        said = {(job["folder"] / f"{rank}.txt").read_text() for rank in range(2)}
        assert len(said) == 1
        assert "the loss is not a finite number" in said.pop()


def launched(*words, **changes):
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return [*start, "--nproc-per-node", "2", *command(*words, **changes)[1:]]


@pytest.mark.slow
def test_a_signal_to_the_launcher_stops_both_at_a_checkpoint(tmp_path, npy):
    flags = {"precision": "float64", "epochs": 400, "noise": "network", "samples": 2}
    words = launched("--data", str(npy), "-o", str(tmp_path / "run"), **flags)
    with subprocess.Popen(words, env=environment(), stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not (tmp_path / "run" / "history.csv").exists():
            time.sleep(0.01)
        process.terminate()
        errors = process.communicate()[1]
    assert process.returncode != 0
    assert "exitcode: 1 " not in errors
    step = state(tmp_path / "run")[1]
    assert 5 <= step < 2000
    load(tmp_path / "run")
    settings = config(network="linear", **flags | {"epochs": step // 5 + 2})
    for name in ("run", "whole"):
        folder = tmp_path / name
        if name == "run":
            text = (folder / "config.json").read_text()
            assert '"epochs": 400' in text
        train(settings, opened(npy), folder, resume=name == "run")
    assert_close(tmp_path / "run", tmp_path / "whole", 1e-9)


@pytest.mark.slow
def test_two_processes_on_the_command_line(tmp_path, npy):
    flags = {"precision": "float64", "epochs": 2, "noise": "mog"}
    words = launched("--data", str(npy), "-o", str(tmp_path / "two"), **flags)
    words.remove("--quiet")
    done = finish(words)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("epoch 2/2") == done.stderr.count("written: ") == 1
    assert done.stderr.count("an array (81, 1, 8, 8) of uint8") == 1
    train(config(network="linear", **flags), opened(npy), tmp_path / "one")
    assert_close(tmp_path / "two", tmp_path / "one")
