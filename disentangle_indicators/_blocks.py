"""What results print: sentences, labelled sentences, and tables of text."""

import math
import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Columns and rows of text, with a title above and a note on how to read it below."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    title: str = ""
    note: str = ""


Block = str | dict[str, str] | Table
"""A paragraph, sentences under one label each, or a table."""


DOCS = "docs/"
"""Where the pages are: a folder of the repository, since they have no public address yet."""


WORDS = f"All words are explained in {DOCS}glossary.md."
"""Where a reader finds what a report does not explain."""


def printable(text: str) -> str:
    r"""Write control characters as their escapes, so that a name cannot command a terminal.

    Examples
    --------
    >>> print(printable("\x1b[31mred"))
    \x1b[31mred
    """
    return re.sub(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", lambda sign: repr(sign[0])[1:-1], text)


def one_line(name: str) -> str:
    r"""Write a name without control characters and line ends.

    Examples
    --------
    >>> print(one_line("two\nlines"))
    two\nlines
    """
    return printable(name).replace("\n", "\\n")


def with_error(value: float, error: float | None, digits: int = 3) -> str:
    """Write a value and its standard error with the same number of decimals.

    The error has two significant digits, if these are among so many decimals. An error that would
    be rounded to zero is written as below the last decimal.

    Examples
    --------
    >>> with_error(96.6593, 0.5025), with_error(0.12345, 0.00678), with_error(1.0, 1e-9)
    ('96.66 ± 0.50', '0.123 ± 0.007', '1.000 ± <0.001')
    """
    if abs(value) >= 1e6:
        return f"{value:.4g}" if error is None else f"{value:.4g} ± {error:.1g}"
    if error is not None and math.isfinite(error) and error > 0:
        digits = max(0, min(digits, 1 - math.floor(math.log10(error))))
    text = f"{round(value, digits) + 0.0:.{digits}f}"
    if error is None:
        return text
    least = 10.0**-digits
    small = 0 < error < least / 2
    return f"{text} ± <{least:.{digits}f}" if small else f"{text} ± {error:.{digits}f}"


def power_of_ten(error: float) -> str:
    """Write an error as the next power of ten above it."""
    return f"1e{math.ceil(math.log10(max(error, 1e-16))):+03d}"
