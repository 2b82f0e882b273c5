"""TorchScript files, which are programs: run if the caller trusts them."""

import warnings
from pathlib import Path
from typing import Any

import torch

from dindic_models.checkpoint import file_hash
from dindic_models.encoder import Encoder, as_encoder
from dindic_models.openers._asked import TRUST, Asked, members

WHAT = "a TorchScript model"


def matches(path: Path) -> bool:
    """Whether there is code in the archive."""
    return any("/code/" in name for name in members(path))


def open(path: Path, asked: Asked) -> Encoder:
    """Load the program, on the CPU."""
    if not asked.trust:
        code = {n.partition("/code/")[2] for n in members(path) if n.endswith(".py")}
        own = sorted(name for name in code if not name.startswith("__torch__/torch/")) or ["?"]
        raise ValueError(
            f"{path} is a TorchScript model: loading it runs its code ({', '.join(own[:5])}). If you "
            f"trust the file, add {TRUST}; or export the encoder to ONNX"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that TorchScript is deprecated; its files are not
        try:
            load: Any = torch.jit.load
            model = load(str(path), map_location="cpu").eval()
        except RuntimeError as error:
            first = str(error).strip().split("\n")[0]
            raise ValueError(f"{path}: damaged ({first})") from error
    return as_encoder(
        model,
        returns=asked.returns,
        source=f"a TorchScript model, from {path}",
        about={"model": file_hash(path), "network": "torchscript"},
    )
