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
    "--limit", type=click.IntRange(min=1), metavar="N", help="N images of the part, at random."
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

    MODEL is a folder that dindic train made, the name of a bundled model (dindic models), or a file
    of weights that others trained, with --network. Factors and labels of the images are stored beside their encodings.

    \b
    Examples:
      dindic encode runs/b10 -o encodings.safetensors
      dindic encode sprites_beta4 --limit 10000 -o sprites.npz
      dindic encode runs/b10 --data mnist/ --split train --limit 10000 -o train.npz
      dindic encode model.pt --network burgess --data mnist/ --split test -o x.npz
    """
    if Path(output).suffix.lower() not in (".npz", ".safetensors"):
        raise BadInput(f"{output}: encodings end in .safetensors or .npz")
    with bad_input():
        opened = open_model(options)
        if Path(output).exists() and _is_input(output, [options["model"], options["data"]]):
            raise BadInput(f"{output} would overwrite an input")
        from dindic_models.data import some
        from dindic_models.encode import encode as write

        rows, words = opened.rows, opened.notes[-1]
        if limit is not None and limit < len(rows):
            rows, words = some(rows, limit, seed=0), f"{limit} images, at random, of: {words}"
        if not quiet:
            say_notes((*opened.notes[:-1], words))
        checkpoint = opened.checkpoint
        with failing_output():
            path = write(
                output,
                checkpoint.model,
                opened.data,
                rows,
                metadata=_about(checkpoint, options["network"], words),
                batch=batch,
                device=opened.device,
                progress=None if quiet else progress,
            )
    if not quiet:
        say_written(path, quiet)
        click.echo(f"next: dindic score {path}", err=True)


def _is_input(output: str, inputs: list[str | None]) -> bool:
    return any(path and Path(path).exists() and Path(path).samefile(output) for path in inputs)


def _about(checkpoint: Any, network: str | None, words: str) -> dict[str, str]:
    """Say which model, by its hash, and which images; no path."""
    about = {"model": checkpoint.sha256, "images": words}
    if checkpoint.config is None:
        return about | {"network": str(network)}
    config = checkpoint.config
    names = ("network", "noise", "beta", "latents", "seed", "split", "split_seed")
    about |= {name: str(getattr(config, name)) for name in names} | {"step": str(checkpoint.step)}
    return about | {"sigma2": f"{float(checkpoint.model.noise.variance().detach()):.6g}"}
