"""Noise models: densities against torch.distributions, laws of EM, optima in closed form."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import cut, rngs, seeds

torch = pytest.importorskip("torch", reason="torch is not installed: NO model is tested")

from torch.distributions import Categorical, MixtureSameFamily, Normal

from dindic_models import noise as noise_models
from dindic_models.noise import (
    NETWORK_FLOOR,
    NOISES,
    FixedGaussian,
    LearnedGaussian,
    MixtureOfGaussians,
    NetworkGaussian,
    histogram,
)

TINY = 1e-30

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


def images(rng, noise, b=4, shape=(2, 3, 2)):
    """(x, g), with log variances for the noise that asks for them."""
    x, g = rng.random((2, b, *shape))
    if noise.outputs == 2:
        g = np.concatenate([g, rng.normal(size=(b, *shape)) - 3], 1)
    return torch.asarray(x), torch.asarray(g)


def residuals(rng, n=300, zeros=False):
    """From one to four scales, some of them exact copies or exact zeros; never all zero."""
    scales = np.exp(rng.uniform(-5, 1, rng.integers(1, 5)))
    r = rng.normal(size=n) * rng.choice(scales, n)
    r[: n // 10] = r[n // 10 : n // 10 * 2]
    if zeros:
        r[rng.random(n) < 0.3] = 0.0
    return torch.asarray(rng.permutation(r))


def as_images(r, b=1):
    """Residuals as images (b, 1, 1, n / b) under a decoder that says zero."""
    x = r.reshape(b, 1, 1, -1)
    return x, torch.zeros_like(x)


def mixture(components, sigma2=0.1, floor=TINY):
    return MixtureOfGaussians(components, sigma2, floor=floor).double()


def of(weights, variances):
    """A mixture of these parameters."""
    noise = mixture(len(weights))
    noise.weights.copy_(torch.as_tensor(weights, dtype=torch.float64))
    noise.variances.copy_(torch.as_tensor(variances, dtype=torch.float64))
    return noise


def random_mixture(rng, components):
    return of(rng.dirichlet(np.ones(components)), np.exp(rng.uniform(-8, 2, components)))


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


def assert_same_parameters(one, other):
    names = ("log_sigma",) if isinstance(one, LearnedGaussian) else ("weights", "variances")
    for name in names:
        torch.testing.assert_close(getattr(one, name), getattr(other, name), rtol=1e-13, atol=0)


# EM: the laws, and what breaks them


@dataclass(frozen=True)
class EM:
    """Three functions of a mixture and residuals (b, D): gamma (b, D, K), a step, the likelihood.

    A step returns (pi, s); the likelihood is the average over residuals, of the mixture as torch
    has it, so that a wrong step cannot be right about itself.
    """

    memberships: object
    step: object


def log_likelihood(weights, variances, r):
    parts = Normal(torch.zeros_like(variances), variances.sqrt())
    return float(MixtureSameFamily(Categorical(weights), parts).log_prob(r).mean())


def library_step(weights, variances, r):
    noise = of(weights, variances)
    noise.update(noise.statistics(*as_images(r.flatten(), len(r))))
    return noise.weights, noise.variances


def library_memberships(weights, variances, r):
    return of(weights, variances).memberships(*as_images(r.flatten(), len(r)))[:, 0, 0]


def by_hand(memberships, *, weigh=True, floor=TINY):
    """A wrong or right E-step in numpy, and the M-step of (26)."""

    def step(weights, variances, r):
        gamma = memberships(weights, variances, r)
        number = gamma.sum((0, 1))
        s = (gamma * r[..., None] ** 2).sum((0, 1)) / number
        return (number / number.sum() if weigh else weights), s.clamp(min=floor)

    return EM(memberships, step)


def joint(weights, variances, r):
    return weights * Normal(0.0, variances.sqrt()).log_prob(r[..., None]).exp()


def over_components(weights, variances, r):
    p = joint(weights, variances, r)
    return p / p.sum(-1, keepdim=True)


def printed_23(weights, variances, r):
    """(23) as printed: the denominator sums over the samples m and l, not over k."""
    p = joint(weights, variances, r)
    return p / p.sum(0, keepdim=True)


def standard_deviations_for_variances(weights, variances, r):
    """(16) as printed: N(. | G, sigma_k)."""
    p = weights * Normal(0.0, variances).log_prob(r[..., None]).exp()
    return p / p.sum(-1, keepdim=True)


def without_normaliser(weights, variances, r):
    """exp(-r^2 / 2 s) without 1 / sqrt(s)."""
    return (weights.log() - r[..., None] ** 2 / (2 * variances)).softmax(-1)


def without_weights(weights, variances, r):
    return over_components(torch.ones_like(weights), variances, r)


def hard(weights, variances, r):
    best = joint(weights, variances, r).argmax(-1)
    return torch.nn.functional.one_hot(best, len(weights)).double()


STEPS = {
    "library": EM(library_memberships, library_step),
    "by hand": by_hand(over_components),
    "printed (23)": by_hand(printed_23),
    "sd for variance": by_hand(standard_deviations_for_variances),
    "no normaliser": by_hand(without_normaliser),
    "no weights": by_hand(without_weights),
    "hard": by_hand(hard),
    "weights never move": by_hand(over_components, weigh=False),
}


def gamma_sums_to_one(em, weights, variances, r):
    gamma = em.memberships(weights, variances, r)
    assert gamma.shape == (*r.shape, len(weights))
    assert (gamma.sum(-1) - 1).abs().max() <= 1e-12


def gamma_is_bayes(em, weights, variances, r):
    gamma = em.memberships(weights, variances, r)
    wanted = (weights.log() + Normal(0.0, variances.sqrt()).log_prob(r[..., None])).softmax(-1)
    torch.testing.assert_close(gamma, wanted, rtol=1e-11, atol=1e-13)


def second_moment_is_kept(em, weights, variances, r):
    """sum pi_k s_k = mean r^2, after one step from anywhere."""
    weights, variances = em.step(weights, variances, r)
    assert (weights @ variances / (r**2).mean() - 1).abs() <= 1e-12


def likelihood_does_not_fall(em, weights, variances, r):
    """Up to the rounding of values of its size."""
    before = log_likelihood(weights, variances, r)
    for _ in range(15):
        weights, variances = em.step(weights, variances, r)
        after = log_likelihood(weights, variances, r)
        assert after >= before - 1e-13 * max(1, abs(before))
        before = after


def weights_add_up(em, weights, variances, r):
    weights, variances = em.step(weights, variances, r)
    assert (weights.sum() - 1).abs() <= 1e-12
    assert variances.min() > 0


def units_carry_over(em, weights, variances, r):
    """r -> a r: s -> a^2 s, the same weights."""
    one = em.step(weights, variances, r)
    other = em.step(weights, 9 * variances, 3 * r)
    torch.testing.assert_close(other[0], one[0], rtol=1e-11, atol=1e-13)
    torch.testing.assert_close(other[1], 9 * one[1], rtol=1e-11, atol=0)


LAWS = {
    "gamma sums to 1": gamma_sums_to_one,
    "gamma is Bayes": gamma_is_bayes,
    "second moment": second_moment_is_kept,
    "monotone": likelihood_does_not_fall,
    "weights": weights_add_up,
    "units": units_carry_over,
}

CAUGHT_BY = {
    "library": [],
    "by hand": [],
    "printed (23)": ["gamma sums to 1", "gamma is Bayes", "second moment", "monotone"],
    "sd for variance": ["gamma is Bayes", "monotone", "units"],
    "no normaliser": ["gamma is Bayes", "monotone"],
    "no weights": ["gamma is Bayes", "monotone"],
    "hard": ["gamma is Bayes", "monotone"],
    "weights never move": ["second moment"],
}


def separated(seed, components=2):
    """Residuals (b, D) of well filled components, and where to start."""
    rng = np.random.default_rng(seed)
    sd = 10.0 ** -np.arange(components)
    r = rng.normal(size=(60, 5)) * rng.choice(sd, (60, 5))
    weights = torch.asarray(rng.dirichlet(3 * np.ones(components)))
    return weights, torch.asarray(sd**2 * np.exp(rng.uniform(-1, 1, components))), torch.asarray(r)


def breaks(em, law):
    for seed in range(6):
        try:
            LAWS[law](em, *separated(seed, 2 + seed % 2))
        except AssertionError:
            return True
    return False


class TestMixture:
    @pytest.mark.parametrize("name", STEPS)
    def test_the_wrong_are_caught(self, name):
        assert [law for law in LAWS if breaks(STEPS[name], law)] == CAUGHT_BY[name]

    @pytest.mark.parametrize("law", LAWS)
    @given(rng=rngs, components=st.integers(1, 5))
    def test_laws(self, law, rng, components):
        start = random_mixture(rng, components)
        r = residuals(rng).reshape(60, 5)
        gamma = library_memberships(start.weights, start.variances, r)
        starved = gamma.sum((0, 1)).min() < 1  # such a component keeps its variance
        assume(not starved or law not in ("second moment", "units"))
        LAWS[law](STEPS["library"], start.weights, start.variances, r)

    def test_printed_23_collapses(self):
        """It forces N_k to the number of pixels and pi to 1 / K, and loses likelihood for ever."""
        weights, variances, r = separated(0)
        gamma = printed_23(weights, variances, r)
        torch.testing.assert_close(gamma.sum((0, 1)), torch.full_like(weights, r.shape[1]))
        values = [log_likelihood(weights, variances, r)]
        for _ in range(30):
            weights, variances = STEPS["printed (23)"].step(weights, variances, r)
            torch.testing.assert_close(weights, torch.full_like(weights, 1 / 2))
            values.append(log_likelihood(weights, variances, r))
        assert values[-1] < values[0] - 1
        noise = mixture(2, 0.1)
        for _ in range(30):
            noise.update(noise.statistics(*as_images(r.flatten())))
        fitted = log_likelihood(noise.weights, noise.variances, r)
        assert fitted > values[0]

    def test_a_mixture_is_recovered(self):
        rng = np.random.default_rng(0)
        n = 200_000
        small = rng.random(n) < 0.7
        squared = torch.asarray(rng.normal(size=n) * np.where(small, 0.05, 0.5)).square()
        noise = mixture(2, 0.05)
        for _ in range(60):
            noise.update(noise.statistics_of(*histogram(squared)))
        order = noise.variances.argsort()
        np.testing.assert_allclose(noise.weights[order].numpy(), [0.7, 0.3], atol=0.01)
        np.testing.assert_allclose(noise.variances[order].sqrt().numpy(), [0.05, 0.5], rtol=0.01)

    @given(rng=rngs)
    def test_one_component_needs_one_step(self, rng):
        r = residuals(rng)
        noise = mixture(1, float(np.exp(rng.uniform(-5, 5))))
        noise.update(noise.statistics(*as_images(r)))
        assert noise.weights.tolist() == [1.0]
        assert noise.variances[0] == pytest.approx(float((r**2).mean()), rel=1e-14)
        assert noise.variance().item() == pytest.approx(float((r**2).mean()), rel=1e-14)

    @given(rng=rngs, components=st.integers(1, 4), log_a=st.floats(-8, 8))
    def test_units(self, rng, components, log_a):
        """r -> a r moves s by a^2, the likelihood of a residual by -log a, the floor as well."""
        r, a = residuals(rng, zeros=True), math.exp(log_a)
        one = mixture(components, 0.1, floor=1e-5)
        other = mixture(components, 0.1, floor=1e-5 * a**2)
        other.variances.copy_(a**2 * one.variances)
        for _ in range(5):
            one.update(one.statistics(*as_images(r)))
            other.update(other.statistics(*as_images(a * r)))
        torch.testing.assert_close(other.weights, one.weights, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(other.variances, a**2 * one.variances, rtol=1e-9, atol=0)
        shift = float((other(*as_images(a * r)) - one(*as_images(r))) / len(r))
        assert shift == pytest.approx(-log_a, abs=1e-9)

    @settings(max_examples=10)
    @given(seed=seeds)
    def test_no_gradient_is_left_at_a_fixed_point(self, seed):
        """In logits of pi and log s; and with respect to G it is that of the M-step (Fisher)."""
        weights, variances, r = separated(seed, 2)
        noise = of(weights, variances)
        x, g = as_images(r.flatten())
        for _ in range(400):
            noise.update(noise.statistics(x, g))
        logits = noise.weights.log().requires_grad_()
        log_s = noise.variances.log().requires_grad_()
        g.requires_grad_()
        values = {"weights": logits.softmax(0), "variances": log_s.exp()}
        torch.func.functional_call(noise, values, (x, g)).sum().backward()
        n = r.numel()
        assert logits.grad.abs().max() <= 1e-7 * n
        assert log_s.grad.abs().max() <= 1e-7 * n
        gamma = noise.memberships(x, g.detach())
        wanted = (gamma * (x - g.detach())[..., None] / noise.variances).sum(-1)
        torch.testing.assert_close(g.grad, wanted, rtol=1e-10, atol=1e-10)

    @given(rng=rngs, components=st.integers(2, 4))
    def test_equal_variances_never_part(self, rng, components):
        """Why the start is a geometric series."""
        r = residuals(rng)
        s = float((r**2).mean())
        weights = rng.dirichlet(np.ones(components))
        noise = of(weights, np.full(components, s))
        noise.update(noise.statistics(*as_images(r)))
        np.testing.assert_allclose(noise.weights.numpy(), weights, rtol=1e-10, atol=1e-14)
        np.testing.assert_allclose(noise.variances.numpy(), s, rtol=1e-10)
        start = mixture(components).variances.log()
        torch.testing.assert_close(start.diff(), torch.full_like(start[1:], math.log(10)))

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    @given(rng=rngs, components=st.integers(2, 4))
    def test_exact_zeros(self, dtype, rng, components):
        """Three in ten residuals are 0: a component sits on the floor, and nothing is nan."""
        x, g = (t.to(dtype) for t in as_images(residuals(rng, zeros=True)))
        noise = MixtureOfGaussians(components, 0.1, floor=1e-8).to(dtype)
        before, slack = -math.inf, 1e-12 if dtype == torch.float64 else 2e-6
        for _ in range(40):
            noise.update(noise.statistics(x, g))
            now = float(noise(x, g)) / x.numel()
            assert now >= before - slack * max(1, abs(now))
            before = now
        assert noise.weights.isfinite().all()
        assert noise.variances.min() >= np.float32(1e-8)
        assert noise.variances.isfinite().all()

    def test_without_a_floor_zeros_are_fatal(self):
        """The same by hand: the component shrinks on to them, to the scale 0, a density of inf."""
        rng = np.random.default_rng(0)
        r = torch.asarray(rng.normal(size=(1, 300)) * (rng.random(300) > 0.3))

        def run(floor, weights, variances):
            for _ in range(20):
                step = by_hand(over_components, floor=floor).step
                weights, variances = step(weights, variances, r)
            return variances

        start = torch.tensor([0.5, 0.5]).double(), torch.tensor([1e-2, 1.0]).double()
        assert run(1e-8, *start)[0] == 1e-8
        with pytest.raises(ValueError, match="GreaterThan"):
            run(0.0, *start)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    @given(log_ratio=st.floats(math.log(40), math.log(1e5)))
    def test_far_residuals(self, dtype, log_ratio):
        """At r / sd > 40 densities are 0 / 0, their logarithms are not."""
        r = torch.tensor([[math.exp(log_ratio)]], dtype=dtype)
        noise = of([0.5, 0.5], [1.0, 0.25]).to(dtype)
        gamma = noise.memberships(*as_images(r.flatten()))
        assert gamma.flatten().tolist() == [1.0, 0.0]
        assert noise(*as_images(r.flatten())).isfinite().all()
        assert noise.statistics(*as_images(r.flatten())).isfinite().all()
        assert over_components(noise.weights, noise.variances, r).isnan().all()

    def test_a_starved_component_stays_where_it_is(self):
        noise = of([0.5, 0.5], [1.0, 1e-6])
        noise.update(torch.tensor([99.5, 0.5, 50.0, 1e-3], dtype=torch.float64))
        assert noise.variances.tolist() == [50 / 99.5, 1e-6]
        assert noise.weights.tolist() == [0.995, 0.005]
        noise.update(torch.tensor([100.0, 0.0, 50.0, 0.0], dtype=torch.float64))
        assert noise.variances.tolist() == [0.5, 1e-6]
        x, g = as_images(torch.linspace(-3, 3, 10, dtype=torch.float64))
        assert noise(x, g).isfinite().all()
        noise.update(noise.statistics(x, g))
        assert noise.weights.isfinite().all()

    @given(rng=rngs, components=st.integers(1, 5))
    def test_effective_components_have_their_range(self, rng, components):
        value = random_mixture(rng, components).effective_components()
        assert 1 - 1e-12 <= value <= components + 1e-12

    @given(rng=rngs, components=st.integers(1, 6))
    def test_effective_components(self, rng, components):
        equal = np.full(components, 1 / components)
        apart = rng.permutation(10.0 ** -np.arange(components))
        assert of(equal, apart).effective_components() == pytest.approx(components, rel=1e-12)
        copies = of(rng.dirichlet(np.ones(components)), np.full(components, 0.3))
        assert copies.effective_components() == pytest.approx(1, rel=1e-12)
        split = of(np.repeat(equal / 2, 2), np.repeat(apart, 2))
        assert split.effective_components() == pytest.approx(components, rel=1e-12)
        starved = of([*equal, 1e-30], [*apart, 50.0])
        assert starved.effective_components() == pytest.approx(components, rel=1e-12)


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
