"""Intrinsic dimension: estimates, scales, errors, copies, clusters."""

import numpy as np
import pytest

from disentangle_indicators._errors import Undefined
from disentangle_indicators.theorems import intrinsic_dimension, levina_bickel, two_nn
from disentangle_indicators.theorems._neighbours import nearest

NAMES = ("two_nn", "levina_bickel", "two_nn_half", "levina_bickel_half")


def errors(found, truth):
    """Every estimate less the truth, in standard errors."""
    return np.array([(getattr(found, x) - truth) / found.standard_errors[x] for x in NAMES])


def torus(rng, n, d):
    """Evenly spread rows in d dimensions without a boundary, in 2 d coordinates."""
    angle = rng.uniform(0, 2 * np.pi, size=(n, d))
    return np.hstack([np.cos(angle), np.sin(angle)])


def test_neighbours_are_those_of_all_pairs_of_rows():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 5)) + 1e6  # where products of matrices cancel
    apart = np.sqrt(((x[:, None] - x) ** 2).sum(-1))
    wanted = np.sort(apart, axis=1)[:, 1:5]
    assert nearest(x, 4) == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("estimate", [two_nn, levina_bickel])
def test_the_law_of_the_estimates(estimate):
    """Distances drawn as D dimensions make them: T^D are the arrivals of a Poisson process."""
    rng = np.random.default_rng(0)
    n, d = 20_000, 7.5
    distances = np.cumsum(rng.exponential(size=(n, 6)), axis=1) ** (1 / d)
    used = n * (1 if estimate is two_nn else 5)
    assert abs(estimate(distances) / d - 1) < 5 / np.sqrt(used)


@pytest.mark.parametrize("d", [1, 3])
def test_a_flat_torus_has_its_dimension_at_both_scales(d):
    found = intrinsic_dimension(torus(np.random.default_rng(d), 3000, d))
    assert np.abs(errors(found, d)[[0, 2]]).max() < 5
    assert abs(found.levina_bickel - d) < 0.1  # curvature within 20 neighbours
    assert abs(found.levina_bickel_half - d) < 0.15


def test_scale_rotation_shift_and_order_change_nothing():
    rng = np.random.default_rng(0)
    x = torus(rng, 800, 2)
    one = intrinsic_dimension(x)
    q = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    two = intrinsic_dimension(1e-3 * x @ q + 5)
    three = intrinsic_dimension(x[rng.permutation(800)])
    assert two.two_nn == pytest.approx(one.two_nn, rel=1e-6)
    assert two.levina_bickel == pytest.approx(one.levina_bickel, rel=1e-6)
    assert (three.two_nn, three.levina_bickel) == pytest.approx((one.two_nn, one.levina_bickel))


def test_noise_shows_at_the_scale_at_which_it_is():
    """A circle with noise in twenty directions: more rows look nearer, where the noise is."""
    rng = np.random.default_rng(0)
    x = np.hstack([torus(rng, 4000, 1), np.zeros((4000, 18))]) + rng.normal(0, 0.01, (4000, 20))
    found = intrinsic_dimension(x)
    assert found.levina_bickel > found.levina_bickel_half + 0.2
    assert found.two_nn > 2


def test_exact_copies_are_removed_first():
    x = torus(np.random.default_rng(0), 500, 2)
    one, two = intrinsic_dimension(x), intrinsic_dimension(np.repeat(x, 3, axis=0))
    assert (two.n, two.copies) == (500, 1000)
    assert (two.two_nn, two.levina_bickel) == (one.two_nn, one.levina_bickel)


def test_errors_leave_out_whole_clusters():
    """Small clouds of rows about few centres of different spreads: the draws are the clouds."""
    rng = np.random.default_rng(0)
    clusters = np.repeat(np.arange(30), 60)
    rank = 1 + np.arange(30) % 6
    x = np.zeros((1800, 6))
    for k in range(30):
        x[clusters == k, : rank[k]] = rng.normal(size=(60, rank[k]))
    x += 100 * rng.normal(size=(30, 6))[clusters]
    rows, whole = intrinsic_dimension(x), intrinsic_dimension(x, clusters=clusters)
    assert whole.levina_bickel == rows.levina_bickel
    assert whole.draws == 30
    assert whole.standard_errors["levina_bickel"] > 2 * rows.standard_errors["levina_bickel"]


def test_the_same_seed_gives_the_same_numbers():
    x = torus(np.random.default_rng(0), 300, 2)
    assert intrinsic_dimension(x, rng=3).to_dict() == intrinsic_dimension(x, rng=3).to_dict()
    assert intrinsic_dimension(x, rng=3).to_dict()["schema"] == "dindic.dimension/1"


def test_images_are_rows():
    x = np.random.default_rng(0).normal(size=(300, 2, 3))
    assert intrinsic_dimension(x).two_nn == intrinsic_dimension(x.reshape(300, 6)).two_nn


def test_bad_input_is_named():
    x = np.random.default_rng(0).normal(size=(300, 2))
    x[3, 1] = np.nan
    with pytest.raises(ValueError, match=r"x must be finite; x\[3, 1\] = nan"):
        intrinsic_dimension(x)
    with pytest.raises(ValueError, match="neighbours must be at least 2; got 1"):
        intrinsic_dimension(x[4:], neighbours=1)
    with pytest.raises(Undefined, match="needs 42 distinct rows; there are 1"):
        intrinsic_dimension(np.zeros((300, 2)))


def test_few_rows_have_an_infinite_error():
    found = intrinsic_dimension(torus(np.random.default_rng(0), 50, 1))
    assert set(found.standard_errors.values()) == {np.inf}
    assert found.to_dict()["standard_errors"]["two_nn"] is None


@pytest.mark.slow
def test_errors_are_what_estimates_vary_by():
    runs = [
        intrinsic_dimension(np.random.default_rng(s).normal(size=(2000, 3)), rng=s)
        for s in range(200)
    ]
    for name in NAMES:
        spread = np.std([getattr(r, name) for r in runs], ddof=1)
        claimed = np.sqrt(np.mean([r.standard_errors[name] ** 2 for r in runs]))
        assert 0.8 < claimed / spread < 1.45, name  # t of 20 blocks adds 7%; spread is known to 5%
