"""Half samples and shuffled rows, with and without clusters."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import rngs

from disentangle_indicators.supervised._splits import cluster_notes, half_samples, shuffles


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


@given(st.integers(1, 10), st.integers(1, 5), rngs)
def test_clusters_of_one_size_move_as_wholes(draws, size, rng):
    clusters = rng.permutation(np.repeat(np.arange(draws), size))
    orders, together = shuffles(len(clusters), 4, clusters, rng)
    assert together
    for order in orders:
        assert np.array_equal(np.sort(order), np.arange(len(clusters)))
        for c in range(draws):
            there = order[clusters == c]
            assert len(np.unique(clusters[there])) == 1
            assert np.all(np.diff(there) > 0)


def test_without_clusters_rows_are_drawn_one_by_one():
    rng, again = np.random.default_rng(0), np.random.default_rng(0)
    orders, _ = shuffles(9, 3, None, rng)
    halves = half_samples(9, 3, None, rng)
    for order in orders:
        np.testing.assert_array_equal(order, again.permutation(9))
    for half in halves:
        np.testing.assert_array_equal(half, np.sort(again.permutation(9)[:4]))


@pytest.mark.parametrize("clusters", [None, np.zeros(5, dtype=int)])
def test_one_row_or_cluster_has_no_halves(clusters):
    assert half_samples(1 if clusters is None else 5, 3, clusters, np.random.default_rng(0)) == []


def test_clusters_of_different_sizes_cannot_move():
    clusters = np.array([0, 0, 1])
    orders, together = shuffles(3, 20, clusters, np.random.default_rng(0))
    assert not together
    assert {tuple(order) for order in orders} > {(0, 1, 2)}
    assert "p-values may be too small" in cluster_notes(clusters, together)[0]
    assert cluster_notes(None, together) == ()
