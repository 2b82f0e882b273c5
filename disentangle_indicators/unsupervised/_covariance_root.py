"""A root of a covariance matrix, from which its determinant and its square root are taken.

Singular values of the root are accurate where eigenvalues of the matrix have lost half the digits.
"""

import numpy as np

from disentangle_indicators._array import Array, Float, as_codes, as_pair, check_positive, to_numpy
from disentangle_indicators._errors import Undefined

TWO = 2
"""Least number of rows of a sample covariance."""


def root(codes: Array, var: Array | None) -> tuple[Float, Float]:
    r"""Return U with unit columns, and sigma (d,), such that the covariance is S U^T U S.

    Without `var` it is the sample covariance of codes, with n - 1; with `var` that of the
    aggregated posterior, Cov(mean) + E[var], with n. Columns of constant latents are 0.
    """
    z = as_codes(codes)
    n = len(z)
    if var is None and n < TWO:
        raise Undefined(f"a covariance needs at least {TWO} rows of codes; got {n}")
    scale = np.maximum(np.abs(z).max(axis=0), np.finfo(float).tiny)
    x = z / scale  # exactly -1 or 1 where constant
    x -= x.mean(axis=0)
    x -= x.mean(axis=0)
    x /= np.sqrt(n - 1 if var is None else n)
    if var is not None:
        _, _, var = as_pair(codes, var)
        check_positive(var, "var")
        widths = np.sqrt(to_numpy(var).mean(axis=0))
        scale = np.maximum(scale, widths)
        x *= np.abs(z).max(axis=0) / scale
        x = np.concatenate([x, np.diag(widths / scale)])
    norm = np.sqrt(np.sum(x * x, axis=0))
    with np.errstate(over="ignore"):
        sigma = norm * scale
    if not np.all(np.isfinite(sigma)):
        h = int(np.argmax(sigma))
        raise Undefined(f"the spread of codes overflows float64; that of latent {h} does")
    return x / np.where(norm > 0, norm, 1.0), sigma
