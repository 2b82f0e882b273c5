"""Results as files: JSON, CSV and Markdown, written whole or not at all."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from disentangle_indicators._result import Result, to_markdown

__all__ = ["WRITERS", "write"]

WRITERS: dict[str, Callable[[Result], str]] = {
    "json": lambda result: result.to_json() + "\n",
    "csv": lambda result: result.to_frame().to_csv(),
    "markdown": lambda result: to_markdown(result.blocks()),
}
"""The formats of a report, each a function from a result to text."""


def write(result: Result, path: str | Path, form: str) -> Path:
    """Write a result to a file, by way of a temporary name.

    Parameters
    ----------
    result : Result
    path : path
    form : {"json", "csv", "markdown"}

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
    text = WRITERS[form](result)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path
