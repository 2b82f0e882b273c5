"""MED: disentanglement as in DCI, of mutual information in place of a regressor's importances."""

from typing import Any

import numpy as np

from disentangle_indicators._array import Array, Float
from disentangle_indicators._binning import Index
from disentangle_indicators.supervised import _information as info
from disentangle_indicators.supervised._metric import Metric, Outcome, measure
from disentangle_indicators.supervised.dci import disentanglement

__all__ = ["METRIC", "med"]

PROTOCOLS: dict[str, dict[str, Any]] = {
    "default": {
        "bins": 20,
        "code_bins": "count",
        "factor_bins": None,
        "level": 0.001,
        "importance": "share",
        "top": None,
    },
    "cao2022": {
        "bins": 20,
        "code_bins": "width",
        "factor_bins": None,
        "level": None,
        "importance": "column",
        "top": None,
    },
    "cao2022-top": {
        "bins": 20,
        "code_bins": "width",
        "factor_bins": None,
        "level": None,
        "importance": "column",
        "top": 2,
    },
}

SOURCES = {
    "default": "Cao et al. (2022), over bins of equal counts, of the share of a factor's entropy "
    "that a latent captures beyond chance: noise scores 0, and factors that no latent captures weigh "
    "nothing",
    "cao2022": "Cao et al. (2022), disentanglement_lib_med: 20 bins of equal width; the "
    "informations of each factor add up to 1",
    "cao2022-top": "Cao et al. (2022), top-k MED, for representations of many dimensions: of the "
    "latents that capture a factor best the k most disentangled, here 2, and the score of these",
}


def med(
    codes: Array,
    factors: Any,
    *,
    rng: np.random.Generator | int = 0,
    protocol: str = "default",
    **overrides: Any,
) -> float:
    r"""Mutual information based entropy disentanglement.

    .. math:: \sum_h \rho_h \Big(1 - H_K\big(R_{h\cdot} / \textstyle\sum_k R_{hk}\big)\Big), \qquad
        \rho_h = \frac{\sum_k R_{hk}}{\sum_{hk} R_{hk}}, \qquad
        R_{hk} \propto I(z_h; v_k)

    with the entropy in base K.

    Parameters
    ----------
    codes : array, shape (n, d)
    factors : array, shape (n, K) or (n,)
        As :func:`~disentangle_indicators.supervised.as_table` takes them. Constant factors are
        left out, and so are rows without a value of the factor at hand. With one factor the score
        is 1, if a latent captures it.
    rng : numpy.random.Generator or int
        Not used: nothing is drawn. All metrics take it.
    protocol : {"default", "cao2022", "cao2022-top"}
    **overrides
        Parameters that differ from the protocol's:

        - bins, code_bins, factor_bins: as in :func:`mig`.
        - level: probability with which any of the d K informations of shuffled latents
          counts, as in :func:`modularity`; None to take all information as it is.
        - importance: "share" of the factor's entropy, or "column" for informations of each factor
          that add up to 1.
        - top: how many latents of each factor to keep, or None for all.

    Returns
    -------
    float
        Between 0 and 1, where 1 is best; 0 when no latent captures anything. So is the part
        "completeness". No unit.

    Raises
    ------
    ValueError
        On arrays that do not belong together, on codes that are not finite, and on parameters out
        of range.
    Undefined
        When all factors are constant.

    Notes
    -----
    Cao et al. (2022), section 3. It rewards latents that capture one factor, without the fit that
    makes DCI slow; it does not see what latents capture only together. Without `level` information
    by chance is spread over all factors, so that many latents without information lower it.

    Examples
    --------
    >>> import numpy as np
    >>> factors = np.stack(np.divmod(np.arange(480) % 12, 4), axis=1)
    >>> round(med(factors, factors), 12)
    1.0
    """
    return measure(METRIC, codes, factors, rng=rng, protocol=protocol, **overrides).value


def _compute(
    cells: Index, of_factors: info.Labels, p: dict[str, Any], rng: np.random.Generator
) -> Outcome:
    if p["top"] is not None and p["top"] < 1:
        raise ValueError(f"top must be at least 1; got {p['top']}")
    found, known = info.known(cells, of_factors)
    importance = known.share
    if p["importance"] == "column":
        total = known.mutual.sum(axis=0)
        importance = known.mutual / np.where(total > 0, total, 1.0)
    if p["top"] is not None:
        importance = np.where(_top(importance, p["top"])[:, None], importance, 0.0)
    value, per_latent, _, complete = disentanglement(importance)
    return Outcome(
        value,
        {"completeness": float(complete.mean())},
        per_factor=complete,
        per_factor_name="completeness",
        per_latent=per_latent,
        matrix=found.mutual,
        matrix_name="I(z_h; v_k) [nats]",
    )


def _top(importance: Float, top: int) -> Any:
    """Return whether a latent is among the most disentangled of those that capture its factor best."""
    factor = np.where(importance.max(axis=1) > 0, importance.argmax(axis=1), -1)
    order = np.argsort(-disentanglement(importance)[1], kind="stable")
    kept = np.zeros(len(importance), dtype=bool)
    for k in range(importance.shape[1]):
        kept[order[factor[order] == k][:top]] = True
    return kept


METRIC = Metric(
    "med",
    "Mutual information based entropy disentanglement",
    _compute,
    PROTOCOLS,
    "whether a latent that captures something captures one factor only, weighted by how much it captures; "
    "completeness is whether one latent captures a factor",
    SOURCES,
    prepare=info.prepare_chance,
    curved=1,
    counts=info.counts,
    choices={"code_bins": info.CODE_BINS, "importance": ("share", "column")},
)
