"""Robust mutual information gap: how many nats of a factor one latent alone holds."""

from typing import Any

import numpy as np

from disentangle_indicators._array import Array
from disentangle_indicators._binning import Index
from disentangle_indicators.supervised import _information as info
from disentangle_indicators.supervised._metric import Metric, Outcome, measure

__all__ = ["METRIC", "rmig"]

PROTOCOLS: dict[str, dict[str, Any]] = {
    "default": {
        "bins": 20,
        "code_bins": "count",
        "factor_bins": None,
        "adjust": True,
        "divide_by": None,
    },
    "do2020": {
        "bins": 100,
        "code_bins": "width",
        "factor_bins": None,
        "adjust": False,
        "divide_by": "factor",
    },
    "ubisoft": {
        "bins": 10,
        "code_bins": "width",
        "factor_bins": 10,
        "adjust": False,
        "divide_by": "code",
    },
}

SOURCES = {
    "default": "Do & Tran (2020): the gap in nats, over bins of equal counts, no fewer than the "
    "factor has values, less what permuted rows get, as in mig",
    "do2020": "Do & Tran (2020): the normalised gap, over 100 bins of equal width; theirs reach "
    "from -4 to 4 and hold the posteriors of all samples, here they reach from the least to the "
    "greatest code and hold the codes, so give it samples of the posteriors to come near",
    "ubisoft": "Carbonneau et al. (2022), who call it MIG-RMIG: 10 bins of codes and of factors, "
    "divided by the entropy of the code; a constant code counts as 0 there, where it was nan",
}


def rmig(
    codes: Array,
    factors: Any,
    *,
    rng: np.random.Generator | int = 0,
    protocol: str = "default",
    **overrides: Any,
) -> float:
    r"""Robust mutual information gap, averaged over factors.

    .. math:: \frac1K \sum_k I(z_{(1)}; v_k) - I(z_{(2)}; v_k)

    where :math:`z_{(1)}` and :math:`z_{(2)}` are the latents of most information about factor k.

    Parameters
    ----------
    codes : array, shape (n, d)
        With one latent the second information is 0.
    factors : array, shape (n, K) or (n,)
        As :func:`~disentangle_indicators.supervised.as_table` takes them. Constant factors are
        left out, and so are rows without a value of the factor at hand.
    rng : numpy.random.Generator or int
        Not used: nothing is drawn. All metrics take it.
    protocol : {"default", "do2020", "ubisoft"}
    **overrides
        Parameters that differ from the protocol's:

        - bins, code_bins, factor_bins, adjust: as :func:`~disentangle_indicators.supervised.mig`
          takes them.
        - divide_by: None for nats, or "factor" or "code", whose entropy normalises.

    Returns
    -------
    float
        Nats, between 0 and the mean entropy of the factors, which is best; between 0 and 1 where
        it is divided.

    Raises
    ------
    ValueError
        On arrays that do not belong together, on codes that are not finite, and on parameters out
        of range.
    Undefined
        When all factors are constant.

    Notes
    -----
    Do & Tran (2020), section 4.3, with the informations estimated from codes where they integrate
    the posteriors. In nats it says how much is known where MIG, the same gap per entropy, says
    what share: factors of many values count more. It lies as MIG does: it says nothing about a
    latent that captures several factors. The parts are both versions.

    Examples
    --------
    >>> import numpy as np
    >>> factors = np.stack(np.divmod(np.arange(12), 4), axis=1)
    >>> round(rmig(factors, factors), 4), round(float(np.log(12)) / 2, 4)
    (1.2425, 1.2425)
    """
    return measure(METRIC, codes, factors, rng=rng, protocol=protocol, **overrides).value


def _compute(
    cells: Index, of_factors: info.Binned, p: dict[str, Any], rng: np.random.Generator
) -> Outcome:
    found = info.information(cells, of_factors)
    scales = {None: np.ones_like(found.factors), "factor": found.factors, "code": found.codes}
    gaps = {}
    for name, scale in scales.items():
        first, second = info.top_two(found.mutual / np.where(scale > 0, scale, 1.0))
        gaps[name] = first - second
    gap = gaps[p["divide_by"]]
    return Outcome(
        float(np.mean(gap)),
        parts={
            "nats": float(np.mean(gaps[None])),
            "normalised": float(np.mean(gaps["factor"])),
        },
        per_factor=gap,
        matrix=found.mutual,
        matrix_name=info.matrix_name(p),
    )


METRIC = Metric(
    "rmig",
    "Robust mutual information gap",
    _compute,
    PROTOCOLS,
    "how many nats more the best latent captures of a factor than the second best; the most there is "
    "is the mean entropy of the factors",
    SOURCES,
    ranges={"default": (0.0, np.inf)},
    prepare=info.prepare,
    curved=1,
    choices={"code_bins": info.CODE_BINS, "divide_by": (None, "factor", "code")},
)
