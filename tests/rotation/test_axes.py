"""axes: quadratures in two dimensions, then laws of the verdicts, then the edges."""

import json
import math
import pickle
from functools import partial, reduce
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import sem
from scipy.stats import t as student_t
from strategies import orthogonal, rngs, to

from disentangle_indicators._array import generator
from disentangle_indicators._errors import Undefined
from disentangle_indicators.aggregate._one_latent import entropy, row_surprise
from disentangle_indicators.rotation import _axes, _binned, _turns, axes
from disentangle_indicators.rotation._orthogonal import givens

DATA = Path(__file__).parents[2] / "examples" / "data"

quick = partial(axes, rng=0, latents="all")


def uniform(n, d, rng):
    return rng.uniform(-np.sqrt(3), np.sqrt(3), size=(n, d))


def two_sided(n, d, rng):
    return rng.choice([-1.0, 1.0], size=(n, d)) + 0.1 * rng.normal(size=(n, d))


def turned(mean, i, j, degrees):
    return mean @ givens(mean.shape[1], i, j, np.radians(degrees)).T


def modulo_90(degrees):
    return (degrees + 45) % 90 - 45


def dense_entropy(mean, var):
    """Entropy of a mixture on a line by Riemann's sum."""
    sd = np.sqrt(var)
    z = np.linspace((mean - 9 * sd).min(), (mean + 9 * sd).max(), 6001)
    q = np.mean(np.exp(-0.5 * ((z[:, None] - mean) / sd) ** 2) / sd, axis=1) / np.sqrt(2 * np.pi)
    q = np.maximum(q, 1e-300)
    return -np.sum(q * np.log(q)) * (z[1] - z[0])


def dense_total_correlation(mean, cov):
    """KL of the mixture of N(mean_m, cov_m) in the plane to its marginals, on a dense grid."""
    low = (mean - 7 * np.sqrt(cov.diagonal(axis1=1, axis2=2))).min(axis=0)
    high = (mean + 7 * np.sqrt(cov.diagonal(axis1=1, axis2=2))).max(axis=0)
    x, y = np.linspace(low, high, 351).T
    q = np.zeros((x.size, y.size))
    for m, c in zip(mean, cov, strict=True):
        p = np.linalg.inv(c)
        u, v = x[:, None] - m[0], y - m[1]
        square = p[0, 0] * u * u + 2 * p[0, 1] * u * v + p[1, 1] * v * v
        q += np.exp(-0.5 * square) * np.sqrt(np.linalg.det(p)) / (2 * np.pi * len(mean))
    dx, dy = x[1] - x[0], y[1] - y[0]
    product = np.outer(q.sum(axis=1) * dy, q.sum(axis=0) * dx)
    seen = q > 1e-200
    return np.sum(q[seen] * np.log(q[seen] / product[seen])) * dx * dy


@pytest.fixture(scope="module")
def mixed():
    """Three sources, of which two are turned by 30 degrees, and their axes."""
    rng = np.random.default_rng(0)
    mean = turned(uniform(1500, 3, rng) * [1.2, 1.0, 0.9], 0, 2, 30)
    var = np.full_like(mean, 0.05)
    return mean, var, axes(mean, var, rng=0)


# What a turn changes.


@pytest.mark.parametrize("seed", [0, 1])
def test_gain_and_cost_are_the_change_of_total_correlation_in_the_plane(seed, monkeypatch):
    rng = np.random.default_rng(seed)
    mean = turned(rng.normal(size=(24, 2)) * [1, 0.5], 0, 1, 25)
    var = 0.2 * np.exp(0.4 * rng.normal(size=(24, 2)))
    angles = {"gain": np.radians(-20.0), "cost": _turns.ANGLES[3]}
    curve = -np.abs(_turns.ANGLES - angles["cost"])
    monkeypatch.setattr(_axes, "extremes", lambda *_: (angles["gain"], curve))
    (pair,) = quick(mean, var).pairs
    before = dense_total_correlation(mean, var[:, None] * np.eye(2))
    for effect, sign in (("gain", -1), ("cost", 1)):
        q = givens(2, 0, 1, angles[effect])
        cov = np.einsum("ij,mj,kj->mik", q, var, q)
        change = dense_total_correlation(mean @ q.T, cov) - before
        assert sign * getattr(pair, effect) == pytest.approx(change, abs=1e-4)
        assert abs(change) > 0.01
    assert (pair.best_degrees, pair.worst_degrees) == pytest.approx((-20, -24))
    a = np.radians(pair.best_degrees)
    assert turned(mean, 0, 1, pair.best_degrees)[:, 0] == pytest.approx(
        np.cos(a) * mean[:, 0] - np.sin(a) * mean[:, 1], abs=1e-14
    )


def test_every_fold_is_measured_where_the_others_point():
    rng = np.random.default_rng(3)
    mean = uniform(300, 2, rng) @ orthogonal(rng, 2)
    var = 0.02 * np.exp(0.5 * rng.normal(size=mean.shape))
    (pair,) = quick(mean, var, rng=5).pairs
    rows = _turns.Rows(mean, var, None, 300)
    fold, rests = _axes._folds(rows, 300, generator(5))
    assert np.bincount(fold).tolist() == [75, 75, 75, 75]
    gain = np.empty(300)
    every = np.ones(300, dtype=bool)
    before = sum(row_surprise(mean[:, h], var[:, h], every) for h in range(2))
    for number, rest in enumerate(rests):
        assert len(rest.mean) == 225
        q = givens(2, 0, 1, _turns.extremes(rest, *np.eye(2))[0])
        after = sum(row_surprise(mean @ u, var @ u**2, every) for u in q)
        gain[fold == number] = (before - after)[fold == number]
    assert pair.gain == pytest.approx(gain.mean(), abs=1e-4)
    assert pair.gain_se == pytest.approx(gain.std(ddof=1) / np.sqrt(300), rel=1e-2)


def test_the_total_gain_is_that_of_rows_the_search_did_not_see():
    rng = np.random.default_rng(3)
    mean = uniform(600, 3, rng) @ orthogonal(rng, 3)
    var = 0.02 * np.exp(0.5 * rng.normal(size=mean.shape))
    found = quick(mean, var, rng=5)
    assert len(found.turns) >= 2
    old = sum(dense_entropy(mean[:, h], var[:, h]) for h in range(3))
    seen = old - sum(dense_entropy(mean @ u, var @ u**2) for u in found.rotation)
    assert 0 < seen - found.total_gain < 3 * found.standard_error


def test_what_the_search_gains_by_chance_is_not_claimed():
    """Gaussian codes of few rows have a best angle, which gains nothing on the other rows."""
    rng = np.random.default_rng(0)
    found = [quick(rng.normal(size=(60, 2)), np.full((60, 2), 0.1)) for _ in range(30)]
    gains = np.array([of.pairs[0].gain for of in found])
    assert np.mean(gains) < 2 * np.std(gains, ddof=1) / np.sqrt(len(gains))
    assert sum(bool(of.turns) for of in found) <= 0.05 * 30 + 5 * np.sqrt(0.05 * 0.95 * 30)


def test_the_errors_are_those_of_repetition():
    rng = np.random.default_rng(0)
    found = []
    for _ in range(30):
        mean = turned(uniform(300, 2, rng), 0, 1, 40)
        found.append(quick(mean, np.full_like(mean, 0.05), rng=rng))
    for value, error in (
        ([of.total_gain for of in found], [of.standard_error for of in found]),
        ([of.pairs[0].gain for of in found], [of.pairs[0].gain_se for of in found]),
    ):
        assert 0.6 < np.sqrt(np.mean(np.square(error))) / np.std(value, ddof=1) < 1.6


# Sources are found.


@pytest.mark.parametrize("sources", [uniform, two_sided])
@pytest.mark.parametrize("d", [2, 3, 4])
def test_independent_sources_are_recovered(sources, d):
    rng = np.random.default_rng(d)
    mixing = orthogonal(rng, d)
    found = quick(sources(1200, d, rng) @ mixing.T, np.full((1200, d), 0.03))
    match = np.abs(found.rotation @ mixing)
    assert np.array_equal(np.sort(match.argmax(axis=1)), np.arange(d))
    assert match.max(axis=1).min() > np.cos(np.radians(4))
    assert found.total_gain > 5 * found.standard_error > 0


def test_the_rotation_is_the_product_of_the_turns_in_order(mixed):
    rng = np.random.default_rng(1)
    mean = np.insert(uniform(600, 3, rng) @ orthogonal(rng, 3).T, 1, 0.0, axis=1)
    var = np.tile([0.05, 1.0, 0.05, 0.05], (600, 1))
    found = axes(mean, var, rng=0)
    assert found.rotated == (0, 2, 3)
    assert len(found.turns) >= 3
    q = np.eye(4)
    for i, j, degrees in found.turns:
        q = givens(4, i, j, np.radians(degrees)) @ q
    assert np.allclose(found.rotation, q[np.ix_(found.rotated, found.rotated)], atol=1e-13)
    for of in (found, mixed[-1]):
        assert np.allclose(of.rotation @ of.rotation.T, np.eye(3), atol=1e-13)
    z = mean[:, found.rotated]
    one_by_one = reduce(lambda z, turn: turned(z, *turn), found.turns, mean)
    assert np.allclose(z @ found.rotation.T, one_by_one[:, found.rotated], atol=1e-13)


def test_after_the_rotation_nothing_more_is_found(mixed):
    mean, var, found = mixed
    again = axes(mean @ found.rotation.T, var, rng=0)
    assert abs(again.total_gain) < 0.002
    assert all(abs(degrees) < 3 for *_, degrees in again.turns)
    assert {pair.verdict for pair in again.pairs} == {"by shape"}
    assert found.total_gain > 0.05


@pytest.mark.parametrize("sources", [uniform, two_sided])
def test_sources_on_their_own_axes_are_identified_by_shape(sources):
    rng = np.random.default_rng(0)
    found = axes(sources(1000, 3, rng), np.full((1000, 3), 0.05), rng=0)
    for pair in found.pairs:
        assert pair.verdict == "by shape"
        assert pair.cost > 5 * pair.cost_se
        assert pair.shape_cost == pytest.approx(pair.cost, abs=5 * pair.cost_se)
        assert max(pair.p_cost, pair.p_shape) < 1e-5
        assert abs(pair.best_degrees) < 2
    assert np.allclose(found.rotation, np.eye(3), atol=0.05)
    assert abs(found.total_gain) < 2 * found.standard_error + 1e-3
    assert "3 are identified by shape" in repr(found)


def test_the_pair_that_is_turned_has_better_axes(mixed):
    found = mixed[-1]
    verdicts = {(pair.i, pair.j): pair.verdict for pair in found.pairs}
    assert verdicts == {(0, 2): "better axes", (0, 1): "by shape", (1, 2): "by shape"}
    (best,) = (pair.best_degrees for pair in found.pairs if pair.j - pair.i == 2)
    assert best == pytest.approx(-30, abs=3)
    assert "Turning latents 0 and 2 by -" in " ".join(repr(found).split())


# Gaussian codes.


@pytest.fixture(scope="module", params=[(1.0, 1.0), (1.5, 0.8)], ids=["equal", "unequal"])
def gaussian(request):
    """The pairs of 40 uncorrelated Gaussian codes of 400 rows."""
    rng = np.random.default_rng(7)
    out = []
    for _ in range(40):
        mean = rng.normal(size=(400, len(request.param))) * request.param
        out.extend(axes(mean, np.full_like(mean, 0.1), rng=rng).pairs)
    return request.param, out


def test_gaussian_codes_fail_each_test_at_most_at_the_level(gaussian):
    (one, other), pairs = gaussian
    most = 0.05 * len(pairs) + 5 * np.sqrt(0.05 * 0.95 * len(pairs))
    for name in ("p_gain", "p_shape", *(["p_cost"] if one == other else [])):
        assert sum(getattr(pair, name) <= 0.05 for pair in pairs) <= most
    if one != other:
        assert {pair.verdict for pair in pairs} == {"by variance"}


def test_the_family_of_pairs_has_one_level():
    rng = np.random.default_rng(0)
    codes = [
        quick(rng.normal(size=(200, 4)), np.full((200, 4), 0.2), rng=rng).pairs for _ in range(20)
    ]
    for name in ("p_gain", "p_cost", "p_shape"):
        false = sum(min(getattr(pair, name) for pair in pairs) <= 0.05 for pairs in codes)
        assert false <= 0.05 * 20 + 5 * np.sqrt(0.05 * 0.95 * 20)
    one, six = _axes._Test(1, 300), _axes._Test(15, 300)
    effect = _turns.Change(0.03, 0.01, 0.02, 0.01, 0.0, saturated=False)
    assert six.p_value(effect) == pytest.approx(15 * one.p_value(effect), rel=1e-12)
    assert one.p_value(effect) == pytest.approx(2 * student_t(299).sf(3), rel=1e-12)
    assert one.p_value(effect, shape=True) == pytest.approx(2 * student_t(299).sf(2), rel=1e-12)


@pytest.mark.parametrize("widths", [(0.1, 0.1), (0.05, 0.3)])
def test_unequal_variances_identify_axes_at_the_cost_of_a_gaussian(widths):
    """S = (1, 0.25): the closed form of a Gaussian turned by its worst angle."""
    second = np.array([1.0, 0.25])
    rng = np.random.default_rng(0)
    var = np.full((4000, 2), [min(w, s / 2) for w, s in zip(widths, second, strict=True)])
    mean = rng.normal(size=var.shape) * np.sqrt(second - var[0])
    (pair,) = quick(mean, var).pairs
    turn = np.sin(2 * np.radians(pair.worst_degrees)) ** 2
    closed = 0.5 * np.log1p((second[0] - second[1]) ** 2 * turn / (4 * second.prod()))
    assert pair.cost == pytest.approx(closed, abs=4 * pair.cost_se)
    assert 0.004 < pair.cost_se < 0.012
    assert abs(pair.shape_cost) < 5 * pair.shape_cost_se < 0.01
    assert pair.p_cost < 1e-50
    assert pair.p_shape > 0.05
    assert pair.verdict == "by variance"


def test_a_gaussian_code_of_mixed_widths_has_no_shape():
    """Its marginals are mixtures of widths, but its means are Gaussian."""
    rng = np.random.default_rng(0)
    mean = rng.normal(size=(3000, 2)) * [1, 0.5]
    (pair,) = quick(mean, 0.1 * np.exp(rng.normal(size=mean.shape))).pairs
    assert abs(pair.shape_cost) < 5 * pair.shape_cost_se < 0.02
    assert pair.verdict == "by variance"


def test_an_isotropic_gaussian_code_is_arbitrary_once_rows_show_it():
    rng = np.random.default_rng(0)
    mean, var = rng.normal(size=(4000, 2)), np.full((4000, 2), 0.1)
    (few,), (many,) = (quick(mean[:n], var[:n]).pairs for n in (300, 4000))
    assert few.verdict == "undecided"
    assert few.cost + 2 * few.cost_se > 0.01
    assert many.verdict == "arbitrary"
    assert max(many.cost + 2 * many.cost_se, many.gain + 2 * many.gain_se) <= 0.01


def test_no_effect_beyond_its_error_is_called_arbitrary():
    test = _axes._Test(45, 10_000)

    def small(value, error, chance=0.0):
        return test.is_small(_turns.Change(value, error, 0.0, 0.0, chance, saturated=False))

    assert small(0.0019, 0.001)
    assert not small(0.0021, 0.001)
    assert not small(0.0, 0.0051)
    assert not small(-0.02, 0.0051)
    assert not small(0.0, 0.001, chance=0.0081)
    assert not _axes._Test(1, 10).is_small(_turns.Change(0.0, 0.0045, 0, 0, 0.0, saturated=False))


# Saturated marginals.


@pytest.mark.parametrize("var", [1e-2, 1e-4, 1e-6, 1e-8, 1e-10, 1e-12])
def test_narrow_posteriors_are_not_known_and_never_arbitrary(var):
    """N(0, corr 0.7) has a total correlation of 0.337, which saturated marginals hide."""
    rng = np.random.default_rng(0)
    mean = rng.normal(size=(5000, 2)) @ np.linalg.cholesky([[1, 0.7], [0.7, 1]]).T
    found = quick(mean, np.full_like(mean, var))
    (pair,) = found.pairs
    if var > 1e-5:
        assert pair.verdict == "better axes"
        truth = -0.5 * np.log(1 - (0.7 / (1 + var)) ** 2)
        assert pair.gain == pytest.approx(truth, abs=3 * pair.gain_se)
    else:
        assert pair.verdict == "saturated"
        assert (pair.p_gain, pair.p_cost, pair.p_shape, found.turns) == (1, 1, 1, ())
        assert "The pair is not known (saturated)." in repr(found)


def test_what_few_rows_show_of_narrow_marginals_is_no_cost():
    """Equal second moments, and one narrow latent: chance alone prefers the axes."""
    rng = np.random.default_rng(1)
    verdicts, ratios = [], []
    for _ in range(10):
        var = np.tile([1e-3, 0.1], (700, 1))
        mean = rng.normal(size=var.shape) * np.sqrt(1 - var)
        (pair,) = quick(mean, var, rng=rng).pairs
        verdicts.append(pair.verdict)
        ratios.append(pair.cost / pair.cost_se)
    assert np.mean(ratios) > 3
    assert verdicts.count("undecided") >= 9


# Clusters.


def clustered(rng, count, size, share):
    """Gaussian means of rows in clusters, which make up a share of the variance."""
    code = np.repeat(np.arange(count), size)
    mean = np.sqrt(share) * rng.normal(size=(count, 2))[code]
    return mean + np.sqrt(1 - share) * rng.normal(size=(code.size, 2)), code


def test_clusters_keep_the_level_that_rows_break():
    rng = np.random.default_rng(0)
    rows, clusters = [], []
    for _ in range(25):
        mean, code = clustered(rng, 12, 40, 0.8)
        var = np.full_like(mean, 0.1)
        for groups, found in ((None, rows), (code, clusters)):
            (pair,) = quick(mean, var, rng=rng, clusters=groups).pairs
            found.append(min(pair.p_gain, pair.p_cost, pair.p_shape) <= 0.05)
    assert np.mean(rows) > 0.5
    assert np.sum(clusters) <= 0.15 * 25 + 5 * np.sqrt(0.15 * 0.85 * 25)


def test_the_errors_of_clustered_rows_are_those_of_repetition():
    rng = np.random.default_rng(0)
    found = []
    for _ in range(30):
        mean, code = clustered(rng, 40, 10, 0.8)
        (pair,) = quick(mean * [1.2, 0.6], np.full_like(mean, 0.1), rng=rng, clusters=code).pairs
        found.append((pair.cost, pair.cost_se))
    cost, error = np.array(found).T
    assert 0.6 < np.sqrt(np.mean(error**2)) / np.std(cost, ddof=1) < 1.6


def test_copies_in_clusters_change_neither_effects_nor_saturation():
    rng = np.random.default_rng(0)
    mean = rng.normal(size=(500, 2)) * [1.2, 0.6]
    copies, code = np.repeat(mean, 20, axis=0), np.repeat(np.arange(500), 20)
    order = rng.permutation(code.size)
    for var, verdict in ((0.1, "by variance"), (1e-5, "saturated")):
        (pair,) = quick(copies[order], np.full_like(copies, var), clusters=code[order]).pairs
        assert pair.verdict == verdict
        (one,) = quick(mean, np.full_like(mean, var)).pairs
        assert pair.cost_se == pytest.approx(one.cost_se, rel=0.3)
        assert pair.cost == pytest.approx(one.cost, abs=3 * one.cost_se)


def test_copies_that_nobody_named_count_as_clusters():
    rng = np.random.default_rng(0)
    mean, var = np.repeat(rng.normal(size=(60, 4)), 8, axis=0), np.full((480, 4), 0.3)
    found, named = (quick(mean, var, clusters=c) for c in (None, np.repeat(np.arange(60), 8)))
    assert found.n_clusters == named.n_clusters == 60
    one, other = (
        np.mean([p.gain_se**2 + p.cost_se**2 for p in of.pairs]) for of in (found, named)
    )
    assert 0.6 < np.sqrt(one / other) < 1.6  # rows that count as independent: 0.35
    text = " ".join(repr(found).split())
    assert "copies of one row count as one draw, of 60" in text.lower()


def test_whole_clusters_are_split():
    mean, code = clustered(np.random.default_rng(0), 9, 7, 0.5)
    rows = _axes._rows(mean, np.full_like(mean, 0.1), (9, code))
    fold, rests = _axes._folds(rows, 9, np.random.default_rng(0))
    pairs = {(cluster, number) for cluster, number in zip(code, fold, strict=True)}
    assert len(pairs) == 9
    assert sorted(np.bincount(fold) // 7) == [2, 2, 2, 3]
    assert sorted(rest.clusters[0] for rest in rests) == [6, 7, 7, 7]


def test_few_clusters_are_named_and_one_is_refused():
    mean, code = clustered(np.random.default_rng(0), 10, 20, 0.5)
    few = quick(mean, np.full_like(mean, 0.1), clusters=code)
    assert few.n_clusters == 10
    text = " ".join(repr(few).split())
    assert "rows of one cluster count as one draw, of 10" in text
    assert "10 draws are few: p-values are from Student's t" in text
    assert "rows are taken as independent" in repr(quick(mean, np.full_like(mean, 0.1)))
    (two,) = quick(mean, np.full_like(mean, 0.1), clusters=code % 2).pairs
    assert two.verdict == "undecided"
    assert min(two.p_gain, two.p_cost, two.p_shape) > 0.05
    with pytest.raises(ValueError, match="at least 2 clusters; got 1"):
        quick(mean, np.full_like(mean, 0.1), clusters=np.zeros(200))


# Gaussian codes that are correlated, and turns that gain little.


@pytest.mark.parametrize("rho", [0.3, -0.6, 0.9])
def test_correlated_gaussian_codes_are_turned_to_their_principal_axes(rho):
    rng = np.random.default_rng(0)
    root = np.linalg.cholesky([[0.95, rho], [rho, 0.95]])
    mean = rng.normal(size=(3000, 2)) @ root.T
    found = axes(mean, np.full_like(mean, 0.05), rng=0)
    (pair,) = found.pairs
    assert pair.verdict == "better axes"
    assert abs(pair.best_degrees) == pytest.approx(45, abs=6)
    expected = -0.5 * np.log(1 - rho**2)
    assert pair.gain == pytest.approx(expected, abs=4 * pair.gain_se)
    assert pair.gain_se < 0.05
    assert found.total_gain == pytest.approx(pair.gain, abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_turn_worth_a_hundredth_of_a_nat_is_found_in_20_000_rows(seed):
    """The turn of an accepted pair is in the rotation that is returned."""
    truth = 0.010
    share = np.sqrt(1 - np.exp(-2 * truth))  # the correlation of z, whose variances are 1
    root = np.linalg.cholesky(
        np.array([[1, share, 0], [share, 1, 0], [0, 0, 1]]) - 0.05 * np.eye(3)
    )
    mean = np.random.default_rng(100).normal(size=(20_000, 3)) @ root.T
    found = axes(mean, np.full_like(mean, 0.05), rng=seed)
    (pair,) = (pair for pair in found.pairs if (pair.i, pair.j) == (0, 1))
    assert pair.verdict == "better axes"
    assert [(i, j) for i, j, _ in found.turns] == [(0, 1)]
    assert found.total_gain == pytest.approx(truth, abs=5 * found.standard_error)


# Symmetries and seeds.


def test_permutations_and_signs_of_latents_change_signs_of_angles_only(mixed):
    mean, var, found = mixed
    order, signs = [2, 0, 1], [-1, 1, 1]
    other = axes((mean * signs)[:, order], var, rng=0)
    described = {(order[p.i], order[p.j]): p for p in other.pairs}
    for pair in found.pairs:
        i, j = pair.i, pair.j
        swapped = (i, j) not in described
        sign = signs[i] * signs[j] * (-1 if swapped else 1)
        same = described[(j, i) if swapped else (i, j)]
        assert modulo_90(same.best_degrees - sign * pair.best_degrees) == pytest.approx(0, abs=1)
        assert same.gain == pytest.approx(pair.gain, abs=2e-3)
        assert same.verdict == pair.verdict
    assert other.total_gain == pytest.approx(found.total_gain, abs=2e-3)


def test_the_seed_decides_and_nothing_else(mixed):
    few = partial(quick, mixed[0][:300], mixed[1][:300])
    one, same, other = (few(rng=seed) for seed in (3, 3, 4))
    drawn = few(rng=generator(3))
    assert one.to_json() == same.to_json()
    assert one.total_gain != other.total_gain
    assert (one.seed, other.seed, drawn.seed) == (3, 4, None)
    assert [pair.own_fields() for pair in drawn.pairs] == [pair.own_fields() for pair in one.pairs]
    assert drawn.total_gain == one.total_gain


def test_progress_sees_every_pair(mixed):
    seen = []

    def progress(steps, description, total):
        seen.append((description, total))
        for step in steps:
            seen.append(step)
            yield step

    quick(mixed[0][:60], mixed[1][:60], progress=progress)
    assert seen == [("pairs", 3), 0, 1, 2]


# Which latents, and which arrays.


def test_unused_latents_are_dropped_unless_asked_for():
    rng = np.random.default_rng(0)
    width = np.array([0.01, 0.9, 0.01, 0.5])
    mean = rng.normal(size=(200, 4)) * np.sqrt(1 - width)
    var = np.tile(width, (200, 1))
    few = partial(axes, mean, var, rng=0)
    found = few()
    assert (found.n, found.d, found.rotated) == (200, 4, (0, 2))
    assert [(pair.i, pair.j) for pair in found.pairs] == [(0, 2)]
    assert found.rotation.shape == (2, 2)
    assert few(threshold=0.2).rotated == (0, 2, 3)
    every = few(latents="all")
    assert every.rotated == (0, 1, 2, 3)
    assert len(every.pairs) == 6
    assert every.rotation.shape == (4, 4)
    assert "Of 6 pairs of latents, " in repr(every)


@pytest.mark.parametrize(("used", "words"), [(0, "no latent is used"), (1, "one latent is used")])
def test_fewer_than_two_latents_have_nothing_to_rotate(used, words):
    rng = np.random.default_rng(0)
    var = np.where(np.arange(3) < used, 0.01, 1.0) * np.ones((50, 3))
    mean = np.where(np.arange(3) < used, rng.normal(size=(50, 3)), 0.0)
    found = axes(mean, var, rng=0)
    assert f"There is nothing to rotate: {words}." in repr(found)
    assert (found.pairs, found.turns, found.total_gain) == ((), (), 0.0)
    assert found.rotation.shape == (used, used)
    content = json.loads(found.to_json())
    assert content["pairs"] == []
    assert len(content["rotated"]) == used
    assert len(found.to_frame()) == 0


def test_arrays_of_all_libraries_give_the_same(xp, mixed):
    mean, var = mixed[0][:200], mixed[1][:200]
    assert quick(*to(xp, mean, var)).to_json() == quick(mean, var).to_json()


def test_float32_is_nearly_float64(mixed):
    mean, var = mixed[0][:400], mixed[1][:400]
    small = quick(mean.astype(np.float32), var.astype(np.float32))
    assert small.total_gain == pytest.approx(quick(mean, var).total_gain, abs=1e-4)
    assert small.rotation.dtype == np.float64


def test_one_latent_of_all_has_nothing_to_rotate():
    found = quick(np.ones((50, 1)), np.ones((50, 1)))
    assert "There is nothing to rotate: the code has one latent." in repr(found)


@pytest.mark.parametrize("refusal", [Undefined, ValueError])
def test_a_latent_whose_entropy_has_no_value_is_named(monkeypatch, refusal):
    """Bad input and mistakes, which are ValueErrors too, pass through as they are."""

    def narrow(mean, var):
        raise refusal("too narrow")

    monkeypatch.setattr(_axes, "entropy", narrow)
    with pytest.raises(ValueError, match="too narrow") as raised:
        quick(*GOOD)
    assert raised.type is refusal
    assert str(raised.value) == ("latent 0: " if refusal is Undefined else "") + "too narrow"


GOOD = np.random.default_rng(0).normal(size=(60, 2)), np.full((60, 2), 0.1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mean": GOOD[0][None], "var": GOOD[1][None]}, r"mean must have the shape \(n, d\).*60"),
        ({"mean": GOOD[0][:, 0]}, r"mean must have the shape .*\(60,\)"),
        ({"mean": np.where(GOOD[0] > 1, np.nan, GOOD[0])}, r"mean must be finite; mean\["),
        ({"var": GOOD[1][:-1]}, "mean and var must have the same shape"),
        ({"var": None}, "axes need the posterior variances"),
        ({"var": -GOOD[1]}, r"var must be positive.*var\[0, 0\] = -0.1"),
        ({"var": 0 * GOOD[1]}, r"var must be positive.*var\[0, 0\] = 0"),
        ({"var": np.full((60, 2), np.inf)}, r"var must be finite; var\[0, 0\] = inf"),
        ({"mean": GOOD[0][:7], "var": GOOD[1][:7]}, "at least 8 rows; got 7"),
        ({"latents": "some"}, r"latents must be .*; got 'some'"),
        ({"threshold": 0.0, "latents": "used"}, "threshold must be positive"),
        ({"rng": "zero"}, "rng must be"),
        ({"rng": -1}, "rng must be"),
    ],
)
def test_bad_input_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        quick(**{"mean": GOOD[0], "var": GOOD[1]} | change)


def test_eight_rows_are_enough():
    found = quick(GOOD[0][:8], GOOD[1][:8])
    assert len(found.pairs) == 1
    assert "The pair is " in repr(found)


# What it prints and stores.


def test_the_result_says_all_of_it(mixed):
    found = mixed[-1]
    text = " ".join(repr(found).split())
    assert (
        "Of 3 pairs of used latents, 1 is less dependent after a rotation, 2 are identified by "
        "shape." in text
    )
    assert "nats, a lower bound of the total correlation." in text
    assert "p gain: corrected for the number of pairs" in text
    content = json.loads(found.to_json())
    assert content == json.loads(json.dumps(found.to_dict()))
    assert content["schema"] == "dindic.axes/1"
    assert content["total_gain"] == found.total_gain
    assert content["rotation"] == found.rotation.tolist()
    assert content["pairs"] == [pair.to_dict() for pair in found.pairs]
    assert list(content["pairs"][0]) == list(found.pairs[0].own_fields())
    frame = found.to_frame()
    assert frame["verdict"].tolist() == [pair.verdict for pair in found.pairs]
    effects = [max(pair.gain, pair.cost) for pair in found.pairs]
    assert effects == sorted(effects, reverse=True)
    assert "| 0, 2" in found.to_markdown()
    assert pickle.loads(pickle.dumps(found)).to_json() == found.to_json()


# Real encodings.


def test_the_position_of_dsprites_is_turned_by_45_degrees_without_the_factors():
    with np.load(DATA / "dsprites_btcvae.npz") as file:
        found = axes(file["mean"], file["var"], rng=0)
    assert found.rotated == (2, 3, 4, 6, 8)
    verdicts = {(pair.i, pair.j): pair.verdict for pair in found.pairs}
    assert verdicts.pop((4, 8)) == "better axes"
    assert set(verdicts.values()) == {"by shape"}
    (best,) = (pair.best_degrees for pair in found.pairs if (pair.i, pair.j) == (4, 8))
    assert abs(best) == pytest.approx(45, abs=3)


@pytest.mark.slow
def test_no_pair_of_mnist_is_arbitrary_beyond_its_error():
    with np.load(DATA / "mnist_vae.npz") as file:
        found = axes(file["mu"], np.exp(file["logvar"]), rng=0)
    assert len(found.pairs) == 45
    for pair in found.pairs:
        if pair.verdict == "arbitrary":
            for name in ("gain", "cost"):
                value, error = getattr(pair, name), getattr(pair, f"{name}_se")
                # and what few rows change: exp(I)/n of two latents of at most 2.72 nats
                assert value <= 2.01 * error + 2 * np.exp(2.72) / 10_000
                assert value + 2 * error <= 0.01
    turned_pairs = {(i, j) for i, j, _ in found.turns}
    assert {(p.i, p.j) for p in found.pairs if p.verdict == "better axes"} <= turned_pairs


@pytest.mark.slow
def test_seeds_agree_on_the_turn_of_the_position_of_dsprites():
    with np.load(DATA / "dsprites_btcvae.npz") as file:
        found = [axes(file["mean"], file["var"], rng=seed) for seed in range(3)]
    for one in found:
        assert [(i, j) for i, j, _ in one.turns] == [(4, 8)]
        assert abs(one.total_gain - found[0].total_gain) < 3 * one.standard_error


@pytest.mark.parametrize("degrees", [0, 24, 27])
@pytest.mark.parametrize("var", [1e-2, 1e-5])
def test_narrow_valleys_are_found(degrees, var):
    """Sources on a lattice: the right angle is right within a fraction of a degree only."""
    source = np.random.default_rng(0).integers(32, size=(1000, 2)).astype(float)
    source += 1e-3 * np.random.default_rng(1).normal(size=source.shape)  # no copies
    source = (source - source.mean(axis=0)) / source.std(axis=0)
    mean = source @ givens(2, 0, 1, np.deg2rad(degrees)).T
    pair = axes(mean, np.full((1000, 2), var), rng=0).pairs[0]
    assert pair.best_degrees == pytest.approx(-degrees, abs=0.5)
    assert pair.verdict == ("better axes" if degrees else "by shape")


def test_an_effect_within_two_errors_is_no_verdict(mixed, monkeypatch):
    mean, var, _ = mixed
    assert all(pair.verdict != "undecided" for pair in axes(mean, var, rng=0).pairs)
    monkeypatch.setattr(_turns.Rows, "error", lambda *_: 100.0)
    assert {pair.verdict for pair in axes(mean, var, rng=0).pairs} == {"undecided"}


# Fast entropies.


@given(rngs, st.integers(2, 20))
def test_the_error_of_a_mean_is_that_of_its_draws(rng, draws):
    """Of rows, and of clusters of three rows each; one draw shows none."""
    x, code = rng.normal(size=(draws, 3)), np.repeat(np.arange(draws), 3)
    means, zeros = x.mean(axis=1), np.zeros((3 * draws, 1))
    clustered = _turns.Rows(zeros, zeros, (draws, code), 3 * draws)
    assert clustered.error(x.ravel()) == pytest.approx(sem(means))
    rows = _turns.Rows(zeros[:draws], zeros[:draws], None, draws)
    assert rows.error(means) == pytest.approx(sem(means))
    assert _turns.Rows(zeros, zeros, (1, 0 * code), 1).error(x.ravel()) == math.inf


@pytest.mark.parametrize("quarters", [-2, -1, 0, 1, 2])
def test_angles_are_modulo_90_and_none_where_no_turn_is_better(quarters):
    """A uniform square whose sides are turned by 20 degrees, on whose own axes nothing is better."""
    rng = np.random.default_rng(0)
    a, b = np.eye(2)
    mean = rng.uniform(-1, 1, size=(2000, 2)) @ np.array(_turns.turned(a, b, math.radians(20)))
    rows = _turns.Rows(mean, np.full((2000, 2), 0.01), None, 2000)
    angle = math.radians(20 + 90 * quarters)
    assert _turns._or_none(rows, a, b, angle) == pytest.approx(math.radians(20))
    assert _turns._or_none(rows, a, b, angle + math.radians(45)) == 0


@pytest.mark.parametrize("spread", [0.0, 1.0, 2.5])
@pytest.mark.parametrize("n", [1, 30, 3000])
def test_binned_entropies_are_those_of_the_quadrature(n, spread):
    rng = np.random.default_rng(0)
    mean, var = rng.normal(size=n), 0.02 * np.exp(spread * rng.normal(size=n))
    exact = entropy(mean, var)
    assert _binned.entropy(mean, var) == pytest.approx(exact, abs=2e-4)
    rows = _binned.surprise(mean, var)
    assert rows.mean() == pytest.approx(exact, abs=2e-4)
    picked = np.ones(n, dtype=bool)
    assert rows == pytest.approx(row_surprise(mean, var, picked), abs=5e-3)


def test_binned_entropies_leave_large_grids_to_the_quadrature():
    rng = np.random.default_rng(0)
    mean, var = rng.normal(size=200), np.geomspace(1e-12, 1, 200)
    assert _binned._binned(mean, var) is None
    assert _binned.entropy(mean, var) == entropy(mean, var)
    picked = np.ones(200, dtype=bool)
    assert np.array_equal(_binned.surprise(mean, var), row_surprise(mean, var, picked))


def test_binned_entropies_move_with_place_and_scale():
    rng = np.random.default_rng(1)
    mean, var = rng.normal(size=500), 0.05 * np.exp(rng.normal(size=500))
    moved = _binned.entropy(3 * mean - 7, 9 * var)
    assert moved == pytest.approx(_binned.entropy(mean, var) + np.log(3), abs=2e-5)
