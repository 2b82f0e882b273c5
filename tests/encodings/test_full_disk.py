"""A disk that is full in the middle of a file: an OSError with its name, and the old file as it was."""

import errno

import numpy as np
import pytest

from disentangle_indicators.encodings import write_encodings
from disentangle_indicators.encodings.formats import WRITERS

resource = pytest.importorskip("resource", reason="no limits on files: full disks are NOT tested")

NEEDS = {
    "h5": "h5py",
    "h5ad": "h5py",
    "hdf5": "h5py",
    "zarr.zip": "zarr",
    "parquet": "pyarrow",
    "pq": "pyarrow",
}


@pytest.fixture
def short_files():
    """Return what limits the size of every file that is written, so that libraries really fail."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [1 << 12, 1 << 18, 1 << 20])
@pytest.mark.parametrize("suffix", WRITERS)
def test_a_write_that_breaks_keeps_the_old_file(tmp_path, short_files, suffix, size):
    pytest.importorskip(NEEDS.get(suffix[1:], "numpy"))
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"old")
    mean = np.random.default_rng(0).normal(size=(20_000, 8))
    short_files(size)
    with pytest.raises(OSError, match="too large") as caught:
        write_encodings(path, mean, logvar=-mean)
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(path))
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
