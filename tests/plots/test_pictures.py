"""Pictures of latents, of the aggregated posterior, of factors, of models and of trainings."""

from itertools import pairwise

import numpy as np
import pytest
from matplotlib.collections import LineCollection, PathCollection

from disentangle_indicators import indicators, plots, score
from disentangle_indicators._errors import Undefined
from disentangle_indicators.comparison import compare
from disentangle_indicators.plots._style import figure_of

LONG = "runs/" + "x" * 80


def encodings(d, n=60):
    width = np.minimum(np.geomspace(0.01, 1.2, d), 0.999)
    rng = np.random.default_rng(d)
    return rng.normal(size=(n, d)) * np.sqrt(1 - width), np.tile(width, (n, 1))


CARDS: dict = {}


def card(d):
    if d not in CARDS:
        mean, var = encodings(d)
        few = d <= 10
        factors = (mean[:, :2] > 0) * 1 if few else None
        CARDS[d] = score(
            mean,
            var=var,
            name=LONG,
            joint=few,
            marginals=few,
            factors=factors,
            factor_names=["a" * 80, "b"] if few else None,
            metrics="sap" if few else None,
        )
    return CARDS[d]


def outside(ax):
    """The texts of a figure that reach beyond it, after it is drawn."""
    figure = figure_of(ax)
    figure.draw_without_rendering()
    width, height = figure.bbox.size
    texts = [t for a in figure.findobj(lambda x: hasattr(x, "title")) for t in (a.title,)]
    found = [t for t in texts if t.get_text()]
    boxes = [t.get_window_extent() for t in found]
    return [
        t.get_text()
        for t, b in zip(found, boxes, strict=True)
        if b.x0 < -1 or b.x1 > width + 1 or b.y0 < -1 or b.y1 > height + 1
    ]


@pytest.mark.parametrize(
    "d", [2, *(pytest.param(d, marks=pytest.mark.slow) for d in (10, 128)), 1024]
)
@pytest.mark.parametrize("name", ["pulse", "information", "variances", "correlation", "marginals"])
def test_no_title_leaves_the_picture_whatever_the_size_and_the_name(name, d):
    ax = plots.PLOTS[name](card(d))
    assert outside(ax) == []
    assert "x" * 10 in ax.get_title()


@pytest.mark.parametrize("name", ["brackets", "matrix"])
def test_pictures_of_a_section_keep_their_titles_inside(name):
    assert outside(plots.PLOTS[name](card(2))) == []


def test_information_is_in_order_and_its_share_ends_at_all_of_it():
    found = card(10)
    ax = plots.information(found)
    heights = [bar.get_height() for bar in ax.patches]
    np.testing.assert_allclose(heights, np.sort(found.marginals.information)[::-1])
    levels = [line.get_ydata()[0] for line in ax.lines[:2]]
    assert levels == [0.5, 0.01]
    (right,) = [a for a in ax.figure.axes if a is not ax]
    share = right.lines[0].get_ydata()
    assert share[-1] == pytest.approx(100)
    whole = found.marginals.information.sum()
    assert share[0] == pytest.approx(100 * found.marginals.information.max() / whole)


def test_information_without_marginals_is_that_of_definition_3():
    ax = plots.information(indicators(*encodings(4)))
    assert ax.get_ylabel() == "Definition 3 [nats]"


def test_the_two_variances_of_each_latent_are_drawn_at_their_place():
    found = card(10)
    ax = plots.variances(found)
    dots = ax.collections[0].get_offsets()
    np.testing.assert_allclose(dots, np.c_[found.mean_variance, found.posterior_variance])
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")


def test_marginals_have_a_panel_for_each_of_the_most_informative_latents():
    found = card(10)
    ax = plots.marginals(found)
    order = np.argsort(-found.marginals.information)[:9]
    titles = [text.get_text() for text in ax.texts if text.get_text().startswith("latent")]
    assert [int(t.split()[1].rstrip(":")) for t in titles] == order.tolist()
    for lines in zip(*(part.get_segments() for part in ax.collections[1:4]), strict=True):
        areas = [np.trapezoid(y - lines[2][0, 1], x) for x, y in (line.T for line in lines)]
        np.testing.assert_allclose(areas[:2], areas[2], rtol=4e-3)  # beyond 3.2 lie 1.4e-3
    figure_of(ax).draw_without_rendering()
    first = [ax.texts.index(t) for t in ax.texts if t.get_text() in titles]
    panels = [ax.texts[a:b] for a, b in zip(first, [*first[1:], None], strict=True)]
    for above, below in zip(panels[:6], panels[3:], strict=True):
        numbers = min(t.get_window_extent().y0 for t in above[1:])
        assert numbers > below[0].get_window_extent().y1 + 15  # pixels of 1/150 inch


def test_the_numbers_below_a_panel_are_at_their_places():
    """The prior is 0.135 times as high at 2, and all curves begin at the panel's lower edge."""
    ax = plots.marginals(card(2), most=1)
    (prior,) = ax.collections[3].get_segments()
    (base,) = ax.collections[4].get_segments()
    at = {t.get_text(): t.get_position() for t in ax.texts if len(t.get_text()) <= 2}
    x, y = prior[:, 0], prior[:, 1] - base[0, 1]
    assert np.interp(at["0"][0], x, y) == pytest.approx(y.max(), rel=1e-3)
    for number in ("2", "\N{MINUS SIGN}2"):
        assert np.interp(at[number][0], x, y) == pytest.approx(np.exp(-2) * y.max(), rel=1e-2)
    assert {place[1] for place in at.values()} == {base[0, 1]}


def test_correlations_are_squares_of_that_area_and_negative_ones_are_open():
    x = np.random.default_rng(0).normal(size=(400, 2))
    mean = np.c_[x[:, 0], -x[:, 0], x[:, 1]]
    ax = plots.correlation(indicators(mean, np.full((400, 3), 0.01), covariance=True))
    sides = {
        patch.get_facecolor()[3] > 0: np.ptp(p.vertices[:, 0])
        for patch in ax.patches
        for p in [patch.get_path()]
    }
    assert sides[False] > 0.9
    assert f"greatest |r| = {0.99:.2f} (0, 1)" in ax.get_title()


def test_brackets_reach_from_bound_to_bound_and_show_the_value_of_the_paper():
    found = card(2)
    from disentangle_indicators.aggregate._joint_result import span

    ax = plots.brackets(found)
    for patch, name in zip(
        ax.patches, ("mutual_information", "total_correlation", "kl_aggregate_prior"), strict=True
    ):
        low, high = span(found.joint, name)
        assert (patch.get_x(), patch.get_x() + patch.get_width()) == pytest.approx((low, high))
    papers = [
        c.get_offsets()[0, 0]
        for c in ax.collections
        if isinstance(c, PathCollection) and c.get_facecolor().size == 0
    ]
    expected = [found.mutual_information, found.gaussian_total_correlation]
    np.testing.assert_allclose(papers, [*expected, found.kl_aggregate_prior], atol=1e-9)


def test_a_matrix_is_drawn_as_it_is():
    found = card(2)
    (score_,) = found.metrics.metrics.values()
    heat = plots.matrix(found)
    np.testing.assert_allclose(heat.images[0].get_array(), score_.matrix)
    hinton = plots.matrix(found, kind="hinton")
    most = np.abs(score_.matrix).max()
    path = hinton.patches[0].get_path().vertices.reshape(-1, 6, 2)[:, :5]
    sides = np.sort(np.ptp(path[:, :, 0], axis=1))
    expected = np.sort(0.92 * np.sqrt(score_.matrix[score_.matrix > 1e-3 * most] / most))
    np.testing.assert_allclose(sides, expected)
    used = len(next(iter(card(10).metrics.metrics.values())).latents)
    assert plots.matrix(card(10), most=1).get_ylabel() == f"latent, 1 of {used}"
    with pytest.raises(ValueError, match="heat map"):
        plots.matrix(found, kind="bars")


def models(k):
    mean, var = encodings(3)
    return compare([score(mean, var=var / (i + 1), name=f"m{i}", joint=False) for i in range(k)])


def test_rates_stand_at_beta_with_their_ranges():
    several = models(3)
    ax = plots.rate(several, x=[1, 4, 16], xlabel="β")
    assert ax.get_xscale() == "log"
    (rate,) = [
        line for line in ax.lines if np.size(line.get_xdata()) == 3 and line.get_marker() == "o"
    ]
    expected = [line.values["kl_posterior_prior"] for line in several.lines]
    np.testing.assert_allclose(np.asarray(rate.get_ydata(), dtype=float), expected)
    spans = [c.get_segments()[0][:, 1] for c in ax.collections if isinstance(c, LineCollection)]
    assert any(np.allclose(s, several.lines[0].distance) for s in spans if len(s) == 2)
    with pytest.raises(ValueError, match="x must have one number an encoder, 3; got 1"):
        plots.rate(several, x=[1])


@pytest.mark.parametrize("k", [2, 60])
def test_names_of_encoders_are_written_below_them(k):
    mean, var = encodings(3)
    one = score(mean, var=var, name=LONG, joint=False)
    ax = plots.rate(compare([one] * k))
    assert outside(ax) == []
    assert len(ax.get_xticks()) == k


def test_a_history_is_drawn_from_columns_and_from_its_file(tmp_path):
    columns = {"epoch": [1, 2, 3], "kl_posterior_prior": [0.0, 1.0, 2.5], "used": [0, 1, 1]}
    ax = plots.training(columns)
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), [[1, 0], [2, 1], [3, 2.5]])
    path = tmp_path / "history.csv"
    path.write_text("epoch,kl_posterior_prior\n1,0.5\n2,0.75\n")
    np.testing.assert_array_equal(plots.training(path).lines[0].get_ydata(), [0.5, 0.75])
    with pytest.raises(ValueError, match="at least one of the columns"):
        plots.training({"epoch": [1]})


def test_a_picture_that_the_result_has_not_is_undefined():
    mean, var = encodings(2)
    bare = score(mean, var=var, joint=False, marginals=False, covariance=False)
    for name in ("brackets", "correlation", "matrix"):
        with pytest.raises(Undefined, match="without"):
            plots.PLOTS[name](bare)
    for name in ("information", "variances", "marginals"):
        with pytest.raises(Undefined, match="means only"):
            plots.PLOTS[name](score(mean))


def test_latents_without_correlation_have_no_greatest_pair():
    mean = np.array([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]])
    title = plots.correlation(score(mean, var=np.full((4, 2), 0.1))).get_title()
    assert title.endswith("greatest |r| = 0.00")


def test_powers_of_ten_do_not_overlap():
    mean, var = encodings(3)
    var = np.hstack([var[:, :2], np.full((len(var), 1), 1e-20)])
    ax = plots.variances(indicators(mean * [1, 1, 1e-9], var))
    figure_of(ax).draw_without_rendering()
    inside = [
        t
        for t in ax.get_xticklabels()
        if 0 <= ax.transAxes.inverted().transform(t.get_window_extent())[0, 0] <= 1
    ]
    boxes = sorted((t.get_window_extent() for t in inside), key=lambda box: box.x0)
    assert len(boxes) >= 3
    assert all(b.x0 - a.x1 > 15 for a, b in pairwise(boxes))
