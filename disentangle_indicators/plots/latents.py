"""The pulse plot: what each latent carries."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from disentangle_indicators._array import Float
from disentangle_indicators._indicators_result import Indicators
from disentangle_indicators.plots._style import (
    STATES,
    head,
    new_axes,
    new_figure,
    open_frame,
    state_handles,
)
from disentangle_indicators.scorecard import Scorecard

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    from disentangle_indicators.means import MeansOnly

LINE: dict[str, Any] = {"color": "black", "lw": 0.8, "ls": "--"}
"""A threshold."""


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
        return _means(found, ax)
    from matplotlib.lines import Line2D

    below = ax.inset_axes((0.0, 0.0, 1.0, 0.36))
    lower, upper = below, ax.inset_axes((0.0, 0.4, 1.0, 0.6), sharex=below)
    ax.set_axis_off()
    latents, third = np.arange(found.d), found.mutual_information_per_latent
    words = f"used above {found.threshold:g} nats; bars ± 2 standard errors"
    handles = [*state_handles(found.states), Line2D([], [], label=words, **LINE)]
    if exact is None:
        errors = found.standard_errors.get("mutual_information_per_latent")
        _stems(upper, third, found.states, errors)
    else:
        _stems(upper, exact.information, found.states, exact.population_errors["information"])
        ring: dict[str, Any] = {"facecolors": "none", "edgecolors": "black", "lw": 0.8}
        upper.scatter(latents, third, s=_size(found.d), **ring)
        handles.append(_ring("Definition 3, an upper bound"))
    upper.axhline(found.threshold, **LINE)
    upper.set_ylabel("information [nats]" if exact is None else "I(x; z_h) [nats]")
    upper.set_ylim(bottom=0)
    upper.tick_params(labelbottom=False)
    _stems(lower, found.second_moment, found.states)
    lower.axhline(1.0, **LINE)
    lower.set_ylim(max(1.3, 1.1 * float(found.second_moment.max())), 0)
    lower.set(ylabel="variance S of q*", xlabel="latent")
    _frame(lower, found.d)
    _frame(upper, found.d)
    head(upper, f"{found.used} of {found.d} latents used, n = {found.n}", handles)
    return upper


def pulses(results: "Sequence[Scorecard | Indicators | MeansOnly]") -> "Figure":
    """Draw the pulse plots of several results below each other, each under its name.

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
    width = _width(max(result.d for result in results))
    figure = new_figure(width, 4.2 * len(results))
    for i, result in enumerate(results):
        ax = pulse(result, figure.add_subplot(len(results), 1, i + 1))
        if isinstance(result, Scorecard) and result.name:
            ax.title.set_text(f"{Path(result.name).name}: {ax.get_title()}")
            ax.title.set_parse_math(False)
    return figure


def _means(result: "MeansOnly", ax: "Axes") -> "Axes":
    _stems(ax, result.mean_variance, result.states)
    ax.set(ylabel="Var(mean)", xlabel="latent")
    title = f"{result.active_units} of {result.d} latents active, n = {result.n}"
    _frame(ax, result.d)
    head(ax, title, state_handles(result.states))
    return ax


def _width(d: int) -> float:
    return min(max(6.0, 2.5 + 0.12 * d), 18.0)


def _size(d: int) -> float:
    """Return the area of a mark in square points."""
    return max(8.0, min(36.0, 1200 / d))


def _stems(
    ax: "Axes", height: Float, states: tuple[str, ...], errors: Float | None = None
) -> None:
    from matplotlib.markers import MarkerStyle

    x, looks = np.arange(len(height)), [STATES[state] for state in states]
    colours = [look.colour for look in looks]
    ax.vlines(x, 0, height, colors=colours, lw=max(1.0, min(4.0, 160 / len(x))))
    dots = ax.scatter(x, height, c=colours, s=_size(len(x)), zorder=3)
    marks = [MarkerStyle(look.mark) for look in looks]
    dots.set_paths([mark.get_path().transformed(mark.get_transform()) for mark in marks])
    if errors is not None and np.any(np.isfinite(errors)):
        bar: dict[str, Any] = {"ecolor": "black", "elinewidth": 0.8, "capsize": 2, "zorder": 4}
        known = np.where(np.isfinite(errors), errors, 0.0)
        ax.errorbar(x, height, yerr=2 * known, fmt="none", **bar)


def _ring(label: str) -> "Line2D":
    from matplotlib.lines import Line2D

    return Line2D([], [], marker="o", ls="", mfc="none", color="black", label=label)


def _frame(ax: "Axes", d: int) -> None:
    """Label the axis of latents."""
    from matplotlib.ticker import MaxNLocator

    if d <= 20:
        ax.set_xticks(range(d))
    else:
        ax.xaxis.set_major_locator(MaxNLocator(nbins=20, integer=True))
    ax.set_xlim(-0.6, d - 0.4)
    open_frame(ax)
