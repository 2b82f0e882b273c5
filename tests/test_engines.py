"""Summaries over processes: the bits of one process, and workers that die."""

import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from test_summary import assert_same_bits, rows, shards

from disentangle_indicators import Encodings, Summary, read_encodings
from disentangle_indicators.summary import merge

RANKS = textwrap.dedent("""
    import sys
    import numpy as np
    import torch.distributed as dist
    from disentangle_indicators import Encodings, Summary
    from disentangle_indicators.engines import all_merge

    rank, size, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    dist.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=size)
    mean, var = np.load(f"{folder}/mean.npy"), np.load(f"{folder}/var.npy")
    cuts = [0, 130, 130, 300]  # the second process has no rows
    mine = slice(cuts[rank], cuts[rank + 1])
    part = None
    if mine.start < mine.stop:
        part = Summary.of(Encodings.of(mean[mine], var[mine]), name="all", first_row=mine.start)
    all_merge(part).save(f"{folder}/of_{rank}.npz")
    dist.destroy_process_group()
    """)


def test_unequal_and_empty_ranks_give_the_bits_of_one_process(tmp_path):
    pytest.importorskip("torch", reason="torch is not installed: all_merge is NOT tested")
    mean, var = rows(300)
    np.save(tmp_path / "mean.npy", mean)
    np.save(tmp_path / "var.npy", var)
    program = [sys.executable, "-c", RANKS]
    ranks = [
        subprocess.Popen([*program, str(rank), "3", str(tmp_path)], stderr=subprocess.PIPE)
        for rank in range(3)
    ]
    for rank in ranks:
        _, stderr = rank.communicate()
        assert rank.returncode == 0, stderr.decode()
    wanted = merge(shards(mean, var, [130]))
    for rank in range(3):
        assert_same_bits(Summary.load(tmp_path / f"of_{rank}.npz"), wanted)


@pytest.fixture
def dask_array():
    reason = "dask is not installed: summarise_dask is NOT tested"
    return pytest.importorskip("dask.array", reason=reason)


def test_chunks_are_merged_like_shards(dask_array):
    from disentangle_indicators.engines import summarise_dask

    mean, var = rows(300)
    chunked = dask_array.from_array(mean, chunks=((50, 70, 180), (1, 2)))
    found = summarise_dask(chunked, dask_array.from_array(var, chunks=100), name="all")
    assert_same_bits(found.compute(scheduler="sync"), merge(shards(mean, var, [50, 120])))


def test_what_dask_cannot_say_is_refused(dask_array):
    from disentangle_indicators.engines import summarise_dask

    mean = dask_array.from_array(rows(300)[0], chunks=100)
    with pytest.raises(ValueError, match="compute_chunk_sizes"):
        summarise_dask(mean[mean[:, 0] > 0], mean[mean[:, 0] > 0])
    with pytest.raises(ValueError, match="one shape"):
        summarise_dask(mean, mean[:, :2])


def test_files_are_merged_like_their_summaries(dask_array, tmp_path, monkeypatch):
    from disentangle_indicators.engines import summarise_files, summary_of_files

    monkeypatch.chdir(tmp_path)
    mean, var = rows(300)
    names = ["10.npz", "2.npz", "1.npz"]
    for k, name in enumerate(names):
        np.savez(name, mean=mean[k::3], std=var[k::3])
    given = {"prior_var": 4.0}
    found = summarise_files(names, **given).compute(scheduler="sync")
    parts = [Summary.of(read_encodings(name, **given), name=name) for name in names]
    assert_same_bits(found, merge(parts))
    steps = []
    note = lambda names, what, total: (steps.append((what, total, name)) or name for name in names)
    assert_same_bits(summary_of_files(names, progress=note, **given), merge(parts))
    assert steps == [("files", 3, name) for name in sorted(names)]
    np.savez("0.npz", mean=mean[:0], std=var[:0])
    one = summary_of_files(["0.npz", *names], **given)
    assert_same_bits(one, summarise_files(["0.npz", *names], **given).compute(scheduler="sync"))
    assert one.parts == merge(parts).parts
    with pytest.raises(ValueError, match="none of the files has rows"):
        summary_of_files(["0.npz"])
    np.savez("2.npz", mean=mean)
    with pytest.raises(ValueError, match=r"2\.npz: a summary needs the posterior variances"):
        summarise_files(names).compute(scheduler="sync")
    with pytest.raises(ValueError, match="no files"):
        summarise_files([])


def test_a_prior_is_given_to_every_chunk(dask_array):
    from disentangle_indicators.engines import summarise_dask

    mean, var = (dask_array.from_array(x, chunks=100) for x in rows(300))
    found = summarise_dask(mean, var, prior_var=4.0).compute(scheduler="sync")
    assert found.prior_var.tolist() == [4.0] * 3
    whole = Summary.of(Encodings.of(*rows(300), prior_var=4.0))
    np.testing.assert_allclose(found.moments.var, whole.moments.var, rtol=1e-12)


@pytest.mark.slow
def test_a_worker_that_is_killed_changes_no_bit(dask_array, tmp_path):
    """One of two processes is killed in the middle; Dask starts its chunks again."""
    distributed = pytest.importorskip("distributed")
    from disentangle_indicators.engines import summarise_dask

    mean, var = rows(20_000)
    arrays = (dask_array.from_array(x, chunks=(500, 3)) for x in (mean, var))
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, local_directory=tmp_path
    )
    with cluster, distributed.Client(cluster) as client:
        future = client.compute(summarise_dask(*arrays, name="all"))
        os.kill(next(iter(cluster.workers.values())).pid, signal.SIGKILL)
        found = future.result(timeout=300)
    assert_same_bits(found, merge(shards(mean, var, range(500, 20_000, 500))))
