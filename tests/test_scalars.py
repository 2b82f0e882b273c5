"""to_scalars: flat numbers for loggers; and a scorecard of sums over rows."""

import re

import numpy as np
import pytest

from disentangle_indicators import Moments, estimate_q_star, indicators, score
from disentangle_indicators.registry import COUNTS, INDICATORS

RNG = np.random.default_rng(0)
VAR = np.broadcast_to([0.05, 0.7, 1.0], (300, 3))
MEAN = RNG.normal(size=(300, 3)) * np.sqrt(1 - VAR)

RESULTS = {
    "indicators": lambda: indicators(MEAN, VAR),
    "covariance": lambda: indicators(MEAN, VAR, covariance=True),
    "moments": lambda: indicators(moments=Moments.of(MEAN, VAR)),
    "score": lambda: score(MEAN, var=VAR),
    "everything": lambda: score(
        MEAN, var=VAR, factors=MEAN[:, :1] > 0, metrics="mig,sap", joint=100, certify=True
    ),
    "means": lambda: score(MEAN),
    "one row": lambda: score(MEAN[:1], var=VAR[:1]),
    "q_star": lambda: estimate_q_star(MEAN, VAR),
}


@pytest.mark.parametrize("name", RESULTS)
def test_scalars_are_flat_finite_floats_under_names_that_loggers_take(name):
    found = RESULTS[name]().to_scalars(prefix="val/")
    assert found
    assert all(type(value) is float and np.isfinite(value) for value in found.values())
    assert [key for key in found if not re.fullmatch(r"val/[\w.\-]+", key)] == []
    assert "val/threshold" not in found
    assert "val/prior_mean" not in found


def test_scalars_are_the_numbers_of_the_result():
    result = indicators(MEAN, VAR, covariance=True)
    found = result.to_scalars()
    totals = [name for name, each in INDICATORS.items() if not each.per_latent]
    errors = [f"{name}_se" for name in totals if name in result.standard_errors]
    assert {*found} == {*totals, *COUNTS, *errors}
    assert found["used"] == result.used
    assert found["mutual_information_se"] == result.standard_errors["mutual_information"]


def test_a_scorecard_adds_its_sections():
    card = RESULTS["everything"]()
    found = card.to_scalars()
    assert found["mutual_information"] == card.mutual_information
    assert found["marginals.total_kl_prior"] == card.marginals.total_kl_prior
    assert found["joint.kl_aggregate_prior"] == card.joint.kl_aggregate_prior
    assert "joint.kl_aggregate_prior_se" in found
    assert found["metrics.mig-default"] == card.metrics.metrics["mig@default"].value
    assert score(MEAN).to_scalars() == {"active_units": 2.0}


def test_a_scorecard_of_moments():
    rows, sums = score(MEAN, var=VAR), score(moments=Moments.of(MEAN, VAR), name="epoch 3")
    assert sums.name == "epoch 3"
    assert sums.states == rows.states
    assert sums.mutual_information == pytest.approx(rows.mutual_information)
    assert sorted(sums.verdict) == ["PRIOR", "TRUST", "USED"]
    assert sums.marginals is None
    assert sums.reasons == {"marginals": "they need the rows"}
    assert "epoch 3" in repr(sums)
    assert sums.to_dict()["provenance"]["inputs"][0]["name"] == "moments"
    wide = score(moments=Moments.of(MEAN, VAR, covariance=True), threshold=0.1)
    assert wide.threshold == 0.1
    assert wide.gaussian_total_correlation is not None


@pytest.mark.parametrize(
    "beside",
    [
        {"mean": MEAN},
        {"logvar": VAR},
        {"joint": True},
        {"marginals": True},
        {"certify": True},
        {"clusters": np.arange(300)},
        {"factors": MEAN},
        {"batches": []},
    ],
)
def test_moments_exclude_what_needs_the_rows(beside):
    (name,) = beside
    with pytest.raises(ValueError, match=f"moments= stand for the rows; they exclude {name}"):
        score(moments=Moments.of(MEAN, VAR), **beside)
