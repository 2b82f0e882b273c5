r"""Scores of metrics, each with what it is read against: its null, its ceiling, its standard error.

* The null: the score with the rows of the codes shuffled, which keeps the distribution of codes and
  of factors and destroys their dependence. With clusters, each gets the factors of another one.
* The ceiling: the score of a perfect code with a trace of noise, padded with noise latents, under
  the same protocol and with the same factors. The factors themselves would be a code with as many
  ties as the factors have, which no encoder has.
* The standard error: the standard deviation over random halves of the rows, or of the clusters. For
  half samples this is the delete-half jackknife, whose factor m / (n - m) is 1; the randomness of
  the metric is in it. A half keeps what follows from the number of rows: which rows are fitted and
  which are scored, and from where on information is no chance.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from disentangle_indicators._array import Array, Float, generator, seed_of
from disentangle_indicators._binning import Index
from disentangle_indicators._clusters import widening
from disentangle_indicators._errors import Undefined
from disentangle_indicators._provenance import Provenance
from disentangle_indicators.factors import Factors
from disentangle_indicators.posteriors import Encodings
from disentangle_indicators.states import USED
from disentangle_indicators.supervised._evaluation_result import MetricScore, Scores
from disentangle_indicators.supervised._metric import Metric, Outcome, measure, varying
from disentangle_indicators.supervised._options import (
    HALVES,
    PERMUTATIONS,
    MetricOptions,
    check_numbers,
)
from disentangle_indicators.supervised._resamples import (
    half_scores,
    null_of_clusters,
    null_scores,
    perfect_code,
    score_or_none,
)
from disentangle_indicators.supervised._splits import (
    arrangements,
    cluster_notes,
    half_samples,
    shuffles,
    spread,
)

__all__ = ["compare_scores", "evaluate", "evaluate_metric", "evaluate_metrics"]

FEW, FEW_HALVES = 5, 8
"""Permutations and halves of a protocol that refits."""

Chosen = Mapping[str, tuple[Metric, str]]
"""Metrics and protocols by metric@protocol."""


def evaluate_metrics(
    metrics: str | Iterable[str] | Chosen,
    mean: "Array | Encodings",
    factors: Any = None,
    *,
    protocol: str | None = None,
    permutations: int = PERMUTATIONS,
    halves: int = HALVES,
    codes: str = "mean",
    latents: str = "used",
    threshold: float = USED,
    rng: np.random.Generator | int = 0,
    **data: Any,
) -> Scores:
    """Evaluate metrics of one code, each with its null, its ceiling and its standard error.

    Parameters
    ----------
    metrics : "all", names, or dict of str to (Metric, protocol)
    mean : array, shape (n, d), or Encodings
    factors : Factors, or whatever :func:`~disentangle_indicators.supervised.as_table` takes
    protocol, permutations, halves, codes, latents
        As in :class:`MetricOptions`.
    threshold : float
        Nats of a used latent.
    rng : numpy.random.Generator or int
    **data
        `var`, `clusters`, `kinds`, `factor_names` and `progress`, as
        :meth:`~disentangle_indicators.Encodings.of` takes them.

    Returns
    -------
    Scores

    Raises
    ------
    ValueError
        As :func:`evaluate` and :class:`MetricOptions`.
    """
    encodings = Encodings.of(mean, factors=factors, **data)
    if isinstance(metrics, Mapping):
        options = MetricOptions("all", None, permutations, halves, codes, latents)
        return _evaluate(encodings, metrics, options, (), threshold, rng)
    options = MetricOptions(metrics, protocol, permutations, halves, codes, latents)
    return evaluate(encodings, options, threshold=threshold, rng=rng)


def evaluate(
    encodings: Encodings,
    options: MetricOptions,
    *,
    threshold: float = USED,
    rng: np.random.Generator | int = 0,
) -> Scores:
    """Evaluate the metrics that options name.

    Parameters
    ----------
    encodings : Encodings
        With factors, or with labels in their place. Posterior variances decide which latents are
        used, and allow samples. With clusters, standard errors are of halves of the clusters, and
        nulls give each cluster the factors of another one.
    options : MetricOptions
    threshold : float
        Nats of a used latent.
    rng : numpy.random.Generator or int

    Returns
    -------
    Scores
        A metric that is Undefined for these data has no value there, and a reason.

    Raises
    ------
    Undefined
        When there are no factors, when no latent is used, and when no factor varies.

    Examples
    --------
    >>> import numpy as np
    >>> factors = np.stack(np.divmod(np.arange(400) % 16, 4), axis=1)
    >>> perfect = Encodings.of(factors, factors=factors)
    >>> scores = evaluate(perfect, MetricOptions("mig", permutations=9, halves=4))
    >>> round(scores.metrics["mig@default"].value, 6)
    1.0
    """
    chosen, notes = options.chosen()
    return _evaluate(encodings, chosen, options, notes, threshold, rng)


def _evaluate(
    encodings: Encodings,
    metrics: Chosen,
    options: MetricOptions,
    notes: tuple[str, ...],
    threshold: float,
    rng: np.random.Generator | int = 0,
) -> Scores:
    seeds = generator(rng).integers(2**31, size=3)
    table = encodings.targets()
    varying(table)
    z = encodings.codes(options.codes, int(seeds[0]))
    count, groups = encodings.cluster_codes or (None, None)
    chosen = encodings.used(options.latents, threshold)
    steps: Iterable[str] = metrics
    if encodings.progress is not None:
        steps = encodings.progress(metrics, "metrics", len(metrics))
    found = {
        name: evaluate_metric(
            *metrics[name],
            z[:, chosen],
            table,
            latents=chosen,
            permutations=options.permutations,
            halves=options.halves,
            clusters=groups,
            seed=int(seeds[1]),
        )
        for name in steps
    }
    codes = "posterior means" if options.codes == "mean" else "one sample of each posterior"
    return Scores(
        metrics=found,
        codes=options.codes,
        latents=tuple(chosen),
        described=f"{codes}, {encodings.described(chosen)}",
        kinds=dict(zip(table.names, table.kinds, strict=True)),
        guessed=table.guessed,
        seed=seed_of(rng),
        notes=(
            *notes,
            *factor_notes(table),
            *cluster_notes(groups, shuffles(len(z), 0, groups, np.random.default_rng(0))[1]),
            *(note.rstrip(".") for note in encodings.copy_notes),
            *arrangement_notes(arrangements(table, groups), options.permutations),
        ),
        n_clusters=count,
        provenance=Provenance(
            "disentangle_indicators.supervised.evaluate",
            encodings.inputs,
            {**options.to_dict(), "threshold": threshold},
            seed_of(rng),
        ),
    )


def arrangement_notes(number: float, permutations: int) -> tuple[str, ...]:
    """Return that the clusters are so few that their permutations bound p-values."""
    if number > permutations:
        return ()
    ways = f"the factors can be given to the clusters in {number:.0f} ways"
    return (f"{ways}, so that no p-value can be below {1 / number:.2g}",)


def factor_notes(factors: Factors) -> tuple[str, ...]:
    """Return which factors are constant, which lack values, and which may be something else."""
    constant = [name for k, name in enumerate(factors.names) if k not in factors.varying]
    notes = [f"{name} holds a single value and is left out" for name in constant]
    missing = np.isnan(factors.values).sum(axis=0)
    notes += [
        f"{name} has no value in {count} of {len(factors)} rows, which are left out for it"
        for name, count in zip(factors.names, missing, strict=True)
        if count
    ]
    return (*notes, *factors.notes)


def evaluate_metric(
    metric: Metric,
    protocol: str,
    codes: Float,
    factors: Factors,
    *,
    latents: Sequence[int] | None = None,
    permutations: int = PERMUTATIONS,
    halves: int = HALVES,
    clusters: Index | None = None,
    seed: int = 0,
) -> MetricScore:
    """Evaluate one metric; see :func:`evaluate`. `clusters` are numbers 0, 1, ...

    Every call of the metric gets the same seed; permutations and halves depend on `seed` alone, so
    that two codes of the same rows are compared on the same halves.
    """
    check_numbers(permutations, halves)
    parameters = metric.parameters(protocol)
    n, d = codes.shape
    draws = n if clusters is None else int(clusters.max()) + 1
    if protocol in metric.refits:
        permutations, halves = min(permutations, FEW), min(halves, FEW_HALVES)
    drawing = generator(seed)
    # one at least: the first permutation is the order in which metrics shuffle rows
    orders, exact = shuffles(n, max(permutations, 1), clusters, drawing)
    orders = orders[:permutations]
    parts = half_samples(n, halves, clusters, drawing)
    noise = drawing.standard_normal((n, d))
    if clusters is not None and draws < n:  # half of its variance is between clusters
        noise += drawing.standard_normal((draws, d))[clusters]
        noise /= np.sqrt(2)
    reason, outcome = "", None
    try:
        outcome = measure(metric, codes, factors, rng=seed, protocol=protocol)
    except Undefined as undefined:
        reason = str(undefined)
    present = factors.select(factors.varying) if factors.varying else factors
    null_values = half_values = np.empty(0)
    ceiling = None
    if outcome is not None:
        null_values = (null_scores if exact else null_of_clusters)(
            metric, codes, present, parameters, orders, seed
        )
        half_values = half_scores(metric, codes, present, parameters, parts, seed)
        if present.number <= d:
            ceiling = score_or_none(metric, perfect_code(present, noise), factors, seed, protocol)
    return _score(
        metric, protocol, outcome, reason, null_values, half_values, ceiling, present,
        n=n,
        draws=draws,
        latents=range(d) if latents is None else latents,
    )  # fmt: skip


def compare_scores(one: MetricScore, two: MetricScore) -> tuple[float, float]:
    """Return how much more the second scores than the first, and the standard error of that.

    Both must be of the same rows and the same seed: the halves are paired.

    Raises
    ------
    ValueError
        When they are of different metrics or protocols.
    Undefined
        When one has no value, or they have no halves in common.
    """
    if one.name != two.name:
        raise ValueError(f"{one.name} and {two.name} are not the same metric")
    if one.value is None or two.value is None:
        raise Undefined(f"{one.name} has no value: {one.reason or two.reason}")
    if len(one.half_values) == len(two.half_values):
        error = spread(two.half_values - one.half_values, one.draws, curved=one.curved)
        if error is not None:
            return two.value - one.value, error
    raise Undefined(
        f"{one.name} was evaluated on {len(one.half_values)} and {len(two.half_values)} halves"
    )


def _score(
    metric: Metric,
    protocol: str,
    outcome: Outcome | None,
    reason: str,
    null: Float,
    halves: Float,
    ceiling: float | None,
    factors: Factors,
    *,
    n: int,
    draws: int,
    latents: Iterable[int],
) -> MetricScore:
    value = outcome.value if outcome else None
    error = spread(halves, draws, curved=metric.curved)
    sign = 1 if metric.higher_is_better else -1
    ends: list[float | None] = [None, None]
    if value is not None and error is not None:
        low, high = metric.range(protocol)
        reach = 1.96 * widening(min(draws, len(halves))) * error
        ends = [max(low, value - reach), min(high, value + reach)]
    beaten = None
    if value is not None and len(null):
        beaten = float((1 + np.sum(sign * null >= sign * value)) / (len(null) + 1))
    return MetricScore(
        metric=metric.name,
        protocol=protocol,
        parameters=metric.parameters(protocol),
        n=n,
        draws=draws,
        curved=metric.curved,
        value=value,
        parts=dict(outcome.parts) if outcome else {},
        standard_error=error,
        low=ends[0],
        high=ends[1],
        null=null,
        null_mean=float(np.mean(null)) if len(null) else None,
        null_95=float(sign * np.quantile(sign * null, 0.95)) if len(null) else None,
        p_value=beaten,
        ceiling=ceiling,
        permutations=len(null),
        halves=len(halves),
        half_values=halves,
        factors=factors.names,
        per_factor=outcome.per_factor if outcome else None,
        per_factor_name=outcome.per_factor_name if outcome else "",
        per_latent=outcome.per_latent if outcome else None,
        matrix=outcome.matrix if outcome else None,
        matrix_name=outcome.matrix_name if outcome else "",
        latents=tuple(latents),
        higher_is_better=metric.higher_is_better,
        reading=metric.reading,
        source=metric.sources[protocol],
        reason=reason,
    )
