"""Summaries over the workers of other engines: Dask and torch.distributed.

Neither is imported before its function is called. Any other engine can carry a
:class:`~disentangle_indicators.Summary` in the same way: make one where the rows are, and give all
of them to :func:`~disentangle_indicators.summary.merge`.
"""

import math
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from disentangle_indicators._errors import NoRows
from disentangle_indicators._progress import Progress
from disentangle_indicators.posteriors import Encodings
from disentangle_indicators.summary import Summary, merge

__all__ = ["all_merge", "summarise_dask", "summarise_files", "summary_of_files"]


def all_merge(summary: Summary | None, group: Any = None) -> Summary:
    """Merge the summaries of all processes of torch.distributed; each of them gets the whole.

    Parameters
    ----------
    summary : Summary or None
        Of the rows of this process, called by a name or a first row of its own. None of a process
        without rows.
    group : torch.distributed.ProcessGroup, optional

    Returns
    -------
    Summary
        The same bits in each process, and as one process that merges the same summaries.

    Raises
    ------
    ValueError
        As :func:`~disentangle_indicators.summary.merge`, in each process.

    Notes
    -----
    A sampler that pads the last batch repeats rows, which count twice here:
    ``DistributedSampler(..., drop_last=True)`` leaves them out.

    Examples
    --------
    >>> def validate(encode, batches):  # doctest: +SKIP
    ...     rows = Encodings.of(batches=lambda: map(encode, batches))
    ...     rank = torch.distributed.get_rank()
    ...     return score(all_merge(Summary.of(rows, name=f"rank {rank}")))
    """
    import torch.distributed as dist

    summaries: list[Summary | None] = [None] * dist.get_world_size(group)
    dist.all_gather_object(summaries, summary, group)
    return merge(each for each in summaries if each is not None)


def summarise_dask(mean: Any, var: Any, *, name: str = "", **given: Any) -> Any:
    """Summarise two Dask arrays, chunk by chunk, where the chunks are.

    Parameters
    ----------
    mean, var : dask.array.Array, shape (n, d)
        Both are cut into rows where `mean` is.
    name : str
        Of the data set.
    **given
        `prior_mean` and `prior_var`, as :meth:`~disentangle_indicators.Encodings.of` takes them.

    Returns
    -------
    dask.delayed.Delayed
        Its ``compute()`` gives the Summary: the same bits on any number of workers.

    Raises
    ------
    ValueError
        Where lengths of chunks are unknown, and on shapes that differ.

    Examples
    --------
    >>> import dask.array as da  # doctest: +SKIP
    >>> rows = da.random.default_rng(0).normal(size=(100_000, 8), chunks=(10_000, 8))  # doctest: +SKIP
    >>> summarise_dask(rows, da.full_like(rows, 0.5)).compute()  # doctest: +SKIP
    Summary(100000 rows x 8 latents; 10 parts)
    """
    from dask.delayed import delayed

    if any(map(math.isnan, mean.chunks[0])):
        raise ValueError("the lengths of chunks are unknown: call mean.compute_chunk_sizes()")
    if mean.shape != var.shape or mean.ndim != 2:
        raise ValueError(f"mean and var must have one shape (n, d); got {mean.shape}, {var.shape}")
    mean = mean.rechunk({1: -1})
    var = var.rechunk(mean.chunks)
    lengths = mean.chunks[0]
    firsts = [sum(lengths[:k]) for k in range(len(lengths))]
    chunks = zip(mean.to_delayed().ravel(), var.to_delayed().ravel(), firsts, lengths, strict=True)
    of_chunk = delayed(_of_chunk, pure=True)
    parts = [of_chunk(m, v, name, first, given) for m, v, first, rows in chunks if rows]
    if not parts:
        raise ValueError("there are no rows to summarise")
    return _added(parts, delayed(_both, pure=True))


def summary_of_files(
    files: Iterable[str | os.PathLike[str]], *, progress: Progress | None = None, **given: Any
) -> Summary:
    """Summarise files one after the other, each as a part of its own.

    Parameters
    ----------
    files : iterable of path
        Each with rows of its own; files without rows are passed over.
    progress : callable, optional
        Called with an iterable over files, a description and its length; gives what to iterate over.
    **given
        Further arguments of :func:`~disentangle_indicators.read_encodings`.

    Returns
    -------
    Summary
        The same bits as :func:`~disentangle_indicators.summary.merge` of the summaries of the files,
        if each has rows. Memory holds one block of rows, and a few of these summaries at a time.

    Raises
    ------
    ValueError
        On no file, on files that cannot be read or added up, and where none has rows.

    Examples
    --------
    >>> summary_of_files(["part-0.parquet", "part-1.parquet"])  # doctest: +SKIP
    Summary(200000 rows x 8 latents; 2 parts)
    """
    names = _sorted(files)
    steps = iter(names if progress is None else progress(names, "files", len(names)))

    def added(count: int) -> Summary | None:
        if count == 1:
            name = next(steps)
            return _of_file(os.path.abspath(name), name, "", given)
        return _both(added(count // 2), added(count - count // 2))

    whole = _any_rows(added(len(names)))
    next(steps, None)  # ends the bar
    return whole


def summarise_files(
    files: Iterable[str | os.PathLike[str]], *, topic: str = "", **given: Any
) -> Any:
    """Summarise files of encodings by Dask, one task for each file.

    Parameters
    ----------
    files : iterable of path
        Each with rows of its own; files without rows are passed over. Workers read them under these
        paths.
    topic : str, optional
        Workers log an event of this topic with the name of each file that they have summed up, for
        ``Client.subscribe_topic``.
    **given
        Further arguments of :func:`~disentangle_indicators.read_encodings`.

    Returns
    -------
    dask.delayed.Delayed
        Its ``compute()`` gives the Summary: the same bits on any number of workers, and as
        :func:`~disentangle_indicators.summary.merge` of the summaries of the files, if each has rows.

    Raises
    ------
    ValueError
        On no file, here; and on files that cannot be read or added up, by ``compute()``.

    Examples
    --------
    >>> summarise_files(["part-0.parquet", "part-1.parquet"]).compute()  # doctest: +SKIP
    Summary(200000 rows x 8 latents; 2 parts)
    """
    from dask.delayed import delayed

    names = _sorted(files)
    of_file = delayed(_of_file, pure=True)
    parts = [of_file(os.path.abspath(name), name, topic, given) for name in names]
    return delayed(_any_rows, pure=True)(_added(parts, delayed(_both, pure=True)))


def _sorted(files: Iterable[str | os.PathLike[str]]) -> list[str]:
    names = sorted(map(str, files))
    if not names:
        raise ValueError("there are no files to summarise")
    return names


def _of_file(path: str, name: str, topic: str, given: dict[str, Any]) -> Summary | None:
    """Return the summary of a file; None of one without rows."""
    from disentangle_indicators.encodings import read_encodings
    from disentangle_indicators.encodings._stored import reading

    summary: Summary | None = None
    with suppress(NoRows), reading(Path(path)):
        summary = Summary.of(read_encodings(path, **given), name=name)
    if topic:
        from distributed import get_worker

        get_worker().log_event(topic, name)
    return summary


def _of_chunk(mean: Any, var: Any, name: str, first: int, given: dict[str, Any]) -> Summary:
    return Summary.of(Encodings.of(mean, var, **given), name=name, first_row=first)


def _both(one: Summary | None, two: Summary | None) -> Summary | None:
    return one + two if one is not None and two is not None else one or two


def _any_rows(whole: Summary | None) -> Summary:
    if whole is None:
        raise ValueError("none of the files has rows")
    return whole


def _added(parts: list[Any], both: Any) -> Any:
    """Add halves to each other, as merge does."""
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    return both(_added(parts[:middle], both), _added(parts[middle:], both))
