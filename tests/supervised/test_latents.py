"""Which latents metrics see, and by which codes."""

import numpy as np
import pytest

from disentangle_indicators.evaluate import ACTIVE_UNIT
from disentangle_indicators.supervised.latents import codes_of, kept, words


@pytest.fixture
def pair():
    """Latents that are used, weak, and not used."""
    rng = np.random.default_rng(0)
    width = np.array([0.05, 0.6, 1.0])
    mean = rng.normal(size=(500, 3)) * np.sqrt(1 - width)
    return mean, np.broadcast_to(width, mean.shape)


def test_used_latents_by_their_information(pair):
    assert kept(*pair, "used") == [0]
    assert kept(*pair, "used", 0.2) == [0, 1]
    assert kept(*pair, "all") == [0, 1, 2]


def test_near_deterministic_latents_are_used(pair):
    mean, var = pair
    assert kept(mean, var * [1e-6, 1, 1], "used") == [0]


def test_without_variances_by_the_variance_of_their_mean():
    z = np.random.default_rng(0).normal(size=(500, 3))
    z /= z.std(axis=0)
    edge = np.sqrt(ACTIVE_UNIT) * np.array([1.001, 0.999, 5.0])
    assert kept(z * edge, None, "used") == [0, 2]
    assert kept(z * edge, None, "all") == [0, 1, 2]


def test_order_and_sign_do_not_matter(pair):
    mean, var = pair
    assert kept(-mean[:, [2, 0, 1]], var[:, [2, 0, 1]], "used", 0.2) == [1, 2]


@pytest.mark.parametrize(
    ("var", "latents", "threshold", "message"),
    [
        (True, "used", 50, "no latent is used: of the 3 latents there is none whose information"),
        (True, "some", 0.5, "latents must be one of used, all; got 'some'"),
        (True, "used", 0.0, "threshold must be positive"),
    ],
)
def test_none_is_refused(pair, var, latents, threshold, message):
    with pytest.raises(ValueError, match=message):
        kept(pair[0], pair[1] if var else None, latents, threshold)


def test_none_without_variances_is_refused(pair):
    with pytest.raises(ValueError, match="mean has a variance of at least 0.01; 'all' looks at"):
        kept(pair[0] / 1e3, None, "used")


def test_means_are_the_codes(pair):
    z, var = codes_of(*pair, "mean", 0)
    assert np.array_equal(z, pair[0])
    assert np.array_equal(var, pair[1])
    z, var = codes_of(pair[0].astype(np.float32), None, "mean", 0)
    assert z.dtype == np.float64
    assert var is None


def test_samples_have_the_moments_of_the_posteriors(pair):
    mean, var = pair
    z = np.stack([codes_of(mean[:50], var[:50], "sample", seed)[0] for seed in range(400)])
    error = np.sqrt(var[:50] / 400)
    assert np.all(np.abs(z.mean(axis=0) - mean[:50]) < 5 * error)
    ratio = z.var(axis=0, ddof=1) / var[:50]
    assert np.all(np.abs(ratio - 1) < 5 * np.sqrt(2 / 399))
    assert np.array_equal(z[3], codes_of(mean[:50], var[:50], "sample", 3)[0])


@pytest.mark.parametrize(
    ("mean", "var", "codes", "message"),
    [
        (np.ones((4, 2)), None, "sample", "samples need the posterior variances"),
        (np.ones((4, 2)), None, "both", "codes must be one of mean, sample; got 'both'"),
        (np.ones(4), None, "mean", r"n, d\); its shape is \(4,\)"),
        (np.full((4, 2), np.nan), None, "mean", "mean must be finite"),
        (np.ones((4, 2)), np.zeros((4, 2)), "mean", "var must be positive"),
        (np.ones((4, 2)), np.ones((3, 2)), "mean", "the same shape"),
    ],
)
def test_bad_codes_are_refused(mean, var, codes, message):
    with pytest.raises(ValueError, match=message):
        codes_of(mean, var, codes, 0)


def test_words():
    assert words([0, 2], 3, "mean") == "posterior means, the 2 of 3 latents that are used"
    assert words([0, 1], 2, "sample") == "one sample of each posterior, all 2 latents"
    assert words([0], 1, "mean") == "posterior means, the latent"
