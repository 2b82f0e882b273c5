"""Noise models: densities against torch.distributions, laws of EM, optima in closed form."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from noise_cases import TINY, assert_same_parameters, images, torch
from strategies import cut, rngs
from torch.distributions import Categorical, MixtureSameFamily, Normal

from dindic_models.noise import (
    NETWORK_FLOOR,
    NOISES,
    FixedGaussian,
    LearnedGaussian,
    MixtureOfGaussians,
    NetworkGaussian,
)

MAKE = {
    "fixed": lambda: FixedGaussian(0.03),
    "learned": lambda: LearnedGaussian(0.03),
    "closed form": lambda: LearnedGaussian(0.03, closed_form=True),
    "mog": lambda: MixtureOfGaussians(3, 0.03),
    "network": NetworkGaussian,
}


every = pytest.mark.parametrize("name", MAKE)


def made(name):
    return MAKE[name]().double()


def test_every_noise_is_tested():
    assert {type(make()) for make in MAKE.values()} == set(NOISES.values())


class TestEveryNoise:
    @every
    @given(rng=rngs)
    def test_density_is_that_of_torch(self, name, rng):
        noise = made(name)
        if name == "mog":
            noise.weights = torch.asarray(rng.dirichlet(np.ones(3)))
            noise.variances = torch.asarray(np.exp(rng.uniform(-8, 2, 3)))
        x, g = images(rng, noise)
        if name == "mog":
            parts = Normal(torch.zeros(3, dtype=torch.float64), noise.variances.sqrt())
            wanted = MixtureSameFamily(Categorical(noise.weights), parts).log_prob(x - g)
        elif name == "network":
            sd = (g[:, 2:].exp() + NETWORK_FLOOR).sqrt()
            wanted = Normal(g[:, :2], sd).log_prob(x)
        else:
            wanted = Normal(g, noise.variance().sqrt()).log_prob(x)
        wanted = wanted.sum((1, 2, 3))
        torch.testing.assert_close(noise.log_prob(x, g), wanted, rtol=1e-12, atol=1e-12)
        assert torch.equal(noise(x, g), noise.log_prob(x, g))
        torch.testing.assert_close(noise.mean(g), g[:, :2])

    @every
    def test_no_images_have_no_densities(self, name):
        """As the part of a process has where a batch has fewer images than there are processes."""
        noise = made(name)
        x, g = images(np.random.default_rng(0), noise)
        assert noise.log_prob(x[:0], g[:0]).shape == (0,)

    @every
    @given(rng=rngs)
    def test_a_density_integrates_to_one(self, name, rng):
        """And its variance is what the noise says."""
        noise = made(name)
        g, t = torch.asarray(rng.normal(size=2))
        x = torch.linspace(-6, 6, 8001, dtype=torch.float64) + g
        output = torch.stack([g, 0.2 * t - 3][: noise.outputs]).reshape(1, -1, 1, 1)
        with torch.no_grad():
            density = noise.log_prob(x.reshape(-1, 1, 1, 1), output.expand(len(x), -1, 1, 1)).exp()
        assert torch.trapezoid(density, x) == pytest.approx(1, abs=1e-9)
        variance = torch.trapezoid(density * (x - g) ** 2, x)
        if name == "network":
            noise.absorb(noise.statistics(x[:1].reshape(1, 1, 1, 1), output))
        assert noise.variance().item() == pytest.approx(float(variance), rel=1e-9)

    @every
    @given(rng=rngs)
    def test_pixels_are_independent_and_alike(self, name, rng):
        noise = made(name)
        x, g = images(rng, noise)
        c = noise.outputs
        each = sum(
            noise.log_prob(x[:, k : k + 1, i : i + 1, j : j + 1], g[:, k::2, i : i + 1, j : j + 1])
            for k in range(2)
            for i in range(3)
            for j in range(2)
        )
        assert g.shape[1] == 2 * c
        torch.testing.assert_close(noise.log_prob(x, g), each, rtol=1e-12, atol=1e-12)

    @every
    @given(rng=rngs, parts=st.integers(1, 5))
    def test_statistics_add_up(self, name, rng, parts):
        noise = made(name)
        x, g = images(rng, noise, b=7)
        whole = noise.statistics(x, g)
        assert whole.dtype == torch.float64
        assert whole.shape == noise.running.shape
        pieces = [noise.statistics(x[s], g[s]) for s in cut(rng, 7, parts)]
        torch.testing.assert_close(sum(pieces), whole, rtol=1e-12, atol=1e-14)
        none = noise.statistics(x[:0], g[:0])
        assert torch.equal(none, torch.zeros_like(whole))

    @every
    @given(rng=rngs)
    def test_statistics_carry_no_gradient(self, name, rng):
        noise = made(name)
        x, g = images(rng, noise)
        g.requires_grad_()
        assert not noise.statistics(x, g).requires_grad
        noise.absorb(noise.statistics(x, g))
        noise.log_prob(x, g).sum().backward()
        assert g.grad.isfinite().all()

    @every
    def test_the_precision_of_a_model_does_not_change_the_setting(self, name):
        """0.03 in a float64 model is 0.03, not the nearest float32."""
        noise = made(name)
        if name in ("fixed", "learned", "closed form"):
            assert noise.variance().item() == pytest.approx(0.03, rel=1e-15)
        single = MAKE[name]()
        x, g = (t.float() for t in images(np.random.default_rng(0), noise))
        assert single.log_prob(x, g).dtype == torch.float32
        single.absorb(single.statistics(x, g))
        assert single.log_prob(x, g).dtype == torch.float32

    @pytest.mark.parametrize("bad", [0.0, -1.0, math.inf, math.nan])
    def test_what_is_not_a_variance(self, bad):
        for make in (FixedGaussian, LearnedGaussian):
            with pytest.raises(ValueError, match=f"sigma2 must be positive and finite.*{bad}"):
                make(bad)
        with pytest.raises(ValueError, match=f"sigma2 must be positive and finite.*{bad}"):
            MixtureOfGaussians(2, bad)
        for make in (LearnedGaussian, MixtureOfGaussians, NetworkGaussian):
            with pytest.raises(ValueError, match=f"floor must be positive and finite.*{bad}"):
                make(floor=bad)
            with pytest.raises(ValueError, match="rate must be in"):
                make(rate=bad)
        with pytest.raises(ValueError, match="at least one component; got 0"):
            MixtureOfGaussians(0)


class TestLearnedGaussian:
    @given(rng=rngs)
    def test_the_closed_form_is_the_maximiser(self, rng):
        noise = LearnedGaussian(1.0, closed_form=True, floor=TINY).double()
        x, g = images(rng, noise)
        noise.update(noise.statistics(x, g))
        best = float(((x - g) ** 2).mean())
        assert noise.variance().item() == pytest.approx(best, rel=1e-14)

        def at(sigma2):
            return Normal(g, math.sqrt(sigma2)).log_prob(x).sum()

        for step in (1e-3, 0.1, 1.0):
            assert at(best) > max(at(best * math.exp(step)), at(best * math.exp(-step)))
        assert noise.log_prob(x, g).sum().item() == pytest.approx(float(at(best)), rel=1e-12)

    @settings(max_examples=12)
    @given(rng=rngs, start=st.sampled_from([1e-12, 1e-7, 0.1, 10.0]))
    def test_gradients_find_the_closed_form(self, rng, start):
        """From anywhere, from below the floor too."""
        noise = LearnedGaussian(start).double()
        x, g = images(rng, noise)
        # Adam would remember the steep wall below the floor
        optimizer = torch.optim.Rprop(noise.parameters(), lr=0.5, step_sizes=(1e-9, 50))
        for _ in range(100):
            optimizer.zero_grad()
            (-noise.log_prob(x, g).sum()).backward()
            optimizer.step()
        assert noise.variance().item() == pytest.approx(float(((x - g) ** 2).mean()), rel=1e-6)

    def test_the_gradient_of_log_sigma(self):
        """d/d log sigma of log p = r^2 / sigma^2 - 1 for every pixel."""
        noise = LearnedGaussian(0.5).double()
        x, g = images(np.random.default_rng(0), noise)
        noise.log_prob(x, g).sum().backward()
        wanted = ((x - g) ** 2 / 0.5 - 1).sum()
        assert noise.log_sigma.grad == pytest.approx(float(wanted), rel=1e-12)

    @pytest.mark.parametrize("closed_form", [False, True])
    def test_the_floor(self, closed_form):
        noise = LearnedGaussian(1e-3, closed_form=closed_form, floor=1e-4).double()
        x = torch.rand(3, 1, 2, 2, dtype=torch.float64)
        if closed_form:
            noise.update(noise.statistics(x, x))
        else:
            for _ in range(200):
                noise.log_sigma.grad = None
                noise.log_prob(x, x).sum().backward()
                noise.log_sigma.data += 0.1 * noise.log_sigma.grad
        assert noise.variance().item() == pytest.approx(1e-4, rel=1e-12)
        assert noise.log_prob(x, x).isfinite().all()

    def test_the_gradient_is_not_for_the_closed_form(self):
        assert LearnedGaussian(closed_form=True).log_sigma.requires_grad is False
        noise = LearnedGaussian()
        noise.absorb(noise.statistics(*images(np.random.default_rng(0), noise)))
        assert noise.variance().item() == pytest.approx(0.1, rel=1e-6)


class TestAbsorb:
    @pytest.mark.parametrize("name", ["closed form", "mog"])
    @given(rng=rngs)
    def test_a_rate_of_one_forgets(self, name, rng):
        """The closed form of each batch, whatever came before."""
        noise, own = made(name), made(name)
        noise.rate = 1.0
        for _ in range(3):
            x, g = images(rng, noise)
            own.load_state_dict(noise.state_dict())
            own.update(own.statistics(x, g))
            noise.absorb(noise.statistics(x, g))
            assert_same_parameters(noise, own)

    @pytest.mark.parametrize("name", ["closed form", "mog"])
    @given(rng=rngs, rate=st.floats(1e-6, 1))
    def test_the_first_batch_is_all_there_is(self, name, rng, rate):
        noise, own = made(name), made(name)
        noise.rate = rate
        x, g = images(rng, noise)
        own.update(own.statistics(x, g))
        noise.absorb(noise.statistics(x, g))
        assert_same_parameters(noise, own)

    @given(rng=rngs, n=st.integers(1, 6))
    def test_a_rate_of_nothing_pools(self, rng, n):
        """1 / n of the n-th batch: the closed form of all pixels so far."""
        noise = LearnedGaussian(closed_form=True, rate=1e-9).double()
        x, g = images(rng, noise, b=3 * n)
        for part in range(n):
            s = slice(3 * part, 3 * part + 3)
            noise.absorb(noise.statistics(x[s], g[s]))
        assert noise.variance().item() == pytest.approx(float(((x - g) ** 2).mean()), rel=1e-12)

    @given(rng=rngs, rate=st.floats(0.01, 1))
    def test_a_running_average(self, rng, rate):
        noise = LearnedGaussian(closed_form=True, rate=rate).double()
        wanted = np.zeros(2)
        for n in range(1, 8):
            x, g = images(rng, noise)
            wanted += max(rate, 1 / n) * (noise.statistics(x, g).numpy() - wanted)
            noise.absorb(noise.statistics(x, g))
        np.testing.assert_allclose(noise.running.numpy(), wanted, rtol=1e-12)
        assert noise.variance().item() == pytest.approx(wanted[0] / wanted[1], rel=1e-12)

    def test_minibatch_closed_forms_lower_the_bound_of_the_data(self):
        """Erratum E18, and why there is a running average: it does so less, and in the end not."""
        rng = np.random.default_rng(0)
        x = torch.asarray(rng.normal(size=(2000, 1, 1, 1)))
        g = torch.zeros_like(x)
        spread = {}
        for rate in (1.0, 1e-6):
            noise = LearnedGaussian(closed_form=True, rate=rate).double()
            values = []
            for part in range(100):
                s = slice(20 * part, 20 * part + 20)
                noise.absorb(noise.statistics(x[s], g[s]))
                values.append(float(noise.log_prob(x, g).mean()))
            falls = np.sum(np.diff(values) < 0)
            assert falls > 20
            spread[rate] = np.std(values[50:])
        assert spread[1e-6] < 0.05 * spread[1.0]
