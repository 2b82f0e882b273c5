"""Small studies in tests, and what two of them must have in common."""

import csv
import os
import signal

from runs import NOISES, config
from training import KilledError

from dindic_models.checkpoint import read_tensors

EPOCHS, STEPS = 2, 5
"""Of the small studies; an epoch ends with a batch of a single image."""


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
