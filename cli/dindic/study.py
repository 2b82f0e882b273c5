"""dindic study: rerun the paper's experiments."""

from pathlib import Path
from typing import Any

import click

from dindic.exits import TIME_IS_UP, bad_input, failing_output
from dindic.options import (
    device_option,
    images_option,
    integers,
    max_minutes_option,
    names,
    output_options,
)
from dindic.output import check_outputs, finish, progress, say_written
from dindic.wording import in_options


@click.command()
@click.argument("dataset", type=click.Choice(["mnist", "celeba", "yale"]))
@click.option("--data", type=click.Path(), metavar="PATH", help="Images in the official layout.")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(),
    metavar="FOLDER",
    help="Output folder; an existing study is resumed.",
)
@click.option(
    "--epochs",
    type=click.IntRange(min=1),
    metavar="N",
    help="Number of epochs per run.  [default: appendix D.5]",
)
@click.option(
    "--only",
    callback=names,
    metavar="RUN,...",
    help="Runs to train, by name or pattern: 'learned_beta_10,fixed*'.  [default: all]",
)
@click.option(
    "--seeds",
    callback=integers,
    default="0",
    show_default=True,
    metavar="A,B,...",
    help="Random seeds; every run is trained with each.",
)
@click.option(
    "--together",
    type=click.IntRange(min=1),
    metavar="N",
    help="Models trained at once.  [default: all on a GPU, one per core on a CPU]",
)
@images_option(10_000, "Number of test images for the indicators.", least=2)
@click.option(
    "--precision",
    default="float32",
    show_default=True,
    metavar="NAME",
    help="Precision of training: float32, tf32, bf16 or float64.",
)
@click.option("--closed-form", is_flag=True, help="Fit learned noise in closed form (A.1).")
@device_option
@max_minutes_option
@click.option(
    "--max-mb",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="Keep encodings for the figures' models only, each file at most N megabytes.",
)
@click.option("--no-figures", is_flag=True, help="Write tables and no figures.")
@output_options(fail_if=False)
def study(
    dataset: str,
    data: str | None,
    output: str,
    epochs: int | None,
    only: tuple[str, ...] | None,
    seeds: tuple[int, ...],
    together: int | None,
    images: int,
    precision: str,
    closed_form: bool,
    device: str,
    max_minutes: float | None,
    max_mb: float | None,
    no_figures: bool,
    quiet: bool,
    **reports: Any,
) -> None:
    """Rerun an experiment of the paper.

    The command trains the models of DATASET, computes their indicators and draws the figures.

    \b
    mnist   35 models: noise specified in 23 steps, and learned with 12 values of beta
    celeba  4 models: a mixture of two Gaussians, beta 1, 30 and 40; 128 latents, and 32
    yale    6 models: noise learned with beta 1 to 160, and given by the network

    The output folder contains models/, encodings/ of test images, results.csv with one row per
    model, latents.csv with one row per latent, and figures/. Ctrl-C and --max-minutes stop at a
    checkpoint; the same command resumes.

    \b
    Examples:
      dindic study mnist --data mnist/ -o study/
      dindic study mnist --data mnist/ -o quick/ --epochs 2 --only 'learned*'
      dindic study mnist --data mnist/ -o study/ --max-minutes 50 --max-mb 16
      dindic study celeba --data celeba/ -o faces/
    """
    options = reports | {"quiet": quiet}
    check_outputs(options)
    with bad_input():
        from dindic_models.data import open_data
        from dindic_models.devices import pick_device
        from dindic_models.figures import draw_all, drawn_runs
        from dindic_models.folders import locked
        from dindic_models.grids import runs
        from dindic_models.study import run_study
        from dindic_models.train import TimeIsUpError, TimeLimit, TrainingStoppedError

        limit = TimeLimit(max_minutes) if max_minutes else None
        changes: dict[str, Any] = {"precision": precision}
        changes |= {"epochs": epochs} if epochs else {}
        configs = runs(dataset, only=only or (), seeds=seeds, closed_form=closed_form, **changes)
        where = pick_device(device)
        found = open_data(data, dataset=dataset)
        if not quiet:
            click.echo(found.source, err=True)
            click.echo(f"{len(configs)} run{'s' * (len(configs) > 1)} on {where}", err=True)
        show = None if quiet else progress
        try:
            with failing_output(), locked(Path(output)):
                done = run_study(
                    configs,
                    found,
                    output,
                    source=data,
                    together=together,
                    images=images,
                    device=where,
                    progress=show,
                    say=None if quiet else (lambda line: click.echo(in_options(line), err=True)),
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
                click.echo(f"{stop}; the same command resumes", err=True)
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
    finish(done, options)
    if not quiet:
        for name, why in missing.items():
            click.echo(f"{name} is not drawn: it {why}", err=True)
        tables = [Path(output, name) for name in ("results.csv", "latents.csv") if done.rows]
        for path in (*tables, *drawn):
            say_written(path, quiet)
    if done.failed:
        raise click.exceptions.Exit(1)


def _interrupted(quiet: bool) -> click.exceptions.Exit:
    """Print that nothing is lost, and return the exit after Ctrl-C while nothing is trained."""
    if not quiet:
        click.echo("stopped; the same command resumes", err=True)
    return click.exceptions.Exit(130)
