"""From a path or a name to Data: which layout it is, and the reader of that layout."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from dindic_models.data import array, celeba, dsprites, folder, mnist, sprites, yale
from dindic_models.data._data import Data

DATASETS: dict[str, Callable[[Path | None, tuple[int, int] | None], Data]] = {
    "mnist": mnist.open_mnist,
    "sprites": sprites.open_sprites,
    "dsprites": dsprites.open_dsprites,
    "celeba": celeba.open_celeba,
    "yale": yale.open_yale,
    "folder": folder.open_folder,
    "array": array.open_array,
}
"""The readers: from a path, or None, and a size (height, width), or None, to Data."""

WITHOUT_PATH = ("sprites", "mnist")
"""The data sets that need no path: sprites are rendered, MNIST can be fetched from OpenML."""


class Layout(NamedTuple):
    """What tells a data set: a test of the path, and words for what the test looks for."""

    here: Callable[[Path], bool]
    look: str
    where: str


LAYOUTS = {
    "mnist": Layout(mnist.here, "a folder with train-images-idx3-ubyte[.gz], ...", mnist.WHERE),
    "dsprites": Layout(dsprites.here, "dsprites_ndarray_*.npz, or its folder", dsprites.WHERE),
    "celeba": Layout(
        celeba.here,
        "a folder with img_align_celeba/ and list_eval_partition.txt",
        celeba.WHERE,
    ),
    "yale": Layout(yale.here, "a folder with yaleB01/*.pgm, ...", yale.WHERE),
    "array": Layout(array.here, "a .npy or .npz file", array.WHERE),
    "folder": Layout(
        folder.here,
        "a folder with images (.png, .jpg, ...) in it or in folders in it",
        folder.WHERE,
    ),
}
"""The layouts that are recognised; the general ones where no special one is."""

_GENERAL = ("array", "folder")


def open_data(
    path: str | os.PathLike[str] | None = None,
    *,
    dataset: str | None = None,
    size: int | tuple[int, int] | None = None,
) -> Data:
    """Open a data set, whose layout is recognised.

    Parameters
    ----------
    path : path, optional
        A file or a folder, laid out as the data set comes. The sprites need none, and without one
        MNIST is fetched from OpenML.
    dataset : str, optional
        A key of `DATASETS`, to override what would be recognised.
    size : int or (int, int), optional
        Resize every image to this height and width, by Pillow's bilinear filter on uint8.

    Returns
    -------
    Data
        Its `source` says what was recognised. Images in single files are not read yet.

    Raises
    ------
    FileNotFoundError
        If the data set is not there; the message says where to get it and where to put it.
    ValueError
        If the layout is not recognised or is that of two data sets, or a file is damaged.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import numpy as np
    >>> from dindic_models.data import open_data
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "images.npy")
    ...     np.save(path, np.full((10, 28, 28), 255, np.uint8))
    ...     data = open_data(path, size=32)
    >>> data.name, data.images.shape
    ('array', (10, 1, 32, 32))
    """
    if dataset is not None and dataset not in DATASETS:
        raise ValueError(f"dataset must be one of {', '.join(DATASETS)}; got {dataset!r}")
    new = _size(size)
    if path is None:
        if dataset is None:
            raise ValueError(f"give a path, or one of {', '.join(WITHOUT_PATH)} as dataset")
        if dataset not in WITHOUT_PATH:
            raise FileNotFoundError(f"{dataset} needs a path. {LAYOUTS[dataset].where}")
        return DATASETS[dataset](None, new)
    path = Path(path)
    if dataset != "sprites" and not path.exists():
        where = f". {LAYOUTS[dataset].where}" if dataset else ""
        raise FileNotFoundError(f"{path}: there is no such file or folder{where}")
    return DATASETS[dataset or _recognise(path)](path, new)


def _recognise(path: Path) -> str:
    """Return the name of the data set that is laid out like this."""
    special = [name for name in LAYOUTS if name not in _GENERAL and LAYOUTS[name].here(path)]
    found = special or [name for name in _GENERAL if LAYOUTS[name].here(path)]
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(
            f"{path}: this could be {' or '.join(found)}; say which (dataset={found[0]})"
        )
    looked = "; ".join(f"{layout.look} ({name})" for name, layout in LAYOUTS.items())
    raise ValueError(f"{path}: not a data set that is recognised. Looked for: {looked}")


def _size(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    if size is None:
        return None
    pair = (size, size) if isinstance(size, int) else tuple(size)
    if len(pair) != 2 or min(pair) < 1:
        raise ValueError(f"size must be a height and a width, in pixels; got {size!r}")
    return int(pair[0]), int(pair[1])
