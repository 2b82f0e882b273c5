"""dindic axes: which axes a code prefers, without labels."""

from typing import Any

import click

from dindic.options import (
    SCALES,
    GateFailed,
    bad_input,
    encoding_options,
    failed_gates,
    failing_output,
    reading,
    say_notes,
    vector,
)
from dindic.output import FORMS, check_outputs, emit, output_options, progress


@click.command()
@click.argument("file", required=False, metavar="FILE", type=click.Path())
@encoding_options
@click.option(
    "--prior-mean", callback=vector, default="0", metavar="NUMBERS", help="Mean of the prior."
)
@click.option(
    "--prior-var", callback=vector, default="1", metavar="NUMBERS", help="Variance of the prior."
)
@click.option(
    "--subspace",
    type=click.Choice(["used", "all"]),
    default="used",
    show_default=True,
    help="Latents to rotate.",
)
@click.option("--threshold", default=0.5, show_default=True, help="Nats of a used latent.")
@click.option(
    "--nulls",
    type=click.IntRange(min=1),
    default=19,
    show_default=True,
    help="Gaussian codes that each pair is compared with.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Seed of the halves and of the Gaussian codes.",
)
@output_options("a row per pair", "the pairs")
def axes(file: str | None, quiet: bool, **options: Any) -> None:
    """Say whether the axes of a code are arbitrary, preferred, or to be turned: without labels.

    A rotation of the latents changes their total correlation by exactly what it changes the sum of
    their marginal entropies, which are computed, pair by pair.

    \b
    Examples:
      dindic axes encodings.npz
      dindic axes encodings.npz --subspace all --nulls 39
      dindic axes encodings.npz --json axes.json --plot axes.png
    """
    read = reading(options)
    if (file is None) == (read["mean"] is None):
        raise click.UsageError("give FILE, or --mean A.npy with one of --var --std --logvar ...")
    named = [read[name] for name in ("mean", *SCALES, "factors", "labels")]
    check_outputs(options, [file, *named])
    from disentangle_indicators import read_encodings
    from disentangle_indicators.rotation import axes as find_axes
    from disentangle_indicators.rotation._plots import save_pairs
    from disentangle_indicators.scorecard import gather

    with bad_input():
        encoded = read_encodings(file, **read)
        if not encoded.scale:
            raise ValueError(f"{encoded.path}: axes need the posterior variances")
        mean, var = gather(encoded.batches, options["prior_mean"], options["prior_var"])
        result = find_axes(
            mean,
            var,
            rng=options["seed"],
            latents=options["subspace"],
            threshold=options["threshold"],
            null_codes=options["nulls"],
            progress=None if quiet else progress,
        )
    if not quiet:
        say_notes(encoded.notes)
    failed = failed_gates([{"name": str(encoded.path), **result.to_dict()}], options["fail_if"])
    with failing_output():
        if not quiet and "-" not in (options[form] for form in FORMS):
            click.echo(f"{encoded.path}\n{encoded.describe()}")
        emit(result, options, quiet, lambda path: save_pairs(result, path))
    if failed:
        raise GateFailed("\n".join(failed))
