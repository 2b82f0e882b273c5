"""What :func:`check_claim` returns: every way to compute the metric, and one sentence on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from disentangle_indicators._blocks import Block, Table, with_error
from disentangle_indicators._result import Result

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Attempt", "Check", "sentence"]


class Attempt(NamedTuple):
    """One way to compute the metric.

    Parameters
    ----------
    protocol, codes, latents : str
    value, standard_error : float or None
    reached : bool or None
        Whether the value is at least the claim, less two standard errors; of few clusters more, as
        Student's t is wider.
    reason : str
        Why there is no value.
    """

    protocol: str
    codes: str
    latents: str
    value: float | None
    standard_error: float | None
    reached: bool | None
    reason: str


@dataclass(frozen=True, eq=False, repr=False)
class Check(Result):
    """A claimed score and the score of every protocol; the result of :func:`check_claim`.

    Parameters
    ----------
    metric : str
    claimed : float or None
    attempts : tuple of Attempt
    reached, of : int
        Attempts that reach the claim, and attempts that have a value.
    sentence : str
    notes : tuple of str
    name, source : str
        What the encodings are called, and how they were read.
    """

    schema: ClassVar[str] = "dindic.check/1"

    metric: str
    claimed: float | None
    attempts: tuple[Attempt, ...]
    reached: int
    of: int
    sentence: str
    notes: tuple[str, ...] = ()
    name: str = ""
    source: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values."""
        attempts = [attempt._asdict() for attempt in self.attempts]
        return super().to_dict() | {"attempts": attempts}

    def to_frame(self) -> "pd.DataFrame":
        """Return a data frame with one row per attempt."""
        import pandas as pd

        return pd.DataFrame([attempt._asdict() for attempt in self.attempts]).set_index("protocol")

    def blocks(self) -> list[Block]:
        """Return the sentence and the table."""
        words = {True: "yes", False: "no", None: ""}
        rows = tuple(
            (
                f"{self.metric}@{a.protocol}",
                a.codes,
                a.latents,
                "none" if a.value is None else with_error(a.value, a.standard_error),
                words[a.reached],
                a.reason,
            )
            for a in self.attempts
        )
        head = "\n".join(line for line in (self.name, self.source) if line)
        return [
            *([head] if head else []),
            self.sentence,
            Table(
                columns=("metric@protocol", "codes", "latents", "score", "reached", ""),
                rows=rows,
                note="score ± one standard error, from random halves of the rows; reached: the "
                "score is at least the claim, less two standard errors (more for few clusters)",
            ),
            *(f"note: {note}" for note in self.notes),
        ]


def sentence(
    title: str, attempts: Sequence[Attempt], claimed: float | None, reached: int, of: int
) -> str:
    """Return the range of the scores, and how many reach the claim."""
    values = [attempt.value for attempt in attempts if attempt.value is not None]
    if not values:
        return f"{title} has no value here under any protocol."
    span = f"{title} is between {min(values):.3f} and {max(values):.3f}, by protocol"
    if claimed is None:
        return f"{span}, codes and latents."
    if reached == 0:
        return f"{span}: none of {of} ways to compute it reaches {claimed:g}."
    best = "all" if reached == of else f"{reached} of {of}"
    return f"{span}: {best} ways to compute it reach {claimed:g}."
