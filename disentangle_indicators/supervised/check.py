"""One metric of one code under every protocol: which of them reach a claimed number."""

from typing import Any

import numpy as np

from disentangle_indicators._array import Array, generator, seed_of
from disentangle_indicators._clusters import widening
from disentangle_indicators._errors import Undefined
from disentangle_indicators._provenance import Provenance
from disentangle_indicators.posteriors import CODES, LATENTS, Encodings
from disentangle_indicators.states import USED
from disentangle_indicators.supervised._check_result import Attempt, Check, sentence
from disentangle_indicators.supervised._metric import Metric, measure, varying
from disentangle_indicators.supervised._options import check_numbers
from disentangle_indicators.supervised._resamples import half_scores
from disentangle_indicators.supervised._splits import half_samples, spread

__all__ = ["check_claim"]


def check_claim(
    metric: Metric,
    mean: "Array | Encodings",
    factors: Any = None,
    *,
    claimed: float | None = None,
    threshold: float = USED,
    halves: int = 6,
    slow: bool = False,
    rng: np.random.Generator | int = 0,
    **data: Any,
) -> Check:
    """Compute a metric under all its protocols, of means and samples, of used and all latents.

    Parameters
    ----------
    metric : Metric
    mean : array, shape (n, d), or Encodings
        Without variances there are no samples. With clusters, standard errors are of halves of
        the clusters.
    factors : Factors, or whatever :func:`~disentangle_indicators.supervised.as_table` takes
    claimed : float, optional
        The number to be reached: the score at least, for a metric where lower is better at most.
    threshold : float
        Nats of a used latent.
    halves : int
        Half samples for the standard error.
    slow : bool
        Whether to take protocols that need minutes.
    rng : numpy.random.Generator or int
    **data
        `var`, `clusters`, `kinds`, `factor_names` and `progress`, as
        :meth:`~disentangle_indicators.Encodings.of` takes them.

    Returns
    -------
    Check

    Raises
    ------
    ValueError
        On arrays that do not belong together, and on a claim that no protocol can have.
    Undefined
        When there are no factors, and when no factor varies.
    """
    check_numbers(0, halves)
    _check_claimed(metric, claimed)
    encodings = Encodings.of(mean, factors=factors, **data)
    seeds = [int(seed) for seed in generator(rng).integers(2**31, size=3)]
    table = encodings.targets()
    present = varying(table)
    draws, groups = encodings.cluster_codes or (encodings.n, None)
    parts = half_samples(encodings.n, halves, groups, generator(seeds[2]))
    ways = [
        (protocol, codes, latents)
        for protocol in metric.protocols
        if slow or protocol not in metric.slow
        for codes in CODES[: 1 if encodings.means_only else 2]
        for latents in LATENTS
    ]
    progress = encodings.progress
    attempts = []
    for protocol, codes, latents in (
        ways if progress is None else progress(ways, "protocols", len(ways))
    ):
        value, error, reason = None, None, ""
        z = encodings.codes(codes, seeds[0])
        try:
            z = z[:, encodings.used(latents, threshold)]
            value = measure(metric, z, table, rng=seeds[1], protocol=protocol).value
            tried = half_scores(metric, z, present, metric.parameters(protocol), parts, seeds[1])
            error = spread(tried, draws, curved=metric.curved)
        except Undefined as undefined:
            reason = str(undefined)
        margin = 2 * widening(draws) * error if error else 0.0
        reached = _reached(metric, value, margin, claimed)
        kept = "active" if encodings.means_only and latents == "used" else latents
        attempts.append(Attempt(protocol, codes, kept, value, error, reached, reason))
    count = sum(attempt.reached is True for attempt in attempts)
    tried_all = sum(attempt.value is not None for attempt in attempts)
    note = "standard errors are of halves of the clusters"
    if groups is None:
        note = "rows are taken as independent"
    return Check(
        metric.name,
        claimed,
        tuple(attempts),
        count,
        tried_all,
        sentence(metric.title, attempts, claimed, count, tried_all),
        (note,),
        encodings.name,
        encodings.source,
        provenance=Provenance(
            "disentangle_indicators.supervised.check_claim",
            encodings.inputs,
            {"metric": metric.name, "claimed": claimed, "halves": halves, "threshold": threshold},
            seed_of(rng),
        ),
    )


def _check_claimed(metric: Metric, claimed: float | None) -> None:
    """Refuse a claim outside the range of every protocol, such as a percentage."""
    low = min(metric.range(protocol)[0] for protocol in metric.protocols)
    high = max(metric.range(protocol)[1] for protocol in metric.protocols)
    if claimed is None or low <= claimed <= high:
        return
    meant = f" (did you mean {claimed / 100:g}?)" if low <= claimed / 100 <= high else ""
    raise ValueError(
        f"claimed must be between {low:g} and {high:g}, the range of {metric.name}; "
        f"got {claimed:g}{meant}"
    )


def _reached(
    metric: Metric, value: float | None, margin: float, claimed: float | None
) -> bool | None:
    if value is None or claimed is None:
        return None
    sign = 1 if metric.higher_is_better else -1
    return bool(sign * (value - claimed) >= -margin)
