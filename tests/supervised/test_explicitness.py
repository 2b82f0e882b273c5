"""Explicitness: against scikit-learn's classifiers and curves, and what it does not see."""

import warnings

import numpy as np
import pytest
from golden import arrays, records, small
from golden_split import both, quick
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from strategies import orthogonal, rngs

from disentangle_indicators.supervised._metric import measure
from disentangle_indicators.supervised._softmax import probabilities, scaled, softmax
from disentangle_indicators.supervised.explicitness import METRIC, explicitness

GIVEN = {"order": "as given"}


def area(score, label):
    """Mean over classes that some, not all, rows have."""
    usable = [c for c in range(score.shape[1]) if 0 < np.sum(label == c) < len(label)]
    return np.mean([roc_auc_score(label == c, score[:, c]) for c in usable])


def standardised(codes, train):
    spread = codes[:train].std(axis=0)
    return (codes - codes[:train].mean(axis=0)) / np.where(spread > 0, spread, 1)


def fitted(model, x, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(x, y)


def test_the_small_arrays_as_in_disentanglement_lib():
    codes, factors = small()
    factors = factors[:, :2]
    x = standardised(codes, 200)
    expected = []
    for v in factors.T:
        model = fitted(LogisticRegression(), x[:200], v[:200])
        p = model.predict_proba(x)
        expected.append([area(p[200:], v[200:]), area(p[:200], v[:200])])
    found = measure(METRIC, codes, factors, protocol="locatello2019", train=200, test=100, **GIVEN)
    assert found.value == pytest.approx(np.mean(expected, axis=0)[0], abs=1e-6)
    assert found.parts["train"] == pytest.approx(np.mean(expected, axis=0)[1], abs=1e-6)


def test_the_small_arrays_as_in_ubisofts():
    codes, factors = small()
    span = codes.max(axis=0) - codes.min(axis=0)
    x = (codes - codes.min(axis=0)) / np.where(span > 0, span, 1)
    expected = []
    for v in factors[:, :2].T:
        model = LogisticRegression(class_weight="balanced")
        p = [fitted(model, x, v == c).predict_proba(x)[:, 1] for c in np.unique(v)]
        expected.append(2 * area(np.stack(p, 1) / np.sum(p, axis=0)[:, None], v) - 1)
    found = explicitness(codes, factors[:, :2], protocol="ubisoft")
    assert found == pytest.approx(np.mean(expected), abs=1e-6)


@pytest.mark.parametrize(("name", "value"), quick(records("ubisoft", "explicitness")))
def test_ubisofts_values(name, value):
    codes, factors = arrays(name)
    assert explicitness(codes, factors, protocol="ubisoft") == pytest.approx(value, abs=1e-4)


@pytest.mark.parametrize(
    ("name", "value"), quick(records("disentanglement_lib", "explicitness_train"))
)
def test_values_of_disentanglement_lib_on_the_rows_that_are_fitted(name, value):
    found = explicitness(*arrays(name, 10_000), protocol="locatello2019", test=0, **GIVEN)
    assert found == pytest.approx(value, abs=1e-4)


@pytest.mark.parametrize(
    ("name", "value"), quick(records("disentanglement_lib", "explicitness_test"))
)
def test_values_of_disentanglement_lib(name, value):
    found = explicitness(*both(name), protocol="locatello2019", **GIVEN)
    assert found == pytest.approx(value, abs=1e-4)


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("C", [0.1, 10.0])
def test_scikit_learn_finds_the_same_optimum(C, classes, balanced):
    rng = np.random.default_rng(classes)
    y = np.sort(rng.integers(classes, size=200))
    x = rng.normal(size=(200, 3)) + y[:, None]
    weight = "balanced" if balanced else None
    model = LogisticRegression(C=C, tol=1e-9, max_iter=5000, class_weight=weight).fit(x, y)
    w = softmax(x, y, penalty=1 / C / 200, balanced=balanced, max_iter=5000, tol=1e-9)
    np.testing.assert_allclose(np.exp(probabilities(w, x)), model.predict_proba(x), atol=1e-4)
    expected = log_loss(y, model.predict_proba(x))
    assert -probabilities(w, x)[np.arange(200), y].mean() == pytest.approx(expected, abs=1e-5)


def test_scales():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(50, 3)) @ rng.normal(size=(3, 3)) * [1e300, 1, 1e-300] + [1e300, 5, 0]
    z = np.hstack([z, np.full((50, 1), 0.1)])
    train = np.arange(40)
    whitened = scaled(z, train, "whitened")
    np.testing.assert_allclose(whitened[:40].T @ whitened[:40] / 40, np.eye(3), atol=1e-9)
    standard, ranged = scaled(z, train, "standard"), scaled(z, train, "range")
    np.testing.assert_allclose(standard[:40].std(axis=0), [1, 1, 1, 0])
    assert ranged[:40].min(axis=0).tolist() == [0, 0, 0, 0]
    assert ranged[:40].max(axis=0).tolist() == [1, 1, 1, 0]
    # the least and the greatest of 40 rows are moved to the next ones, whole
    spoiled = z[:, 1:2].copy()
    spoiled[7] = 1e9
    clipped = scaled(spoiled, train, "range", outliers=0.02)
    assert np.sum(clipped[:40] == 0) == np.sum(clipped[:40] == 1) == 2
    assert np.sort(clipped[:40, 0])[20] > 0.1


@given(rngs, st.integers(1, 4))
def test_a_linear_map_of_the_latents_changes_nothing_by_default(rng, d):
    factors = rng.integers(3, size=(150, 2))
    codes = factors @ rng.normal(size=(2, d)) + rng.normal(size=(150, d))
    turned = codes @ orthogonal(rng, d) * 7.0 + 3.0
    plain = explicitness(codes, factors, outliers=0)
    assert explicitness(turned, factors, outliers=0) == pytest.approx(plain, abs=1e-3)


def test_outliers_do_little_by_default():
    rng = np.random.default_rng(0)
    factors = rng.integers(4, size=(3000, 2))
    codes = factors + 0.3 * rng.normal(size=(3000, 2))
    spoiled = codes.copy()
    spoiled[rng.integers(3000, size=2)] = 1e6
    plain = explicitness(codes, factors)
    assert explicitness(spoiled, factors) == pytest.approx(plain, abs=0.005)
    assert explicitness(spoiled, factors, outliers=0) < plain - 0.05


def test_noise_is_at_chance_where_rows_are_left_out():
    rng = np.random.default_rng(0)
    factors, codes = rng.integers(40, size=(1500, 1)), rng.normal(size=(1500, 10))
    outcome = measure(METRIC, codes, factors)
    assert abs(outcome.value) < 0.05
    assert outcome.parts["train"] > 0.25
    assert explicitness(codes, factors, protocol="locatello2019") == pytest.approx(0.5, abs=0.03)


def test_rotations_are_not_seen_and_curves_are():
    rng = np.random.default_rng(0)
    factors = rng.integers(2, size=(3000, 2))
    exclusive = (factors[:, 0] ^ factors[:, 1])[:, None]
    codes = factors + 0.05 * rng.normal(size=(3000, 2))
    turned = codes @ orthogonal(rng, 2)
    assert explicitness(turned, factors) == pytest.approx(explicitness(codes, factors), abs=1e-3)
    assert abs(explicitness(codes, exclusive)) < 0.2


def test_classes_that_rows_lack_are_left_out():
    codes = np.linspace(0, 1, 90)[:, None]
    factor = np.arange(90) * 3 // 90
    # trained on the first two classes, tested on the last one: nothing can be said
    assert explicitness(codes, factor, train=60, test=30, **GIVEN) == 0
    # trained on the first two, tested on the last two: the third looks more like the second
    assert explicitness(codes, factor, train=40, test=50, outliers=0, **GIVEN) == -1
    assert explicitness([[0.0], [1.0]], [0, 1]) == 0


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"train": 0}, "train must be at least 1 row; got 0"),
        ({"test": -1}, "test must be at least 0 rows; got -1"),
        ({"order": "random"}, "order must be shuffled or as given; got 'random'"),
        ({"scale": "none"}, "scale must be whitened, standard or range; got 'none'"),
        ({"outliers": 0.5}, "outliers must be at least 0 and less than 0.5; got 0.5"),
        ({"classifier": "forest"}, "classifier must be softmax or one-vs-rest; got 'forest'"),
        ({"C": 0}, "C must be positive and max_iter at least 1; got 0 and 1000"),
    ],
)
def test_refused(parameters, words):
    with pytest.raises(ValueError, match=words):
        explicitness([[0.0], [1.0], [2.0]], [0, 1, 0], **parameters)
