"""Encodings that arrive in batches are those of one array, whatever the batches are."""

import os
import tracemalloc

import numpy as np
import pytest

from disentangle_indicators.encodings import append_encodings, read_encodings, write_encodings
from disentangle_indicators.encodings.formats import WRITERS, suffix_of

SUFFIXES = ["npz", "safetensors", "h5", "zarr.zip", "parquet"]


def append(path, *batches):
    with append_encodings(path) as file:
        for batch in batches:
            file.add(**batch)


@pytest.mark.parametrize("batch", [1, 7, 23])
@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
@pytest.mark.parametrize("scale", ["var", "std", "logvar", "logstd"])
def test_any_split_gives_the_same_file(tmp_path, pair, batch, suffix, scale):
    mean, var = pair
    values = {"var": var, "std": var**0.5, "logvar": np.log(var), "logstd": np.log(var) / 2}[scale]
    labels, clusters, factors = np.arange(23), np.arange(23) // 4, np.arange(46).reshape(23, 2)
    columns = {"labels": labels, "clusters": clusters, "factors": factors}
    one, two = tmp_path / f"one.{suffix}", tmp_path / f"two.{suffix}"
    write_encodings(one, mean, **{scale: values}, **columns, factor_names=["a", "b"])
    with append_encodings(two, factor_names=["a", "b"]) as file:
        for start in range(0, 23, batch):
            part = slice(start, start + batch)
            beside = {name: column[part] for name, column in columns.items()}
            file.add(mean[part], **{scale: values[part]}, **beside)
    assert one.read_bytes() == two.read_bytes()
    a, b = read_encodings(one), read_encodings(two)
    np.testing.assert_array_equal(a.mean, b.mean)
    np.testing.assert_array_equal(a.var, b.var)
    np.testing.assert_array_equal(a.labels, b.labels)
    np.testing.assert_array_equal(a.clusters, b.clusters)
    assert a.factors.names == b.factors.names == ("a", "b")


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({}, "give var=, std=, logvar= or logstd="),
        ({"var": np.zeros((2, 3))}, "var must be positive"),
        ({"mean": np.zeros((2, 4)), "var": np.ones((2, 4))}, r"the shape \(b, 3\)"),
        ({"mean": np.full((2, 3), np.nan), "var": np.ones((2, 3))}, r"mean\[4, 0\] = nan"),
        ({"var": np.ones((2, 3)), "labels": [1, 2]}, "first has none, and row 4 has labels"),
    ],
)
def test_a_bad_batch_leaves_nothing(tmp_path, batch, message):
    good = {"mean": np.zeros((4, 3)), "var": np.ones((4, 3))}
    with pytest.raises(ValueError, match=message):
        append(tmp_path / "a.npz", good, {"mean": np.zeros((2, 3))} | batch)
    assert list(tmp_path.iterdir()) == []


def test_no_batch(tmp_path):
    with pytest.raises(ValueError, match="no batch with a row was added"):
        append(tmp_path / "a.npz")
    with pytest.raises(ValueError, match=r"encodings are written to \.npz"):
        append(tmp_path / "a.csv")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_block_that_breaks_off_leaves_what_was_there(tmp_path, pair, suffix):
    path = tmp_path / f"a.{suffix}"

    def broken():
        with append_encodings(path) as file:
            file.add(pair[0], var=pair[1])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()
    assert list(tmp_path.iterdir()) == []
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        broken()
    assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir()] == [
        (path.name, "old")
    ]


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_that_cannot_be_written_leaves_the_old_one(
    tmp_path, pair, suffix, step, monkeypatch
):
    path, batch = tmp_path / f"a.{suffix}", {"mean": pair[0], "var": pair[1]}
    append(path, batch)
    before = path.read_bytes()

    def fail(target, *rest):
        raise OSError("no space left")

    owner = WRITERS[suffix_of(path)] if step == "write" else os
    monkeypatch.setattr(owner, step, fail)
    with pytest.raises(OSError, match="no space left"):
        append(path, batch)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_file_has_the_usual_permissions(tmp_path, pair, suffix):
    (tmp_path / "usual").touch()
    append(tmp_path / f"a.{suffix}", {"mean": pair[0], "var": pair[1]})
    assert (tmp_path / f"a.{suffix}").stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_batches_are_not_held_in_memory(tmp_path, suffix):
    """Beyond the 16 MiB that numpy writes at a time; the arrays have 20 MiB each."""
    batch = np.ones((8 << 10, 64), np.float32)
    tracemalloc.start()
    try:
        append(tmp_path / f"a.{suffix}", *({"mean": batch, "logvar": batch} for _ in range(10)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 24 << 20  # with the 4 MiB of a batch
