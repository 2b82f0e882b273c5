"""What encoders return, recognised: means, a scale, and which scale the second one is.

The names of keys and the class of a distribution decide, values never do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from disentangle_indicators._given import unpacked
from disentangle_indicators._scales import SCALES
from disentangle_indicators.encodings.names import role

__all__ = ["Posterior", "parse_returns", "posterior_of"]

UNNAMED = "_"
"""The name of a returned value that is no part of the posterior."""


class Posterior(NamedTuple):
    """Means and widths of q(z | x), each (b, d) or (b, C, ...); `convention` is one of four scales."""

    mean: Tensor
    scale: Tensor
    convention: str

    @property
    def logvar(self) -> Tensor:
        """The log variances."""
        wide = self.scale.log() if self.convention in ("var", "std") else self.scale
        return wide * 2 if self.convention in ("std", "logstd") else wide

    @property
    def std(self) -> Tensor:
        """The standard deviations."""
        return (self.logvar / 2).exp()


def parse_returns(returns: str) -> tuple[str, ...]:
    """Return the names of what an encoder returns, in order.

    Parameters
    ----------
    returns : str
        One "mean" and one of "var", "std", "logvar", "logstd", between commas, in the order in
        which the encoder returns them; "_" for other values.

    Raises
    ------
    ValueError
        On any other names.

    Examples
    --------
    >>> parse_returns("_,mean,logvar")
    ('_', 'mean', 'logvar')
    """
    names = tuple(name.strip() for name in returns.split(","))
    scales = [name for name in names if name in SCALES]
    known = all(name in ("mean", UNNAMED, *SCALES) for name in names)
    if not known or names.count("mean") != 1 or len(scales) != 1:
        raise ValueError(
            f"returns must be a mean and a scale, as returns='mean,logvar'; got {returns!r}. "
            f"Scales are {', '.join(SCALES)}; {UNNAMED} is for other values"
        )
    return names


def posterior_of(output: Any, returns: str | None = None) -> Posterior:
    """Recognise the posterior in what an encoder returned.

    Parameters
    ----------
    output : object
        A Normal or Independent distribution of torch; an object with `latent_dist`, as the
        autoencoders of diffusers return it, or that distribution; a dict, a named tuple or a
        dataclass with names that mean a mean and a scale, as pythae's ModelOutput; or, with
        `returns`, a tuple.
    returns : str, optional
        What the values of a tuple are, in order, as :func:`parse_returns` takes it. It decides for
        dicts as well.

    Returns
    -------
    Posterior

    Raises
    ------
    ValueError
        On a distribution that is no diagonal Gaussian, on one tensor alone, which may be a sample,
        on a tuple without `returns`, and on names that do not decide.

    Examples
    --------
    >>> mean, logvar = torch.zeros(3, 2), torch.ones(3, 2)
    >>> posterior_of({"mu": mean, "log_var": logvar}).convention
    'logvar'
    >>> posterior_of(torch.distributions.Normal(mean, logvar)).convention
    'std'
    >>> posterior_of((mean, logvar), "mean,logvar").mean.shape
    torch.Size([3, 2])
    """
    if isinstance(output, Posterior):
        return _checked(*output)
    if hasattr(output, "latent_dist"):
        return posterior_of(output.latent_dist)
    if isinstance(output, torch.Tensor):
        raise ValueError(  # noqa: TRY004 - all bad input is a ValueError
            "the encoder returns one tensor, and gives no posterior: that is a sample or a mean "
            "without a width. Return the mean and the log variance, as a dict"
        )
    if _is_distribution(output):
        return _checked(*_of_distribution(output))
    named = _named(output)
    if returns is not None:
        values = list(output) if named is None else list(named.values())
        return _by_position(values, returns)
    if named is None:
        raise _unrecognised(output)
    return _by_name(named)


def _is_distribution(output: Any) -> bool:
    return any(kind.__name__.endswith("Distribution") for kind in type(output).__mro__)


def _of_distribution(given: Any) -> tuple[Any, Any, str]:
    """Return mean, scale and convention: those of the library's own rule, and of relatives."""
    name = type(given).__name__
    if getattr(given, "deterministic", False):
        raise ValueError(f"{name} is deterministic, and gives no posterior: its width is 0")
    if name.endswith("DiagonalGaussianDistribution"):
        # `std` alone: `scale` comes before a softplus and `logs` is no log variance in some of them
        if name == "DiagonalGaussianDistribution":
            return given.mean, given.logvar, "logvar"
        return given.mean, given.std, "std"
    if not hasattr(given, "mean"):
        raise ValueError(f"{name} has no mean and no width, and gives no posterior")
    mean, convention, scale = unpacked(given, "", None)
    return mean, scale, convention


def _named(output: Any) -> Mapping[str, Any] | None:
    """Return the values by name, of what has names."""
    if isinstance(output, Mapping):
        return {str(key): value for key, value in output.items()}
    if isinstance(output, tuple) and hasattr(output, "_asdict"):
        return dict(output._asdict())
    if is_dataclass(output) and not isinstance(output, type):
        return {each.name: getattr(output, each.name) for each in fields(output)}
    return None


def _unrecognised(output: Any) -> ValueError:
    if isinstance(output, Sequence) and not isinstance(output, str):
        return ValueError(
            f"the encoder returns {len(output)} values without names: say what they are, as "
            "returns='mean,logvar'"
        )
    return ValueError(
        f"the encoder returns a {type(output).__name__}, and gives no posterior that is known: "
        "return a dict with mean and logvar, or torch.distributions.Normal"
    )


def _by_position(values: Sequence[Any], returns: str) -> Posterior:
    names = parse_returns(returns)
    if len(values) != len(names):
        raise ValueError(
            f"the encoder returns {len(values)} values, and returns={returns!r} names {len(names)}"
        )
    found = dict(zip(names, values, strict=True))
    (convention,) = (name for name in names if name in SCALES)
    return _checked(found["mean"], found[convention], convention)


def _by_name(values: Mapping[str, Any]) -> Posterior:
    tensors = {key: value for key, value in values.items() if isinstance(value, torch.Tensor)}
    inner = [value for value in values.values() if _is_distribution(value)]
    if len(inner) == 1 and not tensors.keys() & {k for k in tensors if role(k) in SCALES}:
        return posterior_of(inner[0])
    means = [key for key in tensors if role(key) == "mean"]
    scales = [key for key in tensors if role(key) in SCALES]
    if len(means) == len(scales) == 1:
        return _checked(tensors[means[0]], tensors[scales[0]], str(role(scales[0])))
    listed = ", ".join(values)
    if len(tensors) < 2 or not means + scales:
        raise ValueError(
            f"the encoder returns {listed or 'nothing'}, and gives no posterior: no name means a mean "
            "or a scale"
            + "; if there are both, name the values in this order, as returns='mean,logvar'"
            * (len(tensors) > 1)
        )
    lacking = "mean" if len(means) != 1 else "scale"
    found = f"{len(means if lacking == 'mean' else scales)} names of a {lacking}"
    raise ValueError(
        f"the encoder returns {listed}: {found}; say what the values are, in this order, as "
        f"returns='{','.join(['mean', 'logvar', *[UNNAMED] * (len(values) - 2)])}'"
    )


def _checked(mean: Any, scale: Any, convention: str) -> Posterior:
    for name, value in (("mean", mean), (convention, scale)):
        if not isinstance(value, torch.Tensor) or not value.is_floating_point():
            raise ValueError(f"the {name} that the encoder returns is no tensor of floats")
    if mean.ndim < 2:
        raise ValueError(f"the mean must have the shape (b, d); its shape is {tuple(mean.shape)}")
    if scale.shape != mean.shape:
        raise ValueError(
            f"the mean and the {convention} must have one shape; they have {tuple(mean.shape)} and "
            f"{tuple(scale.shape)}"
        )
    if scale is mean:
        raise ValueError(f"the encoder returns one tensor as mean and as {convention}")
    if convention in ("var", "std") and bool((scale <= 0).any()):
        least = float(scale.min())
        raise ValueError(
            f"the {convention} must be positive; one is {least:.3g}: is it a logarithm?"
        )
    return Posterior(mean, scale, convention)
