"""dindic check: a claimed score, under every protocol."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from dindic.options import (
    SCALES,
    GateFailed,
    bad_input,
    encoding_options,
    failed_gates,
    failing_output,
    kinds_option,
    reading,
    say_notes,
)
from dindic.output import FORMS, check_outputs, emit, output_options, progress


@click.command()
@click.argument("file", required=False, metavar="[FILE]", type=click.Path())
@encoding_options
@click.option("--codes", type=click.Path(), metavar="FILE", help="In place of FILE.")
@click.option(
    "--metric",
    required=True,
    metavar="NAME",
    help="Such as mig, or mig@ubisoft for one protocol; dindic metrics lists them.",
)
@click.option("--claimed", type=float, metavar="NUMBER", help="The score that was claimed.")
@click.option("--threshold", default=0.5, show_default=True, help="Nats of a used latent.")
@kinds_option
@click.option("--slow", is_flag=True, help="Also protocols that take minutes.")
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Of samples, halves and metrics.",
)
@output_options("a row per way to compute it", None)
def check(file: str | None, codes: str | None, quiet: bool, **options: Any) -> None:
    """Check a claimed score: every protocol, of means and samples, of used and all latents.

    One encoding gives different numbers in different toolkits. This prints all of them, and which
    reach the claim.

    \b
    Examples:
      dindic check --codes encodings.npz --factors factors.npy --metric mig --claimed .30
      dindic check encodings.npz --metric sap
      dindic check encodings.npz --metric dcimig --claimed .10 --json check.json
    """
    read = reading(options)
    if file and codes:
        raise click.UsageError("give FILE or --codes, not both")
    file = file or codes
    if (file is None) == (read["mean"] is None):
        raise click.UsageError("give --codes FILE, or --mean A.npy, with --factors B.npy")
    check_outputs(options, [file, *(read[name] for name in ("mean", *SCALES, "factors"))])
    from disentangle_indicators import read_encodings
    from disentangle_indicators.supervised import check_claim, find

    with bad_input():
        metric, protocol = find(options["metric"])
        if "@" in options["metric"]:
            metric = replace(metric, protocols={protocol: metric.protocols[protocol]}, slow=())
        encoded = read_encodings(file, **read)
        if encoded.factors is None:
            raise ValueError(f"{encoded.path}: there are no ground-truth factors; give --factors")
        result = check_claim(
            metric,
            encoded.mean,
            encoded.factors,
            claimed=options["claimed"],
            var=encoded.var,
            kinds=options["kinds"],
            factor_names=encoded.factor_names or None,
            threshold=options["threshold"],
            slow=options["slow"],
            rng=options["seed"],
            progress=None if quiet else progress,
        )
    if not quiet:
        say_notes(encoded.notes)
    failed = failed_gates([{"name": str(encoded.path), **result.to_dict()}], options["fail_if"])
    with failing_output():
        if not quiet and "-" not in (options[form] for form in FORMS):
            click.echo(f"{encoded.path}\n{encoded.describe()}")
        emit(result, options, quiet, Path)
    if failed:
        raise GateFailed("\n".join(failed))
