"""Images in files of numpy: the archive of dSprites, .npy and .npz."""

import os
import pickle
import zipfile

import numpy as np
import pytest

from dindic_models.data import open_data, to_unit
from dindic_models.data._data import OnDisk

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (6, 8, 9), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (6, 3, 8, 9), dtype=np.uint8)
BITS = RNG.integers(0, 2, (5, 6, 7), np.uint8)


def all_of(data):
    return data.images[np.arange(len(data))]


def saved(tmp_path, values, **options):
    np.save(tmp_path / "images.npy", values, **options)
    return tmp_path / "images.npy"


@pytest.mark.parametrize("folder", [False, True])
def test_dsprites(tmp_path, write, folder):
    path = write["dsprites"](tmp_path)
    data = open_data(tmp_path if folder else path)
    assert data.name == "dsprites"
    assert data.source == f"dSprites, 12 images of 1x64x64, from {path}"
    assert (data.images.shape, data.images.dtype) == ((12, 1, 64, 64), np.uint8)
    with np.load(path) as file:
        np.testing.assert_array_equal(to_unit(all_of(data))[:, 0], file["imgs"])
        np.testing.assert_array_equal(data.factors, file["latents_classes"][:, 1:])
    assert data.factor_names == ("shape", "scale", "orientation", "position_x", "position_y")
    assert data.factor_names == open_data(dataset="sprites").factor_names
    assert data.images[np.array([7, 7])].shape == (2, 1, 64, 64)


def test_dsprites_reads_images_only_when_asked_and_never_the_metadata(
    tmp_path, write, monkeypatch
):
    def refuse(*args, **options):
        raise AssertionError("something was unpickled")

    path = write["dsprites"](tmp_path, imgs=BITS + 3, latents_classes=np.zeros((5, 6), int))
    monkeypatch.setattr(pickle, "load", refuse)
    data = open_data(path)
    assert data.images.shape == (5, 1, 6, 7)
    with pytest.raises(ValueError, match=r"npz: imgs must be 0 or 1; one is 4"):
        all_of(data)


def test_dsprites_of_a_width_that_is_no_number_of_bytes(tmp_path, write):
    path = write["dsprites"](tmp_path, imgs=BITS, latents_classes=np.zeros((5, 6), int))
    np.testing.assert_array_equal(all_of(open_data(path))[:, 0], BITS * 255)
    assert all_of(open_data(path, size=(3, 4))).shape == (5, 1, 3, 4)


def test_dsprites_fingerprint_is_of_the_contents(tmp_path, write):
    first, again = (open_data(write["dsprites"](tmp_path / name)).fingerprint for name in "ab")
    assert first == again
    other = write["dsprites"](tmp_path / "c", imgs=np.zeros((12, 64, 64), np.uint8))
    assert open_data(other).fingerprint != first


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"latents_classes": np.zeros((11, 6), int)}, r"must be integers \(12, 6\).*\(11, 6\)"),
        ({"latents_classes": np.zeros((12, 5), int)}, r"must be integers \(12, 6\).*\(12, 5\)"),
        ({"latents_classes": np.zeros((12, 6))}, "they are float64"),
        ({"imgs": np.zeros((12, 64, 64))}, "imgs must be uint8"),
        ({"imgs": np.zeros((12, 64), np.uint8)}, r"imgs must be uint8 \(n, H, W\)"),
        ({"imgs": np.array([None] * 12)}, "imgs must be uint8"),
    ],
)
def test_dsprites_that_does_not_fit_together(tmp_path, write, changes, said):
    path = write["dsprites"](tmp_path, **changes)
    with pytest.raises(ValueError, match=said) as caught:
        open_data(path)
    assert str(caught.value).startswith(str(path))


def test_dsprites_damaged(tmp_path, write):
    path = write["dsprites"](tmp_path)
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        inside = archive.getinfo("imgs.npy").header_offset + 500
    path.write_bytes(whole[:inside] + bytes([whole[inside] ^ 255]) + whole[inside + 1 :])
    with pytest.raises(ValueError, match="the file is damaged"):
        all_of(open_data(path))
    for place in (tmp_path, path):
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(ValueError, match="the file is damaged"):
            open_data(place)
    path.write_bytes(whole.replace(b"PK\x01\x02", b"PK\x01\x03"))
    with pytest.raises(ValueError, match="the file is damaged"):
        open_data(path)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"no archive of dSprites.*https://"):
        open_data(tmp_path, dataset="dsprites")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (GREY, GREY[:, None]),
        (COLOUR, COLOUR),
        (COLOUR.transpose(0, 2, 3, 1), COLOUR),
        (np.asfortranarray(COLOUR), COLOUR),
        (COLOUR[:, :1], COLOUR[:, :1]),
        (GREY[..., None], GREY[:, None]),
    ],
)
def test_axes_of_an_array(tmp_path, values, expected):
    path = saved(tmp_path, values)
    data = open_data(path)
    assert data.name == "array"
    assert data.images.shape == expected.shape
    np.testing.assert_array_equal(all_of(data), expected)
    np.testing.assert_array_equal(data.images[np.array([4, 0])], expected[[4, 0]])
    size = "x".join(map(str, expected.shape[1:]))
    words = f"an array {values.shape} of uint8, 6 images of {size}"
    assert data.source == f"{words}, from {path}"


def test_a_npy_file_is_mapped_not_read(tmp_path):
    images = open_data(saved(tmp_path, GREY)).images
    assert isinstance(images, OnDisk)
    assert type(images[np.array([0])]) is np.ndarray


@pytest.mark.parametrize("dtype", [np.uint8, np.float16])
def test_a_npy_file_that_is_cut_short_is_an_error_and_no_signal(tmp_path, dtype):
    path = saved(tmp_path, GREY if dtype == np.uint8 else (GREY / 255).astype(dtype))
    images = open_data(path).images
    os.truncate(path, 128)
    with pytest.raises(ValueError, match=r"images\.npy: the file was cut short"):
        images[np.array([5])]


@pytest.mark.parametrize("shape", [(6, 3, 8, 3), (6, 8, 9, 10), (28, 28, 3), (6, 3, 9), (5, 6)])
def test_axes_that_are_not_clear_are_asked_for(tmp_path, shape):
    path = saved(tmp_path, np.full(shape, 9, np.uint8))
    with pytest.raises(ValueError, match="is which is not clear") as caught:
        open_data(path)
    assert str(shape) in str(caught.value)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
def test_floats_become_float32(tmp_path, dtype):
    values = (GREY / 255).astype(dtype)
    data = open_data(saved(tmp_path, values))
    assert data.images.dtype == np.float32
    assert all_of(data).dtype == np.float32
    np.testing.assert_array_equal(all_of(data), values[:, None].astype(np.float32))
    assert len(data) == 6
    with pytest.raises(ValueError, match="only images of uint8 are resized"):
        open_data(tmp_path / "images.npy", size=4)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (GREY.astype(float), "must lie in \\[0, 1\\]"),
        (GREY / 127.5 - 1, "must lie in \\[0, 1\\]"),
        (np.full((2, 8, 8), np.nan), "one value is nan"),
        (GREY.astype(int), "must be uint8 or floats; these are int64"),
        (GREY > 9, "these are bool"),
        (BITS, "times 255"),
        (np.zeros((0, 8, 8), np.uint8), "is empty"),
        (np.zeros((3, 0, 8), np.uint8), "is empty"),
        (np.array("text"), "not clear"),
    ],
)
def test_other_values_are_refused(tmp_path, values, said):
    with pytest.raises(ValueError, match=said):
        open_data(saved(tmp_path, values))


def test_black_images_are_allowed(tmp_path):
    assert len(open_data(saved(tmp_path, np.zeros((3, 8, 8), np.uint8)))) == 3


@pytest.mark.parametrize("end", [".npy", ".npz"])
def test_pickled_arrays_are_never_loaded(tmp_path, end):
    path = tmp_path / f"images{end}"
    objects = np.array([[[None] * 9] * 9] * 3, dtype=object)
    (np.save if end == ".npy" else np.savez)(path, objects)
    with pytest.raises(ValueError, match=r"images.np[yz]: .*[Oo]bject"):
        open_data(path)


@pytest.mark.parametrize("end", [".npy", ".npz"])
def test_a_pickle_under_another_name_is_never_loaded(tmp_path, end):
    path = tmp_path / f"images{end}"
    path.write_bytes(pickle.dumps(GREY))
    with pytest.raises(ValueError, match="images.np"):
        open_data(path)


@pytest.mark.parametrize("end", [".npy", ".npz"])
def test_damaged_arrays_are_named(tmp_path, end):
    path = tmp_path / f"images{end}"
    (np.save if end == ".npy" else np.savez)(path, GREY)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match="images.np") as caught:
        open_data(path)
    assert str(caught.value).startswith(str(path))


def test_archive_with_one_array_of_images(tmp_path):
    path = tmp_path / "images.npz"
    columns = {"labels": np.arange(6), "factors": np.eye(6, 2, dtype=int)}
    np.savez(path, pictures=GREY, scores=np.zeros((6, 4)), **columns)
    data = open_data(path)
    np.testing.assert_array_equal(all_of(data), GREY[:, None])
    np.testing.assert_array_equal(data.labels, np.arange(6))
    assert data.factors.shape == (6, 2)
    assert data.factor_names == ("0", "1")
    np.savez(path, pictures=GREY, **columns, factor_names=["left", "up"])
    assert open_data(path).factor_names == ("left", "up")


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"a": GREY, "b": COLOUR}, "not one array .*'a' .6, 8, 9. uint8, 'b'"),
        ({"a": GREY[0]}, "not one array with more than two axes; its arrays: 'a'"),
        ({}, "its arrays: none"),
        ({"a": GREY, "labels": np.arange(5)}, r"labels must be \(6,\)"),
        ({"a": GREY, "factors": np.zeros((6, 2))}, r"factors must be integers \(6, k\)"),
        ({"a": GREY, "factors": np.zeros(6, int)}, r"factors must be integers \(6, k\)"),
        (
            {"a": GREY, "factors": np.zeros((6, 2), int), "factor_names": ["x"]},
            r"factor_names must be \(2,\)",
        ),
    ],
)
def test_archive_that_is_not_clear(tmp_path, columns, said):
    np.savez(tmp_path / "images.npz", **columns)
    with pytest.raises(ValueError, match=said):
        open_data(tmp_path / "images.npz")
