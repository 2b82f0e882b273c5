import json

import numpy as np
import pytest


def _npz(path, arrays):
    np.savez(path, **arrays)


def _deflated(path, arrays):
    np.savez_compressed(path, **arrays)


def _safetensors(path, arrays):
    from safetensors.numpy import save_file

    save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, path)


def _pt(path, arrays):
    torch = pytest.importorskip("torch")
    torch.save({k: torch.from_numpy(np.array(v)) for k, v in arrays.items()}, path)


def _legacy_pt(path, arrays):
    torch = pytest.importorskip("torch")
    tensors = {k: torch.from_numpy(np.array(v)) for k, v in arrays.items()}
    torch.save(tensors, path, _use_new_zipfile_serialization=False)


def _csv(path, arrays, separator=","):
    columns = {}
    for key, values in arrays.items():
        if values.ndim == 1:
            columns[key] = values
        else:
            columns |= {f"{key}_{i}": values[:, i] for i in range(values.shape[1])}
    lines = [separator.join(columns)]
    for row in zip(*columns.values(), strict=True):
        lines.append(separator.join(str(value) for value in row))
    path.write_text("\n".join(lines) + "\n")


def _tsv(path, arrays):
    _csv(path, arrays, "\t")


SAVERS = {
    "npz": _npz,
    "deflated.npz": _deflated,
    "safetensors": _safetensors,
    "pt": _pt,
    "legacy.pth": _legacy_pt,
    "csv": _csv,
    "tsv": _tsv,
}


@pytest.fixture(params=list(SAVERS))
def any_format(request, tmp_path):
    """Save arrays in one of the formats that hold several, and return the path."""

    def save(**arrays):
        path = tmp_path / f"any.{request.param}"
        SAVERS[request.param](path, arrays)
        return path

    return save


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
