"""A file that another program cuts short while it is read: an error with its name, and no signal."""

import os

import numpy as np
import pytest
from savers import SAVERS

from disentangle_indicators.encodings import read_encodings


def saved(folder, kind, pair):
    path = folder / f"a.{kind.removeprefix('fortran.')}"
    if kind.endswith("npy"):
        np.save(path, np.asfortranarray(pair[0]) if kind.startswith("fortran") else pair[0])
    else:
        SAVERS[kind](path, {"mean": pair[0], "var": pair[1]})
    return path


@pytest.mark.parametrize("kind", ["npy", "fortran.npy", "safetensors", "npz", "feather", "pt"])
def test_a_file_that_is_cut_short_while_it_is_read(tmp_path, kind):
    mean = np.random.default_rng(0).normal(size=(9000, 3))
    path = saved(tmp_path, kind, (mean, np.ones_like(mean)))
    blocks = read_encodings(path).batches(1000)
    next(blocks)
    os.truncate(path, 200)
    with pytest.raises(ValueError, match=rf"{path.name}.*(cut short|damaged|changed)"):
        list(blocks)


@pytest.mark.parametrize("shape", [(7, 3), (7, 2, 3, 2), (7,)])
@pytest.mark.parametrize("rows", [1, 3, 7, 9])
def test_blocks_of_fortran_order_are_those_of_the_array(tmp_path, shape, rows):
    from disentangle_indicators.encodings.formats import npy

    values = np.random.default_rng(0).normal(size=shape)
    np.save(tmp_path / "a.npy", np.asfortranarray(values))
    blocks = list(npy.read(tmp_path / "a.npy").arrays["mean"].blocks(rows))
    np.testing.assert_array_equal(np.concatenate(blocks), values)
    assert {len(block) for block in blocks[:-1]} <= {rows}


def test_a_disk_that_fails_is_not_called_damage(tmp_path, pair, monkeypatch):
    import errno

    from disentangle_indicators.encodings.formats import npy

    np.save(tmp_path / "a.npy", pair[0])

    def failing(*arguments):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(npy, "npy_header", failing)
    with pytest.raises(OSError, match=r"\[Errno 5\].*a\.npy"):
        read_encodings(tmp_path / "a.npy")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here: NOT tested")
@pytest.mark.parametrize("name", ["a.npz", "a.csv", "a.safetensors"])
def test_a_pipe_is_refused_and_not_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(ValueError, match=rf"{name}: this is a pipe or a device"):
        read_encodings(tmp_path / name)
