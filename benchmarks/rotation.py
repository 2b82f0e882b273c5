"""Metrics under rotations: CPU seconds of one thread, the least of some rounds, in one run.

python benchmarks/rotation.py [--rounds 5]
"""

import argparse
import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import time
from collections.abc import Callable

import numpy as np

from disentangle_indicators.rotation import axes, higgins_law, predicted_accuracy
from disentangle_indicators.rotation._orthogonal import haar
from disentangle_indicators.supervised import higgins, mig, z_diff
from disentangle_indicators.supervised.higgins import _accuracy

N, D, SIZES = 10_000, 10, (3, 6, 40, 32, 32)
TRAIN, EVALUATE, PAIRS = 10_000, 5_000, 64


def encodings() -> tuple[np.ndarray, np.ndarray]:
    """Codes of five factors, as many values as dSprites has, and of noise, in mixed axes."""
    rng = np.random.default_rng(0)
    factors = rng.integers(SIZES, size=(N, len(SIZES)))
    scaled = (factors - factors.mean(axis=0)) / factors.std(axis=0)
    codes = np.hstack([scaled + 0.1 * rng.normal(size=scaled.shape), rng.normal(size=(N, D - 5))])
    return codes @ haar(D, rng).T, factors


def cpu(run: Callable[[], object], rounds: int) -> float:
    run()  # imports and caches
    times = []
    for _ in range(rounds):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return min(times)


def higgins_at_the_defaults(rounds: int) -> None:
    codes, factors = encodings()
    points = cpu(lambda: z_diff(codes, factors, TRAIN + EVALUATE, PAIRS, rng=0), rounds)
    whole = cpu(lambda: higgins(codes, factors, rng=0), rounds)
    print(f"higgins, {TRAIN} + {EVALUATE} points, L = {PAIRS}, d = {D}: {whole:.3f} s", end="")
    print(f", of which the points {points:.3f} s")


def mig_of_rotations(rounds: int) -> None:
    codes, factors = encodings()
    turned = [codes @ haar(D, np.random.default_rng(i)).T for i in range(199)]
    total = cpu(lambda: [mig(z, factors) for z in turned], min(rounds, 2))
    print(f"mig of 199 rotations, n = {N}, d = {D}, K = 5: {total:.3f} s")


def simulated(q: np.ndarray, rng: np.random.Generator) -> float:
    """The metric of an ideal code, by as many draws as it takes."""
    d, points = len(q), TRAIN + EVALUATE
    labels, features = rng.integers(d, size=points), np.empty((points, d))
    turn = (np.sqrt(2) * q.T).astype(np.float32)
    for k in range(d):
        rows = np.flatnonzero(labels == k)
        for start in range(0, len(rows), 128):
            at = rows[start : start + 128]
            v = rng.standard_normal((len(at) * PAIRS, d), dtype=np.float32)
            v[:, k] = 0  # the difference of two normals, but for the sqrt(2) in `turn`
            features[at] = np.abs(v @ turn).reshape(len(at), PAIRS, d).mean(axis=1)
    train, rest = slice(TRAIN), slice(TRAIN, None)
    return _accuracy(features[train], labels[train], features[rest], labels[rest], 1.0, 100)


def prediction_and_simulation(rounds: int) -> None:
    for d in (3, 4, 6, 8, 16, 32):
        rng = np.random.default_rng(d)
        q = haar(d, rng)
        law = cpu(lambda q=q: predicted_accuracy(q, PAIRS), rounds)
        draws = cpu(lambda q=q, rng=rng: simulated(q, rng), rounds)
        off = predicted_accuracy(q, PAIRS) - simulated(q, rng)
        print(f"d = {d:2}: law {1e3 * law:6.2f} ms, simulation {1e3 * draws:6.0f} ms", end="")
        print(f", ratio {draws / law:4.0f}, law - simulation {off:+.3f}")


def distribution_over_rotations(rounds: int) -> None:
    for d in (6, 8, 32):
        total = cpu(lambda d=d: higgins_law(d), min(rounds, 2))
        print(f"higgins_law, d = {d:2}, 200 rotations, 11 numbers of pairs: {total:.2f} s")


def axes_of_five_latents(rounds: int) -> None:
    rng = np.random.default_rng(0)
    mean = rng.uniform(-1.7, 1.7, size=(N, 5)) @ haar(5, rng).T
    var = 0.05 * np.exp(0.5 * rng.normal(size=mean.shape))
    found = axes(mean, var, rng=0)
    assert found.rotated == (0, 1, 2, 3, 4)
    total = cpu(lambda: axes(mean, var, rng=0), min(rounds, 2))
    print(f"axes, n = {N}, five used latents, {len(found.turns)} turns: {total:.1f} s", end="")
    print(" (target 10 s)")


ROWS = (
    higgins_at_the_defaults,
    mig_of_rotations,
    prediction_and_simulation,
    distribution_over_rotations,
    axes_of_five_latents,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    for row in ROWS:
        row(rounds)


if __name__ == "__main__":
    main()
