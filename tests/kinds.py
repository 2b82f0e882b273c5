"""Ten kinds of encoders that people score, as synthetic posteriors."""

import numpy as np

ROWS, LATENTS = 2000, 16


def codes(rng, information, scale=1.0):
    """Means and variances of Gaussian latents that carry this information, in nats each."""
    v = np.exp(-2 * np.broadcast_to(information, LATENTS).astype(float))
    mean = rng.normal(size=(ROWS, LATENTS)) * np.sqrt(1 - v)
    var = v * np.exp(0.2 * rng.normal(size=(ROWS, LATENTS)) - 0.02)
    return mean * scale, np.where(v > 0.99, v, var) * scale**2


FOUR = [2.0, 1.8, 1.5, 1.2] + [1e-5] * 12
EIGHT = [2.5] * 8 + [0.05] * 8


def collapsed(rng):
    return codes(rng, 1e-6)


def partly_collapsed(rng):
    return codes(rng, FOUR)


def near_deterministic(rng):
    return codes(rng, 8.0, scale=3.0)


def wide_posteriors(rng):
    return codes(rng, FOUR, scale=1.6)


def wrong_scale(rng):
    mean, var = codes(rng, EIGHT)
    return mean, np.exp(var)  # a variance that was called a log variance


def swapped_arrays(rng):
    mean, var = codes(rng, EIGHT)
    return np.log(var), np.exp(mean)


def offset_mean(rng):
    mean, var = codes(rng, FOUR)
    return mean + np.where(np.arange(LATENTS) < 6, 2.0, 0.0), var


def one_epoch(rng):
    mixing = rng.normal(size=(4, LATENTS))
    mean = 0.8 * rng.normal(size=(ROWS, 4)) @ mixing
    return mean, 0.02 * np.exp(0.3 * rng.normal(size=mean.shape))


def well_trained(rng):
    mean, var = codes(rng, [2.5, 2.2, 2.0, 1.9, 1.5, 1.3, 1.0, 0.8] + [1e-4] * 8)
    mean[:, 1] = 0.9 * mean[:, 1] + 0.43 * mean[:, 0]
    return mean, var


def one_of_ten(rng):
    mean, var = codes(rng, [2.0] + [1e-6] * 15)
    return mean[:, :10], var[:, :10]


KINDS = (
    *(collapsed, partly_collapsed, near_deterministic, wide_posteriors, wrong_scale),
    *(swapped_arrays, offset_mean, one_epoch, well_trained, one_of_ten),
)
