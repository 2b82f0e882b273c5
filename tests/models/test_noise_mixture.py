"""The mixture of Gaussians and the laws of its EM step, against implementations that are wrong."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from noise_cases import (
    TINY,
    as_images,
    joint,
    library_step,
    mixture,
    of,
    over_components,
    random_mixture,
    residuals,
    separated,
    torch,
)
from strategies import rngs, seeds
from torch.distributions import Categorical, MixtureSameFamily, Normal

from dindic_models.noise import (
    MixtureOfGaussians,
    histogram,
)


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
