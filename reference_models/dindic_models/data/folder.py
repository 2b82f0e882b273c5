"""Any folder of images."""

from pathlib import Path

import numpy as np

from dindic_models.data._data import Data, extent
from dindic_models.data._files import Files, digest_files, headers, image_files, one_size

WHERE = "Give a folder with images (.png, .jpg, .pgm, ...), which may lie in sub-folders"


def here(path: Path) -> bool:
    """Say whether there are images in a folder, or in folders directly in it."""
    return path.is_dir() and any(name.count("/") < 2 for name in image_files(path))


def open_folder(path: Path | None = None, size: tuple[int, int] | None = None) -> Data:
    """Open the images in a folder and below, in natural order, decoded when they are asked for.

    They are grey if all of them are, else RGB; transparency is dropped. When every image lies in
    a sub-folder, the sub-folders, in natural order, are the labels 0, 1, .... Files that start
    with a dot are left out. The heads of all files are read at once, to see that their sizes
    agree; with `size` they need not.

    Raises
    ------
    ValueError
        If there are no images, one is damaged, or their sizes differ and there is no `size`.
    """
    if path is None:
        raise ValueError(WHERE)
    names = image_files(path)
    if not names:
        raise ValueError(f"{path}: there are no images. {WHERE}")
    found = headers(path, names)
    size = size or one_size(path, names, found)
    mode = "RGB" if any(header.mode == "RGB" for header in found) else "L"
    images = Files(path, names, mode, size)
    groups = [name.partition("/")[0] for name in names]
    labels = None
    if all("/" in name for name in names):
        order = {group: k for k, group in enumerate(dict.fromkeys(groups))}
        labels = np.array([order[group] for group in groups])
    words = f", labels from {labels[-1] + 1} sub-folders" if labels is not None else ""
    return Data(
        name="folder",
        images=images,
        source=f"a folder of images, {extent(images.shape)}{words}, from {path}",
        fingerprint=digest_files(path, names),
        labels=labels,
    )
