"""InfoMEC: modularity, compactness and explicitness in units of information."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from disentangle_indicators._array import Array, Float
from disentangle_indicators._binning import Index
from disentangle_indicators.factors import Factors
from disentangle_indicators.supervised import _information as info
from disentangle_indicators.supervised._metric import Metric, Outcome, measure
from disentangle_indicators.supervised._softmax import SCALES, probabilities, scaled, softmax
from disentangle_indicators.supervised._splits import ORDERS, splits

__all__ = ["METRIC", "infomec", "neighbour_information"]

PROTOCOLS: dict[str, dict[str, Any]] = {
    "default": {
        "neighbours": 10,
        "code_scale": "ranks",
        "active": 0.0,
        "null": 32,
        "deviations": 5.0,
        "train": 10_000,
        "test": 5_000,
        "order": "shuffled",
        "scale": "whitened",
        "outliers": 0.002,
        "C": 1.0,
        "balanced": False,
        "max_iter": 1000,
    },
    "hsu2023": {
        "neighbours": 10,
        "code_scale": "raw",
        "active": 0.05,
        "null": 0,
        "deviations": 5.0,
        "train": None,
        "test": 0,
        "order": "as given",
        "scale": "standard",
        "outliers": 0.0,
        "C": float("inf"),
        "balanced": True,
        "max_iter": 100,
    },
}

SOURCES = {
    "default": "Hsu et al. (2023), section 4, on ranks, which monotone maps of latents and outliers "
    "do not change. Information below 5 standard deviations of what uniform noise gets counts "
    "as 0, so that clipping at 0 does not leave noise with structure; the loss is of rows left out",
    "hsu2023": "latent_quantization, infomec.py: latents with at least a twentieth of the largest "
    "range, and an unpenalised classifier cut off at 100 iterations and scored on the rows it is "
    "fitted on, as published. A latent or a factor without any information spreads it evenly, where "
    "it was nan",
}


def infomec(
    codes: Array,
    factors: Any,
    *,
    rng: np.random.Generator | int = 0,
    protocol: str = "default",
    **overrides: Any,
) -> float:
    r"""InfoM, with InfoC and InfoE as its parts.

    .. math::
        \mathrm{InfoM} &= \Big(\frac1A \sum_h \frac{\max_k u_{hk}}{\sum_k u_{hk}} - \frac1K\Big)
            \Big/ \Big(1 - \frac1K\Big)

        \mathrm{InfoC} &= \Big(\frac1K \sum_k \frac{\max_h u_{hk}}{\sum_h u_{hk}} - \frac1A\Big)
            \Big/ \Big(1 - \frac1A\Big)

        \mathrm{InfoE} &= \frac1K \sum_k \Big(1 - \frac{L_k(z)}{L_k(\varnothing)}\Big)

    with :math:`u_{hk} = I(z_h; v_k) / H(v_k)` by nearest neighbours, h over the A active latents,
    and L the mean log loss of softmax regression, on all latents and on none.

    Parameters
    ----------
    codes : array, shape (n, d)
        With one active latent InfoC is 1, and without any it is 0 as InfoM is.
    factors : array, shape (n, K) or (n,)
        Used as classes: a continuous one is put in 20 bins of equal counts. Constant factors are
        left out, and so are rows without a value of the factor at hand. With one factor InfoM is 1
        if a latent captures it. A factor that no latent captures spreads its information evenly.
    rng : numpy.random.Generator or int
        Breaks ties of codes, draws the null and shuffles the rows.
    protocol : {"default", "hsu2023"}
    **overrides
        Parameters that differ from the protocol's:

        - neighbours: k, of the rows with the same value.
        - code_scale: "ranks" or "raw", as which latents enter the information.
        - active: share of the largest range that a latent must exceed to count.
        - null, deviations: columns of noise, and how many of their standard deviations above their
          mean information begins; 0 columns for no such test. With it, latents without
          information are not active.
        - train, test, order: rows to fit on and rows to score, "shuffled" or "as given". Fewer
          rows than that are shared out in proportion; without test rows those for training are
          scored, and used for the information as well, which is otherwise of all rows.
        - scale, outliers: of codes for the classifier, as in :func:`explicitness`.
        - C, balanced, max_iter: inverse penalty, whether values weigh alike, and iterations.

    Returns
    -------
    float
        InfoM, between 0 and 1, where 1 is best. No unit. So is the part "infoc"; the part "infoe"
        may be negative on rows left out.

    Raises
    ------
    ValueError
        On arrays that do not belong together, on codes that are not finite, and on parameters out
        of range.
    Undefined
        When all factors are constant.

    Notes
    -----
    Hsu et al. (2023), section 4; the information is that of Ross (2014), eq. (2). InfoM rewards
    latents that capture one factor, InfoC factors in one latent, InfoE factors that can be read
    off linearly. A ratio of information ignores size: a latent that captures a little of one
    factor is as modular as one that captures all of it, which is why noise needs a test.

    Examples
    --------
    >>> import numpy as np
    >>> factors = np.stack(np.divmod(np.arange(480) % 12, 4), axis=1)
    >>> round(infomec(factors, factors), 12)
    1.0
    """
    return measure(METRIC, codes, factors, rng=rng, protocol=protocol, **overrides).value


def neighbour_information(x: Float, y: Index, neighbours: int) -> Float:
    r"""Mutual information of each column of numbers with classes, by nearest neighbours.

    .. math:: I = \psi(n) + \overline{\psi(k_i)} - \overline{\psi(c_i)} - \overline{\psi(m_i)}

    where c_i rows have the class of row i, k_i = min(k, c_i - 1), and m_i rows of any class, row i
    included, are nearer to it than the k_i-th nearest of its class.

    Parameters
    ----------
    x : array, shape (n, d)
        Without ties: of tied rows it makes too little.
    y : array of int, shape (n,)
        Rows alone in their class are left out.
    neighbours : int

    Returns
    -------
    array, shape (d,)
        Nats; not clipped, so that noise is about 0 on average.

    Raises
    ------
    ValueError
        For neighbours less than 1.

    Notes
    -----
    Ross (2014), eq. (2). In one dimension the k nearest rows of a class lie next to each other
    once sorted, so that k + 1 windows of k + 1 rows hold them.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(40.0)[:, None] ** 0.5
    >>> neighbour_information(x, np.arange(40) // 20, 3).round(1)
    array([0.7])
    """
    from scipy.special import digamma

    if neighbours < 1:
        raise ValueError(f"neighbours must be at least 1; got {neighbours}")
    sizes = np.bincount(y)
    rows = np.flatnonzero(sizes[y] > 1)
    x, y = x[rows], y[rows]
    n, d = x.shape
    out = np.zeros(d)
    if n == 0:
        return out
    counts = sizes[np.sort(y)]  # of each row once they are sorted by class
    k = np.minimum(neighbours, counts - 1)
    start = np.concatenate([[0], np.cumsum(sizes[sizes > 1])])
    start = np.repeat(start[:-1], np.diff(start))
    psi = digamma(np.arange(n + 1.0) + (np.arange(n + 1) == 0))
    constant = psi[n] + psi[k].mean() - psi[counts].mean()
    for h, column in enumerate(x.T):
        order = np.argsort(column, kind="stable")
        within = order[np.argsort(y[order], kind="stable")]
        distance = _distance(column[within], start, start + counts, neighbours)
        near = _count_nearer(column[order], column[within], distance)
        out[h] = constant - psi[near].mean()
    return out


def _distance(x: Float, start: Index, stop: Index, neighbours: int) -> Float:
    """Return the distance to the k-th nearest, or the last, of the rows from start to stop.

    Windows of k + 1 rows slide over the sorted rows of all classes, k places between two of them.
    """
    k = min(neighbours, int(np.max(stop - start)) - 1)
    number = np.cumsum(start == np.arange(len(x)))
    place = np.arange(len(x)) + k * number
    size = place[-1] + k + 1
    below, middle, above = np.full(size, -np.inf), np.zeros(size), np.full(size, np.inf)
    below[place] = middle[place] = above[place] = x
    middle = middle[k : size - k]
    nearest = np.full(size - 2 * k, np.inf)
    for first in range(k + 1):
        last = size - 2 * k + first
        reach = np.maximum(middle - below[first:last], above[first + k : last + k] - middle)
        np.minimum(nearest, reach, out=nearest)
    all_of_them = np.maximum(x - x[start], x[stop - 1] - x)
    return np.where(stop - start > k, nearest[place - k], all_of_them)


def _count_nearer(ordered: Float, x: Float, distance: Float) -> Index:
    """Return how many of the ordered numbers are nearer to x than the distance."""
    low = np.searchsorted(ordered, x - distance)
    high = np.searchsorted(ordered, x + distance) - 1
    last = len(ordered) - 1
    # x - distance is rounded, and the neighbour itself is on the edge
    low -= (low > 0) & (x - ordered[np.maximum(low - 1, 0)] < distance)
    low += (low < last) & (x - ordered[np.minimum(low, last)] >= distance)
    high += (high < last) & (ordered[np.minimum(high + 1, last)] - x < distance)
    high -= (high > 0) & (ordered[np.maximum(high, 0)] - x >= distance)
    return np.asarray(np.maximum(high - low + 1, 1))


def _prepare(z: Float, factors: Factors, p: dict[str, Any]) -> tuple[Float, Any]:
    return z, (factors, [factors.labels(k) for k in range(factors.number)])


def _compute(
    z: Float,
    prepared: tuple[Factors, list[Index]],
    p: dict[str, Any],
    rng: np.random.Generator,
) -> Outcome:
    factors, labels = prepared
    if p["null"] < 0 or p["null"] == 1:
        raise ValueError(f"null must be 0, or at least 2 columns; got {p['null']}")
    if not 0 <= p["active"] < 1:
        raise ValueError(f"active must be at least 0 and less than 1; got {p['active']}")
    rows = splits(factors, p, rng)
    share = _shares(z, prepared, rows, p, rng)
    low, high = z.min(axis=0) / 4, z.max(axis=0) / 4
    active = high - low > p["active"] * np.max(high - low)
    if p["null"]:
        active &= share.max(axis=1) > 0
    modular = np.where(active, _concentration(share), 0.0)
    compact = _concentration(share[active].T)
    explicit = [_explicit(z, label, *row, p) for label, row in zip(labels, rows, strict=True)]
    return Outcome(
        float(np.sum(modular)) / max(int(np.count_nonzero(active)), 1),
        {"infoc": float(np.mean(compact)), "infoe": float(np.mean(explicit))},
        per_factor=compact,
        per_factor_name="infoc",
        per_latent=modular,
        matrix=share,
        matrix_name="I(z_h; v_k) / H(v_k), by nearest neighbours",
    )


def _counts(z: Float, factors: Factors, p: dict[str, Any], rng: np.random.Generator) -> Any:
    """Return whether information counts (d, K), beyond that of noise, as info.decided; None: all."""
    if not p["null"]:
        return None
    z, prepared = _prepare(z, factors, p)
    found = [_of_factor(z, *each, p, rng) for each in _used(prepared, splits(factors, p, rng))]
    return np.stack([info.decided(of - mean, above) for of, mean, above, _ in found], axis=1)


def _used(
    prepared: tuple[Factors, list[Index]], rows: list[tuple[Index, Index]]
) -> Iterator[tuple[Index, Index]]:
    """Yield the rows that the information of each factor is taken from, and the factor's classes."""
    factors, labels = prepared
    for k, (label, (train, test)) in enumerate(zip(labels, rows, strict=True)):
        used = train if test is train else factors.present(k)
        yield used, np.unique(label[used], return_inverse=True)[1].reshape(-1)


def _shares(
    z: Float,
    prepared: tuple[Factors, list[Index]],
    rows: list[tuple[Index, Index]],
    p: dict[str, Any],
    rng: np.random.Generator,
) -> Float:
    """Return the share of each factor's entropy that each latent captures (d, K), 0 if by chance."""
    share, counts = np.zeros((z.shape[1], prepared[0].number)), p.get("counts")
    for k, each in enumerate(_used(prepared, rows)):
        found, mean, above, entropy = _of_factor(z, *each, p, rng)
        own = found > max(mean + above, 0.0)
        beyond = info.ruled(own, None if counts is None else counts[:, k])
        if entropy:
            share[:, k] = np.where(beyond, np.maximum(found, 0.0), 0.0) / entropy
    return share


def _of_factor(
    z: Float, rows: Index, y: Index, p: dict[str, Any], rng: np.random.Generator
) -> tuple[Float, float, float, float]:
    """Return the information of latents (d,), noise's mean and reach, and the factor's entropy."""
    z = z[rows]
    entropy = float(info.entropies(np.bincount(y)[None], len(z))[0])
    if entropy == 0:
        return np.zeros(z.shape[1]), 0.0, 0.0, 0.0
    found = neighbour_information(_without_ties(z, p, rng), y, p["neighbours"])
    found = np.where(z.max(axis=0) == z.min(axis=0), 0.0, found)
    if not p["null"]:
        return found, 0.0, 0.0, entropy
    noise = neighbour_information(rng.random((len(z), p["null"])), y, p["neighbours"])
    above = p["deviations"] * np.sqrt(p.get("share", 1.0)) * noise.std(ddof=1)  # of all rows
    return found, float(noise.mean()), float(above), entropy


def _without_ties(z: Float, p: dict[str, Any], rng: np.random.Generator) -> Float:
    if p["code_scale"] == "ranks":
        from scipy.stats import rankdata

        shuffled = rng.permutation(len(z))
        ranks = np.empty_like(z)
        ranks[shuffled] = rankdata(z[shuffled], "ordinal", axis=0)
        return np.asarray((ranks + rng.random(z.shape)) / len(z))
    x = scaled(z, np.arange(len(z)), "standard")
    jitter = 1e-10 * np.maximum(1.0, np.abs(x).mean(axis=0))
    return np.asarray(x + jitter * rng.normal(size=x.shape))


def _concentration(share: Float) -> Float:
    """Return how far each row is from even, 0, to a single entry, 1; rows of zeros are even."""
    rows, size = share.shape
    if size == 0:
        return np.zeros(rows)
    total = share.sum(axis=1)
    if size == 1:
        return np.where(total > 0, 1.0, 0.0)
    largest = np.where(total > 0, share.max(axis=1) / np.where(total > 0, total, 1.0), 1 / size)
    return np.asarray((largest - 1 / size) / (1 - 1 / size))


def _explicit(z: Float, label: Index, train: Index, test: Index, p: dict[str, Any]) -> float:
    """Return 1 - loss with all latents / loss with none, over rows whose value was fitted."""
    seen, y = np.unique(label[train], return_inverse=True)
    y = y.reshape(-1)
    known = np.isin(label[test], seen)
    if len(seen) == 1 or not np.any(known):
        return 0.0
    x = scaled(z, train, p["scale"], p["outliers"])
    w = softmax(
        x[train],
        y,
        penalty=1 / p["C"] / len(train),
        balanced=p["balanced"],
        max_iter=p["max_iter"],
        tol=1e-4,
    )
    truth = np.searchsorted(seen, label[test][known])
    counts = np.ones(len(seen)) if p["balanced"] else np.bincount(y)
    without = -np.mean(np.log(counts / counts.sum())[truth])
    loss = -np.mean(probabilities(w, x[test][known])[np.arange(len(truth)), truth])
    return float(1 - loss / without)


METRIC = Metric(
    "infomec",
    "InfoM, with InfoC and InfoE",
    _compute,
    PROTOCOLS,
    "whether a latent that captures something captures one factor only (InfoM), whether a factor is in "
    "one latent (InfoC), and whether factors can be read off linearly (InfoE)",
    SOURCES,
    refits=tuple(PROTOCOLS),
    prepare=_prepare,
    counts=_counts,
    choices={"code_scale": ("ranks", "raw"), "order": ORDERS, "scale": SCALES},
)
