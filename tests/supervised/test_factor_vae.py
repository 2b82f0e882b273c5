"""The FactorVAE score: published values, closed forms, floors, and the traps of other toolkits."""

import numpy as np
import pytest
from golden import arrays, width_bins
from golden_votes import repeats, tolerance

from disentangle_indicators.supervised._metric import measure
from disentangle_indicators.supervised.factor_vae import METRIC, PROTOCOLS, factor_vae

SMALL = {"train": 600, "evaluate": 400, "batch": 32}


def ubisoft(codes, factors, seed, bins=10, batch=200, points=800, least_sd=0.02):
    """The protocol of Carbonneau et al. by its description, with the stream of numpy's seed."""
    rng = np.random.RandomState(seed)
    k = factors.shape[1]
    labels = np.stack([width_bins(v.astype(float), bins) for v in factors.T], axis=1)
    rows = np.arange(len(codes))
    rng.shuffle(rows)
    spread = codes[rows[:10_000]].var(axis=0, ddof=1)
    active = np.sqrt(spread) >= least_sd
    counts = [np.bincount(rng.randint(0, k, points), minlength=k) for _ in range(2)]
    table, cells = np.zeros((active.sum(), k)), []
    for factor in range(k):
        train, evaluate = counts[0][factor], counts[1][factor]
        values, sizes = np.unique(labels[:, factor], return_counts=True)
        drawn = rng.choice(values[sizes > 1], train + evaluate)
        for value in np.unique(drawn):
            group = np.flatnonzero(labels[:, factor] == value)
            stream, needed = [], batch * np.sum(drawn == value)
            while len(stream) < needed:
                rng.shuffle(group)
                stream.extend(group)
            batches = np.array(stream[:needed]).reshape(-1, batch)
            ratio = codes[batches][:, :, active].var(axis=1, ddof=1) / spread[active]
            votes = ratio.argmin(axis=1)
            cut = np.sum(drawn[:train] == value)
            np.add.at(table, (votes[:cut], factor), 1)
            cells += [(vote, factor) for vote in votes[cut:]]
    accuracy = np.mean([table[vote].argmax() == factor for vote, factor in cells])
    return (accuracy - 1 / k) / (1 - 1 / k)


@pytest.mark.parametrize(("name", "values"), repeats("ubisoft", "z_min_var"))
def test_the_distribution_of_ubisoft(name, values):
    codes, factors = arrays(name)
    found = [measure(METRIC, codes, factors, protocol="ubisoft", rng=s).value for s in range(8)]
    assert abs(np.mean(found) - np.mean(values)) < tolerance(found, values, 800)


@pytest.mark.parametrize(("name", "values"), repeats("ubisoft", "z_min_var", fast="fixed_b"))
def test_the_stream_of_ubisoft(name, values):
    """The description that the distribution is compared with is theirs, to the last vote."""
    assert ubisoft(*arrays(name), seed=0) == pytest.approx(values[0], abs=1e-12)


def entangled(seed, n=400):
    rng = np.random.default_rng(seed)
    factors = rng.integers([3, 4, 15], size=(n, 3))
    mixing = np.array([[1, 0.3, 0, 0], [0.3, 1, 0, 0], [0, 0.1, 0.1, 0]])
    codes = factors @ mixing + 1.5 * rng.normal(size=(n, 4))
    codes[:, 3] *= 0.001
    return codes, factors


def test_the_same_distribution_without_stored_arrays():
    codes, factors = entangled(0)
    theirs = [ubisoft(codes, factors, seed) for seed in range(8)]
    ours = [factor_vae(codes, factors, protocol="ubisoft", rng=seed) for seed in range(8)]
    assert 0.2 < np.mean(theirs) < 0.95
    assert abs(np.mean(ours) - np.mean(theirs)) < tolerance(ours, theirs, 800)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_perfect_code(protocol):
    factors = np.random.default_rng(0).integers(4, size=(500, 3))
    noise = np.random.default_rng(1).normal(size=(500, 4))
    codes = np.hstack([np.full((500, 1), 0.3), noise, -2.0 * factors])
    assert factor_vae(codes, factors, protocol=protocol, **SMALL) == 1


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_code_that_knows_nothing(protocol):
    rng = np.random.default_rng(0)
    factors, codes = rng.integers(4, size=(20_000, 4)), rng.normal(size=(20_000, 3))
    found = factor_vae(codes, factors, rng=1, protocol=protocol, **SMALL | {"evaluate": 4000})
    chance, scale = (0, 0.75) if PROTOCOLS[protocol]["rescale"] else (0.25, 1)
    assert abs(found - chance) < 6 * np.sqrt(0.25 * 0.75 / 4000) / scale


def test_other_rows_score_than_those_that_voted():
    """On few rows votes learn the rows, and only held-out ones tell."""
    found = {"default": [], "locatello2019": []}
    for seed in range(30):
        rng = np.random.default_rng(seed)
        factors, codes = rng.integers(3, size=(60, 2)), rng.normal(size=(60, 6))
        for protocol, scores in found.items():
            scores.append(factor_vae(codes, factors, rng=seed, protocol=protocol, **SMALL))
    assert np.mean(found["locatello2019"]) > 0.6
    error = np.std(found["default"]) / np.sqrt(30)
    assert abs(np.mean(found["default"]) - 0.5) < 4 * error + 0.01


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_two_factors_in_one_latent_count_as_one(protocol):
    """The latent stands for one of them; the other two are right."""
    factors = np.random.default_rng(0).integers(2, size=(3000, 3))
    codes = np.stack([factors[:, 0], factors[:, 1] + 2 * factors[:, 2]], axis=1)
    raw = factor_vae(codes, factors, protocol=protocol, rescale=False, **SMALL)
    assert 0.6 < raw < 0.72


def test_rescaling_counts_the_classes_that_are_left():
    rng = np.random.default_rng(0)
    factors = np.hstack([rng.integers(4, size=(500, 2)), np.full((500, 1), 7)])
    codes = factors[:, :2] + 3 * rng.normal(size=(500, 2))
    raw = factor_vae(codes, factors, **SMALL)
    assert factor_vae(codes, factors, rescale=True, **SMALL) == pytest.approx(2 * raw - 1)


def test_constant_latents_do_not_vote():
    """Elsewhere their ratio 0/0 is nan, which is the smallest of all, and gets every vote."""
    factors = np.random.default_rng(0).integers(4, size=(500, 3))
    codes = np.hstack([factors, np.full((500, 2), 0.1)])
    spread = codes.var(axis=0, ddof=1)
    spread[3:] = 0
    with np.errstate(invalid="ignore"):
        ratio = (
            np.array([codes[factors[:, 0] == 0].var(axis=0, ddof=1)]) * [1, 1, 1, 0, 0] / spread
        )
    assert ratio.argmin() == 3  # what they do
    assert factor_vae(codes, factors, protocol="locatello2019", **SMALL) == 1
    outcome = measure(METRIC, codes, factors, **SMALL)
    assert outcome.value == 1
    np.testing.assert_array_equal(outcome.matrix, np.eye(5, 3))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_without_a_latent_it_is_chance(protocol):
    factors = np.random.default_rng(0).integers(4, size=(500, 3))
    found = factor_vae(np.ones((500, 2)), factors, protocol=protocol, rescale=False)
    assert abs(found - 1 / 3) < 0.1


def test_small_latents_are_pruned_only_where_a_protocol_says_so():
    factors = np.random.default_rng(0).integers(4, size=(500, 3))
    codes = factors * [1.0, 1.0, 1e-3]
    assert factor_vae(codes, factors, **SMALL) == 1
    assert factor_vae(codes, factors, protocol="locatello2019", **SMALL) < 0.8
    assert factor_vae(codes, factors, protocol="locatello2019", least_sd=0.0, **SMALL) == 1


@pytest.mark.parametrize("scale", [1e-300, 1e-5, 1e300])
def test_the_scale_does_not_matter(scale):
    codes, factors = entangled(0)
    assert factor_vae(codes * scale, factors, **SMALL) == pytest.approx(
        factor_vae(codes, factors, **SMALL), abs=0.02
    )
    power = 2.0 ** np.round(np.log2(scale))
    assert factor_vae(codes * power, factors, **SMALL) == factor_vae(codes, factors, **SMALL)


def test_rows_without_a_value_are_in_no_batch():
    rng = np.random.default_rng(0)
    factors = rng.integers(4, size=(300, 2)).astype(float)
    codes = factors.copy()
    missing = rng.random(300) < 0.2
    codes[missing, 0], factors[missing, 0] = 1e3, np.nan
    outcome = measure(METRIC, codes, factors, **SMALL)
    assert outcome.value == 1
    np.testing.assert_array_equal(outcome.matrix, np.eye(2))


def test_breakdown():
    """The last factor has one row that differs: no latent stands for it."""
    rng = np.random.default_rng(0)
    values = np.hstack([rng.integers(4, size=(600, 3)), np.arange(600)[:, None] == 17])
    outcome = measure(METRIC, values[:, [1, 0, 2]], values, **SMALL)
    np.testing.assert_array_equal(outcome.per_factor, [1, 1, 1, 0])
    np.testing.assert_array_equal(outcome.matrix[:, :3], np.eye(3)[[1, 0, 2]])


def test_continuous_factors():
    factors = np.random.default_rng(0).normal(size=(2000, 3))
    assert factor_vae(factors, factors, **SMALL) > 0.99


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch": 1}, "batch must be at least 2; got 1"),
        ({"train": 0}, "train must be at least 1; got 0"),
        ({"least_sd": -1.0}, "least_sd must be at least 0; got -1"),
        ({"factor_bins": 0}, "factor_bins must be at least 1; got 0"),
        ({"held_out": 1.5}, r"held_out must be in \[0, 1\); got 1.5"),
        ({"values": "cells"}, "values must be rows or values; got 'cells'"),
        ({"draw": "cards"}, "draw must be independent or passes; got 'cards'"),
        ({}, "must be two at least, to be told apart; only factor_0 varies"),
    ],
)
def test_refused(options, words):
    with pytest.raises(ValueError, match=words):
        factor_vae(np.arange(4.0)[:, None], [0, 1, 2, 3], **options)
