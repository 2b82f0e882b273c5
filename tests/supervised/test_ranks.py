"""Shares of rank variance that a factor explains: by the definition, and their mean over permutations."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata
from strategies import rngs

from disentangle_indicators.supervised._ranks import beyond_chance, explained


def drawn(rng, n):
    """Mid-ranks of two codes with ties, and classes of which some numbers are taken by no row."""
    ranks = rankdata(rng.integers(n, size=(n, 2)), axis=0)
    return ranks, rng.choice([0, 2, 3, 6], size=n)


@given(rngs, st.integers(2, 30))
def test_squares_are_those_of_the_definition(rng, n):
    ranks, classes = drawn(rng, n)
    of_factor = rankdata(classes)
    spread = np.sum((of_factor - of_factor.mean()) ** 2)
    if spread == 0:
        assert np.all(explained(ranks, classes, ordered=True).squares == 0)
        return
    slope = (of_factor - of_factor.mean()) @ ranks / spread
    found = explained(ranks, classes, ordered=True).squares
    np.testing.assert_allclose(found, np.minimum(slope**2, 1), atol=1e-12)
    between = np.zeros(2)
    for c in np.unique(classes):
        rows = classes == c
        between += rows.sum() * (ranks[rows].mean(axis=0) - ranks.mean(axis=0)) ** 2
    found = explained(ranks, classes, ordered=False).squares
    np.testing.assert_allclose(found, np.minimum(between / spread, 1), atol=1e-12)


@pytest.mark.parametrize("ordered", [False, True])
@given(rng=rngs, n=st.integers(2, 5))
def test_chance_is_the_mean_over_all_permutations(ordered, rng, n):
    """Where no square is cut off at 1, as it is for codes with fewer ties than the factor."""
    ranks, classes = drawn(rng, n)
    found = explained(ranks, classes, ordered=ordered)
    every = [explained(ranks, classes[[*p]], ordered=ordered) for p in permutations(range(n))]
    squares = np.array([each.squares for each in every])
    if len(np.unique(classes)) > 1 and squares.max() < 1:
        np.testing.assert_allclose(found.chance, squares.mean(axis=0), atol=1e-12)


def test_what_is_beyond_chance_is_0_at_chance_and_1_at_1():
    ranks, classes = drawn(np.random.default_rng(0), 30)
    found = explained(ranks, classes, ordered=True)
    for squares, share in ((found.chance, 0), (found.chance / 2, 0), (np.ones(2), 1)):
        assert beyond_chance(found._replace(squares=squares)) == pytest.approx(share)
