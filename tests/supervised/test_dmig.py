"""DMIG: against its formula by loops, independent factors, dependent ones, determined ones."""

import numpy as np
import pytest
from golden import entropy, information, small
from hypothesis import given
from hypothesis import strategies as st
from strategies import rngs

from disentangle_indicators.supervised._metric import measure
from disentangle_indicators.supervised.dmig import METRIC, dmig
from disentangle_indicators.supervised.mig import mig


def plain(codes, factors, excuse):
    """The docstring's formula by loops, over 20 bins of equal width."""
    mutual, _, h_factors, _ = information(codes, factors, 20)
    gaps = []
    for k, h in enumerate(h_factors):
        order = np.argsort(mutual[:, k])
        one, two = order[-1], order[-2]
        others = [i for i in range(len(h_factors)) if i != k]
        l_factor = max(others, key=lambda i: mutual[two, i] / h_factors[i])
        shared = h + h_factors[l_factor] - entropy(factors[:, k], factors[:, l_factor])
        if excuse == "known":
            shared = min(shared, mutual[two, k])
        gaps.append(min((mutual[one, k] - mutual[two, k]) / (h - shared), 1))
    return float(np.mean(gaps))


@pytest.mark.parametrize("excuse", ["known", "shared"])
def test_the_small_arrays(excuse):
    codes, factors = small()
    value = dmig(codes, factors, code_bins="width", adjust=False, excuse=excuse)
    assert value == pytest.approx(plain(codes, factors, excuse), abs=1e-12)


@given(rngs, st.integers(20, 200), st.sampled_from(["known", "shared"]))
def test_it_is_mig_or_more_and_no_more_than_1(rng, n, excuse):
    factors = rng.integers(4, size=(n, 3))
    factors[:, 1] = np.where(rng.random(n) < 0.5, factors[:, 0], factors[:, 1])
    factors[0], factors[1] = 0, 1
    codes = factors @ rng.normal(size=(3, 4)) + rng.normal(size=(n, 4))
    assert mig(codes, factors) - 1e-12 <= dmig(codes, factors, excuse=excuse) <= 1


def test_independent_factors_have_mig():
    factors = np.stack([g.ravel() for g in np.meshgrid(*map(np.arange, (2, 3, 4)))], axis=1)
    codes = factors @ np.array([[1, 0.2, 0], [0, 1, 0], [0, 0.3, 1]])
    for excuse in ("known", "shared"):
        assert dmig(codes, factors, excuse=excuse) == pytest.approx(mig(codes, factors))
    assert dmig(factors, factors[:, 0]) == pytest.approx(mig(factors, factors[:, 0]))


def dependent(n=600):
    rng = np.random.default_rng(0)
    first = rng.integers(4, size=n)
    return np.stack([first, np.where(rng.random(n) < 0.7, first, rng.integers(4, size=n))], axis=1)


def test_dependent_factors_reach_1_where_mig_does_not():
    factors = dependent()
    assert dmig(factors, factors) == pytest.approx(1, abs=1e-12)
    assert dmig(factors, factors, protocol="watcharasupat2021") == pytest.approx(1, abs=1e-12)
    assert mig(factors, factors) < 0.7


def test_a_copy_of_a_latent_is_not_excused():
    """Both latents are the first factor; they share more than the factors do."""
    factors = dependent()
    assert dmig(factors[:, [0, 0]], factors) == pytest.approx(0, abs=1e-12)


def test_the_published_denominator_passes_1():
    """The second latent knows little; what the factors share is excused all the same."""
    factors = dependent()
    noise = factors[:, 1] + 3 * np.random.default_rng(1).normal(size=len(factors))
    codes = np.stack([factors[:, 0], noise], axis=1)
    found = measure(METRIC, codes, factors, protocol="watcharasupat2021").per_factor
    assert found[0] == 1
    assert measure(METRIC, codes, factors).per_factor[0] == pytest.approx(1, abs=1e-12)
    weaker = np.stack([np.minimum(factors[:, 0], 2), noise], axis=1)
    assert measure(METRIC, weaker, factors).per_factor[0] < 0.9
    assert measure(METRIC, weaker, factors, excuse="shared").per_factor[0] == 1


def test_a_factor_that_another_determines_is_left_out():
    fine = np.arange(60) % 6
    factors = np.stack([fine // 2, fine, np.arange(60) // 6 % 2], axis=1)
    outcome = measure(METRIC, factors, factors)
    assert outcome.per_factor[0] == 0
    assert outcome.value == pytest.approx(1)
    twins = np.stack([fine, fine], axis=1)
    assert dmig(twins, twins) == 0


def test_parameters_out_of_range():
    with pytest.raises(ValueError, match="excuse must be known or shared; got 'all'"):
        dmig([[0.0], [1.0]], [0, 1], excuse="all")
