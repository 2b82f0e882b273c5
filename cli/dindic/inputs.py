"""From the options of a command to encodings."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from dindic.exits import BadInput, bad_input
from dindic.options import READ
from dindic.output import progress, say_notes
from dindic.wording import in_options
from disentangle_indicators._scales import SCALES

if TYPE_CHECKING:
    from disentangle_indicators.posteriors import Encodings

_ARGUMENTS = (
    *("mean", *SCALES, "mean_key", "scale_key", "scale", "packed", "layout"),
    *("factors", "factor_names"),
    *("kinds", "labels", "clusters", "order", "prior_mean", "prior_var"),
)
"""Options of commands that are arguments of read_encodings."""


def read_arguments(options: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of read_encodings that options of a command are."""
    return {name: options[name] for name in _ARGUMENTS if name in options}


def encodings_from(
    options: dict[str, Any], file: str | None, *, several: bool = False
) -> "Encodings":
    """Open a file, or the files of --mean and the scale, as the options describe it.

    Parameters
    ----------
    options : dict
        Of the command.
    file : str or None
        None with --mean.
    several : bool
        Whether notes begin with the name of the file.

    Raises
    ------
    BadInput
        If the file cannot be read.
    """
    from disentangle_indicators import read_encodings

    quiet = options["quiet"]
    with bad_input():
        encodings = read_encodings(
            file,
            **read_arguments(options),
            threads=options.get("threads", 1),
            progress=None if quiet else progress,
        )
    encodings = replace(encodings, notes=tuple(map(in_options, encodings.notes)))
    if not quiet:
        say_notes(encodings.notes, file if several else None)
    return encodings


def check_given(files: Sequence[str | None], options: dict[str, Any]) -> None:
    """Refuse a command line without posteriors, or with two sources of them.

    Raises
    ------
    click.UsageError
    """
    there = any(file is not None for file in files)
    if not there and options["mean"] is None:
        raise click.UsageError(f"give FILE, or --mean A.npy with one of --{' --'.join(SCALES)}")
    if there and options["mean"] is not None:
        raise click.UsageError("give either FILE or --mean, not both")


def inputs(files: Sequence[str | None], options: dict[str, Any]) -> list[str]:
    """Return the files that a command reads, which no output may overwrite."""
    named = ("mean", *SCALES, "factors", "labels", "clusters", "order")
    read = click.get_current_context().meta.get(READ, [])
    return [path for path in (*files, *map(options.get, named), *read) if path]


def check_factors(encodings: "Encodings", *, labels: bool = True) -> None:
    """Refuse encodings without ground-truth factors.

    Parameters
    ----------
    encodings : Encodings
    labels : bool
        Whether labels do instead.

    Raises
    ------
    BadInput
    """
    if encodings.factors is None and not (labels and encodings.labels is not None):
        raise BadInput(
            f"{encodings.name}: there are no ground-truth factors; add --factors KEY for an array "
            "of the file, or --factors FILE.npy with the same rows and one column per factor"
        )
