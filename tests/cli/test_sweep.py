"""dindic compare --x, through real files."""

import json

import numpy as np
import pytest
from cli_helpers import flat


@pytest.fixture
def files(npz):
    rng = np.random.default_rng(0)
    made = []
    for beta in (1, 4):
        for seed in (0, 1):
            mean = rng.normal(size=(100, 2))
            var = beta / 20 * rng.uniform(0.9, 1.1, size=mean.shape)
            made.append(npz(f"beta{beta}_seed{seed}.npz", mean=mean, var=var))
    return made


def test_a_sweep_of_files_and_of_saved_reports(dindic, files, folder):
    words = ("--x", "beta", "--group", "seed")
    result = dindic("compare", *files, *words, "--plot", "s.png", "--csv", "s.csv")
    assert flat(result.stdout).startswith("SWEEP 4 encoders at 2 values of beta, 2 each.")
    assert (folder / "s.png").stat().st_size > 1000
    assert len((folder / "s.csv").read_text().splitlines()) == 3
    saved = []
    for file in files:
        saved.append(file.replace(".npz", ".json"))
        dindic("score", file, "--json", saved[-1], "--quiet")
    fresh, again = (
        json.loads(dindic("compare", *some, *words, "--json", "-").stdout)
        for some in (files, saved)
    )
    assert again["x"] == [1, 4]
    assert again["means"]["used"] == fresh["means"]["used"]
    dindic("compare", *saved, *words, "--plot", "t.png", "--quiet")
    assert (folder / "t.png").exists()


def test_settings_that_are_not_there_are_asked_for(dindic, files):
    refused = dindic("compare", *files, "--x", "gamma", code=2)
    assert "give a CSV file with the columns file and gamma by --settings" in flat(refused.stderr)
    assert "--group goes with --x NAME" in dindic("compare", *files, "--group", "a", code=2).stderr
    assert "two files or more" in dindic("compare", files[0], "--x", "beta", code=2).stderr
