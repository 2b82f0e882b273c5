"""Errors of clusters: the jackknife by hand, Student's t, coverage, and chance that counts them."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from strategies import encodings, random_encodings, rngs, to

from disentangle_indicators import Moments, indicators, standard_errors
from disentangle_indicators._array import to_numpy
from disentangle_indicators._chance import Spread
from disentangle_indicators._cluster_errors import clustered, jackknife
from disentangle_indicators._clusters import cluster_codes

OF_COVARIANCE = {
    "gaussian_total_correlation",
    "mutual_information_full_mean",
    "kl_aggregate_prior_full_mean",
}

FROM_ZERO = ("kl_aggregate_prior", "gaussian_total_correlation", "kl_aggregate_prior_full_mean")
"""What is 0 for a perfect match."""


def by_cluster(xp, mean, var, clusters, batches=1):
    x, v = to(xp, mean, var)
    edges = np.linspace(0, len(mean), batches + 1).astype(int).tolist()
    parts = [(x[a:b, :], v[a:b, :]) for a, b in pairwise(edges)]
    moments = Moments.of(x, v, covariance=True)
    return clustered(lambda: parts, moments, cluster_codes(clusters, len(mean)))


def definitions(mean, var):
    """Definitions 1, 2, 4 from the rows, in sum and per latent."""
    second, log_var = np.mean(mean**2 + var, axis=0), np.mean(np.log(var), axis=0)
    each = {
        "kl_posterior_prior": 0.5 * (second - 1 - log_var),
        "mutual_information": 0.5 * (np.log(second) - log_var),
        "kl_aggregate_prior": 0.5 * (second - 1 - np.log(second)),
    }
    return each | {f"total {name}": x.sum() for name, x in each.items()}


def stretched(left):
    """By how much the skewness of the values without each cluster widens their error."""
    if len(left) < 3:
        return 1.0
    with np.errstate(all="ignore"):
        skewness = np.nan_to_num(stats.skew(left, bias=False))
    return 1 + 2 * (1.959964**4 + 2 * 1.959964**2 - 3) / 18 * skewness**2 / len(left)


def by_hand(mean, var, names):
    """Leave out one cluster after the other, and widen by Student's t and by skewness."""
    present = np.unique(names)
    left = [definitions(mean[names != c], var[names != c]) for c in present]
    count = len(present)
    wide = stats.t.ppf(0.975, count - 1) / stats.norm.ppf(0.975)
    errors = {}
    for name, value in definitions(mean, var).items():
        values = np.array([without[name] for without in left])
        bias = (count - 1) * (values.mean(axis=0) - value)
        spread = np.sqrt((count - 1) * np.var(values, axis=0) + bias**2)
        with np.errstate(all="ignore"):
            errors[name] = wide * spread, wide * spread * stretched(values)
    return errors


@given(data=encodings(min_n=3, max_n=40, max_d=3), rng=rngs)
def test_errors_are_those_of_the_jackknife(xp, data, rng):
    """Of uneven clusters, in any order of rows."""
    mean, var = data
    names = np.concatenate([[0, 1], rng.integers(0, 5, len(mean) - 2)])[rng.permutation(len(mean))]
    found = by_cluster(xp, mean, var, names, batches=2)
    size = max(1.0, np.max(mean**2 + var + np.abs(np.log(var))))
    for name, (least, error) in by_hand(mean, var, names).items():
        plain = name.removeprefix("total ")
        ours = found.totals[plain] if plain != name else found.per_latent[f"{name}_per_latent"]
        allowed = 1e-6 * error + 1e-5 * size * (1 + stats.t.ppf(0.975, len(np.unique(names)) - 1))
        assert np.all(np.abs(ours - error) <= allowed), name
        assert np.all(ours >= least - allowed), name


@given(data=encodings(min_n=2, max_n=60, max_d=4), k=st.integers(1, 4), rng=rngs)
def test_copies_in_one_cluster_are_one_draw(xp, data, k, rng):
    """Row order and names of clusters do not matter."""
    mean, var = data
    n = len(mean)
    order = rng.permutation(n * k)
    rows = np.repeat(np.arange(n), k)[order]
    names = np.array([f"donor {i}" for i in range(n)])[rows]
    once = by_cluster(xp, mean, var, np.arange(n))
    copies = by_cluster(xp, mean[rows], var[rows], names, batches=min(3, n))
    size = max(1.0, np.max(mean**2 + var + np.abs(np.log(var)))) * (1 + 12.7 * (n < 3))
    for name, error in once.totals.items():
        assert abs(copies.totals[name] - error) <= 1e-7 * error + 1e-6 * size, name
    for name, error in once.per_latent.items():
        second = (mean**2 + var).mean(axis=0)
        allowed = 1e-7 * error + 1e-6 * size * (1 + 1 / second)
        assert np.all(np.abs(copies.per_latent[name] - error) <= allowed), name
    np.testing.assert_allclose(copies.spread.mean, once.spread.mean, rtol=1e-7, atol=1e-9 * size)


def test_errors_of_the_covariance_are_those_of_rows_widened(xp):
    mean, var = random_encodings(np.random.default_rng(0), 40, 3)
    found = by_cluster(xp, mean, var, np.arange(40))
    x, v = to(xp, mean, var)
    rows = standard_errors.totals(lambda: [(x, v)], Moments.of(x, v, covariance=True))
    wide = stats.t.ppf(0.975, 39) / stats.norm.ppf(0.975)
    for name in OF_COVARIANCE:
        assert wide * rows[name] <= found.totals[name] * (1 + 1e-6)
        assert found.totals[name] <= 3.17 * wide * rows[name]


def test_ten_clusters_cover():
    """Donors that share nine tenths of their code: the interval of 1.96 errors covers."""
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(10), 10)
    covered = []
    for _ in range(1000):
        shared = np.sqrt(0.9) * rng.normal(size=(10, 5))[codes]
        mean = np.sqrt(0.9) * (shared + np.sqrt(0.1) * rng.normal(size=(100, 5)))
        var = np.full_like(mean, 0.1)
        found = clustered(lambda d=(mean, var): [d], Moments.of(mean, var), (10, codes))
        value = definitions(mean, var)["total mutual_information"]
        truth = -2.5 * np.log(0.1)
        covered.append(abs(value - truth) <= 1.96 * found.totals["mutual_information"])
    assert np.mean(covered) >= 0.92 - 2 * np.sqrt(0.92 * 0.08 / 1000)


def test_a_bias_of_few_clusters_is_in_the_error():
    """Values without a cluster that are all equal, and not that of all."""
    wide = stats.t.ppf(0.975, 3) / stats.norm.ppf(0.975)
    assert jackknife(np.full(4, 0.2)) == pytest.approx(wide * 3 * 0.2)


def test_one_cluster_says_nothing(xp):
    mean, var = random_encodings(np.random.default_rng(0), 20, 3)
    found = by_cluster(xp, mean, var, np.zeros(20))
    assert len(found.totals) == 8
    assert set(found.totals.values()) == {np.inf}
    assert set(found.per_latent) == {
        "kl_posterior_prior_per_latent",
        "mutual_information_per_latent",
        "mutual_information_per_latent_via_q_star",
        "kl_aggregate_prior_per_latent",
    }
    assert all(np.all(np.isinf(error)) for error in found.per_latent.values())


def test_one_row_in_a_cluster_has_infinite_errors(xp):
    found = by_cluster(xp, np.ones((1, 2)), np.ones((1, 2)), [7])
    assert set(found.totals.values()) == {np.inf}


@pytest.mark.parametrize("clusters", [[0, 1], np.zeros((20, 2)), np.arange(21)])
def test_clusters_that_do_not_fit_the_rows(clusters):
    mean, var = random_encodings(np.random.default_rng(0), 20, 3)
    with pytest.raises(ValueError, match="clusters must have the shape \\(20,\\); the shape is"):
        by_cluster(np, mean, var, clusters)


@pytest.mark.parametrize("clusters", [[0.0, np.nan] * 10, [None, "a"] * 10])
def test_a_missing_cluster_is_named(clusters):
    clusters = np.array(clusters, dtype=object if None in clusters else float)
    with pytest.raises(ValueError, match=r"clusters\[[01]\] is missing"):
        cluster_codes(clusters, 20)


def test_batches_that_run_dry_are_refused():
    mean, var = random_encodings(np.random.default_rng(0), 20, 3)
    moments = Moments.of(mean, var)
    with pytest.raises(ValueError, match="same rows at every call; first 20, now 12"):
        clustered(lambda: [(mean[:12], var[:12])], moments, (20, np.arange(20)))


def test_rows_that_are_their_own_cluster_correlate_like_rows():
    mean = np.random.default_rng(0).normal(size=(2000, 10)) * 0.9
    var = np.full_like(mean, 0.19)
    found = by_cluster(np, mean, var, np.arange(2000)).spread
    rows = Spread.of_rows(Moments.of(mean, var))
    assert found.draws == pytest.approx(2000, rel=0.1)
    np.testing.assert_allclose(found.second, rows.second, rtol=0.002)
    np.testing.assert_allclose(found.mean, rows.mean, rtol=1e-9)


def test_correlation_is_not_taken_for_chance():
    """Products of correlated Gaussian codes vary by 1 + r^2 about their mean, not about 0."""
    rng = np.random.default_rng(0)
    mean = rng.normal(size=(4000, 2)) @ np.linalg.cholesky([[1.0, 0.8], [0.8, 1.0]]).T
    found = by_cluster(np, mean, np.full_like(mean, 1e-6), np.arange(4000))
    assert found.spread.draws == pytest.approx(4000 / (1 + 0.64), rel=0.1)


def test_chance_counts_clusters():
    """Ten copies of 300 rows show the chance of 300 rows; taken as rows, a tenth of it."""
    rng = np.random.default_rng(0)
    mean = rng.normal(size=(300, 8)) * 0.95
    var = np.full_like(mean, 0.1)
    copies, names = np.repeat(mean, 10, axis=0), np.repeat(np.arange(300), 10)
    once = indicators(mean, var, covariance=True).chance
    ours = indicators(copies, np.full_like(copies, 0.1), clusters=names, covariance=True).chance
    rows = indicators(copies, np.full_like(copies, 0.1), covariance=True).chance
    for name, value in once.items():
        assert ours[name] == pytest.approx(value, rel=0.15)
        assert rows[name] == pytest.approx(value / 10, rel=0.15)


def test_chance_of_clusters_that_share_half():
    """Simulation: 50 donors of 20 rows, half of each code shared by the donor."""
    rng = np.random.default_rng(1)
    names = np.repeat(np.arange(50), 20)
    seen, stated = [], []
    for _ in range(60):
        shared = rng.normal(size=(50, 6))[names]
        mean = np.sqrt(0.45) * (shared + rng.normal(size=(1000, 6)))
        found = indicators(mean, np.full_like(mean, 0.1), clusters=names, covariance=True)
        seen.append([found.values[name] for name in FROM_ZERO])
        stated.append([found.chance[name] for name in FROM_ZERO])
    seen, stated = np.array(seen), np.array(stated)
    error = seen.std(axis=0) / np.sqrt(60) + stated.std(axis=0) / np.sqrt(60)
    gap = np.abs(seen.mean(axis=0) - stated.mean(axis=0))
    assert np.all(gap <= 0.25 * seen.mean(axis=0) + 5 * error)
    assert np.all(5 * error <= 0.6 * seen.mean(axis=0))


def test_totals_are_numbers_of_python():
    mean, var = random_encodings(np.random.default_rng(0), 20, 3)
    found = by_cluster(np, mean, var, np.arange(20) // 4)
    assert all(isinstance(error, float) for error in found.totals.values())
    assert all(to_numpy(error).shape == (3,) for error in found.per_latent.values())
