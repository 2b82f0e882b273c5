"""Interventional robustness: how little a latent moves while one factor is held fixed."""

from typing import Any

import numpy as np

from disentangle_indicators._array import Array, Float
from disentangle_indicators._binning import Index
from disentangle_indicators.factors import Factors
from disentangle_indicators.supervised._groups import check, scaled
from disentangle_indicators.supervised._metric import Metric, Outcome, measure

__all__ = ["METRIC", "irs"]

PROTOCOLS: dict[str, dict[str, Any]] = {
    "default": {
        "quantile": 0.99,
        "factor_bins": None,
        "against": "random groups",
        "weights": "equal",
    },
    "suter2019": {
        "quantile": 1.0,
        "factor_bins": 20,
        "against": "all rows",
        "weights": "deviation",
    },
    "locatello2019": {
        "quantile": 0.99,
        "factor_bins": 20,
        "against": "all rows",
        "weights": "deviation",
    },
    "ubisoft": {
        "quantile": 1.0,
        "factor_bins": 10,
        "against": "all rows",
        "weights": "deviation",
    },
}

SOURCES = {
    "default": "Suter et al. (2019), with the deviation in random groups of the same sizes in "
    "place of the largest one of all rows, so that codes without information score 0 but for the "
    "best of K chances, and no single row sets the scale; latents that vary count alike",
    "suter2019": "Suter et al. (2019), section 4, with the largest deviation of a group, as "
    "disentanglement_lib computes it with diff_quantile 1: factors in 20 bins",
    "locatello2019": "disentanglement_lib: the 0.99 quantile of a group against the largest "
    "deviation of all rows, which alone gives noise about 0.35; that deviation is one row's, so "
    "that standard errors are up to a quarter too small",
    "ubisoft": "Carbonneau et al. (2022): as Suter et al. (2019), with factors in 10 bins",
}


def irs(
    codes: Array,
    factors: Any,
    *,
    rng: np.random.Generator | int = 0,
    protocol: str = "default",
    **overrides: Any,
) -> float:
    r"""Interventional robustness score, averaged over latents.

    .. math:: \sum_j w_j \max_k \Big(1 - \frac{C_{jk}}{M_{jk}}\Big), \qquad
        C_{jk} = \operatorname*{mean}_v Q\big(|z_j - \bar z_{jv}| : v_k = v\big)

    where :math:`\bar z_{jv}` is the mean of latent j over the rows in which factor k has the value
    v, Q a quantile or the maximum, and :math:`M_{jk}` the deviation to compare with.

    Parameters
    ----------
    codes : array, shape (n, d)
        Constant latents are left out.
    factors : array, shape (n, K) or (n,)
        As :func:`~disentangle_indicators.supervised.as_table` takes them; each value is a class,
        and continuous factors are put in 20 bins. Constant factors are left out, and so are rows
        without a value of the factor at hand.
    rng : numpy.random.Generator or int
        Draws the random groups. The same seed gives the same number.
    protocol : {"default", "suter2019", "locatello2019", "ubisoft"}
    **overrides
        Parameters that differ from the protocol's:

        - quantile: of the deviations in a group, interpolated; 1 for the maximum.
        - factor_bins: equal-width bins of each factor, or None to take its values as they are, and
          20 bins of equal counts for a continuous one.
        - against: "all rows", M the largest deviation from the mean of all rows; or "random
          groups", M that same mean of quantiles over groups of the same sizes whose rows are drawn
          at random, and less than 0 counts as 0.
        - weights: "deviation", w in proportion to the largest deviation of the latent; or "equal".

    Returns
    -------
    float
        At most 1, where 1 is best; not below 0 by default, and not below -1 otherwise. No unit. 0
        if every latent is constant.

    Raises
    ------
    ValueError
        On arrays that do not belong together, on codes that are not finite, and on parameters out
        of range.
    Undefined
        When all factors are constant.

    Notes
    -----
    Suter et al. (2019), section 4. It rewards latents that one factor determines, however many
    latents that factor has. It says nothing of factors that no latent captures. Against all rows,
    it grows as groups get smaller, down to one row each, where anything scores 1; against random
    groups a group of one row says nothing. Latents that are noise lower the default score: leave
    out the unused ones first.

    Examples
    --------
    >>> import numpy as np
    >>> factors = np.stack(np.divmod(np.arange(200) % 20, 5), axis=1)
    >>> irs(factors, factors), round(irs(factors @ [[1, 1], [1, -1]], factors), 2)
    (1.0, 0.57)
    """
    return measure(METRIC, codes, factors, rng=rng, protocol=protocol, **overrides).value


def _prepare(z: Float, factors: Factors, p: dict[str, Any]) -> tuple[Float, list[Index]]:
    check(p, factor_bins=1, quantile=0)
    if p["quantile"] > 1:
        raise ValueError(f"quantile must be at most 1; got {p['quantile']}")
    return z, [factors.labels(k, p["factor_bins"]) for k in range(factors.number)]


def _compute(
    codes: Float, labels: list[Index], p: dict[str, Any], rng: np.random.Generator
) -> Outcome:
    z, exponent = scaled(codes)
    active = np.flatnonzero(np.ptp(z, axis=0) > 0)
    matrix = np.zeros((codes.shape[1], len(labels)))
    if not len(active):
        return Outcome(0.0, per_latent=matrix[:, 0], matrix=matrix, matrix_name=_NAME)
    z, exponent = z[:, active], exponent[active]
    largest = np.max(np.abs(z - z.mean(axis=0)), axis=0)
    for k, label in enumerate(labels):
        rows = np.flatnonzero(label >= 0)
        label = label[rows]
        deviation = _deviation(z[rows], label, p["quantile"])
        if p["against"] == "all rows":
            matrix[active, k] = 1 - deviation / largest
        else:
            random = _deviation(z[rng.permutation(rows)], label, p["quantile"])
            share = deviation / np.where(random > 0, random, 1.0)
            matrix[active, k] = np.where(random > 0, np.maximum(1 - share, 0.0), 0.0)
    best = matrix.max(axis=1)
    weights = np.ones(len(active))
    if p["weights"] == "deviation":
        weights = np.ldexp(largest, exponent - exponent.max())
    value = float(np.average(best[active], weights=weights))
    return Outcome(value, per_latent=best, matrix=matrix, matrix_name=_NAME)


_NAME = "robustness to all factors but this one"


def _deviation(z: Float, label: Index, quantile: float) -> Float:
    """Return the mean over groups of the quantile of |z - its mean in the group|, (d,)."""
    order = np.argsort(label, kind="stable")
    z, label = z[order], label[order]
    first = np.flatnonzero(np.diff(label, prepend=-1))
    size = np.diff(first, append=len(label))
    group = np.repeat(np.arange(len(size)), size)
    z = z - z[first][group]
    distance = np.abs(z - (np.add.reduceat(z, first, axis=0) / size[:, None])[group])
    place = quantile * (size - 1)
    low = np.floor(place).astype(np.int64)
    high = np.minimum(low + 1, size - 1)
    if quantile == 1:
        return np.asarray(np.maximum.reduceat(distance, first, axis=0).mean(axis=0))
    for column in distance.T:
        column[:] = column[np.lexsort((column, group))]
    step = (place - low)[:, None]
    return np.asarray(
        (distance[first + low] * (1 - step) + distance[first + high] * step).mean(axis=0)
    )


METRIC = Metric(
    "irs",
    "Interventional robustness score",
    _compute,
    PROTOCOLS,
    "how little a latent moves while the factor that it follows best is held fixed, against how "
    "much it moves anyway; a factor that no latent captures costs nothing",
    SOURCES,
    ranges=dict.fromkeys(("suter2019", "locatello2019", "ubisoft"), (-1.0, 1.0)),
    prepare=_prepare,
    choices={"against": ("random groups", "all rows"), "weights": ("equal", "deviation")},
)
