"""Folders of pythae whose encoder is its default one: rebuilt here, without pythae."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dindic_models.checkpoint import file_hash
from dindic_models.encoder import Encoder, as_encoder
from dindic_models.openers._asked import WITH_OWN_CODE, Asked
from dindic_models.openers._weights import align, check_fit, read_tensors_of

WHAT = "a folder of pythae"

CONFIG, MODEL = "model_config.json", "model.pt"


class MLP(nn.Module):
    """The encoder and the decoder that pythae's VAEs have by default (Encoder_VAE_MLP)."""

    def __init__(self, inputs: int, width: int, latents: int) -> None:
        super().__init__()
        parts = {"embedding": nn.Linear(width, latents), "log_var": nn.Linear(width, latents)}
        first = nn.Sequential(nn.Sequential(nn.Linear(inputs, width), nn.ReLU()))
        back = nn.Sequential(
            nn.Sequential(nn.Linear(latents, width), nn.ReLU()),
            nn.Sequential(nn.Linear(width, inputs), nn.Sigmoid()),
        )
        self.encoder = nn.ModuleDict({"layers": first, **parts})
        self.decoder = nn.ModuleDict({"layers": back})

    def encode(self, x: Tensor) -> dict[str, Tensor]:
        """Return mean and log variance under pythae's names."""
        hidden = self.encoder["layers"](x.flatten(1))
        return {
            "embedding": self.encoder["embedding"](hidden),
            "log_covariance": self.encoder["log_var"](hidden),
        }


def matches(path: Path) -> bool:
    """Whether there is a model_config.json."""
    return (path / CONFIG).is_file()


def open(path: Path, asked: Asked) -> Encoder:
    """Rebuild the default encoder; pickles are refused, because pythae would run them."""
    pickles = sorted(file.name for file in path.glob("*.pkl"))
    if pickles:
        raise ValueError(
            f"{path} has {', '.join(pickles)}, a pickle, which pythae runs when it loads the "
            f"folder, and which is not loaded here; {WITH_OWN_CODE}"
        )
    config = _config(path / CONFIG)
    if not config.get("uses_default_encoder", True):
        raise ValueError(
            f"{path}: the encoder of this {_name(config)} is a class of its author's, and it is not "
            f"in the folder; {WITH_OWN_CODE}"
        )
    if not (path / MODEL).is_file():
        raise ValueError(f"{path}: it has no {MODEL}")
    shape = tuple(int(size) for size in config.get("input_dim") or ())
    tensors = read_tensors_of(path / MODEL)
    hidden = tensors[0].get("encoder.layers.0.0.weight", torch.empty(0))
    latents = tensors[0].get("encoder.embedding.weight", torch.empty(0))
    if hidden.ndim != 2 or latents.ndim != 2 or not shape:
        raise ValueError(f"{path}: not pythae's default encoder; {WITH_OWN_CODE}")
    model = MLP(hidden.shape[1], hidden.shape[0], latents.shape[0])
    fitted = align(tensors, model, path / MODEL)
    check_fit(model, fitted, path / MODEL)
    model.load_state_dict(fitted)

    def decode(z: Tensor) -> Tensor:
        images: Tensor = model.decoder["layers"](z)
        return images.reshape(len(z), *shape)

    return as_encoder(
        model.eval(),
        decoder=decode,
        shape=shape if len(shape) == 3 else None,
        returns=asked.returns,
        source=f"{_name(config)} of pythae with its default encoder, from {path}",
        about={"model": file_hash(path / MODEL), "network": "pythae Encoder_VAE_MLP"},
    )


def _name(config: dict[str, Any]) -> str:
    return str(config.get("name", "VAE")).removesuffix("Config")


def _config(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: damaged ({error})") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: damaged (it is no object)")  # noqa: TRY004
    return content
