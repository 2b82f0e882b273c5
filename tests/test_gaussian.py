"""KL, entropy and log density against torch, scipy and quadrature."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from strategies import encodings, invertible, rngs, to

from disentangle_indicators import gaussian

dimensions = st.integers(1, 6)


def some_covariance(rng, d):
    """Positive definite; correlations up to .9, scales between e^-2 and e^2."""
    a = invertible(rng, d) * np.exp(rng.uniform(-2, 2, d))
    return a.T @ a


@given(data=encodings(), rng=rngs)
def test_kl_agrees_with_torch(xp, data, rng):
    torch = pytest.importorskip("torch", reason="torch is not installed: NO absolute anchor")
    mean, var = data
    mean_q, var_q = rng.normal(size=mean.shape[1]), rng.lognormal(size=mean.shape[1])
    wanted = torch.distributions.kl_divergence(
        torch.distributions.Normal(*(torch.asarray(x) for x in (mean, np.sqrt(var)))),
        torch.distributions.Normal(*(torch.asarray(x) for x in (mean_q, np.sqrt(var_q)))),
    ).numpy()
    ours = np.asarray(gaussian.kl(*to(xp, mean, var, mean_q, var_q)))
    assert ours == pytest.approx(wanted, rel=1e-12, abs=1e-12)


@given(data=encodings(max_n=20))
def test_kl_is_an_integral(xp, data):
    """Quadrature of log q - log p under q; exact, because both are quadratic in z."""
    mean, var = to(xp, *data)
    nodes, weights = np.polynomial.hermite_e.hermegauss(4)
    total = 0.0
    for node, weight in zip(nodes.tolist(), (weights / weights.sum()).tolist(), strict=True):
        z = mean + node * xp.sqrt(var)
        unit = xp.zeros_like(mean), xp.ones_like(var)
        gap = gaussian.log_density(z, mean, var) - gaussian.log_density(z, *unit)
        total = total + weight * gap
    ours, total = np.asarray(gaussian.kl(mean, var)), np.asarray(total)
    assert np.max(np.abs(ours - total) / np.maximum(1, np.abs(ours))) <= 1e-12


@given(data=encodings(max_n=20))
def test_kl_is_positive_and_zero_for_the_same(xp, data):
    mean, var = to(xp, *data)
    assert np.min(np.asarray(gaussian.kl(mean, var))) >= 0
    assert np.max(np.asarray(gaussian.kl(mean, var, mean, var))) == 0


@given(data=encodings(max_n=20))
def test_log_density_and_entropy_agree_with_scipy(xp, data):
    mean, var = data
    z = mean[::-1] + 1.0
    wanted = stats.norm.logpdf(z, mean, np.sqrt(var))
    assert np.asarray(gaussian.log_density(*to(xp, z, mean, var))) == pytest.approx(
        wanted, rel=1e-12, abs=1e-12
    )
    wanted = stats.norm.entropy(mean, np.sqrt(var))
    assert np.asarray(gaussian.entropy(*to(xp, var))) == pytest.approx(wanted, abs=1e-12)


@given(rng=rngs, d=dimensions)
def test_full_agrees_with_scipy(xp, rng, d):
    cov, mean = some_covariance(rng, d), rng.normal(size=d)
    z = mean + rng.normal(size=(5, d)) @ np.linalg.cholesky(cov).T
    law = stats.multivariate_normal(mean, cov, allow_singular=True)
    mean, cov, z = to(xp, mean, cov, z)
    wanted = np.atleast_1d(stats.multivariate_normal.logpdf(z, mean, cov))
    assert np.asarray(gaussian.log_density_full(z, mean, cov)) == pytest.approx(wanted, abs=1e-9)
    assert float(gaussian.entropy_full(cov)) == pytest.approx(law.entropy(), abs=1e-9)
    wanted = np.linalg.slogdet(np.asarray(cov))[1]
    assert float(gaussian.log_det(cov)) == pytest.approx(wanted, abs=1e-10)


@given(rng=rngs, d=dimensions)
def test_kl_full_does_not_depend_on_the_axes(xp, rng, d):
    """The KL divergence of A x + c is that of x: from diagonal to full and back."""
    mean, mean_q = rng.normal(size=(2, d))
    var, var_q = rng.lognormal(size=(2, d))
    a, c = invertible(rng, d), rng.normal(size=d)
    wanted = np.asarray(gaussian.kl(mean[None], var[None], mean_q, var_q)).sum()
    moved = (a @ mean + c, a * var @ a.T, a @ mean_q + c, a * var_q @ a.T)
    assert float(gaussian.kl_full(*to(xp, *moved))) == pytest.approx(wanted, rel=1e-9, abs=1e-10)


def test_full_functions_take_leading_axes(xp):
    rng = np.random.default_rng(0)
    cov = np.stack([some_covariance(rng, 3) for _ in range(4)]).reshape(2, 2, 3, 3)
    mean, z = rng.normal(size=(2, 2, 3)), rng.normal(size=(2, 2, 5, 3))
    zero, eye = np.zeros(3), np.eye(3)
    kl = np.asarray(gaussian.kl_full(*to(xp, mean, cov, zero, eye)))
    density = np.asarray(gaussian.log_density_full(*to(xp, z, mean, cov)))
    entropy = np.asarray(gaussian.entropy_full(*to(xp, cov)))
    assert (kl.shape, density.shape, entropy.shape) == ((2, 2), (2, 2, 5), (2, 2))
    for i in np.ndindex(2, 2):
        alone = gaussian.kl_full(mean[i], cov[i], zero, eye)
        assert kl[i] == pytest.approx(float(alone), rel=1e-12)
        alone = gaussian.log_density_full(z[i], mean[i], cov[i])
        assert density[i] == pytest.approx(alone, rel=1e-9)
        assert entropy[i] == pytest.approx(float(gaussian.entropy_full(cov[i])), rel=1e-12)


def test_log_det_of_extreme_units(xp):
    """The determinant itself would underflow."""
    scale = np.array([1e-150, 1e150, 1e-120])
    correlation = np.array([[1, 0.5, 0], [0.5, 1, 0.2], [0, 0.2, 1]])
    wanted = np.linalg.slogdet(correlation)[1] + 2 * np.log(scale).sum()
    (cov,) = to(xp, correlation * scale * scale[:, None])
    assert float(gaussian.log_det(cov)) == pytest.approx(wanted, rel=1e-13)


def test_a_covariance_must_be_positive_definite(xp):
    (indefinite,) = to(xp, np.array([[1.0, 2.0], [2.0, 1.0]]))
    with pytest.raises(ValueError, match="must be positive definite; it is singular"):
        gaussian.entropy_full(indefinite)
    (negative,) = to(xp, np.diag([1.0, -2.0]))
    with pytest.raises(ValueError, match="positive definite; a variance is not positive"):
        gaussian.entropy_full(negative)


def test_kl_names_the_bad_entry(xp):
    mean, var = np.zeros((3, 2)), np.ones((3, 2))
    bad = var.copy()
    bad[2, 1] = -0.2
    with pytest.raises(ValueError, match=r"^var must be positive.*; var\[2, 1\] = -0.2$"):
        gaussian.kl(*to(xp, mean, bad))
    bad[2, 1] = np.nan
    with pytest.raises(ValueError, match=r"^var must be finite; var\[2, 1\] = nan$"):
        gaussian.kl(*to(xp, mean, bad))
    with pytest.raises(ValueError, match=r"^mean must be finite; mean\[2, 1\] = nan$"):
        gaussian.kl(*to(xp, bad, var))
    with pytest.raises(ValueError, match="must have the same shape"):
        gaussian.kl(*to(xp, mean, var[:2]))


def test_no_function_returns_a_silent_nan(xp):
    mean, var, bad = to(xp, np.zeros((3, 2)), np.ones((3, 2)), np.array([1.0, -1.0]))
    with pytest.raises(ValueError, match="must be positive"):
        gaussian.kl(mean, var, 0.0, bad)
    with pytest.raises(ValueError, match="must be positive"):
        gaussian.kl(mean, var, 0.0, 0.0)
    with pytest.raises(ValueError, match="must be positive"):
        gaussian.entropy(bad)
    with pytest.raises(ValueError, match="must be positive"):
        gaussian.log_density(mean, mean, bad)
