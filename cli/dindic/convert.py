"""dindic convert: one encodings file into another format."""

from typing import Any

import click

from dindic.exits import bad_input, failing_output
from dindic.inputs import encodings_from
from dindic.options import file_options, quiet_option
from dindic.output import say_written


@click.command(short_help="Convert encodings into another format.")
@click.argument("paths", nargs=-1, metavar="[FILE] OUT", type=click.Path())
@file_options
@quiet_option
def convert(paths: tuple[str, ...], quiet: bool, **options: Any) -> None:
    """Convert encodings to .safetensors, .npz, .h5, .h5ad, .parquet or .zarr.zip.

    The scale is stored as a log variance. Factors, labels and clusters are stored with it.

    \b
    Examples:
      dindic convert encodings.npz encodings.safetensors
      dindic convert cells.h5ad encodings.parquet --factors cell_type,batch
      dindic convert run.npz out.npz --scale-key sigma --scale std
      dindic convert --mean mu.npy --logvar lv.npy out.safetensors
    """
    from disentangle_indicators import write_encodings

    if len(paths) != (2 if options["mean"] is None else 1):
        raise click.UsageError("give FILE and OUT, or --mean A.npy --logvar B.npy and OUT")
    encodings = encodings_from(options | {"quiet": quiet}, paths[0] if len(paths) == 2 else None)
    with bad_input():
        mean, values = encodings.as_stored()
        with failing_output():
            path = write_encodings(
                paths[-1],
                mean,
                **({encodings.scale: values} if encodings.scale else {}),
                factors=encodings.factors,
                labels=encodings.labels,
                clusters=encodings.clusters,
                metadata=encodings.metadata,
            )
    if not quiet:
        click.echo(encodings.source, err=True)
        say_written(path, quiet)
