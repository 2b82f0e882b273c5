"""dindic study: rerun the paper's experiments."""

from pathlib import Path
from typing import Any

import click

from dindic.options import TIME_IS_UP, bad_input, failing_output, max_minutes
from dindic.output import emit, progress, say_written
from dindic.traverse import integers


def names(ctx: Any, param: Any, value: str | None) -> tuple[str, ...]:
    """Read names between commas."""
    if value is None:
        return ()
    found = tuple(part.strip() for part in value.split(",") if part.strip())
    if not found:
        raise click.BadParameter("it names no run", ctx, param)
    return found


@click.command()
@click.argument("dataset", type=click.Choice(["mnist", "celeba", "yale"]))
@click.option("--data", type=click.Path(), metavar="PATH", help="Images, in the official layout.")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(),
    metavar="FOLDER",
    help="Where it goes; a study that is there is gone on with.",
)
@click.option("--epochs", type=click.IntRange(min=1), help="In place of those of appendix D.5.")
@click.option(
    "--only",
    callback=names,
    metavar="RUN,...",
    help="These runs, by name or pattern: 'learned_beta_10,fixed*'.",
)
@click.option(
    "--seeds",
    callback=integers,
    default="0",
    show_default=True,
    metavar="A,B,...",
    help="Every run with each of these.",
)
@click.option(
    "--together",
    type=click.IntRange(min=1),
    metavar="N",
    help="Models trained at once; all on a GPU, one a core on a CPU.",
)
@click.option(
    "--images",
    type=click.IntRange(min=2),
    default=10_000,
    show_default=True,
    help="Test images to measure on.",
)
@click.option(
    "--precision", default="float32", show_default=True, help="float32, tf32, bf16 or float64."
)
@click.option("--closed-form", is_flag=True, help="Learned noise in closed form (A.1).")
@click.option(
    "--device", default="auto", metavar="NAME", help="cpu, cuda or cuda:1; a GPU if there is one."
)
@max_minutes
@click.option(
    "--max-mb",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="Keep encodings for the figures' models only, each file at most N megabytes.",
)
@click.option("--no-figures", is_flag=True, help="Tables only.")
@click.option("--json", type=click.Path(), metavar="PATH", help="Write JSON; - for stdout.")
@click.option("--quiet", is_flag=True, help="No messages and no table; files are still written.")
def study(
    dataset: str,
    data: str | None,
    output: str,
    epochs: int | None,
    only: tuple[str, ...],
    seeds: tuple[int, ...],
    together: int | None,
    images: int,
    precision: str,
    closed_form: bool,
    device: str,
    max_minutes: float | None,
    max_mb: float | None,
    no_figures: bool,
    json: str | None,
    quiet: bool,
) -> None:
    """Train the models of the paper's experiment on DATASET, measure them, and draw its figures.

    \b
    mnist   35 models: noise specified in 23 steps, and learned with 12 values of beta
    celeba  4 models: a mixture of two Gaussians, beta 1, 30 and 40; 128 latents, and 32
    yale    6 models: noise learned with beta 1 to 160, and given by the network

    The folder gets models/, encodings/ of test images, results.csv with a row for every model,
    latents.csv with one for every latent, and figures/. Ctrl-C and --max-minutes stop at
    checkpoints; the same command resumes.

    \b
    Examples:
      dindic study mnist --data mnist/ -o study/
      dindic study mnist --data mnist/ -o quick/ --epochs 2 --only 'learned*'
      dindic study mnist --data mnist/ -o study/ --max-minutes 50 --max-mb 16
      dindic study celeba --data celeba/ -o faces/
    """
    with bad_input():
        from dindic_models.data import open_data
        from dindic_models.devices import pick_device
        from dindic_models.figures import draw_all, drawn_runs
        from dindic_models.grids import runs
        from dindic_models.study import run_study
        from dindic_models.train import TimeIsUpError, TimeLimit, TrainingStoppedError

        limit = TimeLimit(max_minutes) if max_minutes else None
        changes: dict[str, Any] = {"precision": precision}
        changes |= {"epochs": epochs} if epochs else {}
        configs = runs(dataset, only=only, seeds=seeds, closed_form=closed_form, **changes)
        where = pick_device(device)
        found = open_data(data, dataset=dataset)
        if not quiet:
            click.echo(found.source, err=True)
            click.echo(f"{len(configs)} run{'s' * (len(configs) > 1)} on {where}", err=True)
        show = None if quiet else progress
        try:
            with failing_output():
                done = run_study(
                    configs,
                    found,
                    output,
                    source=data,
                    together=together,
                    images=images,
                    device=where,
                    progress=show,
                    say=None if quiet else (lambda line: click.echo(line, err=True)),
                    limit=limit,
                    max_mb=max_mb,
                    drawn=drawn_runs(dataset),
                )
        except TimeIsUpError as stop:
            if not quiet:
                click.echo(f"{stop}; the same command resumes", err=True)
            raise click.exceptions.Exit(TIME_IS_UP) from stop
        except TrainingStoppedError as stop:
            if not quiet:
                click.echo(f"{stop}; the same command goes on", err=True)
            raise click.exceptions.Exit(128 + stop.signal) from stop
        except KeyboardInterrupt as stop:
            raise _interrupted(quiet) from stop
        try:
            with failing_output():
                drawn, missing = (
                    ([], {})
                    if no_figures
                    else draw_all(done, Path(output) / "figures", progress=show)
                )
        except KeyboardInterrupt as stop:
            raise _interrupted(quiet) from stop
    with failing_output():
        emit(done, {"json": json, "csv": None, "markdown": None}, quiet, Path)
    if not quiet:
        for name, why in missing.items():
            click.echo(f"{name} is not drawn: it {why}", err=True)
        tables = [Path(output, name) for name in ("results.csv", "latents.csv") if done.rows]
        for path in (*tables, *drawn):
            say_written(path, quiet)
    if done.failed:
        raise click.exceptions.Exit(1)


def _interrupted(quiet: bool) -> click.exceptions.Exit:
    """Say that nothing is lost, and return how to exit after Ctrl-C while nothing is trained."""
    if not quiet:
        click.echo("stopped; the same command goes on", err=True)
    return click.exceptions.Exit(130)
