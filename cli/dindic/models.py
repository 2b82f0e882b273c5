"""dindic models: the trained models that come with the package."""

from typing import Any

import click

from dindic.exits import bad_input
from dindic.options import output_options
from dindic.output import check_outputs, finish


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@output_options(fail_if=False)
def models(names: tuple[str, ...], **options: Any) -> None:
    """List the bundled models.

    With NAME, the command prints how the model was trained, and its indicators. A name does as
    MODEL in all commands: dindic encode beta10 --data mnist/ -o beta10.npz. The images of
    sprites_beta4 are rendered, and need no --data.

    \b
    Examples:
      dindic models
      dindic models beta10
      dindic models beta1 sprites_beta4
      dindic models --json -
    """
    from dindic_models.bundled import listing

    check_outputs(options)
    with bad_input():
        found = listing(names)
    hint = "dindic models NAME prints more about one model; dindic encode NAME -o FILE encodes with it."
    finish(found, options, hint="" if names else hint)
