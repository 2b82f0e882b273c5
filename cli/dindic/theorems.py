"""dindic theorems: which assumptions of the paper's theorems an encoder meets."""

from pathlib import Path
from typing import Any

import click

from dindic.exits import BadInput, bad_input
from dindic.inputs import check_given, encodings_from, inputs
from dindic.options import (
    encoding_options,
    output_options,
    rows_option,
    seed_option,
    threshold_option,
)
from dindic.output import check_outputs, finish
from dindic.wording import in_options


@click.command()
@click.argument("file", required=False, metavar="FILE", type=click.Path())
@encoding_options
@click.option(
    "--data",
    metavar="FILE.npy",
    type=click.Path(dir_okay=False),
    help="What was encoded, such as images, one row each: its intrinsic dimension as well.",
)
@click.option(
    "--noise",
    type=click.FloatRange(min=0, min_open=True),
    metavar="S",
    help="Noise variance beta sigma^2 of the decoder, for isometric importance.  [default: that of "
    "the metadata, else shares]",
)
@click.option(
    "--axes/--no-axes",
    default=None,
    help="Turn all pairs of used latents.  [default: on up to 12 used latents]",
)
@rows_option
@threshold_option
@seed_option
@output_options("finding")
def theorems(file: str | None, **options: Any) -> None:
    """Compute which assumptions of the theorems an encoder meets.

    For each theorem of the paper: how far this encoder is from what the theorem assumes, in numbers
    with errors. The intrinsic dimension of means and samples stands beside the number of used latents.

    \b
    Examples:
      dindic theorems encodings.npz
      dindic theorems encodings.npz --no-axes
      dindic theorems encodings.npz --noise 0.1 --json theorems.json
    """
    read = [file, options["data"]]
    check_outputs(options, inputs(read, options))
    check_given([file], options)
    encodings = encodings_from(options, file)
    from dataclasses import replace

    from disentangle_indicators.theorems import theorems as of_theorems

    with bad_input(encodings.name):
        result = of_theorems(
            encodings,
            data=_data(options["data"]),
            noise=options["noise"],
            axes=options["axes"],
            rows=options["rows"],
            threshold=options["threshold"],
            rng=options["seed"],
        )
    findings = tuple(replace(one, sentence=in_options(one.sentence)) for one in result.findings)
    finish(replace(result, findings=findings), options)


def _data(path: str | None) -> Any:
    """Read an array of any shape; None where there is no path."""
    if path is None:
        return None
    from disentangle_indicators.encodings.formats import npy

    if Path(path).suffix != ".npy":
        raise BadInput(f"{path}: --data needs an .npy file")
    return npy.read(Path(path)).arrays["mean"].read()
