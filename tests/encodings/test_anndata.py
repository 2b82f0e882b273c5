"""AnnData files: their tables of observations, decoded as anndata decodes them."""

import warnings
from pathlib import Path

import numpy as np
import pytest

from disentangle_indicators.encodings import read_encodings
from disentangle_indicators.encodings.formats import open_file
from disentangle_indicators.factors import as_table

h5py = pytest.importorskip("h5py", reason="h5py is not installed: HDF5 is NOT tested")


def encoded(node, kind, **attributes):
    node.attrs["encoding-type"] = kind
    for key, value in attributes.items():
        node.attrs[key.replace("_", "-")] = value
    return node


def anndata(root, mean, var, columns):
    """Write what anndata writes: obsm, and obs with a categorical, nullable and plain column."""
    encoded(root, "anndata")
    root["X"] = np.zeros((len(mean), 2))
    obsm = encoded(root.create_group("obsm"), "dict")
    encoded(obsm.create_dataset("X_latent_qzm", data=mean), "array")
    encoded(obsm.create_dataset("X_latent_qzv", data=var), "array")
    obs = encoded(root.create_group("obs"), "dataframe")
    obs.attrs["column-order"] = np.array(list(columns), dtype=h5py.string_dtype())
    obs.attrs["_index"] = "_index"
    obs["_index"] = [str(i) for i in range(len(mean))]
    for name, (kind, parts) in columns.items():
        if kind == "array":
            encoded(obs.create_dataset(name, data=parts), "array")
            continue
        group = encoded(obs.create_group(name), kind)
        for key, values in parts.items():
            group[key] = values


def test_columns_of_anndata(tmp_path, pair):
    n = len(pair[0])
    codes = np.arange(n) % 3 - 1
    mask = np.arange(n) % 2 == 0
    columns = {
        "batch": ("categorical", {"codes": codes.astype("i1"), "categories": ["a", "b"]}),
        "year": ("categorical", {"codes": codes.astype("i1"), "categories": [1999, 2020]}),
        "count": ("nullable-integer", {"values": np.arange(n), "mask": mask}),
        "depth": ("array", np.linspace(0, 1, n)),
    }
    with h5py.File(tmp_path / "a.h5ad", "w") as root:
        anndata(root, *pair, columns)
    arrays = open_file(tmp_path / "a.h5ad").arrays
    assert "X" not in arrays
    found = {name: arrays[f"obs/{name}"].read() for name in columns}
    np.testing.assert_array_equal(found["batch"], np.array(["", "a", "b"])[codes + 1])
    np.testing.assert_array_equal(found["year"], np.array(["", "1999", "2020"])[codes + 1])
    np.testing.assert_array_equal(found["count"], np.where(mask, np.nan, np.arange(n)))
    np.testing.assert_array_equal(found["depth"], np.linspace(0, 1, n))
    encodings = read_encodings(tmp_path / "a.h5ad")
    assert encodings.schema == "scvi-tools"
    np.testing.assert_array_equal(encodings.mean, pair[0])


def test_categories_as_before_anndata_0_8(tmp_path, pair):
    n = len(pair[0])
    with h5py.File(tmp_path / "a.h5ad", "w") as root:
        anndata(root, *pair, {"batch": ("array", np.arange(n, dtype="i1") % 3 - 1)})
        del root.attrs["encoding-type"]
        root["obs/__categories/batch"] = ["x", "y"]
    arrays = open_file(tmp_path / "a.h5ad").arrays
    assert set(arrays) == {"obs/batch", "obsm/X_latent_qzm", "obsm/X_latent_qzv"}
    words = arrays["obs/batch"].read()
    np.testing.assert_array_equal(words[:4], ["", "x", "y", ""])


@pytest.mark.parametrize("kind", ["csr_matrix", "csc_matrix"])
def test_a_sparse_table_of_anndata(tmp_path, pair, kind):
    from scipy import sparse

    made = (sparse.csr_array if kind == "csr_matrix" else sparse.csc_array)(pair[0])
    with h5py.File(tmp_path / "a.h5ad", "w") as root:
        anndata(root, *pair, {})
        del root["obsm/X_latent_qzm"]
        group = encoded(root.create_group("obsm/X_latent_qzm"), kind, shape=made.shape)
        group["data"], group["indices"], group["indptr"] = made.data, made.indices, made.indptr
    np.testing.assert_array_equal(read_encodings(tmp_path / "a.h5ad").mean, pair[0])


def test_a_sparse_shape_that_lies_is_refused_before_it_is_filled(tmp_path, pair):
    with h5py.File(tmp_path / "a.h5ad", "w") as root:
        anndata(root, *pair, {})
        del root["obsm/X_latent_qzm"]
        group = encoded(root.create_group("obsm/X_latent_qzm"), "csr_matrix", shape=(10**6, 10**5))
        group["data"], group["indices"], group["indptr"] = [1.0], [0], [0, 1]
    with pytest.raises(ValueError, match=r"a\.h5ad.*announces 800 GB"):
        open_file(tmp_path / "a.h5ad").arrays["obsm/X_latent_qzm"].read()


@pytest.mark.parametrize("name", ["minified", "means_only", "qzm_qzv_only"])
def test_columns_and_tables_are_those_of_anndata(name):
    anndata = pytest.importorskip("anndata", reason="anndata is not installed: NOT compared")
    path = Path(__file__).parents[1] / "data" / "files" / "scvi" / f"{name}.h5ad"
    with h5py.File(path) as root:
        obs, obsm = anndata.io.read_elem(root["obs"]), anndata.io.read_elem(root["obsm"])
    arrays = open_file(path).arrays
    assert {f"obs/{c}" for c in obs} | {f"obsm/{key}" for key in obsm} == set(arrays)
    for column in obs:
        assert_same_factor(arrays[f"obs/{column}"].read(), obs[column])
    for key, values in obsm.items():
        np.testing.assert_array_equal(arrays[f"obsm/{key}"].read(), np.asarray(values))


def assert_same_factor(ours, theirs):
    """Assert that two columns are the same factor: values, kind and names of the classes that occur."""
    one, two = as_table(ours, len(ours)), as_table(theirs, len(ours))
    np.testing.assert_array_equal(one.column(0), two.column(0))
    assert "ordinal" in two.kinds or one.kinds == two.kinds


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_every_sort_of_column_that_anndata_writes(tmp_path, suffix):
    anndata = pytest.importorskip("anndata", reason="anndata is not installed: NOT compared")
    import pandas as pd
    from scipy import sparse

    rng = np.random.default_rng(0)
    columns = {
        "nominal": pd.Categorical(["a", "b", None, "a"], ["b", "a", "c"]),
        "ordered": pd.Categorical(["s", "m", None, "l"], ["s", "m", "l"], ordered=True),
        "year": pd.Categorical([1999, 2020, None, 1999]),
        "checked": pd.Categorical([True, False, None, True]),
        "count": pd.array([1, None, 3, 1], "Int64"),
        "doublet": pd.array([True, None, False, True], "boolean"),
        "depth": rng.normal(size=4),
        "text": ["x", "y", "ö", "x"],
    }
    names = [f"cell {i}" for i in range(4)]
    obs = pd.DataFrame(columns, index=names)
    obsm = {
        "X_latent_qzm": rng.normal(size=(4, 3)),
        "csr": sparse.csr_matrix(rng.normal(size=(4, 3))),
        "csc": sparse.csc_matrix(rng.normal(size=(4, 3))),
        "frame": pd.DataFrame(rng.normal(size=(4, 2)), columns=["p", "q"], index=names),
    }
    path = tmp_path / f"a.{suffix}"
    made = anndata.AnnData(obs=obs, obsm=obsm)
    with warnings.catch_warnings(action="ignore"):
        made.write_h5ad(path) if suffix == "h5ad" else made.write_zarr(path)
    arrays = open_file(path).arrays
    assert set(arrays) == {*(f"obs/{name}" for name in obs), *(f"obsm/{key}" for key in obsm)}
    for name in obs:
        assert_same_factor(arrays[f"obs/{name}"].read(), obs[name])
    for key, values in obsm.items():
        whole = values.toarray() if sparse.issparse(values) else np.asarray(values)
        np.testing.assert_array_equal(arrays[f"obsm/{key}"].read(), whole)
