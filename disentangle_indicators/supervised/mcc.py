"""Mean correlation coefficient: the correlation of factors with the latents matched to them."""

from typing import Any, NamedTuple

import numpy as np

from disentangle_indicators._array import Array, Float
from disentangle_indicators._binning import Index
from disentangle_indicators.factors import Factors
from disentangle_indicators.supervised._groups import scaled
from disentangle_indicators.supervised._metric import Metric, Outcome, measure

__all__ = ["METRIC", "mcc"]

PROTOCOLS: dict[str, dict[str, Any]] = {
    "default": {"correlation": "spearman", "adjust": True, "divide_by": "factors"},
    "pearson": {"correlation": "pearson", "adjust": False, "divide_by": "matched"},
    "spearman": {"correlation": "spearman", "adjust": False, "divide_by": "matched"},
}

SOURCES = {
    "default": "as spearman, with the adjusted square of the correlation, so that a factor of many "
    "classes does not correlate with anything, and with 0 for each factor that is left without a "
    "latent",
    "pearson": "Hyvarinen and Morioka (2016), as the identifiability literature reports it: the "
    "mean over matched pairs of the absolute Pearson correlation; circular and categorical factors "
    "are ours, since theirs are numbers",
    "spearman": "the same with Spearman's rank correlation, which no monotone change of a latent "
    "and no outlier alters",
}


def mcc(
    codes: Array,
    factors: Any,
    *,
    rng: np.random.Generator | int = 0,
    protocol: str = "default",
    **overrides: Any,
) -> float:
    r"""Mean correlation coefficient of the best matching of latents and factors.

    .. math:: \max_\pi \frac1K \sum_k R_{\pi(k) k}, \qquad R_{jk} = |\operatorname{corr}(z_j, v_k)|

    over the matchings :math:`\pi` that give each factor a latent of its own.

    Parameters
    ----------
    codes : array, shape (n, d)
        A constant latent has correlation 0.
    factors : array, shape (n, K) or (n,)
        As :func:`~disentangle_indicators.supervised.as_table` takes them. R is the correlation with
        an ordinal or continuous factor, the multiple correlation with the cosine and sine of a
        circular one, and the correlation ratio of a categorical one. Constant factors are left
        out, and so are rows without a value of the factor at hand.
    rng : numpy.random.Generator or int
        Not used: nothing is drawn. All metrics take it.
    protocol : {"default", "pearson", "spearman"}
    **overrides
        Parameters that differ from the protocol's:

        - correlation: "pearson", or "spearman" for that of ranks, the mean rank on ties. Cosine and
          sine, and classes, are not ranked; the latent is.
        - adjust: take the square root of :math:`1 - (1 - R^2)(n - 1)/(n - p - 1)` for p numbers
          that the factor stands for: 1, or 2 if circular, or its classes but one. Less than 0, and
          n of p + 1 or less, counts as 0.
        - divide_by: "factors", K; or "matched", the number of pairs, which is less if d < K.

    Returns
    -------
    float
        Between 0 and 1, where 1 is best. No unit.

    Raises
    ------
    ValueError
        On arrays that do not belong together, on codes that are not finite, and on parameters out
        of range.
    Undefined
        When all factors are constant.

    Notes
    -----
    Hyvarinen and Morioka (2016), section 6, and the literature since, for sources that are
    identified up to their order and a change of scale. It rewards a latent for each factor. It says
    nothing of latents that are not matched, or of a latent that knows several factors; a latent
    that is no monotone function of its factor, such as its square, correlates with nothing. The
    matching is chosen on the rows that it is scored on, which the null shows.

    Examples
    --------
    >>> import numpy as np
    >>> factors = np.stack(np.divmod(np.arange(12), 4), axis=1)
    >>> codes = -np.exp(factors)[:, ::-1]
    >>> round(mcc(codes, factors), 12), round(mcc(codes, factors, protocol="pearson"), 2)
    (1.0, 0.95)
    """
    return measure(METRIC, codes, factors, rng=rng, protocol=protocol, **overrides).value


class _Target(NamedTuple):
    """A factor to correlate with.

    Parameters
    ----------
    rows : array of int, optional
        Rows with a value; None for all.
    basis : array, shape (rows, p), optional
        Orthonormal columns that span its numbers, less their means; None for classes.
    classes : array of int, optional
    numbers : int
        p, of what it stands for.
    """

    rows: Index | None
    basis: Float | None
    classes: Index
    numbers: int


def _prepare(z: Float, factors: Factors, p: dict[str, Any]) -> tuple[Float, list[_Target]]:
    ranked = p["correlation"] == "spearman"
    targets = [_target(factors, k, ranked) for k in range(factors.number)]
    return (_ranks(z) if ranked else scaled(z)[0]), targets


def _target(factors: Factors, k: int, ranked: bool) -> _Target:
    present = factors.present(k)
    rows = None if len(present) == len(factors) else present
    if factors.kinds[k] == "categorical":
        classes = factors.labels(k)[present]
        return _Target(rows, None, classes, int(classes.max()))
    numbers = factors.targets(k)[present]
    if factors.kinds[k] == "circular":
        u, weight, _ = np.linalg.svd(numbers - numbers.mean(axis=0), full_matrices=False)
        basis = u[:, weight > 1e-9 * np.sqrt(len(numbers))]
    else:
        basis = _unit(_ranks(numbers) if ranked else scaled(numbers)[0])
    return _Target(rows, basis, np.zeros(0, dtype=np.int64), basis.shape[1])


def _compute(
    codes: Float, targets: list[_Target], p: dict[str, Any], rng: np.random.Generator
) -> Outcome:
    from scipy.optimize import linear_sum_assignment

    whole = _unit(codes)
    squares = np.empty((codes.shape[1], len(targets)))
    for k, target in enumerate(targets):
        z = whole
        if target.rows is not None:
            part = codes[target.rows]
            z = _unit(_ranks(part) if p["correlation"] == "spearman" else part)
        squares[:, k] = _squares(z, target)
        if p["adjust"]:
            left = len(z) - target.numbers - 1
            share = (1 - squares[:, k]) * (len(z) - 1) / max(left, 1)
            squares[:, k] = np.maximum(1 - share, 0.0) if left > 0 else 0.0
    r = np.sqrt(squares)
    latents, columns = linear_sum_assignment(r, maximize=True)
    matched = np.zeros(len(targets))
    matched[columns] = r[latents, columns]
    divide_by = len(targets) if p["divide_by"] == "factors" else len(columns)
    return Outcome(
        float(matched.sum() / divide_by),
        per_factor=matched,
        matrix=r,
        matrix_name=f"|{p['correlation']} correlation|",
    )


def _squares(z: Float, target: _Target) -> Float:
    """Return the squared multiple correlation of columns of length 1 with a factor."""
    if target.basis is not None:
        return np.asarray(np.clip(((target.basis.T @ z) ** 2).sum(axis=0), 0.0, 1.0))
    order = np.argsort(target.classes, kind="stable")
    first = np.flatnonzero(np.diff(target.classes[order], prepend=-1))
    size = np.diff(first, append=len(order))
    sums = np.add.reduceat(z[order], first, axis=0)
    return np.asarray(np.clip((sums**2 / size[:, None]).sum(axis=0), 0.0, 1.0))


def _unit(columns: Float) -> Float:
    """Centre each column and scale it to length one; constant columns become zeros."""
    shifted = columns - columns[0]
    top = np.max(np.abs(shifted), axis=0)
    shifted = shifted / np.where(top > 0, top, 1.0)
    centred = shifted - shifted.mean(axis=0)
    length = np.sqrt((centred**2).sum(axis=0))
    return np.asarray(centred / np.where(length > 0, length, 1.0))


def _ranks(columns: Float) -> Float:
    """Return the rank of each entry in its column, the mean rank on ties."""
    found = np.empty_like(columns)
    for rank, column in zip(found.T, columns.T, strict=True):
        _, inverse, counts = np.unique(column, return_inverse=True, return_counts=True)
        rank[:] = (np.cumsum(counts) - (counts - 1) / 2)[inverse.reshape(-1)]
    return found


METRIC = Metric(
    "mcc",
    "Mean correlation coefficient",
    _compute,
    PROTOCOLS,
    "mean correlation of the factors with the latents that match them best, each latent used once; "
    "blind to latents without a match, and to relations that are not monotone",
    SOURCES,
    prepare=_prepare,
    choices={"correlation": ("pearson", "spearman"), "divide_by": ("factors", "matched")},
)
