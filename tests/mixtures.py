"""Mixtures of Gaussians on a line, integrated in ways that share no code with the library."""

import mpmath as mp
import numpy as np
from hypothesis import strategies as st
from strategies import seeds

REACH = 12.0
"""Standard deviations that the rules cover; beyond lie 4e-33 of a component."""


SPREAD = np.log(1e-10), np.log(10.0)


def random_mixture(rng, n, low=SPREAD[0], high=SPREAD[1]):
    """(mean, var) of n components; log variances between two random levels, some rows twice."""
    low, high = np.sort(rng.uniform(low, high, 2))
    mean = rng.normal(size=n) * np.exp(rng.uniform(-6, 2)) + rng.normal()
    var = np.exp(rng.uniform(low, high, n))
    rows = rng.choice(n, n) if rng.random() < 0.3 else np.arange(n)
    return mean[rows], var[rows]


@st.composite
def mixtures(draw, max_n=40, **spread):
    rng = np.random.default_rng(draw(seeds))
    return random_mixture(rng, draw(st.integers(1, max_n)), **spread)


def encodings_of_mixtures(rng, n, d, **spread):
    """(mean, var) of shape (n, d): each latent is a random mixture of its own."""
    latents = [random_mixture(rng, n, **spread) for _ in range(d)]
    return tuple(np.stack(parts, axis=1) for parts in zip(*latents, strict=True))


def rounding(mean, var):
    """What float64 leaves open: a sum's rounding, and a point's place in units of the narrowest.

    The latter is what an input's own last digit does.
    """
    sd = np.sqrt(var)
    return 1e-12 + np.finfo(float).eps * np.max(np.abs(mean) + sd) / np.min(sd)


def log_components(z, mean, var):
    """log N(z_s; mean_m, var_m), of shape (s, n)."""
    return -0.5 * ((z[:, None] - mean) ** 2 / var + np.log(2 * np.pi * var))


def density(z, mean, var):
    return np.exp(log_components(z, mean, var)).mean(axis=1)


def log_density(z, mean, var):
    return np.logaddexp.reduce(log_components(z, mean, var), axis=1) - np.log(len(mean))


def trapezoid(mean, var):
    """Equal steps of an eighth of the narrowest standard deviation."""
    sd = np.sqrt(var)
    low, high, step = np.min(mean - REACH * sd), np.max(mean + REACH * sd), sd.min() / 8
    z = low + step * np.arange(int((high - low) / step) + 2)
    return z, np.full(z.size, step)


def panels(mean, var, nodes=20):
    """Gauss-Legendre between all points at whole numbers of half standard deviations."""
    steps = np.arange(-2 * REACH, 2 * REACH + 1) / 2
    cuts = np.unique(mean[:, None] + np.sqrt(var)[:, None] * steps)
    x, weights = np.polynomial.legendre.leggauss(nodes)
    half, middle = np.diff(cuts) / 2, (cuts[1:] + cuts[:-1]) / 2
    return (middle[:, None] + half[:, None] * x).ravel(), (half[:, None] * weights).ravel()


def entropy(mean, var, rule=panels):
    z, weights = rule(mean, var)
    log_q = log_density(z, mean, var)
    return -np.sum(weights * np.exp(log_q) * log_q)


def exact_entropy(mean, var):
    """By mpmath at 30 digits, in pieces between multiples of each standard deviation."""
    with mp.workdps(30):
        parts = [
            (mp.mpf(float(m)), mp.sqrt(mp.mpf(float(v)))) for m, v in zip(mean, var, strict=True)
        ]
        steps = [0, 1, 2, 3, 4, 5, 6, 8, 11]
        cuts = sorted({m + sign * k * s for m, s in parts for k in steps for sign in (1, -1)})
        scale = len(parts) * mp.sqrt(2 * mp.pi)

        def integrand(z):
            q = mp.fsum(mp.exp(-(((z - m) / s) ** 2) / 2) / s for m, s in parts) / scale
            return -q * mp.log(q)

        value, error = mp.quad(integrand, cuts, error=True, method="gauss-legendre")
        assert error <= 1e-14
        return float(value)


def cross_entropies(mean, var, rule=panels):
    """-E log q under each component: (n,)."""
    z, weights = rule(mean, var)
    log_q = log_density(z, mean, var)
    return -(weights * log_q) @ np.exp(log_components(z, mean, var))
