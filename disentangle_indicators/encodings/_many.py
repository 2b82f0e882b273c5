"""Several files as one: a folder, a pattern, or a manifest of paths."""

import glob
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from disentangle_indicators._provenance import sha256_of
from disentangle_indicators.encodings._stored import Contents, Stored, continued, stack
from disentangle_indicators.encodings.formats import (
    FORMATS,
    arrow,
    is_model,
    npy,
    open_file,
    suffix_of,
    zarr,
)
from disentangle_indicators.summary import is_summary

__all__ = ["files_of", "names_in", "open_source"]

MANIFEST = ".txt"
"""Suffix of a text file of paths, one a line: PATH, PATH SHA256, PATH ROWS or PATH ROWS SHA256."""

_BESIDE = re.compile(r"(?:\s+(\d{1,18}))?(?:\s+(?:sha256:)?([0-9a-fA-F]{64}))?$")
"""Rows and sha256 after a name."""


def open_source(path: Path) -> tuple[Contents, list[Path]]:
    """Open a file, a folder, a pattern such as ``part-*.npz``, or a manifest.

    Returns
    -------
    contents : Contents
    files : list of Path
        What was opened.

    Raises
    ------
    FileNotFoundError
        If nothing is there.
    ValueError
        If the files do not fit together, or one of them cannot be read.
    """
    if path.is_dir() and not zarr.matches(path, b""):
        return _of_folder(path)
    if not path.exists() and glob.has_magic(str(path)):
        files = sorted(map(Path, glob.glob(str(path))), key=_by_number)
        if not files:
            raise FileNotFoundError(f"there is no file that matches {path}")
        return _of_files(path, files), files
    listed = _listed(path) if path.suffix.lower() == MANIFEST and path.is_file() else []
    if not listed:
        return _opened(path), [path]
    files = [file for file, _ in listed]
    contents = _of_files(path, files)
    _check_rows(path, contents, listed)
    return contents, [path, *files]


def files_of(path: Path) -> list[Path]:
    """Return the files of a folder, a pattern or a manifest, each with rows of its own.

    Any other file is alone, and so are .npy files, which are arrays of the same rows.
    """
    _, found = open_source(path)
    files = [file for file in found if file != path]
    return [path] if _are_npy(files) else files


def _of_files(path: Path, files: list[Path]) -> Contents:
    """Open the files of a pattern or of a manifest, as those of a folder are."""
    _check_once(files)
    if _are_npy(files) and len(_stems(files)) > 1:
        return _of_npy(path.parent, files)
    return _continued_files(files)


def _are_npy(files: Sequence[Path]) -> bool:
    return all(suffix_of(file) in npy.SUFFIXES for file in files)


def _check_once(files: Sequence[Path]) -> None:
    """Refuse a file that is named twice, also in another way: its rows would count twice."""
    seen: dict[Path, Path] = {}
    for file in files:
        before = seen.setdefault(file.resolve(), file)
        if before is not file:
            raise ValueError(f"{file} is given twice, the first time as {before}: leave one out")


def _check_copies(files: Sequence[Path]) -> None:
    """Refuse two files of equal bytes, unless they have no rows.

    Sizes and ends are compared first: the end of most formats depends on all that is in a file.
    """
    ends: dict[tuple[int, bytes], list[Path]] = {}
    for file in filter(Path.is_file, files):
        ends.setdefault((file.stat().st_size, _end(file)), []).append(file)
    for alike in ends.values():
        seen: dict[str, Path] = {}
        for file in alike if len(alike) > 1 else ():
            before = seen.setdefault(sha256_of(file), file)
            if before is not file and _rows(open_file(file)):
                raise ValueError(
                    f"{file} has the same bytes as {before}: its rows would count twice; leave one out"
                )


def _end(file: Path) -> bytes:
    """Return a hash of the last bytes."""
    with open(file, "rb") as stream:
        stream.seek(max(0, file.stat().st_size - (1 << 16)))
        return hashlib.sha256(stream.read()).digest()


def _rows(contents: Contents) -> int:
    return max((array.shape[0] for array in contents.arrays.values() if array.shape), default=0)


def _by_number(path: Path) -> list[tuple[int, str]]:
    """Order part-2 before part-10."""
    parts = re.split(r"(\d+)", str(path))
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def names_in(manifest: Path) -> Iterator[tuple[int, str, int | None, str]]:
    """Yield the number of a line, the name in it, its rows or None, and its sha256 or ""."""
    text = manifest.read_text(encoding="utf-8", errors="replace")
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        if line and not line.startswith("#"):
            beside = _BESIDE.search(line)
            assert beside is not None  # it matches no words too
            rows, known = beside.groups()
            yield number, line[: beside.start()], int(rows) if rows else None, known or ""


def _listed(manifest: Path) -> list[tuple[Path, int | None]]:
    """Return the files of a manifest and their rows; none where a text file is no manifest."""
    found: list[tuple[Path, int | None]] = []
    for number, name, rows, known in names_in(manifest):
        path = manifest.parent / name
        if not found and suffix_of(path) not in FORMATS and not path.is_dir():
            return []  # a table of text
        where = f"{manifest}, line {number}"
        if not path.exists():
            raise ValueError(
                f"{where}: there is no file {path}; a line is PATH, its rows and its sha256"
            )
        if known:
            _check_hash(where, path, known)
        found.append((path, rows))
    return found


def _check_hash(where: str, path: Path, known: str) -> None:
    found = sha256_of(path)
    if found != known.lower():
        raise ValueError(f"{where}: {path} has changed: its sha256 is {found}")


def _check_rows(
    manifest: Path, contents: Contents, listed: Sequence[tuple[Path, int | None]]
) -> None:
    announced = [rows for _, rows in listed]
    n = _rows(contents)
    if None not in announced and sum(map(int, filter(None, announced))) != n:
        raise ValueError(f"{manifest}: it announces {sum(filter(None, announced))} rows, not {n}")


def _of_folder(path: Path) -> tuple[Contents, list[Path]]:
    """Open a folder of .npy files, each an array of that name, or of files of one kind.

    Raises
    ------
    ValueError
        When there is no file that can be read, or there are several kinds.
    """
    if is_model(path):
        return open_file(path), []  # which refuses a model
    found = [file for file in path.rglob("*") if file.is_file() and not _is_hidden(file, path)]
    files = sorted((file for file in found if suffix_of(file) in FORMATS), key=_by_number)
    inner = [zarr_folder for zarr_folder in path.rglob("*.zarr") if zarr_folder.is_dir()]
    kinds = {suffix_of(file): file for file in reversed([*files, *inner])}
    if not kinds:
        raise ValueError(f"{path}: there is no file of encodings in this folder")
    if len(kinds) > 1:
        raise ValueError(
            f"{path}: the folder has files of several kinds; give one of them, such as "
            f"{' or '.join(str(kinds[kind]) for kind in sorted(kinds))}"
        )
    (kind,) = kinds
    if kind in arrow.SUFFIXES:
        _check_copies(files)
        return arrow.read_files(path, files), files
    if kind in npy.SUFFIXES:
        return _of_npy(path, files), files
    files = files or sorted(inner, key=_by_number)
    return _continued_files(files), files


def _is_hidden(file: Path, folder: Path) -> bool:
    """Whether a part of a name below the folder begins with "." or "_", as of temporary files."""
    return any(part.startswith((".", "_")) for part in file.relative_to(folder).parts)


def _of_npy(folder: Path, files: list[Path]) -> Contents:
    """Return .npy files as arrays by their names; files that are numbered are one array."""
    groups: dict[str, list[Stored]] = {}
    for file in files:
        array = replace(npy.read(file).arrays["mean"], path=file)
        groups.setdefault(_stem(file), []).append(array)
    if all(len(group) == 1 for group in groups.values()):
        named = {file.stem: group[0] for file, group in zip(files, groups.values(), strict=True)}
        return Contents({name: replace(array, name=name) for name, array in named.items()})
    made, notes = {}, []
    for stem, parts in groups.items():
        name = stem or folder.name
        stacked = len(parts[0].shape) in (1, 3)  # latents, or channels and a grid, of one sample
        _check_shapes(name, [file for file in files if _stem(file) == stem], parts, stacked)
        made[name] = (stack if stacked else continued)(name, parts)
        how = "stacked, one row each" if stacked else "read one after the other"
        notes.append(f"{len(parts)} files of {name!r} are {how}")
    return Contents(made, notes=tuple(notes))


def _stem(file: Path) -> str:
    """Return the name of a file without its suffix, and without its number."""
    return re.sub(r"[-_.]?\d+$", "", file.stem)


def _stems(files: Sequence[Path]) -> set[str]:
    return {_stem(file) for file in files}


def _opened(file: Path) -> Contents:
    """Open a file, or a folder that holds the arrays of one part."""
    if is_summary(file):
        raise ValueError(f"{file} holds sums over rows, not rows: score(path) takes it")
    folder = file.is_dir() and not zarr.matches(file, b"")
    return _of_folder(file)[0] if folder else open_file(file)


def _difference(one: Path, two: Path, names: set[str], others: set[str]) -> str:
    """Return which arrays one of two files has, and the other has not."""
    more, less = sorted(names - others), sorted(others - names)
    has, lacks, which = (one, two, more) if more else (two, one, less)
    listed = ", ".join(map(repr, which[:3])) + (f" and {len(which) - 3} more" if which[3:] else "")
    return f"{has} has {listed}, and {lacks} has not: files of one data set have the same arrays"


def _check_shapes(
    name: str, files: Sequence[Path], parts: Sequence[Stored], stacked: bool
) -> None:
    """Refuse an array whose rows have other shapes in one file than in the first."""
    shapes = [part.shape if stacked else part.shape[1:] for part in parts]
    for file, shape in zip(files, shapes, strict=True):
        if shape != shapes[0]:
            raise ValueError(
                f"{file} has {_row(shape)} of {name!r}, and {files[0]} has {_row(shapes[0])}: files "
                "of one data set have the same arrays"
            )


def _row(shape: tuple[int, ...]) -> str:
    """Return the shape of one row in words."""
    return f"{shape[0]} columns" if len(shape) == 1 else f"the shape {shape}"


def _continued_files(files: Sequence[Path]) -> Contents:
    """Open files that continue each other: arrays of one name are one array."""
    parts = [_opened(file) for file in files]
    if all(part.one_row for part in parts):
        parts = [part.without_sizes() for part in parts]
    first = parts[0]
    for file, part in zip(files, parts, strict=True):
        if set(part.arrays) != set(first.arrays):
            raise ValueError(_difference(file, files[0], set(part.arrays), set(first.arrays)))
    if not first.one_row:  # a data set may have one image twice
        _check_copies(files)
    join = stack if first.one_row else continued
    arrays: dict[str, Stored] = {}
    for name in first.arrays:
        each = [part.arrays[name] for part in parts]
        _check_shapes(name, files, each, first.one_row)
        arrays[name] = join(name, each)
    notes = first.notes
    if len(files) > 1:
        how = "stacked, one row each" if first.one_row else "read one after the other"
        notes += (f"{len(files)} files are {how}, from {files[0].name} to {files[-1].name}",)
    if first.one_row:
        notes += ("latents that sd-scripts stores are samples of the posteriors, not their means",)
    return Contents(arrays, first.metadata, notes)
