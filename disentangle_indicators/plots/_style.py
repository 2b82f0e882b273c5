"""The look of all pictures: colours, marks, figures and legends.

Colours are told apart with every common colour blindness. Where two of them have nearly the same
grey, a mark, a line or a number tells them apart as well.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from math import ceil
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

BLUE = "#1f77b4"
VERMILLION = "#d55e00"
ORANGE = "#ff9f1c"
BROWN = "#5d4037"
SKY = "#56b4e9"
GREEN = "#009e73"
GREY = "#9aa0a6"
INK = "#202020"

DPI = 150
"""Pixels an inch, on the screen and in files."""

TITLE, SMALL = 11, 8
"""Font sizes in points, of titles and of legends."""

LINE = 13
"""Height in points of a row of a legend."""

HINTED = 1.04
"""By how much letters on whole pixels may be wider than their outlines."""

SIZES, MOST = (SMALL, 7, 6), 0.3
"""Font sizes of a legend inside of axes, and the share of their height that it should not pass."""

WIDENED = 1.1
"""By how much the constrained layout widens axes that are alone in a row."""


class Look(NamedTuple):
    """A colour and a marker of matplotlib."""

    colour: str
    mark: str


STATES = {
    "near-deterministic": Look(VERMILLION, "D"),
    "used": Look(BLUE, "o"),
    "weak": Look(ORANGE, "^"),
    "offset": Look(BROWN, "s"),
    "unused": Look(GREY, "v"),
    "active": Look(BLUE, "o"),
    "inactive": Look(GREY, "v"),
}
"""Looks of the states of latents, in the order of the legend."""

VERDICTS = {
    "better axes": VERMILLION,
    "by shape": BLUE,
    "by variance": SKY,
    "arbitrary": GREY,
    "saturated": ORANGE,
    "undecided": BROWN,
}
"""Colours of the verdicts on pairs of latents."""

FOUND = {"best": Look(GREEN, "^"), "worst": Look(VERMILLION, "v")}
"""Looks of the best and the worst orientation found."""

OWN, NULL = BLUE, GREY
"""Colours of a score and of its null."""


def new_figure(
    width: float, height: float, *, layout: Literal["constrained"] | None = "constrained"
) -> "Figure":
    """Make a figure of a size in inches, outside pyplot, which a notebook shows."""
    from disentangle_indicators.plots._picture import Picture

    return Picture(figsize=(width, height), dpi=DPI, layout=layout)


def new_axes(width: float, height: float) -> "Axes":
    """Make the only axes of a new figure, of a size in inches."""
    return new_figure(width, height).add_subplot()


def figure_of(drawn: "Axes | Figure") -> "Figure":
    """Return the whole figure that an axes or a subfigure belongs to."""
    return drawn.figure.figure


def open_frame(ax: "Axes") -> None:
    """Hide the upper and the right edge."""
    ax.spines[["top", "right"]].set_visible(False)


def legend(
    ax: "Axes", handles: "Sequence[Artist] | None" = None, *, size: float = SMALL, **placed: Any
) -> None:
    """Draw a legend without a frame; of the labelled artists where no handles are given."""
    if handles is None:
        handles, _ = ax.get_legend_handles_labels()
    if handles:
        ax.legend(handles=handles, fontsize=size, frameon=False, **placed).set_in_layout(False)


def head(ax: "Axes", title: str, handles: "Sequence[Artist]") -> None:
    """Write the title and, between it and the axes, a legend in as few rows as the width allows.

    The layout leaves the legend out: one wider than its axes would shrink the axes to nothing.
    """
    rows, columns = _arranged(ax, handles)
    ax.set_title(shortened(title, points_of(ax)[0]), fontsize=TITLE, pad=6 + LINE * rows)
    place: dict[str, Any] = {
        "loc": "lower left",
        "bbox_to_anchor": (0.0, 1.0),
        "borderaxespad": 0.2,
    }
    legend(ax, handles, ncols=columns, **place)


def foot_inside(ax: "Axes", handles: "Sequence[Artist]") -> float:
    """Draw a legend along the lower edge, inside of axes that are cut up; return its height.

    With the legend inside, the picture fits beside others, whatever lays the figure out. In small
    axes its letters are smaller.

    Returns
    -------
    float
        Points.
    """
    for size in SIZES:
        rows, columns = _arranged(ax, handles, size)
        height = LINE * rows * size / SMALL
        if height <= MOST * points_of(ax)[1]:
            break
    place: dict[str, Any] = {"loc": "lower left", "borderaxespad": 0.0, "borderpad": 0.0}
    legend(ax, handles, ncols=columns, size=size, **place)
    return height


def shortened(text: str, points: float, size: float = TITLE) -> str:
    """Return a text that fits a width in points, without letters of its middle if need be."""
    for kept in range(len(text), 1, -1):
        left = (kept + 1) // 2
        short = text if kept == len(text) else f"{text[:left]}…{text[len(text) - kept + left :]}"
        if _width(short, size) <= points:
            return short
    return text[:1]


def _arranged(ax: "Axes", handles: "Sequence[Artist]", size: float = SMALL) -> tuple[int, int]:
    """Return the rows and columns of a legend with as few rows as fit the width of the axes."""
    laid_out = figure_of(ax).get_layout_engine() is not None
    points = points_of(ax)[0] * (WIDENED if laid_out else 1.0)
    labels = [str(handle.get_label()) for handle in handles]
    fit = [c for c in range(1, len(labels) + 1) if _legend_width(labels, c, size) <= points]
    return min(((ceil(len(labels) / c), c) for c in fit), default=(len(labels), 1))


def points_of(ax: "Axes") -> tuple[float, float]:
    """Return the width and the height of axes in points."""
    box = ax.get_window_extent()
    return box.width / figure_of(ax).dpi * 72, box.height / figure_of(ax).dpi * 72


@cache
def _width(text: str, size: float) -> float:
    """Return the width of a text in points."""
    from matplotlib.textpath import TextPath

    # a dollar sign is no formula here
    path = TextPath((0, 0), text.replace("$", "S"), size=size)
    return HINTED * float(path.get_extents().width) if text.strip() else 0.0


def _legend_width(labels: list[str], columns: int, size: float) -> float:
    """Return the width in points of a legend: it fills its columns one by one."""
    parts = np.array_split(np.array(labels, dtype=object), columns)
    widths = [max(_width(label, size) for label in part) for part in parts]
    return sum(width + 2.8 * size for width in widths) + 2 * size * (columns - 1)


def state_handles(states: Iterable[str]) -> "list[Line2D]":
    """Return a legend handle for each state that occurs."""
    from matplotlib.lines import Line2D

    seen = set(states)
    return [
        Line2D([], [], marker=look.mark, ls="", color=look.colour, label=state)
        for state, look in STATES.items()
        if state in seen
    ]
