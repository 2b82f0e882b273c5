"""dindic score: the verdict, the latents and the definitions of one or more encodings files."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dindic.options import (
    SCALES,
    GateFailed,
    bad_input,
    encoding_options,
    failed_gates,
    failing_output,
    metric_options,
    reading,
    say_notes,
    vector,
)
from dindic.output import check_outputs, emit, output_options, progress

if TYPE_CHECKING:
    from disentangle_indicators import Scorecard
    from disentangle_indicators._result import Result
    from disentangle_indicators.encodings import Encodings

_LONG = 30_000_000
"""Numbers in a file above which a progress bar is shown."""


@click.command()
@click.argument("files", nargs=-1, metavar="FILE...", type=click.Path())
@encoding_options
@click.option("--cluster", metavar="KEY|FILE", help="Cluster of each row, for standard errors.")
@click.option("--threshold", default=0.5, show_default=True, help="Nats of a used latent.")
@click.option(
    "--prior-mean",
    callback=vector,
    default="0",
    metavar="NUMBERS",
    help="Mean of the prior: one number, a comma list, .npy.",
)
@click.option(
    "--prior-var",
    callback=vector,
    default="1",
    metavar="NUMBERS",
    help="Variance of the prior, likewise.",
)
@click.option(
    "--marginals/--no-marginals",
    default=None,
    help="Exact marginals of the aggregated posterior  [default: if about ten seconds will do].",
)
@click.option(
    "--joint",
    is_flag=True,
    help="Also I(x; z), total correlation and KL(q(z) || p) of all latents.",
)
@click.option(
    "--points",
    type=click.IntRange(min=100),
    default=4096,
    show_default=True,
    help="Monte Carlo points of --joint.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Seed of what is drawn.",
)
@click.option(
    "--certify", is_flag=True, help="Also certain bounds of I(x; z), from all pairs of rows."
)
@click.option(
    "--metrics",
    metavar="all|A,B,...",
    help="Supervised metrics of the factors; dindic metrics lists them.",
)
@click.option(
    "--protocol", metavar="NAME", help="Of the metrics whose name does not say one (mig@ubisoft)."
)
@click.option(
    "--null",
    type=click.IntRange(min=0),
    default=100,
    show_default=True,
    help="Permutations for the floor of each metric; at most 5 of those that refit.",
)
@metric_options
@click.option(
    "--paired/--no-paired",
    default=None,
    help="Several files: whether the rows are the same inputs  [default: if labels or factors agree].",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Threads over blocks of rows.",
)
@output_options("a row per latent, or per file of several", "the pulse plot")
def score(files: tuple[str, ...], quiet: bool, **options: Any) -> None:
    """Score encodings: which latents are used, and which numbers can be trusted.

    FILE holds posterior means and variances (.npz, .safetensors, .pt, .csv, or .npy pairs with
    --mean and one of --var, --std, --logvar, --logstd). Several files are compared.

    \b
    Examples:
      dindic score encodings.npz --plot latents.png
      dindic score a.npz b.npz --paired
      dindic score encodings.npz --metrics all --null 50
      dindic score encodings.npz --json - --fail-if 'unused > 4'
    """
    read = reading(options)
    named = [read[name] for name in ("mean", *SCALES, "factors", "labels")]
    check_outputs(options, [*files, *named, options["cluster"]])
    given = click.get_current_context().get_parameter_source
    for flag, names in {
        "joint": ("points",),
        "metrics": ("protocol", "null", "codes", "latents", "kinds"),
    }.items():
        for name in names:
            if not options[flag] and given(name) is click.core.ParameterSource.COMMANDLINE:
                raise click.UsageError(f"--{name} goes with --{flag}")
    drawn = options["joint"] or options["metrics"]
    if not drawn and given("seed") is click.core.ParameterSource.COMMANDLINE:
        raise click.UsageError("--seed goes with --joint or --metrics")
    if not files and read["mean"] is None:
        raise click.UsageError("give a FILE, or --mean A.npy with one of --var --std --logvar ...")
    if files and read["mean"] is not None:
        raise click.UsageError("give either FILE or --mean, not both")
    with bad_input():
        result, cards = _score_all(files or (None,), read, options, quiet)
    failed = failed_gates([card.to_dict() for card in cards], options["fail_if"])
    with failing_output():
        emit(result, options, quiet, lambda path: _draw(cards, path))
    if failed:
        raise GateFailed("\n".join(failed))


def _draw(cards: list["Scorecard"], path: str) -> Path:
    from disentangle_indicators.plots import save

    return save(cards, path)


def _score_all(
    paths: tuple[str | None, ...], read: dict[str, Any], options: dict[str, Any], quiet: bool
) -> tuple["Result", list["Scorecard"]]:
    from disentangle_indicators.comparison import compare

    cards, encodings = [], []
    for path in paths:
        try:
            card, encoded = _score_one(path, read, options, quiet, len(paths) > 1)
        except ValueError as error:
            told = path is None or str(error).startswith(str(path))
            raise error if told else ValueError(f"{path}: {error}") from error
        cards.append(card)
        encodings.append(encoded)
    if len(cards) == 1:
        return cards[0], cards
    paired = options["paired"]
    if paired is None:
        paired = _same_rows(encodings)
        if paired and not quiet:
            say_notes(
                ("labels or factors agree, so rows are compared in pairs; else --no-paired",)
            )
    return compare(cards, paired=paired), cards


def _score_one(
    path: str | None, read: dict[str, Any], options: dict[str, Any], quiet: bool, several: bool
) -> tuple["Scorecard", "Encodings"]:
    from disentangle_indicators import read_encodings
    from disentangle_indicators import score as score_encodings

    encoded = read_encodings(path, cluster=options["cluster"], **read)
    card = score_encodings(
        batches=_with_progress(encoded, quiet),
        factors=encoded.factors,
        factor_names=encoded.factor_names or None,
        labels=encoded.labels,
        clusters=encoded.cluster,
        threshold=options["threshold"],
        prior_mean=options["prior_mean"],
        prior_var=options["prior_var"],
        marginals=options["marginals"],
        joint=options["joint"],
        certify=options["certify"],
        metrics=_metrics(options["metrics"]),
        **{name: options[name] for name in ("protocol", "null", "codes", "latents", "kinds")},
        points=options["points"],
        rng=options["seed"],
        threads=options["threads"],
        progress=None if quiet else progress,
        name=str(encoded.path),
        source=encoded.describe(),
        notes=encoded.notes,
    )
    if not quiet:
        say_notes(encoded.notes, path if several else None)
    return card, encoded


def _metrics(words: str | None) -> str | list[str] | None:
    """Return "all", or the names between the commas."""
    if words is None or words.strip() == "all":
        return words and "all"
    return [word.strip() for word in words.split(",") if word.strip()]


def _with_progress(encoded: "Encodings", quiet: bool) -> Callable[[], Iterable[Any]]:
    """Show a bar on stderr while the batches of a large file go by."""
    if quiet or encoded.n * encoded.d < _LONG:
        return encoded.batches

    def batches() -> Iterator[Any]:
        from rich.console import Console
        from rich.progress import Progress

        console = Console(stderr=True)
        if not console.is_terminal:
            yield from encoded.batches()
            return
        with Progress(console=console, transient=True) as bars:
            bar = bars.add_task(Path(encoded.path).name, total=encoded.n)
            for mean, var in encoded.batches():
                yield mean, var
                bars.advance(bar, len(mean))

    return batches


def _same_rows(encodings: list["Encodings"]) -> bool:
    """Whether all files carry the same labels or factors, and these vary: then the rows match."""
    import numpy as np

    first = encodings[0]

    def same(a: Any, b: Any) -> bool:
        return a is not None and np.array_equal(a, b) and bool(np.any(a != a[:1]))

    return all(
        e.n == first.n and (same(e.labels, first.labels) or same(e.factors, first.factors))
        for e in encodings[1:]
    )
