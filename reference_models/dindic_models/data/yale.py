"""Extended Yale Face Database B, cropped: 38 faces in 64 lights."""

import re
from pathlib import Path

import numpy as np

from dindic_models.data._data import Data, extent
from dindic_models.data._files import Files, digest_files, headers, image_files, one_size

WHERE = (
    "Extended Yale B, cropped, is a folder CroppedYale with the sub-folders yaleB01, yaleB02, ... "
    "of .pgm images, from the authors' page "
    "http://vision.ucsd.edu/~leekc/ExtYaleDatabase/ExtYaleB.html: unpack it and give that folder"
)

_SUBJECT = re.compile(r"yaleB(\d+)")
_LIGHT = re.compile(r"_P\d+A([+-]\d+)E([+-]\d+)\.pgm$")


def here(path: Path) -> bool:
    """Say whether a folder is the tree of CroppedYale."""
    return any(
        _SUBJECT.fullmatch(folder.name) and any(folder.glob("*.pgm"))
        for folder in _root(path).glob("yaleB*/")
    )


def open_yale(path: Path | None = None, size: tuple[int, int] | None = None) -> Data:
    """Open the .pgm images of a tree yaleB01/, yaleB02/, ..., decoded when they are asked for.

    Images of ambient light alone (with "Ambient" in their names) and the damaged originals
    (.bad) are left out. The labels are the subjects' numbers; the factors, where the names have
    them, azimuth and elevation of the light in degrees.

    Raises
    ------
    ValueError
        If an image is damaged, or has another size than the first and there is no `size`.
    FileNotFoundError
        If there are no such folders.
    """
    if path is None or not here(path):
        raise FileNotFoundError(f"{path}: there is no tree of Extended Yale B. {WHERE}")
    root = _root(path)
    names = [
        name
        for name in image_files(root)
        if _SUBJECT.fullmatch(name.partition("/")[0])
        and name.endswith(".pgm")
        and "Ambient" not in name
    ]
    if not names:
        raise FileNotFoundError(f"{path}: all images are of ambient light alone. {WHERE}")
    stored = one_size(root, names, headers(root, names))
    images = Files(root, names, "L", size or stored, stored)
    lights = [_LIGHT.search(name) for name in names]
    known = [[int(angle) for angle in light.groups()] for light in lights if light]
    complete = len(known) == len(names)
    subjects = [int(name.partition("/")[0].removeprefix("yaleB")) for name in names]
    return Data(
        name="yale",
        images=images,
        source=f"Extended Yale B, cropped, {extent(images.shape)}, "
        f"{len(set(subjects))} subjects, from {path}",
        fingerprint=digest_files(root, names),
        labels=np.array(subjects),
        factors=np.array(known) if complete else None,
        factor_names=("azimuth", "elevation") if complete else (),
    )


def _root(path: Path) -> Path:
    return path / "CroppedYale" if (path / "CroppedYale").is_dir() else path
