"""Folders with a config.json and .safetensors of another library: weights without their network."""

import json
from pathlib import Path

from dindic_models.encoder import Encoder
from dindic_models.openers._asked import WITH_OWN_CODE, Asked

WHAT = "a folder of weights with a config.json"


def matches(path: Path) -> bool:
    """Whether config.json names an architecture."""
    try:
        content = json.loads((path / "config.json").read_text())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and ("architectures" in content or "model_type" in content)


def open(path: Path, asked: Asked) -> Encoder:
    """Refuse: the network is code that is not in the folder."""
    content = json.loads((path / "config.json").read_text())
    named = content.get("architectures") or [content.get("model_type")]
    raise ValueError(
        f"{path} has the weights of {', '.join(map(str, named))}, without its code; {WITH_OWN_CODE}"
    )
