"""Pictures of results.

Each function takes a result, and an axes or none, and returns the axes that it drew on;
:func:`pulses` draws several results into one figure. :func:`save` writes either to a file.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from disentangle_indicators.plots._save import save
from disentangle_indicators.plots.aggregate import marginal
from disentangle_indicators.plots.latents import pulse, pulses
from disentangle_indicators.plots.rotation import pairs, violin

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["PLOTS", "marginal", "pairs", "pulse", "pulses", "save", "violin"]

PLOTS: "dict[str, Callable[..., Axes]]" = {
    "pulse": pulse,
    "marginal": marginal,
    "violin": violin,
    "pairs": pairs,
}
"""All pictures of one result, by name: functions of ``(result, ax=None)`` that return axes."""
