"""What :func:`axes` returns: pairs of latents with their verdicts, in words and in a table."""

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, ClassVar

from disentangle_indicators._array import Float
from disentangle_indicators._blocks import Block, Table, with_error
from disentangle_indicators._result import Result
from disentangle_indicators.rotation._orthogonal import Turn

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LEAST_TURN", "Axes", "AxisPair", "axes_table", "sentence"]

LEAST_TURN = 1.0
"""Degrees: a smaller best angle counts as no turn, and has no p-value."""


@dataclass(frozen=True, eq=False)
class AxisPair(Result):
    """What turning one pair of latents does to the total correlation.

    Parameters
    ----------
    i, j : int
        The latents.
    best_degrees, worst_degrees : float
        Angles of the least and of the greatest total correlation, modulo 90.
    gain, gain_se : float
        Total correlation that the best angle removes, and its standard error, in nats.
    cost, cost_se : float
        Total correlation that the worst angle adds, and its standard error, in nats.
    p_gain, p_cost : float
        P-values against uncorrelated Gaussian codes; `p_gain` is 1 where the best angle is below
        one degree.
    verdict : {"better axes", "preferred", "arbitrary"}
        "better axes" where the gain is significant, else "preferred" where the cost is. An effect
        is significant where p is at most `level` of :class:`Axes` and the effect exceeds two
        standard errors.
    """

    i: int
    j: int
    best_degrees: float
    worst_degrees: float
    gain: float
    gain_se: float
    cost: float
    cost_se: float
    p_gain: float
    p_cost: float
    verdict: str


@dataclass(frozen=True, eq=False, repr=False)
class Axes(Result):
    """What rotations of the latents do to the total correlation, in nats.

    Parameters
    ----------
    n, d : int
        Rows and latents of the code.
    latents : {"used", "all"}
        Which latents were rotated.
    rotated : tuple of int, length k
        Numbers of the rotated latents.
    pairs : tuple of AxisPair
        All pairs of rotated latents, those with the largest effect first.
    rotation : array, shape (k, k)
        The best rotation found: z[:, rotated] @ rotation.T has the new axes.
    turns : tuple of (int, int, float)
        The turns that make up `rotation`, in the order of the search: latents and degrees.
    total_gain : float
        Total correlation that `rotation` removes: a lower bound of the code's total correlation.
    standard_error : float
        Standard error of `total_gain` over rows.
    level : float
        Error rate of the verdicts, for each pair.
    null_codes : int
        Gaussian codes that each pair is compared with.
    seed : int or None
        None for a generator.
    notes : tuple of str
    name, source : str
        What the encodings are called, and how they were read.

    Examples
    --------
    >>> import numpy as np
    >>> from disentangle_indicators.rotation import axes
    >>> rng = np.random.default_rng(0)
    >>> source = rng.uniform(-1.7, 1.7, size=(2000, 2)) @ [[0.8, 0.6], [-0.6, 0.8]]
    >>> pair = axes(source, np.full((2000, 2), 0.05), rng=0).pairs[0]
    >>> pair.verdict, abs(round(abs(pair.best_degrees)) - 37) <= 2
    ('better axes', True)
    """

    schema: ClassVar[str] = "dindic.axes/1"

    n: int
    d: int
    latents: str
    rotated: tuple[int, ...]
    pairs: tuple[AxisPair, ...]
    rotation: Float
    turns: tuple[Turn, ...]
    total_gain: float
    standard_error: float
    level: float
    null_codes: int
    seed: int | None
    notes: tuple[str, ...] = ()
    name: str = ""
    source: str = ""

    def to_frame(self) -> "pd.DataFrame":
        """Return a data frame with one row per pair."""
        import pandas as pd

        columns = [f.name for f in fields(AxisPair) if f.name != "provenance"]
        return pd.DataFrame([pair.to_dict() for pair in self.pairs], columns=columns)

    def blocks(self) -> list[Block]:
        """Return the sentence and the table of pairs."""
        tables = [axes_table(self)] if self.pairs else []
        head = "\n".join(line for line in (self.name, self.source) if line)
        return [
            *([head] if head else []),
            {"AXES": sentence(self)},
            *tables,
            *(f"note: {note}" for note in self.notes),
        ]


VERDICTS = {
    "better axes": ("is less dependent after a rotation", "are less dependent after a rotation"),
    "preferred": ("is best as it is", "are best as they are"),
    "arbitrary": (
        "is arbitrary (no angle beats the Gaussian codes)",
        "are arbitrary (no angle beats the Gaussian codes)",
    ),
}
"""Predicates of one pair and of several, in the order in which a sentence lists the verdicts."""


def sentence(r: Axes) -> str:
    """Return the counts of verdicts, and the largest gains, as text."""
    if len(r.rotated) < 2:
        return f"There is nothing to rotate: {_too_few(r)}."
    text = f"{_counts(r)}."
    better = [pair for pair in r.pairs if pair.verdict == "better axes"]
    if better:
        pair = better[0]
        text += (
            f" Turning latents {pair.i} and {pair.j} by {pair.best_degrees:.1f} degrees removes "
            f"{with_error(pair.gain, pair.gain_se)} nats of total correlation."
        )
    if r.turns and r.total_gain > 2 * r.standard_error:
        text += (
            f" All turns together remove {with_error(r.total_gain, r.standard_error)} nats, "
            "a lower bound of the total correlation."
        )
    return text


def _too_few(r: Axes) -> str:
    if r.latents == "all":
        return "the code has one latent"
    return "one latent is used" if r.rotated else "no latent is used"


def _counts(r: Axes) -> str:
    """Return how many pairs have each verdict; one pair alone needs no number."""
    verdicts = [pair.verdict for pair in r.pairs]
    if len(verdicts) == 1:
        return f"The pair {VERDICTS[verdicts[0]][0]}"
    counts = {name: verdicts.count(name) for name in VERDICTS if name in verdicts}
    parts = [f"{count} {VERDICTS[name][count > 1]}" for name, count in counts.items()]
    which = "used latents" if r.latents == "used" else "latents"
    return f"Of {len(verdicts)} pairs of {which}, {', '.join(parts)}"


def axes_table(r: Axes, most: int = 30) -> Table:
    """Return the table of pairs, those with the largest effects first."""
    rows = tuple(
        (
            f"{pair.i}, {pair.j}",
            f"{pair.best_degrees:.1f}°",
            with_error(pair.gain, pair.gain_se, 4),
            f"{pair.p_gain:.2g}" if abs(pair.best_degrees) > LEAST_TURN else "-",
            f"{pair.worst_degrees:.0f}°",
            with_error(pair.cost, pair.cost_se, 4),
            f"{pair.p_cost:.2g}",
            pair.verdict,
        )
        for pair in r.pairs[:most]
    )
    columns = ("pair", "best", "gain [nats]", "p gain", "worst", "cost [nats]", "p cost", "axes")
    seed = "" if r.seed is None else f", seed {r.seed}"
    note = (
        "best, worst: angles modulo 90, from one half of the rows; gain: total correlation that "
        "the best angle removes; cost: total correlation that the worst angle adds; both from the "
        "other half, ± one standard error; p: against "
        f"{r.null_codes} uncorrelated Gaussian codes of the same variances{seed}"
    )
    if 1 / (r.null_codes + 1) > r.level:
        note += f"; too few for a p of {r.level:g}, so every pair is called arbitrary"
    if len(r.pairs) > most:
        note += f"; {len(r.pairs) - most} more pairs in the JSON"
    return Table(columns, rows, "Pairs of latents", note)
