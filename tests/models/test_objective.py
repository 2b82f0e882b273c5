"""The bound and its beta: Kullback-Leibler by torch, L samples, and section 7.2.1 as a law."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import rngs, seeds

torch = pytest.importorskip("torch", reason="torch is not installed: NO model is tested")

from torch.distributions import Normal, kl_divergence

from dindic_models.config import Config, make_model
from dindic_models.networks import mlp
from dindic_models.noise import NOISES, FixedGaussian
from dindic_models.objective import convention_gap, draw, evlb_at, kl_prior, objective, sample
from dindic_models.vae import VAE

SHAPE, D = (1, 3, 4), 3
betas = st.floats(math.log(0.1), math.log(100)).map(math.exp)
variances = st.floats(math.log(1e-4), math.log(10)).map(math.exp)


def numbers(rng, *shape):
    return torch.asarray(rng.normal(size=shape))


def small(sigma2, seed):
    """A VAE with one hidden layer of 5, in float64."""
    torch.manual_seed(seed)
    return VAE(mlp(SHAPE, D, hidden=(5,)), FixedGaussian(sigma2), SHAPE).double()


def batch(rng, b=6, samples=2):
    return torch.asarray(rng.random((b, *SHAPE))), numbers(rng, samples, b, D)


def rec(model, x, terms):
    """||x - G(z)||^2, averaged over the samples of z, (b,)."""
    return (x - terms.output.unflatten(0, (-1, len(x)))).square().flatten(2).sum(2).mean(0)


def gradient(model, loss):
    model.zero_grad()
    loss.backward()
    return torch.cat([p.grad.flatten() for p in model.parameters()])


def assert_proportional(one, other, ratio):
    cosine = one @ other / (one.norm() * other.norm())
    assert cosine.item() == pytest.approx(1, abs=1e-10)
    assert (one.norm() / other.norm()).item() == pytest.approx(ratio, rel=1e-10)


class TestTerms:
    @given(rng=rngs)
    def test_kl_is_that_of_torch(self, rng):
        mean, logvar = numbers(rng, 7, D), 3 * numbers(rng, 7, D)
        wanted = kl_divergence(Normal(mean, (0.5 * logvar).exp()), Normal(0.0, 1.0))
        ours = kl_prior(mean, logvar)
        torch.testing.assert_close(ours, wanted, rtol=1e-12, atol=1e-12)
        assert (ours >= 0).all()
        assert not kl_prior(torch.zeros(2), torch.zeros(2)).any()

    @given(rng=rngs)
    def test_its_gradient(self, rng):
        """mean, and half of variance less 1."""
        mean, logvar = numbers(rng, 4, D).requires_grad_(), numbers(rng, 4, D).requires_grad_()
        kl_prior(mean, logvar).sum().backward()
        torch.testing.assert_close(mean.grad, mean.detach(), rtol=1e-13, atol=0)
        wanted = 0.5 * (logvar.detach().exp() - 1)
        torch.testing.assert_close(logvar.grad, wanted, rtol=1e-12, atol=1e-15)

    @given(rng=rngs, samples=st.integers(1, 4))
    def test_a_sample_is_mean_and_sd(self, rng, samples):
        """The variance enters by its root (errata E17), sample by sample."""
        mean, logvar, e = numbers(rng, 5, D), numbers(rng, 5, D), numbers(rng, samples, 5, D)
        z = sample(mean, logvar, e)
        assert z.shape == (samples * 5, D)
        for number in range(samples):
            wanted = mean + logvar.exp().sqrt() * e[number]
            torch.testing.assert_close(z[5 * number : 5 * number + 5], wanted)

    @pytest.mark.parametrize("noise", NOISES)
    @given(rng=rngs, samples=st.integers(1, 4), b=st.integers(1, 3))
    def test_samples_are_averaged(self, noise, rng, samples, b):
        config = Config(
            network="linear", activation="linear", latents=D, noise=noise, precision="float64"
        )
        model = make_model(config, SHAPE)
        x, e = batch(rng, b, samples)
        together = model(x, e)
        alone = [model(x, e[number : number + 1]) for number in range(samples)]
        average = sum(terms.log_likelihood for terms in alone) / samples
        torch.testing.assert_close(together.log_likelihood, average, rtol=1e-12, atol=1e-12)
        assert torch.equal(together.kl, alone[0].kl)
        outputs = torch.cat([terms.output for terms in alone])
        torch.testing.assert_close(together.output, outputs, rtol=1e-12, atol=1e-14)

    @given(seed=seeds, rng=rngs, sigma2=variances)
    def test_the_parts_are_what_they_say(self, seed, rng, sigma2):
        """log N(x; G(z), sigma^2 I) and KL(q || p), from encode and reconstruct alone."""
        model = small(sigma2, seed)
        x, e = batch(rng, samples=1)
        mean, logvar = model.encode(x)
        sd = (0.5 * logvar).exp()
        wanted = Normal(model.reconstruct(mean + sd * e[0]), math.sqrt(sigma2)).log_prob(x)
        terms = model(x, e)
        torch.testing.assert_close(
            terms.log_likelihood, wanted.sum((1, 2, 3)), rtol=1e-11, atol=1e-11
        )
        kl = kl_divergence(Normal(mean, sd), Normal(0.0, 1.0)).sum(1)
        torch.testing.assert_close(terms.kl, kl, rtol=1e-11, atol=1e-12)
        value = objective(terms, 2.5)
        torch.testing.assert_close(value, terms.log_likelihood - 2.5 * kl, rtol=1e-11, atol=1e-11)

    def test_noise_is_drawn_by_its_seed(self):
        like = torch.zeros(1, dtype=torch.float64)
        torch.manual_seed(0)
        before = torch.get_rng_state()
        one = draw(3, (2, 50, 40), like)
        assert torch.equal(torch.get_rng_state(), before)
        assert one.dtype == torch.float64
        assert torch.equal(one, draw(3, (2, 50, 40), like))
        assert not torch.equal(one, draw(4, (2, 50, 40), like))
        assert draw(3, (2, 3), like.float()).dtype == torch.float32
        assert abs(one.mean()) < 5 / math.sqrt(4000)
        assert abs(one.var() - 1) < 5 * math.sqrt(2 / 4000)


class TestNormalisedVariance:
    """Section 7.2.1: beta-VAE(beta, sigma^2) is VAE(beta sigma^2)."""

    @given(seed=seeds, rng=rngs, beta=betas, sigma2=variances)
    def test_gradients_are_proportional(self, seed, rng, beta, sigma2):
        x, e = batch(rng)
        model, other = small(sigma2, seed), small(beta * sigma2, seed)
        beta_vae = gradient(model, -objective(model(x, e), beta).mean())
        vae = gradient(other, -objective(other(x, e), 1.0).mean())
        assert_proportional(beta_vae, vae, beta)
        terms = model(x, e)
        corrected = rec(model, x, terms) + 2 * beta * sigma2 * terms.kl
        assert_proportional(beta_vae, gradient(model, corrected.mean()), 1 / (2 * sigma2))

    def test_the_printed_sign_rewards_kl(self):
        """Erratum E4: rec - 2 s KL has another gradient, and falls without end."""
        rng = torch.Generator().manual_seed(0)
        x = torch.rand(6, *SHAPE, generator=rng, dtype=torch.float64)
        e = torch.randn(2, 6, D, generator=rng, dtype=torch.float64)
        model, beta, sigma2 = small(0.03, 0), 4.0, 0.03
        ours = gradient(model, -objective(model(x, e), beta).mean())

        def printed():
            terms = model(x, e)
            return (rec(model, x, terms) - 2 * beta * sigma2 * terms.kl).mean()

        theirs = gradient(model, printed())
        assert ours @ theirs / (ours.norm() * theirs.norm()) < 0.999
        first = printed().item()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
        for _ in range(200):
            optimizer.zero_grad()
            printed().backward()
            optimizer.step()
        assert printed().item() < min(first, 0) - 10
        assert model(x, e).kl.mean() > 50

    def train(self, optimizer, beta, sigma2, steps):
        model = small(sigma2, 1)
        optimizer = optimizer(model.parameters())
        generator = torch.Generator().manual_seed(2)
        x = torch.rand(50, *SHAPE, generator=generator, dtype=torch.float64)
        for _ in range(steps):
            rows = torch.randint(50, (10,), generator=generator)
            e = torch.randn(1, 10, D, generator=generator, dtype=torch.float64)
            optimizer.zero_grad()
            (-objective(model(x[rows], e), beta).mean()).backward()
            optimizer.step()
        return torch.cat([p.detach().flatten() for p in model.parameters()])

    def difference(self, optimizer, other=None, beta=5.0, sigma2=0.02, steps=200):
        one = self.train(optimizer, beta, sigma2, steps)
        two = self.train(other or optimizer, 1.0, beta * sigma2, steps)
        assert (one - self.train(optimizer, beta, sigma2, steps=0)).abs().max() > 0.02
        return (one - two).abs().max()

    def test_adam_takes_the_same_path(self):
        """Adam divides by the size of gradients, but for its epsilon, an absolute 1e-8."""

        def adam(**settings):
            return lambda parameters: torch.optim.Adam(parameters, lr=1e-3, **settings)

        assert self.difference(adam(eps=1e-30)) < 1e-12
        assert self.difference(adam()) < 2e-7
        assert self.difference(adam(weight_decay=1e-2), steps=50) > 1e-3

    def test_sgd_needs_the_step_divided_by_beta(self):
        def sgd(lr):
            return lambda parameters: torch.optim.SGD(parameters, lr=lr)

        assert self.difference(sgd(1e-3 / 5), sgd(1e-3), steps=60) < 1e-12
        assert self.difference(sgd(1e-3 / 5), steps=60) > 1e-2


class TestConventions:
    """Figure 4 evaluates noise-learning models at sigma^2, the others at beta sigma^2."""

    @given(seed=seeds, rng=rngs, sigma2=variances)
    def test_evlb_at_is_the_bound_under_that_noise(self, seed, rng, sigma2):
        x, e = batch(rng, samples=3)
        terms = small(0.5, seed)(x, e)
        ours = evlb_at(rec(None, x, terms), terms.kl, math.prod(SHAPE), sigma2)
        wanted = objective(small(sigma2, seed)(x, e), 1.0)
        torch.testing.assert_close(ours, wanted, rtol=1e-11, atol=1e-11)

    @given(rng=rngs, beta=betas, pixels=st.integers(1, 5000))
    def test_the_gap_is_exact_where_sigma_fits_the_residuals(self, rng, beta, pixels):
        squared, kl = torch.asarray(rng.random((2, 8))) * pixels
        sigma2 = squared.mean().item() / pixels
        at, beyond = (
            evlb_at(squared, kl, pixels, s).mean().item() for s in (sigma2, beta * sigma2)
        )
        gap = convention_gap(pixels, beta)
        assert at - beyond == pytest.approx(gap, rel=1e-10, abs=1e-10 * max(1, abs(at)))
        assert gap >= -1e-12

    @given(rng=rngs, beta=betas)
    def test_elsewhere_it_is_not(self, rng, beta):
        """With residuals of c sigma^2: less by d (1 - c) (1 - 1 / beta) / 2, of either sign."""
        c = rng.uniform(0.1, 3)
        squared, kl = torch.tensor([c * 0.2 * 12]), torch.zeros(1)
        gap = (evlb_at(squared, kl, 12, 0.2) - evlb_at(squared, kl, 12, 0.2 * beta)).item()
        wanted = convention_gap(12, beta) + 6 * (1 - c) * (1 - 1 / beta)
        assert gap == pytest.approx(wanted, abs=1e-4)

    def test_known_values(self):
        gaps = [convention_gap(20, beta) for beta in (2, 4, 8)]
        assert gaps == pytest.approx([1.9315, 6.3629, 12.0444], abs=1e-4)
        assert convention_gap(784, 10) == pytest.approx(549.8, abs=0.05)
        assert convention_gap(784, 1) == 0
