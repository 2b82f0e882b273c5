"""dindic train: train a reference VAE."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dindic.exits import TIME_IS_UP, bad_input, failing_output
from dindic.options import Option, device_option, max_minutes_option, quiet_option
from dindic.output import progress
from dindic.wording import in_options

if TYPE_CHECKING:
    from dindic_models.config import Config
    from dindic_models.data import Data

SETTINGS: dict[str, tuple[Any, str]] = {
    "network": (str, "Architecture: mnist, celeba, yale (appendix D.5), burgess, mlp or linear."),
    "latents": (int, "Number of latents."),
    "activation": (str, "Activation of the decoder's output: linear or sigmoid."),
    "init": (str, "Initialisation of the weights: torch, xavier or kaiming."),
    "noise": (str, "Noise model p(x|z): fixed, learned, mog or network."),
    "sigma2": (float, "Variance of fixed noise, or first variance of learned noise."),
    "closed_form": (bool, "Fit learned noise in closed form instead of by gradient."),
    "components": (int, "Number of components of the mixture of Gaussians."),
    "floor": (float, "Least variance of a pixel; 0 takes the floor of the noise model."),
    "beta": (float, "Weight of the KL divergence."),
    "samples": (int, "Number of codes drawn for each image, L."),
    "batch": (int, "Number of images in a step."),
    "epochs": (int, "Number of passes over the training images."),
    "lr": (float, "Learning rate of Adam."),
    "seed": (int, "Random seed.  [default: 0]"),
    "split": (str, "Split of the images: paper, random by appendix D; or official."),
    "split_seed": (int, "Random seed of the paper split.  [default: 0]"),
    "precision": (str, "Precision of training: float32, tf32, bf16 or float64."),
}

FLAGS = {"latents": "dimensions"}
"""Settings whose option has another name: --latents is used or all in other commands."""

METAVARS = {str: "NAME", int: "N", float: "NUMBER"}


def setting_options(command: Any) -> Any:
    """Add an option for every setting of a run."""
    for name, (kind, words) in reversed(SETTINGS.items()):
        flag = f"--{FLAGS.get(name, name).replace('_', '-')}"
        if kind is bool:
            option = click.option(f"{flag}/--no-{flag[2:]}", default=None, help=words)
        else:
            old = [f"--{name}"] if name in FLAGS else []
            option = click.option(
                flag, name, cls=Option, old=old, type=kind, metavar=METAVARS[kind], help=words
            )
        command = option(command)
    return command


@click.command()
@click.argument("dataset", required=False)
@click.option("--data", type=click.Path(), metavar="PATH", help="Images, a folder or a file.")
@click.option(
    "-o", "--output", type=click.Path(), metavar="FOLDER", help="Output folder of a new run."
)
@click.option("--resume", type=click.Path(), metavar="FOLDER", help="Run to resume.")
@click.option(
    "--config", type=click.Path(), metavar="TOML", help="File of settings; options override it."
)
@setting_options
@device_option
@click.option(
    "--deterministic",
    is_flag=True,
    help="Make the same seed give the same bits on a GPU too; slower.",
)
@max_minutes_option
@quiet_option
def train(
    dataset: str | None,
    data: str | None,
    output: str | None,
    resume: str | None,
    config: str | None,
    device: str,
    deterministic: bool,
    max_minutes: float | None,
    quiet: bool,
    **flags: Any,
) -> None:
    """Train a reference VAE.

    DATASET is mnist, sprites, dsprites, celeba, yale, folder or array; by default the layout of
    --data decides. Network, latents, epochs and lr are by default the values of appendix D for the
    data set. The output folder contains config.json, model.safetensors and history.csv with one row
    per epoch; dindic encode and traverse read the folder. Ctrl-C and --max-minutes stop at
    a checkpoint.

    \b
    Examples:
      dindic train sprites --epochs 1 -o runs/sprites
      dindic train mnist --data mnist/ --noise learned --beta 10 --dimensions 128 -o runs/b10
      dindic train --resume runs/b10 --epochs 300
      dindic train --config run.toml --beta 4 -o runs/b4
      torchrun --nproc-per-node 2 -m dindic train mnist --data mnist/ -o runs/two
    """
    if (output is None) == (resume is None):
        raise click.UsageError("give -o FOLDER for a new run, or --resume FOLDER")
    given = {name: value for name, value in flags.items() if value is not None}
    with bad_input():
        from dindic_models.devices import pick_device
        from dindic_models.train import TimeLimit

        limit = TimeLimit(max_minutes) if max_minutes else None
        where = pick_device(device)
        if resume:
            if dataset or config:
                raise click.UsageError("--resume takes the data set and the settings of the run")
            settings, images, source = _resumed(Path(resume), data, given)
        else:
            settings, images, source = _new(dataset, data, config, given)
        if not quiet and _first():
            click.echo(images.source, err=True)
        _train(
            settings,
            images,
            source,
            str(resume or output),
            where,
            bool(resume),
            deterministic,
            quiet,
            limit,
        )


def _new(
    dataset: str | None, path: str | None, config: str | None, given: dict[str, Any]
) -> tuple["Config", "Data", str | None]:
    from dindic_models.config import read_toml, settings, starting_values
    from dindic_models.data import open_data

    written = read_toml(config) if config else {}
    stated = written.pop("data", None)
    readable = stated is None or isinstance(stated, str)
    if not readable:
        raise ValueError(f"{config}: data must be a path; it is {stated!r}")
    path = path or stated
    data = open_data(path, dataset=dataset or written.get("dataset"))
    chosen = written | given
    network = str(chosen.get("network", ""))
    values = starting_values(data.name, data.images.shape[1:], network) | chosen
    return settings(values | {"dataset": data.name}, config or "dindic train"), data, path


def _resumed(
    folder: Path, path: str | None, given: dict[str, Any]
) -> tuple["Config", "Data", str | None]:
    from dindic_models.checkpoint import read_config
    from dindic_models.config import settings
    from dindic_models.data import open_data

    if not (folder / "config.json").is_file():
        raise ValueError(f"{folder} is not a run: it has no config.json")
    old, _, about = read_config(folder)
    path = path or about.get("path")
    if path is not None and not Path(path).exists():
        raise ValueError(f"{path}, the training data of the run, is missing: add --data PATH")
    data = open_data(path, dataset=old.dataset)
    return settings(old.to_dict() | given, "dindic train"), data, path


def _train(
    settings: "Config",
    images: "Data",
    source: str | None,
    folder: str,
    device: Any,
    resume: bool,
    deterministic: bool,
    quiet: bool,
    limit: Any,
) -> None:
    from dindic_models.train import TimeIsUpError, TrainingDivergedError, TrainingStoppedError
    from dindic_models.train import train as run

    show = not quiet and _first()
    try:
        with failing_output():
            run(
                settings,
                images,
                folder,
                source=source,
                resume=resume,
                device=device,
                deterministic=deterministic,
                progress=progress if show else None,
                say=(lambda line: click.echo(in_options(line), err=True)) if show else None,
                limit=limit,
            )
    except TrainingDivergedError as error:
        raise click.ClickException(str(error)) from error
    except TimeIsUpError as stop:
        if show:
            click.echo(f"{stop}; resume with: dindic train --resume {folder}", err=True)
        raise click.exceptions.Exit(TIME_IS_UP) from stop
    except TrainingStoppedError as stop:
        if show:
            click.echo(f"{stop}; resume with: dindic train --resume {folder}", err=True)
        raise click.exceptions.Exit(128 + stop.signal) from stop
    if show:
        click.echo(f"written: {folder}\nnext: dindic encode {folder} -o encodings.npz", err=True)


def _first() -> bool:
    """Return whether this process prints, among the processes of torchrun."""
    import os

    return os.environ.get("RANK", "0") == "0"
