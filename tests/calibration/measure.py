"""Replicate a simulation and sum up what its replications show, within a Monte Carlo error."""

import math
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from calibration.designs import Design

SEED = 13


class Mean(NamedTuple):
    """A stated number, and one draw of the number that it is the mean of."""

    stated: float
    shown: float


class Spread(NamedTuple):
    """A stated standard error, and the value that it is the error of."""

    error: float
    value: float


Outcome = bool | Mean | Spread
"""What one replication says: a promise kept or not, or one of the pairs."""


class Measured(NamedTuple):
    """A measured number, its Monte Carlo error, and the number that was stated, if one was."""

    value: float
    error: float
    stated: float | None
    replications: int


@dataclass(frozen=True)
class AtLeast:
    """A share of replications that is no less."""

    share: float

    def __str__(self) -> str:
        return f"≥ {self.share:g}"

    def holds(self, found: Measured, errors: float) -> bool:
        return found.value + errors * found.error >= self.share


@dataclass(frozen=True)
class AtMost:
    """A share of replications that is no more."""

    share: float

    def __str__(self) -> str:
        return f"≤ {self.share:g}"

    def holds(self, found: Measured, errors: float) -> bool:
        return found.value - errors * found.error <= self.share


@dataclass(frozen=True)
class Within:
    """A stated number that differs by no more than a share of what is shown, or than a number."""

    share: float
    number: float = 0.0

    def __str__(self) -> str:
        number = f" or {self.number:g}" if self.number else ""
        return f"within {100 * self.share:g}%{number}"

    def holds(self, found: Measured, errors: float) -> bool:
        assert found.stated is not None
        allowed = max(self.share * abs(found.value), self.number)
        return abs(found.stated - found.value) <= allowed + errors * found.error


@dataclass(frozen=True)
class Simulation:
    """One design, one question asked of each of its draws, and what the answers promise.

    Parameters
    ----------
    section : str
        Heading of the page.
    question : callable
        ``question(design, rng, **options)`` gives the outcomes of one replication by name.
    design : Design
    promises : dict of str to AtLeast, AtMost or Within
        By the name of the outcome, which is what is printed.
    options : dict
    replications : int
    quick : bool
        Whether it belongs to the subset that continuous integration runs.
    remarks : dict of str to str
        By the name of the outcome: why it is outside its promise.
    """

    section: str
    question: Callable[..., dict[str, Outcome]]
    design: Design
    promises: dict[str, AtLeast | AtMost | Within]
    options: dict[str, Any] = field(default_factory=dict)
    replications: int = 500
    quick: bool = False
    remarks: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Return a name that no other simulation has."""
        options = ", ".join(f"{k} {v}" for k, v in self.options.items())
        name = self.question.__name__
        return f"{name}: {self.design!r}{f'; {options}' if options else ''}"


def measure(simulation: Simulation) -> tuple[dict[str, Measured], float]:
    """Return what each outcome of a simulation comes to, and the CPU seconds it took."""
    start = time.process_time()
    seeds = np.random.SeedSequence([SEED, zlib.crc32(simulation.key.encode())])
    found: dict[str, list[Outcome]] = {name: [] for name in simulation.promises}
    for seed in seeds.spawn(simulation.replications):
        outcomes = simulation.question(
            simulation.design, np.random.default_rng(seed), **simulation.options
        )
        for name in simulation.promises:
            if name in outcomes:
                found[name].append(outcomes[name])
    measured = {name: summed_up(each) for name, each in found.items()}
    return measured, time.process_time() - start


def summed_up(outcomes: list[Outcome]) -> Measured:
    """Return a share, a mean, or a standard deviation of outcomes, with its error."""
    n = len(outcomes)
    if n == 0:
        return Measured(math.nan, math.inf, None, 0)
    first = outcomes[0]
    if isinstance(first, Spread):
        stated, values = np.array(outcomes).T
        sd = np.std(values, ddof=1)
        z = (values - values.mean()) / sd if sd > 0 else np.zeros(n)
        of_sd = sd * math.sqrt(max(np.mean(z**4) - 1, 0) / (4 * n))
        error = math.hypot(of_sd, np.std(stated, ddof=1) / math.sqrt(n))
        return Measured(float(sd), error, float(np.mean(stated)), n)
    if isinstance(first, Mean):
        stated, values = np.array(outcomes).T
        error = math.sqrt(np.var(values - stated, ddof=1) / n)
        return Measured(float(np.mean(values)), error, float(np.mean(stated)), n)
    share = float(np.mean(outcomes))
    # half a replication more on either side: a share of 1 is not certain
    smooth = (share * n + 0.5) / (n + 1)
    return Measured(share, math.sqrt(smooth * (1 - smooth) / n), None, n)
