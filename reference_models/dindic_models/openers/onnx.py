"""ONNX files, run by onnxruntime on the CPU; the names of the outputs say what they are."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dindic_models.checkpoint import file_hash
from dindic_models.encoder import Encoder
from dindic_models.openers._asked import Asked, need

WHAT = "a network in ONNX"

FLOATS = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16}


def matches(path: Path) -> bool:
    """Whether the suffix is .onnx: the format has no first bytes of its own."""
    return path.is_file() and path.suffix.lower() == ".onnx"


def open(path: Path, asked: Asked) -> Encoder:
    """Open a session without libraries of custom operators."""
    try:
        import onnxruntime
    except ImportError as error:
        raise need("onnxruntime", "onnx") from error
    try:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    except Exception as error:  # the package has one class of errors for each status
        raise ValueError(f"{path}: onnxruntime cannot load it ({_first(error)})") from error
    inputs, outputs = session.get_inputs(), [each.name for each in session.get_outputs()]
    if len(inputs) != 1 or inputs[0].type not in FLOATS:
        listed = ", ".join(f"{each.name} {each.type}" for each in inputs)
        raise ValueError(f"{path}: an encoder takes one input of floats; this takes {listed}")
    name, dtype = inputs[0].name, FLOATS[inputs[0].type]

    def output(x: Tensor) -> dict[str, Tensor]:
        fed = {name: np.ascontiguousarray(x.cpu().numpy(), dtype)}
        try:
            found: list[Any] = session.run(outputs, fed)
        except Exception as error:
            raise ValueError(f"{path}: onnxruntime fails ({_first(error)})") from error
        return {key: torch.from_numpy(value) for key, value in zip(outputs, found, strict=True)}

    size = [each if isinstance(each, int) else None for each in inputs[0].shape]
    return Encoder(
        output=output,
        shape=tuple(size[1:]) if len(size) == 4 else None,
        returns=asked.returns,
        source=f"a network in ONNX, {name} to {', '.join(outputs)}, from {path}",
        about={"model": file_hash(path), "network": "onnx"},
    )


def _first(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).split("\n")[0]
