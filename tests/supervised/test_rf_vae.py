"""The RF-VAE score: published values, closed forms, what noise does to it, sparse tables."""

import numpy as np
import pytest
from golden import arrays, width_bins
from golden_votes import repeats, tolerance

from disentangle_indicators.factors import as_table
from disentangle_indicators.supervised._metric import measure
from disentangle_indicators.supervised.rf_vae import METRIC, PROTOCOLS, _typical, rf_vae

SMALL = {"train": 600, "evaluate": 400, "batch": 32}


@pytest.mark.parametrize(("name", "values"), repeats("ubisoft", "z_max_var", fast="fixed_b"))
def test_the_distribution_of_ubisoft(name, values):
    """Their stream depends on the order of a set of Python: the law is all there is to compare."""
    codes, factors = arrays(name)
    found = [measure(METRIC, codes, factors, protocol="ubisoft", rng=s).value for s in range(8)]
    assert abs(np.mean(found) - np.mean(values)) < tolerance(found, values, 800)


def ubisoft(codes, factors, seed, bins=10, batch=200, points=800, least_sd=0.02):
    """The protocol of Carbonneau et al. by its description, by loops over batches."""
    rng = np.random.default_rng(seed)
    k = factors.shape[1]
    labels = np.stack([width_bins(v.astype(float), bins) for v in factors.T], axis=1)
    spread = codes.var(axis=0, ddof=1)
    active = np.sqrt(spread) >= least_sd
    table, cells = np.zeros((active.sum(), k)), []
    for factor in range(k):
        train, evaluate = rng.binomial(points, 1 / k, size=2)
        rows = {}
        for i, others in enumerate(np.delete(labels, factor, axis=1)):
            rows.setdefault(tuple(others), []).append(i)
        groups = [np.array(group) for group in rows.values() if len(group) > 1]
        drawn = rng.integers(len(groups), size=train + evaluate)
        for g in np.unique(drawn):
            needed = batch * np.sum(drawn == g)
            passes = -(-needed // len(groups[g]))
            stream = np.concatenate([rng.permutation(groups[g]) for _ in range(passes)])
            batches = stream[:needed].reshape(-1, batch)
            votes = (codes[batches][:, :, active].var(axis=1, ddof=1) / spread[active]).argmax(1)
            cut = np.sum(drawn[:train] == g)
            np.add.at(table, (votes[:cut], factor), 1)
            cells += [(vote, factor) for vote in votes[cut:]]
    accuracy = np.mean([table[vote].argmax() == factor for vote, factor in cells])
    return (accuracy - 1 / k) / (1 - 1 / k)


def test_the_same_distribution_without_stored_arrays():
    rng = np.random.default_rng(0)
    factors = rng.integers([3, 4, 15], size=(400, 3))
    codes = factors @ np.array([[1, 0.3, 0], [0.3, 1, 0.2], [0, 0.1, 0.2]])
    codes = np.hstack([codes + 0.5 * rng.normal(size=(400, 3)), 1e-3 * rng.normal(size=(400, 1))])
    theirs = [ubisoft(codes, factors, seed) for seed in range(6)]
    ours = [rf_vae(codes, factors, protocol="ubisoft", rng=seed) for seed in range(6)]
    assert 0.2 < np.mean(theirs) < 0.95
    assert abs(np.mean(ours) - np.mean(theirs)) < tolerance(ours, theirs, 800)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_perfect_code(protocol):
    factors = np.random.default_rng(0).integers(4, size=(500, 3))
    codes = np.hstack([np.full((500, 1), 0.3), -2.0 * factors])
    assert rf_vae(codes, factors, protocol=protocol, **SMALL) == 1


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_code_that_knows_nothing(protocol):
    rng = np.random.default_rng(0)
    factors, codes = rng.integers(4, size=(20_000, 4)), rng.normal(size=(20_000, 3))
    found = rf_vae(codes, factors, rng=1, protocol=protocol, **SMALL | {"evaluate": 4000})
    chance, scale = (0, 0.75) if PROTOCOLS[protocol]["rescale"] else (0.25, 1)
    assert abs(found - chance) < 0.05 / scale


def test_latents_of_noise():
    """They vary as much in any batch as in all rows, and so win votes, unless scaled by batches."""
    rng = np.random.default_rng(0)
    factors = rng.integers([3, 6, 10], size=(3000, 3))
    codes = np.hstack([factors, rng.normal(size=(3000, 5))])
    assert rf_vae(codes, factors, scale="rows", pool=1, **SMALL) < 0.6
    assert rf_vae(codes, factors, protocol="ubisoft", rescale=False, **SMALL) < 0.6
    assert rf_vae(codes, factors, **SMALL) > 0.98


def test_an_outlier():
    """It makes the variance of all rows large, and of the few batches that it is in."""
    rng = np.random.default_rng(0)
    factors = rng.integers([3, 6, 10], size=(3000, 3))
    codes = np.hstack([factors, rng.normal(size=(3000, 5))])
    codes[0, :2] = 1e4
    assert rf_vae(codes, factors, scale="rows", **SMALL) < 0.5
    assert rf_vae(codes, factors, **SMALL) > 0.95


def test_the_typical_variance_is_a_median():
    """Over the batches of each factor, then averaged over factors; one batch of 1e6 moves nothing."""
    variance = np.array([[1.0, 0.0], [2.0, 0.0], [1e6, 8.0], [5.0, 1.0], [7.0, 1.0], [9.0, 1.0]])
    y = np.array([0, 0, 0, 2, 2, 2])
    np.testing.assert_allclose(_typical(variance, y), [(2 + 7) / 2, (0 + 1) / 2])
    still = np.where(y[:, None] == 2, 0.0, variance)
    np.testing.assert_allclose(_typical(still, y), [1.0, 8 / 3 / 2])


def test_a_latent_that_most_batches_leave_still():
    factors = np.random.default_rng(0).integers(4, size=(3000, 2))
    codes = np.stack([factors[:, 0], np.all(factors == 3, axis=1)], axis=1).astype(float)
    outcome = measure(METRIC, codes, factors, pool=1, **SMALL)
    assert outcome.matrix[1, 1] > 0.1


def test_pools_of_combinations_help_where_these_have_few_rows():
    rng = np.random.default_rng(0)
    factors = rng.integers([3, 6, 20, 20], size=(3000, 4))
    codes = np.hstack([factors, rng.normal(size=(3000, 5))])
    one = rf_vae(codes, factors, pool=1, **SMALL)
    assert rf_vae(codes, factors, pool=8, **SMALL) > one + 0.1


def test_other_rows_score_than_those_that_voted():
    found = {0.0: [], 0.5: []}
    for seed in range(30):
        rng = np.random.default_rng(seed)
        factors, codes = rng.integers(3, size=(60, 2)), rng.normal(size=(60, 6))
        for held_out, scores in found.items():
            scores.append(rf_vae(codes, factors, rng=seed, held_out=held_out, **SMALL))
    assert np.mean(found[0.0]) > 0.53
    error = np.std(found[0.5]) / np.sqrt(30)
    assert abs(np.mean(found[0.5]) - 0.5) < 4 * error + 0.01


def test_combinations_in_which_nothing_varies():
    """Copies of rows say nothing of the free factor, and only the default leaves them out."""
    factors = np.array([[0, 0], [0, 0], [1, 1], [1, 1], [2, 2], [2, 2]])
    codes = np.random.default_rng(0).normal(size=(6, 2))
    with pytest.raises(
        ValueError, match="of the 6 rows with a value of every factor none do for factor_0"
    ):
        rf_vae(codes, factors, held_out=0.0)
    assert -1 <= rf_vae(codes, factors, protocol="ubisoft") <= 1


def test_no_rows_that_share_all_other_factors():
    factors = as_table(np.arange(8).reshape(4, 2), 4, kinds=["ordinal", "ordinal"])
    words = "factors must have rows that share the values of all factors but one; of the 4 rows "
    with pytest.raises(ValueError, match=words + "with .* none do for factor_0, factor_1$"):
        rf_vae(np.arange(4.0)[:, None], factors, held_out=0.0)


def test_a_factor_that_never_varies_alone_is_named():
    rng = np.random.default_rng(0)
    values = rng.integers(4, size=(600, 3))
    values[:, 2] = values[:, 1]  # no factor but the first can vary alone
    with pytest.raises(ValueError, match="none do for factor_1, factor_2 in one part of the rows"):
        measure(METRIC, values, values, **SMALL)


def test_rows_without_a_value_are_not_used():
    rng = np.random.default_rng(0)
    factors = rng.integers(4, size=(400, 2)).astype(float)
    codes = factors.copy()
    missing = rng.random(400) < 0.2
    codes[missing], factors[missing, 0] = 1e6 * rng.normal(size=(missing.sum(), 2)), np.nan
    outcome = measure(METRIC, codes, factors, **SMALL)
    assert outcome.value == 1
    np.testing.assert_array_equal(outcome.matrix, np.eye(2))


@pytest.mark.parametrize("power", [-1000, 1000])
def test_the_scale_does_not_matter(power):
    rng = np.random.default_rng(0)
    factors = rng.integers(4, size=(500, 3))
    codes = factors + 2 * rng.normal(size=(500, 3))
    found = rf_vae(codes, factors, **SMALL)
    assert 0.35 < found < 1
    assert rf_vae(codes * 2.0**power, factors, **SMALL) == found


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_without_a_latent_it_is_chance(protocol):
    factors = np.random.default_rng(0).integers(4, size=(500, 3))
    found = rf_vae(np.ones((500, 2)), factors, protocol=protocol, rescale=False)
    assert abs(found - 1 / 3) < 0.1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch": 8}, "batch must be at least 16; got 8"),
        ({"pool": 0}, "pool must be at least 1; got 0"),
        ({"scale": "cells"}, "scale must be rows or batches; got 'cells'"),
    ],
)
def test_refused(options, words):
    with pytest.raises(ValueError, match=words):
        rf_vae(np.arange(4.0)[:, None], [0, 1, 0, 1], **options)
