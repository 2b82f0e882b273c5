"""The subset of the simulations that continuous integration runs, and the page against the list."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from calibration.__main__ import names_of, table
from calibration.cells import SECTIONS, SIMULATIONS
from calibration.designs import SHAPES, Design
from calibration.measure import (
    AtLeast,
    AtMost,
    Mean,
    Measured,
    Simulation,
    Spread,
    Within,
    measure,
    summed_up,
)
from scipy.integrate import quad
from scipy.stats import norm

PAGE = Path(__file__).resolve().parents[2] / "docs" / "calibration.md"
REPLICATIONS = 100
ERRORS = 5

QUICK = [simulation for simulation in SIMULATIONS if simulation.quick]


@pytest.mark.slow
@pytest.mark.parametrize("simulation", QUICK, ids=lambda simulation: simulation.key)
def test_what_is_printed_keeps_its_promise(simulation):
    found, _ = measure(replace(simulation, replications=REPLICATIONS))
    for name, promise in simulation.promises.items():
        if not promise.holds(found[name], ERRORS) and name not in simulation.remarks:
            pytest.fail(f"{name}: promised {promise}, measured {found[name]}")


def test_every_simulation_has_a_name_and_a_section_of_its_own():
    assert len({simulation.key for simulation in SIMULATIONS}) == len(SIMULATIONS)
    assert [s for s in SECTIONS if any(x.section == s for x in SIMULATIONS)] == list(SECTIONS)
    assert all(simulation.replications >= 500 for simulation in SIMULATIONS)


def test_the_page_has_every_number_of_the_list_and_no_other():
    wanted = [row for section in SECTIONS for row in names_of(section)]
    found = [
        tuple(cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:6])
        for line in PAGE.read_text().splitlines()
        if line.startswith("| ") and not line.startswith("| printed ")
    ]
    assert found == wanted


def test_the_page_explains_what_is_outside_its_promise():
    text = PAGE.read_text()
    assert "not run" not in text
    assert "not explained" not in text


def test_a_number_outside_its_promise_is_marked():
    simulation = Simulation("Joint", lambda *_: {}, Design(10), {"x": AtLeast(0.9)})
    for share, word in ((0.5, "outside"), (0.9, "| |")):
        result = {simulation.key: ({"x": Measured(share, 0.01, None, 500)}, 1.0)}
        assert word in table([simulation], result)[-1].replace("|  |", "| |")


@pytest.mark.parametrize(
    ("promise", "kept", "broken"),
    [
        (AtLeast(0.9), Measured(0.88, 0.01, None, 1), Measured(0.86, 0.01, None, 1)),
        (AtMost(0.05), Measured(0.07, 0.01, None, 1), Measured(0.09, 0.01, None, 1)),
        (Within(0.25), Measured(1.0, 0.01, 1.26, 1), Measured(1.0, 0.01, 1.3, 1)),
        (Within(0.0, 0.1), Measured(0.0, 0.01, 0.12, 1), Measured(0.0, 0.01, 0.14, 1)),
    ],
)
def test_a_promise_can_be_broken(promise, kept, broken):
    assert promise.holds(kept, 3)
    assert not promise.holds(broken, 3)


def test_what_outcomes_come_to():
    rng = np.random.default_rng(0)
    share = summed_up([True] * 90 + [False] * 10)
    assert (share.value, share.stated) == (0.9, None)
    assert share.error == pytest.approx(0.03, abs=2e-3)
    x = rng.normal(3, 2, size=10_000)
    mean = summed_up([Mean(2.5, value) for value in x])
    assert (mean.stated, mean.value) == (2.5, pytest.approx(x.mean()))
    assert mean.error == pytest.approx(0.02, rel=0.05)
    spread = summed_up([Spread(1.5, value) for value in x])
    assert (spread.stated, spread.value) == (1.5, pytest.approx(x.std(ddof=1)))
    assert spread.error == pytest.approx(2 / np.sqrt(20_000), rel=0.05)


def test_the_same_seed_gives_the_same_numbers():
    simulation = replace(QUICK[0], replications=3)
    assert measure(simulation)[0] == measure(simulation)[0]


@pytest.mark.parametrize("shape", [*SHAPES, "grid"])
def test_means_have_the_variance_of_the_design(shape):
    mean, var, _ = Design(200_000, 1, shape=shape, spread=2.0).draw(np.random.default_rng(0))
    assert mean.mean() == pytest.approx(0, abs=0.02)
    assert mean.var() == pytest.approx(2, rel=0.2 if shape == "t3" else 0.03)
    assert np.all(var == 0.1)


def test_the_information_of_uniform_means_is_that_of_quadrature():
    design = Design(1, 1, shape="uniform", width=0.1, spread=0.9)
    sd, end = np.sqrt(0.1), np.sqrt(3 * 0.9)

    def surprise(z):
        q = (norm.cdf((z + end) / sd) - norm.cdf((z - end) / sd)) / (2 * end)
        return -q * np.log(q)

    entropy = 2 * quad(surprise, 0, end + 8 * sd, epsabs=1e-10)[0]
    wanted = entropy - 0.5 * np.log(2 * np.pi * np.e * 0.1)
    assert design.truth["information_per_latent"] == pytest.approx(wanted, abs=1e-4)


def test_clusters_and_copies():
    rng = np.random.default_rng(0)
    mean, _, clusters = Design(40_000, 1, clusters=2000, share=0.7).draw(rng)
    centres = np.bincount(clusters, mean[:, 0]) / 20
    assert mean.var() == pytest.approx(0.9, rel=0.05)
    assert centres.var() == pytest.approx(0.9 * (0.7 + 0.3 / 20), rel=0.15)
    mean, var, _ = Design(100, 2, copies=5).draw(rng)
    assert mean.shape == var.shape == (100, 2)
    assert len(np.unique(mean[:, 0])) == 20
