"""What the paper proves, where the library can show it: the theorems and the linear VAE."""

import numpy as np
import pytest
from gaussians import kl_full
from hypothesis import given, settings
from hypothesis import strategies as st
from laws import library
from mixtures import encodings_of_mixtures, log_components, log_density, panels, trapezoid
from strategies import invertible, orthogonal, rngs, to

from disentangle_indicators import Moments, estimate_q_star, indicators
from disentangle_indicators import definitions as define
from disentangle_indicators.aggregate import marginals


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


def gaussian_total_correlation(cov):
    """Of N(0, cov): the KL divergence to the product of its marginals."""
    zero = np.zeros(len(cov))
    return float(kl_full(zero, cov, zero, np.diag(np.diag(cov))))


def gaussian_information(cov, d):
    """Between the first d coordinates of N(0, cov) and the others, likewise."""
    apart = cov.copy()
    apart[:d, d:], apart[d:, :d] = 0.0, 0.0
    zero = np.zeros(len(cov))
    return float(kl_full(zero, cov, zero, apart))


@given(rng=rngs, d=st.integers(1, 5), p=st.integers(1, 5), encoder=st.booleans())
def test_theorem_2_holds_with_the_correlation_given_x(rng, d, p, encoder):
    """I(z; x) = sum I(z_h; x) - TC(z) + E TC(z|x), for any joint Gaussian of z and x.

    Of an encoder the last term is 0, of a linear decoder with independent z the one before.
    """
    if encoder:
        w = rng.normal(size=(d, p))
        noise, x = np.diag(rng.uniform(0.2, 1.0, d)), np.eye(p)
        joint = np.block([[w @ w.T + noise, w], [w.T, x]])
    else:
        w = rng.normal(size=(p, d))
        joint = np.block([[np.eye(d), w.T], [w, w @ w.T + np.diag(rng.uniform(0.2, 1.0, p))]])
    z, cross, x = joint[:d, :d], joint[:d, d:], joint[d:, d:]
    given_x = z - cross @ np.linalg.solve(x, cross.T)
    each = 0.0
    for h in range(d):
        rows = [h, *range(d, d + p)]
        each += gaussian_information(joint[np.ix_(rows, rows)], 1)
    before, after = gaussian_total_correlation(z), gaussian_total_correlation(given_x)
    assert gaussian_information(joint, d) == pytest.approx(each - before + after, abs=1e-10)
    assert (after if encoder else before) == pytest.approx(0, abs=1e-12)


def on_a_plane(mean, var):
    """Points, weights, the log density of each row (s, n) and of their mixture, for d = 2."""
    (x, u), (y, w) = (trapezoid(m, v) for m, v in zip(mean.T, var.T, strict=True))
    each = log_components(x, mean[:, 0], var[:, 0])[:, None]
    each = each + log_components(y, mean[:, 1], var[:, 1])
    each = each.reshape(-1, len(mean))
    points = np.stack([np.repeat(x, y.size), np.tile(y, x.size)], axis=1)
    log_q = np.logaddexp.reduce(each, axis=1) - np.log(len(mean))
    return points, np.outer(u, w).ravel(), each, log_q


def on_a_line(mean, var):
    """The same for d = 1."""
    z, weights = panels(mean[:, 0], var[:, 0])
    log_q = log_density(z, mean[:, 0], var[:, 0])
    return z[:, None], weights, log_components(z, mean[:, 0], var[:, 0]), log_q


def information(weights, each, log_q):
    """I(x; z), as the average KL divergence of the rows to their mixture."""
    return weights @ np.mean(np.exp(each) * (each - log_q[:, None]), axis=1)


def kl_to_gaussian(points, weights, log_q, var):
    """KL(q(z) || N(0, diag var))."""
    log_p = -0.5 * np.sum(points**2 / var + np.log(2 * np.pi * var), axis=1)
    return weights * np.exp(log_q) @ (log_q - log_p)


WIDE = {1: (np.log(1e-6), np.log(10.0)), 2: (np.log(0.05), np.log(2.0))}


def rows_of(rng, d):
    low, high = WIDE[d]
    mean, var = encodings_of_mixtures(rng, int(rng.integers(1, 9)), d, low=low, high=high)
    return (mean, var) if d == 1 else (np.clip(mean, -3, 3), var)


@pytest.mark.parametrize("d", [1, 2])
@given(rng=rngs)
@settings(max_examples=10)
def test_theorem_3_splits_definition_1(d, rng):
    """The average KL divergence to the prior is I(x; z) + KL(q(z) || p)."""
    mean, var = rows_of(rng, d)
    points, weights, each, log_q = {1: on_a_line, 2: on_a_plane}[d](mean, var)
    first = indicators(mean, var).kl_posterior_prior
    mutual = information(weights, each, log_q)
    kl = kl_to_gaussian(points, weights, log_q, np.ones(d))
    assert first == pytest.approx(mutual + kl, rel=1e-9, abs=1e-9)
    # Theorem 2 for encoders: both differ from the sums over latents by the total correlation
    exact = marginals(mean, var)
    allowed = 1e-9 * (1 + first) + d * exact.quadrature_error
    assert exact.total_information - mutual == pytest.approx(
        kl - exact.total_kl_prior, abs=2 * allowed
    )
    assert exact.total_information >= mutual - allowed
    if d == 1:
        assert exact.total_information == pytest.approx(mutual, abs=allowed)


@pytest.mark.parametrize("d", [1, 2])
@given(rng=rngs)
@settings(max_examples=10)
def test_corollary_1_for_every_candidate(xp, d, rng):
    """The average KL divergence to r is I + KL(q(z) || r) for any r, and least at q*."""
    mean, var = rows_of(rng, d)
    points, weights, each, log_q = {1: on_a_line, 2: on_a_plane}[d](mean, var)
    mutual = information(weights, each, log_q)
    ours = library(xp)
    best = ours.q_star(mean, var)
    least = ours.mutual_information(mean, var, best)
    closest = kl_to_gaussian(points, weights, log_q, best)
    assert least == pytest.approx(mutual + closest, rel=1e-9, abs=1e-9)
    for s in np.exp(rng.normal(size=(3, d))) * best:
        value = ours.mutual_information(mean, var, s)
        kl = kl_to_gaussian(points, weights, log_q, s)
        assert value == pytest.approx(mutual + kl, rel=1e-9, abs=1e-9)
        assert value >= least
        assert kl >= closest - 1e-9


@pytest.mark.parametrize("d", [1, 2])
@given(rng=rngs)
@settings(max_examples=10)
def test_corollary_2_bounds_the_kl_of_the_aggregate(d, rng):
    """Definition 4 is at most KL(q(z) || p), and what is missing is KL(q(z) || q*)."""
    mean, var = rows_of(rng, d)
    points, weights, _, log_q = {1: on_a_line, 2: on_a_plane}[d](mean, var)
    result = indicators(mean, var)
    kl = kl_to_gaussian(points, weights, log_q, np.ones(d))
    gap = kl_to_gaussian(points, weights, log_q, result.q_star.var)
    fourth = result.kl_aggregate_prior
    assert fourth <= kl + 1e-9 * (1 + kl)
    assert kl - fourth == pytest.approx(gap, rel=1e-9, abs=1e-9 * (1 + kl))
    if d == 1:
        exact = marginals(mean, var)
        assert exact.total_kl_prior - fourth == pytest.approx(gap, abs=1e-8)
        assert exact.total_looseness == pytest.approx(gap, abs=1e-8)


@given(rng=rngs, d=st.integers(1, 8))
def test_theorem_4_a_rotation_keeps_the_prior(xp, rng, d):
    q = orthogonal(rng, d)
    zero, cov, eye = to(xp, np.zeros(d), q @ q.T, np.eye(d))
    assert abs(float(kl_full(zero, cov, zero, eye))) <= 1e-12


@given(rng=rngs, d=st.integers(1, 6))
def test_theorem_5_no_other_linear_map_does(xp, rng, d):
    a = invertible(rng, d)
    singular = np.linalg.svd(a, compute_uv=False)
    wanted = 0.5 * np.sum(singular**2 - 1 - np.log(singular**2))
    zero, cov, eye = to(xp, np.zeros(d), a @ a.T, np.eye(d))
    kl = float(kl_full(zero, cov, zero, eye))
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
