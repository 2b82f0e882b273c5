"""JEMMIG: against counting, and what it asks of a latent beyond the gap."""

import numpy as np
import pytest
from golden import arrays, entropy, information, records, small

from disentangle_indicators.supervised._metric import measure
from disentangle_indicators.supervised.jemmig import METRIC, jemmig
from disentangle_indicators.supervised.mig import METRIC as MIG
from disentangle_indicators.supervised.mig import mutual_information_matrix


def plain(codes, factors, bins, factor_bins):
    """The score and, in nats, Do & Tran's number."""
    mutual, _, h_factors, joint = information(codes, factors, bins, factor_bins)
    scores, nats = [], []
    for k, h in enumerate(h_factors):
        order = np.argsort(mutual[:, k])
        best, next_best = order[-1], order[-2]
        nats.append(joint[best, k] - mutual[best, k] + mutual[next_best, k])
        scores.append(1 - nats[-1] / (h + np.log(bins)))
    return float(np.mean(scores)), float(np.mean(nats))


@pytest.mark.parametrize(("protocol", "bins"), [("ubisoft", (10, 10)), ("do2020", (100, None))])
def test_the_small_arrays(protocol, bins):
    codes, factors = small()
    outcome = measure(METRIC, codes, factors, protocol=protocol)
    score, nats = plain(codes, factors, *bins)
    assert outcome.value == pytest.approx(score, abs=1e-12)
    assert outcome.parts["nats"] == pytest.approx(nats, abs=1e-12)


def grid(*sizes):
    return np.stack([g.ravel() for g in np.meshgrid(*map(np.arange, sizes))], axis=1)


def test_perfect_and_shared():
    factors = grid(3, 4, 5)
    outcome = measure(METRIC, factors, factors)
    assert outcome.value == pytest.approx(1, abs=1e-12)
    assert outcome.parts["nats"] == pytest.approx(0, abs=1e-12)
    twice = measure(METRIC, np.tile(factors, 2), factors).parts["nats"]
    assert twice == pytest.approx(np.log(60) / 3)


def test_a_latent_of_two_factors_loses():
    """All of both in one latent: H(z | v_k) is the entropy of the other one."""
    factors = grid(2, 4)
    code = (factors[:, 0] * 4 + factors[:, 1])[:, None]
    rest = np.array([np.log(4), np.log(2)])
    expected = np.mean(1 - rest / (np.log([2, 4]) + np.log(20)))
    assert jemmig(code, factors, adjust=False) == pytest.approx(expected)


def test_adjusted_information_is_all_that_joint_entropy_lacks():
    """H(z, v) - J + 0 = H(z) + H(v) - 2 J for one latent, with J the information less chance."""
    rng = np.random.default_rng(0)
    factor = rng.integers(4, size=200)
    codes = (factor + rng.integers(3, size=200))[:, None]
    known = measure(MIG, codes, factor).matrix[0, 0]
    assert known < mutual_information_matrix(codes, factor)[0, 0] - 0.01
    expected = entropy(codes[:, 0]) + entropy(factor) - 2 * known
    assert measure(METRIC, codes, factor).parts["nats"] == pytest.approx(expected, abs=1e-9)


def test_noise_scores_nothing_by_default():
    rng = np.random.default_rng(0)
    codes, factors = rng.normal(size=(4000, 5)), rng.integers(4, size=(4000, 3))
    assert jemmig(codes, factors) < 0.01
    assert jemmig(codes, factors, protocol="ubisoft") > 0.1


def test_latents_that_know_the_same_take_the_least_joint_entropy():
    """A factor that nothing knows: whichever latent is first, the constant one counts."""
    factors = grid(2, 3)
    codes = np.stack([factors[:, 1], np.zeros(6)], axis=1)
    expected = (1 + 1 - np.log(2) / (np.log(2) + np.log(20))) / 2
    assert jemmig(codes, factors) == pytest.approx(expected)
    assert jemmig(codes[:, ::-1], factors) == pytest.approx(expected)


@pytest.mark.parametrize(("name", "value"), records("ubisoft", "jemmig"))
def test_ubisoft(name, value):
    assert jemmig(*arrays(name), protocol="ubisoft") == pytest.approx(value, abs=1e-9)
