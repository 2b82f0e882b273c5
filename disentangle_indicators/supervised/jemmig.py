"""Joint entropy minus mutual information gap: one latent per factor, and nothing else in it."""

from typing import Any

import numpy as np

from disentangle_indicators._array import Array
from disentangle_indicators._binning import Index
from disentangle_indicators.supervised import _information as info
from disentangle_indicators.supervised._metric import Metric, Outcome, measure

__all__ = ["METRIC", "jemmig"]

PROTOCOLS: dict[str, dict[str, Any]] = {
    "default": {"bins": 20, "code_bins": "count", "factor_bins": None, "adjust": True},
    "do2020": {"bins": 100, "code_bins": "width", "factor_bins": None, "adjust": False},
    "ubisoft": {"bins": 10, "code_bins": "width", "factor_bins": 10, "adjust": False},
}

SOURCES = {
    "default": "Do & Tran (2020), as Carbonneau et al. (2022) turn it so that 1 is best, over bins "
    "of equal counts, no fewer than the factor has values, less what permuted rows get, as in "
    "mig: noise then scores 0, as its entropy is the logarithm of the bins",
    "do2020": "Do & Tran (2020): 100 bins of equal width; theirs reach from -4 to 4 and hold the "
    "posteriors of all samples, here they reach from the least to the greatest code and hold the "
    "codes; turned so that 1 is best, their number is the part called nats, of which 0 is best",
    "ubisoft": "Carbonneau et al. (2022): 10 bins of codes and of factors",
}


def jemmig(
    codes: Array,
    factors: Any,
    *,
    rng: np.random.Generator | int = 0,
    protocol: str = "default",
    **overrides: Any,
) -> float:
    r"""Joint entropy minus mutual information gap, turned so that 1 is best.

    .. math:: \frac1K \sum_k 1 - \frac{H(z_{(1)}, v_k) - I(z_{(1)}; v_k) + I(z_{(2)}; v_k)}
        {H(v_k) + \log B}

    where :math:`z_{(1)}` and :math:`z_{(2)}` are the latents of most information about factor k,
    in B bins. The numerator is :math:`H(z_{(1)} | v_k) + H(v_k | z_{(1)}) + I(z_{(2)}; v_k)`: what
    the latent holds beside the factor, what it lacks, and what another one holds too.

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
        Parameters that differ from the protocol's: bins, code_bins, factor_bins and
        adjust, as
        :func:`~disentangle_indicators.supervised.mig` takes them.

    Returns
    -------
    float
        Between 0 and 1, where 1 is best.

    Raises
    ------
    ValueError
        On arrays that do not belong together, on codes that are not finite, and on parameters out
        of range.
    Undefined
        When all factors are constant.

    Notes
    -----
    Do & Tran (2020), section 4.3, whose number, the numerator in nats, is a part; less is better
    there. It rewards a latent whose values are those of the factor and no more, so it lowers, as
    MIG does not, the score of a latent that captures two factors, and also of one that captures a
    factor of few values with more precision than that takes. Among latents that capture a factor
    equally well the one with the least joint entropy counts.

    Examples
    --------
    >>> import numpy as np
    >>> factors = np.stack(np.divmod(np.arange(12), 4), axis=1)
    >>> round(jemmig(factors, factors), 12)
    1.0
    """
    return measure(METRIC, codes, factors, rng=rng, protocol=protocol, **overrides).value


def _compute(
    cells: Index, of_factors: info.Binned, p: dict[str, Any], rng: np.random.Generator
) -> Outcome:
    found = info.information(cells, of_factors)
    first, second = info.top_two(found.mutual)
    best = found.mutual >= first - info.TIE
    joint = np.min(np.where(best, found.joint, np.inf), axis=0)
    rest = np.maximum(joint - first + second, 0.0)
    scores = np.clip(1.0 - rest / (found.factors + np.log(of_factors.bins)), 0.0, 1.0)
    return Outcome(
        float(np.mean(scores)),
        parts={"nats": float(np.mean(rest))},
        per_factor=scores,
        matrix=found.mutual,
        matrix_name=info.matrix_name(p),
    )


METRIC = Metric(
    "jemmig",
    "Joint entropy minus mutual information gap",
    _compute,
    PROTOCOLS,
    "whether one latent is the factor, no less and no more, and no other one captures it; latents "
    "that hold two factors lose here, and not in MIG",
    SOURCES,
    prepare=info.prepare,
    curved=1,
    choices={"code_bins": info.CODE_BINS},
)
