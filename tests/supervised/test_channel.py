"""Codes that claim more than the channel carries: data processing, bias, the dSprites encodings."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import encodings, rngs

from disentangle_indicators._errors import Undefined
from disentangle_indicators.aggregate import marginals
from disentangle_indicators.posteriors import Encodings
from disentangle_indicators.supervised.channel import _of_samples, channel
from disentangle_indicators.supervised.mig import mutual_information_matrix

FULL = Path(os.environ.get("DINDIC_DATA", "")) / "encodings" / "dsprites_btcvae.npz"
SMALL = Path(__file__).parents[2] / "examples" / "data" / "dsprites_btcvae.npz"


def encoding_of(path):
    with np.load(path) as stored:
        names = [str(name) for name in stored["factor_names"]]
        scale = stored["var"] if "var" in stored else np.exp(stored["logvar"].astype(float))
        return stored["mean"].astype(float), scale.astype(float), stored["factors"], names


@pytest.mark.skipif(not FULL.is_file(), reason="set DINDIC_DATA: the full file is NOT tested")
def test_all_rows_of_dsprites():
    mean, var, factors, names = encoding_of(FULL)
    result = channel(mean, var, factors, factor_names=names, code_bins="width")
    k = names.index("position_x")
    assert result.code_information[5, k] == pytest.approx(0.655, abs=5e-4)
    assert result.information[5] == pytest.approx(0.001, abs=5e-4)
    assert result.cells[0] == (5, "position_x")
    start = (
        "5 of 10 latents look more informative than they are: the mean of latent 5 shares 0.655 "
    )
    assert result.sentence.startswith(start + "nats with position_x, a sample only 0.001")
    assert {h for h, _ in result.cells} == {0, 1, 5, 7, 9}


@pytest.mark.parametrize("code_bins", ["count", "width"])
def test_dsprites(code_bins):
    mean, var, factors, names = encoding_of(SMALL)
    result = channel(mean, var, factors, factor_names=names, code_bins=code_bins)
    assert result.cells[0] == (5, "position_x")
    assert result.code_information[5, names.index("position_x")] == pytest.approx(0.68, abs=0.06)
    assert result.information[5] < 0.002
    assert {h for h, _ in result.cells} == {0, 1, 5, 7, 9}
    noise = np.random.default_rng(0).normal(size=mean.shape)
    samples = mean + np.sqrt(var) * noise
    assert channel(mean, var, factors, codes=samples).cells == ()


@given(encodings(min_n=2, max_n=300, max_d=5), rngs, st.integers(2, 30))
def test_samples_are_not_flagged(encoding, rng, values):
    mean, var = encoding
    index = np.argsort(np.argsort(mean[:, 0])) * values // len(mean)
    factors = np.stack([index, rng.integers(values, size=len(mean))], axis=1)
    samples = mean + np.sqrt(var) * rng.normal(size=mean.shape)
    assert channel(mean, var, factors, codes=samples).cells == ()


@given(st.integers(2, 400), st.integers(2, 60), rngs)
def test_the_bias_of_the_estimate_is_not_flagged(n, values, rng):
    mean = 1e-3 * rng.normal(size=(n, 3))
    factors = rng.integers(values, size=(n, 2))
    result = channel(mean, np.ones((n, 3)), factors)
    assert result.cells == ()
    assert result.sentence == "No latent looks more informative than it is."
    if n > 100 and values > 20:
        assert result.code_information.max() > result.information.max() + 0.3


@given(st.floats(0.01, 0.99), rngs)
def test_a_latent_is_flagged_when_its_noise_drowns_its_means(share, rng):
    factor = rng.integers(4, size=500)
    mean = np.stack([factor, factor], axis=1) * 0.01
    var = np.array([[1e-8, 1.0]]).repeat(500, axis=0)
    other = np.where(rng.random(500) < share, factor, rng.integers(4, size=500))
    result = channel(mean, var, factor)
    assert result.cells == ((1, "factor_0"),)
    assert result.overstated.tolist() == [[False], [True]]
    again = channel(mean, var, other, rng=1)
    assert not again.overstated[0, 0]
    if share > 0.5:
        assert again.overstated[1, 0]


@given(encodings(min_n=10, max_n=200, max_d=5), rngs)
def test_what_it_is_made_of(encoding, rng):
    mean, var = encoding
    n, d = mean.shape
    factors = rng.integers(5, size=(n, 2))
    order, signs = rng.permutation(d), rng.choice([-1.0, 1.0], size=d)
    result = channel(mean, var, factors)
    np.testing.assert_array_equal(
        result.code_information, mutual_information_matrix(mean, factors)
    )
    np.testing.assert_array_equal(result.information, marginals(mean, var).information)
    np.testing.assert_array_equal(
        result.sample_information, result.information[:, None].repeat(2, axis=1)
    )
    moved = channel((mean * signs)[:, order], var[:, order], factors)
    np.testing.assert_allclose(moved.code_information, result.code_information[order], atol=1e-9)
    np.testing.assert_allclose(moved.information, result.information[order], atol=1e-7)


def test_standard_errors():
    """Against the spread over many samples of rows."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(100):
        factor = np.minimum(rng.geometric(0.6, size=400), 3)
        code = np.where(rng.random(400) < 0.7, factor, 1) * 1.0
        found.append(channel(code[:, None], np.ones((400, 1)), factor, permutations=1))
    spread = np.std([r.code_information[0, 0] for r in found])
    assert np.mean([r.standard_errors[0, 0] for r in found]) == pytest.approx(spread, rel=0.15)


def test_standard_errors_are_those_of_log_ratios():
    factor = np.array([0, 0, 0, 0, 1, 1, 2, 2, 2, 2])
    code = np.array([0, 0, 0, 1, 1, 1, 1, 1, 1, 2])
    ratios = [
        np.log(np.mean((code == c) & (factor == v)) / np.mean(code == c) / np.mean(factor == v))
        for c, v in zip(code, factor, strict=True)
    ]
    result = channel(code[:, None], np.ones((10, 1)), factor)
    assert result.code_information[0, 0] == pytest.approx(np.mean(ratios))
    assert result.standard_errors[0, 0] == pytest.approx(np.std(ratios, ddof=1) / np.sqrt(10))


def test_missing_values():
    rng = np.random.default_rng(0)
    factor = np.arange(600) % 3 * 1.0
    mean = np.where(np.arange(600) < 300, factor, 0.0)[:, None]
    var = np.full((600, 1), 1e-4)
    known = np.where(np.arange(600) < 300, factor, np.nan)
    result = channel(mean, var, np.stack([known, factor], axis=1))
    assert result.sample_information[0, 0] == pytest.approx(np.log(3), abs=1e-6)
    assert result.code_information[0, 0] == pytest.approx(np.log(3))
    assert result.sample_information[0, 1] == result.information[0] < np.log(3) - 0.05
    assert result.cells == ()
    assert channel(mean + 1e-3 * rng.normal(size=mean.shape), var, known).cells == ()
    with pytest.raises(Undefined, match="factors must have values; factor_0 has none"):
        channel(mean, var, np.full(600, np.nan))


@pytest.mark.parametrize("n", [1, 2, 5])
def test_degenerate_inputs(n):
    result = channel(np.ones((n, 2)), np.ones((n, 2)), np.arange(n))
    assert result.cells == ()
    assert np.all(result.code_information == 0)
    assert channel(np.arange(n)[:, None], np.ones((n, 1)), np.ones(n)).cells == ()


def test_what_it_returns():
    factor = np.arange(1000) % 4
    mean = 0.01 * np.stack([factor] * 2, axis=1)
    factors = np.stack([factor, factor // 2, np.zeros(1000)], axis=1)
    result = channel(mean, np.ones((1000, 2)), factors, factor_names=["a", "b", "c"])
    assert result.sentence == (
        "2 of 2 latents look more informative than they are: the mean of latent 0 shares 1.386 "
        "nats with a, a sample only 0.000; the mean of latent 1 shares 1.386 nats with a, a sample "
        "only 0.000; the mean of latent 0 shares 0.693 nats with b, a sample only 0.000; and 1 more."
    )
    assert "1.386 !" in repr(result)
    frame = result.to_frame()
    assert frame.loc[(1, "a"), "overstated"]
    assert not frame.loc[(1, "c"), "overstated"]
    content = result.to_dict()
    assert content["schema"] == "dindic.channel/1"
    assert content["cells"][0] == [0, "a"]
    assert content["parameters"]["permutations"] == 20
    one = channel(mean[:, :1], np.ones((1000, 1)), factor, codes=mean[:, :1] + 5)
    assert one.sentence.startswith("1 of 1 latent looks more informative than it is: the code of")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"permutations": 0}, "permutations must be at least 1; got 0"),
        ({"bins": 0}, "bins must be at least 1; got 0"),
        ({"code_bins": "x"}, "code_bins must be width or count; got 'x'"),
        ({"codes": np.eye(3)}, r"codes must have the shape \(2, 2\); got \(3, 3\)"),
        ({"var": np.zeros((2, 2))}, "var must be positive"),
        ({"mean": np.full((2, 2), np.nan)}, "mean must be finite"),
    ],
)
def test_refused(options, words):
    given = {"mean": np.eye(2), "var": np.ones((2, 2)), "factors": [0, 1]} | options
    with pytest.raises(ValueError, match=words):
        channel(**given)


def test_standard_errors_of_clusters():
    """Copies of rows tell nothing new; clusters of one row change nothing."""
    rng = np.random.default_rng(0)
    factor = rng.integers(4, size=50)
    code = (factor + rng.integers(2, size=50))[:, None] * 1.0
    rows = rng.permutation(np.repeat(np.arange(50), 6))
    var = np.ones((300, 1))
    first = channel(code, var[:50], factor)
    again = channel(code, var[:50], factor, clusters=np.arange(50))
    np.testing.assert_allclose(again.standard_errors, first.standard_errors, rtol=1e-12)
    np.testing.assert_array_equal(again.null_max, first.null_max)
    copies = channel(code[rows], var, factor[rows], clusters=rows)
    np.testing.assert_allclose(copies.standard_errors, first.standard_errors, rtol=1e-12)
    assert copies.null_max > 2 * channel(code[rows], var, factor[rows]).null_max
    assert "permutations" in copies.parameters
    assert copies.parameters["clusters"] == 50
    note = "standard errors are over clusters; nulls give each cluster the factors of another one"
    assert copies.notes == (note,)
    assert first.notes == ("rows are taken as independent",)


@pytest.mark.parametrize("unequal", [False, True])
def test_clusters_flag_nothing_by_chance(unequal):
    """Latents of donors that know nothing of factors of donors, with cells in unequal numbers."""
    flagged = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        sizes = rng.integers(5, 60, size=15) if unequal else np.full(15, 30)
        donor = np.repeat(np.arange(15), sizes)
        mean = 0.01 * (rng.normal(size=(15, 2))[donor] + 0.1 * rng.normal(size=(len(donor), 2)))
        factor = rng.integers(3, size=15)[donor]
        var = np.ones(mean.shape)
        clustered = channel(mean, var, factor, clusters=donor)
        flagged.append((len(clustered.cells), len(channel(mean, var, factor).cells)))
        assert np.all(clustered.standard_errors > channel(mean, var, factor).standard_errors)
    ours, rows = np.sum(flagged, axis=0)
    assert ours <= 1
    assert rows == 24


def test_what_the_marginals_lack_is_no_excess():
    """Of all rows, and of those where a factor has a value."""
    rng = np.random.default_rng(0)
    mean, var = rng.normal(size=(60, 2)), np.full((60, 2), 0.05)
    factors = rng.integers(3, size=(60, 2)) * 1.0
    factors[:20, 1] = np.nan
    given = Encodings.of(mean, var, factors=factors)
    of_sample, slack = _of_samples(given, given.targets())
    for k, rows in enumerate((slice(None), slice(20, None))):
        part = marginals(mean[rows], var[rows])
        np.testing.assert_allclose(of_sample[:, k], part.information, rtol=1e-12)
        assert np.all(slack[:, k] >= part.shortfall)
        assert np.all(part.shortfall > 1e-3)
