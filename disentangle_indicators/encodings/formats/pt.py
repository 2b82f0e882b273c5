"""Files of torch.save: a dict of tensors, read with weights_only=True, so that no code runs."""

import json
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from disentangle_indicators.encodings._stored import (
    ENCODE,
    Contents,
    Stored,
    check_count,
    check_length,
    check_size,
    continued,
    members,
    reading,
)

SUFFIXES = (".pt", ".pth", ".ckpt")
MEMORY = "the file, mapped"
EXTRA = "models"

if TYPE_CHECKING:
    import torch

RESAVE = 'torch.save({"mean": mean, "logvar": logvar}, path)'


_LEGACY = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19"
"""First bytes of a file of torch before release 1.6."""


def matches(path: Path, head: bytes) -> bool:
    """Whether a file is what torch.save writes, as an archive or as before release 1.6."""
    inside = any(name.endswith("/data.pkl") for name in members(path, head))
    return inside or head.startswith(_LEGACY)


def read(path: Path) -> Contents:
    """Open a file that holds a tensor, a dict of tensors or a tuple of tensors.

    The tensors of a tuple get the keys "0", "1", ..., those of a dict in a dict keys like "z/mu",
    and a list of dicts with the same keys is batches of rows; other values are left out, but strings
    become metadata. The file is memory-mapped as a whole, so that the pages read so far count as
    resident until the system needs them.
    """
    with reading(path):
        try:
            import torch
        except ImportError as error:
            raise ValueError(
                "reading it needs torch (pip install 'disentangle-indicators[models]'); or export "
                "a .npz or .safetensors file"
            ) from error
        values = _load(path)
        notes: tuple[str, ...] = ()
        if isinstance(values, torch.Tensor):
            values = {"mean": values}
            notes = (f"{path.name} holds one tensor, taken as posterior means",)
        elif _is_batches(values):
            notes = (f"{len(values)} batches of {path.name} are read one after the other",)
            return Contents(_joined(path, [_flat(batch) for batch in values]), notes=notes)
        elif isinstance(values, (tuple, list)):
            values = {str(i): value for i, value in enumerate(values)}
        items = _flat(values) if isinstance(values, dict) else {}
        if not items:
            raise ValueError(f"it holds no tensors ({type(values).__name__}); re-save: {RESAVE}")
        check_count(len(items))
    arrays = {k: _tensor(path, k, v) for k, v in items.items() if isinstance(v, torch.Tensor)}
    metadata = {k: v for k, v in items.items() if isinstance(v, str)}
    if isinstance(items.get("factor_names"), (list, tuple)):
        metadata["factor_names"] = json.dumps([str(name) for name in items["factor_names"]])
    return Contents(arrays, metadata, notes)


def _is_batches(values: Any) -> bool:
    """Whether this is a list of dicts with the same keys."""
    many = isinstance(values, (tuple, list)) and len(values) > 1
    return many and all(isinstance(v, Mapping) and v.keys() == values[0].keys() for v in values)


def _joined(path: Path, batches: list[dict[str, Any]]) -> dict[str, Stored]:
    """Return the tensors of batches, one after the other."""
    import torch

    found = [{k: v for k, v in b.items() if isinstance(v, torch.Tensor)} for b in batches]
    parts = {key: [_tensor(path, key, batch[key]) for batch in found] for key in found[0]}
    return {key: continued(key, each) for key, each in parts.items()}


def _flat(values: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the entries of a dict and of the dicts in it, whose keys are joined by slashes."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= {f"{key}/{inner}": v for inner, v in _flat(value).items()}
        else:
            flat[str(key)] = value
    return flat


def _load(path: Path) -> Any:
    """Load with memory-mapping where the file allows it (not the format before torch 1.6)."""
    import torch

    with open(path, "rb") as stream:
        zipped = stream.read(4) == b"PK\x03\x04"
    if zipped and any("/code/" in name for name in members(path, b"PK\x03\x04")):
        raise ValueError(f"this is a TorchScript model, whose code is not run; {ENCODE}")
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"the file holds code or objects{_objects(path)}, which are not loaded, or is damaged; "
            f"re-save the tensors: {RESAVE}; if it holds a model, {ENCODE}"
        ) from error


def _objects(path: Path) -> str:
    """Return the names of the classes that a file would need, "" where they cannot be listed."""
    from torch.serialization import get_unsafe_globals_in_checkpoint

    try:
        names = get_unsafe_globals_in_checkpoint(path)
    except Exception:  # noqa: BLE001 - a list for a message, out of a file that may be damaged
        return ""
    return f" ({', '.join(sorted(names)[:5])})" if names else ""


def _tensor(path: Path, name: str, tensor: "torch.Tensor") -> Stored:
    check_size(path, name, tensor.nbytes)
    size = path.stat().st_size

    def blocks(rows: int) -> Iterator[NDArray[Any]]:
        with reading(path):
            values = tensor.detach()
            small = values.dtype.is_floating_point and values.dtype.itemsize < 4
            for start in range(0, len(values) if values.ndim else 1, rows):
                check_length(path, size)
                block = values[start : start + rows] if values.ndim else values
                yield (block.float() if small else block).numpy()

    return Stored(name, tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."), blocks)
