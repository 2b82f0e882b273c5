"""The marginals of an aggregated posterior as sums over rows: a sketch that adds up.

What the sums are is in :mod:`._cells`, what follows from them in :mod:`._transform`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from disentangle_indicators._array import Array, as_pair, check_finite, check_positive
from disentangle_indicators._row_sample import by_columns
from disentangle_indicators.aggregate._cells import Cells, Table, added, terms
from disentangle_indicators.aggregate._transform import Latent, latent, moments, standard_errors

__all__ = ["BUDGET", "ORDER", "MarginalSketch"]

ORDER = 6
"""Order p of the expansion: 6 for errors of 1e-6 nats, 8 for 1e-7."""

BUDGET = 1 << 15
"""Cells of a latent: the least power of two that keeps 1e-6 nats where variances of one latent lie
between 1e-4 and 1/2; 3 MB if all are occupied."""

_ROWS = 1 << 15
"""Rows that are binned at a time: a column of them stays in the cache."""


@dataclass(frozen=True, eq=False, repr=False)
class MarginalSketch:
    r"""The marginals of an aggregated posterior as sums over rows; ``a + b`` is that of both.

    Rows are binned by mean and variance, and each cell keeps the sums of a Taylor expansion. The
    entropy of a marginal is then off by less than 1e-6 nats, for less memory than the rows take.

    Parameters
    ----------
    n : int
        Rows.
    order : int
        Order of the expansion, even and at least 6.
    budget : int
        Cells of a latent at most.
    cells : tuple of Cells
        One entry a latent.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> mean, var = rng.choice([-0.98, 0.98], size=(1000, 1)), np.full((1000, 1), 0.04)
    >>> sketch = MarginalSketch.of(mean[:600], var[:600]) + MarginalSketch.of(mean[600:], var[600:])
    >>> sketch.n, round(sketch.latent(0).entropy, 4)
    (1000, 0.4999)
    """

    n: int
    order: int
    budget: int
    cells: tuple[Cells, ...]

    @classmethod
    def of(
        cls, mean: Array, var: Array, *, order: int = ORDER, budget: int = BUDGET
    ) -> "MarginalSketch":
        """Return the sketch of means and variances (n, d).

        Raises
        ------
        ValueError
            On arrays that do not belong together, entries that are not finite, variances that are
            not positive, an order that is odd or below 6, and a budget below 64 cells.
        Undefined
            Where posteriors are too narrow to be placed in float64.
        """
        _, mean, var = as_pair(mean, var)
        check_finite(mean, "mean")
        check_positive(var, "var")
        return cls.of_batches([(mean, var)], order=order, budget=budget)

    @classmethod
    def of_batches(
        cls, batches: Iterable[tuple[Array, Array]], *, order: int = ORDER, budget: int = BUDGET
    ) -> "MarginalSketch":
        """Return the sketch of batches of arrays that were checked."""
        if order < ORDER or order % 2:
            raise ValueError(f"order must be even and at least {ORDER}; got {order}")
        if budget < 64:
            raise ValueError(f"budget must be at least 64 cells; got {budget}")
        n, tables = 0, list[Table]()
        for mean, var in batches:
            n += mean.shape[0]
            tables = tables or [Table(order, budget) for _ in range(mean.shape[1])]
            for start in range(0, mean.shape[0], _ROWS):
                rows = slice(start, start + _ROWS)
                m, v = (by_columns(x[rows, :]).T for x in (mean, var))
                for table, one_mean, one_var in zip(tables, m, v, strict=True):
                    if len(one_mean):
                        table.add(one_mean, one_var)
        return cls(n, order, budget, tuple(table.cells() for table in tables))

    @property
    def d(self) -> int:
        """Latents."""
        return len(self.cells)

    def __add__(self, other: "MarginalSketch") -> "MarginalSketch":
        """Return the sketch of the rows of both."""
        if not isinstance(other, MarginalSketch):
            return NotImplemented
        mine, theirs = (self.d, self.order, self.budget), (other.d, other.order, other.budget)
        if mine != theirs:
            raise ValueError(
                "sketches add up if latents, order and budget are the same; got "
                f"{mine} and {theirs}"
            )
        pairs = zip(self.cells, other.cells, strict=True)
        cells = tuple(added(one, two, self.order, self.budget) for one, two in pairs)
        return MarginalSketch(self.n + other.n, self.order, self.budget, cells)

    def latent(self, h: int) -> Latent:
        """Return the entropy of a marginal, and its errors; nats."""
        return latent(self.cells[h], self.order, self.n)

    def standard_errors(self, h: int, found: Latent) -> dict[str, float]:
        """Return the errors of row sampling of what follows from the entropy of a marginal."""
        return standard_errors(found, self.order, self.n, self.moments(h)[0])

    def moments(self, h: int) -> tuple[float, float]:
        """Return the second moment of a marginal, and the average of log v."""
        return moments(self.cells[h], self.order, self.n)

    def to_arrays(self) -> dict[str, Any]:
        """Return all that is kept, as arrays."""
        return {
            "size": np.array([self.n, self.order, self.budget]),
            "floors": np.array([cells.floor for cells in self.cells]),
            "counts": np.array([len(cells.keys) for cells in self.cells]),
            "keys": np.concatenate([cells.keys for cells in self.cells]),
            "sums": np.concatenate([cells.sums for cells in self.cells], axis=1),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> "MarginalSketch":
        """Return the sketch of such arrays.

        Raises
        ------
        ValueError
            On arrays that do not belong together.
        """
        n, order, budget = (int(x) for x in arrays["size"])
        counts, keys, sums = arrays["counts"], arrays["keys"], arrays["sums"]
        ends = np.cumsum(counts)
        whole = len(ends) and ends[-1] == len(keys) and np.all(np.asarray(counts) > 0)
        if not whole or sums.shape != (len(terms(order)) + 1, len(keys)):
            raise ValueError("the arrays of the sketch do not belong together")
        cells = tuple(
            Cells(keys[end - count : end], sums[:, end - count : end], int(floor))
            for end, count, floor in zip(ends, counts, arrays["floors"], strict=True)
        )
        if any(round(float(each.sums[0].sum())) != n for each in cells):
            raise ValueError("the arrays of the sketch do not belong together")
        return cls(n, order, budget, cells)
