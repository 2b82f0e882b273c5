"""Curves of a training."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from disentangle_indicators._array import Float
from disentangle_indicators.plots._cut import cut
from disentangle_indicators.plots._style import (
    BLUE,
    GREEN,
    INK,
    SMALL,
    TITLE,
    VERMILLION,
    foot_inside,
    new_axes,
    open_frame,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CURVES: dict[str, tuple[str, dict[str, Any]]] = {
    "kl_posterior_prior": ("rate (Def 1)", {"color": BLUE, "lw": 1.8}),
    "mutual_information": ("information ≤ (Def 2)", {"color": INK, "lw": 1.2, "ls": "--"}),
    "kl_aggregate_prior": ("distance ≥ (Def 4)", {"color": VERMILLION, "lw": 1.2, "ls": ":"}),
    "gaussian_total_correlation": ("Gaussian TC", {"color": GREEN, "lw": 1.2, "ls": "-."}),
}
"""Columns in nats, with their words and looks."""


def training(history: "str | Path | Mapping[str, Any]", ax: "Axes | None" = None) -> "Axes":
    """Draw the indicators, and the count of used latents, over the epochs of a training.

    Parameters
    ----------
    history : path, data frame or dict
        ``history.csv`` of a run; or its columns by name: ``epoch``, the names of indicators, and
        ``used``. Columns that are missing are not drawn.
    ax : matplotlib axes, optional
        The lower part is cut from it. A new figure by default.

    Returns
    -------
    matplotlib axes
        The upper part, in nats.

    Raises
    ------
    ValueError
        Where no column is that of an indicator.

    Examples
    --------
    >>> ax = training({"kl_posterior_prior": [0.1, 2.0, 4.0], "used": [0, 1, 2]})
    >>> ax.get_ylabel()
    'nats'
    """
    columns = _columns(history)
    drawn = [name for name in CURVES if name in columns]
    if not drawn:
        raise ValueError(f"a history has at least one of the columns {', '.join(CURVES)}")
    if ax is None:
        ax = new_axes(6.4, 4.6)
    epoch = columns.get("epoch", np.arange(1, len(columns[drawn[0]]) + 1))
    ax.set_axis_off()
    below = foot_inside(ax, _handles(drawn)) + 34
    counted = "used" in columns
    lower = cut(ax, below, 0.0, 0.26) if counted else None
    upper = cut(ax, below, 0.34, 0.66, sharex=lower) if counted else cut(ax, below, 0.0, 1.0)
    for name in drawn:
        upper.plot(epoch, columns[name], marker="." if len(epoch) < 30 else "", **CURVES[name][1])
    upper.set_ylim(bottom=min(0.0, upper.get_ylim()[0]))
    upper.set_ylabel("nats")
    last = upper
    if lower is not None:
        lower.step(epoch, columns["used"], where="mid", color=BLUE)
        lower.set_ylim(0, 1.15 * max(float(np.nanmax(columns["used"])), 1.0))
        lower.set_ylabel("used latents", fontsize=SMALL + 1)
        upper.tick_params(labelbottom=False)
        open_frame(lower)
        last = lower
    last.set_xlabel("epoch")
    open_frame(upper)
    upper.set_title(f"{len(epoch)} epochs", fontsize=TITLE)
    return upper


def _columns(history: "str | Path | Mapping[str, Any]") -> dict[str, Float]:
    """Return the columns of numbers."""
    table: Any = history
    if isinstance(history, (str, Path)):
        import pandas as pd

        table = pd.read_csv(history)
    names = [name for name in ("epoch", "used", *CURVES) if name in table]
    return {name: np.asarray(table[name], dtype=np.float64) for name in names}


def _handles(drawn: list[str]) -> Any:
    from matplotlib.lines import Line2D

    return [Line2D([], [], label=CURVES[name][0], **CURVES[name][1]) for name in drawn]
