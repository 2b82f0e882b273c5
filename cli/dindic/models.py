"""dindic models: the trained models that come with the package."""

import click


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--json", "as_json", is_flag=True, help="The provenance as JSON.")
def models(names: tuple[str, ...], as_json: bool) -> None:
    """List the bundled models; with NAME, how one was made and what it measures.

    A name stands for the model wherever a command takes one: dindic encode beta10 --data mnist/ -o
    beta10.npz. The images of sprites_beta4 are rendered, and need no --data.

    \b
    Examples:
      dindic models
      dindic models beta10
      dindic models beta1 sprites_beta4
      dindic models --json
    """
    from dindic.options import bad_input
    from dindic.output import show
    from dindic_models.bundled import listing

    with bad_input():
        found = listing(names)
    if as_json:
        click.echo(found.to_json())
    else:
        show(found)
