"""Encoders and populations that several tests of the joint share."""

import numpy as np


def mixture(rng, n=150, d=3):
    """Dependent latents, one of them a function of another, with variances that differ."""
    mean = rng.normal(size=(n, d)) * np.exp(rng.uniform(-0.5, 0.5, d))
    mean[:, 1] = np.abs(mean[:, 0])
    return mean, 0.1 * np.exp(rng.normal(size=(n, d)))


def mean_and_error(x):
    return np.mean(x), np.std(x, ddof=1) / np.sqrt(len(x))


def correlated(d, noise):
    """A Gaussian population: samples, I, TC, KL(q || p) and each row's KL to the true q."""
    basis = np.random.default_rng(d).normal(size=(d, d)) / np.sqrt(d)
    sigma = basis @ basis.T + 0.2 * np.eye(d)
    if d == 1:
        sigma = np.eye(1)
    cov = sigma + noise * np.eye(d)
    log_det = np.linalg.slogdet(cov)[1]

    def sample(rng, n):
        return rng.multivariate_normal(np.zeros(d), sigma, size=n), np.full((n, d), noise)

    def divergence(mean, var):
        precision = np.linalg.inv(cov)
        far = np.sum(mean @ precision * mean, axis=1) + var @ np.diag(precision)
        return 0.5 * (far - d + log_det - np.log(var).sum(axis=1))

    return (
        sample,
        0.5 * (log_det - d * np.log(noise)),
        0.5 * (np.log(np.diag(cov)).sum() - log_det),
        0.5 * (np.trace(cov) - d - log_det),
        divergence,
    )
