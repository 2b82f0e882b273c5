"""From a file, or a pair of .npy files, to Encodings."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from disentangle_indicators._array import as_array, one_scale
from disentangle_indicators._prior import as_prior
from disentangle_indicators._progress import Progress
from disentangle_indicators._provenance import Input
from disentangle_indicators.encodings._columns import (
    Source,
    column_of,
    factors_of,
)
from disentangle_indicators.encodings._layout import blocks, laid_out
from disentangle_indicators.encodings._stored import (
    AmbiguousEncodings,
    Contents,
    Stored,
    reading,
)
from disentangle_indicators.encodings.formats import open_file
from disentangle_indicators.encodings.keys import NATIVE, Choice, choose
from disentangle_indicators.factors import Factors, as_column, as_table
from disentangle_indicators.posteriors import Encodings

CLUSTERS = ("clusters", "cluster")
"""Keys that our own files have, or had, for the cluster of each row."""

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
    layout: str | None = None,
    factors: Source | None = None,
    factor_names: Sequence[str] | None = None,
    kinds: Mapping[str, str] | Sequence[str] | None = None,
    labels: Source | None = None,
    clusters: Source | None = None,
    prior_mean: Any = 0.0,
    prior_var: Any = 1.0,
    threads: int = 1,
    progress: Progress | None = None,
) -> Encodings:
    """Open a file of posterior means and variances.

    Which array is what, and whether the scale is a variance, a standard deviation or a logarithm,
    is decided by flag, else by the metadata of our own files, else by the pairs of names that a
    library is known to write, else by the name of the key; never by the values.

    Parameters
    ----------
    path : path, optional
        An .npz, .safetensors, .pt, .pth, .csv or .tsv file, or a lone .npy file of means.
    mean, var, std, logvar, logstd : path, optional
        In place of `path`: .npy files, the means and one scale.
    mean_key, scale_key : str, optional
        The keys of the arrays in the file.
    scale : {"var", "std", "logvar", "logstd"}, optional
        What the scale is.
    layout : {"channels", "flatten"}, optional
        Compulsory when the means have the shape (n, C, ...) with more than two axes: "channels"
        makes every site a sample of C latents, "flatten" makes every entry a latent.
    factors, labels, clusters : key or path, optional
        Ground-truth factors (n, k), class labels (n,), and groups of dependent rows (n,): a key of
        the file, or another file. The keys "factors", "factor_names" and "labels" are taken by
        themselves, and so is the key "clusters" of a file that write_encodings wrote.
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
        If the file can be read in more than one way; the message ends with the flag to add.
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
    mean from 'mu', variance = exp('logvar') (schema: names), 3 samples x 2 latents
    >>> batch[1].shape
    (3, 2)
    """
    given, other = one_scale(var, std, logvar, logstd)
    if mean is not None:
        if path is not None or mean_key or scale_key or scale:
            raise ValueError("mean= names an .npy file; it excludes a path, keys and scale=")
        path, contents, choice = _pair(Path(mean), given, other)
        files = [Path(name) for name in contents.arrays]
    else:
        if path is None or given:
            raise ValueError("give a path, or the .npy files mean= and one of the scales")
        path = Path(path)
        contents, files = open_file(path), [path]
        with reading(path):
            choice = choose(contents, mean_key, scale_key, scale)
    with reading(path):
        encodings = _checked(path, contents, choice, layout)
    prior = as_prior(prior_mean, prior_var, encodings.d)
    sources = (factors, labels, clusters)
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
        return _with_columns(encodings, contents, factors, factor_names, kinds, labels, clusters)
    except ValueError as error:  # what belongs to the rows is named with the file it belongs to
        if str(error).startswith(str(path)):
            raise
        raise type(error)(f"{path}: {error}") from error


def _is_file(source: Source, contents: Contents) -> bool:
    return source not in contents.arrays and Path(source).is_file()


def _pair(mean: Path, scale: str, other: _PathLike | None) -> tuple[Path, Contents, Choice]:
    """Open .npy files under their own names; a flag said what each of them is."""
    arrays: dict[str, Stored] = {}
    for path in (mean, *([Path(other)] if other is not None else [])):
        if path.suffix.lower() != ".npy":
            raise ValueError(f"{path}: mean= and the scales name .npy files")
        arrays[str(path)] = replace(open_file(path).arrays["mean"], name=str(path))
    if other is None:
        note = "no scale is given: means only; add --logvar FILE.npy (or --var, --std, --logstd)"
        return mean, Contents(arrays), Choice(str(mean), "", "", "flag", (note,))
    contents, key = Contents(arrays), str(Path(other))
    with reading(mean):
        return mean, contents, choose(contents, str(mean), key, scale)


def _checked(path: Path, contents: Contents, choice: Choice, layout: str | None) -> Encodings:
    """Apply the layout to the shape and look at the first rows for what no encoder can mean."""
    mean = contents.arrays[choice.mean_key]
    scale = contents.arrays[choice.scale_key] if choice.scale_key else None
    if layout not in (None, "channels", "flatten"):
        raise ValueError(f"layout must be channels or flatten; got {layout!r}")
    if len(mean.shape) < 2:
        raise ValueError(f"the mean must have the shape (n, d); it is {mean}")
    if len(mean.shape) > 2 and layout is None:
        raise AmbiguousEncodings(
            f"the mean {mean} has more than two axes: are its sites samples (channels) or latents "
            "(flatten)?; add --layout channels|flatten"
        )
    layout = layout if layout and len(mean.shape) > 2 else ""
    n, d, sites = laid_out(mean.shape, layout)
    for count, word in ((n, "samples"), (d, "latents")):
        if count == 0:
            raise ValueError(f"the mean has no {word}; it is {mean}")
    as_array(next(mean.blocks(1)), repr(mean.name))
    notes = (*contents.notes, *choice.notes)
    return Encodings(
        stored=partial(blocks, path, mean, scale, layout),
        source=_described(choice, n, d),
        name=str(path),
        path=path,
        format=path.suffix.lower()[1:],
        n=n,
        d=d,
        mean_key=choice.mean_key,
        scale_key=choice.scale_key,
        scale=choice.scale,
        schema=choice.schema,
        layout=layout,
        clusters=np.repeat(np.arange(mean.shape[0]), sites) if layout == "channels" else None,
        metadata=dict(contents.metadata),
        notes=notes if scale is None else (*notes, *_suspicions(mean, scale)),
    )


_FORMULAS = {"var": "{!r}", "std": "{!r}^2", "logvar": "exp({!r})", "logstd": "exp(2 {!r})"}


def _described(choice: Choice, n: int, d: int) -> str:
    """Return one sentence about what was read, and by which rule."""
    scale = "no variances"
    if choice.scale:
        rule = "names" if choice.schema == "name" else choice.schema
        scale = f"variance = {_FORMULAS[choice.scale].format(choice.scale_key)} (schema: {rule})"
    return f"mean from {choice.mean_key!r}, {scale}, {n} samples x {d} latents"


def _suspicions(mean: Stored, scale: Stored) -> tuple[str, ...]:
    """Refuse a scale that is the mean itself; return a note when all its entries are equal.

    Reads only as far as the first entry that differs, which nearly always is in the first block.
    """
    rows = max(1, 2**18 // int(np.prod(mean.shape[1:])))
    same = constant = True
    first: Any = None
    for raw, raw_scale in zip(mean.blocks(rows), scale.blocks(rows), strict=True):
        z, values = as_array(raw, repr(mean.name)), as_array(raw_scale, repr(scale.name))
        first = values.flat[0] if first is None else first
        same = same and bool(np.array_equal(z, values))
        constant = constant and bool(np.all(values == first))
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
    return (
        f"{note}; the model fixes its posterior width, all latents have collapsed, or the export is broken",
    )


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
    n, images = encodings.n, contents.arrays[encodings.mean_key].shape[0]

    def rows(values: Any) -> Any:
        each = np.repeat(np.arange(images), n // images)
        if isinstance(values, Factors):
            return values.take(each) if len(values) == images else values
        return values[each] if values.shape[:1] == (images,) else values

    changes: dict[str, Any] = {}
    values, names = factors_of(contents, factors)
    if values is not None:
        changes["factors"] = as_table(
            rows(values), n, kinds=kinds, names=factor_names or names or None
        )
    elif factor_names is not None:
        raise ValueError("factor_names are given without factors")
    if labels is None and len(getattr(contents.arrays.get("labels"), "shape", ())) == 1:
        labels = "labels"
    if clusters is None and contents.metadata.get("format") == NATIVE:
        clusters = next((key for key in CLUSTERS if key in contents.arrays), None)
    for name, source in (("labels", labels), ("clusters", clusters)):
        if source is not None:
            changes[name] = as_column(rows(column_of(contents, source, name)), n, name)
    skipped = [
        f"the key {array} is not taken as {key}: its shape does not fit"
        for key, array in contents.arrays.items()
        if key in ("factors", "labels") and key not in changes
    ]
    return replace(encodings, **changes, notes=(*encodings.notes, *skipped))
