"""draw: the picture that belongs to a result, in a figure that shows itself."""

from io import BytesIO

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from disentangle_indicators import indicators, plots, score
from disentangle_indicators._errors import Undefined
from disentangle_indicators.aggregate import density, joint
from disentangle_indicators.comparison import compare, match, sweep
from disentangle_indicators.rotation import audit_rotations, axes
from disentangle_indicators.supervised import evaluate_metrics
from disentangle_indicators.theorems import theorems

RNG = np.random.default_rng(0)
MEAN, VAR = RNG.normal(size=(60, 2)), np.full((60, 2), 0.1)

RESULTS = {
    "Scorecard": lambda: score(MEAN, var=VAR),
    "Indicators": lambda: indicators(MEAN, VAR),
    "MeansOnly": lambda: score(MEAN).result,
    "Density": lambda: density(MEAN, VAR, latent=0),
    "Audit": lambda: audit_rotations("mig", MEAN, MEAN > 0, rotations=5, search=False, rng=0),
    "Axes": lambda: axes(MEAN, VAR, rng=0),
    "Match": lambda: match([(MEAN, VAR)] * 3, same_rows=True, rotations=19),
    "Joint": lambda: joint(MEAN, VAR, rng=0),
    "Scores": lambda: sap(),
    "MetricScore": lambda: next(iter(sap().metrics.values())),
    "Comparison": lambda: compare([score(MEAN, var=VAR, joint=False)] * 2),
    "Theorems": lambda: theorems(MEAN, VAR, axes=False),
    "Sweep": lambda: sweep(compare([score(MEAN, var=VAR, joint=False)] * 3), [1, 2, 4]),
}


def sap():
    return evaluate_metrics("sap", MEAN, MEAN > 0, permutations=0, rng=0)


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_draws_its_picture_and_puts_it_into_html(name):
    result = RESULTS[name]()
    assert type(result).__name__ == name
    figure = result.plot()
    assert isinstance(figure, Figure)
    assert imread(BytesIO(figure._repr_png_())).shape[2] == 4
    assert result._repr_html_().count("<img ") == 1


def test_a_result_without_anything_to_draw_shows_its_table_alone():
    collapsed = theorems(np.zeros((60, 2)), np.ones((60, 2)))
    assert "<img" not in collapsed._repr_html_()
    with pytest.raises(Undefined, match="the picture needs an intrinsic dimension"):
        collapsed.plot()


def test_every_class_with_a_picture_is_tried():
    assert {*RESULTS, "Audits"} == {kind.__name__ for kind in plots.DRAWN}
