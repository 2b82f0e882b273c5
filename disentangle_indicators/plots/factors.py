"""Latents against ground-truth factors."""

from typing import TYPE_CHECKING, Literal

import numpy as np

from disentangle_indicators._array import Float
from disentangle_indicators._errors import Undefined
from disentangle_indicators._scorecard_result import Scorecard
from disentangle_indicators.plots._ranking import number_both
from disentangle_indicators.plots._style import (
    SMALL,
    figure_of,
    named,
    new_axes,
    open_frame,
    points_of,
    squares,
    title_of,
)
from disentangle_indicators.supervised import MetricScore, Scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WRITTEN = 24
"""Points of width from which a number is written into a cell."""


def matrix(
    result: "MetricScore | Scores | Scorecard",
    ax: "Axes | None" = None,
    *,
    kind: Literal["heat map", "hinton"] = "heat map",
    most: int = 40,
) -> "Axes":
    """Draw the matrix of latents and factors of a metric, as a heat map or as a Hinton diagram.

    Parameters
    ----------
    result : MetricScore, Scores, or Scorecard with metrics
        Of several metrics, the first with a matrix of information, else the first with a matrix.
    ax : matplotlib axes, optional
        A new figure by default.
    kind : {"heat map", "hinton"}
        Darker is more; or the area of a square is the entry, full if positive, open if negative.
    most : int
        Latents to draw, those with the greatest entries, in their own order.

    Returns
    -------
    matplotlib axes

    Raises
    ------
    Undefined
        Without a matrix.
    ValueError
        On another kind.

    Examples
    --------
    >>> import numpy as np
    >>> from disentangle_indicators.supervised import evaluate_metrics
    >>> factors = np.random.default_rng(0).integers(4, size=(200, 2))
    >>> scores = evaluate_metrics("mig", factors + 0.0, factors, permutations=0, rng=0)
    >>> matrix(scores).get_ylabel()
    'latent'
    """
    if kind not in ("heat map", "hinton"):
        raise ValueError(f'kind must be "heat map" or "hinton"; got {kind!r}')
    score = _with_matrix(result)
    assert score.matrix is not None
    values = np.asarray(score.matrix, dtype=np.float64)
    greatest = np.argsort(-np.nan_to_num(np.abs(values)).max(axis=1), kind="stable")
    shown = np.sort(greatest[:most])
    values, latents = values[shown], [str(score.latents[h]) for h in shown]
    if ax is None:
        width = max(5.0, 2.4 + 0.62 * values.shape[1])
        ax = new_axes(min(width, 12.0), min(2.2 + 0.26 * len(latents), 9.0))
    if kind == "hinton":
        squares(ax, values, float(np.nanmax(np.abs(values), initial=0.0)) or 1.0)
    else:
        _heat(ax, values)
    number_both(ax, score.factors, latents)
    some = f", {len(latents)} of {len(score.latents)}" if len(latents) < len(score.latents) else ""
    ax.set_ylabel(f"latent{some}")
    open_frame(ax)
    words = f"{score.matrix_name}, from {score.name}"
    text = title_of(named(result, words), points_of(ax)[0] * 1.1, 10)
    ax.set_title(text, fontsize=10, parse_math=False)
    return ax


def _with_matrix(result: "MetricScore | Scores | Scorecard") -> MetricScore:
    """Return the score whose matrix is drawn."""
    scores = result.metrics if isinstance(result, Scorecard) else result
    if scores is None:
        raise Undefined("a matrix needs metrics, which this scorecard is without")
    found = [scores] if isinstance(scores, MetricScore) else list(scores.metrics.values())
    drawn = [score for score in found if score.matrix is not None]
    if not drawn:
        raise Undefined("none of the metrics has a matrix of latents and factors")
    return next((score for score in drawn if score.matrix_name.startswith("I(")), drawn[0])


def _heat(ax: "Axes", values: Float) -> None:
    """Draw the cells, with their numbers where these fit."""
    low, high = min(float(np.nanmin(values)), 0.0), float(np.nanmax(values)) or 1.0
    image = ax.imshow(values, cmap="Blues", vmin=low, vmax=high, aspect="auto")
    bar = figure_of(ax).colorbar(image, ax=ax, pad=0.02, fraction=0.05)
    bar.ax.tick_params(labelsize=SMALL)
    width, height = points_of(ax)
    if width / values.shape[1] < WRITTEN or height / len(values) < SMALL + 2:
        return
    for (h, k), value in np.ndenumerate(values):
        dark = value - low > 0.6 * (high - low)
        ax.text(
            k,
            h,
            f"{value:.2f}",
            ha="center",
            va="center",
            fontsize=SMALL - 1,
            color="white" if dark else "black",
        )
