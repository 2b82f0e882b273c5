"""What every implementation of Definitions 1-7 must satisfy, as plain functions.

A law takes an :class:`Implementation`, encodings (mean, var) in numpy and a random generator, and
raises AssertionError when the implementation breaks it. Numbers are those of the table of testable
properties; tolerances are relative to the largest value that entered, or to 1.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from strategies import orthogonal

from disentangle_indicators import Moments, estimate_q_star
from disentangle_indicators import definitions as define
from disentangle_indicators._array import to_numpy
from disentangle_indicators.q_star import factorised


@dataclass(frozen=True)
class Implementation:
    """The indicators as functions of numpy arrays; s is the variance of some q*, not always best.

    Per-latent functions return (d,), the others a float.
    """

    q_star: Callable  # (mean, var) -> s, the solver
    kl_posterior_prior_per_latent: Callable  # (mean, var): Definition 1
    kl_posterior_prior: Callable
    mutual_information_per_latent: Callable  # (mean, var, s): Definition 3
    mutual_information: Callable  # Definition 2
    kl_aggregate_prior: Callable  # Definition 4
    kl_q_star_prior: Callable  # (s): Definition 5
    mutual_information_via_q_star: Callable  # (mean, var, s): Definition 6
    mutual_information_per_latent_via_q_star: Callable  # Definition 7
    upper_bounds: Callable  # (mean, var) -> dict by family
    gaussian_total_correlation: Callable  # (mean, var)


def library(xp):
    """The library under test, on arrays of the namespace `xp`."""

    def summary(mean, var):
        return Moments.of(xp.asarray(mean), xp.asarray(var), covariance=True)

    def fit(mean, var, s):
        moments = summary(mean, var)
        s = xp.asarray(s)
        prior = float(xp.sum(factorised.kl_prior_per_latent(xp, xp.zeros_like(s), s)))
        return moments, replace(estimate_q_star(moments=moments), var=s, kl_prior=prior)

    return Implementation(
        q_star=lambda m, v: to_numpy(estimate_q_star(xp.asarray(m), xp.asarray(v)).var),
        kl_posterior_prior_per_latent=lambda m, v: to_numpy(
            define.kl_posterior_prior_per_latent(summary(m, v))
        ),
        kl_posterior_prior=lambda m, v: define.kl_posterior_prior(summary(m, v)),
        mutual_information_per_latent=lambda m, v, s: to_numpy(
            define.mutual_information_per_latent(*fit(m, v, s))
        ),
        mutual_information=lambda m, v, s: define.mutual_information(*fit(m, v, s)),
        kl_aggregate_prior=lambda m, v, s: define.kl_aggregate_prior(*fit(m, v, s)),
        kl_q_star_prior=lambda s: define.kl_q_star_prior(*fit(s[None] * 0, s[None] * 0 + 1, s)),
        mutual_information_via_q_star=lambda m, v, s: define.mutual_information_via_q_star(
            *fit(m, v, s)
        ),
        mutual_information_per_latent_via_q_star=lambda m, v, s: to_numpy(
            define.mutual_information_per_latent_via_q_star(*fit(m, v, s))
        ),
        upper_bounds=lambda m, v: define.upper_bounds(summary(m, v)),
        gaussian_total_correlation=lambda m, v: define.gaussian_total_correlation(summary(m, v)),
    )


def close(actual, wanted, tolerance, *others):
    values = [np.max(np.abs(x)) for x in (actual, wanted, *others)]
    gap = np.max(np.abs(np.asarray(actual) - np.asarray(wanted)))
    assert gap <= tolerance * max(1.0, *values), f"{actual} is not {wanted}: off by {gap:.3g}"


def early_stopping_costs_what_it_must(ours, mean, var, rng):
    """1: D2(S e^delta) - D2(S) = 1/2 sum(delta + e^-delta - 1)."""
    delta = rng.normal(size=mean.shape[1])
    s = ours.q_star(mean, var)
    best = ours.mutual_information(mean, var, s)
    off = ours.mutual_information(mean, var, s * np.exp(delta))
    close(off - best, 0.5 * np.sum(delta + np.exp(-delta) - 1), 1e-10, best, off)


def solver_is_stationary(ours, mean, var, rng):
    """2: the optimality condition, max|S/s - 1|."""
    ratio = (mean**2 + var).mean(axis=0) / ours.q_star(mean, var)
    assert np.max(np.abs(ratio - 1)) <= 1e-12


def information_has_its_closed_form(ours, mean, var, rng):
    """3: D3 = (log S - average log v) / 2, and it sums to D2."""
    s = ours.q_star(mean, var)
    each = ours.mutual_information_per_latent(mean, var, s)
    second = (mean**2 + var).mean(axis=0)
    close(each, 0.5 * (np.log(second) - np.log(var).mean(axis=0)), 1e-10)
    close(np.sum(each), ours.mutual_information(mean, var, s), 1e-10)


def torch_agrees(ours, mean, var, rng):
    """4: D1, D3 and D5 are averages of torch's KL divergences; the absolute anchor."""
    import torch
    from torch.distributions import Normal, kl_divergence

    q = Normal(torch.asarray(mean), torch.sqrt(torch.asarray(var)))
    prior = Normal(torch.zeros(mean.shape[1], dtype=torch.float64), 1.0)
    each = kl_divergence(q, prior).mean(dim=0).numpy()
    close(ours.kl_posterior_prior_per_latent(mean, var), each, 1e-10)
    close(ours.kl_posterior_prior(mean, var), each.sum(), 1e-10)
    s = ours.q_star(mean, var)
    star = Normal(torch.zeros(mean.shape[1], dtype=torch.float64), torch.sqrt(torch.asarray(s)))
    each = kl_divergence(q, star).mean(dim=0).numpy()
    close(ours.mutual_information_per_latent(mean, var, s), each, 1e-10)
    close(ours.mutual_information(mean, var, s), each.sum(), 1e-10)
    close(ours.kl_q_star_prior(s), kl_divergence(star, prior).sum().item(), 1e-10)


def two_routes_agree(ours, mean, var, rng):
    """5: D4 = D5, D2 = D6 and D3 = D7; it checks the algebra, NOT that the solver converged."""
    s = ours.q_star(mean, var)
    first = ours.kl_posterior_prior(mean, var)
    close(ours.kl_aggregate_prior(mean, var, s), ours.kl_q_star_prior(s), 1e-10, first)
    one, other = ours.mutual_information, ours.mutual_information_via_q_star
    close(one(mean, var, s), other(mean, var, s), 1e-10, first)
    one = ours.mutual_information_per_latent(mean, var, s)
    other = ours.mutual_information_per_latent_via_q_star(mean, var, s)
    close(one, other, 1e-10, ours.kl_posterior_prior_per_latent(mean, var))


def routes_part_as_they_must(ours, mean, var, rng):
    """6: away from the optimum, D5 - D4 = sum((s - S)(s - 1) / 2s)."""
    second = (mean**2 + var).mean(axis=0)
    s = second * np.exp(rng.normal(size=second.shape))
    fifth, fourth = ours.kl_q_star_prior(s), ours.kl_aggregate_prior(mean, var, s)
    wanted = np.sum((s - second) * (s - 1) / (2 * s))
    close(fifth - fourth, wanted, 1e-10, fifth, fourth, ours.kl_posterior_prior(mean, var))


def information_is_not_negative(ours, mean, var, rng):
    """7: D3, D5 >= 0; D3 = 0 for a latent that ignores x, and above 0 for one that does not."""
    s = ours.q_star(mean, var)
    each = ours.mutual_information_per_latent(mean, var, s)
    jensen = 0.5 * np.log1p((mean**2).mean(axis=0) / var.mean(axis=0))
    assert np.all(each >= jensen - 1e-12)
    assert ours.kl_q_star_prior(s) >= -1e-12
    dead = np.zeros_like(mean), np.broadcast_to(var[0], var.shape).copy()
    each = ours.mutual_information_per_latent(*dead, ours.q_star(*dead))
    assert np.max(np.abs(each)) <= 1e-12


def units_do_not_matter(ours, mean, var, rng):
    """8: D3 does not change with z_h -> a_h z_h, of either sign, and follows a permutation."""
    each = ours.mutual_information_per_latent(mean, var, ours.q_star(mean, var))
    a = np.exp(rng.uniform(-8, 8, mean.shape[1])) * rng.choice([-1.0, 1.0], mean.shape[1])
    order = rng.permutation(mean.shape[1])
    changed = (a * mean)[:, order], (a**2 * var)[:, order]
    after = ours.mutual_information_per_latent(*changed, ours.q_star(*changed))
    close(after, each[order], 1e-10)


def copies_change_nothing(ours, mean, var, rng):
    """9: every row k times over."""
    k = int(rng.integers(2, 4))
    many = np.tile(mean, (k, 1)), np.tile(var, (k, 1))
    s, s_many = ours.q_star(mean, var), ours.q_star(*many)
    close(s_many, s, 1e-10)
    close(ours.kl_posterior_prior(*many), ours.kl_posterior_prior(mean, var), 1e-10)
    one = ours.mutual_information_per_latent
    close(one(*many, s_many), one(mean, var, s), 1e-10)
    bounds, bounds_many = ours.upper_bounds(mean, var), ours.upper_bounds(*many)
    for name, value in bounds.items():
        close(bounds_many[name], value, 1e-10)


def latents_at_the_prior_add_nothing(ours, mean, var, rng):
    """10: totals with more latents of mean 0 and variance 1."""
    rest = (len(mean), int(rng.integers(1, 4)))
    wide = np.hstack([mean, np.zeros(rest)]), np.hstack([var, np.ones(rest)])
    s, s_wide = ours.q_star(mean, var), ours.q_star(*wide)
    first = ours.kl_posterior_prior(mean, var)
    close(ours.kl_posterior_prior(*wide), first, 1e-12)
    close(ours.kl_q_star_prior(s_wide), ours.kl_q_star_prior(s), 1e-12)
    for total in (
        ours.mutual_information,
        ours.kl_aggregate_prior,
        ours.mutual_information_via_q_star,
    ):
        close(total(*wide, s_wide), total(mean, var, s), 1e-12, first)


def bounds_form_a_chain(ours, mean, var, rng):
    """11: the gaps between the families are what the covariance says, and so none is negative."""
    bounds = ours.upper_bounds(mean, var)
    b = mean.mean(axis=0)
    centred = (mean - b).T @ (mean - b) / len(mean) + np.diag(var.mean(axis=0))
    second = centred + np.outer(b, b)
    scale = max(1.0, bounds["prior"]) * 1e-9

    def gaussian_total_correlation(c):
        sd = np.sqrt(np.diag(c))
        return -0.5 * np.linalg.slogdet(c / sd / sd[:, None])[1]

    gaps = {
        ("factorised", "full"): gaussian_total_correlation(second),
        ("factorised-mean", "full-mean"): gaussian_total_correlation(centred),
        ("factorised", "factorised-mean"): 0.5 * np.sum(np.log1p(b**2 / np.diag(centred))),
        ("full", "full-mean"): 0.5 * np.log1p(b @ np.linalg.solve(centred, b)),
    }
    for (above, below), gap in gaps.items():
        close(bounds[above] - bounds[below], gap, 1e-9)
        assert bounds[above] >= bounds[below] - scale
    assert bounds["prior"] >= bounds["factorised"] - scale
    close(ours.gaussian_total_correlation(mean, var), gaussian_total_correlation(centred), 1e-9)


def rotations_keep_the_full_families(ours, mean, var, rng):
    """12: with isotropic posteriors, z -> Q z leaves a posterior diagonal, and the value as is."""
    isotropic = np.broadcast_to(var[:, :1], var.shape).copy()
    before = ours.upper_bounds(mean, isotropic)
    after = ours.upper_bounds(mean @ orthogonal(rng, mean.shape[1]), isotropic)
    close(after["full"], before["full"], 1e-8)
    close(after["full-mean"], before["full-mean"], 1e-8)


def pooling_adds_information(ours, mean, var, rng):
    """17: D3 of two data sets together is at least the average of theirs."""
    n = len(mean)
    cut = int(rng.integers(1, n)) if n > 1 else 1
    each = [
        ours.mutual_information_per_latent(m, v, ours.q_star(m, v)) * len(m) / n
        for m, v in ((mean[:cut], var[:cut]), (mean[cut:], var[cut:]))
        if len(m)
    ]
    pooled = ours.mutual_information_per_latent(mean, var, ours.q_star(mean, var))
    assert np.all(pooled >= sum(each) - 1e-10)


LAWS = {
    "early stopping": early_stopping_costs_what_it_must,
    "stationary": solver_is_stationary,
    "closed form": information_has_its_closed_form,
    "torch": torch_agrees,
    "two routes": two_routes_agree,
    "routes part": routes_part_as_they_must,
    "not negative": information_is_not_negative,
    "units": units_do_not_matter,
    "copies": copies_change_nothing,
    "more latents": latents_at_the_prior_add_nothing,
    "chain": bounds_form_a_chain,
    "rotation": rotations_keep_the_full_families,
    "pooling": pooling_adds_information,
}
