"""marginal: the aggregated posterior, q* and the prior."""

import math

import numpy as np
import pytest

from disentangle_indicators.aggregate import density
from disentangle_indicators.plots import marginal


def test_the_density_is_drawn_beside_its_gaussian_and_the_prior():
    side = np.random.default_rng(0).choice([-1.0, 1.0], size=(300, 1))
    found = density(0.995 * side, np.full((300, 1), 0.01), latent=0)
    ax = marginal(found)
    own, star, prior = ax.lines
    np.testing.assert_array_equal(own.get_data(), (found.z, found.density))
    peak = 1 / math.sqrt(2 * math.pi)
    assert np.max(star.get_ydata()) == pytest.approx(peak / math.sqrt(found.second_moment))
    assert np.max(prior.get_ydata()) == pytest.approx(peak)
    third = found.information + found.looseness
    assert ax.get_title() == (
        f"latent 0: I(x; z_h) = {found.information:.3f} nats, Definition 3 = {third:.3f}"
    )
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("z[0]", "density")
    assert marginal(found, ax) is ax
