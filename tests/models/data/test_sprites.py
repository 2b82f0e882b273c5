"""The renderer: real frames, then what must hold of any renderer of this geometry."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dindic_models.data import Sprites, open_data, render, rows
from dindic_models.data.sprites import FACTORS, SIZES

FRAMES = Path(__file__).parent / "sprites_frames.npz"
SHARED = Path(os.environ.get("DINDIC_DATA", "")) / "sprites"
SHAPES = {"square": 0, "ellipse": 1, "heart": 2}

SPRITES = open_data(dataset="sprites")

indices = st.lists(st.tuples(*(st.integers(0, size - 1) for size in SIZES)), min_size=1)


def on(factors):
    return render(np.asarray(factors))[:, 0] > 0


def overlap(a, b):
    return (a & b).sum((-2, -1)) / (a | b).sum((-2, -1))


def real():
    with np.load(FRAMES) as file:
        return np.unpackbits(file["frames"], axis=-1) > 0, file["factors"].astype(int)


@pytest.mark.parametrize(
    ("shape", "least"), [("square", 1.0), ("ellipse", 0.9995), ("heart", 0.9985)]
)
def test_rendered_agrees_with_real_frames(shape, least):
    frames, factors = real()
    of_shape = factors[:, 0] == SHAPES[shape]
    agreement = overlap(on(factors), frames)[of_shape]
    assert len(agreement) >= 64
    assert agreement.mean() >= least
    assert agreement.min() >= 0.98


@pytest.mark.skipif(not SHARED.is_dir(), reason="set DINDIC_DATA: the frames are NOT compared")
def test_golden_frames_are_those_of_the_gif():
    from PIL import Image, ImageSequence

    frames, factors = real()
    with Image.open(SHARED / "dsprites.gif") as gif:
        shown = [np.asarray(frame.convert("L")) > 127 for frame in ImageSequence.Iterator(gif)]
    np.testing.assert_array_equal(frames, shown)
    np.testing.assert_array_equal(factors, np.load(SHARED / "dsprites_gif_factors.npy"))


def sampled(factors):
    """Render the slow way: the outline's equation, or its winding, at every pixel's centre."""
    from matplotlib.path import Path as Outline

    from dindic_models.data.sprites import _HEART, _HEART_UNIT

    shape, scale, angle, i, j = factors
    s, a = 0.5 + scale / 10, 2 * np.pi * angle / 39
    y, x = np.mgrid[:64, :64] + 0.5
    x, y = x - 16 - 32 * i / 31, y - 16 - 32 * j / 31
    u, v = (np.cos(a) * x - np.sin(a) * y) / s, (np.sin(a) * x + np.cos(a) * y) / s
    if shape == 0:
        return np.maximum(np.abs(u), np.abs(v)) < 19.199 / 2
    if shape == 1:
        return (u / 12.77) ** 2 + (v / 7.21) ** 2 < 1
    right = np.array(_HEART.split(), float).reshape(-1, 2)
    outline = Outline(np.concatenate([right, right[::-1] * (-1, 1)]) * _HEART_UNIT)
    return outline.contains_points(np.stack([u, v], -1).reshape(-1, 2)).reshape(64, 64)


def test_scan_lines_agree_with_every_pixel_on_its_own():
    rng = np.random.default_rng(0)
    factors = np.stack([rng.integers(0, size, 300) for size in SIZES], axis=-1)
    np.testing.assert_array_equal(on(factors), [sampled(row) for row in factors])


@given(indices)
def test_last_orientation_repeats_the_first(factors):
    factors = np.array(factors)
    turned = factors.copy()
    factors[:, 2], turned[:, 2] = 0, 39
    np.testing.assert_array_equal(on(factors), on(turned))


@given(indices)
def test_mirror_image_is_the_sprite_turned_the_other_way(factors):
    factors = np.array(factors)
    mirrored = factors * (1, 1, -1, -1, 1) + (0, 0, 39, 31, 0)
    assert overlap(on(mirrored), on(factors)[:, :, ::-1]).min() > 0.95


@given(indices)
def test_squares_and_ellipses_look_the_same_upside_down(factors):
    factors = np.array(factors) % (2, 6, 40, 32, 32)
    flipped = factors * (1, 1, -1, 1, -1) + (0, 0, 39, 0, 31)
    assert overlap(on(flipped), on(factors)[:, ::-1]).min() > 0.95


@given(indices)
def test_centre_of_squares_and_ellipses_is_where_the_position_says(factors):
    factors = np.array(factors) % (2, 6, 40, 32, 32)
    pixels = on(factors)
    area = pixels.sum((1, 2))
    for axis, position in ((2, factors[:, 3]), (1, factors[:, 4])):
        centre = (pixels.sum(3 - axis) * (np.arange(64) + 0.5)).sum(1) / area
        np.testing.assert_allclose(centre, 16 + 32 * position / 31, atol=0.5)


@given(indices)
def test_nothing_is_cut_off_and_a_scale_adds_what_its_square_says(factors):
    factors = np.repeat(np.array(factors)[:, None], 6, axis=1)
    factors[:, :, 1] = range(6)
    pixels = on(factors.reshape(-1, 5)).reshape(-1, 6, 64, 64)
    area = pixels.sum((2, 3))
    full = np.array([19.199**2, np.pi * 12.77 * 7.21, 224.7])[factors[:, 0, 0], None]
    np.testing.assert_allclose(area, full * np.linspace(0.5, 1, 6) ** 2, rtol=0.09)
    assert (np.diff(area) > 0).all()
    edge = np.ones((64, 64), bool)
    edge[2:62, 2:62] = False
    assert not pixels[..., edge].any()


def test_heart_has_its_tip_below_and_turns_anticlockwise():
    upright, turned = on([[2, 5, 0, 16, 16], [2, 5, 10, 16, 16]])
    assert upright[42].sum() <= 2 < upright[26].sum()
    assert turned[:, 42].sum() <= 2 < turned[:, 26].sum()


@given(st.lists(st.integers(0, 737_279)))
def test_position_is_the_index_of_the_factors_with_y_fastest(index):
    index = np.array(index, int)
    factors = SPRITES.factors[index]
    np.testing.assert_array_equal(np.ravel_multi_index(tuple(factors.T), SIZES), index)
    np.testing.assert_array_equal(SPRITES.images[index], render(factors))


def test_data_of_sprites():
    data = SPRITES
    assert data.images.shape == (737_280, 1, 64, 64) == (len(data), 1, 64, 64)
    assert data.factor_names == ("shape", "scale", "orientation", "position_x", "position_y")
    assert data.factors.shape == (737_280, 5)
    assert data.factors.max(0).tolist() == [size - 1 for size in FACTORS.values()]
    assert data.source == (
        "sprites in the geometry of dSprites, 737280 images of 1x64x64, rendered"
    )
    assert data.fingerprint == open_data(dataset="sprites").fingerprint
    image = data.images[np.array([-1])]
    assert image.dtype == np.uint8
    assert np.unique(image).tolist() == [0, 255]
    np.testing.assert_array_equal(image, data.images[737_279:])
    with pytest.raises(ValueError, match="sprites has no official part 'test'; it has: none"):
        rows(data, "test", split="official")


def test_sprites_can_be_resized():
    images = open_data(dataset="sprites", size=32).images
    assert images[np.arange(3)].shape == (3, 1, 32, 32)


@pytest.mark.parametrize(
    ("factors", "said"),
    [
        (np.zeros((2, 4), int), r"integers \(b, 5\); they are int64 \(2, 4\)"),
        (np.zeros(5, int), r"integers \(b, 5\)"),
        (np.zeros((2, 5)), "they are float64"),
        ([[0, 0, 0, 0, 0], [0, 6, 0, 0, 0]], r"scale must be 0 to 5; factors\[1, 1\] = 6"),
        ([[0, 0, 0, -1, 0]], r"position_x must be 0 to 31; factors\[0, 3\] = -1"),
    ],
)
def test_impossible_factors_are_named(factors, said):
    with pytest.raises(ValueError, match=said):
        render(factors)


@pytest.mark.parametrize("index", [[737_280], [-737_281]])
def test_no_image_beyond_the_last(index):
    with pytest.raises(IndexError, match="there are 737280 images"):
        Sprites()[np.array(index)]


@pytest.mark.parametrize("index", [np.array(3), np.array([1.5]), np.ones((2, 2), int)])
def test_only_a_row_of_integers_is_an_index(index):
    with pytest.raises(IndexError, match="1-D array of integers"):
        Sprites()[index]
