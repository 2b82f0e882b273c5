"""write_encodings, and that reading gives back what was written."""

import errno
import gc
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes
from hypothesis.extra.numpy import arrays as np_arrays

from disentangle_indicators.encodings import read_encodings, write_encodings
from disentangle_indicators.encodings._columns import factors_of
from disentangle_indicators.encodings.formats import WRITERS, open_file, safetensors, suffix_of
from disentangle_indicators.factors import as_table

SUFFIXES = ["npz", "safetensors", "h5", "zarr.zip", "parquet"]
TO_VAR = {
    "var": lambda x: x,
    "std": np.square,
    "logvar": np.exp,
    "logstd": lambda x: np.exp(2 * x),
}


@settings(max_examples=30, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("scale", TO_VAR)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_round_trip(tmp_path_factory, suffix, scale, data):
    dtype = data.draw(st.sampled_from(["f4", "f8"]))
    shape = data.draw(array_shapes(min_dims=2, max_dims=2, max_side=6))
    width = 32 if dtype == "f4" else 64
    mean = data.draw(np_arrays(dtype, shape, elements=st.floats(-1e3, 1e3, width=width)))
    low = 0.0625 if scale in ("var", "std") else -8.0
    values = data.draw(np_arrays(dtype, shape, elements=st.floats(low, 8.0, width=width)))
    mean[0, 0] = values[0, 0] + 1
    path = write_encodings(
        tmp_path_factory.mktemp("round") / f"a.{suffix}", mean, **{scale: values}
    )
    encodings = read_encodings(path)
    assert encodings.schema == "native"
    assert encodings.mean.dtype == encodings.var.dtype == dtype
    np.testing.assert_array_equal(encodings.mean, mean)
    rtol = 1e-5 if dtype == "f4" else 1e-13
    np.testing.assert_allclose(encodings.var, TO_VAR[scale](values.astype("f8")), rtol=rtol)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_everything_else_is_kept(tmp_path, pair, suffix):
    mean, var = pair
    factors = np.arange(46).reshape(23, 2)
    path = write_encodings(
        tmp_path / f"a.{suffix}",
        mean,
        var=var,
        factors=factors,
        factor_names=["shape", "größe"],
        labels=np.arange(23),
        metadata={"source": "test", "scale": "wrong"},
    )
    encodings = read_encodings(str(path))
    np.testing.assert_array_equal(encodings.factors.to_array(), factors)
    assert encodings.factors.names == ("shape", "größe")
    assert encodings.labels.tolist() == list(range(23))
    assert encodings.metadata["source"] == "test"
    assert encodings.metadata["format"] == "dindic.encodings/1"
    assert encodings.metadata["scale"] == encodings.scale == "logvar"
    assert encodings.notes == ()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_written_again(tmp_path, pair, suffix):
    first = read_encodings(
        write_encodings(tmp_path / "a.npz", pair[0], var=pair[1], factors=pair[1])
    )
    path = write_encodings(
        tmp_path / f"b.{suffix}",
        first.mean,
        var=first.var,
        factors=first.factors,
        metadata=first.metadata,
    )
    second = read_encodings(write_encodings(path, read_encodings(path).mean, var=first.var))
    np.testing.assert_array_equal(second.mean, pair[0])
    np.testing.assert_allclose(second.var, pair[1], rtol=1e-14)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_means_only(tmp_path, pair, suffix):
    encodings = read_encodings(write_encodings(tmp_path / f"a.{suffix}", pair[0]))
    assert encodings.var is None
    assert (encodings.schema, encodings.scale) == ("native", "")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_tiny_variances_do_not_underflow(tmp_path, suffix):
    logvar = np.array([[-150.0, -20.0]], dtype="f4")
    path = write_encodings(tmp_path / f"a.{suffix}", np.zeros((1, 2), dtype="f4"), logvar=logvar)
    np.testing.assert_allclose(read_encodings(path).var, np.exp(logvar.astype("f8")))


@pytest.mark.parametrize("suffix", [suffix for suffix in SUFFIXES if suffix != "parquet"])
def test_sites_are_kept(tmp_path, suffix):
    mean = np.random.default_rng(0).normal(size=(3, 2, 4, 4))
    path = write_encodings(tmp_path / f"a.{suffix}", mean, logvar=mean - 1)
    assert read_encodings(path, layout="channels").n == 48


def test_parquet_has_no_place_for_sites(tmp_path):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed: parquet is NOT tested")
    with pytest.raises(ValueError, match=r"mean must have the shape \(n, d\) in parquet"):
        write_encodings(tmp_path / "a.parquet", np.zeros((3, 2, 4, 4)))


def test_torch_tensors(tmp_path, pair):
    torch = pytest.importorskip("torch")
    mean, var = (torch.tensor(a, requires_grad=True) for a in pair)
    path = write_encodings(tmp_path / "a.safetensors", mean, var=var, labels=torch.arange(23))
    np.testing.assert_array_equal(read_encodings(path).mean, pair[0])
    half = write_encodings(tmp_path / "half.npz", mean.bfloat16(), var=var.bfloat16())
    assert read_encodings(half).mean.dtype == np.float32


def test_text_labels(tmp_path, pair):
    words = np.array([f"word {i}" for i in range(23)], dtype=object)
    path = write_encodings(tmp_path / "a.npz", pair[0], labels=words)
    assert read_encodings(path).labels.tolist() == words.tolist()
    with pytest.raises(ValueError, match=r"labels holds text.*\.npz"):
        write_encodings(tmp_path / "a.safetensors", pair[0], labels=words)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.npz"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mean": np.ones(3)}, r"mean must have the shape \(n, d\)"),
        ({"mean": np.ones((0, 3))}, "mean must have the shape"),
        ({"mean": np.full((2, 2), np.nan)}, "mean must be finite"),
        ({"var": np.ones((2, 3))}, "mean and var must have the same shape"),
        ({"var": np.zeros((2, 2))}, "var must be positive"),
        ({"std": -np.ones((2, 2))}, "std must be positive"),
        ({"logvar": np.full((2, 2), np.inf)}, "logvar must be finite"),
        ({"var": np.ones((2, 2)), "std": np.ones((2, 2))}, "give one of var"),
        ({"factors": np.ones((3, 1))}, r"factors must have the shape \(2, K\)"),
        ({"factors": [["a"], [1.5]]}, "a column must not hold both text and numbers; factor_0"),
        ({"factors": [1.0, np.inf]}, r"factors must be finite or nan; factor_0\[1\] = inf"),
        ({"factors": np.ones((2, 2)), "factor_names": ["a"]}, "factor_names must be 2 names"),
        ({"factor_names": ["a"]}, "without factors"),
        ({"labels": [1]}, r"labels must have the shape \(2,\)"),
        ({"labels": [{}, {}]}, "labels must be numbers or text"),
    ],
)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_bad_input_writes_nothing(tmp_path, suffix, changes, words):
    with pytest.raises(ValueError, match=words):
        write_encodings(tmp_path / f"a.{suffix}", **{"mean": np.zeros((2, 2))} | changes)
    assert list(tmp_path.iterdir()) == []


def test_anndata_is_written_as_scvi_tools_names_it(tmp_path, pair):
    """With factors and labels as columns of obs, text as text."""
    pytest.importorskip("h5py", reason="h5py is not installed: .h5ad is NOT tested")
    factors = [["b" if i % 2 else "a", i] for i in range(22)] + [["", 22]]
    path = write_encodings(
        tmp_path / "a.h5ad",
        pair[0],
        var=pair[1],
        factors=factors,
        factor_names=["batch", "n"],
        labels=np.arange(23),
    )
    encodings = read_encodings(path, factors="obs/batch,obs/n", labels="obs/labels")
    assert encodings.schema == "scvi-tools"
    np.testing.assert_array_equal(encodings.mean, pair[0])
    np.testing.assert_allclose(encodings.var, pair[1], rtol=1e-14)
    assert encodings.factors.column(0).tolist() == [row[0] for row in factors]
    assert encodings.factors.column(1).tolist() == encodings.labels.tolist() == list(range(23))


def test_variances_that_underflow_are_not_written_to_anndata(tmp_path):
    pytest.importorskip("h5py", reason="h5py is not installed: .h5ad is NOT tested")
    mean = np.zeros((1, 2), dtype="f4")
    path = tmp_path / "a.h5ad"
    write_encodings(path, mean, logvar=np.array([[-150.0, -20.0]], dtype="f4"))
    np.testing.assert_allclose(read_encodings(path).var, np.exp([[-150.0, -20.0]]))
    with pytest.raises(ValueError, match=r"variances outside of 1e-304 to 1e304"):
        write_encodings(path, np.zeros((2, 2)), logvar=np.array([[-150, -20], [-1500, -20]]))


def test_an_npz_has_the_arrays_and_nothing_else(tmp_path, pair):
    """Releases of numpy without the argument allow_pickle of savez store it as an array."""
    path = write_encodings(tmp_path / "a.npz", pair[0], var=pair[1], labels=np.arange(23))
    with np.load(path) as archive:
        assert sorted(archive.files) == ["labels", "logvar", "mean", "metadata"]
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        WRITERS[".npz"].write(path, {"x": np.array([{}])}, {})


@pytest.mark.parametrize("name", ["a.pt", "a.csv", "a"])
def test_formats_that_are_not_written(tmp_path, name):
    with pytest.raises(ValueError, match=r"\.npz or \.safetensors"):
        write_encodings(tmp_path / name, np.zeros((2, 2)))


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_failure_leaves_the_old_file(tmp_path, pair, suffix, step, monkeypatch):
    path = write_encodings(tmp_path / f"a.{suffix}", pair[0], var=pair[1])
    before = path.read_bytes()

    def fail(target, *rest):
        if step == "write":
            target.write_bytes(b"half")
        raise OSError("no space left")

    owner = WRITERS[suffix_of(path)] if step == "write" else os
    monkeypatch.setattr(owner, step, fail)
    with pytest.raises(OSError, match="no space left"):
        write_encodings(path, pair[0] + 1, var=pair[1])
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_file_has_the_usual_permissions(tmp_path, pair, suffix):
    (tmp_path / "usual").touch()
    path = write_encodings(tmp_path / f"a.{suffix}", pair[0])
    assert path.stat().st_mode == (tmp_path / "usual").stat().st_mode


TABLES = {
    "text": [["b", "x"], ["", "y"], ["a", "x"]],
    "mixed": [["b", 0.5], [None, 1], ["a", np.nan]],
    "truth": np.array([[True, False], [True, True], [True, True]]),
    "missing truth": [[True, 1], [None, 2], [True, 3]],
    "numbers": np.array([[1, 2], [3, 4], [1, 2]]),
    "missing numbers": [1.5, None, 3],
    "categories": pd.DataFrame({"size": pd.Categorical(["s", "m", None], ["s", "m", "l"])}),
    "ordered": as_table(
        pd.DataFrame({"size": pd.Categorical(["s", "m", "l"], ["s", "m", "l"], ordered=True)}), 3
    ),
}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", TABLES)
def test_factors_of_every_sort_come_back(tmp_path, suffix, name):
    """Their values, classes and missing values, without objects in the file."""
    path = write_encodings(tmp_path / f"a.{suffix}", np.zeros((3, 2)), factors=TABLES[name])
    expected = as_table(TABLES[name], 3)
    values, names, _ = factors_of(open_file(path), None)
    table = as_table(values, 3, names=names)
    np.testing.assert_array_equal(table.values, expected.values)
    assert table.classes == expected.classes
    assert table.names == expected.names
    found = read_encodings(path)
    assert found.factors.names == expected.names
    again = as_table(found.factors, 3).describe()
    assert [f["values"] for f in again] == [f["values"] for f in expected.describe()]
    if name != "ordered" and name != "categories":  # an array has no order of classes
        np.testing.assert_array_equal(as_table(found.factors, 3).values, expected.values)
    other = read_encodings(write_encodings(tmp_path / "b.npz", np.ones((3, 1))), factors=path)
    assert (
        other.factors.to_array().tolist() == found.factors.to_array().tolist()
        or "missing" in name
        or "mixed" in name
    )


def test_classes_that_do_not_fit(npz, pair):
    numbers = np.arange(23)
    for classes, words in ((["null"] * 2, "1 lists; got 2"), (['["a"]'], "1 classes of factor_0")):
        path = npz(mean=pair[0], factors=numbers, factor_classes=np.array(classes))
        with pytest.raises(ValueError, match=words):
            read_encodings(path)


def test_foreign_metadata_arrays_are_no_metadata(npz, pair):
    for metadata in ("no json", "[1]", json.dumps({"a": 1})):
        found = read_encodings(npz(mean=pair[0], metadata=metadata)).metadata
        assert found == ({"a": "1"} if "{" in metadata else {})


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_byte_order_and_strides(tmp_path, pair, suffix):
    mean = np.asfortranarray(pair[0]).astype(">f8")
    factors = np.arange(92).reshape(23, 4).astype(">i4")[:, ::2]
    path = write_encodings(tmp_path / f"a.{suffix}", mean, var=pair[1][:, :], factors=factors)
    np.testing.assert_array_equal(read_encodings(path).mean, pair[0])
    np.testing.assert_array_equal(read_encodings(path).factors.to_array(), factors)


def test_the_bytes_of_safetensors_are_those_of_the_package(tmp_path, pair):
    from safetensors import safe_open
    from safetensors.numpy import save

    mean, logvar = pair[0].astype("f4"), np.log(pair[1]).astype("f4")
    arrays = {"mean": mean, "logvar": logvar, "labels": np.arange(23), '\n"größe': np.arange(23)}
    path = tmp_path / "a.safetensors"
    safetensors.write(path, arrays, {})
    with safe_open(path, framework="np") as file:
        assert path.read_bytes() == save(arrays, file.metadata())


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "u2", "i4", "u8", "?"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_any_array_of_numbers_comes_back(tmp_path, dtype, order):
    from safetensors.numpy import load_file

    values = np.asarray(np.arange(24).reshape(4, 6) % 2, dtype)
    stored = np.asfortranarray(values.astype(values.dtype.newbyteorder(order)))
    path = tmp_path / "a.safetensors"
    safetensors.write(path, {"x": stored, "y": stored[::2], "none": stored[:0]}, {})
    found = load_file(path)
    np.testing.assert_array_equal(found["x"], values, strict=True)
    np.testing.assert_array_equal(found["y"], values[::2], strict=True)
    assert found["none"].shape == (0, 6)


def test_two_writes_have_the_same_bytes(tmp_path, pair):
    metadata = {f"key {i}": str(i) for i in range(20)}
    one, two = (
        write_encodings(
            tmp_path / f"{i}.safetensors", pair[0], var=pair[1], metadata=metadata
        ).read_bytes()
        for i in range(2)
    )
    assert one == two


@pytest.mark.parametrize("dtype", ["c8", "g"])
def test_numbers_that_safetensors_lacks(tmp_path, dtype):
    with pytest.raises(ValueError, match="x has the dtype .*, which safetensors cannot store"):
        safetensors.write(tmp_path / "a.safetensors", {"x": np.ones(3, dtype)}, {})


@pytest.mark.parametrize("suffix", SUFFIXES)
class TestWhatCannotBeWritten:
    """An OSError with the path that the user gave, never the temporary one."""

    def refused(self, path, pair, kind):
        with pytest.raises(kind) as error:
            write_encodings(path, pair[0], var=pair[1])
        assert error.value.filename == str(path)
        return error.value

    def test_a_folder(self, tmp_path, pair, suffix):
        path = tmp_path / f"a.{suffix}"
        path.mkdir()
        self.refused(path, pair, IsADirectoryError)
        assert [p.name for p in tmp_path.iterdir()] == [path.name]

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no full device to write to")
    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    def test_a_full_device(self, tmp_path, pair, suffix):
        path = tmp_path / f"a.{suffix}"
        path.symlink_to("/dev/full")
        assert self.refused(path, pair, OSError).errno == errno.ENOSPC
        gc.collect()  # numpy 2.0 leaves its archive open, which complains when it goes

    def test_a_full_disk(self, tmp_path, pair, suffix, monkeypatch):
        path = tmp_path / f"a.{suffix}"
        path.write_text("old")

        def full(*args):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(WRITERS[f".{suffix}"], "write", full)
        self.refused(path, pair, OSError)
        assert path.read_text() == "old"
        assert [p.name for p in tmp_path.iterdir()] == [path.name]

    def test_a_folder_that_may_not_be_written(self, tmp_path, pair, suffix, monkeypatch):
        def denied(self, **kwargs):
            raise PermissionError(errno.EACCES, "Permission denied", self)

        monkeypatch.setattr(Path, "touch", denied)
        self.refused(tmp_path / f"a.{suffix}", pair, PermissionError)
