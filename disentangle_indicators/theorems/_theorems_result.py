"""What :func:`theorems` returns: findings on the assumptions of each theorem, and their tables."""

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

from disentangle_indicators._array import Float
from disentangle_indicators._blocks import Block, Table, with_error
from disentangle_indicators._brackets import Bracket, between
from disentangle_indicators._result import Result
from disentangle_indicators.theorems._dimension_result import IntrinsicDimension, dimension_table
from disentangle_indicators.thresholds import (
    NOISELESS,
    OTHER_DIMENSION,
    SAME_DIMENSION,
    SETTLED,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Finding", "Theorems"]

MANY = 30
"""Latents that the table lists."""


@dataclass(frozen=True, eq=False)
class Finding(Result):
    """One assumption or statement of the paper, and how far this encoder is from it.

    Parameters
    ----------
    theorem : str
    assumption : str
        What the theorem assumes or states, in few words.
    value : float or None
        How far the encoder misses it, or the number that the theorem is about; None where only a
        range is known.
    error : float or None
        Standard error of `value`.
    low, high : float or None
        Range of the value of the population, two standard errors included; None for no end.
    unit : str
    verdict : {"met", "missed", "holds", "not known", "see sentence"}
        "holds" is of a statement without assumptions, which the numbers confirm.
    sentence : str
    """

    theorem: str
    assumption: str
    value: float | None
    error: float | None
    low: float | None
    high: float | None
    unit: str
    verdict: str
    sentence: str

    @property
    def number(self) -> str:
        """The value with its error, or the range, with the unit."""
        if self.value is not None and self.error is None:
            return f"{self.value:g} {self.unit}"
        if self.value is not None:
            return f"{with_error(self.value, self.error)} {self.unit}".rstrip()
        if self.low is None and self.high is None:
            return "-"
        high = math.inf if self.high is None else self.high
        return f"{between(Bracket(self.low or 0.0, high))} {self.unit}"


@dataclass(frozen=True, eq=False, repr=False)
class Theorems(Result):
    """What the theorems of the paper say of one encoder; the result of :func:`theorems`.

    Parameters
    ----------
    n, d : int
    n_clusters : int or None
        Clusters and copies of rows that errors rest on; None where rows are independent.
    name : str
    findings : tuple of Finding
        In the order of the paper.
    dimensions : dict of str to IntrinsicDimension
        Of "means" and "samples" of the used latents, of a "control", which is as many independent
        Gaussians and rows, and of "data" where they are given.
    used : tuple of int
        Latents above the threshold.
    participation, participation_se : float
        Participation ratio of Definition 3; 0 where no latent is used.
    signal_to_noise, signal_to_noise_se : array, shape (d,)
        Variance of the means over the average posterior variance.
    share, share_se : array, shape (d,)
        Share of rows that use a latent.
    kinds : tuple of str, length d
        "active", "mixed" or "passive", by the share of rows; of unused latents always "passive".
    importance, importance_se : array, shape (d,)
        Isometric importance: variances where the noise is known, shares otherwise.
    noise : float or None
        The normalised noise variance beta sigma^2.
    entropy : array, shape (d,)
        Differential entropy of the means, in nats.
    information : array, shape (d,)
        I(x; z_h) of the rows, in nats.
    notes : tuple of str
    """

    schema: ClassVar[str] = "dindic.theorems/1"

    n: int
    d: int
    n_clusters: int | None
    name: str
    findings: tuple[Finding, ...]
    dimensions: dict[str, IntrinsicDimension]
    used: tuple[int, ...]
    participation: float
    participation_se: float
    signal_to_noise: Float
    signal_to_noise_se: Float
    share: Float
    share_se: Float
    kinds: tuple[str, ...]
    importance: Float
    importance_se: Float
    noise: float | None
    entropy: Float
    information: Float
    notes: tuple[str, ...]

    def __getitem__(self, assumption: str) -> Finding:
        """Return the finding on an assumption by its words."""
        return next(one for one in self.findings if one.assumption == assumption)

    def count(self, kind: str) -> int:
        """Return the number of latents of a kind."""
        return self.kinds.count(kind)

    def scalars(self) -> dict[str, float | None]:
        """Return the counts, the participation ratio and the dimensions."""
        out: dict[str, float | None] = {"used": float(len(self.used))}
        out |= {kind: float(self.count(kind)) for kind in ("active", "mixed", "passive")}
        out["participation"] = self.participation
        for what, found in self.dimensions.items():
            out |= {f"{what}.{name}": getattr(found, name) for name in ("two_nn", "levina_bickel")}
        return out

    def to_frame(self) -> "pd.DataFrame":
        """Return a data frame with one row per finding."""
        import pandas as pd

        names = [f.name for f in fields(Finding) if f.name != "provenance"]
        return pd.DataFrame([{x: getattr(one, x) for x in names} for one in self.findings])

    def blocks(self) -> list[Block]:
        """Return the sentences, the findings, the dimensions and the latents."""
        sentences = {
            theorem: " ".join(
                one.sentence for one in self.findings if one.theorem == theorem and one.sentence
            )
            for theorem in dict.fromkeys(one.theorem for one in self.findings)
        }
        return [
            *([self.name] if self.name else []),
            sentences,
            self._table(),
            *([dimension_table(self.dimensions)] if self.dimensions else []),
            *([self._latents()] if self.used else []),
            *(f"note: {note}" for note in self.notes),
        ]

    def _table(self) -> Table:
        rows = tuple(
            (one.theorem, one.assumption, one.number, one.verdict) for one in self.findings
        )
        note = (
            f"met: the whole range is below {SETTLED:g} nats; missed: the whole range is above; not "
            "known: neither. Deterministic posteriors: met if the least signal/noise is above "
            f"{NOISELESS:g}. Theorem 1, with two standard errors: met if the dimensions differ by less "
            f"than {SAME_DIMENSION:g}, missed if by more than {OTHER_DIMENSION:g}, which goes first. "
            "Rotations: met if all pairs are arbitrary, missed if one is not. Theorem 3 holds if the "
            "residual is within five standard errors of 0. ± one standard error; ranges are of the "
            "population and include two "
            "standard errors"
        )
        return Table(("", "assumption or statement", "number", "verdict"), rows, "Theorems", note)

    def _latents(self) -> Table:
        order = sorted(range(self.d), key=lambda h: -float(self.information[h]))
        shown = [h for h in order if h in self.used][:MANY]
        rows = tuple(
            (
                str(h),
                f"{self.information[h]:.3f}",
                f"{self.entropy[h]:.2f}",
                with_error(float(self.signal_to_noise[h]), float(self.signal_to_noise_se[h])),
                with_error(float(self.share[h]), float(self.share_se[h])),
                self.kinds[h],
                _variance(float(self.importance[h]), float(self.importance_se[h])),
            )
            for h in shown
        )
        what = (
            "variance of the data along it" if self.noise is not None else "share of the variance"
        )
        note = (
            "I, entropy of means: nats; signal/noise: variance of the means over the posterior "
            "variance; rows: share of rows that use the latent; importance: "
            f"{what}, from the posterior variances alone; ± one standard error"
        )
        columns = ("latent", "I(x; z_h)", "entropy of means", "signal/noise", "rows", "kind")
        left = len(self.used) - len(shown)
        note += f"; {left} more used latents in the JSON" if left > 0 else ""
        return Table((*columns, "importance"), rows, "Used latents", note)

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values, with the counts of kinds."""
        content = super().to_dict()
        counts = {kind: self.count(kind) for kind in ("active", "mixed", "passive")}
        provenance = {"provenance": p} if (p := content.pop("provenance", None)) else {}
        return content | {"counts": counts} | provenance


def _variance(value: float, error: float) -> str:
    """Write a variance and its error, with an exponent where decimals would not show them."""
    if value >= 1e-3:
        return with_error(value, error, 4)
    return f"{value:.3g} ± {error:.1g}"
