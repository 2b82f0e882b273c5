r"""Copies of rows: rows that repeat another row, or lie so near to it as no independent row would.

For independent rows, whatever their distribution, the number M of other rows within a fixed radius
of a row is a mixture of binomials, so that the shares P(M = k) satisfy, up to 1/n,

.. math:: P(M = k)^2 \le \frac{k + 1}{k} \, P(M = k - 1) \, P(M = k + 1), \qquad k \ge 1

with equality for a Poisson number. Where each input was encoded k + 1 times, M = k for all rows
and its neighbours are empty: this is tested at every radius. No dimension is estimated, and
clusters, grids, tails or a low dimension of the rows make no difference to the inequality.
"""

from dataclasses import dataclass, field
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from disentangle_indicators._array import Float

__all__ = ["Copies", "distinct", "find_copies", "joined"]

LEAST = 1e-3
"""Share of rows with an exact copy below which copies change nothing."""

FALSE_ALARM = 1e-7
"""Probability that independent rows have as many equal pairs, below which these are copies."""

_PAIRS = 3e7
"""Distances that are looked at."""

_QUERIES = (50, 2000)
"""Least and greatest number of rows whose neighbours are counted."""

_RADII = 48
_MARGIN = 1 + 1e-9
"""What rounding of a projection may add to a distance."""

_APART = 2.5
"""How much farther than the farthest copy the nearest other row must be."""

_EVIDENCE = 30.0
"""Twice the log likelihood ratio: one false alarm in 1e7 tests."""


@dataclass(frozen=True)
class Copies:
    """Groups of rows that are copies of each other.

    Parameters
    ----------
    n : int
        Rows.
    rows : int
        Rows that have a copy.
    groups : int
        Distinct rows: groups of copies, and rows that have none.
    exact : bool
        Whether copies have the same means, bit by bit; otherwise they are nearly the same.
    codes : array of int, shape (n,)
        The group of each row, from 0 to `groups` - 1.

    Examples
    --------
    >>> mean = np.repeat(np.random.default_rng(0).normal(size=(100, 6)), 10, axis=0)
    >>> copies = find_copies(mean)
    >>> copies.rows, copies.groups, copies.exact
    (1000, 100, True)
    >>> find_copies(mean[::10]) is None
    True
    """

    n: int
    rows: int
    groups: int
    exact: bool
    codes: NDArray[np.int64] = field(repr=False)

    @property
    def sentence(self) -> str:
        """Return what was found and what to do, for reports."""
        if self.exact:
            found = f"{self.rows} of {self.n} rows repeat the means of another row exactly"
        else:
            found = f"{self.rows} of {self.n} rows nearly repeat another row, as augmentations do"
        return (
            f"{found}: there are {self.groups} distinct rows. Rows of one input are not "
            "independent: name the input of each row with clusters=."
        )


def joined(clusters: Any, copies: Copies) -> NDArray[np.int64]:
    """Return one code (n,) for all rows that clusters, codes (n,), or copies join.

    Examples
    --------
    >>> copies = find_copies(np.array([[1.0], [2.0], [1.0], [3.0]]))
    >>> joined(np.array([0, 1, 1, 2]), copies)
    array([0, 0, 0, 1])
    """
    rows = np.arange(copies.n)
    first = np.unique(copies.codes, return_index=True)[1][copies.codes]
    _, start, codes = np.unique(clusters, return_index=True, return_inverse=True)
    return _components(np.concatenate([rows, rows]), np.concatenate([first, start[codes]]))


def distinct(x: Float) -> NDArray[np.int64]:
    """Return the numbers of the first of all rows (n, d) that are the same, bit by bit.

    Examples
    --------
    >>> distinct(np.array([[1.0], [2.0], [1.0], [3.0]]))
    array([0, 1, 3])
    """
    return np.sort(np.unique(_same(x), return_index=True)[1])


def find_copies(mean: Float, latents: Any = None) -> Copies | None:
    """Return the copies among rows, None where there are none or rows cannot be told apart.

    Parameters
    ----------
    mean : array, shape (n, d)
        Means of the posteriors, finite.
    latents : sequence of int, optional
        The latents in which rows are near each other: those that are used. All by default; exact
        copies are the same in all latents.

    Returns
    -------
    Copies or None

    Notes
    -----
    Exact copies are always found; below one row of a thousand they are left out, and so are as many
    as independent rows may have where few digits are stored. Near copies are
    found where originals are more than twice as many as the copies of each, and where the next
    row is 2.5 times farther than the copies. Numbers of copies that vary from row to row like a
    Poisson number cannot be told from independent rows of a discrete code: then only exact copies
    are found. Up to 2,000 rows, fewer where n is above 15,000, are compared with all others.
    """
    n = len(mean)
    exact = _same(mean)
    groups = int(exact.max()) + 1
    if groups == 1:
        return None  # one row, or a code that is constant
    x = _standardised(mean if latents is None else mean[:, list(latents)])
    radius, within = _radius(x), np.arange(n)
    if radius == 0:  # there may be near copies among the distinct rows
        first = np.unique(exact, return_index=True)[1]
        x, within = x[first], exact
        radius = _radius(x)
    if radius:
        near = _linked(x, radius)[within]
        if near.max() + 1 < groups:
            return _of(near, exact=False)
    found = _of(exact, exact=True)
    if found.rows < max(2, LEAST * n) or _meet_by_chance(mean, exact):
        return None
    return found


def _of(codes: NDArray[np.int64], *, exact: bool) -> Copies:
    sizes = np.bincount(codes)
    return Copies(codes.size, int(sizes[sizes > 1].sum()), sizes.size, exact, codes)


def _meet_by_chance(mean: Float, codes: NDArray[np.int64]) -> bool:
    """Whether independent rows, stored with so few digits, may have so many equal pairs."""
    from scipy.stats import poisson

    sizes = np.bincount(codes)
    pairs = int(np.sum(sizes * (sizes - 1)) // 2)
    return bool(poisson.sf(pairs - 1, _chance_pairs(mean)) > FALSE_ALARM)


def _chance_pairs(mean: Float) -> float:
    r"""Return how many pairs of independent rows are equal because numbers are rounded.

    .. math:: \frac{n - 1}{2} \sum_i \prod_h f_h(x_{ih}) \, \epsilon(x_{ih})

    with f_h the density of a latent, from the values of about the square root of n neighbours, and
    epsilon the distance of x to the next number of its precision.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(2000, 1))
    >>> [f"{_chance_pairs(x.astype(kind)):.2g}" for kind in (np.float16, np.float32, np.float64)]
    ['2.3e+02', '0.028', '5.3e-11']
    """
    n, around = len(mean), ceil(len(mean) ** 0.5)
    log_p = np.zeros(n)
    for column in mean.T:
        order = np.argsort(column)
        x = column[order]
        # As far as other values: a code of few values has no digits that were lost.
        low = np.minimum(np.arange(n) - around, np.searchsorted(x, x) - 1).clip(0)
        high = np.maximum(np.arange(n) + around, np.searchsorted(x, x, "right")).clip(max=n - 1)
        width = x[high].astype(np.float64) - x[low]
        step = np.abs(np.spacing(x)).astype(np.float64)
        share = np.divide(step * (high - low) / n, width, out=np.ones(n), where=width > 0)
        with np.errstate(divide="ignore"):  # the numbers next to 0 are nearer than any digits
            log_p[order] += np.log(np.minimum(share, 1.0))
    return float((n - 1) / 2 * np.sum(np.exp(log_p)))


def _same(mean: Float) -> NDArray[np.int64]:
    """Return one code (n,) for all rows with the same bits; -0 is 0."""
    rows = np.ascontiguousarray(mean + 0.0)
    bits = rows.view(f"V{rows.shape[1] * rows.itemsize}").ravel()
    codes: NDArray[np.int64] = np.unique(bits, return_inverse=True)[1].reshape(-1)
    return codes


def _standardised(x: Float) -> Float:
    """Return the latents that vary, in units of their standard deviations."""
    x = np.asarray(x, dtype=np.float64)
    spread = x.std(axis=0)
    return np.asarray((x[:, spread > 0] - x.mean(axis=0)[spread > 0]) / spread[spread > 0])


def _linked(x: Float, radius: float) -> NDArray[np.int64]:
    """Return one code (n,) for all rows that a chain of steps within the radius joins.

    Candidates are near in random directions, where a tree is fast: in so many that of independent
    Gaussian rows about one is near.
    """
    from scipy.spatial import cKDTree
    from scipy.stats import chi2

    n, d = x.shape
    enough = np.flatnonzero(n * chi2.cdf(radius**2 / 2, np.arange(1, d + 1)) <= 1)
    directions = 1 + int(enough[0]) if enough.size else d
    axes = np.linalg.qr(np.random.default_rng(0).standard_normal((d, directions)))[0]
    i, j = cKDTree(x @ axes).query_pairs(radius * _MARGIN, output_type="ndarray").T
    square = sum((column[i] - column[j]) ** 2 for column in x.T)
    near = square <= radius**2
    rows = np.arange(n)
    return _components(np.concatenate([rows, i[near]]), np.concatenate([rows, j[near]]))


def _components(i: Any, j: Any) -> NDArray[np.int64]:
    """Return one code (n,) for all rows that pairs of rows (i, j) join; each row is in a pair."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = int(i.max()) + 1
    graph = coo_array((np.ones(i.size, dtype=bool), (i, j)), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def _radius(x: Float) -> float | None:
    """Return the radius (standard deviations) that joins near copies, None where there are none.

    Of all radii, the one at which the numbers of neighbours contradict independent rows most; 0
    where these are the numbers of exact copies.
    """
    n, most = len(x), int(np.sqrt(len(x) / 2))
    if x.shape[1] == 0 or most < 2:
        return None
    queries = int(np.clip(_PAIRS / n, *_QUERIES))
    chosen = np.random.default_rng(0).permutation(n)[:queries]
    distances = _nearest(x, chosen, min(n - 1, most + 2))
    positive = distances[distances > 0]
    if positive.size == 0:
        return None
    # from below the least distance, where only exact copies are near
    radii = np.geomspace(0.9 * positive.min(), positive.max() / _APART, _RADII)
    share = len(chosen) / n
    evidence = [_evidence_at(radius, distances, most, share) for radius in radii]
    best = int(np.argmax(evidence))
    if evidence[best] <= _EVIDENCE:
        return None
    return float(radii[best]) if best > 0 else 0.0


def _nearest(x: Float, chosen: Any, count: int) -> Float:
    """Return the distances (q, count), from the least, of chosen rows to the nearest others."""
    from sklearn.neighbors import NearestNeighbors  # type: ignore[import-untyped]

    fitted = NearestNeighbors(n_neighbors=count + 1, algorithm="brute").fit(x)
    found = fitted.kneighbors(x[chosen], return_distance=False)
    # the distances of scikit-learn are products of matrices, which cancel where rows coincide
    square = sum((column[found] - column[chosen, None]) ** 2 for column in x.T)
    square[found == chosen[:, None]] = np.inf
    return np.sort(np.sqrt(square), axis=1)[:, :count]


def _evidence_at(radius: float, distances: Float, most: int, share: float) -> float:
    """Return the evidence that numbers of neighbours within a radius are not of independent rows.

    It is the greatest over k below `most` of twice the log likelihood ratio of the rows with
    k - 1, k and k + 1 neighbours. Rows count with k only if they have none more within `_APART`
    times the radius. `share` is that of the rows that were looked at: rows of one group of k + 1
    are counted 1 + k `share` times.
    """
    near = np.sum(distances <= radius, axis=1)
    alone = near == np.sum(distances <= _APART * radius, axis=1)
    k = np.arange(most + 2)
    all_rows = np.bincount(np.minimum(near, most + 1), minlength=most + 2) / (1 + k * share)
    apart = np.bincount(np.minimum(near[alone], most + 1), minlength=most + 2) / (1 + k * share)
    below, here, above = all_rows[:-2], apart[1:-1], all_rows[2:]
    return float(_evidence(below, here, above, k[1:-1])[: most - 1].max())


def _evidence(below: Float, here: Float, above: Float, k: Any) -> Float:
    """Return twice the log likelihood ratio of three counts against a Poisson's, 0 if too few.

    The Poisson number has shares 1 : t sqrt(c) : t^2 with c = (k + 1) / k, and t is that of
    greatest likelihood, at which the mean is that of the counts.
    """
    from scipy.special import xlogy

    total = below + here + above
    mean = above - below  # of the number of neighbours less k
    root = np.sqrt((k + 1) / k)
    # (total - mean) t^2 - mean sqrt(c) t - (total + mean) = 0
    spread = np.sqrt((mean * root) ** 2 + 4 * (total - mean) * (total + mean))
    with np.errstate(divide="ignore", invalid="ignore"):
        t = (mean * root + spread) / (2 * (total - mean))
        shares = np.stack([np.ones_like(t), root * t, t * t]) / (1 + root * t + t * t)
        counts = np.stack([below, here, above])
        ratio = 2 * np.sum(xlogy(counts, counts / (total * shares)), axis=0)
        out = np.where((total > 0) & (here > total * shares[1]), ratio, 0.0)
    return np.asarray(np.nan_to_num(out))
