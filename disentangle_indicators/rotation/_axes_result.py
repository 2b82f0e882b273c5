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
        Angles of the least and of the greatest total correlation, modulo 90, of all rows.
    gain, gain_se : float
        Total correlation that the best angle removes, and its standard error, in nats.
    cost, cost_se : float
        Total correlation that the worst angle adds, and its standard error, in nats.
    shape_cost, shape_cost_se : float
        The part of the cost that a Gaussian code of the same variances does not have, and its
        standard error, in nats.
    p_gain, p_cost, p_shape : float
        P-values that gain, cost and shape_cost are 0, in [0, 1] and corrected for the number of
        pairs. `p_gain` is 1 where the best angle is below one degree.
    verdict : {"better axes", "by shape", "by variance", "arbitrary", "saturated", "undecided"}
        "better axes": the gain is significant. "by shape", "by variance": the cost is significant,
        and beyond that of a Gaussian code or not. "saturated": n rows cannot show the entropy of
        a marginal. "arbitrary": gain and cost are within their errors of 0 and small.
        "undecided": the rows are too few for any of these.
    """

    i: int
    j: int
    best_degrees: float
    worst_degrees: float
    gain: float
    gain_se: float
    cost: float
    cost_se: float
    shape_cost: float
    shape_cost_se: float
    p_gain: float
    p_cost: float
    p_shape: float
    verdict: str


@dataclass(frozen=True, eq=False, repr=False)
class Axes(Result):
    """What rotations of the latents do to the total correlation, in nats.

    Parameters
    ----------
    n, d : int
        Rows and latents of the code.
    n_clusters : int or None
        Clusters and copies of rows that errors and p-values rest on; None where rows are
        independent.
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
        Error rate of the verdicts, for all pairs together.
    small : float
        Nats that a turn of arbitrary axes changes at most.
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
    n_clusters: int | None
    latents: str
    rotated: tuple[int, ...]
    pairs: tuple[AxisPair, ...]
    rotation: Float
    turns: tuple[Turn, ...]
    total_gain: float
    standard_error: float
    level: float
    small: float
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
    "better axes": "less dependent after a rotation",
    "by shape": "identified by shape",
    "by variance": "identified by variance alone",
    "arbitrary": "arbitrary (no turn changes more than {small:g} nats)",
    "saturated": "not known (saturated)",
    "undecided": "undecided (too few rows)",
}
"""Predicates of the verdicts, in the order in which a sentence lists them."""


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
    says = {name: words.format(small=r.small) for name, words in VERDICTS.items()}
    if len(verdicts) == 1:
        return f"The pair is {says[verdicts[0]]}"
    counts = {name: verdicts.count(name) for name in VERDICTS if name in verdicts}
    parts = [f"{n} {'is' if n == 1 else 'are'} {says[name]}" for name, n in counts.items()]
    which = "used latents" if r.latents == "used" else "latents"
    return f"Of {len(verdicts)} pairs of {which}, {', '.join(parts)}"


def axes_table(r: Axes, most: int = 30) -> Table:
    """Return the table of pairs, those with the largest effects first."""
    rows = tuple(
        (
            f"{pair.i}, {pair.j}",
            f"{pair.best_degrees:.1f}°",
            with_error(pair.gain, pair.gain_se, 4),
            _p_value(pair.p_gain) if abs(pair.best_degrees) > LEAST_TURN else "-",
            f"{pair.worst_degrees:.0f}°",
            with_error(pair.cost, pair.cost_se, 4),
            with_error(pair.shape_cost, None),
            pair.verdict,
        )
        for pair in r.pairs[:most]
    )
    columns = ("pair", "best", "gain [nats]", "p gain", "worst", "cost [nats]", "shape", "axes")
    seed = "" if r.seed is None else f", seed {r.seed}"
    note = (
        "best, worst: angles modulo 90; gain: total correlation that the best angle removes; p gain: "
        "corrected for the number of pairs; cost: total correlation that the worst angle adds; "
        "shape: cost less that of a Gaussian code with the same variances. Gain and cost are "
        f"computed on held-out rows, ± one standard error{seed}"
    )
    if len(r.pairs) > most:
        note += f"; {len(r.pairs) - most} more pairs in the JSON"
    return Table(columns, rows, "Pairs of latents", note)


def _p_value(p: float) -> str:
    return "<0.001" if p < 0.001 else f"{p:.2g}"
