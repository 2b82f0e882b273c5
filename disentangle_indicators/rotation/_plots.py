"""Pictures of rotation audits."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from disentangle_indicators._files import picture_path, save_figure
from disentangle_indicators.rotation._audit_result import Audit
from disentangle_indicators.rotation._axes_result import Axes as FoundAxes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PolyCollection

__all__ = ["pairs", "save_pairs", "save_violin", "violin"]

NULL = "#9aa0a6"
OWN = "#1f77b4"
MARKS = (("best", "^", "#2ca02c"), ("worst", "v", "#d62728"))

SPREAD = 1e-9
"""Nulls whose extremes are nearer, relative to their size, are drawn as a line."""


def violin(
    audits: Audit | Sequence[Audit] | Mapping[str, Audit], ax: "Axes | None" = None
) -> "Axes":
    """Draw scores under random rotations as violins, with the unrotated score marked.

    Parameters
    ----------
    audits : Audit, or several, or a dict of them
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
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from disentangle_indicators.rotation import audit_rotations
    >>> factors = np.random.default_rng(0).integers(5, size=(100, 2))
    >>> ax = violin(audit_rotations("mig", factors, factors, rotations=9, search=False, rng=0))
    >>> ax.get_ylabel()
    'score'
    """
    several = _several(audits)
    if ax is None:
        from matplotlib.figure import Figure

        ax = Figure(figsize=_size(several), layout="constrained").add_subplot()
    for x, audit in enumerate(several):
        _violin(ax, x, audit)
        low, middle, high = audit.quantiles.values()
        ax.vlines(x, low, high, color="black", lw=1.2)
        ax.scatter(x, middle, marker="_", color="black", s=60)
        for word, marker, colour in MARKS:
            found = getattr(audit, word)
            if found is not None:
                ax.scatter(x, found.score, marker=marker, color=colour, s=40, zorder=3)
        ax.hlines(audit.score, x - 0.38, x + 0.38, color=OWN, lw=2.0, zorder=3)
        ax.annotate(
            f"p = {audit.p_value:.2g}",
            (x, 0.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 4),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )
    first = several[0]
    ax.set_xticks(range(len(several)), [audit.metric for audit in several])
    ax.set_xlim(-0.6, len(several) - 0.4)
    ax.set_ylabel("score")
    ax.margins(y=0.12)
    ax.set_title(
        f"{first.rotations} random rotations of {len(first.rotated)} latents, n = {first.n}",
        fontsize=11,
        pad=34,
    )
    ax.spines[["top", "right"]].set_visible(False)
    _legend(ax, any(audit.best is not None for audit in several))
    return ax


def save_violin(audits: Audit | Sequence[Audit] | Mapping[str, Audit], path: str | Path) -> Path:
    """Draw :func:`violin` into a file.

    Parameters
    ----------
    audits : Audit, or several, or a dict of them
    path : path
        .png, .svg or .pdf; written whole or not at all.

    Returns
    -------
    Path

    Raises
    ------
    ValueError
        On an ending that is not a picture format.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> from disentangle_indicators.rotation import audit_rotations
    >>> factors = np.random.default_rng(0).integers(5, size=(100, 2))
    >>> audit = audit_rotations("mig", factors, factors, rotations=9, search=False, rng=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_violin(audit, f"{folder}/audit.png").name
    'audit.png'
    """
    from matplotlib.figure import Figure

    path = picture_path(path)
    figure = Figure(figsize=_size(_several(audits)), layout="constrained")
    violin(audits, figure.add_subplot())
    return save_figure(figure, path)


def _several(audits: Audit | Sequence[Audit] | Mapping[str, Audit]) -> list[Audit]:
    if isinstance(audits, Audit):
        return [audits]
    several = list(audits.values() if isinstance(audits, Mapping) else audits)
    if not several:
        raise ValueError("audits must hold at least one; got none")
    return several


def _size(several: list[Audit]) -> tuple[float, float]:
    return max(6.2, 1.6 + 1.3 * len(several)), 4.4


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


def _legend(ax: "Axes", searched: bool) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Line2D | Patch] = [
        Line2D([], [], color=OWN, lw=2.0, label="as it is"),
        Patch(facecolor=NULL, alpha=0.6, label="random rotations"),
        Line2D([], [], color="black", lw=1.2, marker="_", label="their median, 5% to 95%"),
    ]
    if searched:
        handles += [
            Line2D([], [], ls="", marker=marker, color=colour, label=f"{word} found")
            for word, marker, colour in MARKS
        ]
    ax.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        borderaxespad=0.2,
        fontsize=8,
        ncols=3,
        frameon=False,
    )


VERDICTS = {"better axes": "#d62728", "preferred": "#1f77b4", "arbitrary": "#9aa0a6"}


def pairs(result: FoundAxes, ax: "Axes | None" = None, most: int = 40) -> "Axes":
    """Draw what turning each pair of latents would do to the total correlation.

    To the left is what the best angle removes, to the right what the worst one adds; colours are
    verdicts, and the best angle stands beside pairs that would be better turned.

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
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from disentangle_indicators.rotation import axes
    >>> mean = np.random.default_rng(0).normal(size=(200, 2))
    >>> ax = pairs(axes(mean, np.full((200, 2), 0.1), rng=0))
    >>> ax.get_xlabel()
    'change of total correlation [nats]'
    """
    shown = result.pairs[:most]
    if ax is None:
        from matplotlib.figure import Figure

        size = (6.0, 1.6 + 0.24 * max(len(shown), 2))
        ax = Figure(figsize=size, layout="constrained").add_subplot()
    y = np.arange(len(shown))
    colours = [VERDICTS[pair.verdict] for pair in shown]
    for name, sign in (("gain", -1), ("cost", 1)):
        width = [sign * max(getattr(pair, name), 0.0) for pair in shown]
        errors = [2 * getattr(pair, f"{name}_se") for pair in shown]
        ax.barh(y, width, xerr=errors, color=colours, height=0.7, error_kw={"lw": 0.8})
    for i, pair in enumerate(shown):
        if pair.verdict == "better axes":
            ax.annotate(
                f"{pair.best_degrees:.0f}°",
                (-pair.gain - 2 * pair.gain_se, i),
                xytext=(-3, 0),
                textcoords="offset points",
                ha="right",
                va="center",
                fontsize=8,
            )
    ax.axvline(0, color="black", lw=0.8)
    ax.set_yticks(y, [f"{pair.i}, {pair.j}" for pair in shown])
    ax.invert_yaxis()
    ax.margins(x=0.12)
    ax.set(xlabel="change of total correlation [nats]", ylabel="pair of latents")
    ax.set_title("best angle (left) and worst angle (right); bars ± 2 standard errors", fontsize=9)
    ax.spines[["top", "right"]].set_visible(False)
    from matplotlib.patches import Patch

    found = {pair.verdict for pair in shown}
    handles = [Patch(color=VERDICTS[name], label=name) for name in VERDICTS if name in found]
    if handles:
        ax.legend(handles=handles, loc="lower right", fontsize=8, frameon=False)
    return ax


def save_pairs(result: FoundAxes, path: str | Path) -> Path:
    """Draw the pairs of an :class:`Axes` into a file.

    Parameters
    ----------
    result : Axes
    path : path
        .png, .svg or .pdf; written whole or not at all.

    Returns
    -------
    Path

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> from disentangle_indicators.rotation import axes
    >>> result = axes(np.eye(8), np.full((8, 8), 0.5), rng=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_pairs(result, f"{folder}/axes.png").name
    'axes.png'
    """
    from matplotlib.figure import Figure

    path = picture_path(path)
    height = 1.6 + 0.24 * min(max(len(result.pairs), 2), 40)
    figure = Figure(figsize=(6.0, height), layout="constrained")
    pairs(result, figure.add_subplot())
    return save_figure(figure, path)
