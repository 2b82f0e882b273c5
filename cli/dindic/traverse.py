"""dindic traverse: what the latents of a model do to images, as a picture."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dindic.model_input import model_options, open_model
from dindic.options import BadInput, bad_input, failing_output, say_notes
from dindic.output import PICTURES, progress, say_written

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from dindic.model_input import Opened
    from dindic_models.batches import Progress
    from dindic_models.traverse import Information

KINDS = {"grid": 5, "one-shot": 1, "reconstruction": 8}
"""The pictures, and how many images each shows by default."""

ENOUGH = 10_000
"""Images by which the information of latents is estimated; the paper's number."""


def integers(ctx: Any, param: Any, value: str | None) -> tuple[int, ...] | None:
    """Read whole numbers between commas, each once."""
    if value is None:
        return None
    try:
        numbers = tuple(int(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter(
            f"{value!r} is not whole numbers between commas", ctx, param
        ) from None
    return tuple(dict.fromkeys(numbers))


@click.command()
@model_options
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(),
    metavar="FILE",
    help="Where to; .png, .svg or .pdf.",
)
@click.option(
    "--kind",
    type=click.Choice(list(KINDS)),
    default="grid",
    show_default=True,
    help="A block for each latent; sweeps about one image; or images, reconstructions and noise.",
)
@click.option(
    "--seed-images",
    type=click.IntRange(min=1),
    metavar="N",
    help="Images of the part, at random; by default "
    + ", ".join(f"{number} for {kind}" for kind, number in KINDS.items())
    + ".",
)
@click.option(
    "--images", callback=integers, metavar="A,B,...", help="These, by position in the data set."
)
@click.option(
    "--span",
    type=float,
    nargs=2,
    default=(-3.0, 3.0),
    show_default=True,
    metavar="FROM TO",
    help="Range of the latent; about its value for the image if one-shot.",
)
@click.option(
    "--steps",
    type=click.IntRange(min=2),
    default=9,
    show_default=True,
    help="Values of that range.",
)
@click.option("--latents", callback=integers, metavar="A,B,...", help="These latents.")
@click.option(
    "--top", type=click.IntRange(min=1), metavar="K", help="The K most informative latents."
)
@click.option("--threshold", default=0.5, show_default=True, help="Nats of a used latent.")
@click.option(
    "--encodings",
    type=click.Path(),
    metavar="FILE",
    help="Take the information of latents from here; by default the part is encoded, at most "
    f"{ENOUGH} images of it.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of random images."
)
@click.option("--quiet", is_flag=True, help="No messages.")
def traverse(output: str, kind: str, quiet: bool, **options: Any) -> None:
    """Draw what the latents of MODEL do to images, the most informative latents first.

    A block for each used latent, in which it sweeps a range while the others stay at the means of
    q(z|x); a row for each image. One-shot: one image, a row for each latent. Reconstruction: what
    is lost, and the noise of each pixel where the model has one.

    \b
    Examples:
      dindic traverse runs/b10 -o traversal.png
      dindic traverse runs/b10 --kind one-shot --images 3 --top 8 -o one.png
      dindic traverse runs/b10 --kind reconstruction -o reconstruction.png
      dindic traverse model.pt --network burgess --data mnist/ -o traversal.png
    """
    if options["latents"] is not None and options["top"] is not None:
        raise click.UsageError("give --latents or --top, not both")
    if options["images"] is not None and options["seed_images"] is not None:
        raise click.UsageError("give --images or --seed-images, not both")
    if Path(output).suffix.lower() not in PICTURES:
        raise BadInput(f"{output}: a picture ends in .png, .svg or .pdf")
    unused = [key for key in ("latents", "top", "encodings") if options[key] is not None]
    if kind == "reconstruction" and unused:
        raise click.UsageError(f"--{unused[0]} does not go with --kind reconstruction")
    with bad_input():
        opened = open_model(options)
        _refuse_inputs(output, options, opened)
        if not quiet:
            say_notes(opened.notes)
        drawn, words = _draw(kind, opened, options, None if quiet else progress)
        from dindic_models.pictures import save

        with failing_output():
            path = save(drawn, output)
    if not quiet:
        click.echo(words)
        say_written(path, quiet)


def _refuse_inputs(output: str, options: dict[str, Any], opened: "Opened") -> None:
    """Refuse to replace a file that was read, or one in a folder of images."""
    target = Path(output).resolve()
    files = [options["model"], options["encodings"]]
    images = [options["data"], opened.checkpoint.data.get("path")]
    read = [Path(path).resolve() for path in files + images if path]
    folders = [Path(path).resolve() for path in images if path]
    if target.exists() and (target in read or not set(folders).isdisjoint(target.parents)):
        raise BadInput(f"{output} would overwrite an input")


def _draw(
    kind: str, opened: "Opened", options: dict[str, Any], progress: "Progress | None"
) -> tuple["Axes | Figure", str]:
    """Return the picture and a sentence about it."""
    from dindic_models import pictures, traverse

    model, (span, steps) = opened.checkpoint.model, (options["span"], options["steps"])
    rows = _rows(kind, opened, options)
    images, names = opened.data.images[rows], tuple(str(row) for row in rows)
    name = f"{opened.checkpoint.path.resolve().name}, {opened.data.name}"
    if kind == "reconstruction":
        known = opened.checkpoint.config is not None
        found = traverse.reconstruct(model, images, noise=known)
        return pictures.draw_reconstructions(
            found, names=names, heading=f"{name}: {found.words}"
        ), found.words
    information = _information(opened, options, progress)
    latents, words = traverse.choose(
        information, **{key: options[key] for key in ("latents", "top", "threshold")}
    )
    words = f"{words}. {information.source}"
    titles = [information.title(latent) for latent in latents]
    about = kind == "one-shot"
    sweeps = traverse.traverse(
        model, images, latents, span=span, steps=steps, around_seed=about, progress=progress
    )
    reconstructed = traverse.reconstruct(model, images).mean
    if about:
        one = images[0], reconstructed[0], sweeps[0]
        heading = f"{name}, image {names[0]}: {words}"
        return pictures.draw_one_shot(*one, titles, span=span, heading=heading), words
    heading = f"{name}: {words}"
    return pictures.draw_grid(
        images, reconstructed, sweeps, titles, span=span, names=names, heading=heading
    ), words


def _rows(kind: str, opened: "Opened", options: dict[str, Any]) -> "NDArray[Any]":
    """Return the positions of the images to show, in order."""
    import numpy as np

    given, n = options["images"], len(opened.data)
    for row in given or ():
        if row not in range(n):
            raise ValueError(f"--images: positions are from 0 to {n - 1}; got {row}")
    number = len(given) if given is not None else options["seed_images"] or KINDS[kind]
    if kind == "one-shot" and number != 1:
        raise ValueError(f"a one-shot traversal is that of one image; got {number}")
    if given is not None:
        return np.array(given)
    rng = np.random.default_rng(options["seed"])
    return np.sort(rng.choice(opened.rows, min(number, len(opened.rows)), replace=False))


def _information(
    opened: "Opened", options: dict[str, Any], progress: "Progress | None"
) -> "Information":
    """Return what each latent knows, by a file of encodings or by the part of the images."""
    import numpy as np

    from dindic_models.encode import posterior_width
    from dindic_models.traverse import information, information_of
    from disentangle_indicators import read_encodings
    from disentangle_indicators.scorecard import gather

    model, images, rows = opened.checkpoint.model, opened.data.images, opened.rows
    if options["encodings"] is None:
        rng = np.random.default_rng(options["seed"])
        return information_of(model, images, rows, rng=rng, most=ENOUGH, progress=progress)
    encoded, d = read_encodings(options["encodings"]), posterior_width(model, images, rows[:1])
    if not encoded.scale:
        raise ValueError(f"{encoded.path}: information needs the posterior variances")
    if encoded.d != d:
        raise ValueError(f"{encoded.path} has {encoded.d} latents; the model has {d}")
    return information(*gather(encoded.batches), progress=progress)
