"""RMIG: the gap in nats, and how it is divided."""

import numpy as np
import pytest
from golden import arrays, information, records, small

from disentangle_indicators.supervised._metric import measure
from disentangle_indicators.supervised.mig import mig
from disentangle_indicators.supervised.rmig import METRIC, rmig


def plain(codes, factors, bins, factor_bins, divide_by):
    mutual, h_codes, h_factors, _ = information(codes, factors, bins, factor_bins)
    scale = {"nats": 1.0, "factor": h_factors, "code": h_codes[:, None]}[divide_by]
    top = np.sort(mutual / scale, axis=0)
    return float(np.mean(top[-1] - top[-2]))


def test_the_small_arrays():
    codes, factors = small()
    moving = codes[:, :5]
    published = measure(METRIC, codes, factors, protocol="do2020")
    assert published.value == pytest.approx(plain(moving, factors, 100, None, "factor"))
    assert published.parts["nats"] == pytest.approx(plain(moving, factors, 100, None, "nats"))
    value = rmig(codes, factors, protocol="ubisoft")
    assert value == pytest.approx(plain(moving, factors, 10, 10, "code"))
    with np.errstate(invalid="ignore"):
        assert np.isnan(plain(codes, factors, 10, 10, "code"))  # a constant code, as it is there


def test_nats_and_share():
    rng = np.random.default_rng(0)
    factors = np.stack([np.arange(400) % 2, np.arange(400) // 2 % 8], axis=1)
    codes = factors + 0.2 * rng.normal(size=factors.shape)
    outcome = measure(METRIC, codes, factors)
    assert outcome.value == outcome.parts["nats"]
    assert outcome.parts["normalised"] == pytest.approx(mig(codes, factors), abs=1e-12)
    assert outcome.value == pytest.approx(rmig(codes, factors, divide_by=None))
    assert rmig(codes, factors, divide_by="factor") == pytest.approx(mig(codes, factors))


def test_a_perfect_code_has_all_the_entropy():
    factors = np.stack(np.divmod(np.arange(60), 5), axis=1)
    assert rmig(factors, factors) == pytest.approx((np.log(12) + np.log(5)) / 2)
    assert rmig(np.tile(factors, 2), factors) == pytest.approx(0, abs=1e-12)


def test_parameters_out_of_range():
    with pytest.raises(ValueError, match="divide_by must be None, factor or code; got 'nats'"):
        rmig([[0.0], [1.0]], [0, 1], divide_by="nats")


@pytest.mark.parametrize(("name", "value"), records("ubisoft", "mig_rmig"))
def test_ubisoft(name, value):
    assert rmig(*arrays(name), protocol="ubisoft") == pytest.approx(value, abs=1e-9)
