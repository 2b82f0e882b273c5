"""The pulse plot: heights, colours, marks and legends."""

import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import to_hex
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.markers import MarkerStyle

from disentangle_indicators import indicators, score
from disentangle_indicators.plots import pulse, pulses, save
from disentangle_indicators.plots._style import STATES


def encodings(d=4, n=50):
    rng = np.random.default_rng(0)
    width = np.linspace(0.05, 1, d)
    return rng.normal(size=(n, d)) * np.sqrt(1.001 - width), width * np.ones((n, d))


def card(d=4, n=50, **options):
    mean, var = encodings(d, n)
    return score(mean, var=var, **options)


def stems(ax):
    """The height of each stem."""
    (lines,) = [artist for artist in ax.collections if isinstance(artist, LineCollection)][:1]
    return np.array([segment[-1, 1] for segment in lines.get_segments()])


def dots(ax):
    found, *_ = [artist for artist in ax.collections if isinstance(artist, PathCollection)]
    return found


def rings(ax):
    """The height of each ring."""
    _, found = [artist for artist in ax.collections if isinstance(artist, PathCollection)]
    return found.get_offsets()[:, 1]


def vertices(mark):
    return len(MarkerStyle(mark).get_path().vertices)


def whole(ax):
    """The axes that the halves are cut from."""
    (found,) = [parent for parent in ax.figure.axes if ax in parent.child_axes]
    return found


def halves(ax):
    upper, lower = ax, next(a for a in ax.figure.axes[0].child_axes if a is not ax)
    return upper, lower


@pytest.mark.parametrize("d", [1, 4, 128])
def test_heights_are_information_above_and_second_moment_below(d):
    result = card(d)
    upper, lower = halves(pulse(result))
    np.testing.assert_allclose(stems(upper), result.marginals.information)
    np.testing.assert_allclose(rings(upper), result.mutual_information_per_latent)
    np.testing.assert_allclose(stems(lower), result.second_moment)
    bare, _ = halves(pulse(result.result))
    np.testing.assert_allclose(stems(bare), result.mutual_information_per_latent)
    np.testing.assert_allclose(dots(upper).get_offsets()[:, 0], np.arange(d))
    assert lower.get_ylim()[0] > lower.get_ylim()[1] == 0
    assert lower.get_ylim()[0] >= result.second_moment.max()
    assert upper.get_xlim() == lower.get_xlim() == (-0.6, d - 0.4)


def test_labels_have_units_and_the_title_has_the_count():
    result = card()
    upper, lower = halves(pulse(result))
    assert upper.get_ylabel() == "I(x; z_h) [nats]"
    assert pulse(result.result).get_ylabel() == "information [nats]"
    assert lower.get_ylabel() == "moment S"
    assert lower.get_xlabel() == "latent; bars are ± 2 standard errors"
    assert upper.get_title() == f"{result.used} of 4 latents used, n = 50"


def test_colours_are_states_and_are_explained():
    result = card(threshold=0.3)
    assert {"used", "weak", "unused"} == set(result.states)
    upper = pulse(result)
    drawn = [to_hex(colour) for colour in dots(upper).get_facecolors()]
    assert drawn == [STATES[state].colour for state in result.states]
    shapes = [len(path.vertices) for path in dots(upper).get_paths()]
    assert shapes == [vertices(STATES[state].mark) for state in result.states]
    legend = [text.get_text() for text in whole(upper).get_legend().get_texts()]
    line = "threshold, 0.3 nats"
    assert legend == ["used", "weak", "unused", line, "Def 3, upper bound"]
    bare = whole(pulse(result.result)).get_legend().get_texts()
    assert [text.get_text() for text in bare] == ["used", "weak", "unused", line]
    heights = [line.get_ydata()[0] for line in upper.lines]
    assert 0.3 in heights


@pytest.mark.parametrize("given", ["result", "scorecard"])
def test_a_given_axes_is_drawn_on(given):
    result = card()
    figure = Figure()
    left, right = figure.subplots(1, 2)
    ax = pulse(result if given == "scorecard" else result.result, right)
    assert isinstance(ax, Axes)
    assert ax.figure is figure
    assert ax in right.child_axes
    assert not left.child_axes
    assert not left.collections


def test_no_axes_makes_a_figure_of_its_own():
    first, second = pulse(card()), pulse(card())
    assert first.figure is not second.figure
    assert pulse(card(128)).figure.get_figwidth() > first.figure.get_figwidth()


def bars(ax):
    return [c for c in ax.containers if isinstance(c, ErrorbarContainer)]


def test_error_bars_are_two_standard_errors():
    result = card()
    for drawn, errors in (
        (result, result.marginals.population_errors["information"]),
        (result.result, result.standard_errors["mutual_information_per_latent"]),
    ):
        (bar,) = bars(pulse(drawn))
        segments = bar.lines[2][0].get_segments()
        half = [(segment[1, 1] - segment[0, 1]) / 2 for segment in segments]
        np.testing.assert_allclose(half, 2 * errors, atol=1e-12)


def test_without_errors_there_are_no_bars():
    assert bars(pulse(indicators(*encodings(), errors=False))) == []
    assert bars(pulse(card(n=1))) == []


def test_means_only_have_one_half():
    mean, _ = encodings()
    result = score(mean, prior_var=2.0)
    ax = pulse(result)
    np.testing.assert_allclose(stems(ax), result.mean_variance)
    assert ax.get_ylabel() == "Var(mean)"
    assert whole(ax).child_axes == [ax]
    figure = Figure()
    given = figure.add_subplot()
    assert whole(pulse(result, given)) is given


@pytest.mark.parametrize("d", [1, 4, 128])
def test_pictures_are_pictures(tmp_path, d):
    png = save(pulse(card(d)), tmp_path / "a.png")
    picture = imread(png)
    assert min(picture.shape[:2]) > 300
    assert picture[..., :3].std() > 0.01
    root = ET.parse(save(pulse(card(d)), tmp_path / "a.svg")).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert save(pulse(card(d)), str(tmp_path / "a.pdf")).read_bytes()[:5] == b"%PDF-"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.pdf", "a.png", "a.svg"]


def test_several_results_lie_below_each_other_under_their_names(tmp_path):
    cards = [card(name="runs/one.npz"), card(128, name="two$_$.npz"), score(np.eye(3), name="m")]
    heights = [imread(save(pulses(cards[:k]), tmp_path / f"{k}.png")).shape[0] for k in (1, 2, 3)]
    assert heights == [heights[0], 2 * heights[0], 3 * heights[0]]


def test_the_figure_names_the_files():
    figure = pulses([card(name="runs/one.npz"), score(np.eye(3), name="means.npz")])
    titles = [ax.get_title() for parent in figure.axes for ax in (parent, *parent.child_axes)]
    first, second = [title for title in titles if title]
    assert first.startswith("one.npz: ")
    assert second == "means.npz: 3 of 3 latents active, n = 3"
    with pytest.raises(ValueError, match="results must hold at least one"):
        pulses([])


def test_pictures_beside_each_other_share_their_vertical_axes():
    mean, var = encodings(4, 50)
    small, large = (score(mean * k, var=var, joint=False) for k in (1.0, 3.0))
    alone = [pulse(one) for one in (small, large)]
    figure = pulses([small, large, score(np.eye(3), name="means.npz")])
    drawn = [ax for part in figure.axes for ax in part.child_axes]
    for label in ("I(x; z_h) [nats]", "moment S"):
        ends = [ax.get_ylim() for ax in drawn if ax.get_ylabel() == label]
        assert ends == ends[:1] * 2
    assert alone[0].get_ylim() != alone[1].get_ylim()
    assert [ax.get_ylim()[0] for ax in drawn if ax.get_ylabel() == "Var(mean)"] == [0]


def of_all_states(d, n=60, name=""):
    """Encodings with every state there is."""
    rng, levels = np.random.default_rng(0), np.exp(np.linspace(-4, 0, d))
    levels[: min(d, 5)] = np.array([1e-9, 0.1, 0.6, 0.9, 1.0])[: min(d, 5)]
    shift = 5.0 * (np.arange(d) == 3)
    mean = rng.normal(size=(n, d)) * np.sqrt(1 - levels) + shift
    return score(mean, var=np.ones((n, 1)) * levels, name=name)


LONG = "runs/vae_mnist_z16_lr1e-3_b4_seed0_epoch200_test_encodings_of_the_$2_run_abcdefghi.npz"

PLACES = {
    "alone": lambda: None,
    "beside": lambda: Figure(figsize=(9, 4)).subplots(1, 2)[0],
    "beside, laid out": lambda: Figure(figsize=(9, 4), layout="constrained").subplots(1, 2)[1],
    "third of a page": lambda: Figure(figsize=(10, 3)).subplots(1, 3)[1],
}


def box(artist):
    return artist.get_window_extent()


@pytest.mark.parametrize(
    ("d", "place"), [*((16, place) for place in PLACES), *((d, "alone") for d in (2, 128, 1024))]
)
def test_legend_and_title_stay_in_their_place(d, place):
    """With every state, a name of 80 characters, and another picture beside."""
    upper = pulse(of_all_states(d, name=LONG), PLACES[place]())
    figure, frame = upper.figure, whole(upper)
    figure.draw_without_rendering()  # a layout that collapses would warn, which is an error
    (lower,) = (each for each in frame.child_axes if each is not upper)
    legend, widest = box(frame.get_legend()), 1.02 * box(frame).width
    assert box(upper).width > 0.99 * box(frame).width
    assert box(upper).height + box(lower).height > 0.3 * box(frame).height
    assert legend.x0 >= box(frame).x0 - 1
    assert legend.width <= widest
    assert box(upper.title).width <= widest
    assert box(lower.xaxis.label).y0 >= legend.y1 - 2
    assert box(lower.xaxis.label).y0 >= box(frame).y0
    ticks = [label for label in lower.get_xticklabels() if label.get_text()]
    drawn = [box(label) for label in ticks if 0 <= label.get_position()[0] < d]
    assert all(left.x1 < right.x0 for left, right in pairwise(drawn))
    if place == "alone":
        assert box(upper).width > 0.8 * figure.bbox.width
        assert 0 <= legend.x0 < legend.x1 <= figure.bbox.x1
        assert legend.y0 >= 0
        assert box(upper.title).y1 <= figure.bbox.y1


def test_a_long_name_is_shortened_in_its_middle():
    first, second = pulse(of_all_states(5, name=LONG)).get_title().splitlines()
    assert second == "2 of 5 latents used, n = 60"
    start, end = first.split("…")
    assert Path(LONG).name.startswith(start)
    assert LONG.endswith(end)
    assert min(len(start), len(end)) > 20
    short = pulse(of_all_states(5, name="runs/one.npz")).get_title()
    assert short == "one.npz: 2 of 5 latents used, n = 60"


def test_many_results_lie_in_two_columns():
    figure = pulses([card(name=f"{i}.npz") for i in range(5)])
    figure.draw_without_rendering()
    assert len({round(ax.get_position().x0, 3) for ax in figure.axes}) == 2
    assert figure.get_figheight() == 3 * 4.2
