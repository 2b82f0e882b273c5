"""The pictures of a page, each with its caption; those that a result has not are left out."""

from collections.abc import Callable
from typing import Any, NamedTuple

from disentangle_indicators import plots
from disentangle_indicators._errors import Undefined
from disentangle_indicators._result import Result
from disentangle_indicators._scorecard_result import Scorecard
from disentangle_indicators._sections import is_large
from disentangle_indicators.comparison import Comparison, Sweep
from disentangle_indicators.plots._style import figure_of
from disentangle_indicators.report._svg import inline

MOST = {plots.marginals: 6, plots.correlation: 24, plots.matrix: 24}
"""Latents in the pictures that grow with their number."""


class Picture(NamedTuple):
    """A picture of a page: how it is drawn, its title, and how to read it."""

    draw: Callable[..., Any]
    title: str
    reading: str


CARD = (
    Picture(
        plots.pulse,
        "Information and second moment of each latent",
        "Upper half: the information that a sample of the latent carries about x, in nats. "
        "Lower half: S, the second moment of q(z_h), which is 1 for the prior.",
    ),
    Picture(
        plots.information,
        "Latents by information",
        "Columns are latents, the most informative first. The line is their cumulative share. "
        "Dashed lines are the thresholds of used and of weak latents.",
    ),
    Picture(
        plots.variances,
        "Two variances of each latent",
        "Upper left: unused. Lower right: near-deterministic. Near the dashed line the two "
        "variances add up to 1, the variance of the prior.",
    ),
    Picture(
        plots.marginals,
        "Aggregated posterior of the most informative latents",
        "A latent whose blue curve leaves the dashed one is not N(0, 1) by itself. Latents can "
        "depend on each other although every curve is that of the prior.",
    ),
    Picture(
        plots.brackets,
        "Ranges of the joint quantities",
        "A bar is what these rows leave open about the population. A long bar asks for more rows.",
    ),
    Picture(
        plots.correlation,
        "Correlation of latents",
        "Squares are correlations under q(z). Latents without correlation can still depend on "
        "each other.",
    ),
    Picture(
        plots.matrix,
        "Latents and factors",
        "One dark cell in each row and column means that each latent follows one factor.",
    ),
)
"""The pictures of a scorecard, in the order of the page."""


ENCODERS = (
    Picture(
        plots.rate,
        "Rate and distance from the prior of each encoder",
        "Circles are the rate, Definition 1. Squares are an upper bound of I(x; z), Definition 2. "
        "Lines are what is known of KL(q(z) || p). The numbers above count used latents.",
    ),
)
"""The pictures of a comparison."""


SETTINGS = (
    Picture(
        plots.settings,
        "Rate, information and used latents against the setting",
        "Points are averages over the encoders of one setting, bars two standard errors. The dotted "
        "line is a candidate of an elbow.",
    ),
    Picture(
        plots.rate_distortion,
        "Rate against distortion",
        "Each point is a setting. The rate is Definition 1; the distortion is that of the metadata.",
    ),
)
"""The pictures of a sweep."""


ONE = {
    plots.violin: Picture(
        plots.violin,
        "Scores under random rotations",
        "A violin is the scores of random rotations of the code. A score within its violin is luck.",
    ),
    plots.pairs: Picture(
        plots.pairs,
        "Pairs of latents that were turned",
        "Gains are total correlation that the best angle removes, costs what the worst angle adds.",
    ),
    plots.matching: Picture(
        plots.matching,
        "Directions that each two encoders share",
        "Numbers are shared directions. Encoders on one branch of the tree span the same space.",
    ),
    plots.dimensions: Picture(
        plots.dimensions,
        "Intrinsic dimension beside the used latents",
        "The control is as many independent Gaussians and rows. Means below their control fill "
        "fewer dimensions than there are used latents.",
    ),
}
"""Pictures of results that have one, by how they are drawn."""


def pictures(result: Result) -> list[tuple[str, str]]:
    """Return the pictures of a result: each as SVG, with its caption as text."""
    kind = type(result)
    if isinstance(result, Scorecard):
        wanted: tuple[Picture, ...] = CARD
    elif isinstance(result, Comparison):
        wanted = ENCODERS
    elif isinstance(result, Sweep):
        wanted = SETTINGS
    elif kind in plots.DRAWN:
        own = {picture.draw: picture for picture in CARD} | ONE
        drawn = plots.DRAWN[kind]
        wanted = (own.get(drawn) or Picture(drawn, drawn.__name__.capitalize(), ""),)
    else:
        return []
    import matplotlib as mpl

    with mpl.rc_context({"axes.titley": 1.0}):  # not looked for, which takes a tenth of the time
        return _drawn(result, wanted)


def _drawn(result: Result, wanted: tuple[Picture, ...]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for picture in wanted:
        if picture.draw is plots.marginals and not _has_rows(result):
            continue
        size = {"most": MOST[picture.draw]} if picture.draw in MOST else {}
        try:
            ax = picture.draw(result, **size)
        except Undefined:
            continue
        key = f"p{len(found)}"
        svg = inline(figure_of(ax), key, picture.title, picture.reading or picture.title)
        found.append((svg, f"{picture.title}. {picture.reading}".strip()))
    return found


def _has_rows(result: Result) -> bool:
    """Whether the rows are at hand, and few enough to draw from in an instant."""
    encodings = getattr(result, "encodings", None)
    return encodings is not None and not is_large(encodings)
