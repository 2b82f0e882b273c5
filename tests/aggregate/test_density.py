"""density: kernels by hand, narrow posteriors, and what it refuses."""

import json
import math

import numpy as np
import pytest
from scipy.integrate import trapezoid

from disentangle_indicators.aggregate import density, marginals


def wide(n=300):
    """Two-sided means of one latent, and another latent."""
    rng = np.random.default_rng(0)
    mean = np.stack([0.995 * rng.choice([-1.0, 1.0], size=n), rng.normal(size=n)], axis=1)
    return mean, np.full((n, 2), 0.01)


def test_the_density_is_the_mean_of_the_posteriors():
    mean, var = wide()
    found = density(mean, var, latent=0)
    kernels = np.exp(-0.5 * (found.z[:, None] - mean[:, 0]) ** 2 / 0.01) / math.sqrt(
        0.02 * math.pi
    )
    np.testing.assert_allclose(found.density, kernels.mean(axis=1), atol=1e-7)
    assert found.second_moment == pytest.approx(np.mean(mean[:, 0] ** 2) + 0.01)
    exact = marginals(mean, var)
    assert found.information == pytest.approx(exact.information[0], abs=1e-12)
    assert found.looseness == pytest.approx(exact.looseness[0], abs=1e-12)
    with pytest.raises(ValueError, match="latent must be from 0 to 1; got 2"):
        density(mean, var, latent=2)


def test_narrow_posteriors_are_a_histogram():
    rng = np.random.default_rng(0)
    found = density(rng.normal(size=(2000, 1)), np.full((2000, 1), 1e-12), latent=0)
    z, q = found.z, found.density
    assert np.sum(q) * (z[1] - z[0]) == pytest.approx(1, abs=0.01)
    assert np.mean(q[np.abs(z) < 0.5]) == pytest.approx(0.38, abs=0.05)


@pytest.mark.parametrize("side", [-1, 1])
@pytest.mark.parametrize("far", [3.0, 30.0])
@pytest.mark.parametrize("narrow", [0, 5])
def test_the_curve_holds_all_of_the_density(narrow, far, side):
    """Of rows far out and of narrow ones: the integral is 1, but for tails and for one bin's edge."""
    mean, var = np.zeros((20, 1)), np.full((20, 1), 0.25)
    mean[0], var[0] = side * far, 4.0
    mean[15 : 15 + narrow], var[15 : 15 + narrow] = 0.1, 1e-12
    found = density(mean, var, latent=0)
    step = narrow / 20 / 4  # of four points in a bin one may be on the edge
    assert trapezoid(found.density, found.z) == pytest.approx(1, abs=2e-4 + step)


def test_reports_have_every_point():
    found = density(*wide(), latent=1)
    assert json.loads(found.to_json())["density"] == found.density.tolist()
    frame = found.to_frame()
    assert frame.index.name == "z"
    np.testing.assert_array_equal(frame["density"], found.density)
    assert "array (2001,)" in repr(found)
