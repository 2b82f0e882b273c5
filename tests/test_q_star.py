"""The q*(z) solver: each family against direct minimisation, and what a fit says about itself."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, optimize, stats
from strategies import encodings, orthogonal, random_encodings, rngs, to

from disentangle_indicators import Moments, estimate_q_star
from disentangle_indicators import definitions as define
from disentangle_indicators._array import to_numpy
from disentangle_indicators.q_star import FAMILIES, factorised, low_rank

GAUSSIAN = ("factorised", "factorised-mean", "full", "full-mean")
OPTIONS = {"low-rank": {"rank": 2}, "student-t": {"nu": 4.0}}


def average_kl(data, mean, cov):
    """Of the posteriors to N(mean, cov), from the textbook formula, one KL a sample."""
    (m, v), precision = data, np.linalg.inv(cov)
    distance = np.einsum("mi,ij,mj->m", m - mean, precision, m - mean)
    log_ratio = np.linalg.slogdet(cov)[1] - np.log(v).sum(axis=1)
    return np.mean(0.5 * (v @ np.diag(precision) + distance - m.shape[1] + log_ratio))


def moderate(seed, n=30, d=3):
    """Correlated means off 0 and uneven variances, of sizes that a generic minimiser can take."""
    rng = np.random.default_rng(seed)
    mean = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + rng.normal(size=d)
    return mean, rng.lognormal(-1, 1, size=(n, d))


def factor_model(seed=0, d=6, rank=2, n=2000):
    """Every unique variance is well above 0, so that the optimum is inside."""
    rng = np.random.default_rng(seed)
    loadings = np.linalg.qr(rng.normal(size=(d, rank)))[0] * np.linspace(2.5, 1.5, rank)
    mean = rng.normal(size=(n, rank)) @ loadings.T + 0.5 * rng.normal(size=(n, d))
    return mean, np.full((n, d), 0.3)


def parameters(family, d, rank=2):
    """Number of free parameters, and the mean and covariance that they stand for."""

    def cholesky(p):
        lower = np.zeros((d, d))
        lower[np.tril_indices(d)] = p
        return lower @ lower.T + 1e-12 * np.eye(d)

    def factors(p):
        loadings = p[: d * rank].reshape(d, rank)
        return loadings @ loadings.T + np.diag(np.exp(p[d * rank :]))

    at = d if family.endswith("mean") else 0
    count, covariance = {
        "factorised": (d, lambda p: np.diag(np.exp(p))),
        "full": (d * (d + 1) // 2, cholesky),
        "low-rank": (d * rank + d, factors),
    }[family.removesuffix("-mean")]
    return at + count, lambda p: (p[:at] if at else np.zeros(d), covariance(p[at:]))


@pytest.mark.parametrize("family", [*GAUSSIAN, "low-rank"])
def test_no_minimiser_finds_better(family):
    data = factor_model(n=200) if family == "low-rank" else moderate(7)
    fit = estimate_q_star(*data, family=family, rank=2 if family == "low-rank" else None)
    cov = np.diag(fit.var) if fit.covariance is None else fit.covariance
    assert fit.mean_kl == pytest.approx(average_kl(data, fit.mean, cov), rel=1e-12)
    count, read = parameters(family, data[0].shape[1])
    rng = np.random.default_rng(0)
    best = min(
        optimize.minimize(
            lambda p: average_kl(data, *read(p)), 0.5 * rng.normal(size=count), tol=1e-9
        ).fun
        for _ in range(2)
    )
    assert fit.converged
    assert fit.mean_kl == pytest.approx(best, abs=1e-6)
    assert fit.mean_kl <= best + 1e-9


@given(data=encodings(max_n=60, max_d=5))
def test_the_value_is_the_average_kl(xp, data):
    for family in GAUSSIAN:
        fit = estimate_q_star(*to(xp, *data), family=family)
        mean, var = np.asarray(fit.mean), np.asarray(fit.var)
        cov = np.diag(var) if fit.covariance is None else np.asarray(fit.covariance)
        value = average_kl(data, mean, cov)
        assert abs(fit.mean_kl - value) <= 1e-8 * max(1, abs(value))
        prior = 0.5 * (np.trace(cov) + mean @ mean - len(mean) - np.linalg.slogdet(cov)[1])
        assert abs(fit.kl_prior - prior) <= 1e-9 * max(1, abs(prior), np.trace(cov))
        assert fit.converged
        assert fit.n_iterations == 0
        assert fit.residual <= 1e-6


@given(data=encodings())
def test_families_nest(xp, data):
    moments = Moments.of(*to(xp, *data), covariance=True)
    values = {name: estimate_q_star(moments=moments, family=name).mean_kl for name in GAUSSIAN}
    first = define.kl_posterior_prior(moments)
    small = 1e-9 * max(1.0, first)
    assert values["full-mean"] <= min(values["full"], values["factorised-mean"]) + small
    assert max(values["full"], values["factorised-mean"]) <= values["factorised"] + small
    assert values["factorised"] <= first + small


@given(data=encodings(), rng=rngs)
def test_full_families_follow_a_change_of_axes(xp, data, rng):
    """Of the maps z -> A z that keep posteriors diagonal: scale, sign, order; and rotation."""
    mean, var = data
    d = mean.shape[1]
    scale = np.exp(rng.uniform(-3, 3, d)) * rng.choice([-1.0, 1.0], d)
    isotropic = np.broadcast_to(var[:, :1], var.shape)
    order = rng.permutation(d)
    q = orthogonal(rng, d)
    cases = [
        (data, ((mean * scale)[:, order], (var * scale**2)[:, order])),
        ((mean, isotropic), (mean @ q, isotropic)),
    ]
    for before, after in cases:
        for family in ("full", "full-mean"):
            one = estimate_q_star(*to(xp, *before), family=family).mean_kl
            other = estimate_q_star(*to(xp, *after), family=family).mean_kl
            assert abs(one - other) <= 1e-8 * max(1.0, abs(one))


def test_factorised_families_depend_on_the_axes():
    rng = np.random.default_rng(0)
    mean = rng.normal(size=(200, 2)) * [3.0, 0.3]
    var = np.full_like(mean, 0.1)
    for family in ("factorised", "factorised-mean"):
        one = estimate_q_star(mean, var, family=family).mean_kl
        turned = mean @ np.array([[1, 1], [-1, 1]]) / np.sqrt(2)
        assert estimate_q_star(turned, var, family=family).mean_kl > one + 0.1


@given(data=encodings(max_n=100), step_size=st.floats(0.3, 1.0))
def test_gradient_reaches_the_closed_form(xp, data, step_size):
    mean, var = to(xp, *data)
    closed = estimate_q_star(mean, var)
    fit = estimate_q_star(mean, var, method="gradient", step_size=step_size)
    residual = np.max(np.abs(np.asarray(closed.var) / np.asarray(fit.var) - 1))
    assert fit.converged is True
    assert fit.residual == pytest.approx(residual, abs=1e-12)
    assert residual <= 1e-6
    d = len(residual * np.asarray(fit.var))
    rounding = 1e-12 * max(1.0, closed.mean_kl)
    assert -rounding <= fit.mean_kl - closed.mean_kl <= d * residual**2 / 4 * 1.01 + rounding


@given(data=encodings(max_n=100), iterations=st.integers(0, 12))
def test_a_gradient_that_stops_early_says_so(xp, data, iterations):
    """Properties 1 and 6 on the solver's own unfinished fits, and the bound on its error."""
    mean, var = to(xp, *data)
    moments = Moments.of(mean, var)
    options = {"method": "gradient", "max_iterations": iterations, "step_size": 0.5}
    fit = estimate_q_star(mean, var, **options)
    second, s = np.asarray(moments.second_moment), np.asarray(fit.var)
    delta = np.log(s / second)
    assert fit.n_iterations <= iterations
    assert fit.converged is bool(np.max(np.abs(second / s - 1)) <= 1e-6)
    excess = fit.mean_kl - estimate_q_star(mean, var).mean_kl
    scale = max(1.0, abs(fit.mean_kl), fit.kl_prior, define.kl_posterior_prior(moments))
    assert abs(excess - 0.5 * np.sum(delta + np.expm1(-delta))) <= 1e-10 * scale
    assert excess <= 0.25 * np.sum(delta**2 * np.exp(np.maximum(0, -delta))) + 1e-10 * scale
    gap = define.kl_q_star_prior(moments, fit) - define.kl_aggregate_prior(moments, fit)
    assert abs(gap - np.sum((s - second) * (s - 1) / (2 * s))) <= 1e-10 * scale


def test_a_solver_that_never_moved_is_not_called_converged():
    mean, var = moderate(1)
    fit = estimate_q_star(mean, var, method="gradient", max_iterations=0)
    assert fit.var.tolist() == [1.0, 1.0, 1.0]
    assert fit.converged is False
    moments = Moments.of(mean, var)
    fourth = define.kl_aggregate_prior(moments, fit)
    assert fourth == pytest.approx(define.kl_q_star_prior(moments, fit), abs=1e-12)


def test_gradient_descends():
    mean, var = random_encodings(np.random.default_rng(4), 50, 4)
    values = [
        estimate_q_star(mean, var, method="gradient", max_iterations=k, step_size=0.5).mean_kl
        for k in range(30)
    ]
    assert all(b <= a + 1e-12 for a, b in pairwise(values))
    assert values[-1] < values[0]


def test_low_rank_em_is_monotone(xp):
    mean, var = to(xp, *factor_model())
    moments = Moments.of(mean, var, covariance=True)
    values = [
        estimate_q_star(moments=moments, family="low-rank", rank=1, max_iterations=k).mean_kl
        for k in range(25)
    ]
    assert all(b <= a + 1e-12 for a, b in pairwise(values))
    assert values[-1] < values[0] - 1e-6


def test_residual_of_low_rank_sees_the_noise_variances():
    """Without loadings, psi = 2 for a variance of 1 leaves psi (1/2 - 1/4)."""
    psi = np.array([2.0, 1.0, 1.0])
    rest = low_rank._residual(np, np.eye(3), np.diag(1 / psi), np.zeros((3, 1)), psi)
    assert rest == pytest.approx(0.5)


def test_low_rank_is_stationary_where_it_converged(xp):
    """Then diag(Sigma) = diag(C) and tr(Sigma^-1 C) = d, so that Definitions 4 and 5 are equal."""
    moments = Moments.of(*to(xp, *factor_model()), covariance=True)
    second = to_numpy(moments.covariance) + np.outer(*2 * [to_numpy(moments.mean)])
    for rank in (1, 2):
        fit = estimate_q_star(moments=moments, family="low-rank", rank=rank)
        assert fit.converged is True
        assert fit.residual <= 1e-6
        sigma, loadings = to_numpy(fit.covariance), to_numpy(fit.loadings)
        assert loadings.shape == (6, rank)
        psi = sigma - loadings @ loadings.T
        assert np.max(np.abs(psi - np.diag(np.diag(psi)))) <= 1e-12
        assert np.min(np.diag(psi)) > 0.1
        assert np.diag(sigma) == pytest.approx(np.diag(second), rel=1e-5)
        assert to_numpy(fit.var) == pytest.approx(np.diag(sigma), rel=1e-12)
        assert np.trace(np.linalg.solve(sigma, second)) == pytest.approx(6, abs=1e-5)
        fourth = define.kl_aggregate_prior(moments, fit)
        assert fourth == pytest.approx(define.kl_q_star_prior(moments, fit), abs=1e-5)


def test_low_rank_recovers_a_covariance_of_its_own_form():
    """C itself is W W^T + psi here: the value is that of the full family."""
    rng = np.random.default_rng(2)
    n, d = 1000, 5
    loadings = rng.normal(size=(d, 1))
    white = rng.normal(size=(n, d + 1))
    white -= white.mean(axis=0)
    white = np.linalg.qr(white)[0] * np.sqrt(n)
    mean = white[:, :1] @ loadings.T + 0.7 * white[:, 1:]
    var = np.full((n, d), 0.2)
    fit = estimate_q_star(mean, var, family="low-rank", rank=1, tol=1e-10, max_iterations=20_000)
    full = estimate_q_star(mean, var, family="full")
    assert fit.mean_kl == pytest.approx(full.mean_kl, abs=1e-10)
    found = np.abs(fit.loadings.ravel())
    assert found == pytest.approx(np.abs(loadings.ravel()), abs=1e-4)


@given(data=encodings(min_n=30, min_d=3, max_d=6))
@settings(max_examples=10)
def test_low_rank_nests_between_factorised_and_full(data):
    moments = Moments.of(*data, covariance=True)
    d = data[0].shape[1]
    fits = [
        estimate_q_star(moments=moments, family="low-rank", rank=r, max_iterations=300)
        for r in range(1, d)
    ]
    values = [estimate_q_star(moments=moments).mean_kl]
    values += [fit.mean_kl for fit in fits]
    values += [estimate_q_star(moments=moments, family="full").mean_kl]
    # EM that has not ended may lie above its own optimum, though not above the factorised one
    slack = [0.0] + [0.0 if fit.converged else 0.02 for fit in fits] + [0.0]
    for above, (below, more) in zip(values, zip(values[1:], slack[1:], strict=True), strict=False):
        assert below <= above + more + 1e-9 * max(1.0, above)
    assert min(values) >= values[-1] - 1e-9 * max(1.0, values[0])


@given(data=encodings(min_n=20, min_d=2, max_d=6))
def test_one_factor_fewer_than_latents_is_as_good_as_full(data):
    """C less its least eigenvalue has rank d - 1, in correlation units."""
    moments = Moments.of(*data, covariance=True)
    d = data[0].shape[1]
    fit = estimate_q_star(moments=moments, family="low-rank", rank=d - 1)
    full = estimate_q_star(moments=moments, family="full")
    assert fit.mean_kl == pytest.approx(full.mean_kl, rel=1e-9, abs=1e-9)


def test_a_heywood_case_is_not_called_converged():
    """The first latent is the factor itself: its unique variance would have to be 0."""
    rng = np.random.default_rng(0)
    factor = rng.normal(size=(2000, 1))
    mean = factor * [1.0, 0.6, 0.3] + rng.normal(size=(2000, 3)) * [0.0, 0.5, 0.5]
    fit = estimate_q_star(mean, np.full_like(mean, 1e-8), family="low-rank", rank=1)
    assert fit.converged is False
    assert fit.n_iterations == 2000
    assert fit.residual > 1e-6
    assert np.isfinite(fit.mean_kl)


def test_units_of_the_latents_do_not_matter_to_low_rank():
    mean, var = factor_model()
    a = np.array([1e-4, 1e3, 1.0, -2.0, 1e5, 1e-2])
    one = estimate_q_star(mean, var, family="low-rank", rank=2, max_iterations=50)
    other = estimate_q_star(mean * a, var * a**2, family="low-rank", rank=2, max_iterations=50)
    assert other.mean_kl == pytest.approx(one.mean_kl, rel=1e-9)
    assert other.loadings == pytest.approx(one.loadings * a[:, None], rel=1e-6)


def heavy(n=40):
    rng = np.random.default_rng(3)
    return rng.standard_t(3, size=(n, 1)), rng.lognormal(-2, 0.5, size=(n, 1))


def student_value(data, scale, nu):
    """Average KL of the posteriors to a Student-t, by adaptive quadrature."""
    top = float(stats.t.logpdf(0.0, nu, scale=math.sqrt(scale)))

    def one(m, v):
        sd = math.sqrt(v)

        def integrand(z):
            log_q = -0.5 * ((z - m) ** 2 / v + math.log(2 * math.pi * v))
            log_t = top - 0.5 * (nu + 1) * math.log1p(z * z / (nu * scale))
            return math.exp(log_q) * (log_q - log_t)

        return integrate.quad(integrand, m - 12 * sd, m + 12 * sd, epsabs=1e-12, limit=200)[0]

    return np.mean([one(m, v) for m, v in zip(data[0][:, 0], data[1][:, 0], strict=True)])


@pytest.mark.parametrize(("nu", "tolerance"), [(1.0, 1e-9), (3.0, 1e-9), (30.0, 1e-9)])
def test_student_t_agrees_with_quadrature(nu, tolerance):
    data = heavy()
    fit = estimate_q_star(*data, family="student-t", nu=nu, tol=1e-10)
    assert fit.converged is True
    assert fit.nu == nu
    assert fit.mean_kl == pytest.approx(student_value(data, fit.var[0], nu), abs=tolerance)
    for factor in (0.95, 1.05):
        assert student_value(data, fit.var[0] * factor, nu) > fit.mean_kl + 1e-5


@pytest.mark.parametrize(("nu", "tolerance"), [(2.0, 1e-9), (3.0, 1e-9), (10.0, 1e-9)])
def test_student_t_of_a_latent_that_ignores_x(nu, tolerance):
    """The posterior is as wide as q* itself."""
    data = np.zeros((1, 1)), np.ones((1, 1))
    fit = estimate_q_star(*data, family="student-t", nu=nu)
    assert fit.mean_kl == pytest.approx(student_value(data, fit.var[0], nu), abs=tolerance)


@pytest.mark.parametrize("nu", [1.0, 2.0, 5.0])
@pytest.mark.parametrize(
    ("narrow", "tolerance"), [(1e-2, 1e-9), (1e-3, 1e-9), (1e-6, 1e-8), (1e-12, 1e-5)]
)
def test_student_t_of_mixed_widths(nu, narrow, tolerance):
    """A latent that ignores 30% of the rows: q* is narrow beside their posteriors.

    The tolerance is that of the trapezoidal sum for posteriors sqrt(1 / narrow) times as wide as
    q*. `quad` is told where the kinks are.
    """
    wide = np.arange(10) < 3
    mean = np.where(wide, 0, np.sqrt(narrow) * stats.norm.ppf((np.arange(10) + 0.5) / 10))[:, None]
    var = np.where(wide, 1.0, narrow)[:, None]
    fit = estimate_q_star(mean, var, family="student-t", nu=nu, tol=1e-10)
    assert fit.converged is True
    scale = fit.var[0]
    kinks = np.sqrt(scale) * np.array([-1e3, -30.0, -1.0, 0.0, 1.0, 30.0, 1e3])
    log_t = stats.t(nu, scale=math.sqrt(scale)).logpdf

    def cross(m, sd):
        at = np.unique(np.clip([*kinks, m - 6 * sd, m, m + 6 * sd], m - 12 * sd, m + 12 * sd))
        parts = (
            integrate.quad(lambda z: -stats.norm.pdf(z, m, sd) * log_t(z), *ends, epsabs=1e-12)[0]
            for ends in pairwise([m - 12 * sd, *at, m + 12 * sd])
        )
        return sum(parts)

    each = [cross(m, sd) for m, sd in zip(mean[:, 0], np.sqrt(var[:, 0]), strict=True)]
    wanted = np.mean(each) - 0.5 * np.mean(np.log(2 * np.pi * np.e * var))
    assert fit.mean_kl == pytest.approx(wanted, abs=tolerance)


def test_student_t_em_is_monotone(xp):
    mean, var = to(xp, *random_encodings(np.random.default_rng(5), 60, 3))
    values = [
        estimate_q_star(mean, var, family="student-t", nu=2.5, max_iterations=k).mean_kl
        for k in range(12)
    ]
    assert all(b <= a + 1e-12 for a, b in pairwise(values))
    assert values[-1] < values[0]


def test_student_t_beats_the_gaussian_on_heavy_tails_and_becomes_it():
    data = heavy(2000)
    gaussian = estimate_q_star(*data)
    assert estimate_q_star(*data, family="student-t", nu=3.0).mean_kl < gaussian.mean_kl - 0.02
    nearly = estimate_q_star(*data, family="student-t", nu=1e7)
    assert nearly.var == pytest.approx(gaussian.var, rel=1e-4)
    assert nearly.mean_kl == pytest.approx(gaussian.mean_kl, abs=1e-4)
    assert nearly.kl_prior == pytest.approx(gaussian.kl_prior, abs=1e-4)


@pytest.mark.parametrize("nu", [2.1, 3.0, 20.0])
def test_student_t_against_the_prior_by_quadrature(nu):
    fit = estimate_q_star(*heavy(), family="student-t", nu=nu)
    law = stats.t(nu, scale=np.sqrt(fit.var[0]))
    # the cross entropy is exact from the variance; the entropy is an integral of light tails
    cross = 0.5 * np.log(2 * np.pi) + 0.5 * law.var()
    entropy = (
        2
        * integrate.quad(
            lambda t: -law.pdf(np.sinh(t)) * law.logpdf(np.sinh(t)) * np.cosh(t), 0, 30, limit=500
        )[0]
    )
    assert fit.kl_prior == pytest.approx(cross - entropy, rel=1e-8)


def test_student_t_is_infinitely_far_from_the_prior_without_a_variance(xp):
    mean, var = to(xp, *heavy())
    assert estimate_q_star(mean, var, family="student-t", nu=2.0).kl_prior == np.inf
    assert np.isfinite(estimate_q_star(mean, var, family="student-t", nu=2.001).kl_prior)


def test_student_t_that_stops_early_says_so():
    fit = estimate_q_star(*heavy(), family="student-t", nu=3.0, max_iterations=1)
    assert fit.converged is False
    assert fit.n_iterations == 1
    assert fit.residual > 1e-6


@pytest.mark.parametrize(("family", "method"), [(f, m) for f, ms in FAMILIES.items() for m in ms])
def test_leading_axes_are_separate_problems(xp, family, method):
    options = {"family": family, "method": method, "tol": 1e-10, **OPTIONS.get(family, {})}
    options["max_iterations"] = 10 if family == "student-t" else 100
    pairs = [factor_model(seed, n=90) for seed in range(6)]
    mean, var = (np.stack(x).reshape(2, 3, 90, 6) for x in zip(*pairs, strict=True))
    many = estimate_q_star(*to(xp, mean, var), **options)
    for name in ("mean_kl", "kl_prior", "converged", "residual"):
        assert tuple(getattr(many, name).shape) == (2, 3), name
    for i, pair in zip(np.ndindex(2, 3), pairs, strict=True):
        one = estimate_q_star(*to(xp, *pair), **options)
        for name in ("mean", "var", "covariance", "mean_kl", "kl_prior"):
            if getattr(one, name) is not None:
                ours = to_numpy(getattr(many, name))[i]
                alone = np.asarray(getattr(one, name), dtype=float)
                assert ours == pytest.approx(alone, rel=1e-6, abs=1e-6), name


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "student-t"])
def test_moments_say_as_much_as_the_arrays(xp, family):
    mean, var = to(xp, *factor_model(n=100))
    moments = Moments.of(mean, var, covariance=True)
    options = {"family": family, "max_iterations": 50, **OPTIONS.get(family, {})}
    by_moments = estimate_q_star(moments=moments, **options)
    by_arrays = estimate_q_star(mean, var, **options)
    assert by_moments.mean_kl == pytest.approx(by_arrays.mean_kl, rel=1e-12)
    assert by_moments.family == family
    assert by_moments.method == FAMILIES[family][0]
    assert isinstance(by_arrays.mean_kl, float)
    assert isinstance(by_arrays.kl_prior, float)
    assert isinstance(by_arrays.converged, bool)


@pytest.mark.parametrize("family", FAMILIES)
def test_one_sample_and_constant_latents(xp, family):
    """A constant code carries no information that a q* with a mean would count."""
    options = OPTIONS.get(family, {})
    mean, var = to(xp, np.tile([[1.0, -2.0, 0.0]], (4, 1)), np.full((4, 3), 0.5))
    for rows in (1, 4):
        fit = estimate_q_star(mean[:rows, :], var[:rows, :], family=family, **options)
        assert np.isfinite(fit.mean_kl)
        if family.endswith("mean"):
            assert fit.mean_kl == pytest.approx(0, abs=1e-14)
        else:
            assert fit.mean_kl > 0


@pytest.mark.parametrize("family", FAMILIES)
def test_bad_input_is_refused_by_every_family(xp, family):
    options = {"family": family, **OPTIONS.get(family, {})}
    mean, var = to(xp, np.ones((70, 3)), np.full((70, 3), -0.2))
    with pytest.raises(ValueError, match=r"var must be positive.*; var\[0, 0\] = -0\.2"):
        estimate_q_star(mean, var, **options)
    with pytest.raises(ValueError, match=r"mean must be finite; mean\[0, 0\] = nan"):
        estimate_q_star(mean * np.nan, -var, **options)


ERRORS = {
    "family": ({"family": "flow"}, "^family must be one of factorised, .*; got 'flow'$"),
    "method": (
        {"family": "full", "method": "em"},
        "^the full family is fitted by closed; got 'em'",
    ),
    "methods": ({"method": "em"}, "^the factorised family is fitted by closed or gradient; got"),
    "no rank": ({"family": "low-rank"}, "^the low-rank family needs rank= from 1 to 2; got None$"),
    "rank 0": ({"family": "low-rank", "rank": 0}, "needs rank= from 1 to 2; got 0$"),
    "rank d": ({"family": "low-rank", "rank": 3}, "needs rank= from 1 to 2; got 3$"),
    "no nu": (
        {"family": "student-t"},
        "^the student-t family needs a finite nu= of at least 1; got None$",
    ),
    "nu 0": ({"family": "student-t", "nu": 0.0}, "needs a finite nu= of at least 1; got 0.0$"),
    "nu small": (
        {"family": "student-t", "nu": 0.5},
        "needs a finite nu= of at least 1; got 0.5$",
    ),
    "nu inf": ({"family": "student-t", "nu": np.inf}, "finite nu= of at least 1; got inf$"),
    "nu unused": (
        {"family": "full", "nu": 3.0},
        "nu= belongs to the student-t family, not to full",
    ),
    "rank unused": ({"rank": 2}, "rank= belongs to the low-rank family, not to factorised"),
    "rank a float": ({"family": "low-rank", "rank": 1.5}, "needs rank= from 1 to"),
    "no step": ({"method": "gradient", "step_size": 0.0}, "step_size and tol must be positive"),
    "nu nan": (
        {"family": "student-t", "nu": np.nan},
        "needs a finite nu= of at least 1; got nan$",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_what_cannot_be_fitted(case):
    options, message = ERRORS[case]
    with pytest.raises(ValueError, match=message):
        estimate_q_star(np.ones((4, 3)), np.ones((4, 3)), **options)


def test_arrays_or_moments_but_not_both():
    mean, var = np.ones((4, 3)), np.ones((4, 3))
    moments = Moments.of(mean, var)
    for given_ in ({}, {"mean": mean, "var": var, "moments": moments}):
        with pytest.raises(ValueError, match="^give either mean and var or moments=$"):
            estimate_q_star(**given_)
    with pytest.raises(ValueError, match="needs the arrays, not their moments"):
        estimate_q_star(moments=moments, family="student-t", nu=3.0)
    with pytest.raises(ValueError, match="ask for covariance=True"):
        estimate_q_star(moments=moments, family="full")


def test_the_variance_of_the_paper_is_the_second_moment_about_0():
    s = factorised.closed(Moments.of(*moderate(9)), centred=False)[1]
    mean, var = moderate(9)
    assert s == pytest.approx((mean**2 + var).mean(axis=0), rel=1e-14)
