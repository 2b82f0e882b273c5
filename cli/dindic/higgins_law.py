"""dindic higgins-law: what the Higgins metric says of ideal codes, without data."""

from typing import Any

import click

from dindic.options import bad_input, failing_output
from dindic.output import progress, say_written, show


@click.command("higgins-law")
@click.option(
    "--latents",
    type=click.IntRange(2, 256),
    required=True,
    help="Latents, as many as factors.",
)
@click.option(
    "--pairs",
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    help="L, pairs of each point.",
)
@click.option(
    "--rotations",
    type=click.IntRange(min=2),
    default=200,
    show_default=True,
    help="Random rotations.",
)
@click.option(
    "--noise",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help="Variance of the encoder, where factors have variance 1.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Of the rotations.",
)
@click.option("--json", type=click.Path(), metavar="PATH", help="Write JSON; - for stdout.")
@click.option("--quiet", is_flag=True, help="No messages and no table; files are still written.")
def higgins_law(quiet: bool, json: str | None, **options: Any) -> None:
    """Predict the Higgins metric of ideal codes that differ only by a rotation of the latents.

    Prints how its accuracy is distributed over rotations, and how many pairs a point needs for a
    mean of 0.95. No file is read: this is the law of the metric for independent Gaussian factors.

    \b
    Examples:
      dindic higgins-law --latents 8
      dindic higgins-law --latents 16 --pairs 512 --noise 0.1
      dindic higgins-law --latents 8 --json -
    """
    from disentangle_indicators import rotation
    from disentangle_indicators.report import WRITERS, write

    if json == "":
        raise click.UsageError("--json needs the name of a file")
    with bad_input():
        result = rotation.higgins_law(
            options["latents"],
            options["pairs"],
            rotations=options["rotations"],
            noise=options["noise"],
            rng=options["seed"],
            progress=None if quiet else progress,
        )
    with failing_output():
        if json == "-":
            click.echo(WRITERS["json"](result), nl=False)
            return
        if json:
            say_written(write(result, json, "json"), quiet)
    if not quiet:
        show(result)
