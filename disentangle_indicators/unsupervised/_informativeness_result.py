"""What :func:`informativeness` returns: scores and latents, in numbers and words."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from disentangle_indicators._array import Float
from disentangle_indicators._blocks import Block, Table, with_error
from disentangle_indicators._result import Result

__all__ = ["Informativeness"]


@dataclass(frozen=True, eq=False, repr=False)
class Informativeness(Result):
    """Information of each latent, and what of it no other latent has; nats, arrays (d,).

    Parameters
    ----------
    n, d, points : int
        Rows, latents, Monte Carlo points.
    seed : int or None
    sepin, wsepin : float
        Average of `sepin_per_latent`, plain and weighted by information; higher is better.
    indin, windin : float
        The same of `indin_per_latent`.
    sep, wsep : float
        The same of `sep_per_latent`; lower is better.
    mutual_information : float
        I(x; z), by Monte Carlo.
    information : array
        I(x; z_h), exact for these rows, by quadrature.
    sep_per_latent : array
        I(z_h; z_others), by Monte Carlo.
    sepin_per_latent : array
        I(x; z) - I(x; z_others), by Monte Carlo.
    indin_per_latent : array
        `information` less `sep_per_latent`: the same number as the one before.
    weights : array
        Share of each latent in the sum of `information`; equal where none has any.
    saturated : array of bool
        Where the other latents nearly tell these n rows apart, so that one that has information
        can add little: SEPIN of the population is higher.
    activity : tuple of str
        See :func:`~disentangle_indicators.unsupervised.activity`.
    standard_errors : dict of str to float or array
        Monte Carlo errors, of the points.
    """

    schema: ClassVar[str] = "dindic.informativeness/1"

    n: int
    d: int
    points: int
    seed: int | None
    sepin: float
    wsepin: float
    indin: float
    windin: float
    sep: float
    wsep: float
    mutual_information: float
    information: Float
    sep_per_latent: Float
    sepin_per_latent: Float
    indin_per_latent: Float
    weights: Float
    saturated: Float
    activity: tuple[str, ...]
    standard_errors: dict[str, float | Float]

    def sepin_at(self, k: int) -> float:
        """Return SEPIN@k, the average of SEPIN over the k latents with most information.

        Raises
        ------
        ValueError
            When there are not so many latents.
        """
        if not 1 <= k <= self.d:
            raise ValueError(f"k must be between 1 and {self.d}; got {k}")
        order = np.argsort(-self.information, kind="stable")
        return float(self.sepin_per_latent[order[:k]].mean())

    def blocks(self) -> list[Block]:
        """Return the table of scores, and that of latents, the most informative first."""
        e = self.standard_errors
        scores = (
            ("WSEPIN", self.wsepin, "wsepin", "what a latent tells of x beyond all others"),
            ("SEPIN", self.sepin, "sepin", "the same, each latent counting alike"),
            ("WINDIN", self.windin, "windin", "= WSEPIN, by I(x; z_h) - I(z_h; others)"),
            ("INDIN", self.indin, "indin", "= SEPIN, likewise"),
            ("WSEP", self.wsep, "wsep", "I(z_h; others); lower is better"),
            ("I(x; z)", self.mutual_information, "mutual_information", "at most log n"),
        )
        first = tuple((n, with_error(v, float(e[name])), words) for n, v, name, words in scores)
        order = np.argsort(-self.information, kind="stable")
        names = ("sepin_per_latent", "indin_per_latent", "sep_per_latent")
        rows = tuple(
            (
                str(h),
                f"{self.information[h] + 0.0:.3f}",
                *(
                    with_error(float(getattr(self, name)[h]), float(np.asarray(e[name])[h]))
                    for name in names
                ),
                self.activity[h] + (", saturated" if self.saturated[h] else ""),
            )
            for h in order
        )
        note = (
            f"nats; I(x; z_h) exact for these {self.n} rows, the rest ± one standard error of "
            f"{self.points} Monte Carlo points; saturated: the other latents tell the rows apart, "
            "so that SEPIN of the population is higher"
        )
        columns = ("latent", "I(x; z_h)", "SEPIN", "INDIN", "SEP", "")
        return [
            Table(("score", "value [nats]", "how to read it"), first, "Informativeness"),
            Table(columns, rows, note=note),
        ]
