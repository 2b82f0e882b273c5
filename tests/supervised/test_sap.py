"""Separated attribute predictability: laws, loops over rows left out, numpy, scikit-learn."""

import warnings

import numpy as np
import pytest
from golden import arrays, records, small
from golden_split import both
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import trapezoid
from scipy.stats import linregress, norm, rankdata
from sklearn.svm import LinearSVC
from strategies import rngs

from disentangle_indicators.factors import as_table
from disentangle_indicators.rotation._orthogonal import givens
from disentangle_indicators.supervised._metric import measure
from disentangle_indicators.supervised.sap import (
    METRIC,
    _by_neighbours,
    r_squared_matrix,
    sap,
)

PUBLISHED = "locatello2019-continuous"


@st.composite
def tables(draw, max_n=200, max_d=5, max_k=4):
    """Codes (n, d) that know something of numeric factors (n, K)."""
    rng = draw(rngs)
    n, d, k = draw(st.integers(3, max_n)), draw(st.integers(1, max_d)), draw(st.integers(1, max_k))
    factors = rng.normal(size=(n, k)) * np.exp(rng.uniform(-3, 3, k)) + rng.normal(size=k)
    return factors @ rng.normal(size=(k, d)) + rng.normal(size=(n, d)), factors


@given(tables(), rngs)
def test_order_and_affine_maps_of_latents_and_factors_do_not_matter(table, rng):
    codes, factors = table
    d, k = codes.shape[1], factors.shape[1]
    scales = [rng.choice([-1, 1], size) * np.exp(rng.uniform(-3, 3, size)) for size in (d, k)]
    moved = [
        array[:, rng.permutation(array.shape[1])] * scale + rng.normal(size=scale.shape)
        for array, scale in zip((codes, factors), scales, strict=True)
    ]
    for protocol in ("default", PUBLISHED):
        expected = pytest.approx(sap(codes, factors, protocol=protocol), abs=1e-9)
        assert sap(*moved, protocol=protocol) == expected


@given(tables(), rngs)
def test_monotone_maps_do_not_matter_by_default(table, rng):
    codes, factors = table
    expected = pytest.approx(sap(codes, factors), abs=1e-9)
    assert sap(np.arctan(codes / np.abs(codes).max()), factors) == expected
    assert sap(codes, np.sign(factors) * factors**2) == expected


@given(tables(), rngs)
def test_order_of_rows_and_copies_do_not_matter(table, rng):
    codes, factors = table
    rows = rng.permutation(len(codes))
    assert sap(codes[rows], factors[rows]) == pytest.approx(sap(codes, factors), abs=1e-9)
    rows = np.tile(rows, 2)
    assert sap(codes[rows], factors[rows], protocol=PUBLISHED) == pytest.approx(
        sap(codes, factors, protocol=PUBLISHED), abs=1e-9
    )


@given(tables())
def test_numpy_agrees_and_bounds_hold(table):
    codes, factors = table
    d = codes.shape[1]
    expected = np.corrcoef(codes, factors, rowvar=False)[:d, d:] ** 2
    found = r_squared_matrix(codes, factors)
    np.testing.assert_allclose(found, expected, atol=1e-10)
    top = np.sort(np.vstack([np.zeros(factors.shape[1]), found]), axis=0)
    for protocol in (PUBLISHED, "ubisoft"):
        value = sap(codes, factors, protocol=protocol)
        assert value == pytest.approx(np.mean(top[-1] - top[-2]), abs=1e-12)
    assert 0 <= sap(codes, factors) <= 1


def left_out(near, target):
    """1 - errors of means over near(rows, row) / errors of the mean of the other rows, by loops.

    A mean of m rows misses a row by 1 + 1 / m of the variance, which is taken off.
    """
    n = len(target)
    errors, of_mean = 0.0, 0.0
    for row in range(n):
        rows = np.delete(np.arange(n), row)
        few = near(rows, row)
        errors += np.sum((target[row] - target[few].mean(axis=0)) ** 2) / (1 + 1 / len(few))
        of_mean += np.sum((target[row] - target[rows].mean(axis=0)) ** 2) / (1 + 1 / len(rows))
    return 1 - errors / of_mean


@given(rngs, st.integers(4, 30))
def test_numbers_by_the_slope_of_ranks(rng, n):
    factor = rng.integers(5, size=n) + np.arange(n) % 2
    codes = np.round(factor[:, None] + rng.normal(size=(n, 2)), 1)
    y = rankdata(factor)
    expected = []
    for x in rankdata(codes, axis=0).T:
        chance = x.var() / y.var() / (n - 1)
        square = linregress(y, x).slope ** 2
        expected.append(max((square - chance) / (1 - chance), 0) if chance < 1 else 0)
    found = measure(METRIC, codes, factor).matrix[:, 0]
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("kind", ["categorical", "circular:5"])
@given(rngs, st.integers(1, 5), st.booleans())
def test_neighbours_with_each_row_left_out(kind, rng, neighbours, ties):
    n = 60
    factor = rng.integers(4, size=n) + np.arange(n) % 2
    codes = factor + rng.normal(size=n)
    codes = np.round(codes) if ties else codes
    angle = 2 * np.pi * factor / 5
    target = np.stack([np.cos(angle), np.sin(angle)], 1)
    target = np.eye(5)[factor] if kind == "categorical" else target
    few = max(neighbours, 2)

    def near(rows, row):
        same = np.sum(codes[rows] == codes[row])
        aside = -(-max(few - same, 0) // 2)  # on each side, with all rows of the same code
        below = np.sort(codes[rows][codes[rows] < codes[row]])
        above = np.sort(codes[rows][codes[rows] > codes[row]])
        low = below[max(len(below) - aside, 0)] if aside and len(below) else codes[row]
        high = above[min(aside, len(above)) - 1] if aside and len(above) else codes[row]
        return rows[(codes[rows] >= low) & (codes[rows] <= high)]

    table = as_table(factor, n, kinds=[kind])
    outcome = measure(METRIC, codes[:, None], table, neighbours=neighbours)
    assert outcome.matrix[0, 0] == pytest.approx(max(left_out(near, target), 0), abs=1e-9)


@pytest.mark.parametrize("degrees", [0, 10, 30, 45, 60, 90])
def test_two_latents_that_are_turned(degrees):
    """Uncorrelated factors of equal variance: R^2 is cos^2 and sin^2 of the angle."""
    factors = np.stack([g.ravel() for g in np.meshgrid(np.arange(5), np.arange(5))], axis=1)
    codes = factors @ givens(2, 0, 1, np.radians(degrees)).T
    expected = abs(np.cos(2 * np.radians(degrees)))
    assert sap(codes, factors, protocol=PUBLISHED) == pytest.approx(expected, abs=1e-12)
    uniform = np.random.default_rng(0).random((3000, 2))
    turned = uniform @ givens(2, 0, 1, np.radians(degrees)).T
    assert sap(turned, uniform) == pytest.approx(expected, abs=0.05)


def test_classes_and_angles_need_no_line():
    rng = np.random.default_rng(0)
    factor = rng.integers(8, size=4000)
    order = np.array([3, 0, 5, 1, 7, 2, 6, 4])[factor]
    codes = np.stack([order + 0.1 * rng.normal(size=4000), rng.normal(size=4000)], axis=1)
    for kind in ("categorical", "circular"):
        table = as_table(factor, 4000, kinds=[kind])
        assert sap(codes, table) == pytest.approx(1, abs=0.03)
    assert sap(codes, factor, protocol="ubisoft") < 0.3
    assert sap(codes, factor, protocol="locatello2019") < 0.35
    # the cosine of an angle says half of where it is
    angle = 2 * np.pi * factor[:, None] / 8
    table = as_table(factor, 4000, kinds=["circular"])
    assert sap(np.cos(angle).round(9), table) == pytest.approx(0.5, abs=0.01)


def test_outliers_do_little_by_default():
    rng = np.random.default_rng(0)
    factors = rng.integers(5, size=(2000, 2))
    codes = factors + 0.2 * rng.normal(size=(2000, 2))
    spoiled = codes.copy()
    spoiled[:3] = 1e4
    assert sap(spoiled, factors) == pytest.approx(sap(codes, factors), abs=0.02)
    assert sap(spoiled, factors, protocol="ubisoft") < 0.1


@pytest.mark.parametrize("ties", [False, True])
def test_noise_explains_nothing_on_average(ties):
    """Of 60 rows, by six neighbours or by all rows of the same code, over 2,000 draws."""
    rng = np.random.default_rng(0)
    target = np.eye(9)[rng.integers(9, size=60)]
    codes = [rng.normal(size=60) for _ in range(2000)]
    codes = [np.round(2 * z) for z in codes] if ties else codes
    found = [_by_neighbours(z, target, 6) for z in codes]
    error = np.std(found, ddof=1) / np.sqrt(2000)
    assert abs(np.mean(found)) < 5 * error < 0.01


@pytest.mark.parametrize("n", [500, 4000])
def test_classes_are_not_marked_down_by_the_number_of_neighbours(n):
    """R^2 of a class that moves a Gaussian latent by one half is 0.0153, and was 0 at any n."""
    found = []
    for seed in range(40_000 // n):
        rng = np.random.default_rng(seed)
        classes = rng.integers(4, size=n)
        latent = 0.5 * (classes == 2) + rng.normal(size=n)
        target = np.eye(4)[classes]
        ordered = np.argsort(latent)
        found.append(_by_neighbours(latent[ordered], target[ordered], 20))
    error = np.std(found, ddof=1) / np.sqrt(len(found))
    assert abs(np.mean(found) - r_squared_of_a_mixture()) < 5 * error
    assert error < 0.003


def r_squared_of_a_mixture():
    """Of the indicators of 4 classes given a latent, N(1/2, 1) in one of them, else N(0, 1)."""
    x = np.linspace(-9, 10, 20_001)
    one, rest = norm.pdf(x, 0.5), norm.pdf(x)
    p = np.stack([one, rest, rest, rest], axis=1) / (one + 3 * rest)[:, None]
    density = (one + 3 * rest) / 4
    return trapezoid(np.sum((p - 0.25) ** 2, axis=1) * density, x) / 0.75


def test_a_factor_of_many_classes():
    """Nine rows a class: twenty neighbours would be of other classes in the most part."""
    rng = np.random.default_rng(0)
    word = rng.integers(700, size=6000)
    latent = rng.permutation(700)[word]
    noise = rng.normal(size=(6000, 2))
    factor = as_table(word, 6000, kinds=["categorical"])
    for code in (latent, latent + 0.01 * rng.normal(size=6000)):
        assert sap(np.column_stack([code, noise]), factor) > 0.8
    assert sap(np.column_stack([latent, noise]), factor) > 0.95


def test_neighbours_are_at_most_half_of_the_average_class():
    rng = np.random.default_rng(0)
    word = as_table(np.arange(120) % 5, 120, kinds=["categorical"])
    code = np.arange(120)[:, None] % 5 + rng.normal(size=(120, 1))
    few, half, more = (
        measure(METRIC, code, word, neighbours=number).matrix[0, 0] for number in (10, 12, 40)
    )
    assert half == more
    assert half != few


def test_one_latent_has_no_second():
    assert sap([[0.0], [1.0], [2.0]], [0, 1, 2]) == pytest.approx(1)


def test_constants():
    rng = np.random.default_rng(0)
    codes, factors = rng.normal(size=(20, 2)), rng.normal(size=(20, 2))
    still = np.full((20, 1), 0.1)  # not a binary fraction: its deviations from the mean are not 0
    more = r_squared_matrix(np.hstack([codes, still]), np.hstack([factors, still]))
    assert np.all(more[2] == 0)
    assert np.all(more[:, 2] == 0)
    for protocol in METRIC.protocols:
        both_more = [np.hstack([codes, still]), np.hstack([factors, still])]
        if protocol != "locatello2019":  # where a guess is right now and then
            assert sap(*both_more, protocol=protocol) == sap(codes, factors, protocol=protocol)
        assert sap(still, factors, protocol=protocol) < 0.5


def test_rows_without_a_value_are_left_out():
    rng = np.random.default_rng(0)
    codes, factor = rng.normal(size=(80, 3)), rng.integers(3, size=80).astype(float)
    codes[:, 0] += factor
    missing = rng.random(80) < 0.3
    fewer = np.where(missing, np.nan, factor)
    for protocol in ("locatello2019", PUBLISHED):
        given = {"protocol": protocol, "order": "as given"}
        expected = pytest.approx(sap(codes[~missing], factor[~missing], **given), abs=1e-12)
        assert sap(codes, fewer, **given) == expected


def test_huge_and_tiny_numbers():
    factors = np.arange(5.0)
    for protocol in ("default", PUBLISHED):
        assert sap(factors[:, None] * 4e307, factors * 1e-300, protocol=protocol) == pytest.approx(
            1
        )
        assert sap(1e12 + factors[:, None], factors, protocol=protocol) == pytest.approx(1)
    with pytest.raises(ValueError, match=r"codes must be no larger than 1e\+20 .* is 4e\+21"):
        sap(factors[:, None] * 1e21, factors, protocol="locatello2019")


def test_the_small_arrays_as_in_disentanglement_lib():
    codes, factors = small()
    score = np.zeros((6, 4))
    for h, z in enumerate(codes.T[:, :, None]):
        for k, v in enumerate(factors.T):
            model = LinearSVC(C=0.01, class_weight="balanced", dual=False)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                score[h, k] = model.fit(z[:200], v[:200]).score(z[200:], v[200:])
    given = {"train": 200, "test": 100, "order": "as given"}
    found = measure(METRIC, codes, factors, protocol="locatello2019", **given)
    np.testing.assert_array_equal(found.matrix, score)
    top = np.sort(score, axis=0)
    assert found.value == pytest.approx(np.mean(top[-1] - top[-2]))


@pytest.mark.parametrize(("name", "value"), records("ubisoft", "sap"))
def test_ubisofts_values(name, value):
    assert sap(*arrays(name), protocol="ubisoft") == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize(("name", "value"), records("disentanglement_lib", "sap_continuous"))
def test_continuous_values_of_disentanglement_lib(name, value):
    assert sap(*arrays(name, 10_000), protocol=PUBLISHED) == pytest.approx(value, abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "value"), records("disentanglement_lib", "sap_discrete"))
def test_values_of_disentanglement_lib(name, value):
    found = sap(*both(name), protocol="locatello2019", order="as given")
    assert found == pytest.approx(value, abs=1.3e-4)


@pytest.mark.parametrize(
    ("codes", "factors", "words"),
    [
        (np.zeros(3), np.arange(3), r"codes must have the shape \(n, d\); the shape is \(3,\)"),
        (np.zeros((3, 1)), np.arange(4), r"factors must have the shape \(3, K\); .* \(4, 1\)"),
        ([[0.0], [np.inf]], [0, 1], r"codes must be finite; codes\[1, 0\] = inf"),
        ([[0.0], [1.0]], [3, 3], "factors must vary; each of the 1 columns"),
    ],
)
def test_refused(codes, factors, words):
    with pytest.raises(ValueError, match=words):
        sap(codes, factors)


@pytest.mark.parametrize(
    ("factors", "words"),
    [
        ([0, np.nan], r"factors must have a value in every row here; factor_0\[1\] has none"),
        (["a", "b"], "factors must be numbers here; factor_0 holds text"),
    ],
)
def test_refused_by_the_matrix(factors, words):
    with pytest.raises(ValueError, match=words):
        r_squared_matrix([[0.0], [1.0]], factors)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"predictor": "tree"}, "predictor must be ranks, line or svm; got 'tree'"),
        ({"neighbours": 0}, "neighbours must be at least 1; got 0"),
        ({"C": 0, "predictor": "svm"}, "C must be positive; got 0"),
    ],
)
def test_parameters_out_of_range(parameters, words):
    with pytest.raises(ValueError, match=words):
        sap([[0.0], [1.0]], [0, 1], **parameters)


def test_codes_that_are_next_to_nothing_do_not_run_for_ever():
    """Liblinear never ends on subnormal numbers; a penalised machine cannot use them anyway."""
    factors = np.array([0, 1, 1, 0, 1, 0, 0, 1])
    codes = np.where(factors, 1e-310, 0.0)[:, None]
    nothing = sap(np.zeros((8, 1)), factors, protocol="locatello2019")
    assert sap(codes, factors, protocol="locatello2019") == nothing
