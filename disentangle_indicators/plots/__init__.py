"""Pictures of results.

Each function takes a result, and an axes or none, and returns the axes that it drew on;
:func:`pulses` draws several results into one figure. :func:`draw` draws the picture that belongs to
a result, as ``result.plot()`` does. :func:`save` writes a picture to a file.
"""

from base64 import b64encode
from collections.abc import Callable
from typing import TYPE_CHECKING

from disentangle_indicators._errors import Undefined
from disentangle_indicators._indicators_result import Indicators
from disentangle_indicators._means_result import MeansOnly
from disentangle_indicators._result import Result
from disentangle_indicators._scorecard_result import Scorecard
from disentangle_indicators.aggregate import Density, Joint
from disentangle_indicators.comparison import Comparison, Match, Sweep
from disentangle_indicators.plots._save import save
from disentangle_indicators.plots._style import figure_of
from disentangle_indicators.plots.aggregate import brackets, correlation, marginal, marginals
from disentangle_indicators.plots.comparison import rate
from disentangle_indicators.plots.encoders import matching
from disentangle_indicators.plots.factors import matrix
from disentangle_indicators.plots.information import information, variances
from disentangle_indicators.plots.latents import pulse, pulses
from disentangle_indicators.plots.rotation import pairs, violin
from disentangle_indicators.plots.sweeps import rate_distortion, settings
from disentangle_indicators.plots.theorems import dimensions
from disentangle_indicators.plots.training import training
from disentangle_indicators.rotation import Audit, Audits
from disentangle_indicators.rotation import Axes as PreferredAxes
from disentangle_indicators.supervised import MetricScore, Scores
from disentangle_indicators.theorems import Theorems

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "PLOTS",
    "brackets",
    "correlation",
    "dimensions",
    "draw",
    "information",
    "marginal",
    "marginals",
    "matching",
    "matrix",
    "pairs",
    "pulse",
    "pulses",
    "rate",
    "rate_distortion",
    "save",
    "settings",
    "training",
    "variances",
    "violin",
]

PLOTS: "dict[str, Callable[..., Axes]]" = {
    "pulse": pulse,
    "information": information,
    "variances": variances,
    "marginals": marginals,
    "marginal": marginal,
    "brackets": brackets,
    "correlation": correlation,
    "matrix": matrix,
    "violin": violin,
    "pairs": pairs,
    "matching": matching,
    "dimensions": dimensions,
    "rate": rate,
    "settings": settings,
    "rate_distortion": rate_distortion,
    "training": training,
}
"""All pictures of one result, by name: functions of ``(result, ax=None)`` that return axes."""

DRAWN: "dict[type[Result], Callable[..., Axes]]" = {
    Scorecard: pulse,
    Indicators: pulse,
    MeansOnly: pulse,
    Density: marginal,
    Audit: violin,
    Audits: violin,
    PreferredAxes: pairs,
    Match: matching,
    Joint: brackets,
    Scores: matrix,
    MetricScore: matrix,
    Comparison: rate,
    Sweep: settings,
    Theorems: dimensions,
}
"""The picture that belongs to a result, by the class of the result."""


def draw(result: Result) -> "Figure":
    """Draw the picture that belongs to a result, in a figure of its own that a notebook shows.

    Parameters
    ----------
    result : Result
        Of a class in ``DRAWN``.

    Returns
    -------
    matplotlib figure

    Raises
    ------
    ValueError
        If there is no picture of such a result.
    Undefined
        If this result has nothing that could be drawn.

    Examples
    --------
    >>> import numpy as np
    >>> from disentangle_indicators import score
    >>> draw(score(np.array([[1.0], [-1.0]]), var=np.full((2, 1), 0.5)))
    <Picture size 900x675 with 1 Axes>
    """
    if type(result) not in DRAWN:
        known = ", ".join(kind.__name__ for kind in DRAWN)
        raise ValueError(f"there is no picture of {type(result).__name__}; there is of {known}")
    return figure_of(DRAWN[type(result)](result))


def as_html(result: Result) -> str:
    """Return the picture that belongs to a result as HTML, "" if there is none."""
    if type(result) not in DRAWN:
        return ""
    from disentangle_indicators.plots._picture import png

    try:
        figure = draw(result)
    except Undefined:  # a collapsed encoder, say, has no dimension
        return ""
    content = b64encode(png(figure)).decode()
    width = 96 * figure.get_figwidth()  # HTML has 96 pixels an inch
    return (
        f'<img alt="{DRAWN[type(result)].__name__} plot" width="{width:.0f}" '
        f'src="data:image/png;base64,{content}" />'
    )
