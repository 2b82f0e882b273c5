"""Modularity: whether each latent captures one factor and no other."""

from typing import Any

import numpy as np

from disentangle_indicators._array import Array
from disentangle_indicators._binning import Index
from disentangle_indicators.supervised import _information as info
from disentangle_indicators.supervised._metric import Metric, Outcome, measure

__all__ = ["METRIC", "modularity"]

PROTOCOLS: dict[str, dict[str, Any]] = {
    "default": {
        "bins": 20,
        "code_bins": "count",
        "factor_bins": None,
        "level": 0.001,
        "average": "information",
    },
    "locatello2019": {
        "bins": 20,
        "code_bins": "width",
        "factor_bins": None,
        "level": None,
        "average": "latents",
    },
    "dent": {
        "bins": 20,
        "code_bins": "width",
        "factor_bins": 20,
        "level": None,
        "average": "latents",
    },
    "ubisoft": {
        "bins": 10,
        "code_bins": "width",
        "factor_bins": 10,
        "level": None,
        "average": "latents",
    },
}

SOURCES = {
    "default": "Ridgeway & Mozer (2018), over bins of equal counts, of what latents capture beyond "
    "chance and weighted by it: latents without information are left out, not averaged in, and noise "
    "scores 0, not .7",
    "locatello2019": "disentanglement_lib: 20 bins of equal width, factors as they are, the plain "
    "mean over all latents, those without information too",
    "dent": "disentangling-correlated-factors: factors in 20 bins too",
    "ubisoft": "Carbonneau et al. (2022): 10 bins of codes and of factors; a latent that captures "
    "nothing at all counts as 0 there, where it was nan",
}


def modularity(
    codes: Array,
    factors: Any,
    *,
    rng: np.random.Generator | int = 0,
    protocol: str = "default",
    **overrides: Any,
) -> float:
    r"""Modularity of latents, averaged over them.

    .. math:: \frac{\sum_h w_h r_h q_h}{\sum_h w_h}, \qquad
        q_h = 1 - \frac{\sum_{k \ne k_h} J_{hk}^2}{(K - 1) J_{h k_h}^2}, \qquad
        J_{hk} = I(z_h; v_k) - E_{hk}, \qquad w_h = \sum_k J_{hk}

    where :math:`k_h` is the factor that latent h captures best, :math:`E_{hk}` is the information
    expected of permuted rows, :math:`J_{hk}` is 0 up to :math:`m_{hk}`, as it may be chance, and
    :math:`r_h = 1 - (m_{h k_h} / J_{h k_h})^2` rises from 0 to 1 above it. With ``level=None`` J
    is I and r is 1; with ``average="latents"`` all weights are the same.

    Parameters
    ----------
    codes : array, shape (n, d)
    factors : array, shape (n, K) or (n,)
        As :func:`~disentangle_indicators.supervised.as_table` takes them. Constant factors are
        left out, and so are rows without a value of the factor at hand. With one factor all
        latents that capture something have modularity 1.
    rng : numpy.random.Generator or int
        Not used: nothing is drawn. All metrics take it.
    protocol : {"default", "locatello2019", "dent", "ubisoft"}
    **overrides
        Parameters that differ from the protocol's:

        - bins, code_bins, factor_bins: as :func:`~disentangle_indicators.supervised.mig` takes
          them.
        - level: with this probability any entry of J is above 0 when nothing is known, or None
          to take all information as it is.
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
    Ridgeway & Mozer (2018), section 3. It rewards latents that capture one factor, and says
    nothing about a factor that no latent captures or that all capture: two factors in ten latents
    of one of them have modularity 1. Over all latents and with information as it is, noise scores
    .5 to .7, as its information is by chance larger for factors of more values; hence the default.
    There :math:`E_{hk}` is the exact mean over permutations (Vinh, Epps & Bailey, 2010, eq. 24a),
    and :math:`2 n m_{hk}` is how far a chi-square law of as many degrees of freedom is above its
    mean with probability level / (d K). So over few rows nothing may count.

    Examples
    --------
    >>> import numpy as np
    >>> factors = np.stack(np.divmod(np.arange(480) % 12, 4), axis=1)
    >>> round(modularity(factors, factors), 3)
    1.0
    >>> round(modularity(factors @ [[4], [1]], factors), 2)
    0.37
    """
    return measure(METRIC, codes, factors, rng=rng, protocol=protocol, **overrides).value


def _compute(
    cells: Index, of_factors: info.Labels, p: dict[str, Any], rng: np.random.Generator
) -> Outcome:
    found, known = info.known(cells, of_factors)
    top = np.max(known.mutual, axis=1)
    relative = known.mutual / np.where(top > 0, top, 1.0)[:, None]
    others = np.maximum(np.sum(relative**2, axis=1) - 1.0, 0.0) / max(relative.shape[1] - 1, 1)
    sure = np.max(np.where(relative == 1, known.sure, 0.0), axis=1)
    modular = np.where(top > 0, (1.0 - others) * sure, 0.0)
    return Outcome(
        info.average(modular, known.mutual.sum(axis=1), p["average"]),
        per_latent=modular,
        matrix=found.mutual,
        matrix_name="I(z_h; v_k) [nats]",
    )


METRIC = Metric(
    "modularity",
    "Modularity",
    _compute,
    PROTOCOLS,
    "whether a latent that captures something captures one factor only; is blind to factors that "
    "no latent captures, or that many share",
    SOURCES,
    prepare=info.prepare_chance,
    counts=info.counts,
    choices={"code_bins": info.CODE_BINS, "average": info.AVERAGES},
    curved=2,
)
