"""Supervised complement of MIG: whether each latent captures one factor, and only one."""

from typing import Any

import numpy as np

from disentangle_indicators._array import Array
from disentangle_indicators._binning import Index
from disentangle_indicators.supervised import _information as info
from disentangle_indicators.supervised._metric import Metric, Outcome, measure

__all__ = ["METRIC", "mig_sup"]

PROTOCOLS: dict[str, dict[str, Any]] = {
    "default": {
        "bins": 20,
        "code_bins": "count",
        "factor_bins": None,
        "divide_by": "factor",
        "level": 0.001,
        "average": "information",
    },
    "ubisoft": {
        "bins": 10,
        "code_bins": "width",
        "factor_bins": 10,
        "divide_by": "code",
        "level": None,
        "average": "latents",
    },
}

SOURCES = {
    "default": "Li et al. (2020), over bins of equal counts, of what latents capture beyond chance, "
    "weighted by it: latents without information are left out, not averaged in, so that 1 is in "
    "reach, and noise scores 0",
    "ubisoft": "Carbonneau et al. (2022): 10 bins of codes and of factors, divided by the entropy "
    "of the code, the plain mean over all latents; a constant code counts as 0 there, where it "
    "was nan",
}


def mig_sup(
    codes: Array,
    factors: Any,
    *,
    rng: np.random.Generator | int = 0,
    protocol: str = "default",
    **overrides: Any,
) -> float:
    r"""Gap between the two factors that a latent captures best, averaged over latents.

    .. math:: \frac{\sum_h w_h (s_{h(1)} - s_{h(2)})}{\sum_h w_h}, \qquad
        s_{hk} = \frac{I(z_h; v_k) - E_{hk}}{H(v_k) - E_{hk}}, \qquad
        w_h = \sum_k I(z_h; v_k) - E_{hk}

    where :math:`E_{hk}` is the information expected of permuted rows, and an entry counts as 0
    where it may be chance. With ``level=None`` nothing is subtracted; with ``average="latents"``
    all weights are the same.

    Parameters
    ----------
    codes : array, shape (n, d)
    factors : array, shape (n, K) or (n,)
        As :func:`~disentangle_indicators.supervised.as_table` takes them. Constant factors are
        left out, and so are rows without a value of the factor at hand. With one factor the second
        share is 0.
    rng : numpy.random.Generator or int
        Not used: nothing is drawn. All metrics take it.
    protocol : {"default", "ubisoft"}
    **overrides
        Parameters that differ from the protocol's:

        - bins, code_bins, factor_bins: as :func:`~disentangle_indicators.supervised.mig` takes
          them.
        - divide_by: "factor" or "code", whose entropy normalises.
        - level: with this probability any entry is above 0 when nothing is known, or None to take
          all information as it is.
        - average: "information" or "latents".

    Returns
    -------
    float
        Between 0 and 1, where 1 is best. 0 when no latent captures anything.

    Raises
    ------
    ValueError
        On arrays that do not belong together, on codes that are not finite, and on parameters out
        of range.
    Undefined
        When all factors are constant.

    Notes
    -----
    Li et al. (2020), section 4; the expected information is exact and the limit of chance is that
    of a chi-square law, as in :func:`~disentangle_indicators.supervised.modularity`. It rewards
    latents that capture one factor, and says nothing about a factor that several latents share or
    none captures: read it beside MIG, which looks the other way.

    Examples
    --------
    >>> import numpy as np
    >>> factors = np.stack(np.divmod(np.arange(48) % 12, 4), axis=1)
    >>> round(mig_sup(factors, factors), 12)
    1.0
    >>> round(mig_sup(factors @ [[4], [1]], factors), 12)
    0.0
    """
    return measure(METRIC, codes, factors, rng=rng, protocol=protocol, **overrides).value


def _compute(
    cells: Index, of_factors: info.Labels, p: dict[str, Any], rng: np.random.Generator
) -> Outcome:
    found, known = info.known(cells, of_factors)
    share = known.share
    if p["divide_by"] == "code":
        share = known.mutual / np.where(found.codes > 0, found.codes, 1.0)
    first, second = info.top_two(share, axis=1)
    gap = first - second
    return Outcome(
        info.average(gap, known.mutual.sum(axis=1), p["average"]),
        per_latent=gap,
        matrix=found.mutual,
        matrix_name="I(z_h; v_k) [nats]",
    )


METRIC = Metric(
    "mig_sup",
    "Mutual information gap of latents",
    _compute,
    PROTOCOLS,
    "how much more a latent captures of its factor than of any other one; is blind to factors "
    "that no latent captures",
    SOURCES,
    prepare=info.prepare_chance,
    counts=info.counts,
    choices={
        "code_bins": info.CODE_BINS,
        "divide_by": ("factor", "code"),
        "average": info.AVERAGES,
    },
    curved=1,
)
