"""Pictures of traversals: every pixel is where it belongs, sharp, and nothing overlaps."""

import itertools
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text

from dindic_models import mosaics
from dindic_models.pictures import draw_grid, draw_one_shot, draw_reconstructions
from disentangle_indicators.plots import save

torch = pytest.importorskip("torch", reason="torch is not installed: NO model is tested")

from dindic_models.traverse import Memberships, Reconstructions

GREY, COLOUR = (1, 28, 28), (3, 16, 12)
SHAPES = pytest.mark.parametrize("shape", [GREY, COLOUR, (1, 8, 8), (1, 192, 168)], ids=str)


def some(*shape):
    return np.random.default_rng(0).random(shape)


def titles(n):
    return [f"latent {100 + h}   I = 2.31 nats" for h in range(n)]


def grid(shape=GREY, seeds=2, blocks=3, steps=5, **options):
    x = some(seeds, *shape)
    sweeps = some(seeds, blocks, steps, *shape)
    options = {"names": [f"{60000 + s}" for s in range(seeds)], "heading": "b10: words"} | options
    return draw_grid(x, x[::-1], sweeps, titles(blocks), **options), x, sweeps


def one_shot(shape=GREY, blocks=3, steps=5, **options):
    x, sweep = some(*shape), some(blocks, steps, *shape)
    options = {"heading": "b10: words"} | options
    return draw_one_shot(x, 1 - x, sweep, titles(blocks), **options), x, sweep


def members(seeds, shape, k=3):
    gamma = some(seeds, *shape, k)
    gamma /= gamma.sum(-1, keepdims=True)
    return Memberships(gamma.argmax(-1), gamma, np.arange(1, k + 1) / 6, 0.1 ** np.arange(k))


def strip(shape=GREY, seeds=4, noise="", **options):
    x = some(seeds, *shape)
    extra = {}
    if noise == "mog":
        extra["members"] = members(seeds, shape)
    elif noise == "network":
        extra["deviations"] = some(seeds, *shape)
    found = Reconstructions(x, x[::-1], "words", **extra)
    options = {"names": [f"{60000 + s}" for s in range(seeds)], "heading": "b10: words"} | options
    return draw_reconstructions(found, **options), found


def pixels(ax):
    """The mosaic of an axes."""
    (image,) = ax.images
    return np.asarray(image.get_array())


def grey(images):
    return np.round(255 * np.clip(images, 0, 1)).astype(np.uint8)


def written(figure, path):
    """The picture as it is written, and where each block lies in it."""
    picture = np.round(255 * imread(save(figure, path))[..., :3]).astype(np.uint8)
    places = []
    for ax in figure.axes:
        box = ax.get_window_extent()
        assert np.allclose(box.extents, np.round(box.extents), atol=1e-6)
        left, bottom, right, top = np.round(box.extents).astype(int)
        places.append(picture[len(picture) - top : len(picture) - bottom, left:right])
    return picture, places


@SHAPES
def test_every_pixel_of_a_grid_is_a_square_of_the_file(tmp_path, shape):
    figure, *_ = grid(shape)
    picture, places = written(figure, tmp_path / "a.png")
    width, height = np.round(figure.get_size_inches() * 150).astype(int)
    assert picture.shape == (height, width, 3)
    for ax, place in zip(figure.axes, places, strict=True):
        mosaic = pixels(ax)
        zoom = len(place) // len(mosaic)
        assert zoom >= 1
        sharp = mosaic.repeat(zoom, 0).repeat(zoom, 1)
        np.testing.assert_array_equal(place, sharp)


def test_a_block_holds_image_reconstruction_and_sweep_of_every_seed():
    figure, x, sweeps = grid(GREY, seeds=2, blocks=3, steps=5)
    assert len(figure.axes) == 3
    for block, ax in enumerate(figure.axes):
        mosaic = pixels(ax)
        assert mosaic.shape == (2 * 29 - 1, 2 * 29 - 1 + 4 + 5 * 29 - 1, 3)
        for seed in range(2):
            row = mosaic[29 * seed : 29 * seed + 28]
            np.testing.assert_array_equal(row[:, :28, 0], grey(x[seed, 0]))
            np.testing.assert_array_equal(row[:, 29:57, 0], grey(x[1 - seed, 0]))
            for step in range(5):
                tile = row[:, 61 + 29 * step : 89 + 29 * step]
                np.testing.assert_array_equal(tile[..., 2], grey(sweeps[seed, block, step, 0]))


def test_three_channels_are_colours_and_one_is_grey():
    figure, x, _ = grid(COLOUR)
    np.testing.assert_array_equal(pixels(figure.axes[0])[:16, :12], grey(np.moveaxis(x[0], 0, -1)))
    assert (np.ptp(pixels(grid()[0].axes[0]), axis=-1) == 0).all()
    with pytest.raises(ValueError, match="images of 1 or 3 channels are drawn, not of 2"):
        grid((2, 8, 8))


def test_values_beyond_the_unit_interval_are_clipped():
    x = np.full((1, 1, 8, 8), 0.5)
    figure = draw_grid(x, x - 2, np.full((1, 1, 2, 1, 8, 8), 7.0), ["latent 0"])
    mosaic = pixels(figure.axes[0])[:8, :, 0]
    assert [int(mosaic[0, column]) for column in (0, 9, 21)] == [128, 0, 255]


def test_large_images_are_averaged():
    x = np.zeros((1, 1, 192, 168))
    x[..., 1::2] = 1
    figure = draw_grid(x, x, np.zeros((1, 1, 2, 1, 192, 168)), ["latent 0"])
    mosaic = pixels(figure.axes[0])
    assert len(mosaic) == 96
    assert (mosaic[:, :84] == 128).all()


def texts(figure):
    """The boxes of all texts, and what they say."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()
    found = []
    for text in figure.findobj(Text):
        if text.get_text() and text.get_visible() and text.get_window_extent(renderer).width:
            found.append((text.get_text(), text.get_window_extent(renderer)))
    return found


DRAWINGS = {
    "grid": lambda shape, n: grid(shape, seeds=n, blocks=n + 1)[0],
    "long words": lambda shape, n: grid(shape, seeds=n, heading="words " * 60)[0],
    "one shot": lambda shape, n: one_shot(shape, blocks=n)[0].figure,
    "reconstruction": lambda shape, n: strip(shape, n)[0].figure,
    "mixture": lambda shape, n: strip(shape, n, "mog")[0].figure,
    "network": lambda shape, n: strip(shape, n, "network")[0].figure,
}


@pytest.mark.parametrize(
    ("shape", "n"), [(GREY, 1), (GREY, 5), ((1, 8, 8), 1), ((1, 192, 168), 2)], ids=str
)
@pytest.mark.parametrize("name", DRAWINGS)
def test_texts_lie_inside_and_do_not_overlap(monkeypatch, name, shape, n):
    monkeypatch.setitem(globals(), "some", lambda *shape: np.full(shape, np.float32(0.5)))
    figure = DRAWINGS[name](shape, n)
    width, height = figure.get_size_inches() * figure.dpi
    found = texts(figure)
    assert len(found) > 4
    for words, box in found:
        assert box.x0 >= 0, words
        assert box.y0 >= 0, words
        assert box.x1 <= width, words
        assert box.y1 <= height, words
    images = [(f"block {i}", ax.get_window_extent()) for i, ax in enumerate(figure.axes)]
    for (first, a), (second, b) in itertools.combinations(found + images, 2):
        overlap = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
        assert min(overlap) <= 1, (first, second)


def test_blocks_are_labelled():
    figure, *_ = grid(steps=5, span=(-2, 3))
    assert [ax.get_title(loc="left") for ax in figure.axes] == titles(3)
    for ax in figure.axes:
        labels = [label.get_text() for label in ax.get_xticklabels()]
        assert labels == ["-2", "3", "0.5", "image", "recon"]
    left = [[label.get_text() for label in ax.get_yticklabels()] for ax in figure.axes]
    assert left[0] == ["60000", "60001"]
    assert all(labels in ([], left[0]) for labels in left)
    assert figure.texts[0].get_text() == "b10: words"


def test_signs_of_mathematics_in_names_are_names():
    figure, *_ = grid(heading="a$_$b", names=["$a$", "$b$"])
    assert not figure.texts[0].get_parse_math()
    assert not figure.axes[0].get_yticklabels()[0].get_parse_math()


def test_a_one_shot_traversal_has_a_row_for_each_latent():
    ax, x, sweep = one_shot(blocks=3, steps=5)
    mosaic = pixels(ax)
    np.testing.assert_array_equal(mosaic[:28, :28, 0], grey(x[0]))
    np.testing.assert_array_equal(mosaic[:28, 29:57, 0], grey(1 - x[0]))
    assert (mosaic[28:, :61] == 255).all()
    for row, step in itertools.product(range(3), range(5)):
        tile = mosaic[29 * row : 29 * row + 28, 61 + 29 * step : 89 + 29 * step, 1]
        np.testing.assert_array_equal(tile, grey(sweep[row, step, 0]))
    assert [label.get_text() for label in ax.get_yticklabels()] == titles(3)


def test_bytes_are_drawn_as_floats_are():
    x = np.random.default_rng(0).integers(0, 256, (2, *GREY), np.uint8)
    sweeps = some(2, 1, 3, *GREY)
    one, two = (
        pixels(draw_one_shot(image, x[1] / 255, sweeps[0], ["a"])) for image in (x[0], x[0] / 255)
    )
    np.testing.assert_array_equal(one, two)
    assert len(np.unique(one[:28, :28])) > 100
    first, second = (
        pixels(draw_grid(seeds, x / 255, sweeps, ["a"]).axes[0]) for seeds in (x, x / 255)
    )
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("shape", [GREY, COLOUR])
def test_residuals_have_a_scale(tmp_path, shape):
    ax, found = strip(shape)
    squared = found.squared.mean(1)
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        "image",
        "reconstruction",
        "squared residual",
    ]
    (bar,) = ax.child_axes
    ticks = [label.get_text() for label in bar.get_yticklabels()]
    assert ticks == ["0", f"{squared.max():.2g}"]
    height, width = shape[1] + 1, shape[2] + 1
    row = pixels(ax)[2 * height :].sum(-1)
    tiles = [row[:, width * s : width * s + width - 1] for s in range(4)]
    # magma grows lighter with its value
    order = np.argsort(squared.ravel())
    light = np.stack(tiles).ravel()[order]
    assert np.corrcoef(light, np.arange(light.size))[0, 1] > 0.9
    assert light[-1] == np.stack(tiles).max()
    assert min(imread(save(ax, tmp_path / "a.png")).shape[:2]) > 200


def test_equal_images_have_no_residual_and_no_division_by_it():
    x = some(2, *GREY)
    ax = draw_reconstructions(Reconstructions(x, x, "words"))
    assert len(np.unique(pixels(ax)[58:, :28].reshape(-1, 3), axis=0)) == 1


def test_the_noise_of_pixels_is_drawn():
    ax, found = strip(noise="network")
    assert ax.get_yticklabels()[3].get_text() == "σ_d(z)"
    assert [bar.get_yticklabels()[1].get_text() for bar in ax.child_axes][1] == (
        f"{found.deviations.max():.2g}"
    )


@pytest.mark.parametrize("shape", [GREY, COLOUR])
def test_components_have_colours_that_the_legend_explains(shape):
    ax, found = strip(shape, noise="mog")
    members, (_, height, width) = found.members, shape
    legend = ax.get_legend()
    words = [text.get_text() for text in legend.get_texts()]
    assert words == [
        "component 2: π = 0.5, σ = 0.01",
        "component 1: π = 0.333, σ = 0.1",
        "component 0: π = 0.167, σ = 1",
    ]
    colours = {
        int(text[10]): np.round(255 * np.array(patch.get_facecolor()[:3]))
        for text, patch in zip(words, legend.get_patches(), strict=True)
    }
    assert len({tuple(colour) for colour in colours.values()}) == 3
    row = pixels(ax)[3 * (height + 1) :]
    most = members.responsibilities.sum(1).argmax(-1)
    for seed in range(4):
        tile = row[:, seed * (width + 1) : seed * (width + 1) + width]
        np.testing.assert_array_equal(tile, np.stack([colours[k] for k in range(3)])[most[seed]])


def test_drawings_go_on_what_is_given():
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert one_shot(ax=left)[0] is left
    assert strip(ax=right, noise="mog")[0] is right
    assert figure.axes == [left, right]
    other = Figure(figsize=(20, 10))
    assert grid(figure=other)[0] is other
    assert len(other.axes) == 3


def test_many_blocks_are_few_artists_in_a_wide_picture():
    figure, *_ = grid((1, 8, 8), blocks=40, seeds=5, steps=9)
    assert [len(ax.images) for ax in figure.axes] == [1] * 40
    width, height = figure.get_size_inches()
    assert 1 < width / height < 2
    assert width * height * 150**2 < 30e6


@pytest.mark.parametrize("budget", [1e4, 1e5, 1e6])
def test_large_grids_have_smaller_tiles(monkeypatch, budget):
    monkeypatch.setattr(mosaics, "BUDGET", budget)
    figure, *_ = grid(GREY, blocks=4, seeds=2, steps=5)
    tiles, width = 4 * 2 * 7, pixels(figure.axes[0]).shape[1]
    zoom = figure.axes[0].get_window_extent().width / width
    tile = zoom * ((width - 3) / 7 - 1)
    assert 0.1 * budget < tiles * tile**2 <= budget


@pytest.mark.parametrize("drawn", [lambda: grid()[0], lambda: one_shot()[0], lambda: strip()[0]])
def test_files_of_every_format(tmp_path, drawn):
    assert save(drawn(), tmp_path / "a.PNG").read_bytes()[:4] == b"\x89PNG"
    root = ET.parse(save(drawn(), tmp_path / "a.svg")).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert save(drawn(), str(tmp_path / "a.pdf")).read_bytes()[:5] == b"%PDF-"
    with pytest.raises(ValueError, match=r"a.bmp: a picture ends in .png, .svg or .pdf"):
        save(drawn(), tmp_path / "a.bmp")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.PNG", "a.pdf", "a.svg"]


@pytest.mark.parametrize("old", [True, False])
def test_a_failure_leaves_what_was_there(tmp_path, monkeypatch, old):
    def full(self, path, **options):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    target = tmp_path / "a.png"
    if old:
        target.write_text("old")
    monkeypatch.setattr(Figure, "savefig", full)
    with pytest.raises(OSError, match="No space left"):
        save(grid()[0], target)
    assert [path.name for path in tmp_path.iterdir()] == (["a.png"] if old else [])
    assert not old or target.read_text() == "old"


def test_neither_torch_nor_pyplot_is_needed(tmp_path):
    code = (
        "import sys, numpy as np\n"
        "from dindic_models.pictures import draw_grid\n"
        "from disentangle_indicators.plots import save\n"
        "x = np.zeros((1, 1, 8, 8))\n"
        "figure = draw_grid(x, x, np.zeros((1, 1, 3, 1, 8, 8)), ['a'])\n"
        f"save(figure, {str(tmp_path / 'a.png')!r})\n"
        "print({'torch', 'matplotlib.pyplot'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
