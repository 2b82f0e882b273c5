"""Mutual information between pairs of latents, in bins."""

from difflib import get_close_matches
from typing import Any

import numpy as np

from disentangle_indicators._array import Array, Float, as_codes
from disentangle_indicators._binning import Index, binned, equal_counts
from disentangle_indicators.supervised._information import expected, of_one

__all__ = ["mutual_info_score", "pairwise_information"]

PROTOCOLS: dict[str, dict[str, Any]] = {
    "default": {"bins": 20, "code_bins": "count"},
    "locatello2019": {"bins": 20, "code_bins": "width"},
}

SOURCES = {
    "default": "Locatello et al. (2019), over bins of equal counts: outliers do not move the bins",
    "locatello2019": "disentanglement_lib, mutual_info_score of unsupervised_metrics: 20 bins of "
    "equal width",
}


def mutual_info_score(codes: Array, *, protocol: str = "default", **overrides: Any) -> float:
    r"""Mutual information of two latents, averaged over all pairs.

    .. math:: \frac{1}{d (d - 1)} \sum_{h \ne g} \hat I(z_h; z_g)

    Parameters
    ----------
    codes : array, shape (n, d)
        Posterior means, or samples.
    protocol : {"default", "locatello2019"}
    **overrides
        Parameters that differ from the protocol's:

        - bins: of each latent.
        - code_bins: "width" for equal widths between the extremes, "count" for equal counts.

    Returns
    -------
    float
        Nats, from 0 to the log of the number of bins; lower is more independent. 0 for one latent,
        which has no pair; constant latents share nothing with any other.

    Raises
    ------
    ValueError
        On codes that are not finite, and on parameters that do not exist or are out of range.

    Notes
    -----
    Locatello et al. (2019), section 5.3. It rewards latents that are independent in pairs, by any
    dependence that the bins resolve; of three latents of which each is the parity of the others it
    sees nothing. Independent latents score about (bins - 1)^2 / 2n, not 0: 0.018 for 20 bins and
    10000 rows. As of total correlation, the means of unused latents make up most of it.

    Examples
    --------
    >>> import numpy as np
    >>> codes = np.stack(np.divmod(np.arange(400.0), 20), axis=1)
    >>> mutual_info_score(codes), round(mutual_info_score(codes[:, [0, 0]]), 4)
    (0.0, 2.9957)
    """
    shared = pairwise_information(codes, protocol=protocol, **overrides)
    pairs = shared[~np.eye(len(shared), dtype=bool)]
    return float(pairs.mean()) if pairs.size else 0.0


def expected_mutual_info_score(
    codes: Array, *, protocol: str = "default", **overrides: Any
) -> float:
    """Return the mean score of the same latents with their rows permuted, exactly.

    Parameters
    ----------
    codes, protocol, **overrides
        As for :func:`mutual_info_score`.

    Returns
    -------
    float
        Nats; about (bins - 1)^2 / 2n where that is small, 0.36 for the rows below.

    Raises
    ------
    ValueError
        As for :func:`mutual_info_score`.

    Examples
    --------
    >>> import numpy as np
    >>> codes = np.random.default_rng(0).normal(size=(500, 3))
    >>> round(expected_mutual_info_score(codes), 2), round(mutual_info_score(codes), 2)
    (0.43, 0.44)
    """
    cells = _cells(codes, protocol, overrides)
    chance = np.stack([expected(cells, label) for label in cells.T], axis=1)
    pairs = chance[~np.eye(len(chance), dtype=bool)]
    return float(pairs.mean()) if pairs.size else 0.0


def pairwise_information(codes: Array, *, protocol: str = "default", **overrides: Any) -> Float:
    """Return the mutual information of all pairs of latents, in bins.

    Parameters
    ----------
    codes, protocol, **overrides
        As for :func:`mutual_info_score`.

    Returns
    -------
    array, shape (d, d)
        Nats; the diagonal is the entropy of each latent's bins.

    Raises
    ------
    ValueError
        As for :func:`mutual_info_score`.

    Examples
    --------
    >>> import numpy as np
    >>> pairwise_information(np.array([[0.0, 1.0], [1.0, 0.0]])).round(4)
    array([[0.6931, 0.6931],
           [0.6931, 0.6931]])
    """
    cells = _cells(codes, protocol, overrides)
    return np.stack([of_one(cells, label)[0] for label in cells.T], axis=1)


def _cells(codes: Array, protocol: str, overrides: dict[str, Any]) -> Index:
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol must be one of {', '.join(PROTOCOLS)}; got {protocol!r}")
    p = PROTOCOLS[protocol] | overrides
    for name in overrides:
        if name not in PROTOCOLS[protocol]:
            near = get_close_matches(name, PROTOCOLS[protocol], n=3, cutoff=0.4)
            words = ", ".join(near or PROTOCOLS[protocol])
            raise ValueError(f"no parameter is called {name!r}; there is {words}")
    if p["bins"] < 1:
        raise ValueError(f"bins must be at least 1; got {p['bins']}")
    if p["code_bins"] not in ("width", "count"):
        raise ValueError(f"code_bins must be width or count; got {p['code_bins']!r}")
    z = as_codes(codes)
    if p["code_bins"] == "width":
        return binned(z, p["bins"])
    return np.stack([equal_counts(column, p["bins"]) for column in z.T], axis=1)
