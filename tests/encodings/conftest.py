import json

import numpy as np
import pytest
from savers import SAVERS


@pytest.fixture(params=list(SAVERS))
def any_format(request, tmp_path):
    """Save arrays in one of the formats that hold several, and return the path."""

    def save(**arrays):
        path = tmp_path / f"any.{request.param}"
        SAVERS[request.param](path, arrays)
        return path

    return save


NEEDS = {"h5": "h5py", "h5ad": "h5py", "parquet": "pyarrow", "zarr.zip": "zarr"}


@pytest.fixture(autouse=True)
def _the_format_is_installed(request):
    """Skip a test of a format whose package is an extra that is not installed."""
    drawn = getattr(request.node, "callspec", None)
    package = NEEDS.get(drawn.params.get("suffix")) if drawn else None
    if package:
        pytest.importorskip(
            package, reason=f"{package} is not installed: this format is NOT tested"
        )


@pytest.fixture
def npz(tmp_path):
    def save(**arrays):
        path = tmp_path / "encodings.npz"
        np.savez(path, **arrays)
        return path

    return save


@pytest.fixture
def pair():
    """Means and variances in float64: 23 samples of 3 latents."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(23, 3)), rng.uniform(0.1, 2.0, size=(23, 3))


@pytest.fixture
def hand_made(tmp_path):
    """Write a .safetensors file byte by byte, for the dtypes that numpy lacks."""

    def save(tensors, metadata=None):
        header, data = {}, b""
        for name, (kind, shape, raw) in tensors.items():
            offsets = [len(data), len(data) + len(raw)]
            header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": offsets}
            data += raw
        if metadata:
            header["__metadata__"] = metadata
        text = json.dumps(header).encode()
        path = tmp_path / "hand.safetensors"
        path.write_bytes(len(text).to_bytes(8, "little") + text + data)
        return path

    return save
