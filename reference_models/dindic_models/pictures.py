"""Pictures of traversals and reconstructions: mosaics of whole pixels, that stay sharp.

Each block is one image of matplotlib, in axes of a whole number of screen pixels for each of its
own; images of many pixels are shrunk by averaging.
"""

from collections.abc import Iterable, Sequence
from math import ceil, log
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dindic_models.mosaics import (
    Floats,
    Pixels,
    beside,
    enlargement,
    gap_of,
    rgb,
    shrunk,
    tiled,
    unit,
)
from disentangle_indicators.plots._style import DPI, INK, legend, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from dindic_models.traverse import Memberships, Reconstructions

_FONT = 8.0
_EM = _FONT * DPI / 72
_LINE = 1.35 * _EM
_MARGIN = 24
_SHAPE = log(1.4)


def draw_grid(
    images: NDArray[Any],
    reconstructed: Floats,
    sweeps: Floats,
    titles: Sequence[str],
    *,
    span: tuple[float, float] = (-3.0, 3.0),
    names: Sequence[str] = (),
    heading: str = "",
    figure: "Figure | None" = None,
) -> "Figure":
    """Draw a block for each latent, with a row for each seed image (Fig. 12 to 14 of the paper).

    Parameters
    ----------
    images, reconstructed : array, shape (s, C, H, W)
        Two columns before the sweep.
    sweeps : array, shape (s, l, steps, C, H, W)
        Of :func:`dindic_models.traverse.traverse`.
    titles : sequence of str, length l
    span : (float, float)
    names : sequence of str, length s, optional
        Of the seed images.
    heading : str
    figure : matplotlib figure, optional
        A new one by default, of as many pixels as are needed.

    Returns
    -------
    matplotlib figure

    Raises
    ------
    ValueError
        If images have neither one channel nor three.

    Examples
    --------
    >>> import numpy as np
    >>> images = np.zeros((2, 1, 28, 28))
    >>> figure = draw_grid(images, images, np.zeros((2, 3, 5, 1, 28, 28)), ["a", "b", "c"])
    >>> [ax.get_title(loc="left") for ax in figure.axes]
    ['a', 'b', 'c']
    """
    seeds, blocks, steps = sweeps.shape[:3]
    zoom, shrink = enlargement(sweeps.shape[-2:], seeds * blocks * (steps + 2), 64)
    pixels, ends = rgb(sweeps, shrink), [rgb(images, shrink), rgb(reconstructed, shrink)]
    gap = gap_of(pixels)
    sides = tiled(np.stack(ends, 1), gap)
    mosaics = [beside(sides, tiled(pixels[:, h], gap)) for h in range(blocks)]
    height, width = (zoom * side for side in mosaics[0].shape[:2])
    left = _width(names) + _MARGIN
    cell = max(width, _width(titles)) + _MARGIN, height + round(3.4 * _LINE)
    across = min(
        range(1, blocks + 1),
        key=lambda c: abs(log(c * cell[0] / (ceil(blocks / c) * cell[1])) - _SHAPE),
    )
    lines = _lines(heading, left + across * cell[0])
    top = _MARGIN + round(len(lines) * _LINE)
    total = left + across * cell[0], top + ceil(blocks / across) * cell[1]
    figure = _page(figure, total, lines)
    for block, (mosaic, title) in enumerate(zip(mosaics, titles, strict=True)):
        row, column = divmod(block, across)
        corner = left + column * cell[0], top + row * cell[1] + round(1.5 * _LINE)
        ax = _place(figure, total, corner, (width, height))
        _show(ax, mosaic)
        ax.set_title(title, loc="left", fontsize=_FONT, pad=3, color=INK, parse_math=False)
        _label_steps(ax, sweeps.shape[2:], span, shrink, zoom)
        _label_rows(ax, names if column == 0 else (), seeds)
    return figure


def draw_one_shot(
    image: NDArray[Any],
    reconstructed: Floats,
    sweep: Floats,
    titles: Sequence[str],
    *,
    span: tuple[float, float] = (-3.0, 3.0),
    heading: str = "",
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw a row for each latent, swept about the code of one image (Fig. 3 of the paper).

    Parameters
    ----------
    image, reconstructed : array, shape (C, H, W)
    sweep : array, shape (l, steps, C, H, W)
        Of :func:`dindic_models.traverse.traverse` with `around_seed`.
    titles : sequence of str, length l
    span : (float, float)
    heading : str
    ax : matplotlib axes, optional
        By default that of a new figure, of as many pixels as are needed.

    Returns
    -------
    matplotlib axes

    Raises
    ------
    ValueError
        If the image has neither one channel nor three.
    """
    blocks, steps = sweep.shape[:2]
    zoom, shrink = enlargement(sweep.shape[-2:], blocks * (steps + 2), 80)
    pixels = rgb(sweep, shrink)
    sides = np.full((blocks, 2, *pixels.shape[2:]), 255, np.uint8)
    sides[0] = rgb(np.stack([unit(image), unit(reconstructed)]), shrink)
    mosaic = beside(tiled(sides), tiled(pixels))
    if ax is None:
        ax = _single(mosaic, zoom, heading, left=_width(titles), below=2.6 * _LINE)
    _show(ax, mosaic)
    _label_steps(ax, sweep.shape[1:], span, shrink, zoom)
    _label_rows(ax, titles, blocks)
    ax.set_xlabel("z_h, from its value for the image", fontsize=_FONT, color=INK)
    return ax


def draw_reconstructions(
    found: "Reconstructions",
    *,
    names: Sequence[str] = (),
    heading: str = "",
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw images, reconstructions and squared residuals below each other (Fig. 15 of the paper).

    A mixture adds a row with the component of each pixel, for a colour that of largest
    responsibility over its channels, and a legend; noise of each pixel adds a row with sigma_d(z).
    Residuals and sigma_d are averages over channels.

    Parameters
    ----------
    found : Reconstructions
        Of :func:`dindic_models.traverse.reconstruct`.
    names : sequence of str, length s, optional
        Of the images.
    heading : str
    ax : matplotlib axes, optional
        By default that of a new figure, of as many pixels as are needed.

    Returns
    -------
    matplotlib axes

    Raises
    ------
    ValueError
        If images have neither one channel nor three.
    """
    from matplotlib import colormaps

    members, seeds = found.members, len(found.images)
    zoom, shrink = enlargement(found.images.shape[-2:], 4 * seeds, 112)
    rows = {"image": rgb(found.images, shrink), "reconstruction": rgb(found.mean, shrink)}
    scales = {"squared residual": (found.squared.mean(1), "magma")}
    if found.deviations is not None:
        scales["σ_d(z)"] = (np.sqrt(np.square(found.deviations).mean(1)), "viridis")
    for label, (values, cmap) in scales.items():
        coloured = colormaps[cmap](shrunk(values / _greatest(values), shrink))
        rows[label] = np.round(255 * coloured[..., :3]).astype(np.uint8)
    if members is not None:
        height, width = rows["image"].shape[1:3]
        component = members.responsibilities.sum(1).argmax(-1)[:, ::shrink, ::shrink]
        rows["component"] = _palette(members)[component[:, :height, :width]]
    mosaic = tiled(np.stack(list(rows.values())))
    if ax is None:
        entries = ceil(len(members.weights) / _columns(zoom * mosaic.shape[1])) if members else 0
        below = _LINE * (1.4 + entries)
        ax = _single(mosaic, zoom, heading, left=_width(rows), right=6 * _EM, below=below)
    _show(ax, mosaic)
    _label_rows(ax, list(rows), len(rows))
    tile = mosaic.shape[1] / seeds
    if names and zoom * tile > _width(names):
        ax.set_xticks((np.arange(seeds) + 0.5) * tile, names)
    for label, (values, cmap) in scales.items():
        _bar(ax, list(rows).index(label), len(rows), _greatest(values), cmap)
    if members is not None:
        _components(ax, members)
    return ax


def _width(texts: Iterable[str]) -> int:
    """Return the width of the longest text in pixels, roughly."""
    return round(0.58 * _EM * max(map(len, texts), default=0))


def _lines(heading: str, width: float) -> list[str]:
    return wrap(heading, max(30, int((width - 2 * _MARGIN) / (0.58 * _EM))))


def _page(figure: "Figure | None", total: tuple[int, int], lines: list[str]) -> "Figure":
    """Make a figure of so many pixels, if there is none, and write the heading."""
    if figure is None:
        figure = new_figure(total[0] / DPI, total[1] / DPI, layout=None)
    x, y = _MARGIN / total[0], 1 - 0.6 * _MARGIN / total[1]
    words = "\n".join(lines)
    figure.text(x, y, words, va="top", fontsize=_FONT, color=INK, parse_math=False)
    return figure


def _place(
    figure: "Figure", total: tuple[int, int], corner: tuple[int, int], size: tuple[int, int]
) -> "Axes":
    """Add axes at whole pixels, counted from the upper left corner."""
    (across, down), (x, y), (width, height) = total, corner, size
    box = x / across, 1 - (y + height) / down, width / across, height / down
    return figure.add_axes(box)


def _single(
    mosaic: Pixels, zoom: int, heading: str, *, left: int, right: float = 0, below: float
) -> "Axes":
    """Make a figure that holds one mosaic, with room on three sides, and its heading."""
    height, width = (zoom * side for side in mosaic.shape[:2])
    across = max(600, left + width + round(right) + 2 * _MARGIN)
    lines = _lines(heading, across)
    top = _MARGIN + round((len(lines) + 0.6) * _LINE)
    total = across, top + height + round(below) + _MARGIN
    return _place(_page(None, total, lines), total, (left + _MARGIN, top), (width, height))


def _show(ax: "Axes", pixels: Pixels) -> None:
    height, width = pixels.shape[:2]
    ax.imshow(pixels, interpolation="nearest", extent=(0, width, height, 0))
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0, pad=3, labelsize=_FONT - 1, labelcolor=INK)
    ax.set(xticks=[], yticks=[])


def _label_rows(ax: "Axes", names: Sequence[str], rows: int) -> None:
    if len(names):
        height = ax.get_ylim()[0] / rows
        ax.set_yticks((np.arange(rows) + 0.5) * height, names, parse_math=False)


def _label_steps(
    ax: "Axes", shape: tuple[int, ...], span: tuple[float, float], shrink: int, zoom: int
) -> None:
    """Write the first, middle and last value below the columns, and what the first two are."""
    steps, tile = shape[0], shape[-1] // shrink + 1
    words = {0: f"{span[0]:g}", steps - 1: f"{span[1]:g}"}
    if steps % 2:
        words[steps // 2] = f"{sum(span) / 2:g}"
    places = {(step + 2.5) * tile + 3: word for step, word in words.items()}
    if zoom * tile > _width(["recon"]):
        places |= {0.5 * tile: "image", 1.5 * tile: "recon"}
    ax.set_xticks(list(places), list(places.values()))


def _greatest(values: NDArray[Any]) -> float:
    return float(values.max()) or 1.0


def _bar(ax: "Axes", row: int, rows: int, greatest: float, cmap: str) -> None:
    """Draw the scale of colours at the right of a row."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    width = 0.7 * _EM / ax.get_window_extent().width
    inset = ax.inset_axes((1 + width, 1 - (row + 0.9) / rows, width, 0.8 / rows))
    scale = ScalarMappable(Normalize(0, greatest), cmap)
    bar = ax.figure.colorbar(scale, cax=inset, ticks=[0, greatest])
    bar.ax.set_yticklabels(["0", f"{greatest:.2g}"], fontsize=_FONT - 1, color=INK)
    bar.ax.tick_params(length=0, pad=3)
    bar.outline.set_visible(False)


def _palette(members: "Memberships") -> Pixels:
    """Return a colour for each component, (K, 3), the darkest for the smallest sigma."""
    from matplotlib import colormaps

    rank = np.argsort(np.argsort(members.deviations))
    place = rank / max(1, len(rank) - 1)
    return np.round(255 * colormaps["viridis"](place)[:, :3]).astype(np.uint8)


def _columns(width: float) -> int:
    """Return how many entries of the legend fit beside each other."""
    return max(1, min(3, int(width / (22 * _EM))))


def _components(ax: "Axes", members: "Memberships") -> None:
    from matplotlib.patches import Patch

    colours, extent = _palette(members) / 255, ax.get_window_extent()
    handles = [
        Patch(
            color=tuple(colours[k]),
            label=f"component {k}: π = {members.weights[k]:.3g}, σ = {members.deviations[k]:.3g}",
        )
        for k in np.argsort(members.deviations)
    ]
    legend(
        ax,
        handles,
        size=_FONT - 1,
        loc="upper left",
        bbox_to_anchor=(0.0, -1.2 * _LINE / extent.height),
        ncols=_columns(extent.width),
        borderaxespad=0.0,
    )
