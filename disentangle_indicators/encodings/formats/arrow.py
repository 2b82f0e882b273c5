"""Parquet, Feather and Arrow files, and folders of them; through pyarrow.

Columns are keys, and so is every numbered group of them (mean_0, mean_1, ...), as in tables of
text. A column of lists, all of one length, is one array.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from disentangle_indicators._memory import check_room
from disentangle_indicators.encodings._stored import (
    Contents,
    Stored,
    check_size,
    cut_anew,
    first_bytes,
    needs,
    reading,
    refused,
)
from disentangle_indicators.encodings.formats._messages import check_messages
from disentangle_indicators.encodings.formats.tabular import numbered

SUFFIXES = (".parquet", ".pq", ".feather", ".arrow", ".arrows", ".ipc")
MEMORY = "a batch"
EXTRA = "parquet"
HOLDS_TEXT = False
WRITTEN = (".parquet", ".pq")
"""Suffixes that are written."""

_ROWS = 1 << 14
"""Of a group that is written at once, and of a batch that is read, at least."""

_DECODED_ROWS, _DECODED_BYTES = 1 << 16, 1 << 25
"""What is decoded at once, at most: few calls for each column. It is cut into batches afterwards."""

KINDS = {b"PAR1": "parquet", b"ARROW1": "ipc", b"\xff\xff\xff\xff": "stream"}
"""pyarrow's name of a format by the first bytes of a file; a stream has no table of contents."""


def matches(path: Path, head: bytes) -> bool:
    """Whether the first bytes of a file are those of this format."""
    return head.startswith(tuple(KINDS))


def read(path: Path) -> Contents:
    """Open a file."""
    return read_files(path, [path])


def read_files(path: Path, files: Sequence[Path]) -> Contents:
    """Open files of one schema as one table, with the columns that hive puts into folders' names.

    Parameters
    ----------
    path : Path
        The file, or the folder that the files are in.
    files : sequence of Path
        In the order of their rows.
    """
    needs("pyarrow", EXTRA, path)
    with reading(path):
        table = _Table(path, tuple(map(str, files)))
        if table.kind != "parquet":
            for file in files:
                check_messages(file, stream=table.kind == "stream")
        schema, n = _schema_and_rows(table)
        names = schema.names  # made anew at each access
        arrays: dict[str, Stored] = {}
        for prefix, members in numbered(names).items():
            columns = [names[i] for i in members]
            if all(_is_number(schema.field(name).type) for name in columns):
                arrays[prefix] = _group(table, prefix, columns, _dtype(schema, columns), n)
        for name in names:
            if name not in arrays:
                arrays[name] = _column(table, name, schema.field(name).type, n)
        raw = {k.decode(): v.decode() for k, v in (schema.metadata or {}).items()}
        kept = {k: v for k, v in raw.items() if k not in ("pandas", "ARROW:schema")}
        return Contents(arrays, kept)


def _schema_and_rows(table: "_Table") -> tuple[Any, int]:
    """Return the columns and the number of rows; pyarrow describes damage in several sentences."""
    import pyarrow

    try:
        return table.schema(), table.number_of_rows()
    except pyarrow.ArrowInvalid as error:
        said = str(error)
        file = next((file for file in table.files if file in said), table.path)
        reason = said.rpartition(": ")[2].partition(". ")[0]
        raise ValueError(f"{file}: the file is damaged or was cut short ({reason})") from error


def write(path: Path, arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> None:
    """Write a parquet file: a column for each entry of a row, and the metadata in the schema."""
    pyarrow = needs("pyarrow", EXTRA, path)
    from pyarrow import parquet

    n = len(arrays["mean"])

    def table(start: int) -> Any:
        columns: dict[str, NDArray[Any]] = {}
        for name, values in arrays.items():
            rows = values[start : start + _ROWS]
            if rows.ndim > 2:
                raise ValueError(f"{name} must have the shape (n, d) in parquet; write .npz")
            if rows.ndim == 1:
                columns[name] = np.ascontiguousarray(rows)
            else:
                each = enumerate(np.ascontiguousarray(rows.T))
                columns |= {f"{name}_{i}": column for i, column in each}
        return pyarrow.table(columns).replace_schema_metadata(dict(metadata))

    with parquet.ParquetWriter(path, table(0).schema, use_dictionary=False) as file:
        for start in range(0, n, _ROWS):
            file.write_table(table(start))


class _Table(NamedTuple):
    """Files of one schema, opened anew for every pass."""

    path: Path
    files: tuple[str, ...]

    @property
    def kind(self) -> str:
        """Name of the format."""
        head = first_bytes(Path(self.files[0]))
        return next((kind for mark, kind in KINDS.items() if head.startswith(mark)), "ipc")

    def _dataset(self) -> Any:
        from pyarrow import dataset

        if self.path.is_file():
            return dataset.dataset(self.files[0], format=self.kind)
        hive = {"partitioning": "hive", "partition_base_dir": str(self.path)}
        return dataset.dataset(list(self.files), format=self.kind, **hive)

    def schema(self) -> Any:
        """Return the names and types of the columns."""
        if self.kind != "stream":
            return self._dataset().schema
        from pyarrow import ipc

        with open(self.files[0], "rb") as source, ipc.open_stream(source) as stream:
            return stream.schema

    def number_of_rows(self) -> int:
        """Return the number of rows."""
        if self.kind == "stream":
            return sum(batch.num_rows for batch in self.batches(None, 1))
        count = int(self._dataset().count_rows())
        if count < 0:
            raise ValueError(f"the file is damaged: it announces {count} rows")
        return count

    def batches(
        self, columns: list[str] | None, rows: int, *, needed: bool = False
    ) -> Iterator[Any]:
        """Yield record batches of these columns, in row order; all files have those that are needed.

        Those of Arrow files are views of the bytes, which only a full check makes safe to use.
        """
        safe = self.kind == "parquet"
        for batch in self._unchecked(columns, rows, needed):
            if not safe:
                batch.validate(full=True)
            yield batch

    def _unchecked(self, columns: list[str] | None, rows: int, needed: bool) -> Iterator[Any]:
        """Yield batches file by file: a scan of the data set decodes all of it for its first batch."""
        if self.kind == "stream":
            for file in self.files:
                yield from _of_stream(file, columns)
            return
        from pyarrow import dataset

        whole = self._dataset()
        names = whole.schema.names if columns is None else columns
        for fragment in whole.get_fragments():
            physical = set(fragment.physical_schema.names)
            there = [name for name in names if name in physical]
            read = _of_parquet if self.kind == "parquet" else _of_ipc
            folders = dataset.get_partition_keys(fragment.partition_expression)
            if needed:
                _check_columns(fragment.path, set(names) - physical - set(folders))
            for batch in read(fragment.path, there, max(rows, _ROWS)):
                yield _completed(batch, names, whole.schema, folders)


def _of_parquet(file: str, columns: list[str], rows: int) -> Iterator[Any]:
    """Yield batches of a parquet file, whose table of contents announces no more than it can hold."""
    from pyarrow import parquet

    with parquet.ParquetFile(file) as source:
        _check_announced(Path(file), source.metadata, columns)
        if columns:
            decoded = max(rows, min(_DECODED_ROWS, _DECODED_BYTES // (8 * len(columns))))
            for groups in _together(source.metadata, rows):
                for batch in source.iter_batches(decoded, groups, columns, use_threads=False):
                    for start in range(0, batch.num_rows, rows):
                        yield batch.slice(start, rows)
            return
        yield from _without_columns(source.metadata.num_rows, rows)


def _together(metadata: Any, rows: int) -> Iterator[list[int]]:
    """Yield numbers of consecutive row groups, of so many rows together.

    A reader keeps what it has read of all its groups, so that each gets few of them.
    """
    groups: list[int] = []
    count = 0
    for number in range(metadata.num_row_groups):
        groups.append(number)
        count += metadata.row_group(number).num_rows
        if count >= rows:
            yield groups
            groups, count = [], 0
    if groups:
        yield groups


def _check_announced(path: Path, metadata: Any, columns: list[str]) -> None:
    """Refuse columns that are inflated to far more than the size of the file."""
    wanted = set(columns)
    for group in range(metadata.num_row_groups):
        chunks, held = metadata.row_group(group), 0
        for at in range(chunks.num_columns):
            chunk = chunks.column(at)
            if chunk.path_in_schema.partition(".")[0] in wanted:
                check_size(path, chunk.path_in_schema, chunk.total_uncompressed_size)
                held += chunk.total_compressed_size
        check_room(held, f"{path}: a row group", "write smaller row groups")


def _of_ipc(file: str, columns: list[str], rows: int) -> Iterator[Any]:
    """Yield the batches of an Arrow file, read one by one: a map could end the process by a signal."""
    import pyarrow
    from pyarrow import ipc

    with pyarrow.OSFile(file) as source, ipc.open_file(source) as batches:
        for number in range(batches.num_record_batches):
            try:
                batch = batches.get_batch(number)
            except pyarrow.ArrowInvalid as error:
                raise ValueError(f"the file is damaged or was cut short ({error})") from error
            yield batch.select(columns)


def _of_stream(file: str, columns: list[str] | None) -> Iterator[Any]:
    from pyarrow import ipc

    with open(file, "rb") as source, ipc.open_stream(source) as stream:
        for batch in stream:
            yield batch if columns is None else batch.select(columns)


def _without_columns(n: int, rows: int) -> Iterator[Any]:
    """Yield batches of no column, n rows together: all columns are in the names of folders."""
    import pyarrow

    for start in range(0, n, rows):
        struct = pyarrow.array([{}] * min(rows, n - start), pyarrow.struct([]))
        yield pyarrow.RecordBatch.from_struct_array(struct)


def _check_columns(file: str, missing: set[str]) -> None:
    """Refuse a file of a folder that lacks a column of the means or of the scale."""
    if missing:
        raise ValueError(
            f"{file} has no column {min(missing)!r}, which the first file has: files of one data set "
            "have the same columns"
        )


def _completed(batch: Any, names: list[str], schema: Any, folders: dict[str, Any]) -> Any:
    """Return a batch with columns in the types of the table, and with those that folders name."""
    import pyarrow

    there = {name: at for at, name in enumerate(batch.schema.names)}

    def column(name: str) -> Any:
        kind = schema.field(name).type
        if name in there:
            found = batch.column(there[name])
            return found if found.type == kind else found.cast(kind)
        return pyarrow.repeat(pyarrow.scalar(folders.get(name), kind), batch.num_rows)

    return pyarrow.RecordBatch.from_arrays([column(name) for name in names], names)


def _is_number(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))


def _dtype(schema: Any, columns: list[str]) -> str:
    """Return numpy's name of what these columns of numbers are together."""
    return np.result_type(*(_numpy_name(schema.field(name).type) for name in columns)).name


def _numpy_name(kind: Any) -> str:
    return str(np.dtype(kind.to_pandas_dtype()).name)


def _is_list(kind: Any) -> bool:
    from pyarrow import types

    lists = (types.is_list, types.is_large_list, types.is_fixed_size_list)
    return any(check(kind) for check in lists) and _is_number(kind.value_type)


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    if types.is_dictionary(kind):
        return _is_text(kind.value_type) or _is_number(kind.value_type)
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _group(table: _Table, prefix: str, columns: list[str], dtype: str, n: int) -> Stored:
    """Return columns of numbers as one array (n, k)."""

    def parts(rows: int) -> Iterator[NDArray[Any]]:
        first = 0
        for batch in table.batches(columns, rows, needed=True):
            each = [_numbers(batch.column(i), columns[i], first) for i in range(len(columns))]
            first += batch.num_rows
            yield np.stack(each).T  # columns stay columns: no transposition in memory

    def blocks(rows: int) -> Iterator[NDArray[Any]]:
        with reading(table.path):
            yield from cut_anew(_counted(parts(rows), n), rows)

    return Stored(prefix, (n, len(columns)), dtype, blocks)


def _counted(parts: Iterator[NDArray[Any]], n: int) -> Iterator[NDArray[Any]]:
    """Yield parts of a column, which have as many rows as the table of contents announces."""
    count = 0
    for part in parts:
        yield part
        count += len(part)
    if count != n:
        raise ValueError(f"the file is damaged: it announces {n} rows and has {count}")


def _numbers(column: Any, name: str, first: int) -> NDArray[Any]:
    """Return a column of numbers, in which nothing is missing."""
    _check_complete(column, name, first)
    return np.asarray(column.to_numpy(zero_copy_only=False))


def _check_complete(column: Any, name: str, first: int) -> None:
    if column.null_count:
        row = first + int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
        raise ValueError(f"the column {name!r} has no value in row {row}")


def _column(table: _Table, name: str, kind: Any, n: int) -> Stored:
    """Return one column: numbers or text (n,), or lists of numbers (n, d)."""
    if _is_list(kind):
        return _lists(table, name, kind, n)
    if not (_is_number(kind) or _is_text(kind)):
        return refused(name, (n,), str(kind), table.path, f"must be numbers or text; it is {kind}")
    decode = _optional_numbers if _is_number(kind) else _optional_text

    def blocks(rows: int) -> Iterator[NDArray[Any]]:
        with reading(table.path):
            batches = table.batches([name], rows)
            yield from cut_anew(_counted((decode(b.column(0)) for b in batches), n), rows)

    return Stored(name, (n,), _numpy_name(kind) if _is_number(kind) else "str", blocks)


def _optional_numbers(column: Any) -> NDArray[Any]:
    """Return numbers, nan where there is none; truth values as text if one is missing."""
    if column.null_count and column.type == "bool":
        return _optional_text(column)
    return np.asarray(
        column.to_numpy(zero_copy_only=False), dtype=None if not column.null_count else float
    )


def _optional_text(column: Any) -> NDArray[Any]:
    """Return text; "" where there is none."""
    words = ("" if value is None else str(value) for value in column.to_pylist())
    return np.array(list(words), dtype=str)


def _lists(table: _Table, name: str, kind: Any, n: int) -> Stored:
    """Return a column of lists of one length as an array (n, d)."""
    first_row = next((b.column(0).slice(0, 1) for b in table.batches([name], 1) if len(b)), None)
    width = len(first_row.to_pylist()[0] or ()) if first_row is not None else 0

    def parts(rows: int) -> Iterator[NDArray[Any]]:
        first = 0
        for batch in table.batches([name], rows):
            column = batch.column(0)
            _check_complete(column, name, first)
            yield _unnested(column, name, width, first)
            first += batch.num_rows

    def blocks(rows: int) -> Iterator[NDArray[Any]]:
        with reading(table.path):
            yield from cut_anew(_counted(parts(rows), n), rows)

    return Stored(name, (n, width), _numpy_name(kind.value_type), blocks)


def _unnested(column: Any, name: str, width: int, first: int) -> NDArray[Any]:
    """Return lists (b,) as an array (b, width)."""
    from pyarrow import compute

    lengths = compute.list_value_length(column).to_numpy(zero_copy_only=False)
    if np.any(lengths != width):
        at = int(np.argmax(lengths != width))
        raise ValueError(
            f"the lists of the column {name!r} must have one length; row {first + at} has "
            f"{lengths[at]} of {width}"
        )
    values = column.flatten()
    if values.null_count:
        row = first + int(np.argmax(values.is_null().to_numpy(zero_copy_only=False))) // width
        raise ValueError(f"the column {name!r} has no value in row {row}")
    return np.asarray(values.to_numpy(zero_copy_only=False)).reshape(len(column), width)
