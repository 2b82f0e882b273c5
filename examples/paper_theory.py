"""What sections 3 to 5 and equation (35) of the paper claim, each as a number."""

import numpy as np

from disentangle_indicators import indicators
from disentangle_indicators.aggregate import marginals
from disentangle_indicators.rotation import z_diff_law

rng = np.random.default_rng(0)
code = np.sqrt(1 - 1e-4) * rng.normal(size=(10_000, 1))
one = marginals(code, np.full((10_000, 1), 1e-4)).information[0]
two = indicators(np.tile(code, 2), np.full((10_000, 2), 1e-4), covariance=True)
print(f"Theorem 2, one factor in two latents: sum of I(x; z_h) {2 * one:.2f} nats,")
print(f"    I(x; z) at most {two.upper_bounds['full-mean']:.2f}")

side = np.repeat([-1.0, 1.0], 500)[:, None] * np.sqrt(1 - 1e-3), np.full((1000, 1), 1e-3)
exact, found = marginals(*side), indicators(*side)
left = abs(exact.information[0] + exact.kl_prior[0] - found.kl_posterior_prior)
print(f"Theorem 3, I(x; z) + KL(q(z)||p) is Definition 1: difference {left:.0e}")
print(f"Section 4, two peaks at -1 and 1: Definition 4 is {found.kl_aggregate_prior:.2f} nats,")
print(f"    KL(q(z)||p), which it is to supervise, {exact.kl_prior[0]:.2f}")

turn = np.sqrt(0.5) * np.array([[1, -1], [1, 1]])
w = rng.uniform(-np.sqrt(3), np.sqrt(3), (1_000_000, 2)) @ turn.T
plain, squares = abs(np.corrcoef(w.T)[0, 1]), np.corrcoef(w.T**2)[0, 1]
print("Theorem 4, uniform factors turned by 45 degrees instead of Gaussian ones:")
print(f"    correlation {plain:.2f}, of squares {squares:.2f}")

a, q = np.diag([9.0, 4.0, 1.0]), np.linalg.qr(rng.normal(size=(3, 3)))[0]
cost = 0.5 * (np.log(np.diag(q.T @ a @ q)).sum() - np.linalg.slogdet(a)[1])
print(f"Section 5.1, all rotations alike: this one costs the bound {cost:.2f} nats")

apart = np.sqrt(2) * rng.normal(size=(3, 1_000_000)) * [[0], [1], [1]]  # pairs share factor 0
printed = 2 * np.sqrt(2 / np.pi) * np.sqrt(1 - q[0] ** 2)
print(f"Equation (35), drawn {np.abs(q @ apart).mean(axis=1).round(3)},")
print(f"    as printed {printed.round(3)}, corrected {z_diff_law(q, 64)[0][0].round(3)}")
