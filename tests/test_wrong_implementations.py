"""Each deliberately wrong implementation breaks a law; `CAUGHT_BY` says which it breaks."""

import numpy as np
import pytest
from laws import LAWS, Implementation, library
from strategies import random_encodings

pytest.importorskip("torch", reason="torch is not installed: NO absolute anchor")


def kl(m, v, m_q, v_q):
    return 0.5 * ((v + (m - m_q) ** 2) / v_q - 1 - np.log(v / v_q))


def second_moment(mean, var):
    return np.mean(mean**2 + var, axis=0)


def covariance(mean, var):
    """Centred."""
    return np.atleast_2d(np.cov(mean.T, bias=True)) + np.diag(var.mean(axis=0))


def implementation(
    kl=kl, q_star=second_moment, covariance=covariance, total=np.sum, read=lambda m, v: (m, v)
):
    """Everything in plain numpy, from parts of which any may be wrong."""

    def first_each(mean, var):
        return np.mean(kl(*read(mean, var), 0.0, 1.0), axis=0)

    def third(mean, var, s):
        return np.mean(kl(*read(mean, var), 0.0, s), axis=0)

    def fifth_each(s):
        return kl(0.0, s, 0.0, 1.0)

    def first(mean, var):
        return total(first_each(mean, var))

    def second(mean, var, s):
        return total(third(mean, var, s))

    def bounds(mean, var):
        mean, var = read(mean, var)
        b, centred = mean.mean(axis=0), covariance(mean, var)
        entropy = np.sum(np.log(var).mean(axis=0))
        log_dets = {
            "full-mean": np.linalg.slogdet(centred)[1],
            "full": np.linalg.slogdet(centred + np.outer(b, b))[1],
            "factorised-mean": np.sum(np.log(np.diag(centred))),
            "factorised": np.sum(np.log(q_star(mean, var))),
        }
        values = {name: 0.5 * (value - entropy) for name, value in log_dets.items()}
        return values | {"prior": first(mean, var)}

    def correlation(mean, var):
        c = covariance(*read(mean, var))
        return 0.5 * (np.sum(np.log(np.diag(c))) - np.linalg.slogdet(c)[1])

    return Implementation(
        q_star=lambda mean, var: q_star(*read(mean, var)),
        kl_posterior_prior_per_latent=first_each,
        kl_posterior_prior=first,
        mutual_information_per_latent=third,
        mutual_information=second,
        kl_aggregate_prior=lambda mean, var, s: first(mean, var) - second(mean, var, s),
        kl_q_star_prior=lambda s: total(fifth_each(s)),
        mutual_information_via_q_star=lambda mean, var, s: first(mean, var) - total(fifth_each(s)),
        mutual_information_per_latent_via_q_star=lambda mean, var, s: (
            first_each(mean, var) - fifth_each(s)
        ),
        upper_bounds=bounds,
        gaussian_total_correlation=correlation,
    )


def stopped_early(mean, var):
    """Four steps of gradient descent in log variance, from the prior."""
    log_s = np.zeros(mean.shape[1])
    for _ in range(4):
        log_s -= np.clip(1 - second_moment(mean, var) / np.exp(log_s), -1, 1)
    return np.exp(log_s)


WRONG = {
    "swapped KL": implementation(kl=lambda m, v, m_q, v_q: kl(m_q, v_q, m, v)),
    "std for var": implementation(read=lambda m, v: (m, np.sqrt(v))),
    "var for std": implementation(read=lambda m, v: (m, v**2)),
    "ddof=1": implementation(
        q_star=lambda m, v: second_moment(m, v) * len(m) / max(len(m) - 1, 1)
    ),
    "missing 1/2": implementation(kl=lambda *args: 2 * kl(*args)),
    "missing -1": implementation(
        kl=lambda m, v, m_q, v_q: kl(m, v, m_q, v_q) + (0.5 if np.isscalar(v_q) else 0.0)
    ),
    "never moved": implementation(q_star=lambda m, v: np.ones(m.shape[1])),
    "stopped early": implementation(q_star=stopped_early),
    "mean over latents": implementation(total=np.mean),
    "log base 2": implementation(kl=lambda *args: kl(*args) / np.log(2)),
    "S without var": implementation(q_star=lambda m, v: np.mean(m**2, axis=0) + 1e-30),
    "S centred": implementation(q_star=lambda m, v: np.var(m, axis=0) + v.mean(axis=0)),
    "C without var": implementation(
        covariance=lambda m, v: covariance(m, np.full_like(v, 1e-6 * v.min()))
    ),
    "C shrunk to its diagonal": implementation(
        covariance=lambda m, v: covariance(m, v) * (0.9 + 0.1 * np.eye(m.shape[1]))
    ),
    "trace with sd": implementation(
        kl=lambda m, v, m_q, v_q: kl(m, v, m_q, v_q) + 0.5 * (np.sqrt(v / v_q) - v / v_q)
    ),
    "eps in the log": implementation(
        kl=lambda m, v, m_q, v_q: (
            kl(m, v, m_q, v_q) + 0.5 * (np.log1p(1e-6 / v_q) - np.log1p(1e-6 / v))
        )
    ),
    "var clipped": implementation(read=lambda m, v: (m, np.clip(v, 1e-4, None))),
}

CAUGHT_BY = {
    "swapped KL": [
        "early stopping",
        "closed form",
        "torch",
        "two routes",
        "routes part",
        "pooling",
    ],
    "std for var": [
        "stationary",
        "closed form",
        "torch",
        "routes part",
        "not negative",
        "units",
        "chain",
    ],
    "var for std": [
        "stationary",
        "closed form",
        "torch",
        "routes part",
        "not negative",
        "units",
        "chain",
    ],
    "ddof=1": [
        "early stopping",
        "stationary",
        "closed form",
        "two routes",
        "not negative",
        "copies",
        "more latents",
        "chain",
        "pooling",
    ],
    "missing 1/2": ["early stopping", "closed form", "torch", "routes part"],
    "missing -1": ["torch", "more latents"],
    "never moved": [
        "early stopping",
        "stationary",
        "closed form",
        "not negative",
        "units",
        "chain",
    ],
    "stopped early": [
        "early stopping",
        "stationary",
        "closed form",
        "two routes",
        "not negative",
        "units",
        "chain",
    ],
    "mean over latents": [
        "early stopping",
        "closed form",
        "torch",
        "routes part",
        "more latents",
        "chain",
    ],
    "log base 2": ["early stopping", "closed form", "torch", "routes part"],
    "S without var": [
        "early stopping",
        "stationary",
        "closed form",
        "two routes",
        "not negative",
        "units",
        "more latents",
        "chain",
        "pooling",
    ],
    "S centred": ["early stopping", "stationary", "closed form", "two routes", "chain", "pooling"],
    "C without var": ["chain"],
    "C shrunk to its diagonal": ["chain", "rotation"],
    "trace with sd": ["early stopping", "closed form", "torch", "two routes", "routes part"],
    "eps in the log": ["early stopping", "closed form", "torch", "not negative", "units"],
    "var clipped": [
        "stationary",
        "closed form",
        "torch",
        "routes part",
        "not negative",
        "units",
        "chain",
    ],
}

CASES = [
    random_encodings(np.random.default_rng(seed), 7 + 6 * seed, 2 + seed) for seed in range(5)
]


def breaks(ours, law):
    for seed, data in enumerate(CASES):
        try:
            LAWS[law](ours, *data, np.random.default_rng(seed))
        except AssertionError:
            return True
    return False


def broken_laws(ours):
    return [law for law in LAWS if breaks(ours, law)]


@pytest.mark.parametrize("name", WRONG)
def test_the_wrong_are_caught(name):
    assert broken_laws(WRONG[name]) == CAUGHT_BY[name]


def test_no_law_is_useless():
    assert set().union(*CAUGHT_BY.values()) == set(LAWS)


def test_the_right_ones_pass(xp):
    assert broken_laws(implementation()) == []
    assert broken_laws(library(xp)) == []


def test_two_routes_are_no_test_of_convergence():
    """D4 = D5 alone misses a solver that never moved, and a KL to the prior without its -1."""
    for name, anchor in (("never moved", "stationary"), ("missing -1", "torch")):
        assert not breaks(WRONG[name], "two routes")
        assert breaks(WRONG[name], anchor)
    assert not breaks(implementation(), "stationary")
    assert not breaks(implementation(), "torch")
