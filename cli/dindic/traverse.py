"""dindic traverse: pictures of latent traversals and reconstructions."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dindic.exits import BadInput, bad_input, failing_output
from dindic.model_input import AS_STORED, model_options, open_encoder, with_images
from dindic.options import images_option, integers, quiet_option, seed_option, threshold_option
from dindic.output import check_picture, progress, say_notes, say_written

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from dindic.model_input import Opened
    from dindic_models.batches import Progress
    from dindic_models.traverse import Information

KINDS = {"grid": 5, "one-shot": 1, "reconstruction": 8}
"""The pictures, and the default number of images of each."""

ON_PAGE = 6
"""Latents in the traversal of a page."""

DECODED = 50
"""Images of which the decoder is looked at."""

ROWS = "Numbers at the left are rows of the data, from 0."

ENOUGH = 10_000
"""Images that the information of latents is computed from; the paper's number."""


@click.command()
@model_options
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(),
    metavar="FILE",
    help="Output file, .png, .svg or .pdf.",
)
@click.option(
    "--kind",
    type=click.Choice(list(KINDS)),
    default="grid",
    show_default=True,
    help="Picture: grid, one block per latent; one-shot, sweeps about one image; reconstruction, "
    "images with their residuals and noise.",
)
@images_option(
    None,
    "Number of random images of the part.  [default: "
    + ", ".join(f"{number} for {kind}" for kind, number in KINDS.items())
    + "]",
    old=["--seed-images"],
)
@click.option(
    "--rows", callback=integers, metavar="A,B,...", help="Rows of the data set to draw, from 0."
)
@click.option(
    "--span",
    type=float,
    nargs=2,
    default=(-3.0, 3.0),
    show_default=True,
    metavar="FROM TO",
    help="Range of the latent that is swept; for one-shot, relative to its value for the image.",
)
@click.option(
    "--steps",
    type=click.IntRange(min=2),
    default=9,
    show_default=True,
    metavar="N",
    help="Number of values in the range.",
)
@click.option("--only", callback=integers, metavar="A,B,...", help="Latents to draw.")
@click.option(
    "--top",
    type=click.IntRange(min=1),
    metavar="K",
    help="Number of latents to draw, the most informative ones.  [default: all used latents]",
)
@threshold_option
@click.option(
    "--encodings",
    type=click.Path(),
    metavar="FILE",
    help="Encodings that rank the latents by information.  [default: the images of the part, at "
    f"most {ENOUGH}]",
)
@click.option(
    "--decoder",
    is_flag=True,
    help="Print how far the bound is from the likelihood, and how orthogonal the directions are in which "
    "used latents move the output.",
)
@click.option(
    "--noise",
    metavar="NAME",
    help="For --decoder, the likelihood of a model that states none: bernoulli or gaussian:VAR.",
)
@seed_option
@quiet_option
def traverse(output: str, kind: str, quiet: bool, **options: Any) -> None:
    """Draw latent traversals and reconstructions.

    The grid has one block per used latent, the most informative latent first. In a block the latent
    sweeps a range while the other latents stay at the means of q(z|x); each row is one image.
    MODEL is what dindic encode takes, if it has a decoder.

    \b
    Examples:
      dindic traverse runs/b10 -o traversal.png
      dindic traverse runs/b10 --kind one-shot --rows 3 --top 8 -o one.png
      dindic traverse runs/b10 --kind reconstruction -o reconstruction.png
      dindic traverse model.pt --network burgess --data mnist/ -o traversal.png
    """
    for one, other in (("only", "top"), ("rows", "images")):
        if options[one] is not None and options[other] is not None:
            raise click.UsageError(f"give --{one} or --{other}, not both")
    check_picture(output)
    unused = [key for key in ("only", "top", "encodings") if options[key] is not None]
    if kind == "reconstruction" and unused:
        raise click.UsageError(f"--{unused[0]} does not go with --kind reconstruction")
    if options["noise"] is not None and not options["decoder"]:
        raise click.UsageError("--noise goes with --decoder")
    if options["span_of_pixels"] == AS_STORED:
        raise click.UsageError("a traversal needs images: --range none does not go with it")
    with bad_input():
        opened, _ = _opened(options)
        _refuse_inputs(output, options, opened)
        if not quiet:
            say_notes((*opened.notes, opened.words))
        drawn, words = _draw(kind, opened, options, None if quiet else progress)
        from disentangle_indicators.plots import save

        with failing_output():
            path = save(drawn, output)
        numbers = _of_decoder(opened, options) if options["decoder"] else ()
    if not quiet:
        for each in (words, *numbers):
            click.echo(each)
        say_written(path, quiet)


def for_page(model: str, encodings: str, data: str | None) -> tuple["Figure", str]:
    """Return a traversal of the most informative latents, in few pixels, with its caption.

    Raises
    ------
    ValueError
        If the encodings are of another model, or nothing shows that they are of this model.
    """
    words = [model, "-o", "page.png", "--encodings", encodings, "--images", "1"]
    words += ["--top", str(ON_PAGE), "--steps", "7", *(["--data", data] if data else [])]
    options = traverse.make_context("traverse", words).params
    from dindic_models.made_by import check_rows
    from disentangle_indicators import read_encodings
    from disentangle_indicators.plots._style import figure_of

    opened, shown = _opened(options)
    if not shown:
        check_rows(read_encodings(encodings), opened.encoder, opened.data.images, opened.rows)
    drawn, found = _draw("grid", opened, options, None)
    caption = (
        f"Traversal: {found}. One block a latent. Each goes from -3 to 3; the others stay "
        f"those of the image. {ROWS}"
    )
    return figure_of(drawn), caption


def _opened(options: dict[str, Any]) -> tuple["Opened", bool]:
    """Open the model and its images, and return whether the encodings name the model.

    Encodings of another model are refused before images are looked for.
    """
    from dindic_models.made_by import check_hash
    from disentangle_indicators import read_encodings

    encoder, shown = open_encoder(options), False
    if options["encodings"] is not None:
        shown = check_hash(read_encodings(options["encodings"]), encoder)
    return with_images(encoder, options), shown


def _refuse_inputs(output: str, options: dict[str, Any], opened: "Opened") -> None:
    """Refuse to replace a file that was read, or one in a folder of images."""
    target = Path(output).resolve()
    files = [options["model"], options["encodings"]]
    checkpoint = opened.encoder.checkpoint
    images = [options["data"], checkpoint and checkpoint.data.get("path")]
    read = [Path(path).resolve() for path in files + images if path]
    folders = [Path(path).resolve() for path in images if path]
    if target.exists() and (target in read or not set(folders).isdisjoint(target.parents)):
        raise BadInput(f"{output} would overwrite an input")


def _draw(
    kind: str, opened: "Opened", options: dict[str, Any], progress: "Progress | None"
) -> tuple["Axes | Figure", str]:
    """Return the picture and a sentence about it."""
    from dindic_models import pictures, traverse

    model, (span, steps) = opened.encoder, (options["span"], options["steps"])
    rows = _rows(kind, opened, options)
    images, names = opened.data.images[rows], tuple(str(row) for row in rows)
    name = f"{Path(options['model']).resolve().name}, {opened.data.name}"
    if kind == "reconstruction":
        found = traverse.reconstruct(model, images)
        return pictures.draw_reconstructions(
            found, names=names, heading=f"{name}: {found.words}"
        ), found.words
    information = _information(opened, options, progress)
    latents, words = traverse.choose(
        information,
        latents=options["only"],
        top=options["top"],
        threshold=options["threshold"],
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
    heading = f"{name}: {words}. {ROWS}"
    return pictures.draw_grid(
        images, reconstructed, sweeps, titles, span=span, names=names, heading=heading
    ), words


def _of_decoder(opened: "Opened", options: dict[str, Any]) -> tuple[str, ...]:
    """Return sentences on the gap of the bound, and on the Jacobian at the codes of images."""
    import numpy as np

    from dindic_models.bound import bound_gap
    from dindic_models.data import some
    from dindic_models.encode import posteriors
    from dindic_models.jacobian import column_cosines

    encoder, rng = opened.encoder, np.random.default_rng(options["seed"])
    rows = (
        some(opened.rows, DECODED, seed=options["seed"])
        if len(opened.rows) > DECODED
        else opened.rows
    )
    if encoder.noise is None and options["noise"] is None:
        gap = (
            "The gap of the bound is not known: the model states no likelihood. Add --noise bernoulli, or "
            "--noise gaussian:VAR with the variance of a pixel."
        )
    else:
        gap = str(bound_gap(encoder, opened.data.images[rows], rng=rng, noise=options["noise"]))
    codes = np.concatenate([mean for mean, _ in posteriors(encoder, opened.data.images, rows)])
    if codes.ndim > 2:
        return (gap, "The Jacobian is left out: the codes of this model have sites.")
    values = _information(opened, options, None).values
    used = [h for h in range(codes.shape[1]) if values[h] > options["threshold"]]
    if len(used) < 2:
        return (gap, "The Jacobian is left out: fewer than two latents are used.")
    return (gap, str(column_cosines(encoder, codes, latents=used)))


def _rows(kind: str, opened: "Opened", options: dict[str, Any]) -> "NDArray[Any]":
    """Return the positions of the images to show, in order."""
    import numpy as np

    given, n = options["rows"], len(opened.data)
    for row in given or ():
        if row not in range(n):
            raise ValueError(f"--rows must be from 0 to {n - 1}; got {row}")
    number = len(given) if given is not None else options["images"] or KINDS[kind]
    if kind == "one-shot" and number != 1:
        raise ValueError(f"a one-shot traversal takes one image; got {number}")
    if given is not None:
        return np.array(given)
    rng = np.random.default_rng(options["seed"])
    return np.sort(rng.choice(opened.rows, min(number, len(opened.rows)), replace=False))


def _information(
    opened: "Opened", options: dict[str, Any], progress: "Progress | None"
) -> "Information":
    """Return the information of each latent, from a file of encodings or from the images."""
    import numpy as np

    from dindic_models.encode import posterior_width
    from dindic_models.made_by import check_width
    from dindic_models.traverse import information, information_of
    from disentangle_indicators import read_encodings

    model, images, rows = opened.encoder, opened.data.images, opened.rows
    if options["encodings"] is None:
        rng = np.random.default_rng(options["seed"])
        return information_of(model, images, rows, rng=rng, most=ENOUGH, progress=progress)
    encodings = read_encodings(options["encodings"], progress=progress)
    check_width(encodings, posterior_width(model, images, rows[:1]))
    if encodings.means_only:
        raise ValueError(f"{encodings.name}: information needs the posterior variances")
    return information(*encodings.arrays("information"), progress=progress)
