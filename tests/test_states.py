"""The rules by which a latent or a number is called something, at both sides of each threshold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from disentangle_indicators import Moments
from disentangle_indicators.states import (
    has_normal_variance,
    is_saturated,
    states,
    used_range,
)

NATS = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 2.0])


def two_rows(mean, var, offset=0.0):
    """Return the moments of one latent with means offset ± mean and one variance."""
    means = offset + np.array([[mean], [-mean]])
    return Moments.of(means, np.full((2, 1), var))


@given(information=st.lists(NATS, min_size=1, max_size=6), threshold=NATS.filter(bool), at=NATS)
def test_the_count_of_used_latents_is_the_same_in_the_whole_range(information, threshold, at):
    """The first threshold of the range belongs to it, the second one does not."""
    information = np.array(information)

    def count(threshold):
        return int(np.sum(information > threshold))

    low, high = used_range(information, threshold)
    assert low <= threshold < high
    assert count(low) == count(threshold)
    assert np.isinf(high) or count(high) < count(threshold)
    assert low == 0 or count(np.nextafter(low, 0)) > count(threshold)
    assert (count(at) == count(threshold)) == (low <= at < high)


@pytest.mark.parametrize(("s", "normal"), [(0.895, 0), (0.905, 1), (1.095, 1), (1.105, 0)])
def test_normal_variance_ends_at_a_tenth(s, normal):
    assert has_normal_variance(np.array([s])) == [bool(normal)]


@pytest.mark.parametrize("n", [20, 1000, 10**6])
def test_ten_posteriors_that_overlap_are_enough(n):
    """A latent of k groups of posteriors that coincide has log k nats; n / k of n overlap."""
    k = n / 10
    assert not is_saturated(np.log(0.99 * k), n)
    assert is_saturated(np.log(1.01 * (k + 1)), n)


def test_without_information_few_rows_are_not_saturated():
    assert not is_saturated(0.0, 2)
    assert not is_saturated(-1e-9, 2)  # as rounding leaves it
    assert is_saturated(0.0, 1)


def test_weak_is_decided_by_definition_3_about_zero():
    """A constant mean off zero is no information, and Definition 3 takes it for some."""
    assert states(two_rows(0.0, 1.0, offset=0.5)) == ("weak",)  # .11 nats about 0, none about .5
    # .497 nats about the mean, and .005 more of its offset by 0.1: a weak latent at the threshold
    assert states(two_rows(1.0, 1 / 1.7, offset=0.13)) == ("weak",)
    assert states(two_rows(0.1, 1.0)) == ("unused",)  # .005 nats
    assert states(two_rows(0.2, 1.0)) == ("weak",)  # .02 nats


def test_near_deterministic_is_a_share_of_the_spread_and_not_of_the_distance_from_zero():
    assert states(two_rows(1.0, 1e-5, offset=100.0)) == ("used",)
    assert states(two_rows(1.0, 1e-7)) == ("near-deterministic",)
    assert states(two_rows(100.0, 9e-3)) == ("near-deterministic",)
    assert states(two_rows(100.0, 1.1e-2)) == ("used",)
