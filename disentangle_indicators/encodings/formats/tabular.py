"""Tables of text: columns mean_0, mean_1, ... and logvar_0, logvar_1, ... beside any others.

The index follows the prefix after "_", "." or nothing, and counts from 0 or from 1 without gaps.
It may stand in the middle too: latent_0_mean, latent_1_mean, ... are the key latent/mean. Columns
0, 1, ... without a prefix are one array, and so is a table without a header line. A column without
a name, or with the one that pandas gives it, is the index of the rows; so are the row names of R,
above which the header has no field.
"""

import csv
import gzip
import io
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from disentangle_indicators._factor_columns import MISSING
from disentangle_indicators.encodings._stored import Contents, Stored, first_bytes, reading
from disentangle_indicators.encodings.names import role

SUFFIXES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
MEMORY = "a block of numbers; a whole column of text"

_GZIP = b"\x1f\x8b"


class _Dialect(NamedTuple):
    """How a table is written: its columns, the line that its first row follows, and its signs."""

    header: tuple[str, ...]
    lines: int
    separator: str
    decimal: str
    zipped: bool
    named: bool


def matches(path: Path, head: bytes) -> bool:
    """Whether a file is surely a table of text; only the suffix can tell."""
    return False


def read(path: Path) -> Contents:
    """Open a table; every numbered group of columns is a key, and every column too."""
    with reading(path):
        dialect = _dialect(path)
        header = list(dialect.header)
        n = sum(1 for _ in _rows(path, dialect))
        groups = numbered(header)
        notes: tuple[str, ...] = ()
        if "" in groups and "mean" not in groups:
            groups["mean"] = groups.pop("")
            line = "the columns are numbers" if dialect.named else "there is no header line"
            note = f"{line} in {path.name}: taken as posterior means; for the"
            notes = (f"{note} scale, add logvar='FILE' (or var=, std=, logstd=)",)
        arrays = {
            prefix: _group(path, dialect, prefix, members, n) for prefix, members in groups.items()
        }
        if dialect.named:
            names = [name for name in header if name and name not in arrays]
            arrays |= {name: _column(path, name, n) for name in names}
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
        dialect = _dialect(path)
        found = enumerate(dialect.header)
        wanted = [(i, name) for i, name in found if name and only in (None, name)]
        rows = ([row[i] for i, _ in wanted] for row in _rows(path, dialect))
        table = list(zip(*rows, strict=True))
        texts = table or [()] * len(wanted)
        return {
            name: _typed(np.array(text, dtype=str), dialect.decimal)
            for (_, name), text in zip(wanted, texts, strict=True)
        }


def _text(path: Path) -> IO[str]:
    """Open a table, which may be compressed with gzip."""
    if not first_bytes(path).startswith(_GZIP):
        return open(path, newline="", encoding="utf-8-sig")
    return io.TextIOWrapper(gzip.open(path), encoding="utf-8-sig", newline="")


def _dialect(path: Path) -> _Dialect:
    """Look at the first two lines that are not empty."""
    with _text(path) as stream:
        line, after = [*islice((line for line in stream if line.strip()), 2), "", ""][:2]
        stream.seek(0)
        separator = _separator(path, line)
        rows = csv.reader(stream, delimiter=separator, strict=True, skipinitialspace=True)
        first = next((row for row in rows if "".join(row).strip()), [])
        lines = rows.line_num
        second = next((row for row in rows if "".join(row).strip()), [])
    header = [re.sub(r"Unnamed: \d+", "", name.strip()) for name in first]
    if not "".join(first).strip():
        raise ValueError("the file is empty")
    decimal = "," if separator == ";" and any("," in word for word in second) else "."
    named = not all(_is_number(name.replace(decimal, ".")) for name in header)
    named = named or "" in numbered(header)
    if not named:
        header, lines = [str(i) for i in range(len(header))], 0
    elif len(second) == len(header) + 1 and _is_row_name(second[0], after, separator):
        header = ["", *header]
    repeats = Counter(name for name in header if name)
    for name, count in repeats.items():
        if count > 1:
            raise ValueError(f"the column {name!r} is there twice")
    zipped = first_bytes(path).startswith(_GZIP)
    return _Dialect(tuple(header), lines, separator, decimal, zipped, named)


def _is_row_name(word: str, line: str, separator: str) -> bool:
    """Whether the first field of a line is a name of R's, and not one field too many."""
    return separator != "," or line.startswith('"') or not _is_number(word)


def _separator(path: Path, line: str) -> str:
    """Return the sign between fields: that of the suffix if it is there, else one that is."""
    usual = {".csv": ",", ".tsv": "\t"}.get(path.name.lower().removesuffix(".gz")[-4:], "\t")
    found = [sign for sign in (usual, "\t", ";", ",") if sign in line]
    return (
        found[0]
        if found
        else " "
        if path.name.lower().removesuffix(".gz")[-4:] == ".txt"
        else usual
    )


def _rows(path: Path, dialect: _Dialect) -> Iterator[list[str]]:
    """Yield every row, which must have as many fields as the header."""
    width = len(dialect.header)
    with _text(path) as stream:
        rows = csv.reader(stream, delimiter=dialect.separator, strict=True, skipinitialspace=True)
        while rows.line_num < dialect.lines:
            next(rows)
        for row in rows:
            if len(row) == width:
                yield row
            elif "".join(row).strip():
                raise ValueError(f"line {rows.line_num} has {len(row)} of {width} fields")


def numbered(header: list[str]) -> dict[str, list[int]]:
    """Return the positions of every complete numbered group, in the order of the numbers.

    An incomplete group is no group, unless its prefix names a mean or a scale: then it is a
    mistake.
    """
    found: dict[str, list[tuple[int, int]]] = {}
    for position, name in enumerate(header):
        if match := re.fullmatch(r"(.*?)[_.]?([0-9]+)", name):
            found.setdefault(match[1], []).append((int(match[2]), position))
        elif (match := re.fullmatch(r"(.*?)[_.]?([0-9]+)[_.](.+)", name)) and role(match[3]):
            found.setdefault(f"{match[1]}/{match[3]}", []).append((int(match[2]), position))
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


def _group(path: Path, dialect: _Dialect, name: str, members: list[int], n: int) -> Stored:
    columns = [dialect.header[member] for member in members]

    def blocks(rows: int) -> Iterator[NDArray[Any]]:
        import pandas as pd

        first = 0
        order = np.argsort(np.argsort(members))
        old = tuple(int(part) for part in pd.__version__.split(".")[:2]) < (3, 1)
        with (
            reading(path),
            pd.read_csv(
                path,
                sep=dialect.separator,
                decimal=dialect.decimal,
                compression="gzip" if dialect.zipped else None,
                encoding="utf-8-sig",
                skipinitialspace=True,
                header=None,
                skiprows=dialect.lines,
                usecols=sorted(members),
                index_col=False,
                dtype=float,
                chunksize=rows,
                float_precision="round_trip" if old else None,
            ) as chunks,
        ):
            for chunk in chunks:
                values = chunk.to_numpy()[:, order]
                if role(name) is not None and np.isnan(values).any():
                    _refuse_missing(dialect, columns, values, first)
                first += len(values)
                yield values

    return Stored(name, (n, len(members)), "float64", blocks)


def _refuse_missing(
    dialect: _Dialect, columns: list[str], values: NDArray[np.float64], first: int
) -> None:
    """Name the first number that is missing in means or scales, and the line that leaves its row out."""
    row, column = np.argwhere(np.isnan(values))[0]
    signs = f", sep={dialect.separator!r}" * (dialect.separator != ",")
    signs += f", decimal={dialect.decimal!r}" * (dialect.decimal != ".")
    signs += ", header=None" * (not dialect.named)
    raise ValueError(
        f"the column {columns[column]!r} has no value in row {first + row}; pandas.read_csv(path"
        f"{signs}).dropna().to_csv('complete.csv', index=False) leaves out such rows"
    )


def _column(path: Path, name: str, n: int) -> Stored:
    def blocks(rows: int) -> Iterator[NDArray[Any]]:
        values = columns(path, name)[name]
        for start in range(0, n, rows):
            yield values[start : start + rows]

    return Stored(name, (n,), "text", blocks)


def _typed(column: NDArray[np.str_], decimal: str) -> NDArray[Any]:
    """Return a column as integers, floats, truth values or text; a missing number is nan."""
    if len(column) and set(column) <= {"True", "False"}:
        return np.asarray(column == "True")
    column = np.strings.replace(column, decimal, ".") if _are_numbers(column, decimal) else column
    missing = np.isin(column, MISSING)
    for dtype in (np.int64, np.float64):
        try:
            return column.astype(dtype)
        except (ValueError, OverflowError):
            continue
    if missing.any() and not missing.all():
        try:
            return np.where(missing, "nan", column).astype(np.float64)
        except ValueError:
            return column
    return column


def _are_numbers(column: NDArray[np.str_], decimal: str) -> bool:
    """Whether the fields are numbers with this decimal sign, where it is not a point."""
    return decimal != "." and all(
        word in MISSING or _is_number(word.replace(decimal, ".")) for word in np.unique(column)
    )
