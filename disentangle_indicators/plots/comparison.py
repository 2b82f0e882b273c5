"""Several encoders side by side, as pictures."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from disentangle_indicators._errors import Undefined
from disentangle_indicators.comparison import Comparison
from disentangle_indicators.comparison._names import short_names
from disentangle_indicators.plots._style import (
    BLUE,
    INK,
    SMALL,
    VERMILLION,
    head,
    new_axes,
    open_frame,
    shortened,
)

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from disentangle_indicators.comparison._lines import Line

LONGEST = 110
"""Width in points of the name of an encoder."""

DECADE = 8
"""Greatest over least number from which the horizontal axis is logarithmic."""


def rate(
    result: Comparison,
    ax: "Axes | None" = None,
    *,
    x: Sequence[float] | None = None,
    xlabel: str = "",
) -> "Axes":
    """Draw the rate and the distance from the prior over encoders.

    Parameters
    ----------
    result : Comparison
    ax : matplotlib axes, optional
        A new figure by default.
    x : sequence of float, optional
        A number for each encoder in the order of ``result.lines``: its beta, or its reconstruction
        error. By default encoders stand side by side, under their names.
    xlabel : str
        What `x` is, with its unit.

    Returns
    -------
    matplotlib axes

    Raises
    ------
    Undefined
        Where no encoder has posterior variances.
    ValueError
        On another number of `x`.

    Examples
    --------
    >>> import numpy as np
    >>> from disentangle_indicators import score
    >>> from disentangle_indicators.comparison import compare
    >>> mean = np.array([[1.0], [-1.0], [2.0]])
    >>> both = compare([score(mean, var=np.full((3, 1), v)) for v in (0.5, 0.1)])
    >>> ax = rate(both, x=[4.0, 1.0], xlabel="β")
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('β', 'nats')
    """
    if x is not None and len(x) != len(result.lines):
        raise ValueError(f"x must have one number an encoder, {len(result.lines)}; got {len(x)}")
    shown = [k for k in result.order if result.lines[k].distance is not None]
    if not shown:
        raise Undefined("the rate needs posterior variances; these encodings have means only")
    if ax is None:
        ax = new_axes(max(6.4, min(2.2 + 0.42 * len(shown), 14.0)), 4.4)
    at = np.arange(len(shown)) if x is None else np.array([x[k] for k in shown], dtype=float)
    lines = [result.lines[k] for k in shown]
    _errors(ax, at, lines, "kl_posterior_prior", color=BLUE, fmt="o", label="rate (Def 1)")
    rest: dict[str, Any] = {"mfc": "none", "color": INK, "fmt": "s"}
    _errors(ax, at, lines, "mutual_information", label="I(x; z) ≤ (Def 2)", **rest)
    _ranges(ax, at, lines)
    ax.set_ylim(0, 1.14 * ax.get_ylim()[1])
    for place, line in zip(at, lines, strict=True):
        ax.annotate(str(line.counts["used"]), (place, 0.98), **_above())
    ax.set_ylabel("nats")
    names = short_names([line.name for line in result.lines])
    if x is None:
        _named_axis(ax, [names[k] for k in shown])
    else:
        ax.set_xlabel(xlabel)
        ax.margins(x=0.08)
        if at.min() > 0 and at.max() > DECADE * at.min():
            ax.set_xscale("log")
    open_frame(ax)
    head(ax, f"{len(shown)} encoders; numbers above: used latents", _handles(ax))
    return ax


def _errors(ax: "Axes", at: Any, lines: "Sequence[Line]", name: str, **look: Any) -> None:
    """Draw an indicator with two standard errors."""
    values = [line.values.get(name, np.nan) for line in lines]
    errors = [2 * line.errors.get(name, 0.0) for line in lines]
    ax.errorbar(at, values, yerr=errors, ms=6, capsize=2, lw=0, elinewidth=1.0, **look)


def _ranges(ax: "Axes", at: Any, lines: "Sequence[Line]") -> None:
    """Draw the range of the distance from the prior; an end that is not known is left out."""
    for place, line in zip(at, lines, strict=True):
        assert line.distance is not None
        low, high = line.distance
        if np.isfinite(high):
            ax.vlines(place, low, high, color=VERMILLION, lw=2.5, zorder=1)
        ax.plot(place, low, marker="_", ms=9, mew=2, color=VERMILLION, zorder=1)


def _above() -> dict[str, Any]:
    return {"xycoords": ("data", "axes fraction"), "ha": "center", "va": "top", "fontsize": SMALL}


def _named_axis(ax: "Axes", names: Sequence[str]) -> None:
    words = [shortened(name, LONGEST, SMALL) for name in names]
    step = max(1, len(words) // 40)
    turned: dict[str, Any] = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
    ax.set_xticks(range(0, len(words), step), words[::step], fontsize=SMALL, **turned)
    for label in ax.get_xticklabels():
        label.set_parse_math(False)
    ax.set_xlim(-0.6, len(words) - 0.4)


def _handles(ax: "Axes") -> "list[Artist]":
    from matplotlib.lines import Line2D

    handles, _ = ax.get_legend_handles_labels()
    label = "range of KL(q(z) || p)"
    return [*handles, Line2D([], [], color=VERMILLION, lw=2.5, label=label)]
