"""What a perfect match shows by chance: closed forms, simulation, and what heavy tails forbid."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import digamma

from disentangle_indicators import Moments, indicators, score
from disentangle_indicators._chance import Spread, chance, wishart
from disentangle_indicators.aggregate import marginals
from disentangle_indicators.states import kurtosis

NAMES = ("kl_aggregate_prior", "gaussian_total_correlation", "kl_aggregate_prior_full_mean")


def draw(rng, kind, shape):
    """Codes of unit variance."""
    if kind == "gauss":
        return rng.normal(size=shape)
    if kind == "uniform":
        return rng.uniform(-1, 1, size=shape) * 3**0.5
    if kind == "laplace":
        return rng.laplace(size=shape) / 2**0.5
    nu = int(kind[1:])
    return rng.standard_t(nu, size=shape) * math.sqrt((nu - 2) / nu)


def encode(rng, n, d, used, var, kind="gauss"):
    """`used` of d latents with S = 1, the others unused."""
    width = np.where(np.arange(d) < used, var, 1.0)
    return draw(rng, kind, (n, d)) * np.sqrt(1 - width), np.tile(width, (n, 1))


@pytest.mark.parametrize(
    ("d", "n"), [(1, 20), (10, 14), (10, 20), (32, 64), (128, 256), (4, 4000)]
)
def test_near_deterministic_latents_are_a_wishart_matrix(d, n):
    exact = 0.5 * np.sum(np.log(n / 2) - digamma((n - np.arange(d)) / 2))
    assert wishart(np.ones(d), n) == pytest.approx(exact, rel=0.01)


@given(shares=st.lists(st.floats(0, 1), min_size=1, max_size=8), n=st.integers(12, 100_000))
def test_unused_latents_add_nothing_and_chance_is_positive(shares, n):
    a = np.array(shares)
    value = wishart(a, n)
    assert value >= 0
    assert wishart(np.append(a, 0.0), n) == pytest.approx(value, rel=1e-9)
    assert value <= wishart(np.ones_like(a), n) * (1 + 1e-6)


@given(shares=st.lists(st.floats(0.01, 0.99), min_size=2, max_size=8))
def test_of_many_rows_pairs_add_up(shares):
    a, n = np.array(shares), 1e6
    pairs = (a.sum() ** 2 - np.sum(a * a)) / (4 * n)
    alone = sum(wishart(a[h : h + 1], n) for h in range(a.size))
    assert wishart(a, n) - alone == pytest.approx(pairs, rel=1e-3)


@pytest.mark.parametrize(
    ("n", "d", "used", "var", "kind", "times"),
    [
        (10, 5, 5, 0.01, "gauss", 400),
        (20, 10, 3, 0.05, "t9", 300),
        (20, 10, 10, 0.3, "uniform", 200),
        (64, 32, 32, 0.01, "gauss", 40),
        (100, 10, 0, 0.01, "gauss", 20),
        (100, 10, 10, 0.05, "laplace", 200),
        (300, 128, 5, 0.05, "uniform", 40),
        (1000, 10, 10, 0.01, "t9", 60),
        (2000, 2, 2, 0.1, "gauss", 200),
        (4000, 4, 4, 0.05, "laplace", 60),
    ],
)
def test_chance_is_what_simulation_shows(n, d, used, var, kind, times):
    """Within a quarter or 1e-3 nats, and 5 errors of the simulation."""
    rng = np.random.default_rng(n + d)
    seen, stated = [], []
    for _ in range(times):
        found = indicators(*encode(rng, n, d, used, var, kind), covariance=True)
        seen.append([found.values[name] for name in NAMES])
        stated.append([found.chance[name] for name in NAMES])
    seen, stated = np.array(seen), np.array(stated)
    error = np.hypot(seen.std(axis=0), stated.std(axis=0)) / np.sqrt(times)
    gap = np.abs(seen.mean(axis=0) - stated.mean(axis=0))
    assert np.all(gap <= np.maximum(0.25 * seen.mean(axis=0), 1e-3) + 5 * error)
    assert np.all(5 * error <= np.maximum(0.75 * seen.mean(axis=0), 1e-3))


def test_a_typical_model_with_few_used_latents():
    """15 of 128 latents of a perfect match, 10,000 rows: 0.0055 nats of TC, not 0.41."""
    mean, var = encode(np.random.default_rng(0), 10_000, 128, 15, 0.01)
    found = indicators(mean, var, covariance=True)
    assert found.chance["gaussian_total_correlation"] == pytest.approx(0.00515, rel=0.1)
    assert found.chance["kl_aggregate_prior"] == pytest.approx(15 * 0.99**2 / 20_000, rel=0.1)
    assert found.gaussian_total_correlation < 2 * found.chance["gaussian_total_correlation"]
    text = repr(found)
    assert "by chance about 0.0051" in text or "by chance about 0.0052" in text


def test_a_small_mismatch_is_not_explained_by_chance():
    """2,000 rows, 15 used of 128 with S = 1.09: a perfect match shows 0.0036, not 0.032."""
    mean, var = encode(np.random.default_rng(0), 2000, 128, 15, 0.05)
    mean[:, :15] *= math.sqrt(1.04 / 0.95)
    card = score(mean, var=var)
    assert card.chance["kl_aggregate_prior"] < 0.005
    assert "perfect match" not in card.verdict["PRIOR"]


def test_uniform_codes_of_few_rows_are_seen():
    """300 rows, 5 uniform latents of 128: unused latents add nothing to chance."""
    mean, var = encode(np.random.default_rng(0), 300, 128, 5, 0.05, "uniform")
    card = score(mean, var=var)
    steps = (2 * (np.arange(20_000) + 0.5) / 20_000 - 1)[:, None] * math.sqrt(3 * 0.95)
    truth = 5 * marginals(steps, np.full_like(steps, 0.05)).total_kl_prior
    exact = card.marginals
    assert "because single latents are not N(0, 1)" in card.verdict["PRIOR"]
    error = exact.standard_errors["total_kl_prior_low"]
    assert abs(exact.total_kl_prior_low - truth) <= 3 * error < 0.3 * truth
    assert exact.total_shortfall < 0.1


@pytest.mark.parametrize(("kind", "least"), [("t5", True), ("t3", True), ("t9", False)])
def test_heavy_tails_make_chance_a_least_value(kind, least):
    found = indicators(
        *encode(np.random.default_rng(3), 2000, 10, 10, 0.05, kind), covariance=True
    )
    assert found.chance_at_least is least
    assert ("by chance at least" in repr(found)) is least


def test_the_kurtosis_of_the_means():
    rng = np.random.default_rng(0)
    mean = np.stack([rng.normal(size=4000), rng.laplace(size=4000), np.zeros(4000)], axis=1)
    mean[:, 0] += 0.3
    moments = Moments.of(mean, np.full_like(mean, 0.1))
    x = mean[:, :2] - mean[:, :2].mean(axis=0)
    wanted = np.mean(x**4, axis=0) / np.mean(x**2, axis=0) ** 2
    np.testing.assert_allclose(kurtosis(moments)[:2], wanted, rtol=0.05)
    assert kurtosis(moments)[2] == 3
    assert kurtosis(Moments.of(mean, np.ones_like(mean), errors=False)).tolist() == [3, 3, 3]


def test_without_the_co_moments_codes_are_taken_as_gaussian():
    mean, var = encode(np.random.default_rng(0), 4000, 6, 6, 0.1)
    bare, full = (Moments.of(mean, var, errors=e, covariance=True) for e in (False, True))
    one, two = (chance(m, Spread.of_rows(m)) for m in (bare, full))
    for name, value in two.items():
        assert one[name] == pytest.approx(value, rel=0.1)


def test_a_mean_far_from_zero_leaves_the_other_terms():
    mean, var = encode(np.random.default_rng(0), 1000, 6, 6, 0.05)
    near, far = (indicators(mean + shift, var, covariance=True).chance for shift in (0, 1e3))
    assert far["gaussian_total_correlation"] == pytest.approx(near["gaussian_total_correlation"])
    name = "kl_aggregate_prior_full_mean"
    assert far[name] == pytest.approx(near[name], rel=0.1)
    assert far["kl_aggregate_prior"] < 1e-8


@pytest.mark.parametrize("n", [1, 2, 6])
def test_too_few_rows_have_no_chance_of_covariances(n):
    found = indicators(*encode(np.random.default_rng(0), n, 6, 6, 1e-3), covariance=True)
    assert "gaussian_total_correlation" not in found.chance
    assert "too few rows to trust" in repr(found) or found.gaussian_total_correlation is None


def test_the_table_gives_the_chance_of_definition_4():
    """A lower bound by rows of a perfect match is chance, and its row says how much of it."""
    found = indicators(*encode(np.random.default_rng(0), 50, 3, 3, 0.05), covariance=True)
    assert f"by chance about {found.chance['kl_aggregate_prior']:.2g}" in repr(found)


def test_few_rows_of_one_gaussian_latent_in_closed_form():
    """Definition 4 of 8 rows shows the expectation of -1/2 log of a chi-square, on average."""
    mean = np.random.default_rng(0).normal(size=(8, 20_000))
    moments = Moments.of(mean, np.full_like(mean, 1e-9))
    stated = np.mean(Spread.of_rows(moments).second / (4 * moments.second_moment**2))
    assert stated == pytest.approx(0.5 * (math.log(4) - digamma(4)), rel=0.06)


def test_one_latent_shows_its_variance_and_its_mean():
    """1/n in all: half of it from the second moment about the mean, half from the mean."""
    found = indicators(*encode(np.random.default_rng(0), 20_000, 1, 1, 1e-6), covariance=True)
    assert found.chance["kl_aggregate_prior_full_mean"] == pytest.approx(1 / 20_000, rel=0.05)
    assert found.chance["kl_aggregate_prior"] == pytest.approx(0.5 / 20_000, rel=0.05)
