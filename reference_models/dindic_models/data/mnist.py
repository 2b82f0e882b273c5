"""MNIST and what comes in its files: FashionMNIST, KMNIST."""

import gzip
import struct
import zlib
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dindic_models.data._data import Data, digest_array, extent
from dindic_models.data._resize import resized
from disentangle_indicators.encodings._stored import check_size

WHERE = (
    "MNIST is four files, train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, "
    "t10k-images-idx3-ubyte.gz and t10k-labels-idx1-ubyte.gz, from "
    "https://ossci-datasets.s3.amazonaws.com/mnist/ (no need to unpack): put them in one folder "
    "and give that folder"
)

_PREFIXES = {"train": "train", "test": "t10k"}
_AXES = {"images": 3, "labels": 1}


def here(path: Path) -> bool:
    """Say whether a folder holds files of MNIST."""
    return _root(path) is not None


def open_mnist(path: Path | None = None, size: tuple[int, int] | None = None) -> Data:
    """Read the IDX files of a folder, packed or not, training images first; or fetch from OpenML.

    The files may also lie in MNIST/raw or raw below the folder. A folder with the training or the
    test pair only is read as well.

    Raises
    ------
    ValueError
        If a file is damaged, or there are not as many labels as images.
    FileNotFoundError
        If a file of a pair is missing, or OpenML cannot be reached.
    """
    pixels, labels, official, origin = _fetch() if path is None else _read(path)
    return Data(
        name="mnist",
        images=resized(pixels, size),
        source=f"MNIST, {extent(pixels.shape)}, {origin}",
        fingerprint=digest_array(pixels),
        official=official,
        labels=labels,
        ratio=(0.6, 0.2, 0.2),
    )


_Parts = tuple[NDArray[np.uint8], NDArray[Any], dict[str, NDArray[np.int64]], str]


def _read(path: Path) -> _Parts:
    root = _root(path)
    if root is None:
        raise FileNotFoundError(f"{path}: there are no files of MNIST. {WHERE}")
    pairs = {part: _pair(root, prefix) for part, prefix in _PREFIXES.items()}
    found = {part: pair for part, pair in pairs.items() if pair is not None}
    images = [pair[0] for pair in found.values()]
    if len({part.shape[1:] for part in images}) > 1:
        raise ValueError(f"{root}: training and test images differ in size")
    stops = np.cumsum([len(part) for part in images])
    official = {
        part: np.arange(stop - len(rows), stop)
        for part, stop, rows in zip(found, stops, images, strict=True)
    }
    labels = np.concatenate([pair[1] for pair in found.values()])
    return np.concatenate(images)[:, None], labels, official, f"IDX files, from {root}"


def _pair(root: Path, prefix: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]] | None:
    """Read images and labels, or return None where there are neither."""
    files = {kind: _find(root, prefix, kind) for kind in _AXES}
    missing = [kind for kind, file in files.items() if file is None]
    if len(missing) == len(files):
        return None
    if missing:
        file = f"{prefix}-{missing[0]}-idx{_AXES[missing[0]]}-ubyte"
        raise FileNotFoundError(f"{root}: {file} is missing, packed (.gz) or not. {WHERE}")
    images, labels = (read_idx(file, _AXES[kind]) for kind, file in files.items() if file)
    if len(images) != len(labels):
        raise ValueError(f"{files['labels']}: {len(labels)} labels for {len(images)} images")
    return images, labels


def _fetch() -> _Parts:
    """Fetch the 70,000 images from OpenML, which keeps the order of the files."""
    from sklearn.datasets import fetch_openml  # type: ignore[import-untyped]

    try:
        bunch = fetch_openml("mnist_784", version=1, as_frame=False)
    except (OSError, ValueError) as error:
        raise FileNotFoundError(f"OpenML did not deliver MNIST ({error}). {WHERE}") from error
    pixels = np.asarray(bunch.data, np.uint8).reshape(-1, 1, 28, 28)
    official = {"train": np.arange(60_000), "test": np.arange(60_000, len(pixels))}
    return pixels, np.asarray(bunch.target).astype(np.uint8), official, "from OpenML"


def _root(path: Path) -> Path | None:
    places = (path, path / "raw", path / "MNIST" / "raw")
    kinds = [(prefix, kind) for prefix in _PREFIXES.values() for kind in _AXES]
    return next((root for root in places if any(_find(root, *kind) for kind in kinds)), None)


def _find(root: Path, prefix: str, kind: str) -> Path | None:
    """Return the file of this kind, an unpacked one first."""
    end = f"idx{_AXES[kind]}-ubyte"
    names = [f"{prefix}-{kind}{dot}{end}{packed}" for packed in ("", ".gz") for dot in "-."]
    return next((root / name for name in names if (root / name).is_file()), None)


def read_idx(path: Path, axes: int) -> NDArray[np.uint8]:
    """Read an IDX file of bytes: 0, 0, 8, the number of axes, the sizes, the values.

    Raises
    ------
    ValueError
        If the file is not such a file, is cut short or too long.
    """
    magic = bytes([0, 0, 8, axes])
    start = 4 + 4 * axes
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as stream:
            head = stream.read(start)
            if head[:4] != magic or len(head) < start:
                raise ValueError(
                    f"{path}: not an IDX file of bytes with {axes} axes: it starts with "
                    f"{head[:4].hex()}, not {magic.hex()}"
                )
            shape = struct.unpack(f">{axes}I", head[4:])
            need = prod(shape)
            check_size(path, "the array", need)
            content = stream.read(need)
            more = len(stream.read(1))  # and no further: small files can go on for gigabytes
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path}: the file is damaged or cut short ({error})") from error
    if len(content) < need:
        raise ValueError(f"{path}: {len(content)} bytes where the header announces {need}")
    if more:
        raise ValueError(f"{path}: more bytes than the {need} that the header announces")
    return np.frombuffer(content, np.uint8).reshape(shape)
