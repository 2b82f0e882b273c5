"""MED: DCI's formula by loops on mutual information by counting."""

import numpy as np
import pytest
from golden import information, small

from disentangle_indicators.supervised._metric import measure
from disentangle_indicators.supervised.med import METRIC, med


def plain(r):
    """Disentanglement by loops over latents."""
    value = 0.0
    for row in r:
        if row.sum() > 0:
            p = row[row > 0] / row.sum()
            value += row.sum() / r.sum() * (1 + np.sum(p * np.log(p)) / np.log(r.shape[1]))
    return value


def test_the_small_arrays():
    codes, factors = small()
    mutual = information(codes, factors, 20)[0]
    r = mutual / mutual.sum(axis=0)
    outcome = measure(METRIC, codes, factors, protocol="cao2022")
    assert outcome.value == pytest.approx(plain(r), abs=1e-12)
    columns = [plain(column[None, :]) for column in r.T]
    assert outcome.parts["completeness"] == pytest.approx(np.mean(columns), abs=1e-12)
    np.testing.assert_allclose(outcome.matrix, mutual, atol=1e-12)


def test_the_best_latents_of_each_factor():
    codes, factors = small()
    mutual = information(codes, factors, 20)[0]
    r = mutual / mutual.sum(axis=0)
    for top in (1, 2):
        kept = np.zeros_like(r)
        for k in range(4):
            best = [h for h in range(6) if r[h].any() and r[h].argmax() == k]
            best.sort(key=lambda h: -plain(r[h : h + 1]))
            kept[best[:top]] = r[best[:top]]
        found = med(codes, factors, protocol="cao2022-top", top=top)
        assert found == pytest.approx(plain(kept), abs=1e-12)
    assert med(codes, factors, protocol="cao2022-top", top=6) == pytest.approx(plain(r))


def test_noise_and_dead_latents():
    rng = np.random.default_rng(0)
    factors = np.stack([rng.integers(m, size=3000) for m in (3, 6, 40)], axis=1)
    assert med(rng.normal(size=(3000, 6)), factors) == 0
    more = np.hstack([factors, rng.normal(size=(3000, 20)), np.zeros((3000, 1))])
    assert med(more, factors) == pytest.approx(1, abs=1e-3)
    assert med(more, factors, protocol="cao2022") < 0.9
    assert med(factors @ [[1], [1], [1]], factors[:, 0]) == 1


def test_refused():
    with pytest.raises(ValueError, match="importance must be share or column; got 'row'"):
        med([[0.0], [1.0]], [0, 1], importance="row")
    with pytest.raises(ValueError, match="top must be at least 1; got 0"):
        med([[0.0], [1.0]], [0, 1], top=0)
