"""dindic audit: supervised scores of an encodings file under rotations of its latents."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dindic.options import (
    SCALES,
    BadInput,
    GateFailed,
    bad_input,
    encoding_options,
    failed_gates,
    failing_output,
    reading,
    say_notes,
)
from dindic.output import check_outputs, emit, output_options, progress

if TYPE_CHECKING:
    from disentangle_indicators.rotation import Audits


@click.command()
@click.argument("file", required=False, metavar="FILE", type=click.Path())
@encoding_options
@click.option(
    "--metrics",
    default="higgins,mig,sap",
    show_default=True,
    metavar="all|A,B,...",
    help="Metrics of the code and the factors; dindic metrics lists them.",
)
@click.option(
    "--rotations",
    type=click.IntRange(min=2),
    default=199,
    show_default=True,
    help="Random rotations.",
)
@click.option(
    "--subspace",
    type=click.Choice(["used", "all"]),
    default="used",
    show_default=True,
    help="Latents that are rotated; the others are dropped.",
)
@click.option("--threshold", default=0.5, show_default=True, help="Nats of a used latent.")
@click.option(
    "--search/--no-search",
    default=True,
    show_default=True,
    help="Look for the best and the worst orientation.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Of the rotations, the halves of the rows, and the metrics.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes; they change no number.",
)
@output_options("a row per metric", "violins")
def audit(file: str | None, quiet: bool, **options: Any) -> None:
    """Audit scores by rotating the latents: whether other axes would do as well, or better.

    FILE holds posterior means, variances (which say what latents are used) and factors.

    \b
    Examples:
      dindic audit encodings.npz --metrics mig --plot audit.png
      dindic audit encodings.npz --metrics mig,sap --workers 2 --json audit.json
      dindic audit encodings.npz --metrics all --rotations 19 --no-search
      dindic audit encodings.npz --metrics sap --no-search --fail-if 'audits.sap.score < 1e-6'
    """
    read = reading(options)
    named = [read[name] for name in ("mean", *SCALES, "factors", "labels")]
    check_outputs(options, [file, *named])
    if (file is None) == (read["mean"] is None):
        raise click.UsageError("give either FILE, or --mean A.npy with --factors B.npy")
    metrics = _metrics(options["metrics"])
    with bad_input():
        result = _audits(file, metrics, read, options, quiet)
    failed = failed_gates([result.to_dict()], options["fail_if"])
    with failing_output():
        emit(result, options, quiet, lambda path: _draw(result, path))
    if failed:
        raise GateFailed("\n".join(failed))


def _draw(result: "Audits", path: str) -> Path:
    from disentangle_indicators.rotation._plots import save_violin

    return save_violin(result.audits, path)


def _metrics(words: str) -> list[str]:
    """Return all metrics, or the names between the commas; refuse those that are no metric."""
    from disentangle_indicators.supervised import METRICS, find

    if words.strip() == "all":
        return list(METRICS)
    names = list(dict.fromkeys(word.strip() for word in words.split(",") if word.strip()))
    if not names:
        raise BadInput(f"--metrics names no metric; there is {', '.join(METRICS)}")
    with bad_input():
        for name in names:
            find(name)
    return names


def _long(metrics: list[str]) -> tuple[str, ...]:
    """Say which metrics take long, as they are computed anew for each rotation."""
    from disentangle_indicators.supervised import find

    notes = []
    for name in metrics:
        metric, protocol = find(name)
        less = "for each rotation; --no-search and fewer --rotations take less"
        if protocol in metric.slow:
            notes.append(f"{name} takes minutes {less}")
        elif protocol in metric.refits:
            notes.append(f"{name} fits anew {less}")
    return tuple(notes)


def _audits(
    path: str | None,
    metrics: list[str],
    read: dict[str, Any],
    options: dict[str, Any],
    quiet: bool,
) -> "Audits":
    from disentangle_indicators import read_encodings
    from disentangle_indicators.rotation import Audits, audit_rotations

    encoded = read_encodings(path, **read)
    if encoded.factors is None:
        raise BadInput(
            f"{encoded.path}: there are no ground-truth factors; give --factors KEY for an array "
            "of the file, or --factors FILE.npy with one row per sample and one column per factor"
        )
    if not quiet:
        say_notes((*encoded.notes, *_long(metrics)))
    audits = {
        name: audit_rotations(
            name,
            encoded.mean,
            encoded.factors,
            var=encoded.var,
            latents=options["subspace"],
            rotations=options["rotations"],
            search=options["search"],
            rng=options["seed"],
            workers=options["workers"],
            threshold=options["threshold"],
            progress=None if quiet else progress,
        )
        for name in metrics
    }
    return Audits(str(encoded.path), encoded.describe(), audits, encoded.notes)
