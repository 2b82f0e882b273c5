"""SEP, SEPIN, INDIN and activity: closed forms, and plain sums over all rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp
from strategies import encodings, rngs

from disentangle_indicators.aggregate import marginals
from disentangle_indicators.unsupervised import activity, informativeness

LOG2 = np.log(2)


def bits(*columns):
    """Means far apart: each latent tells one bit of x, without noise."""
    mean = np.stack(columns, axis=1) * 2.0 - 1
    return mean, np.full(mean.shape, 1e-4)


GRID = np.stack(np.divmod(np.arange(400) % 4, 2))


@pytest.mark.parametrize(
    ("columns", "sep", "sepin"),
    [
        ([GRID[0]], [0], [LOG2]),
        ([GRID[0], GRID[1]], [0, 0], [LOG2, LOG2]),
        ([GRID[0], GRID[0]], [LOG2, LOG2], [0, 0]),
        ([GRID[0], GRID[0], GRID[1]], [LOG2, LOG2, 0], [0, 0, LOG2]),
        # of two bits and their parity each one follows from the others
        ([GRID[0], GRID[1], GRID[0] ^ GRID[1]], [LOG2] * 3, [0] * 3),
    ],
)
def test_bits(columns, sep, sepin):
    result = informativeness(*bits(*columns))
    np.testing.assert_allclose(result.information, LOG2, atol=1e-9)
    np.testing.assert_allclose(result.sep_per_latent, sep, atol=1e-6)
    np.testing.assert_allclose(result.sepin_per_latent, sepin, atol=1e-6)
    np.testing.assert_allclose(result.indin_per_latent, sepin, atol=1e-6)
    assert result.sepin == pytest.approx(np.mean(sepin), abs=1e-6)
    assert result.wsep == pytest.approx(np.mean(sep), abs=1e-6)
    assert result.activity == ("active",) * len(columns)


def test_weights_and_the_first_latents():
    mean, var = bits(GRID[0], GRID[0], GRID[1])
    mean[:, 1], var[:, 1] = 0.0, 1.0
    result = informativeness(mean, var)
    np.testing.assert_allclose(result.weights, [0.5, 0, 0.5], atol=1e-6)
    assert result.wsepin == pytest.approx(LOG2, abs=1e-6)
    assert result.windin == pytest.approx(LOG2, abs=1e-6)
    assert result.sepin == pytest.approx(LOG2 * 2 / 3, abs=1e-6)
    assert result.indin == pytest.approx(LOG2 * 2 / 3, abs=1e-6)
    assert [round(result.sepin_at(k) / LOG2, 5) for k in (1, 2, 3)] == [1, 1, 0.66667]
    with pytest.raises(ValueError, match="k must be between 1 and 3; got 4"):
        result.sepin_at(4)


def test_gaussians():
    """Two noisy copies of one Gaussian, beside an independent one."""
    x = np.random.default_rng(0).normal(size=(4000, 2))
    x = (x - x.mean(axis=0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T))).T
    s = 0.5
    result = informativeness(x[:, [0, 0, 1]], np.full((4000, 3), s), rng=1)
    one, two = 0.5 * np.log(1 + 1 / s), 0.5 * np.log(1 + 2 / s)
    np.testing.assert_allclose(result.sepin_per_latent, [two - one] * 2 + [one], atol=0.02)
    np.testing.assert_allclose(result.sep_per_latent, [2 * one - two] * 2 + [0], atol=0.02)
    assert not result.saturated.any()


@settings(max_examples=10)
@given(encodings(min_n=2, max_n=40, max_d=4), rngs)
def test_plain_sums_over_all_rows(encoding, rng):
    mean, var = encoding
    n, d = mean.shape
    result = informativeness(mean, var, points=2000, rng=0)
    rows = rng.integers(n, size=4000)
    z = mean[rows] + np.sqrt(var[rows]) * rng.normal(size=(4000, d))
    log = -0.5 * ((z[:, None] - mean) ** 2 / var + np.log(2 * np.pi * var))

    def log_q(latents):
        return logsumexp(log[..., latents].sum(axis=2), axis=1) - np.log(n)

    for h in range(d):
        rest = [g for g in range(d) if g != h]
        terms = log_q(list(range(d))) - log_q([h]) - (log_q(rest) if rest else 0)
        error = np.std(terms) / np.sqrt(len(terms))
        own = result.standard_errors["sep_per_latent"][h]
        # 1e-3: no error knows of points too rare to be drawn
        assert abs(result.sep_per_latent[h] - terms.mean()) < 5 * np.hypot(error, own) + 1e-3
        gap = result.sepin_per_latent[h] - result.indin_per_latent[h]
        assert abs(gap) < 6 * np.hypot(result.standard_errors["sepin_per_latent"][h], own) + 1e-3
    np.testing.assert_array_equal(result.information, marginals(mean, var).information)


def test_rows_that_other_latents_tell_apart():
    mean = np.random.default_rng(0).normal(size=(300, 4)) * [1, 1, 1, 0]
    var = np.array([[1e-4, 1e-4, 1e-4, 1.0]]).repeat(300, axis=0)
    result = informativeness(mean, var)
    assert result.saturated.tolist() == [True, True, True, False]
    assert result.mutual_information == pytest.approx(np.log(300), abs=1e-3)
    assert np.all(result.sepin_per_latent < 0.02 * result.information + 1e-9)
    assert "active, saturated" in repr(result)


def test_the_same_seed_the_same_numbers():
    mean, var = bits(*GRID)
    var[:] = 0.5
    one, two, other = (informativeness(mean, var, rng=seed, points=500) for seed in (3, 3, 4))
    assert one.to_dict() == two.to_dict()
    assert one.sep != other.sep
    assert one.seed == 3


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("d", [1, 3])
def test_degenerate_posteriors(n, d):
    result = informativeness(np.zeros((n, d)), np.ones((n, d)), points=100)
    for name in ("sep", "sepin", "indin", "wsep", "wsepin", "windin"):
        assert getattr(result, name) == pytest.approx(0, abs=1e-6)
    assert result.weights == pytest.approx([1 / d] * d)
    assert result.activity == ("passive",) * d
    assert len(result.to_frame()) == d
    assert result.to_json()


def test_refused():
    with pytest.raises(ValueError, match="points must be at least 100; got 99"):
        informativeness(np.eye(2), np.ones((2, 2)), points=99)
    with pytest.raises(ValueError, match=r"mean must have the shape \(n, d\)"):
        informativeness(np.ones((2, 2, 2)), np.ones((2, 2, 2)))
    with pytest.raises(ValueError, match="var must be positive"):
        informativeness(np.eye(2), np.zeros((2, 2)))


@pytest.mark.parametrize(
    ("var", "expected"),
    [
        ([0.1, 0.1], "active"),
        ([0.11, 0.11], "mixed"),
        ([0.89, 0.89], "mixed"),
        ([0.91, 0.91], "passive"),
        ([1.09, 1.09], "passive"),
        ([1.11, 1.11], "mixed"),
        ([0.01, 1.0], "mixed"),
        ([0.7, 1.3], "passive"),
        ([0.65, 1.35], "mixed"),
        ([0.5], "mixed"),
    ],
)
def test_activity(var, expected):
    assert activity(np.array(var)[:, None]) == (expected,)


@given(encodings(), st.floats(0.01, 1), st.floats(0.01, 0.49))
def test_activity_of_any_variances(encoding, spread, margin):
    var = encoding[1]
    v, m = np.var(var, axis=0), np.mean(var, axis=0)
    for kind, low, centre in zip(activity(var, spread=spread, margin=margin), v, m, strict=True):
        near = {"active": 0.0, "passive": 1.0}
        matches = [k for k, c in near.items() if low < spread and abs(centre - c) <= margin]
        assert [kind] == (matches or ["mixed"])


def test_activity_refuses():
    with pytest.raises(ValueError, match=r"var must have the shape \(n, d\)"):
        activity(np.ones(3))
    with pytest.raises(ValueError, match="var must be positive"):
        activity(np.zeros((1, 1)))
    with pytest.raises(ValueError, match=r"margin between 0 and 0.5; got 0.1 and 0.5"):
        activity(np.ones((1, 1)), margin=0.5)
