"""The aggregated posterior: marginals, log sums, joint() and certify(), against plain numpy.

Every time is CPU seconds on one thread, the least of a few rounds, and ratios are taken within one
run. On a machine with CUDA the log sums also run there, against a plain matrix product:

    python benchmarks/aggregate.py [--n 10000] [--d 128] [--large 1000000] [--points 500]
"""

import argparse
import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import entr, logsumexp

from disentangle_indicators._sums import keep_freed_memory
from disentangle_indicators.aggregate import _one_latent, certify, joint, marginals
from disentangle_indicators.aggregate._log_sums import log_sums

_LOG_2PI = np.log(2 * np.pi)
_INFORMATIVE = 10


def encodings(n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Ten informative latents, the others unused up to a small wobble, as in real models."""
    rng = np.random.default_rng(0)
    mean, log_var = 0.01 * rng.standard_normal((n, d)), 0.01 * rng.standard_normal((n, d))
    used = slice(0, min(_INFORMATIVE, d))
    mean[:, used] *= 100 * np.sqrt(0.9)
    log_var[:, used] = 30 * log_var[:, used] - 3
    return mean, np.exp(log_var)


def one_latent(n: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(0)
    mean = np.sqrt(0.9) * rng.standard_normal((n, 1))
    return {
        "log var ~ N(-3, .3)": (mean, np.exp(0.3 * rng.standard_normal((n, 1)) - 3)),
        "var log-uniform, 1e-10 to 1": (mean, 10 ** rng.uniform(-10, 0, (n, 1))),
        "var = 1e-10": (mean, np.full((n, 1), 1e-10)),
    }


def trapezoid(
    mean: np.ndarray, var: np.ndarray, nodes: int | None = None, fine: int = 4, wide: int = 8
) -> float:
    """Entropy of one latent on an even grid, all components at all nodes, in blocks."""
    sd = np.sqrt(var)
    low, high = (mean - wide * sd).min(), (mean + wide * sd).max()
    nodes = nodes or int(np.ceil((high - low) / (sd.min() / fine))) + 1
    z, step = np.linspace(low, high, nodes, retstep=True)
    scale, weight = -0.5 / var[:, None], 1 / np.sqrt(2 * np.pi * var) / mean.size
    q = np.empty(nodes)
    rows = max(1, (1 << 17) // mean.size)
    for i in range(0, nodes, rows):
        block = z[i : i + rows] - mean[:, None]
        block *= block
        block *= scale
        q[i : i + rows] = weight @ np.exp(block, out=block)
    return float(step * entr(q).sum())


def windowed(mean: np.ndarray, sd: float, fine: int = 16, wide: int = 10) -> float:
    """Entropy of one latent of equal widths on a dense even grid, near the components only."""
    step = sd / fine
    nearest = np.rint(mean / step).astype(np.int64)
    at = nearest[:, None] + np.arange(-wide * fine, wide * fine + 1)
    height = np.exp(-0.5 * ((at * step - mean[:, None]) / sd) ** 2)
    _, node = np.unique(at, return_inverse=True)
    q = np.bincount(node.ravel(), height.ravel()) / (mean.size * sd * np.sqrt(2 * np.pi))
    return float(step * entr(q).sum())


def published(z: np.ndarray, mean: np.ndarray, log_sd: np.ndarray, chunk: int = 10) -> np.ndarray:
    """Log of the sum of all densities as in rtqichen/beta-tcvae: (chunk, n, d), then logsumexp."""
    out = []
    for i in range(0, len(z), chunk):
        x = (z[i : i + chunk, None, :] - mean) * np.exp(-log_sd)
        log_density = -0.5 * (x * x + 2 * log_sd + z.dtype.type(_LOG_2PI))
        out.append(logsumexp(log_density.sum(axis=2), axis=1))
    return np.concatenate(out)


def cpu(run: Callable[[], Any], rounds: int = 1) -> tuple[float, Any]:
    """Return the least CPU time and the result."""
    times = []
    for _ in range(rounds):
        start = time.process_time()
        result = run()
        times.append(time.process_time() - start)
    return min(times), result


def peak(run: Callable[[], Any]) -> float:
    """Return the most memory that numpy held beyond what it had before, in MB."""
    tracemalloc.start()
    run()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most / 1e6


def points_of(mean: np.ndarray, var: np.ndarray, points: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    rows = rng.integers(len(mean), size=points)
    return rows, mean[rows] + np.sqrt(var[rows]) * rng.standard_normal((points, mean.shape[1]))


def nodes_of(mean: np.ndarray, var: np.ndarray) -> float:
    """Nodes of the trapezoid with steps of the least sd / 4, over 8 sd beyond the means."""
    sd = np.sqrt(var)
    return float(((mean + 8 * sd).max() - (mean - 8 * sd).min()) / (sd.min() / 4))


def by_tree(mean: np.ndarray, var: np.ndarray) -> Any:
    """Return the marginals by the exact tree, whatever is faster."""
    fewest, _one_latent.FEWEST = _one_latent.FEWEST, len(mean) + 1
    try:
        return marginals(mean, var)
    finally:
        _one_latent.FEWEST = fewest


def bench_ways() -> None:
    """Time marginals as they are by default and by the tree: where the default is slower, 1 > ratio."""
    print("\nmarginals in float32: CPU s of the tree alone, of the default, and their ratio")
    wide, narrow = (0.2, 0.3), (1e-3, 0.8)
    for kind, (width, spread) in {"broad": wide, "narrow": narrow, "1e-6": (1e-6, 0.3)}.items():
        for n, d in ((1000, 2), (1000, 128), (10_000, 10), (10_000, 128), (100_000, 10)):
            rng = np.random.default_rng(0)
            mean = (0.9 * rng.standard_normal((n, d))).astype(np.float32)
            var = (width * np.exp(spread * rng.standard_normal((n, d)))).astype(np.float32)
            ours, result = cpu(lambda m=mean, v=var: marginals(m, v), 2)
            tree, exact = cpu(lambda m=mean, v=var: by_tree(m, v))
            off = np.abs(result.entropy - exact.entropy).max()
            print(f"{kind:8}{n:8} x {d:<4}{tree:8.2f}{ours:8.2f}{tree / ours:7.1f}", end="")
            print(f"   entropies differ by {off:.0e}, {result.quadrature_error:.0e} reported")


def bench_marginals(n: int, d: int, large: int) -> None:
    mean, var = encodings(n, d)
    ours, result = cpu(lambda: marginals(mean, var), 3)
    tree, _ = cpu(lambda: by_tree(mean, var))
    plain, entropy = cpu(lambda: [trapezoid(mean[:, h], var[:, h]) for h in range(d)], 3)
    evaluations = n * sum(nodes_of(mean[:, h], var[:, h]) for h in range(d))
    some = sorted({0, 1, min(_INFORMATIVE, d - 1), d - 1})
    dense = [trapezoid(mean[:, h], var[:, h], fine=16, wide=12) for h in some]
    off = [np.abs(np.asarray(x)[some] - dense).max() for x in (result.entropy, entropy)]
    print(f"\nmarginals, n = {n}, d = {d}, ten latents informative; error against a dense grid")
    print(f"{'':34}{'CPU s':>8}{'error':>10}")
    print(f"{'marginals()  (aim 0.2)':34}{ours:8.2f}{off[0]:10.0e}", end="")
    print(f"   (it reports {result.quadrature_error:.0e})")
    print(f"{'... by the tree alone':34}{tree:8.2f}")
    print(f"{'trapezoid, steps of least sd / 4':34}{plain:8.2f}{off[1]:10.0e}")

    print(f"\na grid of 2000 nodes where variances are small, one latent, n = {n}: errors")
    print(f"{'':14}{'I(x; z_h)':>10}{'reported':>10}{'marginals':>11}{'2000 nodes':>11}")
    m = mean[:, :1]
    for v in (1e-2, 1e-4, 1e-6, 1e-8, 1e-10):
        width = np.full_like(m, v)
        exact = marginals(m, width)
        truth = windowed(m[:, 0], np.sqrt(v))
        fixed = trapezoid(m[:, 0], width[:, 0], nodes=2000)
        print(
            f"  var = {v:<6.0e}{exact.information[0]:10.3f}{exact.quadrature_error:10.0e}", end=""
        )
        print(f"{abs(exact.entropy[0] - truth):11.0e}{abs(fixed - truth):11.0e}")

    print(
        f"\none latent, n = {large} (target 2.5 s); the trapezoid as it would be at its speed above"
    )
    print(f"{'':34}{'CPU s':>8}{'reported':>10}{'trapezoid s':>13}")
    for kind, (m, v) in one_latent(large).items():
        spent, result = cpu(lambda m=m, v=v: marginals(m, v), 2)
        grid = plain / evaluations * large * nodes_of(m, v)
        print(f"{kind:34}{spent:8.2f}{result.quadrature_error:10.0e}{grid:13.1g}")

    sizes = [large // 1000, large // 100, large // 10, large]
    print("\nmarginals of one latent, microseconds per row")
    print(f"{'n':34}" + "".join(f"{size:>10}" for size in sizes))
    for kind in one_latent(1):
        print(f"{kind:34}", end="")
        for size in sizes:
            m, v = one_latent(size)[kind]
            spent, _ = cpu(lambda m=m, v=v: marginals(m, v), 5 if size < large else 1)
            print(f"{1e6 * spent / size:10.2f}", end="")
        print()


def bench_log_sums(n: int, d: int, points: int) -> None:
    mean, var = encodings(n, d)
    rows, z = points_of(mean, var, points)
    log_sd = 0.5 * np.log(var)
    own = -0.5 * ((z - mean[rows]) ** 2 / var[rows] + np.log(var[rows]) + _LOG_2PI).sum(axis=1)
    single = [x.astype(np.float32) for x in (z, mean, log_sd)]
    plain, truth = cpu(lambda: published(z, mean, log_sd))  # before freed memory is kept
    keep_freed_memory()
    ours, others = cpu(lambda: log_sums(z, rows, mean, var, mean), 3)
    kept, again = cpu(lambda: published(z, mean, log_sd))
    short, rough = cpu(lambda: published(*single))
    print(f"joint density, {points} points, n = {n}, d = {d}")
    print(f"{'':34}{'CPU s':>8}{'ratio':>8}{'ns/pair':>9}{'error':>10}{'MB':>8}")
    few = peak(lambda: published(z[:20], mean, log_sd))
    for label, spent, value, most in (
        (
            "log_sums  (target 1/50, 300 MB)",
            ours,
            np.logaddexp(own, others),
            peak(lambda: log_sums(z, rows, mean, var, mean)),
        ),
        ("published", plain, truth, few),
        ("... where numpy keeps freed memory", kept, again, few),
        ("... and in float32", short, rough, peak(lambda: published(single[0][:20], *single[1:]))),
    ):
        error = np.abs(value - truth).max()
        print(f"{label:34}{spent:8.2f}{spent / ours:8.1f}", end="")
        print(f"{1e9 * spent / (points * n):9.1f}{error:10.0e}{most:8.0f}")

    print("\nlog_sums, nanoseconds per pair")
    shapes = [(points, n // 2), (points, n), (points, 4 * n), (4 * points, n), (4 * points, 4 * n)]
    print(f"{'points x n':12}" + "".join(f"{f'{s} x {m}':>14}" for s, m in shapes))
    for latents in (10, d):
        print(f"{f'd = {latents}':12}", end="")
        for s, m in shapes:
            mean, var = encodings(m, latents)
            rows, z = points_of(mean, var, s)
            spent, _ = cpu(
                lambda z=z, rows=rows, mean=mean, var=var: log_sums(z, rows, mean, var, mean), 2
            )
            print(f"{1e9 * spent / (s * m):14.1f}", end="")
        print()


def bench_calls(n: int, d: int) -> None:
    print(f"\n{'whole calls':34}{'CPU s':>8}{'MB':>8}")
    for latents in (10, d):
        mean, var = encodings(n, latents)
        spent, _ = cpu(lambda mean=mean, var=var: joint(mean, var, rng=0))
        most = peak(lambda mean=mean, var=var: joint(mean, var, rng=0))
        print(f"{f'joint(), n = {n}, d = {latents}':34}{spent:8.2f}{most:8.0f}")
    mean, var = encodings(n // 2, 10)
    spent, _ = cpu(lambda: certify(mean, var))
    most = peak(lambda: certify(mean, var))
    print(f"{f'certify(), n = {n // 2}, d = 10':34}{spent:8.2f}{most:8.0f}", end="")
    print(f"   {1e9 * spent / (mean.shape[0] * mean.size):.2f} ns per pair and latent")


def bench_gpu(n: int, d: int, points: int, device: str) -> None:
    """Log sums and a plain product of the same shape, in float64: wall time, after a warm-up."""
    import torch

    mean, var = encodings(n, d)
    rows, z = points_of(mean, var, points)
    like = torch.zeros(1, dtype=torch.float64, device=device)
    left = torch.ones((points, 2 * d), dtype=like.dtype, device=device)
    right = torch.ones((2 * d, n), dtype=like.dtype, device=device)

    def wall(run: Callable[[], Any]) -> tuple[float, Any]:
        times = []
        for _ in range(4):
            start = time.perf_counter()
            result = run()
            float(like.sum())  # waits for the device
            times.append(time.perf_counter() - start)
        return min(times[1:]), result

    ours, value = wall(lambda: log_sums(z, rows, mean, var, like))
    product, _ = wall(lambda: left @ right)
    host = log_sums(z[:64], rows[:64], mean, var, mean)
    print(f"\n{device}, {points} points, n = {n}, d = {d}, float64, wall s")
    print(f"log_sums {ours:.3f}, the matrix product alone {product:.3f}: ", end="")
    print(
        f"{product / ours:.1%} of its rate ({4e-12 * points * n * d / product:.1f} Tflop/s); ",
        end="",
    )
    print(f"{ours / points / n * 1e9:.3f} ns/pair, off by {np.abs(value[:64] - host).max():.0e}")


def has_cuda() -> bool:
    try:
        import torch
    except ImportError:
        return False
    return torch.cuda.is_available()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--d", type=int, default=128)
    parser.add_argument("--large", type=int, default=1_000_000, help="rows of one latent")
    parser.add_argument("--points", type=int, default=500)
    arguments = parser.parse_args()
    n, d = arguments.n, arguments.d
    bench_log_sums(n, d, arguments.points)
    bench_ways()
    bench_marginals(n, d, arguments.large)
    bench_calls(n, d)
    if has_cuda():
        bench_gpu(10 * n, d, 4096, "cuda")
    else:
        print("\nno GPU here: skipped the log sums on one")


if __name__ == "__main__":
    main()
