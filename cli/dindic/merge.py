"""dindic merge: the report of shards that were summed up one by one."""

from glob import glob, has_magic
from pathlib import Path
from typing import Any

import click

from dindic.exits import BadInput, bad_input, failing_output
from dindic.options import output_options, threshold_option
from dindic.output import check_outputs, finish, progress, say_written, worded
from dindic.sums import check_state


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path())
@click.option(
    "--of",
    "listed",
    metavar="LIST.txt",
    type=click.Path(dir_okay=False),
    help="Text file with the name of every shard, one a line: refuse if one is missing.",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE.npz",
    type=click.Path(dir_okay=False),
    help="Write the sums over all shards as well.",
)
@threshold_option
@output_options("latent", None)
def merge(files: tuple[str, ...], **options: Any) -> None:
    """Add up the sums of shards, and score all their rows.

    FILE is what dindic score part-000.parquet --state 000.npz wrote, or a pattern in quotes. The
    same shards give the same numbers, to the last bit, in any order. A shard that is given twice is
    refused.

    \b
    Examples:
      dindic merge 000.npz 001.npz
      dindic merge '0*.npz' -o whole.npz
      dindic merge '0*.npz' --of shards.txt
    """
    names = [name for file in files for name in _matching(file)]
    read = [*names, *filter(None, [options["listed"]])]
    check_outputs(options, read)
    check_state(options["output"], "output")
    from disentangle_indicators import score, summary

    listed = options["listed"]
    with bad_input():
        whole = summary.merge(
            names,
            of=_lines(listed) if listed else None,
            progress=None if options["quiet"] else progress,
        )
        card = score(whole, threshold=options["threshold"])
    if options["output"]:
        with failing_output():
            whole.save(options["output"])
            say_written(Path(options["output"]), options["quiet"])
    finish(worded(card), options)


def _lines(file: str) -> list[str]:
    """Return the names in a text file; they are seen from its folder, as score does, if they are there."""
    from disentangle_indicators.encodings._many import names_in

    beside = [(name, Path(file).parent / name) for _, name, _, _ in names_in(Path(file))]
    if not beside:
        raise BadInput(f"{file} is empty: name every shard in it, one a line")
    return [str(path) if path.exists() else name for name, path in beside]


def _matching(file: str) -> list[str]:
    """Return the files of a pattern, and any other name as it is."""
    if Path(file).is_dir():
        raise BadInput(f"{file} is a folder; its files are: dindic merge '{Path(file)}/*.npz'")
    if Path(file).exists() or not has_magic(file):
        return [file]
    found = sorted(glob(file))
    if not found:
        raise BadInput(f"there is no file that matches {file}")
    return found
