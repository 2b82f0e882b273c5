"""Widths of the columns of a table, so that it fits a terminal and no number is cut."""

import re
from collections.abc import Sequence

from disentangle_indicators._blocks import Table

__all__ = ["EDGES", "is_numeric", "parts", "widths", "wrapped"]

EDGES = 2
"""Spaces before and behind a table."""

WIDE_GAP, GAP = 3, 2
"""Spaces between the columns of a table that fits, and of one that has to be squeezed."""

LONGEST = 30
"""Letters of a word above which it is cut anywhere."""

_PIECES = re.compile(r"(?<=[\s@/-])|(?<=_)(?=\w{3})|(?<=\w{3})(?=\()")
"""Where words may be cut: behind a space, and inside of names."""


def wrapped(text: str, width: int) -> list[str]:
    """Cut text into lines of at most so many letters, behind spaces and inside of names.

    Examples
    --------
    >>> wrapped("gaussian_total_correlation of q(z)", 16)
    ['gaussian_total_', 'correlation of', 'q(z)']
    """
    lines = []
    for paragraph in text.split("\n"):
        line = ""
        for piece in _PIECES.split(paragraph):
            rest = piece
            if len((line + rest).rstrip()) > width and line.strip():
                lines.append(line.rstrip())
                line = ""
            while len(rest.rstrip()) > width:
                lines.append(rest[:width])
                rest = rest[width:]
            line += rest
        lines.append(line.rstrip())
    return lines


def is_numeric(table: Table, column: int) -> bool:
    """Whether a column, which is not the first, contains numbers only."""
    return column > 0 and all(_numeric(row[column]) for row in table.rows)


def _numeric(cell: str) -> bool:
    return not cell or cell.lstrip(" ±≥≤<>-+")[:1].isdigit() or cell in ("-", "inf")


def widths(table: Table, room: int) -> tuple[list[int], int]:
    """Return the width of each column, and the gap between two of them.

    Headers are cut first, then the widest column of words. Cells of numbers are never cut.

    Parameters
    ----------
    table : Table
    room : int
        Letters of a line.
    """
    natural = [max(map(len, column)) for column in _columns(table)]
    joints = len(natural) - 1
    if sum(natural) + WIDE_GAP * joints + EDGES <= room:
        return natural, WIDE_GAP
    found, least = list(natural), _least(table)
    cells = [max((len(row[i]) for row in table.rows), default=0) for i in range(len(found))]
    over = sum(found) + GAP * joints + EDGES - room
    for floor in ([max(pair) for pair in zip(least, cells, strict=True)], least):
        while over > 0 and any(w > f for w, f in zip(found, floor, strict=True)):
            widest = max(range(len(found)), key=lambda i: (found[i] > floor[i], found[i]))
            found[widest] -= 1
            over -= 1
    return found, GAP


def parts(table: Table, room: int) -> list[Table]:
    """Split a table whose numbers do not fit beside each other; each part has the first column."""
    least = _least(table)
    groups: list[list[int]] = [[0]]
    for i in range(1, len(least)):
        group = [*groups[-1], i]
        if len(groups[-1]) > 1 and sum(least[j] + GAP for j in group) - GAP + EDGES > room:
            groups.append([0, i])
        else:
            groups[-1] = group
    return [_chosen(table, group) for group in groups] if len(groups) > 1 else [table]


def _chosen(table: Table, columns: Sequence[int]) -> Table:
    rows = tuple(tuple(row[i] for i in columns) for row in table.rows)
    return Table(tuple(table.columns[i] for i in columns), rows)


def _columns(table: Table) -> list[list[str]]:
    return [[head, *(row[i] for row in table.rows)] for i, head in enumerate(table.columns)]


def _least(table: Table) -> list[int]:
    """Return the least width of each column: of its longest number, or of its longest word."""
    found = []
    for i, (head, *cells) in enumerate(_columns(table)):
        words = [head] if is_numeric(table, i) else [head, *cells]
        longest = max(len(piece.rstrip()) for text in words for piece in _PIECES.split(text))
        numbers = max(map(len, cells), default=0) if is_numeric(table, i) else 0
        found.append(max(min(longest, LONGEST), numbers, 1))
    return found
