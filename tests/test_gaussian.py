"""The log determinant of covariances, against numpy; and what it refuses."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import invertible, rngs, to

from disentangle_indicators._errors import Undefined
from disentangle_indicators.gaussian import log_det


@given(rng=rngs, d=st.integers(1, 6))
def test_log_det_agrees_with_numpy(xp, rng, d):
    a = invertible(rng, d) * np.exp(rng.uniform(-2, 2, d))
    cov = a.T @ a
    sign, wanted = np.linalg.slogdet(cov)
    assert sign == 1
    assert float(log_det(*to(xp, cov))) == pytest.approx(wanted, abs=1e-9)


@given(rng=rngs, d=st.integers(1, 5), scale=st.floats(1e-100, 1e100))
def test_log_det_of_scaled_latents(rng, d, scale):
    a = invertible(rng, d)
    cov = a.T @ a
    moved = float(log_det(cov * scale))
    assert moved == pytest.approx(float(log_det(cov)) + d * np.log(scale), abs=1e-9 * d)


@pytest.mark.parametrize("cov", [[[1.0, 1.0], [1.0, 1.0]], [[0.0]], [[1.0, 2.0], [2.0, 1.0]]])
def test_a_covariance_that_is_not_positive_definite_is_undefined(cov):
    with pytest.raises(Undefined, match="positive definite"):
        log_det(np.array(cov))


@pytest.mark.parametrize(
    ("cov", "words"), [([[1.0, 0.5], [0.0, 1.0]], "symmetric"), ([[np.nan]], "finite")]
)
def test_no_covariance_at_all_is_bad_input(cov, words):
    with pytest.raises(ValueError, match=words) as caught:
        log_det(np.array(cov))
    assert not isinstance(caught.value, Undefined)


def test_log_det_of_extreme_units(xp):
    """The determinant itself would underflow."""
    scale = np.array([1e-150, 1e150, 1e-120])
    correlation = np.array([[1, 0.5, 0], [0.5, 1, 0.2], [0, 0.2, 1]])
    wanted = np.linalg.slogdet(correlation)[1] + 2 * np.log(scale).sum()
    (cov,) = to(xp, correlation * scale * scale[:, None])
    assert float(log_det(cov)) == pytest.approx(wanted, rel=1e-13)


def test_log_det_takes_leading_axes(xp):
    a = np.random.default_rng(0).normal(size=(2, 3, 4, 4))
    cov = a @ np.swapaxes(a, -1, -2) + np.eye(4)
    ours = np.asarray(log_det(*to(xp, cov)))
    assert ours == pytest.approx(np.linalg.slogdet(cov)[1], rel=1e-12)
