"""Mean correlation coefficient: the correlation of factors with the latents matched to them."""

from typing import Any, NamedTuple

import numpy as np

from disentangle_indicators._array import Array, Float
from disentangle_indicators._binning import Index
from disentangle_indicators.factors import Factors
from disentangle_indicators.supervised._groups import scaled
from disentangle_indicators.supervised._metric import Metric, Outcome, measure
from disentangle_indicators.supervised._ranks import Explained, beyond_chance, explained

__all__ = ["METRIC", "mcc"]

PROTOCOLS: dict[str, dict[str, Any]] = {
    "default": {"correlation": "rank slope", "adjust": True, "divide_by": "factors"},
    "pearson": {"correlation": "pearson", "adjust": False, "divide_by": "matched"},
    "spearman": {"correlation": "spearman", "adjust": False, "divide_by": "matched"},
}

SOURCES = {
    "default": "as spearman, divided by the spread of the factor's ranks alone: a code that keeps "
    "the values of the factor in order, or its classes apart, has 1 whatever their ties; less what "
    "codes without information have on average, so that a factor of many classes does not correlate "
    "with anything; 0 for each factor that is left without a latent",
    "pearson": "Hyvarinen and Morioka (2016), as the identifiability literature reports it: the "
    "mean over matched pairs of the absolute Pearson correlation; circular and categorical factors "
    "are ours, since theirs are numbers",
    "spearman": "the same with Spearman's rank correlation, which no monotone change of a latent "
    "and no outlier alters; with a factor of 0 and 1 no code without ties has more than "
    "sqrt(3 p (1 - p)), which is 0.87 for p = 1/2 and 0.12 for p = 0.005",
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
        As :func:`~disentangle_indicators.supervised.as_table` takes them. R is the correlation
        with an ordinal or continuous factor, the multiple correlation with the cosine and sine of
        a circular one, and the correlation ratio of a categorical one. Constant factors are left
        out, and so are rows without a value of the factor at hand.
    rng : numpy.random.Generator or int
        Not used: nothing is drawn. All metrics take it.
    protocol : {"default", "pearson", "spearman"}
    **overrides
        Parameters that differ from the protocol's:

        - correlation: "pearson", or "spearman" for that of ranks, the mean rank on ties; or "rank
          slope", the covariance of ranks by the variance of those of the factor, which is 1 for
          each code that keeps the order of the factor. Cosine and sine, and classes, are not
          ranked; the latent is.
        - adjust: take the square root of :math:`(R^2 - E) / (1 - E)`, where E is the mean of
          :math:`R^2` over permuted rows: p / (n - 1) for p numbers that the factor stands for, 1,
          or 2 if circular, or its classes but one; more for the rank slope of a factor with ties.
          Less than 0, and E of 1, counts as 0.
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
    identified up to their order and a change of scale. It rewards a latent for each factor. It
    says nothing of latents that are not matched, or of a latent that captures several factors; a
    latent that is no monotone function of its factor, such as its square, correlates with nothing,
    and no latent alone is both cosine and sine of an angle. The matching is chosen on the rows
    that it is scored on, which the null shows. Of a factor of 0 and 1 the rank slope is 2 AUC - 1.

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
    classes : array of int, shape (rows,)
        In the order of the values.
    ordered : bool
    """

    rows: Index | None
    basis: Float | None
    classes: Index
    ordered: bool


def _prepare(z: Float, factors: Factors, p: dict[str, Any]) -> tuple[Float, list[_Target]]:
    targets = [_target(factors, k, p["correlation"]) for k in range(factors.number)]
    return (scaled(z)[0] if p["correlation"] == "pearson" else _ranks(z)), targets


def _target(factors: Factors, k: int, correlation: str) -> _Target:
    present, kind = factors.present(k), factors.kinds[k]
    rows = None if len(present) == len(factors) else present
    classes, numbers = factors.levels(k)[present], factors.targets(k)[present]
    if kind == "circular":
        u, weight, _ = np.linalg.svd(numbers - numbers.mean(axis=0), full_matrices=False)
        return _Target(rows, u[:, weight > 1e-9 * np.sqrt(len(numbers))], classes, ordered=False)
    if kind == "categorical" or correlation == "rank slope":
        return _Target(rows, None, classes, ordered=kind != "categorical")
    basis = _unit(scaled(numbers)[0] if correlation == "pearson" else _ranks(numbers))
    return _Target(rows, basis, classes, ordered=True)


def _compute(
    codes: Float, targets: list[_Target], p: dict[str, Any], rng: np.random.Generator
) -> Outcome:
    from scipy.optimize import linear_sum_assignment

    squares = np.empty((codes.shape[1], len(targets)))
    for k, target in enumerate(targets):
        z = codes
        if target.rows is not None:
            z = codes[target.rows] if p["correlation"] == "pearson" else _ranks(codes[target.rows])
        slope = p["correlation"] == "rank slope" and target.basis is None
        found = explained(z, target.classes, ordered=target.ordered) if slope else _of(z, target)
        squares[:, k] = beyond_chance(found) if p["adjust"] else found.squares
    r = np.sqrt(squares)
    latents, columns = linear_sum_assignment(r, maximize=True)
    matched = np.zeros(len(targets))
    matched[columns] = r[latents, columns]
    divide_by = len(targets) if p["divide_by"] == "factors" else len(columns)
    return Outcome(
        float(matched.sum() / divide_by),
        per_factor=matched,
        per_factor_name="" if divide_by == len(targets) else "correlation",
        matrix=r,
        matrix_name=_NAMES[p["correlation"]],
    )


def _of(z: Float, target: _Target) -> Explained:
    """Return the squared multiple correlation of codes with a factor, and that of noise."""
    z = _unit(z)
    if target.basis is not None:
        squares, numbers = ((target.basis.T @ z) ** 2).sum(axis=0), target.basis.shape[1]
    else:
        order = np.argsort(target.classes, kind="stable")
        first = np.flatnonzero(np.diff(target.classes[order], prepend=-1))
        size = np.diff(first, append=len(order))
        sums = np.add.reduceat(z[order], first, axis=0)
        squares, numbers = (sums**2 / size[:, None]).sum(axis=0), len(first) - 1
    chance = np.full(z.shape[1], numbers / max(len(z) - 1, 1))
    return Explained(np.clip(squares, 0.0, 1.0), chance)


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
    from scipy.stats import rankdata

    return np.asarray(rankdata(columns, axis=0))


_NAMES = {
    "pearson": "|Pearson correlation|",
    "spearman": "|Spearman correlation|",
    "rank slope": "|rank slope|",
}

METRIC = Metric(
    "mcc",
    "Mean correlation coefficient",
    _compute,
    PROTOCOLS,
    "mean correlation of the factors with the latents that match them best, each latent used once; "
    "blind to latents without a match, and to relations that are not monotone",
    SOURCES,
    prepare=_prepare,
    choices={"correlation": tuple(_NAMES), "divide_by": ("factors", "matched")},
)
