"""Mean correlation coefficient: scipy's correlations, all matchings, factors of every kind."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score
from strategies import rngs

from disentangle_indicators.factors import as_table
from disentangle_indicators.supervised._metric import measure
from disentangle_indicators.supervised._ranks import explained
from disentangle_indicators.supervised.mcc import METRIC, PROTOCOLS, mcc


@given(rngs, st.sampled_from(["pearson", "spearman"]), st.integers(1, 4), st.integers(1, 4))
def test_the_best_of_all_matchings(rng, protocol, d, k):
    factors = rng.integers(7, size=(40, k))
    factors[:2] = [[0], [1]]
    codes = np.round(factors @ rng.normal(size=(k, d)) + rng.normal(size=(40, d)), 1)
    correlate = stats.pearsonr if protocol == "pearson" else stats.spearmanr
    r = np.abs([[correlate(z, v)[0] for v in factors.T] for z in codes.T])
    outcome = measure(METRIC, codes, factors, protocol=protocol)
    np.testing.assert_allclose(outcome.matrix, r, atol=1e-12)
    wide = r if d <= k else r.T
    pairs = permutations(range(max(d, k)), min(d, k))
    best = max(np.mean([wide[i, j] for i, j in enumerate(columns)]) for columns in pairs)
    assert outcome.value == pytest.approx(best, abs=1e-12)
    all_factors = mcc(codes, factors, protocol=protocol, divide_by="factors")
    assert all_factors == pytest.approx(best * min(d, k) / k, abs=1e-12)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_perfect_code(protocol):
    factors = np.random.default_rng(0).normal(size=(300, 3))
    codes = np.hstack([np.ones((300, 1)), -5.0 * factors[:, ::-1]])
    outcome = measure(METRIC, codes, factors, protocol=protocol)
    assert outcome.value == pytest.approx(1, abs=1e-12)
    np.testing.assert_array_equal(outcome.matrix[0], 0)


def test_a_monotone_change_costs_pearson_only():
    factors = np.random.default_rng(0).normal(size=(300, 2))
    codes = np.exp(3 * factors)
    for protocol in ("default", "spearman"):
        assert mcc(codes, factors, protocol=protocol) == pytest.approx(1, abs=1e-12)
    assert mcc(codes, factors, protocol="pearson") < 0.8


def test_each_latent_is_used_once():
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(4000, 2))
    codes = np.stack([factors.sum(axis=1), rng.normal(size=4000)], axis=1)
    outcome = measure(METRIC, codes, factors, protocol="pearson")
    assert np.sort(outcome.per_factor) == pytest.approx([0, np.sqrt(0.5)], abs=0.05)


def test_a_factor_without_a_latent_counts_by_default():
    factors = np.random.default_rng(0).normal(size=(3000, 3))
    assert mcc(factors[:, :1], factors) == pytest.approx(1 / 3)
    assert mcc(factors[:, :1], factors, protocol="spearman") == pytest.approx(1)


def test_a_circular_factor():
    """Its cosine and its sine are what a latent can follow, whatever the angle where it begins."""
    rng = np.random.default_rng(0)
    steps = rng.integers(40, size=2000)
    factors = as_table(steps, 2000, kinds=["circular"])
    assert mcc(np.cos(2 * np.pi * steps / 40 + 1.3)[:, None], factors, protocol="pearson") > 0.9999
    noisy = np.sin(2 * np.pi * steps / 40)[:, None] + rng.normal(size=(2000, 1))
    design = np.column_stack(
        [np.ones(2000), np.cos(2 * np.pi * steps / 40), np.sin(2 * np.pi * steps / 40)]
    )
    rest = noisy[:, 0] - design @ np.linalg.lstsq(design, noisy[:, 0], rcond=None)[0]
    expected = np.sqrt(1 - rest.var() / noisy.var())
    assert mcc(noisy, factors, protocol="pearson") == pytest.approx(expected, abs=1e-12)
    assert mcc(noisy, steps, protocol="pearson") < expected - 0.05


def test_a_categorical_factor():
    rng = np.random.default_rng(0)
    classes = rng.integers(4, size=500)
    z = np.array([0.0, 5.0, 1.0, 2.0])[classes] + rng.normal(size=500)
    for protocol in ("pearson", "spearman"):
        y = z if protocol == "pearson" else stats.rankdata(z)
        between = sum(
            np.sum(classes == c) * (y[classes == c].mean() - y.mean()) ** 2 for c in range(4)
        )
        expected = np.sqrt(between / np.sum((y - y.mean()) ** 2))
        factors = as_table(classes, 500, kinds=["categorical"])
        assert mcc(z[:, None], factors, protocol=protocol) == pytest.approx(expected, abs=1e-12)


def test_classes_of_one_row_correlate_with_nothing():
    """Each class has a mean of its own, which explains everything unless adjusted for."""
    codes = np.random.default_rng(0).normal(size=(60, 2))
    rows = as_table(np.arange(60), 60, kinds=["categorical"])
    pairs = as_table(np.arange(60) // 2, 60, kinds=["categorical"])
    assert mcc(codes, rows, protocol="spearman") == pytest.approx(1)
    assert mcc(codes, rows) == 0
    assert mcc(codes, pairs, protocol="spearman") > 0.6
    assert mcc(codes, pairs) < 0.5


@given(rngs, st.integers(5, 60))
def test_the_rank_slope_of_two_values_is_that_of_the_area_under_the_curve(rng, n):
    factor = np.arange(n) < 1 + rng.integers(n - 2)
    z = np.round(factor + rng.normal(size=n), 1)
    expected = abs(2 * roc_auc_score(factor, z) - 1)
    for kind in ("ordinal", "categorical"):
        table = as_table(factor, n, kinds=[kind])
        assert mcc(z[:, None], table, adjust=False) == pytest.approx(expected, abs=1e-12)


@given(rngs, st.integers(5, 40))
def test_the_rank_slope_is_spearmans_without_ties(rng, n):
    z, v = rng.normal(size=(n, 1)), rng.normal(size=n)
    found = mcc(z, v, adjust=False)
    assert found == pytest.approx(abs(stats.spearmanr(z[:, 0], v)[0]), abs=1e-12)


@pytest.mark.parametrize("kind", ["ordinal", "categorical"])
def test_squares_of_permuted_rows_are_chance_on_average(kind):
    """A rare value, ties of the code too: the mean of R^2 over 4,000 permutations."""
    rng = np.random.default_rng(0)
    classes = np.repeat([0, 1, 2], [30, 6, 4])
    ranks = stats.rankdata(np.stack([np.round(rng.normal(size=40)) for _ in range(2)], 1), axis=0)
    drawn = [rng.permutation(40) for _ in range(4000)]
    found = [explained(ranks[rows], classes, ordered=kind == "ordinal") for rows in drawn]
    squares = np.array([each.squares for each in found])
    error = squares.std(axis=0) / np.sqrt(4000)
    assert np.all(np.abs(squares.mean(axis=0) - found[0].chance) < 5 * error)


def test_adjustment():
    rng = np.random.default_rng(0)
    factor = rng.normal(size=50)
    z = (factor + rng.normal(size=50))[:, None]
    r2 = mcc(z, factor, protocol="pearson") ** 2
    found = mcc(z, factor, protocol="pearson", adjust=True)
    assert found == pytest.approx(np.sqrt(1 - (1 - r2) * 49 / 48))
    assert mcc(z[:2], factor[:2], protocol="pearson") == pytest.approx(1)
    assert mcc(z[:2], factor[:2]) == 0


def test_rows_without_a_value_are_left_out_for_their_factor():
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(200, 2))
    codes = factors.copy()
    missing = rng.random(200) < 0.3
    codes[missing, 0], factors[missing, 0] = 1e9 * rng.normal(size=missing.sum()), np.nan
    for protocol in PROTOCOLS:
        assert mcc(codes, factors, protocol=protocol) == pytest.approx(1)
    codes = factors[:, 1:] + rng.normal(size=(200, 1))
    for protocol, correlate in (("pearson", stats.pearsonr), ("spearman", stats.spearmanr)):
        expected = abs(correlate(codes[~missing, 0], factors[~missing, 1])[0])
        gaps = np.where(missing, np.nan, factors[:, 1])
        assert mcc(codes, gaps, protocol=protocol) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("power", [-1000, 1000])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_scale_does_not_matter(protocol, power):
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(50, 2))
    codes = factors + rng.normal(size=(50, 2))
    found = mcc(codes, factors, protocol=protocol)
    assert mcc(codes * 2.0**power, factors, protocol=protocol) == pytest.approx(found, abs=1e-12)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"correlation": "tau"}, "correlation must be pearson, spearman or rank slope; got 'tau'"),
        ({"divide_by": "d"}, "divide_by must be factors or matched; got 'd'"),
    ],
)
def test_refused(options, words):
    with pytest.raises(ValueError, match=words):
        mcc(np.arange(4.0)[:, None], [0, 1, 0, 1], **options)
