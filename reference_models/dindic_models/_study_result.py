"""What :func:`dindic_models.study.run_study` returns: the runs of a study, in tables and words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dindic_models.checkpoint import Checkpoint, load
from dindic_models.claims import Claim, claims
from dindic_models.data import Data
from dindic_models.grids import PRINTED
from disentangle_indicators import read_encodings
from disentangle_indicators._blocks import Block, Table
from disentangle_indicators._result import Result, plain

__all__ = ["GAUSSIAN", "Study", "base_name", "in_epochs"]

Floats = NDArray[np.floating[Any]]

GAUSSIAN = ("fixed", "learned")
"""The noise models of one variance, which have a normalised one."""


@dataclass(frozen=True, eq=False, repr=False)
class Study(Result):
    """A study as it is on disk.

    Parameters
    ----------
    dataset : str
    rows : dict of dict
        By the names of the runs: settings (``noise``, ``beta``, ``seed``, ``epochs`` trained,
        ``seconds``, ``device``), then those of :class:`~dindic_models.measure.Measured`.
    failed : dict of str
        Why runs have no row.
    latents : dict of dict of array
        By the names of the runs: those of :class:`~dindic_models.measure.Measured`.
    folder : path
    data : Data
    """

    schema: ClassVar[str] = "dindic.study/1"

    dataset: str
    rows: dict[str, dict[str, Any]]
    failed: dict[str, str]
    latents: dict[str, Mapping[str, Floats]]
    folder: Path
    data: Data

    def to_dict(self) -> dict[str, Any]:
        """Return the rows and what failed."""
        content = {"dataset": self.dataset, "data": self.data.fingerprint, "failed": self.failed}
        said = [claim._asdict() for claim in self.claims()]
        found = {**content, "rows": plain(self.rows), "claims": said}
        return self.stamped({"schema": self.schema, **found})

    def checkpoint(self, name: str) -> Checkpoint:
        """Load the model of a run."""
        return load(self.folder / "models" / name)

    def encoded(self, name: str) -> tuple[Floats, Floats]:
        """Return means and variances of the test images under the model of a run."""
        posteriors = read_encodings(self.folder / "encodings" / f"{name}.safetensors")
        mean, var = posteriors.arrays("the study needs")
        return np.asarray(mean), np.asarray(var)

    def blocks(self) -> list[Block]:
        """Return sentences on how to read it, and the table of models."""
        every = list(self.rows.values())
        if not every:
            return ["no run has a row", *_failures(self.failed)]
        epochs = sorted({int(row["epochs"]) for row in every})
        devices = sorted({str(row["device"]) for row in every})
        said = {
            "RUNS": f"{len(every)} models of {self.dataset}, {in_epochs(epochs)}, trained on "
            f"{' and '.join(devices)}; measured on {_span(sorted({row['images'] for row in every}))}"
            " test images.",
            "READ": "EVLB has two conventions: with the model's own sigma^2, and with beta "
            "sigma^2; compare models within one column. Def 2 is an upper bound of the "
            "information; so is the sum of exact I(x; z_h), which equals it only if latents are "
            "independent. Def 4 is a lower bound of KL(q(z) || p) that sees second moments only. S ≈ 1 counts latents "
            "with |S - 1| <= .1, unused ones too.",
        }
        columns = ("run", "βσ²", "error", "EVLB", "at βσ²", "Def 2", "Σ I_h", "Def 4", "used")
        lines = tuple(
            (
                name,
                f"{row['normalised_variance']:.3g}" if row["noise"] in GAUSSIAN else "",
                f"{row['squared_error']:.3g}",
                f"{row['evlb']:.0f}",
                _number(row["evlb_at_normalised_variance"], ".0f"),
                f"{row['mutual_information']:.1f}",
                f"{row['total_information']:.1f}",
                f"{row['kl_aggregate_prior']:.3g}",
                str(row["used"]),
                str(row["normal_variance"]),
            )
            for name, row in self.rows.items()
        )
        note = (
            "βσ², error: squared pixel units, of a pixel; EVLB, Def 2, Σ I_h, Def 4: nats an image"
        )
        blocks: list[Block] = [said, Table((*columns, "S ≈ 1"), lines, "Models", note)]
        tables = [table for table in (self._printed(), self._claims()) if table.rows]
        return [*blocks, *tables, *_failures(self.failed)]

    def claims(self) -> list[Claim]:
        """Return what the paper says of its experiments, and what these runs show."""
        return claims(self.rows, self.latents)

    def first(self, run: str) -> str:
        """Return the name of a run, that of the first seed there is."""
        return next(name for name in self.rows if base_name(name) == run)

    def _claims(self) -> Table:
        lines = tuple((c.where, c.said, c.measured, c.reading) for c in self.claims())
        return Table(("", "the paper says", "these runs", "how to read it"), lines, "Section 8")

    def _printed(self) -> Table:
        printed = PRINTED.get(self.dataset, {})
        lines = tuple(
            (name, "βσ²", f"{value:g}", f"{row[column]:.3g}")
            for name, row in self.rows.items()
            for column, value in printed.get(base_name(name), {}).items()
        )
        return Table(("run", "number", "the paper", "here"), lines, "Printed in the paper")


def base_name(run: str) -> str:
    """Return the name of a run without its seed."""
    return run.partition("_seed_")[0]


def in_epochs(epochs: Sequence[int]) -> str:
    """Return "5 epochs", or the range."""
    return f"{_span(epochs)} epoch{'s' if epochs[-1] > 1 else ''}"


def _span(values: Sequence[int]) -> str:
    return str(values[0]) if len(values) == 1 else f"{values[0]} to {values[-1]}"


def _number(value: float, form: str) -> str:
    return "" if np.isnan(value) else format(value, form)


def _failures(failed: Mapping[str, str]) -> list[Block]:
    return [f"{name} has no row: {why}" for name, why in failed.items()]
