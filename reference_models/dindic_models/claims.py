"""What the paper says of its experiments (section 8), beside what the runs of a study show.

Specified and learned noise are compared at the same normalised variance: the value of a learned run
against that of specified ones, interpolated between the two nearest in log beta sigma^2. Learned
runs beyond the specified ones are left out.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from disentangle_indicators.states import NORMAL_VARIANCE, USED, used_exact

__all__ = ["Claim", "claims"]

LITTLE = 0.1
"""Nats: between it and the threshold, few latents lie (section 8.1.2)."""

Rows = Mapping[str, Mapping[str, Any]]
Latents = Mapping[str, Mapping[str, NDArray[np.floating[Any]]]]

ENOUGH = 3
"""Runs that a trend needs."""


class Claim(NamedTuple):
    """A sentence of the paper, what is measured, and how to read it."""

    where: str
    said: str
    measured: str
    reading: str


def claims(rows: Rows, latents: Latents) -> list[Claim]:
    """Return the claims of section 8 that the runs of a study can speak to.

    Parameters
    ----------
    rows : dict of dict
        Of :class:`dindic_models.study.Study`.
    latents : dict of dict of array
        Definition 3 and so on of every latent, by run.

    Returns
    -------
    list of Claim
        None about runs that are not there: a trend needs three, a comparison some of both kinds.
    """
    fixed = [name for name, row in rows.items() if row["noise"] == "fixed"]
    learned = [name for name, row in rows.items() if row["noise"] == "learned"]
    found: list[Claim] = []
    if len(learned) >= ENOUGH:
        found += _of_beta(rows, learned)
    if len(learned) + len(fixed) >= ENOUGH:
        found += _of_all(rows, latents, fixed + learned)
    inside = _inside(rows, fixed, learned)
    if inside:
        found += _at_equal_variance(rows, fixed, inside)
    if {"learned_beta_10", "fixed_sigma2_0.11"} <= set(latents):
        found.append(_diversity(latents))
    return found


def _of_beta(rows: Rows, learned: Sequence[str]) -> list[Claim]:
    beta = [rows[name]["beta"] for name in learned]
    error = [rows[name]["squared_error"] for name in learned]
    fourth = [rows[name]["kl_aggregate_prior"] for name in learned]
    return [
        Claim(
            "8.1.1",
            "the bigger β, the better the reconstruction",
            f"rank correlation of β and the squared error {_ranks(beta, error)}",
            "+1: the bigger β, the worse",
        ),
        Claim(
            "8.1.1",
            "the bigger β, the lower Definition 4",
            f"rank correlation {_ranks(beta, fourth)}",
            "-1: lower throughout",
        ),
    ]


def _of_all(rows: Rows, latents: Latents, names: Sequence[str]) -> list[Claim]:
    column = {
        key: [float(rows[name][key]) for name in names]
        for key in ("kl_aggregate_prior", "used", "normal_variance", "normal_variance_used")
    }
    counted, used = sum(column["normal_variance"]), sum(column["normal_variance_used"])
    third = np.concatenate([latents[name]["mutual_information_per_latent"] for name in names])
    between = int(((third > LITTLE) & (third <= USED)).sum())
    return [
        Claim(
            "D.1",
            "the smaller Definition 4, the fewer used latents",
            f"rank correlation {_ranks(column['kl_aggregate_prior'], column['used'])} over "
            f"{len(names)} runs",
            "+1: fewer throughout",
        ),
        Claim(
            "Fig. 5b",
            "the number of normal-variance factors says how disentangled a code is",
            f"{counted - used:.0f} of the {counted:.0f} latents with |S - 1| ≤ {NORMAL_VARIANCE:g} are unused",
            "an unused latent has S = 1 too",
        ),
        Claim(
            "8.1.2",
            "Definition 3 determines the used latents",
            f"{between} of {len(third)} latents lie between {LITTLE:g} and {USED:g} nats, "
            f"{len(used_exact(third))} above",
            "few between: the count hardly depends on the threshold",
        ),
    ]


def _at_equal_variance(rows: Rows, fixed: Sequence[str], inside: Sequence[str]) -> list[Claim]:
    def against(column: str) -> NDArray[np.floating[Any]]:
        return np.array([_interpolated(rows, fixed, name, column) for name in inside])

    def own(column: str) -> NDArray[np.floating[Any]]:
        return np.array([float(rows[name][column]) for name in inside])

    printed = own("evlb") - against("evlb")
    same = own("evlb_at_normalised_variance") - against("evlb")
    gap = own("evlb") - own("evlb_at_normalised_variance")
    second = own("mutual_information") / against("mutual_information")
    fourth = own("kl_aggregate_prior") / against("kl_aggregate_prior")
    used = own("used") - against("used")
    n = f"{len(inside)} learned runs"
    return [
        Claim(
            "Fig. 4",
            "learning the noise raises the bound at the same normalised variance",
            f"{_range(printed, '+z.0f')} nats as plotted, {_range(same, '+z.0f')} in one "
            f"convention; one model in both differs by {_range(gap, 'z.0f')} ({n})",
            "an artefact, where only the first is positive",
        ),
        Claim(
            "Fig. 5a",
            "Definition 4 is similar at the same normalised variance",
            f"learned / specified {_range(fourth, '.2f')}, median {np.median(fourth):.2f} ({n})",
            "1: the same",
        ),
        Claim(
            "Fig. 6a",
            "learning the noise suppresses information more",
            f"Definition 2, learned / specified {_range(second, '.2f')}, median "
            f"{np.median(second):.2f} ({n})",
            "below 1: more; optima are the same",
        ),
        Claim(
            "Fig. 6b",
            "and uses fewer latents",
            f"{_range(used, '+z.1f')}, median {np.median(used):+.1f} ({n})",
            "negative: fewer",
        ),
    ]


def _diversity(latents: Latents) -> Claim:
    def spread(name: str) -> str:
        third = latents[name]["mutual_information_per_latent"]
        used = third[used_exact(third)]
        if len(used) < 2:
            return "no spread"
        return f"{used.std(ddof=1):.2f} (of {len(used)})"

    return Claim(
        "Fig. 16",
        "the information of used latents is more diverse with specified noise",
        f"standard deviation {spread('fixed_sigma2_0.11')} with specified noise, "
        f"{spread('learned_beta_10')} with learned",
        "nats",
    )


def _inside(rows: Rows, fixed: Sequence[str], learned: Sequence[str]) -> list[str]:
    """Return the learned runs whose normalised variance is within those specified of their seed."""
    inside = []
    for name in learned:
        ends = [rows[each]["normalised_variance"] for each in _of_seed(rows, fixed, name)]
        if len(ends) >= ENOUGH and min(ends) <= rows[name]["normalised_variance"] <= max(ends):
            inside.append(name)
    return inside


def _of_seed(rows: Rows, names: Sequence[str], name: str) -> list[str]:
    return [each for each in names if rows[each]["seed"] == rows[name]["seed"]]


def _interpolated(rows: Rows, fixed: Sequence[str], name: str, column: str) -> float:
    same = _of_seed(rows, fixed, name)
    ordered = sorted(same, key=lambda each: float(rows[each]["normalised_variance"]))
    x = np.log([rows[each]["normalised_variance"] for each in ordered])
    y = [float(rows[each][column]) for each in ordered]
    return float(np.interp(np.log(rows[name]["normalised_variance"]), x, y))


def _ranks(x: Sequence[float], y: Sequence[float]) -> str:
    from scipy.stats import spearmanr

    if len(set(x)) < 2 or len(set(y)) < 2:
        return "not defined, since all values are the same,"
    return f"{spearmanr(x, y).statistic:+.2f}"


def _range(values: NDArray[np.floating[Any]], form: str) -> str:
    low, high = (format(end, form) for end in (values.min(), values.max()))
    return low if low == high else f"{low} to {high}"
