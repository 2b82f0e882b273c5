"""The density of the aggregated posterior along one latent."""

import numpy as np

from disentangle_indicators._array import Array, Float, to_numpy
from disentangle_indicators._provenance import Provenance
from disentangle_indicators.aggregate._density_result import Density
from disentangle_indicators.aggregate._grid import MAIN, grid
from disentangle_indicators.aggregate._marginals import evaluate_arrays
from disentangle_indicators.aggregate._one_latent import line_of
from disentangle_indicators.posteriors import Encodings

POINTS, BINS = 2001, 500
"""Points of the curve, and bins of the histogram of posteriors that are narrower than one bin."""


def density(
    mean: "Array | Encodings",
    var: Array = None,
    *,
    latent: int,
    std: Array = None,
    logvar: Array = None,
    logstd: Array = None,
) -> Density:
    """Compute the density of the aggregated posterior along one latent.

    Parameters
    ----------
    mean, var : array, shape (n, d)
        Means and variances of the posteriors, in units of the prior N(0, 1); or
        :class:`~disentangle_indicators.Encodings` alone.
    latent : int
    std, logvar, logstd : array, shape (n, d), optional
        In place of `var`: standard deviations, log variances, log standard deviations.

    Returns
    -------
    Density
        Posteriors that are narrower than a bin of the grid are counted as a histogram.

    Raises
    ------
    ValueError
        As :func:`disentangle_indicators.aggregate.marginals`, and on a latent that is not there.

    Examples
    --------
    >>> import numpy as np
    >>> found = density(np.array([[1.0], [-1.0]]), np.full((2, 1), 0.1), latent=0)
    >>> round(float(found.density.max()), 2)
    0.63
    """
    encodings = Encodings.of(mean, var, std=std, logvar=logvar, logstd=logstd)
    if latent not in range(encodings.d):
        raise ValueError(f"latent must be from 0 to {encodings.d - 1}; got {latent}")
    whole = encodings.arrays("a density needs")
    mean, var = (to_numpy(x[:, latent]) for x in whole)
    exact = evaluate_arrays(mean[:, None], var[:, None]).marginals
    z, values = curve(mean, var)
    return Density(
        n=len(mean),
        latent=latent,
        second_moment=float(np.mean(mean**2 + var)),
        information=float(exact.information[0]),
        looseness=float(exact.looseness[0]),
        z=z,
        density=values,
        provenance=Provenance(
            "disentangle_indicators.aggregate.density", encodings.inputs, {"latent": latent}
        ),
    )


def curve(mean: Float, var: Float, *, rough: bool = False) -> tuple[Float, Float]:
    """Return points, and the density there of posteriors (n,) of one latent.

    Those that are narrower than a bin are counted as a histogram. A rough curve may be 1e-4 of its
    peak off, which no picture shows.
    """
    second, sd = float(np.mean(mean**2 + var)), np.sqrt(var)
    reach = 4 * max(1.0, np.sqrt(second))
    ends = min((mean - 4 * sd).min(), -reach), max((mean + 4 * sd).max(), reach)
    z, edges = np.linspace(*ends, POINTS), np.linspace(*ends, BINS + 1)
    narrow = sd < edges[1] - edges[0]
    values = np.zeros_like(z)
    if not narrow.all():
        wide = mean[~narrow], var[~narrow]
        mixture = (line_of(*wide) if rough else None) or grid(*wide, (MAIN,))
        values += mixture.density(z) * np.mean(~narrow)
    if narrow.any():
        counts = np.histogram(mean[narrow], edges)[0] / len(mean) / (edges[1] - edges[0])
        values += counts[np.minimum(np.searchsorted(edges, z, "right") - 1, counts.size - 1)]
    return z, values
