"""The folders of runs: whether a run may begin or be resumed there, alone or beside others."""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from dindic_models.checkpoint import CONFIG, MODEL, TRAINING, read_config
from dindic_models.config import Config
from dindic_models.data import Data
from dindic_models.networks import Shape

__all__ = ["SHARED", "check_folder", "check_together", "locked"]

SHARED = ("dataset", "split", "split_seed", "batch", "samples", "latents", "seed", "precision")
"""Settings that models trained together have in common, beside epochs: all that batches need."""


def check_together(configs: Sequence[Config], folders: Sequence[Path]) -> None:
    """Refuse models that cannot see the same batches, or that would share a folder."""
    if not configs or len(configs) != len(folders):
        raise ValueError("there must be a folder for each configuration, and at least one")
    for name in (*SHARED, "epochs"):
        values = {getattr(config, name) for config in configs}
        if len(values) > 1:
            said = ", ".join(map(str, sorted(values, key=str)))
            raise ValueError(f"models that are trained together share {name}; got {said}")
    if len({folder.absolute() for folder in folders}) < len(folders):
        raise ValueError("every model needs a folder of its own")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make a folder, and let one process at a time write to it.

    The lock is that of the system (flock) and ends with the process. There is none on Windows, and
    on file systems that have no locks.

    Raises
    ------
    ValueError
        Where another process writes to the folder.
    """
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ImportError:
        yield
        return
    held = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise ValueError(
                    f"{folder}: another process writes to this folder; wait for it, or name "
                    "another folder"
                ) from error
        yield
    finally:
        os.close(held)
        if made and not any(folder.iterdir()):
            folder.rmdir()


def check_folder(
    folder: Path,
    config: Config,
    shape: Shape,
    data: Data,
    resume: bool,
    *,
    finished: bool = False,
) -> None:
    """Refuse a folder that holds a run; or, to go on, one that holds another.

    A run that is `finished` needs no training.safetensors, so that models may be copied without.

    Raises
    ------
    ValueError
        That names the setting that differs.
    """
    held = any((folder / name).exists() for name in (CONFIG, MODEL, TRAINING))
    if held and not resume:
        raise ValueError(
            f"{folder} contains a run already; resume it (resume=True), or name another folder"
        )
    if not held:
        return
    if (folder / MODEL).exists() and not (finished or (folder / TRAINING).is_file()):
        raise ValueError(f"{folder} has no {TRAINING} to go on from")
    old, old_shape, old_data = read_config(folder)
    for name, value in replace(old, epochs=config.epochs).to_dict().items():
        if value != config.to_dict()[name]:
            raise ValueError(
                f"{folder} was trained with {name} = {value}, not {config.to_dict()[name]}; "
                "only epochs may change"
            )
    if old_shape != shape or old_data.get("fingerprint") != data.fingerprint:
        raise ValueError(f"{folder} was trained on other data ({old_data.get('name')})")
