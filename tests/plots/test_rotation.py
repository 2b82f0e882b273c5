"""violin and pairs: what they mark and label."""

import numpy as np
import pytest

from disentangle_indicators.plots import pairs, violin
from disentangle_indicators.rotation import Audits, audit_rotations, axes
from disentangle_indicators.rotation._orthogonal import givens

MIG = "mig@locatello2019"


def total_variance(codes, factors, rng):
    return np.sum(np.var(codes, axis=0))


def audit(score, **options):
    """Of a code that is three factors, of which two are turned by 30 degrees."""
    factors = np.random.default_rng(0).integers(8, size=(400, 3))
    code = (factors - factors.mean()) / factors.std() @ givens(3, 0, 2, np.pi / 6).T
    return audit_rotations(score, code, factors, rotations=19, rng=0, **options)


@pytest.fixture(scope="module")
def searched():
    return audit(MIG)


def test_the_violin_marks_the_own_score_and_the_extremes(searched):
    flat = audit(total_variance, search=False)
    ax = violin({"mig": searched, "flat": flat})
    assert [label.get_text() for label in ax.get_xticklabels()] == [MIG, "total_variance"]
    heights = [c.get_segments()[0][0][1] for c in ax.collections if hasattr(c, "get_segments")]
    assert searched.score in heights
    marks = [c.get_offsets()[0] for c in ax.collections if len(c.get_offsets()) == 1]
    assert {searched.best.score, searched.worst.score} <= {float(y) for _, y in marks}
    low, high = ax.get_ylim()
    assert low < searched.worst.score < searched.best.score < high
    assert len(ax.get_legend().get_texts()) == 5
    assert len(violin(flat).get_legend().get_texts()) == 3


def test_audits_of_every_kind_are_drawn(searched):
    ax = violin(searched)
    for given in ([searched], {"a": searched}, Audits("name", "source", {"a": searched}, ())):
        assert violin(given, ax) is ax
        assert [label.get_text() for label in ax.get_xticklabels()] == [MIG]
    for empty in ([], {}, Audits("name", "source", {}, ())):
        with pytest.raises(ValueError, match="audits must hold at least one"):
            violin(empty)


@pytest.fixture(scope="module")
def found():
    """Three sources, of which two are turned by 30 degrees."""
    sources = np.random.default_rng(0).uniform(-1.7, 1.7, size=(1500, 3)) * [1.2, 1.0, 0.9]
    mean = sources @ givens(3, 0, 2, np.pi / 6).T
    return axes(mean, np.full_like(mean, 0.05), rng=0)


def test_there_are_a_gain_and_a_cost_for_each_pair(found):
    ax = pairs(found)
    frame = found.to_frame()
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        f"{i}, {j}" for i, j in zip(frame["i"], frame["j"], strict=True)
    ]
    left, right = ([bar.get_width() for bar in part] for part in np.split(np.array(ax.patches), 2))
    assert left == (-frame["gain"].clip(0)).tolist()
    assert right == frame["cost"].clip(0).tolist()
    angle, *sides = (text.get_text() for text in ax.texts)
    assert sides == ["← best angle", "worst angle →"]
    assert abs(abs(float(angle.removesuffix("°"))) - 30) < 5
    assert len(pairs(found, most=2).get_yticks()) == 2
    assert pairs(found, ax) is ax


def test_no_pairs_are_an_empty_picture():
    ax = pairs(axes(np.zeros((50, 3)), np.ones((50, 3)), rng=0))
    ax.figure.draw_without_rendering()
    assert list(ax.get_yticks()) == []
    assert ax.get_legend() is None
