"""dindic axes: which axes a code prefers, without labels."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dindic.exits import bad_input
from dindic.inputs import check_given, encodings_from, inputs
from dindic.options import (
    encoding_options,
    latents_option,
    output_options,
    rows_option,
    seed_option,
    threshold_option,
)
from dindic.output import check_outputs, finish

if TYPE_CHECKING:
    from disentangle_indicators.rotation import Axes


@click.command()
@click.argument("file", required=False, metavar="FILE", type=click.Path())
@encoding_options
@latents_option("to rotate")
@threshold_option
@rows_option
@seed_option
@output_options("pair of latents", "the gain and the cost of each pair")
def axes(file: str | None, **options: Any) -> None:
    """Test without labels whether the axes of a code matter.

    A rotation of the latents changes their total correlation by the change of the sum of their
    marginal entropies. These entropies are computed for each pair of latents. Verdicts: better
    axes, identified by shape, identified by variance alone, arbitrary, saturated, undecided.

    \b
    Examples:
      dindic axes encodings.npz
      dindic axes encodings.npz --latents all
      dindic axes encodings.npz --json axes.json --plot axes.png
    """
    check_outputs(options, inputs([file], options))
    check_given([file], options)
    encodings = encodings_from(options, file)
    from disentangle_indicators.rotation import axes as find_axes

    with bad_input(encodings.name):
        result = find_axes(
            encodings,
            rng=options["seed"],
            latents=options["latents"],
            threshold=options["threshold"],
            rows=options["rows"],
        )
    finish(result, options, draw=lambda path: _draw(result, path))


def _draw(result: "Axes", path: str) -> Path:
    from disentangle_indicators.plots import pairs, save

    return save(pairs(result), path)
