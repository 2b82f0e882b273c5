"""Tables and sentences as text for a terminal, as HTML and as Markdown."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from disentangle_indicators._blocks import Block, Table

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
            side: Literal["left", "right"] = "right" if _is_numeric(block, i) else "left"
            table.add_column(Text(column), justify=side, overflow="fold")
        for row in block.rows:
            table.add_row(*(Text(cell) for cell in row))
        out.append(table)
    return out


def _is_numeric(table: Table, column: int) -> bool:
    """Whether a column, which is not the first, contains numbers only."""
    return column > 0 and all(_numeric(row[column]) for row in table.rows)


def _numeric(cell: str) -> bool:
    return not cell or cell.lstrip(" ±≥≤<>-+")[:1].isdigit() or cell in ("-", "inf")


def to_text(blocks: Sequence[Block], width: int = WIDTH) -> str:
    """Return the blocks as plain text."""
    from rich.console import Console

    stream = io.StringIO()
    # rich would display in Jupyter in place of writing, and print 80 columns where TERM is dumb
    console = Console(
        file=stream,
        width=width,
        height=100,
        color_system=None,
        highlight=False,
        force_jupyter=False,
    )
    for block in renderables(blocks):
        console.print(block)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())


def to_html(blocks: Sequence[Block], picture: str = "") -> str:
    """Return the blocks as HTML without scripts, with a picture before the first table.

    Parameters
    ----------
    blocks : sequence of blocks
    picture : str
        An element of HTML.
    """
    from html import escape

    def cell(tag: str, text: str, numeric: bool) -> str:
        side = "right" if numeric else "left"  # Jupyter aligns every cell to the right
        return f'<{tag} style="text-align: {side}">{escape(text)}</{tag}>'

    out = []
    for block in blocks:
        if picture and isinstance(block, Table):
            out.append(picture)
            picture = ""
        if isinstance(block, str):
            out.append(f"<p>{escape(block)}</p>")
            continue
        if isinstance(block, dict):
            out += [f"<p><b>{escape(k)}</b> {escape(v)}</p>" for k, v in block.items()]
            continue
        right = [_is_numeric(block, i) for i in range(len(block.columns))]
        head = "".join(cell("th", *pair) for pair in zip(block.columns, right, strict=True))
        body = "".join(
            "<tr>" + "".join(cell("td", *pair) for pair in zip(row, right, strict=True)) + "</tr>"
            for row in block.rows
        )
        style = "text-align: left; caption-side: top"
        title = f'<caption style="{style}">{escape(block.title)}</caption>' if block.title else ""
        out.append(f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")
        if block.note:
            out.append(f"<p><small>{escape(block.note)}</small></p>")
    return "\n".join([*out, picture] if picture else out)


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
