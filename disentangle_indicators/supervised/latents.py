"""Which latents metrics look at, and by which codes: one policy for all of them."""

import numpy as np

from disentangle_indicators._array import (
    Array,
    Float,
    as_mean,
    as_pair,
    check_finite,
    check_positive,
    to_numpy,
)
from disentangle_indicators._errors import Undefined
from disentangle_indicators.evaluate import ACTIVE_UNIT, indicators
from disentangle_indicators.states import USED

__all__ = ["CODES", "LATENTS", "codes_of", "kept"]

LATENTS = ("used", "all")
CODES = ("mean", "sample")


def kept(mean: Array, var: Array | None, latents: str, threshold: float = USED) -> list[int]:
    """Return the latents that metrics look at.

    Parameters
    ----------
    mean : array, shape (n, d)
    var : array, shape (n, d), optional
    latents : {"used", "all"}
        "used" are those whose information (Definition 3) exceeds the threshold; without variances
        those whose mean has a variance of at least 0.01 (active units).
    threshold : float
        Nats.

    Returns
    -------
    list of int

    Raises
    ------
    ValueError
        When none is used, and on another policy.

    Examples
    --------
    >>> import numpy as np
    >>> kept(np.array([[0.0, 1.0], [0.0, -1.0]]), np.array([[1.0, 0.1], [1.0, 0.1]]), "used")
    [1]
    """
    if latents not in LATENTS:
        raise ValueError(f"latents must be one of {', '.join(LATENTS)}; got {latents!r}")
    if latents == "all":
        return list(range(mean.shape[1]))
    if var is None:
        chosen = np.var(to_numpy(mean), axis=0) >= ACTIVE_UNIT
        rule = f"mean has a variance of at least {ACTIVE_UNIT:g}"
    else:
        states = indicators(mean, var, errors=False, threshold=threshold).states
        chosen = np.isin(states, ("used", "near-deterministic"))
        rule = f"information is above {threshold:g} nats"
    if not chosen.any():
        raise Undefined(
            f"no latent is used: of the {len(chosen)} latents there is none whose {rule}; "
            "'all' looks at all of them"
        )
    return [int(h) for h in np.flatnonzero(chosen)]


def codes_of(
    mean: Array, var: Array | None, codes: str, rng: np.random.Generator | int
) -> tuple[Float, Float | None]:
    """Return the codes that metrics see, (n, d), and the variances: numpy, float64.

    Parameters
    ----------
    mean : array, shape (n, d)
    var : array, shape (n, d), optional
    codes : {"mean", "sample"}
        The posterior means, or one draw from each posterior.
    rng : numpy.random.Generator or int

    Raises
    ------
    ValueError
        On arrays that are not what they must be, and when samples are asked for without variances.
    """
    if codes not in CODES:
        raise ValueError(f"codes must be one of {', '.join(CODES)}; got {codes!r}")
    if var is None:
        if codes == "sample":
            raise ValueError("samples need the posterior variances; there are only means")
        _, mean = as_mean(mean)
    else:
        _, mean, var = as_pair(mean, var)
        check_positive(var, "var")
    if mean.ndim != 2:
        raise ValueError(f"mean must have the shape (n, d); its shape is {tuple(mean.shape)}")
    check_finite(mean, "mean")
    z, v = to_numpy(mean), None if var is None else to_numpy(var)
    if codes == "mean" or v is None:
        return z, v
    return z + np.sqrt(v) * np.random.default_rng(rng).standard_normal(z.shape), v


def words(chosen: list[int], d: int, codes: str) -> str:
    """Say which latents and codes metrics saw."""
    if len(chosen) == d:
        which = f"all {d} latents" if d > 1 else "the latent"
    else:
        which = f"the {len(chosen)} of {d} latents that are used"
    return f"{'posterior means' if codes == 'mean' else 'one sample of each posterior'}, {which}"
