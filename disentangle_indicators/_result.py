"""What every result can do: become a dict, JSON, a data frame, and a table to read."""

import io
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import array_api_compat
import numpy as np

from disentangle_indicators._array import to_numpy

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import RenderableType


@dataclass(frozen=True)
class Table:
    """Columns and rows of text, with a title above and a note on how to read it below."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    title: str = ""
    note: str = ""


WIDTH = 100
"""Columns of text where no terminal says otherwise."""

Block = str | dict[str, str] | Table
"""A paragraph, sentences under one label each, or a table."""


class Result:
    """Base of the frozen dataclasses that the public functions return."""

    schema: ClassVar[str] = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values; arrays become lists, numbers that are not finite None."""
        assert is_dataclass(self)
        content = {f.name: plain(getattr(self, f.name)) for f in fields(self)}
        return {"schema": self.schema, **content} if self.schema else content

    def to_json(self, *, indent: int | None = 2) -> str:
        """Return :meth:`to_dict` as JSON."""
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)

    def to_markdown(self) -> str:
        """Return the sentences and tables as Markdown."""
        return to_markdown(self.blocks())

    def to_frame(self) -> "pd.DataFrame":
        """Return a data frame with one row per latent: every field that has one value for each."""
        import pandas as pd

        assert is_dataclass(self)
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        arrays = {
            name: to_numpy(value)
            for name, value in values.items()
            if array_api_compat.is_array_api_obj(value) and value.ndim == 1
        }
        frame = pd.DataFrame(arrays)
        frame.index.name = "latent"
        return frame

    def blocks(self) -> list[Block]:
        """Return the sentences and tables that this result prints; fields and values unless told.

        Subclasses that people read override it.
        """
        assert is_dataclass(self)
        rows = tuple((f.name, _short(getattr(self, f.name))) for f in fields(self))
        return [Table(columns=("", type(self).__name__), rows=rows)]

    def __repr__(self) -> str:
        """Return the table that the terminal shows."""
        return to_text(self.blocks())

    def _repr_html_(self) -> str:
        return to_html(self.blocks())


def one_row(result: Result) -> "pd.DataFrame":
    """Return the numbers of a result, and the standard errors of those, as one row."""
    import pandas as pd

    content = {k: v for k, v in result.to_dict().items() if isinstance(v, (int, float))}
    errors = getattr(result, "standard_errors", {})
    return pd.DataFrame([content | {f"{name}_se": error for name, error in errors.items()}])


def plain(value: Any) -> Any:
    """Return `value` made of dicts, lists, strings, finite numbers, booleans and None."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Result):
        return value.to_dict()
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, np.generic):
        return plain(value.item())
    if array_api_compat.is_array_api_obj(value):
        if not isinstance(value, np.ndarray):
            value = to_numpy(value)
        return plain(value.tolist())
    if isinstance(value, Iterable):
        return [plain(v) for v in value]
    raise TypeError(f"no plain form for {type(value).__name__}")


def _short(value: Any) -> str:
    if array_api_compat.is_array_api_obj(value):
        if value.ndim == 0 or max(value.shape) > 8:
            return f"array {tuple(value.shape)}" if value.ndim else f"{float(value):.6g}"
        return np.array2string(to_numpy(value), precision=4, separator=", ")
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)


def renderables(blocks: Sequence[Block]) -> list["RenderableType"]:
    """Return the blocks as rich tables and paragraphs."""
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    out: list[RenderableType] = []
    for block in blocks:
        if isinstance(block, str):
            out.append(Text(block))
            continue
        if isinstance(block, dict):
            grid = RichTable.grid(padding=(0, 1))
            for label, sentence in block.items():
                grid.add_row(Text(label, style="bold"), Text(sentence))
            out += [Text(""), grid]
            continue
        out.append(Text(""))
        table = RichTable(
            title=Text(block.title) if block.title else None,
            caption=Text(block.note) if block.note else None,
            box=box.SIMPLE_HEAD,
            title_justify="left",
            caption_justify="left",
            title_style="bold",
            pad_edge=False,
        )
        for i, column in enumerate(block.columns):
            numeric = i > 0 and all(_numeric(row[i]) for row in block.rows)
            table.add_column(Text(column), justify="right" if numeric else "left", overflow="fold")
        for row in block.rows:
            table.add_row(*(Text(cell) for cell in row))
        out.append(table)
    return out


def _numeric(cell: str) -> bool:
    return not cell or cell.lstrip(" ±≥≤<>-+")[:1].isdigit() or cell in ("-", "inf")


def to_text(blocks: Sequence[Block], width: int = WIDTH) -> str:
    """Return the blocks as plain text."""
    from rich.console import Console

    stream = io.StringIO()
    console = Console(file=stream, width=width, color_system=None, highlight=False)
    for block in renderables(blocks):
        console.print(block)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())


def to_html(blocks: Sequence[Block]) -> str:
    """Return the blocks as HTML, without styles or scripts."""
    from html import escape

    out = []
    for block in blocks:
        if isinstance(block, str):
            out.append(f"<p>{escape(block)}</p>")
            continue
        if isinstance(block, dict):
            out += [f"<p><b>{escape(k)}</b> {escape(v)}</p>" for k, v in block.items()]
            continue
        head = "".join(f"<th>{escape(c)}</th>" for c in block.columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
            for row in block.rows
        )
        title = f"<caption>{escape(block.title)}</caption>" if block.title else ""
        out.append(f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")
        if block.note:
            out.append(f"<p><small>{escape(block.note)}</small></p>")
    return "\n".join(out)


def to_markdown(blocks: Sequence[Block]) -> str:
    """Return the blocks as Markdown paragraphs and pipe tables."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    out = []
    for block in blocks:
        if isinstance(block, str):
            out.append(block)
            continue
        if isinstance(block, dict):
            out += [f"**{label}** {sentence}" for label, sentence in block.items()]
            continue
        table = [line(block.columns), line(["---"] * len(block.columns)), *map(line, block.rows)]
        title = [f"**{block.title}**"] if block.title else []
        out += [*title, "\n".join(table)]
        if block.note:
            out.append(f"*{block.note}*")
    return "\n\n".join(out) + "\n"
