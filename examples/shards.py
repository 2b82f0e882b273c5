"""Summarise shards where they lie, then add the summaries: the whole never comes together."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from disentangle_indicators import Moments, estimate_q_star
from disentangle_indicators.definitions import mutual_information


def batches(shard, rows=1_000, count=5):
    """Stand for the reader of one shard: means and variances, a batch at a time."""
    rng = np.random.default_rng(shard)
    width = np.array([0.05, 0.2, 1.0])
    for _ in range(count):
        mean = rng.normal(size=(rows, 3)) * np.sqrt(1 - width)
        yield mean, np.broadcast_to(width, mean.shape)


with ThreadPoolExecutor(max_workers=4) as workers:
    summaries = list(workers.map(lambda shard: Moments.of_batches(batches(shard)), range(8)))

total = summaries[0]
for summary in summaries[1:]:
    total = total + summary

information = float(mutual_information(total, estimate_q_star(moments=total)))
print(f"{total.n} rows in {len(summaries)} shards")
print(f"S of each latent: {np.array2string(total.second_moment, precision=3)}")
print(f"Definition 2 (upper bound of the information): {information:.3f} nats")
