"""UDR: the same model scores 1, closed forms, and disentanglement_lib's formula by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.linear_model import Lasso
from strategies import encodings, rngs

from disentangle_indicators._errors import Undefined
from disentangle_indicators.unsupervised import MODEL_SELECTION, udr
from disentangle_indicators.unsupervised.udr import PROTOCOLS, SOURCES


def moved(rng, codes):
    """The same codes, with latents in another order and with other signs."""
    d = codes.shape[1]
    order = rng.permutation(d)
    return codes[:, order] * rng.choice([-1.0, 1.0], size=d), order


@given(encodings(min_n=20), rngs)
def test_the_same_model_scores_1(encoding, rng):
    codes = encoding[0] + 1e-3 * rng.normal(size=encoding[0].shape)
    result = udr([codes, moved(rng, codes)[0], moved(rng, codes)[0]])
    np.testing.assert_allclose(result.pairs, 1, atol=1e-9)
    np.testing.assert_allclose(result.scores, 1, atol=1e-9)


@given(st.integers(2, 5), rngs)
def test_monotone_rescaling_of_latents_does_not_matter(d, rng):
    codes = rng.normal(size=(300, d)) @ (np.eye(d) + 0.5 * rng.normal(size=(d, d)))
    other = rng.normal(size=(300, 3)) + codes[:, :1]
    warped = np.sinh(codes) * 10.0 ** rng.integers(-5, 6, size=d)
    assert udr([codes, warped]).scores == pytest.approx([1, 1], abs=1e-9)
    one, two = udr([codes, other]), udr([warped, other])
    np.testing.assert_allclose(one.pairs, two.pairs, atol=1e-9)


@given(rngs)
def test_order_signs_and_order_of_models_do_not_matter(rng):
    models = [
        rng.normal(size=(100, d)) @ rng.normal(size=(d, d)) for d in rng.integers(1, 6, size=4)
    ]
    for protocol in PROTOCOLS:
        first = udr(models, protocol=protocol)
        turned = [moved(rng, z)[0] for z in models]
        np.testing.assert_allclose(udr(turned, protocol=protocol).pairs, first.pairs, atol=1e-3)
        order = rng.permutation(4)
        again = udr([models[i] for i in order], protocol=protocol)
        np.testing.assert_allclose(again.scores, first.scores[order], atol=1e-9)
        if protocol != "duan2020-lasso":
            assert np.all((first.pairs >= 0) & (first.pairs <= 1 + 1e-12))


def test_the_same_model_with_correlated_latents_is_what_the_paper_misses():
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(1000, 3)) + rng.normal(size=(1000, 1))
    models = [codes, -codes[:, ::-1]]
    assert udr(models).scores == pytest.approx([1, 1], abs=1e-12)
    assert udr(models, protocol="duan2020-spearman").scores.max() < 0.6
    lasso = udr(models, protocol="duan2020-lasso").scores
    assert lasso == pytest.approx([0.9, 0.9], abs=1e-3)


def test_uncorrelated_latents():
    codes = np.stack(np.divmod(np.arange(400.0), 20), axis=1)
    models = [codes, -codes[:, ::-1]]
    assert udr(models, protocol="duan2020-spearman").scores == pytest.approx([1, 1], abs=1e-12)
    # the Lasso shrinks weights of 1 by its alpha
    lasso = udr(models, protocol="duan2020-lasso")
    assert lasso.scores == pytest.approx([0.9, 0.9], abs=1e-12)
    assert udr(models, protocol="duan2020-lasso", alpha=0.3).scores == pytest.approx([0.7] * 2)


@pytest.mark.parametrize(
    ("average", "expected"), [("latents", [[1, 2 / 3], [2 / 3, 1]]), ("sides", [[1, 0.75]] * 2)]
)
def test_unequal_numbers_of_latents(average, expected):
    codes = np.stack(np.divmod(np.arange(400.0), 20), axis=1)
    pairs = udr([codes, codes[:, 1:]], average=average).pairs
    expected = np.array(expected)
    expected[1] = expected[0][::-1]
    np.testing.assert_allclose(pairs, expected, atol=1e-12)


def test_a_turn_by_45_degrees():
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(20000, 2))
    turned = codes @ np.array([[1, 1], [-1, 1]]) / np.sqrt(2)
    assert udr([codes, turned], protocol="duan2020-lasso").scores == pytest.approx(
        [(np.sqrt(0.5) - 0.1) / 2] * 2, abs=0.01
    )
    assert udr([codes, turned]).scores == pytest.approx([np.sqrt(0.5) / 2] * 2, abs=0.02)


def by_hand(one, two, similarity):
    """One entry of disentanglement_lib's pairwise scores: its loops, on rows that are given."""
    one, two = ((z - z.mean(axis=0)) / z.std(axis=0) for z in (one, two))
    if similarity == "lasso":
        r = np.abs(Lasso(alpha=0.1).fit(one, two).coef_).T.reshape(one.shape[1], two.shape[1])
    else:
        r = np.array([[abs(spearmanr(a, b)[0]) for b in two.T] for a in one.T])
    sides = []
    for axis in (0, 1):
        total = r.sum(axis=axis)
        top = r.max(axis=axis) ** 2
        sides.append(np.mean(np.divide(top, total, out=np.zeros_like(top), where=total > 0)))
    return np.mean(sides)


@pytest.mark.parametrize("similarity", ["lasso", "spearman"])
def test_the_formula_of_disentanglement_lib(similarity):
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(300, 3))
    models = [shared @ rng.normal(size=(3, 3)) + 0.5 * rng.normal(size=(300, 3)) for _ in "abcd"]
    found = udr(models, protocol=f"duan2020-{similarity}", average="sides")
    expected = np.array([[by_hand(b, a, similarity) for b in models] for a in models])
    np.testing.assert_allclose(found.pairs, expected, atol=1e-6)
    medians = [np.median(np.delete(expected[i], i)) for i in range(4)]
    np.testing.assert_allclose(found.scores, medians, atol=1e-6)


def test_latents_that_tell_little_are_left_out():
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(500, 4)) * [1, 1e-3, 1, 1e-3]
    var = np.full(codes.shape, 0.1)
    var[:, [1, 3]] = 1.0
    other, order = moved(rng, codes[:, [0, 2, 1]])
    other_var = var[:, [0, 2, 1]][:, order]
    result = udr([codes, other], variances=[var, other_var])
    assert result.latents == ((0, 2), tuple(int(h) for h in np.flatnonzero(order < 2)))
    assert result.scores == pytest.approx([1, 1], abs=1e-12)
    assert udr([codes, other]).scores.max() < 0.999  # 4 latents and 3
    everything = udr([codes, other], variances=[var, other_var], threshold=0.0)
    assert [len(kept) for kept in everything.latents] == [4, 3]


def test_the_threshold_is_that_of_the_kl_divergence():
    codes = np.array([[-1.0], [1.0]] * 20) * 0.1 + np.linspace(-1e-9, 1e-9, 40)[:, None]
    var = np.ones((40, 1))
    kl = float(np.mean(codes**2) / 2)
    for threshold, kept in ((kl * 0.999, (0,)), (kl * 1.001, ())):
        result = udr([codes, codes], variances=[var, var], threshold=threshold)
        assert result.latents == (kept, kept)


def test_a_model_without_latents_agrees_with_none():
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(100, 2))
    for protocol in PROTOCOLS:
        result = udr([codes, codes, np.ones((100, 3))], protocol=protocol)
        assert result.scores[2] == 0
        assert np.all(result.pairs[2] == 0)
        assert result.latents[2] == ()
        assert "none" in repr(result)


def test_copies_of_a_latent_count_once():
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(200, 2))
    doubled = np.concatenate([codes, -(codes[:, :1] ** 3)], axis=1)
    result = udr([doubled, doubled[:, [2, 1, 0]]])
    assert result.latents == ((0, 1), (0, 1))
    assert result.scores == pytest.approx([1, 1], abs=1e-12)
    assert udr([doubled, doubled], protocol="duan2020-spearman").scores.max() < 0.8


@given(st.integers(1, 6), st.integers(1, 3), st.integers(-300, 300), rngs)
def test_any_codes_have_an_outcome(n, d, power, rng):
    models = [rng.integers(-1, 3, size=(n, d + i)) * 10.0**power for i in range(3)]
    for protocol in PROTOCOLS:
        try:
            result = udr(models, protocol=protocol)
        except Undefined as error:
            assert "more rows than latents" in str(error)  # noqa: PT017
        else:
            assert np.all(np.isfinite(result.pairs))


def test_what_it_returns():
    rng = np.random.default_rng(0)
    models = [rng.normal(size=(50, 2)) for _ in range(3)]
    result = MODEL_SELECTION["udr"](models, names=["a", "b", "c"])
    assert list(result.to_frame().index) == ["a", "b", "c"]
    assert result.best == int(np.argmax(result.scores))
    content = result.to_dict()
    assert content["schema"] == "dindic.udr/1"
    assert content["parameters"] == PROTOCOLS["default"]
    assert "udr@default" in result.to_markdown()
    assert list(PROTOCOLS) == list(SOURCES)
    assert len({tuple(p) for p in PROTOCOLS.values()}) == 1


@pytest.mark.parametrize(
    ("models", "options", "words"),
    [
        ([np.eye(3)], {}, "udr compares at least 2 models; got 1"),
        ([np.eye(3), np.eye(4)], {}, "models must have the same rows; 4 in model 1, 3 before"),
        ([np.eye(3)] * 2, {"names": ["a"]}, "names must be 2, one per model; got 1"),
        ([np.eye(3)] * 2, {"variances": []}, "variances must be 2, one per model; got 0"),
        ([np.eye(3)] * 2, {"protocol": "x"}, "protocol must be one of default, duan2020-lasso"),
        ([np.eye(3)] * 2, {"treshold": 1}, "no parameter of udr is called .* threshold"),
        ([np.eye(3)] * 2, {"similarity": "x"}, "similarity must be one of .* got 'x'"),
        ([np.eye(3)] * 2, {"similarity": "lasso"}, "alpha must be positive; got 0.0"),
        ([np.eye(3)] * 2, {}, "needs more rows than latents; got 3 rows, 3 latents"),
        ([np.eye(3), np.full((3, 1), np.nan)], {}, "codes must be finite"),
    ],
)
def test_refused(models, options, words):
    with pytest.raises(ValueError, match=words):
        udr(models, **options)
