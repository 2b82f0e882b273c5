"""Clusters of rows, blocks of a series, and errors of few of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.signal import lfilter

from disentangle_indicators import Encodings, indicators
from disentangle_indicators._clusters import BLOCKS, blocks, of_skewness, widening

seeds = st.integers(0, 2**32 - 1).map(np.random.default_rng)


@given(rng=seeds, n=st.integers(4, 400))
def test_blocks_are_consecutive_and_of_nearly_one_size(rng, n):
    order = rng.permutation(n)
    codes = blocks(order, n)[np.argsort(order)]
    assert np.all(np.diff(codes) >= 0)
    sizes = np.bincount(codes)
    assert sizes.max() - sizes.min() <= 1
    assert len(sizes) == min(BLOCKS, n // 2)


@given(rng=seeds, n=st.integers(4, 400))
def test_rows_of_one_time_share_a_block(rng, n):
    order = rng.integers(max(n // 3, 3), size=n)
    order[:2] = order.min() - 1, order.max() + 1
    codes = blocks(order, n)
    for time in np.unique(order):
        assert len(np.unique(codes[order == time])) == 1


@given(rng=seeds, n=st.integers(4, 100))
def test_only_the_order_of_times_counts(rng, n):
    times = np.sort(rng.normal(size=n))
    dates = np.datetime64("2020-01-01") + np.arange(n)
    shuffled = rng.permutation(n)
    expected = blocks(times, n)[shuffled]
    for others in (np.exp(times), dates, np.datetime_as_string(dates)):
        np.testing.assert_array_equal(blocks(others[shuffled], n), expected)


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ([0.0, np.nan, 1, 2], r"order must be given for every row; order\[1\] is missing"),
        (np.array(["2020-01-01", "NaT"] * 2, dtype="M8[D]"), r"order\[1\] is missing"),
        ([1, 2, 3], r"order must have the shape \(4,\)"),
        ([7, 7, 7, 7], "4 rows of 1 times do not"),
    ],
)
def test_bad_orders_are_refused(order, message):
    with pytest.raises(ValueError, match=message):
        blocks(order, 4)


def test_widening_makes_intervals_of_students_t():
    # from tables of Student's t: t_.975 with 1, 4 and 9 degrees of freedom, over 1.959964
    np.testing.assert_allclose(
        [widening(2), widening(5), widening(10)],
        np.array([12.706205, 2.776445, 2.262157]) / 1.959964,
        rtol=1e-6,
    )
    assert widening(1) == np.inf
    assert 1 < widening(10**6) < 1 + 2e-6


def test_the_blocks_of_a_series_are_its_clusters():
    mean, var = np.random.default_rng(0).normal(size=(300, 2)), np.full((300, 2), 0.1)
    times = np.random.default_rng(1).permutation(300)
    series = Encodings.of(mean, var, order=times)
    named = Encodings.of(mean, var, clusters=times // 10)
    assert (series.draws, named.draws, Encodings.of(mean, var).draws) == (30, 30, 300)
    assert indicators(series).standard_errors["mutual_information"] == pytest.approx(
        indicators(named).standard_errors["mutual_information"], rel=1e-12
    )
    assert "30 consecutive blocks of rows serve as clusters" in series.notes[-1]


def test_clusters_beside_an_order_are_refused():
    with pytest.raises(ValueError, match="give either clusters or order"):
        Encodings.of(np.eye(4), np.ones((4, 4)), clusters=[0, 0, 1, 1], order=[0, 1, 2, 3])


def test_errors_of_a_series_cover_where_those_of_rows_do_not():
    # AR(1) with correlation .9 and variance .75: Definition 1 is .5 (1 - 1 - log .25) per latent
    n, runs, truth = 3000, 200, 0.5 * np.log(4)
    rng = np.random.default_rng(2)
    covered = np.zeros(2)
    for _ in range(runs):
        noise = rng.normal(size=(n, 1)) * np.sqrt(1 - 0.81)
        noise[0] /= np.sqrt(1 - 0.81)
        mean = np.sqrt(0.75) * lfilter([1], [1, -0.9], noise, axis=0)
        for which, order in enumerate((None, np.arange(n))):
            result = indicators(Encodings.of(mean, np.full((n, 1), 0.25), order=order))
            error = result.standard_errors["kl_posterior_prior"]
            covered[which] += abs(result.kl_posterior_prior - truth) < 1.96 * error
    rows, series = covered / runs
    assert rows < 0.6
    assert series > 0.93 - 5 * np.sqrt(0.93 * 0.07 / runs)


def test_skewed_draws_are_widened():
    """Averages of ten squares of Gaussian numbers: Student's t covers in .87."""
    draws = np.random.default_rng(0).normal(size=(10, 20_000)) ** 2
    error = 1.96 * widening(10) * draws.std(axis=0, ddof=1) / np.sqrt(10)
    off = np.abs(draws.mean(axis=0) - 1)
    assert np.mean(off <= error) < 0.88
    assert np.mean(off <= error * of_skewness(draws)) >= 0.9


@given(rng=seeds, n=st.integers(3, 40))
def test_skewness_is_that_of_scipy(rng, n):
    draws = rng.gamma(1.0, size=(n, 3))
    square = stats.skew(draws, bias=False) ** 2 / n
    np.testing.assert_allclose(of_skewness(draws), 1 + 2.1595 * square, rtol=1e-3)
    assert np.all(of_skewness(np.eye(n)[:, 0]) <= 3.17)


@pytest.mark.parametrize("draws", [np.ones((5, 2)), np.array([[0.0, 1.0], [1.0, 5.0]])])
def test_draws_without_skewness_are_not_widened(draws):
    np.testing.assert_array_equal(of_skewness(draws), [1, 1])
