r"""Two codes of the same rows: canonical correlations, maps from one to the other, and nulls.

All follow from the covariances of the posterior means and the average posterior variances D. A
sample is the mean and noise that is independent of the other encoder's, so that the covariance of
samples is that of means plus D within an encoder, and that of means between two. No sample is drawn,
and the means show what samples would without their noise (Spearman's correction, exact here).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from disentangle_indicators._array import Float
from disentangle_indicators.rotation._orthogonal import haar

__all__ = [
    "MAPS",
    "Both",
    "Shown",
    "alignments",
    "canonical",
    "kept",
    "kernel_alignment",
    "moments_of",
    "recoloured",
    "rotations_of",
    "shuffled",
    "stepped_down",
]

MAPS = ("permutation and sign", "rotation", "linear map")
"""Classes of maps from one code to another, the narrowest first."""

LEAST = 1e-12
"""Share of a variance that a map leaves over at least: rounding."""

TIED = 1e-3
"""Canonical correlations that differ by less are told apart by noise: two codes that are a map of
each other have 1 in all directions, and any turn of these would do."""


@dataclass(frozen=True)
class Both:
    """Second moments of two codes of the same rows, in units of the prior.

    Parameters
    ----------
    a, b : array, shape (p, p) and (q, q)
        Covariances of the means.
    between : array, shape (p, q)
        Covariance of the means of both.
    noise_a, noise_b : array, shape (p,) and (q,)
        Average posterior variances; 0 for means only.
    """

    a: Float
    b: Float
    between: Float
    noise_a: Float
    noise_b: Float

    def reversed(self) -> "Both":
        """Return the same with the codes exchanged."""
        return Both(self.b, self.a, self.between.T, self.noise_b, self.noise_a)

    def correlations(self) -> Float:
        """Return the correlations (p, q) of the means; 0 of a mean that is constant in these rows."""
        sizes = np.sqrt(np.outer(np.diagonal(self.a), np.diagonal(self.b)))
        return _quotient(self.between, sizes)


def moments_of(
    x: Float, y: Float, noise_x: Float, noise_y: Float, group: Any
) -> tuple[Both, list[Both]]:
    """Return the moments of all rows, and those without each group of rows; of one group, of all.

    Parameters
    ----------
    x, y : array, shape (n, p) and (n, q)
        Means, each about its average.
    noise_x, noise_y : array, shape (p,) and (q,)
    group : array of int, shape (n,)
        Sorted.
    """
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    parts = np.split(np.arange(len(x)), starts[1:])
    p = x.shape[1]
    z = np.concatenate([x, y], axis=1)
    products = np.stack([z[part].T @ z[part] for part in parts])
    sums = np.stack([z[part].sum(axis=0) for part in parts])
    rows = np.array([len(part) for part in parts])

    def cut(product: Float, total: Float, n: float) -> Both:
        c = product / n - np.outer(total, total) / n**2
        return Both(c[:p, :p], c[p:, p:], c[:p, p:], noise_x, noise_y)

    whole = products.sum(axis=0), sums.sum(axis=0), int(rows.sum())
    if len(parts) == 1:
        return cut(*whole), [cut(*whole)]
    left = [
        cut(whole[0] - products[g], whole[1] - sums[g], whole[2] - rows[g])
        for g in range(len(parts))
    ]
    return cut(*whole), left


@dataclass(frozen=True)
class Shown:
    """Canonical correlations of two codes, and what each direction carries.

    Parameters
    ----------
    means, samples : array, shape (k,)
        Canonical correlations, falling, k the smaller number of latents.
    information : array, shape (k,)
        Nats that both encoders carry of each direction of the means.
    """

    means: Float
    samples: Float
    information: Float


def canonical(both: Both) -> Shown:
    r"""Return the canonical correlations, and the nats that both encoders carry of each.

    .. math:: \tfrac12 \log\frac{1 + \nu}{1 - \rho^2 + \nu}

    is what the other encoder tells of a direction with variance 1, canonical correlation rho and
    posterior variance nu; the lesser of both sides is returned.

    Examples
    --------
    >>> one = Both(np.eye(2), np.eye(2), np.diag([1.0, 0.0]), np.full(2, 0.1), np.full(2, 0.1))
    >>> canonical(one).means.round(2), canonical(one).information.round(2)
    (array([1., 0.]), array([1.2, 0. ]))
    """
    white_a, white_b = _whitener(both.a), _whitener(both.b)
    cross = white_a.T @ both.between @ white_b
    means = np.minimum(np.linalg.svd(cross, compute_uv=False), 1.0)
    quieter = _share(white_a, both.noise_a) @ cross + cross @ _share(white_b, both.noise_b)
    u, _, vt = np.linalg.svd(cross - TIED * quieter, full_matrices=False)
    noise_a = both.noise_a @ (white_a @ u) ** 2
    noise_b = both.noise_b @ (white_b @ vt.T) ** 2
    rest = np.maximum(1 - means**2, LEAST)
    each = [0.5 * np.log((1 + noise) / (rest + noise)) for noise in (noise_a, noise_b)]
    noisy_a = _whitener(both.a + np.diag(both.noise_a))
    noisy_b = _whitener(both.b + np.diag(both.noise_b))
    samples = np.linalg.svd(noisy_a.T @ both.between @ noisy_b, compute_uv=False)
    return Shown(means, np.minimum(samples, 1.0), np.minimum(*each))


def _share(white: Float, noise: Float) -> Float:
    """Return the share of noise (p, p) in the whitened code, with eigenvalues from 0 to 1."""
    n = white.T @ (noise[:, None] * white)
    return np.asarray(np.linalg.solve(np.eye(len(n)) + n, n))


def _whitener(c: Float) -> Float:
    """Return W (p, p) with W^T c W = I; directions without variance become 0."""
    values, vectors = np.linalg.eigh(c)
    there = values > LEAST * max(values[-1], 0.0)
    scale = np.where(there, 1 / np.sqrt(np.where(there, values, 1.0)), 0.0)
    return np.asarray(vectors * scale)


def kernel_alignment(both: Both) -> tuple[float, float]:
    r"""Return the linear CKA of the means, and that of the samples.

    .. math:: \|C_{ab}\|_F^2 \,/\, (\|C_{aa}\|_F \|C_{bb}\|_F)

    Examples
    --------
    >>> one = Both(np.eye(1), np.eye(1), np.eye(1), np.ones(1), np.ones(1))
    >>> kernel_alignment(one)
    (1.0, 0.25)
    """
    top = float(np.sum(both.between**2))
    noisy = [both.a + np.diag(both.noise_a), both.b + np.diag(both.noise_b)]
    sizes = [float(np.linalg.norm(p) * np.linalg.norm(q)) for p, q in ((both.a, both.b), noisy)]
    means, samples = (top / size if size > 0 else 0.0 for size in sizes)
    return means, samples


def kept(both: Both, latents: Any, others: Any) -> dict[str, Float]:
    r"""Return the nats (p,) that each class of maps from code b keeps of each latent of code a.

    .. math:: \tfrac12 \log\frac{C_{hh} + D_h}{\min(e_h, C_{hh}) + D_h}

    with e_h the mean squared error of the map.

    Parameters
    ----------
    both : Both
    latents, others : array of int
        Which latent of a belongs to which of b; the others of a have none.
    """
    spread = np.diagonal(both.a)
    linear = spread - np.einsum("ij,ij->i", both.between @ np.linalg.pinv(both.b), both.between)
    u, _, vt = np.linalg.svd(both.between, full_matrices=False)
    turn = u @ vt
    rotation = spread - 2 * np.einsum("ij,ij->i", turn, both.between)
    rotation = rotation + np.einsum("ij,jk,ik->i", turn, both.b, turn)
    single = spread.copy()
    single[latents] *= 1 - both.correlations()[latents, others] ** 2

    def nats(error: Float) -> Float:
        least = np.clip(error, LEAST * spread, spread)
        return np.asarray(0.5 * np.log((spread + both.noise_a) / (least + both.noise_a)))

    return dict(zip(MAPS, map(nats, (single, rotation, linear)), strict=True))


def rotations_of(d: int, count: int, rng: np.random.Generator) -> Float:
    """Draw orthogonal matrices (count, d, d) from the Haar measure."""
    return np.stack([haar(d, rng) for _ in range(count)])


def alignments(both: Both, maps: Float | None = None) -> Float:
    r"""Return how near each latent of a is to an axis of b, in the space of b.

    .. math:: \max_j |r_{hj}| / R_h

    with r the correlations and R_h the multiple correlation with all of b: the cosine of the angle
    to the nearest axis, where the latents of b are uncorrelated.

    Parameters
    ----------
    both : Both
    maps : array, shape (r, q, q), optional
        Of the latents of b, to other axes of the same space; by default they stay as they are.

    Returns
    -------
    array, shape (r, p), or (p,)
        From 0 to 1.
    """
    spread = np.diagonal(both.a)
    explained = np.einsum("ij,ij->i", both.between @ np.linalg.pinv(both.b), both.between)
    length = np.sqrt(np.maximum(explained, LEAST * spread))[:, None]
    along = _quotient(both.between, length)
    if maps is None:
        return _nearest_axis(along, np.diagonal(both.b))
    variance = np.einsum("rij,rij->ri", maps @ both.b, maps)
    return _nearest_axis(along @ np.swapaxes(maps, 1, 2), variance)


def recoloured(rotations: Float, covariance: Float) -> Float:
    """Return maps (r, q, q) that rotate the whitened code and give it its covariance again.

    Where latents are correlated or differ in variance, a rotation of the code itself makes other
    latents of it; these keep the covariance.
    """
    values, vectors = np.linalg.eigh(covariance)
    values = np.maximum(values, LEAST * values[-1])
    root, inverse = ((vectors * scale) @ vectors.T for scale in (values**0.5, values**-0.5))
    return np.asarray(root @ rotations @ inverse)


def _nearest_axis(covariance: Float, variance: Float) -> Float:
    """Return the greatest size of a correlation of (..., p, q), along the last axis."""
    r = np.max(_quotient(np.abs(covariance), np.sqrt(variance)[..., None, :]), axis=-1)
    return np.asarray(np.minimum(r, 1.0))


def _quotient(x: Float, sizes: Float) -> Float:
    """Return x / sizes, 0 where a size is 0."""
    return np.asarray(np.divide(x, sizes, out=np.zeros_like(x), where=sizes > 0))


def stepped_down(observed: Float, null: Float) -> Float:
    """Return p-values (p,) that are right for all latents together, whatever joins them.

    Westfall and Young (1993), the step-down method of the greatest statistic: a latent is compared
    with the greatest of itself and of all less significant latents, in the same rotation.

    Parameters
    ----------
    observed : array, shape (p,)
    null : array, shape (r, p)

    Examples
    --------
    >>> null = np.random.default_rng(0).uniform(size=(99, 2))
    >>> stepped_down(np.array([2.0, 0.5]), null).round(2)
    array([0.01, 0.57])
    """
    order = np.argsort(observed, kind="stable")
    greatest = np.maximum.accumulate(null[:, order], axis=1)
    beyond = np.sum(greatest >= observed[order] * (1 - LEAST), axis=0)
    p = (1 + beyond) / (1 + len(null))
    out = np.empty_like(observed)
    out[order] = np.maximum.accumulate(p[::-1])[::-1]
    return out


def shuffled(x: Float, y: Float, clusters: Any, count: int, rng: np.random.Generator) -> Float:
    """Return the greatest canonical correlation (count,) where the rows of y are shuffled.

    Clusters are shuffled whole: their rows stay beside each other.
    """
    n = len(x)
    if clusters is not None:
        order = np.argsort(clusters, kind="stable")
        x, y, clusters = x[order], y[order], clusters[order]
    white_x, white_y = (
        (z @ _whitener(z.T @ z / n)).astype(np.float32) / np.float32(n**0.5) for z in (x, y)
    )
    out = np.empty(count)
    for k in range(count):
        if clusters is None:
            rows = rng.permutation(n)
        else:
            rows = np.argsort(rng.permutation(clusters[-1] + 1)[clusters], kind="stable")
        out[k] = np.linalg.norm(white_x.T @ white_y[rows], ord=2)
    return out
