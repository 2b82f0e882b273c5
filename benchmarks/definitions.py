"""Definitions 1-7 at n = 1e6, d = 128, float32, one thread, in units of the memory floor.

The floor is one read of both arrays (np.add.reduce). Every row is CPU seconds over the floor's of
the same round; the median over rounds is printed, with the smallest. Run it alone:

    python benchmarks/definitions.py [--n 1000000] [--d 128] [--rounds 7]
"""

import argparse
import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import resource
import statistics
import time
from collections.abc import Callable

import numpy as np

from disentangle_indicators import Moments, indicators
from disentangle_indicators.q_star import estimate_q_star
from disentangle_indicators.registry import DEFINITIONS


def encodings(n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Half of the latents used, half of them unused up to a small wobble, as in real models."""
    rng = np.random.default_rng(0)
    mean = rng.standard_normal((n, d), dtype=np.float32)
    log_var = rng.standard_normal((n, d), dtype=np.float32)
    log_var *= 0.3
    log_var[:, ::2] -= 3
    mean[:, 1::2] *= 1e-2
    log_var[:, 1::2] *= 1e-2
    return mean, np.exp(log_var, out=log_var)


def definitions(mean: np.ndarray, var: np.ndarray) -> list[object]:
    moments = Moments.of(mean, var, errors=False)
    q_star = estimate_q_star(moments=moments)
    return [function(moments, q_star) for _, function in DEFINITIONS.values()]


def one_liner(mean: np.ndarray, var: np.ndarray) -> tuple[float, float]:
    second = (mean**2 + var).mean(axis=0, dtype=np.float64)
    log_var = np.log(var).mean(axis=0, dtype=np.float64)
    return 0.5 * (second - 1 - log_var).sum(), 0.5 * (np.log(second) - log_var).sum()


def in_blocks(mean: np.ndarray, var: np.ndarray, rows: int = 1024) -> tuple[float, float]:
    second, log_var = np.zeros(mean.shape[1]), np.zeros(mean.shape[1])
    for i in range(0, len(mean), rows):
        m, v = mean[i : i + rows], var[i : i + rows]
        second += (m * m + v).sum(axis=0)
        log_var += np.log(v).sum(axis=0)
    second, log_var = second / len(mean), log_var / len(mean)
    return 0.5 * (second - 1 - log_var).sum(), 0.5 * (np.log(second) - log_var).sum()


def cpu(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=1_000_000)
    parser.add_argument("--d", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    mean, var = encodings(arguments.n, arguments.d)
    rows = {
        "floor: np.add.reduce of both arrays": lambda: (
            np.add.reduce(mean, axis=None),
            np.add.reduce(var, axis=None),
        ),
        "one float32 matrix product mean.T @ mean": lambda: mean.T @ mean,
        "all seven definitions, per latent": lambda: definitions(mean, var),
        "... with standard errors (two passes)": lambda: indicators(mean, var),
        "... without errors, with the scatter matrix": lambda: Moments.of(
            mean, var, errors=False, covariance=True
        ),
        "numpy in cache-sized blocks, no errors": lambda: in_blocks(mean, var),
    }
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    times: dict[str, list[float]] = {name: [] for name in rows}
    for _ in range(arguments.rounds):
        for name, run in rows.items():
            times[name].append(cpu(run))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    times["numpy one-liner, no errors"] = [cpu(lambda: one_liner(mean, var)) for _ in range(2)]
    end = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    floor = times["floor: np.add.reduce of both arrays"]
    print(f"n = {arguments.n}, d = {arguments.d}, float32, one thread; floor {min(floor):.3f} s")
    print(f"{'':48}{'median':>8}{'least':>8}")
    for name, values in times.items():
        ratios = [t / f for t, f in zip(values, floor, strict=False)]
        print(f"{name:48}{statistics.median(ratios):8.2f}{min(values) / min(floor):8.2f}")
    print(f"memory above the arrays: {(after - before) / 1024:.0f} MB", end="")
    print(f"; one-liner: {(end - before) / 1024:.0f} MB")


if __name__ == "__main__":
    main()
