"""Noise whose variance per pixel is an output of the network."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from noise_cases import images, torch
from strategies import rngs

from dindic_models.noise import (
    NETWORK_FLOOR,
    NetworkGaussian,
)


class TestNetworkGaussian:
    @given(rng=rngs)
    def test_optimum_conditions(self, rng):
        """A linear last layer with bias: r^2 / s averages 1, and s leaves no feature in r^2 / s."""
        n, features, pixels = 300, 3, 2
        phi = torch.asarray(np.column_stack([rng.normal(size=(n, features)), np.ones(n)]))
        sd = np.exp(0.7 * rng.normal(size=(n, 1)) + 0.3 * phi[:, :1].numpy())
        x = torch.asarray(sd * rng.standard_t(5, (n, pixels)))[:, :, None, None]
        noise = NetworkGaussian(floor=1e-12).double()
        layer = torch.zeros(features + 1, 2 * pixels, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.LBFGS(
            [layer],
            max_iter=500,
            tolerance_grad=1e-9,
            tolerance_change=0,
            line_search_fn="strong_wolfe",
        )

        def loss():
            optimizer.zero_grad()
            value = -noise.log_prob(x, (phi @ layer)[:, :, None, None]).mean()
            value.backward()
            return value

        optimizer.step(loss)
        g = (phi @ layer.detach())[:, :, None, None]
        s = noise.log_variances(g).exp().flatten(1)
        r = (x - noise.mean(g)).flatten(1)
        ratio = r**2 / s
        assert (ratio.mean(0) - 1).abs().max() <= 1e-5
        assert (phi.T @ (ratio - 1)).abs().max() / n <= 1e-5
        assert (phi.T @ (r / s)).abs().max() / n <= 1e-5
        assert s.std(0).min() > 0.01 * s.mean()

    @given(rng=rngs, log_floor=st.floats(-20, 0))
    def test_the_floor_bounds_the_density(self, rng, log_floor):
        floor = math.exp(log_floor)
        noise = NetworkGaussian(floor=floor).double()
        t = torch.asarray(rng.uniform(-200, 3, (4, 1, 2, 2)))
        x = torch.asarray(rng.random((4, 1, 2, 2)))
        g = torch.cat([x, t], 1)
        s = noise.log_variances(g).exp()
        torch.testing.assert_close(s, floor + t.exp(), rtol=1e-12, atol=0)
        assert (noise.log_prob(x, g) <= -0.5 * 4 * math.log(2 * math.pi * floor) + 1e-9).all()

    @given(rng=rngs, n=st.integers(1, 4))
    def test_the_variance_reported_is_the_average(self, rng, n):
        noise = NetworkGaussian(rate=1e-9).double()
        assert noise.variance() == 0
        seen = []
        for _ in range(n):
            x, g = images(rng, noise)
            noise.absorb(noise.statistics(x, g))
            seen.append((g[:, 2:].exp() + NETWORK_FLOOR).mean())
        assert noise.variance().item() == pytest.approx(float(sum(seen) / n), rel=1e-12)
