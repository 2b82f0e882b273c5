"""Encoders against a setting: averages over seeds, and rate against distortion."""

from typing import TYPE_CHECKING, Any

import numpy as np

from disentangle_indicators._errors import Undefined
from disentangle_indicators.comparison import Sweep
from disentangle_indicators.plots._style import (
    BLUE,
    GREEN,
    GREY,
    TITLE,
    VERMILLION,
    legend,
    new_axes,
    open_frame,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["rate_distortion", "settings"]

CURVES: dict[str, tuple[str, dict[str, Any]]] = {
    "kl_posterior_prior": ("rate (Def 1)", {"color": BLUE, "marker": "o", "ms": 7, "lw": 3.0}),
    "information": ("sum of I(x; z_h)", {"color": GREEN, "marker": "s", "ms": 4, "lw": 1.5}),
    "used": ("used latents", {"color": VERMILLION, "marker": "^", "ms": 5, "lw": 1.5}),
}
"""Columns that are drawn against the setting, their labels and looks: the first is seen below the second."""


def settings(result: Sweep, ax: "Axes | None" = None) -> "Axes":
    """Draw rate, information, used latents and the range of total correlation against a setting.

    Points are averages over seeds, bars two standard errors. A dotted line marks the candidate of
    an elbow. The axis of the setting is logarithmic where it spans more than a factor of ten.

    Parameters
    ----------
    result : Sweep
    ax : matplotlib axes, optional
        A new figure by default.

    Returns
    -------
    matplotlib axes

    Examples
    --------
    >>> from disentangle_indicators import score
    >>> from disentangle_indicators.comparison import compare, sweep
    >>> mean = np.random.default_rng(0).normal(size=(200, 2))
    >>> cards = [score(mean, std=b / 10, joint=False) for b in (1, 2, 4)]
    >>> settings(sweep(compare(cards), [1, 2, 4])).get_xlabel()
    'x'
    """
    ax = new_axes(6.0, 4.2) if ax is None else ax
    for name, (label, look) in CURVES.items():
        if name in result.means:
            bars = 2 * np.nan_to_num(result.errors[name])
            ax.errorbar(result.x, result.means[name], yerr=bars, capsize=2, label=label, **look)
    if "total_correlation_low" in result.means:
        low, high = (result.means[f"total_correlation_{end}"] for end in ("low", "high"))
        ax.fill_between(result.x, low, high, color=GREY, alpha=0.3, lw=0, label="TC, range")
    if result.elbow is not None:
        ax.axvline(result.elbow, color="black", ls=":", lw=1.0, label="candidate of an elbow")
    if result.x[0] > 0 and result.x[-1] > 10 * result.x[0]:
        ax.set_xscale("log")
    ax.set(xlabel=result.x_name, ylabel="nats; latents")
    ax.set_ylim(bottom=0)
    ax.set_title("averages over encoders, ± 2 standard errors", fontsize=TITLE)
    open_frame(ax)
    legend(ax)
    return ax


def rate_distortion(result: Sweep, ax: "Axes | None" = None) -> "Axes":
    """Draw the rate, Definition 1, against the distortion, with the setting beside each point.

    Parameters
    ----------
    result : Sweep
        Of encoders whose metadata have a distortion.
    ax : matplotlib axes, optional
        A new figure by default.

    Returns
    -------
    matplotlib axes

    Raises
    ------
    Undefined
        Without a distortion.

    Examples
    --------
    >>> from disentangle_indicators import Encodings, score
    >>> from disentangle_indicators.comparison import compare, sweep
    >>> mean = np.random.default_rng(0).normal(size=(200, 2))
    >>> cards = [
    ...     score(Encodings.of(mean, std=b / 10).replaced(metadata={"distortion": str(b)}))
    ...     for b in (1, 2, 4)
    ... ]
    >>> rate_distortion(sweep(compare(cards), [1, 2, 4])).get_xlabel()
    'distortion'
    """
    if "distortion" not in result.means:
        raise Undefined("no encoder has a distortion in its metadata")
    ax = new_axes(5.2, 4.0) if ax is None else ax
    x, y = result.means["distortion"], result.means["kl_posterior_prior"]
    spread = [2 * np.nan_to_num(result.errors[k]) for k in ("distortion", "kl_posterior_prior")]
    ax.errorbar(x, y, xerr=spread[0], yerr=spread[1], color=BLUE, marker="o", ms=4, capsize=2)
    for value, *point in zip(result.x, x, y, strict=True):
        ax.annotate(
            f"{result.x_name} {value:g}", tuple(point), xytext=(4, 4), textcoords="offset points"
        )
    ax.set(xlabel="distortion", ylabel="rate, Definition 1 [nats]")
    open_frame(ax)
    return ax
