"""Parquet and Arrow files: no more is decoded than is used, and no more inflated than files can hold."""

import numpy as np
import pytest

from disentangle_indicators.encodings import _stored, read_encodings

pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed: parquet is NOT tested")
from pyarrow import parquet


def test_opening_decodes_the_first_batches_only(tmp_path, monkeypatch):
    n = 400_000
    kinds = {"mean": np.linspace(-1, 1, n), "logvar": np.linspace(-2, 0, n)}
    columns = {f"{name}_{i}": values for name, values in kinds.items() for i in range(16)}
    parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    decoded = []
    plain = parquet.ParquetFile.iter_batches

    def counted(*arguments, **options):
        for batch in plain(*arguments, **options):
            decoded.append(batch.num_rows)
            yield batch

    monkeypatch.setattr(parquet.ParquetFile, "iter_batches", counted)
    encodings = read_encodings(tmp_path / "a.parquet")
    assert 0 < sum(decoded) < n
    decoded.clear()
    assert sum(len(mean) for mean, _ in encodings.batches(7000)) == n
    assert sum(decoded) == 2 * n


def test_a_column_that_inflates_to_far_more_than_the_file_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.parquet"
    columns = {"mean_0": np.zeros(100_000), "labels": np.zeros(100_000)}
    for name in ("mean_0", "labels"):
        options = {"compression": "zstd", "use_dictionary": False}
        parquet.write_table(pyarrow.table({name: columns[name]}), path, **options)
        assert path.stat().st_size < 8 * 100_000 / _stored.RATIO
    parquet.write_table(pyarrow.table(columns), path, **options)
    assert read_encodings(path).n == 100_000
    monkeypatch.setattr(_stored, "WHOLE", 1 << 16)
    with pytest.raises(
        ValueError, match=r"a\.parquet: 'mean_0' announces .* GB, and the file has"
    ):
        read_encodings(path)


def test_row_groups_are_read_few_at_a_time(tmp_path, monkeypatch):
    """A reader keeps the bytes of all its groups, and the memory would grow with the file."""
    n = 100_000
    columns = {"mean_0": np.linspace(-1, 1, n), "logvar_0": np.linspace(-2, 0, n)}
    parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet", row_group_size=5000)
    asked = []
    plain = parquet.ParquetFile.iter_batches

    def counted(file, rows, groups, *arguments, **options):
        asked.append(groups)
        return plain(file, rows, groups, *arguments, **options)

    encodings = read_encodings(tmp_path / "a.parquet")
    monkeypatch.setattr(parquet.ParquetFile, "iter_batches", counted)
    mean = np.concatenate([mean for mean, _ in encodings.batches(7000)])
    assert mean.tolist() == columns["mean_0"][:, None].tolist()
    assert {len(groups) for groups in asked} == {4}
    assert sorted(group for groups in asked for group in groups) == sorted([*range(20)] * 2)


@pytest.mark.parametrize("kind", ["parquet", "feather"])
def test_parts_of_hive_have_columns_and_types_of_the_first(tmp_path, kind):
    """A file with other types is read in those of the first one, and one without a column has no values."""
    from pyarrow import feather

    write = parquet.write_table if kind == "parquet" else feather.write_feather
    for folder, dtype in (("donor=a", "f8"), ("donor=b", "f4")):
        (tmp_path / folder).mkdir()
        columns = {"mean_0": np.arange(3, dtype=dtype), "logvar_0": np.zeros(3, dtype)}
        columns |= {"day": np.arange(3.0)} if dtype == "f8" else {}
        write(pyarrow.table(columns), str(tmp_path / folder / f"part.{kind}"))
    encodings = read_encodings(tmp_path, labels="donor", factors="day")
    assert encodings.labels.tolist() == ["a"] * 3 + ["b"] * 3
    assert encodings.mean.dtype == np.float64
    assert encodings.mean[:, 0].tolist() == [0, 1, 2, 0, 1, 2]
    assert encodings.factors.values[:, 0][:3].tolist() == [0, 1, 2]
    assert np.isnan(encodings.factors.values[3:, 0]).all()


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
@pytest.mark.parametrize("suffix", ["feather", "arrows"])
def test_a_buffer_that_announces_ten_gigabytes_is_refused(tmp_path, suffix, compression):
    n, path = 1000, tmp_path / f"a.{suffix}"
    table = pyarrow.table({"mean_0": np.zeros(n), "word": pyarrow.array(["a"] * n)})
    table = table.set_column(1, "word", table["word"].dictionary_encode())
    write = pyarrow.ipc.new_file if suffix == "feather" else pyarrow.ipc.new_stream
    options = pyarrow.ipc.IpcWriteOptions(compression=compression)
    with write(str(path), table.schema, options=options) as file:
        file.write_table(table)
    assert read_encodings(path, labels="word").n == n
    raw, size = path.read_bytes(), (8 * n).to_bytes(8, "little")
    assert raw.count(size) == 1
    path.write_bytes(raw.replace(size, (10**10).to_bytes(8, "little")))
    with pytest.raises(ValueError, match=r"a\.\w+: 'a batch' announces 10 GB, and the file has"):
        read_encodings(path)


def test_a_batch_that_inflates_to_far_more_than_the_file_is_refused(tmp_path, monkeypatch):
    from pyarrow import feather

    monkeypatch.setattr(_stored, "WHOLE", 1 << 16)
    table = pyarrow.table({"mean_0": np.zeros(100_000)})
    feather.write_feather(table, str(tmp_path / "a.feather"), "zstd", chunksize=100_000)
    with pytest.raises(ValueError, match="'a batch' announces"):
        read_encodings(tmp_path / "a.feather")


def varint(number):
    """The bytes of a zigzag integer of thrift's compact protocol."""
    number, out = number << 1 ^ number >> 63, bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def test_a_forged_footer_is_refused_before_anything_is_inflated(tmp_path):
    path = tmp_path / "a.parquet"
    column = np.random.default_rng(0).normal(size=1000)
    parquet.write_table(pyarrow.table({"mean_0": column}), path, use_dictionary=False)
    size = parquet.ParquetFile(path).metadata.row_group(0).column(0).total_uncompressed_size
    content = path.read_bytes()
    length = int.from_bytes(content[-8:-4], "little")
    footer = content[-8 - length : -8]
    assert varint(size) in footer
    forged = footer.replace(varint(size), varint(10_000_000_000))
    path.write_bytes(
        content[: -8 - length] + forged + len(forged).to_bytes(4, "little") + content[-4:]
    )
    announced = parquet.ParquetFile(path).metadata.row_group(0).column(0).total_uncompressed_size
    assert announced == 10_000_000_000
    with pytest.raises(ValueError, match=r"a\.parquet: 'mean_0' announces 10 GB"):
        read_encodings(path)


@pytest.mark.parametrize("number", [-22, 3, 60])
def test_announced_rows_that_are_not_there_are_damage(tmp_path, number):
    path = tmp_path / "a.parquet"
    table = {"mean_0": np.arange(12.0), "logvar_0": -np.arange(12.0)}
    parquet.write_table(pyarrow.table(table), path)
    raw = path.read_bytes()
    footer = len(raw) - 8 - int.from_bytes(raw[-8:-4], "little")
    at = 1 + raw.index(b"\x16" + varint(12), footer)  # the rows of the whole table
    path.write_bytes(raw[:at] + varint(number) + raw[at + 1 :])
    with pytest.raises(
        ValueError, match=f"a.parquet: the file is damaged: it announces {number} "
    ):
        list(read_encodings(path).batches())


def test_a_folder_that_the_datasets_library_saved(tmp_path):
    """Arrow streams in shards, with two files of JSON beside them."""
    mean = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    for k in range(2):
        rows = slice(30 * k, 30 * (k + 1))
        lists = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(mean[rows].ravel()), 3)
        wide = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(0 * mean[rows].ravel() - 1), 3)
        table = pyarrow.table({"mean": lists, "logvar": wide, "label": list("abc" * 10)})
        path = str(tmp_path / f"data-0000{k}-of-00002.arrow")
        with pyarrow.OSFile(path, "wb") as file, pyarrow.ipc.new_stream(file, table.schema) as to:
            to.write_table(table)
    (tmp_path / "dataset_info.json").write_text("{}")
    (tmp_path / "state.json").write_text('{"_data_files": []}')
    encodings = read_encodings(tmp_path, labels="label")
    np.testing.assert_array_equal(np.asarray(encodings.mean), mean)
    assert encodings.labels.tolist() == list("abc" * 20)


def test_a_file_that_was_cut_short_is_named_in_our_words(tmp_path):
    for i in range(2):
        columns = {f"{name}_{h}": np.ones(50) for name in ("mean", "var") for h in range(2)}
        parquet.write_table(pyarrow.table(columns), tmp_path / f"part-{i}.parquet")
    cut = tmp_path / "part-1.parquet"
    cut.write_bytes(cut.read_bytes()[:-100])
    for path in (cut, tmp_path, tmp_path / "*.parquet"):
        with pytest.raises(ValueError, match="cut short") as caught:
            read_encodings(path)
        reason = "Parquet magic bytes not found in footer"
        assert str(caught.value) == f"{cut}: the file is damaged or was cut short ({reason})"


def test_a_file_of_a_folder_that_lacks_a_column_is_named(tmp_path):
    for i, d in enumerate((3, 3, 2)):
        columns = {
            f"{name}_{h}": np.full(50, 1.0 + i) for name in ("mean", "var") for h in range(d)
        }
        parquet.write_table(pyarrow.table(columns), tmp_path / f"part-{i}.parquet")
    words = r"part-2\.parquet has no column 'mean_2', which the first file has"
    with pytest.raises(ValueError, match=words):
        list(read_encodings(tmp_path).batches(10))
