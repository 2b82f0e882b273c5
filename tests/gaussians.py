"""KL divergences of Gaussians, an oracle that shares no code with the library."""

import numpy as np


def kl(mean, var, mean_q=0.0, var_q=1.0):
    """Of diagonal Gaussians, per latent."""
    ratio = var / var_q
    return 0.5 * (ratio - 1 - np.log(ratio) + (mean - mean_q) ** 2 / var_q)


def kl_full(mean, cov, mean_q, cov_q):
    """Of full Gaussians (..., d)."""
    mean, cov, mean_q, cov_q = map(np.asarray, (mean, cov, mean_q, cov_q))
    delta = (mean_q - mean)[..., None]
    solved = np.linalg.solve(cov_q, np.concatenate([cov, delta + 0 * cov[..., :1]], axis=-1))
    trace = np.trace(solved[..., :-1], axis1=-2, axis2=-1)
    distance = np.sum(delta[..., 0] * solved[..., -1], axis=-1)
    log_dets = [np.linalg.slogdet(c)[1] for c in (cov, cov_q)]
    return 0.5 * (trace + distance - mean.shape[-1] - log_dets[0] + log_dets[1])
