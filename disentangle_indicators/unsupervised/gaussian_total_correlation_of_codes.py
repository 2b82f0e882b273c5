"""Total correlation that a Gaussian with the covariance of the codes would have."""

import numpy as np

from disentangle_indicators._array import Array
from disentangle_indicators._errors import Undefined
from disentangle_indicators.unsupervised._covariance_root import root

__all__ = ["gaussian_total_correlation_of_codes"]


def gaussian_total_correlation_of_codes(codes: Array, *, var: Array | None = None) -> float:
    r"""Total correlation of a Gaussian with the covariance of the codes.

    .. math:: \tfrac12\Big[\sum_h \log C_{hh} - \log\det C\Big] = -\tfrac12 \log\det\operatorname{corr}(C)

    Parameters
    ----------
    codes : array, shape (n, d)
        Posterior means, or samples. Constant latents depend on nothing: they are left out.
    var : array, shape (n, d), optional
        Posterior variances, with which `codes` are posterior means and C is the covariance of the
        aggregated posterior; see the notes.

    Returns
    -------
    float
        Nats, at least 0, without an upper bound; lower is more independent. 0 for one latent.

    Raises
    ------
    ValueError
        On codes that are not finite.
    Undefined
        On a single row, and on a singular covariance, of which the total correlation is infinite: a
        copied latent, or no more rows than latents.

    Notes
    -----
    Locatello et al. (2019), section 5.3; ``unsupervised_metrics`` of disentanglement_lib, where a
    copied latent gives inf and a constant one nan. It rewards uncorrelated latents and sees no
    other dependence. It does not see scale either, and that is when it lies: the mean of a latent
    that is not used varies by 1e-3 and may be any function of the others, so that dead latents
    make up most of the score of means (Bonheme & Grzes, 2023). With `var`, C is
    :math:`\operatorname{Cov}(\mu) + \operatorname{diag} E[v]`, the covariance of
    :math:`q(z) = \frac1n\sum_m q(z | x_m)`, as samples have it: the unit variance of an unused
    latent's posterior drowns what its mean does. That is the number of
    :func:`disentangle_indicators.definitions.gaussian_total_correlation`.

    Examples
    --------
    >>> import numpy as np
    >>> mean = np.array([[1.0, 1e-3], [-1.0, -1e-3], [2.0, 1e-3], [-2.0, -1e-3]])
    >>> round(gaussian_total_correlation_of_codes(mean), 4)
    1.1513
    >>> round(gaussian_total_correlation_of_codes(mean, var=np.ones((4, 2))), 4)
    0.0
    """
    unit, _ = root(codes, var)
    unit = unit[:, np.any(unit != 0, axis=0)]
    latents = unit.shape[1]
    if latents == 0:
        return 0.0
    values = np.linalg.svd(unit, compute_uv=False)
    rank = int(np.sum(values > max(len(unit), latents) * np.finfo(float).eps * values[0]))
    if rank < latents:
        raise Undefined(
            f"the covariance of codes must not be singular, where total correlation is infinite; "
            f"its rank is {rank} for {latents} latents that vary, in {len(codes)} rows"
        )
    return max(-float(np.sum(np.log(values))), 0.0)
