"""Latents in the order of their information, and how they are numbered."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from disentangle_indicators._array import Float, to_numpy
from disentangle_indicators._errors import Undefined
from disentangle_indicators._indicators_result import Indicators
from disentangle_indicators._means_result import MeansOnly
from disentangle_indicators._scorecard_result import Scorecard
from disentangle_indicators.plots._style import SMALL, points_of, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NUMBERED = 20
"""Latents up to which each one is numbered."""

LONGEST = 130
"""Width in points of the longest label of a row or a column."""


def ranked(result: "Scorecard | Indicators") -> tuple[Indicators, Float, str]:
    """Return the indicators, the information of each latent, and what it is called."""
    found = result.result if isinstance(result, Scorecard) else result
    if isinstance(found, MeansOnly):
        raise Undefined("information needs posterior variances; these encodings have means only")
    exact = result.marginals if isinstance(result, Scorecard) else None
    if exact is not None:
        return found, exact.information, "I(x; z_h) [nats]"
    return found, to_numpy(found.mutual_information_per_latent), "Definition 3 [nats]"


def number(ax: "Axes", order: "NDArray[np.intp]") -> None:
    """Write the numbers of the latents where they fit, else their ranks."""
    from matplotlib.ticker import MaxNLocator

    d = len(order)
    fits = points_of(ax)[0] / d >= 6 * len(str(d)) + 3
    ax.set_xlim(-0.6, d - 0.4)
    if d <= NUMBERED and fits:
        ax.set_xticks(range(d), [str(h) for h in order])
        ax.set_xlabel("latent, the most informative first")
        return
    ax.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    ax.set_xlabel("latents, the most informative first")


def number_both(ax: "Axes", across: Sequence[str], down: Sequence[str]) -> None:
    """Label the columns and the rows of a matrix, every second, third, ... where they do not fit."""
    width, height = points_of(ax)
    cell = min(width / max(len(across), 1), height / max(len(down), 1))
    words = [shortened(label, LONGEST, SMALL) for label in across]
    long = max(map(len, words)) > 4
    step = max(1, int(np.ceil((10 if long else 6 * max(map(len, words)) + 3) / cell)))
    turned: dict[str, Any] = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
    ax.set_xticks(range(0, len(words), step), words[::step], **(turned if long else {}))
    step = max(1, int(np.ceil(10 / cell)))
    words = [shortened(label, LONGEST, SMALL) for label in down]
    ax.set_yticks(range(0, len(words), step), words[::step])
    ax.tick_params(labelsize=SMALL)
