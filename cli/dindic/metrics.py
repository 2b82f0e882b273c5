"""dindic metrics: the supervised metrics and their protocols."""

from typing import Any

import click

from dindic.exits import bad_input
from dindic.options import output_options
from dindic.output import check_outputs, finish


@click.command()
@click.argument("names", nargs=-1, metavar="[METRIC]...")
@output_options(fail_if=False)
def metrics(names: tuple[str, ...], **options: Any) -> None:
    """List the supervised metrics and their protocols.

    With METRIC, the command prints the parameters and the source of each protocol.

    \b
    Examples:
      dindic metrics
      dindic metrics mig dci
      dindic metrics --json -
      dindic metrics sap --json sap.json
    """
    from disentangle_indicators.supervised import METRICS, find
    from disentangle_indicators.supervised.listing import Listing

    check_outputs(options)
    with bad_input():
        chosen = [find(name)[0].name for name in names]
    hint = "" if chosen else "dindic metrics METRIC prints the protocols of one metric."
    finish(
        Listing({name: METRICS[name] for name in chosen or METRICS}, bool(chosen)),
        options,
        hint=hint,
    )
