"""Folders, patterns and manifests are read as one data set."""

import hashlib

import numpy as np
import pytest

from disentangle_indicators import Encodings, Summary
from disentangle_indicators.encodings import read_column, read_encodings
from disentangle_indicators.encodings._many import files_of

SIZES = (7, 4, 12)


@pytest.fixture
def parts(tmp_path, pair):
    """Write the pair in three files, of which the third has the number 10, and return the folder."""
    folder = tmp_path / "parts"
    folder.mkdir()
    start = 0
    for number, size in zip((1, 2, 10), SIZES, strict=True):
        rows = slice(start, start + size)
        factors = np.stack([np.arange(23), np.arange(23) % 3], axis=1)[rows]
        np.savez(
            folder / f"part-{number}.npz", mean=pair[0][rows], var=pair[1][rows], factors=factors
        )
        start += size
    return folder


@pytest.mark.parametrize("rows", [None, 1, 5, 7, 100])
@pytest.mark.parametrize("how", ["folder", "pattern", "manifest"])
def test_parts_are_one_data_set(parts, pair, how, rows):
    listed = [f"part-{number}.npz" for number in (1, 2, 10)]
    (parts.parent / "list.txt").write_text("".join(f"parts/{name}\n" for name in listed))
    path = {"folder": parts, "pattern": parts / "*.npz", "manifest": parts.parent / "list.txt"}
    encodings = read_encodings(path[how])
    blocks = list(encodings.batches(rows))
    np.testing.assert_array_equal(np.concatenate([block[0] for block in blocks]), pair[0])
    np.testing.assert_array_equal(np.concatenate([block[1] for block in blocks]), pair[1])
    np.testing.assert_array_equal(encodings.factors.values[:, 0], np.arange(23))
    note = "3 files are read one after the other, from part-1.npz to part-10.npz"
    assert note in encodings.notes
    files = [str(parts / name) for name in listed]
    assert [i.name for i in encodings.inputs if i.name in files] == files
    np.testing.assert_array_equal(read_column(path[how], "factors")[:, 0], np.arange(23))


def test_a_manifest_gives_rows_and_hashes(parts):
    lines = ["# the parts"]
    for number, size in zip((1, 2, 10), SIZES, strict=True):
        file = parts / f"part-{number}.npz"
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        lines.append(f"{file.name} {size} sha256:{digest}")
    manifest = parts / "list.txt"
    manifest.write_text("\n".join(lines))
    assert read_encodings(manifest).n == 23

    manifest.write_text("\n".join(lines).replace(" 12 ", " 13 "))
    with pytest.raises(ValueError, match=r"list\.txt: it announces 24 rows, not 23"):
        read_encodings(manifest)

    (parts / "part-2.npz").write_bytes((parts / "part-1.npz").read_bytes())
    manifest.write_text("\n".join(lines))
    with pytest.raises(ValueError, match=r"list\.txt, line 3: .*part-2\.npz has changed"):
        read_encodings(manifest)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("part-3.npz", "line 2: there is no file"),
        (
            "part-2.npz 4 five",
            "line 2: there is no file .*; a line is PATH, its rows and its sha256",
        ),
    ],
)
def test_a_manifest_with_a_mistake(parts, line, words):
    (parts / "list.txt").write_text(f"part-1.npz\n{line}\n")
    with pytest.raises(ValueError, match=words):
        read_encodings(parts / "list.txt")


def test_names_of_a_manifest_may_have_spaces(parts):
    (parts / "part-2.npz").rename(parts / "part 2 of 3.npz")
    (parts / "list.txt").write_text("part-1.npz 7\npart 2 of 3.npz  4\n  part-10.npz 12\n")
    assert read_encodings(parts / "list.txt").n == 23


def test_parts_that_do_not_fit(parts, pair):
    np.savez(parts / "part-3.npz", mean=pair[0], std=pair[1])
    with pytest.raises(ValueError, match="files of one data set have the same arrays"):
        read_encodings(parts)
    np.savez(parts / "part-3.npz", mean=np.ones((2, 4)), var=np.ones((2, 4)), factors=np.eye(2))
    words = r"part-3\.npz has 4 columns of 'mean', and .*part-1\.npz has 3 columns"
    with pytest.raises(ValueError, match=words):
        read_encodings(parts)


def test_arrays_that_do_not_fit_are_named_by_their_files(tmp_path):
    for i, d in enumerate((3, 3, 2)):
        np.save(tmp_path / f"mean_{i}.npy", np.ones((4, d)))
        np.save(tmp_path / f"var_{i}.npy", np.ones((4, d)))
    with pytest.raises(
        ValueError, match=r"mean_2\.npy has 2 columns of 'mean', and .*mean_0\.npy"
    ):
        read_encodings(tmp_path)
    for i, d in enumerate((3, 3, 2)):
        np.save(tmp_path / f"mean_{i}.npy", np.ones(d))
        np.save(tmp_path / f"var_{i}.npy", np.ones(d))
    with pytest.raises(
        ValueError, match=r"mean_2\.npy has 2 columns of 'mean', and .*mean_0\.npy"
    ):
        read_encodings(tmp_path)


def test_a_pattern_that_matches_nothing(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file that matches"):
        read_encodings(tmp_path / "*.npz")


def test_a_folder_without_encodings_and_one_of_several_kinds(tmp_path, parts):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "README").touch()
    with pytest.raises(ValueError, match="no file of encodings in this folder"):
        read_encodings(tmp_path / "empty")
    (parts / "means.csv").write_text("mean_0\n1\n")
    with pytest.raises(ValueError, match=r"several kinds; give one .*means\.csv or .*part-1\.npz"):
        read_encodings(parts)


def test_hidden_files_of_a_folder_are_left_out(parts):
    (parts / "_SUCCESS").touch()
    (parts / ".part-1.npz.crc").touch()
    assert read_encodings(parts).n == 23


def test_a_folder_of_npy_files_is_a_file_with_these_keys(tmp_path, pair):
    np.save(tmp_path / "mu.npy", pair[0])
    np.save(tmp_path / "var.npy", pair[1])
    np.save(tmp_path / "labels.npy", np.arange(23) % 2)
    encodings = read_encodings(tmp_path)
    np.testing.assert_array_equal(encodings.var, pair[1])
    assert encodings.labels.tolist() == (np.arange(23) % 2).tolist()


def test_numbered_npy_files_are_samples_or_parts(tmp_path, pair):
    for i in range(23):
        np.save(tmp_path / f"mean_{i}.npy", pair[0][i])
        np.save(tmp_path / f"var_{i}.npy", pair[1][i])
    encodings = read_encodings(tmp_path)
    np.testing.assert_array_equal(encodings.mean, pair[0])
    np.testing.assert_array_equal(encodings.var, pair[1])
    assert "23 files of 'mean' are stacked, one row each" in encodings.notes
    for file in tmp_path.iterdir():
        file.unlink()
    for i, rows in enumerate((slice(9), slice(9, 23))):
        np.save(tmp_path / f"mean_{i}.npy", pair[0][rows])
        np.save(tmp_path / f"var_{i}.npy", pair[1][rows])
    names = [f"{tmp_path}/{name}_{i}.npy\n" for name in ("mean", "var") for i in range(2)]
    listed = tmp_path.parent / "list.txt"
    listed.write_text("".join(names))
    for path in (tmp_path, tmp_path / "*.npy", tmp_path / "*_[01].npy", listed):
        np.testing.assert_array_equal(read_encodings(path).mean, pair[0])
        np.testing.assert_array_equal(read_encodings(path).var, pair[1])
        assert files_of(path) == [path]


def test_a_folder_for_each_part_is_read_by_a_pattern_too(tmp_path, pair):
    for i, rows in enumerate((slice(9), slice(9, 23))):
        (tmp_path / f"part-{i}").mkdir()
        np.save(tmp_path / f"part-{i}" / "mean.npy", pair[0][rows])
        np.save(tmp_path / f"part-{i}" / "var.npy", pair[1][rows])
    (tmp_path / "list.txt").write_text("part-0\npart-1\n")
    for path in (tmp_path / "part-*", tmp_path / "list.txt"):
        encodings = read_encodings(path)
        np.testing.assert_array_equal(encodings.mean, pair[0])
        np.testing.assert_array_equal(encodings.var, pair[1])
        assert files_of(path) == [tmp_path / "part-0", tmp_path / "part-1"]


def test_a_folder_of_stores_of_zarr_is_read(tmp_path, pair):
    zarr = pytest.importorskip("zarr", reason="zarr is not installed: its stores are NOT tested")
    for i, rows in enumerate((slice(9), slice(9, 23))):
        group = zarr.open_group(tmp_path / f"part-{i}.zarr", mode="w")
        for name, array in zip(("mean", "var"), pair, strict=True):
            group.create_array(name, data=array[rows])
    for path in (tmp_path, tmp_path / "*.zarr"):
        np.testing.assert_array_equal(read_encodings(path).mean, pair[0])


def test_a_file_that_is_given_twice_is_refused(parts):
    line = "part-1.npz\npart-2.npz\n./part-1.npz\n"
    (parts / "list.txt").write_text(line)
    with pytest.raises(ValueError, match=r"part-1\.npz is given twice, .* leave one out"):
        read_encodings(parts / "list.txt")
    (parts / "part-3.npz").symlink_to(parts / "part-1.npz")
    with pytest.raises(ValueError, match="is given twice"):
        read_encodings(parts / "*.npz")


def test_a_copy_of_a_file_is_refused(parts):
    (parts / "part-3.npz").write_bytes((parts / "part-1.npz").read_bytes())
    (parts / "list.txt").write_text("part-2.npz\npart-1.npz\npart-3.npz\n")
    for path in (parts / "*.npz", parts / "list.txt"):
        with pytest.raises(ValueError, match=r"part-3\.npz has the same bytes as .*part-1\.npz"):
            read_encodings(path)


def test_a_copy_in_a_folder_of_tables_is_refused_and_files_without_rows_are_not(tmp_path, pair):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = {
        f"{k}_{h}": x[:, h] for k, x in zip(("mean", "var"), pair, strict=True) for h in (0, 1)
    }
    table = pyarrow.table(columns)
    for i, rows in enumerate((table, table[:0], table[:0])):
        parquet.write_table(rows, tmp_path / f"part-{i}.parquet")
    for path in (tmp_path, tmp_path / "*.parquet"):
        assert read_encodings(path).n == 23
    parquet.write_table(table, tmp_path / "part-3.parquet")
    for path in (tmp_path, tmp_path / "*.parquet"):
        with pytest.raises(ValueError, match=r"part-3\.parquet has the same bytes as .*part-0"):
            read_encodings(path)


def test_files_of_images_may_be_equal(tmp_path):
    arrays = {"latents": np.ones((4, 8, 8)), "original_size": np.ones(2), "crop_ltrb": np.ones(4)}
    for i in range(2):
        np.savez(tmp_path / f"img{i}.npz", **arrays)
    assert read_encodings(tmp_path, mean_key="latents", layout="channels").n == 2 * 64


def test_files_that_differ_are_refused_by_what_one_lacks(parts):
    with np.load(parts / "part-2.npz") as part:
        np.savez(parts / "part-2.npz", extra=np.ones(4), **part)
    message = r"part-2\.npz has 'extra', and .*part-1\.npz has not"
    with pytest.raises(ValueError, match=message):
        read_encodings(parts)


def test_sums_are_no_rows_in_a_pattern_either(tmp_path, pair):
    for k in range(2):
        Summary.of(Encodings.of(*pair), name=f"{k}").save(tmp_path / f"{k}.npz")
    for path in (tmp_path, tmp_path / "*.npz", tmp_path / "0.npz"):
        with pytest.raises(ValueError, match=r"0\.npz holds sums over rows, not rows"):
            read_encodings(path)


def test_one_packed_array_an_image_in_folders(tmp_path):
    """The layout of EDM2: a folder of folders of numbered files, and a list of labels."""
    rng = np.random.default_rng(0)
    mean, std = rng.normal(size=(12, 2, 4, 4)), rng.uniform(0.1, 1, (12, 2, 4, 4))
    for i in range(12):
        folder = tmp_path / f"{i // 8:05d}"
        folder.mkdir(exist_ok=True)
        np.save(folder / f"img-mean-std-{i:08d}.npy", np.concatenate([mean[i], std[i]]))
    (tmp_path / "dataset.json").write_text("{}")
    encodings = read_encodings(tmp_path, packed="mean,std", layout="channels")
    assert (encodings.n, encodings.d) == (12 * 16, 2)
    np.testing.assert_array_equal(encodings.mean, np.moveaxis(mean, 1, -1).reshape(-1, 2))
    np.testing.assert_allclose(
        encodings.var, np.moveaxis(std**2, 1, -1).reshape(-1, 2), rtol=1e-15
    )


def test_partitions_of_hive_are_columns(tmp_path, pair):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    flat = pyarrow.array(pair[0].ravel())
    table = pyarrow.table(
        {
            "mean": pyarrow.FixedSizeListArray.from_arrays(flat, 3),
            "species": [["cat", "owl"][i % 2] for i in range(23)],
        }
    )
    parquet.write_to_dataset(table, tmp_path / "hive", partition_cols=["species"])
    encodings = read_encodings(tmp_path / "hive", labels="species")
    order = np.argsort(np.arange(23) % 2, kind="stable")
    np.testing.assert_array_equal(encodings.mean, pair[0][order])
    assert encodings.labels.tolist() == [["cat", "owl"][i % 2] for i in order]


def test_samples_in_folders_of_an_archive(tmp_path):
    import io
    import zipfile

    rng = np.random.default_rng(0)
    packed = rng.uniform(0.1, 1, size=(12, 4, 4, 4))

    def archive(samples):
        with zipfile.ZipFile(tmp_path / "set.zip", "w") as target:
            for i, sample in enumerate(samples):
                stream = io.BytesIO()
                np.save(stream, sample)
                target.writestr(f"{i // 8:05d}/img-mean-std-{i:08d}.npy", stream.getvalue())
        return tmp_path / "set.zip"

    encodings = read_encodings(archive(packed), packed="mean,std", layout="channels")
    np.testing.assert_array_equal(encodings.mean, np.moveaxis(packed[:, :2], 1, -1).reshape(-1, 2))
    assert "12 arrays of set.zip are stacked, one row each" in encodings.notes
    broken = archive([*packed, packed[0, :2]])
    with pytest.raises(ValueError, match=r"set\.zip: .*00000012\.npy has the shape \(2, 4, 4\)"):
        read_encodings(broken, packed="mean,std", layout="channels").summary()


def test_batches_in_a_list(tmp_path, pair):
    torch = pytest.importorskip("torch")
    rows = (slice(9), slice(9, 23))
    batches = [{"mu": torch.tensor(pair[0][r]), "var": torch.tensor(pair[1][r])} for r in rows]
    torch.save(batches, tmp_path / "a.pt")
    encodings = read_encodings(tmp_path / "a.pt")
    np.testing.assert_array_equal(encodings.mean, pair[0])
    np.testing.assert_array_equal(np.concatenate([b[1] for b in encodings.batches(5)]), pair[1])
    assert "2 batches of a.pt are read one after the other" in encodings.notes


@pytest.mark.parametrize("names", [("latents", "latents_8x8"), ("latents_8x8", "latents_8x8")])
def test_caches_of_one_image_each_are_stacked(tmp_path, names):
    """As sd-scripts stores them: the newer keys end with the size of the latents."""
    latents = np.random.default_rng(0).normal(size=(4, 4, 8, 8))
    for i, sample in enumerate(latents):
        name = names[i % 2]
        beside = {"original_size": np.array([64, 64]), "crop_ltrb": np.array([0, 0, 64, 64])}
        if names[0] == names[1]:
            beside = {f"{key}_8x8": values for key, values in beside.items()}
        np.savez(tmp_path / f"img{i}_0064x0064_sd.npz", **{name: sample}, **beside)
    with pytest.raises(ValueError, match="without an axis of rows"):
        read_encodings(
            tmp_path / "img1_0064x0064_sd.npz", mean_key="latents_8x8", layout="channels"
        )
    encodings = read_encodings(tmp_path, mean_key="latents", layout="channels")
    np.testing.assert_array_equal(encodings.mean, np.moveaxis(latents, 1, -1).reshape(-1, 4))
    assert "4 files are stacked, one row each, from" in " ".join(encodings.notes)
    assert "samples of the posteriors, not their means" in " ".join(encodings.notes)


def test_caches_of_several_sizes_are_not_stacked(tmp_path):
    beside = {"original_size_8x8": np.array([64, 64]), "original_size_4x4": np.array([32, 32])}
    for i in range(2):
        arrays = {"latents_8x8": np.ones((4, 8, 8)), "latents_4x4": np.ones((3, 4, 4))}
        np.savez(tmp_path / f"img{i}.npz", **arrays, **beside)
    encodings = read_encodings(tmp_path, mean_key="latents_4x4", layout="channels")
    assert (encodings.n, encodings.d) == (2 * 16, 3)
