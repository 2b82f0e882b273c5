"""Means over points with control variates, against ordinary least squares."""

import numpy as np
import pytest

from disentangle_indicators.aggregate._monte_carlo import Controls


def controls(x, point_rows):
    """Controls of the values x (s, k) at points of some rows; nothing else matters here."""
    n = int(point_rows.max()) + 1
    zeros, codes = np.zeros(len(x)), np.arange(n)
    return Controls(
        zeros, zeros, zeros, x, np.zeros((n, x.shape[1])), n, point_rows, codes[point_rows],
        np.ones(n, dtype=bool), codes,
    )  # fmt: skip


@pytest.mark.parametrize("times", [1, 2, 5])
def test_the_error_has_the_degrees_of_freedom_of_the_regression(times):
    """Of s points, k slopes and one mean are fitted; a mean a row where rows come repeatedly."""
    rng = np.random.default_rng(times)
    n, k = 60, 5
    rows = np.tile(np.arange(n), times)
    x = rng.standard_normal((len(rows), k))
    y = 100 * (rng.standard_normal(len(rows)) + x @ np.arange(k))
    means = np.ones((len(rows), 1)) if times == 1 else np.eye(n)[rows]
    fitted = np.hstack([means, x])
    left = y - fitted @ np.linalg.lstsq(fitted, y, rcond=None)[0]
    freedom = len(rows) - fitted.shape[1]
    wanted = np.sqrt(left @ left / freedom / len(rows))
    assert controls(x, rows).expectation(y).error == pytest.approx(wanted, rel=1e-9)


def test_a_mean_that_the_controls_explain_has_the_error_of_what_is_too_rare_to_be_drawn():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 2))
    found = controls(x, np.arange(200)).expectation(3 + x @ [1.0, 2.0])
    assert found.value == pytest.approx(3)
    assert found.error == 1 / 200
