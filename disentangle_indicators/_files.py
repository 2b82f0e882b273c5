"""Files that are written whole or not at all."""

import errno
import os
import platform
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`, which becomes `path` when the block succeeds.

    A link is followed. A pipe or a device is not replaced but written to; a pipe that no process
    reads is refused. An OSError about the temporary name, or about no name, such as that of a full
    disk, names `path`.
    """
    if path.exists() and not path.is_file():
        with named(path, path), _read_by_somebody(path):
            yield path
        return
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise NotADirectoryError(f"{target}: there is no folder {target.parent}")
    there = target.exists()
    if there and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, "the file is read-only", str(path))
    temporary = temporary_of(target)
    try:
        with named(path, temporary):
            temporary.touch(exist_ok=False)
            mode = (target if there else temporary).stat().st_mode
            yield temporary
            temporary.chmod(mode)  # safetensors makes its files private
            with open(temporary, "rb+") as stream:
                os.fsync(stream.fileno())
            os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _read_by_somebody(path: Path) -> Iterator[None]:
    """Refuse a pipe that no process reads: opening it would wait for ever.

    The pipe stays open meanwhile, or its reader would see an end before the content.
    """
    if not path.is_fifo():
        yield
        return
    try:
        opened = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        raise OSError(errno.ENXIO, "no process reads this pipe", str(path)) from error
    try:
        yield
    finally:
        os.close(opened)


def temporary_of(target: Path) -> Path:
    """Return a hidden name beside a file, after a sweep of names that killed processes left.

    The name contains the machine and the process. So no process sweeps the file of another one.
    """
    stem = f".dindic-{sha256(os.fsencode(target.name)).hexdigest()[:10]}-{_machine()}-"
    if os.name == "posix":  # elsewhere signal 0 would end the process
        for left in target.parent.glob(f"{stem}*"):
            owner = left.name.removeprefix(stem).partition("-")[0]
            if owner.isdigit() and not _is_alive(int(owner)):
                _removed(left)
    return target.with_name(f"{stem}{os.getpid()}-{secrets.token_hex(6)}.tmp")


def _machine() -> str:
    return sha256(platform.node().encode()).hexdigest()[:6]


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is somebody else's
        return True
    return True


def _removed(path: Path) -> None:
    """Remove a file or a folder; one that cannot be removed stays."""
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


@contextmanager
def named(path: Path, temporary: Path) -> Iterator[None]:
    """Put the path that the user gave into errors that name the temporary one, what is below, or none."""
    try:
        yield
    except OSError as error:
        nameless = error.filename is None and error.errno is not None
        if nameless or str(error.filename).startswith(str(temporary)):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
