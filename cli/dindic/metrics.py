"""dindic metrics: the supervised metrics and their protocols."""

import click


@click.command()
@click.argument("names", nargs=-1, metavar="[METRIC]...")
@click.option(
    "--json", "as_json", is_flag=True, help="All metrics, protocols and parameters as JSON."
)
def metrics(names: tuple[str, ...], as_json: bool) -> None:
    """List the supervised metrics; with METRIC, its protocols, their parameters and sources.

    \b
    Examples:
      dindic metrics
      dindic metrics mig dci
      dindic metrics --json
      dindic metrics sap --json
    """
    import json

    from dindic.options import bad_input
    from dindic.output import show
    from disentangle_indicators.supervised import METRICS, find
    from disentangle_indicators.supervised.listing import Listing

    with bad_input():
        chosen = [find(name)[0].name for name in names]
    listing = Listing({name: METRICS[name] for name in chosen or METRICS}, bool(chosen))
    if as_json:
        click.echo(json.dumps(listing.to_dict(), indent=2))
    else:
        show(listing)
