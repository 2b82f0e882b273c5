"""Options and error handling that commands share."""

import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

TIME_IS_UP = 75
"""Exit code of a command that its time limit ended: the same command resumes."""

SCALES = ("var", "std", "logvar", "logstd")


class BadInput(click.ClickException):
    """Input that is wrong or ambiguous: exit code 2."""

    exit_code = 2


class GateFailed(click.ClickException):
    """A --fail-if condition held: exit code 3."""

    exit_code = 3

    def show(self, file: Any = None) -> None:
        """Print the message without the word Error, because nothing went wrong."""
        click.echo(self.message, err=True)


@contextmanager
def bad_input() -> Iterator[None]:
    """Turn input that the library refuses, or that is not there, into exit code 2."""
    try:
        yield
    except FileNotFoundError as error:
        raise BadInput(
            f"no such file: {error.filename}" if error.filename else str(error)
        ) from error
    except IsADirectoryError as error:
        raise BadInput(f"{error.filename} is a folder") from error
    except PermissionError as error:
        raise BadInput(
            f"{error.filename}: permission denied" if error.filename else str(error)
        ) from error
    except ValueError as error:
        raise BadInput(str(error)) from error
    except OSError as error:
        raise click.ClickException(str(error)) from error


def max_minutes(command: F) -> F:
    """Add the option that ends a slice of a long computation."""
    return click.option(
        "--max-minutes",
        type=click.FloatRange(min=0, min_open=True),
        metavar="M",
        help="Stop at a checkpoint after M minutes, with exit code 75; a rerun resumes.",
    )(command)


@contextmanager
def failing_output() -> Iterator[None]:
    """Turn a file that cannot be written into exit code 1."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise click.ClickException(f"cannot write: {error}") from error


def say_notes(notes: tuple[str, ...], path: str | None = None) -> None:
    """Print remarks on stderr, after the name of the file they are about."""
    for note in notes:
        text = note if note.startswith("WARNING") else f"note: {note}"
        text = f"{path}: {text}" if path else text
        click.secho(text, fg="yellow", err=True)


def encoding_options(command: F) -> F:
    """Add the options that say how a file is to be read."""
    path = click.Path(dir_okay=False)
    options = [
        click.option("--mean", type=path, help=".npy file of posterior means, in place of FILE."),
        *(
            click.option(
                f"--{scale}", type=path, help=f".npy file that goes with --mean: {words}."
            )
            for scale, words in zip(
                SCALES,
                ("variances", "standard deviations", "log variances", "log standard deviations"),
                strict=True,
            )
        ),
        click.option("--mean-key", metavar="KEY", help="Name of the means in the file."),
        click.option("--scale-key", metavar="KEY", help="Name of the scales in the file."),
        click.option("--scale", type=click.Choice(SCALES), help="What the scales are."),
        click.option(
            "--layout",
            type=click.Choice(["channels", "flatten"]),
            help="For more than two axes: sites as samples, or sites as latents.",
        ),
        click.option("--factors", metavar="KEY|FILE", help="Ground-truth factors, n rows."),
        click.option("--factor-names", metavar="A,B,...", help="Names of the factors."),
        click.option("--labels", metavar="KEY|FILE", help="Class labels, n entries."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def metric_options(command: F) -> F:
    """Add the options of supervised metrics: their codes, latents and factors."""
    options = [
        click.option(
            "--codes",
            type=click.Choice(["mean", "sample"]),
            default="mean",
            show_default=True,
            help="What metrics see: posterior means, or a sample of each posterior.",
        ),
        click.option(
            "--latents",
            type=click.Choice(["used", "all"]),
            default="used",
            show_default=True,
            help="Latents that metrics see.",
        ),
        kinds_option,
    ]
    for option in reversed(options):
        command = option(command)
    return command


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


kinds_option = click.option(
    "--kinds",
    callback=kinds,
    metavar="NAME=KIND,...",
    help="Factors that are categorical, ordinal, continuous or circular[:PERIOD].",
)


READ = (
    "mean",
    *SCALES,
    "mean_key",
    "scale_key",
    "scale",
    "layout",
    "factors",
    "factor_names",
    "labels",
)


def reading(options: dict[str, Any]) -> dict[str, Any]:
    """Take the arguments of read_encodings out of the options of a command."""
    arguments = {name: options.pop(name) for name in READ}
    if arguments["factor_names"]:
        arguments["factor_names"] = tuple(arguments["factor_names"].split(","))
    return arguments


def vector(ctx: Any, param: Any, value: str) -> Any:
    """Read one number, numbers between commas, or a .npy file of them."""
    import numpy as np

    if value.endswith(".npy"):
        if not Path(value).is_file():
            raise click.BadParameter(f"no such file: {value}", ctx, param)
        try:
            return np.load(value, allow_pickle=False)
        except (ValueError, EOFError, OSError) as error:
            raise click.BadParameter(f"{value}: not an .npy file ({error})", ctx, param) from error
    try:
        numbers = [float(part) for part in value.split(",")]
    except ValueError:
        message = f"{value!r} is not a number, numbers between commas, or a .npy file"
        raise click.BadParameter(message, ctx, param) from None
    return numbers[0] if len(numbers) == 1 else np.array(numbers)


GATE = re.compile(r"\s*([A-Za-z_][\w.@\-]*)\s*(<=|>=|==|!=|<|>)\s*(\S+)\s*")


def gates(ctx: Any, param: Any, values: tuple[str, ...]) -> tuple[tuple[str, str, float], ...]:
    """Read conditions NAME OP NUMBER over the scalars of the JSON."""
    parsed = []
    for value in values:
        match = GATE.fullmatch(value)
        try:
            number = float(match[3]) if match else math.nan
        except ValueError:
            number = math.nan
        if match is None or math.isnan(number):
            message = f"{value!r} is not NAME OP NUMBER with OP one of < <= == != >= >"
            raise click.BadParameter(message, ctx, param)
        parsed.append((match[1], match[2], number))
    return tuple(parsed)


OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": float.__lt__,
    "<=": float.__le__,
    "==": float.__eq__,
    "!=": float.__ne__,
    ">=": float.__ge__,
    ">": float.__gt__,
}


def failed_gates(
    contents: list[dict[str, Any]], conditions: tuple[tuple[str, str, float], ...]
) -> list[str]:
    """Say which conditions hold, in which file; refuse those that have no number to look at."""
    failed = []
    for content in contents:
        scalars = dict(_scalars(content))
        where = f"{content['name']}: " if len(contents) > 1 else ""
        for name, operator, number in conditions:
            if name not in scalars:
                if name in content:
                    kind = "a list" if content[name] else "not known here"
                    raise BadInput(f"{where}--fail-if: {name} is {kind}, so it has no number")
                if "used" not in scalars and name in ("used", "weak", "unused"):
                    raise BadInput(
                        f"{where}--fail-if: without variances there is no {name!r}; there is "
                        "active_units"
                    )
                part = name.split(".")[0]
                if part in content and content[part] is None:
                    raise BadInput(f"{where}--fail-if: {name} is not there without --{part}")
                near = get_close_matches(name, scalars, n=4, cutoff=0.4) or sorted(scalars)
                raise BadInput(
                    f"{where}--fail-if: no scalar is called {name!r}; there is {', '.join(near)}"
                )
            if OPERATORS[operator](scalars[name], number):
                condition = f"{name} {operator} {number:g}"
                failed.append(f"{where}gate failed: {condition} ({name} = {scalars[name]:g})")
    return failed


def _scalars(content: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for name, value in content.items():
        if isinstance(value, dict):
            yield from _scalars(value, f"{prefix}{name}.")
        elif isinstance(value, (int, float)):
            yield f"{prefix}{name}", float(value)
