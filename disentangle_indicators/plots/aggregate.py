"""The aggregated posterior: of one latent, of several, and all of them together."""

from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from disentangle_indicators._array import Float, to_numpy
from disentangle_indicators._errors import Undefined
from disentangle_indicators.aggregate._density import curve
from disentangle_indicators.aggregate._joint_result import Joint, span
from disentangle_indicators.plots._cut import cut_panel
from disentangle_indicators.plots._ranking import number_both, ranked
from disentangle_indicators.plots._style import (
    BLUE,
    INK,
    SKY,
    SMALL,
    TITLE,
    VERMILLION,
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

    from disentangle_indicators._indicators_result import Indicators
    from disentangle_indicators._scorecard_result import Scorecard
    from disentangle_indicators.aggregate import Density

ROWS = 5_000
"""Rows from which the densities of several latents are drawn."""

POINTS, NODES = 160, 8
"""Points of a curve in a panel, and nodes of a part of the line: 1e-4 off at most."""

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
        A new figure by default. A panel for each latent is cut from it.
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
    >>> len(ax.child_axes)
    1
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
    mean, var = result.encodings.arrays("marginals need")
    mean, var = (to_numpy(x[:: ceil(found.n / ROWS)][:, shown.tolist()]) for x in (mean, var))
    for i in range(len(shown)):
        panel = cut_panel(ax, below, (i // columns, i % columns), (rows, columns))
        m, v = (np.ascontiguousarray(x[:, i]) for x in (mean, var))
        z, height = _coarse(*curve(m, v, NODES))
        _curves(panel, z, height, float(np.mean(m * m + v)))
        points = points_of(panel)[0]
        words = shortened(f"latent {shown[i]}: {informative[shown[i]]:.2f} nats", points, SMALL)
        panel.set_title(words, fontsize=SMALL, pad=2)
        panel.tick_params(labelsize=7, labelleft=False, left=False)
        panel.spines[["left", "right", "top"]].set_visible(False)
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


def _curves(ax: "Axes", z: Float, density: Float, second_moment: float) -> None:
    """Draw the density of a latent, its q* and the prior."""
    ax.fill_between(z, density, color=BLUE, alpha=0.25, lw=0)
    star, prior = (
        np.exp(-0.5 * z * z / variance) / np.sqrt(2 * np.pi * variance)
        for variance in (second_moment, 1.0)
    )
    for (label, look), height in zip(LOOKS.items(), (density, star, prior), strict=True):
        ax.plot(z, height, label=label, **look)
    ax.set_ylim(0, 1.05 * max(float(density.max()), 0.45))


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
