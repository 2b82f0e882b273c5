"""Overlap and multiple encoding: which latents move when only one factor does."""

from typing import Any, NamedTuple

import numpy as np

from disentangle_indicators._array import Array, Float
from disentangle_indicators._binning import Index
from disentangle_indicators._errors import Undefined
from disentangle_indicators.factors import Factors
from disentangle_indicators.supervised._groups import check, others, scaled
from disentangle_indicators.supervised._metric import Metric, Outcome, measure

__all__ = ["METRIC", "omes"]

PROTOCOLS: dict[str, dict[str, Any]] = {
    "default": {
        "alpha": 0.5,
        "pooling": "mean",
        "correlation": "signed",
        "pairs": 20_000,
        "least_sd": 0.0,
        "factor_bins": None,
    },
    "dapueto2024": {
        "alpha": 0.5,
        "pooling": "mean",
        "correlation": "absolute",
        "pairs": 100_000,
        "least_sd": 0.05,
        "factor_bins": None,
    },
}

SOURCES = {
    "default": "Dapueto et al. (2024), with 1 less the correlation where they take 1 less its size: "
    "a factor of two values turns its latent around, which is a correlation of -1 and not of 1; "
    "only constant latents are left out",
    "dapueto2024": "the code of Dapueto et al. (2024), alpha 0.5, where pairs are drawn by a seed "
    "and from all rows, and not from one row of each value; the matrix and the score are not "
    "rounded to 4 digits, and a factor that no latent follows scores 0, where it was an error",
}


def omes(
    codes: Array,
    factors: Any,
    *,
    rng: np.random.Generator | int = 0,
    protocol: str = "default",
    **overrides: Any,
) -> float:
    r"""Overlap and multiple encoding scores, averaged over factors.

    .. math:: \frac1K \sum_k \frac{\sum_j S_{jk}^2 (\alpha O_{jk} + (1 - \alpha) E_{jk})}
        {\sum_j S_{jk}}, \quad S_{jk} = 1 - \operatorname{corr}(z_j, z_j')

    over pairs of rows that differ in factor k and share all others, where

    .. math:: O_{jk} = 1 - \frac1K \sum_l |1[l = k] - S_{jl}|, \quad
        E_{jk} = 1 - \frac1d \sum_i |1[i = j] - S_{ik}|

    Parameters
    ----------
    codes : array, shape (n, d)
        Constant latents are left out, of d too.
    factors : array, shape (n, K) or (n,)
        As :func:`~disentangle_indicators.supervised.as_table` takes them; each value is a class,
        and continuous factors are put in 20 bins. Only rows with a value of every factor are used.
        Constant factors are left out, of K too.
    rng : numpy.random.Generator or int
        Draws the pairs. The same seed gives the same number.
    protocol : {"default", "dapueto2024"}
    **overrides
        Parameters that differ from the protocol's:

        - alpha: weight of O, which a latent loses that moves with several factors; the rest is
          that of E, which a factor loses that moves several latents.
        - pooling: over latents, "mean" as above, or "max" for the largest S O and the largest S E.
        - correlation: "signed", over both orders of each pair, where less than 0 counts as 0; or
          "absolute", over one order, without its sign.
        - pairs: drawn for each factor. The first row is any that has a partner, the second any of
          its partners.
        - least_sd: leave out latents with a smaller standard deviation, in the unit of the codes.
        - factor_bins: equal-width bins of each factor, or None to take its values as they are, and
          20 bins of equal counts for a continuous one.

    Returns
    -------
    float
        Between 0 and 1, where 1 is best. No unit. 0 without a latent, and for a factor that no
        latent follows. Latents without information score (alpha / K + (1 - alpha) / d), not 0.

    Raises
    ------
    ValueError
        On arrays that do not belong together, on codes that are not finite, and on parameters out
        of range.
    Undefined
        When all factors are constant, and when for one of them no two rows differ in that factor
        alone: without it K would be another, and with K the score of codes without information.

    Notes
    -----
    Dapueto et al. (2024), "Transferring disentangled representations", the metric OMES, as the
    code that they published defines it. It rewards one latent per factor and one factor per
    latent, with no classifier. It cannot tell a latent that follows a factor from one that is
    noise: both move within a pair, so leave out unused latents first. It needs rows that agree in
    all factors but one.

    Examples
    --------
    >>> import numpy as np
    >>> factors = np.stack(np.divmod(np.arange(12), 4), axis=1)
    >>> round(omes(factors, factors), 2), round(omes(factors, factors, protocol="dapueto2024"), 2)
    (1.0, 0.47)
    """
    return measure(METRIC, codes, factors, rng=rng, protocol=protocol, **overrides).value


class _Runs(NamedTuple):
    """Rows sorted by the combination of all other factors, then by the value of the factor.

    Parameters
    ----------
    order : array of int
    places : array of int
        Places in the order of the rows that have a partner.
    first, size : array of int
        Of each such place, where its combination begins and how many rows that has.
    value_first, value_size : array of int
        The same of the rows with its value, inside the combination.
    """

    order: Index
    places: Index
    first: Index
    size: Index
    value_first: Index
    value_size: Index


def _prepare(z: Float, factors: Factors, p: dict[str, Any]) -> tuple[Float, list[_Runs]]:
    check(p, alpha=0, pairs=2, least_sd=0, factor_bins=1)
    if p["alpha"] > 1:
        raise ValueError(f"alpha must be at most 1; got {p['alpha']}")
    labels = [factors.labels(k, p["factor_bins"]) for k in range(factors.number)]
    found = [_runs(*pair) for pair in zip(others(labels), labels, strict=True)]
    lacking = [n for n, runs in zip(factors.names, found, strict=True) if not len(runs.places)]
    if lacking:
        complete = int(np.sum(np.min(labels, axis=0) >= 0))
        raise Undefined(
            f"factors must have rows that differ in one factor alone; of the {complete} rows with "
            f"a value of every factor no two do in {', '.join(lacking)} (bins of factors may help)"
        )
    return z, found


def _runs(combination: Index, label: Index) -> _Runs:
    rows = np.flatnonzero(combination >= 0)
    order = rows[np.lexsort((label[rows], combination[rows]))]
    group, value = combination[order], label[order]
    new_group = np.diff(group, prepend=-1) != 0
    new_value = new_group | (np.diff(value, prepend=-1) != 0)
    first, size = _extent(new_group)
    value_first, value_size = _extent(new_value)
    keep = np.flatnonzero(value_size < size)
    return _Runs(order, keep, first[keep], size[keep], value_first[keep], value_size[keep])


def _extent(new: Any) -> tuple[Index, Index]:
    """Return for each place where its run begins, and how long that is."""
    first = np.flatnonzero(new)
    size = np.diff(first, append=len(new))
    return np.repeat(first, size), np.repeat(size, size)


def _compute(
    codes: Float, runs: list[_Runs], p: dict[str, Any], rng: np.random.Generator
) -> Outcome:
    d, number = codes.shape[1], len(runs)
    z, exponent = scaled(codes)
    sd = np.ldexp(z.std(axis=0, ddof=min(1, len(z) - 1)), np.minimum(exponent, 1000))
    active = np.flatnonzero((np.ptp(z, axis=0) > 0) & (sd >= p["least_sd"]))
    matrix, scores = np.zeros((d, number)), np.zeros(number)
    if len(active):
        s = np.stack([_move(z[:, active], each, p, rng) for each in runs], axis=1)
        matrix[active] = s
        scores = _scores(s, p["alpha"], p["pooling"])
    return Outcome(
        float(scores.mean()),
        per_factor=scores,
        matrix=matrix,
        matrix_name="1 - correlation within pairs that differ in the factor",
    )


def _move(z: Float, runs: _Runs, p: dict[str, Any], rng: np.random.Generator) -> Float:
    """Return S of one factor, (d,)."""
    pick = rng.integers(len(runs.places), size=p["pairs"])
    first, size = runs.first[pick], runs.size[pick]
    value_first, value_size = runs.value_first[pick], runs.value_size[pick]
    other = first + (rng.random(p["pairs"]) * (size - value_size)).astype(np.int64)
    other += np.where(other >= value_first, value_size, 0)
    one, two = z[runs.order[runs.places[pick]]], z[runs.order[other]]
    if p["correlation"] == "signed":
        centre = (one.mean(axis=0) + two.mean(axis=0)) / 2
        spread = ((one - centre) ** 2).mean(axis=0) + ((two - centre) ** 2).mean(axis=0)
        moved = ((one - two) ** 2).mean(axis=0)
        return np.asarray(np.minimum(moved / np.where(spread > 0, spread, 1.0), 1.0))
    one, two = one - one.mean(axis=0), two - two.mean(axis=0)
    lengths = np.sqrt((one**2).sum(axis=0)) * np.sqrt((two**2).sum(axis=0))
    share = (one * two).sum(axis=0) / np.where(lengths > 0, lengths, 1.0)
    return np.asarray(np.where(lengths > 0, 1 - np.minimum(np.abs(share), 1.0), 0.0))


def _scores(s: Float, alpha: float, pooling: str) -> Float:
    """Return the score of each factor from S (d, K): weighted by S, or of the best latents."""
    d, number = s.shape
    overlap = 1 - (s.sum(axis=1, keepdims=True) + 1 - 2 * s) / number
    several = 1 - (s.sum(axis=0, keepdims=True) + 1 - 2 * s) / d
    if pooling == "max":
        return np.asarray(
            alpha * (overlap * s).max(axis=0) + (1 - alpha) * (several * s).max(axis=0)
        )
    total = s.sum(axis=0)
    mixed = (s**2 * (alpha * overlap + (1 - alpha) * several)).sum(axis=0)
    return np.asarray(mixed / np.where(total > 0, total, 1.0))


METRIC = Metric(
    "omes",
    "Overlap and multiple encoding scores",
    _compute,
    PROTOCOLS,
    "whether only one latent moves when only one factor does, and moves with no other factor; a "
    "latent of noise moves with all of them",
    SOURCES,
    prepare=_prepare,
    choices={"pooling": ("mean", "max"), "correlation": ("signed", "absolute")},
)
