"""Half samples and shuffled rows, with and without clusters."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import rngs

from disentangle_indicators.supervised import as_table
from disentangle_indicators.supervised._splits import (
    arrangements,
    cluster_notes,
    half_samples,
    shuffles,
    splits,
    spread,
)


@given(st.integers(2, 60), st.integers(1, 30), st.integers(1, 30), rngs)
def test_rows_are_shared_out_as_asked_or_in_proportion(n, train, test, rng):
    parameters = {"train": train, "test": test, "order": "shuffled"}
    ((first, second),) = splits(as_table(np.arange(n), n), parameters, rng)
    assert len({*first, *second}) == len(first) + len(second)
    if n >= train + test:
        assert (len(first), len(second)) == (train, test)
        return
    assert len(first) + len(second) == n
    wanted = np.clip(n * train / (train + test), 1, n - 1)  # at least one row each
    assert abs(len(first) - wanted) <= 0.5


@given(st.integers(2, 30), rngs)
def test_halves_are_of_whole_clusters(draws, rng):
    clusters = rng.permutation(np.concatenate([np.arange(draws), rng.integers(draws, size=20)]))
    halves = half_samples(len(clusters), 5, clusters, rng)
    assert len(halves) == 5
    for rows in halves:
        assert np.all(np.diff(rows) > 0)
        inside = np.isin(clusters, clusters[rows])
        assert np.array_equal(np.flatnonzero(inside), rows)
        assert len(np.unique(clusters[rows])) == draws // 2


@given(st.integers(2, 30), rngs)
def test_the_halves_of_a_pair_share_no_cluster(draws, rng):
    clusters = rng.permutation(np.repeat(np.arange(draws), 2))
    halves = half_samples(len(clusters), 7, clusters, rng)
    for one, two in zip(halves[:6:2], halves[1:6:2], strict=True):
        assert not set(clusters[one]) & set(clusters[two])
        assert len(one) == len(two)


def test_without_clusters_rows_are_drawn_one_by_one():
    rng, again = np.random.default_rng(0), np.random.default_rng(0)
    orders, exact = shuffles(9, 3, None, rng)
    halves = half_samples(9, 4, None, rng)
    assert exact
    for order in orders:
        np.testing.assert_array_equal(order, again.permutation(9))
    for pair in range(2):
        order = again.permutation(9)
        np.testing.assert_array_equal(halves[2 * pair], np.sort(order[:4]))
        np.testing.assert_array_equal(halves[2 * pair + 1], np.sort(order[4:8]))


@pytest.mark.parametrize("clusters", [None, np.zeros(5, dtype=int)])
def test_one_row_or_cluster_has_no_halves(clusters):
    assert half_samples(1 if clusters is None else 5, 3, clusters, np.random.default_rng(0)) == []


@pytest.mark.parametrize("draws", [12, 13, 3])
def test_the_spread_of_averages_is_their_standard_error(draws):
    """It is s / sqrt(G), of an odd number too."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=draws)
    rows = half_samples(draws, 4000, None, rng)
    exact = np.std(x, ddof=1) / np.sqrt(draws)
    means = [x[half].mean() for half in rows]
    assert spread(means, draws) == pytest.approx(exact, rel=0.05)
    if draws % 2 == 0:  # of an odd number the draw that is left out moves averages of pairs
        for curved in (1, 2):
            assert spread(means, draws, curved=curved) == pytest.approx(exact, rel=0.05)


def test_the_spread_of_a_square_is_not_that_of_two_halves():
    """The variance of a squared average about 0 is four times as large in a half as in all rows."""
    rng = np.random.default_rng(0)
    n, true, found = 40, [], []
    for _ in range(400):
        x = rng.normal(size=n)
        squares = [x[half].mean() ** 2 for half in half_samples(n, 40, None, rng)]
        true.append(x.mean() ** 2)
        found.append([spread(squares, n, curved=curved) ** 2 for curved in (0, 1, 2)])
    sums, between, differences = np.mean(found, axis=0) / np.var(true)
    assert differences == pytest.approx(1, abs=0.6)
    assert sums > 2
    assert sums > between > differences


def test_a_spread_needs_two_pairs():
    assert spread([1.0, 2.0, 3.0], 10) is None
    assert spread([], 10) is None
    assert spread([1.0, 1.0, 1.0, 1.0], 10) == 0


@given(st.integers(1, 10), st.integers(1, 5), rngs)
def test_clusters_of_one_size_move_as_wholes(draws, size, rng):
    """Each gets the rows of another one, in their order, and each row is used once."""
    clusters = rng.permutation(np.repeat(np.arange(draws), size))
    orders, exact = shuffles(len(clusters), 4, clusters, rng)
    assert exact
    for order in orders:
        assert np.array_equal(np.sort(order), np.arange(len(clusters)))
        check_wholes(order, clusters)


def check_wholes(order, clusters):
    """The factors of each cluster are those of one cluster, going round from some row."""
    for c in range(clusters.max() + 1):
        there = order[clusters == c]
        (other,) = set(clusters[there])
        cycle = np.flatnonzero(clusters == other)
        begin = np.flatnonzero(cycle == there[0])[0]
        assert np.array_equal(there, np.resize(np.roll(cycle, -begin), len(there)))


@given(st.integers(2, 10), rngs)
def test_clusters_of_different_sizes_move_as_wholes(draws, rng):
    clusters = rng.permutation(
        np.concatenate([np.arange(draws), np.zeros(3, int), rng.integers(draws, size=20)])
    )
    orders, exact = shuffles(len(clusters), 4, clusters, rng)
    assert exact == (len(set(np.bincount(clusters))) == 1)
    got = [tuple(clusters[order[clusters == c]][0] for c in range(draws)) for order in orders]
    assert all(sorted(each) == list(range(draws)) for each in got)
    for order in orders:
        check_wholes(order, clusters)


def test_a_design_that_all_clusters_share_is_no_dependence():
    """Rows in the same order in every cluster: a null that kept the order would be the score."""
    rng = np.random.default_rng(0)
    design, clusters = np.tile(np.arange(10), 30), np.repeat(np.arange(30), 10)
    orders, _ = shuffles(300, 50, clusters, rng)
    null = [abs(np.corrcoef(design, design[order])[0, 1]) for order in orders]
    assert np.mean(null) < 5 * 0.8 / np.sqrt(30)


def correlations(z, factors):
    z, factors = z - z.mean(), factors - factors.mean(axis=-1, keepdims=True)
    norms = np.sqrt((factors**2).sum(axis=-1) * (z @ z))
    return np.abs(factors @ z) / np.where(norms > 0, norms, 1.0)


def p_value(draws, constant, seed, single=False):
    """Of codes and factors that both differ from cluster to cluster, and do not depend."""
    rng = np.random.default_rng(seed)
    sizes = np.maximum(1, np.exp(rng.normal(size=draws)) * 8).astype(int)
    clusters = np.repeat(np.arange(draws), sizes)
    n = len(clusters)
    z = rng.normal(size=draws)[clusters] + 0.5 * rng.normal(size=n)
    factor = rng.integers(2, size=draws)[clusters] * 1.0
    if not constant:
        factor = rng.normal(size=draws)[clusters] + rng.normal(size=n)
    orders, _ = shuffles(n, 19, None if single else clusters, rng)
    own, null = correlations(z, factor), correlations(z, factor[np.array(orders)])
    return (1 + np.sum(null >= own - 1e-12)) / 20


@pytest.mark.parametrize("draws", [10, 20, 50])
@pytest.mark.parametrize("constant", [True, False])
def test_p_values_of_clusters_of_unequal_sizes_keep_their_level(draws, constant):
    """In 600 data sets, within 5 standard errors; shuffled rows do not."""
    p = np.array([p_value(draws, constant, 1000 * draws + seed) for seed in range(600)])
    for level in (0.05, 0.2):
        limit = level + 5 * np.sqrt(level * (1 - level) / 600)
        assert np.mean(p <= level + 1e-9) < limit
    rows = [p_value(draws, constant, seed, single=True) for seed in range(60)]
    assert np.mean(np.array(rows) <= 0.0501) > 0.3


def test_p_values_of_clusters_see_what_clusters_show():
    rng = np.random.default_rng(0)
    clusters = np.repeat(np.arange(20), rng.integers(2, 9, size=20))
    factor = rng.normal(size=20)[clusters]
    z = factor + 0.1 * rng.normal(size=len(clusters))
    orders, _ = shuffles(len(z), 99, clusters, rng)
    assert np.all(correlations(z, factor[np.array(orders)]) < correlations(z, factor))


@given(st.lists(st.integers(0, 2), min_size=1, max_size=6), rngs)
def test_the_arrangements_of_clusters_are_counted(values, rng):
    sizes = rng.integers(1, 4, size=len(values))
    clusters = np.repeat(np.arange(len(values)), sizes)
    table = as_table(np.array(values)[clusters], len(clusters))
    distinct = len(set(permutations(values)))
    assert arrangements(table, clusters) == pytest.approx(distinct, rel=1e-9)
    assert arrangements(table, None) == np.inf


def test_factors_that_change_within_a_cluster_have_no_count():
    assert arrangements(as_table([0, 1, 0], 3), np.array([0, 0, 1])) == np.inf
    many = np.arange(300)
    assert arrangements(as_table(many, 300), many) == np.inf


def test_what_is_said_of_dependence():
    clusters = np.array([0, 0, 1])
    assert "left out or repeated" in cluster_notes(clusters, False)[0]
    assert "left out or repeated" not in cluster_notes(clusters, True)[0]
    assert cluster_notes(None, True) == ("rows are taken as independent",)
