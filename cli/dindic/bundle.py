"""dindic bundle: store a trained model in half precision, with its provenance."""

from pathlib import Path

import click

from dindic.exits import bad_input, failing_output
from dindic.options import images_option, quiet_option
from dindic.output import say_written


@click.command()
@click.argument("run", type=click.Path())
@click.argument("name")
@click.option(
    "--data", type=click.Path(), metavar="PATH", help="Images, if the training data have moved."
)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(),
    metavar="FOLDER",
    help="Output folder; the model goes into FOLDER/NAME.",
)
@images_option(10_000, "Number of test images for the indicators.", least=2)
@click.option(
    "--made-with",
    metavar="TEXT",
    help="Command that trained it, for the provenance.  [default: from its settings]",
)
@quiet_option
def bundle(
    run: str,
    name: str,
    data: str | None,
    output: str,
    images: int,
    made_with: str | None,
    quiet: bool,
) -> None:
    """Store a trained model in half precision.

    The output is FOLDER/NAME, with the weights and the provenance of the model.
    RUN is a folder of dindic train, or models/NAME of dindic study. The command refuses a model
    that half precision would change: any indicator of the test images by more than 1%, or a count.
    provenance.json gets device, epochs, seed, data hash, indicators, and hashes of both files,
    which are checked whenever the model is loaded.

    \b
    Examples:
      dindic bundle runs/b10 beta10 -o candidates/
      dindic bundle study/models/learned_beta_10 beta10 --data mnist/ -o candidates/
      dindic bundle runs/sprites sprites_beta4 -o candidates/ --made-with "make study-gpu"
    """
    with bad_input():
        from dindic_models import bundled
        from dindic_models.checkpoint import read_config
        from dindic_models.data import open_data

        if not (Path(run) / "config.json").is_file():
            raise ValueError(f"{run} is not a run: it has no config.json")
        if Path(name).name != name or name in ("", ".", ".."):
            raise ValueError(f"NAME must be the name of a folder; it is {name!r}")
        config, shape, about = read_config(Path(run))
        path = data or about.get("path")
        if path is not None and not Path(path).exists():
            raise ValueError(f"{path}, the training data of the run, is missing: add --data PATH")
        images_of = open_data(path, dataset=config.dataset)
        with failing_output():
            Path(output).mkdir(parents=True, exist_ok=True)
            folder = bundled.bundle(
                run,
                name,
                images_of,
                made_with=made_with or bundled.training_command(config, shape),
                images=images,
                folder=Path(output),
            )
    say_written(folder, quiet)
