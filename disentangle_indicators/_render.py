"""Tables and sentences as text for a terminal, as HTML and as Markdown."""

import io
from collections.abc import Sequence
from html import escape
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Literal

from disentangle_indicators._blocks import Block, Table, printable
from disentangle_indicators._wrapping import is_numeric, parts, widths, wrapped

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table as RichTable

WIDTH = 100
"""Columns of text where no terminal says otherwise."""

LEAST = 40
"""Columns below which tables are not squeezed."""


def terminal_width() -> int:
    """Return the columns of the terminal, or those of COLUMNS, or else the usual ones."""
    return max(LEAST, get_terminal_size((WIDTH, 24)).columns)


def renderables(blocks: Sequence[Block], width: int = WIDTH) -> list["RenderableType"]:
    """Return the blocks as rich tables and paragraphs for so many columns of text."""
    from rich.table import Table as RichTable
    from rich.text import Text

    out: list[RenderableType] = []
    spaced = True  # whether the text so far ends with an empty line, as a table does
    for block in map(_printable, blocks):
        if isinstance(block, str):
            out.append(Text(block))
        elif isinstance(block, dict):
            grid = RichTable.grid(padding=(0, 1))
            for label, sentence in block.items():
                grid.add_row(Text(label, style="bold"), Text(sentence))
            out += [grid] if spaced else [Text(""), grid]
        else:
            # a table begins with an empty line of its own, above its head
            if block.title:
                out += (
                    [Text(block.title, style="bold")]
                    if spaced
                    else [Text(""), Text(block.title, style="bold")]
                )
            out += [_table(part, width) for part in parts(block, width)]
            out += [Text(block.note, style="dim")] if block.note else []
        spaced = isinstance(block, Table) and not block.note
    return out


def _printable(block: Block) -> Block:
    """Return a block without control characters."""
    if isinstance(block, str):
        return printable(block)
    if isinstance(block, dict):
        return {printable(label): printable(text) for label, text in block.items()}
    rows = tuple(tuple(map(printable, row)) for row in block.rows)
    columns = tuple(map(printable, block.columns))
    return Table(columns, rows, printable(block.title), printable(block.note))


def _table(table: Table, width: int) -> "RichTable":
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    sizes, gap = widths(table, width)
    made = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, gap - 2))
    for i, (column, size) in enumerate(zip(table.columns, sizes, strict=True)):
        side: Literal["left", "right"] = "right" if is_numeric(table, i) else "left"
        head = Text("\n".join(wrapped(column, size)))
        made.add_column(head, justify=side, width=size, no_wrap=True)
    for row in table.rows:
        cells = zip(row, sizes, strict=True)
        made.add_row(*(Text("\n".join(wrapped(cell, size))) for cell, size in cells))
    return made


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
    for block in renderables(blocks, width):
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
        right = [is_numeric(block, i) for i in range(len(block.columns))]
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
    """Return the blocks as Markdown paragraphs and pipe tables; names cannot add elements."""

    def plain(text: str) -> str:
        return escape(text.replace("\n", " "), quote=False)

    def line(cells: Sequence[str]) -> str:
        cells = [plain(cell).replace("|", "\\|") for cell in cells]
        return "| " + " | ".join(cells) + " |"

    out = []
    for block in map(_printable, blocks):
        if isinstance(block, str):
            out.append(plain(block))
            continue
        if isinstance(block, dict):
            out += [f"**{plain(label)}** {plain(text)}" for label, text in block.items()]
            continue
        table = [line(block.columns), line(["---"] * len(block.columns)), *map(line, block.rows)]
        title = [f"**{plain(block.title)}**"] if block.title else []
        out += [*title, "\n".join(table)]
        if block.note:
            out.append(f"*{plain(block.note)}*")
    return "\n\n".join(out) + "\n"
