"""The pulse plot: what each latent carries."""

from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from disentangle_indicators._array import Float
from disentangle_indicators._indicators_result import Indicators
from disentangle_indicators.plots._cut import cut
from disentangle_indicators.plots._style import (
    MANY,
    STATES,
    TITLE,
    foot_inside,
    new_axes,
    new_figure,
    open_frame,
    points_of,
    scatter_states,
    shortened,
    size_of,
    state_handles,
)
from disentangle_indicators.scorecard import Scorecard

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    from disentangle_indicators.means import MeansOnly

THRESHOLD: dict[str, Any] = {"color": "black", "lw": 0.8, "ls": "--"}
"""A threshold."""

USUAL = 200
"""Height in points of axes from which on letters have their usual size."""

LABELS = 34
"""Height in points of the labels of the horizontal axis."""

CROWDED = 64
"""Latents above which error bars have no caps."""

SHARES = {"lower": (0.0, 0.36), "upper": (0.41, 0.59)}
"""Where each half begins, and its height, as shares of what legend and labels leave."""


def pulse(result: "Scorecard | Indicators | MeansOnly", ax: "Axes | None" = None) -> "Axes":
    """Draw the pulse plot of the paper's Fig. 2: information above, variance below.

    Parameters
    ----------
    result : Scorecard, Indicators or MeansOnly
        Without variances the upper half shows Var(mean) and there is no lower half.
    ax : matplotlib axes, optional
        The lower half is cut from it. A new figure by default.

    Returns
    -------
    matplotlib axes
        The upper half; the lower one shares its horizontal axis.

    Examples
    --------
    >>> import numpy as np
    >>> from disentangle_indicators import indicators
    >>> ax = pulse(indicators(np.array([[1.0], [-1.0]]), np.full((2, 1), 0.5)))
    >>> ax.get_ylabel()
    'information [nats]'
    """
    exact = result.marginals if isinstance(result, Scorecard) else None
    found = result.result if isinstance(result, Scorecard) else result
    if ax is None:
        ax = new_axes(_width(found.d), 4.5)
    if not isinstance(found, Indicators):
        return _means(result, found, ax)
    from matplotlib.lines import Line2D

    latents, third = np.arange(found.d), found.mutual_information_per_latent
    handles = [*state_handles(found.states)]
    handles.append(Line2D([], [], label=f"threshold, {found.threshold:g} nats", **THRESHOLD))
    if exact is not None:
        handles.append(_ring("Def 3, upper bound"))
    ax.set_axis_off()
    below = foot_inside(ax, handles) + LABELS
    lower = cut(ax, below, *SHARES["lower"])
    upper = cut(ax, below, *SHARES["upper"], sharex=lower)
    if exact is None:
        errors = found.standard_errors.get("mutual_information_per_latent")
        _stems(upper, third, found.states, errors)
    else:
        _stems(upper, exact.information, found.states, exact.population_errors["information"])
        ring: dict[str, Any] = {"facecolors": "none", "edgecolors": "black", "lw": 0.8}
        ring["rasterized"] = found.d > MANY
        upper.scatter(latents, third, s=size_of(found.d), **ring)
    upper.axhline(found.threshold, **THRESHOLD)
    upper.set_ylabel("information [nats]" if exact is None else "I(x; z_h) [nats]")
    upper.set_ylim(bottom=0)
    upper.tick_params(labelbottom=False)
    _stems(lower, found.second_moment, found.states)
    lower.axhline(1.0, **THRESHOLD)
    lower.set_ylim(max(1.3, 1.1 * float(found.second_moment.max())), 0)
    lower.set(ylabel="moment S", xlabel="latent; bars are ± 2 standard errors")
    scale = _scale(ax)
    _frame(lower, found.d, scale)
    _frame(upper, found.d, scale)
    _entitle(upper, result, f"{found.used} of {found.d} latents used, n = {found.n}", scale)
    return upper


def pulses(results: "Sequence[Scorecard | Indicators | MeansOnly]") -> "Figure":
    """Draw the pulse plots of several results, each under its name; more than three side by side.

    Vertical axes are shared.

    Parameters
    ----------
    results : sequence of Scorecard, Indicators or MeansOnly

    Returns
    -------
    matplotlib figure

    Raises
    ------
    ValueError
        Without a result.

    Examples
    --------
    >>> import numpy as np
    >>> from disentangle_indicators import score
    >>> card = score(np.array([[1.0], [-1.0]]), var=np.full((2, 1), 0.5), name="a.npz")
    >>> len(pulses([card, card]).axes)
    2
    """
    if not results:
        raise ValueError("results must hold at least one; got none")
    columns = 1 if len(results) <= 3 else 2
    rows = ceil(len(results) / columns)
    width = _width(max(result.d for result in results))
    figure = new_figure(width if columns == 1 else min(2 * width, 18.0), 4.2 * rows)
    upper = [
        pulse(result, figure.add_subplot(rows, columns, i + 1)) for i, result in enumerate(results)
    ]
    _share(upper)
    return figure


def _share(upper: "Sequence[Axes]") -> None:
    """Give all halves that show the same quantity the same vertical axis."""
    halves = [half for ax in upper for half in ax.get_shared_x_axes().get_siblings(ax)]
    for label in {half.get_ylabel() for half in halves}:
        same = [half for half in halves if half.get_ylabel() == label]
        ends = np.max([half.get_ylim() for half in same], axis=0)  # one end is 0
        for half in same:
            half.set_ylim(*ends)


def _means(result: Any, found: "MeansOnly", whole: "Axes") -> "Axes":
    whole.set_axis_off()
    below = foot_inside(whole, state_handles(found.states)) + LABELS
    ax = cut(whole, below, 0.0, 1.0)
    _stems(ax, found.mean_variance, found.states)
    ax.set(ylabel="Var(mean)", xlabel="latent")
    ax.set_ylim(bottom=0)
    scale = _scale(whole)
    _frame(ax, found.d, scale)
    _entitle(ax, result, f"{found.active_units} of {found.d} latents active, n = {found.n}", scale)
    return ax


def _scale(ax: "Axes") -> float:
    """Return how much smaller than usual the letters are, in axes that are not as high."""
    return max(0.6, min(1.0, points_of(ax)[1] / USUAL))


def _entitle(ax: "Axes", result: Any, words: str, scale: float) -> None:
    """Write the title, of two lines where name and words are wider than the axes."""
    name = Path(result.name).name if isinstance(result, Scorecard) else ""
    size = TITLE * scale
    points, _ = points_of(ax)
    text = f"{name}: {words}" if name else words
    if shortened(text, points, size) != text:
        text = "\n".join(shortened(line, points, size) for line in (name, words) if line)
    ax.set_title(text, fontsize=size, parse_math=False)


def _width(d: int) -> float:
    return min(max(6.0, 2.5 + 0.12 * d), 18.0)


def _stems(
    ax: "Axes", height: Float, states: tuple[str, ...], errors: Float | None = None
) -> None:
    x = np.arange(len(height))
    colours, many = [STATES[state].colour for state in states], len(x) > MANY
    width = max(1.0, min(4.0, 160 / len(x)))
    ax.vlines(x, 0, height, colors=colours, lw=width, rasterized=many)
    scatter_states(ax, x, height, states)
    if errors is not None and np.any(np.isfinite(errors)):
        caps = 2 if len(x) <= CROWDED else 0
        bar: dict[str, Any] = {"ecolor": "black", "elinewidth": 0.8, "capsize": caps, "zorder": 4}
        bar["rasterized"] = many
        known = np.where(np.isfinite(errors), errors, 0.0)
        ax.errorbar(x, height, yerr=2 * known, fmt="none", **bar)


def _ring(label: str) -> "Line2D":
    from matplotlib.lines import Line2D

    return Line2D([], [], marker="o", ls="", mfc="none", color="black", label=label)


def _frame(ax: "Axes", d: int, scale: float) -> None:
    """Label the axis of latents, and scale all letters to the size of the picture."""
    from matplotlib.ticker import MaxNLocator

    ax.tick_params(labelsize=10 * scale)
    for axis in (ax.xaxis, ax.yaxis):
        axis.label.set_fontsize(10 * scale)
    labels = int(points_of(ax)[0] / (8 * len(str(d)) + 4))  # that fit beside each other
    if d <= min(20, labels):
        ax.set_xticks(range(d))
    else:
        ax.xaxis.set_major_locator(MaxNLocator(nbins=max(1, min(20, labels)), integer=True))
    ax.set_xlim(-0.6, d - 0.4)
    open_frame(ax)
