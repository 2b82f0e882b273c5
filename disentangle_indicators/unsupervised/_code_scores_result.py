"""Scores of one code that need no factors, as a result."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from disentangle_indicators._blocks import Block
from disentangle_indicators._result import Result

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CodeScores"]


@dataclass(frozen=True, eq=False, repr=False)
class CodeScores(Result):
    """Scores of a code alone, 0 where its latents are independent.

    Parameters
    ----------
    scores : dict of str to float
    reasons : dict of str to str
        Why a score has no value.
    latents : tuple of int
        Those that were looked at.
    """

    schema: ClassVar[str] = "dindic.code-scores/1"

    scores: dict[str, float]
    reasons: dict[str, str]
    latents: tuple[int, ...]

    def to_frame(self) -> "pd.DataFrame":
        """Return a data frame with one row per score."""
        import pandas as pd

        return pd.DataFrame({"score": self.scores}).rename_axis("metric")

    def blocks(self) -> list[Block]:
        """Return one sentence, and a note for each score without a value."""
        listed = ", ".join(f"{name} {value:.3f}" for name, value in self.scores.items())
        words = [f"Dependence of these codes, 0 if independent: {listed}."] if listed else []
        return [*words, *(f"note: {name}: none: {why}" for name, why in self.reasons.items())]
