"""What users hold in place of two arrays: a distribution, a pair, a dict, a path."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["file_of", "unpacked"]

GAUSSIAN = {"Normal", "MultivariateNormalDiag", "DiagonalGaussianDistribution"}
"""Classes of distributions whose axes are independent Gaussians."""

INDEPENDENT = ("base_dist", "distribution")
"""Where an Independent distribution keeps the one that it counts as independent."""

OTHERS = {
    "MultivariateNormal": "it has a full covariance",
    "LowRankMultivariateNormal": "it has a full covariance",
    "MixtureSameFamily": "it is a mixture",
    "Mixture": "it is a mixture",
    "TransformedDistribution": "it is a flow, or another transform of a distribution",
    "Laplace": "its densities are not Gaussian",
    "VonMises": "its latents are angles",
    "VonMisesFisher": "its latents lie on a sphere",
    "PowerSpherical": "its latents lie on a sphere",
    "Categorical": "its latents are discrete",
    "OneHotCategorical": "its latents are discrete",
    "Bernoulli": "its latents are discrete",
    "Delta": "it has no width: give its values as means, without a scale",
}
"""What is wrong with posteriors of other families, by the class of the distribution."""


def unpacked(mean: Any, scale: str, values: Any) -> tuple[Any, str, Any]:
    """Return means, the name of the scale and its values, taken out of a distribution.

    Parameters
    ----------
    mean : array, or distribution
        With `mean` and `stddev` or `logvar`, as attributes or methods: of torch, numpyro,
        tensorflow-probability, diffusers. None of them is imported.
    scale : str
        "var", "std", "logvar", "logstd", or "" for none.
    values : array or None

    Returns
    -------
    mean : array
    scale : str
    values : array or None

    Raises
    ------
    ValueError
        On a distribution that is no diagonal Gaussian, and on a pair of arrays, a dict or a path.

    Examples
    --------
    >>> unpacked([[1.0]], "std", [[0.5]])
    ([[1.0]], 'std', [[0.5]])
    """
    _refuse_containers(mean)
    names = [kind.__name__ for kind in type(mean).__mro__]
    if not any(name.endswith("Distribution") for name in names):
        return mean, scale, values
    if scale:
        raise ValueError(f"{names[0]} has a width of its own; {scale}= goes with arrays")
    return _of_distribution(mean)


def _of_distribution(given: Any) -> tuple[Any, str, Any]:
    names = [kind.__name__ for kind in type(given).__mro__]
    if "Independent" in names:
        inner = next(getattr(given, name) for name in INDEPENDENT if hasattr(given, name))
        return _of_distribution(inner)
    if GAUSSIAN.isdisjoint(names):
        reason = next((OTHERS[name] for name in names if name in OTHERS), "")
        raise ValueError(
            f"posteriors must be Gaussians with independent latents; {names[0]} is not"
            f"{reason and ': '}{reason}. Give its mean alone for what means can show"
        )
    for scale, attribute in (("logvar", "logvar"), ("std", "stddev"), ("std", "std")):
        if hasattr(given, attribute):
            return _called(given.mean), scale, _called(getattr(given, attribute))
    raise ValueError(f"{names[0]} has no standard deviation: give its mean and std=")


def _called(value: Any) -> Any:
    """Return an attribute, or what the method of that name returns."""
    return value() if callable(value) else value


def _refuse_containers(given: Any) -> None:
    path = file_of(given)
    if path is not None:
        raise ValueError(f"mean is a file: open it with read_encodings({path!r})")
    if isinstance(given, Mapping):
        keys = ", ".join(map(str, list(given)[:8]))
        raise ValueError(  # noqa: TRY004 - all bad input is a ValueError
            f"mean is a dict with the keys {keys}: give its arrays one by one, as mean, and as "
            "var=, std=, logvar= or logstd="
        )
    pair = isinstance(given, (list, tuple)) and len(given) == 2
    if pair and all(getattr(each, "ndim", 0) == 2 for each in given):
        raise ValueError(
            "mean is a pair of arrays: give the second one by its name, var=, std=, logvar= or "
            "logstd="
        )


def file_of(given: Any) -> str | None:
    """Return the path that was given, or that an archive of numpy was opened from."""
    if isinstance(given, (str, os.PathLike)):
        return os.fspath(given)
    if isinstance(given, np.lib.npyio.NpzFile):
        name = getattr(given.zip, "filename", None)
        if name is None:
            raise ValueError("mean is an archive without a file: give its arrays one by one")
        return str(name)
    return None
