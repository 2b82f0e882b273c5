"""dindic convert: one encodings file into another format."""

from typing import Any

import click

from dindic.options import bad_input, encoding_options, failing_output, reading, say_notes


@click.command()
@click.argument("paths", nargs=-1, metavar="[FILE] OUT", type=click.Path())
@encoding_options
@click.option("--cluster", metavar="KEY|FILE", help="Cluster of each row, to be stored.")
@click.option("--quiet", is_flag=True, help="No messages.")
def convert(paths: tuple[str, ...], cluster: str | None, quiet: bool, **options: Any) -> None:
    """Convert encodings to .safetensors or .npz, with the scale stored as a log variance.

    \b
    Examples:
      dindic convert encodings.npz encodings.safetensors
      dindic convert run.npz out.npz --scale-key sigma --scale std
      dindic convert --mean mu.npy --logvar lv.npy out.safetensors
    """
    from disentangle_indicators import read_encodings, write_encodings

    read = reading(options)
    if len(paths) != (2 if read["mean"] is None else 1):
        raise click.UsageError("give FILE and OUT, or --mean A.npy --logvar B.npy and OUT")
    with bad_input():
        encoded = read_encodings(paths[0] if len(paths) == 2 else None, cluster=cluster, **read)
        mean, scale = encoded.mean, {encoded.scale: encoded.scales} if encoded.scale else {}
        with failing_output():
            path = write_encodings(
                paths[-1],
                mean,
                **scale,
                factors=encoded.factors,
                factor_names=encoded.factor_names or None,
                labels=encoded.labels,
                cluster=encoded.cluster,
                metadata=encoded.metadata,
            )
    if not quiet:
        say_notes(encoded.notes)
        click.echo(f"{encoded.describe()}\nwritten: {path}", err=True)
