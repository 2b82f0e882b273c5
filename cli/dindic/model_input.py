"""The model and the images that commands take: their options, and how both are opened."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import click

from dindic.options import F, added, device_option

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dindic_models.checkpoint import Checkpoint
    from dindic_models.data import Data
    from dindic_models.encoder import Encoder

PARTS = ("train", "validation", "test", "all")


class Opened(NamedTuple):
    """A model in evaluation mode on its device, images of its size, and the rows to look at.

    `words` names the rows in a sentence.
    """

    encoder: "Encoder"
    data: "Data"
    rows: "NDArray[Any]"
    notes: tuple[str, ...]
    words: str


AS_STORED = "none"


def span(ctx: Any, param: Any, value: str | None) -> tuple[float, float] | str | None:
    """Read two numbers between a comma, the lower one first, or the word for none."""
    if value in (None, AS_STORED):
        return value
    assert value is not None
    try:
        low, high = map(float, value.split(","))
    except ValueError:
        low, high = 0.0, 0.0
    if not -math.inf < low < high < math.inf:
        message = f"{value!r} is not two numbers, the lower one first, as -1,1, or {AS_STORED}"
        raise click.BadParameter(message, ctx, param)
    return low, high


def size(ctx: Any, param: Any, value: str | None) -> tuple[int, int] | None:
    """Read a height and a width, or one number for both."""
    found = integers_of(ctx, param, value)
    if found is not None and (len(found) > 2 or min(found) < 1):
        raise click.BadParameter(f"{value!r} is not a height and a width, as 64,48", ctx, param)
    return None if found is None else (found[0], found[-1])


def integers_of(ctx: Any, param: Any, value: str | None) -> tuple[int, ...] | None:
    """Read whole numbers between commas, as often as they come."""
    try:
        return None if value is None else tuple(map(int, value.split(",")))
    except ValueError:
        message = f"{value!r} is not whole numbers between commas"
        raise click.BadParameter(message, ctx, param) from None


_MODEL = [
    click.argument("model", metavar="MODEL", type=click.Path()),
    click.option(
        "--network", metavar="NAME", help="Built-in architecture of a third-party weights file."
    ),
    click.option(
        "--encoder",
        metavar="MODULE:NAME",
        help="Function or class of your own that makes the network of MODEL, found from the current "
        "folder too.",
    ),
    click.option(
        "--returns",
        metavar="mean,SCALE",
        help="What the encoder returns, in order, if its values have no names; _ for other values.",
    ),
    click.option(
        "--trust-checkpoint",
        is_flag=True,
        help="Load a MODEL that runs code when it is loaded.  Only for files that you trust.",
    ),
]

_IMAGES = [
    click.option(
        "--data",
        type=click.Path(),
        metavar="PATH",
        help="Images, a folder or a file.  [default: the model's training data]",
    ),
    click.option("--dataset", metavar="NAME", help="Data set type, if not detected."),
    click.option(
        "--size",
        callback=size,
        metavar="H[,W]",
        help="Size that images are brought to, in pixels.  [default: the model's, if it states one]",
    ),
    click.option(
        "--range",
        "span_of_pixels",
        callback=span,
        metavar="LOW,HIGH",
        help="What black and white become for the model; none to encode an array as it is, images or "
        "not.  [default: -1,1 for diffusers, else 0,1]",
    ),
    click.option(
        "--split",
        type=click.Choice(PARTS),
        help="Part of the images, by the model's own split or else the official one.  "
        "[default: test; all images where there is neither]",
    ),
    device_option,
]


def model_options(command: F) -> F:
    """Add MODEL and the options that choose its images."""
    return added([*_MODEL, *_IMAGES])(command)


def open_encoder(options: dict[str, Any]) -> "Encoder":
    """Open the model that the options name, on its device."""
    from dataclasses import replace

    from dindic_models import openers
    from dindic_models.devices import pick_device, set_precision

    set_precision("float32")
    encoder = openers.open_encoder(
        options["model"],
        network=options["network"],
        encoder=options["encoder"],
        returns=options["returns"],
        trust_checkpoint=options["trust_checkpoint"],
    )
    if options["span_of_pixels"] not in (None, AS_STORED):
        encoder = replace(encoder, span=options["span_of_pixels"])
    return encoder.to(pick_device(options["device"]))


def open_model(options: dict[str, Any]) -> Opened:
    """Open the model and the images that the options of :func:`model_options` name.

    Raises
    ------
    ValueError, FileNotFoundError
        If the model, its data or the part of the data is missing.
    """
    return with_images(open_encoder(options), options)


def with_images(encoder: "Encoder", options: dict[str, Any]) -> Opened:
    """Open the images that the options name, for a model that is open."""
    from dindic_models.bundled import sentence
    from dindic_models.checkpoint import BUNDLED
    from dindic_models.data import Resized

    data = _open_data(options, encoder)
    notes = [data.source]
    checkpoint = encoder.checkpoint
    if checkpoint is not None and checkpoint.path.parent == BUNDLED:
        notes.append(sentence(checkpoint.path.name))
    if encoder.source:
        notes.insert(0, f"the model is {encoder.source}")
    channels = None if encoder.shape is None else encoder.shape[0]
    if channels not in (None, data.images.shape[1]):
        raise ValueError(
            f"the model takes images with {channels} channel{'s' * (channels != 1)}; "
            f"{data.name} has {data.images.shape[1]}"
        )
    if isinstance(data.images, Resized):
        before, after = (
            "x".join(map(str, shape[2:]))
            for shape in (data.images.images.shape, data.images.shape)
        )
        whose = "--size" if options["size"] else "the model's"
        notes.append(f"images are resized from {before} to {whose} {after}")
    if checkpoint is not None and checkpoint.data.get("fingerprint") != data.fingerprint:
        notes.append("these are not the data the model was trained on")
    rows, words = _rows(data, options["split"], checkpoint)
    return Opened(encoder, data, rows, tuple(notes), words)


def _open_data(options: dict[str, Any], encoder: "Encoder") -> "Data":
    from dindic_models.data import open_data

    path, name, checkpoint = options["data"], options["dataset"], encoder.checkpoint
    if path is None and name is None and checkpoint is None:
        raise ValueError("the model names no data set: add --data PATH")
    if path is None and checkpoint is not None and name in (None, checkpoint.config.dataset):
        path, name = checkpoint.data.get("path"), checkpoint.config.dataset
        if path is not None and not Path(path).exists():
            raise ValueError(
                f"{path}, the training data of the model, is missing: add --data PATH"
            )
    size = options["size"]
    if size is None and encoder.shape is not None and None not in encoder.shape[1:]:
        size = encoder.shape[1:]
    return open_data(path, dataset=name, size=size)


def _rows(
    data: "Data", part: str | None, checkpoint: "Checkpoint | None"
) -> tuple["NDArray[Any]", str]:
    """Return the rows to look at, and a sentence about them.

    The model's own split is of the data that it was trained on. Of other data all images are taken,
    unless they have official parts.
    """
    from dindic_models.data import rows

    config = None if checkpoint is None else checkpoint.config
    own = checkpoint is not None and checkpoint.data.get("fingerprint") == data.fingerprint
    split: Literal["paper", "official"] = "official"
    if config is not None and config.split == "paper" and (own or not data.official):
        split = "paper"
    if part is None and not own and not data.official:
        part, words = "all", f"{data.name} has no test part, so all {len(data)} images"
    else:
        part, words = part or "test", ""
    chosen = rows(data, part, split=split, seed=config.split_seed if config else 0)
    if len(chosen) == 0:
        raise ValueError(f"the part {part!r} of {data.name} is empty")
    whose = "the model's split" if split == "paper" else "the official split"
    if split == "paper" and not own:
        whose = "a random split"
    return chosen, words or f"part {part!r} of {whose}, {len(chosen)} of {len(data)} images"
