"""Exact marginals: oracles that share no code, closed forms, laws, errors and bad input.

Numbers are held to 5e-9 nats, and to the error that comes with them.
"""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mixtures import (
    cross_entropies,
    encodings_of_mixtures,
    entropy,
    exact_entropy,
    log_components,
    log_density,
    mixtures,
    panels,
    random_mixture,
    rounding,
    trapezoid,
)
from scipy.special import entr
from strategies import rngs, to

from disentangle_indicators import indicators
from disentangle_indicators._clusters import cluster_codes, widening
from disentangle_indicators.aggregate import Marginals, _grid, marginals
from disentangle_indicators.aggregate._marginals import evaluate_arrays

WITHIN = 5e-9
ARRAYS = ("entropy", "information", "kl_prior", "looseness")
TOTALS = ("total_information", "total_kl_prior", "total_looseness")
ERRORS = {*ARRAYS, *TOTALS, "total_kl_prior_low"}

HARD = {
    "single": ([0.3], [1.0]),
    "single, wide": ([0.3], [10.0]),
    "narrow beside wide": ([0.1, 0.0], [1e-10, 1.0]),
    "separated": ([0.0, 40.0, -37.0], [0.1, 1.0, 0.01]),
    "duplicated": ([0.0, 0.0, 1.0, 1.0], [0.1, 0.1, 0.2, 0.2]),
    "nearly equal": ([0.0, 1e-3, 2e-3], [0.1, 0.1001, 0.1002]),
    "wide": ([0.0, 5.0, -3.0], [10.0, 9.0, 1.0]),
    "far": ([1000.0, 1000.00001, 1001.0], [1e-10, 1e-10, 1.0]),
    "far, of three widths": ([1000.0, 1000.5, 1001.0], [1e-2, 1e-4, 1.0]),
    "a bend in the log between two": ([0.0, 10.0], [1.0, 1.0]),
    "at a wide one's end": ([0.0, 6.5, -6.6], [1.0, 1e-6, 1e-3]),
    "the last digits of the means": ([3.0, 3.0 + 1e-12], [1e-24, 1e-24]),
}


def column(mixture):
    return tuple(np.asarray(part, float)[:, None] for part in mixture)


def one(mixture):
    return marginals(*column(mixture))


@pytest.mark.parametrize("name", HARD)
def test_hard_mixtures_to_thirty_digits(name):
    ours = one(HARD[name])
    wanted = exact_entropy(*HARD[name])
    assert abs(ours.entropy[0] - wanted) <= ours.quadrature_errors[0] + 1e-12
    assert ours.quadrature_errors[0] <= WITHIN


def test_the_reported_error_covers_the_rounding_of_places():
    """A pair whose distance is a few last digits, far from where most rows are."""
    mixture = np.array([3.0, 3.0, 3.0, -3.0, -3.0 - 1e-12]), np.full(5, 1e-24)
    ours = one(mixture)
    assert abs(ours.entropy[0] - exact_entropy(*mixture)) <= ours.quadrature_errors[0] + 1e-12


def test_the_reported_error_covers_a_wide_row_among_narrow_ones():
    """Its missing mass is the largest that 6.5 sd leave, and counts with the log of its width."""
    unit = 1 / 0.6
    sd = np.array([1.0, 1.0, 1.0, unit * np.ldexp(0.615, 100)]) * 1e-30
    ours = one((np.zeros(4), sd**2))
    # narrow and wide do not see each other: a mixture of 3/4 and 1/4
    share = np.array([0.75, 0.75, 0.75, 0.25])
    wanted = np.mean(0.5 * np.log(2 * np.pi * np.e * sd**2) - np.log(share))
    assert abs(ours.entropy[0] - wanted) <= ours.quadrature_errors[0] + 1e-12


@pytest.mark.parametrize("power", [-100, -20, 20, 100])
def test_the_reported_error_covers_it_in_any_unit(power):
    """Mass that is missing counts with log q, which is far from 0 in such units."""
    ours = one(([0.0], [10.0**power]))
    wanted = 0.5 * math.log(2 * math.pi * math.e) + 0.5 * power * math.log(10)
    assert abs(ours.entropy[0] - wanted) <= ours.quadrature_errors[0] + 1e-12


@given(data=mixtures(max_n=4))
@settings(max_examples=8)
def test_random_mixtures_to_thirty_digits(data):
    ours = one(data)
    assert abs(ours.entropy[0] - exact_entropy(*data)) <= min(
        WITHIN, ours.quadrature_errors[0] + 1e-12
    )


@given(data=mixtures(max_n=40, low=np.log(0.01)))
def test_a_dense_trapezoid_rule(data):
    ours = one(data)
    allowed = min(WITHIN, ours.quadrature_errors[0] + rounding(*data))
    assert abs(ours.entropy[0] - entropy(*data, trapezoid)) <= allowed


@given(data=mixtures(max_n=60))
def test_any_widths(data):
    ours = one(data)
    assert abs(ours.entropy[0] - entropy(*data)) <= min(
        WITHIN, ours.quadrature_errors[0] + rounding(*data)
    )


@pytest.mark.parametrize("name", ["duplicated", "wide", "a bend in the log between two"])
@pytest.mark.parametrize("rule", [panels, trapezoid])
def test_oracles_agree(name, rule):
    data = tuple(map(np.array, HARD[name]))
    assert entropy(*data, rule) == pytest.approx(exact_entropy(*data), abs=1e-13)


@pytest.mark.parametrize("width", [0.02, 0.5])
def test_many_rows(width):
    rng = np.random.default_rng(0)
    data = rng.normal(size=6000), width**2 * rng.lognormal(0, 0.3, 6000)
    ours = one(data)
    assert abs(ours.entropy[0] - entropy(*data, trapezoid)) <= ours.quadrature_errors[0] + 1e-11


@given(data=mixtures())
def test_more_nodes_and_a_longer_reach_change_less_than_the_reported_error(data):
    ours = one(data)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("MAIN", 20), ("CHECK", 16), ("REACH", 7.5)):
            patch.setattr(_grid, name, value)
        _grid._rules.cache_clear()
        _grid._halves.cache_clear()
        finer = one(data)
    _grid._rules.cache_clear()
    _grid._halves.cache_clear()
    assert abs(ours.entropy[0] - finer.entropy[0]) <= ours.quadrature_errors[0] + 1e-12
    mean, var = data
    places = 2.3e-16 * np.ptp(mean) / np.sqrt(var.min())
    assert finer.quadrature_errors[0] <= 2e-11 + places


@given(data=mixtures(low=np.log(1e-6)))
def test_every_quantity_by_direct_quadrature(data):
    """KL(q||p), KL(q||q*) and the mean of KL(q_m||q) as what they are, not by way of H."""
    mean, var = data
    z, weights = panels(mean, var)
    log_q, log_m = log_density(z, mean, var), log_components(z, mean, var)
    second = np.mean(mean**2 + var)
    zero = np.zeros(1)
    kl_prior = weights * np.exp(log_q) @ (log_q - log_density(z, zero, zero + 1))
    looseness = weights * np.exp(log_q) @ (log_q - log_density(z, zero, zero + second))
    information = weights @ np.mean(np.exp(log_m) * (log_m - log_q[:, None]), axis=1)
    ours = one(data)
    allowed = WITHIN + 1e-14 * second
    assert ours.kl_prior[0] == pytest.approx(kl_prior, abs=allowed)
    assert ours.looseness[0] == pytest.approx(looseness, abs=allowed)
    assert ours.information[0] == pytest.approx(information, abs=allowed)


@given(rng=rngs, n=st.integers(1, 60), d=st.integers(1, 5))
def test_the_definitions_are_what_they_bound_and_the_rest(rng, n, d):
    """Definition 3 = I + J and Definition 1 = I + KL, per latent; totals are sums."""
    mean, var = encodings_of_mixtures(rng, n, d)
    ours, defined = marginals(mean, var), indicators(mean, var)
    third, first = defined.mutual_information_per_latent, defined.kl_posterior_prior_per_latent
    allowed = 2 * ours.quadrature_errors + 1e-12 * (1 + np.abs(first))  # one for either part
    assert np.all(np.abs(ours.information + ours.looseness - third) <= allowed)
    assert np.all(np.abs(ours.information + ours.kl_prior - first) <= allowed)
    assert np.all(ours.information <= third + allowed)
    for name in ("information", "kl_prior", "looseness"):
        total = getattr(ours, f"total_{name}")
        assert total == pytest.approx(getattr(ours, name).sum(), rel=1e-13)
    assert (ours.n, ours.d) == (n, d)
    assert ours.quadrature_error == ours.quadrature_errors.max() <= WITHIN


@given(rng=rngs, n=st.integers(1, 60), d=st.integers(1, 5))
def test_information_is_between_0_and_log_n(rng, n, d):
    ours = marginals(*encodings_of_mixtures(rng, n, d))
    for name in ("information", "kl_prior", "looseness"):
        assert np.all(getattr(ours, name) >= 0)
    assert np.all(ours.information <= math.log(n) + ours.quadrature_errors + 1e-12)


@given(m=st.floats(-1e3, 1e3), log_var=st.floats(np.log(1e-10), np.log(10)), n=st.integers(1, 50))
def test_a_collapsed_latent_in_closed_form(m, log_var, n):
    """All rows alike: I = 0, H and KL are a Gaussian's, J = 1/2 log(1 + m^2 / v)."""
    var = math.exp(log_var)
    ours = one((np.full(n, m), np.full(n, var)))
    allowed = ours.quadrature_errors[0] + 1e-12 * (1 + m * m)
    assert ours.entropy[0] == pytest.approx(0.5 * np.log(2 * np.pi * np.e * var), abs=allowed)
    assert ours.information[0] <= allowed
    assert ours.kl_prior[0] == pytest.approx(0.5 * (m * m + var - 1 - log_var), abs=allowed)
    assert ours.looseness[0] == pytest.approx(0.5 * np.log1p(m * m / var), abs=allowed)


def test_looseness_is_0_for_a_gaussian_only():
    """Widths that differ by 10 % have an excess kurtosis k of .03; J is k^2 / 48 + O(k^3)."""
    mean, var, signs = np.zeros(50), np.full(50, 0.3), np.tile([1.0, -1.0], 25)
    ours = one((mean, var))
    assert ours.looseness[0] <= ours.quadrature_errors[0] + 1e-12
    tiny = one((mean, var * 1e-30))
    assert tiny.looseness[0] <= tiny.quadrature_errors[0] + 1e-12
    assert one((mean, var * (1 + 0.1 * signs))).looseness[0] == pytest.approx(
        0.03**2 / 48, rel=0.03
    )
    assert one((signs, var)).looseness[0] > 0.1
    assert one((mean + 0.1, var)).looseness[0] > 0.01


@given(rng=rngs, n=st.integers(1, 200))
def test_separated_rows_tell_all(rng, n):
    sd = np.exp(rng.uniform(np.log(1e-5), 0, n))
    mean = 20 * rng.permutation(n) + rng.uniform(-0.5, 0.5, n)
    ours = one((mean, sd**2))
    assert ours.information[0] == pytest.approx(math.log(n), abs=ours.quadrature_errors[0] + 1e-12)


@pytest.mark.parametrize("sd", [1e-6, 1.0, 1e6])
def test_many_separated_rows_of_one_width(sd):
    """Mass that is missing counts with log n too."""
    ours = one((sd * np.linspace(0, 1e7, 20_000), np.full(20_000, sd * sd)))
    wanted = 0.5 * math.log(2 * math.pi * math.e * sd * sd) + math.log(20_000)
    assert abs(ours.entropy[0] - wanted) <= ours.quadrature_errors[0] + 1e-12


@given(data=mixtures())
def test_the_reported_error_is_at_least_what_the_rules_differ_by(data):
    tree = _grid.grid(*data)
    # q is a polynomial in a panel, a little below 0 far out: there -q log q would be -q log 0
    main, check = tree.integral(lambda q: entr(np.maximum(q, 0.0)))
    assert one(data).quadrature_errors[0] >= abs(main - check) - 1e-12


@given(data=mixtures(), k=st.integers(1, 5))
def test_copies_far_apart_add_log_k(data, k):
    mean, var = data
    apart = 2 * np.ptp(mean) + 26 * np.sqrt(var.max())
    many = np.concatenate([mean + apart * i for i in range(k)]), np.tile(var, k)
    ours, theirs = one(data), one(many)
    allowed = ours.quadrature_errors[0] + theirs.quadrature_errors[0] + rounding(*many)
    assert theirs.entropy[0] == pytest.approx(ours.entropy[0] + math.log(k), abs=allowed)
    assert theirs.information[0] == pytest.approx(ours.information[0] + math.log(k), abs=allowed)


@given(rng=rngs, n=st.integers(1, 40), k=st.integers(2, 4))
def test_copies_change_nothing(rng, n, k):
    mean, var = encodings_of_mixtures(rng, n, 2)
    ours, theirs = marginals(mean, var), marginals(np.tile(mean, (k, 1)), np.tile(var, (k, 1)))
    for name in ARRAYS:
        assert getattr(theirs, name) == pytest.approx(getattr(ours, name), rel=1e-12, abs=1e-12)


@given(rng=rngs, n=st.integers(1, 40), d=st.integers(1, 5))
def test_the_order_of_rows_and_latents_does_not_matter(rng, n, d):
    mean, var = encodings_of_mixtures(rng, n, d)
    rows, latents = rng.permutation(n), rng.permutation(d)
    ours = marginals(mean, var)
    theirs = marginals(mean[rows][:, latents], var[rows][:, latents])
    for name in ARRAYS:
        wanted = getattr(ours, name)[latents]
        assert getattr(theirs, name) == pytest.approx(wanted, rel=1e-12, abs=1e-12)
        wanted, error = ours.standard_errors[name][latents], theirs.standard_errors[name]
        assert error == pytest.approx(wanted, rel=1e-9, abs=1e-12 * np.max(1 + mean**2 + var))


@given(data=mixtures(), a=st.floats(-5, 5), b=st.floats(-10, 10), sign=st.sampled_from([-1, 1]))
def test_units_shift_the_entropy_and_keep_the_information(data, a, b, sign):
    mean, var = data
    there = sign * np.exp(a) * mean + b, np.exp(2 * a) * var
    ours, theirs = one(data), one(there)
    allowed = (
        ours.quadrature_errors[0]
        + theirs.quadrature_errors[0]
        + rounding(*there)
        + rounding(*data)
    )
    assert theirs.entropy[0] == pytest.approx(ours.entropy[0] + a, abs=allowed)
    assert theirs.information[0] == pytest.approx(ours.information[0], abs=allowed)


@given(rng=rngs, n=st.integers(1, 30))
def test_pooling_two_sets_adds_at_most_one_bit(rng, n):
    """The average of both is at most the information of the pool, up to log 2 more."""
    first, second = random_mixture(rng, n), random_mixture(rng, n)
    pool = one(tuple(map(np.concatenate, zip(first, second, strict=True))))
    parts = one(first), one(second)
    average = sum(part.information[0] for part in parts) / 2
    allowed = pool.quadrature_errors[0] + sum(part.quadrature_errors[0] for part in parts) + 1e-12
    assert average - allowed <= pool.information[0] <= average + math.log(2) + allowed


@given(rng=rngs, n=st.integers(1, 12), k=st.integers(1, 12))
def test_all_pairs_of_two_latents_keep_what_each_tells(rng, n, k):
    first, second = random_mixture(rng, n), random_mixture(rng, k)
    mean, var = (
        np.stack([part.ravel() for part in np.meshgrid(*pair)], axis=1)
        for pair in zip(first, second, strict=True)
    )
    ours = marginals(mean, var)
    for h, alone in enumerate((one(first), one(second))):
        for name in ARRAYS:
            wanted = getattr(alone, name)[0]
            assert getattr(ours, name)[h] == pytest.approx(wanted, rel=1e-12, abs=1e-12)


@given(rng=rngs, n=st.integers(1, 40), d=st.integers(1, 4))
def test_any_array_library(xp, rng, n, d):
    mean, var = encodings_of_mixtures(rng, n, d)
    ours = marginals(mean, var)
    assert marginals(*to(xp, mean, var)).to_dict() == ours.to_dict()
    small = mean.astype(np.float32), var.astype(np.float32)
    wide = marginals(*(part.astype(np.float64) for part in small))
    assert marginals(*to(xp, *small)).to_dict() == wide.to_dict()
    assert isinstance(ours.entropy, np.ndarray)


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_change_nothing(threads):
    mean, var = encodings_of_mixtures(np.random.default_rng(0), 300, 5)
    ours = marginals(mean, var, threads=threads)
    assert ours.to_dict() == marginals(mean, var).to_dict()


@pytest.mark.parametrize("threads", [1, 2])
def test_progress_is_shown_over_latents(threads):
    mean, var = encodings_of_mixtures(np.random.default_rng(0), 20, 4)
    calls, steps = [], []

    def progress(items, description, length):
        calls.append((description, length))
        for item in items:
            steps.append(1)
            yield item

    ours = marginals(mean, var, threads=threads, progress=progress)
    assert calls == [("marginals", 4)]
    assert len(steps) == 4
    assert ours.to_dict() == marginals(mean, var).to_dict()


def entry(values, where, value):
    changed = np.array(values, float)
    changed[where] = value
    return changed


GOOD = np.arange(6.0).reshape(3, 2), np.ones((3, 2))


@pytest.mark.parametrize(
    ("mean", "var", "message"),
    [
        (entry(GOOD[0], (2, 1), np.nan), GOOD[1], r"mean must be finite; mean\[2, 1\] = nan"),
        (entry(GOOD[0], (0, 1), -np.inf), GOOD[1], r"mean must be finite; mean\[0, 1\] = -inf"),
        (GOOD[0], entry(GOOD[1], (1, 0), np.nan), r"var must be finite; var\[1, 0\] = nan"),
        (GOOD[0], entry(GOOD[1], (1, 0), np.inf), r"var must be finite; var\[1, 0\] = inf"),
        (GOOD[0], entry(GOOD[1], (1, 1), 0.0), r"var must be positive .*; var\[1, 1\] = 0"),
        (GOOD[0], entry(GOOD[1], (2, 0), -0.5), r"var must be positive .*; var\[2, 0\] = -0.5"),
        (GOOD[0], GOOD[1][:2], r"mean and var must have the same shape; got \(3, 2\) and \(2, 2"),
        (GOOD[0][0], GOOD[1][0], r"mean must have the shape .*; its shape is \(2,\)"),
        (GOOD[0][None], GOOD[1][None], r"mean must have the shape \(n, d\); .* \(1, 3, 2\)"),
        (GOOD[0][:0], GOOD[1][:0], r"mean has no rows"),
        (GOOD[0], None, r"marginals need the posterior variances"),
        (
            GOOD[0],
            entry(GOOD[1], (1, 1), 1e-40),
            r"latent 1: var is too small for float64 beside means up to 5; var\[1\] = 1e-40",
        ),
    ],
)
@pytest.mark.parametrize("threads", [1, 2])
def test_bad_input_is_named(mean, var, message, threads):
    with pytest.raises(ValueError, match=message):
        marginals(mean, var, threads=threads)


@pytest.mark.parametrize(
    ("clusters", "message"),
    [
        ([0, 1], r"clusters must have 3 rows; the shape is \(2,\)"),
        ([0.0, np.nan, 1.0], r"clusters\[1\] is missing"),
    ],
)
def test_bad_clusters_are_named(clusters, message):
    with pytest.raises(ValueError, match=message):
        marginals(*GOOD, clusters=clusters)


def influences(mean, var):
    """What each row adds to each quantity, from cross entropies by another rule: (n, d)."""
    latents = zip(mean.T, var.T, strict=True)
    surprise = np.stack([cross_entropies(m, v) for m, v in latents], axis=1)
    u = mean**2 + var
    rows = {
        "entropy": surprise,
        "information": surprise - 0.5 * np.log(var),
        "kl_prior": 0.5 * u - surprise,
        "looseness": 0.5 * u / u.mean(axis=0) - surprise,
    }
    totals = {f"total_{k}": x.sum(axis=1) for k, x in rows.items() if k != "entropy"}
    return rows | totals


@given(rng=rngs, n=st.integers(2, 60), d=st.integers(1, 3))
def test_standard_errors_are_those_of_an_average(rng, n, d):
    mean, var = encodings_of_mixtures(rng, n, d)
    ours = evaluate_arrays(mean, var).marginals.standard_errors
    rows = influences(mean, var)
    assert set(ours) == ERRORS
    assert set(rows) == {*ARRAYS, *TOTALS}
    for name, x in rows.items():
        allowed = WITHIN + 1e-12 * np.max(np.abs(x))
        assert ours[name] == pytest.approx(np.std(x, axis=0, ddof=1) / np.sqrt(n), abs=allowed)


@given(rng=rngs, n=st.integers(3, 60))
def test_standard_errors_of_uneven_clusters(rng, n):
    mean, var = encodings_of_mixtures(rng, n, 2)
    names = np.concatenate([[0, 1], rng.integers(0, 5, n - 2)])
    codes = cluster_codes(names, n)  # as they are, whatever rows are copies
    ours = evaluate_arrays(mean, var, codes=codes).marginals.standard_errors
    present = np.unique(names)
    for name, x in influences(mean, var).items():
        centred = x - x.mean(axis=0)
        sums = np.array([centred[names == c].sum(axis=0) for c in present])
        wanted = np.sqrt(len(present) * np.sum(sums**2, axis=0) / (len(present) - 1)) / n
        wanted = wanted * widening(len(present))
        allowed = widening(len(present)) * n * (WITHIN + 1e-12 * np.max(np.abs(x)))
        assert ours[name] == pytest.approx(wanted, abs=allowed)


@given(rng=rngs, n=st.integers(2, 40), k=st.integers(1, 4))
def test_repeated_rows_in_clusters_count_once(rng, n, k):
    mean, var = encodings_of_mixtures(rng, n, 2)
    alone = evaluate_arrays(mean, var).marginals.standard_errors
    names = np.repeat([f"subject {i}" for i in range(n)], k)
    repeated = np.repeat(mean, k, axis=0), np.repeat(var, k, axis=0)
    codes = cluster_codes(names, n * k)
    ours = evaluate_arrays(*repeated, codes=codes).marginals.standard_errors
    size = np.max(1 + mean**2 + var)
    for name in ERRORS:
        wanted = alone[name] * widening(n)
        assert ours[name] == pytest.approx(wanted, rel=1e-9, abs=1e-11 * size)


@pytest.mark.parametrize("clusters", [None, [7]])
def test_one_row_has_no_standard_error(clusters):
    ours = marginals(np.zeros((1, 2)), np.ones((1, 2)), clusters=clusters)
    assert ours.information.tolist() == pytest.approx([0.0, 0.0], abs=1e-9)
    for name in ERRORS:
        assert np.all(np.isinf(ours.standard_errors[name]))
    assert ours.to_dict()["standard_errors"]["entropy"] == [None, None]


def test_one_cluster_has_no_standard_error():
    ours = marginals(np.array([[0.0], [1.0], [3.0]]), np.ones((3, 1)), clusters=np.zeros(3))
    for name in ERRORS:
        assert np.all(np.isinf(ours.standard_errors[name]))


def test_of_many_rows_some_are_picked_for_standard_errors():
    """4096 rows at even steps say what all say, to 5 standard errors of a standard deviation.

    With a cluster for each row none is left out.
    """
    rng = np.random.default_rng(0)
    n = 12_000
    mean, var = rng.uniform(-2, 2, (n, 2)), 0.1 * rng.uniform(0.5, 1.5, (n, 2))
    mean = np.sort(mean, axis=0)  # so that the first rows are not like the others
    some = marginals(mean, var).standard_errors
    every = marginals(mean, var, clusters=np.arange(n)).standard_errors
    fewer = slice(4096)
    once = marginals(mean[fewer], var[fewer]).standard_errors
    each = marginals(mean[fewer], var[fewer], clusters=np.arange(4096)).standard_errors
    for name in ERRORS:
        assert once[name] == pytest.approx(each[name] / widening(4096), rel=1e-9)
        # with a kurtosis of at most 5, as bounded rows have
        assert some[name] == pytest.approx(every[name], rel=5 * math.sqrt((5 - 1) / 4 / 4096))


def replicate(rng, n=200):
    """Two latents that depend on each other, with widths that depend on x, and S away from 1."""
    factor = rng.normal(size=(n, 2)) @ np.array([[1.0, 0.7], [0.0, 0.6]])
    factor[:, 0] += 1.5 * np.sign(factor[:, 0])
    return factor + 0.3, 0.1 * np.exp(0.4 * factor)


@pytest.fixture(scope="module")
def replications():
    rng = np.random.default_rng(7)
    return [marginals(*replicate(rng)) for _ in range(300)]


@pytest.mark.parametrize("name", sorted(ERRORS))
def test_standard_errors_are_what_replication_shows(replications, name):
    """The mean reported error is the standard deviation of the values, to 5 of its own errors."""
    values = np.array([getattr(result, name) for result in replications])
    errors = np.array([result.standard_errors[name] for result in replications])
    sd = np.std(values, axis=0, ddof=1)
    z = (values - values.mean(axis=0)) / sd
    of_sd = sd * np.sqrt((np.mean(z**4, axis=0) - 1) / (4 * len(values)))
    of_mean = np.std(errors, axis=0, ddof=1) / np.sqrt(len(values))
    assert np.all(np.abs(errors.mean(axis=0) - sd) <= 5 * np.hypot(of_sd, of_mean))
    assert np.all(5 * np.hypot(of_sd, of_mean) <= 0.3 * sd)


def test_what_a_result_can_do():
    mean, var = encodings_of_mixtures(np.random.default_rng(3), 30, 3)
    ours = marginals(mean, var)
    assert isinstance(ours, Marginals)
    content = ours.to_dict()
    assert content["schema"] == "dindic.marginals/1"
    assert content["information"] == ours.information.tolist()
    assert set(content["standard_errors"]) == ERRORS
    assert json.loads(ours.to_json()) == content
    frame = ours.to_frame()
    assert set(frame.columns) == {*ARRAYS, "quadrature_errors", "shortfall", "saturated"}
    assert frame["looseness"].tolist() == ours.looseness.tolist()
    (table,) = ours.blocks()
    latents = [int(row[0]) for row in table.rows]
    assert latents == sorted(range(3), key=lambda h: -ours.information[h])
    best = latents[0]
    information = np.where(ours.saturated, ours.least_information, ours.information)
    cells = (information, ours.looseness, ours.kl_prior, ours.entropy)
    for cell, values in zip(table.rows[0][1:], cells, strict=True):
        assert cell.split(" ± ")[0].removeprefix("≥ ") == f"{values[best]:.3f}"
    text = repr(ours)
    for part in ("Marginals of the aggregated posterior", "I(x; z_h) [nats]", "30 posteriors"):
        assert part in text


def test_where_a_latent_is_saturated_definition_4_less_its_chance_is_the_bound():
    """0.5 (S - 1 - log S) is high by Var(S) / (4 S^2) on average, also far from a match."""
    mean = 2 * np.random.default_rng(0).normal(size=(50, 1))
    var = np.full_like(mean, 1e-9)
    result = marginals(mean, var)
    u = (mean**2 + var)[:, 0]
    s = u.mean()
    wanted = 0.5 * (s - 1 - np.log(s)) - u.var(ddof=1) / len(u) / s**2 / 4
    assert result.saturated.all()
    assert result.total_kl_prior_low == pytest.approx(wanted, rel=1e-9)
    error = 0.5 * (1 - 1 / s) * u.std(ddof=1) / np.sqrt(len(u))
    assert result.standard_errors["total_kl_prior_low"] == pytest.approx(error, rel=1e-9)
