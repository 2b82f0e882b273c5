"""dindic audit: supervised scores of an encodings file under rotations of its latents."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dindic.exits import bad_input
from dindic.inputs import check_factors, check_given, encodings_from, inputs
from dindic.options import (
    encoding_options,
    latents_option,
    metric_names,
    names,
    output_options,
    rotations_option,
    rows_option,
    seed_option,
    threshold_option,
)
from dindic.output import check_outputs, finish, say_notes

if TYPE_CHECKING:
    from disentangle_indicators import Encodings
    from disentangle_indicators.rotation import Audits


@click.command()
@click.argument("file", required=False, metavar="FILE", type=click.Path())
@encoding_options
@click.option(
    "--metrics",
    callback=names,
    default="higgins,mig,sap",
    show_default=True,
    metavar="all|A,B,...",
    help="Supervised metrics of codes and factors; dindic metrics lists the names.",
)
@rotations_option(199)
@latents_option("to rotate; the others are dropped")
@threshold_option
@rows_option
@click.option(
    "--search/--no-search",
    default=True,
    show_default=True,
    help="Search for the best and the worst orientation.",
)
@seed_option
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="Number of processes; no number depends on it.",
)
@output_options("metric", "violins of the scores")
def audit(file: str | None, **options: Any) -> None:
    """Compare a score with the scores of random rotations.

    FILE contains posterior means, variances and ground-truth factors. The audit prints the p-value
    of each metric among random rotations of the latents, and the best rotation that it finds.

    \b
    Examples:
      dindic audit encodings.npz --metrics mig --plot audit.png
      dindic audit encodings.npz --metrics mig,sap --workers 2 --json audit.json
      dindic audit encodings.npz --metrics all --rotations 19 --no-search
      dindic audit encodings.npz --metrics sap --no-search --fail-if 'audits.sap.score < 1e-6'
    """
    check_outputs(options, inputs([file], options))
    check_given([file], options)
    metrics = metric_names(options["metrics"])
    encodings = encodings_from(options, file)
    check_factors(encodings, labels=False)
    if not options["quiet"]:
        say_notes(_long(metrics))
    with bad_input(encodings.name):
        result = _audits(encodings, metrics, options)
    finish(result, options, draw=lambda path: _draw(result, path))


def _draw(result: "Audits", path: str) -> Path:
    from disentangle_indicators.plots import save, violin

    return save(violin(result), path)


def _long(metrics: list[str]) -> tuple[str, ...]:
    """Return a note for each metric that takes long, because every rotation needs it anew."""
    from disentangle_indicators.supervised import find

    notes = []
    for name in metrics:
        metric, protocol = find(name)
        less = "for each rotation; --no-search and fewer --rotations take less time"
        if protocol in metric.slow:
            notes.append(f"{name} takes minutes {less}")
        elif protocol in metric.refits:
            notes.append(f"{name} is fitted anew {less}")
    return tuple(notes)


def _audits(encodings: "Encodings", metrics: list[str], options: dict[str, Any]) -> "Audits":
    """Audit one metric after the other; one that is undefined here costs a note only."""
    from disentangle_indicators._errors import Undefined
    from disentangle_indicators.rotation import Audits, audit_rotations

    audits, undefined = {}, {}
    for name in metrics:
        try:
            audits[name] = audit_rotations(
                name,
                encodings,
                latents=options["latents"],
                rotations=options["rotations"],
                search=options["search"],
                rng=options["seed"],
                workers=options["workers"],
                threshold=options["threshold"],
                rows=options["rows"],
            )
        except Undefined as reason:
            undefined[name] = reason
    if not audits:
        raise next(iter(undefined.values()))
    provenance = next(iter(audits.values())).provenance
    if provenance is not None:
        parameters = {"metrics": metrics, **provenance.parameters}
        provenance = replace(provenance, parameters=parameters)
    return Audits(
        encodings.name,
        encodings.source,
        {name: replace(audit, provenance=None) for name, audit in audits.items()},
        (*encodings.notes, *(f"{name} has no value: {why}" for name, why in undefined.items())),
        provenance=provenance,
    )
