"""DCIMIG: the share of the factors' entropy in latents that capture one factor and only one."""

from typing import Any

import numpy as np

from disentangle_indicators._array import Array
from disentangle_indicators._binning import Index
from disentangle_indicators.supervised import _information as info
from disentangle_indicators.supervised._metric import Metric, Outcome, measure

__all__ = ["METRIC", "dcimig"]

PROTOCOLS: dict[str, dict[str, Any]] = {
    "default": {"bins": 20, "code_bins": "count", "factor_bins": None, "adjust": True},
    "ubisoft": {"bins": 10, "code_bins": "width", "factor_bins": 10, "adjust": False},
}

SOURCES = {
    "default": "Sepliarskaia et al. (2019), who call it 3CharM, over bins of equal counts, no fewer "
    "than the factor has values, less what permuted rows get, as in mig",
    "ubisoft": "Carbonneau et al. (2022): 10 bins of codes and of factors",
}


def dcimig(
    codes: Array,
    factors: Any,
    *,
    rng: np.random.Generator | int = 0,
    protocol: str = "default",
    **overrides: Any,
) -> float:
    r"""Best gap of a latent for each factor, as a share of the entropy of all factors.

    .. math:: \frac{\sum_k \max_{h: k_h = k} g_h}{\sum_k H(v_k)}, \qquad
        g_h = I(z_h; v_{k_h}) - \max_{k \ne k_h} I(z_h; v_k)

    where :math:`k_h` is the factor that latent h captures best; a factor that is no latent's best
    adds 0.

    Parameters
    ----------
    codes : array, shape (n, d)
    factors : array, shape (n, K) or (n,)
        As :func:`~disentangle_indicators.supervised.as_table` takes them. Constant factors are
        left out, and so are rows without a value of the factor at hand. With one factor the gap is
        all that the latent captures.
    rng : numpy.random.Generator or int
        Not used: nothing is drawn. All metrics take it.
    protocol : {"default", "ubisoft"}
    **overrides
        Parameters that differ from the protocol's: bins, code_bins, factor_bins and
        adjust, as
        :func:`~disentangle_indicators.supervised.mig` takes them.

    Returns
    -------
    float
        Between 0 and 1, where 1 is best. No unit: the ratio of nats to nats.

    Raises
    ------
    ValueError
        On arrays that do not belong together, on codes that are not finite, and on parameters out
        of range.
    Undefined
        When all factors are constant.

    Notes
    -----
    Sepliarskaia et al. (2019), section 4. It rewards latents that capture one factor, once for
    each factor: latents without information cost nothing, and neither do two latents that capture
    the same factor. Factors of many values count more, and as gaps are in nats a latent that
    captures all of a factor of few values and a little of one of many has a small one.

    Examples
    --------
    >>> import numpy as np
    >>> factors = np.stack(np.divmod(np.arange(12), 4), axis=1)
    >>> round(dcimig(factors, factors), 12), round(dcimig(factors[:, :1], factors), 4)
    (1.0, 0.4421)
    """
    return measure(METRIC, codes, factors, rng=rng, protocol=protocol, **overrides).value


def _compute(
    cells: Index, of_factors: info.Binned, p: dict[str, Any], rng: np.random.Generator
) -> Outcome:
    found = info.information(cells, of_factors)
    first, second = info.top_two(found.mutual, axis=1)
    gap = first - second
    own = np.argmax(found.mutual, axis=1)[:, None] == np.arange(len(found.factors))
    best = np.max(np.where(own, gap[:, None], 0.0), axis=0)
    total = float(np.sum(found.factors))
    return Outcome(
        float(np.sum(best)) / total if total > 0 else 0.0,
        per_factor=best / np.where(found.factors > 0, found.factors, 1.0),
        per_factor_name="gap by entropy",
        per_latent=gap,
        matrix=found.mutual,
        matrix_name=info.matrix_name(p),
    )


METRIC = Metric(
    "dcimig",
    "DCIMIG, or 3CharM",
    _compute,
    PROTOCOLS,
    "the share of the factors' entropy in latents that capture one factor and only one; factors of "
    "many values count more, and a second latent for a factor costs nothing",
    SOURCES,
    prepare=info.prepare,
    curved=1,
    choices={"code_bins": info.CODE_BINS},
)
