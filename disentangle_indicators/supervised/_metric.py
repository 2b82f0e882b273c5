"""What a metric is: a function of codes and factors with named sets of parameters, and its words."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import numpy as np

from disentangle_indicators._array import Array, Float, as_codes, generator
from disentangle_indicators._errors import Undefined
from disentangle_indicators.factors import Factors, as_table

__all__ = ["Metric", "Outcome", "measure", "one_of"]


@dataclass(frozen=True, eq=False)
class Outcome:
    """The score of codes and factors under a metric, and what it is made of.

    Parameters
    ----------
    value : float
        The score; always finite.
    parts : dict of str to float
        Scores that come along, such as the completeness beside DCI's disentanglement.
    per_factor : array, shape (K,), optional
        In the order of the factors that vary.
    per_factor_name : str
        What `per_factor` is, such as "completeness", where the score is not its average.
    per_latent : array, shape (d,), optional
    matrix : array, shape (d, K), optional
        Of latents and factors: what the score is made from.
    matrix_name : str
        What the entries of the matrix are, with their unit.
    """

    value: float
    parts: dict[str, float] = field(default_factory=dict)
    per_factor: Float | None = None
    per_factor_name: str = ""
    per_latent: Float | None = None
    matrix: Float | None = None
    matrix_name: str = ""


Prepare = Callable[[Float, Factors, dict[str, Any]], tuple[Any, Any]]
"""From codes (n, d), factors that all vary and parameters to what belongs to the codes, an array
with a row per sample, and what belongs to the factors: rows of the first are permuted for a null,
so what does not change then is computed here."""

Compute = Callable[[Any, Any, dict[str, Any], np.random.Generator], Outcome]
"""From both of these, parameters and randomness to the score."""


def as_they_are(z: Float, factors: Factors, parameters: dict[str, Any]) -> tuple[Float, Factors]:
    """Prepare nothing."""
    return z, factors


@dataclass(frozen=True)
class Metric:
    """A metric and its protocols.

    Parameters
    ----------
    name : str
    title : str
        In full.
    compute : callable
        ``compute(codes, factors, parameters, rng)``: an :class:`Outcome`, from what `prepare` made.
    protocols : dict of str to dict
        Parameters by the name of the protocol; all protocols of a metric have the same ones.
        "default" comes first.
    reading : str
        One sentence: what it rewards, and how to read it.
    sources : dict of str to str
        Where each protocol is from, and what differs from there.
    ranges : dict of str to (float, float)
        Least and greatest score of the protocols where these are not 0 and 1.
    higher_is_better : bool
    refits : tuple of str
        Protocols that fit a classifier or a regression that is expensive: permutations are few.
    prepare : callable
        ``prepare(codes, factors, parameters)``, once for all permutations.
    curved : int
        How far the score is from an average of rows, and with it how an error follows from halves;
        see ``_splits.spread``. 0: an average, or a score
        with randomness; 1: information of bins; 2: from a threshold on, or of a classifier.
    counts : callable, optional
        ``counts(codes, factors, parameters, rng)``: which informations count, 1 or 0, and -1 where
        other samples may decide otherwise, and half samples do.
    slow : tuple of str
        Protocols that take minutes.
    choices : dict of str to tuple
        The values of each parameter that is one of a few.
    """

    name: str
    title: str
    compute: Compute
    protocols: dict[str, dict[str, Any]]
    reading: str
    sources: dict[str, str]
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    higher_is_better: bool = True
    refits: tuple[str, ...] = ()
    prepare: Prepare = as_they_are
    curved: int = 0
    counts: Callable[..., Any] | None = None
    slow: tuple[str, ...] = ()
    choices: dict[str, tuple[Any, ...]] = field(default_factory=dict)

    def range(self, protocol: str = "default") -> tuple[float, float]:
        """Return the least and the greatest score there can be under a protocol."""
        return self.ranges.get(protocol, (0.0, 1.0))

    def parameters(self, protocol: str = "default", **overrides: Any) -> dict[str, Any]:
        """Return the parameters of a protocol, some of them changed.

        Raises
        ------
        ValueError
            On a protocol or a parameter that does not exist, and on a value that is none of its
            choices.
        """
        if protocol not in self.protocols:
            raise ValueError(
                f"protocol must be one of {', '.join(self.protocols)}; got {protocol!r}"
            )
        known = self.protocols[protocol]
        for name, value in overrides.items():
            if name not in known:
                near = get_close_matches(name, known, n=3, cutoff=0.4) or list(known)
                words = ", ".join(near) if near else "none"
                raise ValueError(
                    f"no parameter of {self.name} is called {name!r}; there is {words}"
                )
            if name in self.choices:
                one_of(name, value, self.choices[name])
        return known | overrides

    def outcome(
        self, codes: Any, factors: Any, parameters: dict[str, Any], rng: np.random.Generator
    ) -> Outcome:
        """Compute the metric from what `prepare` made.

        Raises
        ------
        Undefined
            When there is no value, or it is not finite.
        """
        found = self.compute(codes, factors, parameters, rng)
        if not np.isfinite(found.value):
            raise Undefined(f"{self.name} has no value for these codes and factors")
        return found


def one_of(name: str, value: Any, allowed: Sequence[Any]) -> None:
    """Refuse a value that is none of those allowed."""
    if value not in allowed:
        *first, last = map(str, allowed)
        words = f"{', '.join(first)} or {last}" if first else last
        raise ValueError(f"{name} must be {words}; got {value!r}")


def measure(
    metric: Metric,
    codes: Array,
    factors: Any,
    *,
    rng: np.random.Generator | int = 0,
    protocol: str = "default",
    **overrides: Any,
) -> Outcome:
    """Apply a metric to codes and factors, of which the constant ones are left out.

    Parameters
    ----------
    metric : Metric
    codes : array, shape (n, d)
    factors : Factors, or array, shape (n, K) or (n,)
        As :func:`~disentangle_indicators.supervised.as_table` takes them.
    rng : numpy.random.Generator or int
        The same seed gives the same number.
    protocol : str
    **overrides
        Parameters that differ from the protocol's.

    Returns
    -------
    Outcome

    Raises
    ------
    ValueError
        On arrays that do not belong together, on codes that are not finite, and on parameters
        that do not exist or are out of range.
    Undefined
        When no factor varies, or the metric has no value for these codes and factors.
    """
    parameters = metric.parameters(protocol, **overrides)
    z = as_codes(codes)
    table = as_table(factors, len(z))
    prepared = metric.prepare(z, varying(table), parameters)
    return metric.outcome(*prepared, parameters, generator(rng))


def varying(factors: Factors) -> Factors:
    """Return the factors that vary; Undefined when there is none."""
    if not factors.varying:
        raise Undefined(
            f"factors must vary; each of the {factors.number} columns holds a single value"
        )
    return factors.select(factors.varying)
