import json
import os
import subprocess
import sys

import numpy as np
import pytest
from cli_helpers import flat
from click.testing import CliRunner

from dindic import main

N = 80


@pytest.fixture
def pair():
    """Means and variances of 80 samples in 4 latents: used, used, weak, unused."""
    rng = np.random.default_rng(0)
    width = np.array([0.1, 0.3, 0.6, 1.0])
    mean = rng.normal(size=(N, 4)) * np.sqrt(1 - width)
    var = width * np.exp(0.1 * rng.normal(size=(N, 4)))
    mean[:, 3] += 1e-3 * rng.normal(size=N)
    return mean, var


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def npz(folder):
    """Save arrays under a name in the current folder and return that name."""

    def save(name="encodings.npz", **arrays):
        np.savez(folder / name, **arrays)
        return name

    return save


@pytest.fixture
def good(npz, pair):
    """A file in which nothing is wrong."""
    return npz("good.npz", mean=pair[0], var=pair[1])


@pytest.fixture
def known(npz, pair):
    """A file with two factors, of which latents 0 and 1 are noisy copies."""
    mean, var = pair
    factors = np.clip(np.round(mean[:, :2] + 1.5), 0, 3).astype(int)
    return npz("known.npz", mean=mean, var=var, factors=factors)


@pytest.fixture
def numbers(dindic):
    """Run a score and return its JSON."""

    def run(*words):
        return json.loads(dindic("score", *words, "--quiet", "--json", "-").stdout)

    return run


@pytest.fixture
def dindic():
    """Run a command in this process; whatever happens, it must not be a traceback."""

    def run(*words, code=0):
        result = CliRunner().invoke(main, [str(word) for word in words])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert "Traceback" not in result.output
        assert result.exit_code == code, result.output
        return result

    return run


@pytest.fixture
def shell():
    """Run a command in a process of its own, as a user would, with more variables set."""

    def run(*words, text=True, **variables):
        return subprocess.run(
            [sys.executable, "-m", "dindic", *map(str, words)],
            capture_output=True,
            text=text,
            check=False,
            env=os.environ | variables,
        )

    return run


@pytest.fixture
def say(dindic):
    """Run a command that must be refused, and return what stderr says, on one line."""

    def run(*words, code=2):
        result = dindic(*words, code=code)
        assert result.stdout == ""
        return flat(result.stderr)

    return run
