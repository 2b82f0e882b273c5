"""axes: quadratures in two dimensions, then laws of the verdicts, then the edges."""

import json
import pickle
from functools import partial, reduce
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kstest
from strategies import orthogonal, to

from disentangle_indicators._errors import Undefined
from disentangle_indicators.rotation import _axes, axes
from disentangle_indicators.rotation._orthogonal import givens

DATA = Path(__file__).parents[2] / "examples" / "data"

quick = partial(axes, rng=0, null_codes=1, latents="all")


def uniform(n, d, rng):
    return rng.uniform(-np.sqrt(3), np.sqrt(3), size=(n, d))


def two_sided(n, d, rng):
    return rng.choice([-1.0, 1.0], size=(n, d)) + 0.1 * rng.normal(size=(n, d))


def turned(mean, i, j, degrees):
    return mean @ givens(mean.shape[1], i, j, np.radians(degrees)).T


def modulo_90(degrees):
    return (degrees + 45) % 90 - 45


def unseen(n, seed=0):
    """The half of the rows on which gains are measured."""
    return np.random.default_rng(seed).permutation(n)[n // 2 :]


def dense_entropy(mean, var):
    """Entropy of a mixture on a line by Riemann's sum."""
    sd = np.sqrt(var)
    z = np.linspace((mean - 9 * sd).min(), (mean + 9 * sd).max(), 6001)
    q = np.mean(np.exp(-0.5 * ((z[:, None] - mean) / sd) ** 2) / sd, axis=1) / np.sqrt(2 * np.pi)
    q = np.maximum(q, 1e-300)
    return -np.sum(q * np.log(q)) * (z[1] - z[0])


def dense_total_correlation(mean, cov):
    """KL of the mixture of N(mean_m, cov_m) in the plane to its marginals, on a dense grid."""
    low = (mean - 7 * np.sqrt(cov.diagonal(axis1=1, axis2=2))).min(axis=0)
    high = (mean + 7 * np.sqrt(cov.diagonal(axis1=1, axis2=2))).max(axis=0)
    x, y = np.linspace(low, high, 351).T
    q = np.zeros((x.size, y.size))
    for m, c in zip(mean, cov, strict=True):
        p = np.linalg.inv(c)
        u, v = x[:, None] - m[0], y - m[1]
        square = p[0, 0] * u * u + 2 * p[0, 1] * u * v + p[1, 1] * v * v
        q += np.exp(-0.5 * square) * np.sqrt(np.linalg.det(p)) / (2 * np.pi * len(mean))
    dx, dy = x[1] - x[0], y[1] - y[0]
    product = np.outer(q.sum(axis=1) * dy, q.sum(axis=0) * dx)
    seen = q > 1e-200
    return np.sum(q[seen] * np.log(q[seen] / product[seen])) * dx * dy


@pytest.fixture(scope="module")
def mixed():
    """Three sources, of which two are turned by 30 degrees, and their axes."""
    rng = np.random.default_rng(0)
    mean = turned(uniform(1500, 3, rng) * [1.2, 1.0, 0.9], 0, 2, 30)
    var = np.full_like(mean, 0.05)
    return mean, var, axes(mean, var, rng=0)


# What a turn changes.


@pytest.mark.parametrize("seed", [0, 1])
def test_gain_and_cost_are_the_change_of_total_correlation_in_the_plane(seed):
    rng = np.random.default_rng(seed)
    mean = turned(rng.normal(size=(24, 2)) * [1, 0.5], 0, 1, 25)
    var = 0.2 * np.exp(0.4 * rng.normal(size=(24, 2)))
    (pair,) = quick(mean, var).pairs
    rows = unseen(24)
    before = dense_total_correlation(mean[rows], var[rows][:, None] * np.eye(2))
    for effect, angle, sign in (("gain", "best", -1), ("cost", "worst", 1)):
        q = givens(2, 0, 1, np.radians(getattr(pair, f"{angle}_degrees")))
        cov = np.einsum("ij,mj,kj->mik", q, var[rows], q)
        after = dense_total_correlation(mean[rows] @ q.T, cov)
        assert sign * getattr(pair, effect) == pytest.approx(after - before, abs=1e-6)
    a = np.radians(pair.best_degrees)
    assert turned(mean, 0, 1, pair.best_degrees)[:, 0] == pytest.approx(
        np.cos(a) * mean[:, 0] - np.sin(a) * mean[:, 1], abs=1e-14
    )


def test_the_total_gain_is_that_of_the_marginals_of_rows_the_search_did_not_see():
    rng = np.random.default_rng(3)
    mean = rng.laplace(size=(60, 3)) @ orthogonal(rng, 3)
    var = 0.02 * np.exp(0.5 * rng.normal(size=(60, 3)))
    found = quick(mean, var, rng=5)
    assert len(found.turns) >= 2
    q = found.rotation

    def gain(rows):
        m, v = mean[rows], var[rows]
        old = sum(dense_entropy(m[:, h], v[:, h]) for h in range(3))
        return old - sum(dense_entropy(m @ u, v @ u**2) for u in q)

    held = unseen(60, seed=5)
    assert found.total_gain == pytest.approx(gain(held), abs=1e-6)
    assert gain(np.setdiff1d(np.arange(60), held)) > found.total_gain + 0.01


def test_what_the_search_gains_by_chance_is_not_claimed():
    """Gaussian codes of few rows have a best angle, which gains nothing on the other rows."""
    rng = np.random.default_rng(0)
    found = [quick(rng.normal(size=(60, 2)), np.full((60, 2), 0.1)) for _ in range(30)]
    gains = np.array([of.pairs[0].gain for of in found])
    assert np.mean(gains) < 2 * np.std(gains, ddof=1) / np.sqrt(len(gains))
    assert max(of.total_gain for of in found) < 0.02


def test_the_errors_are_those_of_repetition():
    rng = np.random.default_rng(0)
    found = []
    for _ in range(30):
        mean = turned(uniform(300, 2, rng), 0, 1, 40)
        found.append(quick(mean, np.full_like(mean, 0.05), rng=rng))
    for value, error in (
        ([of.total_gain for of in found], [of.standard_error for of in found]),
        ([of.pairs[0].gain for of in found], [of.pairs[0].gain_se for of in found]),
    ):
        assert 0.6 < np.sqrt(np.mean(np.square(error))) / np.std(value, ddof=1) < 1.6


# Sources are found.


@pytest.mark.parametrize("sources", [uniform, two_sided])
@pytest.mark.parametrize("d", [2, 3, 4])
def test_independent_sources_are_recovered(sources, d):
    rng = np.random.default_rng(d)
    mixing = orthogonal(rng, d)
    found = quick(sources(1200, d, rng) @ mixing.T, np.full((1200, d), 0.03))
    match = np.abs(found.rotation @ mixing)
    assert np.array_equal(np.sort(match.argmax(axis=1)), np.arange(d))
    assert match.max(axis=1).min() > np.cos(np.radians(4))
    assert found.total_gain > 5 * found.standard_error > 0


def test_the_rotation_is_the_product_of_the_turns_in_order(mixed):
    rng = np.random.default_rng(1)
    mean = np.insert(uniform(600, 3, rng) @ orthogonal(rng, 3).T, 1, 0.0, axis=1)
    var = np.tile([0.05, 1.0, 0.05, 0.05], (600, 1))
    found = axes(mean, var, rng=0, null_codes=1)
    assert found.rotated == (0, 2, 3)
    assert len(found.turns) >= 3
    q = np.eye(4)
    for i, j, degrees in found.turns:
        q = givens(4, i, j, np.radians(degrees)) @ q
    assert np.allclose(found.rotation, q[np.ix_(found.rotated, found.rotated)], atol=1e-13)
    for of in (found, mixed[-1]):
        assert np.allclose(of.rotation @ of.rotation.T, np.eye(3), atol=1e-13)
    z = mean[:, found.rotated]
    one_by_one = reduce(lambda z, turn: turned(z, *turn), found.turns, mean)
    assert np.allclose(z @ found.rotation.T, one_by_one[:, found.rotated], atol=1e-13)


def test_after_the_rotation_nothing_more_is_found(mixed):
    mean, var, found = mixed
    again = axes(mean @ found.rotation.T, var, rng=0)
    assert abs(again.total_gain) < 0.002
    assert all(abs(degrees) < 3 for *_, degrees in again.turns)
    assert {pair.verdict for pair in again.pairs} == {"preferred"}
    assert found.total_gain > 0.05


@pytest.mark.parametrize("sources", [uniform, two_sided])
def test_sources_on_their_own_axes_are_preferred(sources):
    rng = np.random.default_rng(0)
    found = axes(sources(1000, 3, rng), np.full((1000, 3), 0.05), rng=0)
    for pair in found.pairs:
        assert pair.verdict == "preferred"
        assert pair.cost > 5 * pair.cost_se
        assert pair.p_cost == 1 / 20
        assert abs(pair.best_degrees) < 2
    assert np.allclose(found.rotation, np.eye(3), atol=0.05)
    assert abs(found.total_gain) < 2 * found.standard_error + 1e-3
    assert "3 are best as they are" in repr(found)


def test_the_pair_that_is_turned_has_better_axes(mixed):
    found = mixed[-1]
    verdicts = {(pair.i, pair.j): pair.verdict for pair in found.pairs}
    assert verdicts == {(0, 2): "better axes", (0, 1): "preferred", (1, 2): "preferred"}
    (best,) = (pair.best_degrees for pair in found.pairs if pair.j - pair.i == 2)
    assert best == pytest.approx(-30, abs=3)
    assert "Turning latents 0 and 2 by -" in " ".join(repr(found).split())


# Gaussian codes.


@pytest.fixture(scope="module", params=[(1.0, 1.0), (1.5, 0.8)], ids=["equal", "unequal"])
def gaussian(request):
    """The pairs of 40 uncorrelated Gaussian codes of 400 rows."""
    rng = np.random.default_rng(7)
    out = []
    for _ in range(40):
        mean = rng.normal(size=(400, len(request.param))) * request.param
        out.extend(axes(mean, np.full_like(mean, 0.1), rng=rng).pairs)
    return out


def test_gaussian_codes_have_arbitrary_axes_at_the_stated_rate(gaussian):
    n = len(gaussian)
    most = 0.05 * n + 5 * np.sqrt(0.05 * 0.95 * n)
    for name, verdict in (("p_gain", "better axes"), ("p_cost", "preferred")):
        assert sum(getattr(pair, name) <= 0.05 for pair in gaussian) <= most
        assert sum(pair.verdict == verdict for pair in gaussian) <= most
    assert sum(pair.verdict == "arbitrary" for pair in gaussian) > 0.75 * n


def test_p_values_are_no_smaller_than_uniform_when_the_axes_are_arbitrary(gaussian):
    """Spread evenly over their steps; larger with unequal variances, which the nulls redraw."""
    spread = np.random.default_rng(0).random(len(gaussian)) / 20
    for name in ("p_cost", "p_gain"):
        p = np.array([getattr(pair, name) for pair in gaussian]) - spread
        moved = np.array([name == "p_cost" or abs(pair.best_degrees) > 1 for pair in gaussian])
        assert moved.sum() > len(gaussian) / 2
        assert kstest(p[moved], "uniform", alternative="greater").pvalue > 1e-3


@pytest.mark.parametrize("rho", [0.3, -0.6, 0.9])
def test_correlated_gaussian_codes_are_turned_to_their_principal_axes(rho):
    rng = np.random.default_rng(0)
    root = np.linalg.cholesky([[0.95, rho], [rho, 0.95]])
    mean = rng.normal(size=(3000, 2)) @ root.T
    found = axes(mean, np.full_like(mean, 0.05), rng=0)
    (pair,) = found.pairs
    assert pair.verdict == "better axes"
    assert abs(pair.best_degrees) == pytest.approx(45, abs=6)
    expected = -0.5 * np.log(1 - rho**2)
    assert pair.gain == pytest.approx(expected, abs=4 * pair.gain_se)
    assert pair.gain_se < 0.05
    assert found.total_gain == pytest.approx(pair.gain, abs=1e-9)


# Symmetries and seeds.


def test_permutations_and_signs_of_latents_change_signs_of_angles_only(mixed):
    mean, var, found = mixed
    order, signs = [2, 0, 1], [-1, 1, 1]
    other = axes((mean * signs)[:, order], var, rng=0)
    described = {(order[p.i], order[p.j]): p for p in other.pairs}
    for pair in found.pairs:
        i, j = pair.i, pair.j
        swapped = (i, j) not in described
        sign = signs[i] * signs[j] * (-1 if swapped else 1)
        same = described[(j, i) if swapped else (i, j)]
        assert modulo_90(same.best_degrees - sign * pair.best_degrees) == pytest.approx(0, abs=1)
        assert same.gain == pytest.approx(pair.gain, abs=2e-3)
        assert same.verdict == pair.verdict
    assert other.total_gain == pytest.approx(found.total_gain, abs=2e-3)


def test_the_seed_decides_and_nothing_else(mixed):
    few = partial(quick, mixed[0][:300], mixed[1][:300])
    one, same, other = (few(rng=seed) for seed in (3, 3, 4))
    generator = few(rng=np.random.default_rng(3))
    assert one.to_json() == same.to_json()
    assert one.total_gain != other.total_gain
    assert (one.seed, other.seed, generator.seed) == (3, 4, None)
    assert [pair.own_fields() for pair in generator.pairs] == [
        pair.own_fields() for pair in one.pairs
    ]
    assert generator.total_gain == one.total_gain


def test_progress_sees_every_pair(mixed):
    seen = []

    def progress(steps, description, total):
        seen.append((description, total))
        for step in steps:
            seen.append(step)
            yield step

    quick(mixed[0][:60], mixed[1][:60], progress=progress)
    assert seen == [("pairs", 3), 0, 1, 2]


# Which latents, and which arrays.


def test_unused_latents_are_dropped_unless_asked_for():
    rng = np.random.default_rng(0)
    width = np.array([0.01, 0.9, 0.01, 0.5])
    mean = rng.normal(size=(200, 4)) * np.sqrt(1 - width)
    var = np.tile(width, (200, 1))
    few = partial(axes, mean, var, rng=0, null_codes=1)
    found = few()
    assert (found.n, found.d, found.rotated) == (200, 4, (0, 2))
    assert [(pair.i, pair.j) for pair in found.pairs] == [(0, 2)]
    assert found.rotation.shape == (2, 2)
    assert few(threshold=0.2).rotated == (0, 2, 3)
    every = few(latents="all")
    assert every.rotated == (0, 1, 2, 3)
    assert len(every.pairs) == 6
    assert every.rotation.shape == (4, 4)
    assert "Of 6 pairs of latents, " in repr(every)


@pytest.mark.parametrize(("used", "words"), [(0, "no latent is used"), (1, "one latent is used")])
def test_fewer_than_two_latents_have_nothing_to_rotate(used, words):
    rng = np.random.default_rng(0)
    var = np.where(np.arange(3) < used, 0.01, 1.0) * np.ones((50, 3))
    mean = np.where(np.arange(3) < used, rng.normal(size=(50, 3)), 0.0)
    found = axes(mean, var, rng=0)
    assert f"There is nothing to rotate: {words}." in repr(found)
    assert (found.pairs, found.turns, found.total_gain) == ((), (), 0.0)
    assert found.rotation.shape == (used, used)
    content = json.loads(found.to_json())
    assert content["pairs"] == []
    assert len(content["rotated"]) == used
    assert len(found.to_frame()) == 0


def test_arrays_of_all_libraries_give_the_same(xp, mixed):
    mean, var = mixed[0][:200], mixed[1][:200]
    assert quick(*to(xp, mean, var)).to_json() == quick(mean, var).to_json()


def test_float32_is_nearly_float64(mixed):
    mean, var = mixed[0][:400], mixed[1][:400]
    small = quick(mean.astype(np.float32), var.astype(np.float32))
    assert small.total_gain == pytest.approx(quick(mean, var).total_gain, abs=1e-4)
    assert small.rotation.dtype == np.float64


def test_one_latent_of_all_has_nothing_to_rotate():
    found = quick(np.ones((50, 1)), np.ones((50, 1)))
    assert "There is nothing to rotate: the code has one latent." in repr(found)


@pytest.mark.parametrize("refusal", [Undefined, ValueError])
def test_a_latent_whose_entropy_has_no_value_is_named(monkeypatch, refusal):
    """Bad input and mistakes, which are ValueErrors too, pass through as they are."""

    def narrow(mean, var):
        raise refusal("too narrow")

    monkeypatch.setattr(_axes, "entropy", narrow)
    with pytest.raises(ValueError, match="too narrow") as raised:
        quick(*GOOD)
    assert raised.type is refusal
    assert str(raised.value) == ("latent 0: " if refusal is Undefined else "") + "too narrow"


GOOD = np.random.default_rng(0).normal(size=(60, 2)), np.full((60, 2), 0.1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mean": GOOD[0][None], "var": GOOD[1][None]}, r"mean must have the shape \(n, d\).*60"),
        ({"mean": GOOD[0][:, 0]}, r"mean must have the shape .*\(60,\)"),
        ({"mean": np.where(GOOD[0] > 1, np.nan, GOOD[0])}, r"mean must be finite; mean\["),
        ({"var": GOOD[1][:-1]}, "mean and var must have the same shape"),
        ({"var": None}, "axes need the posterior variances"),
        ({"var": -GOOD[1]}, r"var must be positive.*var\[0, 0\] = -0.1"),
        ({"var": 0 * GOOD[1]}, r"var must be positive.*var\[0, 0\] = 0"),
        ({"var": np.full((60, 2), np.inf)}, r"var must be finite; var\[0, 0\] = inf"),
        ({"mean": GOOD[0][:7], "var": GOOD[1][:7]}, "at least 8 rows; got 7"),
        ({"null_codes": 0}, "null_codes must be a whole number of at least 1; got 0"),
        ({"latents": "some"}, r"latents must be .*; got 'some'"),
        ({"threshold": 0.0, "latents": "used"}, "threshold must be positive"),
        ({"rng": "zero"}, "rng must be"),
        ({"rng": -1}, "rng must be"),
    ],
)
def test_bad_input_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        quick(**{"mean": GOOD[0], "var": GOOD[1]} | change)


def test_eight_rows_are_enough():
    assert len(quick(GOOD[0][:8], GOOD[1][:8]).pairs) == 1


# What it prints and stores.


def test_the_result_says_all_of_it(mixed):
    found = mixed[-1]
    text = " ".join(repr(found).split())
    assert (
        "Of 3 pairs of used latents, 1 is less dependent after a rotation, 2 are best as they are."
        in text
    )
    assert "nats, a lower bound of the total correlation." in text
    assert "against 19 uncorrelated Gaussian codes of the same variances, seed 0" in text
    content = json.loads(found.to_json())
    assert content == json.loads(json.dumps(found.to_dict()))
    assert content["schema"] == "dindic.axes/1"
    assert content["total_gain"] == found.total_gain
    assert content["rotation"] == found.rotation.tolist()
    assert content["pairs"] == [pair.to_dict() for pair in found.pairs]
    assert list(content["pairs"][0]) == list(found.pairs[0].own_fields())
    frame = found.to_frame()
    assert frame["verdict"].tolist() == [pair.verdict for pair in found.pairs]
    effects = [max(pair.gain, pair.cost) for pair in found.pairs]
    assert effects == sorted(effects, reverse=True)
    assert "| 0, 2" in found.to_markdown()
    assert pickle.loads(pickle.dumps(found)).to_json() == found.to_json()


# Real encodings.


def test_the_position_of_dsprites_is_turned_by_45_degrees_without_the_factors():
    with np.load(DATA / "dsprites_btcvae.npz") as file:
        found = axes(file["mean"], file["var"], rng=0)
    assert found.rotated == (2, 3, 4, 6, 8)
    verdicts = {(pair.i, pair.j): pair.verdict for pair in found.pairs}
    assert verdicts.pop((4, 8)) == "better axes"
    assert set(verdicts.values()) == {"preferred"}
    (best,) = (pair.best_degrees for pair in found.pairs if (pair.i, pair.j) == (4, 8))
    assert abs(best) == pytest.approx(45, abs=3)


@pytest.mark.slow
def test_most_pairs_of_mnist_are_arbitrary():
    with np.load(DATA / "mnist_vae.npz") as file:
        found = axes(file["mu"], np.exp(file["logvar"]), rng=0)
    verdicts = [pair.verdict for pair in found.pairs]
    assert len(verdicts) == 45
    assert verdicts.count("arbitrary") > 22


@pytest.mark.parametrize("degrees", [0, 24, 27])
@pytest.mark.parametrize("var", [1e-2, 1e-5])
def test_narrow_valleys_are_found(degrees, var):
    """Sources on a lattice: the right angle is right within a fraction of a degree only."""
    source = np.random.default_rng(0).integers(32, size=(1000, 2)).astype(float)
    source = (source - source.mean(axis=0)) / source.std(axis=0)
    mean = source @ givens(2, 0, 1, np.deg2rad(degrees)).T
    pair = axes(mean, np.full((1000, 2), var), rng=0).pairs[0]
    assert pair.best_degrees == pytest.approx(-degrees, abs=0.5)
    assert pair.verdict == ("better axes" if degrees else "preferred")


def test_an_effect_within_two_errors_is_no_verdict(mixed, monkeypatch):
    mean, var, _ = mixed
    assert any(pair.verdict != "arbitrary" for pair in axes(mean, var, rng=0).pairs)
    monkeypatch.setattr(_axes, "_standard_error", lambda *_: 100.0)
    assert {pair.verdict for pair in axes(mean, var, rng=0).pairs} == {"arbitrary"}
