"""What score does with --state and --dask: sums over rows, which add up."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dindic.exits import bad_input, failing_output
from dindic.inputs import encodings_from, read_arguments
from dindic.output import progress, say_written, worded

if TYPE_CHECKING:
    from disentangle_indicators import Scorecard, Summary

NEED_ROWS = (
    *("by", "points", "certify", "covariance", "metrics", "theorems", "model", "plot", "order"),
    *("factors", "labels", "seed"),
)
"""Options that sums over rows cannot follow, in either form."""

OF_MERGED = "dindic merge makes it, from 4,096 rows of all states"


def of_sums(files: tuple[str, ...], options: dict[str, Any]) -> "Scorecard":
    """Sum up the rows of a file or of many, write the sums where asked, and score them.

    Raises
    ------
    click.ClickException
        On options that need the rows, and where Dask is missing or its workers die.
    BadInput
        If a file cannot be read or added up.
    """
    from disentangle_indicators import score

    flag = "dask" if options["dask"] else "state"
    if len(files) > 1:
        raise click.UsageError(f"--{flag} goes with one FILE, or with a pattern in quotes")
    typed = click.core.ParameterSource.COMMANDLINE
    source = click.get_current_context().get_parameter_source
    needs = [
        f"{'no-' * (options[name] is False)}{name}" for name in NEED_ROWS if source(name) is typed
    ]
    needs += ["joint"] * bool(options["joint"] and source("points") is not typed)
    if needs:
        raise click.UsageError(
            f"--{flag} keeps sums over rows, to which --{needs[0]} does not apply: leave it out"
        )
    check_state(options["state"], "state")
    summary = _summary(files[0] if files else None, options)
    with bad_input():
        card = score(
            summary,
            threshold=options["threshold"],
            marginals=options["marginals"],
            joint=options["joint"] if options["dask"] else False,
        )
    if options["state"]:
        with failing_output():
            summary.save(options["state"])
            say_written(Path(options["state"]), options["quiet"])
    left_out = not options["dask"] and options["joint"] is not False and summary.clusters is None
    return worded(card, {"joint": OF_MERGED} if left_out else None)


def check_state(path: str | None, flag: str) -> None:
    """Refuse to write sums under a name that promises something else, or over what is no sums.

    Raises
    ------
    click.UsageError
    """
    from disentangle_indicators.summary import is_summary

    if path is None:
        return
    if not path.lower().endswith(".npz"):
        raise click.UsageError(f"--{flag} {path}: the name must end with .npz")
    if Path(path).exists() and not is_summary(path):
        raise click.UsageError(
            f"--{flag} {path}: a file of this name is there, which holds no sums: choose another name, or "
            "delete it first"
        )


def _summary(file: str | None, options: dict[str, Any]) -> "Summary":
    from disentangle_indicators import Summary
    from disentangle_indicators.encodings._many import files_of
    from disentangle_indicators.engines import summary_of_files

    if options["dask"]:
        if file is None:
            raise click.UsageError("--dask goes with FILE, not with --mean")
        from dindic.by_dask import summary_by_dask

        return summary_by_dask(file, options)
    encodings = encodings_from(options, file)
    with bad_input(encodings.name):
        parts = [] if file is None else files_of(Path(file))
        if len(parts) > 1:
            bar = None if options["quiet"] else progress
            return summary_of_files(parts, progress=bar, **read_arguments(options))
        return Summary.of(encodings, name=str(encodings.path))
