"""The aggregated posterior of one latent."""

from typing import TYPE_CHECKING

import numpy as np

from disentangle_indicators.plots._style import BLUE, TITLE, legend, new_axes, open_frame

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from disentangle_indicators.aggregate import Density


def marginal(result: "Density", ax: "Axes | None" = None) -> "Axes":
    """Draw the aggregated posterior of one latent beside the prior and q*.

    Parameters
    ----------
    result : Density
        Of :func:`disentangle_indicators.aggregate.density`.
    ax : matplotlib axes, optional
        A new figure by default.

    Returns
    -------
    matplotlib axes

    Examples
    --------
    >>> import numpy as np
    >>> from disentangle_indicators.aggregate import density
    >>> ax = marginal(density(np.array([[1.0], [-1.0]]), np.full((2, 1), 0.1), latent=0))
    >>> [line.get_label() for line in ax.lines]
    ['aggregated posterior', 'q*, its Gaussian of Definition 3', 'prior']
    """
    if ax is None:
        ax = new_axes(6.0, 3.5)
    z = result.z
    ax.fill_between(z, result.density, color=BLUE, alpha=0.25)
    ax.plot(z, result.density, color=BLUE, label="aggregated posterior")
    for variance, style, label in (
        (result.second_moment, "-", "q*, its Gaussian of Definition 3"),
        (1.0, "--", "prior"),
    ):
        gaussian = np.exp(-0.5 * z * z / variance) / np.sqrt(2 * np.pi * variance)
        ax.plot(z, gaussian, color="black", ls=style, lw=0.9, label=label)
    ax.set_title(
        f"latent {result.latent}: I(x; z_h) = {result.information:.3f} nats, Definition 3 = "
        f"{result.information + result.looseness:.3f}",
        fontsize=TITLE,
    )
    ax.set(xlabel=f"z[{result.latent}]", ylabel="density", ylim=(0, None))
    open_frame(ax)
    legend(ax)
    return ax
