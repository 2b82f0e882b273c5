"""The Gaussian prior, as numbers, and the change of variables that makes it N(0, I)."""

from typing import Any

import numpy as np

from disentangle_indicators._array import Array, Float, namespace

__all__ = ["as_prior", "in_prior_units", "is_unit"]


OTHER_PRIORS = (
    "A prior is a Gaussian with independent latents. For a mixture, a flow or samples as prior "
    "Definitions 1, 4 and 5 do not apply; Definitions 2, 3, 6 and 7 do not depend on the prior"
)


def as_prior(prior_mean: Any, prior_var: Any, d: int) -> tuple[float | Float, float | Float]:
    """Check a Gaussian prior and return its mean and variance, each one number or (d,)."""
    centre, spread = _numbers(prior_mean, "prior_mean"), _numbers(prior_var, "prior_var")
    if not np.all(np.isfinite(centre)):
        raise ValueError(f"prior_mean must be finite; got {prior_mean}")
    if not np.all((spread > 0) & np.isfinite(spread)):
        raise ValueError(f"prior_var must be positive and finite; got {prior_var}")
    for name, values in (("prior_mean", centre), ("prior_var", spread)):
        if values.shape not in ((1,), (d,)):
            got = values.size if values.ndim == 1 else f"the shape {values.shape}. {OTHER_PRIORS}"
            raise ValueError(f"{name} must be one number or {d}; got {got}")
    one, two = (float(x.reshape(-1)[0]) if x.size == 1 else x for x in (centre, spread))
    return one, two


def _numbers(values: Any, name: str) -> Float:
    """Return numbers, or refuse what is no number, such as a distribution."""
    try:
        return np.atleast_1d(np.asarray(values, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name} must be numbers; got a {type(values).__name__}. {OTHER_PRIORS}"
        ) from error


def is_unit(prior_mean: float | Float, prior_var: float | Float) -> bool:
    """Whether the prior is N(0, I)."""
    return bool(np.all(np.asarray(prior_mean) == 0) and np.all(np.asarray(prior_var) == 1))


def in_prior_units(
    mean: Array, var: Array | None, prior_mean: float | Float, prior_var: float | Float
) -> tuple[Array, Array | None]:
    """Return (mean - prior_mean) / sqrt(prior_var), and var / prior_var where there is one."""
    xp = namespace(mean)
    centre, spread = (
        xp.asarray(np.asarray(x), dtype=mean.dtype, device=mean.device)
        for x in (prior_mean, prior_var)
    )
    return (mean - centre) / xp.sqrt(spread), None if var is None else var / spread
