"""The figures of the paper, from the runs of a study.

Each is a function of a :class:`~dindic_models.study.Study` that returns a matplotlib figure;
:data:`FIGURES` says which a study has, and which runs they need.
"""

from collections.abc import Callable, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dindic_models._study_result import GAUSSIAN, Study, in_epochs
from dindic_models.batches import Progress
from dindic_models.curves import (
    NOISES,
    aggregate,
    bounds,
    lacking,
    learned_variance,
    series,
    suppression,
)
from dindic_models.data import rows, some
from dindic_models.mosaics import mosaic
from dindic_models.pictures import draw_grid, draw_one_shot, draw_reconstructions
from dindic_models.traverse import choose, information, reconstruct, traverse
from disentangle_indicators import score
from disentangle_indicators.plots import pulse, save
from disentangle_indicators.plots._style import DPI, figure_of, new_axes, new_figure
from disentangle_indicators.states import USED, used_exact

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "FIGURES",
    "Figured",
    "aggregate",
    "bound",
    "draw_all",
    "drawn_runs",
    "information_and_traversals",
    "information_plot",
    "learned_variance",
    "one_shot",
    "residuals",
    "suppression",
    "traversals",
]

SEEDS = 5
"""Test images that traversals start from."""


class Figured(NamedTuple):
    """A figure: how it is drawn, and names or patterns of runs without which it cannot be."""

    draw: Callable[[Study], "Figure"]
    needs: tuple[str, ...]


def drawn_runs(dataset: str) -> tuple[str, ...]:
    """Return the runs whose encodings figures are drawn from; the rows are enough of others.

    Examples
    --------
    >>> drawn_runs("mnist")
    ('learned_beta_10', 'learned_beta_1', 'learned_beta_0.5', 'fixed_sigma2_0.11')
    """
    needs = [need for figured in FIGURES.get(dataset, {}).values() for need in figured.needs]
    return tuple(dict.fromkeys(need for need in needs if "*" not in need))


def draw_all(
    study: Study, folder: Path, *, progress: Progress | None = None
) -> tuple[list[Path], dict[str, str]]:
    """Draw every figure whose runs are there.

    Parameters
    ----------
    study : Study
    folder : path
        Where ``figure_04.png`` and so on go; made if it is not there.
    progress : callable, optional

    Returns
    -------
    list of path
        What was written.
    dict of str
        Why the other figures were not drawn.
    """
    wanted = FIGURES.get(study.dataset, {})
    absent = {name: lacking(study, figured.needs) for name, figured in wanted.items()}
    missing = {name: f"needs {', '.join(runs)}" for name, runs in absent.items() if runs}
    if not study.rows:
        return [], missing
    folder.mkdir(parents=True, exist_ok=True)
    todo: Any = [name for name in wanted if name not in missing]
    if progress is not None:
        todo = progress(todo, "drawing", len(todo))
    paths = []
    for name in todo:
        paths.append(save(wanted[name].draw(study), folder / f"{name}.png"))
    return paths, missing


def bound(study: Study) -> "Figure":
    """Fig. 4: EVLB against the normalised variance, and reconstructions below."""
    figure = new_figure(9, 8.2)
    above, below = figure.subplots(2, 1, height_ratios=(1.25, 1))
    bounds(study, above)
    chosen = [name for noise in NOISES for name in _spread(series(study, noise), 4)]
    _reconstructions(below, study, chosen)
    return figure


def information_plot(study: Study, run: str, title: str) -> "Figure":
    """Fig. 10 and 11: the information of every latent above, its variance in q* below."""
    mean, var = study.encoded(run)
    ax = pulse(score(mean, var=var), new_axes(10.0, 4.5))
    ax.set_title(f"{title}: {_about(study, run)}\n{ax.get_title()}", fontsize=10)
    return figure_of(ax)


def information_and_traversals(study: Study, run: str, title: str, most: int = 9) -> "Figure":
    """Fig. 2 and 16: information and variance of every latent, and what some of them do."""
    above = information_plot(study, run, title)
    return _stacked(above, traversals(study, run, "the most informative latents", most))


def traversals(study: Study, run: str, title: str, most: int | None = None) -> "Figure":
    """Fig. 7 and 12 to 14: a block for every used latent, or the most informative ones."""
    model, images, names = _seeds(study, run, SEEDS)
    mean, var = study.encoded(run)
    found = information(mean, var)
    latents, words = choose(found, top=_fewer(found.values, most))
    sweeps = traverse(model, images, latents)
    heading = f"{title}: {_about(study, run)}; {words}"
    titles = [found.title(latent) for latent in latents]
    reconstructed = reconstruct(model, images).mean
    return draw_grid(images, reconstructed, sweeps, titles, names=names, heading=heading)


def one_shot(study: Study, run: str, title: str, most: int = 12) -> "Figure":
    """Fig. 3: every latent swept about the code of one image."""
    model, images, _ = _seeds(study, run, 1)
    mean, var = study.encoded(run)
    found = information(mean, var)
    latents, words = choose(found, top=_fewer(found.values, most))
    sweeps = traverse(model, images, latents, around_seed=True)
    ax = draw_one_shot(
        images[0],
        reconstruct(model, images).mean[0],
        sweeps[0],
        [found.title(latent) for latent in latents],
        heading=f"{title}: {_about(study, run)}; {words}",
    )
    return figure_of(ax)


def residuals(study: Study, run: str, title: str) -> "Figure":
    """Fig. 15: reconstructions, and the component of the noise that each residual belongs to."""
    model, images, names = _seeds(study, run, 8)
    found = reconstruct(model, images)
    heading = f"{title}: {_about(study, run)}; {found.words}"
    return figure_of(draw_reconstructions(found, names=names, heading=heading))


def _fewer(values: NDArray[Any], most: int | None, threshold: float = USED) -> int:
    """Return how many latents to draw: the used ones, at most so many, and at least one."""
    used = max(1, len(used_exact(values, threshold)))
    return used if most is None else min(most, used)


def _spread(names: Sequence[str], number: int) -> list[str]:
    """Return so many of the names, evenly from the first to the last."""
    places = np.linspace(0, len(names) - 1, min(number, len(names))).round().astype(int)
    return [names[place] for place in dict.fromkeys(places.tolist())]


def _reconstructions(ax: "Axes", study: Study, names: Sequence[str], number: int = 16) -> None:
    """Draw test images, and below them what each model makes of them."""
    each: list[NDArray[Any]] = []
    labels = ["image"]
    for name in names:
        model, images, _ = _seeds(study, name, number)
        found = reconstruct(model, images)
        each += [found.mean] if each else [found.images, found.mean]
        row = study.rows[name]
        labels.append(f"{name.replace('_', ' ')}, βσ² {row['normalised_variance']:.2g}")
    tiles = mosaic(np.stack(each))
    ax.imshow(tiles, interpolation="nearest", extent=(0, tiles.shape[1], tiles.shape[0], 0))
    height = tiles.shape[0] / len(labels)
    ax.set_yticks((np.arange(len(labels)) + 0.5) * height, labels, fontsize=8)
    ax.set_xticks([])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_anchor("W")  # or the layout leaves too little room for the names
    ax.set_title("Test images and their reconstructions", loc="left", fontsize=10)


def _seeds(study: Study, run: str, number: int) -> tuple[Any, NDArray[Any], tuple[str, ...]]:
    """Return the model of a run, some test images, the same for all runs, and their names."""
    checkpoint = study.checkpoint(run)
    split, seed = checkpoint.config.split, checkpoint.config.split_seed
    chosen = some(rows(study.data, "test", split=split, seed=seed), number, seed=seed)
    return checkpoint.model, study.data.images[chosen], tuple(map(str, chosen))


def _about(study: Study, run: str) -> str:
    """Say which model it is, and how long it was trained on what."""
    row = study.rows[run]
    noise = f"β = {row['beta']:g}"
    if row["noise"] in GAUSSIAN:
        noise = f"βσ² = {row['normalised_variance']:.3g}"
    return f"{run}, {noise}, {in_epochs([row['epochs']])} on {row['device']}"


def _stacked(above: "Figure", below: "Figure") -> "Figure":
    """Set two figures below each other, as pictures of whole pixels."""
    pictures = [_pixels(figure) for figure in (above, below)]
    width = max(picture.shape[1] for picture in pictures)
    padded = [_padded(picture, width) for picture in pictures]
    whole = np.concatenate(padded)
    figure = new_figure(width / DPI, len(whole) / DPI, layout=None)
    figure.figimage(whole)
    return figure


def _pixels(figure: "Figure") -> NDArray[np.uint8]:
    from matplotlib.image import imread

    with BytesIO() as file:
        figure.savefig(file, dpi=DPI, format="png")
        file.seek(0)
        pixels = np.round(255 * imread(file)[..., :3])
    return pixels.astype(np.uint8)


def _padded(picture: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    left, rest = divmod(width - picture.shape[1], 2)
    return np.pad(picture, ((0, 0), (left, left + rest), (0, 0)), constant_values=255)


def _run(draw: Callable[..., "Figure"], run: str, title: str, **more: Any) -> Figured:
    return Figured(lambda study: draw(study, study.first(run), title, **more), (run,))


FIGURES: dict[str, dict[str, Figured]] = {
    "mnist": {
        "figure_02": _run(information_and_traversals, "learned_beta_10", "Fig. 2"),
        "figure_04": Figured(bound, ()),
        "figure_05": Figured(aggregate, ()),
        "figure_06": Figured(suppression, ()),
        "figure_08": Figured(
            partial(learned_variance, column="sigma2", title="Fig. 8: σ²"), ("learned_beta_*",)
        ),
        "figure_09": Figured(
            partial(learned_variance, column="normalised_variance", title="Fig. 9: βσ²"),
            ("learned_beta_*",),
        ),
        "figure_10": _run(information_plot, "learned_beta_1", "Fig. 10"),
        "figure_11": _run(information_plot, "learned_beta_0.5", "Fig. 11"),
        "figure_12": _run(traversals, "fixed_sigma2_0.11", "Fig. 12"),
        "figure_13": _run(traversals, "learned_beta_10", "Fig. 13"),
        "figure_16": _run(information_and_traversals, "fixed_sigma2_0.11", "Fig. 16"),
    },
    "celeba": {
        "figure_03": _run(one_shot, "mog2_beta_40", "Fig. 3"),
        "figure_03_latents_32": _run(one_shot, "mog2_beta_40_latents_32", "Fig. 3"),
        "figure_07": _run(traversals, "mog2_beta_40", "Fig. 7"),
        "figure_15": _run(residuals, "mog2_beta_40", "Fig. 15"),
    },
    "yale": {
        "figure_14": _run(traversals, "learned_beta_120", "Fig. 14"),
        "noise_of_the_network": _run(residuals, "network", "Network-parameterised noise"),
    },
}
"""The figures of each study, by name."""
