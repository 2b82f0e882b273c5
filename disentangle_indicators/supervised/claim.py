"""One metric of one code under every protocol: which of them give the number that was claimed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from disentangle_indicators._array import Array
from disentangle_indicators._progress import Progress
from disentangle_indicators._result import Block, Result, Table
from disentangle_indicators._tables import with_error
from disentangle_indicators.factors import as_table
from disentangle_indicators.states import USED
from disentangle_indicators.supervised._metric import Metric, measure
from disentangle_indicators.supervised.latents import CODES, LATENTS, codes_of, kept

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Check", "check_claim"]


class Attempt(NamedTuple):
    """One way to compute the metric.

    `value` is None where there is none, and `reason` says why; `reached` whether it is
    at least the claim, less two standard errors.
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
    """A claimed score beside what every protocol gives; the result of :func:`check_claim`."""

    schema: ClassVar[str] = "dindic.check/1"

    metric: str
    claimed: float | None
    attempts: tuple[Attempt, ...]
    reached: int
    of: int
    sentence: str

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
        return [
            self.sentence,
            Table(
                columns=("metric@protocol", "codes", "latents", "score", "reached", ""),
                rows=rows,
                note="score ± one standard error, by random halves of the rows; reached: the score "
                "is at least the claim, less two standard errors",
            ),
        ]


def check_claim(
    metric: Metric,
    mean: Array,
    factors: Any,
    *,
    claimed: float | None = None,
    var: Array | None = None,
    kinds: Mapping[str, str] | Sequence[str] | None = None,
    factor_names: Sequence[str] | None = None,
    threshold: float = USED,
    halves: int = 4,
    slow: bool = False,
    rng: np.random.Generator | int = 0,
    progress: Progress | None = None,
) -> Check:
    """Compute a metric under all its protocols, of means and samples, of used and all latents.

    Parameters
    ----------
    metric : Metric
    mean : array, shape (n, d)
    factors : array, shape (n, K)
    claimed : float, optional
        The number to be reached: the score at least, for a metric where lower is better at most.
    var : array, shape (n, d), optional
        Without variances there are no samples.
    kinds, factor_names
        As :func:`~disentangle_indicators.supervised.as_table` takes them.
    threshold : float
        Nats of a used latent.
    halves : int
        Half samples for the standard error.
    slow : bool
        Whether to take protocols that need minutes.
    rng : numpy.random.Generator or int
    progress : callable, optional

    Returns
    -------
    Check

    Raises
    ------
    ValueError
        On arrays that do not belong together, and when no factor varies.
    """
    seeds = np.random.default_rng(rng).integers(2**31, size=3)
    table = as_table(factors, len(mean), kinds=kinds, names=factor_names)
    if not table.varying:
        raise ValueError(
            f"factors must vary; each of the {table.number} columns holds a single value"
        )
    half = np.random.default_rng(int(seeds[2]))
    parts = [np.sort(half.permutation(len(mean))[: len(mean) // 2]) for _ in range(halves)]
    ways = [
        (protocol, codes, latents)
        for protocol in metric.protocols
        if slow or protocol not in metric.slow
        for codes in CODES[: 1 if var is None else 2]
        for latents in LATENTS
    ]
    attempts = []
    for protocol, codes, latents in (
        ways if progress is None else progress(ways, "protocols", len(ways))
    ):
        value, error, reason = None, None, ""
        try:
            z, v = codes_of(mean, var, codes, int(seeds[0]))
            z = z[:, kept(z if v is None else mean, v, latents, threshold)]
            value = measure(metric, z, table, rng=int(seeds[1]), protocol=protocol).value
            tried = [
                measure(metric, z[p], table.take(p), rng=int(seeds[1]), protocol=protocol).value
                for p in parts
            ]
            error = float(np.std(tried, ddof=1)) if len(tried) > 1 else None
        except ValueError as problem:
            reason = "" if value is not None else str(problem)
        attempts.append(
            Attempt(
                protocol,
                codes,
                latents,
                value,
                error,
                _reached(metric, value, error, claimed),
                reason,
            )
        )
    reached = sum(attempt.reached is True for attempt in attempts)
    tried_all = sum(attempt.value is not None for attempt in attempts)
    return Check(
        metric.name, claimed, tuple(attempts), reached, tried_all,
        _sentence(metric, attempts, claimed, reached, tried_all),
    )  # fmt: skip


def _reached(
    metric: Metric, value: float | None, error: float | None, claimed: float | None
) -> bool | None:
    if value is None or claimed is None:
        return None
    sign = 1 if metric.higher_is_better else -1
    return bool(sign * (value - claimed) >= -2 * (error or 0.0))


def _sentence(
    metric: Metric, attempts: list[Attempt], claimed: float | None, reached: int, of: int
) -> str:
    values = [attempt.value for attempt in attempts if attempt.value is not None]
    if not values:
        return f"{metric.title} has no value here under any protocol."
    span = f"{metric.title} is between {min(values):.3f} and {max(values):.3f}, by protocol"
    if claimed is None:
        return f"{span}, codes and latents."
    if reached == 0:
        return f"{span}: none of {of} ways to compute it reaches {claimed:g}."
    best = "all" if reached == of else f"{reached} of {of}"
    return f"{span}: {best} ways to compute it reach {claimed:g}."
