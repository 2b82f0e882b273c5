"""Folders that training wrote, and the bundled models."""

from pathlib import Path

from dindic_models.checkpoint import Checkpoint, load
from dindic_models.encoder import Encoder, as_encoder
from dindic_models.openers._asked import Asked

WHAT = "a folder of dindic train"


def matches(path: Path) -> bool:
    """Whether this is a folder; those of other libraries are recognised before."""
    return path.is_dir()


def open(path: Path, asked: Asked) -> Encoder:
    """Load the model, with its noise."""
    if asked.network is not None:
        raise ValueError(f"{path}: network= is for files of weights; this folder names its own")
    return of_checkpoint(load(path))


def of_checkpoint(checkpoint: Checkpoint) -> Encoder:
    """Return the model of a checkpoint, and what is stored beside its encodings."""
    config = checkpoint.config
    names = ("network", "noise", "beta", "latents", "seed", "split", "split_seed")
    about = {name: str(getattr(config, name)) for name in names} | {"step": str(checkpoint.step)}
    about["sigma2"] = f"{float(checkpoint.model.noise.variance().detach()):.6g}"
    return as_encoder(
        checkpoint.model, checkpoint=checkpoint, about={"model": checkpoint.sha256} | about
    )
