"""Sums over the components of a mixture against explicit differences, and the points drawn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp
from scipy.stats import norm
from strategies import encodings, rngs, to

from disentangle_indicators._array import namespace
from disentangle_indicators.aggregate import _log_sums
from disentangle_indicators.aggregate._log_sums import TOLERANCE, log_sums, precision_of
from disentangle_indicators.aggregate._monte_carlo import draw

LOG_2PI = np.log(2 * np.pi)


def exponents(z, own, mean, var, spread=0.0):
    """E log N(y; mean_j, var_j) over y ~ N(z, spread), (s, n), from differences."""
    spread = np.broadcast_to(spread, z.shape)
    square = (z[:, None] - mean) ** 2 + spread[:, None]
    out = -0.5 * (square / var + np.log(var) + LOG_2PI).sum(axis=2)
    out[np.arange(len(z)), own] = -np.inf
    return out


def direct(*args, **kwargs):
    return logsumexp(exponents(*args, **kwargs), axis=1)


def products(z, own, mean, var, dtype=np.float64):
    """The same by one matrix product, as it comes."""
    centre = mean.mean(axis=0)
    x, m = z - centre, mean - centre
    left = np.concatenate([x * x, x], axis=1).astype(dtype)
    right = np.concatenate([-0.5 / var, m / var], axis=1).astype(dtype)
    constant = -0.5 * (m * m / var + np.log(var) + LOG_2PI).sum(axis=1)
    out = (left @ right.T + constant.astype(dtype)).astype(np.float64)
    out[np.arange(len(z)), own] = -np.inf
    return logsumexp(out, axis=1)


def allowed(wanted, precision="float64"):
    """What is left as it is, and the rounding of exponents of this size."""
    return TOLERANCE[precision] + 64 * np.finfo(float).eps * np.abs(wanted)


def near_duplicates(rng, var, n=60, d=8, points=200):
    """Six tight clusters far apart: exponents of one cluster are large numbers' small differences.

    Their sums depend on members at about one standard deviation from each other.
    """
    mean = (3 * rng.normal(size=(6, d)))[np.arange(n) % 6]
    mean = mean + np.sqrt(var) * rng.normal(size=(n, d))
    variances = np.full((n, d), var) * rng.uniform(0.5, 2, size=(n, d))
    return draw(mean, variances, points, rng), mean, variances


@given(data=encodings(min_n=2, max_n=60), rng=rngs)
def test_against_explicit_differences(xp, data, rng):
    mean, var = data
    at = draw(mean, var, 80, rng)
    ours = log_sums(at.z, at.rows, mean, var, *to(xp, mean))
    wanted = direct(at.z, at.rows, mean, var)
    assert ours.dtype == np.float64
    assert np.all(np.abs(ours - wanted) <= allowed(wanted))


@given(data=encodings(min_n=2, max_n=60), rng=rngs)
def test_points_of_some_variance(xp, data, rng):
    mean, var = data
    at = draw(mean, var, 80, rng)
    spread = rng.exponential(size=at.z.shape) * var[at.rows]
    ours = log_sums(at.z, at.rows, mean, var, *to(xp, mean), spread=spread)
    wanted = direct(at.z, at.rows, mean, var, spread)
    assert np.all(np.abs(ours - wanted) <= allowed(wanted))
    assert np.all(ours < log_sums(at.z, at.rows, mean, var, *to(xp, mean)) + allowed(wanted))


def test_a_spread_averages_the_exponent():
    """One other component: the value is a mean over draws of its log density, to 5 errors."""
    rng = np.random.default_rng(0)
    mean, var = np.array([[0.0, 0.0], [1.0, -2.0]]), np.array([[1.0, 1.0], [0.5, 2.0]])
    z, spread = np.array([[0.3, -0.4]]), np.array([[0.7, 0.2]])
    y = z + np.sqrt(spread) * rng.normal(size=(20_000, 2))
    each = norm.logpdf(y, mean[1], np.sqrt(var[1])).sum(axis=1)
    value = log_sums(z, np.array([0]), mean, var, mean, spread=spread)[0]
    assert abs(value - each.mean()) <= 5 * each.std() / np.sqrt(len(y))


def test_a_component_leaves_out_itself_only():
    """Of three copies, a point of one sees two."""
    mean, var = np.array([[1.0], [1.0], [1.0], [50.0]]), np.ones((4, 1))
    z, own = np.array([[1.5], [1.5], [50.0]]), np.array([0, 2, 3])
    one = norm.logpdf(0.5)
    wanted = [np.log(2) + one, np.log(2) + one, np.log(3) + norm.logpdf(49.0)]
    assert log_sums(z, own, mean, var, mean) == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_one_component_has_no_others(xp, precision):
    mean, var = np.full((1, 2), 3.0), np.full((1, 2), 1e-9)
    ours = log_sums(mean, np.array([0]), mean, var, *to(xp, mean), precision=precision)
    assert ours == -np.inf


@pytest.mark.parametrize("var", [0.1, 1e-9])
@pytest.mark.parametrize("spread", [False, True])
@pytest.mark.parametrize("cache", [1, 1 << 13, 1 << 22])
@pytest.mark.parametrize("memory", [1, 1 << 16, 1 << 30])
def test_blocks_do_not_matter(xp, monkeypatch, memory, cache, spread, var):
    """Down to one point by 64 components; own components lie in every block of columns."""
    monkeypatch.setattr(_log_sums, "_CACHE_BYTES", cache)
    rng = np.random.default_rng(1)
    at, mean, variances = near_duplicates(rng, var, n=150, d=3, points=160)
    spreads = rng.exponential(size=at.z.shape) * var if spread else None
    ours = log_sums(at.z, at.rows, mean, variances, *to(xp, mean), spread=spreads, memory=memory)
    wanted = direct(at.z, at.rows, mean, variances, 0.0 if spreads is None else spreads)
    assert np.all(np.abs(ours - wanted) <= allowed(wanted))


@pytest.mark.parametrize("var", [1e-10, 1e-9, 1e-8])
def test_what_float64_leaves_uncertain_is_done_again(xp, var):
    at, mean, variances = near_duplicates(np.random.default_rng(2), var)
    wanted = direct(at.z, at.rows, mean, variances)
    plain = products(at.z, at.rows, mean, variances)
    assert np.max(np.abs(plain - wanted)) > 10 * TOLERANCE["float64"]
    ours = log_sums(at.z, at.rows, mean, variances, *to(xp, mean))
    assert np.max(np.abs(ours - wanted)) <= 1e-11 * np.max(np.abs(wanted))


@pytest.mark.parametrize("var", [1e-10, 1e-6, 1e-3, 0.1, 1.0])
def test_what_float32_leaves_uncertain_is_done_again(xp, var):
    """All exponents to 1e-5, where a product in float32 is off by up to thousands of nats."""
    at, mean, variances = near_duplicates(np.random.default_rng(3), var)
    wanted = direct(at.z, at.rows, mean, variances)
    plain = products(at.z, at.rows, mean, variances, np.float32)
    if var < 0.1:
        assert np.max(np.abs(plain - wanted)) > 100 * TOLERANCE["float32"]
    ours = log_sums(at.z, at.rows, mean, variances, *to(xp, mean), precision="float32")
    assert np.all(np.abs(ours - wanted) <= allowed(wanted, "float32"))


def test_float32_where_it_is_good_enough(xp, monkeypatch):
    """Few nats of z^2 / v: nothing is done again, and the error is below the bound."""

    def never(*args):
        raise AssertionError

    monkeypatch.setattr(_log_sums, "_redo", never)
    rng = np.random.default_rng(4)
    mean, var = 0.5 * rng.normal(size=(50, 2)), np.ones((50, 2))
    at = draw(mean, var, 50, rng)
    z = np.clip(at.z, -2, 2)
    ours = log_sums(z, at.rows, mean, var, *to(xp, mean), precision="float32")
    gap = np.abs(ours - direct(z, at.rows, mean, var))
    assert np.max(gap) <= TOLERANCE["float32"]
    assert np.max(gap) > 1e-9  # it was float32


@given(data=encodings(min_n=2, max_n=60), rng=rngs)
def test_float32_of_any_encoding(xp, data, rng):
    mean, var = data
    at = draw(mean, var, 60, rng)
    ours = log_sums(at.z, at.rows, mean, var, *to(xp, mean), precision="float32")
    wanted = direct(at.z, at.rows, mean, var)
    square = (at.z - mean.mean(axis=0)) ** 2
    bound = 8 * np.finfo(np.float32).eps * (square / var.min(axis=0)).sum(axis=1)
    left = np.minimum(bound, TOLERANCE["float32"]) + np.finfo(np.float32).eps * (
        1 + np.abs(wanted)
    )
    assert np.all(np.abs(ours - wanted) <= left)


def test_precision_is_that_of_the_device(xp):
    array = xp.ones((2, 2), dtype=xp.float32)
    assert precision_of(namespace(array), array) == "float64"


@given(n=st.integers(1, 60), points=st.integers(1, 200), rng=rngs)
def test_rows_are_drawn_equally_often_but_for_one(n, points, rng):
    mean, var = rng.normal(size=(n, 2)), rng.exponential(size=(n, 2)) + 1e-3
    at = draw(mean, var, points, rng)
    count = np.bincount(at.rows, minlength=n)
    assert at.z.shape == at.log_own.shape == (points, 2)
    assert count.sum() == points
    assert count.max() - count.min() <= 1
    wanted = norm.logpdf(at.z, mean[at.rows], np.sqrt(var[at.rows]))
    scale = 1 + np.abs(mean[at.rows]) / np.sqrt(var[at.rows])
    assert np.all(np.abs(at.log_own - wanted) <= 1e-13 * scale * (10 + np.abs(wanted)))


def test_which_rows_come_once_more_is_chance():
    """Each as often as the others, to 5 standard errors of a proportion."""
    rng, mean = np.random.default_rng(5), np.zeros((10, 1))
    extra = sum(
        np.bincount(draw(mean, mean + 1, 13, rng).rows, minlength=10) - 1 for _ in range(2000)
    )
    assert np.all(np.abs(extra / 2000 - 0.3) <= 5 * np.sqrt(0.3 * 0.7 / 2000))


def test_points_have_the_moments_of_their_posterior():
    mean, var = np.array([[1.0, -2.0]]), np.array([[0.25, 9.0]])
    z = draw(mean, var, 20_000, np.random.default_rng(6)).z
    assert np.all(np.abs(z.mean(axis=0) - mean[0]) <= 5 * np.sqrt(var[0] / 20_000))
    assert np.all(np.abs(z.var(axis=0) / var[0] - 1) <= 5 * np.sqrt(2 / 20_000))


@pytest.mark.parametrize(
    ("d", "seed"), [(2, 667), (2, 290), (1, 146), (3, 469), (3, 813), (2, 924)]
)
def test_the_bound_of_rounding_is_no_first_guess(d, seed):
    """Far from the centre, eps * sum z^2 / v = .95e-5 and float32 is off by 1.4e-5 to 1.6e-5.

    A bound of one eps would leave these exponents as they are.
    """
    rng = np.random.default_rng(seed)
    mean = rng.normal(size=(1, d))
    mean = np.concatenate([mean, -mean])
    z = mean[:1] * (1 + 0.01 * rng.normal(size=(1, d)))
    var = np.full((2, d), float(np.sum(z**2)) * float(np.finfo(np.float32).eps) / 0.95e-5)
    ours = log_sums(z, np.array([2]), mean, var, mean, precision="float32")
    wanted = logsumexp(norm.logpdf(z, mean, np.sqrt(var)).sum(axis=1))
    assert abs(ours[0] - wanted) <= TOLERANCE["float32"]
