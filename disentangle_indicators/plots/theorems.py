"""What the theorems say of one encoder: the intrinsic dimension beside the used latents."""

from typing import TYPE_CHECKING

import numpy as np

from disentangle_indicators._errors import Undefined
from disentangle_indicators.plots._style import (
    BLUE,
    TITLE,
    VERMILLION,
    Look,
    legend,
    named,
    new_axes,
    open_frame,
    points_of,
    title_of,
)
from disentangle_indicators.theorems import Theorems

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["dimensions"]

ESTIMATES = {
    "two_nn": ("TwoNN", Look(BLUE, "o")),
    "levina_bickel": ("Levina-Bickel", Look(VERMILLION, "s")),
}
"""Fields that are drawn, their names and looks."""


def dimensions(result: Theorems, ax: "Axes | None" = None) -> "Axes":
    """Draw the intrinsic dimension of means, samples, control and data beside the used latents.

    Bars are two standard errors. Theorem 1 has all means at the dashed line.

    Parameters
    ----------
    result : Theorems
    ax : matplotlib axes, optional
        A new figure by default.

    Returns
    -------
    matplotlib axes

    Raises
    ------
    Undefined
        Where no dimension has a value, as where no latent is used.

    Examples
    --------
    >>> from disentangle_indicators.theorems import theorems
    >>> mean = np.random.default_rng(0).normal(size=(100, 2))
    >>> ax = dimensions(theorems(mean, np.full((100, 2), 0.1), axes=False))
    >>> [label.get_text() for label in ax.get_xticklabels()]
    ['means', 'samples', 'control']
    """
    found = result.dimensions
    if not found:
        raise Undefined("the picture needs an intrinsic dimension; there is none")
    ax = new_axes(5.2, 3.6) if ax is None else ax
    places = np.arange(len(found))
    for shift, (name, (label, look)) in zip((-0.08, 0.08), ESTIMATES.items(), strict=True):
        values = [getattr(each, name) for each in found.values()]
        errors = np.array([each.standard_errors[name] for each in found.values()])
        bars = 2 * np.where(np.isfinite(errors), errors, 0.0)
        ax.errorbar(
            places + shift, values, bars, color=look.colour, marker=look.mark, ls="", label=label
        )
    ax.axhline(len(result.used), color="black", lw=0.9, ls="--", label="used latents")
    ax.set_xticks(places, list(found))
    ax.set_xlim(-0.5, len(found) - 0.5)
    ax.set_ylim(bottom=0)
    ax.set_ylabel("intrinsic dimension")
    title = named(result, f"{len(result.used)} of {result.d} latents are used")
    ax.set_title(title_of(title, points_of(ax)[0]), fontsize=TITLE, parse_math=False)
    open_frame(ax)
    legend(ax)
    return ax
