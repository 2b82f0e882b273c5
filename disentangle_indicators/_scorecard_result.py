"""What score() returns: the verdict, and every section by name."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from disentangle_indicators._blocks import WORDS, Block
from disentangle_indicators._indicators_result import Indicators, definition_table, latent_table
from disentangle_indicators._means_result import MeansOnly
from disentangle_indicators._result import Result, plain

if TYPE_CHECKING:
    import pandas as pd

    from disentangle_indicators.aggregate import Certificate, Joint, Marginals
    from disentangle_indicators.distance import Distance
    from disentangle_indicators.posteriors import Encodings
    from disentangle_indicators.supervised import Channel, Scores
    from disentangle_indicators.theorems import Theorems
    from disentangle_indicators.unsupervised import CodeScores

__all__ = ["PARTS", "Scorecard"]

PARTS = (
    "marginals",
    "joint",
    "certificate",
    "metrics",
    "channel",
    "unsupervised",
    "theorems",
)
"""The sections of a scorecard beside the indicators, as they are printed."""


@dataclass(frozen=True, eq=False, repr=False)
class Scorecard(Result):
    """The result of :func:`score`: a verdict, the indicators, and one section for each question.

    Parameters
    ----------
    name, source : str
        What the encodings are called, and how they were read.
    verdict : dict of str to str
        USED, PRIOR and TRUST; before them CHECK where the arrays may not be what they are called,
        and after them DO where something is wrong.
    distance : Distance or None
        What all sections know together of the distance from the prior; None for means only.
    result : Indicators or MeansOnly
        MeansOnly where there are no variances. Its fields can be read from the scorecard itself.
    marginals, joint, certificate : Marginals, Joint, Certificate or None
        What was computed of the aggregated posterior.
    metrics, channel, unsupervised : Scores, Channel, CodeScores or None
        What was computed of codes and factors.
    theorems : Theorems or None
        Which assumptions of the paper's theorems the rows meet.
    reasons : dict of str to str
        Why a section has no value, by its name.
    factors : tuple of dict
        Name, kind, number of values and number of missing values of each factor.
    notes : tuple of str
    encodings : Encodings or None
        What was scored; None once pickled.

    Examples
    --------
    >>> import numpy as np
    >>> from disentangle_indicators import score
    >>> card = score(np.array([[1.0, 0.0], [-1.0, 0.0]]), var=np.full((2, 2), 0.5))
    >>> card.used, sorted(card.verdict)
    (1, ['DO', 'PRIOR', 'TRUST', 'USED'])
    """

    schema: ClassVar[str] = "dindic.score/1"

    name: str
    source: str
    verdict: dict[str, str]
    distance: "Distance | None"
    result: Indicators | MeansOnly
    marginals: "Marginals | None"
    joint: "Joint | None"
    certificate: "Certificate | None"
    metrics: "Scores | None"
    channel: "Channel | None"
    unsupervised: "CodeScores | None"
    theorems: "Theorems | None"
    reasons: dict[str, str]
    factors: tuple[dict[str, Any], ...]
    notes: tuple[str, ...]
    encodings: "Encodings | None"

    def __getattr__(self, name: str) -> Any:
        """Read a field of the indicators."""
        if not name.startswith("_") and name != "result" and hasattr(self.result, name):
            return getattr(self.result, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        """List the fields of the indicators too."""
        return sorted({*super().__dir__(), *dir(self.result)})

    def __getstate__(self) -> dict[str, Any]:
        """Leave the encodings behind when pickled."""
        return {**self.__dict__, "encodings": None}

    def __copy__(self) -> "Scorecard":
        """Keep the encodings, which pickling leaves behind."""
        return replace(self)

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values: the indicators at the top, with verdict and sections."""
        return self.stamped(
            {
                **{k: v for k, v in self.result.to_dict().items() if k != "provenance"},
                "schema": self.schema,
                "name": self.name,
                "source": self.source,
                "verdict": dict(self.verdict),
                "distance": None if self.distance is None else self.distance.to_dict(),
                "reasons": dict(self.reasons),
                **{name: _part(getattr(self, name)) for name in PARTS},
                "factors": plain(self.factors),
                "metadata": {} if self.encodings is None else dict(self.encodings.metadata),
                "notes": list(self.notes),
            }
        )

    def scalars(self) -> dict[str, float | None]:
        """Return the numbers of the indicators, and those of each section behind its name."""
        found = self.result.scalars()
        for name in PARTS:
            part = getattr(self, name)
            numbers = {} if part is None else part.scalars()
            found |= {f"{name}.{key}": value for key, value in numbers.items()}
        return found

    def to_frame(self) -> "pd.DataFrame":
        """Return a data frame with one row per latent."""
        frame = self.result.to_frame()
        if self.marginals is not None:
            for name in ("information", "kl_prior", "looseness", "entropy"):
                frame[f"marginal_{name}"] = getattr(self.marginals, name)
                frame[f"marginal_{name}_se"] = self.marginals.standard_errors[name]
        return frame

    def blocks(self) -> list[Block]:
        """Return the verdict, then the tables; a section without a value gives its reason."""
        head = "\n".join(line for line in (self.name, self.source) if line)
        blocks: list[Block] = [*([head] if head else []), self.verdict]
        reasons = dict(self.reasons)
        if isinstance(self.result, Indicators):
            left_out = reasons.pop("marginals", "")
            remark = f"; exact marginals left out: {left_out}" if left_out else ""
            blocks.append(latent_table(self.result, self.marginals, remark=remark))
            blocks.append(definition_table(self.result))
            if "covariance" in reasons:
                reason = reasons["covariance"]
                blocks.append(f"Indicators of the covariance are left out: {reason}.")
        else:
            blocks += self.result.blocks()
        for name in PARTS:
            part = getattr(self, name)
            if name == "marginals" and part is not None:
                continue  # in the table of latents
            if name == "channel" and part is not None:
                blocks += [{"CHANNEL": part.sentence}] if part.cells else []
            elif part is not None:
                blocks += ["What the theorems of the paper say:"] * (name == "theorems")
                blocks += part.blocks()
            elif name in reasons:
                blocks.append(f"{name.capitalize()} left out: {reasons[name]}.")
        if self.metrics is None and "metrics" not in self.reasons and self.factors:
            listed = ", ".join(
                f"{f['name']} ({f['kind']}, {f['values']} values"
                + f", {f['missing']} missing" * (f["missing"] > 0)
                + ")"
                for f in self.factors
            )
            blocks.append(f"Ground truth: {listed}. Supervised metrics of it were not asked for.")
        return [*blocks, WORDS]


def _part(part: Result | None) -> Any:
    """Return a section as plain values, the marginals once only."""
    if part is None:
        return None
    left_out = ("marginals", "provenance")
    return {name: value for name, value in part.to_dict().items() if name not in left_out}
