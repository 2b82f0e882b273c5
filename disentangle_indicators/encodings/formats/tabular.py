"""Tables of text: columns mean_0, mean_1, ... and logvar_0, logvar_1, ... beside any others.

The index follows the prefix after "_", "." or nothing, and counts from 0 or from 1 without gaps.
Columns 0, 1, ... without a prefix are one array, and a column without a name, or with the one that
pandas gives it, is the index of the rows.
"""

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from disentangle_indicators.encodings._stored import Contents, Stored, reading
from disentangle_indicators.encodings.names import role

SUFFIXES = (".csv", ".tsv")


def matches(path: Path, head: bytes) -> bool:
    """Whether a file is surely a table of text; only the suffix can tell."""
    return False


def read(path: Path) -> Contents:
    """Open a .csv or .tsv file; every numbered group of columns is a key, and every column too."""
    with reading(path):
        rows = _rows(path)
        header = next(rows)
        n = sum(1 for _ in rows)
        groups = numbered(header)
        if "" not in groups and all(map(_is_number, header)):
            raise ValueError(
                "line 1 holds numbers, not the names of columns; add a line mean_0,mean_1,..."
            )
        notes: tuple[str, ...] = ()
        if "" in groups and "mean" not in groups:
            groups["mean"] = groups.pop("")
            note = f"the columns of {path.name} are numbers: taken as posterior means; for the"
            notes = (f"{note} scale, add logvar='FILE' (or var=, std=, logstd=)",)
        arrays = {prefix: _group(path, prefix, members, n) for prefix, members in groups.items()}
        arrays |= {name: _column(path, name, n) for name in header if name and name not in arrays}
    return Contents(arrays, notes=notes)


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True


def columns(path: Path, only: str | None = None) -> dict[str, NDArray[Any]]:
    """Return the columns whole, or one of them, as integers, floats, booleans or text.

    Empty fields beside numbers are nan. A column without a name is the index that pandas writes,
    and is left out.
    """
    with reading(path):
        rows = _rows(path)
        wanted = [(i, name) for i, name in enumerate(next(rows)) if name and only in (None, name)]
        table = list(zip(*([row[i] for i, _ in wanted] for row in rows), strict=True))
        texts = table or [()] * len(wanted)
        return {
            name: _typed(np.array(text, dtype=str))
            for (_, name), text in zip(wanted, texts, strict=True)
        }


def _separator(path: Path) -> str:
    return "\t" if path.suffix.lower() == ".tsv" else ","


def _rows(path: Path) -> Iterator[list[str]]:
    """Yield the header and every row, which must have as many fields."""
    with open(path, newline="", encoding="utf-8-sig") as stream:
        rows = csv.reader(stream, delimiter=_separator(path), strict=True)
        first = next((row for row in rows if "".join(row).strip()), [])
        header = [re.sub(r"Unnamed: \d+", "", name.strip()) for name in first]
        if not header:
            raise ValueError("the file is empty")
        for name in header:
            if name and header.count(name) > 1:
                raise ValueError(f"the column {name!r} is there twice")
        yield header
        for row in rows:
            if len(row) == len(header):
                yield row
            elif "".join(row).strip():
                raise ValueError(f"line {rows.line_num} has {len(row)} of {len(header)} fields")


def numbered(header: list[str]) -> dict[str, list[int]]:
    """Return the positions of every complete numbered group, in the order of the numbers.

    An incomplete group is no group, unless its prefix names a mean or a scale: then it is a
    mistake.
    """
    found: dict[str, list[tuple[int, int]]] = {}
    for position, name in enumerate(header):
        if match := re.fullmatch(r"(.*?)[_.]?([0-9]+)", name):
            found.setdefault(match[1], []).append((int(match[2]), position))
    groups = {}
    for prefix, members in found.items():
        members.sort()
        numbers = [number for number, _ in members]
        if numbers in (list(range(len(numbers))), list(range(1, len(numbers) + 1))):
            groups[prefix] = [position for _, position in members]
        elif role(prefix):
            raise ValueError(
                f"the columns of {prefix!r} must be numbered 0, 1, ... or 1, 2, ... without gaps; "
                f"there are {', '.join(header[position] for _, position in members[:12])}"
            )
    return groups


def _group(path: Path, name: str, members: list[int], n: int) -> Stored:
    def blocks(rows: int) -> Iterator[NDArray[Any]]:
        import pandas as pd

        order = np.argsort(np.argsort(members))
        old = tuple(int(part) for part in pd.__version__.split(".")[:2]) < (3, 1)
        with (
            reading(path),
            pd.read_csv(
                path,
                sep=_separator(path),
                encoding="utf-8-sig",
                usecols=sorted(members),
                index_col=False,
                dtype=float,
                chunksize=rows,
                float_precision="round_trip" if old else None,
            ) as chunks,
        ):
            for chunk in chunks:
                yield chunk.to_numpy()[:, order]

    return Stored(name, (n, len(members)), "float64", blocks)


def _column(path: Path, name: str, n: int) -> Stored:
    def blocks(rows: int) -> Iterator[NDArray[Any]]:
        values = columns(path, name)[name]
        for start in range(0, n, rows):
            yield values[start : start + rows]

    return Stored(name, (n,), "text", blocks)


def _typed(column: NDArray[np.str_]) -> NDArray[Any]:
    if len(column) and set(column) <= {"True", "False"}:
        return np.asarray(column == "True")
    for dtype in (np.int64, np.float64):
        try:
            return column.astype(dtype)
        except (ValueError, OverflowError):
            continue
    if (column == "").any() and not (column == "").all():
        try:
            return np.where(column == "", "nan", column).astype(np.float64)
        except ValueError:
            return column
    return column
