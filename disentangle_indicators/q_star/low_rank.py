r"""Factor analysis of the aggregated posterior: q* = N(0, W W^T + diag(psi)), W of shape (d, rank).

EM needs no samples, only the second-moment matrix C (Rubin and Thayer, 1982):

.. math:: \beta = W^\top\Sigma^{-1},\quad
    E = I - \beta W + \beta C \beta^\top,\quad
    W \leftarrow C\beta^\top E^{-1},\quad
    \psi \leftarrow \operatorname{diag}(C - W\beta C)

It runs on the correlation matrix, so that the units of the latents do not matter. Where some psi
goes to zero (a Heywood case) it slows down for good; then it stops unconverged and says so.
"""

from typing import Any

from disentangle_indicators._array import Array, eye_like, transpose
from disentangle_indicators.moments import Moments
from disentangle_indicators.q_star.full import target_covariance

Fit = tuple[Array, Array, Array, int]
"""Loadings, covariance, residual and number of iterations."""

_LEAST_PSI = 1e-12


def em(moments: Moments, rank: int, *, tol: float, max_iterations: int) -> Fit:
    r"""Fit W and psi until the gradient in (W, log psi) of the objective is below `tol`.

    The residual is the larger of max|A W| and max|psi diag(A)|, where
    :math:`A = \Sigma^{-1} - \Sigma^{-1} C \Sigma^{-1}`, in correlation units.
    """
    xp = moments.namespace
    target = target_covariance(moments, xp.zeros_like(moments.mean))
    scale = xp.sqrt(xp.linalg.diagonal(target))
    target = target / scale[..., :, None] / scale[..., None, :]
    loadings, psi = _principal(xp, target, rank)
    for iteration in range(max_iterations + 1):
        sigma = _covariance(loadings, psi)
        precision = xp.linalg.inv(sigma)
        rest = _residual(xp, target, precision, loadings, psi)
        if iteration == max_iterations or bool(xp.all(rest <= tol)):
            break
        loadings, psi = _step(xp, target, precision, loadings)
    covariance = sigma * scale[..., :, None] * scale[..., None, :]
    return loadings * scale[..., :, None], covariance, rest, iteration


def _principal(xp: Any, target: Array, rank: int) -> tuple[Array, Array]:
    """Start from probabilistic PCA (Tipping and Bishop, 1999)."""
    values, vectors = xp.linalg.eigh(target)
    noise = xp.mean(values[..., : values.shape[-1] - rank], axis=-1, keepdims=True)
    strength = xp.sqrt(xp.clip(values[..., -rank:] - noise, 1e-6, None))
    loadings = vectors[..., -rank:] * strength[..., None, :]
    psi = 1 - xp.sum(loadings**2, axis=-1)
    return loadings, xp.clip(psi, 1e-3, None)


def _covariance(loadings: Array, psi: Array) -> Array:
    product = loadings @ transpose(loadings)
    return product + eye_like(product) * psi[..., None, :]


def _step(xp: Any, target: Array, precision: Array, loadings: Array) -> tuple[Array, Array]:
    beta = transpose(loadings) @ precision
    projected = beta @ target
    inner = beta @ loadings
    second = eye_like(inner) - inner + projected @ transpose(beta)
    loadings = transpose(xp.linalg.solve(second, projected))
    psi = xp.linalg.diagonal(target) - xp.sum(loadings * transpose(projected), axis=-1)
    return loadings, xp.clip(psi, _LEAST_PSI, None)


def _residual(xp: Any, target: Array, precision: Array, loadings: Array, psi: Array) -> Array:
    gradient = precision - precision @ target @ precision
    by_loadings = xp.max(xp.abs(gradient @ loadings), axis=(-2, -1))
    by_psi = xp.max(xp.abs(psi * xp.linalg.diagonal(gradient)), axis=-1)
    return xp.maximum(by_loadings, by_psi)
