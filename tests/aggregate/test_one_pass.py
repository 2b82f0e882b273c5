"""The marginals in one pass: those of the exact tree, from blocks of rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trees import tree_marginals

from disentangle_indicators import Encodings
from disentangle_indicators._errors import Undefined
from disentangle_indicators.aggregate import _one_pass, one_pass_marginals

ARRAYS = ("entropy", "information", "kl_prior", "looseness")


def encodings(mean, var, rows, **options):
    """Encodings that are read in blocks of rows."""
    pairs = [(mean[i : i + rows], var[i : i + rows]) for i in range(0, len(mean), rows)]
    return Encodings.of(batches=pairs, **options)


def columns(rng, n):
    """An even latent, two modes, one that is not used, and one of very different widths."""
    mean = rng.normal(size=(n, 4))
    mean[:, 1] = rng.choice([-0.98, 0.98], size=n) + 0.01 * mean[:, 1]
    mean[:, 2] *= 0.02
    var = np.exp(0.2 * rng.normal(size=(n, 4))) * [0.04, 0.04, 1.0, 1.0]
    var[:, 3] = np.exp(rng.uniform(np.log(1e-3), np.log(0.5), n))
    return mean, var


@given(
    rng=st.integers(0, 2**32 - 1).map(np.random.default_rng),
    n=st.integers(400, 3000),
    rows=st.integers(100, 3000),
)
def test_it_is_what_the_exact_tree_gives(rng, n, rows):
    mean, var = columns(rng, n)
    exact, found = tree_marginals(mean, var), one_pass_marginals(encodings(mean, var, rows))
    for name in ARRAYS:
        missed = np.abs(getattr(found, name) - getattr(exact, name))
        assert np.all(missed <= 1e-7 + found.quadrature_errors), name
    assert np.all(found.quadrature_errors <= 1e-4)
    np.testing.assert_array_equal(found.saturated, exact.saturated)
    # errors of all rows, which up to 4,096 rows the tree takes as well
    for name in ("entropy", "information"):
        errors = found.standard_errors[name], exact.standard_errors[name]
        np.testing.assert_allclose(*errors, rtol=0.02, err_msg=name)
    for name in ("total_information", "total_kl_prior", "total_looseness"):
        assert getattr(found, name) == pytest.approx(getattr(exact, name), abs=4e-4)
        errors = found.standard_errors[name], exact.standard_errors[name]
        np.testing.assert_allclose(*errors, rtol=0.02, err_msg=name)


def test_what_more_rows_would_add_is_that_of_the_tree():
    mean, var = columns(np.random.default_rng(0), 4096)
    exact, found = tree_marginals(mean, var), one_pass_marginals(encodings(mean, var, 1000))
    np.testing.assert_allclose(found.shortfall, exact.shortfall, rtol=0.05, atol=1e-6)
    slack = 0.05 * exact.total_shortfall
    assert found.total_kl_prior_low == pytest.approx(exact.total_kl_prior_low, abs=slack)


def test_blocks_and_their_order_change_rounding_only():
    mean, var = columns(np.random.default_rng(1), 3000)
    one, two = (one_pass_marginals(encodings(mean, var, rows)) for rows in (3000, 7))
    np.testing.assert_allclose(one.entropy, two.entropy, atol=1e-12)


def test_latents_that_it_cannot_tell_are_read_again():
    """Posteriors far narrower than any cell that the budget has room for."""
    rng = np.random.default_rng(2)
    mean, var = columns(rng, 40_000)
    var[:, 0] = 1e-14
    exact, found = tree_marginals(mean, var), one_pass_marginals(encodings(mean, var, 9000))
    assert found.saturated.tolist() == [True, False, False, False]
    assert found.entropy[0] == exact.entropy[0]
    assert found.standard_errors["entropy"][0] == pytest.approx(
        exact.standard_errors["entropy"][0], rel=1e-6
    )
    assert found.in_words(0).startswith("≥ ")


def test_too_many_of_them_have_bounds_and_the_others_their_numbers(monkeypatch):
    mean, var = columns(np.random.default_rng(3), 10_000)
    var[:, [0, 3]] = 1e-14
    exact = tree_marginals(mean, var)
    monkeypatch.setattr(_one_pass, "AGAIN", 19_999)
    found = one_pass_marginals(encodings(mean, var, 9000))
    assert found.saturated.tolist() == [True, False, False, True]
    assert np.all(found.information[[0, 3]] < exact.information[[0, 3]] + 1e-6)
    assert np.all(found.information[[0, 3]] > exact.information[[0, 3]] - 4)
    np.testing.assert_allclose(found.entropy[1:3], exact.entropy[1:3], atol=1e-6)
    assert found.quadrature_error == max(found.quadrature_errors[1:3])
    assert found.in_words(3).startswith("≥ ")
    assert "latents 0, 3 have a ≥" in found.reading()


@pytest.mark.parametrize("sd", [1e-5, 1e-6, 1e-7, 1e-9])
@pytest.mark.parametrize("atoms", [False, True])
def test_a_bound_is_below_the_entropy(monkeypatch, sd, atoms):
    """Of the mixture of a continuous code, and of one of ten atoms, with hardly any width."""
    rng = np.random.default_rng(5)
    n = 4_000
    mean = rng.integers(10, size=(n, 1)).astype(float) if atoms else rng.normal(size=(n, 1))
    var = np.full((n, 1), sd * sd)
    monkeypatch.setattr(_one_pass, "AGAIN", 0)
    found = one_pass_marginals(encodings(mean, var, 9000))
    assert found.entropy[0] <= tree_marginals(mean, var).entropy[0] + 1e-5


def test_what_it_is_not_for_is_refused():
    with pytest.raises(Undefined, match="only means"):
        one_pass_marginals(Encodings.of(np.eye(4)))
    with pytest.raises(Undefined, match="there are clusters"):
        one_pass_marginals(Encodings.of(np.eye(4), np.ones((4, 4)), clusters=[0, 0, 1, 1]))


def test_it_says_what_it_did_not_look_for():
    mean, var = columns(np.random.default_rng(4), 500)
    assert "copies are not looked for" in one_pass_marginals(encodings(mean, var, 100)).reading()
