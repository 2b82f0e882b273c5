"""DCIMIG: against counting, and what it counts once."""

import numpy as np
import pytest
from golden import arrays, information, records, small

from disentangle_indicators.supervised._metric import measure
from disentangle_indicators.supervised.dcimig import METRIC, dcimig


def plain(codes, factors):
    mutual, _, h_factors, _ = information(codes, factors, 10, 10)
    best = dict.fromkeys(range(len(h_factors)), 0.0)
    for row in mutual:
        own, gap = int(np.argmax(row)), np.sort(row)[-1] - np.sort(row)[-2]
        best[own] = max(best[own], gap)
    return sum(best.values()) / h_factors.sum()


def test_the_small_arrays():
    codes, factors = small()
    value = dcimig(codes, factors, protocol="ubisoft")
    assert value == pytest.approx(plain(codes, factors), abs=1e-12)


def test_the_share_of_the_entropy_that_is_clean():
    factors = np.stack([g.ravel() for g in np.meshgrid(*map(np.arange, (2, 3, 4)))], axis=1)
    assert dcimig(factors, factors) == pytest.approx(1, abs=1e-12)
    again = np.hstack([factors, factors, np.zeros((24, 2))])
    assert dcimig(again, factors) == pytest.approx(1, abs=1e-12)
    outcome = measure(METRIC, factors[:, 1:], factors)
    assert outcome.value == pytest.approx(np.log(12) / np.log(24))
    np.testing.assert_allclose(outcome.per_factor, [0, 1, 1], atol=1e-12)
    mixed = (factors[:, 0] * 3 + factors[:, 1])[:, None]
    assert dcimig(mixed, factors) == pytest.approx(np.log(3 / 2) / np.log(24))


def test_one_factor():
    assert dcimig(np.arange(12)[:, None] % 3, np.arange(12) % 3) == pytest.approx(1)


@pytest.mark.parametrize(("name", "value"), records("ubisoft", "dcimig"))
def test_ubisoft(name, value):
    assert dcimig(*arrays(name), protocol="ubisoft") == pytest.approx(value, abs=1e-9)
