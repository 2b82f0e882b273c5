"""The model and the images that commands take: their options, and how both are opened."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import click

from dindic.options import F, added, device_option

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from dindic_models.checkpoint import Checkpoint
    from dindic_models.data import Data

PARTS = ("train", "validation", "test", "all")


class Opened(NamedTuple):
    """A model in evaluation mode on its device, images of its size, and the rows to look at."""

    checkpoint: "Checkpoint"
    data: "Data"
    rows: "NDArray[Any]"
    notes: tuple[str, ...]
    device: "torch.device"


def model_options(command: F) -> F:
    """Add MODEL and the options that choose its images."""
    options = [
        click.argument("model", metavar="MODEL", type=click.Path()),
        click.option(
            "--network", metavar="NAME", help="Architecture of a third-party weights file."
        ),
        click.option(
            "--data",
            type=click.Path(),
            metavar="PATH",
            help="Images, a folder or a file.  [default: the model's training data]",
        ),
        click.option("--dataset", metavar="NAME", help="Data set type, if not detected."),
        click.option(
            "--split",
            type=click.Choice(PARTS),
            help="Part of the images, by the model's own split or else the official one.  "
            "[default: test]",
        ),
        device_option,
    ]
    return added(options)(command)


def open_model(options: dict[str, Any]) -> Opened:
    """Open the model and the images that the options of :func:`model_options` name.

    Raises
    ------
    ValueError, FileNotFoundError
        If the model, its data or the part of the data is missing.
    """
    from dindic_models.bundled import sentence
    from dindic_models.checkpoint import BUNDLED, load
    from dindic_models.data import Resized
    from dindic_models.devices import pick_device, set_precision

    set_precision("float32")
    checkpoint = load(options["model"], network=options["network"])
    device = pick_device(options["device"])
    checkpoint.model.to(device)
    data = _open_data(options, checkpoint)
    notes = [data.source]
    if checkpoint.path.parent == BUNDLED:
        notes.append(sentence(checkpoint.path.name))
    channels, *size = checkpoint.model.shape
    if data.images.shape[1] != channels:
        raise ValueError(
            f"the model takes images of {channels} channels; {data.name} has "
            f"{data.images.shape[1]}"
        )
    if isinstance(data.images, Resized):
        before, after = ("x".join(map(str, s)) for s in (data.images.images.shape[2:], size))
        notes.append(f"images are resized from {before} to the model's {after}")
    if checkpoint.data and checkpoint.data.get("fingerprint") != data.fingerprint:
        notes.append("these are not the data the model was trained on")
    rows, words = _rows(data, options["split"], checkpoint)
    return Opened(checkpoint, data, rows, (*notes, words), device)


def _open_data(options: dict[str, Any], checkpoint: "Checkpoint") -> "Data":
    from dindic_models.data import open_data

    path, name, config = options["data"], options["dataset"], checkpoint.config
    if path is None and name is None and config is None:
        raise ValueError("the weights file names no data set: add --data PATH")
    if path is None and config is not None and name in (None, config.dataset):
        path, name = checkpoint.data.get("path"), config.dataset
        if path is not None and not Path(path).exists():
            raise ValueError(
                f"{path}, the training data of the model, is missing: add --data PATH"
            )
    return open_data(path, dataset=name, size=checkpoint.model.shape[1:])


def _rows(data: "Data", part: str | None, checkpoint: "Checkpoint") -> tuple["NDArray[Any]", str]:
    from dindic_models.data import rows

    config = checkpoint.config
    split: Literal["paper", "official"] = "official"
    if config is not None and config.split == "paper":
        split = "paper"
    if part is None and split == "official" and not data.official:
        part, words = "all", f"{data.name} has no official parts, so all {len(data)} images"
    else:
        part, words = part or "test", ""
    chosen = rows(data, part, split=split, seed=config.split_seed if config else 0)
    if len(chosen) == 0:
        raise ValueError(f"the part {part!r} of {data.name} is empty")
    whose = "the model's split" if split == "paper" else "the official split"
    if split == "paper" and checkpoint.data.get("n", len(data)) != len(data):
        whose = "a random split"
    return chosen, words or f"part {part!r} of {whose}, {len(chosen)} of {len(data)} images"
