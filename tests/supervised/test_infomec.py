"""InfoMEC: neighbours by loops and by scikit-learn, and what noise scores."""

import warnings

import numpy as np
import pytest
from golden import arrays, records, small
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import digamma
from sklearn.feature_selection import mutual_info_classif
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, mutual_info_score
from strategies import rngs

from disentangle_indicators.supervised._metric import measure
from disentangle_indicators.supervised.infomec import METRIC, infomec, neighbour_information


def by_loops(x, y, neighbours):
    """Ross (2014) for one column."""
    kept = np.array([np.sum(y == c) > 1 for c in y])
    x, y = x[kept], y[kept]
    terms = []
    for i in range(len(x)):
        distance = np.abs(x - x[i])
        same = np.sort(np.delete(distance, i)[np.delete(y, i) == y[i]])
        k = min(neighbours, len(same))
        near = max(np.sum(distance < same[k - 1]), 1)
        terms.append(digamma(k) - digamma(len(same) + 1) - digamma(near))
    return digamma(len(x)) + np.mean(terms) if len(x) else 0.0


@given(rngs, st.integers(1, 60), st.integers(1, 8), st.integers(1, 12))
def test_neighbours_by_loops(rng, n, classes, neighbours):
    y = rng.integers(classes, size=n)
    x = rng.normal(size=(n, 2)) + rng.integers(2) * y[:, None]
    expected = [by_loops(column, y, neighbours) for column in x.T]
    found = neighbour_information(x, y, neighbours)
    np.testing.assert_allclose(found, expected, atol=1e-12)


@given(rngs, st.integers(2, 40))
def test_distances_that_are_equal(rng, n):
    """On a grid the edge is shared; the floats of the differences decide, as by loops."""
    x = rng.permutation(200)[:n] * 0.1
    y = rng.integers(2, size=n)
    found = neighbour_information(x[:, None], y, 3)[0]
    assert found == pytest.approx(by_loops(x, y, 3), abs=1e-12)


def test_scikit_learn_agrees():
    rng = np.random.default_rng(0)
    y = rng.integers(12, size=500)
    y[0] = 12
    x = 0.3 * y[:, None] + rng.normal(size=(500, 3)) * [0.1, 1, 10]
    expected = mutual_info_classif(x, y, n_neighbors=10, random_state=0)
    found = np.maximum(neighbour_information(x, y, 10), 0)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def explicit(codes, factors, c=np.inf):
    """In-sample losses of a classifier without a penalty, or with one, over those of a guess."""
    spread = codes.std(axis=0)
    x = (codes - codes.mean(axis=0)) / np.where(spread > 0, spread, 1)
    out = []
    for v in factors.T:
        model = LogisticRegression(C=c, class_weight="balanced")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(x, v)
        loss = log_loss(v, model.predict_proba(x))
        out.append(1 - loss / np.log(len(np.unique(v))))
    return np.mean(out)


def test_the_small_arrays():
    codes, factors = small()
    rows = np.flatnonzero((factors[:, 0] > 0) | (np.arange(300) % 3 == 0))  # unbalanced
    codes, factors = codes[rows, :5] * [1, 1, 1, 1, 1e-3], factors[rows, :2]
    outcome = measure(METRIC, codes, factors, protocol="hsu2023")
    nmi = [mutual_info_classif(codes, v, n_neighbors=10, random_state=0) for v in factors.T]
    nmi = np.stack(nmi, axis=1) / [mutual_info_score(v, v) for v in factors.T]
    np.testing.assert_allclose(outcome.matrix, nmi, atol=0.002)  # other jitter
    span = np.ptp(codes, axis=0)
    u = outcome.matrix[span > span.max() / 20]
    ratios = u.max(axis=1) / u.sum(axis=1), u.max(axis=0) / u.sum(axis=0)
    assert outcome.value == pytest.approx(2 * (np.mean(ratios[0]) - 1 / 2))
    d = len(u)
    assert outcome.parts["infoc"] == pytest.approx((np.mean(ratios[1]) - 1 / d) / (1 - 1 / d))
    assert outcome.parts["infoe"] == pytest.approx(explicit(codes, factors), abs=1e-4)


@pytest.mark.parametrize("c", [1.0, 0.01])
def test_the_penalty_is_scikit_learns(c):
    codes, factors = small()
    codes, factors = codes[:, :5], factors[:, :2]
    outcome = measure(METRIC, codes, factors, protocol="hsu2023", C=c)
    assert outcome.parts["infoe"] == pytest.approx(explicit(codes, factors, c), abs=1e-4)


TOLERANCES = {"infom": 2e-5, "infoc": 1e-4, "infoe": 2e-4}


@pytest.mark.slow
@pytest.mark.parametrize("part", TOLERANCES)
@pytest.mark.parametrize("name", ["fixed_a", "btcvae", "fixed_b", "fixed_c"])
def test_published_values(part, name):
    dtype = "float64" if name in ("fixed_a", "btcvae") else "float32"
    stored = {case.values[0]: case.values[1] for case in records("infomec", part, dtype)}
    if "" in stored:
        pytest.skip(f"no golden values: {part} is NOT compared with them")
    outcome = measure(METRIC, *arrays(name, 10_000), protocol="hsu2023")
    found = {"infom": outcome.value} | outcome.parts
    if stored[name] != "nan":
        assert found[part] == pytest.approx(stored[name], abs=TOLERANCES[part])
        return
    # a latent of no information at all is nan there, and even here
    u = outcome.matrix
    assert np.any(u.sum(axis=1) == 0)
    with np.errstate(invalid="ignore"):
        assert np.isnan(np.mean(u.max(axis=1) / u.sum(axis=1)))
    some = u[u.sum(axis=1) > 0]
    shares = np.sum(some.max(axis=1) / some.sum(axis=1)) + (10 - len(some)) / 5
    assert found[part] == pytest.approx((shares / 10 - 1 / 5) / (4 / 5))


def test_noise_looks_modular_unless_it_is_tested():
    rng = np.random.default_rng(0)
    factors = np.stack([rng.integers(m, size=2000) for m in (3, 6, 40)], axis=1)
    codes = rng.normal(size=(2000, 6))
    outcome = measure(METRIC, codes, factors)
    assert outcome.value == outcome.parts["infoc"] == 0
    assert abs(outcome.parts["infoe"]) < 0.02
    published = measure(METRIC, codes, factors, protocol="hsu2023")
    assert published.value > 0.3
    assert published.parts["infoc"] > 0.2


@pytest.mark.slow
def test_noise_seldom_passes():
    rng = np.random.default_rng(1)
    factors = rng.integers([3, 6, 12], size=(300, 3))
    scores = [infomec(rng.normal(size=(300, 4)), factors, max_iter=1) for _ in range(60)]
    assert np.mean(np.array(scores) > 0) < 0.05


def test_dead_latents_are_not_active_by_default():
    rng = np.random.default_rng(0)
    factors = rng.integers(5, size=(2000, 3))
    codes = factors + 0.2 * rng.normal(size=(2000, 3))
    more = np.hstack([codes, rng.normal(size=(2000, 5)), np.zeros((2000, 1))])
    outcome = measure(METRIC, more, factors)
    assert outcome.value == pytest.approx(1)
    assert outcome.parts["infoc"] == pytest.approx(1)
    assert outcome.per_latent.round(3).tolist() == [1] * 3 + [0] * 6


def test_a_latent_of_two_factors():
    rng = np.random.default_rng(0)
    factors = rng.integers(4, size=(4000, 2))
    code = (factors[:, :1] * 4 + factors[:, 1:]) + 0.01 * rng.normal(size=(4000, 1))
    assert infomec(code, factors) == pytest.approx(0, abs=0.02)
    assert measure(METRIC, code, factors).parts["infoc"] == 1  # one latent has it all
    assert infomec(code, factors[:, 0]) == 1  # one factor


def test_monotone_maps_and_outliers_do_little_by_default():
    rng = np.random.default_rng(0)
    factors = rng.integers(5, size=(1000, 2))
    codes = factors @ rng.normal(size=(2, 3)) + 0.3 * rng.normal(size=(1000, 3))
    plain = infomec(codes, factors)
    assert infomec(np.exp(codes), factors) == pytest.approx(plain, abs=1e-12)
    codes[0] = 1e6
    assert infomec(codes, factors) == pytest.approx(plain, abs=0.02)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"neighbours": 0}, "neighbours must be at least 1; got 0"),
        ({"code_scale": "bins"}, "code_scale must be ranks or raw; got 'bins'"),
        ({"null": 1}, "null must be 0, or at least 2 columns; got 1"),
        ({"active": 1}, "active must be at least 0 and less than 1; got 1"),
    ],
)
def test_refused(parameters, words):
    with pytest.raises(ValueError, match=words):
        infomec(np.arange(8.0)[:, None], np.arange(8) % 2, **parameters)
