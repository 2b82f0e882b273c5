"""score(): everything that the input allows in one call, opened by a verdict in three sentences."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from disentangle_indicators._array import (
    Array,
    as_mean,
    as_pair,
    on_host,
    one_scale,
    row_blocks,
    variance,
)
from disentangle_indicators._result import Block, Result, plain
from disentangle_indicators._source import Batches, as_batches, in_prior_units
from disentangle_indicators.evaluate import Indicators, indicators
from disentangle_indicators.means import MeansOnly, means_only
from disentangle_indicators.states import USED
from disentangle_indicators.verdict import verdict

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Scorecard", "score"]

_ROWS = 1 << 16


@dataclass(frozen=True, eq=False, repr=False)
class Scorecard(Result):
    """The result of :func:`score`: a verdict, the indicators, and what came with the encodings.

    `verdict` maps USED, PRIOR and TRUST to one sentence each. `result` is an
    :class:`Indicators`, or a :class:`MeansOnly` where no variances were given; its fields can be
    read from the scorecard itself. `factors` says what ground truth came along. `batches` gives
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
            "factors": plain(self.factors),
            "notes": list(self.notes),
        }

    def to_frame(self) -> "pd.DataFrame":
        """Return a data frame with one row per latent."""
        return self.result.to_frame()

    def blocks(self) -> list[Block]:
        """Return the verdict, then the tables."""
        head = "\n".join(line for line in (self.name, self.source) if line)
        blocks = [self.verdict, *self.result.blocks(), *_factor_line(self.factors)]
        return [head, *blocks] if head else blocks


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
    threads: int = 1,
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
    threads : int
        Threads over blocks of rows.
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
        not finite or variances that are not positive; the message names the first one.

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
    scale, values = one_scale(var, std, logvar, logstd)
    if batches is not None and scale:
        raise ValueError(f"batches= hold the variances already; {scale}= goes with mean")
    batches = _array_batches(mean, values, scale) if batches is None else as_batches(batches)
    first_mean, first_var = next(iter(batches()), (None, None))
    if first_mean is None:
        raise ValueError("there is no batch to score")
    result: Indicators | MeansOnly
    source_units: Batches | None = None
    if first_var is None:
        result = means_only(batches, prior_mean, prior_var)
    else:
        source_units = in_prior_units(batches, prior_mean, prior_var)
        result = indicators(
            batches=source_units,
            covariance=True,
            clusters=clusters,
            threshold=threshold,
            threads=threads,
        )
    return Scorecard(
        name=name,
        source=source,
        verdict=verdict(result),
        result=result,
        factors=_describe(factors, factor_names, labels, result.n),
        notes=tuple(notes),
        batches=source_units,
        clusters=clusters,
    )


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
    return [f"Ground truth in the file: {listed}. No supervised metric is computed here."]
