"""dindic higgins-law: the Higgins metric of ideal codes, without data."""

from typing import Any

import click

from dindic.exits import bad_input
from dindic.options import output_options, rotations_option, seed_option
from dindic.output import check_outputs, finish, progress


@click.command("higgins-law")
@click.option(
    "--dimensions",
    type=click.IntRange(2, 256),
    required=True,
    metavar="D",
    help="Number of latents, equal to the number of factors.",
)
@click.option(
    "--pairs",
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    metavar="L",
    help="Number of pairs per point.",
)
@rotations_option(200)
@click.option(
    "--encoder-variance",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    metavar="VARIANCE",
    help="Variance of the encoder's noise, in units of the factors' variance.",
)
@seed_option
@output_options()
def higgins_law(**options: Any) -> None:
    """Predict the Higgins metric of ideal codes, without data.

    The codes differ only by a rotation of the latents, and the factors are independent Gaussians.
    The command prints the distribution of the accuracy over rotations, and the number of pairs per
    point for a mean of 0.95.

    \b
    Examples:
      dindic higgins-law --dimensions 8
      dindic higgins-law --dimensions 16 --pairs 512 --encoder-variance 0.1
      dindic higgins-law --dimensions 8 --json -
    """
    from disentangle_indicators import rotation

    check_outputs(options)
    with bad_input():
        result = rotation.higgins_law(
            options["dimensions"],
            options["pairs"],
            rotations=options["rotations"],
            encoder_variance=options["encoder_variance"],
            rng=options["seed"],
            progress=None if options["quiet"] else progress,
        )
    finish(result, options)
