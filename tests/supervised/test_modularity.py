"""Modularity: against its formula by loops, and what noise and dead latents score."""

import numpy as np
import pytest
from golden import arrays, information, records, small

from disentangle_indicators.factors import as_table
from disentangle_indicators.supervised import _information as info
from disentangle_indicators.supervised._metric import measure
from disentangle_indicators.supervised.modularity import METRIC, modularity


def plain(codes, factors, bins, factor_bins=None):
    """Ridgeway & Mozer by loops; nan where a latent knows nothing at all."""
    scores = []
    for row in information(codes, factors, bins, factor_bins)[0]:
        template = np.zeros(len(row))
        template[np.argmax(row)] = row.max()
        with np.errstate(invalid="ignore", divide="ignore"):
            error = np.sum((row - template) ** 2) / (row.max() ** 2 * (len(row) - 1))
        scores.append(1 - error)
    return np.array(scores)


@pytest.mark.parametrize(
    ("protocol", "bins"),
    [("locatello2019", (20, None)), ("dent", (20, 20)), ("ubisoft", (10, 10))],
)
def test_the_small_arrays(protocol, bins):
    codes, factors = small()
    expected = plain(codes[:, :5], factors, *bins)
    outcome = measure(METRIC, codes, factors, protocol=protocol)
    np.testing.assert_allclose(outcome.per_latent, [*expected, 0], atol=1e-12)
    assert outcome.value == pytest.approx(expected.sum() / 6, abs=1e-12)
    assert not np.isfinite(plain(codes, factors, *bins)).all()  # a constant code: nan in ubisoft's


def sprites(rng, n=10_000):
    return np.stack([rng.integers(m, size=n) for m in (3, 6, 40, 32, 32)], axis=1)


def test_noise_scores_nothing_by_default():
    rng = np.random.default_rng(0)
    factors = sprites(rng)
    codes = rng.normal(size=(10_000, 10))
    assert modularity(codes, factors) < 0.05
    assert modularity(codes, factors, protocol="locatello2019") > 0.6
    assert modularity(codes, factors, protocol="ubisoft") > 0.4


def test_noise_seldom_scores():
    rng = np.random.default_rng(1)
    factors = rng.integers([3, 6, 12], size=(300, 3))
    scores = [modularity(rng.normal(size=(300, 4)), factors) for _ in range(200)]
    assert np.mean(np.array(scores) > 0) < 0.03


def test_dead_latents_cost_nothing_by_default():
    rng = np.random.default_rng(0)
    factors = sprites(rng)
    codes = np.hstack([factors, rng.normal(size=(10_000, 4)), np.zeros((10_000, 1))])
    outcome = measure(METRIC, codes, factors)
    assert outcome.value == pytest.approx(1, abs=1e-4)
    np.testing.assert_allclose(outcome.per_latent, [1] * 5 + [0] * 5, atol=1e-4)
    assert modularity(codes, factors, protocol="locatello2019") < 0.8


def test_two_factors_in_one_latent():
    """Equal information of 2 of K = 3 factors: 1 - 1/2."""
    factors = np.stack(
        [np.arange(9000) % 3, np.arange(9000) // 3 % 3, np.arange(9000) // 9 % 5], 1
    )
    code = (factors[:, 0] * 3 + factors[:, 1])[:, None]
    assert modularity(code, factors) == pytest.approx(0.5, abs=1e-3)
    assert modularity(code, factors, protocol="locatello2019") == pytest.approx(0.5, abs=1e-12)


def test_weak_latents_count_little():
    rng = np.random.default_rng(2)
    factors = rng.integers(5, size=(4000, 3))
    weak = 0.15 * factors.sum(axis=1) + rng.normal(size=4000)
    codes = np.hstack([factors, weak[:, None]])
    outcome = measure(METRIC, codes, factors)
    assert 0 < outcome.per_latent[3] < 0.8
    assert outcome.value > 0.99
    assert modularity(codes, factors, average="latents") < 0.95


def test_what_may_be_chance_counts_in_part():
    """One latent and one factor: 1 - (m / J)^2, which rises from 0."""
    rng = np.random.default_rng(3)
    factor, noise = rng.integers(4, size=900), rng.normal(size=900)
    scores = []
    for strength in (0, 0.2, 0.3, 0.5, 1, 3):
        code = (strength * factor + noise)[:, None]
        cells, labels = info.prepare(code, as_table(factor, 900), METRIC.parameters())
        limit = info.chance(cells, labels, 0.001)
        beyond = info.information(cells, labels).mutual - limit.mean
        expected = max(0, 1 - float((limit.above - limit.mean)[0, 0] / beyond[0, 0]) ** 2)
        scores.append(modularity(code, factor))
        assert scores[-1] == pytest.approx(expected if beyond[0, 0] > 0 else 0, abs=1e-12)
    assert scores[0] == 0
    assert any(0.05 < score < 0.9 for score in scores)
    assert scores[-1] > 0.99


def test_one_factor():
    codes = np.stack([np.arange(90) % 3, np.random.default_rng(0).normal(size=90)], axis=1)
    assert modularity(codes, np.arange(90) % 3) == pytest.approx(1, abs=0.05)
    assert modularity(codes, np.arange(90) % 3, protocol="locatello2019") == 1


@pytest.mark.parametrize(("name", "value"), records("disentanglement_lib", "modularity"))
def test_disentanglement_lib(name, value):
    found = modularity(*arrays(name, 10_000), protocol="locatello2019")
    assert found == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize(("name", "value"), records("ubisoft", "modularity"))
def test_ubisoft(name, value):
    assert modularity(*arrays(name), protocol="ubisoft") == pytest.approx(value, abs=1e-9)
