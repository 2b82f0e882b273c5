"""dindic encode: a model and images into an encodings file."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dindic.exits import BadInput, bad_input, failing_output
from dindic.model_input import AS_STORED, model_options, open_encoder, open_model
from dindic.options import images_option, quiet_option
from dindic.output import progress, say_notes, say_written

if TYPE_CHECKING:
    from dindic_models.encoder import Encoder
    from dindic_models.feed import ArrayFeed, Feed
    from disentangle_indicators import Encodings


@click.command()
@model_options
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(),
    metavar="FILE",
    help="Output file, .safetensors or .npz.",
)
@images_option(None, "Number of random images of the part.  [default: all]", old=["--limit"])
@click.option(
    "--batch",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    metavar="N",
    help="Number of images in a batch.",
)
@quiet_option
def encode(output: str, images: int | None, batch: int, quiet: bool, **options: Any) -> None:
    """Encode images with a trained model.

    MODEL is a folder of dindic train, the name of a bundled model (dindic models), a folder of
    diffusers or pythae, an .onnx file, or a third-party weights file with --network or --encoder. The
    output contains posterior means and log variances, and the factors and labels of the images; dindic
    score reads it.

    \b
    Examples:
      dindic encode runs/b10 -o encodings.safetensors
      dindic encode sprites_beta4 --images 10000 -o sprites.npz
      dindic encode runs/b10 --data mnist/ --split train --images 10000 -o train.npz
      dindic encode model.pt --network burgess --data mnist/ --split test -o x.npz
      dindic encode sd-vae-ft-mse --data photos/ --size 256 -o x.npz
      dindic encode encoder.onnx --data images.npy -o x.npz
      dindic encode model.pt --encoder my_model:Encoder --returns mean,logvar --data images.npy -o x.npz
    """
    from disentangle_indicators.encodings.formats import WRITERS, suffix_of

    if suffix_of(Path(output)) not in WRITERS:
        raise BadInput(f"{output}: encodings end in {' or '.join(WRITERS)}")
    with bad_input():
        encoder, loader, notes = _opened(options, images, batch)
        if Path(output).exists() and _is_input(output, [options["model"], options["data"]]):
            raise BadInput(f"{output} would overwrite an input")
        from dindic_models.encode import encode as write

        if not quiet:
            say_notes(notes)
        with failing_output():
            path = write(
                output,
                encoder,
                loader,
                metadata={**encoder.about, "images": notes[-1]},
                progress=None if quiet else progress,
            )
    if not quiet:
        say_written(path, quiet)
        found = _read(path)
        if found is not None and "distortion" in found.metadata:
            about = found.metadata
            click.echo(f"distortion: {about['distortion']}, {about['distortion_is']}", err=True)
        click.echo(f"next: dindic score {path}{_axes(found)}", err=True)


def _is_input(output: str, inputs: list[str | None]) -> bool:
    return any(path and Path(path).exists() and Path(path).samefile(output) for path in inputs)


def _read(path: Path) -> "Encodings | None":
    """Return what was written; None of codes with sites, whose reading needs their layout."""
    from disentangle_indicators import read_encodings

    try:
        return read_encodings(path)
    except ValueError:
        return None


def _axes(found: "Encodings | None") -> str:
    """Return the option that scoring codes with sites needs."""
    return " --layout channels" if found is None else ""


def _opened(
    options: dict[str, Any], images: int | None, batch: int
) -> tuple["Encoder", "Feed | ArrayFeed", tuple[str, ...]]:
    """Return the model, what is fed to it, and the notes; the last note names the rows."""
    from dindic_models.data import some
    from dindic_models.feed import ArrayFeed, Feed

    if options["span_of_pixels"] == AS_STORED:
        unused = [key for key in ("dataset", "size", "split") if options[key] is not None]
        if options["data"] is None or unused or images is not None:
            more = f", without --{unused[0] if unused else 'images'}" if unused or images else ""
            raise BadInput(f"--range none needs --data FILE{more}")
        encoder, array = open_encoder(options), ArrayFeed(options["data"], batch=batch)
        notes = (f"the model is {encoder.source}",) if encoder.source else ()
        return encoder, array, (*notes, array.source)
    opened = open_model(options)
    rows, words = opened.rows, opened.words
    if images is not None and images < len(rows):
        rows, words = some(rows, images, seed=0), f"{images} random images of: {words}"
    feed = Feed(opened.data, rows, batch=batch, span=opened.encoder.span)
    return opened.encoder, feed, (*opened.notes, words)
