"""The formats of encodings files, one module each.

A module has `SUFFIXES`, ``read(path)`` which returns the :class:`Contents`, and, where files of the
format can be written, ``write(path, arrays, metadata)`` and `HOLDS_TEXT`, whether arrays of text go
with them. A table of text also has ``columns(path)``. A new format is its own file, and its name in
`MODULES`.
"""

from pathlib import Path
from types import ModuleType

from disentangle_indicators.encodings._stored import Contents
from disentangle_indicators.encodings.formats import npy, npz, pt, safetensors, tabular

__all__ = ["FORMATS", "MODULES", "WRITERS", "format_of", "open_file"]

MODULES: tuple[ModuleType, ...] = (npz, npy, safetensors, pt, tabular)
"""Every format, in the order of messages."""

FORMATS: dict[str, ModuleType] = {
    suffix: module for module in MODULES for suffix in module.SUFFIXES
}
"""The module that reads each suffix."""

WRITERS: dict[str, ModuleType] = {
    suffix: module for suffix, module in FORMATS.items() if hasattr(module, "write")
}
"""The module that writes each suffix."""


def format_of(path: Path) -> ModuleType:
    """Return the module that reads a file.

    Raises
    ------
    ValueError
        On another suffix.
    """
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"{path}: the suffix must be one of {', '.join(FORMATS)}")
    return FORMATS[path.suffix.lower()]


def open_file(path: Path) -> Contents:
    """Open a file of any readable format; its arrays are not read yet."""
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}")
    if (path / "config.json").is_file():
        raise ValueError(
            f"{path}: this is a folder of a model, not of encodings; encode data with the model "
            "first"
        )
    contents: Contents = format_of(path).read(path)
    return contents
