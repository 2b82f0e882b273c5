"""The two ways to the numbers of one latent: sums over cells, and the exact tree as their witness."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mixtures import density
from strategies import rngs
from trees import tree_marginals

from disentangle_indicators.aggregate import _one_latent, marginals
from disentangle_indicators.aggregate._one_latent import (
    ALONE,
    ENOUGH,
    PROMISED,
    by_sums,
    by_tree,
    of_latent,
)
from disentangle_indicators.aggregate._shortfall import Neighbours, shortfall

KINDS = ("even", "two modes", "not used", "many widths", "heavy tails", "far away")


def rows_of(kind, n, rng):
    """Means and variances (n,) that an even grid of few points resolves."""
    mean, noise = rng.normal(size=n), rng.normal(size=n)
    return {
        "even": (0.9 * mean, 0.2 * np.exp(0.3 * noise)),
        "two modes": (rng.choice([-0.98, 0.98], size=n) + 0.01 * mean, 0.04 * np.exp(0.1 * noise)),
        "not used": (0.01 * mean, np.exp(0.01 * noise)),
        "many widths": (mean, np.exp(rng.uniform(math.log(1e-3), math.log(0.5), n))),
        "heavy tails": (rng.standard_t(4, size=n), 0.2 * np.exp(0.5 * noise)),
        "far away": (1e4 + mean, 0.1 * np.exp(0.3 * noise)),
    }[kind]


def both(mean, var, points=()):
    picked, near = np.arange(len(mean)), Neighbours(len(mean), None)
    rest = mean, var, np.asarray(points, float), picked, near
    return by_sums(*rest), by_tree(0, *rest)


@given(rng=rngs, kind=st.sampled_from(KINDS), n=st.integers(300, 900))
@settings(max_examples=20)
def test_sums_are_what_the_tree_gives(rng, kind, n):
    mean, var = rows_of(kind, n, rng)
    rows = rng.integers(n, size=50)
    points = mean[rows] + np.sqrt(var[rows]) * rng.normal(size=50)
    ours, exact = both(mean, var, points)
    if ours is None:  # what the sums report is too much, which is seldom
        assert kind in ("many widths", "heavy tails")
        return
    assert abs(ours.entropy - exact.entropy) <= ours.error + exact.error <= 1.01 * ENOUGH
    assert ours.second == pytest.approx(exact.second, rel=1e-12)
    assert ours.log_var == pytest.approx(exact.log_var, rel=1e-12, abs=1e-12)
    peak = np.mean(1 / np.sqrt(2 * np.pi * var))
    assert np.max(np.abs(ours.density - density(points, mean, var))) <= 2e-4 * peak
    assert ours.surprise.mean() == pytest.approx(exact.entropy, abs=1e-5)
    assert ours.surprise == pytest.approx(exact.surprise, abs=5e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_of_many_rows_sums_keep_a_tenth_of_what_they_promise(kind):
    mean, var = rows_of(kind, 10_000, np.random.default_rng(1))
    ours, exact = both(mean, var)
    assert abs(ours.entropy - exact.entropy) <= 0.1 * PROMISED
    assert ours.error == PROMISED
    if kind != "heavy tails":  # whose lonely rows are beyond the tree: see below
        assert ours.shortfall == pytest.approx(exact.shortfall, rel=1e-3, abs=1e-7)
    spread = exact.surprise.std()
    assert ours.surprise.std() == pytest.approx(spread, rel=1e-3, abs=1e-8)


def test_what_is_left_of_the_density_beside_a_lonely_row_is_summed_up():
    """Rows at the ends, of which a line would see a share of 1 - 1e-4, and others do 1 - 1e-9."""
    rng = np.random.default_rng(2)
    mean, var = rng.normal(size=1000), np.full(1000, 0.01)
    mean[:3] = -4.7, 4.6, 5.2
    near = Neighbours(1000, None)

    class Direct:
        n = 1000

        def density(self, z):
            return density(z, mean, var)

    wanted = shortfall(Direct(), mean, var, near)
    (ours, _) = both(mean, var)
    assert ours.shortfall == pytest.approx(wanted, rel=1e-3)

    class Rough(Direct):
        def density(self, z):
            return 1.001 * density(z, mean, var)

    assert shortfall(Rough(), mean, var, near) < 0.99 * wanted
    assert shortfall(Rough(), mean, var, near, ALONE) == pytest.approx(wanted, rel=1e-2)


@pytest.mark.parametrize(
    ("n", "sd", "report", "way"),
    [
        (2000, 0.1, ENOUGH, "sums"),
        (299, 0.5, ENOUGH, "tree"),  # few rows
        (2000, 1e-3, ENOUGH, "tree"),  # narrow for the range
        (2000, 0.1, 0.0, "tree"),  # sums may be too far off
    ],
)
def test_sums_are_taken_where_they_are_faster_and_good_enough(monkeypatch, n, sd, report, way):
    mean, var = np.random.default_rng(3).normal(size=n), np.full(n, sd * sd)
    monkeypatch.setattr(_one_latent, "ENOUGH", report)
    found = of_latent(0, mean, var, np.empty(0), np.arange(n), Neighbours(n, None))
    sums, tree = both(mean, var)
    if report:
        assert found.entropy == (tree if way == "tree" else sums).entropy
        assert sums is None or sums.entropy != tree.entropy
    else:
        assert sums is None
        assert found.entropy == tree.entropy


@pytest.mark.parametrize("codes", [None, "pairs"])
def test_marginals_are_those_of_the_tree(codes):
    """Every number of the result, with latents for which either way is taken."""
    rng = np.random.default_rng(4)
    latents = [rows_of(kind, 3000, rng) for kind in KINDS]
    latents.append((rng.normal(size=3000), np.full(3000, 1e-8)))
    mean, var = (np.stack(part, axis=1) for part in zip(*latents, strict=True))
    clusters = None if codes is None else np.arange(3000) // 2
    ours, exact = (f(mean, var, clusters=clusters) for f in (marginals, tree_marginals))
    for name in ("entropy", "information", "kl_prior", "looseness"):
        missed = np.abs(getattr(ours, name) - getattr(exact, name))
        assert np.all(missed <= ours.quadrature_errors + 1e-9), name
        errors = ours.standard_errors[name], exact.standard_errors[name]
        np.testing.assert_allclose(*errors, rtol=1e-3, atol=1e-7, err_msg=name)
    assert ours.entropy[-1] == exact.entropy[-1]
    assert np.all(ours.entropy[:-1] != exact.entropy[:-1])
    assert ours.quadrature_error <= ENOUGH
    np.testing.assert_array_equal(ours.saturated, exact.saturated)
    np.testing.assert_allclose(ours.shortfall, exact.shortfall, rtol=0.02, atol=1e-6)


@given(rng=rngs, power=st.integers(-300, 300))
@settings(max_examples=10)
def test_a_change_of_scale_by_a_power_of_two_is_exact(rng, power):
    mean, var = rows_of("even", 400, rng)
    scaled = np.ldexp(mean, power), np.ldexp(var, 2 * power)
    points = np.array([-1.0, 0.0, 1.0])
    one, two = both(mean, var, points)[0], both(*scaled, np.ldexp(points, power))[0]
    move = power * math.log(2)
    assert two.entropy == pytest.approx(one.entropy + move, abs=1e-10)
    np.testing.assert_allclose(np.ldexp(two.density, power), one.density, rtol=1e-12)
    np.testing.assert_allclose(two.surprise, one.surprise + move, atol=1e-9)


def test_surprise_by_another_rule():
    mean, var = rows_of("even", 300, np.random.default_rng(5))
    x, weights = np.polynomial.hermite_e.hermegauss(60)
    z = mean[:, None] + np.sqrt(var)[:, None] * x
    log_q = np.log(density(z.ravel(), mean, var)).reshape(z.shape)
    ours, _ = both(mean, var)
    assert ours.surprise == pytest.approx(-log_q @ weights / weights.sum(), abs=1e-3)
