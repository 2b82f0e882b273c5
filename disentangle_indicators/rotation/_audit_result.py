"""What :func:`audit_rotations` returns: a score among random rotations, in words and in tables."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from disentangle_indicators._array import Float
from disentangle_indicators._blocks import Block, Table, with_error
from disentangle_indicators._clusters import widening
from disentangle_indicators._result import Result, plain
from disentangle_indicators.rotation._orthogonal import Turn

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Audit", "Audits", "Orientation", "better_sentence", "random_sentence"]

# Why no influence function: most metrics are no sums over rows. Why no bootstrap: a row that is
# drawn twice adds information to metrics that bin, rank or fit. Ten groups cost ten more scores,
# and give the standard error to about a quarter of itself.
GROUPS = 10
"""Groups of rows for the standard error of the gain: each is left out once."""

SIGNIFICANT = 0.05
"""Greatest p-value of a score that beats random rotations."""


@dataclass(frozen=True, eq=False, repr=False)
class Orientation(Result):
    """An orientation from the search: fitted on one half of the rows, measured on the other.

    Parameters
    ----------
    turns : tuple of (int, int, float)
        Latents i and j, and the degrees of their turn, in (-45, 45], in the order of application.
        A turn by 90 degrees more differs by a swap and a sign only.
    matrix : array, shape (k, k)
        All turns together, Q, over the rotated latents: z -> z Q^T.
    score : float
        Score of this orientation on all rows. One half of the rows chose the orientation.
    score_fit, score_held_out : float
        Score of this orientation on the half that chose it, and on the other half.
    own_fit, own_held_out : float
        Score of the unrotated code on the same halves.
    gain : float
        `score_held_out` less `own_held_out`; negative for a worse orientation.
    gain_se : float
        Standard error of `gain` over rows: one of 10 groups of rows is left out at a time. A
        metric that draws pairs of rows makes the error about three times larger.
    """

    turns: tuple[Turn, ...]
    matrix: Float
    score: float
    score_fit: float
    score_held_out: float
    own_fit: float
    own_held_out: float
    gain: float
    gain_se: float

    @property
    def certain(self) -> bool:
        """Whether the held-out gain is more than two standard errors from 0.

        The error is of 10 groups, so that two become 2.3 as Student's t is wider.
        """
        return bool(self.turns) and abs(self.gain) > 2 * widening(GROUPS) * self.gain_se


@dataclass(frozen=True, eq=False, repr=False)
class Audit(Result):
    """A score under rotations of the latent space; the result of :func:`audit_rotations`.

    Scores are in the units of the metric, of which more is better.

    Parameters
    ----------
    metric : str
    parameters : dict
        Parameters of the metric beside codes, factors and rng, with their values.
    n, d : int
        Rows, and latents of the code.
    latents : {"used", "all"}
        Which latents were rotated; the others were dropped.
    rotated : tuple of int, length k
        Numbers of the rotated latents.
    posteriors : bool
        Whether the variances were rotated too.
    rotations : int
    seed : int or None
        As given; None for a generator.
    score_seed : int
        The `rng` of every call of the metric.
    score : float
        Score of the unrotated code without the dropped latents: the rotations are compared with
        this number.
    score_all_latents : float
        Score of the code with all latents.
    null : array, shape (rotations,)
        Scores under Haar rotations.
    null_mean, null_sd : float
    quantiles : dict of str to float
        Of the null, under "0.05", "0.5" and "0.95".
    p_value : float
        (1 + number of rotations that score as much) / (rotations + 1), in (0, 1].
    percentile : float
        Percent of the null below the score, ties counted half.
    best, worst : Orientation or None
        None without a search.
    sentences : dict of str to str
        RANDOM, whether the score beats random rotations; BETTER, whether a better one exists.
    notes : tuple of str
    means_only : bool
        Whether there were no variances, so that "used" means active.
    score_se : float or None
        Standard error of `score` over rows, where these were drawn from more: one of 10 groups is
        left out at a time.
    """

    schema: ClassVar[str] = "dindic.audit/1"

    metric: str
    parameters: dict[str, Any]
    n: int
    d: int
    latents: str
    rotated: tuple[int, ...]
    posteriors: bool
    rotations: int
    seed: int | None
    score_seed: int
    score: float
    score_all_latents: float
    null: Float
    null_mean: float
    null_sd: float
    quantiles: dict[str, float]
    p_value: float
    percentile: float
    best: Orientation | None
    worst: Orientation | None
    sentences: dict[str, str]
    notes: tuple[str, ...]
    means_only: bool = False
    score_se: float | None = None

    def to_frame(self) -> "pd.DataFrame":
        """Return a data frame of one row."""
        return Audits("", "", {self.metric: self}, ()).to_frame()

    def blocks(self) -> list[Block]:
        """Return the sentences and the table."""
        return [_labelled(self), *_tables([self]), *map(_note, self.notes)]


@dataclass(frozen=True, eq=False, repr=False)
class Audits(Result):
    """Audits of several metrics of one code, by name."""

    schema: ClassVar[str] = "dindic.audits/1"

    name: str
    source: str
    audits: dict[str, Audit]
    notes: tuple[str, ...]

    def to_frame(self) -> "pd.DataFrame":
        """Return a data frame with one row per metric."""
        import pandas as pd

        return pd.DataFrame([_row(audit) for audit in self.audits.values()]).set_index("metric")

    def blocks(self) -> list[Block]:
        """Return two sentences per metric, then one table."""
        head = "\n".join(line for line in (self.name, self.source) if line)
        audits = list(self.audits.values())
        remarks = dict.fromkeys(note for audit in audits for note in audit.notes)
        blocks: list[Block] = [head] if head else []
        blocks += [_labelled(audit) for audit in audits]
        return [*blocks, *_tables(audits), *map(_note, remarks)]


def random_sentence(
    own: float, p: float, percentile: float, rotations: int, quantiles: dict[str, float]
) -> str:
    """Return whether a score beats random rotations, as text."""
    low, middle, high = quantiles.values()
    beats = "beats" if p <= SIGNIFICANT else "does not beat"
    return (
        f"{own:.3f} {beats} random rotations: p = {p:.3g}, above {percentile:.0f}% of {rotations}. "
        f"Random rotations score {low:.3f} to {high:.3f} (5% to 95%), median {middle:.3f}."
    )


def better_sentence(best: Orientation | None, least_gain: float) -> str:
    """Return whether the search found a better orientation, as text."""
    if best is None:
        return "No better rotation was searched for."
    if not best.turns:
        return f"No better rotation was found: no turn of two latents raises the score by {least_gain:.2g}."
    change = (
        f"from {best.own_held_out:.3f} to {best.score_held_out:.3f} on the held-out rows "
        f"(gain {with_error(best.gain, best.gain_se)})"
    )
    if best.gain > 0 and best.certain:
        return f"A better rotation exists: turn {_turns(best.turns)}, {change}."
    return f"No better rotation is certain: the best turns {_turns(best.turns)}, {change}."


def _turns(turns: tuple[Turn, ...], most: int = 3) -> str:
    """Describe turns, the largest first."""
    largest = sorted(turns, key=lambda turn: -abs(turn[2]))
    words = [f"latents {i} and {j} by {angle:.0f} degrees" for i, j, angle in largest[:most]]
    left = len(turns) - most
    return ", ".join([*words, *([f"and {left} more"] if left > 0 else [])])


def _labelled(audit: Audit) -> dict[str, str]:
    return {f"{audit.metric} {word}": text for word, text in audit.sentences.items()}


def _row(audit: Audit) -> dict[str, Any]:
    row: dict[str, Any] = {
        "metric": audit.metric,
        "score": audit.score,
        "score_all_latents": audit.score_all_latents,
        "p_value": audit.p_value,
        "percentile": audit.percentile,
        "null_mean": audit.null_mean,
        "null_sd": audit.null_sd,
        **{f"null_{level}": value for level, value in audit.quantiles.items()},
    }
    for word, found in (("best", audit.best), ("worst", audit.worst)):
        row[f"{word}_score"] = math.nan if found is None else found.score_held_out
        row[f"{word}_gain"] = math.nan if found is None else found.gain
        row[f"{word}_gain_se"] = math.nan if found is None else found.gain_se
        row[f"{word}_turns"] = "" if found is None else plain(found.turns)
    return row


def _listed(parameters: dict[str, Any]) -> str:
    from disentangle_indicators.supervised.listing import in_words

    return (
        ", ".join(f"{key} {in_words(value)}" for key, value in parameters.items())
        or "no parameters"
    )


def _tables(audits: list[Audit]) -> list[Block]:
    """Return the table of the nulls, and that of the orientations that were found."""
    if not audits:
        return []
    first = audits[0]
    kept = f"{len(first.rotated)} of {first.d} latents ({', '.join(map(str, first.rotated))})"
    word = "active" if first.means_only else "used"
    which = "" if first.latents == "all" else f", the {word} ones,"
    dropped = len(first.rotated) < first.d
    columns = ("metric", "own score", "p", "above", "5%", "median", "95%", "mean", "sd")
    null = Table(
        columns=(*columns, f"all {first.d} latents") if dropped else columns,
        rows=tuple(
            (
                audit.metric,
                f"{audit.score:.3f}",
                f"{audit.p_value:.3f}",
                f"{audit.percentile:.0f}%",
                *(f"{value:.3f}" for value in audit.quantiles.values()),
                f"{audit.null_mean:.3f}",
                f"{audit.null_sd:.3f}",
                *([f"{audit.score_all_latents:.3f}"] if dropped else []),
            )
            for audit in audits
        ),
        title=f"Under {first.rotations} random rotations",
        note=(
            f"{kept}{which} rotated, n = {first.n}. p = (1 + rotations that score as much) / "
            f"({first.rotations} + 1)."
            + (" The last column is the score before the others were dropped." if dropped else "")
            + "".join(f" {audit.metric}: {_listed(audit.parameters)}." for audit in audits)
        ),
    )
    rows = tuple(
        (
            f"{audit.metric}, {word}",
            f"{found.own_held_out:.3f}",
            f"{found.score_held_out:.3f}",
            with_error(found.gain, found.gain_se),
            _pairs(found.turns),
        )
        for audit in audits
        for word, found in (("best", audit.best), ("worst", audit.worst))
        if found is not None
    )
    if not rows:
        return [null]
    found = Table(
        columns=("orientation", "own score", "score", "gain", "turns"),
        rows=rows,
        title="Orientations found on one half of the rows, measured on the other",
        note="± standard error of row sampling. A turn is latent-latent: degrees, modulo 90.",
    )
    return [null, found]


def _pairs(turns: tuple[Turn, ...], most: int = 3) -> str:
    """Write turns as short as they go, the largest first."""
    largest = sorted(turns, key=lambda turn: -abs(turn[2]))
    words = [f"{i}-{j}: {angle:.0f}°" for i, j, angle in largest[:most]]
    left = len(turns) - most
    return ", ".join([*words, *([f"{left} more"] if left > 0 else [])]) or "none"


def _note(text: str) -> str:
    return f"Note: {text}."
