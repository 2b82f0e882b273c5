"""Why minibatch estimates of I(x; z) and TC (MWS, MSS: Chen et al., 2018) are not reported."""

from pathlib import Path

import numpy as np

from disentangle_indicators.aggregate import joint


def log_sum(log_density, weights):
    top = log_density.max(axis=1, keepdims=True)
    return top[:, 0] + np.log(np.einsum("ij,ij...->i...", weights, np.exp(log_density - top)))


def minibatch(m, v, z, log_q, weights):
    values, b = [], len(weights)
    for i in rng.permutation(n)[: n // b * b].reshape(-1, b):
        pairs = -0.5 * ((z[i, None] - m[i]) ** 2 / v[i] + np.log(2 * np.pi * v[i]))
        own, q = np.einsum("iih->i", pairs), log_sum(pairs.sum(axis=2), weights)
        tc = q - log_sum(pairs, weights).sum(axis=1)
        values.append(np.mean([own - q, tc, np.exp(q - log_q[i])], axis=1))
    return *np.mean(values, axis=0), np.std(values, axis=0)[2] / np.sqrt(len(values))


n, rng = 4_000, np.random.default_rng(0)
s = 0.5 + 0.5 * np.eye(5)  # "Gaussian" has q(z) = N(0, s), by posteriors of variance 0.2
gaussian = rng.multivariate_normal(np.zeros(5), s - 0.2 * np.eye(5), n), np.full((n, 5), 0.2)
with np.load(Path(__file__).parent / "data" / "mnist_vae.npz") as data:
    mnist = data["mu"][:n].astype(float), np.exp(data["logvar"][:n].astype(float))
encoders = {"collapsed": (0 * gaussian[0], 5 * gaussian[1]), "Gaussian": gaussian, "MNIST": mnist}
print(f"{n} rows{'I(x; z)':>22}{'TC':>9}   mean of estimate / q(z)")
for name, (m, v) in encoders.items():
    r, z = joint(m, v, rng=0), m + np.sqrt(v) * rng.standard_normal(m.shape)
    print(f"{f'{name}, joint()':24}{r.mutual_information:8.3f}{r.total_correlation:9.3f}")
    pairs = z @ (m / v).T - 0.5 * (z**2 @ (1 / v).T + (m**2 / v + np.log(2 * np.pi * v)).sum(1))
    log_q = log_sum(pairs, np.full((n, n), 1 / n))
    for b in (64, 256):
        mss = np.full((b, b), 1 / (b - 1))
        mss[range(b), range(-1, b - 1)] = (n - b + 1) / (n * (b - 1))
        np.fill_diagonal(mss, 1 / n)
        for kind, weights in {"MWS": np.full((b, b), 1 / (n * b)), "MSS": mss}.items():
            i, tc, ratio, error = minibatch(m, v, z, log_q, weights)
            print(f"  {f'{kind}, batch of {b}':22}{i:8.3f}{tc:9.3f}{ratio:11.3g} ± {error:.1g}")
