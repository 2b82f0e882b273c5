"""OMES: all pairs by loops, closed forms, the trap of two values, floors."""

import numpy as np
import pytest

from disentangle_indicators.factors import as_table
from disentangle_indicators.supervised._metric import measure
from disentangle_indicators.supervised.omes import METRIC, PROTOCOLS, omes


def grid(*sizes):
    return np.stack([g.ravel() for g in np.meshgrid(*map(np.arange, sizes))], axis=1)


def by_loops(codes, factors, absolute):
    """The matrix over all ordered pairs, a first row drawn alike, then one of its partners."""
    n, k = factors.shape
    matrix = np.zeros((codes.shape[1], k))
    for factor in range(k):
        one, two, weight = [], [], []
        for i in range(n):
            same = np.delete(factors == factors[i], factor, axis=1).all(axis=1)
            partners = np.flatnonzero(same & (factors[:, factor] != factors[i, factor]))
            for j in partners:
                one.append(codes[i])
                two.append(codes[j])
                weight.append(1 / len(partners))
        one, two, weight = np.array(one), np.array(two), np.array(weight)
        for h in range(codes.shape[1]):
            if absolute:
                c = np.cov(one[:, h], two[:, h], aweights=weight)
                matrix[h, factor] = 1 - abs(c[0, 1]) / np.sqrt(c[0, 0] * c[1, 1])
            else:
                both, twice = np.concatenate([one[:, h], two[:, h]]), np.tile(weight, 2)
                mean = np.average(both, weights=twice)
                spread = np.average((both - mean) ** 2, weights=twice)
                moved = np.average((one[:, h] - two[:, h]) ** 2, weights=weight)
                matrix[h, factor] = min(moved / spread / 2, 1)
    return matrix


def scores(s, alpha, pooling):
    """Overlap and multiple encoding of each factor, as the formulas stand."""
    d, k = s.shape
    found = []
    for factor in range(k):
        overlap, several = np.zeros(d), np.zeros(d)
        for h in range(d):
            overlap[h] = 1 - np.mean(np.abs((np.arange(k) == factor) - s[h]))
            several[h] = 1 - np.mean(np.abs((np.arange(d) == h) - s[:, factor]))
        weight = s[:, factor]
        pairs = [
            np.max(part * weight)
            if pooling == "max"
            else np.average(part * weight, weights=weight)
            for part in (overlap, several)
        ]
        found.append(alpha * pairs[0] + (1 - alpha) * pairs[1])
    return np.array(found)


@pytest.mark.parametrize("pooling", ["mean", "max"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_loops_agree(protocol, pooling):
    rng = np.random.default_rng(0)
    factors = rng.integers([3, 4, 5], size=(90, 3))
    mixing = np.array([[1, 0, 0, 0.5], [0.2, 1, 0, 0.5], [0, 0.5, 0.5, 0]])
    codes = factors @ mixing + 0.3 * rng.normal(size=(90, 4))
    options = {"pooling": pooling, "alpha": 0.3, "pairs": 200_000}
    outcome = measure(METRIC, codes, factors, protocol=protocol, **options)
    expected = by_loops(codes, factors, protocol == "dapueto2024")
    np.testing.assert_allclose(outcome.matrix, expected, atol=0.02)
    each = scores(outcome.matrix, 0.3, pooling)
    np.testing.assert_allclose(outcome.per_factor, each, atol=1e-12)
    assert outcome.value == pytest.approx(each.mean(), abs=1e-12)


def test_a_perfect_code():
    factors = grid(2, 3, 4)
    outcome = measure(METRIC, -3.0 * factors, factors)
    assert outcome.value == pytest.approx(1, abs=0.01)
    np.testing.assert_allclose(outcome.matrix, np.eye(3), atol=0.02)


def test_two_values_are_the_trap_of_the_size_of_a_correlation():
    """Both rows of a pair differ: a factor of m values turns its latent around by -1/(m - 1)."""
    factors = grid(2, 3, 11)
    found = measure(METRIC, factors, factors, protocol="dapueto2024", pairs=100_000)
    np.testing.assert_allclose(np.diag(found.matrix), [0, 1 / 2, 9 / 10], atol=0.02)
    assert found.per_factor[0] == pytest.approx(0, abs=0.05)
    assert omes(factors, factors) > 0.98


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_floor(protocol):
    """Noise moves within any pair: each entry is 1, and O and E are 1/K and 1/d."""
    rng = np.random.default_rng(0)
    factors, codes = rng.integers(4, size=(5000, 2)), rng.normal(size=(5000, 5))
    for alpha in (0, 0.5, 1):
        found = omes(codes, factors, protocol=protocol, alpha=alpha)
        assert found == pytest.approx(alpha / 2 + (1 - alpha) / 5, abs=0.02)


def test_what_alpha_weighs():
    """A latent that moves with both factors overlaps; two latents of one factor are several."""
    factors = grid(5, 5)
    one = np.stack([factors[:, 0] + 5.0 * factors[:, 1], factors[:, 1]], axis=1)
    two = np.stack([factors[:, 0], factors[:, 1], factors[:, 1]], axis=1)
    assert omes(two, factors, alpha=1.0) == pytest.approx(1, abs=0.02)
    assert omes(two, factors, alpha=0.0) < 0.9
    assert omes(one, factors, alpha=1.0) < 0.95


def test_a_factor_that_no_latent_follows_scores_nothing():
    """Its weights are all 0, by which others divide."""
    factors = grid(4, 4)
    outcome = measure(METRIC, factors[:, :1], factors)
    assert outcome.per_factor[1] == 0
    assert outcome.matrix[0, 1] == 0
    assert outcome.value == outcome.per_factor[0] / 2
    assert omes(np.ones((16, 2)), factors) == 0


def test_pruning():
    """A small latent of noise counts unless a protocol leaves it out."""
    rng = np.random.default_rng(0)
    factors = rng.integers(9, size=(3000, 2))
    codes = np.hstack([factors, 1e-3 * rng.normal(size=(3000, 2))])
    kept, pruned = omes(codes, factors), omes(codes, factors, least_sd=0.05)
    assert pruned > 0.97
    assert kept < 0.7
    assert omes(codes, factors, protocol="dapueto2024") > 0.8


def test_rows_without_a_value_are_not_used():
    factors = np.vstack([grid(4, 4)] * 4).astype(float)
    codes = factors.copy()
    codes[:16], factors[:16, 0] = 1e6 * np.random.default_rng(0).normal(size=(16, 2)), np.nan
    clean = measure(METRIC, codes[16:], factors[16:])
    assert omes(codes, factors) == pytest.approx(clean.value, abs=1e-9)


def test_factors_that_never_differ_alone_are_named():
    values = np.random.default_rng(0).integers(4, size=(300, 3))
    values[:, 2] = values[:, 1]
    words = "of the 300 rows with a value of every factor no two do in factor_1, factor_2"
    with pytest.raises(ValueError, match=words):
        measure(METRIC, values[:, :2], values)
    factors = as_table(np.arange(8).reshape(4, 2), 4, kinds=["ordinal"] * 2)
    with pytest.raises(ValueError, match="of the 4 rows with .* no two do in factor_0, factor_1"):
        omes(np.arange(4.0)[:, None], factors)


@pytest.mark.parametrize("power", [-1000, 1000])
def test_the_scale_does_not_matter(power):
    rng = np.random.default_rng(0)
    factors = rng.integers(4, size=(200, 2))
    codes = factors + rng.normal(size=(200, 2))
    assert omes(codes * 2.0**power, factors) == omes(codes, factors)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"alpha": 1.5}, "alpha must be at most 1; got 1.5"),
        ({"alpha": -1.0}, "alpha must be at least 0; got -1"),
        ({"pairs": 1}, "pairs must be at least 2; got 1"),
        ({"pooling": "sum"}, "pooling must be mean or max; got 'sum'"),
        ({"correlation": "rank"}, "correlation must be signed or absolute; got 'rank'"),
    ],
)
def test_refused(options, words):
    with pytest.raises(ValueError, match=words):
        omes(np.arange(4.0)[:, None], [0, 1, 0, 1], **options)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_latent_that_is_constant_in_all_pairs_does_not_move(protocol):
    """It varies in one row only, which has no partner: no correlation, and no division by 0."""
    factors = np.array([[0, 0], [0, 1], [1, 0], [1, 1], [5, 5]])
    codes = np.column_stack([factors[:, 0], factors[:, 0] == 5]).astype(float)
    outcome = measure(METRIC, codes, as_table(factors, 5), rng=0, protocol=protocol, pairs=50)
    assert outcome.matrix[1].tolist() == [0.0, 0.0]
