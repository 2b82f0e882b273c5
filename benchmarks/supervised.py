"""Supervised metrics: CPU seconds beside plain loops, published toolkits, and what a null costs.

10,000 rows to fit on and 5,000 to score, ten latents, five factors of 3, 6, 40, 32 and 32 values.
One thread; ratios to the loops are taken within one run. The seconds of published toolkits are
constants, measured once with their own code on arrays of this shape; they are not of this run:

    python benchmarks/supervised.py [--permutations 100]
"""

import argparse
import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import mutual_info_score, roc_auc_score
from sklearn.svm import LinearSVC

from disentangle_indicators.supervised import METRICS, as_table, find, measure

VALUES = (3, 6, 40, 32, 32)
TRAIN, TEST, LATENTS = 10_000, 5_000, 10

PUBLISHED = {
    "mig": (0.21, "published code, 0.21 to 0.28"),
    "factor_vae": (1.26, "published code"),
    "higgins": (1.45, "published code"),
    "explicitness": (1.59, "modularity and explicitness, disentanglement_lib"),
    "sap": (1.1, "published code"),
    "infomec": (6.5, "latent_quantization"),
    "rf_vae": (3.6, "Carbonneau et al."),
    "dci": (355.0, "disentanglement_lib"),
}
"""CPU seconds of the toolkits themselves."""

PROTOCOL = {
    "higgins": "locatello2019",
    "factor_vae": "locatello2019",
    "rf_vae": "ubisoft",
    "mig": "locatello2019",
    "rmig": "ubisoft",
    "jemmig": "ubisoft",
    "mig_sup": "ubisoft",
    "dcimig": "ubisoft",
    "dmig": "watcharasupat2021",
    "dci": "eastwood2018-lasso",
    "med": "cao2022",
    "sap": "locatello2019",
    "modularity": "locatello2019",
    "explicitness": "locatello2019",
    "irs": "locatello2019",
    "infomec": "hsu2023",
    "omes": "dapueto2024",
    "mcc": "pearson",
}
"""The published protocol that is timed beside the default."""


def encodings() -> tuple[np.ndarray, np.ndarray]:
    """Codes that mix neighbouring factors, with noise of several sizes, and three of noise alone."""
    rng = np.random.default_rng(0)
    factors = np.stack([rng.integers(v, size=TRAIN + TEST) for v in VALUES], axis=1)
    unit = (factors - factors.mean(axis=0)) / factors.std(axis=0)
    mixing = np.zeros((len(VALUES), LATENTS))
    for h in range(7):
        mixing[h % 5, h], mixing[(h + 1) % 5, h] = 1.0, 0.3
    noise = rng.standard_normal((TRAIN + TEST, LATENTS)) * np.linspace(0.05, 0.5, LATENTS)
    return unit @ mixing + noise, factors


def cpu(run: Callable[[], Any], rounds: int = 3, enough: float = 2.0) -> float:
    """Return the least CPU time of some rounds, one if that takes long."""
    times: list[float] = []
    while len(times) < rounds and sum(times) < enough:
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return min(times)


def in_bins(codes: np.ndarray, bins: int = 20) -> np.ndarray:
    columns = [np.digitize(z, np.histogram(z, bins)[1][:-1]) for z in codes.T]
    return np.stack(columns, axis=1)


def informations(codes: np.ndarray, factors: np.ndarray) -> np.ndarray:
    cells = in_bins(codes)
    table = np.zeros((cells.shape[1], factors.shape[1]))
    for h in range(cells.shape[1]):
        for k in range(factors.shape[1]):
            table[h, k] = mutual_info_score(factors[:, k], cells[:, h])
    return table


def plain_mig(codes: np.ndarray, factors: np.ndarray) -> float:
    table = informations(codes[:TRAIN], factors[:TRAIN])
    gaps = []
    for k in range(factors.shape[1]):
        second, first = np.sort(table[:, k])[-2:]
        v = factors[:TRAIN, k]
        gaps.append((first - second) / mutual_info_score(v, v))
    return float(np.mean(gaps))


def plain_modularity(codes: np.ndarray, factors: np.ndarray) -> float:
    scores = []
    for row in informations(codes[:TRAIN], factors[:TRAIN]) ** 2:
        scores.append(1 - (row.sum() - row.max()) / row.max() / (len(row) - 1))
    return float(np.mean(scores))


def plain_explicitness(codes: np.ndarray, factors: np.ndarray) -> float:
    mean, sd = codes[:TRAIN].mean(axis=0), codes[:TRAIN].std(axis=0)
    z, scores = (codes - mean) / sd, []
    for v in factors.T:
        model = LogisticRegression().fit(z[:TRAIN], v[:TRAIN])
        p = model.predict_proba(z[TRAIN:])
        areas = [roc_auc_score(v[TRAIN:] == c, p[:, i]) for i, c in enumerate(model.classes_)]
        scores.append(np.mean(areas))
    return float(np.mean(scores))


def plain_sap(codes: np.ndarray, factors: np.ndarray) -> float:
    gaps = []
    for v in factors.T:
        scores = []
        for z in codes.T:
            model = LinearSVC(C=0.01, class_weight="balanced")
            model.fit(z[:TRAIN, None], v[:TRAIN])
            scores.append(model.score(z[TRAIN:, None], v[TRAIN:]))
        second, first = np.sort(scores)[-2:]
        gaps.append(first - second)
    return float(np.mean(gaps))


def groups(factors: np.ndarray) -> list[list[np.ndarray]]:
    return [[np.flatnonzero(v == c) for c in range(v.max() + 1)] for v in factors.T]


def plain_factor_vae(codes: np.ndarray, factors: np.ndarray) -> float:
    rng, rows = np.random.default_rng(0), groups(factors)
    variance = codes.var(axis=0, ddof=1)
    votes = np.zeros((2, codes.shape[1], factors.shape[1]))
    for i in range(TRAIN + TEST):
        k = rng.integers(factors.shape[1])
        some = rows[k][factors[rng.integers(len(codes)), k]]
        batch = codes[some[rng.integers(len(some), size=64)]]
        votes[int(i >= TRAIN), np.argmin(batch.var(axis=0, ddof=1) / variance), k] += 1
    named = votes[0].argmax(axis=1)
    return float(votes[1][np.arange(len(named)), named].sum() / TEST)


def plain_higgins(codes: np.ndarray, factors: np.ndarray) -> float:
    rng, rows = np.random.default_rng(0), groups(factors)
    points, y = np.zeros((TRAIN + TEST, codes.shape[1])), np.zeros(TRAIN + TEST, int)
    for i in range(TRAIN + TEST):
        k = y[i] = rng.integers(factors.shape[1])
        one = rng.integers(len(codes), size=64)
        two = np.empty(64, int)
        for j in range(64):
            some = rows[k][factors[one[j], k]]
            two[j] = some[rng.integers(len(some))]
        points[i] = np.abs(codes[one] - codes[two]).mean(axis=0)
    model = LogisticRegression(max_iter=100).fit(points[:TRAIN], y[:TRAIN])
    return float(model.score(points[TRAIN:], y[TRAIN:]))


PLAIN: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "mig": plain_mig,
    "factor_vae": plain_factor_vae,
    "higgins": plain_higgins,
    "sap": plain_sap,
    "modularity": plain_modularity,
    "explicitness": plain_explicitness,
}


def seconds(metric: str, protocol: str, codes: np.ndarray, factors: Any) -> tuple[float, float]:
    """Return CPU seconds and the score; of binned metrics on the rows to fit on, as the loops."""
    splits = {"train", "evaluate"} & set(METRICS[metric].protocols["default"])
    n = len(codes) if splits else TRAIN
    table = factors.take(np.arange(n))
    found: list[float] = []
    spent = cpu(
        lambda: found.append(
            measure(METRICS[metric], codes[:n], table, protocol=protocol, rng=0).value
        )
    )
    return spent, found[0]


def bench_metrics(codes: np.ndarray, factors: np.ndarray) -> None:
    table = as_table(factors, len(codes))
    print(f"n = {TRAIN} + {TEST}, d = {LATENTS}, factors of {', '.join(map(str, VALUES))} values")
    print(f"{'CPU seconds':14}{'default':>9}  {'a published protocol':28}{'score':>6}", end="")
    print(f"{'by loops':>11}{'score':>7}{'ratio':>7}   toolkits, not in this run, and / default")
    spent: dict[str, float] = {}
    for metric in METRICS:
        spent[metric], _ = seconds(metric, "default", codes, table)
        protocol = PROTOCOL[metric]
        theirs, value = seconds(metric, protocol, codes, table)
        words = f"{theirs:.3f} @{protocol}"
        print(f"{metric:14}{spent[metric]:9.3f}  {words:28}{value:6.3f}", end="")
        if metric in PLAIN:
            score: list[float] = []
            loop = cpu(lambda m=metric, s=score: s.append(PLAIN[m](codes, factors)), 2)
            print(f"{loop:11.2f}{score[0]:7.3f}{loop / theirs:7.1f}", end="")
        else:
            print(" " * 25, end="")
        if metric in PUBLISHED:
            own = spent[metric] + (spent["modularity"] if metric == "explicitness" else 0)
            published, source = PUBLISHED[metric]
            print(f"   {published:6.2f} {published / own:6.1f} ({source})", end="")
        print()


def bench_null(codes: np.ndarray, factors: np.ndarray, permutations: int) -> None:
    print(f"\na null of {permutations} permutations, against as many evaluations, CPU seconds")
    names = ("mig", "modularity", "med", "dmig", "irs", "sap", "sap@ubisoft", "mcc", "factor_vae")
    for name in names:
        metric, protocol = find(name)
        p, rng = metric.parameters(protocol), np.random.default_rng(0)
        z, table = codes[:TRAIN], as_table(factors[:TRAIN], TRAIN)
        orders = [rng.permutation(TRAIN) for _ in range(permutations)]

        def null(metric: Any = metric, p: Any = p, z: Any = z, t: Any = table, o: Any = orders):
            cells, labels = metric.prepare(z, t, p)
            for order in o:
                metric.compute(cells[order], labels, p, np.random.default_rng(0))

        def each(m: Any = metric, q: str = protocol, z: Any = z, t: Any = table, o: Any = orders):
            for order in o[: max(1, permutations // 10)]:
                measure(m, z[order], t, protocol=q)

        shared, apart = cpu(null, 1), 10 * cpu(each, 1)
        print(f"{name:14}{shared:8.2f}{apart:9.2f}{apart / shared:7.1f} times")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--permutations", type=int, default=100)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # classifiers that stop at 100 iterations, as published
    codes, factors = encodings()
    start = time.process_time()
    bench_metrics(codes, factors)
    bench_null(codes, factors, arguments.permutations)
    print(f"\nall of this: {time.process_time() - start:.0f} CPU seconds")


if __name__ == "__main__":
    main()
