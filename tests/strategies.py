"""Encodings, matrices and splits for the tests: generator G of the theory, in numpy float64.

Hypothesis draws the shape, the switches and a seed; numpy draws the numbers.
"""

import math
from itertools import pairwise

import numpy as np
from hypothesis import strategies as st

seeds = st.integers(0, 2**32 - 1)
rngs = seeds.map(np.random.default_rng)


@st.composite
def encodings(draw, min_n=1, max_n=400, min_d=1, max_d=8):
    """(mean, var) of shape (n, d); n is log-uniform, scales differ between latents."""
    n = round(math.exp(draw(st.floats(math.log(min_n), math.log(max_n)))))
    d = draw(st.integers(min_d, max_d))
    return random_encodings(np.random.default_rng(draw(seeds)), n, d)


def random_encodings(rng, n, d):
    scale = np.exp(rng.uniform(-3, 3, d))
    mixing = np.eye(d) + 0.5 * rng.normal(size=(d, d))
    mean = rng.normal(size=(n, d)) @ mixing * scale
    if rng.random() < 0.5:
        mean += 3 * scale * rng.normal(size=d)
    width = np.exp(rng.uniform(-12, 1, d)) * scale**2
    homoscedastic, collapsed = rng.random(2) < 0.2
    var = width * np.exp((not homoscedastic) * 0.5 * rng.normal(size=(n, d)))
    if collapsed:
        mean[:, 0], var[:, 0] = 0.0, 1.0
    return mean, var


def orthogonal(rng, d):
    """Haar-random: the signs of R are made positive."""
    q, r = np.linalg.qr(rng.normal(size=(d, d)))
    return q * np.sign(np.diag(r))


def invertible(rng, d):
    """Singular values between 1/e and e."""
    return orthogonal(rng, d) * np.exp(rng.uniform(-1, 1, d)) @ orthogonal(rng, d)


def cut(rng, n, parts):
    """At most `parts` slices that cover n rows, of random lengths above 0."""
    inner = rng.choice(np.arange(1, n), size=min(parts, n) - 1, replace=False) if n > 1 else []
    edges = [0, *sorted(int(i) for i in inner), n]
    return [slice(a, b) for a, b in pairwise(edges)]


def merge_in_any_order(rng, parts):
    """Add up the parts along a random binary tree over a random order of them."""
    parts = list(parts)
    while len(parts) > 1:
        i, j = rng.choice(len(parts), size=2, replace=False)
        merged = parts[i] + parts[j]
        parts = [part for k, part in enumerate(parts) if k not in (i, j)] + [merged]
    return parts[0]


def to(xp, *arrays):
    """Copies of numpy arrays in the namespace `xp`."""
    return tuple(xp.asarray(np.array(array)) for array in arrays)
