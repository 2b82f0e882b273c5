"""What latents that know nothing get, and bins of equal counts: oracles and laws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mutual_info_score
from sklearn.metrics.cluster import contingency_matrix, expected_mutual_information
from strategies import rngs

from disentangle_indicators._binning import equal_counts
from disentangle_indicators.supervised import _information as info


def alike(labels):
    """Factors that share the cells of the codes, which then have one layer."""
    return info.Binned(labels, np.zeros(len(labels), int), np.zeros(len(labels), int))


@given(rngs, st.integers(2, 60), st.integers(1, 8), st.integers(1, 8))
def test_the_expected_information_is_that_of_scikit_learn(rng, n, bins, values):
    cells, label = rng.integers(bins, size=(n, 3)), rng.integers(values, size=n)
    found = info.chance(cells[:, None], alike([label]), 0.05)
    expected = [
        expected_mutual_information(contingency_matrix(label, cell), n) for cell in cells.T
    ]
    np.testing.assert_allclose(found.mean[:, 0], expected, atol=1e-10)
    assert np.all(found.above >= found.mean)


def test_the_expected_information_of_many_rows():
    rng = np.random.default_rng(0)
    cells, label = rng.integers(40, size=(20_000, 1)), rng.integers(2, size=20_000)
    table = contingency_matrix(label, cells[:, 0])
    found = info.chance(cells[:, None], alike([label]), 0.05)
    assert found.mean[0, 0] == pytest.approx(expected_mutual_information(table, 20_000), rel=1e-9)


@pytest.mark.parametrize(("n", "values"), [(200, 3), (200, 40), (2000, 40)])
def test_noise_is_above_chance_as_often_as_the_level_says(n, values):
    """Any of 4 x 2 entries, in 400 permutations; sparse tables too."""
    rng = np.random.default_rng(1)
    cells = np.stack([equal_counts(z, 20) for z in rng.normal(size=(4, n))], axis=1)
    labels = [np.arange(n) % values, np.arange(n) % 2]
    limit = info.chance(cells[:, None], alike(labels), 0.05)
    tables = [
        info.information(cells[rng.permutation(n), None], alike(labels)).mutual for _ in range(400)
    ]
    assert np.mean([np.any(table > limit.above) for table in tables]) < 0.1
    np.testing.assert_allclose(np.mean(tables, axis=0), limit.mean, atol=0.02)


def test_missing_rows_are_left_out_of_chance():
    rng = np.random.default_rng(2)
    cells, label = rng.integers(5, size=(80, 2)), rng.integers(3, size=80)
    missing = np.where(np.arange(80) < 20, -1, label)
    found = info.chance(cells[:, None], alike([missing]), 0.01)
    np.testing.assert_allclose(
        found.mean, info.chance(cells[20:, None], alike([label[20:]]), 0.01).mean
    )


@given(rngs, st.integers(1, 4), st.integers(1, 60))
def test_information_between_factors_is_that_of_scikit_learn(rng, number, n):
    """Of the rows that have a value of both; 0 on the diagonal, which nothing asks for."""
    labels = [rng.integers(-1, 4, size=n) for _ in range(number)]
    found = info.between(labels)
    for i, j in np.ndindex(number, number):
        both = (labels[i] >= 0) & (labels[j] >= 0)
        known = mutual_info_score(labels[i][both], labels[j][both]) if i != j and any(both) else 0
        assert found[i, j] == pytest.approx(known, abs=1e-12)


@pytest.mark.parametrize("level", [0, 1, -1, 2])
def test_levels(level):
    with pytest.raises(ValueError, match=f"level must be between 0 and 1; got {level}"):
        info.chance(np.zeros((2, 1, 1), int), alike([np.arange(2)]), level)


@given(rngs, st.integers(1, 200), st.integers(1, 12), st.integers(1, 40))
def test_equal_counts(rng, n, bins, different):
    values = rng.choice(rng.normal(size=different), size=n)
    index = equal_counts(values, bins)
    order = np.argsort(values, kind="stable")
    assert np.all(np.diff(index[order]) >= 0)
    assert index.min() == 0
    assert sorted(set(index)) == list(range(index.max() + 1))
    for value in values:
        assert len(set(index[values == value])) == 1
    if len(set(values)) <= bins:
        assert index.max() + 1 == len(set(values))
    assert index.max() <= bins  # the middle one may have its own
    turned = equal_counts(-values, bins)
    np.testing.assert_array_equal(turned, index.max() - index)
    np.testing.assert_array_equal(equal_counts(np.exp(values), bins), index)


@given(rngs, st.integers(1, 300), st.integers(1, 12))
def test_equal_counts_are_equal(rng, n, bins):
    counts = np.bincount(equal_counts(rng.normal(size=n), bins))
    if n % bins == 0:
        assert np.all(counts == n // bins)
    elif n > bins:
        assert counts.max() <= -(-n // bins)


def test_values_on_edges():
    """Of 9 values in 6 bins the second, the middle and the last but one are on an edge."""
    assert equal_counts(np.arange(9.0), 6).tolist() == [0, 1, 1, 2, 3, 4, 5, 5, 6]
    assert equal_counts(np.arange(3.0), 2).tolist() == [0, 1, 2]
    assert equal_counts(np.array([0.0] * 10 + [1, 2]), 3).tolist() == [0] * 10 + [1, 2]
    assert equal_counts(np.array([0.0] * 10 + [1, 2]), 2).tolist() == [0] * 10 + [1, 1]


def test_bins_are_within_bins_of_a_divisor():
    values = np.random.default_rng(0).normal(size=997)
    few, many = equal_counts(values, 20), equal_counts(values, 60)
    assert all(len(set(few[many == b])) == 1 for b in range(many.max() + 1))


@pytest.mark.parametrize(
    ("bins", "values", "missing", "expected"),
    [
        (20, 3, False, 20),
        (20, 20, False, 20),
        (20, 20, True, 40),
        (20, 40, False, 40),
        (7, 8, 0, 14),
    ],
)
def test_as_many_bins_as_values(bins, values, missing, expected):
    label = np.concatenate([np.arange(values), [-1] * bool(missing)])
    p = {"bins": bins, "code_bins": "count"}
    assert info.code_bins(label, p) == expected
    assert info.code_bins(label, p | {"code_bins": "width"}) == bins


def test_information_between_factors():
    one, other = np.array([0, 0, 1, 1, -1, 0]), np.array([0, 0, 1, 1, 1, -1])
    np.testing.assert_allclose(info.between([one, other]), [[0, np.log(2)], [np.log(2), 0]])
    nowhere = info.between([np.array([0, 1, -1, -1]), np.array([-1, -1, 0, 1])])
    assert np.all(nowhere == 0)


def test_an_average_of_nothing_is_0():
    assert info.average(np.ones(3), np.zeros(3), "information") == 0
    assert info.average(np.arange(3.0), np.array([1.0, 0, 3]), "information") == 1.5
    assert info.average(np.arange(3.0), np.zeros(3), "latents") == 1
