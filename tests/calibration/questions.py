"""Questions asked of one draw of a design: is what the product prints of it true?"""

import re
from dataclasses import replace

import numpy as np
from calibration.designs import Design, factors_of
from calibration.measure import Mean, Outcome, Spread

from disentangle_indicators import indicators, score
from disentangle_indicators.aggregate import certify, joint, marginals
from disentangle_indicators.aggregate._joint_result import joint_table, span
from disentangle_indicators.comparison import compare
from disentangle_indicators.posteriors import Encodings
from disentangle_indicators.rotation import audit_rotations, axes
from disentangle_indicators.supervised import (
    MetricOptions,
    channel,
    evaluate,
    evaluate_metrics,
    find,
)


def covers(value: float, error: float, truth: float) -> bool:
    """Return whether the interval of 1.96 errors holds the truth, but for rounding."""
    return bool(abs(value - truth) <= 1.96 * error + 1e-6)


def errors(design: Design, rng) -> dict[str, Outcome]:
    """Do value ± 1.96 standard errors hold the population, or are tails called too heavy?"""
    mean, var, clusters = design.draw(rng)
    found = indicators(mean, var, covariance=True, clusters=clusters)
    truth = design.truth
    names = {
        "Definition 1": ("kl_posterior_prior", "kl_posterior_prior"),
        "Definition 2": ("mutual_information", "mutual_information"),
        "Definition 3": ("mutual_information_per_latent",) * 2,
        "Definition 4": ("kl_aggregate_prior", "kl_aggregate_prior"),
        "Definition 5": ("kl_q_star_prior", "kl_aggregate_prior"),
        "Definition 6": ("mutual_information_via_q_star", "mutual_information"),
        "Definition 7": (
            "mutual_information_per_latent_via_q_star",
            "mutual_information_per_latent",
        ),
        "Gaussian total correlation": ("gaussian_total_correlation",) * 2,
    }
    out: dict[str, Outcome] = {}
    for label, (name, of) in names.items():
        value, error = (np.ravel(x[name])[0] for x in (found.values, found.standard_errors))
        out[label] = bool(found.heavy_tailed) or covers(value, error, truth[of])
    return out


def informed(design: Design, rng) -> dict[str, Outcome]:
    """Do the exact marginals and their errors hold the population, or the bounds where saturated?"""
    mean, var, clusters = design.draw(rng)
    found = marginals(mean, var, clusters=clusters)
    truth, value = design.truth, float(found.information[0])
    if found.saturated[0]:
        information = found.least_information[0] <= truth["information_per_latent"]
    else:
        error = found.population_errors["information"][0]
        information = covers(value, error, truth["information_per_latent"])
    low, error = found.total_kl_prior_low, found.standard_errors["total_kl_prior_low"]
    return {
        "I(x; z_h)": bool(information),
        "sum of I(x; z_h)": covers(
            found.total_information,
            found.population_errors["total_information"],
            truth["total_information"],
        ),
        "sum of KL(q(z_h) || p) ≥ a": bool(low - 1.96 * error <= truth["total_kl_prior"] + 1e-6),
    }


def chance(design: Design, rng) -> dict[str, Outcome]:
    """Is what a perfect match shows at this n what the report says it shows?"""
    mean, var, clusters = design.draw(rng)
    found = indicators(mean, var, covariance=True, clusters=clusters)
    names = {
        "chance of Definition 4": "kl_aggregate_prior",
        "chance of the Gaussian total correlation": "gaussian_total_correlation",
        "chance of the full distance": "kl_aggregate_prior_full_mean",
    }
    out: dict[str, Outcome] = {
        label: Mean(found.chance[name], getattr(found, name))
        for label, name in names.items()
        if name in found.chance
    }
    return out | {"chance is said to be a least value": bool(found.chance_at_least)}


def shortfall(design: Design, rng) -> dict[str, Outcome]:
    """Is I(x; z_h) of the rows below that of the population by what the report says?"""
    mean, var, _ = design.draw(rng)
    found = marginals(mean, var)
    missing = design.truth["total_information"] - found.total_information
    return {"shortfall of sum of I(x; z_h)": Mean(found.total_shortfall, missing)}


BOUND = re.compile(r"≥ (-?[\d.]+) ± ([\d.]+)")


def prior_sentence(design: Design, rng) -> dict[str, Outcome]:
    """Are the lower bounds of KL(q(z) || p) in the sentence on the prior below the truth?"""
    mean, var, clusters = design.draw(rng)
    text = score(mean, var=var, clusters=clusters).verdict["PRIOR"]
    bounds = [float(a) - 1.96 * float(error) for a, error in BOUND.findall(text)]
    holds = all(bound <= design.truth["joint_kl_prior"] + 5e-4 for bound in bounds)
    return {"KL(q(z) || p) ≥ a is true, or not printed": holds}


def ranges(design: Design, rng, points: int = 1000, grouped: bool = True) -> dict[str, Outcome]:
    """Do the ranges of the joint hold the population, or are they not given?"""
    mean, var, clusters = design.draw(rng)
    seed = int(rng.integers(2**31))
    found = joint(mean, var, rng=seed, points=points, clusters=clusters if grouped else None)
    truth, out = design.truth, {}
    for label, name, of in (
        ("range of I(x; z)", "mutual_information", "joint_information"),
        ("range of the total correlation", "total_correlation", "total_correlation"),
        ("range of KL(q(z) || p)", "kl_aggregate_prior", "joint_kl_prior"),
    ):
        low, high = span(found, name)
        below = low is None or low <= truth[of] + 1e-6
        out[label] = below and (high is None or truth[of] <= high + 1e-6)
    out["false alarm of the check"] = "do not trust" in repr(joint_table(found))
    return out


def joint_of_rows(design: Design, rng, points: int = 1000) -> dict[str, Outcome]:
    """Do I, TC and KL of these rows ± 1.96 errors hold what quadrature in the plane gives?"""
    mean, var, _ = design.draw(rng)
    found = joint(mean, var, rng=int(rng.integers(2**31)), points=points)
    information = _in_the_plane(mean, var)
    truth = {
        "mutual_information": information,
        "total_correlation": found.marginals.total_information - information,
    }
    labels = {"mutual_information": "I(x; z) of the rows", "total_correlation": "TC of the rows"}
    out: dict[str, Outcome] = {
        labels[name]: covers(getattr(found, name), found.standard_errors[name], value)
        for name, value in truth.items()
    }
    out["false alarm of the check"] = "do not trust" in repr(joint_table(found))
    return out


def _in_the_plane(mean, var):
    """Return I(x; z) of rows in a plane with few places and one variance, by Gauss-Hermite rules."""
    places, counts = np.unique(mean, axis=0, return_counts=True)
    width = var[0, 0]
    x, w = np.polynomial.hermite_e.hermegauss(24)
    nodes = np.sqrt(width) * np.stack(np.meshgrid(x, x), axis=-1).reshape(-1, 2)
    weights = np.outer(w, w).ravel() / (2 * np.pi)
    z = (places[:, None] + nodes).reshape(-1, 2)
    square = ((z[:, None] - places) ** 2).sum(axis=-1)
    share = counts / counts.sum()
    log_q = np.log(np.exp(-square / (2 * width)) @ share)
    log_own = np.tile(-(nodes**2).sum(axis=1) / (2 * width), len(places))
    return float(share @ ((log_own - log_q).reshape(len(places), -1) @ weights))


def certain(design: Design, rng) -> dict[str, Outcome]:
    """Do the certain bounds hold the information of the rows, which one latent has exactly?"""
    mean, var, _ = design.draw(rng)
    exact = float(marginals(mean, var).information[0])
    whole = certify(mean, var)
    some = certify(mean, var, rows=design.n // 4, rng=int(rng.integers(2**31)))
    low, high = (getattr(some, end) for end in ("low", "high"))
    slack = [1.96 * some.standard_errors[end] for end in ("low", "high")]
    return {
        "certain bounds": whole.low <= exact + 1e-7 <= whole.high + 2e-7,
        "bounds from a quarter of the rows": low - slack[0] <= exact <= high + slack[1],
    }


def code_and_factors(design: Design, rng, signal: float, clusters: int = 0):
    """Return a code of three latents, two factors of four and three values, and clusters.

    With no signal, the code depends on the cluster and not on the factors.
    """
    table = factors_of(rng, design.n, clusters=clusters)
    code = rng.standard_normal((design.n, design.d))
    groups = None
    if clusters:
        groups = np.arange(design.n) * clusters // design.n
        code += 2 * rng.standard_normal((clusters, design.d))[groups]
    centred = (table - table.mean(axis=0)) / table.std(axis=0)
    code[:, :2] += signal * centred
    return code, table, groups


SMALLER = {
    "higgins": {"pairs": 8, "train": 200, "evaluate": 100},
    "factor_vae": {"batch": 16, "train": 200, "evaluate": 100},
    "rf_vae": {"batch": 16, "train": 200, "evaluate": 100},
    "dci": {"trees": 2},
    "omes": {"pairs": 1000},
    "infomec": {"null": 8},
}
"""Votes, trees and pairs of metrics that cost too much: no promise depends on their number."""


def chosen(name: str):
    """Return a metric and its default protocol, with fewer votes where they cost too much."""
    found, protocol = find(name)
    fewer = found.parameters(protocol) | SMALLER.get(name, {})
    return {name: (replace(found, protocols={**found.protocols, protocol: fewer}), protocol)}


def metric(
    design: Design, rng, name: str, signal: float = 0.0, permutations: int = 19,
    halves: int = 0, clusters: int = 0,
) -> dict[str, Outcome]:  # fmt: skip
    """Is the p-value of a metric small as often as it should be, and is its error right?"""
    code, table, groups = code_and_factors(design, rng, signal, clusters)
    found = evaluate_metrics(
        chosen(name), Encodings.of(code, factors=table, clusters=groups), latents="all",
        permutations=permutations, halves=halves, rng=int(rng.integers(2**31)),
    ).metrics[name]  # fmt: skip
    out: dict[str, Outcome] = {}
    if found.p_value is not None:
        least = 1 / (found.permutations + 1)
        out[f"{name}: p at its least"] = bool(found.p_value <= max(least, 0.05) + 1e-12)
    elif permutations:
        out[f"{name}: p at its least"] = False
    if found.standard_error is not None and found.value is not None:
        out[f"{name}: standard error"] = Spread(found.standard_error, found.value)
    return out


def ceiling(design: Design, rng, name: str) -> dict[str, Outcome]:
    """Is the ceiling the score of a perfect code with a trace of noise?"""
    table = factors_of(rng, design.n)
    code = rng.standard_normal((design.n, design.d))
    code[:, :2] = table + 0.01 * code[:, :2]
    encodings = Encodings.of(code, factors=table)
    options = MetricOptions(name, permutations=0, halves=0, latents="all")
    found = next(iter(evaluate(encodings, options, rng=int(rng.integers(2**31))).metrics.values()))
    if found.ceiling is None or found.value is None:
        return {}
    return {f"{name}: ceiling": Mean(found.ceiling, found.value)}


def audit(design: Design, rng, name: str, signal: float = 0.0, **options) -> dict[str, Outcome]:
    """Is the p-value of an audit small as often as it should be?"""
    clusters = options.pop("clusters", 0)
    if signal:
        code, table, groups = code_and_factors(design, rng, signal, clusters)
    else:  # a turn at random of a code that holds the factors: all axes are alike
        code, table, groups = code_and_factors(design, rng, 1.0, clusters)
        code = code @ np.linalg.qr(rng.standard_normal((design.d, design.d)))[0]
    found = audit_rotations(
        name, code, table, clusters=groups, latents="all", rotations=19, search=False,
        rng=int(rng.integers(2**31)),
    )  # fmt: skip
    return {f"audit of {name}: p ≤ .05": found.p_value <= 0.05 + 1e-12}


def preferred(design: Design, rng, **options) -> dict[str, Outcome]:
    """What does the first pair of axes show, and how often?"""
    mean, var, clusters = design.draw(rng)
    if "scale" in options:
        mean = mean * np.array(options.pop("scale"))
    if turn := options.pop("turn", 0):
        c, s = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
        mean = mean @ np.array([[c, -s], [s, c]])
    found = axes(
        mean, var, clusters=clusters, latents="all", rng=int(rng.integers(2**31)), **options
    )
    verdict = found.pairs[0].verdict
    return {
        "called arbitrary": verdict == "arbitrary",
        "called better axes": verdict == "better axes",
        "called by variance": verdict == "by variance",
        "called identified": verdict in ("better axes", "by shape", "by variance"),
    }


def overstated(design: Design, rng, signal: float = 0.0) -> dict[str, Outcome]:
    """Is a latent called more informative than it is, when its codes are samples, or tiny means?"""
    table = factors_of(rng, design.n)
    mean, var, _ = design.draw(rng)
    mean[:, :2] = np.sqrt(design.variance) * (table - table.mean(axis=0)) / table.std(axis=0)
    if signal:  # means that move by a hundredth of the width of the posterior
        mean[:, 0] *= signal
    sample = mean + np.sqrt(var) * rng.standard_normal(mean.shape)
    seed = int(rng.integers(2**31))
    found = channel(mean, var, table, rng=seed, codes=None if signal else sample)
    return {"called more informative than it is": bool(np.any(found.overstated))}


def compared(design: Design, rng, paired: bool, more: float = 1.1) -> dict[str, Outcome]:
    """Do differences of two encoders ± 1.96 errors hold the difference of the populations?"""
    mean, var, clusters = design.draw(rng)
    first = score(mean, var=var, clusters=clusters, marginals=False)
    if not paired:
        mean, var, clusters = design.draw(rng)
    second = score(mean * np.sqrt(more), var=var, clusters=clusters, marginals=False)
    found = compare([first, second], paired=paired).differences[0]
    s, moved = design.truth["second_moment"], more * design.variance + design.width
    moved += more * design.offset**2
    k = design.k
    truth = {
        "kl_posterior_prior": k * 0.5 * (moved - s),
        "mutual_information": k * 0.5 * np.log(moved / s),
        "kl_aggregate_prior": k * 0.5 * (moved - s - np.log(moved / s)),
    }
    labels = (
        "difference of Definition 1",
        "difference of Definition 2",
        "difference of Definition 4",
    )
    return {
        label: covers(found[name], found[f"{name}_se"], value)
        for label, (name, value) in zip(labels, truth.items(), strict=True)
    }


def compared_metrics(design: Design, rng, name: str, paired: bool) -> dict[str, Outcome]:
    """Is the error of the difference of a metric of two codes right?"""
    code, table, _ = code_and_factors(design, rng, 1.0)
    other = code + 0.5 * rng.standard_normal(code.shape)
    options = MetricOptions(name, permutations=0, halves=20, latents="all")
    seed = int(rng.integers(2**31))
    first = score(Encodings.of(code, factors=table), metrics=options, rng=seed)
    if not paired:
        other, table, _ = code_and_factors(design, rng, 1.0)
        other = other + 0.5 * rng.standard_normal(other.shape)
    second = score(Encodings.of(other, factors=table), metrics=options, rng=seed)
    both = compare([first, second], paired=paired).metric_differences[0]
    value, error = next(iter(both.values()))
    return {f"difference of {name}: standard error": Spread(error, value)}
