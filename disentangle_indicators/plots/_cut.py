"""Axes that are cut from others."""

from typing import TYPE_CHECKING, Any

from disentangle_indicators.plots._style import figure_of, points_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.transforms import Bbox


def cut(
    ax: "Axes", below: float, bottom: float, height: float, sharex: "Axes | None" = None
) -> "Axes":
    """Cut axes from others, above a strip of so many points, as shares of the rest."""
    from matplotlib.transforms import Bbox

    def place(inset: Any, renderer: Any) -> "Bbox":  # at each drawing, after the layout
        figure = ax.get_figure()
        assert figure is not None
        whole = ax.get_position()
        points = 72 * figure.bbox.height / figure_of(ax).dpi
        strip = min(below / points, 0.9 * whole.height)
        rest = whole.height - strip
        return Bbox.from_bounds(
            whole.x0, whole.y0 + strip + bottom * rest, whole.width, height * rest
        )

    inset = ax.inset_axes((0.0, bottom, 1.0, height), sharex=sharex)
    inset.set_axes_locator(place)
    return inset


def panel(
    ax: "Axes", below: float, place: tuple[int, int], grid: tuple[int, int], gap: float = 30.0
) -> tuple[float, float, float, float]:
    """Return the place of a panel of a grid inside of axes, above a strip of so many points.

    Parameters
    ----------
    below : float
        Points of the strip along the lower edge.
    place, grid : (int, int)
        Row and column of the panel, and how many there are.
    gap : float
        Points between rows, for titles and numbers.

    Returns
    -------
    left, bottom, width, height : float
        Shares of the axes.
    """
    (row, column), (rows, columns) = place, grid
    high = points_of(ax)[1]
    strip, gap = below / high, gap / high
    each = (1 - strip) / rows
    bottom = strip + (rows - 1 - row) * each
    inner = 0.06 / columns
    width = 1 / columns - inner
    return column / columns + inner / 2, bottom, width, max(each - gap, 0.2 * each)
