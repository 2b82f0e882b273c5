"""State dicts out of files, and into networks: wrappers and prefixes are taken off, all else is refused."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dindic_models.checkpoint import read_tensors
from dindic_models.openers._asked import TRUST, current_folder
from disentangle_indicators._errors import lacks_memory

Tensors = dict[str, Tensor]

PREFERRED = ("state_dict", "model_state_dict", "model", "ema", "net", "network", "vae", "encoder")
"""Keys under which programs put the weights, beside optimizers and counts."""

FILES = (
    *("model.safetensors", "diffusion_pytorch_model.safetensors"),
    *("pytorch_model.bin", "model.pt", "model.pth"),
)
"""Files of weights in folders."""

SHOWN = 5


def weights_file(path: Path) -> Path:
    """Return the file of weights: itself, or the one in a folder."""
    if not path.is_dir():
        return path
    found = [path / name for name in FILES if (path / name).is_file()]
    if not found:
        raise ValueError(f"{path}: there is no file of weights in it; give the file")
    return found[0]


def read_object(path: Path, *, trust: bool = False) -> Any:
    """Return what a file holds: tensors, and objects where the file is trusted.

    Raises
    ------
    ValueError
        If reading the file would run code, and on damage.
    """
    if path.suffix.lower() == ".safetensors":
        return read_tensors(path)[0]
    with open(path, "rb") as stream, current_folder():  # where classes of a trusted file may be
        try:
            return torch.load(stream, map_location="cpu", weights_only=not trust)
        except Exception as error:  # damage makes torch raise almost anything
            if lacks_memory(error):
                raise MemoryError(f"{path}: there is not enough memory to read it") from error
            held = unsafe(path)
            if held and not trust:
                more = f" and {len(held) - SHOWN} more" * (len(held) > SHOWN)
                raise ValueError(
                    f"{path} holds objects beside tensors, {', '.join(held[:SHOWN])}{more}, which are "
                    f"never loaded unasked, because that runs code. If you trust the file, add {TRUST}; "
                    "or save the tensors alone: torch.save(model.state_dict(), path)"
                ) from error
            first = (str(error).strip() or type(error).__name__).split("\n")[0]
            said = f" ({first})" if trust else ""
            raise ValueError(
                f"{path}: damaged, or no file of torch.save{said}; objects are never loaded unasked; "
                "save the tensors: torch.save(model.state_dict(), path)"
            ) from error


def unsafe(path: Path) -> list[str]:
    """Return the classes and functions that a file would run, as torch lists them."""
    from torch.serialization import get_unsafe_globals_in_checkpoint

    try:
        return sorted(get_unsafe_globals_in_checkpoint(path))
    except Exception:  # noqa: BLE001 - a list for a message, out of a file that may be damaged
        return []


def read_tensors_of(path: Path, *, trust: bool = False) -> list[Tensors]:
    """Return the state dicts of a file, the likeliest first.

    Raises
    ------
    ValueError
        If there is none, or the file cannot be read safely.
    """
    content = read_object(path, trust=trust)
    if isinstance(content, nn.Module):
        return [dict(content.state_dict())]
    found = list(_state_dicts(content, ()))
    if not found:
        raise ValueError(f"{path}: not a state_dict, a dict of tensors")

    def rank(item: tuple[tuple[str, ...], Tensors]) -> tuple[int, int]:
        last = item[0][-1] if item[0] else PREFERRED[0]
        return PREFERRED.index(last) if last in PREFERRED else len(PREFERRED), -len(item[1])

    return [tensors for _, tensors in sorted(found, key=rank)]


def _state_dicts(content: Any, keys: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Tensors]]:
    if not isinstance(content, Mapping) or any("optim" in key for key in keys):
        return
    if content and all(isinstance(value, Tensor) for value in content.values()):
        yield keys, {str(key): value for key, value in content.items()}
        return
    for key, value in content.items():
        yield from _state_dicts(value, (*keys, str(key)))


def align(found: list[Tensors], module: nn.Module, path: Path) -> Tensors:
    """Return the weights of a module under its own names.

    The prefixes of DataParallel and torch.compile are taken off, and one more that all weights of
    the module share, such as "encoder.".

    Raises
    ------
    ValueError
        That lists the names that are missing, and those that the module does not have.
    """
    wanted = list(module.state_dict())
    best: Tensors = {}
    for tensors in map(_bare, found):
        prefix = _prefix(tensors, wanted)
        below = {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}
        if set(below) == set(wanted):
            return below
        if not best or len(set(below) & set(wanted)) > len(set(best) & set(wanted)):
            best = below
    missing = [name for name in wanted if name not in best]
    extra = [name for name in best if name not in wanted]
    raise ValueError(
        f"{path}: the weights are not those of this network; missing: {_some(missing)}; "
        f"unexpected: {_some(extra)}"
    )


def _bare(tensors: Tensors) -> Tensors:
    """Take off what wrappers put into names."""
    bare = {name.replace("_orig_mod.", ""): tensor for name, tensor in tensors.items()}
    while bare and all(name.startswith("module.") for name in bare):
        bare = {name.removeprefix("module."): tensor for name, tensor in bare.items()}
    return bare


def _prefix(tensors: Tensors, wanted: list[str]) -> str:
    """Return the prefix under which most of the wanted names are; "" where none is better."""
    first = wanted[0] if wanted else ""
    prefixes = ["", *(k.removesuffix(first) for k in tensors if k.endswith(f".{first}"))]
    return max(prefixes, key=lambda p: sum(p + name in tensors for name in wanted))


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" * (len(names) > SHOWN)
    return ", ".join(names[:SHOWN]) + more or "none"


def check_fit(module: nn.Module, weights: Mapping[str, Tensor], path: Path) -> None:
    """Refuse weights of other shapes or kinds than a module's, and values that are not finite.

    Raises
    ------
    ValueError
        That names the first such tensor.
    """
    for name, mine in module.state_dict().items():
        given = weights[name]
        if given.shape != mine.shape:
            raise ValueError(
                f"{path}: {name} has the shape {tuple(given.shape)}, not {tuple(mine.shape)}"
            )
        if given.layout is not torch.strided or given.is_meta:
            raise ValueError(f"{path}: {name} is no dense array ({given.dtype})")
        if mine.is_floating_point() and not given.is_floating_point():
            raise ValueError(f"{path}: {name} is no array of floats ({given.dtype})")
        if given.is_floating_point() and not given.float().isfinite().all():
            raise ValueError(f"{path}: {name} holds nan or inf")
