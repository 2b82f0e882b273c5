"""Signs that the arrays are not what they are called: transposed, swapped, another scale.

Values never decide what an array is, since collapsed latents look alike on every scale. Where no
trained encoder gives such values, the report asks.
"""

import numpy as np

from disentangle_indicators._array import namespace, to_numpy
from disentangle_indicators._indicators_result import Indicators
from disentangle_indicators._scales import SCALES
from disentangle_indicators.posteriors import Encodings
from disentangle_indicators.thresholds import DIVERGED

__all__ = ["doubts"]

FEWEST = 10
"""Rows below which every sign may be chance."""

WIDE = 64
"""Latents below which more latents than rows are no sign."""


def doubts(encodings: Encodings, result: Indicators) -> str:
    """Return questions about the input in one sentence each, "" where there is none.

    Parameters
    ----------
    encodings : Encodings
    result : Indicators
        Of these encodings.

    Returns
    -------
    str

    Examples
    --------
    >>> import numpy as np
    >>> from disentangle_indicators import score
    >>> wide = np.random.default_rng(0).normal(size=(12, 100))
    >>> print(score(wide, std=np.full((12, 100), 0.1)).verdict["CHECK"])
    12 rows and 100 latents: are the arrays transposed? If so, pass mean.T and std.T.
    """
    found = []
    if result.d >= WIDE and result.d > 2 * result.n:
        transposed = "give layout='transposed'"
        found.append(
            f"{result.n} rows and {result.d} latents: are the arrays transposed? If so, "
            f"{_pass(encodings, transposed, f'pass mean.T and {encodings.scale}.T')}."
        )
    logarithm = encodings.scale.startswith("log")
    if result.n >= FEWEST and logarithm and _is_swapped(result):
        keys = f"give mean_key={encodings.scale_key!r}, scale_key={encodings.mean_key!r} and "
        keys += f"scale={encodings.scale!r}"
        found.append(
            "Every mean is negative on average, and the posteriors are wide: were the means and "
            f"the {encodings.scale} swapped? If so, "
            f"{_pass(encodings, keys, 'pass each in the place of the other')}."
        )
    elif result.n >= FEWEST and _is_wide(encodings, result):
        other = "a variance or a standard deviation" if logarithm else "on another scale"
        scales = [scale for scale in SCALES if scale != encodings.scale]
        named = f"give scale={' or '.join(map(repr, scales))}"
        arrays = f"pass {', '.join(f'{scale}=' for scale in scales)}"
        found.append(
            f"Every posterior is wider than the prior: is the {encodings.scale} {other}, or is the "
            f"prior another one? If so, {_pass(encodings, named, arrays)} or prior_var=."
        )
    spread = np.sqrt(result.second_moment)
    if np.max(spread) > DIVERGED:
        h = int(np.argmax(spread))
        found.append(
            f"The codes of latent {h} are {spread[h]:.3g} standard deviations of the prior from 0: has the "
            "training diverged, or are the arrays in other units? No trained encoder gives such codes."
        )
    return " ".join(found)


def _pass(encodings: Encodings, file: str, arrays: str) -> str:
    """Return what to type, for a file or for arrays."""
    return file if encodings.path is not None and encodings.mean_key else arrays


def _is_swapped(result: Indicators) -> bool:
    """Whether means look like log variances, which are below 0, and posteriors are wide."""
    means, widths = result.mean, result.posterior_variance
    below = bool(np.all(means < 0.01)) and bool(np.any(means < -0.5))
    return below and bool(np.all(widths > 0.9)) and bool(np.any(widths > 1.2))


def _is_wide(encodings: Encodings, result: Indicators) -> bool:
    """Whether every single posterior is wider than the prior."""
    if not np.all(to_numpy(result.moments.log_var) > 0):
        return False  # no need to go through the rows
    return all(bool(namespace(var).min(var) > 1) for _, var in encodings.batches())
