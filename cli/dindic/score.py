"""dindic score: the verdict, the latents and the indicators of one or more encodings files."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dindic.exits import bad_input
from dindic.inputs import check_factors, check_given, encodings_from, inputs
from dindic.options import (
    Option,
    encoding_options,
    latents_option,
    names,
    output_options,
    seed_option,
    threshold_option,
)
from dindic.output import check_outputs, finish, say_notes, stamped, worded
from dindic.sums import of_sums
from dindic.wording import in_options

if TYPE_CHECKING:
    from disentangle_indicators import Encodings, Scorecard
    from disentangle_indicators._result import Result
    from disentangle_indicators.supervised import MetricOptions

NEEDS = {
    "metrics": ("protocol", "permutations", "codes", "latents"),
    "html": ("model",),
    "model": ("data",),
}
"""Options that have an effect only beside another one."""


@click.command()
@click.argument("files", nargs=-1, metavar="FILE...", type=click.Path())
@encoding_options
@threshold_option
@click.option(
    "--marginals/--no-marginals",
    default=None,
    help="Exact marginals of the aggregated posterior.  [default: on if they take under about "
    "10 s]",
)
@click.option(
    "--joint/--no-joint",
    default=None,
    help="I(x; z), the total correlation and KL(q(z) || p) of all latents, in nats.  [default: "
    "of 4096 random rows where all rows take more than about 10 s]",
)
@click.option(
    "--points",
    type=click.IntRange(min=100),
    default=4096,
    show_default=True,
    metavar="N",
    help="Monte Carlo points of the joint.",
)
@click.option(
    "--certify",
    is_flag=True,
    help="Compute certain bounds of I(x; z), in nats, from all pairs of rows.",
)
@click.option(
    "--covariance/--no-covariance",
    default=None,
    help="Indicators of the covariance of all latents.  [default: on up to 1024 latents]",
)
@click.option(
    "--metrics",
    callback=names,
    metavar="all|A,B,...",
    help="Supervised metrics of codes and factors; dindic metrics lists the names.",
)
@click.option(
    "--protocol",
    metavar="NAME",
    help="Protocol for metrics named without @protocol, as mig@ubisoft.",
)
@click.option(
    "--permutations",
    cls=Option,
    old=["--null"],
    metavar="N",
    type=click.IntRange(min=0),
    default=100,
    show_default=True,
    help="Permutations of the rows for the null of each metric; at most 5 for metrics that refit.",
)
@click.option(
    "--codes",
    type=click.Choice(["mean", "sample"]),
    default="mean",
    show_default=True,
    help="Codes that metrics see: posterior means, or one sample of each posterior.",
)
@latents_option("that metrics see")
@click.option(
    "--theorems/--no-theorems",
    default=None,
    help="One file: which assumptions of the paper's theorems it meets.  [default: on with --html, "
    "if the joint is of all rows]",
)
@click.option(
    "--paired/--no-paired",
    default=None,
    help="Several files: rows are the same inputs.  [default: on if labels, factors or the hash of the data show it]",
)
@click.option(
    "--by",
    metavar="NAME|KEY|FILE",
    help="One file: compare its rows by group, such as a factor, labels or a split.",
)
@click.option(
    "--reference",
    metavar="NAME",
    help="Encoder that others are compared with.  [default: the first]",
)
@click.option(
    "--state",
    metavar="FILE.npz",
    type=click.Path(dir_okay=False),
    help="One file: write the sums over its rows, for dindic merge to add up.",
)
@click.option(
    "--dask",
    metavar="ADDRESS|local",
    help="One pattern, folder or list of files: sum them up by the workers of this Dask scheduler, "
    "or by processes of this machine.",
)
@click.option(
    "--sort",
    metavar="NAME",
    help="Order of the lines: distance, used, an indicator, or a metric as mig@default.",
)
@click.option(
    "--model",
    metavar="MODEL",
    help="One file: the model that encoded it, as dindic traverse takes it; the page of --html has a "
    "traversal.",
)
@click.option(
    "--data",
    metavar="PATH",
    type=click.Path(),
    help="Images for the traversal.  [default: the model's training data]",
)
@seed_option
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="Threads over blocks of rows and over latents; no number depends on it.",
)
@output_options("latent, or per file for several files", "the pulse plot")
def score(files: tuple[str, ...], **options: Any) -> None:
    """Score encodings: used latents, indicators and metrics.

    FILE contains posterior means and variances: .npz, .safetensors, .pt, .csv, .h5ad, .h5, .zarr,
    .parquet, .mat, a folder or a pattern in quotes; or means alone, with a second file after --var,
    --std, --logvar or --logstd. Several files are compared, and so
    are reports that were saved with --json.

    \b
    Examples:
      dindic score encodings.npz --plot latents.png
      dindic score means.csv --var variances.csv
      dindic score a.npz b.npz --paired
      dindic score a.npz b.npz --sort distance
      dindic score encodings.npz --metrics all --permutations 50
      dindic score encodings.npz --json - --fail-if 'unused > 4'
    """
    check_outputs(options, inputs(files, options))
    _check_pairs_of_options(files, options)
    check_given(files, options)
    metrics = _metrics(options)
    if options["state"] or options["dask"]:
        finish(of_sums(files, options), options)
        return
    if options["by"]:
        finish(_by_group(files[0] if files else None, options, metrics), options)
        return
    opened = [_opened(file, options, several=len(files) > 1) for file in files or (None,)]
    left_out = _joint_left_out(opened, options)
    if options["theorems"] is None:
        options["theorems"] = bool(options["html"]) and len(opened) == 1
    pictures = _traversal(files[0], options) if options["model"] else []
    cards = [_card(each, options, metrics, left_out) for each in opened]
    fresh = [card for card in cards if not isinstance(card, dict)]
    if options.get("sweep"):
        swept = _swept(_side_by_side(cards, options), options)
        finish(swept, options, draw=lambda path: _draw_sweep(swept, path))
        return
    if len(fresh) < len(cards) and (options["plot"] or options["fail_if"]):
        raise click.UsageError("--plot and --fail-if need encodings, not saved reports")
    if len(fresh) > 1 and not options["quiet"]:
        say_notes(_may_be_parts(files, fresh))
    if len(cards) == 1 and not fresh:
        raise click.UsageError("one saved report has nothing to be compared with; give several")
    finish(
        _side_by_side(cards, options) if len(cards) > 1 else fresh[0],
        options,
        gated=fresh,
        draw=lambda path: _draw(fresh, path),
        pictures=pictures,
    )


_SWEEP = [
    click.Option(
        ["--x", "sweep"],
        metavar="NAME",
        help="Setting that encoders are shown against, such as beta: a key of the metadata, a word "
        "before a number in the names of files, or a column of --settings.",
    ),
    click.Option(
        ["--group"],
        metavar="NAME",
        help="What encoders of one setting differ by, such as seed: averages are over its values.",
    ),
    click.Option(
        ["--settings"],
        type=click.Path(dir_okay=False),
        metavar="FILE.csv",
        help="Table of settings, with a column file.",
    ),
]

compare = click.Command(
    "compare",
    params=[*score.params, *_SWEEP],
    callback=score.callback,
    help="""Compare encoders, one line each, as score does with several files.

    With --x, show them against a setting, averaged over seeds.

    \b
    Examples:
      dindic compare a.npz b.npz
      dindic compare a.npz b.npz --sort distance
      dindic compare a.npz b.npz --paired --reference b.npz
      dindic compare a.npz b.npz --x beta --settings runs.csv --plot sweep.png
    """,
    short_help="Compare encoders, one line each.",
)


def _swept(compared: "Result", options: dict[str, Any]) -> "Result":
    """Show encoders against a setting."""
    from disentangle_indicators.comparison import Comparison, sweep

    assert isinstance(compared, Comparison)
    with bad_input():
        return sweep(
            compared, options["sweep"], group=options["group"], settings=options["settings"]
        )


def _draw_sweep(result: "Result", path: str) -> Path:
    from disentangle_indicators.plots import save

    return save(result.plot(), path)


def _by_group(
    file: str | None, options: dict[str, Any], metrics: "MetricOptions | None"
) -> "Result":
    """Compare groups of the rows of one file."""
    from disentangle_indicators.comparison import compare_by
    from disentangle_indicators.encodings import read_column

    encodings = encodings_from(options, file)
    by: Any = options["by"]
    with bad_input(encodings.name):
        named = {"labels", "clusters", *(encodings.factors.names if encodings.factors else ())}
        if by not in named and encodings.path is not None:
            by = read_column(encodings.path, by)
        found = compare_by(
            encodings,
            by,
            reference=options["reference"] or 0,
            sort=options["sort"],
            threshold=options["threshold"],
            marginals=options["marginals"],
            joint=_points(options),
            covariance=options["covariance"],
            metrics=metrics,
            rng=options["seed"],
        )
    reports = tuple(
        r | {"reasons": {name: in_options(text) for name, text in r["reasons"].items()}}
        for r in found.reports
    )
    return replace(found, reports=reports)


def _points(options: dict[str, Any]) -> int | bool | None:
    """Return the points of the joint, False without it, or None to decide by size."""
    points: int = options["points"]
    joint: bool | None = options["joint"]
    return points if joint else joint


def _check_pairs_of_options(files: tuple[str, ...], options: dict[str, Any]) -> None:
    """Refuse options that would have no effect."""
    for name in ("group", "settings"):
        if options.get(name) and not options["sweep"]:
            raise click.UsageError(f"--{name} goes with --x NAME")
    if options.get("sweep") and len(files) < 2:
        raise click.UsageError("--x goes with two files or more")
    if options["by"] and len(files) > 1:
        raise click.UsageError("--by compares the rows of one file; give one")
    several = len(files) > 1 or options["by"]
    for name in ("reference", "sort", "paired"):
        if options[name] is not None and not several:
            raise click.UsageError(
                f"--{name} goes with two files or more: dindic score a.npz b.npz --{name}"
                f"{'' if name == 'paired' else ' NAME'}"
            )
    if options["model"] and (several or not files):
        raise click.UsageError("--model goes with one file")
    if options["theorems"] and several:
        raise click.UsageError("--theorems goes with one file; dindic match compares encoders")
    if options["by"] and options["paired"] is not None:
        raise click.UsageError("--paired goes with several files: groups have other rows")
    given = click.get_current_context().get_parameter_source
    typed = click.core.ParameterSource.COMMANDLINE
    for flag, others in NEEDS.items():
        for name in others:
            if not options[flag] and given(name) is typed:
                raise click.UsageError(f"--{name} goes with --{flag}")
    if options["joint"] is False and given("points") is typed:
        raise click.UsageError("--points does not go with --no-joint")
    if options["joint"] is False and not options["metrics"] and given("seed") is typed:
        raise click.UsageError(
            "--seed goes with the joint or with --metrics; nothing else is drawn"
        )
    if given("points") is typed:
        options["joint"] = True
    for flag in ("joint", "marginals"):
        if options["theorems"] and options[flag] is False and not options["joint"]:
            needs = f"--theorems needs the joint of all rows: leave out --no-{flag}"
            raise click.UsageError(needs)


def _metrics(options: dict[str, Any]) -> "MetricOptions | None":
    if options["metrics"] is None:
        return None
    from disentangle_indicators.supervised import MetricOptions

    with bad_input():
        return MetricOptions(
            options["metrics"], **{name: options[name] for name in NEEDS["metrics"]}
        )


def _opened(
    file: str | None, options: dict[str, Any], *, several: bool
) -> "Encodings | dict[str, Any]":
    """Open a file; a saved report is read."""
    if file is not None and file.lower().endswith(".json"):
        from disentangle_indicators.comparison import saved_report

        with bad_input():
            return saved_report(file)
    from disentangle_indicators.encodings import spread_of_channels

    encodings = encodings_from(options, file, several=several)
    if options["metrics"]:
        check_factors(encodings)
    elif encodings.factors is not None and not options["quiet"]:
        say_notes(encodings.factors.missing_notes, file if several else None)
    if encodings.layout in ("channels", "last") and not options["quiet"]:
        with bad_input(encodings.name):
            say_notes((spread_of_channels(encodings),), file if several else None)
    return encodings


def _joint_left_out(
    opened: "Sequence[Encodings | dict[str, Any]]", options: dict[str, Any]
) -> dict[str, str]:
    """Return why the joints of several encoders are left out, which is decided for all of them."""
    from disentangle_indicators._sections import joint_left_out

    fresh = [each for each in opened if not isinstance(each, dict)]
    if options["joint"] is not None or len(fresh) < 2:
        return {}
    reason = joint_left_out(fresh)
    return {"joint": reason} if reason else {}


def _card(
    encodings: "Encodings | dict[str, Any]",
    options: dict[str, Any],
    metrics: "MetricOptions | None",
    left_out: dict[str, str],
) -> "Scorecard | dict[str, Any]":
    """Score encodings; a saved report is scored already."""
    from disentangle_indicators import score as score_encodings

    if isinstance(encodings, dict):
        return encodings
    with bad_input(encodings.name):
        card = score_encodings(
            encodings,
            threshold=options["threshold"],
            marginals=options["marginals"],
            joint=False if left_out else _points(options),
            certify=options["certify"],
            covariance=options["covariance"],
            metrics=metrics,
            theorems=options["theorems"],
            rng=options["seed"],
        )
    return stamped(worded(card, left_out))


def _side_by_side(cards: list["Scorecard | dict[str, Any]"], options: dict[str, Any]) -> Any:
    from disentangle_indicators.comparison import compare, evidence_of_same_rows

    paired = options["paired"]
    if paired is None:
        fresh = [None if isinstance(card, dict) else card.encodings for card in cards]
        rows = [encodings for encodings in fresh if encodings is not None]
        evidence = evidence_of_same_rows(rows) if len(rows) == len(cards) else ""
        paired = bool(evidence)
        if paired and not options["quiet"]:
            note = f"rows are paired by {evidence}; to treat the files as independent samples: "
            say_notes((f"{note}--no-paired",))
    with bad_input():
        return compare(
            cards, paired=paired, reference=options["reference"] or 0, sort=options["sort"]
        )


def _may_be_parts(files: tuple[str, ...], cards: list["Scorecard"]) -> tuple[str, ...]:
    """Ask about files that differ by a number in their names, and by nothing in their columns."""
    from disentangle_indicators.comparison import evidence_of_same_rows

    rows = [card.encodings for card in cards if card.encodings is not None]
    alike = {(each.d, each.mean_key, each.scale_key) for each in rows}
    pattern = _pattern(files)
    if not pattern or len(alike) > 1 or len(cards) < len(files) or evidence_of_same_rows(rows):
        return ()
    note = "every file is taken for an encoder; if they are parts of one data set: dindic score"
    return (f"{note} '{pattern}'",)


def _pattern(files: tuple[str, ...]) -> str:
    """Return the pattern of names that differ by one number, "" where they differ otherwise.

    Examples
    --------
    >>> _pattern(("beta4/part-1.npz", "beta4/part-2.npz"))
    'beta4/part-*.npz'
    """
    pieces = [re.split(r"(\d+)", Path(file).name) for file in files]
    if len({Path(file).parent for file in files}) > 1 or len({len(p) for p in pieces}) > 1:
        return ""
    first = pieces[0]
    apart = [i for i in range(len(first)) if len({p[i] for p in pieces}) > 1]
    if len(apart) != 1 or apart[0] % 2 == 0:
        return ""
    name = "".join("*" if i == apart[0] else piece for i, piece in enumerate(first))
    return str(Path(files[0]).with_name(name))


def _traversal(file: str, options: dict[str, Any]) -> list[tuple[Any, str]]:
    """Return a traversal of the most informative latents of a file, with its caption."""
    from dindic.traverse import for_page

    with bad_input():
        return [for_page(options["model"], file, options["data"])]


def _draw(cards: list["Scorecard"], path: str) -> Path:
    from disentangle_indicators.plots import pulses, save

    return save(pulses(cards), path)
