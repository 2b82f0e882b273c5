r"""Plug-in information between binned codes and factors as classes.

.. math:: H(a) = -\sum_x \hat p(x) \log \hat p(x), \qquad I(a; b) = H(a) + H(b) - H(a, b)

The empirical table is biased upwards, by about (bins - 1)(values - 1) / 2n nats; :func:`chance`
says by how much. With ``adjust`` information is rescaled, so that chance is 0 and H(b) stays H(b):

.. math:: J(a; b) = H(b) \max\Big(0, \frac{I(a; b) - E}{H(b) - E}\Big)

with E the mean of I over permuted rows (Vinh, Epps & Bailey, 2010).
"""

from typing import Any, NamedTuple

import numpy as np

from disentangle_indicators._array import Float
from disentangle_indicators._binning import Index, binned, equal_counts
from disentangle_indicators.factors import Factors

_CELLS = 1 << 22
"""Cells of the contingency tables that are counted at a time."""

TIE = 1e-9
"""Informations that differ by less nats are equal but for rounding."""


class Information(NamedTuple):
    """Of d latents and K factors, over the rows where the factor has a value; nats.

    Parameters
    ----------
    mutual : array, shape (d, K)
    codes : array, shape (d, K)
        H(z_h); the same for all factors unless values are missing.
    factors : array, shape (K,)
        H(v_k), exactly 0 for one value.
    joint : array, shape (d, K)
    """

    mutual: Float
    codes: Float
    factors: Float
    joint: Float


class Chance(NamedTuple):
    """Information that shuffled latents show, with the same bins and values; nats.

    Parameters
    ----------
    mean : array, shape (d, K)
        Expected I(z_h; v_k) when rows of the codes are permuted.
    above : array, shape (d, K)
        Exceeded by one of all the d K entries with probability `level`.
    counts : array of int, shape (d, K), optional
        Whether information counts, 1 or 0, where that is not for these rows to decide; else -1.
    """

    mean: Float
    above: Float
    counts: Any = None


class Known(NamedTuple):
    """What latents capture beyond chance: 0 where that may be chance.

    Parameters
    ----------
    mutual : array, shape (d, K)
        Nats.
    share : array, shape (d, K)
        Of the entropy of the factor, 1 for all of it.
    sure : array, shape (d, K)
        From 0 where it just passes chance to 1 where it is far above.
    """

    mutual: Float
    share: Float
    sure: Float


DOUBT = 0.6, 2.0
"""Between these shares of its limit, other samples may decide otherwise on what counts."""

CODE_BINS = ("width", "count")
AVERAGES = ("latents", "information")


class Binned(NamedTuple):
    """Factors as classes, and which bins of the codes belong to each.

    A factor's bins depend on how many values that factor has, and not on other factors.

    Parameters
    ----------
    labels : list of arrays of int, shape (n,)
        Of K factors; -1 where one has no value.
    layer : array of int, shape (K,)
        The second axis of the cells (n, layers, d).
    bins : array of int, shape (K,)
        Of each latent, for that factor.
    chance : array, shape (d, K), optional
        Nats to adjust information for; None to take all information as it is.
    """

    labels: list[Index]
    layer: Index
    bins: Index
    chance: Float | None = None


def prepare(z: Float, factors: Factors, p: dict[str, Any]) -> tuple[Index, Binned]:
    """Put codes into bins (n, layers, d), and factors into classes, -1 where they have no value.

    The parameters are ``bins`` and ``code_bins`` ("width" for equal widths, as np.histogram, or
    "count" for equal counts), ``factor_bins`` as in `Factors.labels`, and ``adjust``, if there is
    one: whether to subtract what permuted rows get.
    """
    if p["bins"] < 1:
        raise ValueError(f"bins must be at least 1; got {p['bins']}")
    if p["factor_bins"] is not None and p["factor_bins"] < 1:
        raise ValueError(f"factor_bins must be at least 1; got {p['factor_bins']}")
    labels = [factors.labels(k, p["factor_bins"]) for k in range(factors.number)]
    bins = np.array([code_bins(label, p) for label in labels])
    different, layer = np.unique(bins, return_inverse=True)
    of_factors = Binned(labels, layer.reshape(-1), bins)
    if p["code_bins"] == "width":
        cells = binned(z, p["bins"])[:, None]
    else:
        columns = [[equal_counts(column, int(number)) for column in z.T] for number in different]
        cells = np.ascontiguousarray(np.moveaxis(np.array(columns), 2, 0))
    if p.get("adjust"):
        whole = [expected(*pair) for pair in pairs(cells, of_factors)]
        of_factors = of_factors._replace(chance=np.stack(whole, axis=1))
    return cells, of_factors


Labels = tuple[Binned, Chance | None]
"""Classes of K factors, and what latents without information get, if it is to be taken off."""


def prepare_chance(z: Float, factors: Factors, p: dict[str, Any]) -> tuple[Index, Labels]:
    """Put both into bins, and say what latents without information get at ``level``.

    Half of the rows go by what :func:`counts` said of all rows, in ``counts``.
    """
    cells, of_factors = prepare(z, factors, p)
    share = p.get("share", 1.0)
    return cells, (of_factors, chance(cells, of_factors, p["level"], share, p.get("counts")))


def counts(z: Float, factors: Factors, p: dict[str, Any], rng: Any = None) -> Any:
    """Return whether information counts (d, K), as :func:`decided`; None: all of it does."""
    cells, (of_factors, by_chance) = prepare_chance(z, factors, p)
    if by_chance is None:
        return None
    beyond = information(cells, of_factors).mutual - by_chance.mean
    return decided(beyond, by_chance.above - by_chance.mean)


def decided(beyond: Any, limit: Any) -> Any:
    """Return 1 where information beyond chance is far above its limit, 0 where far below, else -1."""
    low, high = DOUBT
    return np.where(beyond > high * limit, 1, np.where(beyond < low * limit, 0, -1))


def ruled(own: Any, counts: Any) -> Any:
    """Return what counts: as it was decided, and by the rows' own rule where it was not."""
    return own if counts is None else np.where(counts < 0, own, counts > 0)


def code_bins(label: Index, p: dict[str, Any]) -> int:
    """Return how many bins a latent gets for one factor.

    Those of equal counts are at least as many as the factor has values, and a multiple of
    ``bins``, so that they are within those of a factor that is cut into as many itself.
    """
    if p["code_bins"] == "width":
        return int(p["bins"])
    most = int(label.max()) + 1 + int(label.min() < 0)
    return int(p["bins"] * max(1, -(-most // p["bins"])))


def matrix_name(p: dict[str, Any]) -> str:
    """Return what a matrix of :func:`information` holds, with its unit."""
    return f"I(z_h; v_k){' beyond chance' if p.get('adjust') else ''} [nats]"


def pairs(cells: Index, of_factors: Binned) -> list[tuple[Index, Index]]:
    """Return, for each factor, the cells (n, d) that belong to it and its classes."""
    found = zip(of_factors.labels, of_factors.layer, strict=True)
    return [(cells[:, layer], label) for label, layer in found]


def information(cells: Index, of_factors: Binned) -> Information:
    """Return entropies and mutual information of binned codes and classes of K factors."""
    whole = [of_one(*pair) for pair in pairs(cells, of_factors)]
    mutual, codes, joint = (np.stack([each[i] for each in whole], axis=1) for i in (0, 1, 3))
    entropy = np.array([each[2] for each in whole])
    if of_factors.chance is not None:
        room = entropy - of_factors.chance
        share = np.where(room > TIE, mutual - of_factors.chance, 0.0) / np.maximum(room, TIE)
        mutual = entropy * np.maximum(share, 0.0)
        joint = codes + entropy - mutual
    return Information(mutual, codes, entropy, joint)


def between(labels: list[Index]) -> Float:
    """Return the mutual information of factors (K, K), over rows where both have a value."""
    out = np.zeros((len(labels), len(labels)))
    for i, one in enumerate(labels):
        for j, other in enumerate(labels[:i]):
            rows = np.flatnonzero((one >= 0) & (other >= 0))
            if len(rows):
                out[i, j] = out[j, i] = of_one(one[rows, None], other[rows])[0][0]
    return out


def chance(
    cells: Index, of_factors: Binned, level: float | None, share: float = 1.0, counts: Any = None
) -> Chance | None:
    """Return what latents without information get: None where no level is given.

    Where the rows are a `share` of a sample, `above` is as far above the mean as for the sample.
    """
    if level is None:
        return None
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1; got {level}")
    tests = cells.shape[-1] * len(of_factors.labels)
    whole = [_chance_of_one(*pair, level / tests) for pair in pairs(cells, of_factors)]
    mean, above = (np.stack([each[i] for each in whole], axis=1) for i in (0, 1))
    return Chance(mean, mean + share * (above - mean), counts)


def known(cells: Index, of_factors: Labels) -> tuple[Information, Known]:
    """Return what latents seem to capture, and what they capture beyond chance.

    The share is the adjusted one of Vinh, Epps & Bailey (2010), (I - E) / (H - E). Without
    `Chance` they capture all that they seem to.
    """
    table, by_chance = of_factors
    found = information(cells, table)
    if by_chance is None:
        scale = np.where(found.factors > 0, found.factors, 1.0)
        return found, Known(found.mutual, found.mutual / scale, np.ones_like(found.mutual))
    beyond = ruled(found.mutual > by_chance.above, by_chance.counts)
    mutual = np.where(beyond, np.maximum(found.mutual - by_chance.mean, 0.0), 0.0)
    room = np.where(beyond, found.factors - by_chance.mean, 1.0)
    limit = (by_chance.above - by_chance.mean) / np.where(mutual > 0, mutual, np.inf)
    sure = np.where(mutual > 0, np.maximum(1.0 - limit**2, 0.0), 0.0)
    return found, Known(mutual, mutual / np.maximum(np.maximum(room, mutual), TIE), sure)


def average(values: Float, weights: Float, rule: str) -> float:
    """Return the mean of values of latents: plain, or by how much they capture, 0 if nothing."""
    if rule == "latents":
        return float(np.mean(values))
    total = float(np.sum(weights))
    return float(np.sum(values * weights)) / total if total > 0 else 0.0


def of_one(cells: Index, label: Index) -> tuple[Float, Float, float, Float]:
    """Return I(z_h; v) and H(z_h) (d,), H(v), and H(z_h, v) (d,) of cells (n, d) and classes."""
    cells, label = _present(cells, label)
    n, d = cells.shape
    bins, values = int(cells.max()) + 1, int(label.max()) + 1
    counts = np.bincount(label, minlength=values)
    h_factor = float(entropies(counts[None], n)[0]) if np.count_nonzero(counts) > 1 else 0.0
    h_codes, joint = np.empty(d), np.empty(d)
    block = max(1, _CELLS // (bins * values))
    for start in range(0, d, block):
        part = cells[:, start : start + block]
        size = part.shape[1]
        flat = (part + np.arange(size) * bins) * values + label[:, None]
        table = np.bincount(flat.ravel(), minlength=size * bins * values)
        table = table.reshape(size, bins, values)
        h_codes[start : start + size] = entropies(table.sum(axis=2), n)
        joint[start : start + size] = entropies(table.reshape(size, -1), n)
    mutual = np.clip(h_codes + h_factor - joint, 0.0, np.minimum(h_codes, h_factor))
    return mutual, h_codes, h_factor, joint


def _chance_of_one(cells: Index, label: Index, level: float) -> tuple[Float, Float]:
    from scipy.special import chdtri

    mean, (cells, label) = expected(cells, label), _present(cells, label)
    freedom = (np.count_nonzero(_counts(cells), axis=1) - 1) * (len(np.unique(label)) - 1)
    margin = np.where(freedom > 0, chdtri(np.maximum(freedom, 1), level) - freedom, 0.0)
    return mean, mean + margin / (2 * len(label))


def expected(cells: Index, label: Index) -> Float:
    """Return the mean information (d,) over permutations of the rows, exactly; nats."""
    cells, label = _present(cells, label)
    n, table = len(label), _counts(cells)
    of_codes, which = np.unique(table, return_inverse=True)
    of_factor, times = np.unique(np.bincount(label), return_counts=True)
    x_log_x = _expected_x_log_x(of_codes, of_factor, n) @ times
    joint = np.log(n) - x_log_x[which.reshape(table.shape)].sum(axis=1) / n
    h_codes, h_factor = entropies(table, n), entropies(np.bincount(label)[None], n)
    return np.asarray(np.clip(h_codes + h_factor - joint, 0.0, np.minimum(h_codes, h_factor)))


def _counts(cells: Index) -> Index:
    """Return how many rows each bin of each latent has, (d, bins)."""
    d, bins = cells.shape[1], int(cells.max()) + 1
    flat = (cells + np.arange(d) * bins).ravel()
    return np.bincount(flat, minlength=d * bins).reshape(d, bins)


def _expected_x_log_x(a: Index, b: Index, n: int) -> Float:
    """Return E[x log x] for the overlap x of random subsets of a and b of n things, (A, B)."""
    from scipy.special import gammaln

    a, b = np.meshgrid(a, b, indexing="ij")
    log = gammaln(np.arange(n + 1.0) + 1.0)
    mean = a * b / n
    width = 8.0 * np.sqrt(mean * (1 - a / n) * (1 - b / n)) + 16.0
    first = np.maximum(np.maximum(0, a + b - n), np.floor(mean - width).astype(np.int64))
    last = np.minimum(np.minimum(a, b), np.ceil(mean + width).astype(np.int64))
    fixed = log[a] + log[n - a] + log[b] + log[n - b] - log[n]
    total, out = np.zeros(a.shape), np.zeros(a.shape)
    for step in range(int(np.max(last - first)) + 1):
        x = np.minimum(first + step, last)
        p = np.exp(fixed - log[x] - log[a - x] - log[b - x] - log[n - a - b + x])
        p = np.where(first + step <= last, p, 0.0)
        total += p
        out += p * x * np.log(np.maximum(x, 1))
    return np.asarray(out / total)


def _present(cells: Index, label: Index) -> tuple[Index, Index]:
    if label.min() >= 0:
        return cells, label
    rows = np.flatnonzero(label >= 0)
    return cells[rows], label[rows]


def entropies(counts: Index, n: int) -> Float:
    """Return the entropy of each row of counts that add up to n, in nats."""
    log = np.log(np.maximum(counts, 1))
    return np.asarray(np.maximum(np.log(n) - np.sum(counts * log, axis=1) / n, 0.0))


def top_two(values: Float, axis: int = 0) -> tuple[Float, Float]:
    """Return the largest and the second largest along an axis; the second of one is 0."""
    padded = np.concatenate([np.zeros_like(np.take(values, [0], axis)), values], axis)
    ordered = np.sort(padded, axis=axis)
    return np.take(ordered, -1, axis), np.take(ordered, -2, axis)
