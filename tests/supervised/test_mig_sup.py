"""MIG-sup: against counting, and latents that know nothing."""

import numpy as np
import pytest
from golden import arrays, information, records, small

from disentangle_indicators.supervised._metric import measure
from disentangle_indicators.supervised.mig_sup import METRIC, mig_sup


def plain(codes, factors):
    mutual, h_codes, _, _ = information(codes, factors, 10, 10)
    with np.errstate(invalid="ignore"):
        top = np.sort(mutual / h_codes[:, None], axis=1)
    return float(np.mean(top[:, -1] - top[:, -2]))


def test_the_small_arrays():
    codes, factors = small()
    expected = plain(codes[:, :5], factors)
    assert mig_sup(codes[:, :5], factors, protocol="ubisoft") == pytest.approx(expected)
    assert np.isnan(plain(codes, factors))  # a constant code is 0 / 0 there, and a gap of 0 here
    assert mig_sup(codes, factors, protocol="ubisoft") == pytest.approx(expected * 5 / 6)


def sprites(rng, n=6000):
    return np.stack([rng.integers(m, size=n) for m in (3, 6, 40, 32)], axis=1)


def test_latents_that_know_nothing_cost_nothing_by_default():
    rng = np.random.default_rng(0)
    factors = sprites(rng)
    codes = np.hstack([factors, rng.normal(size=(6000, 4)), np.zeros((6000, 1))])
    assert mig_sup(codes, factors) == pytest.approx(1, abs=1e-12)
    assert mig_sup(codes, factors, protocol="ubisoft") < 0.5
    outcome = measure(METRIC, codes, factors)
    np.testing.assert_allclose(outcome.per_latent, [1] * 4 + [0] * 5, atol=1e-12)


def test_noise_scores_nothing():
    rng = np.random.default_rng(1)
    assert mig_sup(rng.normal(size=(6000, 5)), sprites(rng)) == 0


def test_two_factors_in_one_latent():
    """It knows all of both: no gap. Beside a clean one the weights are nats."""
    factors = np.stack([g.ravel() for g in np.meshgrid(*map(np.arange, (2, 3, 4, 20)))], axis=1)
    mixed = factors[:, 0] * 3 + factors[:, 1]
    assert mig_sup(mixed[:, None], factors) == pytest.approx(0, abs=1e-12)
    codes = np.stack([mixed, factors[:, 2]], axis=1)
    outcome = measure(METRIC, codes, factors)
    np.testing.assert_allclose(outcome.per_latent, [0, 1], atol=1e-12)
    assert outcome.value == pytest.approx(np.log(4) / np.log(24), abs=0.01)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"divide_by": None}, "divide_by must be factor or code; got None"),
        ({"level": 2}, "level must be between 0 and 1; got 2"),
        ({"average": "rows"}, "average must be latents or information; got 'rows'"),
    ],
)
def test_parameters_out_of_range(parameters, words):
    with pytest.raises(ValueError, match=words):
        mig_sup([[0.0], [1.0]], [0, 1], **parameters)


@pytest.mark.parametrize(("name", "value"), records("ubisoft", "mig_sup"))
def test_ubisoft(name, value):
    assert mig_sup(*arrays(name), protocol="ubisoft") == pytest.approx(value, abs=1e-9)
