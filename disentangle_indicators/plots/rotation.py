"""Audits of scores under rotations, and pairs of latents that prefer their axes."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from disentangle_indicators.plots._style import (
    FOUND,
    NULL,
    OWN,
    SMALL,
    VERDICTS,
    head,
    new_axes,
    open_frame,
)
from disentangle_indicators.rotation import Audit, Audits

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PolyCollection
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    from disentangle_indicators import rotation

LINEAR = 0.02
"""Nats up to which changes are drawn in proportion; beyond, the axis is logarithmic."""

BELOW: dict[str, Any] = {
    "xycoords": "axes fraction",
    "textcoords": "offset points",
    "fontsize": SMALL,
}
"""Where words below an axis stand, as an offset from its ends."""

SPREAD = 1e-9
"""Nulls whose extremes are nearer, relative to their size, are drawn as a line."""


def violin(
    audits: Audits | Audit | Sequence[Audit] | Mapping[str, Audit], ax: "Axes | None" = None
) -> "Axes":
    """Draw scores under random rotations as violins, with the unrotated score marked.

    Parameters
    ----------
    audits : Audits, Audit, or several of these, or a dict of them
    ax : matplotlib axes, optional
        A new figure by default.

    Returns
    -------
    matplotlib axes

    Raises
    ------
    ValueError
        Without an audit.

    Examples
    --------
    >>> import numpy as np
    >>> from disentangle_indicators.rotation import audit_rotations
    >>> factors = np.random.default_rng(0).integers(5, size=(100, 2))
    >>> ax = violin(audit_rotations("mig", factors, factors, rotations=9, search=False, rng=0))
    >>> ax.get_ylabel()
    'score'
    """
    several = _several(audits)
    if ax is None:
        ax = new_axes(max(6.2, 1.6 + 1.3 * len(several)), 4.4)
    for x, audit in enumerate(several):
        _violin(ax, x, audit)
        low, middle, high = audit.quantiles.values()
        ax.vlines(x, low, high, color="black", lw=1.2)
        ax.scatter(x, middle, marker="_", color="black", s=60)
        for word, look in FOUND.items():
            found = getattr(audit, word)
            if found is not None:
                ax.scatter(x, found.score, marker=look.mark, color=look.colour, s=40, zorder=3)
        ax.hlines(audit.score, x - 0.38, x + 0.38, color=OWN, lw=2.0, zorder=3)
        ax.annotate(
            f"p = {audit.p_value:.2g}",
            (x, 0.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 4),
            textcoords="offset points",
            ha="center",
            fontsize=SMALL,
        )
    first = several[0]
    ax.set_xticks(range(len(several)), [audit.metric for audit in several])
    ax.set_xlim(-0.6, len(several) - 0.4)
    ax.set_ylabel("score")
    ax.margins(y=0.12)
    open_frame(ax)
    title = f"{first.rotations} random rotations of {len(first.latents)} latents, n = {first.n}"
    head(ax, title, _handles(any(audit.best is not None for audit in several)))
    return ax


def _several(audits: Audits | Audit | Sequence[Audit] | Mapping[str, Audit]) -> list[Audit]:
    if isinstance(audits, Audit):
        return [audits]
    if isinstance(audits, Audits):
        audits = audits.audits
    several = list(audits.values() if isinstance(audits, Mapping) else audits)
    if not several:
        raise ValueError("audits must hold at least one; got none")
    return several


def _violin(ax: "Axes", x: int, audit: Audit) -> None:
    size = float(np.max(np.abs(audit.null)))
    if float(np.ptp(audit.null)) <= SPREAD * size:
        ax.hlines(audit.null[0], x - 0.3, x + 0.3, color=NULL, lw=4.0)
        return
    parts = ax.violinplot(
        audit.null, positions=[x], widths=0.7, showextrema=False, showmedians=False
    )
    for body in cast("list[PolyCollection]", parts["bodies"]):
        body.set(facecolor=NULL, edgecolor="none", alpha=0.6)


def _handles(searched: bool) -> "list[Line2D | Patch]":
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Line2D | Patch] = [
        Line2D([], [], color=OWN, lw=2.0, label="as it is"),
        Patch(facecolor=NULL, alpha=0.6, label="random rotations"),
        Line2D([], [], color="black", lw=1.2, marker="_", label="their median, 5% to 95%"),
    ]
    if searched:
        handles += [
            Line2D([], [], ls="", marker=look.mark, color=look.colour, label=f"{word} found")
            for word, look in FOUND.items()
        ]
    return handles


def pairs(result: "rotation.Axes", ax: "Axes | None" = None, most: int = 40) -> "Axes":
    """Draw how rotating each pair of latents changes the total correlation.

    To the left is what the best angle removes, to the right what the worst angle adds. Colours
    are verdicts, and the best angle is written beside pairs with better axes. The axis is
    logarithmic beyond 0.02 nats on either side, so that a small gain is seen beside large costs.

    Parameters
    ----------
    result : Axes
        Of :func:`disentangle_indicators.rotation.axes`.
    ax : matplotlib axes, optional
        A new figure by default.
    most : int
        Pairs to draw, those with the largest effects first.

    Returns
    -------
    matplotlib axes

    Examples
    --------
    >>> import numpy as np
    >>> from disentangle_indicators.rotation import axes
    >>> mean = np.random.default_rng(0).normal(size=(200, 2))
    >>> ax = pairs(axes(mean, np.full((200, 2), 0.1), rng=0))
    >>> ax.get_xlabel()
    'change of total correlation [nats]'
    """
    shown = result.pairs[:most]
    if ax is None:
        ax = new_axes(6.0, 1.6 + 0.24 * max(len(shown), 2))
    y = np.arange(len(shown))
    colours = [VERDICTS[pair.verdict] for pair in shown]
    bars: dict[str, Any] = {"color": colours, "height": 0.7, "error_kw": {"lw": 0.8}}
    gains, costs = ([max(getattr(p, name), 0.0) for p in shown] for name in ("gain", "cost"))
    ax.barh(y, [-gain for gain in gains], xerr=[2 * pair.gain_se for pair in shown], **bars)
    ax.barh(y, costs, xerr=[2 * pair.cost_se for pair in shown], **bars)
    for i, pair in enumerate(shown):
        if pair.verdict == "better axes":
            ax.annotate(
                f"{pair.best_degrees:.0f}°",
                (-pair.gain - 2 * pair.gain_se, i),
                xytext=(-3, 0),
                textcoords="offset points",
                ha="right",
                va="center",
                fontsize=SMALL,
            )
    ax.axvline(0, color="black", lw=0.8)
    ax.set_xscale("symlog", linthresh=LINEAR)
    ax.xaxis.set_major_formatter("{x:g}")
    ax.set_yticks(y, [f"{pair.i}, {pair.j}" for pair in shown])
    ax.invert_yaxis()
    ax.margins(x=0.12)
    ax.set(xlabel="change of total correlation [nats]", ylabel="pair of latents")
    for side, word in ((0.0, "← best angle"), (1.0, "worst angle →")):
        ax.annotate(word, (side, 0.0), (0, -32), ha="left" if side == 0 else "right", **BELOW)
    open_frame(ax)
    from matplotlib.patches import Patch

    found = {pair.verdict for pair in shown}
    patches = [Patch(color=VERDICTS[name], label=name) for name in VERDICTS if name in found]
    head(ax, "turns of pairs; bars ± 2 standard errors", patches)
    return ax
