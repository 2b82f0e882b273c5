"""dindic check: a claimed score, under every protocol."""

from dataclasses import replace
from typing import Any

import click

from dindic.exits import bad_input
from dindic.inputs import check_factors, check_given, encodings_from, inputs
from dindic.options import encoding_options, output_options, seed_option, threshold_option
from dindic.output import check_outputs, finish


@click.command()
@click.argument("file", required=False, metavar="FILE", type=click.Path())
@encoding_options
@click.option(
    "--metric",
    required=True,
    metavar="NAME",
    help="Metric, such as mig, or mig@ubisoft for one protocol; dindic metrics lists the names.",
)
@click.option("--claimed", type=float, metavar="NUMBER", help="Score to be reached.")
@threshold_option
@click.option("--slow", is_flag=True, help="Include protocols that take minutes.")
@seed_option
@output_options("protocol, codes and latents")
def check(file: str | None, **options: Any) -> None:
    """Compute a claimed score under every protocol of its metric.

    Toolkits give different numbers for the same encodings. This command prints the score of every
    protocol, for means and samples, for used and all latents, and counts those that reach the
    claimed score.

    \b
    Examples:
      dindic check encodings.npz --factors factors.npy --metric mig --claimed .30
      dindic check encodings.npz --metric sap
      dindic check encodings.npz --metric dcimig --claimed .10 --json check.json
    """
    check_outputs(options, inputs([file], options))
    check_given([file], options)
    from disentangle_indicators.supervised import check_claim, find

    with bad_input():
        metric, protocol = find(options["metric"])
    if "@" in options["metric"]:
        metric = replace(metric, protocols={protocol: metric.protocols[protocol]}, slow=())
    encodings = encodings_from(options, file)
    check_factors(encodings)
    with bad_input(encodings.name):
        result = check_claim(
            metric,
            encodings,
            claimed=options["claimed"],
            threshold=options["threshold"],
            slow=options["slow"],
            rng=options["seed"],
        )
    finish(result, options)
