"""Results as files: JSON, CSV, Markdown, LaTeX and HTML, written whole or not at all."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from disentangle_indicators._files import atomic
from disentangle_indicators._latex import to_latex
from disentangle_indicators._render import to_markdown
from disentangle_indicators._result import Result

__all__ = ["WRITERS", "write"]


FORMULAS = ("=", "+", "-", "@", chr(9), chr(13))
"""First signs of text that a spreadsheet takes for a formula."""


def _csv(result: Result) -> str:
    frame = result.to_frame().map(_no_formula).rename(index=_no_formula, columns=_no_formula)
    return str(frame.to_csv(index=frame.index.name is not None))


def _no_formula(cell: Any) -> Any:
    """Put an apostrophe before text that a spreadsheet would compute."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULAS) else cell


WRITERS: dict[str, Callable[..., str]] = {
    "json": lambda result: result.to_json() + "\n",
    "csv": _csv,
    "markdown": lambda result: to_markdown(result.blocks()),
    "latex": lambda result: to_latex(result.blocks()),
    "html": lambda result, **pictures: result.to_html(**pictures),
}
"""The formats of a report, each a function from a result to text; a page takes more pictures."""


def write(result: Result, path: str | Path, form: str, **pictures: Any) -> Path:
    """Write a result to a file, by way of a temporary name.

    Parameters
    ----------
    result : Result
    path : path
    form : {"json", "csv", "markdown", "latex", "html"}
    **pictures
        For HTML, what ``to_html`` takes.

    Returns
    -------
    Path

    Raises
    ------
    OSError
        When the file cannot be written; what was there before stays.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> from disentangle_indicators import score
    >>> card = score(np.eye(2), var=np.ones((2, 2)))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(card, f"{folder}/card.json", "json").name
    'card.json'
    """
    path = Path(path)
    text = WRITERS[form](result, **pictures)
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path
