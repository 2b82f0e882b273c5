"""The posteriors of one encoder: the object that files become and that every question is asked of.

Arrays are checked when it is made, streams while they are first read, and the prior is applied
here and nowhere else: `mean`, `var`, `batches()` and all that follows are in units of the prior.
What is expensive (`moments`, `marginals`) is computed once and kept.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import array_api_compat
import numpy as np
from numpy.typing import NDArray

from disentangle_indicators._array import (
    Array,
    Float,
    generator,
    namespace,
    on_host,
    one_scale,
    to_numpy,
    variance,
)
from disentangle_indicators._blocks import one_line
from disentangle_indicators._clusters import INDEPENDENT, blocks, cluster_codes
from disentangle_indicators._copies import Copies, find_copies, joined
from disentangle_indicators._errors import Undefined
from disentangle_indicators._given import unpacked
from disentangle_indicators._memory import check_room
from disentangle_indicators._prior import as_prior, in_prior_units, is_unit
from disentangle_indicators._progress import Progress
from disentangle_indicators._provenance import Input
from disentangle_indicators._sources import Batches, Stored, check_rows, of_arrays, of_batches
from disentangle_indicators.factors import Factors, as_column, as_table
from disentangle_indicators.moments import Moments
from disentangle_indicators.states import ACTIVE_UNIT, USED, active, check_threshold, used

if TYPE_CHECKING:
    from disentangle_indicators.aggregate import Marginals

__all__ = ["CODES", "LATENTS", "Batches", "Encodings"]

LATENTS = ("used", "all")
"""Which latents metrics, rotations and axes look at."""

CODES = ("mean", "sample")
"""What metrics take for the code of a row: the posterior mean, or one draw of the posterior."""

LARGE_FILE = 2_000_000
"""Numbers in a file whose reading is worth a progress bar."""

_BLOCK_BYTES = 8 << 20


def in_blocks(count: int) -> str:
    """Return the note on the blocks of a series."""
    return f"rows are a series: {count} consecutive blocks of rows serve as clusters"


def block_rows(d: int) -> int:
    """Return the rows of a block of a file, about 8 MB in float64."""
    return max(1, _BLOCK_BYTES // (8 * d))


DEPENDS = {
    "_whole": {"stored", "prior_mean", "prior_var"},
    "_on_host": {"stored", "prior_mean", "prior_var"},
    "_richest": {"stored", "prior_mean", "prior_var"},
    "_marginals": {"stored", "prior_mean", "prior_var", "clusters"},
    "cluster_codes": {"clusters"},
    "copies": {"stored"},
}
"""What is computed once and kept, and the fields that it depends on."""


@dataclass(frozen=True, eq=False, repr=False)
class Encodings:
    """Posterior means and variances of n rows in d latents, and what belongs to them.

    Made by :meth:`of` from arrays or batches, and by ``read_encodings`` from a file, which is not
    read until it is asked for.

    Attributes
    ----------
    n, d : int
        Rows and latents.
    scale : str
        What the source holds: "var", "std", "logvar" or "logstd"; "" for means only.
    prior_mean, prior_var : float or array, shape (d,)
        The Gaussian prior, whose units everything is in.
    clusters : array, shape (n,), or None
        Rows of one cluster depend on each other.
    factors : Factors or None
        Ground-truth factors with their names and kinds.
    labels : array, shape (n,), or None
        Class labels.
    name, source : str
        What reports call the encodings, and one sentence on how they were read.
    notes : tuple of str
        Remarks for the user.
    metadata : dict of str
    threads : int
        Threads over blocks of rows, and over latents; no number depends on it.
    progress : callable or None
        Wraps long loops, given an iterable, a description and its length.
    path : Path or None
        The file, with its `format`, `mean_key`, `scale_key`, `schema` (what decided the scale) and
        `layout`.

    Examples
    --------
    >>> import numpy as np
    >>> encodings = Encodings.of(np.array([[1.0, 0.0], [-1.0, 0.0]]), std=np.full((2, 2), 0.7))
    >>> encodings.n, encodings.d, encodings.used()
    (2, 2, [0])
    """

    n: int
    d: int
    scale: str
    stored: Stored = field(repr=False)
    prior_mean: float | Float = 0.0
    prior_var: float | Float = 1.0
    clusters: NDArray[Any] | None = None
    factors: Factors | None = None
    labels: NDArray[Any] | None = None
    name: str = ""
    source: str = ""
    notes: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    threads: int = 1
    progress: Progress | None = None
    path: Path | None = None
    format: str = ""
    mean_key: str = ""
    scale_key: str = ""
    schema: str = ""
    layout: str = ""
    inputs: tuple[Input, ...] = (Input("arrays"),)

    @classmethod
    def of(
        cls,
        mean: "Array | Encodings" = None,
        var: Array = None,
        *,
        std: Array = None,
        logvar: Array = None,
        logstd: Array = None,
        batches: Batches | None = None,
        factors: Any = None,
        factor_names: Sequence[str] | None = None,
        kinds: Mapping[str, str] | Sequence[str] | None = None,
        labels: Any = None,
        clusters: Any = None,
        order: Any = None,
        prior_mean: Any = None,
        prior_var: Any = None,
        name: str = "",
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> "Encodings":
        """Check arrays, or add to encodings that exist.

        Parameters
        ----------
        mean : array, shape (n, d), Encodings, or distribution
            numpy, torch on any device, or anything that numpy can read. Arrays are viewed and not
            copied: do not change them afterwards. A Normal, or an Independent one, of torch and
            other libraries has its width with it.
        var, std, logvar, logstd : array, shape (n, d), (n, 1), (n,), (1, d), (d,) or (), optional
            The width of the posteriors; give one, under its right name, or none for means only.
        batches : callable or list, optional
            In place of the arrays: gives a fresh iterator over (mean, var) batches at each call,
            var None for means only. It is called twice here: to look at the first batch, and for
            the sums.
        factors, factor_names, kinds
            As :func:`~disentangle_indicators.factors.as_table` takes them.
        labels, clusters : array, shape (n,), optional
        order : array, shape (n,), optional
            Time of each row of a series. In order of time, rows are cut into 30 blocks, which serve
            as clusters.
        prior_mean, prior_var : float or array, shape (d,), optional
            Default 0 and 1.
        name : str
        threads : int, optional
            Default 1.
        progress : callable, optional

        Returns
        -------
        Encodings

        Raises
        ------
        ValueError
            On more than one scale, on arrays that do not belong together, on clusters beside an
            order, and on entries that are not finite or variances that are not positive; the
            message names the first one.

        Examples
        --------
        >>> import numpy as np
        >>> Encodings.of(np.zeros((3, 2)), logvar=np.zeros((3, 2)), prior_var=4.0).var[0]
        array([0.25, 0.25])
        """
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be at least 1; got {threads}")
        mean, scale, values = unpacked(mean, *one_scale(var, std, logvar, logstd))
        made: Encodings | None = None
        if isinstance(mean, Encodings):
            if scale or batches is not None:
                raise ValueError(
                    f"{scale or 'batches'}= goes with arrays; these encodings hold it"
                )
            made = mean
        elif (mean is None) == (batches is None):
            raise ValueError("give either mean or batches=")
        elif batches is not None:
            if scale:
                raise ValueError(f"batches= hold the variances already; {scale}= goes with mean")
            source, moments = of_batches(batches, 1 if threads is None else threads)
            made = cls(**source._asdict())
            vars(made)["_richest"] = moments
        else:
            made = cls(**of_arrays(mean, values, scale)._asdict())
        changes: dict[str, Any] = {}
        if prior_mean is not None or prior_var is not None:
            centre = made.prior_mean if prior_mean is None else prior_mean
            spread = made.prior_var if prior_var is None else prior_var
            changes |= made._other_prior(*as_prior(centre, spread, made.d))
        beside = {"factors": factors, "labels": labels, "clusters": clusters, "order": order}
        for what, values in beside.items():
            if values is not None:
                check_rows(values, made.n, made.d, what, "give mean.T")
        table = made.factors if factors is None else factors
        for given, what in ((factor_names, "factor_names"), (kinds, "kinds")):
            if given is not None and table is None:
                raise ValueError(f"{what} are given without factors")
        if factors is not None or factor_names is not None or kinds is not None:
            changes["factors"] = as_table(table, made.n, kinds=kinds, names=factor_names)
        if labels is not None:
            changes["labels"] = as_column(labels, made.n, "labels")
        if order is not None:
            if clusters is not None:
                raise ValueError("give either clusters or order; both say which rows depend")
            clusters = blocks(order, made.n)
            changes["notes"] = (*made.notes, in_blocks(int(clusters.max()) + 1))
        codes = None if clusters is None else cluster_codes(clusters, made.n)
        if codes is not None:
            changes["clusters"] = as_column(clusters, made.n, "clusters")
        for key, hint in (
            ("name", one_line(name) or None),
            ("threads", threads),
            ("progress", progress),
        ):
            changes |= {} if hint is None else {key: hint}
        new = made.replaced(**changes)
        if codes is not None:
            vars(new)["cluster_codes"] = codes
        return new

    def _other_prior(self, mean: float | Float, var: float | Float) -> dict[str, Any]:
        """Return the fields of a prior, none where it is the one there is."""
        same = np.array_equal(mean, self.prior_mean) and np.array_equal(var, self.prior_var)
        return {} if same else {"prior_mean": mean, "prior_var": var}

    def replaced(self, **changes: Any) -> "Encodings":
        """Return encodings with other fields; what was computed stays where it still holds."""
        if not changes:
            return self
        new = object.__new__(type(self))
        vars(new).update(vars(self) | changes)
        for kept, fields in DEPENDS.items():
            if not fields.isdisjoint(changes):
                vars(new).pop(kept, None)
        return new

    def __copy__(self) -> "Encodings":
        """Return the same encodings: they cannot be changed."""
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Refuse to be pickled: a stream cannot be, and arrays should not be by accident."""
        raise TypeError("encodings are not pickled; write them with write_encodings")

    def __repr__(self) -> str:
        """Return one line: name, rows, latents, what came along."""
        words = [f"{self.n} rows x {self.d} latents", self.scale or "means only"]
        words += [] if self.factors is None else [f"factors {', '.join(self.factors.names)}"]
        words += ["labels"] * (self.labels is not None) + ["clusters"] * (
            self.clusters is not None
        )
        return f"Encodings({self.name or 'arrays'}: {'; '.join(words)})"

    @property
    def means_only(self) -> bool:
        """Whether there are no posterior variances."""
        return not self.scale

    def batches(self, rows: int | None = None) -> Iterator[tuple[Array, Array]]:
        """Yield means and variances in row order and in units of the prior, from the first row on.

        Parameters
        ----------
        rows : int, optional
            Rows a batch; by default what suits the source.

        Yields
        ------
        mean : array, shape (rows, d)
        var : array, shape (rows, d), or None
            None for means only.

        Raises
        ------
        ValueError
            If the source holds what no encoder can mean, or is damaged.
        """
        if rows is not None and rows < 1:
            raise ValueError(f"rows must be positive; got {rows}")
        default, first = is_unit(self.prior_mean, self.prior_var), 0
        for each in self.inputs:
            each.check_unchanged()
        for mean, values in self._shown(self.stored(rows), rows):
            var = None if values is None else self._variance(values, first)
            first += mean.shape[0]
            if not default:
                mean, var = in_prior_units(mean, var, self.prior_mean, self.prior_var)
            yield mean, var
        if first != self.n:
            raise ValueError(f"batches must give {self.n} rows at every call; now {first}")

    def _shown(self, blocks: Iterable[Any], rows: int | None) -> Iterable[Any]:
        """Show how far the reading of a large file is."""
        if self.progress is None or self.path is None or self.n * self.d < LARGE_FILE:
            return blocks
        return self.progress(blocks, self.path.name, -(-self.n // (rows or block_rows(self.d))))

    def _variance(self, values: Array, first_row: int) -> Array:
        if self.path is None:
            return variance(values, self.scale, first_row, checked=True)
        try:
            return variance(values, self.scale, first_row)
        except ValueError as error:
            raise ValueError(f"{self.path}, key {self.scale_key!r}: {error}") from error

    @cached_property
    def _whole(self) -> tuple[Array, Array | None]:
        # arrays come as one view, however they are stored, so that nothing is held twice
        return self._held(lambda: self.batches(self.n if self.path is None else None))

    def _held(self, blocks: Callable[[], Iterable[Any]]) -> tuple[Array, Array | None]:
        """Return all rows. Blocks of a file are copied into arrays that are made once, not joined.

        Raises
        ------
        MemoryError
            Where the bound on memory leaves less than the rows of a file take.
        """
        if self.path is None:
            pairs = list(blocks())
            if len(pairs) == 1:
                return pairs[0][0], pairs[0][1]
            xp = namespace(pairs[0][0])
            mean = xp.concat([mean for mean, _ in pairs])
            return mean, None if self.means_only else xp.concat([var for _, var in pairs])
        what = f"{self.path}: holding {self.n} rows of {self.d} latents"
        check_room(16 * self.n * self.d, what)
        whole: list[Any] = [None, None]
        first = 0
        for block in blocks():
            for at, values in enumerate(block):
                if values is None:
                    continue
                if whole[at] is None:
                    whole[at] = np.empty((self.n, self.d), values.dtype)
                elif whole[at].dtype != values.dtype:
                    whole[at] = whole[at].astype(np.result_type(whole[at], values))
                whole[at][first : first + len(values)] = values
            first += len(block[0])
        return whole[0], whole[1]

    @property
    def mean(self) -> Array:
        """The means, whole, shape (n, d), in units of the prior."""
        return self._whole[0]

    @property
    def var(self) -> Array | None:
        """The variances, whole, shape (n, d), in units of the prior; None for means only."""
        return self._whole[1]

    def arrays(self, what: str) -> tuple[Array, Array]:
        """Return means and variances, whole.

        Raises
        ------
        Undefined
            For means only; `what` is what needs the variances, with its verb.
        """
        mean, var = self._whole
        if var is None:
            raise Undefined(f"{what} the posterior variances; there are only means")
        return mean, var

    @cached_property
    def _on_host(self) -> tuple[NDArray[Any], NDArray[Any] | None]:
        mean, var = self._whole
        return on_host(mean), None if var is None else on_host(var)

    @property
    def mean_on_host(self) -> NDArray[Any]:
        """The means, whole, shape (n, d), in numpy; see :meth:`arrays_on_host`."""
        return self._on_host[0]

    def arrays_on_host(self, what: str) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return means and variances, whole, in numpy.

        Tensors on a GPU are transferred once, and the copies are kept. Arrays are viewed.

        Raises
        ------
        Undefined
            For means only; `what` is what needs the variances, with its verb.
        """
        self.arrays(what)
        mean, var = self._on_host
        assert var is not None
        return mean, var

    def as_stored(self) -> tuple[Array, Array | None]:
        """Return means and scales whole and as they are stored, without the prior.

        Raises
        ------
        ValueError
            On scales that no encoder can mean.
        """
        mean, values = self._held(lambda: self.stored(None))
        if values is None:
            return mean, None
        self._variance(values, 0)
        return mean, values

    def take(self, rows: NDArray[np.int64], name: str = "") -> "Encodings":
        """Return the encodings of some rows, which are read block by block and held in memory.

        Parameters
        ----------
        rows : array of int, shape (s,)
            Sorted numbers of rows, from 0.
        name : str
            What to call them; the same by default.

        Returns
        -------
        Encodings
            With the scale, the prior, the notes and the metadata of all rows.

        Examples
        --------
        >>> whole = Encodings.of(np.arange(8.0).reshape(4, 2), np.ones((4, 2)))
        >>> whole.take(np.array([1, 3])).mean[:, 0]
        array([2., 6.])
        """
        found: list[tuple[Any, ...]] = []
        first = 0
        for arrays in self._shown(self.stored(None), None):
            last = first + arrays[0].shape[0]
            a, b = np.searchsorted(rows, [first, last])
            if a < b:
                found.append(tuple(_rows_of(array, rows[a:b] - first) for array in arrays))
            first = last
        mean, values = (
            None if parts[0] is None else namespace(parts[0]).concat(parts)
            for parts in zip(*found, strict=True)
        )
        some = Encodings.of(
            mean,
            **({} if values is None else {self.scale: values}),
            factors=None if self.factors is None else self.factors.take(rows),
            labels=None if self.labels is None else self.labels[rows],
            clusters=None if self.clusters is None else self.clusters[rows],
            prior_mean=self.prior_mean,
            prior_var=self.prior_var,
            name=name or self.name,
            threads=self.threads,
            progress=self.progress,
        )
        kept = ("source", "notes", "metadata", "inputs")
        return some.replaced(**{key: getattr(self, key) for key in kept})

    def codes(self, codes: str = "mean", rng: np.random.Generator | int = 0) -> Float:
        """Return the codes that metrics see, (n, d), in numpy.

        Parameters
        ----------
        codes : {"mean", "sample"}
        rng : numpy.random.Generator or int
            Draws the sample.

        Raises
        ------
        Undefined
            When samples are asked for and there are only means.
        """
        if codes not in CODES:
            raise ValueError(f"codes must be one of {', '.join(CODES)}; got {codes!r}")
        z = to_numpy(self.mean_on_host)
        if codes == "mean":
            return z
        spread = np.sqrt(to_numpy(self.arrays_on_host("a sample needs")[1]))
        return z + spread * generator(rng).standard_normal(z.shape)

    def summary(self, *, errors: bool = False, covariance: bool = False) -> Moments:
        """Return the sums over rows, with at least what is asked for; computed once.

        Means only count as posteriors of variance 1.
        """
        had = vars(self).get("_richest")
        errors = errors or (had is not None and had.co_scatter is not None)
        covariance = covariance or (had is not None and had.scatter is not None)
        if (
            had is None
            or (errors and had.co_scatter is None)
            or (covariance and had.scatter is None)
        ):
            vars(self)["_richest"] = had = Moments.of_checked(
                self._pairs(), errors=errors, covariance=covariance, threads=self.threads
            )
        result: Moments = had
        return result

    @property
    def moments(self) -> Moments:
        """The sums over rows, with what standard errors and covariances need."""
        return self.summary(errors=True, covariance=True)

    def _pairs(self) -> Iterator[tuple[Array, Array]]:
        for mean, var in self.batches():
            yield mean, namespace(mean).ones_like(mean) if var is None else var

    @cached_property
    def cluster_codes(self) -> tuple[int, Any] | None:
        """The number of clusters and the code of each row's, None where rows are independent."""
        return None if self.clusters is None else cluster_codes(self.clusters, self.n)

    @property
    def draws(self) -> int:
        """The independent draws that there are: clusters, or rows."""
        return self.n if self.cluster_codes is None else self.cluster_codes[0]

    @cached_property
    def copies(self) -> Copies | None:
        """Rows that are copies of each other, exact or nearly; None where there are none.

        Near copies are looked for in the used latents. The arrays are read whole.
        """
        moments = self.summary()
        means_only = self.means_only
        latents = active(to_numpy(moments.mean_variance)) if means_only else used(moments)
        return find_copies(to_numpy(self.mean_on_host), latents)

    @property
    def independent_codes(self) -> tuple[int, Any] | None:
        """The number of independent draws and the code of each row's: clusters and copies.

        None where rows are independent.
        """
        if self.copies is None:
            return self.cluster_codes
        if self.cluster_codes is None:
            return self.copies.groups, self.copies.codes
        codes = joined(self.cluster_codes[1], self.copies)
        return int(codes.max()) + 1, codes

    @property
    def copy_notes(self) -> tuple[str, ...]:
        """The sentence on copies of rows; none where there are none, or clusters name them."""
        if self.copies is None or (self.independent_codes or (0, 0))[0] == self.draws:
            return ()
        return (self.copies.sentence,)

    @property
    def dependence(self) -> str:
        """One sentence on rows that depend on each other: clusters, copies, or none named."""
        if self.copy_notes and (found := self.independent_codes):
            return f"Copies of one row count as one draw, of {found[0]}."
        if self.cluster_codes is not None:
            return f"Rows of one cluster count as one draw, of {self.draws}."
        return INDEPENDENT

    @property
    def marginals(self) -> "Marginals":
        """The exact marginals of the aggregated posterior, computed once.

        Raises
        ------
        Undefined
            Where a posterior is too narrow to be placed in float64, and for means only.
        """
        from disentangle_indicators.aggregate import _marginals

        return _marginals.of_encodings(self)

    def used(
        self, latents: Literal["used", "all"] | str = "used", threshold: float = USED
    ) -> list[int]:
        """Return the latents to look at.

        Parameters
        ----------
        latents : {"used", "all"}
            "used": Definition 3 about the latent's own mean exceeds the threshold; for means only
            the active units, Var(mean) of at least 0.01.
        threshold : float
            Nats.

        Returns
        -------
        list of int

        Raises
        ------
        Undefined
            When none is used.
        ValueError
            On another policy.
        """
        if latents not in LATENTS:
            raise ValueError(f"latents must be one of {', '.join(LATENTS)}; got {latents!r}")
        check_threshold(threshold)
        if latents == "all":
            return list(range(self.d))
        moments = self.summary()
        if self.means_only:
            found = active(to_numpy(moments.mean_variance))
            rule = f"Var(mean) of at least {ACTIVE_UNIT:g}"
        else:
            found = used(moments, threshold)
            rule = f"information above {threshold:g} nats"
        if not found:
            word = "active" if self.means_only else "used"
            raise Undefined(f"no latent is {word}: of {self.d} latents none has {rule}")
        return found

    def used_or_none(self, threshold: float = USED) -> list[int]:
        """Return the used latents, of which there may be none."""
        return used(self.summary(), threshold)

    def described(self, chosen: Sequence[int]) -> str:
        """Return which latents these are, in words."""
        if len(chosen) == self.d:
            return f"all {self.d} latents" if self.d > 1 else "the latent"
        word = "active" if self.means_only else "used"
        return f"the {len(chosen)} of {self.d} latents that are {word}"

    def targets(self) -> Factors:
        """Return the factors, or else the labels as one categorical factor.

        Raises
        ------
        Undefined
            When there are neither.
        """
        if self.factors is not None:
            return self.factors
        return self.label_factor()

    def label_factor(self) -> Factors:
        """Return the labels as one categorical factor."""
        if self.labels is None:
            raise Undefined("there are no ground-truth factors and no labels")
        return as_table(self.labels, self.n, names=["labels"], kinds=["categorical"])


def _rows_of(array: Array | None, rows: NDArray[np.int64]) -> Array | None:
    if array is None:
        return None
    xp = namespace(array)
    return xp.take(array, xp.asarray(rows, device=array_api_compat.device(array)), axis=0)
