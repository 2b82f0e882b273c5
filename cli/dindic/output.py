"""What commands write and show: reports, pictures, tables, and progress on stderr."""

from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dindic.options import BadInput, F, gates

if TYPE_CHECKING:
    from disentangle_indicators._result import Result

FORMS = ("json", "csv", "markdown")
PICTURES = (".png", ".svg", ".pdf")


def output_options(rows: str, picture: str | None) -> Callable[[F], F]:
    """Add the options that say what to write; `rows` are those of the CSV, None draws nothing."""
    options = [
        click.option(
            "--json", type=click.Path(), metavar="PATH", help="Write JSON; - for stdout."
        ),
        click.option("--csv", type=click.Path(), metavar="PATH", help=f"Write CSV: {rows}."),
        click.option("--markdown", type=click.Path(), metavar="PATH", help="Write Markdown."),
        *(
            click.option(
                "--plot", type=click.Path(), metavar="PATH", help=f"Draw {words} (.png, .svg)."
            )
            for words in [picture]
            if words
        ),
        click.option(
            "--fail-if",
            callback=gates,
            multiple=True,
            metavar="NAME OP NUMBER",
            help="Exit 3 when it holds, over the scalars of the JSON; repeatable.",
        ),
        click.option(
            "--quiet", is_flag=True, help="No messages and no table; files are still written."
        ),
    ]

    def add(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def check_outputs(options: dict[str, Any], inputs: Iterable[str | None]) -> None:
    """Refuse what could not be written before anything is computed."""
    if list(map(options.get, FORMS)).count("-") > 1:
        raise click.UsageError(f"only one of {', '.join(FORMS)} can go to stdout")
    given = [path for path in inputs if path]
    for name in (*FORMS, "plot"):
        if options.get(name) == "":
            raise click.UsageError(f"--{name} needs the name of a file")
        if _same_file(options.get(name), given):
            raise BadInput(f"--{name} {options[name]} would overwrite an input")
    if options.get("plot") and Path(options["plot"]).suffix.lower() not in PICTURES:
        raise BadInput(f"{options['plot']}: a picture ends in .png, .svg or .pdf")


def _same_file(output: str | None, inputs: list[str]) -> bool:
    if output is None or not Path(output).exists():
        return False
    return any(Path(path).exists() and Path(output).samefile(path) for path in inputs)


def emit(
    result: "Result", options: dict[str, Any], quiet: bool, draw: Callable[[str], Path]
) -> None:
    """Write the reports and the picture that were asked for, and show the table."""
    from disentangle_indicators.report import WRITERS, write

    for form in FORMS:
        if options[form] and options[form] != "-":
            say_written(write(result, options[form], form), quiet)
    if options.get("plot"):
        say_written(draw(options["plot"]), quiet)
    on_stdout = [form for form in FORMS if options[form] == "-"]
    if on_stdout:
        click.echo(WRITERS[on_stdout[0]](result), nl=False)
    elif not quiet:
        show(result)


def show(result: "Result") -> None:
    """Print the table of a result, in colour on a terminal."""
    from rich.console import Console

    from disentangle_indicators._result import renderables

    console = Console(highlight=False)
    if not console.is_terminal:
        click.echo(repr(result))
        return
    for block in renderables(result.blocks()):
        console.print(block)


def say_written(path: Path, quiet: bool) -> None:
    """Say on stderr what was written."""
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
