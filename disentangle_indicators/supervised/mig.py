"""Mutual information gap: whether one latent, and only one, knows each factor."""

from typing import Any

import numpy as np

from disentangle_indicators._array import Array, Float
from disentangle_indicators.supervised._columns import (
    Index,
    as_codes,
    as_factors,
    binned,
    levels,
)

__all__ = ["mig", "mutual_information_matrix"]

_CELLS = 1 << 22
"""Cells of the contingency tables that are counted at a time."""


def mig(
    codes: Array, factors: Any, *, rng: np.random.Generator | int = 0, bins: int = 20
) -> float:
    r"""Mutual information gap of discrete factors, averaged over them.

    .. math:: \frac1K \sum_k \frac{I(z_{(1)}; v_k) - I(z_{(2)}; v_k)}{H(v_k)}

    where :math:`z_{(1)}` and :math:`z_{(2)}` are the two latents that know most about factor k.

    Parameters
    ----------
    codes : array, shape (n, d)
        Mean codes. With one latent the second information is 0.
    factors : array, shape (n, K) or (n,)
        Each value is a class. Constant factors are left out.
    rng : numpy.random.Generator or int
        Not used: nothing is drawn. All metrics take it.
    bins : int
        Equal-width bins of each latent between its extremes. A factor with more values than bins
        caps the score of a perfect code below 1.

    Returns
    -------
    float
        Between 0 and 1, where 1 is best. No unit: the ratio of nats to nats.

    Raises
    ------
    ValueError
        On arrays that do not belong together, on codes and factors that are not finite, when all
        factors are constant, and on fewer than one bin.

    Notes
    -----
    Chen et al. (2018), eq. (6), with the estimator of Locatello et al. (2019): `disentanglement_lib`
    takes 20 bins and 10,000 rows. Information is that of the empirical table, which is biased
    upwards by about (bins - 1)(values - 1) / 2n nats.

    Examples
    --------
    >>> import numpy as np
    >>> factors = np.stack(np.divmod(np.arange(12), 4), axis=1)
    >>> round(mig(factors, factors), 12), round(mig(factors[:, :1], factors), 12)
    (1.0, 0.5)
    """
    information, entropies = _information(codes, factors, bins)
    information, entropies = information[:, entropies > 0], entropies[entropies > 0]
    if entropies.size == 0:
        raise ValueError("factors must vary; each of the columns holds a single value")
    top = np.sort(np.vstack([np.zeros_like(information[:1]), information]), axis=0)[-2:]
    return float(np.mean((top[1] - top[0]) / entropies))


def mutual_information_matrix(codes: Array, factors: Any, bins: int = 20) -> Float:
    r"""Mutual information between each latent, in equal-width bins, and each factor.

    .. math:: I(z_h; v_k) = \sum_{b, v} \hat p(b, v) \log\frac{\hat p(b, v)}{\hat p(b)\,\hat p(v)}

    Parameters
    ----------
    codes : array, shape (n, d)
    factors : array, shape (n, K) or (n,)
    bins : int

    Returns
    -------
    array, shape (d, K)
        Nats, between 0 and the entropy of the factor. 0 for constant latents and factors.

    Raises
    ------
    ValueError
        On arrays that do not belong together, on codes and factors that are not finite, and on
        fewer than one bin.

    Notes
    -----
    Chen et al. (2018), section 4.1, estimated as in Locatello et al. (2019).

    Examples
    --------
    >>> import numpy as np
    >>> mutual_information_matrix(np.array([[0.0], [0.0], [1.0], [1.0]]), [0, 0, 1, 1]).round(4)
    array([[0.6931]])
    """
    return _information(codes, factors, bins)[0]


def _information(codes: Array, factors: Any, bins: int) -> tuple[Float, Float]:
    """Return I(z_h; v_k) (d, K) and H(v_k) (K,), the latter exactly 0 for constant factors."""
    if bins < 1:
        raise ValueError(f"bins must be at least 1; got {bins}")
    z = as_codes(codes)
    n, d = z.shape
    numbers, counts = levels(as_factors(factors, n))
    cells = binned(z, bins) + np.arange(d) * bins
    entropy_z = _entropies(np.bincount(cells.ravel(), minlength=d * bins).reshape(d, bins), n)
    entropy_v = np.array([_entropies(count[None], n)[0] for count in counts])
    joint = np.stack(
        [_joint_entropies(cells, numbers[:, k], len(counts[k]), bins) for k in range(len(counts))],
        axis=1,
    )
    constant = np.array([len(count) == 1 for count in counts])
    entropy_v[constant] = 0.0
    information = np.clip(entropy_z[:, None] + entropy_v - joint, 0.0, entropy_v)
    return information, entropy_v


def _joint_entropies(cells: Index, numbers: Index, values: int, bins: int) -> Float:
    """Return the entropy of each latent's bin together with the value of one factor."""
    n, d = cells.shape
    out = np.empty(d)
    block = max(1, _CELLS // (bins * values))
    for start in range(0, d, block):
        part = (cells[:, start : start + block] - start * bins) * values + numbers[:, None]
        size = part.shape[1]
        table = np.bincount(part.ravel(), minlength=size * bins * values)
        out[start : start + size] = _entropies(table.reshape(size, -1), n)
    return out


def _entropies(counts: Index, n: int) -> Float:
    """Return the entropy of each row of counts that add up to n."""
    log = np.log(np.maximum(counts, 1))
    return np.asarray(np.log(n) - np.sum(counts * log, axis=1) / n)
