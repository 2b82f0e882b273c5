"""Mutual information gap: whether one latent, and only one, captures each factor."""

from typing import Any

import numpy as np

from disentangle_indicators._array import Array, Float, as_codes
from disentangle_indicators._binning import Index
from disentangle_indicators.factors import as_table
from disentangle_indicators.supervised import _information as info
from disentangle_indicators.supervised._metric import Metric, Outcome, measure

__all__ = ["METRIC", "mig", "mutual_information_matrix"]

PROTOCOLS: dict[str, dict[str, Any]] = {
    "default": {
        "bins": 20,
        "code_bins": "count",
        "factor_bins": None,
        "adjust": True,
        "divide_by": "factor",
    },
    "locatello2019": {
        "bins": 20,
        "code_bins": "width",
        "factor_bins": None,
        "adjust": False,
        "divide_by": "factor",
    },
    "dent": {
        "bins": 20,
        "code_bins": "width",
        "factor_bins": 20,
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
    "default": "Chen et al. (2018), eq. (6), over bins of equal counts, no fewer than the factor "
    "has values: outliers do not move the bins, and their number does not cap a perfect code; less "
    "what permuted rows get, so that factors of many values do not score by chance",
    "locatello2019": "disentanglement_lib: 20 bins of equal width, factors as they are",
    "dent": "disentangling-correlated-factors: factors in 20 bins too",
    "ubisoft": "Carbonneau et al. (2022): 10 bins of codes and of factors, divided by the entropy "
    "of the code; a constant code counts as 0 there, where it was nan",
}


def mig(
    codes: Array,
    factors: Any,
    *,
    rng: np.random.Generator | int = 0,
    protocol: str = "default",
    **overrides: Any,
) -> float:
    r"""Mutual information gap, averaged over factors.

    .. math:: \frac1K \sum_k \frac{J(z_{(1)}; v_k) - J(z_{(2)}; v_k)}{H(v_k)}, \qquad
        J(z; v) = H(v) \max\Big(0, \frac{I(z; v) - E}{H(v) - E}\Big)

    where :math:`z_{(1)}` and :math:`z_{(2)}` are the latents of most information about factor k,
    and E is the mean of I over permuted rows. With ``adjust=False``, as published, J is I.

    Parameters
    ----------
    codes : array, shape (n, d)
        With one latent the second information is 0.
    factors : array, shape (n, K) or (n,)
        As :func:`~disentangle_indicators.supervised.as_table` takes them. Constant factors are
        left out, and so are rows without a value of the factor at hand.
    rng : numpy.random.Generator or int
        Not used: nothing is drawn. All metrics take it.
    protocol : {"default", "locatello2019", "dent", "ubisoft"}
    **overrides
        Parameters that differ from the protocol's:

        - bins: of each latent, at least 1.
        - code_bins: "width" for equal widths between the extremes, where bins fewer than the
          values of a factor cap the score of a perfect code below 1, and a few outliers empty most
          bins; "count" for equal counts, in so many times `bins` that the factor has no more
          values.
        - factor_bins: of equal width, or None to take the values of factors as they are, and 20
          bins of equal counts for a continuous one.
        - adjust: whether to subtract what permuted rows get, of which a factor of many values has
          much. A factor whose values have one row each then scores 0: nothing can be known of it.
        - divide_by: "factor" or "code", whose entropy normalises.

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
    Chen et al. (2018), eq. (6). It rewards one latent per factor and says nothing about a latent
    that captures several factors. Without `adjust` both informations are biased upwards, by about
    (bins - 1)(values - 1) / 2n nats; with 700 classes in 6,000 rows the second one is 4 nats of
    chance, and the gap of a perfect code is 0.33.

    Bins of equal counts ignore distances: they cut across values of a factor, and they see the
    order of the codes within a value, however small its differences are. So the default marks down
    a code that is perfect but for a trace: with two factors of 10 values and 2,000 rows it gives
    1.00 to the factors, 0.92 to these with noise of a hundredth of their standard deviation, and
    0.64 to these turned by 0.2 degrees, where each latent does capture, by traces, the other
    factor. With 100 bins, which cut less and see more, the last two are 0.98 and 0.00. Bins of
    equal width give 0.99 to all three, but five outliers take that to 0.00, where the default
    stays at 0.92. Posterior samples hide what is smaller than their noise.

    Examples
    --------
    >>> import numpy as np
    >>> factors = np.stack(np.divmod(np.arange(12), 4), axis=1)
    >>> round(mig(factors, factors), 12), round(mig(factors[:, :1], factors), 12)
    (1.0, 0.5)
    """
    return measure(METRIC, codes, factors, rng=rng, protocol=protocol, **overrides).value


def mutual_information_matrix(
    codes: Array, factors: Any, *, protocol: str = "default", **overrides: Any
) -> Float:
    r"""Mutual information between each latent, in bins, and each factor.

    .. math:: I(z_h; v_k) = \sum_{b, v} \hat p(b, v) \log\frac{\hat p(b, v)}{\hat p(b)\,\hat p(v)}

    Parameters
    ----------
    codes : array, shape (n, d)
    factors : array, shape (n, K) or (n,)
    protocol, **overrides
        Those of :func:`mig`.

    Returns
    -------
    array, shape (d, K)
        Nats, between 0 and the entropy of the factor. 0 for constant latents and factors.

    Raises
    ------
    ValueError
        As :func:`mig`, but for constant factors.

    Notes
    -----
    Chen et al. (2018), section 4.1.

    Examples
    --------
    >>> import numpy as np
    >>> mutual_information_matrix(np.array([[0.0], [0.0], [1.0], [1.0]]), [0, 0, 1, 1]).round(4)
    array([[0.6931]])
    """
    z = as_codes(codes)
    table, p = as_table(factors, len(z)), METRIC.parameters(protocol, **overrides)
    p["adjust"] = False
    return info.information(*info.prepare(z, table, p)).mutual


def _compute(
    cells: Index, of_factors: info.Binned, p: dict[str, Any], rng: np.random.Generator
) -> Outcome:
    found = info.information(cells, of_factors)
    scale = found.factors if p["divide_by"] == "factor" else found.codes
    share = found.mutual / np.where(scale > 0, scale, 1.0)
    first, second = info.top_two(share)
    return Outcome(
        float(np.mean(first - second)),
        per_factor=first - second,
        matrix=found.mutual,
        matrix_name=info.matrix_name(p),
    )


METRIC = Metric(
    "mig",
    "Mutual information gap",
    _compute,
    PROTOCOLS,
    "how much more the best latent captures of a factor than the second best, per entropy of the "
    "factor; 1 means one latent per factor, and two latents that share a factor cost as much as "
    "none that captures it",
    SOURCES,
    prepare=info.prepare,
    curved=1,
    choices={"code_bins": info.CODE_BINS, "divide_by": ("factor", "code")},
)
