"""The figures of a study: what is drawn is what the table says, and what is not is said."""

import os
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: NO model is tested")

from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text
from runs import dataset, pictures, settings_of_torch

from dindic_models import figures as module
from dindic_models._study_result import GAUSSIAN
from dindic_models.data import rows, some
from dindic_models.figures import FIGURES, draw_all, information_plot, traversals
from dindic_models.grids import GRIDS, PRINTED, runs
from dindic_models.networks import NETWORKS, mlp
from dindic_models.study import Study, run_study
from dindic_models.traverse import reconstruct, traverse
from disentangle_indicators.aggregate import marginals
from disentangle_indicators.plots import save

SMALL = {"network": "mlp", "activation": "linear", "latents": 3, "batch": 16, "lr": 2e-2}

ONLY = {
    "mnist": (
        *["fixed_sigma2_0.005", "fixed_sigma2_0.02", "fixed_sigma2_0.11"],
        *["learned_beta_0.5", "learned_beta_1", "learned_beta_10"],
    ),
    "celeba": ("mog2_beta_40", "mog2_beta_40_latents_32"),
    "yale": ("learned_beta_120", "network"),
}

EPOCHS = {"mnist": 8, "celeba": 1, "yale": 1}

EVERY = [(dataset_name, name) for dataset_name, named in FIGURES.items() for name in named]
every = pytest.mark.parametrize(("name", "figure"), EVERY)


def images(name):
    grey = pictures(400 if name == "mnist" else 60)
    if name == "celeba":
        return np.concatenate([grey, 255 - grey, grey[..., ::-1]], axis=1)
    return grey.repeat(2, axis=2) if name == "yale" else grey


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """A small study of each data set, with the runs that the figures need, and some others."""
    found = {}
    with pytest.MonkeyPatch.context() as patch, settings_of_torch():
        patch.setitem(NETWORKS, "mlp", partial(mlp, hidden=(24, 12)))
        patch.setattr(os, "fsync", lambda descriptor: None)
        for name, only in ONLY.items():
            configs = runs(name, only=only, epochs=EPOCHS[name], **SMALL)
            folder = tmp_path_factory.mktemp(name)
            found[name] = run_study(configs, dataset(images(name), name=name), folder)
        yield found


@pytest.fixture(scope="module")
def drawn(studies):
    """Every figure, drawn once: it, and where two were set below each other, those."""
    done = {}

    def get(name, figure):
        if (name, figure) not in done:
            parts, stacked = [], module._stacked
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(
                    module, "_stacked", lambda *two: (parts.extend(two), stacked(*two))[1]
                )
                whole = FIGURES[name][figure].draw(studies[name])
            done[name, figure] = whole, parts or [whole]
        return done[name, figure]

    return get


def without(study, *names):
    return replace(study, rows={n: row for n, row in study.rows.items() if n not in names})


def words(figure):
    """All text of a figure."""
    return " ".join(text.get_text() for text in figure.findobj(Text)).replace("\n", " ")


def png(figure, path):
    return np.round(255 * imread(save(figure, path))[..., :3]).astype(np.uint8)


def line(ax, label):
    (found,) = [line for line in ax.lines if line.get_label() == label]
    return np.asarray(found.get_xdata(), float), np.asarray(found.get_ydata(), float)


# ------------------------------------------------------------------------- all of them


@every
def test_a_figure_is_a_picture_that_is_not_blank(drawn, tmp_path, name, figure):
    whole, parts = drawn(name, figure)
    picture = png(whole, tmp_path / "a.png")
    assert min(picture.shape[:2]) > 200
    assert max(picture.shape[:2]) < 6000
    assert len(np.unique(picture @ (1, 256, 65536))) > 20
    edges = [picture[0], picture[-1], picture[:, 0], picture[:, -1]]
    assert all((edge == 255).all() for edge in edges), "something is cut off"
    assert 0.005 < (picture < 250).any(-1).mean() < 0.9
    assert len(parts) == (2 if figure in STACKED else 1)


STACKED = ("figure_02", "figure_16")
"""Two figures set below each other, whose words are pixels."""


@every
def test_a_figure_says_what_it_is_and_epochs_and_device(studies, drawn, name, figure):
    _, parts = drawn(name, figure)
    epochs = EPOCHS[name]
    for part in parts:
        assert f"{epochs} epoch{'s' * (epochs > 1)} on CPU" in words(part)
    if figure.startswith("figure_"):
        assert f"Fig. {int(figure.split('_')[1])}:" in words(parts[0])
    for run in FIGURES[name][figure].needs:
        if run in studies[name].rows:
            row = studies[name].rows[run]
            for part in parts:
                noise = f"βσ² = {row['normalised_variance']:.3g}"
                if row["noise"] not in GAUSSIAN:
                    noise = f"β = {row['beta']:g}"
                assert f"{run}, {noise}, " in words(part)


def test_the_figures_of_the_paper():
    numbers = {
        name: sorted(int(figure.split("_")[1]) for figure in named if figure[:7] == "figure_")
        for name, named in FIGURES.items()
    }
    assert numbers == {
        "mnist": [2, 4, 5, 6, 8, 9, 10, 11, 12, 13, 16],
        "celeba": [3, 3, 7, 15],
        "yale": [14],
    }


def test_the_runs_that_figures_need_are_in_the_grid():
    for name, named in FIGURES.items():
        for figured in named.values():
            for pattern in figured.needs:
                assert runs(name, only=(pattern,))
    assert FIGURES.keys() == GRIDS.keys()


LABELS = {
    "figure_04": [("normalised variance βσ² [squared pixel units]", "EVLB [nats an image]")],
    "figure_05": [
        ("normalised variance βσ² [squared pixel units]", "Definition 4 [nats]"),
        ("normalised variance βσ² [squared pixel units]", "latents with |S - 1| ≤ 0.1"),
    ],
    "figure_06": [
        ("normalised variance βσ² [squared pixel units]", "Definition 2 [nats]"),
        ("normalised variance βσ² [squared pixel units]", "latents above 0.5 nats"),
    ],
    "figure_08": [("β", "σ² [squared pixel units]")],
    "figure_09": [("β", "βσ² [squared pixel units]")],
    "figure_10": [
        ("", "I(x; z_h) [nats]"),
        ("latent; bars are ± 2 standard errors", "moment S"),
    ],
    "figure_11": [
        ("", "I(x; z_h) [nats]"),
        ("latent; bars are ± 2 standard errors", "moment S"),
    ],
}


@pytest.mark.parametrize("figure", LABELS)
def test_axes_are_labelled_with_units(drawn, figure):
    plots = drawn("mnist", figure)[0].findobj(lambda artist: hasattr(artist, "get_xlabel"))
    found = {(ax.get_xlabel(), ax.get_ylabel()) for ax in plots}
    assert set(LABELS[figure]) <= found
    assert set(LABELS[figure]) | {("", "")} >= found


# ------------------------------------------------------------------------ what is in them


def column(study, noise, name):
    """A column of the results of the runs with this noise, by normalised variance."""
    found = [row for row in study.rows.values() if row["noise"] == noise]
    found.sort(key=lambda row: row["normalised_variance"])
    return [row[name] for row in found]


def test_figure_4_has_the_bound_in_both_conventions(studies, drawn):
    study = studies["mnist"]
    above, below = drawn("mnist", "figure_04")[0].axes
    for label, noise, name in (
        ("noise specified, at σ²", "fixed", "evlb"),
        ("noise learned, at σ² (the paper's line)", "learned", "evlb"),
        ("noise learned, at βσ², as the blue line is", "learned", "evlb_at_normalised_variance"),
    ):
        x, y = line(above, label)
        np.testing.assert_array_equal(x, column(study, noise, "normalised_variance"))
        np.testing.assert_array_equal(y, column(study, noise, name))
        assert (np.diff(x) > 0).all()
    (star,) = above.collections
    row = study.rows["learned_beta_1"]
    np.testing.assert_allclose(
        np.asarray(star.get_offsets()), [[row["normalised_variance"], row["evlb"]]]
    )
    assert above.get_xscale() == "log"
    labels = [label.get_text() for label in below.get_yticklabels()]
    assert labels[0] == "image"
    assert len(labels) == 1 + 3 + 3
    for label, name in zip(labels[1:4], ONLY["mnist"], strict=False):
        assert label.startswith(name.replace("_", " "))
    assert "reconstructions" in below.get_title(loc="left")


def test_figure_4_shows_test_images_and_what_models_make_of_them(studies, drawn):
    study = studies["mnist"]
    below = drawn("mnist", "figure_04")[0].axes[1]
    tiles = np.asarray(below.images[0].get_array())[..., 0]
    chosen = some(rows(study.data, "test"), 16, seed=0)
    grey = study.data.images[chosen]
    np.testing.assert_array_equal(tiles[:8, :8], grey[0, 0])
    np.testing.assert_array_equal(tiles[:8, 9:17], grey[1, 0])
    mean = reconstruct(study.checkpoint("fixed_sigma2_0.005").model, grey).mean
    expected = np.round(255 * np.clip(mean[0, 0], 0, 1))
    np.testing.assert_allclose(tiles[9:17, :8], expected, atol=1)


@pytest.mark.parametrize(
    ("figure", "columns"),
    [
        (
            "figure_05",
            ["kl_aggregate_prior", "normal_variance", "total_kl_prior", "normal_variance_used"],
        ),
        ("figure_06", ["mutual_information", "used", "total_information", "used_exact"]),
    ],
)
def test_figures_5_and_6_have_indicators_against_the_normalised_variance(
    studies, drawn, figure, columns
):
    study = studies["mnist"]
    both = drawn("mnist", figure)[0].axes
    for ax, mine, other in zip(both, columns[:2], columns[2:], strict=True):
        assert ax.get_xscale() == "log"
        assert len(ax.lines) == 4
        for noise, label in (("fixed", "noise specified"), ("learned", "noise learned")):
            x, y = line(ax, label)
            np.testing.assert_array_equal(x, column(study, noise, "normalised_variance"))
            np.testing.assert_array_equal(y, column(study, noise, mine))
            (more,) = [k for k in ax.lines if k.get_label().startswith(f"{label}: ")]
            np.testing.assert_array_equal(more.get_ydata(), column(study, noise, other))
    assert [ax.get_yscale() for ax in both] == ["log", "linear"]


@pytest.mark.parametrize(
    ("figure", "name"), [("figure_08", "sigma2"), ("figure_09", "normalised_variance")]
)
def test_figures_8_and_9_have_learned_variances_and_those_that_are_printed(
    studies, drawn, figure, name
):
    study = studies["mnist"]
    (ax,) = drawn("mnist", figure)[0].axes
    x, y = line(ax, "here")
    assert list(x) == [0.5, 1, 10]
    assert list(y) == [study.rows[f"learned_beta_{b:g}"][name] for b in x]
    x, y = line(ax, "printed in the paper")
    assert sorted(x) == [0.5, 1, 10]
    for beta, value in zip(x, y, strict=True):
        printed = PRINTED["mnist"][f"learned_beta_{beta:g}"]["normalised_variance"]
        assert value == pytest.approx(printed / beta if name == "sigma2" else printed)


@pytest.mark.parametrize("name", ["learned_beta_1", "fixed_sigma2_0.005"])
def test_information_and_variance_are_those_of_the_encodings(studies, name):
    """Bars of exact information with circles of Definition 3 above, S below."""
    study = studies["mnist"]
    mean, var = study.encoded(name)
    figure = information_plot(study, name, "Fig. 10")
    plots = figure.findobj(lambda artist: getattr(artist, "get_ylabel", str)() != "")
    (upper,) = [ax for ax in plots if "I(x; z_h)" in ax.get_ylabel()]
    (lower,) = [ax for ax in plots if ax.get_ylabel() == "moment S"]
    heights = marginals(mean, var).information
    drawn = _ends(upper)
    assert all(np.abs(drawn - h).min() < 1e-6 for h in heights)
    second = np.mean(mean.astype(float) ** 2 + var, axis=0)
    assert all(np.abs(_ends(lower) - s).min() < 1e-5 for s in second)


def _ends(ax):
    """All vertical positions that lines, dots and segments of an axes have."""
    found = [np.asarray(artist.get_ydata(), float).ravel() for artist in ax.lines]
    for collection in ax.collections:
        found.append(np.asarray(collection.get_offsets(), float)[:, 1:].ravel())
        segments = getattr(collection, "get_segments", list)()
        found += [np.asarray(segment)[:, 1] for segment in segments]
    return np.concatenate(found)


def test_traversals_are_blocks_of_the_most_informative_latents(studies):
    study, name = studies["mnist"], "fixed_sigma2_0.005"
    mean, var = study.encoded(name)
    information = marginals(mean, var).information
    used = [int(h) for h in np.argsort(-information) if information[h] > 0.5]
    assert 1 < len(used) < 3
    figure = traversals(study, name, "Fig. 12")
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert titles == [f"latent {h}   I = {information[h]:.2f} nats" for h in used]
    chosen = some(rows(study.data, "test"), 5, seed=0)
    sweeps = traverse(study.checkpoint(name).model, study.data.images[chosen], used)
    mosaic = np.asarray(figure.axes[1].images[0].get_array())
    last = np.round(255 * np.clip(sweeps[4, 1, -1, 0], 0, 1))
    np.testing.assert_allclose(mosaic[-8:, -8:, 0], last, atol=1)
    np.testing.assert_array_equal(mosaic[:8, :8, 0], study.data.images[chosen[0], 0])
    assert len(traversals(study, name, "Fig. 12", 1).axes) == 1


def test_a_model_that_uses_no_latent_has_one_block(studies):
    study = studies["mnist"]
    few = [name for name, row in study.rows.items() if row["used_exact"] == 0]
    assert few
    figure = traversals(study, few[0], "Fig. 13")
    assert len(figure.axes) == 1
    assert "0 of 3 latents carry more than 0.5 nats" in words(figure)


def test_two_figures_below_each_other_keep_every_pixel(studies, tmp_path, monkeypatch):
    parts, pixels = [], module._pixels

    def spy(figure):
        parts.append(pixels(figure))
        return parts[-1]

    monkeypatch.setattr(module, "_pixels", spy)
    whole = png(FIGURES["mnist"]["figure_02"].draw(studies["mnist"]), tmp_path / "a.png")
    first, second = parts
    assert len(whole) == len(first) + len(second)
    assert whole.shape[1] == max(first.shape[1], second.shape[1])
    for part, rest in ((first, whole[: len(first)]), (second, whole[len(first) :])):
        left = (whole.shape[1] - part.shape[1]) // 2
        np.testing.assert_array_equal(rest[:, left : left + part.shape[1]], part)
        assert (rest[:, :left] == 255).all()
        assert (part < 250).any()


# ------------------------------------------------------------------------ all at once


def test_all_figures_are_written(studies, tmp_path):
    """With a bar that counts them."""
    seen = []

    def progress(work, description, total):
        seen.append((description, total))
        yield from work

    paths, missing = draw_all(studies["yale"], tmp_path / "figures", progress=progress)
    assert [path.name for path in paths] == ["figure_14.png", "noise_of_the_network.png"]
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == sorted(
        path.name for path in paths
    )
    assert missing == {}
    assert seen == [("drawing", 2)]


@pytest.fixture
def unsaved(monkeypatch):
    """Write nothing; and draw nothing of a single run, which other tests do."""
    monkeypatch.setattr(module, "save", lambda figure, path: path)
    for figure, figured in FIGURES["mnist"].items():
        if any(need in GRIDS["mnist"] for need in figured.needs):
            stub = figured._replace(draw=lambda study: Figure())
            monkeypatch.setitem(FIGURES["mnist"], figure, stub)


def alone(name):
    return {figure for figure, figured in FIGURES["mnist"].items() if name in figured.needs}


@pytest.mark.parametrize("name", ["learned_beta_10", "fixed_sigma2_0.11"])
def test_a_run_that_is_missing_is_named(studies, tmp_path, unsaved, name):
    """And all other figures are drawn."""
    paths, missing = draw_all(without(studies["mnist"], name), tmp_path)
    assert missing == {figure: f"needs {name}" for figure in alone(name)}
    assert {path.stem for path in paths} == set(FIGURES["mnist"]) - alone(name)


@pytest.mark.parametrize(
    ("kept", "drawn_too"),
    [
        ({"fixed_sigma2_0.02"}, {4, 5, 6}),
        ({"fixed_sigma2_0.11", "fixed_sigma2_0.02"}, {4, 5, 6, 12, 16}),
        ({"learned_beta_10"}, {2, 4, 5, 6, 8, 9, 13}),
        ({"learned_beta_1"}, {4, 5, 6, 8, 9, 10}),
    ],
)
def test_a_study_of_few_runs(studies, tmp_path, unsaved, kept, drawn_too):
    """Curves of one point, or of noise of one kind, are drawn, and empty ones are not."""
    study = studies["mnist"]
    paths, missing = draw_all(without(study, *(set(study.rows) - kept)), tmp_path)
    assert {int(path.stem[-2:]) for path in paths} == drawn_too
    assert set(missing) == set(FIGURES["mnist"]) - {path.stem for path in paths}
    for why in missing.values():
        words = why.split()
        assert words[0] == "needs"
        assert kept.isdisjoint(words)


def test_nothing_to_draw(studies, tmp_path):
    for name, study in studies.items():
        paths, missing = draw_all(replace(study, rows={}), tmp_path / "figures")
        assert paths == []
        for figure, figured in FIGURES[name].items():
            assert all(run in missing.get(figure, "") for run in figured.needs)
        assert not (tmp_path / "figures").exists()
    array = replace(studies["mnist"], dataset="array")
    assert draw_all(array, tmp_path) == ([], {})


def of_seed(study, seed):
    rows = {f"{n}_seed_{seed}": row | {"seed": seed} for n, row in study.rows.items()}
    return replace(study, rows=rows)


def test_runs_of_another_seed_are_no_second_point(studies):
    """Curves are of one seed: the first that there is."""
    study = studies["mnist"]
    other = of_seed(study, 3)
    both = replace(study, rows=other.rows | study.rows)
    for figure in ("figure_05", "figure_08"):
        expected, found = (FIGURES["mnist"][figure].draw(s).axes[0] for s in (study, both))
        for one, two in zip(expected.lines, found.lines, strict=True):
            np.testing.assert_array_equal(one.get_xydata(), two.get_xydata())


def test_a_study_of_another_seed_alone(studies, tmp_path, unsaved, monkeypatch):
    other, load = of_seed(studies["mnist"], 3), Study.checkpoint
    monkeypatch.setattr(
        Study, "checkpoint", lambda self, name: load(self, name.removesuffix("_seed_3"))
    )
    encoded = Study.encoded
    monkeypatch.setattr(
        Study, "encoded", lambda self, name: encoded(self, name.removesuffix("_seed_3"))
    )
    paths, missing = draw_all(other, tmp_path)
    assert {path.stem for path in paths} == set(FIGURES["mnist"])
    assert missing == {}
    x, _ = line(FIGURES["mnist"]["figure_09"].draw(other).axes[0], "here")
    assert list(x) == [0.5, 1, 10]


def test_an_indicator_of_zero_is_left_out_of_a_logarithmic_axis(studies):
    """As where nothing is learned: no warning."""
    zero = dict.fromkeys(["kl_aggregate_prior", "mutual_information", "total_information"], 0.0)
    study = studies["mnist"]
    rows = study.rows | {"learned_beta_10": study.rows["learned_beta_10"] | zero}
    for figure in ("figure_05", "figure_06"):
        FIGURES["mnist"][figure].draw(replace(study, rows=rows)).draw_without_rendering()


def test_failure_of_one_file_leaves_those_before_it(studies, tmp_path, monkeypatch):
    calls = []

    def full(self, *arguments, savefig=Figure.savefig, **options):
        calls.append(self)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        savefig(self, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", full)
    with pytest.raises(OSError, match="No space left"):
        draw_all(studies["yale"], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["figure_14.png"]


def test_lines_go_from_left_to_right(studies):
    """Whatever the order of the runs in the table."""
    study = studies["mnist"]
    backwards = replace(study, rows=dict(reversed(study.rows.items())))
    for figure in ("figure_04", "figure_05", "figure_06", "figure_08", "figure_09"):
        for ax in FIGURES["mnist"][figure].draw(backwards).axes:
            for drawn in ax.lines:
                if drawn.get_label() != "printed in the paper":
                    assert all(a <= b for a, b in pairwise(drawn.get_xdata()))
