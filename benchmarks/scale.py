"""One pass over many rows: sums, marginals, shards and engines, against a plain read.

Rows come block by block: one block of rows is tiled, with an offset of its own each time. What that
costs is printed apart. The floor is one read of so many rows that lie in memory (np.add.reduce); a
block that was just made is in the cache, and one read of it is faster. Times are CPU seconds on one
thread, and ratios are taken within one run:

    python benchmarks/scale.py [--n 1000000] [--d 64] [--workers 2]
    python benchmarks/scale.py --n 100000000 --only pass     # ten minutes: a pass over 1e8 rows
"""

import argparse
import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from disentangle_indicators import Encodings, Summary, score
from disentangle_indicators.aggregate import marginals
from disentangle_indicators.moments import Moments
from disentangle_indicators.summary import merge

BLOCK = 1 << 15


class Rows:
    """n rows of d latents in float32, half of them nearly unused, as blocks that are made anew."""

    def __init__(self, n: int, d: int) -> None:
        rng = np.random.default_rng(0)
        used = np.arange(d) < d // 2
        self.n, self.d = n, d
        self.mean = (rng.normal(size=(BLOCK, d)) * np.where(used, 0.95, 0.01)).astype(np.float32)
        width = np.exp(0.3 * rng.normal(size=(BLOCK, d))) * np.where(used, 0.05, 1)
        self.var = width.astype(np.float32)

    def __call__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for first in range(0, self.n, BLOCK):
            rows = min(BLOCK, self.n - first)
            shift = np.float32(0.01 * np.sin(first / BLOCK))
            yield self.mean[:rows] + shift, self.var[:rows]

    def part(self, first: int, n: int) -> Encodings:
        rows = Rows(n, self.d)
        shift = np.float32(0.01 * np.sin(first))
        return Encodings.of(batches=lambda: ((m + shift, v) for m, v in rows()))


def cpu(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the CPU seconds of work, and what it returns."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def line(name: str, seconds: float, entries: float, floor: float) -> None:
    print(f"{name:<52} {seconds:8.2f} s {1e9 * seconds / entries:8.1f} ns {seconds / floor:7.1f}")
    sys.stdout.flush()


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def read_of_memory(d: int) -> float:
    """Return the CPU seconds of one read of an entry, of a gigabyte that is in no cache."""
    mean, var = (np.ones(((1 << 27) // d, d), np.float32) for _ in range(2))

    def read() -> None:
        np.add.reduce(mean, axis=None), np.add.reduce(var, axis=None)

    return min(cpu(read)[0] for _ in range(3)) / mean.size


def one_pass(n: int, d: int) -> None:
    """Time the sums and the marginals of n rows, less the time of making the rows."""
    rows = Rows(n, d)
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:  # its memory does not count here
        floor = pool.submit(read_of_memory, d).result() * n * d
    print(f"\n{n} rows x {d} latents, float32; CPU s, ns an entry, ratio to one read of memory")
    line("one read of rows in memory", floor, n * d, floor)
    made, _ = cpu(lambda: sum(1 for _ in rows()))
    line("making the rows, which is not counted below", made, n * d, floor)

    def read() -> None:
        for mean, var in rows():
            np.add.reduce(mean, axis=None), np.add.reduce(var, axis=None)

    line("one read of blocks in the cache", cpu(read)[0] - made, n * d, floor)
    for name, errors in (("indicators, without errors", False), ("with standard errors", True)):
        seconds, _ = cpu(lambda e=errors: Moments.of_batches(rows(), errors=e))
        line(name, seconds - made, n * d, floor)
    start = peak()
    seconds, summary = cpu(lambda: Summary.of(Encodings.of(batches=rows), name="rows"))
    line("a summary: indicators, marginals, sample, hash", seconds - made, n * d, floor)
    seconds, card = cpu(lambda: score(summary, joint=False))
    line("all numbers from it", seconds, n * d, floor)
    print(f"memory: {start:.0f} MB before, {peak():.0f} MB at its peak")
    with tempfile.TemporaryDirectory() as folder:
        summary.save(f"{folder}/state.npz")
        print(f"state: {Path(folder, 'state.npz').stat().st_size / 1e6:.1f} MB on disk")
    if n >= 10_000_000:
        print(card)
    elif n <= 2_000_000:
        mean, var = (np.concatenate(x) for x in zip(*rows(), strict=True))
        some = np.s_[:, :4]
        seconds, exact = cpu(lambda: marginals(mean[some], var[some]))
        line("the exact tree, of four latents", seconds, n * 4, floor * 4 / d)
        off = np.abs(exact.entropy - summary.marginals.entropy[:4]).max()
        print(f"entropies differ by {off:.1e} nats at most")


def growth(n: int, d: int) -> None:
    """Time summaries of more rows, more latents and more shards."""
    print("\nGrowth of a summary: CPU s, ns an entry, ratio to the first line")
    first = None
    for rows, latents in ((n // 4, d), (n, d), (n, d // 4), (n // 4, 4 * d)):
        of = Rows(rows, latents)
        seconds, _ = cpu(lambda of=of: Summary.of(Encodings.of(batches=of)))
        first = first or seconds
        line(f"{rows} rows x {latents} latents", seconds, rows * latents, first)
    first = None
    for shards in (1, 10, 100):
        size = n // shards
        whole = Rows(n, d)
        parts = [whole.part(k, size) for k in range(shards)]
        seconds, summaries = cpu(
            lambda parts=parts: [Summary.of(e, name=f"{k}") for k, e in enumerate(parts)]
        )
        merging, _ = cpu(lambda summaries=summaries: merge(summaries))
        first = first or seconds
        line(f"{shards} shards of {size} rows", seconds, n * d, first)
        line("    merging them", merging, n * d, first)


def engines(n: int, d: int, workers: int) -> None:
    """Time Dask workers by the clock, one against several."""
    import dask.array as da
    from dask.distributed import Client, LocalCluster

    from disentangle_indicators.engines import summarise_dask

    print("\nDask, seconds by the clock")
    rng = da.random.default_rng(0)
    mean = rng.normal(size=(n, d), chunks=(n // 16, d))
    var = mean**2 * 0 + 0.1
    for count in sorted({1, workers}):
        with (
            LocalCluster(n_workers=count, threads_per_worker=1, dashboard_address=":0") as cluster,
            Client(cluster) as client,
        ):
            start = time.perf_counter()
            client.compute(summarise_dask(mean, var)).result()
            print(f"{count} workers: {time.perf_counter() - start:.1f} s")


def parquet(n: int, d: int) -> None:
    """Time a parquet file against Polars, which computes S and the mean of log v."""
    try:
        import polars as pl
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        print(f"\nno comparison with Polars: {error}")
        return
    from disentangle_indicators import read_encodings

    print("\nparquet, CPU s; ratio to Polars")
    mean, var = (np.concatenate(x) for x in zip(*Rows(n, d)(), strict=True))
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/rows.parquet"
        columns = {f"mean_{h}": mean[:, h] for h in range(d)}
        columns |= {f"var_{h}": var[:, h] for h in range(d)}
        pq.write_table(pa.table(columns), path, row_group_size=1 << 16)

        def by_polars() -> Any:
            frame = pl.scan_parquet(path)
            sums = [(pl.col(f"mean_{h}") ** 2 + pl.col(f"var_{h}")).mean() for h in range(d)]
            logs = [pl.col(f"var_{h}").log().mean().alias(f"log_{h}") for h in range(d)]
            return frame.select(*sums, *logs).collect()

        def by_us() -> Any:
            return Moments.of_batches(read_encodings(path).batches(), errors=False)

        by_polars(), by_us()  # what is imported and opened once does not count
        floor, ours = (min(cpu(work)[0] for _ in range(5)) for work in (by_polars, by_us))
        line("Polars: S and mean log v", floor, n * d, floor)
        line("indicators without errors", ours, n * d, floor)
        line("a summary", cpu(lambda: Summary.of(read_encodings(path)))[0], n * d, floor)


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=1_000_000)
    parser.add_argument("--d", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", choices=["pass", "growth", "dask", "parquet"])
    options = parser.parse_args()
    tables: dict[str, Callable[[], None]] = {
        "pass": lambda: one_pass(options.n, options.d),
        "growth": lambda: growth(options.n, options.d),
        "dask": lambda: engines(options.n, options.d, options.workers),
        "parquet": lambda: parquet(options.n, options.d),
    }
    for name, table in tables.items():
        if options.only in (None, name):
            table()


if __name__ == "__main__":
    main()
