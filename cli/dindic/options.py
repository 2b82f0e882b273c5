"""The vocabulary of options: each name means one thing in all commands."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from dindic import gates
from dindic.exits import bad_input
from disentangle_indicators._scales import SCALES
from disentangle_indicators.thresholds import USED

F = TypeVar("F", bound=Callable[..., Any])

WIDTHS = dict(
    zip(
        SCALES,
        ("variances", "standard deviations", "log variances", "log standard deviations"),
        strict=True,
    )
)
"""What a scale is, in words."""


class Option(click.Option):
    """An option whose old spellings still work, without being shown in the help."""

    def __init__(self, *arguments: Any, old: Sequence[str] = (), **settings: Any) -> None:
        """Take the old spellings beside what click takes."""
        super().__init__(*arguments, **settings)
        self.old = list(old)

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        """Add the option, then the old spellings as the same option."""
        super().add_to_parser(parser, ctx)
        if self.old:
            shown, self.opts = self.opts, self.old
            super().add_to_parser(parser, ctx)
            self.opts = shown


def added(options: Sequence[Callable[[F], F]]) -> Callable[[F], F]:
    """Return a decorator that adds options in this order."""

    def add(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def names(ctx: Any, param: Any, value: str | None) -> tuple[str, ...] | None:
    """Read names between commas, each once."""
    if value is None:
        return None
    found = tuple(dict.fromkeys(part.strip() for part in value.split(",") if part.strip()))
    if not found:
        raise click.BadParameter(f"{value!r} contains no name", ctx, param)
    return found


def integers(ctx: Any, param: Any, value: str | None) -> tuple[int, ...] | None:
    """Read whole numbers between commas, each once."""
    if value is None:
        return None
    try:
        numbers = tuple(int(part) for part in value.split(","))
    except ValueError:
        message = f"{value!r} is not whole numbers between commas"
        raise click.BadParameter(message, ctx, param) from None
    return tuple(dict.fromkeys(numbers))


READ = "dindic.read"
"""Where a context keeps the files that options were read from."""


def numbers(ctx: Any, param: Any, value: str) -> Any:
    """Read one number, numbers between commas, or a .npy file of numbers."""
    import numpy as np

    if value.endswith(".npy"):
        ctx.meta.setdefault(READ, []).append(value)
        if not Path(value).is_file():
            raise click.BadParameter(f"no such file: {value}", ctx, param)
        from disentangle_indicators.encodings.formats import npy

        try:
            return npy.read(Path(value)).arrays["mean"].read()
        except (ValueError, OSError) as error:
            said = str(error).removeprefix(f"{value}: ")
            raise click.BadParameter(f"{value}: not an .npy file ({said})", ctx, param) from error
    try:
        found = [float(part) for part in value.split(",")]
    except ValueError:
        message = f"{value!r} is not a number, numbers between commas, or a .npy file"
        raise click.BadParameter(message, ctx, param) from None
    return found[0] if len(found) == 1 else np.array(found)


def kinds(ctx: Any, param: Any, value: str | None) -> dict[str, str] | None:
    """Read NAME=KIND between commas."""
    if not value:
        return None
    pairs = [part.partition("=") for part in value.split(",")]
    for name, sign, kind in pairs:
        if not (name and sign and kind):
            message = f"{value!r} is not NAME=KIND,... such as orientation=circular:39"
            raise click.BadParameter(message, ctx, param)
    return {name.strip(): kind.strip() for name, _, kind in pairs}


def metric_names(given: tuple[str, ...]) -> list[str]:
    """Return the names of metrics that --metrics gives, all of them for "all".

    Raises
    ------
    BadInput
        If one of them is not the name of a metric.
    """
    from disentangle_indicators.supervised import METRICS, find

    if given == ("all",):
        return list(METRICS)
    with bad_input():
        for name in given:
            find(name)
    return list(given)


_PATH = click.Path(dir_okay=False)

_FILES = [
    click.option("--mean", type=_PATH, help="Posterior means, a .npy or .csv file for FILE."),
    *(
        click.option(f"--{scale}", type=_PATH, help=f"{words.capitalize()}, a .npy or .csv file.")
        for scale, words in WIDTHS.items()
    ),
    click.option("--mean-key", metavar="KEY", help="Key of the means in the file."),
    click.option("--scale-key", metavar="KEY", help="Key of the scales in the file."),
    click.option("--scale", type=click.Choice(SCALES), help="Kind of the scales in the file."),
    click.option(
        "--packed",
        metavar="mean,SCALE",
        help="One array with the means and then the scale on its axis of latents, as mean,logvar.",
    ),
    click.option(
        "--layout",
        type=click.Choice(["channels", "last", "flatten", "transposed"]),
        help="Axes of the arrays: channels makes each site a row, with the latents on axis 1; last "
        "does so with the latents on the last axis; flatten makes each entry a latent; transposed reads "
        "d rows of n.",
    ),
    click.option("--factors", metavar="KEY|FILE", help="Ground-truth factors, n rows."),
    click.option(
        "--factor-names", callback=names, metavar="A,B,...", help="Names of the factors."
    ),
    click.option("--labels", metavar="KEY|FILE", help="Class labels, n entries."),
    click.option(
        "--clusters",
        cls=Option,
        old=["--cluster"],
        metavar="KEY|FILE",
        help="Cluster of each row, n entries; rows of one cluster are dependent.",
    ),
    click.option(
        "--order",
        metavar="KEY|FILE|rows",
        help="Time of each row of a series, n entries; rows for the order of the file.  Blocks of "
        "rows become clusters.",
    ),
]

_MEANING = [
    click.option(
        "--kinds",
        callback=kinds,
        metavar="NAME=KIND,...",
        help="Kinds of factors: categorical, ordinal, continuous or circular[:PERIOD].",
    ),
    click.option(
        "--prior-mean",
        callback=numbers,
        default="0",
        show_default=True,
        metavar="NUMBERS",
        help="Prior mean: a number, a comma list, or .npy.",
    ),
    click.option(
        "--prior-var",
        callback=numbers,
        default="1",
        show_default=True,
        metavar="NUMBERS",
        help="Prior variance: a number, a comma list, or .npy.",
    ),
]


def _bounded(ctx: click.Context, param: Any, value: str | None) -> None:
    """Bound the memory as long as the command runs."""
    from disentangle_indicators import max_memory

    if value is not None:
        try:
            ctx.with_resource(max_memory(value))
        except ValueError as error:
            words = str(error).replace("max_memory", "it", 1)
            raise click.BadParameter(words, ctx, param) from error


_MEMORY = click.option(
    "--max-memory",
    callback=_bounded,
    expose_value=False,
    metavar="SIZE",
    help="Most memory to take, as 4GB, of which 0.4 GB are for the program; what needs more is left out, or "
    "an error with exit code 4.",
)


def encoding_options(command: F) -> F:
    """Add the options that describe posteriors in files, their prior and kinds of factors."""
    return added([*_FILES, *_MEANING, _MEMORY])(command)


def file_options(command: F) -> F:
    """Add the options that describe posteriors in files, and only what a file can store."""
    return added([*_FILES, _MEMORY])(command)


def latents_option(purpose: str) -> Callable[[F], F]:
    """Return the option that chooses used or all latents."""
    return click.option(
        "--latents",
        cls=Option,
        old=["--subspace"],
        type=click.Choice(["used", "all"]),
        default="used",
        show_default=True,
        help=f"Latents {purpose}.",
    )


threshold_option = click.option(
    "--threshold",
    type=float,
    default=USED,
    show_default=True,
    metavar="NATS",
    help="Least information of a used latent, in nats.",
)

seed_option = click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="N",
    help="Random seed.",
)

rows_option = click.option(
    "--rows",
    type=click.IntRange(min=1),
    metavar="N",
    help="Random rows to take.  [default: 20000 of more than 100000, or all]",
)

device_option = click.option(
    "--device",
    default="auto",
    show_default=True,
    metavar="NAME",
    help="cpu, cuda or cuda:1; auto takes a GPU if there is one.",
)


max_minutes_option = click.option(
    "--max-minutes",
    type=click.FloatRange(min=0, min_open=True),
    metavar="M",
    help="Stop at a checkpoint after M minutes, with exit code 75; the same command resumes.",
)


def rotations_option(default: int) -> Callable[[F], F]:
    """Return the option for the number of random rotations."""
    return click.option(
        "--rotations",
        type=click.IntRange(min=2),
        default=default,
        show_default=True,
        metavar="N",
        help="Number of random rotations.",
    )


def images_option(
    default: int | None, words: str, *, least: int = 1, old: Sequence[str] = ()
) -> Callable[[F], F]:
    """Return the option for the number of images."""
    return click.option(
        "--images",
        cls=Option,
        old=old,
        type=click.IntRange(min=least),
        default=default,
        show_default=default is not None,
        metavar="N",
        help=words,
    )


def output_options(
    rows: str | None = None, picture: str | None = None, *, fail_if: bool = True
) -> Callable[[F], F]:
    """Return a decorator that adds the options for reports.

    Parameters
    ----------
    rows : str, optional
        What the rows of the CSV are; by default there is no CSV.
    picture : str, optional
        What --plot draws; by default there is no picture.
    fail_if : bool
        Whether the numbers of the report can be gated.
    """
    path = click.Path()
    dash = "; - for standard output"
    options = [
        click.option("--json", type=path, metavar="PATH", help=f"Write JSON{dash}."),
        click.option("--markdown", type=path, metavar="PATH", help=f"Write Markdown{dash}."),
        click.option("--latex", type=path, metavar="PATH", help=f"Write tables as LaTeX{dash}."),
        click.option(
            "--html",
            type=path,
            metavar="PATH",
            help=f"Write one page of HTML with pictures, and the JSON beside it{dash}, alone.",
        ),
    ]
    if rows:
        help_csv = f"Write CSV, one row per {rows}{dash}."
        options.insert(1, click.option("--csv", type=path, metavar="PATH", help=help_csv))
    if picture:
        help_plot = f"Draw {picture}, as .png, .svg or .pdf."
        options.append(click.option("--plot", type=path, metavar="PATH", help=help_plot))
    if fail_if:
        options.append(
            click.option(
                "--fail-if",
                callback=gates.parse,
                multiple=True,
                metavar="'NAME OP NUMBER'",
                help="Exit with code 3 if this condition on a number of the JSON is true; repeatable.",
            )
        )
    return added([*options, quiet_option])


quiet_option = click.option(
    "--quiet", is_flag=True, help="Print no messages and no table; files are still written."
)
