"""Definitions 1-7 and the chain of bounds, by the laws and by hand."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from laws import LAWS, library
from strategies import encodings, random_encodings, rngs, to

from disentangle_indicators import Moments, estimate_q_star, indicators
from disentangle_indicators import definitions as define
from disentangle_indicators.registry import DEFINITIONS


@pytest.mark.parametrize("law", LAWS)
@given(data=encodings(), rng=rngs)
def test_the_library_obeys(xp, law, data, rng):
    if law == "torch":
        pytest.importorskip("torch", reason="torch is not installed: NO absolute anchor")
    LAWS[law](library(xp), *data, rng)


def by_hand(xp, family="factorised", **options):
    """Means +-1, variance 1/2, and a latent that ignores x: S = 1.5 and 0.5."""
    mean, var = to(xp, np.array([[1.0, 0.0], [-1.0, 0.0]]), np.full((2, 2), 0.5))
    moments = Moments.of(mean, var, covariance=True)
    return moments, estimate_q_star(moments=moments, family=family, **options)


def test_all_seven_by_hand(xp):
    information = 0.5 * np.log([3.0, 1.0])
    first = 0.5 * (np.array([1.5, 0.5]) - 1 - np.log(0.5))
    wanted = {
        "kl_posterior_prior": first.sum(),
        "mutual_information": information.sum(),
        "mutual_information_per_latent": information,
        "kl_aggregate_prior": (first - information).sum(),
        "kl_q_star_prior": (first - information).sum(),
        "mutual_information_via_q_star": information.sum(),
        "mutual_information_per_latent_via_q_star": information,
    }
    assert list(DEFINITIONS) == list(wanted)
    assert [number for number, _ in DEFINITIONS.values()] == [1, 2, 3, 4, 5, 6, 7]
    for name, (_, function) in DEFINITIONS.items():
        value = function(*by_hand(xp))
        assert isinstance(value, float) == ("per_latent" not in name)
        assert np.asarray(value) == pytest.approx(wanted[name], abs=1e-15)


@pytest.mark.parametrize("family", ["factorised-mean", "full", "full-mean"])
@given(data=encodings(), rng=rngs)
def test_two_routes_agree_for_every_gaussian_family(xp, family, data, rng):
    moments = Moments.of(*to(xp, *data), covariance=True)
    q_star = estimate_q_star(moments=moments, family=family)
    largest = max(1.0, define.kl_posterior_prior(moments))
    fourth = define.kl_aggregate_prior(moments, q_star)
    assert abs(fourth - define.kl_q_star_prior(moments, q_star)) <= 1e-10 * largest
    second = define.mutual_information(moments, q_star)
    assert abs(second - q_star.mean_kl) <= 1e-10 * largest
    sixth = define.mutual_information_via_q_star(moments, q_star)
    assert abs(second - sixth) <= 1e-10 * largest


def test_one_posterior_against_a_family_with_mean(xp):
    mean, var = to(xp, np.array([[2.0]]), np.array([[0.25]]))
    moments = Moments.of(mean, var, covariance=True)
    bounds = define.upper_bounds(moments)
    zero = 0.5 * np.log(4.25 / 0.25)
    wanted = [0.0, zero, 0.0, zero, 0.5 * (4.25 - 1 - np.log(0.25))]
    assert list(bounds.values()) == pytest.approx(wanted, abs=1e-14)


def test_second_moments_are_blind():
    """Definition 4 is 0 for a bimodal and a shifted aggregate, far from the prior as they are."""
    bimodal = np.array([[0.99], [-0.99]]), np.full((2, 1), 1 - 0.99**2)
    shifted = np.full((2, 1), 0.99), np.full((2, 1), 1 - 0.99**2)
    for data in (bimodal, shifted):
        moments = Moments.of(*data)
        q_star = estimate_q_star(moments=moments)
        assert define.kl_aggregate_prior(moments, q_star) == pytest.approx(0, abs=1e-14)
        assert define.mutual_information(moments, q_star) > 1.9


@pytest.mark.parametrize("family", ["full", "low-rank", "student-t"])
def test_per_latent_definitions_need_a_factorised_gaussian(family):
    rng = np.random.default_rng(0)
    mean, var = random_encodings(rng, 50, 3)
    options = {"low-rank": {"rank": 1}, "student-t": {"nu": 5.0}}.get(family, {})
    q_star = estimate_q_star(mean, var, family=family, **options)
    moments = Moments.of(mean, var, covariance=True)
    with pytest.raises(ValueError, match=f"Definition 3 needs .* this one is {family}"):
        define.mutual_information_per_latent(moments, q_star)
    with pytest.raises(ValueError, match=f"Definition 7 needs .* this one is {family}"):
        define.mutual_information_per_latent_via_q_star(moments, q_star)
    assert define.mutual_information(moments, q_star) == pytest.approx(q_star.mean_kl, rel=1e-9)


def test_definitions_4_and_5_part_for_a_student_t():
    """The prior is not in the family, so that q* is no projection."""
    mean = np.random.default_rng(0).standard_t(3, size=(500, 1))
    var = np.full((500, 1), 0.05)
    q_star = estimate_q_star(mean, var, family="student-t", nu=3.0)
    moments = Moments.of(mean, var)
    fourth = define.kl_aggregate_prior(moments, q_star)
    assert abs(fourth - define.kl_q_star_prior(moments, q_star)) > 0.01


def test_covariance_must_have_been_asked_for():
    moments = Moments.of(np.eye(3), np.ones((3, 3)))
    for function in (define.gaussian_total_correlation, define.upper_bounds):
        with pytest.raises(ValueError, match="ask for covariance=True"):
            function(moments)


def test_leading_axes_are_separate_problems(xp):
    rng = np.random.default_rng(1)
    pairs = [random_encodings(rng, 70, 3) for _ in range(4)]
    mean, var = (np.stack(x).reshape(2, 2, 70, 3) for x in zip(*pairs, strict=True))
    many = Moments.of(*to(xp, mean, var), covariance=True)
    fit = estimate_q_star(moments=many)
    for name, (_, function) in DEFINITIONS.items():
        values = np.asarray(function(many, fit)).reshape(4, -1)
        for pair, value in zip(pairs, values, strict=True):
            one = Moments.of(*to(xp, *pair))
            alone = np.atleast_1d(function(one, estimate_q_star(moments=one)))
            assert value == pytest.approx(alone, rel=1e-12, abs=1e-12), name
    totals = np.asarray(define.gaussian_total_correlation(many)).ravel()
    for pair, value in zip(pairs, totals, strict=True):
        one = Moments.of(*to(xp, *pair), covariance=True)
        assert value == pytest.approx(define.gaussian_total_correlation(one), abs=1e-12)


@given(data=encodings())
def test_indicators_agree_with_the_definitions(xp, data):
    result = indicators(*to(xp, *data), covariance=True)
    moments = Moments.of(*data, covariance=True)
    q_star = estimate_q_star(moments=moments)
    for name, (_, function) in DEFINITIONS.items():
        wanted = function(moments, q_star)
        assert getattr(result, name) == pytest.approx(wanted, rel=1e-10, abs=1e-10), name
    assert result.solver_difference <= 1e-10 * max(1.0, result.kl_posterior_prior)
    chain = [result.upper_bounds[k] for k in ("full-mean", "full", "factorised", "prior")]
    assert all(a <= b + 1e-9 * max(1.0, b) for a, b in pairwise(chain))


def test_a_latent_that_ignores_x_has_no_information(xp):
    mean, var = to(xp, np.zeros((100, 2)), np.full((100, 2), 0.7))
    result = indicators(mean, var)
    assert np.max(np.abs(result.mutual_information_per_latent)) <= 1e-15
    assert result.used == 0
    assert result.states == ("unused", "unused")
