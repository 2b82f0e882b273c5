"""Curves of a study: indicators of all models against the normalised variance or beta."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from dindic_models._study_result import Study, base_name, in_epochs
from disentangle_indicators.plots._style import (
    BLUE,
    GREEN,
    INK,
    Look,
    figure_of,
    head,
    legend,
    new_axes,
    new_figure,
)
from disentangle_indicators.states import NORMAL_VARIANCE, USED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NOISES = {"fixed": Look(BLUE, "o"), "learned": Look(GREEN, "s")}
"""Looks of models by noise: blue if specified, green if learned, as in the paper."""

X_LABEL = "normalised variance βσ² [squared pixel units]"


def bounds(study: Study, ax: "Axes") -> "Axes":
    """Draw the EVLB against the normalised variance (Fig. 4).

    The paper plots learned noise at its own sigma^2 and specified noise at beta sigma^2; here the
    learned runs are drawn in both conventions, because the distance between their two lines is no
    property of the models.
    """
    _line(ax, study, "fixed", "evlb", "noise specified, at σ²")
    _line(ax, study, "learned", "evlb", "noise learned, at σ² (the paper's line)")
    words = "noise learned, at βσ², as the blue line is"
    _line(ax, study, "learned", "evlb_at_normalised_variance", words, ls="--")
    if not lacking(study, ["learned_beta_1"]):
        row, colour = study.rows[study.first("learned_beta_1")], NOISES["learned"].colour
        star: dict[str, Any] = {"marker": "*", "s": 200, "edgecolors": "black", "zorder": 3}
        ax.scatter(row["normalised_variance"], row["evlb"], color=colour, label="β = 1", **star)
    ax.set(ylabel="EVLB [nats an image]", xlabel=X_LABEL, xscale="log")
    legend(ax, size=9)
    ax.set_title(f"Fig. 4: the bound. {_trained(study)}", loc="left", fontsize=10)
    return ax


def aggregate(study: Study) -> "Figure":
    """Fig. 5: Definition 4 and the number of latents of normal variance."""
    words = "Fig. 5: the aggregated posterior and the prior"
    return _pair(
        study,
        words,
        ("kl_aggregate_prior", "Definition 4 [nats]", "log"),
        ("normal_variance", f"latents with |S - 1| ≤ {NORMAL_VARIANCE:g}", "linear"),
        ("total_kl_prior", "Σ KL(q(z_h) || p), exact"),
        ("normal_variance_used", "those of them that are used"),
    )


def suppression(study: Study) -> "Figure":
    """Fig. 6: Definition 2 and the number of used latents."""
    words = "Fig. 6: information"
    return _pair(
        study,
        words,
        ("mutual_information", "Definition 2 [nats]", "log"),
        ("used", f"latents above {USED:g} nats", "linear"),
        ("total_information", "Σ I(x; z_h), exact"),
        ("used_exact", "by exact I(x; z_h)"),
    )


def learned_variance(study: Study, column: str, title: str) -> "Figure":
    """Fig. 8 and 9: sigma^2 or beta sigma^2 that is learned, against beta."""
    from dindic_models.grids import PRINTED

    ax = new_axes(6, 4)
    names = sorted(series(study, "learned"), key=lambda name: study.rows[name]["beta"])
    beta = [study.rows[name]["beta"] for name in names]
    colour, mark = NOISES["learned"]
    values = [study.rows[name][column] for name in names]
    ax.plot(beta, values, marker=mark, color=colour, label="here")
    printed = {
        name: values["normalised_variance"]
        for name, values in PRINTED.get(study.dataset, {}).items()
        if not lacking(study, [name])
    }
    at = [study.rows[study.first(name)]["beta"] for name in printed]
    values = [
        value / (study.rows[study.first(name)]["beta"] if column == "sigma2" else 1)
        for name, value in printed.items()
    ]
    cross: dict[str, Any] = {"color": "black", "zorder": 3, "clip_on": False}
    ax.plot(at, values, "x", label="printed in the paper", **cross)
    sign = "σ²" if column == "sigma2" else "βσ²"
    ax.set(xlabel="β", ylabel=f"{sign} [squared pixel units]")
    ax.set_ylim(bottom=-0.04 * ax.get_ylim()[1])  # so that crosses near 0 do not lie on the axis
    ax.set_title(f"{title} of different β. {_trained(study)}", loc="left", fontsize=10)
    legend(ax, size=10)
    return figure_of(ax)


def lacking(study: Study, needs: Sequence[str]) -> list[str]:
    """Return the names and patterns that no run of the study has."""
    have = [base_name(run) for run in study.rows]
    return [need for need in needs if not any(fnmatchcase(run, need) for run in have)]


def _pair(
    study: Study,
    title: str,
    left: tuple[str, str, str],
    right: tuple[str, str, str],
    more_left: tuple[str, str],
    more_right: tuple[str, str],
) -> "Figure":
    """Draw two columns of the results against the normalised variance, each with another."""
    figure = new_figure(10, 4.4)
    both = figure.subplots(1, 2)
    pairs = zip(both, "ab", (left, right), (more_left, more_right), strict=True)
    for ax, letter, (column, label, scale), (other, words) in pairs:
        for noise, kind in (("fixed", "noise specified"), ("learned", "noise learned")):
            _line(ax, study, noise, column, kind)
            above: dict[str, Any] = {
                "mfc": "white",
                "mec": INK,
                "zorder": 3,
            }  # where both are alike
            _line(ax, study, noise, other, f"{kind}: {words}", ls=":", **above)
        ax.set(xscale="log", yscale=scale, xlabel=X_LABEL, ylabel=label)
        handles, _ = ax.get_legend_handles_labels()
        head(ax, f"({letter})", handles)
    figure.suptitle(f"{title}. {_trained(study)}", fontsize=10)
    return figure


def series(study: Study, noise: str) -> list[str]:
    """Return the runs of the first seed with this noise, by normalised variance."""
    first = min(row["seed"] for row in study.rows.values())
    alike = [name for name, row in study.rows.items() if row["noise"] == noise]
    names = [name for name in alike if study.rows[name]["seed"] == first]
    return sorted(names, key=lambda name: study.rows[name]["normalised_variance"])


def _line(ax: "Axes", study: Study, noise: str, column: str, label: str, **style: Any) -> None:
    names, look = series(study, noise), NOISES[noise]
    if not names:
        return
    x = [study.rows[name]["normalised_variance"] for name in names]
    y = [study.rows[name][column] for name in names]
    ax.plot(x, y, marker=look.mark, ms=4, lw=1.3, color=look.colour, label=label, **style)


def _trained(study: Study) -> str:
    epochs = sorted({row["epochs"] for row in study.rows.values()})
    devices = " and ".join(sorted({row["device"] for row in study.rows.values()}))
    return f"{in_epochs(epochs)} on {devices}"
