"""The aggregated posterior: of one latent, of several, and all of them together."""

from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from disentangle_indicators._array import Float, to_numpy
from disentangle_indicators._errors import Undefined
from disentangle_indicators.aggregate._density import curve
from disentangle_indicators.aggregate._joint_result import Joint, span
from disentangle_indicators.plots._cut import panel
from disentangle_indicators.plots._ranking import number_both, ranked
from disentangle_indicators.plots._style import (
    BLUE,
    INK,
    SKY,
    SMALL,
    TITLE,
    VERMILLION,
    figure_of,
    foot_inside,
    head,
    legend,
    named,
    new_axes,
    open_frame,
    points_of,
    shortened,
    sign_handles,
    squares,
    title_of,
)

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.collections import Collection

    from disentangle_indicators._indicators_result import Indicators
    from disentangle_indicators._scorecard_result import Scorecard
    from disentangle_indicators.aggregate import Density

ROWS = 5_000
"""Rows from which the densities of several latents are drawn."""

POINTS = 160
"""Points of a curve in a panel."""

LEAST = 0.05
"""Least correlation that a full cell may stand for."""

LOOKS: dict[str, dict[str, Any]] = {
    "aggregated posterior": {"color": BLUE, "lw": 1.5},
    "q*, its Gaussian of Definition 3": {"color": "black", "lw": 0.9},
    "prior": {"color": "black", "lw": 0.9, "ls": "--"},
}
"""Looks of the three densities of a latent."""


def marginal(result: "Density", ax: "Axes | None" = None) -> "Axes":
    """Draw the aggregated posterior of one latent beside the prior and q*.

    Parameters
    ----------
    result : Density
        Of :func:`disentangle_indicators.aggregate.density`.
    ax : matplotlib axes, optional
        A new figure by default.

    Returns
    -------
    matplotlib axes

    Examples
    --------
    >>> import numpy as np
    >>> from disentangle_indicators.aggregate import density
    >>> ax = marginal(density(np.array([[1.0], [-1.0]]), np.full((2, 1), 0.1), latent=0))
    >>> [line.get_label() for line in ax.lines]
    ['aggregated posterior', 'q*, its Gaussian of Definition 3', 'prior']
    """
    if ax is None:
        ax = new_axes(6.0, 3.5)
    _curves(ax, result.z, result.density, result.second_moment)
    ax.set_title(
        f"latent {result.latent}: I(x; z_h) = {result.information:.3f} nats, Definition 3 = "
        f"{result.information + result.looseness:.3f}",
        fontsize=TITLE,
    )
    ax.set(xlabel=f"z[{result.latent}]", ylabel="density", ylim=(0, None))
    open_frame(ax)
    legend(ax)
    return ax


def marginals(result: "Scorecard", ax: "Axes | None" = None, most: int = 9) -> "Axes":
    """Draw the aggregated posterior of the most informative latents, beside the prior and q*.

    Of more than 5,000 rows every second, third, ... is taken.

    Parameters
    ----------
    result : Scorecard
        With its encodings.
    ax : matplotlib axes, optional
        A new figure by default. All panels are drawn on it, without axes of their own.
    most : int
        Latents to draw.

    Returns
    -------
    matplotlib axes

    Raises
    ------
    Undefined
        Without the encodings, or without posterior variances.

    Examples
    --------
    >>> import numpy as np
    >>> from disentangle_indicators import score
    >>> ax = marginals(score(np.array([[1.0], [-1.0]]), var=np.full((2, 1), 0.1)))
    >>> ax.texts[0].get_text()
    'latent 0: 0.69 nats'
    """
    found, informative, _ = ranked(result)
    if result.encodings is None:
        raise Undefined("marginals need the encodings, which this scorecard is without")
    shown = np.argsort(-informative, kind="stable")[:most]
    columns = min(3, len(shown))
    rows = ceil(len(shown) / columns)
    if ax is None:
        ax = new_axes(2.6 * columns + 0.6, 1.7 * rows + 1.1)
    ax.set_axis_off()
    below = foot_inside(ax, _handles()) + 16
    mean, var = result.encodings.arrays_on_host("marginals need")
    mean, var = (to_numpy(x[:: ceil(found.n / ROWS)][:, shown.tolist()]) for x in (mean, var))
    drawn = Panels(ax)
    for i in range(len(shown)):
        place = panel(ax, below, (i // columns, i % columns), (rows, columns))
        points = place[2] * points_of(ax)[0]
        words = shortened(f"latent {shown[i]}: {informative[shown[i]]:.2f} nats", points, SMALL)
        m, v = (np.ascontiguousarray(x[:, i]) for x in (mean, var))
        z, height = _coarse(*curve(m, v, rough=True))
        drawn.add(place, words, z, height, float(np.mean(m * m + v)))
    drawn.draw()
    which = f"the {len(shown)} most informative of {found.d} latents"
    which = "all latents" if len(shown) == found.d > 1 else which if found.d > 1 else "the latent"
    title = named(result, f"q(z_h) of {which}")
    ax.set_title(title_of(title, points_of(ax)[0]), fontsize=TITLE, pad=8, parse_math=False)
    return ax


def brackets(result: "Joint | Scorecard", ax: "Axes | None" = None) -> "Axes":
    """Draw the ranges of I(x; z), total correlation and KL(q(z) || p), beside the paper's values.

    The values of the paper are Definition 2, the total correlation of a Gaussian, and Definition 4.
    A bar goes from the lower to the upper bound of the population, two standard errors included; an
    end that is not known is open. Where rows are saturated, there is no value of the rows.

    Parameters
    ----------
    result : Joint, or Scorecard with one
    ax : matplotlib axes, optional
        A new figure by default.

    Returns
    -------
    matplotlib axes

    Raises
    ------
    Undefined
        Without a joint.

    Examples
    --------
    >>> import numpy as np
    >>> from disentangle_indicators.aggregate import joint
    >>> mean = np.random.default_rng(0).normal(size=(500, 2))
    >>> ax = brackets(joint(mean, np.full((500, 2), 0.25), rng=0))
    >>> ax.get_xlabel()
    'nats'
    """
    found = result if isinstance(result, Joint) else result.joint
    if found is None:
        raise Undefined("brackets need the joint, which this scorecard is without")
    if ax is None:
        ax = new_axes(6.4, 2.9)
    m = found.marginals
    fourth = m.total_kl_prior - m.total_looseness
    for y, (name, paper) in enumerate(
        (
            ("mutual_information", m.total_information + m.total_looseness),
            ("total_correlation", found.correlation),
            ("kl_aggregate_prior", fourth),
        )
    ):
        low, high = span(found, name)
        own = None if found.saturated else float(getattr(found, name))
        known = [v for v in (low, high, own, paper) if v is not None]
        left, right = (0.0 if low is None else low), (max(known) if high is None else high)
        ax.barh(y, max(right - left, 0.0), left=left, height=0.42, color=SKY, alpha=0.6)
        for end, at in ((low, left), (high, right)):
            if end is not None:
                ax.vlines(at, y - 0.3, y + 0.3, color=BLUE, lw=2.0)
        if own is not None:
            ax.scatter(own, y, marker="o", s=36, color=INK, zorder=3)
        diamond: dict[str, Any] = {
            "marker": "D",
            "s": 40,
            "facecolors": "none",
            "edgecolors": VERMILLION,
        }
        ax.scatter(max(paper, 0.0), y, lw=1.6, zorder=4, **diamond)
    ax.set_yticks(range(3), ["I(x; z)", "total correlation", "KL(q(z) || p)"])
    ax.set_ylim(2.6, -0.6)
    ax.margins(x=0.05)
    ax.set_xlim(0, max(ax.get_xlim()[1], 0.1))
    ax.set_xlabel("nats")
    open_frame(ax)
    rows = f"{found.n} rows" + " (saturated: no value of these rows)" * found.saturated
    head(ax, named(result, rows), _ends(not found.saturated))
    return ax


def correlation(
    result: "Scorecard | Indicators", ax: "Axes | None" = None, most: int = 40
) -> "Axes":
    """Draw the correlations of latents under the aggregated posterior, the informative first.

    The area of a square is the size of the correlation. Full squares are positive, open ones
    negative.

    Parameters
    ----------
    result : Scorecard or Indicators
        With the covariance.
    ax : matplotlib axes, optional
        A new figure by default.
    most : int
        Latents to draw.

    Returns
    -------
    matplotlib axes

    Raises
    ------
    Undefined
        Without the covariance or the posterior variances.

    Examples
    --------
    >>> import numpy as np
    >>> from disentangle_indicators import score
    >>> ax = correlation(score(np.array([[1.0, 0.5], [-1.0, 0.0]]), var=np.full((2, 2), 0.1)))
    >>> ax.get_xlabel()
    'latent, the most informative first'
    """
    found, height, _ = ranked(result)
    if found.moments.scatter is None:
        raise Undefined("correlations need the covariance, which this result is without")
    scatter = to_numpy(found.moments.scatter)
    shown = np.argsort(-height, kind="stable")[:most]
    variance = to_numpy(found.moments.variance)
    sd = np.sqrt(variance)
    r = scatter / found.n / np.outer(sd, sd)
    off = np.abs(r - np.diag(np.diag(r)))
    r = r[np.ix_(shown, shown)]
    r[np.triu_indices(len(shown))] = np.nan
    if ax is None:
        size = min(7.0, 3.2 + 0.12 * len(shown))
        ax = new_axes(size + 0.4, size + 0.4)
    most_seen = max(float(np.nanmax(np.abs(r), initial=0.0)), LEAST)
    squares(ax, r, most_seen)
    labels = [str(h) for h in shown]
    number_both(ax, labels, labels)
    ax.set(xlabel="latent, the most informative first", ylabel="latent")
    open_frame(ax)
    words = f"{len(shown)} of {found.d} latents" if len(shown) < found.d else f"{found.d} latents"
    if found.d > 1:
        i, j = sorted(int(k) for k in np.unravel_index(np.argmax(off), off.shape))
        pair = f" ({i}, {j})" if i < j else ""
        words += f", greatest |r| = {off[i, j]:.2f}{pair}"
    head(ax, named(result, words), sign_handles("r", most_seen))
    return ax


def _three(z: Float, density: Float, second_moment: float) -> tuple[list[Float], float]:
    """Return the density of a latent, its q* and the prior, and the end of their axis."""
    star, prior = (
        np.exp(-0.5 * z * z / variance) / np.sqrt(2 * np.pi * variance)
        for variance in (second_moment, 1.0)
    )
    return [density, star, prior], 1.05 * max(float(density.max()), 0.45)


def _curves(ax: "Axes", z: Float, density: Float, second_moment: float) -> None:
    """Draw the density of a latent, its q* and the prior."""
    ax.fill_between(z, density, color=BLUE, alpha=0.25, lw=0)
    heights, top = _three(z, density, second_moment)
    for (label, look), height in zip(LOOKS.items(), heights, strict=True):
        ax.plot(z, height, label=label, **look)
    ax.set_ylim(0, top)


class Panels:
    """Panels of densities on one axes, drawn together: one shape for all lines of a look."""

    def __init__(self, ax: "Axes") -> None:
        from matplotlib.transforms import ScaledTranslation

        self.ax = ax
        self.lines: dict[str, list[Float]] = {label: [] for label in LOOKS}
        self.base: list[Float] = []
        self.ticks: list[tuple[float, float]] = []
        inches = figure_of(ax).dpi_scale_trans
        above, below = (ScaledTranslation(0, points / 72, inches) for points in (2, -5))
        self.title: dict[str, Any] = {
            "transform": ax.transAxes + above,
            "va": "bottom",
            "fontsize": SMALL,
        }
        self.number: dict[str, Any] = {
            "transform": ax.transAxes + below,
            "va": "top",
            "fontsize": 7,
        }

    def add(
        self, place: tuple[float, ...], title: str, z: Float, density: Float, second: float
    ) -> None:
        """Add the panel of a latent, at shares of the axes."""
        from matplotlib.ticker import MaxNLocator

        left, bottom, width, height = place
        heights, top = _three(z, density, second)
        margin = 0.05 * (z[-1] - z[0])
        x = left + width * (z - z[0] + margin) / (z[-1] - z[0] + 2 * margin)
        for lines, y in zip(self.lines.values(), heights, strict=True):
            y = np.where(y <= top, y, np.nan)
            lines.append(np.stack([x, bottom + height * y / top], axis=1))
        self.base.append(np.array([(left, bottom), (left + width, bottom)]))
        self.ax.text(left + width / 2, bottom + height, title, ha="center", **self.title)
        at = MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(z[0], z[-1])
        for value in at[(at >= z[0]) & (at <= z[-1])]:
            self.ticks.append((float(np.interp(value, z, x)), bottom))
            text = f"{value:g}".replace("-", "\N{MINUS SIGN}")
            self.ax.text(*self.ticks[-1], text, ha="center", **self.number)

    def draw(self) -> None:
        """Draw all panels that were added."""
        from matplotlib.collections import LineCollection, PolyCollection

        place: dict[str, Any] = {"transform": self.ax.transAxes, "clip_on": False}
        own, *_ = self.lines.values()
        ends = [(part[[0, -1], 0], line[0, 1]) for part, line in zip(own, self.base, strict=True)]
        filled = [
            np.concatenate([part, np.stack([x[::-1], [y, y]], axis=1)])
            for part, (x, y) in zip(own, ends, strict=True)
        ]
        parts: list[Collection] = [
            PolyCollection(filled, facecolor=BLUE, alpha=0.25, lw=0, **place)
        ]
        parts += [
            LineCollection(lines, **LOOKS[label], **place) for label, lines in self.lines.items()
        ]
        parts.append(LineCollection(self.base, color="black", lw=0.8, **place))
        for part in parts:
            self.ax.add_collection(part, autolim=False)
        x, y = np.array(self.ticks).T
        self.ax.plot(x, y, ls="", marker=2, ms=3.5, color="black", **place)


def _coarse(z: Float, density: Float) -> tuple[Float, Float]:
    """Return averages over neighbouring points, where the density or the prior is not nearly 0."""
    here = (density > 1e-3 * density.max()) | (np.abs(z) < 3.2)
    first, last = np.flatnonzero(here)[[0, -1]]
    z, density = z[first : last + 1], density[first : last + 1]
    groups = np.array_split(np.arange(len(z)), min(POINTS, len(z)))
    starts, sizes = [g[0] for g in groups], [len(g) for g in groups]
    return np.add.reduceat(z, starts) / sizes, np.add.reduceat(density, starts) / sizes


def _handles() -> "list[Artist]":
    from matplotlib.lines import Line2D

    return [Line2D([], [], label=label, **look) for label, look in LOOKS.items()]


def _ends(own: bool) -> "list[Artist]":
    """Return the legend of the ranges."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Artist] = [Patch(color=SKY, alpha=0.6, label="range of the population")]
    if own:
        handles.append(Line2D([], [], marker="o", ls="", color=INK, label="these rows"))
    label = "value of the paper"
    handles.append(Line2D([], [], marker="D", ls="", mfc="none", color=VERMILLION, label=label))
    return handles
