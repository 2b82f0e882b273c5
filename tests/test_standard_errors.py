"""Standard errors: against the textbook formula, a numerical derivative, and replication."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import cut, encodings, random_encodings, rngs, to

from disentangle_indicators import Moments, estimate_q_star, indicators, standard_errors
from disentangle_indicators import definitions as define
from disentangle_indicators._array import to_numpy

TOTALS = {
    "kl_posterior_prior",
    "mutual_information",
    "kl_aggregate_prior",
    "gaussian_total_correlation",
    "mutual_information_full_mean",
    "kl_aggregate_prior_full_mean",
}
SHARED = {"kl_q_star_prior", "mutual_information_via_q_star"}
"""They have the errors of Definitions 4 and 2."""


def weighted(mean, var, weights):
    """The totals of a sample whose rows count with these weights, from the definitions."""
    p = weights / weights.sum()
    second, log_var = p @ (mean**2 + var), p @ np.log(var)
    b = p @ mean
    centred = (mean - b).T @ ((mean - b) * p[:, None]) + np.diag(p @ var)
    log_det = np.linalg.slogdet(centred)[1]
    first = 0.5 * np.sum(second - 1 - log_var)
    information = 0.5 * np.sum(np.log(second) - log_var)
    return {
        "kl_posterior_prior": first,
        "mutual_information": information,
        "kl_aggregate_prior": first - information,
        "gaussian_total_correlation": 0.5 * (np.sum(np.log(np.diag(centred))) - log_det),
        "mutual_information_full_mean": 0.5 * (log_det - np.sum(log_var)),
        "kl_aggregate_prior_full_mean": first - 0.5 * (log_det - np.sum(log_var)),
    }


def influences(mean, var, step=1e-4):
    """Numerical derivative of each total by the weight of each row, times n: (n,) by name."""
    n = len(mean)
    rows = []
    for m in range(n):
        up, down = np.ones(n), np.ones(n)
        up[m], down[m] = 1 + step, 1 - step
        above, below = weighted(mean, var, up), weighted(mean, var, down)
        rows.append({k: n * (above[k] - below[k]) / (2 * step) for k in above})
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def of_totals(xp, mean, var):
    x, v = to(xp, mean, var)
    return standard_errors.totals(lambda: [(x, v)], Moments.of(x, v, covariance=True))


def standard_error(x):
    return np.std(x, axis=0, ddof=1) / np.sqrt(len(x))


@given(data=encodings(min_n=2))
def test_per_latent_is_that_of_an_average(xp, data):
    mean, var = data
    u, log_var = mean**2 + var, np.log(var)
    second = u.mean(axis=0)
    wanted = {
        "kl_posterior_prior_per_latent": standard_error(0.5 * (u - log_var)),
        "mutual_information_per_latent": standard_error(0.5 * (u / second - log_var)),
        "kl_aggregate_prior_per_latent": standard_error(0.5 * (1 - 1 / second) * u),
    }
    wanted["mutual_information_per_latent_via_q_star"] = wanted["mutual_information_per_latent"]
    ours = standard_errors.per_latent(Moments.of(*to(xp, *data)))
    assert set(ours) == set(wanted)
    for name, error in wanted.items():
        size = (np.abs(u).max(axis=0) + np.abs(log_var).max(axis=0) + 1) * (1 + 1 / second)
        gap = np.abs(to_numpy(ours[name]) - error)
        assert np.all(gap <= 1e-9 * error + 1e-7 * size / np.sqrt(len(mean))), name
        clear = error > 1e-3 * size
        assert np.all(gap[clear] <= 1e-8 * error[clear]), name


@given(data=encodings(min_n=3, max_n=25, max_d=4))
@settings(max_examples=8)
def test_totals_are_those_of_a_numerical_derivative(xp, data):
    ours = of_totals(xp, *data)
    assert set(ours) == TOTALS | SHARED
    for name, influence in influences(*data).items():
        wanted = np.std(influence, ddof=1) / np.sqrt(len(influence))
        scale = max(1.0, np.abs(influence).max())
        assert abs(ours[name] - wanted) <= 1e-5 * scale, name


@given(data=encodings(min_n=2, max_d=1))
def test_the_total_of_one_latent_is_that_latent_s(xp, data):
    each = standard_errors.per_latent(Moments.of(*to(xp, *data)))
    total = of_totals(xp, *data)
    size = max(1.0, np.max(data[0] ** 2 + data[1] + np.abs(np.log(data[1]))))
    for name, error in each.items():
        of_all = total[name.replace("_per_latent", "")]
        allowed = 1e-8 * of_all + 1e-7 * size
        assert abs(of_all - float(error[0])) <= allowed, name
    assert total["gaussian_total_correlation"] <= 1e-7


def test_totals_are_not_in_quadrature(xp):
    """Two latents that are copies: the error of the total is twice theirs, not 1.41 times.

    And two whose influences cancel: it is 0.
    """
    rng = np.random.default_rng(0)
    mean = rng.normal(size=(500, 1)) * np.ones(2)
    var = np.full_like(mean, 0.1)
    each = standard_errors.per_latent(Moments.of(*to(xp, mean, var)))[
        "mutual_information_per_latent"
    ]
    total = of_totals(xp, mean, var + 1e-12 * rng.random(var.shape))["mutual_information"]
    assert total == pytest.approx(2 * float(each[0]), rel=1e-6)

    half = np.exp(rng.normal(size=(500, 1)))
    var = np.hstack([half, 1 / half])
    mean = np.sqrt(9 * np.exp(4) - var)
    moments = Moments.of(*to(xp, mean, var))
    assert (
        np.min(to_numpy(standard_errors.per_latent(moments)["mutual_information_per_latent"]))
        > 0.01
    )
    x, v = to(xp, mean, var)
    assert standard_errors.totals(lambda: [(x, v)], moments)["mutual_information"] <= 1e-8


def replicate(rng, n=250):
    """Correlated latents with heavy tails, a variance that depends on x, and S away from 1."""
    factor = rng.standard_t(8, size=(n, 3)) @ np.array(
        [[1.0, 0.8, 0.0], [0.0, 0.9, 0.5], [0.0, 0.0, 0.2]]
    )
    var = 0.2 * np.exp(0.3 * factor + 0.3 * rng.normal(size=(n, 3)))
    return 1.5 * factor + 0.5, var


@pytest.fixture(scope="module")
def replications():
    """Values and their reported errors over 400 samples, by name."""
    rng = np.random.default_rng(20)
    values, errors = [], []
    for _ in range(400):
        mean, var = replicate(rng)
        moments = Moments.of(mean, var, covariance=True)
        q_star = estimate_q_star(moments=moments)
        error = standard_errors.totals(lambda data=(mean, var): [data], moments)
        each = standard_errors.per_latent(moments)
        errors.append(
            error | {"mutual_information_per_latent": each["mutual_information_per_latent"]}
        )
        values.append(
            {
                "kl_posterior_prior": define.kl_posterior_prior(moments),
                "mutual_information": define.mutual_information(moments, q_star),
                "mutual_information_per_latent": define.mutual_information_per_latent(
                    moments, q_star
                ),
                "kl_aggregate_prior": define.kl_aggregate_prior(moments, q_star),
                "gaussian_total_correlation": define.gaussian_total_correlation(moments),
                "mutual_information_full_mean": define.upper_bounds(moments)["full-mean"],
                "kl_aggregate_prior_full_mean": (
                    define.kl_posterior_prior(moments) - define.upper_bounds(moments)["full-mean"]
                ),
            }
        )
    return {
        name: (np.array([v[name] for v in values]), np.array([e[name] for e in errors]))
        for name in values[0]
    }


@pytest.mark.parametrize("name", [*sorted(TOTALS), "mutual_information_per_latent"])
def test_errors_are_what_replication_shows(replications, name):
    """The mean reported error is the standard deviation of the values, to 5 of its own errors.

    The error of a standard deviation follows from the fourth moment; that of a mean is added.
    """
    values, errors = replications[name]
    sd = np.std(values, axis=0, ddof=1)
    z = (values - values.mean(axis=0)) / sd
    of_sd = sd * np.sqrt((np.mean(z**4, axis=0) - 1) / (4 * len(values)))
    of_mean = np.std(errors, axis=0, ddof=1) / np.sqrt(len(values))
    assert np.all(np.abs(errors.mean(axis=0) - sd) <= 5 * np.hypot(of_sd, of_mean))
    assert np.all(5 * np.hypot(of_sd, of_mean) <= 0.3 * sd)


@given(data=encodings(min_n=2, max_n=100), rng=rngs, parts=st.integers(1, 6))
def test_batches_do_not_matter(xp, data, rng, parts):
    mean, var = to(xp, *data)
    moments = Moments.of(mean, var, covariance=True)
    slices = cut(rng, len(data[0]), parts)
    split = standard_errors.totals(lambda: ((mean[s, :], var[s, :]) for s in slices), moments)
    for name, error in standard_errors.totals(lambda: [(mean, var)], moments).items():
        size = max(1.0, np.max(data[0] ** 2 + data[1] + np.abs(np.log(data[1]))))
        assert abs(split[name] - error) <= 1e-9 * error + 1e-7 * size, name


def splitmix64(number):
    z = (number * 0x9E3779B97F4A7C15) % 2**64
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % 2**64
    return z ^ (z >> 31)


@pytest.mark.parametrize("split", [[0, 1000], [0, 1, 70, 64 * 5 + 3, 640, 1000]])
def test_of_many_rows_some_are_picked(xp, monkeypatch, split):
    """By their number over all batches: here one of every three."""
    monkeypatch.setattr(standard_errors, "ENOUGH", 300)
    monkeypatch.setattr(standard_errors, "UNLIKE", 1.0)
    mean, var = replicate(np.random.default_rng(3), n=1000)
    x, v = to(xp, mean, var)
    moments = Moments.of(x, v)
    batches = [(x[a:b, :], v[a:b, :]) for a, b in pairwise(split)]
    ours = standard_errors.totals(lambda: batches, moments)
    picked = [3 * run + splitmix64(run) % 3 for run in range(334)]
    kept = np.isin(np.arange(1000), picked)
    assert 333 <= kept.sum() <= 334
    influence = 0.5 * (mean**2 + var - np.log(var)).sum(axis=1)[kept]
    spread = np.std(influence, ddof=1)
    latents = 0.5 * (mean**2 + var - np.log(var))
    exact, some = (np.var(rows, axis=0, ddof=1).sum() for rows in (latents, latents[kept]))
    wanted = spread * np.sqrt(exact / some) / np.sqrt(1000)
    assert ours["kl_posterior_prior"] == pytest.approx(wanted, rel=1e-10)


def test_the_order_of_many_rows_does_not_matter():
    """Runs of 64 rows, wide and narrow in turn: the error of one latent and of its total agree."""
    rows = np.arange(2 * standard_errors.ENOUGH)
    scale = np.where(rows // 64 % 2 == 0, 3.0, 0.1)[:, None]
    mean = np.random.default_rng(0).normal(size=(len(rows), 1)) * scale
    var = np.full_like(mean, 0.1)
    moments = Moments.of(mean, var)
    total = standard_errors.totals(lambda: [(mean, var)], moments)
    each = standard_errors.per_latent(moments)["kl_posterior_prior_per_latent"]
    assert total["kl_posterior_prior"] == pytest.approx(float(each[0]), rel=0.05)


def test_enough_rows_are_used_for_a_few_per_cent():
    assert standard_errors.ENOUGH >= 10_000


def test_float32_errors(xp):
    """The influence is summed over latents in float32: 1e-6 of u, squares of it about as good."""
    mean, var = (x.astype(np.float32) for x in replicate(np.random.default_rng(5), n=3000))
    x, v = xp.asarray(mean), xp.asarray(var)
    ours = standard_errors.totals(lambda: [(x, v)], Moments.of(x, v, covariance=True))
    wanted = of_totals(np, mean.astype(np.float64), var.astype(np.float64))
    for name, error in wanted.items():
        assert ours[name] == pytest.approx(error, rel=1e-5), name
    each = standard_errors.per_latent(Moments.of(x, v))
    moments = Moments.of(mean.astype(np.float64), var.astype(np.float64))
    for name, error in standard_errors.per_latent(moments).items():
        assert to_numpy(each[name]) == pytest.approx(error, rel=1e-5), name


def test_errors_beyond_the_range_of_float32(xp):
    """Moments fall back on float64, and so must their errors."""
    mean = np.array([[1e30, 1.0], [-1e30, 2.0], [3e30, 5.0]], dtype=np.float32)
    var = np.ones_like(mean)
    ours = of_totals(xp, mean, var)
    wanted = of_totals(xp, mean.astype(np.float64), var.astype(np.float64))
    for name in ("kl_posterior_prior", "mutual_information", "kl_aggregate_prior"):
        assert ours[name] == pytest.approx(wanted[name], rel=1e-5), name


@pytest.mark.parametrize("kind", ["int64", "float16", "list"])
def test_whatever_moments_take_is_a_batch_here_too(kind):
    mean, var = [[1, -2], [0, 4], [3, 3]], [[1, 2], [2, 1], [1, 1]]
    wanted = of_totals(np, np.array(mean, dtype=float), np.array(var, dtype=float))
    batch = (mean, var) if kind == "list" else (np.array(mean, kind), np.array(var, kind))
    ours = indicators(batches=[batch], covariance=True).standard_errors
    assert {name: ours[name] for name in wanted} == pytest.approx(wanted, rel=1e-5)


def test_one_sample_has_infinite_errors(xp):
    mean, var = to(xp, np.ones((1, 2)), np.ones((1, 2)))
    moments = Moments.of(mean, var, covariance=True)
    each = standard_errors.per_latent(moments)
    assert all(np.all(np.isinf(to_numpy(error))) for error in each.values())
    total = standard_errors.totals(lambda: [(mean, var)], moments)
    assert set(total.values()) == {np.inf}


def test_identical_samples_have_no_error(xp):
    mean, var = to(xp, np.full((50, 2), 0.3), np.full((50, 2), 0.7))
    moments = Moments.of(mean, var, covariance=True)
    each = standard_errors.per_latent(moments)
    assert max(np.max(to_numpy(error)) for error in each.values()) <= 1e-8
    assert max(standard_errors.totals(lambda: [(mean, var)], moments).values()) <= 1e-8


def test_errors_must_have_been_asked_for():
    moments = Moments.of(np.eye(3), np.ones((3, 3)), errors=False)
    with pytest.raises(ValueError, match="ask for errors=True"):
        standard_errors.per_latent(moments)


def test_a_few_rows_far_out_are_not_missed():
    """Twenty rows of 200,000 are far out in all latents and carry the variance: all are read."""
    rng = np.random.default_rng(0)
    mean = rng.normal(size=(200_000, 2))
    mean[:20] = 100.0
    var = np.full_like(mean, 0.1)
    t = 0.5 * (mean**2 + var - np.log(var)).sum(axis=1)
    wanted = np.std(t, ddof=1) / np.sqrt(len(t))
    for order in (slice(None), slice(None, None, -1), rng.permutation(len(mean))):
        x, v = mean[order], var[order]
        ours = standard_errors.totals(lambda x=x, v=v: [(x, v)], Moments.of(x, v))
        assert ours["kl_posterior_prior"] == pytest.approx(wanted, rel=1e-9)


def test_batches_that_run_dry_are_refused():
    mean, var = random_encodings(np.random.default_rng(0), 20, 3)
    moments = Moments.of(mean, var)
    with pytest.raises(ValueError, match="same rows at every call; first 20, now 12"):
        standard_errors.totals(lambda: [(mean[:12], var[:12])], moments)


def test_moments_alone_give_the_errors_of_latents():
    mean, var = random_encodings(np.random.default_rng(0), 50, 3)
    parts = [Moments.of(mean[i::2], var[i::2], covariance=True) for i in range(2)]
    ours, whole = indicators(moments=sum(parts)), indicators(mean, var, covariance=True)
    assert ours.mutual_information == pytest.approx(whole.mutual_information, rel=1e-12)
    assert ours.gaussian_total_correlation == pytest.approx(whole.gaussian_total_correlation)
    assert "mutual_information" not in ours.standard_errors
    for name, error in ours.standard_errors.items():
        np.testing.assert_allclose(error, whole.standard_errors[name], rtol=1e-9)
    with pytest.raises(ValueError, match="moments= stand for the rows"):
        indicators(mean, var, moments=parts[0])
