"""Gaussian total correlation and Wasserstein correlation: laws, closed forms, numpy and scipy."""

import numpy as np
import pytest
from golden import arrays, records, small
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import sqrtm
from strategies import encodings, rngs

from disentangle_indicators._errors import Undefined
from disentangle_indicators.definitions import gaussian_total_correlation as of_moments
from disentangle_indicators.moments import Moments
from disentangle_indicators.unsupervised import (
    UNSUPERVISED,
    gaussian_total_correlation_of_codes,
    gaussian_wasserstein_correlation,
    gaussian_wasserstein_correlation_norm,
)

SCORES = [
    gaussian_total_correlation_of_codes,
    gaussian_wasserstein_correlation,
    gaussian_wasserstein_correlation_norm,
]


def by_hand(codes):
    """The three numbers as disentanglement_lib computes them."""
    c = np.atleast_2d(np.cov(codes, rowvar=False))
    d = np.diag(np.diag(c))
    total = 0.5 * (np.sum(np.log(np.diag(c))) - np.linalg.slogdet(c)[1])
    distance = 2 * np.trace(c) - 2 * np.trace(sqrtm(d @ c)).real
    return total, distance, distance / np.trace(c)


@given(encodings(min_n=30))
def test_numpy_and_scipy_agree(encoding):
    codes, _ = encoding
    codes = codes + np.random.default_rng(0).normal(size=codes.shape) * 0.1
    for score, expected in zip(SCORES, by_hand(codes), strict=True):
        assert score(codes) == pytest.approx(expected, rel=1e-7, abs=1e-7 * np.var(codes))


@given(encodings(min_n=30, min_d=2), rngs)
def test_order_and_signs_of_latents_do_not_matter(encoding, rng):
    codes = encoding[0] + rng.normal(size=encoding[0].shape)
    d = codes.shape[1]
    moved = codes[:, rng.permutation(d)] * rng.choice([-1.0, 1.0], size=d)
    moved = moved[rng.permutation(len(codes))]
    for score in SCORES:
        assert score(moved) == pytest.approx(score(codes), rel=1e-8, abs=1e-11 * np.var(codes))


@given(encodings(min_n=30, min_d=2), rngs)
def test_scale(encoding, rng):
    codes = encoding[0] + rng.normal(size=encoding[0].shape)
    own = np.exp(rng.uniform(-9, 9, codes.shape[1]))
    tc, w2, share = (score(codes) for score in SCORES)
    assert gaussian_total_correlation_of_codes(codes * own) == pytest.approx(
        tc, rel=1e-8, abs=1e-11
    )
    assert gaussian_wasserstein_correlation(codes * 8) == pytest.approx(64 * w2, rel=1e-9)
    assert gaussian_wasserstein_correlation_norm(codes * 8) == pytest.approx(share, rel=1e-9)
    assert tc >= 0
    assert 0 <= share < 2


@pytest.mark.parametrize("r", [0.0, 0.3, -0.9, 1 - 1e-9])
def test_two_latents(r):
    a, b = np.array([1.0, -1, 1, -1]), np.array([1.0, 1, -1, -1])
    codes = np.stack([a, r * a + np.sqrt(1 - r * r) * b], axis=1)
    assert gaussian_total_correlation_of_codes(codes) == pytest.approx(
        -0.5 * np.log1p(-r * r), abs=1e-6
    )
    roots = np.sqrt(1 + abs(r)) + np.sqrt(1 - abs(r))
    assert gaussian_wasserstein_correlation_norm(codes) == pytest.approx(2 - roots, abs=1e-12)


@pytest.mark.parametrize("d", [1, 2, 4, 9])
def test_copies(d):
    codes = np.repeat(np.random.default_rng(0).normal(size=(50, 1)), d, axis=1)
    share = gaussian_wasserstein_correlation_norm(codes)
    assert share == pytest.approx(2 - 2 / np.sqrt(d), abs=1e-12)
    if d > 1:
        words = f"its rank is 1 for {d} latents that vary, in 50 rows"
        with pytest.raises(ValueError, match=words):
            gaussian_total_correlation_of_codes(codes)


def test_fewer_rows_than_latents():
    codes = np.random.default_rng(0).normal(size=(4, 6))
    with pytest.raises(Undefined, match="its rank is 3 for 6 latents that vary, in 4 rows"):
        gaussian_total_correlation_of_codes(codes)
    assert 0 < gaussian_wasserstein_correlation_norm(codes) < 2


@pytest.mark.parametrize("score", SCORES)
def test_constant_latents_add_nothing(score):
    codes = np.random.default_rng(0).normal(size=(50, 3)) @ np.array(
        [[1, 0.5, 0], [0, 1, 0.2], [0, 0, 1]]
    )
    more = np.insert(codes, [0, 2], [0.1, -7.3e8], axis=1)
    assert score(more) == pytest.approx(score(codes), rel=1e-12)
    assert score(np.full((50, 3), 0.1)) == 0
    assert score(codes[:, :1]) == pytest.approx(0, abs=1e-15)


@given(encodings())
def test_the_covariance_of_the_aggregated_posterior(encoding):
    mean, var = encoding
    expected = float(of_moments(Moments.of(mean, var, covariance=True)))
    assert gaussian_total_correlation_of_codes(mean, var=var) == pytest.approx(
        expected, rel=1e-6, abs=1e-9
    )


def test_samples_have_the_covariance_of_the_aggregated_posterior():
    rng = np.random.default_rng(0)
    mean = rng.normal(size=(40000, 1)) * [1.0, 1.0, 0.01]
    var = np.full(mean.shape, 0.2) + [0, 0, 0.8]
    samples = mean + np.sqrt(var) * rng.normal(size=mean.shape)
    assert gaussian_total_correlation_of_codes(samples) == pytest.approx(
        gaussian_total_correlation_of_codes(mean, var=var), abs=0.01
    )
    assert gaussian_wasserstein_correlation(samples) == pytest.approx(
        gaussian_wasserstein_correlation(mean, var=var), rel=0.05
    )


def test_unused_latents_make_up_the_score_of_means():
    rng = np.random.default_rng(0)
    used = rng.normal(size=(1000, 2))
    mean = np.concatenate([used, 1e-3 * (used + 0.1 * rng.normal(size=used.shape))], axis=1)
    var = np.concatenate([np.full((1000, 2), 0.1), np.ones((1000, 2))], axis=1)
    assert gaussian_total_correlation_of_codes(mean) > 4
    assert gaussian_total_correlation_of_codes(mean, var=var) < 0.01


@given(st.integers(1, 6), st.integers(1, 4), st.integers(-300, 300), rngs)
def test_any_codes_have_an_outcome(n, d, power, rng):
    codes = rng.integers(-2, 3, size=(n, d)) * 10.0**power
    for score in UNSUPERVISED.values():
        try:
            value = score(codes)
        except Undefined as error:
            assert "cov" in str(error) or "overflow" in str(error)  # noqa: PT017
        else:
            assert np.isfinite(value)
            assert value >= 0


@pytest.mark.parametrize("score", SCORES)
def test_refused(score):
    with pytest.raises(Undefined, match="needs at least 2 rows of codes; got 1"):
        score(np.ones((1, 2)))
    with pytest.raises(ValueError, match=r"codes must be finite; codes\[1, 0\] = nan"):
        score([[0.0], [np.nan]])
    with pytest.raises(ValueError, match="var must be positive"):
        score(np.eye(2), var=-np.eye(2))
    with pytest.raises(Undefined, match="overflows float64; that of latent 1 does"):
        score(np.array([[0.0, -1.7e308], [1.0, 1.7e308]]))


def test_huge_and_tiny_codes():
    codes = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    for scale in (1e-320, 1e-200, 1e300):
        for score in SCORES[::2]:
            assert score(codes * scale) == pytest.approx(score(codes), rel=1e-3)
    assert gaussian_wasserstein_correlation(codes * 1e-200) == 0
    with pytest.raises(Undefined, match="variance of codes overflows .* that of latent 0 does"):
        gaussian_wasserstein_correlation(codes * 1e300)


def test_numpy_and_scipy_agree_on_stored_codes():
    codes, _ = small()
    codes = codes[:, codes.min(axis=0) < codes.max(axis=0)]
    for score, expected in zip(SCORES, by_hand(codes), strict=True):
        assert score(codes) == pytest.approx(expected, rel=1e-8)


def check(score, name, value, **options):
    codes, _ = arrays(name, 10000)
    assert score(codes, **options) == pytest.approx(value, rel=1e-8, abs=1e-9)


@pytest.mark.parametrize(
    ("name", "value"), records("disentanglement_lib", "gaussian_total_correlation")
)
def test_golden_total_correlation(name, value):
    check(gaussian_total_correlation_of_codes, name, value)


@pytest.mark.parametrize(
    ("name", "value"), records("disentanglement_lib", "gaussian_wasserstein_correlation")
)
def test_golden_wasserstein_correlation(name, value):
    check(gaussian_wasserstein_correlation, name, value)


@pytest.mark.parametrize(
    ("name", "value"), records("disentanglement_lib", "gaussian_wasserstein_correlation_norm")
)
def test_golden_normalised_wasserstein_correlation(name, value):
    check(gaussian_wasserstein_correlation_norm, name, value)
