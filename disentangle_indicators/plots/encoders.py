"""Encoders that span the same space: a matrix and a tree."""

from typing import TYPE_CHECKING

import numpy as np

from disentangle_indicators.comparison import Match
from disentangle_indicators.comparison._names import short_names
from disentangle_indicators.plots._style import SMALL, TITLE, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["matching"]

NUMBERED = 16
"""Encoders up to which cells have numbers."""

TREE = 0.35
"""Width of the tree, as a share of the matrix."""


def matching(result: Match, ax: "Axes | None" = None) -> "Axes":
    """Draw how many directions each two encoders share, in the order of a clustering.

    Colours are shares of the directions of both. Numbers are shared directions and, after a
    comma, latents whose axes agree. The tree joins encoders where all pairs of a group share so
    much (complete linkage).

    Parameters
    ----------
    result : Match
    ax : matplotlib axes, optional
        A new figure by default.

    Returns
    -------
    matplotlib axes

    Examples
    --------
    >>> from disentangle_indicators.comparison import match
    >>> rng = np.random.default_rng(0)
    >>> code = rng.normal(size=(200, 3)), np.full((200, 3), 0.1)
    >>> ax = matching(match([code, code, code], same_rows=True, rotations=19))
    >>> sorted(label.get_text() for label in ax.get_yticklabels())
    ['1', '2', '3']
    """
    from scipy.cluster.hierarchy import dendrogram, linkage
    from scipy.spatial.distance import squareform

    m = len(result.names)
    tree = linkage(squareform(result.distance, checks=False), "complete")
    drawn = dendrogram(tree, no_plot=True)
    order = [int(k) for k in drawn["leaves"] or ()]
    if ax is None:
        ax = new_axes(max(4.5, 1.8 + 0.38 * m * (1 + TREE)), max(3.2, 1.6 + 0.38 * m))
    share = 1 - result.distance[np.ix_(order, order)]
    image = ax.imshow(share, vmin=0, vmax=1, cmap="Blues", aspect="auto", zorder=1)
    if m <= NUMBERED:
        shared, axes = (x[np.ix_(order, order)] for x in (result.shared, result.agreeing))
        for i in range(m):
            for j in range(m):
                text = f"{shared[i, j]:.0f}" + (f", {axes[i, j]:.0f}" if i != j else "")
                colour = "white" if share[i, j] > 0.6 else "black"
                ax.text(j, i, text, ha="center", va="center", fontsize=SMALL, color=colour)
    for y, x in zip(drawn["icoord"], drawn["dcoord"], strict=True):
        right = m - 0.4 + TREE * m * np.asarray(x)
        ax.plot(right, (np.asarray(y) - 5) / 10, color="black", lw=0.9)
    ax.set_xlim(-0.5, m - 0.4 + TREE * m)
    ax.set_ylim(m - 0.5, -0.5)
    names = [short_names(result.names)[k] for k in order]
    size = SMALL if m <= NUMBERED else SMALL * NUMBERED / m
    ax.set_xticks(range(m), names, rotation=90, fontsize=size)
    ax.set_yticks(range(m), names, fontsize=size)
    for side in ("top", "right", "bottom", "left"):
        ax.spines[side].set_visible(False)
    ax.figure.colorbar(image, ax=ax, label="share that both carry", shrink=0.8)
    ax.set_title("shared directions, same axes", fontsize=TITLE)
    return ax
