"""open_data: what is recognised, what is overridden, and what is said where nothing is there."""

import subprocess
import sys

import numpy as np
import pytest

from dindic_models.data import DATASETS, open_data, rows
from dindic_models.data._open import LAYOUTS, WITHOUT_PATH

WRITTEN = [name for name in DATASETS if name != "sprites"]


@pytest.fixture(params=WRITTEN)
def layout(request, tmp_path, write):
    """The name of a data set and a path where it lies."""
    return request.param, write[request.param](tmp_path / "data")


def test_every_layout_is_recognised_and_said(layout):
    name, path = layout
    data = open_data(path)
    assert data.name == name
    assert data.source.endswith(f"from {path}")
    assert f"{len(data)} images of {'x'.join(map(str, data.images.shape[1:]))}" in data.source
    assert open_data(str(path), dataset=name).fingerprint == data.fingerprint


def test_every_data_set_keeps_the_contract(layout):
    data = open_data(layout[1])
    n, channels, height, width = data.images.shape
    assert len(data) == len(data.images) == n
    assert channels in (1, 3)
    assert data.images.dtype in (np.uint8, np.float32)
    chosen = np.array([n - 1, 0, 0])
    batch = data.images[chosen]
    assert type(batch) is np.ndarray
    assert batch.shape == (3, channels, height, width)
    assert batch.dtype == data.images.dtype
    np.testing.assert_array_equal(batch[1], batch[2])
    np.testing.assert_array_equal(batch[0], data.images[np.array([-1])][0])
    with pytest.raises(IndexError):
        data.images[np.array([n])]
    for column in (data.labels, data.factors):
        assert column is None or len(column) == n
    width = 0 if data.factors is None else data.factors.shape[1]
    assert len(data.factor_names) == width
    parts = [data.official[part] for part in data.official]
    for part in ("train", "validation", "test"):
        parts.append(rows(data, part))
    assert all(part.dtype == np.int64 and part.size <= n for part in parts)
    assert data.fingerprint.startswith("sha256:")
    assert len(data.fingerprint) == 71
    assert sum(data.ratio) == pytest.approx(1)


def test_every_data_set_can_be_resized(layout):
    images = open_data(layout[1], size=(20, 12)).images
    assert images[np.arange(2)].shape[2:] == (20, 12) == images.shape[2:]
    assert open_data(layout[1], size=12).images.shape[2:] == (12, 12)


@pytest.mark.parametrize("name", [name for name in DATASETS if name not in WITHOUT_PATH])
def test_missing_data_say_where_to_get_them_and_where_to_put_them(name, tmp_path):
    for path in (None, tmp_path / "nothing"):
        with pytest.raises(FileNotFoundError, match=r"[Gg]ive|give that") as caught:
            open_data(path, dataset=name)
        assert LAYOUTS[name].where in str(caught.value)
        assert path is None or str(path) in str(caught.value)


@pytest.mark.parametrize("name", WRITTEN)
def test_a_folder_without_the_data_says_so_too(name, tmp_path):
    with pytest.raises((FileNotFoundError, ValueError)) as caught:
        open_data(tmp_path, dataset=name)
    assert LAYOUTS[name].where in str(caught.value)


def test_path_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing: there is no such file or folder"):
        open_data(tmp_path / "nothing")


def test_what_is_not_recognised_lists_what_was_looked_for(tmp_path, write):
    write["folder"](tmp_path, ("some/where/deep/1.png",))
    (tmp_path / "text.txt").write_text("")
    for path in (tmp_path, tmp_path / "text.txt"):
        with pytest.raises(ValueError, match="not a data set that is recognised") as caught:
            open_data(path)
        for name, layout in LAYOUTS.items():
            assert f"{layout.look} ({name})" in str(caught.value)
    assert len(open_data(tmp_path, dataset="folder")) == 1


def test_two_data_sets_in_one_folder_are_asked_about(tmp_path, write):
    write["mnist"](tmp_path)
    write["celeba"](tmp_path)
    with pytest.raises(ValueError, match=r"could be mnist or celeba; say which \(dataset=mnist\)"):
        open_data(tmp_path)
    assert open_data(tmp_path, dataset="celeba").name == "celeba"
    assert open_data(tmp_path, dataset="mnist").name == "mnist"


def test_pictures_beside_a_data_set_do_not_hide_it(tmp_path, write):
    write["mnist"](tmp_path)
    write["folder"](tmp_path)
    assert open_data(tmp_path).name == "mnist"


def test_sprites_take_no_path_and_others_are_named(tmp_path):
    with pytest.raises(ValueError, match="take no path"):
        open_data(tmp_path, dataset="sprites")
    with pytest.raises(ValueError, match="give a path, or one of sprites, mnist as dataset"):
        open_data()
    with pytest.raises(ValueError, match="dataset must be one of mnist, sprites, .*; got 'mnits'"):
        open_data(tmp_path, dataset="mnits")


@pytest.mark.parametrize("size", [0, (3,), (3, -1), (3, 4, 5)])
def test_size_is_one_or_two_numbers_of_pixels(size):
    with pytest.raises(ValueError, match="size must be a height and a width"):
        open_data(dataset="sprites", size=size)


def test_neither_torch_nor_pillow_is_imported_until_it_is_needed():
    code = (
        "import sys, dindic_models.data as data; data.open_data(dataset='sprites').images[:2];"
        "print(sorted({'torch', 'PIL', 'sklearn', 'click'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
