"""The histogram of residuals, and eq. (24) as it is printed."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from noise_cases import (
    as_images,
    library_step,
    mixture,
    of,
    over_components,
    residuals,
    separated,
    torch,
)
from strategies import rngs, seeds

from dindic_models import noise as noise_models
from dindic_models.noise import (
    histogram,
)


class TestHistogram:
    @given(rng=rngs, components=st.integers(2, 3))
    def test_it_is_em(self, rng, components):
        """2^18 residuals: |d pi| < 1e-6, s to 1e-5, and the second moment exactly."""
        r = residuals(rng, 2**12, zeros=True) * torch.asarray(rng.uniform(0.5, 2, (64, 1)))
        squared = r.flatten().square()
        start = mixture(components, float(squared.mean()), floor=1e-9)
        exact, binned = (mixture(components, floor=1e-9) for _ in range(2))
        exact.load_state_dict(start.state_dict())
        binned.load_state_dict(start.state_dict())
        exact.update(exact.statistics_of(squared, None))
        binned.update(binned.statistics_of(*histogram(squared)))
        assert (binned.weights - exact.weights).abs().max() < 1e-6
        torch.testing.assert_close(binned.variances, exact.variances, rtol=1e-5, atol=0)
        above = binned.variances > 1e-9
        if above.all():
            assert binned.variance() == pytest.approx(float(squared.mean()), rel=1e-12)

    @given(rng=rngs)
    def test_nothing_is_lost(self, rng):
        """Below and above the range of the bins too, in either precision."""
        squared = torch.asarray(np.exp(rng.uniform(-90, 40, 500)))
        squared[:50] = 0.0
        for values in (squared, squared.float()):
            means, number = histogram(values)
            assert means.dtype == number.dtype == torch.float64
            assert number.sum() == 500
            total = values.double().sum()
            torch.testing.assert_close(means @ number, total, rtol=1e-12, atol=0)
            assert (means[number > 0] >= 0).all()
            assert means.isfinite().all()

    def test_a_bin_is_narrow(self):
        squared = torch.logspace(-13.9, 1.9, 100_000, dtype=torch.float64)
        means, number = histogram(squared)
        width = math.log(1e16) / noise_models.BINS
        position = ((squared.log() - math.log(1e-14)) / width).long()
        assert (squared.log() - means[position].log()).abs().max() <= width
        assert (number > 0).sum() >= 0.98 * noise_models.BINS

    def test_many_pixels_take_it(self, monkeypatch):
        rng = np.random.default_rng(0)
        x, g = as_images(residuals(rng, 1001))
        noise = mixture(2)
        squared = (x - g).square().flatten()
        exact = noise.statistics_of(squared, None)
        binned = noise.statistics_of(*histogram(squared))
        assert not torch.equal(exact, binned)
        monkeypatch.setattr(noise_models, "HISTOGRAM_ABOVE", 1001)
        assert torch.equal(noise.statistics(x, g), exact)
        monkeypatch.setattr(noise_models, "HISTOGRAM_ABOVE", 1000)
        assert torch.equal(noise.statistics(x, g), binned)
        torch.testing.assert_close(binned, exact, rtol=1e-4, atol=1e-4)
        assert binned[:2].sum() == pytest.approx(1001, rel=1e-14)

    @pytest.mark.slow
    def test_it_stays_em_to_the_end(self):
        """Forty steps of each over 2 million residuals, from the same start."""
        rng = np.random.default_rng(0)
        n = 2_000_000
        r = rng.normal(size=n) * np.where(rng.random(n) < 0.7, 0.05, 0.4)
        squared = torch.asarray(r).square()
        exact, binned = mixture(2), mixture(2)
        bins = histogram(squared)
        for _ in range(40):
            exact.update(exact.statistics_of(squared, None))
            binned.update(binned.statistics_of(*bins))
            assert binned.variance() == pytest.approx(float(squared.mean()), rel=1e-12)
        assert (binned.weights - exact.weights).abs().max() < 1e-6
        torch.testing.assert_close(binned.variances, exact.variances, rtol=1e-5, atol=0)


class TestPrinted24:
    """Erratum E3: what (24) and (25) print is not what the update (26) maximises."""

    @given(seed=seeds)
    def test_26_maximises_the_corrected_objective_alone(self, seed):
        weights, variances, r = separated(seed)
        gamma = over_components(weights, variances, r)
        pi, s = library_step(weights, variances, r)
        square = r[..., None] ** 2

        def corrected(pi, s):
            return (gamma * (pi.log() - square / (2 * s) - 0.5 * (2 * math.pi * s).log())).sum()

        def log_repaired(pi, s):
            return (gamma * (pi.log() + square / (2 * s) + 0.5 * (2 * math.pi * s).log())).sum()

        def printed(pi, s):
            return (gamma * (pi.log() + square / (2 * s) + 0.5 * math.log(2 * math.pi) * s)).sum()

        def slope(objective):
            log_s = s.log().requires_grad_()
            return torch.autograd.grad(objective(pi, log_s.exp()), log_s)[0] / gamma.sum((0, 1))

        assert slope(corrected).abs().max() <= 1e-10
        assert slope(log_repaired).abs().max() <= 1e-10
        assert slope(printed).abs().min() >= 0.05
        for factor in (0.9, 1.1):
            assert corrected(pi, factor * s) < corrected(pi, s)
            assert log_repaired(pi, factor * s) > log_repaired(pi, s)
            moved = (pi**factor) / (pi**factor).sum()
            assert corrected(moved, s) <= corrected(pi, s)
        ours = (gamma * of(pi, s).log_joint(r**2)).sum()
        assert ours == pytest.approx(float(corrected(pi, s)), rel=1e-12)
