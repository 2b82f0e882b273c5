"""Pictures of results. Each takes an axes or none and returns the axes it drew on."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from disentangle_indicators._array import as_pair, to_numpy
from disentangle_indicators._files import picture_path, save_figure
from disentangle_indicators.evaluate import Indicators

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["marginal", "pulse", "save"]

COLOURS = {
    "near-deterministic": "#d62728",
    "used": "#1f77b4",
    "weak": "#ff9f1c",
    "offset": "#8d6e63",
    "unused": "#9aa0a6",
    "active": "#1f77b4",
    "inactive": "#9aa0a6",
}


def pulse(result: Any, ax: "Axes | None" = None) -> "Axes":
    """Draw the pulse plot of the paper's Fig. 2: information above, variance below.

    Parameters
    ----------
    result : Indicators, Scorecard or MeansOnly
        Without variances the upper half shows Var(mean) and there is no lower half.
    ax : matplotlib axes, optional
        The lower half is cut from it. A new figure by default.

    Returns
    -------
    matplotlib axes
        The upper half; the lower one shares its horizontal axis.

    Examples
    --------
    >>> import numpy as np
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from disentangle_indicators import indicators
    >>> ax = pulse(indicators(np.array([[1.0], [-1.0]]), np.full((2, 1), 0.5)))
    >>> ax.get_ylabel()
    'information [nats]'
    """
    exact = getattr(result, "marginals", None)
    result = getattr(result, "result", result)
    if ax is None:
        from matplotlib.figure import Figure

        width = min(max(6.0, 2.5 + 0.12 * result.d), 18.0)
        ax = Figure(figsize=(width, 4.5), layout="constrained").add_subplot()
    latents = np.arange(result.d)
    if not isinstance(result, Indicators):
        _stems(ax, latents, result.mean_variance, result.states)
        ax.set(ylabel="Var(mean)", xlabel="latent")
        title = f"{result.active_units} of {result.d} latents active, n = {result.n}"
        ax.set_title(title, fontsize=11, pad=20)
        _finish(ax, result.states, result.d)
        return ax
    below = ax.inset_axes((0.0, 0.0, 1.0, 0.36))
    lower, upper = below, ax.inset_axes((0.0, 0.4, 1.0, 0.6), sharex=below)
    ax.set_axis_off()
    title = f"{result.used} of {result.d} latents used, n = {result.n}"
    upper.set_title(title, fontsize=11, pad=_pad(exact))
    third = result.mutual_information_per_latent
    if exact is None:
        errors = result.standard_errors.get("mutual_information_per_latent")
        _stems(upper, latents, third, result.states, errors)
    else:
        errors = exact.standard_errors["information"]
        _stems(upper, latents, exact.information, result.states, errors)
        size = max(8.0, min(36.0, 1200 / result.d))
        upper.scatter(latents, third, s=size, facecolors="none", edgecolors="black", lw=0.8)
    upper.axhline(result.threshold, color="black", lw=0.8, ls="--")
    upper.set_ylabel("information [nats]" if exact is None else "I(x; z_h) [nats]")
    upper.set_ylim(bottom=0)
    upper.tick_params(labelbottom=False)
    _stems(lower, latents, result.second_moment, result.states)
    lower.axhline(1.0, color="black", lw=0.8, ls="--")
    lower.set_ylim(max(1.3, 1.1 * float(result.second_moment.max())), 0)
    lower.set(ylabel="variance S of q*", xlabel="latent")
    _finish(lower, (), result.d)
    _finish(
        upper,
        result.states,
        result.d,
        f"used above {result.threshold:g} nats; bars ± 2 standard errors",
        "" if exact is None else "Definition 3, an upper bound",
    )
    return upper


def marginal(mean: Any, var: Any, latent: int, ax: "Axes | None" = None) -> "Axes":
    """Draw the aggregated posterior of one latent beside the prior and q*.

    Parameters
    ----------
    mean, var : array, shape (n, d)
        Means and variances of the posteriors, in units of the prior N(0, 1).
    latent : int
    ax : matplotlib axes, optional
        A new figure by default.

    Returns
    -------
    matplotlib axes
        Posteriors that are narrower than a pixel are drawn as a histogram.

    Raises
    ------
    ValueError
        As :func:`disentangle_indicators.aggregate.marginals`, and on a latent that is not there.

    Examples
    --------
    >>> import numpy as np
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> ax = marginal(np.array([[1.0], [-1.0]]), np.full((2, 1), 0.1), 0)
    >>> [line.get_label() for line in ax.lines]
    ['aggregated posterior', 'q*, its Gaussian of Definition 3', 'prior']
    """
    from disentangle_indicators.aggregate._marginals import evaluate

    _, mean, var = as_pair(mean, var)
    if latent not in range(mean.shape[-1]):
        raise ValueError(f"latent must be from 0 to {mean.shape[-1] - 1}; got {latent}")
    mean, var = (to_numpy(x[:, latent : latent + 1]) for x in (mean, var))
    second = float(np.mean(mean**2 + var))
    reach, sd = 4 * max(1.0, np.sqrt(second)), np.sqrt(var)
    ends = min((mean - 4 * sd).min(), -reach), max((mean + 4 * sd).max(), reach)
    z, edges = np.linspace(*ends, 2001), np.linspace(*ends, 501)
    exact = evaluate(mean, var)
    narrow = (sd < edges[1] - edges[0])[:, 0]
    density = np.zeros_like(z)
    if not narrow.all():
        wide = evaluate(mean[~narrow], var[~narrow], z[:, None])
        density += wide.density[:, 0] * np.mean(~narrow)
    if narrow.any():
        counts = np.histogram(mean[narrow, 0], edges)[0] / len(mean) / (edges[1] - edges[0])
        density += counts[np.minimum(np.searchsorted(edges, z, "right") - 1, counts.size - 1)]
    if ax is None:
        from matplotlib.figure import Figure

        ax = Figure(figsize=(6.0, 3.5), layout="constrained").add_subplot()
    ax.fill_between(z, density, color=COLOURS["used"], alpha=0.25)
    ax.plot(z, density, color=COLOURS["used"], label="aggregated posterior")
    for v, style, label in (
        (second, "-", "q*, its Gaussian of Definition 3"),
        (1.0, "--", "prior"),
    ):
        gaussian = np.exp(-0.5 * z * z / v) / np.sqrt(2 * np.pi * v)
        ax.plot(z, gaussian, color="black", ls=style, lw=0.9, label=label)
    information, loose = (
        float(x[0]) for x in (exact.marginals.information, exact.marginals.looseness)
    )
    ax.set_title(
        f"latent {latent}: I(x; z_h) = {information:.3f} nats, Definition 3 = "
        f"{information + loose:.3f}",
        fontsize=11,
    )
    ax.set(xlabel=f"z[{latent}]", ylabel="density", ylim=(0, None))
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(fontsize=8, frameon=False)
    return ax


def _pad(exact: Any) -> int:
    """Leave room for the legend, which takes two rows where there are rings."""
    return 20 if exact is None else 34


def _stems(ax: "Axes", x: Any, height: Any, states: tuple[str, ...], errors: Any = None) -> None:
    colours = [COLOURS[state] for state in states]
    ax.vlines(x, 0, height, colors=colours, lw=max(1.0, min(4.0, 160 / len(x))))
    ax.scatter(x, height, c=colours, s=max(8.0, min(36.0, 1200 / len(x))), zorder=3)
    if errors is not None and np.all(np.isfinite(errors)):
        ax.errorbar(
            x,
            height,
            yerr=2 * errors,
            fmt="none",
            ecolor="black",
            elinewidth=0.8,
            capsize=2,
            zorder=4,
        )


def _finish(ax: "Axes", states: tuple[str, ...], d: int, line: str = "", ring: str = "") -> None:
    from matplotlib.lines import Line2D
    from matplotlib.ticker import MaxNLocator

    if d <= 20:
        ax.set_xticks(range(d))
    else:
        ax.xaxis.set_major_locator(MaxNLocator(nbins=20, integer=True))
    ax.set_xlim(-0.6, d - 0.4)
    ax.spines[["top", "right"]].set_visible(False)
    seen = [state for state in COLOURS if state in states]
    handles = [Line2D([], [], marker="o", ls="", color=COLOURS[s], label=s) for s in seen]
    if line:
        handles.append(Line2D([], [], color="black", lw=0.8, ls="--", label=line))
    if ring:
        handles.append(Line2D([], [], marker="o", ls="", mfc="none", color="black", label=ring))
    if handles:
        ax.legend(
            handles=handles,
            loc="lower left",
            bbox_to_anchor=(0.0, 1.0),
            borderaxespad=0.2,
            fontsize=8,
            ncols=len(handles) if not ring else (len(handles) + 1) // 2,
            frameon=False,
        )


def save(results: Any, path: str | Path) -> Path:
    """Draw the pulse plots of one or more results, one above the other, into a file.

    Parameters
    ----------
    results : sequence of Scorecard, Indicators or MeansOnly
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
    >>> from disentangle_indicators import score
    >>> card = score(np.array([[1.0], [-1.0]]), var=np.full((2, 1), 0.5))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save([card], f"{folder}/latents.png").name
    'latents.png'
    """
    from matplotlib.figure import Figure

    path = picture_path(path)
    width = min(max(6.0, 2.5 + 0.12 * max(r.d for r in results)), 18.0)
    figure = Figure(figsize=(width, 4.2 * len(results)), layout="constrained")
    for i, result in enumerate(results):
        ax = pulse(result, figure.add_subplot(len(results), 1, i + 1))
        name = getattr(result, "name", "")
        if name:
            title = f"{Path(name).name}: {ax.get_title()}"
            pad = _pad(getattr(result, "marginals", None))
            ax.set_title(title, fontsize=11, pad=pad, parse_math=False)
    return save_figure(figure, path)
