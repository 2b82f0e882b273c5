"""Files that are written whole or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PICTURES = (".png", ".svg", ".pdf")


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`, which becomes `path` when the block succeeds.

    A link is followed. A pipe or a device is not replaced but written to.
    """
    if path.exists() and not path.is_file():
        yield path
        return
    path = Path(os.path.realpath(path))
    if not path.parent.is_dir():
        raise NotADirectoryError(f"{path}: there is no folder {path.parent}")
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        temporary.touch(exist_ok=False)
        mode = temporary.stat().st_mode
        yield temporary
        temporary.chmod(mode)  # safetensors makes its files private
        with open(temporary, "rb+") as stream:
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def picture_path(path: str | Path) -> Path:
    """Return the path of a picture, whose ending must be .png, .svg or .pdf."""
    path = Path(path)
    if path.suffix.lower() not in PICTURES:
        raise ValueError(f"{path}: a picture ends in .png, .svg or .pdf")
    return path


def save_figure(figure: "Figure", path: str | Path) -> Path:
    """Write a matplotlib figure to a file, whole or not at all."""
    path = picture_path(path)
    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=150, format=path.suffix[1:].lower())
    return path
