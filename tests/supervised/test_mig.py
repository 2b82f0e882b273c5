"""The mutual information gap: laws, closed forms, scikit-learn's mutual information as an oracle."""

import numpy as np
import pytest
from golden import arrays, information, records, small
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mutual_info_score
from sklearn.metrics.cluster import contingency_matrix, expected_mutual_information
from strategies import rngs

from disentangle_indicators.factors import as_table
from disentangle_indicators.rotation._orthogonal import givens
from disentangle_indicators.supervised import _information as info
from disentangle_indicators.supervised._metric import measure
from disentangle_indicators.supervised.mig import (
    METRIC,
    PROTOCOLS,
    mig,
    mutual_information_matrix,
)

PUBLISHED = "locatello2019"


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


@given(tables(), rngs, st.integers(1, 30), st.sampled_from(list(PROTOCOLS)))
def test_order_and_signs_of_latents_do_not_matter(table, rng, bins, protocol):
    codes, factors = table
    moved = codes @ signed_permutation(rng, codes.shape[1])
    assert mig(moved, factors, protocol=protocol, bins=bins) == pytest.approx(
        mig(codes, factors, protocol=protocol, bins=bins), abs=1e-9
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


@given(tables(), st.integers(-8, 8), st.sampled_from(list(PROTOCOLS)))
def test_scale_and_copies_do_not_matter(table, power, protocol):
    codes, factors = table
    expected = pytest.approx(mig(codes, factors, protocol=protocol), abs=1e-12)
    assert mig(codes * 2.0**power, factors, protocol=protocol) == expected
    twice = np.tile(codes, (2, 1)), np.tile(factors, (2, 1))
    expected = pytest.approx(mig(codes, factors, protocol=protocol, adjust=False), abs=1e-12)
    assert mig(*twice, protocol=protocol, adjust=False) == expected


@given(tables())
def test_monotone_maps_do_not_matter_by_default(table):
    codes, factors = table
    moved = np.arctan(codes / np.abs(codes).max(axis=0)) ** 3
    assert mig(moved, factors) == pytest.approx(mig(codes, factors), abs=1e-9)


@given(tables(), st.integers(1, 30), st.sampled_from(["width", "count"]))
def test_bounds(table, bins, code_bins):
    codes, factors = table
    table = mutual_information_matrix(codes, factors, bins=bins, code_bins=code_bins)
    most = bins * -(-max(6, bins) // bins) if code_bins == "count" else bins
    assert np.all(table >= 0)
    assert np.all(table <= np.log(most) + 1e-12)
    assert 0 <= mig(codes, factors, bins=bins, code_bins=code_bins) <= 1


@given(tables(), st.integers(1, 30))
def test_scikit_learn_agrees(table, bins):
    codes, factors = table
    edges = [np.histogram(z, bins)[1][:-1] for z in codes.T]
    binned = [np.digitize(z, e) for z, e in zip(codes.T, edges, strict=True)]
    expected = [[mutual_info_score(b, v) for v in factors.T] for b in binned]
    found = mutual_information_matrix(codes, factors, protocol=PUBLISHED, bins=bins)
    np.testing.assert_allclose(found, np.maximum(expected, 0), atol=1e-12)
    entropy = np.array([mutual_info_score(v, v) for v in factors.T])
    top = np.sort(np.vstack([np.zeros(len(entropy)), found]), axis=0)
    gaps = (top[-1] - top[-2])[entropy > 0] / entropy[entropy > 0]
    value = mig(codes, factors, protocol=PUBLISHED, bins=bins)
    assert value == pytest.approx(np.mean(gaps), abs=1e-12)


@given(tables(), st.integers(1, 30))
def test_bins_of_equal_counts_by_quantiles(table, bins):
    """Codes without ties: each bin is the rows between two ranks."""
    codes, factors = table
    ranks = np.argsort(np.argsort(codes, axis=0), axis=0)
    n = len(codes)
    wanted = bins * max(1, -(-(int(factors.max()) + 1) // bins))
    if n % wanted == 0:  # else a row may be on the edge of two bins
        expected = [[mutual_info_score(r * wanted // n, v) for v in factors.T] for r in ranks.T]
        found = mutual_information_matrix(codes, factors, bins=bins)
        np.testing.assert_allclose(found, np.maximum(expected, 0), atol=1e-12)


@pytest.mark.parametrize("bins", [1, 2, 7, 20])
def test_values_on_edges_fall_where_numpy_puts_them(bins):
    codes = np.arange(57)[:, None] * 0.1
    rows = np.arange(57)
    binned = np.digitize(codes[:, 0], np.histogram(codes, bins)[1][:-1])
    expected = mutual_info_score(binned, rows)
    found = mutual_information_matrix(codes, rows, protocol=PUBLISHED, bins=bins)
    assert found[0, 0] == pytest.approx(expected, abs=1e-12)


def grid(*sizes):
    return np.stack([g.ravel() for g in np.meshgrid(*map(np.arange, sizes))], axis=1)


def test_a_perfect_code():
    factors = grid(3, 4, 5)
    assert mig(factors, factors) == pytest.approx(1, abs=1e-12)
    assert mig(np.hstack([factors, factors]), factors) == pytest.approx(0, abs=1e-12)


def test_more_values_than_bins_cap_only_the_published_one():
    factor = np.arange(80) // 2
    capped = mig(factor[:, None], factor, protocol=PUBLISHED)
    assert capped == pytest.approx(np.log(20) / np.log(40))
    assert mig(factor[:, None], factor) == pytest.approx(1)


def test_a_perfect_code_of_dsprites():
    """Values 3, 6, 40, 32, 32 and five latents that know nothing: noise, then constants."""
    rng = np.random.default_rng(0)
    factors = np.stack([rng.integers(m, size=10_000) for m in (3, 6, 40, 32, 32)], axis=1)
    noise = np.hstack([factors, rng.normal(size=(10_000, 5))])
    assert mig(noise, factors) == pytest.approx(1, abs=0.02)
    assert mig(noise, factors, protocol=PUBLISHED) == pytest.approx(0.89, abs=0.01)
    balanced = grid(3, 40)
    constants = np.hstack([balanced, np.zeros((120, 5))])
    assert mig(constants, balanced) == pytest.approx(1, abs=1e-12)
    gap = (1 + np.log(20) / np.log(40)) / 2
    assert mig(constants, balanced, protocol=PUBLISHED) == pytest.approx(gap)


def test_a_perfect_code_of_a_measurement_beside_many_classes():
    """The bins of the codes are within those of the measurement, though classes need more."""
    factors = np.stack([np.random.default_rng(0).normal(size=960), np.arange(960) % 32], axis=1)
    information = mutual_information_matrix(factors, factors)
    assert information[0, 0] == pytest.approx(np.log(20))
    assert information[1, 1] == pytest.approx(np.log(32))


def test_outliers_move_the_published_one_only():
    rng = np.random.default_rng(0)
    factors = np.stack([rng.integers(m, size=4000) for m in (3, 6, 10)], axis=1)
    codes = factors + 0.1 * rng.normal(size=factors.shape)
    far = codes.copy()
    far[:5] *= 80
    assert mig(far, factors) == pytest.approx(mig(codes, factors), abs=0.01)
    published = mig(codes, factors, protocol=PUBLISHED) - mig(far, factors, protocol=PUBLISHED)
    assert published > 0.3


def test_what_bins_of_equal_counts_make_of_a_code_that_is_nearly_perfect():
    """The numbers of the docstring: they cut across values, and see any order within them."""
    rng = np.random.default_rng(0)
    factors = rng.integers(10, size=(2000, 2))
    exact = (factors - factors.mean(axis=0)) / factors.std(axis=0)
    noisy = exact + 0.01 * rng.standard_normal(exact.shape)
    turned = exact @ givens(2, 0, 1, np.radians(0.2)).T
    far = np.vstack([50 * noisy[:5], noisy[5:]])

    def scores(**changes):
        return [mig(codes, factors, **changes) for codes in (exact, noisy, turned, far)]

    assert scores() == pytest.approx([1.000, 0.922, 0.644, 0.917], abs=2e-3)
    assert scores(bins=100) == pytest.approx([1.000, 0.977, 0, 0.975], abs=2e-3)
    assert scores(protocol=PUBLISHED) == pytest.approx([0.994, 0.992, 0.994, 0], abs=2e-3)


def test_a_factor_of_many_classes():
    """700 words: nothing of a word is in 4 latents of noise, which share 4.3 of 6.5 nats by chance."""
    rng = np.random.default_rng(0)
    word, other = rng.integers(700, size=6000), rng.integers(5, size=6000)
    codes = np.stack([rng.permutation(700)[word], other + 0.05 * rng.normal(size=6000)], axis=1)
    codes = np.hstack([codes, rng.normal(size=(6000, 3))])
    factors = as_table(np.stack([word, other], 1), 6000, kinds=["categorical", "ordinal"])
    found = measure(METRIC, codes, factors)
    assert found.matrix[0, 0] == pytest.approx(entropy_of(*np.bincount(word)))
    assert found.per_factor[0] == pytest.approx(1, abs=0.01)
    assert found.per_factor[1] == pytest.approx(mig(codes, other), abs=1e-12)
    assert found.per_factor[1] > 0.95
    assert measure(METRIC, codes, factors, adjust=False).per_factor[0] < 0.4


@given(rngs, st.integers(20, 80), st.integers(2, 6))
def test_adjusted_shares_are_those_of_scikit_learn(rng, n, bins):
    """Its adjusted information with the entropy of the factor below, where it takes a mean of both."""
    codes, factor = rng.integers(bins, size=(n, 3)), rng.integers(4, size=n)
    factor[:2] = [0, 1]
    found = measure(METRIC, codes.astype(float), factor).matrix[:, 0]
    entropy = entropy_of(*np.bincount(factor)[np.bincount(factor) > 0])
    for cell, value in zip(codes.T, found, strict=True):
        chance = expected_mutual_information(contingency_matrix(factor, cell), n)
        share = (mutual_info_score(factor, cell) - chance) / (entropy - chance)
        assert value == pytest.approx(entropy * max(share, 0), abs=1e-9)


def test_noise_knows_nothing():
    rng = np.random.default_rng(0)
    assert mig(rng.normal(size=(2000, 5)), rng.integers(4, size=(2000, 3))) < 0.02


@given(tables(), rngs)
def test_rows_without_a_value_are_left_out(table, rng):
    """Of one factor it is as if they were not there, but for the bins of the codes."""
    codes, factors = table
    values = factors[:, 0].astype(float)
    missing = rng.random(len(values)) < 0.3
    missing[:4] = False
    values[missing] = np.nan
    cells = np.round(codes)
    found = mutual_information_matrix(cells, values, bins=1000)
    kept = mutual_information_matrix(cells[~missing], values[~missing], bins=1000)
    np.testing.assert_allclose(found, kept, atol=1e-12)
    assert 0 <= mig(codes, values) <= 1


def test_missing_text_and_other_kinds():
    words = np.array([["a", "x"], ["b", ""], ["a", "y"], ["b", "x"], ["", "y"], ["a", "x"]])
    codes = np.array([[0.0], [1], [0], [1], [1], [0]])
    assert mutual_information_matrix(codes, words)[0, 0] == pytest.approx(entropy_of(3, 2))
    angle = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    assert mig(angle[:, None], angle) == pytest.approx(1)


def entropy_of(*counts):
    p = np.array(counts) / sum(counts)
    return -np.sum(p * np.log(p))


def plain(codes, factors, bins, factor_bins=None, by_code=False):
    """Chen et al.'s eq. (6) by counting."""
    mutual, h_codes, h_factors, _ = information(codes, factors, bins, factor_bins)
    scale = h_codes[:, None] if by_code else h_factors
    with np.errstate(invalid="ignore"):
        top = np.sort(mutual / scale, axis=0)
    return float(np.mean(top[-1] - top[-2]))


def test_the_small_arrays():
    codes, factors = small()
    moving = codes[:, :5]
    expected = plain(moving, factors, 20)
    assert mig(codes, factors, protocol=PUBLISHED) == pytest.approx(expected, abs=1e-12)
    expected = plain(moving, factors, 20, 20)
    assert mig(codes, factors, protocol="dent") == pytest.approx(expected, abs=1e-12)
    expected = plain(moving, factors, 10, 10, by_code=True)
    assert mig(codes, factors, protocol="ubisoft") == pytest.approx(expected, abs=1e-12)
    assert np.isnan(plain(codes, factors, 10, 10, by_code=True))  # as it is there


@pytest.mark.parametrize(("name", "value"), records("disentanglement_lib", "mig"))
def test_disentanglement_lib(name, value):
    assert mig(*arrays(name, 10_000), protocol=PUBLISHED) == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize(("name", "value"), records("ubisoft", "mig_rmig"))
def test_ubisoft(name, value):
    assert mig(*arrays(name), protocol="ubisoft") == pytest.approx(value, abs=1e-9)


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
    monkeypatch.setattr(info, "_CELLS", 2 * 20 * 9)
    np.testing.assert_array_equal(mutual_information_matrix(codes, factors), expected)


@pytest.mark.parametrize(
    ("codes", "factors", "words"),
    [
        (np.zeros(3), np.arange(3), r"codes must have the shape \(n, d\); the shape is \(3,\)"),
        (np.zeros((0, 2)), np.zeros((0, 1)), r"codes must have .* the shape is \(0, 2\)"),
        (np.zeros((3, 1)), np.arange(4), r"factors must have the shape \(3, K\); .* \(4, 1\)"),
        (np.zeros((3, 1)), np.zeros((3, 0)), r"factors must have the shape \(3, K\); .* \(3, 0\)"),
        ([[0.0], [np.nan]], [0, 1], r"codes must be finite; codes\[1, 0\] = nan"),
        ([[0.0], [1.0]], [0, np.inf], r"factors must be finite or nan; factor_0\[1\] = inf"),
        ([[0.0], [1.0]], [3, 3], "factors must vary"),
        ([[0.0], [1.0]], [3, np.nan], "factors must vary"),
        ([[0.0], [1.0]], [None, 3], "factors must vary"),
        ([[0.0], [1.0]], [{}, 3], r"factors must be numbers or text; factor_0\[0\] is a dict"),
    ],
)
def test_refused(codes, factors, words):
    with pytest.raises(ValueError, match=words):
        mig(codes, factors)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"bins": 0}, "^bins must be at least 1; got 0"),
        ({"factor_bins": 0}, "factor_bins must be at least 1; got 0"),
        ({"code_bins": "even"}, "code_bins must be width or count; got 'even'"),
        ({"divide_by": None}, "divide_by must be factor or code; got None"),
        ({"bin": 3}, "no parameter of mig is called 'bin'; there is bins"),
        ({"protocol": "best"}, "protocol must be one of default, locatello2019, .* got 'best'"),
    ],
)
def test_parameters_out_of_range(parameters, words):
    with pytest.raises(ValueError, match=words):
        mig([[0.0], [1.0]], [0, 1], **parameters)
