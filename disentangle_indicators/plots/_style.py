"""The look of all pictures: colours, marks, figures and legends.

Colours are told apart with every common colour blindness. Where two of them have nearly the same
grey, a mark, a line or a number tells them apart as well.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from math import ceil
from pathlib import Path
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

MANY = 40
"""Latents above which marks are drawn as pixels, and columns as one shape a state."""

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
    text = title_of(title, points_of(ax)[0])
    ax.set_title(text, fontsize=TITLE, pad=6 + LINE * rows, parse_math=False)
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
    from bisect import bisect_right

    def kept(letters: int) -> str:
        left = (letters + 1) // 2
        return f"{text[:left]}…{text[len(text) - letters + left :]}"

    if _width(text, size) <= points:
        return text
    widths = range(1, len(text))
    return kept(bisect_right(widths, points, key=lambda letters: _width(kept(letters), size)))


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
    from matplotlib.font_manager import FontProperties, findfont, get_font

    font, fine = get_font(findfont(FontProperties())), 16  # so fine that hinting does not count
    font.set_size(size, 72 * fine)
    font.set_text(text)
    return HINTED * float(font.get_width_height()[0]) / 64 / fine  # it counts in 1/64 of a pixel


def _legend_width(labels: list[str], columns: int, size: float) -> float:
    """Return the width in points of a legend: it fills its columns one by one."""
    parts = np.array_split(np.array(labels, dtype=object), columns)
    widths = [max(_width(label, size) for label in part) for part in parts]
    return sum(width + 2.8 * size for width in widths) + 2 * size * (columns - 1)


def named(result: Any, words: str) -> str:
    """Return a title: the name of what was scored, without its folder, and words on it."""
    name = Path(str(getattr(result, "name", ""))).name
    return f"{name}\n{words}" if name else words


def title_of(text: str, points: float, size: float = TITLE) -> str:
    """Return a title in one line if it fits, else with each of its lines shortened."""
    whole = text.replace("\n", ": ")
    if shortened(whole, points, size) == whole:
        return whole
    return "\n".join(shortened(line, points, size) for line in text.split("\n"))


def size_of(d: int) -> float:
    """Return the area of a mark in square points, of so many."""
    return max(8.0, min(36.0, 1200 / d))


def scatter_states(ax: "Axes", x: Any, y: Any, states: Sequence[str]) -> None:
    """Draw latents in the colours and marks of their states; many as pixels in every format."""
    from matplotlib.markers import MarkerStyle

    looks = [STATES[state] for state in states]
    colours = [look.colour for look in looks]
    many = len(looks) > MANY
    dots = ax.scatter(x, y, c=colours, s=size_of(len(looks)), zorder=3, rasterized=many)
    marks = [MarkerStyle(look.mark) for look in looks]
    dots.set_paths([mark.get_path().transformed(mark.get_transform()) for mark in marks])


def squares(ax: "Axes", values: Any, most: float) -> None:
    """Draw a matrix as squares whose area is the size of an entry: full if positive, else open.

    Entries that are nan have no square.
    """
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path as Outline

    corners = 0.5 * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]])
    for sign, look in (
        (1, {"facecolor": BLUE, "edgecolor": "none"}),
        (-1, {"facecolor": "none", "edgecolor": VERMILLION, "lw": 0.9}),
    ):
        rows, columns = np.nonzero(np.nan_to_num(sign * values) > 1e-3 * most)
        if not rows.size:
            continue
        side = 0.92 * np.sqrt(np.abs(values[rows, columns]) / most)
        centres = np.stack([columns, rows], axis=-1)
        outlines = centres[:, None] + side[:, None, None] * corners
        ax.add_patch(PathPatch(Outline.make_compound_path_from_polys(outlines), **look))
    ax.set_xlim(-0.6, values.shape[1] - 0.4)
    ax.set_ylim(values.shape[0] - 0.4, -0.6)
    ax.set_aspect("equal", "box")


def sign_handles(symbol: str, most: float) -> "list[Line2D]":
    """Return a legend handle for positive and for negative squares, and what the widest ones are."""
    from matplotlib.lines import Line2D

    square: dict[str, Any] = {"marker": "s", "ls": "", "ms": 7}
    return [
        Line2D([], [], color=BLUE, label=f"{symbol} > 0", **square),
        Line2D([], [], mfc="none", color=VERMILLION, label=f"{symbol} < 0", **square),
        Line2D([], [], ls="", label=f"a full cell is |{symbol}| = {most:.2f}"),
    ]


def state_handles(states: Iterable[str]) -> "list[Line2D]":
    """Return a legend handle for each state that occurs."""
    from matplotlib.lines import Line2D

    seen = set(states)
    return [
        Line2D([], [], marker=look.mark, ls="", color=look.colour, label=state)
        for state, look in STATES.items()
        if state in seen
    ]
