"""All that `score` needs of rows that are not kept: sums that add up over shards and machines."""

import errno
import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from tokenize import TokenError
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.lib import format as npy_format

from disentangle_indicators._array import Array, Float, to_numpy
from disentangle_indicators._cluster_sums import ClusterSums, adding
from disentangle_indicators._errors import Undefined
from disentangle_indicators._files import atomic
from disentangle_indicators._progress import Progress
from disentangle_indicators._row_sample import Sample, by_columns, ranks_of
from disentangle_indicators._shards import Part, check_complete, check_disjoint, check_names
from disentangle_indicators._sources import WIDE
from disentangle_indicators.aggregate._sketch import BUDGET, ORDER, MarginalSketch
from disentangle_indicators.moments import Moments
from disentangle_indicators.posteriors import Encodings

if TYPE_CHECKING:
    from disentangle_indicators.aggregate import Marginals

__all__ = ["Part", "Sample", "Summary", "merge"]

SCHEMA = "dindic.summary/2"

_MOMENTS = ("mean", "mean_scatter", "var", "log_var", "co_scatter", "scatter")

_ROWS, _BYTES = 1 << 15, 1 << 26
"""Rows of a block at most, and its bytes in float64."""

_HEAD = b"summary.npy"
"""The name of the first member of an archive that is a summary."""


@dataclass(frozen=True, eq=False, repr=False)
class Summary:
    """Everything that `score` needs of rows, as sums; ``a + b`` is the summary of both.

    Parameters
    ----------
    moments : Moments
        What the indicators need, in units of the prior.
    sketch : MarginalSketch
        What the marginals need.
    sample : Sample
        Some rows, of which standard errors of totals are made.
    parts : tuple of Part
        The rows that are in it, so that none counts twice.
    prior_mean, prior_var : array, shape (d,)
        The prior in whose units it is.
    clusters : ClusterSums or None
        Sums over each cluster, of which standard errors are made; None for independent rows.

    Examples
    --------
    >>> from disentangle_indicators import score
    >>> mean = np.random.default_rng(0).normal(size=(1000, 2)) * [0.9, 0.0]
    >>> var = np.broadcast_to([0.19, 1.0], (1000, 2))
    >>> one = Summary.of(Encodings.of(mean[:400], var[:400]))
    >>> two = Summary.of(Encodings.of(mean[400:], var[400:]), first_row=400)
    >>> score(one + two).marginals.information.round(2)
    array([0.84, 0.  ])
    """

    moments: Moments
    sketch: MarginalSketch
    sample: Sample
    parts: tuple[Part, ...]
    prior_mean: Float
    prior_var: Float
    clusters: ClusterSums | None = None

    @classmethod
    def of(
        cls,
        encodings: Encodings,
        *,
        name: str | None = None,
        first_row: int = 0,
        order: int = ORDER,
        budget: int = BUDGET,
    ) -> "Summary":
        """Summarise encodings, in one pass over their rows.

        Parameters
        ----------
        encodings : Encodings
            With all rows of their clusters, if there are any.
        name : str, optional
            Of the file, or of the data set that the rows belong to; by default that of the
            encodings.
        first_row : int
            Of these rows in that data set.
        order, budget : int
            As :class:`~disentangle_indicators.aggregate.MarginalSketch` takes them.

        Returns
        -------
        Summary

        Raises
        ------
        Undefined
            For means only.
        ValueError
            On entries that no encoder can mean.

        Examples
        --------
        >>> Summary.of(Encodings.of(np.zeros((4, 2)), np.ones((4, 2)), name="a"))
        Summary(4 rows x 2 latents; 1 part)
        """
        if encodings.means_only:
            raise Undefined("a summary needs the posterior variances; there are only means")
        if first_row < 0:
            raise ValueError(f"first_row must be at least 0; got {first_row}")
        moments: Moments | int = 0
        sample: Sample | None = None
        digest = hashlib.sha256()

        def noting() -> Iterator[tuple[Array, Array]]:
            nonlocal moments, sample
            for pair in encodings.batches(_block(encodings.d)):
                # tensors of another device are moved once
                here = [x if isinstance(x, np.ndarray) else to_numpy(x) for x in pair]
                m, v = (np.require(x, np.float64, ["C", "ALIGNED"]) for x in here)
                moments = moments + Moments.of_checked(
                    [(m, v)], errors=True, covariance=encodings.d <= WIDE, threads=1
                )
                m, v = map(by_columns, here)
                ranks = ranks_of(m, v)
                digest.update(ranks.data)
                some = Sample.of(m, v, ranks)
                sample = some if sample is None else sample + some
                yield m, v

        rows, clusters = noting(), None
        if encodings.clusters is not None and encodings.cluster_codes is not None:
            codes = encodings.cluster_codes[1]
            rows, clusters = adding(rows, encodings.clusters, codes, encodings.d)
        sketch = MarginalSketch.of_batches(rows, order=order, budget=budget)
        part = Part(
            encodings.name if name is None else name, first_row, sketch.n, digest.hexdigest()
        )
        assert isinstance(moments, Moments)
        assert sample is not None
        centre, spread = (
            np.broadcast_to(np.asarray(x, np.float64), encodings.d).copy()
            for x in (encodings.prior_mean, encodings.prior_var)
        )
        return cls(moments, sketch, sample, (part,), centre, spread, clusters)

    @property
    def n(self) -> int:
        """Rows."""
        return self.sketch.n

    @property
    def d(self) -> int:
        """Latents."""
        return self.sketch.d

    @cached_property
    def marginals(self) -> "Marginals":
        """The marginals of the aggregated posterior, to about 1e-6 nats.

        Where posteriors are too narrow for sums, the information of a latent is a lower bound.
        """
        from disentangle_indicators.aggregate._one_pass import of_sketch

        return of_sketch(self.sketch, self.sample.mean, self.sample.var)

    def __repr__(self) -> str:
        """Return one line: rows, latents, parts."""
        count = len(self.parts)
        return f"Summary({self.n} rows x {self.d} latents; {count} part{'s' * (count > 1)})"

    def __add__(self, other: "Summary | int") -> "Summary":
        """Return the summary of the rows of both; 0 is that of no rows.

        Raises
        ------
        ValueError
            Where rows would count twice, where a cluster is in both, and where latents, priors or
            settings differ.
        """
        if isinstance(other, int) and other == 0:
            return self
        if not isinstance(other, Summary):
            return NotImplemented
        _check_alike(self, other)
        parts = tuple(sorted(self.parts + other.parts))
        check_disjoint(parts)
        return Summary(
            self.moments + other.moments,
            self.sketch + other.sketch,
            self.sample + other.sample,
            parts,
            self.prior_mean,
            self.prior_var,
            _joined(self, other),
        )

    __radd__ = __add__

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the summary to an .npz file, whole or not at all.

        Raises
        ------
        OSError
            As writing does.

        Examples
        --------
        >>> import tempfile
        >>> one = Summary.of(Encodings.of(np.zeros((4, 2)), np.ones((4, 2))))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     one.save(f"{folder}/one.npz")
        ...     print(Summary.load(f"{folder}/one.npz"))
        Summary(4 rows x 2 latents; 1 part)
        """
        moments = {name: getattr(self.moments, name) for name in _MOMENTS}
        clusters = {} if self.clusters is None else self.clusters._asdict()
        arrays = {
            **{f"moments/{name}": to_numpy(x) for name, x in moments.items() if x is not None},
            **{f"sketch/{name}": array for name, array in self.sketch.to_arrays().items()},
            **{f"sample/{name}": array for name, array in self.sample._asdict().items()},
            **{f"clusters/{name}": array for name, array in clusters.items()},
            "prior_mean": self.prior_mean,
            "prior_var": self.prior_var,
        }
        state = {"schema": SCHEMA, "parts": [part._asdict() for part in self.parts]}
        with atomic(Path(path)) as temporary, open(temporary, "wb") as stream:
            np.savez(stream, summary=np.array(json.dumps(state)), **arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Summary":
        """Read a summary.

        Raises
        ------
        OSError
            Where the file cannot be read.
        ValueError
            On a file that holds no summary, one of another version, and a damaged one.
        MemoryError
            Where there is too little memory for it; the message names the file.
        """
        parts, arrays = _read(path, whole=True)
        with _damaged(path):
            return cls._of_arrays(arrays, parts)

    @classmethod
    def _of_arrays(cls, arrays: Mapping[str, Any], parts: tuple[Part, ...]) -> "Summary":
        sketch = MarginalSketch.from_arrays(_under("sketch/", arrays))
        sample = Sample(**_under("sample/", arrays))
        moments = Moments(n=sketch.n, **_under("moments/", arrays))
        d = sketch.d
        shapes = {name: array.shape for name, array in _under("moments/", arrays).items()}
        fits = {"co_scatter": (3, d), "scatter": (d, d)}
        if any(shape != fits.get(name, (d,)) for name, shape in shapes.items()):
            raise ValueError("the arrays do not belong together")
        kept = len(sample.ranks)
        if sample.mean.shape != (kept, d) or sample.var.shape != (kept, d) or not kept:
            raise ValueError("the sample does not belong to it")
        if sum(part.rows for part in parts) != sketch.n:
            raise ValueError("rows are missing")
        priors = arrays["prior_mean"], arrays["prior_var"]
        clusters = _clusters(_under("clusters/", arrays), sketch.n, d)
        return cls(moments, sketch, sample, parts, *priors, clusters)


def _block(d: int) -> int:
    """Return the rows that are summed up at a time."""
    return max(1, min(_ROWS, _BYTES // (8 * d)))


def _clusters(arrays: dict[str, Any], n: int, d: int) -> ClusterSums | None:
    if not arrays:
        return None
    found = ClusterSums(**arrays)
    count = len(found.names)
    if found.rows.shape != (count,) or found.sums.shape != (count, 3, d) or found.rows.sum() != n:
        raise ValueError("the clusters do not belong to it")
    return found


def _under(prefix: str, arrays: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }


_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError),
    *(KeyError, TypeError, IndexError, ValueError, TokenError, SyntaxError),
)
"""What numpy and zipfile raise on damage: a flipped flag asks for a password, for instance."""


@contextmanager
def _damaged(path: str | os.PathLike[str]) -> Iterator[None]:
    """Name the file where it is damaged. Too little memory is no damage, and names it too."""
    try:
        yield
    except _DAMAGE as error:
        raise ValueError(f"{path} is damaged: {error}; make it again") from error
    except OSError as error:  # of an offset before the start of the archive
        if error.errno != errno.EINVAL:
            raise
        raise ValueError(f"{path} is damaged: {error}; make it again") from error
    except MemoryError as error:
        raise MemoryError(f"{path}: there is not enough memory to read it ({error})") from error


def _read(path: str | os.PathLike[str], *, whole: bool) -> tuple[tuple[Part, ...], dict[str, Any]]:
    """Return the parts of a saved summary, and its arrays if the `whole` file is read."""
    with open(path, "rb") as stream:
        if not _begins(stream):
            raise ValueError(f"{path} holds no summary; Summary.of(...).save(path) makes one")
        stream.seek(0)
        with _damaged(path):
            archive = np.load(stream, allow_pickle=False)
            _check_sizes(archive.zip, os.fstat(stream.fileno()).st_size)
            state = json.loads(str(archive["summary"]))
            schema = state["schema"]
            parts = tuple(Part(**part) for part in state["parts"])
            arrays = {name: archive[name] for name in archive.files} if whole else {}
    if schema != SCHEMA:
        raise ValueError(f"{path} is a summary of version {schema}; this release reads {SCHEMA}")
    return parts, arrays


def _check_sizes(archive: zipfile.ZipFile, size: int) -> None:
    """Refuse arrays that announce more than the file has, before memory is asked for."""
    for info in archive.infolist():
        with archive.open(info) as member:
            npy_format.read_magic(member)
            shape, _, dtype = npy_format.read_array_header_1_0(member)
        if prod(shape) * dtype.itemsize > size:
            raise ValueError(f"{info.filename} announces {prod(shape)} numbers")


def _begins(stream: IO[bytes]) -> bool:
    return _HEAD in stream.read(64)


def is_summary(path: str | os.PathLike[str]) -> bool:
    """Whether a file holds a summary, whole or torn: one begins with the list of its parts."""
    if not os.path.isfile(path):  # a pipe would be waited for
        return False
    try:
        with open(path, "rb") as stream:
            return _begins(stream)
    except (OSError, ValueError):  # no file that can be read, or no name of one
        return False


def parts_of(path: str | os.PathLike[str]) -> tuple[Part, ...]:
    """Return the parts of a saved summary, without reading its sums."""
    return _read(path, whole=False)[0]


def merge(
    summaries: Iterable["Summary | str | os.PathLike[str]"],
    *,
    of: Iterable[str] | None = None,
    progress: Progress | None = None,
) -> Summary:
    """Return the summary of all rows: the same bits, in whichever order summaries arrive.

    Parameters
    ----------
    summaries : iterable of Summary or path
        Files are read one after the other.
    of : iterable of str, optional
        Names that must be there, and no others; at least one.
    progress : callable, optional
        Called with an iterable over summaries, a description and its length; gives what to iterate
        over.

    Returns
    -------
    Summary

    Raises
    ------
    ValueError
        Where rows would count twice or are missing, where latents, priors or settings differ, on
        damaged files, and on none.

    Notes
    -----
    Summaries are ordered by their parts, and halves of the list are added to each other.

    Examples
    --------
    >>> rows = [Encodings.of(np.full((4, 2), k), np.ones((4, 2)), name=f"{k}") for k in range(3)]
    >>> merge([Summary.of(each) for each in rows])
    Summary(12 rows x 2 latents; 3 parts)
    """
    heads = [
        (each.parts if isinstance(each, Summary) else parts_of(each), each) for each in summaries
    ]
    if not heads:
        raise ValueError("there is no summary to merge")
    heads.sort(key=lambda head: head[0])
    _check_files(heads)
    parts = tuple(sorted(part for head, _ in heads for part in head))
    check_disjoint(parts)
    check_complete(parts)
    if of is not None:
        check_names({part.name for part in parts}, set(of))
    each = [source for _, source in heads]
    steps = iter(each if progress is None else progress(each, "states", len(each)))
    whole = _added(steps, len(each))
    next(steps, None)  # ends the bar
    return whole


def _check_files(heads: list[tuple[tuple[Part, ...], Any]]) -> None:
    """Refuse two files with the same rows by the names of the files."""
    seen: dict[str, Any] = {}
    for parts, source in heads:
        for part in parts:
            before = seen.setdefault(part.digest, source)
            if before is source or isinstance(before, Summary):
                continue
            if before == source:
                raise ValueError(f"{source} is given twice: leave one out")
            raise ValueError(f"{part} would count twice: they are in {before} and in {source}")


def _added(steps: Iterator["Summary | str | os.PathLike[str]"], count: int) -> Summary:
    if count == 1:
        each = next(steps)
        return each if isinstance(each, Summary) else Summary.load(each)
    return _added(steps, count // 2) + _added(steps, count - count // 2)


def _check_alike(one: Summary, two: Summary) -> None:
    """Refuse summaries that are not of one encoder."""
    for name, mine, others in (
        ("latents", one.d, two.d),
        ("order", one.sketch.order, two.sketch.order),
        ("budget", one.sketch.budget, two.sketch.budget),
        ("clusters", *(f"{'no ' * (each.clusters is None)}clusters" for each in (one, two))),
        *_priors(one, two),
    ):
        if mine != others:
            raise ValueError(
                f"sums add up where {name} are the same: {mine} in {_listed(one.parts)}, and "
                f"{others} in {_listed(two.parts)}"
            )


def _priors(one: Summary, two: Summary) -> Iterator[tuple[str, Any, Any]]:
    """Yield the first latent whose prior differs, if the latents are as many."""
    if one.d != two.d:
        return
    for name in ("prior_mean", "prior_var"):
        mine, others = getattr(one, name), getattr(two, name)
        for h in np.flatnonzero(mine != others)[:1]:
            yield f"{name} of latent {h}", float(mine[h]), float(others[h])


def _joined(one: Summary, two: Summary) -> ClusterSums | None:
    """Return the clusters of both, and refuse one that is in both."""
    if one.clusters is None or two.clusters is None:
        return None
    if cut := one.clusters.cut_between(two.clusters):
        raise ValueError(
            f"cluster {cut[0]!r} is cut: it is in {_listed(one.parts)} and in "
            f"{_listed(two.parts)}; all rows of a cluster belong to one shard"
        )
    return one.clusters.joined(two.clusters)


def _listed(parts: tuple[Part, ...]) -> str:
    return str(parts[0]) if len(parts) == 1 else f"one of {len(parts)} parts from {parts[0]} on"
