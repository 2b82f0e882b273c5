"""Numbers and their errors as text."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disentangle_indicators._blocks import with_error


@pytest.mark.parametrize(
    ("value", "error", "digits", "text"),
    [
        (0.492, 0.0071, 3, "0.492 ± 0.007"),
        (96.6593, 0.5025, 4, "96.66 ± 0.50"),
        (0.3568, 0.0062, 4, "0.3568 ± 0.0062"),
        (1.2045, 0.0125, 4, "1.204 ± 0.013"),
        (363.03, 44.3, 3, "363 ± 44"),
        (363.03, 4.43, 3, "363.0 ± 4.4"),
        (0.0, 0.0, 3, "0.000 ± 0.000"),
        (0.5, 1e-9, 3, "0.500 ± <0.001"),
        (0.5, math.inf, 3, "0.500 ± inf"),
        (-0.0001, None, 3, "0.000"),
        (2e6, 1234.0, 3, "2e+06 ± 1e+03"),
    ],
)
def test_digits_follow_the_error(value, error, digits, text):
    assert with_error(value, error, digits) == text


@given(st.floats(-1e5, 1e5), st.floats(1e-6, 1e4), st.integers(1, 4))
def test_an_error_has_at_most_three_digits_and_as_many_decimals_as_its_value(value, error, digits):
    left, right = with_error(value, error, digits).split(" ± ")
    decimals = [len(part.partition(".")[2]) for part in (left, right.lstrip("<"))]
    assert decimals[0] == decimals[1] <= digits
    # three where 0.0996 is rounded to 0.100
    assert len(right.lstrip("<0.").replace(".", "")) <= max(3, len(f"{error:.0f}"))
