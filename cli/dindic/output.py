"""The end of a command: reports, pictures, the table and the gates; and progress on stderr."""

import logging
import os
import shlex
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dindic import gates
from dindic.exits import BadInput, aborting, failing_output, out_of_memory, stopping
from dindic.wording import in_options
from disentangle_indicators._blocks import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from disentangle_indicators import Scorecard
    from disentangle_indicators._blocks import Block
    from disentangle_indicators._result import Result

R = TypeVar("R", bound="Result")

CALL = "dindic.call"
"""Where the context keeps the command line."""


class Commands(click.Group):
    """A group that remembers the command line for the provenance of results."""

    def main(self, *arguments: Any, **extra: Any) -> Any:
        """Run a command line."""
        with aborting():
            return super().main(*arguments, **extra)

    def make_context(
        self, info_name: str | None, args: list[str], *rest: Any, **extra: Any
    ) -> click.Context:
        """Keep the words before they are parsed."""
        line = shlex.join(["dindic", *args])
        context = super().make_context(info_name, args, *rest, **extra)
        context.meta[CALL] = line
        return context

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; a command that needs the models extra names the missing package."""
        try:
            with stopping(), out_of_memory():
                return super().invoke(ctx)
        except click.ClickException as error:
            # a name in a message must not command the terminal
            object.__setattr__(error, "message", printable(error.message))
            raise
        except ModuleNotFoundError as error:
            if error.name not in ("PIL", "torch"):
                raise
            package = {"PIL": "pillow"}.get(error.name, error.name)
            raise click.ClickException(
                f"this command needs {package}: pip install 'disentangle-indicators[models]'"
            ) from error


def worded(card: "Scorecard", more: dict[str, str] | None = None) -> "Scorecard":
    """Return a scorecard whose verdict and reasons, and `more` of these, name options."""
    reasons = {name: in_options(text) for name, text in (card.reasons | (more or {})).items()}
    verdict = {label: in_options(text) for label, text in card.verdict.items()}
    joint = card.joint
    if joint is not None:
        joint = replace(joint, dependence=in_options(joint.dependence))
    found = card.theorems
    if found is not None:
        findings = tuple(replace(x, sentence=in_options(x.sentence)) for x in found.findings)
        found = replace(found, findings=findings)
    return replace(card, reasons=reasons, verdict=verdict, joint=joint, theorems=found)


def stamped(result: R) -> R:
    """Return the result with the command line in its provenance."""
    from disentangle_indicators._provenance import Provenance

    line = click.get_current_context().meta.get(CALL, "dindic")
    return replace(result, provenance=replace(result.provenance or Provenance(""), call=line))


def finish(
    result: "Result",
    options: dict[str, Any],
    *,
    gated: "Sequence[Result] | None" = None,
    draw: Callable[[str], Path] | None = None,
    pictures: "Sequence[tuple[Figure, str]]" = (),
    hint: str = "",
) -> None:
    """Write the reports and the picture, print the table, and check the gates.

    Parameters
    ----------
    result : Result
        What is written and printed.
    options : dict
        Of the command.
    gated : sequence of Result, optional
        Whose numbers --fail-if looks at; by default those of `result`.
    draw : callable, optional
        Draws the picture to a path.
    pictures : sequence of (figure, str)
        More pictures of the page, with their captions.
    hint : str
        What to type next; printed below the table.

    Raises
    ------
    BadInput
        If a gate names a number that there is not; then nothing is written.
    GateFailed
        If a gate failed; everything is written all the same.
    """
    result, quiet = stamped(result), options["quiet"]
    conditions = options.get("fail_if")
    failures = []
    if conditions:
        contents = [replace(each, provenance=None).to_dict() for each in gated or [result]]
        failures = gates.failed(contents, conditions)
    with failing_output():
        _emit(result, options, quiet, draw, pictures, hint)
    if failures:
        raise gates.GateFailed("\n".join(failures))


def _emit(
    result: "Result",
    options: dict[str, Any],
    quiet: bool,
    draw: Callable[[str], Path] | None,
    pictures: "Sequence[tuple[Figure, str]]",
    hint: str,
) -> None:
    from disentangle_indicators.report import WRITERS, write

    on_stdout = [form for form in WRITERS if options.get(form) == "-"]
    more = {"html": {"pictures": pictures}} if pictures else {}
    for form in WRITERS:
        if options.get(form) and form not in on_stdout:
            path = write(result, options[form], form, **more.get(form, {}))
            say_written(path, quiet)
    if draw is not None and options.get("plot"):
        say_written(draw(options["plot"]), quiet)
    for form in on_stdout:
        click.echo(WRITERS[form](result, **more.get(form, {})), nl=False)
    if not on_stdout and not quiet:
        show(result)
        if hint:
            click.echo(hint)


def check_outputs(options: dict[str, Any], inputs: Iterable[str] = ()) -> None:
    """Refuse what could not be written before anything is computed."""
    from disentangle_indicators.report import WRITERS

    if list(map(options.get, WRITERS)).count("-") > 1:
        raise click.UsageError(f"only one of {', '.join(WRITERS)} can go to standard output")
    given = list(inputs)
    page = options.get("html")
    if page and page != "-" and not options.get("json"):
        options["json"] = str(Path(page).with_suffix(".json"))  # the numbers of the page
    outputs = (*WRITERS, "plot", "state", "output")
    for name in outputs:
        if options.get(name) == "":
            raise click.UsageError(f"--{name} needs the name of a file")
        if options.get(name) and Path(options[name]).is_dir():
            raise BadInput(f"--{name} {options[name]} is a folder: name a file in it")
        if _same_file(options.get(name), given):
            raise BadInput(f"--{name} {options[name]} would overwrite an input")
    _check_apart({name: options.get(name) for name in outputs})
    if options.get("plot"):
        check_picture(options["plot"])


def _check_apart(outputs: dict[str, str | None]) -> None:
    """Refuse two outputs of one name."""
    seen: dict[str, str] = {}
    for name, path in outputs.items():
        if not path or path == "-":
            continue
        other = seen.setdefault(os.path.realpath(path), name)
        if other != name:
            raise BadInput(f"--{other} and --{name} are both {path}: give two names")


def check_picture(path: str) -> None:
    """Refuse a name that does not end like a picture."""
    from disentangle_indicators.plots._save import PICTURES

    if Path(path).suffix.lower() not in PICTURES:
        raise BadInput(f"{path}: a picture ends in {', '.join(PICTURES[:-1])} or {PICTURES[-1]}")


def _same_file(output: str | None, inputs: list[str]) -> bool:
    if output is None or not Path(output).exists():
        return False
    return any(Path(path).exists() and Path(output).samefile(path) for path in inputs)


def show(result: "Result") -> None:
    """Print the table of a result, in colour on a terminal."""
    from rich.console import Console

    from disentangle_indicators._render import renderables, terminal_width, to_text

    width, blocks = terminal_width(), [_in_options(block) for block in result.blocks()]
    console = Console(highlight=False, width=width, height=100)
    if not console.is_terminal:
        click.echo(to_text(blocks, width))
        return
    for block in renderables(blocks, width):
        console.print(block)


def _in_options(block: "Block") -> "Block":
    """Write arguments in sentences and notes as options; cells stay as they are."""
    if isinstance(block, str):
        return in_options(block)
    if isinstance(block, dict):
        return {label: in_options(text) for label, text in block.items()}
    return replace(block, note=in_options(block.note))


def say_notes(notes: tuple[str, ...], path: str | None = None) -> None:
    """Print remarks on stderr, after the name of the file they are about."""
    for note in map(in_options, notes):
        text = note if note.startswith("WARNING") else f"note: {note}"
        text = f"{path}: {text}" if path else text
        click.secho(printable(text), fg="yellow", err=True)


class Announcements(logging.Handler):
    """Prints as notes what the library logs before it starts to compute for long."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one message, unless the command is quiet."""
        context = click.get_current_context(silent=True)
        if context is not None and not context.params.get("quiet"):
            say_notes((record.getMessage(),))


def say_written(path: Path, quiet: bool) -> None:
    """Print on stderr which file was written."""
    if not quiet:
        click.echo(f"written: {path}", err=True)


def progress(steps: Iterable[Any], description: str, total: int) -> Generator[Any, None, None]:
    """Show a bar on stderr while the steps of a long computation go by, if they take long."""
    from time import monotonic

    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    if not console.is_terminal:  # where a hidden bar leaves an empty line in old releases of rich
        yield from steps
        return
    start, shown = monotonic(), False
    with Progress(console=console, transient=True) as bars:
        bar = bars.add_task(description, total=total, visible=False)
        for step in steps:
            yield step
            shown = shown or monotonic() - start > 0.5
            bars.update(bar, advance=1, visible=shown)
