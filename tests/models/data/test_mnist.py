"""MNIST: IDX files, packed or not, whole or damaged; and OpenML."""

import gzip
import os
import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest
import sklearn.datasets

from dindic_models.data import open_data, rows
from dindic_models.data.mnist import read_idx

SHARED = Path(os.environ.get("DINDIC_DATA", "")) / "mnist"


@pytest.mark.parametrize("dot", ["-", "."])
@pytest.mark.parametrize("end", ["", ".gz"])
@pytest.mark.parametrize("below", ["", "raw", "MNIST/raw"])
def test_training_images_come_first(tmp_path, write, dot, end, below):
    write["mnist"](tmp_path / below, dot=dot, end=end)
    data = open_data(tmp_path)
    assert data.name == "mnist"
    assert (data.images.shape, data.images.dtype) == ((10, 1, 28, 28), np.uint8)
    np.testing.assert_array_equal(data.images[:, 0, 3, 5], np.arange(10))
    np.testing.assert_array_equal(data.labels, np.arange(10))
    assert rows(data, "train", split="official").tolist() == [0, 1, 2, 3, 4, 5]
    assert rows(data, "test", split="official").tolist() == [6, 7, 8, 9]
    assert [len(rows(data, part)) for part in ("train", "validation", "test")] == [6, 2, 2]
    place = tmp_path / below
    assert data.source == f"MNIST, 10 images of 1x28x28, IDX files, from {place}"


@pytest.mark.parametrize(("prefix", "part"), [("train", "train"), ("t10k", "test")])
def test_one_pair_is_enough(tmp_path, write, prefix, part):
    data = open_data(write["mnist"](tmp_path, parts=((prefix, 5),)))
    assert list(data.official) == [part]
    np.testing.assert_array_equal(data.official[part], np.arange(5))


def test_fingerprint_is_of_the_pixels_not_of_the_packing(tmp_path, write):
    packed, plain = (
        open_data(write["mnist"](tmp_path / (end or "plain"), end=end)) for end in ("", ".gz")
    )
    assert packed.fingerprint == plain.fingerprint
    assert plain.fingerprint.startswith("sha256:")
    other = open_data(write["mnist"](tmp_path / "other", parts=(("train", 6),)))
    assert other.fingerprint != plain.fingerprint


def test_resized_for_models_that_take_more_pixels(tmp_path, write):
    data = open_data(write["mnist"](tmp_path), size=32)
    assert data.images[np.array([7])].shape == (1, 1, 32, 32)
    assert (data.images[np.array([7])] == 7).all()
    assert data.fingerprint == open_data(tmp_path).fingerprint


def damage(folder, name, change):
    path = folder / name
    path.write_bytes(change(path.read_bytes()))
    return str(path)


@pytest.mark.parametrize(
    ("end", "change", "said"),
    [
        (".gz", lambda b: b[: len(b) // 2], "damaged or cut short"),
        (".gz", lambda b: b"P" + b[1:], "damaged or cut short"),
        (".gz", lambda b: b[:20] + bytes([b[20] ^ 255]) + b[21:], "damaged or cut short"),
        (".gz", lambda b: b"", "it starts with , not 00000803"),
        ("", lambda b: b[:3], "it starts with 000008, not 00000803"),
        ("", lambda b: b"\0\0\x08\x01" + b[4:], "it starts with 00000801, not 00000803"),
        ("", lambda b: b"\0\0\x0d\x03" + b[4:], "it starts with 00000d03, not 00000803"),
        ("", lambda b: b[:-1], "4703 bytes where the header announces 4704"),
        ("", lambda b: b + b"\0", "more bytes than the 4704 that the header announces"),
    ],
)
def test_damaged_images_are_named(tmp_path, write, end, change, said):
    write["mnist"](tmp_path, end=end)
    path = damage(tmp_path, f"train-images-idx3-ubyte{end}", change)
    with pytest.raises(ValueError, match=said) as caught:
        open_data(tmp_path)
    assert str(caught.value).startswith(path)


def test_labels_must_be_as_many_as_images(tmp_path, write):
    write["mnist"](tmp_path)
    write["idx"](tmp_path / "t10k-labels-idx1-ubyte.gz", np.zeros(5, np.uint8))
    with pytest.raises(ValueError, match="t10k-labels.*: 5 labels for 4 images"):
        open_data(tmp_path)


def test_sizes_must_agree(tmp_path, write):
    write["mnist"](tmp_path)
    write["idx"](tmp_path / "t10k-images-idx3-ubyte.gz", np.zeros((4, 8, 8), np.uint8))
    with pytest.raises(ValueError, match="training and test images differ in size"):
        open_data(tmp_path)


@pytest.mark.parametrize(
    "name", ["train-labels-idx1", "train-images-idx3", "t10k-labels-idx1", "t10k-images-idx3"]
)
def test_a_pair_with_one_file_says_where_the_other_is_from(tmp_path, write, name):
    write["mnist"](tmp_path)
    (tmp_path / f"{name}-ubyte.gz").unlink()
    with pytest.raises(FileNotFoundError, match=f"{name}-ubyte is missing.*https://.*folder"):
        open_data(tmp_path)


def test_a_folder_without_them_says_where_they_are_from(tmp_path):
    with pytest.raises(FileNotFoundError, match="there are no files of MNIST.*https://"):
        open_data(tmp_path, dataset="mnist")


def test_fetched_from_openml(monkeypatch):
    asked = []

    def fetch(*args, **options):
        asked.append((args, options))
        shades = (np.arange(70_000) % 256).astype(np.uint8)
        pixels = np.broadcast_to(shades[:, None], (70_000, 784))
        target = np.array([str(i % 10) for i in range(70_000)], dtype=object)
        return SimpleNamespace(data=pixels, target=target)

    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fetch)
    data = open_data(dataset="mnist")
    assert asked == [(("mnist_784",), {"version": 1, "as_frame": False})]
    assert data.images.shape == (70_000, 1, 28, 28)
    assert data.source == "MNIST, 70000 images of 1x28x28, from OpenML"
    np.testing.assert_array_equal(data.official["test"], np.arange(60_000, 70_000))
    np.testing.assert_array_equal(data.labels, np.arange(70_000) % 10)
    np.testing.assert_array_equal(data.images[:, 0, 27, 27], np.arange(70_000) % 256)


def test_without_a_network_says_where_the_files_are_from(monkeypatch):
    def fetch(*args, **options):
        raise URLError("no network")

    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fetch)
    with pytest.raises(FileNotFoundError, match=r"OpenML did not.*no network.*https://.*folder"):
        open_data(dataset="mnist")


@pytest.mark.skipif(not SHARED.is_dir(), reason="set DINDIC_DATA: the real MNIST is NOT read")
def test_the_real_files():
    data = open_data(SHARED)
    assert data.images.shape == (70_000, 1, 28, 28)
    assert np.bincount(data.labels).tolist()[:3] == [6903, 7877, 6990]
    assert data.labels[60_000:60_005].tolist() == [7, 2, 1, 0, 4]
    with gzip.open(SHARED / "t10k-images-idx3-ubyte.gz") as stream:
        assert data.images[60_000:].tobytes() == stream.read()[16:]


def test_a_small_file_is_read_no_further_than_its_header_announces(tmp_path):
    path = tmp_path / "train-images-idx3-ubyte.gz"
    header = b"".join(number.to_bytes(4, "big") for number in (2051, 10, 28, 28))
    path.write_bytes(gzip.compress(header + bytes(64 << 20), 1))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="more bytes than the 7840"):
            read_idx(path, 3)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20


def test_sizes_beyond_those_of_the_file_are_refused_before_they_are_read(tmp_path):
    path = tmp_path / "train-images-idx3-ubyte.gz"
    header = b"".join(number.to_bytes(4, "big") for number in (2051, *[(1 << 32) - 1] * 3))
    path.write_bytes(gzip.compress(header))
    with pytest.raises(ValueError, match=r"announces 7\.92e\+19 GB, and the file has"):
        read_idx(path, 3)
