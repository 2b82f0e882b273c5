"""What the caller knows of a model, and what openers share."""

import os
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TRUST = "trust_checkpoint=True"

WITH_OWN_CODE = (
    "name a function of your own that makes the network, as encoder='package.module:factory'"
)


@dataclass(frozen=True)
class Asked:
    """What is known of a model that is to be opened.

    Attributes
    ----------
    network : str or None
        The built-in architecture of a file of weights.
    returns : str or None
        The names of what the encoder returns.
    trust : bool
        Whether code in the file may run.
    """

    network: str | None = None
    returns: str | None = None
    trust: bool = False


@contextmanager
def current_folder() -> Iterator[None]:
    """Find modules in the current folder too, which commands do not by themselves."""
    folder = os.getcwd()
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


def members(path: Path) -> tuple[str, ...]:
    """Return the names in a zip archive, none of another file."""
    if not path.is_file() or not zipfile.is_zipfile(path):
        return ()
    try:
        with zipfile.ZipFile(path) as archive:
            return tuple(archive.namelist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        return ()


def need(package: str, extra: str) -> ValueError:
    """Return the error of a package that is not installed."""
    return ValueError(f"reading it needs {package}: pip install 'disentangle-indicators[{extra}]'")
