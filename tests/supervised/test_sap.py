"""Separated attribute predictability for numeric factors: laws, closed forms, numpy's corrcoef."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import rngs

from disentangle_indicators.rotation._orthogonal import givens
from disentangle_indicators.supervised import r_squared_matrix, sap


@st.composite
def tables(draw, max_n=200, max_d=5, max_k=4):
    """Codes (n, d) that know something of numeric factors (n, K)."""
    rng = draw(rngs)
    n, d, k = draw(st.integers(3, max_n)), draw(st.integers(1, max_d)), draw(st.integers(1, max_k))
    factors = rng.normal(size=(n, k)) * np.exp(rng.uniform(-3, 3, k)) + rng.normal(size=k)
    return factors @ rng.normal(size=(k, d)) + rng.normal(size=(n, d)), factors


@given(tables(), rngs)
def test_order_and_affine_maps_of_latents_and_factors_do_not_matter(table, rng):
    codes, factors = table
    d, k = codes.shape[1], factors.shape[1]
    scales = [rng.choice([-1, 1], size) * np.exp(rng.uniform(-3, 3, size)) for size in (d, k)]
    moved = [
        array[:, rng.permutation(array.shape[1])] * scale + rng.normal(size=scale.shape)
        for array, scale in zip((codes, factors), scales, strict=True)
    ]
    assert sap(*moved) == pytest.approx(sap(codes, factors), abs=1e-9)


@given(tables(), rngs)
def test_order_of_rows_and_copies_do_not_matter(table, rng):
    codes, factors = table
    rows = np.tile(rng.permutation(len(codes)), 2)
    assert sap(codes[rows], factors[rows]) == pytest.approx(sap(codes, factors), abs=1e-9)


@given(tables())
def test_numpy_agrees_and_bounds_hold(table):
    codes, factors = table
    d = codes.shape[1]
    expected = np.corrcoef(codes, factors, rowvar=False)[:d, d:] ** 2
    found = r_squared_matrix(codes, factors)
    np.testing.assert_allclose(found, expected, atol=1e-10)
    top = np.sort(np.vstack([np.zeros(factors.shape[1]), found]), axis=0)
    assert sap(codes, factors) == pytest.approx(np.mean(top[-1] - top[-2]), abs=1e-12)
    assert 0 <= sap(codes, factors) <= 1


@pytest.mark.parametrize("degrees", [0, 10, 30, 45, 60, 90])
def test_two_latents_that_are_turned(degrees):
    """Uncorrelated factors of equal variance: R^2 is cos^2 and sin^2 of the angle."""
    factors = np.stack([g.ravel() for g in np.meshgrid(np.arange(5), np.arange(5))], axis=1)
    codes = factors @ givens(2, 0, 1, np.radians(degrees)).T
    assert sap(codes, factors) == pytest.approx(abs(np.cos(2 * np.radians(degrees))), abs=1e-12)


def test_one_latent_has_no_second():
    assert sap([[0.0], [1.0], [2.0]], [0, 1, 2]) == pytest.approx(1)


def test_constants():
    rng = np.random.default_rng(0)
    codes, factors = rng.normal(size=(20, 2)), rng.normal(size=(20, 2))
    still = np.full((20, 1), 0.1)  # not a binary fraction: its deviations from the mean are not 0
    more = r_squared_matrix(np.hstack([codes, still]), np.hstack([factors, still]))
    assert np.all(more[2] == 0)
    assert np.all(more[:, 2] == 0)
    assert sap(np.hstack([codes, still]), np.hstack([factors, still])) == sap(codes, factors)
    assert sap(still, factors) == 0


def test_huge_and_tiny_numbers():
    factors = np.arange(5.0)
    assert sap(factors[:, None] * 4e307, factors * 1e-300) == pytest.approx(1)
    assert sap(1e12 + factors[:, None], factors) == pytest.approx(1)


@pytest.mark.parametrize(
    ("codes", "factors", "words"),
    [
        (np.zeros(3), np.arange(3), r"codes must have the shape \(n, d\); the shape is \(3,\)"),
        (np.zeros((3, 1)), np.arange(4), r"factors must have the shape \(3, K\); .* \(4, 1\)"),
        ([[0.0], [np.inf]], [0, 1], r"codes must be finite; codes\[1, 0\] = inf"),
        ([[0.0], [1.0]], [0, np.nan], r"factors must be finite; factors\[1, 0\] = nan"),
        ([[0.0], [1.0]], ["a", "b"], "factors must be numbers here; the dtype is <U1"),
        ([[0.0], [1.0]], [3, 3], "factors must vary; each of the 1 columns"),
    ],
)
def test_refused(codes, factors, words):
    with pytest.raises(ValueError, match=words):
        sap(codes, factors)
