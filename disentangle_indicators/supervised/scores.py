r"""Scores with what they are to be read against: their floor, their ceiling, and their error.

* The floor: the score when codes and factors are paired at random, which keeps the distribution of
  each and destroys what one says of the other.
* The ceiling: the score of a perfect code, the standardised factors beside independent noise, under
  the same protocol and with the same factors.
* The error: the standard deviation over random halves of the rows. For half samples this is the
  delete-half jackknife, whose factor (n - m) / m is 1; the randomness of the metric is in it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from disentangle_indicators._array import Array, Float, seed_of
from disentangle_indicators._progress import Progress
from disentangle_indicators._result import Block, Result, Table
from disentangle_indicators._tables import with_error
from disentangle_indicators.factors import Factors, as_table
from disentangle_indicators.states import USED
from disentangle_indicators.supervised._metric import Metric, Outcome, measure
from disentangle_indicators.supervised.channel import Channel
from disentangle_indicators.supervised.latents import codes_of, kept, words

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MetricScore", "Scores", "evaluate_metric", "evaluate_metrics"]

FEW = 5
"""Permutations and halves of a protocol that refits."""

HALVES = 20


@dataclass(frozen=True, eq=False, repr=False)
class MetricScore(Result):
    """One metric of one code, with its floor, its ceiling and its error.

    Parameters
    ----------
    metric, protocol : str
    parameters : dict
        All of the protocol.
    value : float or None
        None where the metric has no value here; `reason` says why.
    parts : dict of str to float
    standard_error : float or None
        Of row sampling and of the metric's own randomness, by `halves` half samples.
    low, high : float or None
        The value -+ 1.96 standard errors, within the range of the protocol.
    null : array, shape (permutations,)
        Scores of permuted rows.
    null_mean, null_bound : float or None
        Its mean, and what 95% of it does not beat.
    p_value : float or None
        (1 + permutations that score as well) / (permutations + 1).
    ceiling : float or None
        Of a perfect code; None with more factors than latents.
    permutations, halves : int
    half_values : array, shape (halves,)
        With the same seed, those of two codes are of the same rows: see `compare_scores`.
    factors : tuple of str, length K
        Those that vary.
    per_factor : array, shape (K,), or None
    per_latent : array, shape (d,), or None
    matrix : array, shape (d, K), or None
    matrix_name : str
    latents : tuple of int, length d
        Those that were looked at.
    higher_is_better : bool
    reading, source, reason : str
        How to read the score; where the protocol is from; why there is no value.
    """

    schema: ClassVar[str] = "dindic.metric/1"

    metric: str
    protocol: str
    parameters: dict[str, Any]
    value: float | None
    parts: dict[str, float]
    standard_error: float | None
    low: float | None
    high: float | None
    null: Float
    null_mean: float | None
    null_bound: float | None
    p_value: float | None
    ceiling: float | None
    permutations: int
    halves: int
    half_values: Float
    factors: tuple[str, ...]
    per_factor: Float | None
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


@dataclass(frozen=True, eq=False, repr=False)
class Scores(Result):
    """Metrics of one code, by name and protocol; the result of :func:`evaluate_metrics`.

    `channel` says which means claim more than samples carry, where `score` had the variances and
    looked at means; `unsupervised` are scores of the codes alone, of the same latents.
    """

    schema: ClassVar[str] = "dindic.metrics/1"

    metrics: dict[str, MetricScore]
    codes: str
    latents: tuple[int, ...]
    described: str
    kinds: dict[str, str]
    seed: int | None
    notes: tuple[str, ...]
    channel: Channel | None = None
    unsupervised: dict[str, float] = field(default_factory=dict)

    def to_frame(self) -> "pd.DataFrame":
        """Return a data frame with one row per metric."""
        import pandas as pd

        ends = ("metric", "protocol", "value", "standard_error", "low", "high")
        floor = ("null_mean", "null_bound", "p_value", "ceiling", "permutations", "halves")
        rows = [{f: getattr(m, f) for f in (*ends, *floor)} for m in self.metrics.values()]
        return pd.DataFrame(rows).set_index("metric")

    def blocks(self) -> list[Block]:
        """Return the table of scores, that of factors, and how to read each metric."""
        found = list(self.metrics.values())
        blocks: list[Block] = [score_table(found, self.described)]
        blocks += [factor_table(found)] if any(m.per_factor is not None for m in found) else []
        drawn = [m for m in found if m.matrix is not None]
        first = next((m for m in drawn if m.matrix_name.startswith("I(")), next(iter(drawn), None))
        blocks += [matrix_table(first)] if first is not None else []
        if self.channel is not None and self.channel.cells:
            blocks.append({"CHANNEL": self.channel.sentence})
        if self.unsupervised:
            listed = (f"{name} {value:.3f}" for name, value in self.unsupervised.items())
            blocks.append(f"Of these codes alone, 0 if independent: {', '.join(listed)}.")
        readings = {m.metric: m.reading for m in found if m.value is not None}
        blocks += [readings] if readings else []
        return [*blocks, *(f"note: {note}" for note in self.notes)]


def evaluate_metrics(
    metrics: Mapping[str, tuple[Metric, str]],
    mean: Array,
    factors: Any,
    *,
    var: Array | None = None,
    codes: str = "mean",
    latents: str = "used",
    threshold: float = USED,
    kinds: Mapping[str, str] | Sequence[str] | None = None,
    factor_names: Sequence[str] | None = None,
    null: int = 100,
    halves: int = HALVES,
    rng: np.random.Generator | int = 0,
    progress: Progress | None = None,
) -> Scores:
    """Evaluate metrics of one code, each beside its floor, its ceiling and its error.

    Parameters
    ----------
    metrics : dict of str to (Metric, protocol)
    mean : array, shape (n, d)
    factors : Factors, or array, shape (n, K) or (n,)
    var : array, shape (n, d), optional
        Posterior variances: they say which latents are used, and allow samples.
    codes : {"mean", "sample"}
    latents : {"used", "all"}
    threshold : float
        Nats of a used latent.
    kinds, factor_names
        As :func:`~disentangle_indicators.supervised.as_table` takes them.
    null : int
        Permutations; at most 5 for a protocol that refits.
    halves : int
        Half samples for the error; at most 5 for a protocol that refits.
    rng : numpy.random.Generator or int
    progress : callable, optional

    Returns
    -------
    Scores

    Raises
    ------
    ValueError
        On arrays that do not belong together, when no latent is used, and when no factor varies.
    """
    for what, number in (("null", null), ("halves", halves)):
        if number < 0:
            raise ValueError(f"{what} must not be negative; got {number}")
    seeds = np.random.default_rng(rng).integers(2**31, size=3)
    z, v = codes_of(mean, var, codes, int(seeds[0]))
    table = as_table(factors, len(z), kinds=kinds, names=factor_names)
    if not table.varying:
        raise ValueError(
            f"factors must vary; each of the {table.number} columns holds a single value"
        )
    chosen = kept(z if v is None else mean, v, latents, threshold)
    steps: Iterable[str] = metrics
    if progress is not None:
        steps = progress(metrics, "metrics", len(metrics))
    found = {
        name: evaluate_metric(
            *metrics[name],
            z[:, chosen],
            table,
            latents=chosen,
            null=null,
            halves=halves,
            seed=int(seeds[1]),
        )
        for name in steps
    }
    constant = [table.names[k] for k in range(table.number) if k not in table.varying]
    notes = [f"{name} holds a single value and is left out" for name in constant]
    missing = np.isnan(table.values).sum(axis=0)
    notes += [
        f"{name} has no value in {count} of {len(z)} rows, which are left out for it"
        for name, count in zip(table.names, missing, strict=True)
        if count
    ]
    return Scores(
        metrics=found,
        codes=codes,
        latents=tuple(chosen),
        described=words(chosen, z.shape[1], codes),
        kinds=dict(zip(table.names, table.kinds, strict=True)),
        seed=seed_of(rng),
        notes=tuple(notes),
    )


def evaluate_metric(
    metric: Metric,
    protocol: str,
    codes: Float,
    factors: Factors,
    *,
    latents: Sequence[int] | None = None,
    null: int = 100,
    halves: int = HALVES,
    seed: int = 0,
) -> MetricScore:
    """Evaluate one metric; see :func:`evaluate_metrics`.

    Every call of the metric gets the same seed; permutations and halves depend on `seed` alone, so
    that two codes of the same rows are compared on the same halves.
    """
    parameters = metric.parameters(protocol)
    n, d = codes.shape
    if protocol in metric.refits:
        null, halves = min(null, FEW), min(halves, FEW)
    generator = np.random.default_rng(seed)
    orders = [generator.permutation(n) for _ in range(null)]
    parts = [np.sort(generator.permutation(n)[: n // 2]) for _ in range(halves)]
    noise = generator.standard_normal((n, d))
    reason, outcome = "", None
    try:
        outcome = measure(metric, codes, factors, rng=seed, protocol=protocol)
    except ValueError as error:
        reason = str(error)
    varying = factors.select(factors.varying) if factors.varying else factors
    null_values = half_values = np.empty(0)
    ceiling = None
    if outcome is not None:
        prepared, table = metric.prepare(codes, varying, parameters)
        null_values = _null(metric, prepared, table, parameters, orders, seed)
        tried = [_value(metric, codes[p], factors.take(p), seed, protocol) for p in parts]
        if None not in tried:  # a spread over some of the halves would not be that of all rows
            half_values = np.array(tried, dtype=np.float64)
        if varying.number <= d:
            perfect = np.concatenate([varying.codes(), noise[:, varying.number :]], axis=1)
            ceiling = _value(metric, perfect, factors, seed, protocol)
    return _score(
        metric, protocol, parameters, outcome, reason, null_values, half_values, ceiling,
        varying, range(d) if latents is None else latents,
    )  # fmt: skip


def compare_scores(one: MetricScore, two: MetricScore) -> tuple[float, float]:
    """Return how much more the second scores than the first, and the standard error of that.

    Both must be of the same rows and the same seed: the halves are paired.

    Raises
    ------
    ValueError
        When they are of different metrics, protocols or halves, or have no value.
    """
    if one.name != two.name:
        raise ValueError(f"{one.name} and {two.name} are not the same metric")
    if one.value is None or two.value is None:
        raise ValueError(f"{one.name} has no value: {one.reason or two.reason}")
    if len(one.half_values) != len(two.half_values) or len(one.half_values) < 2:
        raise ValueError(
            f"{one.name} was evaluated on {len(one.half_values)} and {len(two.half_values)} halves"
        )
    difference = two.half_values - one.half_values
    return two.value - one.value, float(np.std(difference, ddof=1))


def _null(
    metric: Metric,
    prepared: Any,
    table: Any,
    parameters: dict[str, Any],
    orders: list[Any],
    seed: int,
) -> Float:
    """Return the scores of permuted rows; none if one of them has no value."""
    try:
        found = [
            metric.compute(prepared[order], table, parameters, np.random.default_rng(seed)).value
            for order in orders
        ]
    except ValueError:
        return np.empty(0)
    return np.array(found, dtype=np.float64)


def _value(
    metric: Metric, codes: Float, factors: Factors, seed: int, protocol: str
) -> float | None:
    try:
        return measure(metric, codes, factors, rng=seed, protocol=protocol).value
    except ValueError:
        return None


def _score(
    metric: Metric,
    protocol: str,
    parameters: dict[str, Any],
    outcome: Outcome | None,
    reason: str,
    null: Float,
    halves: Float,
    ceiling: float | None,
    factors: Factors,
    latents: Iterable[int],
) -> MetricScore:
    value = outcome.value if outcome else None
    error = float(np.std(halves, ddof=1)) if len(halves) > 1 else None
    sign = 1 if metric.higher_is_better else -1
    ends: list[float | None] = [None, None]
    if value is not None and error is not None:
        low, high = metric.range(protocol)
        ends = [max(low, value - 1.96 * error), min(high, value + 1.96 * error)]
    beaten = None
    if value is not None and len(null):
        beaten = float((1 + np.sum(sign * null >= sign * value)) / (len(null) + 1))
    return MetricScore(
        metric=metric.name,
        protocol=protocol,
        parameters=parameters,
        value=value,
        parts=dict(outcome.parts) if outcome else {},
        standard_error=error,
        low=ends[0],
        high=ends[1],
        null=null,
        null_mean=float(np.mean(null)) if len(null) else None,
        null_bound=float(sign * np.quantile(sign * null, 0.95)) if len(null) else None,
        p_value=beaten,
        ceiling=ceiling,
        permutations=len(null),
        halves=len(halves),
        half_values=halves,
        factors=factors.names,
        per_factor=outcome.per_factor if outcome else None,
        per_latent=outcome.per_latent if outcome else None,
        matrix=outcome.matrix if outcome else None,
        matrix_name=outcome.matrix_name if outcome else "",
        latents=tuple(latents),
        higher_is_better=metric.higher_is_better,
        reading=metric.reading,
        source=metric.sources[protocol],
        reason=reason,
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value + 0.0:.3f}"


def score_table(scores: Sequence[MetricScore], described: str) -> Table:
    """Return the table of scores with floors and ceilings."""
    rows = []
    for m in scores:
        if m.value is None:
            rows.append((m.name, "none", "", "", "", m.reason))
            continue
        parts = ", ".join(f"{name} {value:.3f}" for name, value in m.parts.items())
        arrow = "" if m.higher_is_better else "lower is better"
        rows.append(
            (
                m.name,
                with_error(m.value, m.standard_error),
                _number(m.null_mean),
                _number(m.null_bound),
                _number(m.ceiling),
                "; ".join(word for word in (parts, arrow) if word),
            )
        )
    drawn = sorted({(m.permutations, m.halves) for m in scores if m.value is not None})
    numbers = " or ".join(f"{a} permutations and {b} halves" for a, b in drawn)
    return Table(
        columns=("metric@protocol", "score", "noise", "95%", "perfect", ""),
        rows=tuple(rows),
        title=f"Metrics of {described}",
        note="score ± one standard error, by random halves of the rows; noise: the mean, and what "
        "95% of it do not beat, when codes and factors are paired at random; perfect: the factors "
        f"themselves as codes, beside noise; {numbers}",
    )


def factor_table(scores: Sequence[MetricScore]) -> Table:
    """Return the scores of single factors."""
    shown = [m for m in scores if m.per_factor is not None]
    names = list(dict.fromkeys(name for m in shown for name in m.factors))
    rows = []
    for m in shown:
        each = dict(zip(m.factors, np.asarray(m.per_factor), strict=True))
        rows.append((m.name, *(_number(float(each[n])) if n in each else "" for n in names)))
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
