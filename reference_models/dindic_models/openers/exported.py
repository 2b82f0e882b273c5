"""Programs of torch.export (.pt2), which may hold pickles: run if the caller trusts them."""

from pathlib import Path

import torch

from dindic_models.checkpoint import file_hash
from dindic_models.encoder import Encoder
from dindic_models.openers._asked import TRUST, Asked, members

WHAT = "a program of torch.export"


def matches(path: Path) -> bool:
    """Whether the archive has the names of one."""
    return any(name.endswith("/archive_format") for name in members(path))


def open(path: Path, asked: Asked) -> Encoder:
    """Load the program, on the CPU, as it was exported: it has no evaluation mode."""
    if not asked.trust:
        raise ValueError(
            f"{path} is a program of torch.export (.pt2): loading it may unpickle objects and runs its "
            f"graph. If you trust the file, add {TRUST}; or export the encoder to ONNX"
        )
    try:
        model = torch.export.load(path).module()
    except Exception as error:  # damage makes torch raise almost anything
        first = (str(error).strip() or type(error).__name__).split("\n")[0]
        raise ValueError(f"{path}: damaged ({first})") from error
    return Encoder(
        output=model,
        returns=asked.returns,
        source=f"a program of torch.export, from {path}",
        about={"model": file_hash(path), "network": "torch.export"},
    )
