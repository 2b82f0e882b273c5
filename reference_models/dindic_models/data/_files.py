"""Images that lie in one file each, decoded when they are asked for."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from dindic_models.data._data import Index, digest, positions

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".pgm", ".ppm", ".gif", ".tif", ".tiff", ".webp"}

_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
"""What Pillow may open: no format that starts another program, as EPS does."""

_CHANNELS = {"1": "L", "L": "L", "LA": "L"} | dict.fromkeys(
    ("P", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"), "RGB"
)
_FEW = 16

T = TypeVar("T")


@dataclass(frozen=True, eq=False, repr=False)
class Files:
    """Image files as Images: uint8, shape (n, C, H, W).

    Parameters
    ----------
    folder : Path
    names : sequence of str, length n
        The files, relative to the folder.
    mode : {"L", "RGB"}
        Grey or colour; fewer than 17 files are decoded in turn, more by threads.
    size : (int, int)
        Height and width of the images; a file of another size is resized by Pillow's bilinear
        filter.
    stored : (int, int), optional
        The size that every file must have.
    crop : int, optional
        The side of the square that is cut from the centre before resizing.
    """

    folder: Path
    names: Sequence[str]
    mode: str
    size: tuple[int, int]
    stored: tuple[int, int] | None = None
    crop: int | None = None

    dtype = np.dtype(np.uint8)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(n, C, H, W)."""
        return (len(self.names), len(self.mode), *self.size)

    def __len__(self) -> int:
        """Return the number of files."""
        return len(self.names)

    def __getitem__(self, index: Index) -> NDArray[Any]:
        """Decode these files; a damaged one is a ValueError that names it."""
        names = [self.names[i] for i in positions(index, len(self))]
        images = np.empty((len(names), *self.shape[1:]), np.uint8)
        for image, decoded in zip(images, in_threads(self._decode, names), strict=True):
            image[:] = decoded
        return images

    def _decode(self, name: str) -> NDArray[np.uint8]:
        from PIL import Image

        with opened(self.folder / name) as image:
            width, height = image.size
            if self.stored not in (None, (height, width)):
                raise ValueError(
                    f"the image has {height}x{width} pixels, not {'x'.join(map(str, self.stored))}"
                )
            pixels = image.convert(self.mode)
            if self.crop is not None:
                left, top = (width - self.crop) // 2, (height - self.crop) // 2
                pixels = pixels.crop((left, top, left + self.crop, top + self.crop))
            if pixels.size != self.size[::-1]:
                pixels = pixels.resize(self.size[::-1], Image.Resampling.BILINEAR)
            return np.atleast_3d(np.asarray(pixels)).transpose(2, 0, 1)


class Header(NamedTuple):
    """What the head of an image file says: "L" or "RGB", and (height, width)."""

    mode: str
    size: tuple[int, int]


def headers(folder: Path, names: Sequence[str]) -> list[Header]:
    """Read the heads of image files, without their pixels."""

    def header(name: str) -> Header:
        with opened(folder / name) as image:
            return Header(_CHANNELS[image.mode], image.size[::-1])

    return list(in_threads(header, names))


def one_size(folder: Path, names: Sequence[str], found: Sequence[Header]) -> tuple[int, int]:
    """Return the size that all files have, or name two that differ."""
    for name, header in zip(names, found, strict=True):
        if header.size != found[0].size:
            first, other = ("x".join(map(str, h.size)) for h in (found[0], header))
            raise ValueError(
                f"{folder / name}: the image has {other} pixels and {names[0]} has {first}; "
                "add size= to resize them all"
            )
    return found[0].size


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open an image by Pillow; whatever goes wrong is a ValueError that names the file."""
    from PIL import Image

    try:
        if path.exists() and not path.is_file():
            raise ValueError("it is a pipe, a device or a folder")
        with Image.open(path, formats=_FORMATS) as image:
            if image.mode not in _CHANNELS:
                raise ValueError(f"{image.mode} pixels have more than 8 bits; save it with 8")
            if getattr(image, "is_animated", False):
                raise ValueError("it has several frames; save each as an image")
            yield image
    except MemoryError as error:
        raise MemoryError(f"{path}: there is not enough memory to read the image") from error
    except Exception as error:
        said = str(error).replace(f" {str(path)!r}", "")
        raise ValueError(f"{path}: the image cannot be read ({said})") from error


def in_threads(function: Callable[[str], T], names: Sequence[str]) -> Iterator[T]:
    """Yield the function of each name, by threads if there are many: Pillow frees the lock."""
    if len(names) <= _FEW:
        yield from map(function, names)
        return
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        yield from pool.map(function, names)


def image_files(folder: Path) -> list[str]:
    """List the images in a folder and below, in natural order, without hidden ones."""
    found = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith((".", "__"))]
        below = Path(place).relative_to(folder)
        found += [
            (below / name).as_posix()
            for name in files
            if Path(name).suffix.lower() in SUFFIXES and not name.startswith(".")
        ]
    return sorted(found, key=natural)


def natural(name: str) -> tuple[list[tuple[str, int, str]], str]:
    """Return a sort key by which a2 comes before a10."""
    parts = name.split("/")
    pieces = [
        (words, int(number or -1), "")
        for part in parts
        for words, number in re.findall(r"([^0-9]*)([0-9]*)", part)
    ]
    return pieces, name


def digest_files(folder: Path, names: Iterable[str]) -> str:
    """Return the digest of the names and sizes of files."""
    return digest(f"{name} {os.path.getsize(folder / name)}" for name in names)
