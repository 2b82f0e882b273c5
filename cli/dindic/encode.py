"""dindic encode: a model and images into an encodings file."""

from pathlib import Path
from typing import Any

import click

from dindic.model_input import model_options, open_model
from dindic.options import BadInput, bad_input, failing_output, say_notes
from dindic.output import progress, say_written


@click.command()
@model_options
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(),
    metavar="FILE",
    help="Where to; .safetensors or .npz.",
)
@click.option(
    "--limit", type=click.IntRange(min=1), metavar="N", help="The first N images of the part."
)
@click.option(
    "--batch",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    help="Images at a time.",
)
@click.option("--quiet", is_flag=True, help="No messages.")
def encode(output: str, limit: int | None, batch: int, quiet: bool, **options: Any) -> None:
    """Encode images with MODEL: posterior means and log variances, for dindic score.

    MODEL is a folder that dindic train made, or a file of weights that others trained, with
    --network. Factors and labels of the images are stored beside their encodings.

    \b
    Examples:
      dindic encode runs/b10 -o encodings.safetensors
      dindic encode runs/b10 --data mnist/ --split train --limit 10000 -o train.npz
      dindic encode model.pt --network burgess --data mnist/ --split test -o x.npz
    """
    if Path(output).suffix.lower() not in (".npz", ".safetensors"):
        raise BadInput(f"{output}: encodings end in .safetensors or .npz")
    with bad_input():
        opened = open_model(options)
        if Path(output).exists() and _is_input(output, [options["model"], options["data"]]):
            raise BadInput(f"{output} would overwrite an input")
        from dindic_models.encode import encode as write

        if not quiet:
            say_notes(opened.notes)
        checkpoint = opened.checkpoint
        with failing_output():
            path = write(
                output,
                checkpoint.model,
                opened.data,
                opened.rows[:limit],
                metadata=_about(opened, options),
                batch=batch,
                device=opened.device,
                progress=None if quiet else progress,
            )
    if not quiet:
        say_written(path, quiet)
        click.echo(f"next: dindic score {path}", err=True)


def _is_input(output: str, inputs: list[str | None]) -> bool:
    return any(path and Path(path).exists() and Path(path).samefile(output) for path in inputs)


def _about(opened: Any, options: dict[str, Any]) -> dict[str, str]:
    """Say which model, by its hash, and which images; no path."""
    checkpoint = opened.checkpoint
    about = {"model": checkpoint.sha256, "images": opened.notes[-1]}
    if checkpoint.config is None:
        return about | {"network": str(options["network"])}
    config = checkpoint.config
    names = ("network", "noise", "beta", "latents", "epochs", "seed", "split", "split_seed")
    about |= {name: str(getattr(config, name)) for name in names}
    return about | {"sigma2": f"{float(checkpoint.model.noise.variance().detach()):.6g}"}
