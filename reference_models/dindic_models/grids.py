"""The runs of the paper's experiments: what differs from the settings of appendix D.5.

Each run is a dict of :class:`~dindic_models.config.Config` settings over those that runs on its
data set start from (:data:`dindic_models.config.STARTING`).
"""

from fnmatch import fnmatchcase
from typing import Any

from dindic_models.config import STARTING, Config, settings

__all__ = ["GRIDS", "LEARNED", "PRINTED", "SPECIFIED", "runs"]

Runs = dict[str, dict[str, Any]]

SPECIFIED = (0.0005, *(k / 1000 for k in range(1, 13)), *(k / 100 for k in range(2, 12)))
"""Variances of the specified noise on MNIST (appendix D.2)."""

LEARNED = (0.1, 0.5, 1, *range(2, 19, 2))
"""beta where the noise is learned, on MNIST (appendix D.2)."""

GRIDS: dict[str, Runs] = {
    "mnist": {f"fixed_sigma2_{s:g}": {"noise": "fixed", "sigma2": s} for s in SPECIFIED}
    | {f"learned_beta_{b:g}": {"noise": "learned", "beta": float(b)} for b in LEARNED},
    "celeba": {
        f"mog2_beta_{b}": {"noise": "mog", "components": 2, "beta": float(b)} for b in (1, 30, 40)
    }
    | {"mog2_beta_40_latents_32": {"noise": "mog", "beta": 40.0, "latents": 32}},
    "yale": {
        f"learned_beta_{b}": {"noise": "learned", "beta": float(b)} for b in (1, 40, 80, 120, 160)
    }
    | {"network": {"noise": "network", "epochs": 1460}},
}
"""The runs of each study, by data set and name (appendix D.2 to D.5)."""

PRINTED: dict[str, dict[str, dict[str, float]]] = {
    "mnist": {
        "learned_beta_0.5": {"normalised_variance": 0.00086},
        "learned_beta_1": {"normalised_variance": 0.00248},
        "learned_beta_10": {"normalised_variance": 0.112},
    },
}
"""What the paper prints of a run: captions of Fig. 2, 10 and 11."""


def runs(
    dataset: str,
    *,
    only: tuple[str, ...] = (),
    seeds: tuple[int, ...] = (0,),
    closed_form: bool = False,
    **changes: Any,
) -> dict[str, Config]:
    """Return the runs of a study by name; those of other seeds than 0 end with "_seed_1".

    Parameters
    ----------
    dataset : str
        A key of :data:`GRIDS`.
    only : tuple of str
        Names of runs, or patterns with * and ?; all by default.
    seeds : tuple of int
    closed_form : bool
        Whether runs that learn one variance take its closed form (A.1) instead of a gradient.
    **changes
        Settings for all of them, such as epochs.

    Raises
    ------
    ValueError
        If there is no such study, or no run of such a name.

    Examples
    --------
    >>> len(runs("mnist")), list(runs("mnist", only=("*beta_10",), seeds=(0, 1), epochs=2))
    (35, ['learned_beta_10', 'learned_beta_10_seed_1'])
    """
    if dataset not in GRIDS:
        raise ValueError(f"there is no study {dataset!r}; there is {', '.join(GRIDS)}")
    if len(set(seeds)) < len(seeds) or not seeds:
        raise ValueError(f"seeds must be different numbers, at least one; got {seeds}")
    grid = GRIDS[dataset]
    for pattern in only:
        if not any(fnmatchcase(name, pattern) for name in grid):
            raise ValueError(f"the study has no run {pattern!r}; it has {', '.join(grid)}")
    found = {}
    for seed in seeds:
        for name, own in grid.items():
            if not only or any(fnmatchcase(name, pattern) for pattern in only):
                values = STARTING[dataset] | own | changes | {"dataset": dataset, "seed": seed}
                values["closed_form"] = closed_form and own["noise"] == "learned"
                title = name if seed == 0 else f"{name}_seed_{seed}"
                found[title] = settings(values, f"study {dataset}")
    return found
