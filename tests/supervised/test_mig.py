"""The mutual information gap: laws, closed forms, scikit-learn's mutual information as an oracle."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mutual_info_score
from strategies import rngs

from disentangle_indicators.supervised import mig, mutual_information_matrix


@st.composite
def tables(draw, max_n=200, max_d=5, max_k=4):
    """Codes (n, d) that know something of factors (n, K); the first factor is not constant."""
    rng = draw(rngs)
    n, d, k = draw(st.integers(4, max_n)), draw(st.integers(1, max_d)), draw(st.integers(1, max_k))
    factors = rng.integers(rng.integers(1, 7, size=k), size=(n, k))
    factors[:, 0] = np.arange(n) % 3
    codes = factors @ rng.normal(size=(k, d)) + rng.normal(size=(n, d)) * np.exp(
        rng.normal(size=d)
    )
    return codes, factors


def signed_permutation(rng, d):
    return np.eye(d)[rng.permutation(d)] * rng.choice([-1.0, 1.0], size=d)


@given(tables(), rngs, st.integers(1, 30))
def test_order_and_signs_of_latents_do_not_matter(table, rng, bins):
    codes, factors = table
    moved = codes @ signed_permutation(rng, codes.shape[1])
    assert mig(moved, factors, bins=bins) == pytest.approx(
        mig(codes, factors, bins=bins), abs=1e-9
    )


@given(tables(), rngs)
def test_order_of_rows_and_factors_and_names_of_values_do_not_matter(table, rng):
    codes, factors = table
    rows, columns = rng.permutation(len(codes)), rng.permutation(factors.shape[1])
    names = rng.permutation(100)
    expected = pytest.approx(mig(codes, factors), abs=1e-12)
    assert mig(codes[rows], factors[rows]) == expected
    assert mig(codes, names[factors][:, columns]) == expected
    assert mig(codes, factors.astype(str)) == expected


@given(tables(), st.integers(-8, 8))
def test_scale_and_copies_do_not_matter(table, power):
    codes, factors = table
    expected = pytest.approx(mig(codes, factors), abs=1e-12)
    assert mig(codes * 2.0**power, factors) == expected
    assert mig(np.tile(codes, (3, 1)), np.tile(factors, (3, 1))) == expected


@given(tables(), st.integers(1, 30))
def test_bounds(table, bins):
    codes, factors = table
    information = mutual_information_matrix(codes, factors, bins)
    assert np.all(information >= 0)
    assert np.all(information <= np.log(bins) + 1e-12)
    assert 0 <= mig(codes, factors, bins=bins) <= 1


@given(tables(), st.integers(1, 30))
def test_scikit_learn_agrees(table, bins):
    codes, factors = table
    edges = [np.histogram(z, bins)[1][:-1] for z in codes.T]
    binned = [np.digitize(z, e) for z, e in zip(codes.T, edges, strict=True)]
    expected = [[mutual_info_score(b, v) for v in factors.T] for b in binned]
    found = mutual_information_matrix(codes, factors, bins)
    np.testing.assert_allclose(found, np.maximum(expected, 0), atol=1e-12)
    entropy = np.array([mutual_info_score(v, v) for v in factors.T])
    top = np.sort(np.vstack([np.zeros(len(entropy)), found]), axis=0)
    gaps = (top[-1] - top[-2])[entropy > 0] / entropy[entropy > 0]
    assert mig(codes, factors, bins=bins) == pytest.approx(np.mean(gaps), abs=1e-12)


@pytest.mark.parametrize("bins", [1, 2, 7, 20])
def test_values_on_edges_fall_where_numpy_puts_them(bins):
    codes = np.arange(57)[:, None] * 0.1
    rows = np.arange(57)
    binned = np.digitize(codes[:, 0], np.histogram(codes, bins)[1][:-1])
    expected = mutual_info_score(binned, rows)
    assert mutual_information_matrix(codes, rows, bins)[0, 0] == pytest.approx(expected, abs=1e-12)


def grid(*sizes):
    return np.stack([g.ravel() for g in np.meshgrid(*map(np.arange, sizes))], axis=1)


def test_a_perfect_code():
    factors = grid(3, 4, 5)
    assert mig(factors, factors) == pytest.approx(1, abs=1e-12)
    assert mig(np.hstack([factors, factors]), factors) == pytest.approx(0, abs=1e-12)


def test_more_values_than_bins_cap_it():
    factor = np.arange(40)
    assert mig(factor[:, None], factor, bins=20) == pytest.approx(np.log(20) / np.log(40))


def test_two_factors_in_one_latent():
    factors = grid(2, 4)
    code = (factors[:, 0] * 4 + factors[:, 1])[:, None]
    information = mutual_information_matrix(code, factors)
    np.testing.assert_allclose(information, np.log([[2, 4]]))


def test_one_latent_has_no_second():
    factors = grid(3, 3)
    assert mig(factors[:, :1], factors) == pytest.approx(0.5)


def test_constant_latents_know_nothing():
    factors = grid(3, 4)
    codes = np.hstack([factors, np.full((12, 2), 7.0)])
    assert mig(codes, factors) == pytest.approx(1, abs=1e-12)
    assert np.all(mutual_information_matrix(codes, factors)[2:] == 0)
    assert mig(np.full((12, 1), 7.0), factors) == 0


def test_constant_factors_are_left_out():
    factors = grid(3, 4)
    more = np.hstack([factors, np.full((12, 1), 7)])
    codes = factors + 0.3 * factors[:, ::-1]
    assert mig(codes, more) == mig(codes, factors)
    assert mutual_information_matrix(codes, more)[:, 2].tolist() == [0, 0]


def test_huge_and_tiny_codes():
    factors = grid(3, 4)
    assert mig((factors - 1.5) * 1e308 / 1.5, factors) == pytest.approx(1, abs=1e-12)
    assert mig(factors * 5e-324, factors) == pytest.approx(1, abs=1e-12)


def test_many_cells_are_counted_in_blocks(monkeypatch):
    rng = np.random.default_rng(0)
    codes, factors = rng.normal(size=(300, 7)), rng.integers(9, size=(300, 2))
    expected = mutual_information_matrix(codes, factors)
    # the package exports a function of the same name as the module
    monkeypatch.setitem(mig.__globals__, "_CELLS", 2 * 20 * 9)
    np.testing.assert_array_equal(mutual_information_matrix(codes, factors), expected)


@pytest.mark.parametrize(
    ("codes", "factors", "words"),
    [
        (np.zeros(3), np.arange(3), r"codes must have the shape \(n, d\); the shape is \(3,\)"),
        (np.zeros((0, 2)), np.zeros((0, 1)), r"codes must have .* the shape is \(0, 2\)"),
        (np.zeros((3, 1)), np.arange(4), r"factors must have the shape \(3, K\); .* \(4, 1\)"),
        (np.zeros((3, 1)), np.zeros((3, 0)), r"factors must have the shape \(3, K\); .* \(3, 0\)"),
        ([[0.0], [np.nan]], [0, 1], r"codes must be finite; codes\[1, 0\] = nan"),
        ([[0.0], [1.0]], [0, np.inf], r"factors must be finite; factors\[1, 0\] = inf"),
        ([[0.0], [1.0]], [3, 3], "factors must vary"),
        ([[0.0], [1.0]], [None, 3], "factors must be numbers or strings; the dtype is object"),
    ],
)
def test_refused(codes, factors, words):
    with pytest.raises(ValueError, match=words):
        mig(codes, factors)


def test_no_bins():
    with pytest.raises(ValueError, match="bins must be at least 1; got 0"):
        mig([[0.0], [1.0]], [0, 1], bins=0)
