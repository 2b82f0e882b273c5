"""What the paper proves, where the library can show it: Theorems 1, 4, 5 and the linear VAE."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import invertible, orthogonal, rngs, to

from disentangle_indicators import Moments, estimate_q_star, gaussian, indicators
from disentangle_indicators import definitions as define


@given(rng=rngs, h=st.integers(1, 6), p=st.integers(1, 6))
def test_theorem_1_in_the_linear_case(rng, h, p):
    """A decoder A and an encoder B are inverse on both sides only when H = P.

    The traces say so: BA = I_H gives tr(AB) = H, and what is missing of I_P is its P - H axes.
    """
    small, large = sorted((h, p))
    a = rng.normal(size=(large, small))
    b = np.linalg.pinv(a)
    ba, ab = b @ a, a @ b
    tolerance = 1e-10 * np.linalg.cond(a) ** 2
    assert np.max(np.abs(ba - np.eye(small))) <= tolerance
    assert np.trace(ab) == pytest.approx(small, abs=tolerance)
    assert np.linalg.norm(ab - np.eye(large)) ** 2 == pytest.approx(large - small, abs=tolerance)


@given(rng=rngs, d=st.integers(1, 8))
def test_theorem_4_a_rotation_keeps_the_prior(xp, rng, d):
    q = orthogonal(rng, d)
    zero, cov, eye = to(xp, np.zeros(d), q @ q.T, np.eye(d))
    assert abs(float(gaussian.kl_full(zero, cov, zero, eye))) <= 1e-12


@given(rng=rngs, d=st.integers(1, 6))
def test_theorem_5_no_other_linear_map_does(xp, rng, d):
    a = invertible(rng, d)
    singular = np.linalg.svd(a, compute_uv=False)
    wanted = 0.5 * np.sum(singular**2 - 1 - np.log(singular**2))
    zero, cov, eye = to(xp, np.zeros(d), a @ a.T, np.eye(d))
    kl = float(gaussian.kl_full(zero, cov, zero, eye))
    assert kl == pytest.approx(wanted, abs=1e-10)
    # the curvature in s is at least 1, and so the KL is above 0 unless every s is 1
    assert kl >= 0.5 * np.sum((singular - 1) ** 2) - 1e-10


def test_theorem_4_needs_gaussian_factors():
    """Uniform factors, rotated by 45 degrees: uncorrelated, yet their squares are correlated.

    The correlation is (E x^4 - 3) / (E x^4 + 1) = -3/7 for the uniform, 0 for the Gaussian. The
    indicators see second moments, and so nothing of it.
    """
    rng = np.random.default_rng(0)
    n = 40_000
    turn = np.array([[1.0, 1.0], [-1.0, 1.0]]) / np.sqrt(2)
    uniform = rng.uniform(-np.sqrt(3), np.sqrt(3), size=(n, 2)) @ turn
    normal = rng.normal(size=(n, 2)) @ turn
    for factors, wanted in ((uniform, -3 / 7), (normal, 0.0)):
        squares = factors**2
        each = (squares - squares.mean(axis=0)) / squares.std(axis=0)
        product = each[:, 0] * each[:, 1]
        assert abs(product.mean() - wanted) <= 5 * product.std() / np.sqrt(n)
        moments = Moments.of(0.99 * factors, np.full((n, 2), 1 - 0.99**2), covariance=True)
        q_star = estimate_q_star(moments=moments)
        assert define.kl_aggregate_prior(moments, q_star) <= 1e-3
        assert define.gaussian_total_correlation(moments) <= 1e-3


def linear_vae(rng, n, p, h, s, centre=True):
    """Encodings of the optimal linear VAE with noise s on any data; eigenvalues of its latents."""
    data = rng.lognormal(size=(n, p)) @ rng.normal(size=(p, p)) + 3 * rng.normal(size=p)
    if centre:
        data -= data.mean(axis=0)
    values, vectors = np.linalg.eigh(data.T @ data / n if centre else np.cov(data.T, bias=True))
    values, vectors = values[::-1][:h], vectors[:, ::-1][:, :h]
    s = s * values[0]
    gain = np.sqrt(np.clip(values - s, 0, None)) / values
    mean = data @ vectors * gain
    var = np.broadcast_to(np.where(values > s, s / values, 1.0), mean.shape)
    return mean, var, values, s


@given(
    rng=rngs,
    n=st.integers(20, 200),
    p=st.integers(2, 8),
    s=st.floats(1e-3, 2.0),
    h=st.integers(1, 8),
)
def test_the_linear_vae_in_closed_form(xp, rng, n, p, s, h):
    """S = 1, D4 = 0, D3 = 1/2 log(lambda / s), the codes uncorrelated: for any finite data."""
    mean, var, values, s = linear_vae(rng, n, p, min(h, p), s)
    result = indicators(*to(xp, mean, var), covariance=True)
    information = 0.5 * np.log(np.maximum(values / s, 1))
    assert result.second_moment == pytest.approx(np.ones_like(values), abs=1e-10)
    assert result.kl_aggregate_prior == pytest.approx(0, abs=1e-10)
    assert result.kl_q_star_prior == pytest.approx(0, abs=1e-10)
    assert result.mutual_information_per_latent == pytest.approx(information, abs=1e-10)
    assert result.mutual_information == pytest.approx(information.sum(), abs=1e-10)
    assert result.gaussian_total_correlation == pytest.approx(0, abs=1e-10)
    assert result.normal_variance == len(values)
    if np.all(np.abs(information - 0.5) > 1e-9):
        assert result.used == np.sum(values > np.e * s)


@given(rng=rngs, s=st.floats(1e-3, 0.5))
def test_the_soft_count_of_a_linear_vae(xp, rng, s):
    """tr(V W), decoder after encoder, is sum(1 - v): the effective number of used latents."""
    mean, var, values, s = linear_vae(rng, 100, 6, 6, s)
    gain = np.sqrt(np.clip(values - s, 0, None))
    wanted = np.sum(gain**2 / values)
    moments = Moments.of(*to(xp, mean, var))
    each = define.mutual_information_per_latent(moments, estimate_q_star(moments=moments))
    assert np.sum(1 - np.exp(-2 * np.asarray(each))) == pytest.approx(wanted, abs=1e-10)
    assert np.sum(1 - np.asarray(moments.var)) == pytest.approx(wanted, abs=1e-10)


def test_the_closed_form_fails_on_uncentred_data():
    mean, var, _, _ = linear_vae(np.random.default_rng(0), 100, 4, 4, 0.05, centre=False)
    result = indicators(mean, var)
    assert np.max(np.abs(result.second_moment - 1)) > 0.1
    assert result.kl_aggregate_prior > 0.01


def test_more_noise_uses_fewer_latents():
    """Reverse water-filling: a latent is used while its eigenvalue is above e s."""
    counts = [
        indicators(*linear_vae(np.random.default_rng(1), 300, 6, 6, s)[:2]).used
        for s in (1e-4, 1e-2, 0.05, 0.2, 0.36, 0.37)
    ]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] == 6
    assert counts[-2:] == [1, 0]
