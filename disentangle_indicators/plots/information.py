"""Information of latents in order, and their two variances."""

from typing import TYPE_CHECKING, Any

import numpy as np

from disentangle_indicators._array import Float
from disentangle_indicators.plots._ranking import NUMBERED, number, ranked
from disentangle_indicators.plots._style import (
    INK,
    MANY,
    SMALL,
    STATES,
    head,
    named,
    new_axes,
    open_frame,
    scatter_states,
    state_handles,
)
from disentangle_indicators.states import WEAK

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from disentangle_indicators._indicators_result import Indicators
    from disentangle_indicators._scorecard_result import Scorecard

FLOOR = 1e-8
"""Least variance that is drawn; smaller ones are drawn there."""

DECADES = 5
"""Powers of ten that are written along an axis, at most about so many: more would overlap."""


def information(result: "Scorecard | Indicators", ax: "Axes | None" = None) -> "Axes":
    """Draw the information of latents in descending order, with its cumulative share.

    Parameters
    ----------
    result : Scorecard or Indicators
        I(x; z_h) where there are exact marginals, else Definition 3, its upper bound; in nats.
    ax : matplotlib axes, optional
        A new figure by default. The cumulative share, in percent, has an axis on the
        right, where all latents together have more than 0.01 nats.

    Returns
    -------
    matplotlib axes

    Raises
    ------
    Undefined
        Without posterior variances.

    Examples
    --------
    >>> import numpy as np
    >>> from disentangle_indicators import indicators
    >>> ax = information(indicators(np.array([[1.0], [-1.0]]), np.full((2, 1), 0.5)))
    >>> ax.get_ylabel()
    'Definition 3 [nats]'
    """
    found, height, label = ranked(result)
    if ax is None:
        ax = new_axes(6.4, 4.0)
    order = np.argsort(-height, kind="stable")
    states = [found.states[h] for h in order]
    _columns(ax, height[order], states)
    for level, word in ((found.threshold, "used"), (WEAK, "weak")):
        ax.axhline(level, color=INK, lw=0.8, ls="--")
        _beside(ax, level, word)
    ax.set_yscale("symlog", linthresh=WEAK, linscale=0.4)
    ax.set_ylim(0, 1.25 * max(float(height.max()), found.threshold))
    ax.yaxis.set_major_formatter("{x:g}")
    number(ax, order)
    ax.set_ylabel(label)
    share = [_share(ax, height[order])] if height.sum() > WEAK else []
    open_frame(ax)
    title = named(result, f"{found.used} of {found.d} latents used")
    head(ax, title, [*state_handles(found.states), *share])
    return ax


def variances(result: "Scorecard | Indicators", ax: "Axes | None" = None) -> "Axes":
    """Draw the variance of the means of each latent against its average posterior variance.

    Unused latents are at the upper left, near-deterministic ones at the lower right. On the line
    the two variances add up to 1, the variance of the prior.

    Parameters
    ----------
    result : Scorecard or Indicators
    ax : matplotlib axes, optional
        A new figure by default. Variances below 1e-8 are drawn at 1e-8.

    Returns
    -------
    matplotlib axes

    Raises
    ------
    Undefined
        Without posterior variances.

    Examples
    --------
    >>> import numpy as np
    >>> from disentangle_indicators import indicators
    >>> ax = variances(indicators(np.array([[1.0], [-1.0]]), np.full((2, 1), 0.5)))
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('Var(mean)', 'average posterior variance')
    """
    from matplotlib.ticker import LogLocator

    found, _, _ = ranked(result)
    if ax is None:
        ax = new_axes(5.6, 4.6)
    x, y = (np.maximum(v, FLOOR) for v in (found.mean_variance, found.posterior_variance))
    scatter_states(ax, x, y, found.states)
    curve = np.geomspace(FLOOR, 1, 400)[:-1]
    ax.plot(curve, 1 - curve, color=INK, lw=0.8, ls="--", zorder=1)
    ax.set(xscale="log", yscale="log", xlabel="Var(mean)", ylabel="average posterior variance")
    ax.minorticks_off()
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(LogLocator(numticks=DECADES))
        axis.set_major_formatter("{x:g}")
    low = min(float(min(x.min(), y.min())), 1e-3)
    ax.set_xlim(low / 3, 4 * max(1.0, float(x.max())))
    ax.set_ylim(low / 3, 6 * max(1.0, float(y.max())))
    words: dict[str, Any] = {"xycoords": "axes fraction", "fontsize": SMALL, "color": INK}
    ax.annotate("unused ↑", (0.01, 0.99), va="top", **words)
    ax.annotate("deterministic ↓", (0.99, 0.01), ha="right", **words)
    open_frame(ax)
    from matplotlib.lines import Line2D

    line = Line2D([], [], color=INK, lw=0.8, ls="--", label="sum is 1")
    head(ax, named(result, f"{found.d} latents"), [*state_handles(found.states), line])
    return ax


def _columns(ax: "Axes", height: Float, states: list[str]) -> None:
    """Draw columns in the colours of states; many as one shape a state."""
    x, d = np.arange(len(height)), len(height)
    if d > MANY:
        for state in dict.fromkeys(states):
            here = [s == state for s in states]
            colour = STATES[state].colour
            ax.fill_between(x, height, where=here, color=colour, lw=0.5)
        return
    ax.bar(x, height, width=0.7, color=[STATES[s].colour for s in states])
    if d <= NUMBERED:
        scatter_states(ax, x, height, states)


def _share(ax: "Axes", height: Float) -> Any:
    """Draw the cumulative share on an axis of its own."""
    share = 100 * np.cumsum(height) / float(height.sum())
    right = ax.twinx()
    right.spines[["top"]].set_visible(False)
    right.set(ylim=(0, 105), ylabel="cumulative share [%]")
    style = "steps-mid" if len(height) <= MANY else "default"
    (line,) = right.plot(share, color=INK, lw=1.2, drawstyle=style, label="cumulative share")
    if len(height) == 1:
        line.set_marker("_")
    return line


def _beside(ax: "Axes", level: float, word: str) -> None:
    place: dict[str, Any] = {"textcoords": "offset points", "ha": "right", "fontsize": SMALL}
    place["bbox"] = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.0}
    ax.annotate(
        f"{word} ≥ {level:g} nats",
        (1.0, level),
        (-3, 3),
        xycoords=("axes fraction", "data"),
        **place,
    )
