"""Orthogonal matrices: drawn from the Haar measure, and turned in one plane."""

import math

import numpy as np

from disentangle_indicators._array import Float

Turn = tuple[int, int, float]
"""Latents i and j, and the angle in degrees by which they are turned."""


def haar(d: int, rng: np.random.Generator) -> Float:
    """Draw an orthogonal matrix (d, d) from the Haar measure.

    The QR decomposition of a Gaussian matrix, with the signs of R made positive: without that
    the law of Q depends on how the decomposition is computed (Mezzadri, 2007).
    """
    q, r = np.linalg.qr(rng.standard_normal((d, d)))
    return np.asarray(q * np.sign(np.diag(r)))


def givens(d: int, i: int, j: int, angle: float) -> Float:
    """Return the matrix Q (d, d) for which z @ Q.T turns latents i and j by `angle` radians."""
    q = np.eye(d)
    q[i, i] = q[j, j] = math.cos(angle)
    q[i, j], q[j, i] = -math.sin(angle), math.sin(angle)
    return q
