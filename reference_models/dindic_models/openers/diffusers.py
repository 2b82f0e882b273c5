"""Folders of the autoencoders of diffusers, by themselves or in a pipeline."""

import json
from pathlib import Path
from typing import Any

from dindic_models.checkpoint import file_hash
from dindic_models.encoder import Encoder, as_encoder
from dindic_models.openers._asked import Asked, need

WHAT = "an autoencoder of diffusers"

PIPELINE = "model_index.json"


def matches(path: Path) -> bool:
    """Whether this is a pipeline, or config.json names a class of diffusers."""
    return (path / PIPELINE).is_file() or "_class_name" in _config(path)


def open(path: Path, asked: Asked) -> Encoder:
    """Load the class that config.json names, from .safetensors files; no code in the folder runs."""
    folder = path / "vae" if (path / PIPELINE).is_file() else path
    name = str(_config(folder).get("_class_name"))
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise ValueError(f"{folder}: it has no weights (*.safetensors)")
    try:
        import diffusers
    except ImportError as error:
        raise need("diffusers", "diffusers") from error
    kind = getattr(diffusers, name, None)
    if not hasattr(kind, "encode") or not hasattr(kind, "from_pretrained"):
        raise ValueError(f"{folder}: diffusers has no autoencoder {name!r}")
    model = _load(kind, folder, weights[0])
    channels = model.config.get("in_channels")
    return as_encoder(
        model.float().eval(),
        shape=(channels, None, None) if isinstance(channels, int) else None,
        span=(-1.0, 1.0),
        returns=asked.returns,
        source=f"{name} of diffusers, from {folder}, which takes images in [-1, 1]",
        about={"model": file_hash(weights[0]), "network": name},
    )


def _load(kind: Any, folder: Path, weights: Path) -> Any:
    variant = weights.name.removesuffix(".safetensors").partition(".")[2].partition("-00")[0]
    try:
        return kind.from_pretrained(
            folder,
            use_safetensors=True,
            local_files_only=True,
            low_cpu_mem_usage=False,
            variant=variant or None,
        )
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        first = str(error).strip().split("\n")[0]
        raise ValueError(f"{folder}: diffusers cannot load it ({first})") from error


def _config(folder: Path) -> dict[str, Any]:
    try:
        content = json.loads((folder / "config.json").read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
