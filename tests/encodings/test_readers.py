"""What the readers of HDF5, AnnData, zarr, parquet, Arrow and MATLAB files promise beyond all others."""

import sys
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from disentangle_indicators.encodings import read_encodings, write_encodings
from disentangle_indicators.encodings.formats import MODULES, open_file
from disentangle_indicators.factors import as_table

h5py = pytest.importorskip("h5py", reason="h5py is not installed: HDF5 is NOT tested")
zarr = pytest.importorskip("zarr", reason="zarr is not installed: zarr is NOT tested")
pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed: parquet is NOT tested")


def test_a_chunk_of_many_gigabytes_is_refused_before_it_is_inflated(tmp_path, pair):
    with h5py.File(tmp_path / "a.h5", "w") as root:
        root.create_dataset("mean", (2 * 10**7, 20), "f8", chunks=(2 * 10**7, 20), compression=9)
    with pytest.raises(ValueError, match=r"a\.h5.*a chunk of mean.*announces 3\.2 GB"):
        open_file(tmp_path / "a.h5")


def test_a_link_into_another_file_is_not_followed(tmp_path, pair):
    with h5py.File(tmp_path / "other.h5", "w") as root:
        root["mean"] = pair[0]
    with h5py.File(tmp_path / "a.h5", "w") as root:
        root["mean"] = h5py.ExternalLink("other.h5", "mean")
        root["gone"] = h5py.SoftLink("/nowhere")
        root["z"] = pair[0]
        layout = h5py.VirtualLayout(pair[0].shape, "f8")
        layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "mean", pair[0].shape)
        root.create_virtual_dataset("mu", layout)
    arrays = open_file(tmp_path / "a.h5").arrays
    assert set(arrays) == {"mu", "z"}
    with pytest.raises(ValueError, match=r"a\.h5: 'mu' is stored in another file"):
        arrays["mu"].read()


def test_a_group_that_contains_itself_ends(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as root:
        root["loop"] = root["/"]
    with pytest.raises(ValueError, match=r"a\.h5.*10,001 arrays and groups"):
        open_file(tmp_path / "a.h5")


def test_a_zarr_array_that_would_be_unpickled_is_refused_by_name(tmp_path, pair):
    import json

    root = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    root.create_array("mean", data=pair[0])
    root.create_array("labels", data=np.arange(23))
    path = tmp_path / "a.zarr" / "labels" / ".zarray"
    metadata = json.loads(path.read_text())
    metadata |= {"dtype": "|O", "filters": [{"id": "pickle", "protocol": 5}], "fill_value": 0}
    path.write_text(json.dumps(metadata))
    with pytest.raises(ValueError, match=r"a\.zarr.*(pickle|labels)"):
        read_encodings(tmp_path / "a.zarr", labels="labels")


def test_the_word_pickle_elsewhere_refuses_nothing(tmp_path, pair):
    root = zarr.open_group(tmp_path / "a.zarr", mode="w")
    array = root.create_array("mean", data=pair[0])
    array.attrs["made_with"] = "pickle"
    np.testing.assert_array_equal(read_encodings(tmp_path / "a.zarr").mean, pair[0])


def test_a_zarr_archive_has_the_same_bytes_at_any_time(tmp_path, pair, monkeypatch):
    """Of several chunks, and without the date that zarr's own archive gives its entries."""
    monkeypatch.setattr("disentangle_indicators.encodings.formats.zarr._BYTES", 100)
    written = []
    for year in (2001, 2031):
        monkeypatch.setattr("time.localtime", lambda *_, year=year: (year, *range(1, 9)))
        write_encodings(tmp_path / f"{year}.zarr.zip", pair[0], var=pair[1])
        written.append((tmp_path / f"{year}.zarr.zip").read_bytes())
    assert written[0] == written[1]
    with zipfile.ZipFile(tmp_path / "2001.zarr.zip") as archive:
        assert len([name for name in archive.namelist() if name.startswith("mean/c/")]) > 1
    np.testing.assert_array_equal(read_encodings(tmp_path / "2001.zarr.zip").mean, pair[0])


@pytest.mark.filterwarnings("error")
def test_text_in_zarr_is_read_without_advice_on_writing(tmp_path, pair):
    words = np.array(["a", "bc"])[np.arange(23) % 2]
    root = zarr.open_group(tmp_path / "a.zarr", mode="w")
    root.create_array("mean", data=pair[0])
    with pytest.warns(match="Zarr V3 specification"):
        root.create_array("labels", data=words)
    assert read_encodings(tmp_path / "a.zarr").labels.tolist() == words.tolist()


@pytest.mark.parametrize("rows", [1, 4, 7, 100])
@pytest.mark.parametrize("suffix", ["h5", "zarr"])
def test_chunks_of_any_height_give_blocks_of_exactly_that_many_rows(tmp_path, pair, suffix, rows):
    root = (
        h5py.File(tmp_path / "a.h5", "w")
        if suffix == "h5"
        else zarr.open_group(tmp_path / "a.zarr", mode="w")
    )
    root.create_dataset("mean", data=pair[0], chunks=(5, 2)) if suffix == "h5" else (
        root.create_array("mean", data=pair[0], chunks=(5, 2))
    )
    if suffix == "h5":
        root.close()
    blocks = list(open_file(tmp_path / f"a.{suffix}").arrays["mean"].blocks(rows))
    assert {len(block) for block in blocks[:-1]} <= {rows}
    np.testing.assert_array_equal(np.concatenate(blocks), pair[0])


def parquet(path, table, **options):
    from pyarrow import parquet

    parquet.write_table(table, path, **options)


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ([[1.0, 2.0], [3.0]], "must have one length; row 1 has 1 of 2"),
        ([[1.0, 2.0], None], "'mean' has no value in row 1"),
        ([[1.0, 2.0], [3.0, None]], "'mean' has no value in row 1"),
    ],
)
def test_lists_that_are_no_table(tmp_path, column, words):
    parquet(tmp_path / "a.parquet", pyarrow.table({"mean": column}))
    with pytest.raises(ValueError, match=rf"a\.parquet.*{words}"):
        list(read_encodings(tmp_path / "a.parquet").batches())


def test_columns_of_arrow_tables(tmp_path):
    table = pyarrow.table(
        {
            "mu_0": [0.5, 1.5, 2.5],
            "species": pyarrow.array(["owl", None, "cat"]).dictionary_encode(),
            "day": pyarrow.array([3, None, 4]),
            "when": pyarrow.array([1, 2, 3], pyarrow.timestamp("s")),
        }
    )
    parquet(tmp_path / "a.parquet", table, row_group_size=2)
    arrays = open_file(tmp_path / "a.parquet").arrays
    assert arrays["species"].read().tolist() == ["owl", "", "cat"]
    np.testing.assert_array_equal(arrays["day"].read(), [3, np.nan, 4])
    with pytest.raises(ValueError, match="'when' must be numbers or text; it is timestamp"):
        arrays["when"].read()


def test_a_stream_of_record_batches(tmp_path, pair):
    flat = pyarrow.array(pair[0].ravel())
    table = pyarrow.table({"mean": pyarrow.FixedSizeListArray.from_arrays(flat, 3)})
    with pyarrow.ipc.new_stream(str(tmp_path / "a.arrows"), table.schema) as stream:
        stream.write_table(table, max_chunksize=4)
    np.testing.assert_array_equal(read_encodings(tmp_path / "a.arrows").mean, pair[0])


@pytest.mark.parametrize("suffix", ["npz", "csv", "h5"])
def test_the_contents_decide_before_the_suffix(any_format, pair, suffix, request):
    path = any_format(mean=pair[0], var=pair[1])
    if path.suffix in (".csv", ".tsv"):
        pytest.skip("text has no first bytes of its own")
    renamed = path.rename(path.with_name(f"renamed.{suffix}"))
    np.testing.assert_array_equal(read_encodings(renamed).mean, pair[0])


@pytest.mark.parametrize(
    ("suffix", "module", "extra"),
    [
        ("h5", "h5py", "h5"),
        ("h5ad", "h5py", "h5"),
        ("zarr.zip", "zarr", "zarr"),
        ("parquet", "pyarrow", "parquet"),
    ],
)
def test_a_missing_extra_is_one_sentence(tmp_path, monkeypatch, suffix, module, extra):
    path = tmp_path / f"a.{suffix}"
    path.touch()
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ValueError, match=module) as caught:
        read_encodings(path)
    line = f"pip install 'disentangle-indicators[{extra}]'"
    assert str(caught.value) == f"{path}: {module} is needed to read it: {line}"


def test_every_module_has_what_the_recipe_names():
    for module in MODULES:
        assert module.SUFFIXES
        assert callable(module.matches)
        assert callable(module.read)
        assert hasattr(module, "HOLDS_TEXT") == hasattr(module, "write")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.pkl", "a pickle may run code"),
        ("a.joblib", "np.savez"),
        ("a.jsonl", "read_json"),
        ("a.rds", r"write\.csv"),
        ("a.xlsx", "save the sheet as CSV"),
        ("a.h5ad.gz", "unpack it first"),
        ("a.onnx", "a network, not encodings"),
    ],
)
def test_files_that_are_not_read_have_a_next_step(tmp_path, name, words):
    (tmp_path / name).write_bytes(b"\x80\x04garbage")
    with pytest.raises(ValueError, match=rf"{name}: .*{words}"):
        read_encodings(tmp_path / name)


@pytest.mark.parametrize("kind", ["parquet", "feather"])
def test_categories_and_truth_values_of_tables(tmp_path, kind):
    """As the same columns of pandas and polars are read, whatever their categories are."""
    from pyarrow import feather

    columns = {
        "mean_0": [0.0, 1.0, 2.0],
        "name": pyarrow.array(["b", None, "a"]).dictionary_encode(),
        "year": pyarrow.array([2020, None, 1999]).dictionary_encode(),
        "seen": pyarrow.array([True, None, False]),
    }
    table = pyarrow.table(columns)
    path = tmp_path / f"a.{kind}"
    parquet(path, table) if kind == "parquet" else feather.write_feather(table, path)
    arrays = open_file(path).arrays
    assert arrays["name"].read().tolist() == ["b", "", "a"]
    if kind == "feather":  # parquet keeps dictionaries of text only
        assert arrays["year"].read().tolist() == ["2020", "", "1999"]
    assert arrays["seen"].read().tolist() == ["True", "", "False"]
    factors = as_table(table.drop_columns(["mean_0"]), 3)
    assert set(factors.kinds) == {"categorical"}
    assert factors.column(1).tolist() == ["2020", "", "1999"]


def test_categories_of_polars(tmp_path):
    polars = pytest.importorskip("polars", reason="polars is not installed: NOT tested")
    words = ["b", None, "a"]
    frame = polars.DataFrame(
        {
            "mean_0": [0.0, 1.0, 2.0],
            "nominal": polars.Series(words, dtype=polars.Categorical),
            "chosen": polars.Series(words, dtype=polars.Enum(["b", "a"])),
        }
    )
    found = as_table(frame[["nominal", "chosen"]], 3)
    assert found.kinds == ("categorical", "categorical")
    assert found.column(0).tolist() == found.column(1).tolist() == ["b", "", "a"]
    frame.write_parquet(tmp_path / "a.parquet")
    frame.write_ipc(tmp_path / "a.arrow")
    for name in ("a.parquet", "a.arrow"):
        read = read_encodings(tmp_path / name, factors="nominal,chosen").factors
        assert read.column(0).tolist() == read.column(1).tolist() == ["b", "", "a"]


@settings(max_examples=40, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("suffix", ["h5", "zarr", "parquet", "feather", "arrows", "mat"])
def test_files_of_the_same_arrays_give_the_same_blocks(tmp_path_factory, suffix, data):
    """Whatever their dtype, their order in memory, their chunks, row groups and blocks."""
    n, d = data.draw(st.integers(1, 30)), data.draw(st.integers(1, 4))
    dtype = data.draw(st.sampled_from(["f4", "f8"]))
    order = data.draw(st.sampled_from("CF"))
    chunk, rows = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 40))
    mean = np.random.default_rng(n).normal(size=(n, d)).astype(dtype).copy(order)
    path = tmp_path_factory.mktemp("same") / f"a.{suffix}"
    SAVED[suffix](path, mean, chunk)
    blocks = list(open_file(path).arrays["mean"].blocks(rows))
    assert all(len(block) == rows for block in blocks[:-1])
    np.testing.assert_array_equal(np.concatenate(blocks), mean)
    assert {block.dtype for block in blocks} == {mean.dtype}


def _h5(path, mean, chunk):
    with h5py.File(path, "w") as root:
        root.create_dataset("mean", data=mean, chunks=(min(chunk, len(mean)), 1), compression=1)


def _zarr(path, mean, chunk):
    zarr.open_group(path, mode="w").create_array(
        "mean", data=np.ascontiguousarray(mean), chunks=(min(chunk, len(mean)), 1)
    )


def _lists(mean):
    flat = pyarrow.array(np.ascontiguousarray(mean).ravel())
    return pyarrow.table({"mean": pyarrow.FixedSizeListArray.from_arrays(flat, mean.shape[1])})


def _feather(path, mean, chunk):
    from pyarrow import feather

    feather.write_feather(_lists(mean), path, chunksize=chunk)


def _arrows(path, mean, chunk):
    table = _lists(mean)
    with pyarrow.ipc.new_stream(str(path), table.schema) as stream:
        stream.write_table(table, max_chunksize=chunk)


def _mat(path, mean, chunk):
    from scipy.io import savemat

    savemat(path, {"mean": mean})


SAVED = {
    "h5": _h5,
    "zarr": _zarr,
    "parquet": lambda path, mean, chunk: parquet(path, _lists(mean), row_group_size=chunk),
    "feather": _feather,
    "arrows": _arrows,
    "mat": _mat,
}


def test_a_sparse_file_of_ten_gigabytes_is_read_in_blocks(tmp_path):
    """HDF5 stores nothing of chunks that were never written."""
    with h5py.File(tmp_path / "a.h5", "w") as root:
        root.create_dataset("mean", (2 * 10**7, 64), "f8", chunks=(1000, 64))
    blocks = open_file(tmp_path / "a.h5").arrays["mean"].blocks(1000)
    assert next(blocks).shape == (1000, 64)
    with pytest.raises(ValueError, match=r"a\.h5: 'mean' announces 10\.2 GB"):
        open_file(tmp_path / "a.h5").arrays["mean"].read()
