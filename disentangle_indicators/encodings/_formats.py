"""The readable formats."""

from pathlib import Path
from types import ModuleType

from disentangle_indicators.encodings import npy, npz, pt, safetensors, tabular
from disentangle_indicators.encodings._stored import Contents

FORMATS: dict[str, ModuleType] = {
    ".npz": npz,
    ".npy": npy,
    ".safetensors": safetensors,
    ".pt": pt,
    ".pth": pt,
    ".csv": tabular,
    ".tsv": tabular,
}
"""The module that reads each suffix: ``FORMATS[suffix].read(path)``."""


def open_file(path: Path) -> Contents:
    """Open a file of any readable format; its arrays are not read yet."""
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}")
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"{path}: the suffix must be one of {', '.join(FORMATS)}")
    contents: Contents = FORMATS[path.suffix.lower()].read(path)
    return contents
