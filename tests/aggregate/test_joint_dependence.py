"""The joint where rows depend: ranges hold the truth with copies, named or not, and in clusters."""

import math

import numpy as np
import pytest
from joint_cases import mean_and_error, mixture

from disentangle_indicators import Encodings
from disentangle_indicators.aggregate import _upper_bound, joint
from disentangle_indicators.aggregate._joint import Groups, _consistent
from disentangle_indicators.aggregate._joint_result import span, span_of
from disentangle_indicators.aggregate._marginals import evaluate_arrays
from disentangle_indicators.aggregate._monte_carlo import Estimate, _clustered, draw
from disentangle_indicators.aggregate._upper_bound import leave_fold_out, leave_one_out

INFORMATION = 3 * np.log(1 / 0.03)
"""Of six independent Gaussian latents, I(x; z) = 10.52; TC and KL(q(z) || p) are 0."""


def gaussian(seed, rows=400):
    """Means and variances of a population that matches its prior."""
    rng = np.random.default_rng(seed)
    return rng, rng.normal(size=(rows, 6)) * 0.97**0.5


def holds(run, name, value):
    low, high = span(run, name)
    return low <= value <= high


@pytest.mark.parametrize("jitter", [0.0, 0.01])
def test_ranges_hold_the_truth_with_copies(jitter):
    """Without leaving copies out, I was 5.955 to 6.072, TC 4.3 to 4.5, not saturated."""
    rng, mean = gaussian(0)
    many = np.repeat(mean, 10, axis=0) + jitter * rng.normal(size=(4000, 6))
    ours = joint(many, np.full((4000, 6), 0.03), rng=0)
    assert holds(ours, "mutual_information", INFORMATION)
    assert holds(ours, "total_correlation", 0)
    assert holds(ours, "kl_aggregate_prior", 0)
    assert ours.saturated
    assert ours.saturation > 0.9
    assert ours.draws == 400
    assert ours.dependence in " ".join(repr(ours).split())
    assert ours.dependence.startswith("Copies of one row count as one draw, of ")


@pytest.mark.parametrize("jitter", [0.0, 0.01])
def test_naming_the_original_gives_the_same(jitter):
    rng, mean = gaussian(1)
    many = np.repeat(mean, 5, axis=0) + jitter * rng.normal(size=(2000, 6))
    var = np.full((2000, 6), 0.03)
    found = joint(many, var, points=2000, rng=0)
    named = joint(many, var, points=2000, rng=0, clusters=np.repeat(np.arange(400), 5))
    once = joint(mean, var[:400], points=2000, rng=0)
    assert found.draws == named.draws == once.draws == 400
    for name in ("mutual_information_low", "mutual_information_high", "saturation"):
        assert getattr(found, name) == pytest.approx(getattr(named, name), abs=0.05), name
        assert getattr(found, name) == pytest.approx(getattr(once, name), abs=0.15), name
    assert named.saturated
    assert named.dependence == "Rows of one cluster count as one draw, of 400."


def test_copies_may_have_other_variances():
    rng, mean = gaussian(2)
    var = 0.03 * np.exp(0.3 * rng.normal(size=(2000, 6)))
    ours = joint(np.repeat(mean, 5, axis=0), var, points=2000, rng=0)
    assert ours.draws == 400
    assert ours.saturated


@pytest.mark.parametrize("copies", [1, 4])
def test_saturation_is_the_share_of_the_own_group(copies):
    """Of rows that are groups exp(I) / n, and the same for the group of all copies of a row."""
    mean, var = mixture(np.random.default_rng(3), n=100)
    once = joint(mean, var, points=2000, rng=0)
    many = [np.tile(x, (copies, 1)) for x in (mean, var)]
    ours = joint(*many, points=2000, rng=1)
    assert once.saturation == pytest.approx(math.exp(once.mutual_information) / 100)
    assert ours.saturation == pytest.approx(once.saturation, rel=0.05)
    assert ours.saturated == once.saturated


def test_clusters_of_rows_that_overlap_are_not_saturated():
    """Eight of 200 clusters, or 1,000 rows, overlap: share and number of clusters of one size."""
    rng = np.random.default_rng(4)
    mean = rng.normal(size=(1000, 1))
    ours = joint(mean, np.full((1000, 1), 0.5), points=1000, rng=0, clusters=np.arange(1000) % 200)
    assert 5 / 1000 <= ours.saturation <= 2 * 5 / 1000
    assert not ours.saturated


def test_collapsed_clusters_are_not_saturated():
    """Each of four clusters is a quarter of q(z), and tells nothing."""
    ours = joint(
        np.zeros((40, 2)), np.ones((40, 2)), points=100, rng=0, clusters=np.arange(40) % 4
    )
    assert ours.saturation == pytest.approx(0.25)
    assert not ours.saturated


def test_groups_of_unequal_size():
    groups = Groups.of(6, np.array([0, 0, 0, 1, 1, 2]))
    wanted = np.log(6) - (3 * np.log(3) + 2 * np.log(2)) / 6
    assert groups.log_number == pytest.approx(wanted)
    assert not groups.single
    assert Groups.of(6, None).single
    assert Groups.of(6, None).log_number == pytest.approx(np.log(6))


def test_a_grid_of_repeated_means_has_a_range():
    """Of 25 cells, I = 2 log 5 and TC = 0: the own log density is that of the marginals.

    But for points between the cells, one or none: their coefficient once moved the lower end of
    TC to 59 nats.
    """
    mean = np.random.default_rng(1002).integers(5, size=(300, 2))
    ours = joint(mean.astype(float), np.full(mean.shape, 0.01), points=600, rng=2)
    assert ours.draws == 25
    assert ours.dependence.startswith("Copies of one row count as one draw, of ")
    assert holds(ours, "mutual_information", 2 * np.log(5))
    assert holds(ours, "total_correlation", 0)
    assert ours.total_correlation_low <= ours.total_correlation_high


def clustered(rng, clusters, size, within, noise):
    """Rows of a Gaussian population of 4 latents whose clusters share most of their mean."""
    between = np.sqrt(1 - within**2) * rng.normal(size=(clusters, 4))
    mean = np.repeat(between, size, axis=0) + within * rng.normal(size=(clusters * size, 4))
    return mean, np.full(mean.shape, noise), np.repeat(np.arange(clusters), size)


def upper_ends(rng, named, times=20):
    out = []
    for seed in range(times):
        mean, var, codes = clustered(rng, 100, 5, 0.1, 0.02)
        run = joint(mean, var, points=500, rng=seed, clusters=codes if named else None)
        out.append(run.mutual_information_high)
    return mean_and_error(out)


def test_the_upper_end_leaves_out_the_whole_cluster(monkeypatch):
    """Clusters that are not named make it too low; the true value is 4/2 log(1.02 / .02)."""
    monkeypatch.setattr(_upper_bound, "_STEPS", 20)
    monkeypatch.setattr(Encodings, "copies", None)
    truth = 2 * np.log(1.02 / 0.02)
    centre, error = upper_ends(np.random.default_rng(5), named=True)
    assert centre >= truth - 5 * error
    centre, error = upper_ends(np.random.default_rng(5), named=False)
    assert centre < truth - 5 * error


@pytest.mark.parametrize("groups", [1, 3])
def test_marginals_of_other_folds_are_those_without_the_own_row(groups):
    """To what 20% fewer rows change; and they do not depend on the own fold."""
    rng = np.random.default_rng(6)
    mean, var = mixture(rng, n=300)
    folds = (np.arange(300) // groups) % 5
    at = draw(mean, var, 300, rng)
    log_q = np.log(evaluate_arrays(mean, var, at.z).density)
    one, fold = leave_one_out(at, log_q, mean, var, folds), leave_fold_out(at, mean, var, folds)
    assert abs(np.mean(one - fold)) <= 0.1
    moved = mean + 3.0 * (folds == 0)[:, None]
    again, mine = leave_fold_out(at, moved, var, folds), folds[at.rows] == 0
    assert np.all(again[mine] == fold[mine])
    assert np.all(again[~mine] != fold[~mine])


def test_few_draws_widen_the_range():
    """Student's t with 4 degrees of freedom: 2.776 / 1.960."""
    mean, var = mixture(np.random.default_rng(7), n=100)
    ours = joint(mean, var, points=100, rng=0, clusters=np.arange(100) % 5)
    end, error = ours.mutual_information_low, ours.standard_errors["mutual_information_low"]
    low = span(ours, "mutual_information")[0]
    assert low == pytest.approx(max(end - 2 * 2.776 / 1.960 * error, 0), abs=2e-3 * error)


def test_errors_of_few_clusters_are_those_of_a_sample():
    """Of sums of four clusters: sqrt(G / (G - 1)) times the root of their squares."""
    sums = np.array([3.0, -1.0, -1.0, -1.0])
    terms, codes = np.repeat(sums / 5, 5), np.repeat(np.arange(4), 5)
    assert _clustered(terms, codes) == pytest.approx(np.std(sums, ddof=1) * 2)
    assert _clustered(terms, np.zeros(20, dtype=int)) == math.inf


def test_no_total_correlation_is_above_the_distance_to_the_prior():
    ends = {
        "mutual_information_low": 1.0,
        "mutual_information_high": 0.5,
        "total_correlation_low": 2.0,
        "kl_aggregate_prior_low": 1.5,
        "total_correlation_high": 4.0,
        "kl_aggregate_prior_high": 3.0,
    }
    value = _consistent({name: Estimate(end, 0.1, 0.1) for name, end in ends.items()})
    assert value["total_correlation_low"] == 1.5
    assert value["total_correlation_high"] == 3.0
    assert value["mutual_information_high"] == 1.0


def test_the_total_correlation_has_no_higher_end_than_the_divergence_that_it_is_a_part_of():
    ends = {"total_correlation_low": 0.0, "total_correlation_high": 0.05}
    ends |= {"kl_aggregate_prior_low": 0.0, "kl_aggregate_prior_high": 0.04}
    found = {"draws": 9, "n": 9, **ends, "standard_errors": dict.fromkeys(ends, 0.01)}
    assert span_of(found, "total_correlation") == pytest.approx((0, 0.06))
    assert span_of(found, "kl_aggregate_prior") == pytest.approx((0, 0.06))
    unknown = found | {"kl_aggregate_prior_high": None}
    assert span_of(unknown, "total_correlation")[1] == pytest.approx(0.07)
    unknown = found | {"total_correlation_high": None}
    assert span_of(unknown, "total_correlation")[1] == pytest.approx(0.06)
