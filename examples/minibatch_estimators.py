"""Why minibatch estimates of I(x; z) and TC (MWS, MSS: Chen et al., 2018) are not reported."""

from pathlib import Path

import numpy as np

from disentangle_indicators.aggregate import joint


def minibatch(m, v, z, log_q, weights):
    """Return I, TC, and the mean of q_hat(z_i) / q(z_i), q_hat(z_i) = sum_j weights_ij q_j(z_i)."""
    values, b = [], len(weights)
    for i in rng.permutation(n)[: n // b * b].reshape(-1, b):
        pairs = -0.5 * ((z[i, None] - m[i]) ** 2 / v[i] + np.log(2 * np.pi * v[i]))
        log_joint = np.log(np.einsum("ij,ij->i", weights, np.exp(pairs.sum(axis=2))))
        log_marginals = np.log(np.einsum("ij,ijh->ih", weights, np.exp(pairs))).sum(axis=1)
        own, ratio = np.einsum("iih->i", pairs), np.exp(log_joint - log_q[i])
        values.append(np.mean([own - log_joint, log_joint - log_marginals, ratio], axis=1))
    return *np.mean(values, axis=0), np.std(values, axis=0)[2] / np.sqrt(len(values))


n, rng, s = 4_000, np.random.default_rng(0), 0.5 + 0.5 * np.eye(5)  # "Gaussian": q(z) = N(0, s)
gaussian = rng.multivariate_normal(np.zeros(5), s - 0.2 * np.eye(5), n), np.full((n, 5), 0.2)
with np.load(Path(__file__).parent / "data" / "mnist_vae.npz") as data:
    mnist = data["mu"][:n].astype(float), np.exp(data["logvar"][:n].astype(float))
encoders = {"collapsed": (0 * gaussian[0], 5 * gaussian[1]), "Gaussian": gaussian, "MNIST": mnist}
print(f"{n} rows{'I(x; z)':>22}{'TC':>9}    E[q_hat(z) / q(z)]")
for name, (m, v) in encoders.items():
    r, z = joint(m, v, rng=0, points=1000), m + np.sqrt(v) * rng.standard_normal(m.shape)
    print(f"{f'{name}, joint()':24}{r.mutual_information:z8.3f}{r.total_correlation:z9.3f}")
    pairs = z @ (m / v).T - 0.5 * (z**2 @ (1 / v).T + (m**2 / v + np.log(2 * np.pi * v)).sum(1))
    log_q = np.log(np.exp(pairs).mean(axis=1))
    for b in (64, 256):
        own, one = np.eye(b), np.roll(np.eye(b), 1, axis=1)  # the row itself, and one other row
        mss = own / n + (n - b + 1) / (n * (b - 1)) * one + (1 - own - one) / (b - 1)
        for kind, weights in {"MWS": np.full((b, b), 1 / (n * b)), "MSS": mss}.items():
            i, tc, ratio, error = minibatch(m, v, z, log_q, weights)
            print(f"  {f'{kind}, batch of {b}':22}{i:z8.3f}{tc:z9.3f}{ratio:11.5f} ± {error:.5f}")
known = -0.5 * np.linalg.slogdet(s)[1]
print(f"\nlog n = {np.log(n):.3f}; Gaussian in theory: {2.5 * np.log(5) - known:.3f}, {known:.3f}")
