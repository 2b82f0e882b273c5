"""What posterior means show without their variances: which latents move at all."""

from disentangle_indicators._array import to_numpy
from disentangle_indicators._means_result import MeansOnly
from disentangle_indicators._provenance import Provenance
from disentangle_indicators.posteriors import Encodings
from disentangle_indicators.states import active

__all__ = ["MeansOnly", "means_only"]


def means_only(encodings: Encodings) -> MeansOnly:
    """Summarise posterior means that come without variances.

    Parameters
    ----------
    encodings : Encodings

    Returns
    -------
    MeansOnly

    Raises
    ------
    ValueError
        On means that are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> means_only(Encodings.of(np.array([[1.0, 0.0], [-1.0, 0.0]]))).states
    ('active', 'inactive')
    """
    moments = encodings.summary()
    spread = to_numpy(moments.mean_variance)
    found = set(active(spread))
    return MeansOnly(
        n=moments.n,
        d=spread.size,
        active_units=len(found),
        states=tuple("active" if h in found else "inactive" for h in range(spread.size)),
        mean=to_numpy(moments.mean),
        mean_variance=spread,
        provenance=Provenance("disentangle_indicators.means.means_only", encodings.inputs),
    )
