"""Where a result comes from: the package, the call, the input, the parameters, the seed."""

import hashlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Input", "Provenance", "sha256_of"]


@dataclass(frozen=True)
class Input:
    """One input: its name, and for a file what it takes to hash it when a report is written."""

    name: str
    path: Path | None = None
    size: int = -1
    modified_ns: int = -1
    streamed: bool = False

    @classmethod
    def of_file(cls, path: Path, *, streamed: bool = False) -> "Input":
        """Remember a file as it is now; a streamed one is read again and again."""
        status = os.stat(path)
        return cls(str(path), path, status.st_size, status.st_mtime_ns, streamed)

    def check_unchanged(self) -> None:
        """Refuse a file that is another one by now: sums of the old would meet rows of the new.

        Raises
        ------
        ValueError
        """
        if self.streamed and self.path is not None and not self._is_unchanged():
            raise ValueError(f"{self.path} has changed since it was opened; open it again")

    def _is_unchanged(self) -> bool:
        assert self.path is not None
        status = os.stat(self.path)
        return (status.st_size, status.st_mtime_ns) == (self.size, self.modified_ns)

    def sha256(self) -> str | None:
        """Return the hash of the file, None for arrays and for a file that has changed since."""
        if self.path is None or not self.path.is_file() or not self._is_unchanged():
            return None
        return sha256_of(self.path)


def sha256_of(path: Path) -> str:
    """Return the hash of the bytes of a file."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@dataclass(frozen=True)
class Provenance:
    """What it takes to compute a result once more.

    Parameters
    ----------
    call : str
        The function, or the command line.
    inputs : tuple of Input
    parameters : dict
        The options that the numbers depend on.
    seed : int or None
        None where nothing is drawn, or a generator was given.
    """

    call: str
    inputs: tuple[Input, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; files are hashed here, and not before a report is written."""
        package = __name__.partition(".")[0]
        return {
            "package": package,
            "version": sys.modules[package].__version__,  # imported already, and the top of it all
            "call": self.call,
            "inputs": [{"name": each.name, "sha256": each.sha256()} for each in self.inputs],
            "parameters": dict(self.parameters),
            "seed": self.seed,
        }
