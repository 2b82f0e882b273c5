"""dindic match: which space and which axes encoders of the same rows share, without labels."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dindic.exits import bad_input
from dindic.inputs import encodings_from, inputs
from dindic.options import (
    encoding_options,
    latents_option,
    output_options,
    rotations_option,
    seed_option,
    threshold_option,
)
from dindic.output import check_outputs, finish, progress

if TYPE_CHECKING:
    from disentangle_indicators.comparison import Match


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE FILE...", type=click.Path())
@encoding_options
@click.option(
    "--same-rows",
    is_flag=True,
    help="Rows are the same inputs in the same order; needed where no labels, factors or hash of the "
    "data show it.",
)
@latents_option("to match")
@threshold_option
@rotations_option(999)
@click.option(
    "--shuffles",
    type=click.IntRange(min=9),
    default=39,
    show_default=True,
    metavar="N",
    help="Number of shuffles of the rows.",
)
@seed_option
@output_options(
    "latent of each two encoders", "the numbers of shared directions and a tree of the encoders"
)
def match(files: tuple[str, ...], **options: Any) -> None:
    """Match spaces, latents and axes of encoders of the same rows.

    Two runs of a model may agree on the space of their used latents and on none of its axes. Directions
    that both encoders carry are tested against shuffled rows. Axes are tested against random rotations
    of the space.

    \b
    Examples:
      dindic match a.npz b.npz
      dindic match a.npz b.npz --same-rows
      dindic match a.npz b.npz --json match.json --plot match.png
    """
    if options["mean"] is not None:
        raise click.UsageError("match reads FILE FILE..., and not --mean")
    check_outputs(options, inputs(files, options))
    several = [encodings_from(options, file, several=True) for file in files]
    stems = [Path(file).stem for file in files]
    from disentangle_indicators.comparison import match as match_encoders

    with bad_input():
        result = match_encoders(
            several,
            names=stems if len(set(stems)) == len(stems) else None,
            same_rows=options["same_rows"],
            latents=options["latents"],
            threshold=options["threshold"],
            rotations=options["rotations"],
            shuffles=options["shuffles"],
            rng=options["seed"],
            progress=None if options["quiet"] else progress,
        )
    finish(result, options, draw=lambda path: _draw(result, path))


def _draw(result: "Match", path: str) -> Path:
    from disentangle_indicators.plots import matching, save

    return save(matching(result), path)
