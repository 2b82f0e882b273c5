"""score(): everything that the input allows in one call, opened by a verdict in three sentences."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from disentangle_indicators._array import (
    Array,
    as_mean,
    as_pair,
    on_host,
    one_scale,
    row_blocks,
    to_numpy,
    variance,
)
from disentangle_indicators._progress import Progress
from disentangle_indicators._result import Block, Result, plain
from disentangle_indicators._source import Batches, as_batches, in_prior_units
from disentangle_indicators._tables import definition_table, latent_table
from disentangle_indicators.aggregate import Certificate, Joint, Marginals
from disentangle_indicators.aggregate import certify as certify_
from disentangle_indicators.aggregate import joint as joint_
from disentangle_indicators.aggregate import marginals as marginals_
from disentangle_indicators.evaluate import Indicators, indicators
from disentangle_indicators.means import MeansOnly, means_only
from disentangle_indicators.states import USED
from disentangle_indicators.verdict import verdict

if TYPE_CHECKING:
    import pandas as pd

    from disentangle_indicators.supervised import Scores

__all__ = ["Scorecard", "score"]

_ROWS = 1 << 16

LARGE = 10_000_000
"""(n + 10,000) d above which the exact marginals are left out unless asked for: ten seconds."""


@dataclass(frozen=True, eq=False, repr=False)
class Scorecard(Result):
    """The result of :func:`score`: a verdict, the indicators, and what came with the encodings.

    `verdict` maps USED, PRIOR and TRUST to one sentence each. `result` is an
    :class:`Indicators`, or a :class:`MeansOnly` where no variances were given; its fields can be
    read from the scorecard itself. `marginals`, `joint` and `certificate` describe the aggregated
    posterior itself, and are None where they were left out; `left_out` says why the marginals
    were, unless that was asked for. `factors` says what ground truth came along. `batches` gives
    the encodings once more, in units of the prior, and `clusters` is what was given.

    Examples
    --------
    >>> import numpy as np
    >>> card = score(np.array([[1.0, 0.0], [-1.0, 0.0]]), var=np.full((2, 2), 0.5))
    >>> card.used, sorted(card.verdict)
    (1, ['PRIOR', 'TRUST', 'USED'])
    """

    schema: ClassVar[str] = "dindic.score/1"

    name: str
    source: str
    verdict: dict[str, str]
    result: Indicators | MeansOnly
    marginals: Marginals | None
    joint: Joint | None
    certificate: Certificate | None
    metrics: "Scores | None"
    left_out: str
    factors: tuple[dict[str, Any], ...]
    notes: tuple[str, ...]
    batches: Batches | None
    clusters: Any

    def __getattr__(self, name: str) -> Any:
        """Read a field of the indicators."""
        if not name.startswith("_") and name != "result" and hasattr(self.result, name):
            return getattr(self.result, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        """List the fields of the indicators too."""
        return sorted({*super().__dir__(), *(f.name for f in fields(self.result))})

    def __getstate__(self) -> dict[str, Any]:
        """Leave the encodings behind when pickled."""
        return {**self.__dict__, "batches": None}

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values: the indicators at the top, with verdict and factors."""
        return {
            **self.result.to_dict(),
            "schema": self.schema,
            "name": self.name,
            "source": self.source,
            "verdict": dict(self.verdict),
            "left_out": self.left_out,
            **{name: _part(getattr(self, name)) for name in PARTS},
            "factors": plain(self.factors),
            "notes": list(self.notes),
        }

    def to_frame(self) -> "pd.DataFrame":
        """Return a data frame with one row per latent."""
        frame = self.result.to_frame()
        if self.marginals is not None:
            for name in ("information", "kl_prior", "looseness", "entropy"):
                frame[f"marginal_{name}"] = getattr(self.marginals, name)
                frame[f"marginal_{name}_se"] = self.marginals.standard_errors[name]
        return frame

    def blocks(self) -> list[Block]:
        """Return the verdict, then the tables."""
        head = "\n".join(line for line in (self.name, self.source) if line)
        tables = self.result.blocks()
        if isinstance(self.result, Indicators):
            remark = f"; {self.left_out}" if self.left_out else ""
            tables = [
                latent_table(self.result, self.marginals, remark=remark),
                definition_table(self.result),
            ]
        for part in (self.joint, self.certificate, self.metrics):
            tables += [] if part is None else part.blocks()
        blocks = [self.verdict, *tables]
        blocks += _factor_line(self.factors) if self.metrics is None else []
        return [head, *blocks] if head else blocks


PARTS = ("marginals", "joint", "certificate", "metrics")

LEFT_OUT = (
    "exact marginals left out, because they would take more than about ten seconds: ask with "
    "--marginals, or score(marginals=True)"
)


def _part(part: Result | None) -> Any:
    """Return a part as plain values, the marginals once only."""
    if part is None:
        return None
    return {name: value for name, value in part.to_dict().items() if name != "marginals"}


def score(
    mean: Array = None,
    *,
    var: Array = None,
    std: Array = None,
    logvar: Array = None,
    logstd: Array = None,
    batches: Batches | None = None,
    factors: Any = None,
    factor_names: Sequence[str] | None = None,
    labels: Any = None,
    clusters: Any = None,
    threshold: float = USED,
    prior_mean: Any = 0.0,
    prior_var: Any = 1.0,
    marginals: bool | None = None,
    joint: bool = False,
    certify: bool = False,
    metrics: str | Iterable[str] | None = None,
    protocol: str | None = None,
    null: int = 100,
    codes: str = "mean",
    latents: str = "used",
    kinds: Mapping[str, str] | Sequence[str] | None = None,
    points: int = 4096,
    rng: np.random.Generator | int = 0,
    threads: int = 1,
    progress: Progress | None = None,
    name: str = "",
    source: str = "",
    notes: Iterable[str] = (),
) -> Scorecard:
    """Score the encodings of a VAE: which latents are used, and what can be trusted.

    Parameters
    ----------
    mean : array, shape (n, d)
        Posterior means: numpy, torch on any device, or anything that numpy can read.
    var, std, logvar, logstd : array, shape (n, d)
        The width of the posteriors; give one, under its right name. With none, only the
        variances of the means are looked at.
    batches : callable, optional
        In place of the arrays: gives a fresh iterator over (mean, var) batches at each call. A
        list of batches will do.
    factors : array, shape (n, k), optional
        Ground-truth factors; described in the result.
    factor_names : sequence of str, optional
    labels : array, shape (n,), optional
        Class labels; described like a factor.
    clusters : array, shape (n,), optional
        Rows of one cluster count as one draw in the standard errors.
    threshold : float
        Least information of a used latent, in nats.
    prior_mean, prior_var : float or array, shape (d,)
        The Gaussian prior; results are in its units.
    marginals : bool, optional
        Whether to compute the exact marginals of the aggregated posterior, which rank the
        latents. By default up to (n + 10,000) d = 10,000,000, about ten seconds.
    joint : bool
        Whether to estimate I(x; z), the total correlation and KL(q(z) || p) as well.
    certify : bool
        Whether to bound I(x; z) of these rows by sums over all pairs, at a cost of n^2 d.
    metrics : "all", or names of supervised metrics, optional
        To be computed of codes and factors, beside their floor, ceiling and error; see
        :func:`~disentangle_indicators.supervised.evaluate_metrics`.
    protocol : str, optional
        Of the metrics whose name does not say one, as ``mig@ubisoft`` does.
    null : int
        Permutations for the floor of each metric; at most 5 for a protocol that refits.
    codes : {"mean", "sample"}
    latents : {"used", "all"}
        What the metrics see.
    kinds : sequence, or dict by name, of str, optional
        Of the factors, where they are not what they look like; see
        :func:`~disentangle_indicators.supervised.as_table`.
    points, rng : int, numpy.random.Generator or int
        Monte Carlo points of the joint, and the seed of all that is drawn.
    threads : int
        Threads over blocks of rows, and over latents.
    progress : callable, optional
        Wraps loops, given an iterable, a description and its length.
    name, source : str
        What to call the encodings, and where they come from; printed and stored.
    notes : iterable of str
        Remarks to carry along.

    Returns
    -------
    Scorecard
        Its repr is the table; ``to_json``, ``to_frame`` and attribute access give the numbers.

    Raises
    ------
    ValueError
        On more than one scale, on arrays that do not belong together, and on entries that are
        not finite or variances that are not positive; the message names the first one. Also when
        the joint is asked for and there are no variances.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> mean = rng.normal(size=(1000, 2)) * [0.9, 0.0]
    >>> card = score(mean, logvar=np.log(np.broadcast_to([0.19, 1.0], (1000, 2))))
    >>> print(card.verdict["USED"])
    1 of 2 latents carries more than 0.5 nats (so it is for any threshold below 0.846); 1 unused.
    """
    if (mean is None) == (batches is None):
        raise ValueError("give either mean or batches=")
    if metrics is not None and factors is None and labels is None:
        raise ValueError("metrics need ground-truth factors or labels; there are none")
    extra: dict[str, Any] = {
        "codes": codes,
        "latents": latents,
        "threshold": threshold,
        "kinds": kinds,
        "factor_names": factor_names,
        "null": null,
        "rng": rng,
        "progress": progress,
    }
    scale, values = one_scale(var, std, logvar, logstd)
    if batches is not None and scale:
        raise ValueError(f"batches= hold the variances already; {scale}= goes with mean")
    batches = _array_batches(mean, values, scale) if batches is None else as_batches(batches)
    first_mean, first_var = next(iter(batches()), (None, None))
    if first_mean is None:
        raise ValueError("there is no batch to score")
    if first_var is None:
        for asked, what in ((marginals, "marginals"), (joint, "joint"), (certify, "certify")):
            if asked:
                raise ValueError(f"{what} needs the posterior variances; there are means only")
        means = means_only(batches, prior_mean, prior_var)
        scores = None
        if metrics is not None:
            first = [to_numpy(part) for part, _ in batches()]
            scores = _metrics(
                metrics, protocol, np.concatenate(first), None, factors, labels, extra
            )
        return Scorecard(
            name=name,
            source=source,
            verdict=verdict(means),
            result=means,
            marginals=None,
            joint=None,
            certificate=None,
            metrics=scores,
            left_out="",
            factors=_describe(factors, factor_names, labels, means.n),
            notes=tuple(notes),
            batches=None,
            clusters=clusters,
        )
    batches = in_prior_units(batches, prior_mean, prior_var)
    result = indicators(
        batches=batches, covariance=True, clusters=clusters, threshold=threshold, threads=threads
    )
    exact, together, certificate, left_out = None, None, None, ""
    wanted = (result.n + 10_000) * result.d <= LARGE if marginals is None else marginals
    if wanted or joint or certify:
        mean, var = gather(batches)
        common: dict[str, Any] = {"progress": progress}
        if joint:
            together = joint_(
                mean, var, rng=rng, points=points, clusters=clusters, threads=threads, **common
            )
            exact = together.marginals
        elif wanted:
            try:
                exact = marginals_(mean, var, clusters=clusters, threads=threads, **common)
            except ValueError as error:
                if marginals:
                    raise
                left_out = f"exact marginals left out: {error}"
        if certify:
            certificate = certify_(mean, var, **common)
    elif marginals is None:
        left_out = LEFT_OUT
    scores = None
    if metrics is not None:
        scores = _metrics(metrics, protocol, *gather(batches), factors, labels, extra)
    return Scorecard(
        name=name,
        source=source,
        verdict=verdict(result, exact, together),
        result=result,
        marginals=exact,
        joint=together,
        certificate=certificate,
        metrics=scores,
        left_out=left_out,
        factors=_describe(factors, factor_names, labels, result.n),
        notes=tuple(notes),
        batches=batches,
        clusters=clusters,
    )


def _metrics(
    names: str | Iterable[str],
    protocol: str | None,
    mean: Array,
    var: Array | None,
    factors: Any,
    labels: Any,
    extra: dict[str, Any],
) -> "Scores":
    """Evaluate metrics of the codes; the names of the factors may be those of a data frame."""
    from disentangle_indicators.factors import as_table
    from disentangle_indicators.supervised import channel, choose, evaluate_metrics
    from disentangle_indicators.unsupervised import UNSUPERVISED

    chosen, notes = choose(names, protocol)
    if factors is None:
        factors, extra = labels, extra | {"factor_names": ["labels"], "kinds": ["categorical"]}
    if extra["factor_names"] is None:
        named = [str(column) for column in getattr(factors, "columns", ())]
        extra = extra | {"factor_names": named or None}
    found = evaluate_metrics(chosen, mean, factors, var=var, **extra)
    carried = None
    if (
        var is not None
        and extra["codes"] == "mean"
        and (len(mean) + 10_000) * mean.shape[1] <= LARGE
    ):
        table = as_table(factors, len(mean), kinds=extra["kinds"], names=extra["factor_names"])
        try:
            carried = channel(mean, var, table, rng=extra["rng"])
        except ValueError as error:
            notes = (*notes, f"the channel check is left out: {error}")
    z = to_numpy(mean)[:, list(found.latents)]
    alone, refused = {}, []
    for name, function in UNSUPERVISED.items() if extra["codes"] == "mean" else ():
        try:
            alone[name] = function(z)
        except ValueError as error:
            refused.append(f"{name} is left out: {error}")
    return replace(
        found, notes=(*notes, *found.notes, *refused), channel=carried, unsupervised=alone
    )


def gather(batches: Batches, prior_mean: Any = 0.0, prior_var: Any = 1.0) -> tuple[Array, Array]:
    """Return the means and variances of all batches, in units of the prior, on their device."""
    source = in_prior_units(batches, prior_mean, prior_var)
    pairs = [as_pair(mean, var) for mean, var in source()]
    xp = pairs[0][0]
    if len(pairs) == 1:
        return pairs[0][1:]
    return xp.concat([mean for _, mean, _ in pairs]), xp.concat([var for *_, var in pairs])


def _array_batches(mean: Array, values: Array, scale: str) -> Batches:
    if values is None:
        _, mean = as_mean(mean)
        _need_two_axes(mean)
        return lambda: ((mean[rows, :], None) for rows in row_blocks(mean, _ROWS))
    xp, mean, values = as_pair(mean, values, scale)
    _need_two_axes(mean)
    twice = bool(xp.all(mean[0, :] == values[0, :])) and bool(xp.all(mean == values))
    if twice and not bool(xp.all(mean == mean[0, 0])):
        raise ValueError(f"mean and {scale} are the same array")
    if scale == "var":
        return lambda: [(mean, values)]

    def batches() -> Iterator[tuple[Array, Array]]:
        for rows in row_blocks(mean, _ROWS):
            yield mean[rows, :], variance(values[rows, :], scale, rows.start)

    return batches


def _need_two_axes(mean: Array) -> None:
    if mean.ndim != 2:
        raise ValueError(f"mean must have the shape (n, d); its shape is {tuple(mean.shape)}")


def _describe(
    factors: Any, names: Sequence[str] | None, labels: Any, n: int
) -> tuple[dict[str, Any], ...]:
    columns: list[tuple[str, Any]] = []
    if factors is not None:
        if names is None:
            names = [str(c) for c in getattr(factors, "columns", ())] or None
        table = on_host(factors)
        table = table[:, None] if table.ndim == 1 else table
        if names is None:
            names = [f"factor_{i}" for i in range(table.shape[1])]
        if table.ndim != 2 or len(names) != table.shape[1]:
            raise ValueError(
                f"factors must have the shape (n, k) and k names; got {table.shape} and "
                f"{len(names)} names"
            )
        columns = [(name, table[:, i]) for i, name in enumerate(names)]
    if labels is not None:
        columns.append(("labels", on_host(labels)))
    for name, column in columns:
        if column.shape != (n,):
            raise ValueError(f"{name} must have {n} entries, one per row; got {column.shape}")
    return tuple({"name": name, "values": len(np.unique(column))} for name, column in columns)


def _factor_line(factors: tuple[dict[str, Any], ...]) -> list[Block]:
    if not factors:
        return []
    listed = ", ".join(f"{f['name']} ({f['values']} values)" for f in factors)
    return [f"Ground truth in the file: {listed}. Supervised metrics of it: --metrics all."]
