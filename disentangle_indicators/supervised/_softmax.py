r"""Softmax regression, by the same steps as scikit-learn's lbfgs and in a fraction of its time.

.. math:: \min_W \sum_i w_i \Big(\log\sum_c e^{W_c x_i + b_c} - W_{y_i} x_i - b_{y_i}\Big)
    + \frac{\lambda}{2} \lVert W \rVert^2, \qquad \sum_i w_i = 1
"""

import numpy as np

from disentangle_indicators._array import Float
from disentangle_indicators._binning import Index

__all__ = ["probabilities", "scaled", "softmax"]

SCALES = ("whitened", "standard", "range")


def softmax(
    x: Float,
    y: Index,
    *,
    penalty: float,
    balanced: bool = False,
    max_iter: int,
    tol: float,
) -> Float:
    """Return W and b, shape (C, d + 1), of the classes 0 to C - 1 that y holds.

    With two classes the penalty is that of the difference of their weights, as in scikit-learn.
    """
    from scipy.optimize import minimize

    n, d = x.shape
    counts = np.bincount(y)
    classes = len(counts)
    design = np.hstack([x, np.ones((n, 1))])
    across = np.ascontiguousarray(design.T)
    weight = 1 / counts[y] / classes if balanced else np.full(n, 1 / n)
    own = y * n + np.arange(n)
    goal = np.stack([np.bincount(y, column * weight, classes) for column in across], axis=1)
    strength = penalty * (2 if classes == 2 else 1)

    def objective(flat: Float) -> tuple[float, Float]:
        w = flat.reshape(classes, d + 1)
        p = w @ across
        top = p.max(axis=0)
        top_less_own = top - p.ravel()[own]
        np.exp(np.subtract(p, top, out=p), out=p)
        total = p.sum(axis=0)
        loss = weight @ (np.log(total) + top_less_own) + strength / 2 * np.sum(w[:, :-1] ** 2)
        gradient = np.multiply(p, weight / total, out=p) @ design - goal
        gradient[:, :-1] += strength * w[:, :-1]
        return float(loss), gradient.ravel()

    found = minimize(
        objective,
        np.zeros(classes * (d + 1)),
        jac=True,
        method="L-BFGS-B",
        options={
            "maxiter": max_iter,
            "maxls": 50,
            "gtol": tol,
            "ftol": 64 * np.finfo(float).eps,
        },
    )
    return np.asarray(found.x.reshape(classes, d + 1))


def probabilities(w: Float, x: Float) -> Float:
    """Return the logarithms of the probabilities of the classes, shape (n, C)."""
    logits = x @ w[:, :-1].T + w[:, -1]
    logits -= logits.max(axis=1, keepdims=True)
    logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return np.asarray(logits)


def scaled(z: Float, train: Index, scale: str, outliers: float = 0.0) -> Float:
    """Return codes on the scale of their training rows; those that are constant there become 0.

    Parameters
    ----------
    z : array, shape (n, d)
    train : rows
    scale : {"whitened", "standard", "range"}
        Principal components of variance 1; mean 0 and variance 1; least 0 and greatest 1.
    outliers : float
        Share of the training rows at either end that is moved to the quantile there.
    """
    if not 0 <= outliers < 0.5:
        raise ValueError(f"outliers must be at least 0 and less than 0.5; got {outliers}")
    largest = np.abs(z).max(axis=0)
    z = z / np.where(largest > 0, largest, 1.0)
    if outliers:
        low = np.quantile(z[train], outliers, axis=0, method="higher")
        high = np.quantile(z[train], 1 - outliers, axis=0, method="lower")
        z = np.clip(z, np.minimum(low, high), high)
    fitted = z[train]
    low, high = fitted.min(axis=0), fitted.max(axis=0)
    moving = high > low
    if scale == "range":
        return np.asarray(np.where(moving, (z - low) / np.where(moving, high - low, 1.0), 0.0))
    mean, spread = fitted.mean(axis=0), fitted.std(axis=0)
    z = np.where(moving, (z - mean) / np.where(moving & (spread > 0), spread, 1.0), 0.0)
    if scale == "standard":
        return np.asarray(z)
    variances, axes = np.linalg.eigh(z[train].T @ z[train] / len(train))
    kept = variances > 1e-10 * max(float(variances[-1]), 1e-300)
    return np.asarray(z @ axes[:, kept] / np.sqrt(variances[kept]))
