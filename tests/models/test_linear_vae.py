"""The linear VAE against its optimum in closed form, by the indicators of the library.

Properties 26-29: what an encoder with a known answer must show, for any finite data, Gaussian or
not, centred or not.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import orthogonal, rngs, seeds

from disentangle_indicators import indicators, score

torch = pytest.importorskip("torch", reason="torch is not installed: NO model is tested")

from linear_vae import (
    SHAPES,
    as_images,
    best,
    between,
    data,
    encode,
    expected,
    model_of,
    sigma_points,
)

from dindic_models.config import Config, make_model

shapes = st.sampled_from(SHAPES)
betas = st.sampled_from([1.0, 4.0, 0.5, 10.0])
widths = st.integers(1, 14)


@st.composite
def cases(draw, betas=betas, latents=widths, min_n=2):
    """(x, shape, d, s, beta): data of any number, also fewer than pixels; any width."""
    rng, shape = draw(rngs), draw(shapes)
    x = data(rng, shape, draw(st.integers(min_n, 60)))
    s = between(rng, best(x, 1, 1.0).eigenvalues)
    return x, shape, draw(latents), s, draw(betas)


def solved(x, shape, d, s, beta):
    optimum = best(x, d, s)
    return optimum, model_of(optimum, shape, s / beta, beta=beta), as_images(x, shape)


class TestOptimum:
    @given(case=cases())
    def test_indicators(self, case):
        """S = 1, Definition 4 = 0, Definition 3 = log(lambda / s) / 2 where lambda > s, else 0."""
        optimum, model, images = solved(*case)
        s = case[3]
        result = indicators(*encode(model, images), errors=False)
        top = optimum.of_latents
        wanted = 0.5 * np.log(np.maximum(top, s) / s)
        np.testing.assert_allclose(result.second_moment, 1, rtol=0, atol=1e-9)
        assert result.kl_aggregate_prior == pytest.approx(0, abs=1e-9)
        np.testing.assert_allclose(result.mutual_information_per_latent, wanted, rtol=0, atol=1e-9)
        assert result.mutual_information == pytest.approx(wanted.sum(), abs=1e-9)
        assert result.normal_variance == len(top)
        assert result.used == np.sum(top > math.e * s)

    def test_the_scorecard(self):
        x = data(np.random.default_rng(0), (1, 3, 3), 60)
        s = best(x, 1, 1.0).eigenvalues[4]
        optimum, model, images = solved(x, (1, 3, 3), 7, s, 2.0)
        mean, var = encode(model, images)
        card = score(mean, var=var)
        assert card.used == np.sum(optimum.of_latents > math.e * s) > 0
        assert card.kl_aggregate_prior == pytest.approx(0, abs=1e-9)

    @given(case=cases(min_n=5))
    def test_codes_are_uncorrelated(self, case):
        _, model, images = solved(*case)
        mean, var = encode(model, images)
        second = mean.T @ mean / len(mean) + np.diag(var.mean(0))
        np.testing.assert_allclose(second, np.eye(len(second)), rtol=0, atol=1e-9)

    @given(case=cases())
    def test_no_gradient_is_left(self, case):
        """With respect to weights, biases and variances, of the exact expectation."""
        _, model, images = solved(*case)
        beta, s = case[4], case[3]
        expected(model, images, beta).backward()
        scale = max(1, math.sqrt(images.square().sum(dim=(1, 2, 3)).mean())) ** 2 / (s / beta)
        for name, p in model.named_parameters():
            assert p.grad.abs().max() <= 1e-10 * scale, name

    @given(case=cases(), seed=seeds, size=st.floats(-4, 0))
    def test_all_else_is_worse(self, case, seed, size):
        _, model, images = solved(*case)
        beta = case[4]
        with torch.no_grad():
            top = expected(model, images, beta)
            generator = torch.Generator().manual_seed(seed)
            for _ in range(10):
                for p in model.parameters():
                    p += 10**size * torch.randn(p.shape, generator=generator, dtype=p.dtype)
                assert expected(model, images, beta) <= top + 1e-10 * abs(top)

    @given(case=cases(betas=st.just(1.0)))
    def test_the_bound_is_tight(self, case):
        """At beta = 1 it is the log-likelihood of probabilistic PCA, a Gaussian in closed form."""
        x, shape, _, s, _ = case
        optimum, model, images = solved(*case)
        p = math.prod(shape)
        covariance = optimum.decoder @ optimum.decoder.T + s * np.eye(p)
        centred = x - x.mean(0)
        wanted = -0.5 * (
            p * math.log(2 * math.pi)
            + np.linalg.slogdet(covariance)[1]
            + np.mean(np.sum(centred * np.linalg.solve(covariance, centred.T).T, 1))
        )
        ours = expected(model, images).item()
        assert ours == pytest.approx(wanted, rel=1e-9, abs=1e-9)

    @given(case=cases())
    def test_reconstruction(self, case):
        """E ||x - G||^2 = k s + the eigenvalues beyond: it grows with s (erratum E24)."""
        x, _, d, s, _ = case
        optimum, model, images = solved(*case)
        k = np.sum(optimum.of_latents > s)
        terms = model(images, sigma_points(d, len(x)))
        rec = (images.repeat(2 * d, 1, 1, 1) - terms.output).square().sum((1, 2, 3)).mean()
        wanted = k * s + optimum.eigenvalues[k:].sum()
        assert rec.item() == pytest.approx(wanted, rel=1e-9, abs=1e-12)

    @given(case=cases())
    def test_trace_counts_the_used(self, case):
        """Property 26: tr(J_encoder J_decoder) = sum(1 - v)."""
        optimum, model, images = solved(*case)
        encoder = torch.func.jacrev(lambda x: model.encode(x)[0][0])(images[:1])
        z = torch.zeros(1, len(optimum.var), dtype=torch.float64)
        decoder = torch.func.jacrev(lambda z: model.reconstruct(z)[0])(z)
        d = len(optimum.var)
        product = encoder.reshape(d, -1) @ decoder.reshape(-1, d)
        trace = product.trace().item()
        assert trace == pytest.approx(np.sum(1 - optimum.var), rel=1e-10, abs=1e-10)
        torch.testing.assert_close(
            product, torch.diag(torch.asarray(1 - optimum.var)), rtol=0, atol=1e-10
        )

    @pytest.mark.parametrize("wrong", ["sd for variance", "beta left out", "not centred"])
    def test_a_wrong_optimum_is_caught(self, wrong):
        """By the indicators, or else by what is left of the gradient."""
        x, shape, beta = data(np.random.default_rng(0), (1, 2, 2), 40) + 1.0, (1, 2, 2), 4.0
        s = best(x, 3, 1.0).eigenvalues[2] / 2
        right = best(x, 3, s)
        optimum = {
            "sd for variance": replace(right, var=np.sqrt(right.var)),
            "beta left out": best(x, 3, s / beta),
            "not centred": replace(right, centre=0 * right.centre),
        }[wrong]
        model, images = model_of(optimum, shape, s / beta, beta=beta), as_images(x, shape)
        result = indicators(*encode(model, images), errors=False)
        assert np.abs(result.second_moment - 1).max() > 0.1 or wrong == "beta left out"
        gap = result.mutual_information_per_latent - 0.5 * np.log(right.of_latents / s)
        assert np.abs(gap).max() > 0.1
        expected(model, images, beta).backward()
        assert max(p.grad.abs().max() for p in model.parameters()) > 0.1


class TestTraining:
    def train(self, images, d, sigma2, beta, steps):
        config = {"noise": "fixed", "sigma2": sigma2, "beta": beta, "precision": "float64"}
        model = make_model(
            Config(network="linear", activation="linear", latents=d, **config), images.shape[1:]
        )
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1, betas=(0.95, 0.99))
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for _ in range(steps):
            optimizer.zero_grad()
            (-expected(model, images, beta)).backward()
            optimizer.step()
            schedule.step()
        return model

    @pytest.mark.parametrize(
        ("d", "beta", "steps"),
        [(2, 4.0, 800), (4, 4.0, 1000), pytest.param(6, 1.0, 6000, marks=pytest.mark.slow)],
    )
    def test_adam_finds_it(self, d, beta, steps):
        """From random weights, for more and for fewer latents than are active."""
        rng, shape, s = np.random.default_rng(1), (1, 2, 3), 0.3
        scales = np.array([2.0, 1.2, 0.8, 0.3, 0.2, 0.1])
        x = rng.standard_exponential((24, 6)) * scales @ orthogonal(rng, 6) + 1.0
        optimum, images = best(x, d, s), as_images(x, shape)
        model = self.train(images, d, s / beta, beta, steps)
        top = expected(model_of(optimum, shape, s / beta, beta=beta), images, beta)
        assert -1e-10 < (top - expected(model, images, beta)).item() < 1e-6
        result = indicators(*encode(model, images), errors=False)
        wanted = 0.5 * np.log(np.maximum(optimum.of_latents, s) / s)
        found = np.sort(result.mutual_information_per_latent)[::-1]
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-3)
        np.testing.assert_allclose(result.second_moment, 1, rtol=0, atol=1e-3)
        assert result.kl_aggregate_prior < 1e-5
        assert result.used == np.sum(optimum.of_latents > math.e * s) == min(d, 2)


class TestIntrinsicDimension:
    """P factors and weak noise: any width of at least P shows P latents, and P alone."""

    P = 4

    def factors(self):
        rng = np.random.default_rng(0)
        p, n, noise = 12, 2000, 0.05
        signal = rng.uniform(-1.7, 1.7, (n, self.P)) * np.sqrt([3.0, 1.5, 1.0, 0.7])
        x = signal @ orthogonal(rng, p)[: self.P] + math.sqrt(noise) * rng.normal(size=(n, p))
        edge = noise * (1 + math.sqrt((p - self.P) / n)) ** 2
        return x, edge

    def used(self, x, d, s):
        model = model_of(best(x, d, s), (1, 3, 4), s)
        return indicators(*encode(model, as_images(x, (1, 3, 4))), errors=False).used

    @pytest.mark.parametrize("d", range(1, 13))
    def test_any_width(self, d):
        x, edge = self.factors()
        values = best(x, 12, 1.0).eigenvalues
        assert values[self.P] < 1.05 * edge
        assert values[self.P - 1] > 10 * edge
        low, high = 1.05 * edge / math.e, values[self.P - 1] / math.e
        for s in np.geomspace(low, 0.99 * high, 5):
            assert self.used(x, d, s) == min(d, self.P)

    def test_outside_the_range(self):
        x, _ = self.factors()
        values = best(x, 12, 1.0).eigenvalues
        assert self.used(x, 12, 1.01 * values[self.P - 1] / math.e) == self.P - 1
        assert self.used(x, 12, 0.99 * values[self.P] / math.e) == self.P + 1

    def test_the_slope_of_information_counts_eigenvalues(self):
        """dD2 / d(log(1 / s) / 2) = #{lambda > s}: the dimension without a threshold."""
        x, _ = self.factors()
        images = as_images(x, (1, 3, 4))

        def total(s):
            model = model_of(best(x, 12, s), (1, 3, 4), s)
            return indicators(*encode(model, images), errors=False).mutual_information

        values = best(x, 12, 1.0).eigenvalues
        for count in (1, 2, 4, 8):
            s = math.sqrt(values[count - 1] * values[count])
            slope = (total(s * 0.9999) - total(s / 0.9999)) / math.log(1 / 0.9999)
            assert slope == pytest.approx(count, abs=1e-4)


class TestRotation:
    @given(case=cases(betas=st.just(1.0), latents=st.integers(2, 5), min_n=5), rng=rngs)
    def test_it_costs_what_e11_says(self, case, rng):
        """1/2 [sum log(R^T A R)_hh - log det A], A = I + W^T W / s: rotations are not equal."""
        _, shape, d, s, _ = case
        optimum, model, images = solved(*case)
        r = orthogonal(rng, d)
        precision = np.eye(d) + optimum.decoder.T @ optimum.decoder / s
        diagonal = np.diag(r.T @ precision @ r)
        turned = model_of(optimum.rotated(r, 1 / diagonal), shape, s)
        gap = 0.5 * (np.log(diagonal).sum() - np.linalg.slogdet(precision)[1])
        before, after = expected(model, images), expected(turned, images)
        assert (before - after).item() == pytest.approx(
            gap, rel=1e-9, abs=1e-9 * abs(before.item())
        )
        assert gap >= -1e-12

        after.backward()
        assert turned.encoder.logvar.grad.abs().max() <= 1e-10  # these variances are the best
        naive = np.diag(r.T @ np.diag(optimum.var) @ r)
        kept = model_of(optimum.rotated(r, naive), shape, s)
        assert expected(kept, images) <= after + 1e-10 * abs(before)

    @given(rng=rngs, d=st.integers(2, 4))
    def test_equal_eigenvalues_may_turn(self, rng, d):
        """A cross-polytope of points: all eigenvalues are equal, and every rotation is free."""
        x = np.concatenate([np.eye(6), -np.eye(6)]) @ orthogonal(rng, 6) * 2 + 1
        s, shape = 0.1, (1, 2, 3)
        optimum, images = best(x, d, s), as_images(x, (1, 2, 3))
        turned = optimum.rotated(orthogonal(rng, d), optimum.var)
        before, after = (expected(model_of(o, shape, s), images) for o in (optimum, turned))
        assert after.item() == pytest.approx(before.item(), rel=1e-12)


class TestNoiseLearning:
    def settle(self, x, shape, d, beta, sigma2):
        """Alternate the optimum of the networks and the closed form of the noise (A.1)."""
        images = as_images(x, shape)
        points = sigma_points(d, len(x))
        for _ in range(200):
            optimum = best(x, d, beta * sigma2)
            model = model_of(optimum, shape, sigma2, noise="learned", closed_form=True, beta=beta)
            terms = model(images, points)
            repeated = images.repeat(len(points), 1, 1, 1)
            model.noise.update(model.noise.statistics(repeated, terms.output))
            before, sigma2 = sigma2, model.noise.variance().item()
            if abs(sigma2 / before - 1) < 1e-12:
                break
        return sigma2, optimum, (repeated - terms.output).square().sum((1, 2, 3)).mean().item()

    @settings(max_examples=10)
    @given(
        rng=rngs,
        shape=st.sampled_from(SHAPES),
        d=st.integers(1, 4),
        beta=st.sampled_from([1.0, 1.5, 2.0]),
    )
    def test_its_fixed_point(self, rng, shape, d, beta):
        """sigma^2 = sum_{i > k} lambda_i / (p - k beta), and rec / p = sigma^2."""
        p = math.prod(shape)
        x = data(rng, shape, 40)
        k = min(d, int(p / beta / 2))  # each round divides the error by p / k beta
        sigma2, optimum, rec = self.settle(x, shape, k, beta, 1e-3)
        values = optimum.eigenvalues
        active = int(np.sum(optimum.of_latents > beta * sigma2))
        wanted = values[active:].sum() / (p - active * beta)
        assert sigma2 == pytest.approx(wanted, rel=1e-8)
        assert rec / p == pytest.approx(sigma2, rel=1e-8)

    def test_several_starts_agree_with_brute_force(self):
        """The best of the fixed points is the maximum of the profile bound over sigma^2."""
        rng = np.random.default_rng(3)
        x, shape, d, beta = data(rng, (1, 3, 3), 60), (1, 3, 3), 3, 2.0
        values = best(x, d, 1.0).eigenvalues
        p = len(values)

        def bound(sigma2):
            s = beta * sigma2
            k = np.sum(values[:d] > s)
            rec = k * s + values[k:].sum()
            information = 0.5 * np.log(values[:k] / s).sum()
            return -0.5 * (p * np.log(2 * np.pi * sigma2) + rec / sigma2) - beta * information

        grid = np.geomspace(1e-4, values.sum(), 10_001)
        top = grid[np.argmax([bound(sigma2) for sigma2 in grid])]
        found = [self.settle(x, shape, d, beta, start)[0] for start in (1e-3, 0.1, 1.0)]
        ours = max(found, key=bound)
        assert ours == pytest.approx(top, rel=1e-3)
        assert bound(ours) >= bound(top) - 1e-9

    def test_it_takes_the_noise_for_latents(self):
        """At beta = 1 every latent is active: the threshold alone says that four are used."""
        x, _ = TestIntrinsicDimension().factors()
        sigma2, optimum, _ = self.settle(x, (1, 3, 4), 8, 1.0, 0.1)
        assert np.sum(optimum.of_latents > sigma2) == 8
        model = model_of(optimum, (1, 3, 4), sigma2)
        result = indicators(*encode(model, as_images(x, (1, 3, 4))), errors=False)
        assert result.used == TestIntrinsicDimension.P
        assert np.sort(result.mutual_information_per_latent)[3] < 0.2
