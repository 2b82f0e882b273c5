"""Interventional robustness: published values, plain loops, floors, scales."""

import numpy as np
import pytest
from golden import arrays, records, width_bins
from hypothesis import given
from hypothesis import strategies as st
from strategies import rngs

from disentangle_indicators.factors import as_table
from disentangle_indicators.supervised._metric import measure
from disentangle_indicators.supervised.irs import METRIC, PROTOCOLS, irs


@pytest.mark.parametrize(("name", "value"), records("disentanglement_lib", "irs"))
def test_disentanglement_lib(name, value):
    found = irs(*arrays(name, 10_000), protocol="locatello2019")
    assert found == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize(("name", "value"), records("disentanglement_lib", "irs_q1"))
def test_the_maximum_of_disentanglement_lib(name, value):
    assert irs(*arrays(name, 10_000), protocol="suter2019") == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize(("name", "value"), records("ubisoft", "irs"))
def test_ubisoft(name, value):
    assert irs(*arrays(name), protocol="ubisoft") == pytest.approx(value, abs=1e-9)


def plain(codes, factors, bins, quantile):
    """1.6 of the descriptions, by loops over latents, factors and groups."""
    scores, weights = [], []
    for z in codes.T:
        if z.min() == z.max():
            continue
        largest = np.max(np.abs(z - z.mean()))
        rows = []
        for v in factors.T:
            labels = width_bins(v.astype(float), bins)
            groups = [z[labels == b] for b in np.unique(labels)]
            found = [np.quantile(np.abs(g - g.mean()), quantile) for g in groups]
            rows.append(1 - np.mean(found) / largest)
        scores.append(max(rows))
        weights.append(largest)
    return np.average(scores, weights=weights)


@given(rngs, st.sampled_from(["suter2019", "locatello2019", "ubisoft"]))
def test_plain_loops_agree(rng, protocol):
    n = int(rng.integers(5, 200))
    factors = rng.integers([2, 6, 40], size=(n, 3))
    factors[:2] = [[0, 0, 0], [1, 1, 1]]
    codes = factors @ rng.normal(size=(3, 4)) + rng.normal(size=(n, 4))
    codes[:, 1] = 0.1
    p = PROTOCOLS[protocol]
    expected = plain(codes, factors, p["factor_bins"], p["quantile"])
    assert irs(codes, factors, protocol=protocol) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_perfect_code(protocol):
    factors = np.random.default_rng(0).integers(5, size=(500, 3))
    codes = np.hstack([-2.0 * factors, np.full((500, 1), 0.3)])
    outcome = measure(METRIC, codes, factors, protocol=protocol)
    assert outcome.value == 1
    np.testing.assert_array_equal(outcome.per_latent, [1, 1, 1, 0])


def noise(n, protocol, seeds=10):
    found = []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        factors = as_table(rng.integers([3, 6, 40], size=(n, 3)), n)
        found.append(irs(rng.normal(size=(n, 4)), factors, rng=seed, protocol=protocol))
    return np.mean(found)


def test_the_floor():
    """Elsewhere noise scores more, the fewer its rows: a group is compared with all of them."""
    for n, ours, theirs in ((100, 0.12, 0.5), (1000, 0.04, 0.25)):
        assert noise(n, "default") < ours
        assert noise(n, "locatello2019") > theirs
        assert noise(n, "suter2019") > theirs


def test_noise_does_not_fall_below_zero():
    for seed in range(5):
        rng = np.random.default_rng(seed)
        codes, factor = rng.normal(size=(200, 4)), rng.integers(5, size=200)
        matrix = measure(METRIC, codes, factor, rng=seed).matrix
        assert matrix.min() >= 0
        assert matrix.max() < 0.2


def test_groups_of_one_row_say_nothing_by_default():
    n = 60
    factors = as_table(np.arange(n), n, kinds=["ordinal"])
    codes = np.random.default_rng(0).normal(size=(n, 2))
    assert irs(codes, factors) == 0
    assert irs(codes, factors, protocol="locatello2019", factor_bins=None) == 1


def test_an_outlier():
    """The largest deviation of all rows is one row's, and everything is robust against that."""
    rng = np.random.default_rng(0)
    factors, codes = rng.integers(5, size=(2000, 2)), rng.normal(size=(2000, 2))
    wild = codes.copy()
    wild[0] = 1e4
    assert abs(irs(wild, factors) - irs(codes, factors)) < 0.03
    assert irs(codes, factors, protocol="locatello2019") < 0.45
    assert irs(wild, factors, protocol="locatello2019") > 0.95


def test_weights():
    rng = np.random.default_rng(0)
    factors = rng.integers(5, size=(500, 1))
    codes = np.hstack([factors, rng.normal(size=(500, 1))])
    equal = irs(codes, factors)
    assert 0.5 <= equal < 0.55
    assert irs(codes * [1, 1e-9], factors) == pytest.approx(equal, abs=1e-12)
    assert irs(codes * [1, 1e-9], factors, weights="deviation") > 0.99
    assert irs(codes * [1e300, 1e-300], factors, weights="deviation") == 1


def test_no_active_latent():
    assert irs(np.ones((10, 2)), np.arange(10) % 2) == 0


def test_below_zero():
    """One row at 1 and 99 at -1 move more around their own mean than all rows around theirs."""
    z = np.concatenate([[1.0], -np.ones(99), np.ones(98), [0.0, 0.0]])[:, None]
    factor = np.repeat([0, 1], 100)
    found = irs(z, factor, protocol="ubisoft")
    deviations = [np.max(np.abs(g - g.mean())) for g in (z[:100], z[100:])]
    expected = 1 - np.mean(deviations) / np.max(np.abs(z - z.mean()))
    assert found == pytest.approx(expected)
    assert found < 0
    assert irs(z, factor) >= 0


def test_rows_without_a_value_are_left_out():
    rng = np.random.default_rng(0)
    factors = rng.integers(5, size=(300, 1)).astype(float)
    codes = factors.copy()
    missing = rng.random(300) < 0.2
    codes[missing, 0], factors[missing, 0] = 1e3 * rng.random(missing.sum()), np.nan
    assert irs(codes, factors) == 1


def test_random_groups_are_of_rows_with_a_value():
    """As if the rows without one were not there; their codes would move the random groups far."""
    rng = np.random.default_rng(0)
    factor = rng.integers(5, size=300).astype(float)
    codes = factor[:, None] + rng.normal(size=(300, 2))
    missing = rng.random(300) < 0.3
    codes[missing] *= 100
    fewer = np.where(missing, np.nan, factor)
    expected = irs(codes[~missing], factor[~missing], rng=3)
    assert 0.1 < expected < 0.9
    assert irs(codes, fewer, rng=3) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"quantile": 1.5}, "quantile must be at most 1; got 1.5"),
        ({"quantile": -0.1}, "quantile must be at least 0; got -0.1"),
        ({"factor_bins": 0}, "factor_bins must be at least 1; got 0"),
        ({"against": "all"}, "against must be random groups or all rows; got 'all'"),
        ({"weights": "none"}, "weights must be equal or deviation; got 'none'"),
    ],
)
def test_refused(options, words):
    with pytest.raises(ValueError, match=words):
        irs(np.arange(4.0)[:, None], [0, 1, 0, 1], **options)
