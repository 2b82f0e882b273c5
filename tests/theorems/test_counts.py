"""Counts of latents, isometric importance, entropy of means."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import encodings, rngs
from test_theorems import linear_vae

from disentangle_indicators.theorems import (
    entropy_of_means,
    isometric_importance,
    participation_ratio,
    share_of_rows,
    variables,
)


@given(rng=rngs, d=st.integers(1, 20))
def test_the_participation_ratio_counts_between_1_and_d(rng, d):
    x = rng.exponential(size=d)
    found = participation_ratio(x)
    assert 1 - 1e-12 <= found <= d + 1e-12
    assert participation_ratio(3 * x[rng.permutation(d)]) == pytest.approx(found)
    assert participation_ratio(np.append(x, 0.0)) == pytest.approx(found)
    assert participation_ratio(np.ones(d)) == pytest.approx(d)
    assert participation_ratio(np.zeros(d)) == 0


@given(rng=rngs, s=st.floats(1e-3, 0.9))
def test_importance_is_the_eigenvalue_of_the_linear_vae(rng, s):
    """lambda_h = s E[1/v_h] for latents in use, and s for the others: to 1e-10."""
    _, var, values, s = linear_vae(rng, 100, 6, 6, s)
    found = isometric_importance(var, noise=s)
    assert found == pytest.approx(np.maximum(values, s), rel=1e-10)
    assert isometric_importance(var) == pytest.approx(found / found.sum(), rel=1e-10)


def test_importance_averages_precisions_and_not_variances():
    """Rows of variance 1/10 and 1: the average of 1/v is 5.5, and not 1 / 0.55."""
    assert isometric_importance(np.array([[0.1], [1.0]]), noise=2.0) == pytest.approx([11.0])


@given(arrays=encodings())
def test_shares_of_importance_sum_to_one(arrays):
    assert isometric_importance(arrays[1]).sum() == pytest.approx(1)


@pytest.mark.parametrize("noise", [0.0, -1.0, np.inf])
def test_noise_must_be_positive(noise):
    with pytest.raises(ValueError, match="noise must be positive"):
        isometric_importance(np.ones((2, 2)), noise=noise)
    with pytest.raises(ValueError, match=r"var must be positive; var\[0, 1\] = 0"):
        isometric_importance(np.array([[1.0, 0.0]]))


def test_entropy_cannot_tell_active_from_mixed_and_the_variances_can():
    """Latents with the same means: one used by all rows, one by half of them, and one by none."""
    rng = np.random.default_rng(0)
    n = 8000
    x = rng.normal(size=n) * np.where(np.arange(n) % 2, 1.0, 0.5)
    mean = np.column_stack([x, x, 0.01 * rng.normal(size=n)])
    half = np.where(np.arange(n) % 2, 0.01, 0.95)
    var = np.column_stack([np.full(n, 0.01), half, np.full(n, 0.99)])
    entropy = entropy_of_means(mean)
    assert entropy[0] == entropy[1] > entropy[2] + 3
    share = share_of_rows(var)
    assert share.tolist() == [1.0, 0.5, 0.0]
    assert variables(share) == ("active", "mixed", "passive")


@given(rng=rngs)
def test_entropy_of_means_is_that_of_a_gaussian_at_most(rng):
    x = rng.uniform(size=(3000, 1)) * 4
    found = entropy_of_means(x)[0]
    assert found == pytest.approx(np.log(4), abs=0.1)
    assert found <= 0.5 * np.log(2 * np.pi * np.e * x.var())
    assert entropy_of_means(2 * x + 1)[0] == pytest.approx(found + np.log(2), abs=1e-9)
