"""Tables and sentences as text for a terminal, as HTML and as Markdown."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from disentangle_indicators._blocks import Block

if TYPE_CHECKING:
    from rich.console import RenderableType

WIDTH = 100
"""Columns of text where no terminal says otherwise."""


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
