"""Scores of one code that need no factors, as a result."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from disentangle_indicators._blocks import Block, Table
from disentangle_indicators._result import Result

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CodeScores"]


@dataclass(frozen=True, eq=False, repr=False)
class CodeScores(Result):
    """Scores of a code alone, 0 where the latents of the population are independent.

    Parameters
    ----------
    scores : dict of str to float
    chance : dict of str to float
        The mean score of independent latents of the same variances over as many rows.
    reasons : dict of str to str
        Why a score has no value.
    latents : tuple of int
        Those that were looked at.
    """

    schema: ClassVar[str] = "dindic.code-scores/1"

    scores: dict[str, float]
    chance: dict[str, float]
    reasons: dict[str, str]
    latents: tuple[int, ...]

    def to_frame(self) -> "pd.DataFrame":
        """Return a data frame with one row per score."""
        import pandas as pd

        columns = {"score": self.scores, "chance": self.chance}
        return pd.DataFrame(columns).rename_axis("metric")

    def blocks(self) -> list[Block]:
        """Return one table, and a note for each score without a value."""
        rows = tuple(
            (name, f"{value:.3f}", f"{self.chance[name]:.2g}" if name in self.chance else "")
            for name, value in self.scores.items()
        )
        note = "chance: mean score of independent latents over as many rows; lower is more independent"
        table = Table(("dependence of these codes", "score", "chance"), rows, note=note)
        words = (f"note: {name}: none: {why}" for name, why in self.reasons.items())
        return [*([table] if rows else []), *words]
