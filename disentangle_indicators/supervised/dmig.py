"""Mutual information gap of dependent factors: what they share is not held against a code."""

from typing import Any

import numpy as np

from disentangle_indicators._array import Array, Float
from disentangle_indicators._binning import Index
from disentangle_indicators.factors import Factors
from disentangle_indicators.supervised import _information as info
from disentangle_indicators.supervised._metric import Metric, Outcome, measure

__all__ = ["METRIC", "dmig"]

PROTOCOLS: dict[str, dict[str, Any]] = {
    "default": {
        "bins": 20,
        "code_bins": "count",
        "factor_bins": None,
        "adjust": True,
        "excuse": "known",
    },
    "watcharasupat2021": {
        "bins": 20,
        "code_bins": "count",
        "factor_bins": None,
        "adjust": False,
        "excuse": "shared",
    },
}

SOURCES = {
    "default": "Watcharasupat & Lerch (2021), eq. (2), with the factor of a latent found from the "
    "codes, as there are no latents that a loss ties to factors; what both factors share is excused "
    "as far as the second latent captures it, so that 1 is never passed; less what permuted rows get, "
    "as in mig",
    "watcharasupat2021": "Watcharasupat & Lerch (2021), eq. (2), with the factor of a latent found "
    "from the codes and bins where latte has nearest neighbours, whose entropy grows with n; the "
    "ratio passes 1 where the second latent captures less than the factors share, and is cut to 1 here",
}


def dmig(
    codes: Array,
    factors: Any,
    *,
    rng: np.random.Generator | int = 0,
    protocol: str = "default",
    **overrides: Any,
) -> float:
    r"""Mutual information gap of factors that depend on each other, averaged over factors.

    .. math:: \frac1K \sum_k \frac{I(z_{(1)}; v_k) - I(z_{(2)}; v_k)}
        {H(v_k) - \min\{I(v_k; v_l), I(z_{(2)}; v_k)\}}

    where :math:`z_{(1)}` and :math:`z_{(2)}` are the latents of most information about factor k,
    and l is the other factor of which the second latent captures the largest share. Where that
    latent is the factor l, the denominator is :math:`H(v_k | v_l)`, the largest gap there can be.

    Parameters
    ----------
    codes : array, shape (n, d)
        With one latent the second information is 0.
    factors : array, shape (n, K) or (n,)
        As :func:`~disentangle_indicators.supervised.as_table` takes them. Constant factors are
        left out, and so are rows without a value of the factor at hand, and for the information of
        two factors those without a value of either. With one factor it is MIG.
    rng : numpy.random.Generator or int
        Not used: nothing is drawn. All metrics take it.
    protocol : {"default", "watcharasupat2021"}
    **overrides
        Parameters that differ from the protocol's:

        - bins, code_bins, factor_bins, adjust: as :func:`~disentangle_indicators.supervised.mig`
          takes them.
        - excuse: "known" as above, or "shared" for :math:`H(v_k | v_l)` whatever the second latent
          captures.

    Returns
    -------
    float
        Between 0 and 1, where 1 is best. A factor that nothing is left of, as the other one
        determines it and the second latent captures that, is left out; 0 when all are.

    Raises
    ------
    ValueError
        On arrays that do not belong together, on codes that are not finite, and on parameters out
        of range.
    Undefined
        When all factors are constant.

    Notes
    -----
    Watcharasupat & Lerch (2021), eq. (2). It rewards one latent per factor where MIG cannot reach
    1, as a latent that is one factor shares information with all that depend on it. It lies where
    dependence is by chance: over few rows factors of many values seem to share much.

    Examples
    --------
    Two factors that are the same on two thirds of the rows, and a latent for each of them.

    >>> import numpy as np
    >>> from disentangle_indicators.supervised.mig import mig
    >>> first = np.arange(60) % 4
    >>> factors = np.stack([first, np.where(np.arange(60) < 40, first, np.arange(60) // 4 % 4)], 1)
    >>> round(dmig(factors, factors), 12), round(mig(factors, factors), 2)
    (1.0, 0.64)
    """
    return measure(METRIC, codes, factors, rng=rng, protocol=protocol, **overrides).value


def _prepare(
    z: Float, factors: Factors, p: dict[str, Any]
) -> tuple[Index, tuple[info.Binned, Float]]:
    cells, table = info.prepare(z, factors, p)
    return cells, (table, info.between(table.labels))


def _compute(
    cells: Index,
    of_factors: tuple[info.Binned, Float],
    p: dict[str, Any],
    rng: np.random.Generator,
) -> Outcome:
    table, shared = of_factors
    found = info.information(cells, table)
    first, second = info.top_two(found.mutual)
    excuse = np.max(np.where(_second(found.mutual, second), _other(found, shared), 0.0), axis=0)
    if p["excuse"] == "known":
        excuse = np.minimum(excuse, second)
    room = found.factors - excuse
    left = room > info.TIE
    gaps = np.minimum((first - second) / np.where(left, room, 1.0), 1.0) * left
    return Outcome(
        float(np.mean(gaps[left])) if np.any(left) else 0.0,
        per_factor=gaps,
        per_factor_name="" if np.all(left) else "gap, 0 without room",
        matrix=found.mutual,
        matrix_name=info.matrix_name(p),
    )


def _second(mutual: Float, second: Float) -> Any:
    """Say which latents are second (d, K): more than one if they capture the same."""
    return (np.abs(mutual - second) <= info.TIE) & (mutual > 0)


def _other(found: info.Information, shared: Float) -> Float:
    """Return the information of each factor and the other one a latent captures best, (d, K)."""
    share = found.mutual / np.where(found.factors > 0, found.factors, 1.0)
    k = len(shared)
    others = np.where(np.eye(k, dtype=bool), -1.0, share[:, None, :])
    best = others >= np.max(others, axis=2, keepdims=True) - info.TIE
    return np.asarray(np.max(np.where(best & (others > 0), shared, 0.0), axis=2))


METRIC = Metric(
    "dmig",
    "Mutual information gap of dependent factors",
    _compute,
    PROTOCOLS,
    "as MIG, but for what a second latent captures of a factor because it holds another one that "
    "depends on it",
    SOURCES,
    prepare=_prepare,
    curved=1,
    choices={"code_bins": info.CODE_BINS, "excuse": ("known", "shared")},
)
