"""dindic convert: one encodings file into another format."""

from typing import Any

import click

from dindic.options import bad_input, encoding_options, reading


@click.command()
@click.argument("source", required=False, metavar="[FILE]", type=click.Path())
@click.argument("target", metavar="OUT", type=click.Path())
@encoding_options
@click.option("--quiet", is_flag=True, help="No messages.")
def convert(source: str | None, target: str, quiet: bool, **options: Any) -> None:
    """Convert encodings to .safetensors or .npz, with the scale stored as a log variance.

    \b
    Examples:
      dindic convert encodings.npz encodings.safetensors
      dindic convert run.npz out.npz --scale-key sigma --scale std
      dindic convert --mean mu.npy --logvar lv.npy out.safetensors
    """
    from disentangle_indicators import read_encodings, write_encodings

    read = reading(options)
    if (source is None) == (read["mean"] is None):
        raise click.UsageError("give a FILE, or --mean A.npy with one of --var --std --logvar ...")
    with bad_input():
        encoded = read_encodings(source, **read)
        path = write_encodings(
            target,
            encoded.mean,
            var=encoded.var,
            factors=encoded.factors,
            factor_names=encoded.factor_names or None,
            labels=encoded.labels,
            metadata=encoded.metadata,
        )
    if not quiet:
        for note in encoded.notes:
            click.secho(f"note: {note}", fg="yellow", err=True)
        click.echo(f"{encoded.describe()}\nwritten: {path}", err=True)
