"""The Higgins metric on arrays: the law of its pairs by enumeration, invariances, edge cases."""

import numpy as np
import pytest
from golden import arrays
from golden_votes import repeats, tolerance
from hypothesis import given
from hypothesis import strategies as st
from strategies import rngs, seeds

from disentangle_indicators._array import generator
from disentangle_indicators.rotation._orthogonal import givens
from disentangle_indicators.supervised import METRICS, higgins, z_diff
from disentangle_indicators.supervised._metric import measure
from disentangle_indicators.supervised.higgins import METRIC, PROTOCOLS

SMALL = {"train": 600, "evaluate": 400, "pairs": 32}


@st.composite
def tables(draw, max_n=80, max_d=5, max_k=4):
    """Codes (n, d) and factors (n, K) of which the first varies and repeats its values."""
    rng = draw(rngs)
    n, d, k = draw(st.integers(4, max_n)), draw(st.integers(1, max_d)), draw(st.integers(1, max_k))
    factors = rng.integers(rng.integers(1, 7, size=k), size=(n, k))
    factors[:, 0] = np.arange(n) % 2
    return factors @ rng.normal(size=(k, d)) + rng.normal(size=(n, d)), factors


def by_loops(codes, factor, values):
    """Mean and variance of |z1 - z2| over all pairs, each with its probability."""
    groups = [np.flatnonzero(factor == v) for v in np.unique(factor)]
    groups = [rows for rows in groups if len(rows) > 1]
    used = sum(map(len, groups))
    mean, square = 0.0, 0.0
    for rows in groups:
        share = len(rows) / used if values == "rows" else 1 / len(groups)
        for i in rows:
            for j in rows:
                if i != j:
                    p = share / len(rows) / (len(rows) - 1)
                    mean = mean + p * np.abs(codes[i] - codes[j])
                    square = square + p * np.abs(codes[i] - codes[j]) ** 2
    return mean, square - mean**2


@pytest.mark.parametrize("values", ["rows", "values"])
@pytest.mark.parametrize("pairs", [1, 7, 64])
def test_pairs_have_the_law_that_enumeration_finds(values, pairs):
    """An unbalanced factor with a value of one row, and an ordinary one; 5 standard errors."""
    rng = np.random.default_rng(0)
    first = np.repeat([5, -1, 3, 9], [1, 2, 5, 30])
    factors = np.stack([first, rng.integers(3, size=len(first))], axis=1)
    codes = rng.normal(size=(len(first), 3)) + first[:, None] * rng.normal(size=(len(first), 1))
    x, y = z_diff(codes, factors, 40_000, pairs, rng=1, values=values)
    for k in range(2):
        mean, variance = by_loops(codes, factors[:, k], values)
        points = x[y == k]
        error = np.sqrt(variance / pairs / len(points))
        assert np.all(np.abs(points.mean(axis=0) - mean) < 5 * error + 1e-6)
        centred = (points - points.mean(axis=0)) ** 2
        error = centred.std(axis=0) / np.sqrt(len(points))
        assert np.all(np.abs(centred.mean(axis=0) - variance / pairs) < 5 * error)


def test_factors_are_drawn_alike():
    factors = np.stack([np.arange(60) % m for m in (2, 3, 5, 20)], axis=1)
    _, y = z_diff(factors, factors, 40_000, 1, rng=0)
    counts = np.bincount(y, minlength=4)
    assert np.all(np.abs(counts - 10_000) < 5 * np.sqrt(40_000 * 0.25 * 0.75))


@given(tables(), seeds)
def test_the_shared_factor_does_not_differ(table, seed):
    codes, factors = table
    x, y = z_diff(factors, factors, 50, 4, rng=seed)
    assert np.all(x[np.arange(50), y] == 0)
    assert z_diff(codes, factors, 50, 4, rng=seed)[0].shape == (50, codes.shape[1])


@given(tables(), seeds)
def test_the_rows_of_a_pair_differ(table, seed):
    _, factors = table
    rows = np.arange(len(factors), dtype=float)[:, None]
    for values in ("rows", "values"):
        assert np.all(z_diff(rows, factors, 50, 1, rng=seed, values=values)[0] >= 1)


@given(tables(), rngs, seeds, st.integers(-8, 8))
def test_signed_permutations_and_scales_carry_over(table, rng, seed, power):
    codes, factors = table
    order, sign = rng.permutation(codes.shape[1]), rng.choice([-1.0, 1.0], codes.shape[1])
    x, y = z_diff(codes, factors, 30, 5, rng=seed)
    moved, same = z_diff((codes * sign)[:, order] * 2.0**power, factors, 30, 5, rng=seed)
    np.testing.assert_array_equal(moved, x[:, order] * 2.0**power)
    np.testing.assert_array_equal(same, y)


@given(tables(), seeds)
def test_offsets_and_names_of_values_do_not_matter(table, seed):
    codes, factors = table
    x, _ = z_diff(codes, factors, 30, 5, rng=seed)
    offset = 2.0**20  # which takes 20 of the 52 bits; what float32 has left is the tolerance
    np.testing.assert_allclose(
        z_diff(codes + offset, factors, 30, 5, rng=seed)[0], x, atol=1e-6 * np.abs(codes).max() * 4
    )
    np.testing.assert_array_equal(z_diff(codes, factors.astype(str), 30, 5, rng=seed)[0], x)


@pytest.mark.parametrize("scale", [1e-300, 1e300, 1.7e308])
def test_huge_and_tiny_codes(scale):
    rng = np.random.default_rng(0)
    codes, factors = np.clip(rng.normal(size=(50, 2)), -1, 1), rng.integers(3, size=(50, 2))
    x, _ = z_diff(codes / 2, factors, 20, 3, rng=0)
    np.testing.assert_allclose(
        z_diff(codes / 2 * scale, factors, 20, 3, rng=0)[0] / scale, x, 1e-5
    )


def test_values_with_one_row_and_unusable_factors_are_not_used():
    n = 40
    columns = [np.arange(n), np.arange(n) % 4, np.full(n, 3), np.arange(n) % 5]
    factors = np.stack(columns, axis=1)
    factors[7] = [100, 100, 3, 100]
    codes = np.zeros((n, 1))
    codes[7] = 1.0  # the only row that differs, and the only one with its values
    x, y = z_diff(codes, factors, 500, 3, rng=0)
    assert set(y) == {1, 3}
    assert np.all(x == 0)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_perfect_code(protocol):
    factors = np.random.default_rng(0).integers(4, size=(500, 3))
    assert higgins(factors, factors, rng=0, protocol=protocol, **SMALL) == 1


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_code_that_knows_nothing(protocol):
    rng = np.random.default_rng(0)
    factors, codes = rng.integers(4, size=(20_000, 4)), rng.normal(size=(20_000, 3))
    sizes = SMALL | {"evaluate": 4000}
    found = higgins(codes, factors, rng=1, protocol=protocol, **sizes)
    chance, scale = (0, 0.75) if PROTOCOLS[protocol]["rescale"] else (0.25, 1)
    assert abs(found - chance) < 5 * np.sqrt(0.25 * 0.75 / 4000) / scale


def test_a_factor_that_is_not_encoded_costs_nothing():
    """A known weakness: the missing factor is the class in which nothing is still."""
    factors = np.random.default_rng(0).integers(4, size=(500, 3))
    assert higgins(factors[:, :2], factors, rng=0, **SMALL) == 1
    assert higgins(factors[:, :1], factors, rng=0, **SMALL) < 0.8


def test_rescaling():
    rng = np.random.default_rng(0)
    factors = rng.integers(4, size=(500, 3))
    codes = factors + 3 * rng.normal(size=(500, 3))
    raw = higgins(codes, factors, rng=0, **SMALL)
    assert 1 / 3 < raw < 1
    scaled = higgins(codes, factors, rng=0, rescale=True, **SMALL)
    assert scaled == pytest.approx((raw - 1 / 3) / (2 / 3))


def test_rescaling_counts_the_classes_that_are_left():
    rng = np.random.default_rng(0)
    factors = np.hstack([rng.integers(4, size=(500, 2)), np.full((500, 1), 7)])
    codes = factors[:, :2] + 3 * rng.normal(size=(500, 2))
    raw = higgins(codes, factors, rng=0, **SMALL)
    scaled = higgins(codes, factors, rng=0, rescale=True, **SMALL)
    assert scaled == pytest.approx(2 * raw - 1)


def test_one_class_among_the_training_points():
    rng = np.random.default_rng(0)
    codes, factors = rng.normal(size=(50, 2)), rng.integers(3, size=(50, 2))
    found = higgins(codes, factors, rng=0, train=1, evaluate=1000)
    assert abs(found - 0.5) < 5 * 0.5 / np.sqrt(1000)


def test_bins_make_continuous_factors_usable():
    factors = np.random.default_rng(0).normal(size=(2000, 3))
    with pytest.raises(ValueError, match="two rows share a value; none of the 3 columns .* 2000"):
        z_diff(factors, factors, 1, 1, rng=0)
    assert higgins(factors, factors, rng=0, **SMALL) > 0.95
    assert higgins(factors, factors, rng=0, factor_bins=20, **SMALL) > 0.95


def test_a_penalty_hides_what_differs_by_little():
    """The same points, on a scale where C = 1 shrinks the weights to nothing."""
    rng = np.random.default_rng(0)
    factors = rng.integers(4, size=(500, 3))
    codes = 1e-3 * factors[:, [0, 1]]
    free = higgins(codes, factors, rng=0, protocol="higgins2017", **SMALL)
    assert free - higgins(codes, factors, rng=0, protocol="locatello2019", **SMALL) > 0.1
    assert abs(free - higgins(codes, factors, rng=0, **SMALL)) < 0.1


@pytest.mark.parametrize("protocol", ["default", "higgins2017"])
@pytest.mark.parametrize("power", [-1000, 40, 1000])
def test_without_a_penalty_the_scale_does_not_matter(protocol, power):
    rng = np.random.default_rng(0)
    factors = rng.integers(4, size=(500, 3))
    codes = factors + 3 * rng.normal(size=(500, 3))
    found = [
        higgins(z, factors, rng=0, protocol=protocol, **SMALL) for z in (codes, codes * 2.0**power)
    ]
    assert 0.4 < found[0] < 1
    assert found[1] == found[0]


def test_codes_that_the_optimiser_cannot_take():
    factors = np.random.default_rng(0).integers(4, size=(500, 3))
    with pytest.raises(ValueError, match=r"codes must differ by less than 1e\+20"):
        higgins(factors * 1e100, factors, rng=0, protocol="ubisoft", **SMALL)
    assert higgins(factors * 1e19, factors, rng=0, protocol="ubisoft", **SMALL) == 1
    assert higgins(factors * 1e100, factors, rng=0, **SMALL) == 1


def test_a_small_angle_and_no_penalty():
    """Without a penalty the regression finds what the law says: 1, unless the codes tie."""
    rng = np.random.default_rng(0)
    factors = rng.integers(40, size=(4000, 2))
    codes = (factors - 19.5) @ givens(2, 0, 1, np.radians(44.9)).T
    assert higgins(codes, factors, rng=0, protocol="higgins2017", **SMALL) > 0.95
    codes = (factors - 19.5) @ givens(2, 0, 1, np.radians(45)).T
    found = higgins(codes, factors, rng=0, protocol="higgins2017", **SMALL)
    assert abs(found - 0.5) < 5 * 0.5 / np.sqrt(SMALL["evaluate"])


def test_seeds():
    rng = np.random.default_rng(0)
    factors = rng.integers(4, size=(500, 3))
    codes = factors + 3 * rng.normal(size=(500, 3))
    runs = [higgins(codes, factors, rng=seed, **SMALL) for seed in (3, 3, 4, 5)]
    assert runs[0] == runs[1]
    assert len(set(runs)) > 1
    assert higgins(codes, factors, rng=generator(3), **SMALL) == runs[0]


def test_torch_codes():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    rng = np.random.default_rng(0)
    codes, factors = rng.normal(size=(100, 2)), rng.integers(3, size=(100, 2))
    tensors = torch.from_numpy(codes).requires_grad_(), torch.from_numpy(factors)
    for name, metric in METRICS.items():
        options = SMALL if name == "higgins" else {}
        if name == "higgins" or "default" not in metric.refits:
            found = measure(metric, *tensors, rng=0, **options).value
            assert found == measure(metric, codes, factors, rng=0, **options).value


GOOD = np.zeros((4, 1)), [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("arrays", "options", "words"),
    [
        ((np.zeros(3), np.arange(3)), {}, r"codes must have the shape \(n, d\); .* \(3,\)"),
        ((np.zeros((3, 1)), np.arange(4)), {}, r"factors must have the shape \(3, K\)"),
        (([[np.nan], [0.0]], [0, 0]), {}, r"codes must be finite; codes\[0, 0\] = nan"),
        ((np.zeros((4, 1)), [0, 1, 2, 3]), {}, "must be two at least, .*; only factor_0 varies"),
        (
            (np.zeros((4, 1)), [[0, 1], [1, 2], [0, 3], [1, 4]]),
            {"held_out": 0.0},
            "a value that two rows share; factor_1 has none in the part of 4 rows",
        ),
        ((np.zeros((4, 1)), [1, 1, 1, 1]), {}, "factors must vary; each of the 1 columns"),
        (GOOD, {"protocol": "none"}, "protocol must be one of default, .*; got 'none'"),
        (GOOD, {"pears": 3}, "no parameter of higgins is called 'pears'; there is pairs"),
        (GOOD, {"pairs": 0}, "pairs must be positive; got 0"),
        (GOOD, {"factor_bins": 0}, "factor_bins must be positive; got 0"),
        (GOOD, {"held_out": 1.0}, r"held_out must be in \[0, 1\); got 1.0"),
        (GOOD, {"values": "cells"}, "values must be rows or values; got 'cells'"),
    ],
)
def test_refused(arrays, options, words):
    with pytest.raises(ValueError, match=words):
        higgins(*arrays, rng=0, **options)


def test_rows_without_a_value_are_in_no_pair():
    rng = np.random.default_rng(0)
    factors = rng.integers(4, size=(300, 2)).astype(float)
    codes = factors.copy()
    missing = rng.random(300) < 0.2
    codes[missing, 0], factors[missing, 0] = 1e6, np.nan
    outcome = measure(METRIC, codes, factors, rng=0, **SMALL)
    assert outcome.matrix[0, 0] == 0
    assert outcome.matrix[0, 1] > 0


def test_other_rows_score_than_those_fitted_on():
    """On few rows of noise the classifier learns the rows, and only held-out ones tell."""
    found = {"default": [], "higgins2017": []}
    for seed in range(12):
        rng = np.random.default_rng(seed)
        factors, codes = rng.integers(3, size=(60, 2)), rng.normal(size=(60, 6))
        for protocol, scores in found.items():
            sizes = {"train": 300, "evaluate": 300}
            scores.append(higgins(codes, factors, rng=seed, protocol=protocol, **sizes))
    assert np.mean(found["higgins2017"]) > 0.6
    error = np.std(found["default"]) / np.sqrt(12)
    assert abs(np.mean(found["default"]) - 0.5) < 4 * error + 0.02


def test_breakdown():
    """The last factor has one row that differs: a batch that shares its value shares nothing."""
    rng = np.random.default_rng(0)
    values = np.hstack([rng.integers(4, size=(600, 2)), np.arange(600)[:, None] == 17])
    outcome = measure(METRIC, values[:, :2], values, rng=0, **SMALL)
    np.testing.assert_array_equal(outcome.per_factor, 1)
    assert outcome.matrix.shape == (2, 3)
    assert outcome.matrix[0, 0] == outcome.matrix[1, 1] == 0
    np.testing.assert_allclose(outcome.matrix.mean(axis=1), 1)


@pytest.mark.parametrize(("name", "values"), repeats("ubisoft", "z_diff", fast="fixed_b"))
def test_the_distribution_of_ubisoft(name, values):
    """Their stream of random numbers is another one: five standard errors of both means."""
    codes, factors = arrays(name)
    found = [measure(METRIC, codes, factors, protocol="ubisoft", rng=s).value for s in range(3)]
    assert abs(np.mean(found) - np.mean(values)) < tolerance(found, values, 5000)


def test_no_points():
    with pytest.raises(ValueError, match="points must be at least 1; got 0"):
        z_diff(*GOOD, 0, 1, rng=0)
