"""The formats of encodings files, one module each.

A module has

- `SUFFIXES`, and `MEMORY`, which says for docs/formats.md what is held while scoring;
- ``matches(path, head)``: whether the first bytes are those of the format;
- ``read(path)``, which returns the :class:`Contents`;
- where files can be written, ``write(path, arrays, metadata)`` and `HOLDS_TEXT`, whether arrays of
  text go with them; `WRITTEN` where only some of the suffixes are;
- `EXTRA` where a library beside the core is needed, which is imported when a file is read;
- ``columns(path)`` for a table of text.

A new format is its own file, and its name in `MODULES`.
"""

from dataclasses import replace
from pathlib import Path
from types import ModuleType

from disentangle_indicators.encodings._stored import ENCODE, Contents, first_bytes
from disentangle_indicators.encodings.formats import (
    anndata,
    arrow,
    hdf5,
    mat,
    npy,
    npz,
    pt,
    safetensors,
    tabular,
    zarr,
)

__all__ = [
    "FORMATS",
    "MODULES",
    "WRITERS",
    "format_of",
    "is_model",
    "open_file",
    "suffix_of",
]

MODULES: tuple[ModuleType, ...] = (
    *(npz, npy, safetensors, pt, tabular),
    *(mat, anndata, hdf5, zarr, arrow),  # MATLAB before HDF5, which it may be too
)
"""Every format, in the order in which a file is compared with them, and of messages."""

FORMATS: dict[str, ModuleType] = {
    suffix: module for module in MODULES for suffix in module.SUFFIXES
}
"""The module that reads each suffix."""

WRITERS: dict[str, ModuleType] = {
    suffix: module
    for module in MODULES
    if hasattr(module, "write")
    for suffix in getattr(module, "WRITTEN", module.SUFFIXES)
}
"""The module that writes each suffix."""


UNREAD = {
    ".pkl .pickle .joblib": "a pickle may run code when it is loaded, and is not loaded here; load it "
    "where it was made, then np.savez('encodings.npz', mean=mean, logvar=logvar)",
    ".json .jsonl": "JSON is not read; pandas.read_json(path, lines=True).to_csv('encodings.csv', "
    "index=False) makes a table of it",
    ".rds .rdata": "R's own files are not read; write.csv(table, 'encodings.csv') makes a table",
    ".nc .cdf": "netCDF before version 4 is not read; xarray.open_dataset(path)"
    ".to_netcdf('encodings.nc', engine='h5netcdf') makes a file of version 4",
    ".xlsx .xls": "Excel's own files are not read; save the sheet as CSV",
    ".gz .zst .bz2 .xz .tar .tgz": "compressed files are not read; unpack it first",
    ".onnx .keras .pt2 .tflite": f"this is a network, not encodings; {ENCODE}",
}
"""What to do with files of suffixes that are not read."""


def format_of(path: Path) -> ModuleType:
    """Return the module that reads a file: its contents decide, else its suffix.

    Raises
    ------
    ValueError
        When neither is known.
    """
    head = first_bytes(path)
    for module in MODULES:
        if module.matches(path, head):
            return module
    suffix = suffix_of(path)
    for suffixes, words in UNREAD.items():
        if suffix in suffixes.split():
            raise ValueError(f"{path}: {words}")
    if suffix not in FORMATS:
        raise ValueError(f"{path}: the suffix must be one of {', '.join(FORMATS)}")
    return FORMATS[suffix]


def suffix_of(path: Path) -> str:
    """Return the suffix that decides the format: the longest one that is known."""
    known = [suffix for suffix in FORMATS if path.name.lower().endswith(suffix)]
    return max(known, key=len, default=path.suffix.lower())


MODELS = ("config.json", "model_config.json", "model_index.json")
"""Files of which one is in the folder of a model: ours and Hugging Face's, pythae's, a pipeline's."""

_OF_DATA = (".npz", ".npy", ".h5ad", ".h5mu", ".zarr", ".parquet", ".feather")
"""Suffixes that neither weights nor a history of training have."""


def is_model(path: Path) -> bool:
    """Whether a folder is that of a model."""
    return any((path / name).is_file() for name in MODELS)


def open_file(path: Path) -> Contents:
    """Open a file of any readable format; its arrays are not read yet."""
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}")
    if not path.is_file() and not path.is_dir():
        raise ValueError(
            f"{path}: this is a pipe or a device, which can be read only once; write it to a file first"
        )
    if is_model(path):
        beside = [file for file in sorted(path.iterdir()) if suffix_of(file) in _OF_DATA]
        more = f", or give the encodings beside it, {' or '.join(map(str, beside))}"
        raise ValueError(
            f"{path}: this is a folder of a model, not of encodings; encode data with the model "
            f"first{more * bool(beside)}"
        )
    contents: Contents = format_of(path).read(path)
    arrays = {key: replace(array, path=path) for key, array in contents.arrays.items()}
    return replace(contents, arrays=arrays)
