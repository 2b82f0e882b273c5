"""What writes arrays in each format that holds several, with the library that users write it with."""

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


def _h5(path, arrays):
    h5py = pytest.importorskip("h5py", reason="h5py is not installed: HDF5 is NOT tested")
    with h5py.File(path, "w") as root:
        for key, values in arrays.items():
            root.create_dataset(key, data=values)


def _zarr(path, arrays):
    zarr = pytest.importorskip("zarr", reason="zarr is not installed: zarr is NOT tested")
    with zarr.storage.ZipStore(path, mode="w") as store:
        root = zarr.create_group(store)
        for key, values in arrays.items():
            root.create_array(key, data=np.ascontiguousarray(values))


def _parquet(path, arrays):
    pyarrow = pytest.importorskip(
        "pyarrow", reason="pyarrow is not installed: parquet is NOT tested"
    )
    from pyarrow import parquet

    columns = {}
    for key, values in arrays.items():
        names = [key] if values.ndim == 1 else [f"{key}_{i}" for i in range(values.shape[1])]
        columns |= dict(zip(names, np.atleast_2d(values.T), strict=True))
    table = pyarrow.table({name: np.ascontiguousarray(x) for name, x in columns.items()})
    parquet.write_table(table, path, row_group_size=7)


def _feather(path, arrays):
    pyarrow = pytest.importorskip(
        "pyarrow", reason="pyarrow is not installed: Arrow is NOT tested"
    )
    from pyarrow import feather

    columns = {}
    for key, values in arrays.items():
        column = pyarrow.array(np.ascontiguousarray(values).ravel())
        if values.ndim > 1:
            column = pyarrow.FixedSizeListArray.from_arrays(column, values.shape[1])
        columns[key] = column
    feather.write_feather(pyarrow.table(columns), path, compression="uncompressed", chunksize=5)


def _mat(path, arrays):
    from scipy.io import savemat

    savemat(path, arrays)


SAVERS = {
    "npz": _npz,
    "deflated.npz": _deflated,
    "safetensors": _safetensors,
    "pt": _pt,
    "legacy.pth": _legacy_pt,
    "csv": _csv,
    "tsv": _tsv,
    "h5": _h5,
    "zarr.zip": _zarr,
    "parquet": _parquet,
    "feather": _feather,
    "mat": _mat,
}
