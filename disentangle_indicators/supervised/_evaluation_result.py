"""What :func:`evaluate_metrics` returns: scores, and their tables."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from disentangle_indicators._array import Float
from disentangle_indicators._blocks import Block, Table, with_error
from disentangle_indicators._result import Result

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MetricScore", "Scores", "factor_table", "matrix_table", "score_table"]

SMALL = 0.05
"""Greatest p-value that the report counts as small."""


@dataclass(frozen=True, eq=False, repr=False)
class MetricScore(Result):
    """One metric of one code, with its null, its ceiling and its standard error.

    Parameters
    ----------
    metric, protocol : str
    parameters : dict
        All of the protocol.
    n, draws : int
        Rows, and what is independent of them: clusters, or all rows.
    curved : int
        How the error follows from halves: see :class:`Metric`.
    value : float or None
        None where the metric has no value here; `reason` says why.
    parts : dict of str to float
    standard_error : float or None
        Of sampling rows and of the randomness of the metric, from `halves` half samples.
    low, high : float or None
        The value -+ 1.96 standard errors, within the range of the protocol; more where halves or
        clusters are few, as Student's t is wider.
    null : array, shape (permutations,)
        Scores with rows or clusters shuffled.
    null_mean, null_95 : float or None
        Mean and 95th percentile of the null; the 5th where lower is better.
    p_value : float or None
        (1 + permutations that score as well) / (permutations + 1).
    ceiling : float or None
        Score of the true factors with a trace of noise, padded with noise latents; None with more
        factors than latents.
    permutations, halves : int
    half_values : array, shape (halves,)
        Scores of the half samples. The same seed gives two codes the same halves: see
        :func:`compare_scores`.
    factors : tuple of str, length K
        Those that vary.
    per_factor : array, shape (K,), or None
    per_factor_name : str
        What `per_factor` is, where `value` is not its average; else empty.
    per_latent : array, shape (d,), or None
    matrix : array, shape (d, K), or None
    matrix_name : str
    latents : tuple of int, length d
        The latents that the metric saw.
    higher_is_better : bool
    reading, source, reason : str
        How to read the score; the source of the protocol; why there is no value.
    """

    schema: ClassVar[str] = "dindic.metric/1"

    metric: str
    protocol: str
    parameters: dict[str, Any]
    n: int
    draws: int
    curved: int
    value: float | None
    parts: dict[str, float]
    standard_error: float | None
    low: float | None
    high: float | None
    null: Float
    null_mean: float | None
    null_95: float | None
    p_value: float | None
    ceiling: float | None
    permutations: int
    halves: int
    half_values: Float
    factors: tuple[str, ...]
    per_factor: Float | None
    per_factor_name: str
    per_latent: Float | None
    matrix: Float | None
    matrix_name: str
    latents: tuple[int, ...]
    higher_is_better: bool
    reading: str
    source: str
    reason: str

    @property
    def name(self) -> str:
        """The metric and its protocol, as ``mig@default``."""
        return f"{self.metric}@{self.protocol}"

    @property
    def at_ceiling(self) -> bool:
        """Whether the score is as good as that of a perfect code, or better."""
        return self.value is not None and self.ceiling is not None and not self._beats(self.value)

    @property
    def blind(self) -> bool:
        """Whether a perfect code is no better than the best scores of the null."""
        return (
            self.null_95 is not None and self.ceiling is not None and not self._beats(self.null_95)
        )

    def _beats(self, score: float) -> bool:
        """Whether the ceiling is better than a score."""
        assert self.ceiling is not None
        return self.ceiling > score if self.higher_is_better else self.ceiling < score


@dataclass(frozen=True, eq=False, repr=False)
class Scores(Result):
    """Metrics of one code, by name and protocol; the result of :func:`evaluate_metrics`.

    Parameters
    ----------
    metrics : dict of str to MetricScore
    codes : {"mean", "sample"}
    latents : tuple of int
    described : str
        Codes and latents in words.
    kinds : dict of str to str
        Of each factor.
    guessed : tuple of str
        Factors whose kind is a guess that may be wrong.
    seed : int or None
    notes : tuple of str
    n_clusters : int or None
        Number of clusters, where rows are clustered.
    """

    schema: ClassVar[str] = "dindic.metrics/1"

    metrics: dict[str, MetricScore]
    codes: str
    latents: tuple[int, ...]
    described: str
    kinds: dict[str, str]
    guessed: tuple[str, ...]
    seed: int | None
    notes: tuple[str, ...]
    n_clusters: int | None = None

    def scalars(self) -> dict[str, float | None]:
        """Return scores and standard errors, by names that every logger takes: mig-default."""
        each = {m.name.replace("@", "-"): m for m in self.metrics.values()}
        scores = {name: m.value for name, m in each.items()}
        return scores | {f"{name}_se": m.standard_error for name, m in each.items()}

    def to_frame(self) -> "pd.DataFrame":
        """Return a data frame with one row per metric."""
        import pandas as pd

        ends = ("metric", "protocol", "value", "standard_error", "low", "high")
        beside = ("null_mean", "null_95", "p_value", "ceiling", "permutations", "halves")
        rows = [{f: getattr(m, f) for f in (*ends, *beside)} for m in self.metrics.values()]
        return pd.DataFrame(rows).set_index("metric")

    def blocks(self) -> list[Block]:
        """Return the table of scores, the kinds of factors, their scores, and how to read each."""
        found = list(self.metrics.values())
        blocks: list[Block] = [
            score_table(found, self.described, self.n_clusters),
            kinds_sentence(self.kinds, self.guessed),
        ]
        blocks += [small_p_values(found)] if any(m.p_value is not None for m in found) else []
        blocks += [factor_table(found)] if any(m.per_factor is not None for m in found) else []
        drawn = [m for m in found if m.matrix is not None]
        first = next((m for m in drawn if m.matrix_name.startswith("I(")), next(iter(drawn), None))
        blocks += [matrix_table(first)] if first is not None else []
        readings = {m.metric: m.reading for m in found if m.value is not None}
        blocks += [readings] if readings else []
        return [*blocks, *(f"note: {note}" for note in self.notes)]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value + 0.0:.3f}"


def score_table(
    scores: Sequence[MetricScore], described: str, n_clusters: int | None = None
) -> Table:
    """Return the table of scores, each with its null and its ceiling."""
    rows = []
    for m in scores:
        if m.value is None:
            rows.append((m.name, "none", "", "", "", "", m.reason))
            continue
        parts = ", ".join(f"{name} {value:.3f}" for name, value in m.parts.items())
        arrow = "" if m.higher_is_better else "lower is better"
        clusters = "" if n_clusters is None else f" in {n_clusters} clusters"
        seen = "at the ceiling" * m.at_ceiling
        seen = f"cannot be seen at n = {m.n}{clusters}" if m.blind else seen
        rows.append(
            (
                m.name,
                with_error(m.value, m.standard_error),
                _number(m.null_mean),
                _number(m.null_95),
                _number(m.p_value),
                _number(m.ceiling) or "-",
                "; ".join(word for word in (seen, parts, arrow) if word),
            )
        )
    drawn = sorted({(m.permutations, m.halves) for m in scores if m.value is not None})
    drawn_from = "rows" if n_clusters is None else f"{n_clusters} clusters"
    moved = "rows" if n_clusters is None else "clusters"
    numbers = " or ".join(f"{a} permutations and {b} halves" for a, b in drawn)
    wide = next(
        (m for m in scores if m.value is not None and len(m.factors) > len(m.latents)), None
    )
    none = ""
    if wide is not None:
        none = f" (-: {len(wide.factors)} factors need as many latents, and the code has {len(wide.latents)})"
    return Table(
        columns=("metric@protocol", "score", "null", "null 95%", "p", "ceiling", ""),
        rows=tuple(rows),
        title=f"Metrics of {described}",
        note=f"score ± one standard error, from random halves of the {drawn_from}; null: mean and 95th "
        f"percentile of the score with {moved} shuffled; p: share of shuffles that score as well or better; "
        "ceiling: score of a perfect code, the true factors with 1% noise and noise latents beside "
        f"them{none}; {numbers}",
    )


def kinds_sentence(kinds: Mapping[str, str], guessed: Collection[str]) -> str:
    """Return the kind of each factor as text, with those that are guesses marked."""
    words = (f"{name} {kind}{' (a guess)' * (name in guessed)}" for name, kind in kinds.items())
    return f"Kinds of the factors: {', '.join(words)}."


def small_p_values(scores: Sequence[MetricScore]) -> str:
    """Return how many p-values are small, and how many would be without dependence, as text."""
    p = [m.p_value for m in scores if m.p_value is not None]
    draws = [m.permutations + 1 for m in scores if m.p_value is not None]
    chance = sum(int(SMALL * k + 1e-9) / k for k in draws)
    few = sum(SMALL * k < 1 for k in draws)
    found = sum(value <= SMALL for value in p)
    remark = (
        f" {few} {'has' if few == 1 else 'have'} too few permutations for such a p." if few else ""
    )
    return (
        f"Small p-values: {found} of {len(p)} metrics have p ≤ {SMALL:g}; codes that do not depend "
        f"on the factors have {chance:.1f} on average.{remark}"
    )


def factor_table(scores: Sequence[MetricScore]) -> Table:
    """Return the scores of single factors; a row that is no part of its score has its own name."""
    shown = [m for m in scores if m.per_factor is not None]
    names = list(dict.fromkeys(name for m in shown for name in m.factors))
    rows = []
    for m in shown:
        each = dict(zip(m.factors, np.asarray(m.per_factor), strict=True))
        label = f"{m.name} {m.per_factor_name}".rstrip()
        rows.append((label, *(_number(float(each[n])) if n in each else "" for n in names)))
    return Table(columns=("by factor", *names), rows=tuple(rows))


def matrix_table(score: MetricScore) -> Table:
    """Return the matrix of latents and factors of one metric."""
    assert score.matrix is not None
    rows = tuple(
        (str(h), *(_number(float(value)) for value in row))
        for h, row in zip(score.latents, score.matrix, strict=True)
    )
    return Table(
        columns=("latent", *score.factors),
        rows=rows,
        title=f"{score.matrix_name}, from {score.name}",
    )
