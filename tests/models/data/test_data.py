"""Splits, scales, copies in memory and sizes, whatever the data set."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dindic_models.data import Data, Resized, Sprites, rows, split, to_unit
from dindic_models.data._data import digest_array

cuts = st.tuples(st.integers(0, 20), st.integers(0, 20)).map(sorted)
ratios = cuts.map(lambda c: (c[0] / 20, (c[1] - c[0]) / 20, (20 - c[1]) / 20))


def data_of(n, **changes):
    images = np.zeros((n, 1, 2, 2), np.uint8)
    fields = {"name": "array", "images": images, "source": "", "fingerprint": ""}
    return Data(**fields | changes)


@given(st.integers(0, 500), ratios, st.integers(0, 2**32))
def test_split_uses_every_row_once_and_keeps_the_ratio(n, ratio, seed):
    parts = split(n, ratio, seed=seed)
    assert list(parts) == ["train", "validation", "test"]
    np.testing.assert_array_equal(np.sort(np.concatenate(list(parts.values()))), np.arange(n))
    for part, share in zip(parts.values(), ratio, strict=True):
        assert abs(len(part) - share * n) <= 1 + 1e-9
        assert (np.diff(part) > 0).all()
    for part, again in zip(parts.values(), split(n, ratio, seed=seed).values(), strict=True):
        np.testing.assert_array_equal(part, again)


def test_split_depends_on_the_seed_and_is_random():
    first, second = (split(1000, (0.6, 0.2, 0.2), seed=seed)["test"] for seed in (0, 1))
    assert not np.array_equal(first, second)
    assert len(np.intersect1d(first, second)) < 100
    assert 400 < first.mean() < 600


def test_split_is_pinned_since_models_name_it_by_its_seed():
    assert split(10, (0.6, 0.2, 0.2), seed=0)["test"].tolist() == [1, 8]
    assert split(70_000, (0.6, 0.2, 0.2), seed=0)["train"][:5].tolist() == [0, 2, 3, 9, 11]


@pytest.mark.parametrize(
    ("ratio", "said"),
    [
        ((0.5, 0.5), "three shares"),
        ((0.5, 0.6, -0.1), "three shares between 0 and 1"),
        ((0.5, 0.2, 0.2), "the sum of .* is 0.9"),
        ((float("nan"), 0.5, 0.5), "three shares between 0 and 1"),
    ],
)
def test_ratios_that_are_none(ratio, said):
    with pytest.raises(ValueError, match=said):
        split(10, ratio, seed=0)
    with pytest.raises(ValueError, match="n must not be negative"):
        split(-1, (1, 0, 0), seed=0)


def test_rows_of_either_split():
    data = data_of(50, ratio=(0.6, 0.2, 0.2), official={"train": np.arange(40)})
    for part, expected in split(50, data.ratio, seed=3).items():
        np.testing.assert_array_equal(rows(data, part, seed=3), expected)
    np.testing.assert_array_equal(rows(data, "train", split="official"), np.arange(40))
    for kind in ("paper", "official"):
        np.testing.assert_array_equal(rows(data, "all", split=kind), np.arange(50))
    with pytest.raises(ValueError, match="no official part 'validation'; it has: train, and"):
        rows(data, "validation", split="official")
    with pytest.raises(ValueError, match="part must be one of train, validation, test, all"):
        rows(data, "tset")
    with pytest.raises(ValueError, match="split must be paper or official"):
        rows(data, "test", split="theirs")


def test_unit_scale():
    values = np.arange(256, dtype=np.uint8)
    unit = to_unit(values)
    assert unit.dtype == np.float32
    np.testing.assert_array_equal(unit, (np.arange(256) / 255).astype(np.float32))
    for dtype in (np.float16, np.float32, np.float64):
        np.testing.assert_allclose(to_unit(np.array([0, 0.5, 1], dtype)), [0, 0.5, 1])
        assert to_unit(np.array([0.5], dtype)).dtype == np.float32
    assert to_unit(np.empty((0, 1, 2, 2), np.float32)).shape == (0, 1, 2, 2)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.array([0.5, 1.5]), "one value is 1.5"),
        (np.array([-0.25, 1]), "one value is -0.25"),
        (np.array([0, np.nan]), "one value is nan"),
        (np.array([1, 2]), "they are int64"),
    ],
)
def test_other_scales_are_refused(values, said):
    with pytest.raises(ValueError, match=said):
        to_unit(values)


@pytest.mark.parametrize("channels", [1, 3, 2])
@pytest.mark.parametrize("size", [(32, 40), (5, 3)])
def test_resized_is_pillow_on_each_image(channels, size):
    images = np.random.default_rng(0).integers(0, 256, (4, channels, 11, 9), dtype=np.uint8)
    small = Resized(images, size)
    assert small.shape == (4, channels, *size)
    assert len(small) == 4
    chosen = np.array([3, 0])
    expected = [
        [
            np.asarray(Image.fromarray(plane).resize(size[::-1], Image.Resampling.BILINEAR))
            for plane in image
        ]
        for image in images[chosen]
    ]
    np.testing.assert_array_equal(small[chosen], expected)
    if channels == 3:
        whole = Image.fromarray(images[3].transpose(1, 2, 0))
        together = whole.resize(size[::-1], Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(small[chosen][0], np.asarray(together).transpose(2, 0, 1))


def test_shrinking_averages():
    stripes = np.zeros((1, 1, 64, 64), np.uint8)
    stripes[..., ::2] = 200
    np.testing.assert_allclose(Resized(stripes, (8, 8))[np.array([0])], 100, atol=6)


def test_floats_are_not_resized():
    with pytest.raises(ValueError, match="only images of uint8 are resized, these are float32"):
        Resized(np.zeros((1, 1, 4, 4), np.float32), (2, 2))


@pytest.mark.parametrize("large", [False, True])
def test_digest_is_of_the_pixels(monkeypatch, large):
    monkeypatch.setattr("dindic_models.data._data._WHOLE", 100 if large else 2**28)
    images = np.random.default_rng(0).integers(0, 256, (300, 2, 2), dtype=np.uint8)
    assert digest_array(images) == digest_array(images.copy(order="F"))
    changed = images.copy()
    changed[0, 0, 0] += 1
    assert len({digest_array(x) for x in (images, changed, images[:299], images[:, None])}) == 4


def test_data_shows_itself_without_its_arrays():
    assert len(repr(data_of(7, source="seven zeros"))) < 120
    assert "seven zeros" in repr(data_of(7, source="seven zeros"))
    assert len(data_of(7)) == 7


def test_a_slice_selects_like_its_positions():
    sprites = Sprites()
    np.testing.assert_array_equal(sprites[5:9:2], sprites[np.array([5, 7])])
    assert sprites[np.array([], int)].shape == sprites[[]].shape == (0, 1, 64, 64)
