"""score(): every section that the input allows in one call, opened by a verdict."""

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from disentangle_indicators._array import Array, generator, seed_of
from disentangle_indicators._doubts import doubts
from disentangle_indicators._errors import Undefined
from disentangle_indicators._given import file_of
from disentangle_indicators._indicators import indicators, of_clusters, of_encodings, of_sample
from disentangle_indicators._indicators_result import Indicators
from disentangle_indicators._progress import Progress
from disentangle_indicators._provenance import Input, Provenance
from disentangle_indicators._row_sample import OF_SAMPLE
from disentangle_indicators._scorecard_result import PARTS, Scorecard
from disentangle_indicators._sections import (
    POINTS,
    SECTIONS,
    Asked,
    announcement,
    covariance_left_out,
    is_large,
    of_theorems,
)
from disentangle_indicators.distance import Distance, distance, narrowed
from disentangle_indicators.means import MeansOnly, means_only
from disentangle_indicators.moments import Moments
from disentangle_indicators.posteriors import Batches, Encodings
from disentangle_indicators.states import USED
from disentangle_indicators.summary import Summary, is_summary
from disentangle_indicators.verdict import verdict

if TYPE_CHECKING:
    from disentangle_indicators.aggregate import Joint, Marginals
    from disentangle_indicators.supervised import MetricOptions

__all__ = ["SECTIONS", "Scorecard", "score"]

_log = logging.getLogger("disentangle_indicators")


SHARD_TWICE = "Or a shard was summed up twice: once more under another name, or in another order."


def score(
    mean: "Array | Encodings | Summary | str | os.PathLike[str]" = None,
    *unnamed: Array,
    var: Array = None,
    std: Array = None,
    logvar: Array = None,
    logstd: Array = None,
    batches: Batches | None = None,
    moments: Moments | None = None,
    factors: Any = None,
    factor_names: Sequence[str] | None = None,
    kinds: Mapping[str, str] | Sequence[str] | None = None,
    labels: Any = None,
    clusters: Any = None,
    order: Any = None,
    prior_mean: Any = None,
    prior_var: Any = None,
    name: str = "",
    threshold: float = USED,
    marginals: bool | None = None,
    joint: bool | int | None = None,
    certify: bool = False,
    covariance: bool | None = None,
    metrics: "str | Iterable[str] | MetricOptions | None" = None,
    theorems: bool = False,
    rng: np.random.Generator | int = 0,
    threads: int | None = None,
    progress: Progress | None = None,
    **unknown: Any,
) -> Scorecard:
    """Score the encodings of a VAE: which latents are used, and what can be trusted.

    Parameters
    ----------
    mean : array, shape (n, d), Encodings, Summary, distribution, or path
        Posterior means: numpy, torch on any device, or anything that numpy can read. Or what
        ``read_encodings`` returns, which has its variances, factors and clusters with it. Or the
        path of a file that ``read_encodings`` reads without further arguments; or what
        ``np.load`` returns of such a file; or a Normal or Independent distribution. Or a
        Summary of rows that were not kept, or its file, which give the indicators, the marginals,
        the joint of a sample of the rows, and the verdict.
    *unnamed
        Refused: an array beside the means needs the name of its scale.
    var, std, logvar, logstd : array, shape (n, d)
        The width of the posteriors; give one, under its right name. With none, only the
        variances of the means are looked at.
    batches : callable, optional
        In place of the arrays: gives a fresh iterator over (mean, var) batches at each call. A
        list of batches will do.
    moments : Moments, optional
        In place of the arrays: sums over rows, in units of the prior. They give the indicators
        and the verdict. Everything else needs the rows.
    factors : array or data frame, shape (n, k), optional
        Ground-truth factors: numbers, text, categories, truth values; missing where nan or empty.
    factor_names : sequence of str, optional
    kinds : sequence, or dict by name, of str, optional
        Of the factors, where they are not what they look like; see
        :func:`~disentangle_indicators.factors.as_table`.
    labels : array, shape (n,), optional
        Class labels; described like a factor, and used as one where there are no factors.
    clusters : array, shape (n,), optional
        Rows of one cluster depend on each other and count as one draw.
    order : array, shape (n,), optional
        Time of each row of a series, cut into blocks that serve as clusters.
    prior_mean, prior_var : float or array, shape (d,), optional
        The Gaussian prior, N(0, 1) by default; results are in its units.
    name : str
        What to call the encodings; printed and stored.
    threshold : float
        Least information of a used latent, in nats.
    marginals : bool, optional
        Whether to compute the exact marginals of the aggregated posterior, which rank the
        latents. By default where about 1e-6 (n + 10,000) d seconds are at most ten; of more rows
        in one pass, if d is at most 1024.
    joint : bool or int, optional
        Whether to estimate I(x; z), the total correlation and KL(q(z) || p) as well; a number
        gives the Monte Carlo points s, 4,096 by default. By default where the marginals and about
        1.5e-9 s (n (40 + d) + 1300 d) seconds are at most ten together; ``reasons["joint"]`` of
        the scorecard says what was left out.
    certify : bool
        Whether to bound I(x; z) of these rows by sums over all pairs, at a cost of n^2 d.
    covariance : bool, optional
        Whether to compute the indicators of the covariance of all latents, in about 8e-10 d^3
        seconds and 64 d^2 bytes. By default where d is at most 1024.
    metrics : "all", names, or MetricOptions, optional
        Supervised metrics of codes and factors, each with its null, ceiling and error.
    theorems : bool
        Whether to say which assumptions of the paper's theorems these rows meet, where the joint
        of all rows is computed; pairs of latents are not turned.
    rng : numpy.random.Generator or int
        Seed of everything that is drawn.
    threads : int, optional
        Threads over blocks of rows, and over latents. No number depends on it.
    progress : callable, optional
        Wraps loops, given an iterable, a description and its length.
    **unknown
        Refused: other names of the scales are not guessed.

    Returns
    -------
    Scorecard
        Its repr is the table; ``to_json``, ``to_frame`` and attribute access give the numbers.

    Raises
    ------
    TypeError
        On an unknown argument.
    ValueError
        On more than one scale, on arrays that do not belong together, and on entries that are
        not finite or variances that are not positive; the message names the first one.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> mean = rng.normal(size=(1000, 2)) * [0.9, 0.0]
    >>> card = score(mean, logvar=np.log(np.broadcast_to([0.19, 1.0], (1000, 2))))
    >>> print(card.verdict["USED"])
    1 of 2 latents is used: above 0.5 nats of information; 1 is unused. The count is the same for any threshold below 0.844.
    """
    if unnamed:
        raise ValueError(
            "the second array needs the name of its scale: give it as var=, std=, logvar= or "
            "logstd="
        )
    if unknown:
        raise TypeError(
            f"score() has no argument {next(iter(unknown))!r}; posteriors are given as var=, std=, "
            "logvar= or logstd="
        )
    rows = {"var": var, "std": std, "logvar": logvar, "logstd": logstd, "batches": batches}
    rows |= {"factors": factors, "labels": labels, "clusters": clusters, "order": order}
    rows |= {"metrics": metrics, "certify": certify or None, "covariance": covariance}
    rows |= {"theorems": theorems or None}
    if joint is not None and not isinstance(joint, (bool, int, np.integer)):
        raise ValueError(f"joint must be True, False, None or a number of points; got {joint!r}")
    points = POINTS if joint is None or isinstance(joint, bool) else int(joint)
    wanted = None if joint is None else bool(joint)
    mean = _opened(mean)
    if isinstance(mean, Summary):
        priors = {"prior_mean": prior_mean, "prior_var": prior_var, "moments": moments}
        _refuse_beside("sums stand", rows | priors)
        asked = Asked(threshold, marginals, wanted, points, False, None, rng)
        return _of_summary(mean, name, asked)
    if moments is not None:
        rows |= {"mean": mean, "marginals": marginals or None, "joint": joint or None}
        _refuse_beside("moments= stand", rows)
        return _of_moments(
            indicators(
                moments=moments,
                threshold=threshold,
                prior_mean=prior_mean,
                prior_var=prior_var,
            ),
            name,
        )
    encodings = Encodings.of(
        mean,
        var,
        std=std,
        logvar=logvar,
        logstd=logstd,
        batches=batches,
        factors=factors,
        factor_names=factor_names,
        kinds=kinds,
        labels=labels,
        clusters=clusters,
        order=order,
        prior_mean=prior_mean,
        prior_var=prior_var,
        name=name,
        threads=threads,
        progress=progress,
    )
    if metrics is not None and encodings.factors is None and encodings.labels is None:
        raise ValueError("metrics need ground-truth factors or labels; there are none")
    generator(rng)  # refuses what is no seed
    asked = Asked(threshold, marginals, wanted, points, certify, _options(metrics), rng)
    long = announcement(
        encodings, marginals=marginals, joint=joint, certify=certify, covariance=covariance
    )
    if long:
        _log.warning(long)
    reasons: dict[str, str] = {}
    without = covariance_left_out(encodings, covariance)
    if without and not encodings.means_only:
        reasons["covariance"] = without
    result = (
        means_only(encodings)
        if encodings.means_only
        else of_encodings(encodings, threshold, covariance=not without)
    )
    found: dict[str, Any] = dict.fromkeys(PARTS)
    for section, compute in SECTIONS.items():
        try:
            found[section] = compute(encodings, asked)
        except Undefined as refusal:
            reasons[section] = str(refusal)
    if theorems:
        try:
            found["theorems"] = of_theorems(encodings, result, found["joint"], asked)
        except Undefined as refusal:
            reasons["theorems"] = str(refusal)
    whole = bool(marginals or wanted) or not is_large(encodings)
    return Scorecard(
        name=encodings.name,
        source=encodings.source,
        verdict=_verdict(encodings, result, found["marginals"], found["joint"], whole=whole),
        distance=_distance(result, found),
        result=result,
        **found,
        reasons=reasons,
        factors=_described(encodings),
        notes=(*encodings.notes, *_missing(encodings, asked)),
        encodings=encodings,
        provenance=_provenance(encodings, asked, found["joint"], theorems=theorems),
    )


def _refuse_beside(what: str, rows: dict[str, Any]) -> None:
    given = ", ".join(name for name, value in rows.items() if value is not None)
    if given:
        raise ValueError(f"{what} for the rows; they exclude {given}")


def _of_summary(summary: Summary, name: str, asked: Asked) -> Scorecard:
    """Return the scorecard of sums over rows that were not kept, with the joint of their sample."""
    moments, priors = summary.moments, (summary.prior_mean, summary.prior_var)
    if summary.clusters is None:
        some = summary.sample.mean, summary.sample.var
        result = of_sample(moments, *some, asked.threshold, *priors)
    else:
        result = of_clusters(moments, summary.clusters, asked.threshold, *priors)
    found: dict[str, Any] = dict.fromkeys(PARTS)
    reasons: dict[str, str] = {}
    if summary.moments.scatter is None:
        reasons["covariance"] = f"sums of {result.d} latents are kept without it"
    if summary.clusters is not None:
        asked_for = {"marginals": asked.marginals, "joint": asked.joint}
        left_out = [section for section, value in asked_for.items() if value is not False]
        reasons |= dict.fromkeys(left_out, "errors of clusters need all rows at once")
    else:
        found |= _beside_sums(summary, asked, reasons)
    lines = verdict(result, found["marginals"], found["joint"])
    names = tuple(part.name or "rows" for part in summary.parts)
    count = len(names)
    return Scorecard(
        name=name or (names[0] if count == 1 else ""),
        source=f"{_sums_over(result)}, of {count} part{'s' * (count > 1)}",
        verdict=_checked(lines, _repeated(summary)),
        distance=_distance(result, found),
        result=result,
        **found,
        reasons=reasons,
        factors=(),
        notes=(),
        encodings=None,
        provenance=Provenance(
            "disentangle_indicators.score",
            tuple(map(Input, names)),
            {
                "threshold": asked.threshold,
                "prior_mean": summary.prior_mean,
                "prior_var": summary.prior_var,
                "sha256 of row hashes": [part.digest for part in summary.parts],
            },
        ),
    )


def _sums_over(result: Indicators | MeansOnly) -> str:
    """Return the words on how many rows and latents were summed up."""
    rows, latents = (
        f"{k} {what}{'s' * (k != 1)}" for k, what in ((result.n, "row"), (result.d, "latent"))
    )
    return f"sums over {rows} of {latents}"


def _repeated(summary: Summary) -> tuple[str, ...]:
    """Return the sentences on copies of rows among those that are kept; equal rows are kept together."""
    if summary.clusters is not None:
        return ()
    notes = Encodings.of(summary.sample.mean, summary.sample.var).copy_notes
    return (
        (*(f"Of the rows that are kept, {note}" for note in notes), SHARD_TWICE) if notes else ()
    )


def _beside_sums(summary: Summary, asked: Asked, reasons: dict[str, str]) -> dict[str, Any]:
    """Return the marginals, and the joint of some rows."""
    exact = None if asked.marginals is False else summary.marginals
    sample = Encodings.of(summary.sample.mean, summary.sample.var)
    joint: Any = None
    try:
        joint = SECTIONS["joint"](sample, asked)
    except Undefined as refusal:
        reasons["joint"] = str(refusal)
    if joint is not None and sample.n < summary.n:
        some = f"{OF_SAMPLE} {sample.n} rows, drawn by a hash of their numbers from {summary.n}."
        joint = replace(joint, dependence=some)
    return {"marginals": exact, "joint": joint}


def _distance(result: Indicators | MeansOnly, found: dict[str, Any]) -> Distance | None:
    """Return what all sections know of the distance, and give its ranges to the joint among them."""
    if isinstance(result, MeansOnly):
        return None
    known = distance(result, found["marginals"], found["joint"])
    if found["joint"] is not None:
        found["joint"] = narrowed(found["joint"], known)
    return known


def _of_moments(result: Indicators, name: str) -> Scorecard:
    """Return the scorecard of sums over rows."""
    none: dict[str, Any] = dict.fromkeys(PARTS)
    return Scorecard(
        name=name,
        source=_sums_over(result),
        verdict=verdict(result),
        distance=distance(result),
        result=result,
        **none,
        reasons={"marginals": "they need the rows"},
        factors=(),
        notes=(),
        encodings=None,
        provenance=Provenance(
            "disentangle_indicators.score", (Input("moments"),), {"threshold": result.threshold}
        ),
    )


def _opened(mean: Any) -> Any:
    """Open a path, or the file of an archive of numpy."""
    path = file_of(mean)
    if path is None:
        return mean
    if is_summary(path):
        return Summary.load(path)
    from disentangle_indicators.encodings import AmbiguousEncodings, read_encodings

    try:
        return read_encodings(path)
    except AmbiguousEncodings as error:
        raise AmbiguousEncodings(
            f"{error} to read_encodings, whose result score() takes"
        ) from error


def _verdict(
    encodings: Encodings,
    result: Indicators | MeansOnly,
    exact: "Marginals | None",
    joint: "Joint | None",
    *,
    whole: bool,
) -> dict[str, str]:
    """Return the verdict; where the input is in doubt, that is to be checked in place of DO.

    Copies of rows are looked for in all rows at once, and not where there are too many to hold.
    """
    found = encodings.copy_notes if whole else ()
    if isinstance(result, Indicators):
        found += (doubts(encodings, result),)
    return _checked(verdict(result, exact, joint), found)


def _checked(lines: dict[str, str], doubtful: Iterable[str]) -> dict[str, str]:
    """Return the verdict with what is to be checked in place of DO, if there is anything."""
    text = " ".join(sentence for sentence in doubtful if sentence)
    if not text:
        return lines
    return {"CHECK": text, **{key: line for key, line in lines.items() if key != "DO"}}


def _options(metrics: "str | Iterable[str] | MetricOptions | None") -> "MetricOptions | None":
    """Return the options of metrics that are asked for by name."""
    if metrics is None:
        return None
    from disentangle_indicators.supervised import MetricOptions

    return metrics if isinstance(metrics, MetricOptions) else MetricOptions(metrics)


def _described(encodings: Encodings) -> tuple[dict[str, Any], ...]:
    """Describe the factors, and the labels like one more."""
    factors = () if encodings.factors is None else encodings.factors.describe()
    if encodings.labels is None:
        return tuple(factors)
    return (*factors, *encodings.label_factor().describe())


def _missing(encodings: Encodings, asked: Asked) -> tuple[str, ...]:
    """Return what to ask about values of factors; with metrics these have the notes."""
    if encodings.factors is None or asked.metrics is not None:
        return ()
    return encodings.factors.missing_notes


def _provenance(
    encodings: Encodings, asked: Asked, joint: "Joint | None", *, theorems: bool
) -> Provenance:
    parameters = {
        "threshold": asked.threshold,
        "prior_mean": encodings.prior_mean,
        "prior_var": encodings.prior_var,
        "marginals": asked.marginals,
        "joint_points": None if joint is None else joint.points,
        "certify": asked.certify,
        "metrics": None if asked.metrics is None else asked.metrics.to_dict(),
        "theorems": theorems,
    }
    drawn = joint is not None or asked.metrics is not None
    seed = seed_of(asked.rng) if drawn else None
    return Provenance("disentangle_indicators.score", encodings.inputs, parameters, seed)
