"""What :func:`higgins_law` returns: the distribution of an accuracy, in two tables."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from disentangle_indicators._array import Float
from disentangle_indicators._blocks import Block, Table, with_error
from disentangle_indicators._result import Result

__all__ = ["FEWEST_FOR_CLT", "MOST_PAIRS", "HigginsLaw", "distribution_table", "sweep_table"]

FEWEST_FOR_CLT = 16
"""Pairs below which the points are not nearly Gaussian."""

MOST_PAIRS = 1 << 40
"""Greatest number of pairs in the search for `pairs_needed`."""


@dataclass(frozen=True, repr=False)
class HigginsLaw(Result):
    """The accuracy that the Higgins metric gives an ideal code, over rotations of the latents.

    Parameters
    ----------
    dimensions, pairs : int
        d, as many as factors, and L.
    encoder_variance : float
        Variance of the encoder, where factors have variance 1.
    rotations : int
        Rotations drawn from the Haar measure.
    seed : int or None
        None for a generator.
    points : int
        Quasi-Monte Carlo points of each class.
    chance : float
        1/d, the accuracy of a guess.
    aligned : float
        The accuracy when each latent is a factor.
    mean, sd, q05, q50, q95 : float
        The distribution of the accuracy over rotations, which are equally good codes.
    instability : float or None
        (aligned - mean) / (aligned - chance): the mean loss from the choice of axes, as a share of
        the metric's range. The share depends on L and d. None where the noise leaves no range.
    sweep : array, shape (11,)
        Numbers of pairs: powers of two up to 1024.
    sweep_mean, sweep_q05, sweep_q95, sweep_aligned : array, shape (11,)
        Mean, quantiles and aligned accuracy at each number of pairs.
    target : float
        0.95.
    pairs_needed : int or None
        The least L at which the mean over these rotations reaches the target, by bisection over
        whole L. None beyond 2**40.

    Examples
    --------
    >>> from disentangle_indicators.rotation import higgins_law
    >>> law = higgins_law(4, rotations=50)
    >>> law.chance, round(law.aligned, 3), law.q05 < law.mean < law.aligned
    (0.25, 1.0, True)
    """

    schema: ClassVar[str] = "dindic.higgins-law/1"

    dimensions: int
    pairs: int
    encoder_variance: float
    rotations: int
    seed: int | None
    points: int
    chance: float
    aligned: float
    mean: float
    sd: float
    q05: float
    q50: float
    q95: float
    instability: float | None
    sweep: NDArray[np.int64]
    sweep_mean: Float
    sweep_q05: Float
    sweep_q95: Float
    sweep_aligned: Float
    target: float
    pairs_needed: int | None

    def blocks(self) -> list[Block]:
        """Return the distribution at L, and the table over L."""
        return [distribution_table(self), sweep_table(self)]


def distribution_table(law: HigginsLaw) -> Table:
    """Return the table of the accuracy over rotations at L."""
    instability = "-" if law.instability is None else f"{law.instability:.3f}"
    needed = f"{law.pairs_needed}" if law.pairs_needed else f"> {MOST_PAIRS}"
    valid = law.pairs_needed is None or law.pairs_needed >= FEWEST_FOR_CLT
    noise = f", encoder noise of variance {law.encoder_variance:g}" if law.encoder_variance else ""
    rows = (
        (
            "mean",
            with_error(law.mean, law.sd / math.sqrt(law.rotations)),
            "over rotations of the latents; ± one standard error",
        ),
        ("sd", f"{law.sd:.3f}", "of one rotation"),
        ("5%, 50%, 95%", f"{law.q05:.3f}, {law.q50:.3f}, {law.q95:.3f}", "quantiles"),
        ("aligned", f"{law.aligned:.3f}", "each latent is a factor"),
        ("chance", f"{law.chance:.3f}", "a guess: 1/d"),
        ("instability", instability, "(aligned - mean) / (aligned - chance)"),
        (
            f"L for a mean of {law.target:g}",
            needed,
            "pairs per point" if valid else "few: a rough number",
        ),
    )
    seed = "" if law.seed is None else f", seed {law.seed}"
    return Table(
        ("accuracy", "value", "how to read it"),
        rows,
        f"Higgins metric of an ideal code, d = {law.dimensions}, L = {law.pairs}{noise}",
        f"law, not data: {law.rotations} Haar rotations, {law.points} quasi-Monte Carlo "
        f"points a class{seed}; all rotations leave the code as independent and as informative",
    )


def sweep_table(law: HigginsLaw) -> Table:
    """Return the table of the accuracy over L."""
    columns = zip(
        law.sweep, law.sweep_mean, law.sweep_q05, law.sweep_q95, law.sweep_aligned, strict=True
    )
    return Table(
        ("L", "mean", "5%", "95%", "aligned"),
        tuple((f"{size}", *(f"{value:.3f}" for value in values)) for size, *values in columns),
        "Over L, the pairs of a point",
        f"below L = {FEWEST_FOR_CLT} the points are not Gaussian and the law is rough",
    )
