"""The densities that the upper end of I(x; z) mixes: what each leaves out, and their weights."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joint_cases import correlated, mean_and_error, mixture
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, norm
from strategies import encodings, rngs

from disentangle_indicators import Moments
from disentangle_indicators._array import generator
from disentangle_indicators.aggregate import _joint as joint_module
from disentangle_indicators.aggregate import _upper_bound, joint
from disentangle_indicators.aggregate._log_sums import log_sums
from disentangle_indicators.aggregate._monte_carlo import draw
from disentangle_indicators.aggregate._upper_bound import (
    gaussian,
    leave_fold_out,
    leave_one_out,
    mix,
    shrunk,
)


def test_what_the_upper_bound_sees(monkeypatch):
    """Means over the n - 1 other rows, and one fold for all points of a row."""
    seen = []
    monkeypatch.setattr(joint_module, "mix", lambda *args: seen.append(args) or mix(*args))
    monkeypatch.setattr(_upper_bound, "_STEPS", 5)
    mean, var = mixture(np.random.default_rng(16), n=50)
    ours = joint(mean, var, points=100, rng=3)
    densities, fold = seen[0]
    at = draw(mean, var, 100, generator(3))
    for column, name in enumerate(ours.bound_weights):
        if name.startswith("kernels"):
            for k in range(5):
                here, fold_of_row = fold == k, fold[np.argsort(at.rows[:50])]
                m, v = shrunk(mean, var, float(name.split()[1]), fold_of_row != k)
                wanted = log_sums(at.z[here], at.rows[here], m, v, mean) - np.log(49)
                assert densities[here, column] == pytest.approx(wanted, abs=1e-9)
        if name == "prior":
            assert densities[:, column] == pytest.approx(norm.logpdf(at.z).sum(axis=1))
    assert "prior" in ours.bound_weights
    assert np.all(fold[:50][np.argsort(at.rows[:50])] == fold[50:][np.argsort(at.rows[50:])])
    assert np.all(np.bincount(fold) == 20)


def test_marginals_of_the_upper_end_leave_out_the_own_row():
    """I + TC at its upper end is a sum of informations; with the own row, it would be this one."""
    mean, var = correlated(3, 0.05)[0](np.random.default_rng(17), 60)
    ours = joint(mean, var, points=120, rng=0)
    assert ours.mutual_information_high > ours.mutual_information_low + 0.1
    both = ours.mutual_information_low + ours.total_correlation_high
    assert both > ours.marginals.total_information + 0.1


def test_weights_of_the_upper_bound():
    """They add up to 1, and the upper bound is near the Gaussian where the population is one."""
    mean, var = correlated(3, 0.05)[0](np.random.default_rng(10), 200)
    ours = joint(mean, var, points=200, rng=0)
    assert sum(ours.bound_weights.values()) == pytest.approx(1.0, abs=1e-9)
    assert set(ours.bound_weights) >= {"kernels 0", "kernels 0.3", "marginals", "gaussian"}
    assert min(ours.bound_weights.values()) >= 0
    assert ours.bound_weights["gaussian"] > 0.5


def test_weights_are_of_greatest_likelihood():
    """Of two densities: no other weight on a grid is better, beyond the grid's step."""
    rng = np.random.default_rng(11)
    x = np.where(rng.random(400) < 0.3, rng.normal(size=400), 2 + 0.5 * rng.normal(size=400))
    densities = np.stack([norm.logpdf(x), norm.logpdf(x, 2, 0.5)], axis=1)
    mixed, weights = mix(densities, np.zeros(400, dtype=int))
    grid = np.linspace(1e-3, 1 - 1e-3, 999)
    each = logsumexp(densities[None] + np.log(np.stack([grid, 1 - grid], 1))[:, None], axis=2)
    assert weights[0] == pytest.approx(grid[each.mean(axis=1).argmax()], abs=1e-3)
    assert mixed == pytest.approx(logsumexp(densities + np.log(weights), axis=1))


@given(rng=rngs, folds=st.integers(2, 5))
@settings(max_examples=5)
def test_weights_of_a_point_come_from_other_folds(rng, folds):
    densities = rng.normal(size=(20, 3))
    fold = rng.permutation(20) % folds
    changed = densities.copy()
    mine = np.flatnonzero(fold == 0)
    changed[mine[1:]] += 5 * rng.normal(size=(len(mine) - 1, 3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_upper_bound, "_STEPS", 20)
        before, after = mix(densities, fold)[0], mix(changed, fold)[0]
    assert after[mine[0]] == before[mine[0]]
    assert np.all(after[fold != 0] != before[fold != 0])
    assert np.all(after <= changed.max(axis=1) + 1e-9)


@given(rng=rngs, d=st.integers(1, 4))
def test_the_gaussian_knows_other_folds_only(rng, d):
    mean, var = rng.normal(size=(30, d)), rng.exponential(size=(30, d)) + 0.1
    folds = rng.permutation(30) % 5
    at = draw(mean, var, 50, rng)
    ours = gaussian(at, mean, var, folds)
    for k in range(5):
        m, v, mine = mean[folds != k], var[folds != k], folds[at.rows] == k
        cov = np.cov(m.T, bias=True).reshape(d, d) + np.diag(v.mean(axis=0))
        wanted = multivariate_normal(m.mean(axis=0), cov).logpdf(at.z[mine])
        assert ours[mine] == pytest.approx(wanted, rel=1e-9, abs=1e-9)
    moved, wider = mean.copy(), var.copy()
    moved[folds == 0] += 3
    wider[folds == 0] *= 2
    again, mine = gaussian(at, moved, wider, folds), folds[at.rows] == 0
    assert np.all(again[mine] == ours[mine])
    assert np.all(again[~mine] != ours[~mine])


def test_the_gaussian_of_one_row_and_of_no_rank():
    at = draw(np.ones((1, 2)), np.ones((1, 2)), 20, np.random.default_rng(0))
    ours = gaussian(at, np.ones((1, 2)), np.ones((1, 2)), np.zeros(1, dtype=int))
    assert ours == pytest.approx(norm.logpdf(at.z, 1).sum(axis=1))
    line = np.arange(20.0)[:, None] * np.array([1e8, 1e8])
    at = draw(line, np.full((20, 2), 1e-9), 20, np.random.default_rng(0))
    assert np.all(np.isfinite(gaussian(at, line, np.full((20, 2), 1e-9), np.arange(20) % 5)))


@given(data=encodings(min_n=2, max_n=40, max_d=4), rng=rngs)
def test_marginals_without_the_own_row(data, rng):
    """From the densities of all other rows, and 1/n of the Gaussian of the other folds.

    Where the own row is nearly all there is, 1 - its share is what rounding leaves of it.
    """
    mean, var = data
    n, folds = len(mean), np.arange(len(mean)) % 2
    moments = [Moments.of(mean[folds != k], var[folds != k]) for k in (0, 1)]
    at = draw(mean, var, 50, rng)
    each = norm.logpdf(at.z[:, None], mean, np.sqrt(var))
    ours = leave_one_out(at, logsumexp(each, axis=1) - np.log(n), mean, var, folds)
    each[np.arange(50), at.rows] = -np.inf
    centre, spread = (
        np.array([getattr(moments[folds[row]], name) for row in at.rows])
        for name in ("mean", "variance")
    )
    normal = norm.logpdf(at.z, centre, np.sqrt(spread))
    wanted = np.logaddexp(logsumexp(each, axis=1), normal) - np.log(n)
    share = np.exp(np.minimum(at.log_own - wanted, 300)) / n
    size = (1 + np.abs(at.log_own)) * (1 + share)
    assert np.all(np.abs(ours - wanted.sum(axis=1)) <= 1e-12 * size.sum(axis=1) + 1e-12 * n)


@given(rng=rngs, n=st.integers(4, 20), d=st.integers(1, 3))
@settings(max_examples=5)
def test_marginals_without_the_own_fold(rng, n, d):
    """From the densities of the rows in other folds, and 1/n of the Gaussian of these rows."""
    mean, var = rng.normal(size=(n, d)), rng.uniform(0.1, 1, size=(n, d))
    folds = np.arange(n) % 3
    at = draw(mean, var, 30, rng)
    ours = leave_fold_out(at, mean, var, folds)
    for row, z, found in zip(at.rows, at.z, ours, strict=True):
        m, v = mean[folds != folds[row]], var[folds != folds[row]]
        others = norm.pdf(z, m, np.sqrt(v)).mean(axis=0)
        normal = norm.pdf(z, m.mean(axis=0), np.sqrt(m.var(axis=0) + v.mean(axis=0)))
        wanted = np.log((1 - 1 / n) * others + normal / n).sum()
        assert found == pytest.approx(wanted, abs=1e-6)


@given(data=encodings(min_n=3, max_n=60), share=st.floats(0, 0.9))
def test_shrinking_keeps_the_moments(data, share):
    mean, var = data
    m, v = shrunk(mean, var, share, slice(None))
    scale = (mean**2 + var).mean(axis=0)
    assert np.all(np.abs(m.mean(axis=0) - mean.mean(axis=0)) <= 1e-12 * np.sqrt(scale))
    assert np.all(np.abs((m**2 + v).mean(axis=0) - scale) <= 1e-12 * scale)
    assert np.all(np.abs(m.var(axis=0) - (1 - share) * mean.var(axis=0)) <= 1e-12 * scale)


@given(rng=rngs, share=st.floats(0.01, 0.9))
def test_shrinking_knows_the_moments_of_other_rows_only(rng, share):
    """What is left out may change by any amount; its own place follows."""
    mean, var, rest = rng.normal(size=(20, 2)), np.ones((20, 2)), np.arange(20) >= 4
    moved = np.where(rest[:, None], mean, 5 * mean + 3)
    (m, v), (m_moved, v_moved) = (shrunk(x, var, share, rest) for x in (mean, moved))
    assert np.all(v == v_moved)
    assert np.all(m[rest] == m_moved[rest])
    assert v == pytest.approx(var + share * mean[rest].var(axis=0))
    centre = mean[rest].mean(axis=0)
    assert m - centre == pytest.approx(np.sqrt(1 - share) * (mean - centre), abs=1e-12)


@given(data=encodings(min_n=2, max_n=60, max_d=4), rng=rngs)
def test_leaving_out_the_own_row_cannot_lower_information(data, rng):
    """KL(q_m || q) <= (1 - 1/n) KL(q_m || the others), as q mixes q_m with the others."""
    mean, var = data
    n = len(mean)
    at = draw(mean, var, 10 * n, rng)
    own = at.log_own.sum(axis=1)
    others = log_sums(at.z, at.rows, mean, var, mean)
    gap = (
        (1 - 1 / n) * (own - others + np.log(n - 1))
        - (own - np.logaddexp(own, others))
        - (np.log(n))
    )
    centre, error = mean_and_error(gap)
    assert centre >= -5 * error - 1e-9
