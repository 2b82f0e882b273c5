"""Wasserstein distance of a Gaussian with the covariance of the codes from its marginals."""

import numpy as np

from disentangle_indicators._array import Array, Float
from disentangle_indicators._errors import Undefined
from disentangle_indicators.unsupervised._covariance_root import root

__all__ = ["gaussian_wasserstein_correlation", "gaussian_wasserstein_correlation_norm"]


def gaussian_wasserstein_correlation(codes: Array, *, var: Array | None = None) -> float:
    r"""Squared Wasserstein-2 distance of the Gaussian of the codes from the product of its marginals.

    .. math:: 2\operatorname{tr} C - 2\operatorname{tr}\big(D^{1/2} C D^{1/2}\big)^{1/2},
        \qquad D = \operatorname{diag} C

    Parameters
    ----------
    codes : array, shape (n, d)
        Posterior means, or samples. Constant latents add 0, and so does a single latent.
    var : array, shape (n, d), optional
        Posterior variances: C is then the covariance of the aggregated posterior, as in
        :func:`~disentangle_indicators.unsupervised.gaussian_total_correlation_of_codes`.

    Returns
    -------
    float
        In squared units of the codes, from 0 to :math:`2 \operatorname{tr} C`; lower is more
        independent. A singular covariance is nothing special.

    Raises
    ------
    ValueError
        On codes that are not finite.
    Undefined
        On codes whose variance overflows, and on a single row.

    Notes
    -----
    Locatello et al. (2019), section 5.3; ``unsupervised_metrics`` of disentanglement_lib. It rewards
    uncorrelated latents and, unlike total correlation, weighs them by their variance, so that
    latents whose means barely move count little. It lies about codes of another scale: twice the
    codes have four times the score.

    Examples
    --------
    >>> import numpy as np
    >>> codes = np.array([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [2.0, 2.0]])
    >>> round(gaussian_wasserstein_correlation(codes), 4)
    0.1901
    """
    share, sigma = _share(codes, var)
    with np.errstate(over="ignore"):
        total = float(np.sum(sigma * sigma))
    if not np.isfinite(total):
        h = int(np.argmax(sigma))
        raise Undefined(f"the variance of codes overflows float64; that of latent {h} does")
    return share * total


def gaussian_wasserstein_correlation_norm(codes: Array, *, var: Array | None = None) -> float:
    r"""Squared Wasserstein-2 distance of Gaussians, as a share of the variance of the codes.

    .. math:: 2 - 2\operatorname{tr}\big(D^{1/2} C D^{1/2}\big)^{1/2} / \operatorname{tr} C

    Parameters
    ----------
    codes, var
        As for :func:`gaussian_wasserstein_correlation`.

    Returns
    -------
    float
        From 0 to below 2, without a unit; lower is more independent. 0 where all latents are
        constant.

    Raises
    ------
    ValueError, Undefined
        As for :func:`gaussian_wasserstein_correlation`.

    Notes
    -----
    Locatello et al. (2019), section 5.3. Scaling all codes does not matter, scaling one does. d
    copies of one latent score :math:`2 - 2 / \sqrt d`.

    Examples
    --------
    >>> import numpy as np
    >>> code = np.arange(5.0)
    >>> round(gaussian_wasserstein_correlation_norm(np.stack([code] * 4, axis=1)), 12)
    1.0
    """
    return _share(codes, var)[0]


def _share(codes: Array, var: Array | None) -> tuple[float, Float]:
    """Return the distance as a share of the total variance, and the standard deviations (d,)."""
    unit, sigma = root(codes, var)
    largest = float(sigma.max())
    if largest == 0:
        return 0.0, sigma
    weight = (sigma / largest) ** 2
    roots = float(np.sum(np.linalg.svd(unit * weight, compute_uv=False)))
    return max(2 - 2 * roots / float(weight.sum()), 0.0), sigma
