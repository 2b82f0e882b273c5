"""dindic train: train a reference VAE."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dindic.options import TIME_IS_UP, bad_input, failing_output, max_minutes
from dindic.output import progress

if TYPE_CHECKING:
    from dindic_models.config import Config
    from dindic_models.data import Data

SETTINGS: dict[str, tuple[Any, str]] = {
    "network": (str, "mnist, celeba, yale (appendix D.5), burgess, mlp or linear."),
    "latents": (int, "Width of the code."),
    "activation": (str, "Of the decoder's output: linear or sigmoid."),
    "init": (str, "Of the weights: torch, xavier or kaiming."),
    "noise": (str, "p(x|z): fixed, learned, mog or network."),
    "sigma2": (float, "Variance of fixed noise; where learned ones start."),
    "closed_form": (bool, "Learned noise in closed form instead of by gradient."),
    "components": (int, "Components of the mixture of Gaussians."),
    "floor": (float, "Least variance of a pixel; 0 for that of the noise model."),
    "beta": (float, "Weight of the KL divergence."),
    "samples": (int, "Codes drawn for each image, L."),
    "batch": (int, "Images of a step."),
    "epochs": (int, "Passes over the training images."),
    "lr": (float, "Step size of Adam."),
    "seed": (int, "Seed of weights, order and noise."),
    "split": (str, "paper, a random split by appendix D, or official, the data set's own."),
    "split_seed": (int, "Seed of the random split."),
    "precision": (str, "float32, tf32, bf16 or float64."),
}


def setting_options(command: Any) -> Any:
    """Add an option for every setting of a run."""
    for name, (kind, words) in reversed(SETTINGS.items()):
        flag = f"--{name.replace('_', '-')}"
        if kind is bool:
            option = click.option(f"{flag}/--no-{flag[2:]}", default=None, help=words)
        else:
            option = click.option(flag, type=kind, help=words)
        command = option(command)
    return command


@click.command()
@click.argument("dataset", required=False)
@click.option("--data", type=click.Path(), metavar="PATH", help="Images: a folder or a file.")
@click.option("-o", "--output", type=click.Path(), metavar="FOLDER", help="Where the run goes.")
@click.option("--resume", type=click.Path(), metavar="FOLDER", help="Go on with a run.")
@click.option("--config", type=click.Path(), metavar="TOML", help="Settings; flags win over it.")
@setting_options
@click.option(
    "--device", default="auto", metavar="NAME", help="cpu, cuda or cuda:1; a GPU if there is one."
)
@click.option(
    "--deterministic", is_flag=True, help="On a GPU too, the same bits from the same seed; slower."
)
@max_minutes
@click.option("--quiet", is_flag=True, help="No messages.")
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
    """Train a reference VAE on DATASET: mnist, sprites, dsprites, celeba, yale, folder or array.

    Without DATASET the layout of --data is recognised. Network, latents, epochs and lr start from
    appendix D for that data set. The folder gets config.json, model.safetensors and history.csv,
    a row for every epoch; dindic encode, traverse and score go on from there. Ctrl-C and
    --max-minutes stop at a checkpoint.

    \b
    Examples:
      dindic train sprites --epochs 1 -o runs/sprites
      dindic train mnist --data mnist/ --noise learned --beta 10 --latents 128 -o runs/b10
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
                raise click.UsageError("a run that is resumed knows its data set and settings")
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
        raise ValueError(f"{path}, which the run was trained on, is not there: add --data PATH")
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
                say=(lambda line: click.echo(line, err=True)) if show else None,
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
            click.echo(f"{stop}; go on with: dindic train --resume {folder}", err=True)
        raise click.exceptions.Exit(128 + stop.signal) from stop
    if show:
        click.echo(f"written: {folder}\nnext: dindic encode {folder} -o encodings.npz", err=True)


def _first() -> bool:
    """Return whether this is the process that speaks, of those that torchrun started."""
    import os

    return os.environ.get("RANK", "0") == "0"
