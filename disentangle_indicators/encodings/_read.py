"""From a file, or a file of means and one of a scale, to Encodings."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from disentangle_indicators._array import as_array, one_scale
from disentangle_indicators._blocks import one_line
from disentangle_indicators._clusters import blocks as cut
from disentangle_indicators._errors import NoRows
from disentangle_indicators._prior import as_prior
from disentangle_indicators._progress import Progress
from disentangle_indicators._provenance import Input
from disentangle_indicators._scales import repeated
from disentangle_indicators._sources import check_rows, few_rows
from disentangle_indicators.encodings._axes import axes_of
from disentangle_indicators.encodings._columns import (
    Source,
    column_of,
    factors_of,
    is_taken,
)
from disentangle_indicators.encodings._layout import OF_SITES, blocks, laid_out
from disentangle_indicators.encodings._many import open_source
from disentangle_indicators.encodings._stored import (
    OBJECTS,
    Contents,
    Stored,
    check_size,
    reading,
)
from disentangle_indicators.encodings._views import repeated_to, transposed
from disentangle_indicators.encodings.formats import suffix_of
from disentangle_indicators.encodings.keys import Choice, choose, choose_packed
from disentangle_indicators.encodings.names import NATIVE
from disentangle_indicators.factors import Factors, as_column, as_table
from disentangle_indicators.posteriors import Encodings, in_blocks

CLUSTERS = ("clusters", "cluster")
"""Keys that our own files have, or had, for the cluster of each row."""

STILL = 0.1
"""Size of the means below which a posterior of variance 1 carries at most 0.005 nats: unused."""

_PathLike = str | os.PathLike[str]


def read_encodings(
    path: _PathLike | None = None,
    *,
    mean: _PathLike | None = None,
    var: _PathLike | None = None,
    std: _PathLike | None = None,
    logvar: _PathLike | None = None,
    logstd: _PathLike | None = None,
    mean_key: str | None = None,
    scale_key: str | None = None,
    scale: str | None = None,
    packed: str | None = None,
    layout: str | None = None,
    factors: Source | None = None,
    factor_names: Sequence[str] | None = None,
    kinds: Mapping[str, str] | Sequence[str] | None = None,
    labels: Source | None = None,
    clusters: Source | None = None,
    order: Source | None = None,
    prior_mean: Any = 0.0,
    prior_var: Any = 1.0,
    threads: int = 1,
    progress: Progress | None = None,
) -> Encodings:
    """Open a file of posterior means and variances.

    Which array is what, and whether the scale is a variance, a standard deviation or a logarithm,
    is decided by the arguments, else by the metadata of our own files, else by the pairs of names that a
    library is known to write, else by the name of the key; never by the values.

    Parameters
    ----------
    path : path, optional
        A file of any readable format, or several as one: a folder, a pattern such as
        ``part-*.npz``, or a text file with one path a line.
    mean, var, std, logvar, logstd : path, optional
        Files of one array each, .npy, .csv or any other: the means, in place of `path`, and one
        scale. With a scale `path` is the file of the means too.
    mean_key, scale_key : str, optional
        The keys of the arrays in the file.
    scale : {"var", "std", "logvar", "logstd"}, optional
        What the scale is.
    packed : str, optional
        "mean,logvar" and its like, when one array holds the means and then the scale along axis 1,
        the axis of latents or channels, or has the shape (2, n, d); `mean_key` names that array.
    layout : {"channels", "last", "flatten", "transposed"}, optional
        One of the first three is compulsory when the means have more than two axes: "channels"
        makes every site of (n, C, ...) a row of C latents, and every image a cluster; "last" does
        so with (n, ..., C); "flatten" makes every entry a latent. "transposed" reads tables of the
        shape (d, n).
    factors, labels, clusters : key or path, optional
        Ground-truth factors (n, k), class labels (n,), and groups of dependent rows (n,): a key of
        the file, or another file. The keys "factors", "factor_names" and "labels" are taken by
        themselves, and so is the key "clusters" of a file that write_encodings wrote.
    order : key, path or "rows", optional
        Times of the rows of a series, (n,), or "rows" when rows are stored in order of time. In
        order of time rows are cut into 30 blocks, which serve as clusters.
    factor_names : sequence of str, length k, optional
    kinds : sequence, or dict by name, of str, optional
        Of the factors, where they are not what they look like.
    prior_mean, prior_var : float or array, shape (d,)
        The Gaussian prior; everything that is computed is in its units.
    threads : int
        Threads over blocks of rows, and over latents; no number depends on it.
    progress : callable, optional
        Wraps long loops, given an iterable, a description and its length.

    Returns
    -------
    Encodings
        Opened but not read; ``batches()`` streams it.

    Raises
    ------
    AmbiguousEncodings
        If the file can be read in more than one way; the message ends with the argument to add.
    ValueError
        If the file is damaged, holds objects, or its arrays do not fit together.
    FileNotFoundError
        If there is no such file.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import numpy as np
    >>> from disentangle_indicators.encodings import read_encodings
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "encodings.npz")
    ...     np.savez(path, mu=np.zeros((3, 2)), logvar=np.array([[0.0, -1.0]] * 3))
    ...     encodings = read_encodings(path)
    ...     (batch,) = encodings.batches()
    >>> print(encodings.source)
    mean from 'mu', variance = exp('logvar') (schema: names), 3 rows x 2 latents
    >>> batch[1].shape
    (3, 2)
    """
    given, other = one_scale(var, std, logvar, logstd)
    if packed is not None and (given or scale_key or scale):
        raise ValueError("packed= names the scale; it excludes another one")
    mean, path = (path, None) if mean is None and given else (mean, path)
    if mean is not None:
        if path is not None or mean_key or scale_key or scale:
            raise ValueError(
                "mean= names a file of one array; it excludes a path, keys and scale="
            )
        files = [Path(name) for name in (mean, other) if name is not None]
        path, contents = files[0], _pair(files)
        mean_key, scale_key, scale = str(path), str(files[1]) if given else None, given or None
    elif path is None:
        raise ValueError("give a path, or the files mean= and one of the scales")
    else:
        path = Path(path)
        contents, files = open_source(path)
    with reading(path):
        if packed is None:
            choice = choose(contents, mean_key, scale_key, scale)
        else:
            contents, choice = choose_packed(contents, mean_key, packed, layout)
        asked = mean_key is not None or packed is not None
        encodings = _checked(path, contents, choice, layout, asked=asked)
    prior = as_prior(prior_mean, prior_var, encodings.d)
    if choice.prior and np.all(prior[0] == 0) and np.all(prior[1] == 1):
        note = f"{choice.schema} gives {choice.mean_key!r} a prior of its own, of variance "
        note += f"{choice.prior}; this is N(0, 1), add prior_var= for another one"
        encodings = replace(encodings, notes=(*encodings.notes, note))
    sources = (factors, labels, clusters, order)
    beside = [Path(s) for s in sources if s is not None and _is_file(s, contents)]
    encodings = replace(
        encodings,
        inputs=(
            *(Input.of_file(file, streamed=True) for file in files),
            *map(Input.of_file, dict.fromkeys(beside)),
        ),
        prior_mean=prior[0],
        prior_var=prior[1],
        threads=threads,
        progress=progress,
    )
    try:
        encodings = _with_columns(
            encodings, contents, factors, factor_names, kinds, labels, clusters
        )
        return encodings if order is None else _in_order(encodings, contents, order, clusters)
    except ValueError as error:  # what belongs to the rows is named with the file it belongs to
        if str(error).startswith(str(path)):
            raise
        raise type(error)(f"{path}: {error}") from error


def _is_file(source: Source, contents: Contents) -> bool:
    return contents.find(str(source)) is None and Path(source).is_file()


def _pair(files: Sequence[Path]) -> Contents:
    """Open files of one array each, which are called as the files are: the arguments name their content."""
    arrays = {}
    for path in files:
        contents = open_source(path)[0]
        tables = [array for array in contents.arrays.values() if len(array.shape) > 1]
        tables = tables or list(contents.arrays.values())
        if len(tables) != 1:
            raise ValueError(
                f"{path}: a file of means or of a scale holds one array, and this one has "
                f"{contents.listing()}; give it alone, with mean_key= and scale_key="
            )
        arrays[str(path)] = replace(tables[0], name=str(path))
    alone = "no scale is given: means only; add logvar='FILE' (or var=, std=, logstd=)"
    return Contents(arrays, notes=(alone,) if len(files) == 1 else ())


def _checked(
    path: Path, contents: Contents, choice: Choice, layout: str | None, *, asked: bool
) -> Encodings:
    """Apply the layout to the shape and look at the first rows for what no encoder can mean."""
    layout, of_axes = axes_of(contents, choice, layout, asked=asked)
    mean = contents.arrays[choice.mean_key]
    turned = layout == "transposed"
    n, d, sites = laid_out(mean.shape[::-1] if turned else mean.shape, layout)
    if n == 0:
        raise NoRows(f"the mean has no rows; it is {mean}: leave such a file out")
    if d == 0:
        raise ValueError(f"the mean has no latents; it is {mean}")
    size = 8 * int(np.prod(mean.shape[1:], dtype=float))
    check_size(mean.path or path, f"a row of {mean.name}", size)
    scale, notes = _scale(contents, choice)
    notes += of_axes
    if turned:
        mean, scale = transposed(mean), transposed(scale) if scale else None
    as_array(next(mean.blocks(1)), repr(mean.name))
    if few_rows(n, d) and layout != "flatten":
        notes += (f"{few_rows(n, d)}, add layout='transposed'",)
    return Encodings(
        stored=partial(blocks, path, mean, scale, layout),
        source=_described(choice, n, d, sites),
        name=one_line(str(path)),
        path=path,
        format=suffix_of(path)[1:],
        n=n,
        d=d,
        mean_key=choice.mean_key,
        scale_key=choice.scale_key,
        scale=choice.scale,
        schema=choice.schema,
        layout=layout,
        clusters=np.repeat(np.arange(mean.shape[0]), sites) if layout in OF_SITES else None,
        metadata=dict(contents.metadata),
        notes=notes,
    )


def _scale(contents: Contents, choice: Choice) -> tuple[Stored | None, tuple[str, ...]]:
    """Return the scale in the shape of the mean, None for means only, and what is to be noted."""
    notes = (*contents.notes, *choice.notes)
    if not choice.scale_key:
        return None, notes
    mean, scale = contents.arrays[choice.mean_key], contents.arrays[choice.scale_key]
    found = None
    if scale.shape != mean.shape:
        found = repeated(scale.shape, mean.shape, repr(scale.name))
    if found is not None:
        fit, note = found
        return repeated_to(scale, fit, mean.shape), (*notes, note)
    return scale, (*notes, *_suspicions(mean, scale, choice.scale))


_FORMULAS = {"var": "{!r}", "std": "{!r}^2", "logvar": "exp({!r})", "logstd": "exp(2 {!r})"}


def _described(choice: Choice, n: int, d: int, sites: int) -> str:
    """Return one sentence about what was read, and by which rule."""
    scale = "no variances"
    if choice.scale:
        rule = "names" if choice.schema == "name" else choice.schema
        scale = f"variance = {_FORMULAS[choice.scale].format(choice.scale_key)} (schema: {rule})"
    size = f"{n} row{'s' * (n != 1)} x {d} latent{'s' * (d != 1)}"
    if sites > 1:
        size += f": {n // sites} images of {sites} sites, the sites of an image are a cluster"
    return f"mean from {choice.mean_key!r}, {scale}, {size}"


def _suspicions(mean: Stored, scale: Stored, kind: str) -> tuple[str, ...]:
    """Refuse a scale that is the mean itself; return a note when all its entries are equal.

    Reads only as far as the first entry that differs, which nearly always is in the first block.
    """
    rows = max(1, 2**18 // int(np.prod(mean.shape[1:])))
    same = constant = True
    first: Any = None
    largest = 0.0
    for raw, raw_scale in zip(mean.blocks(rows), scale.blocks(rows), strict=True):
        z, values = as_array(raw, repr(mean.name)), as_array(raw_scale, repr(scale.name))
        first = values.flat[0] if first is None else first
        same = same and bool(np.array_equal(z, values))
        constant = constant and bool(np.all(values == first))
        largest = max(largest, float(np.max(np.abs(z))))
        if not (same or constant):
            return ()
    if same and not constant:
        raise ValueError(
            f"{scale.name!r} holds the same numbers as {mean.name!r}: one of them was stored "
            "twice, so there is no scale"
        )
    if not constant or int(np.prod(scale.shape)) == 1:
        return ()
    note = f"WARNING: every entry of {scale.name!r} is {first:g}"
    if first == (0 if kind.startswith("log") else 1) and largest < STILL:
        still = f"no mean is further than {STILL} from 0"
        return (f"{note}, and {still}: all latents have collapsed, or the export is broken",)
    return (f"{note}; the model fixes its posterior width, or the export is broken",)


def _with_columns(
    encodings: Encodings,
    contents: Contents,
    factors: Source | None,
    factor_names: Sequence[str] | None,
    kinds: Mapping[str, str] | Sequence[str] | None,
    labels: Source | None,
    clusters: Source | None,
) -> Encodings:
    """Add the factors, labels and clusters; with channels, those of an image go to its sites."""
    changes: dict[str, Any] = {}
    values, names, notes = factors_of(contents, factors)
    if values is not None:
        changes["factors"] = as_table(
            _of_sites(values, encodings, contents, "factors"),
            encodings.n,
            kinds=kinds,
            names=factor_names or names or None,
        )
    elif factor_names is not None:
        raise ValueError("factor_names are given without factors")
    if labels is None and is_taken(contents, "labels", 1):
        labels = "labels"
    if clusters is None and contents.metadata.get("format") == NATIVE:
        clusters = next((key for key in CLUSTERS if key in contents.arrays), None)
    for name, source in (("labels", labels), ("clusters", clusters)):
        if source is not None:
            values = _of_sites(column_of(contents, source, name), encodings, contents, name)
            changes[name] = as_column(values, encodings.n, name)
    skipped = [
        f"the key {array} is not taken as {key}: "
        + (f"it {OBJECTS}" if array.dtype == "object" else "its shape does not fit")
        for key, array in contents.arrays.items()
        if key in ("factors", "labels") and key not in changes
    ]
    return replace(encodings, **changes, notes=(*encodings.notes, *notes, *skipped))


def _images(encodings: Encodings, contents: Contents) -> int:
    """Return the number of images, which is that of the rows without channels."""
    if encodings.layout not in OF_SITES:
        return encodings.n
    return contents.arrays[encodings.mean_key].shape[0]


def _of_sites(values: Any, encodings: Encodings, contents: Contents, name: str) -> Any:
    """Return what belongs to the rows; with channels, that of an image goes to its sites."""
    n, images = encodings.n, _images(encodings, contents)
    rows = len(values) if isinstance(values, Factors) or values.ndim else 0
    if images == n or rows != images:
        check_rows(values, n, encodings.d, name, "add layout='transposed'")
        return values
    each = np.repeat(np.arange(images), n // images)
    return values.take(each) if isinstance(values, Factors) else values[each]


def _in_order(
    encodings: Encodings, contents: Contents, order: Source, clusters: Source | None
) -> Encodings:
    """Cut the rows of a series into blocks, in place of what else are its clusters."""
    if clusters is not None:
        raise ValueError("give either clusters or order; both say which rows depend")
    times = (
        np.arange(_images(encodings, contents))
        if order == "rows" and order not in contents.arrays
        else column_of(contents, order, "order")
    )
    found = cut(_of_sites(times, encodings, contents, "order"), encodings.n)
    notes = (*encodings.notes, in_blocks(int(found.max()) + 1))
    return replace(encodings, clusters=found, notes=notes)
