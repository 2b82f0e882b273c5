"""CelebA: 202,599 aligned faces with 40 attributes."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dindic_models.data._data import Data, extent
from dindic_models.data._files import Files, digest_files

WHERE = (
    "CelebA is the folder img_align_celeba (unpacked from img_align_celeba.zip) and the file "
    "list_eval_partition.txt, from https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html: put both, "
    "and list_attr_celeba.txt for the attributes, in one folder and give that folder"
)

_STORED = (218, 178)
_CROP = 148
_SIZE = (64, 64)
_PARTS = ("train", "validation", "test")
_FOLDER = "img_align_celeba"


class _Tree(NamedTuple):
    images: Path | None
    partition: Path | None
    attributes: Path | None


def here(path: Path) -> bool:
    """Say whether a folder holds the images or the partition of CelebA."""
    tree = _find(path)
    return tree.images is not None or tree.partition is not None


def open_celeba(path: Path | None = None, size: tuple[int, int] | None = None) -> Data:
    """Open the aligned images in the order of the partition file, decoded when asked for.

    Of 178 x 218 pixels the 148 x 148 in the centre are kept, and resized to 64 x 64, or to
    `size`, by Pillow's bilinear filter, which averages. The folder may also be that of the
    official archive, with Img, Eval and Anno in it. The attributes, where they are, become
    factors: 0 for -1, and 1.

    Raises
    ------
    FileNotFoundError
        If the images, one of them or the partition file are not there.
    ValueError
        If a line of a list cannot be read.
    """
    tree = _Tree(None, None, None) if path is None else _find(path)
    if tree.images is None or tree.partition is None:
        raise FileNotFoundError(
            f"{path}: there is no {'list_eval_partition.txt' if tree.images else _FOLDER}. {WHERE}"
            + ("; dataset=folder reads the images as any others" if tree.images else "")
        )
    names, parts = _partition(tree.partition)
    there = {entry.name for entry in os.scandir(tree.images)}
    missing = [name for name in names if name not in there]
    if missing:
        raise FileNotFoundError(
            f"{tree.images / missing[0]} is missing, with {len(missing) - 1} more of "
            f"{len(names)} that {tree.partition.name} lists"
        )
    images = Files(tree.images, names, "RGB", size or _SIZE, _STORED, _CROP)
    factors, factor_names = _attributes(tree.attributes, names)
    return Data(
        name="celeba",
        images=images,
        source=f"CelebA, {extent(images.shape)} (the central {_CROP}x{_CROP} pixels, resized), "
        f"{f'{len(factor_names)} attributes' if factor_names else 'no attributes'}, from {path}",
        fingerprint=digest_files(tree.images, names),
        official={part: np.flatnonzero(parts == k) for k, part in enumerate(_PARTS)},
        factors=factors,
        factor_names=factor_names,
    )


def _find(path: Path) -> _Tree:
    """Look for images and lists beside one another, or in Img, Eval and Anno."""
    roots = [path, path / "celeba", *([path.parent] if path.name == _FOLDER else [])]
    trees = [
        _Tree(
            _first(Path.is_dir, [root / place / _FOLDER for place in ("", "Img", _FOLDER)][::-1]),
            _first(Path.is_file, _lists(root, "Eval", "list_eval_partition")),
            _first(Path.is_file, _lists(root, "Anno", "list_attr_celeba")),
        )
        for root in roots
    ]
    return max(trees, key=lambda tree: sum(part is not None for part in tree[:2]))


def _lists(root: Path, folder: str, name: str) -> list[Path]:
    return [place / f"{name}{end}" for place in (root, root / folder) for end in (".txt", ".csv")]


def _first(test: Any, paths: Sequence[Path]) -> Path | None:
    return next((path for path in paths if test(path)), None)


def _partition(path: Path) -> tuple[list[str], NDArray[np.int64]]:
    """Read the names of the images and their parts: 0, 1 or 2."""
    names, parts = [], []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        entries = line.replace(",", " ").split()
        if not entries or entries == ["image_id", "partition"]:
            continue
        if len(entries) != 2 or entries[1] not in ("0", "1", "2"):
            raise ValueError(f"{path}: line {number} must be a name and 0, 1 or 2; it is {line!r}")
        names.append(entries[0])
        parts.append(int(entries[1]))
    if not names:
        raise ValueError(f"{path}: the list is empty")
    return names, np.array(parts)


def _attributes(
    path: Path | None, names: list[str]
) -> tuple[NDArray[np.int8] | None, tuple[str, ...]]:
    """Read the attributes, in the order of `names`, as 0 and 1, if there are any."""
    if path is None:
        return None, ()
    comma = "," if path.suffix == ".csv" else None
    lines = path.read_text().splitlines()
    head = 1 if comma else 2
    titles = lines[head - 1].split(comma)[head == 1 :] if len(lines) > head else []
    if [line.split(comma, 1)[0] for line in lines[head:]] != names:
        raise ValueError(f"{path}: it does not list the images of the partition file, in order")
    try:
        values = np.loadtxt(
            lines[head:], np.int8, delimiter=comma, usecols=range(1, len(titles) + 1), ndmin=2
        )
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{path}: {error}") from error
    if not np.isin(values, (-1, 1)).all():
        raise ValueError(f"{path}: attributes must be -1 or 1")
    return (values > 0).astype(np.int8), tuple(titles)
