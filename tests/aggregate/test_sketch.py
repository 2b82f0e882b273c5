"""The sketch of marginals: sums that add up, and what follows from them."""

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trees import tree_marginals

from disentangle_indicators.aggregate import _cells
from disentangle_indicators.aggregate._cells import NO_FLOOR, raised, terms
from disentangle_indicators.aggregate._marginals import _influence
from disentangle_indicators.aggregate._one_latent import row_surprise
from disentangle_indicators.aggregate._sketch import MarginalSketch
from disentangle_indicators.aggregate._transform import density

seeds = st.integers(0, 2**32 - 1).map(np.random.default_rng)
kinds = st.sampled_from(["even", "bimodal", "wide", "narrow", "atoms", "heavy"])


def rows_of(kind, n, rng):
    """Means and variances (n,) of one latent."""
    if kind == "even":
        return rng.normal(size=n), 0.04 * np.exp(0.1 * rng.normal(size=n))
    if kind == "bimodal":
        return rng.choice([-0.98, 0.98], size=n) + 0.01 * rng.normal(size=n), np.full(n, 0.04)
    if kind == "wide":
        return rng.normal(size=n), np.exp(rng.uniform(math.log(1e-4), math.log(0.5), n))
    if kind == "narrow":
        return rng.normal(size=n), 1e-6 * np.exp(rng.normal(size=n))
    if kind == "atoms":
        return rng.integers(9, size=n) / 3 - 1.3, np.full(n, 1e-8)
    return rng.standard_t(3, size=n), np.exp(rng.normal(size=n) - 2)


def sketch_of(mean, var, **options):
    return MarginalSketch.of(mean.reshape(len(mean), -1), var.reshape(len(var), -1), **options)


def assert_same(one, two, rtol=1e-12):
    assert (one.n, one.order, one.budget) == (two.n, two.order, two.budget)
    for a, b in zip(one.cells, two.cells, strict=True):
        np.testing.assert_array_equal(a.keys, b.keys)
        assert a.floor == b.floor
        # odd sums cancel, so that only their size next to the number of rows means anything
        np.testing.assert_allclose(a.sums, b.sums, rtol=rtol, atol=1e-12 * one.n)


@given(
    rng=seeds,
    kind=kinds,
    n=st.integers(1, 300),
    cuts=st.lists(st.integers(0, 300), max_size=4),
    budget=st.sampled_from([64, 128, 1 << 15]),
)
def test_the_sum_of_parts_is_the_whole_in_any_order(rng, kind, n, cuts, budget):
    mean, var = rows_of(kind, n, rng)
    ends = [min(c, n) for c in sorted(cuts)]
    parts = [
        sketch_of(mean[i:j], var[i:j], budget=budget)
        for i, j in zip([0, *ends], [*ends, n], strict=True)
        if i < j
    ]
    whole = sketch_of(mean, var, budget=budget)
    rng.shuffle(parts)
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    assert_same(whole, total)


@given(rng=seeds, kind=kinds, n=st.integers(1, 300))
def test_batches_and_permutations_change_nothing(rng, kind, n):
    mean, var = (x[:, None] for x in rows_of(kind, n, rng))
    order = rng.permutation(n)
    batches = [(mean[order[i : i + 7]], var[order[i : i + 7]]) for i in range(0, n, 7)]
    assert_same(MarginalSketch.of(mean, var), MarginalSketch.of_batches(batches))


@given(rng=seeds, kind=kinds, n=st.integers(1, 300), floor=st.integers(-12, 3))
def test_a_floor_keeps_every_moment(rng, kind, n, floor):
    mean, var = rows_of(kind, n, rng)
    whole = sketch_of(mean, var)
    under = raised(whole.cells[0], floor, 6)
    assert np.sum(under.sums[0]) == pytest.approx(n, rel=1e-12)
    moved = MarginalSketch(n, 6, whole.budget, (under,))
    expected = np.mean(mean**2 + var), np.mean(np.log(var))
    np.testing.assert_allclose(whole.moments(0), expected, rtol=1e-11)
    np.testing.assert_allclose(moved.moments(0), expected, rtol=1e-11)


@given(rng=seeds, kind=kinds, n=st.integers(1, 300), floor=st.integers(-12, 3))
def test_floors_compose(rng, kind, n, floor):
    cells = sketch_of(*rows_of(kind, n, rng)).cells[0]
    at_once = raised(cells, floor, 6)
    by_steps = raised(raised(raised(cells, floor - 3, 6), floor - 1, 6), floor, 6)
    np.testing.assert_array_equal(at_once.keys, by_steps.keys)
    np.testing.assert_allclose(at_once.sums, by_steps.sums, rtol=1e-9, atol=1e-10 * n)


@given(rng=seeds, kind=kinds, n=st.integers(1, 400), order=st.sampled_from([6, 8]))
def test_entropies_are_those_of_the_quadrature(rng, kind, n, order):
    mean, var = rows_of(kind, n, rng)
    exact = tree_marginals(mean[:, None], var[:, None])
    found = sketch_of(mean, var, order=order).latent(0)
    # what the order promises, and what it reports of itself where few rows make a rough density
    promised = {6: 1e-6, 8: 1e-7}[order] + exact.quadrature_error
    assert abs(found.entropy - exact.entropy[0]) <= max(promised, found.estimate)
    assert abs(found.entropy - exact.entropy[0]) <= 2e-4
    assert found.guarantee == 0.0


@pytest.mark.parametrize("kind", ["even", "bimodal", "wide", "heavy"])
@pytest.mark.parametrize(("order", "promised"), [(6, 1e-6), (8, 1e-7)])
def test_the_promise_of_an_order_at_many_rows(kind, order, promised):
    mean, var = rows_of(kind, 20_000, np.random.default_rng(0))
    exact = tree_marginals(mean[:, None], var[:, None])
    found = sketch_of(mean, var, order=order).latent(0)
    assert abs(found.entropy - exact.entropy[0]) <= promised
    assert abs(found.entropy - exact.entropy[0]) <= max(found.estimate, 1e-9)
    assert found.negative <= 1e-8


def entropy_by_mpmath(mean, var):
    """-int q log q of a mixture, piece by piece between multiples of its standard deviations."""

    def q(z):
        parts = [mpmath.npdf(z, m, mpmath.sqrt(v)) for m, v in zip(mean, var, strict=True)]
        return mpmath.fsum(parts) / len(mean)

    steps = (-9, -6, -4, -2, 0, 2, 4, 6, 9)
    edges = {m + k * math.sqrt(v) for m, v in zip(mean, var, strict=True) for k in steps}
    return float(mpmath.quad(lambda z: -q(z) * mpmath.log(q(z)), sorted(edges)))


@pytest.mark.parametrize("narrowest", [1e-5, 1e-10])
def test_posteriors_of_very_different_widths(narrowest):
    """Where the points of the density cannot resolve the narrowest one, the errors say so."""
    mean, var = [0.0, 0.3, 2.0], [1.0, narrowest, 1e-3]
    found = sketch_of(np.array(mean), np.array(var), order=8).latent(0)
    error = abs(found.entropy - entropy_by_mpmath(mean, var))
    assert error <= found.estimate + found.guarantee
    assert (error <= 1e-6) == (found.guarantee == 0.0) == (narrowest == 1e-5)


@given(rng=seeds, kind=kinds, n=st.integers(2, 200), power=st.integers(-20, 20))
def test_a_change_of_scale_by_a_power_of_two_is_exact(rng, kind, n, power):
    mean, var = rows_of(kind, n, rng)
    scale = 2.0**power
    one, two = sketch_of(mean, var).latent(0), sketch_of(scale * mean, scale**2 * var).latent(0)
    # the mass that is negative is left out, and what is left has more than mass 1
    rounding = 1e-9 + abs(power) * one.negative
    assert two.entropy - one.entropy == pytest.approx(power * math.log(2), abs=rounding)


@given(rng=seeds, n=st.integers(50, 400), shift=st.floats(-3, 3), scale=st.floats(0.3, 3))
def test_shifts_and_scales_move_the_entropy_as_they_should(rng, n, shift, scale):
    mean, var = rows_of("even", n, rng)
    one, two = (
        sketch_of(mean, var).latent(0),
        sketch_of(scale * mean + shift, scale**2 * var).latent(0),
    )
    error = 1e-6 + one.estimate + two.estimate
    assert two.entropy - one.entropy == pytest.approx(math.log(scale), abs=error)


@pytest.mark.parametrize("seed", range(3))
def test_a_smaller_budget_has_a_higher_floor_and_a_looser_guarantee(seed):
    mean, var = rows_of("narrow", 1000, np.random.default_rng(seed))
    exact = tree_marginals(mean[:, None], var[:, None]).entropy[0]
    floors, guarantees = [], []
    for budget in (1 << 12, 512, 128, 64):
        sketch = sketch_of(mean, var, budget=budget)
        assert len(sketch.cells[0].keys) <= budget
        found = sketch.latent(0)
        floors.append(sketch.cells[0].floor)
        guarantees.append(found.guarantee)
        assert abs(found.entropy - exact) <= found.guarantee + 1e-5
    assert floors == sorted(floors)
    assert floors[0] == NO_FLOOR
    assert guarantees == sorted(guarantees)


def test_the_mass_and_the_mean_of_the_density():
    mean, var = rows_of("wide", 5000, np.random.default_rng(1))
    cells = sketch_of(mean, var).cells[0]
    q = density(cells, 6, 5000)
    z = q.start + q.step * np.arange(len(q.values))
    assert q.values.sum() * q.step == pytest.approx(1, abs=1e-12)
    assert (z * q.values).sum() * q.step == pytest.approx(mean.mean(), abs=1e-9)
    assert (z * z * q.values).sum() * q.step == pytest.approx(np.mean(mean**2 + var), abs=1e-9)


@pytest.mark.parametrize("kind", ["even", "bimodal", "wide", "heavy", "atoms"])
def test_standard_errors_are_those_of_all_rows(kind):
    n = 20_000
    mean, var = rows_of(kind, n, np.random.default_rng(2))
    surprise = row_surprise(mean, var, np.ones(n, dtype=bool))
    second = np.mean(mean**2 + var)
    sketch = sketch_of(mean, var)
    found = sketch.standard_errors(0, sketch.latent(0))
    influences = _influence(mean, var, surprise, second, saturated=False)
    del influences["second"], influences["kl_prior_low"]
    for name, influence in influences.items():
        expected = np.std(influence, ddof=1) / math.sqrt(n)
        assert found[name] == pytest.approx(expected, rel=0.01, abs=2e-7), name


def test_arrays_make_the_sketch_again():
    rng = np.random.default_rng(3)
    sketch = MarginalSketch.of(rng.normal(size=(300, 3)), np.exp(rng.normal(size=(300, 3))))
    again = MarginalSketch.from_arrays(sketch.to_arrays())
    assert_same(sketch, again, rtol=0)
    arrays = sketch.to_arrays()
    for broken in (
        {"keys": arrays["keys"][1:]},
        {"size": np.array([301, 6, 1 << 15])},
        {"counts": arrays["counts"][:2]},
    ):
        with pytest.raises(ValueError, match="do not belong together"):
            MarginalSketch.from_arrays(arrays | broken)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": 5}, "order must be even"),
        ({"order": 4}, "order must be"),
        ({"budget": 8}, "budget must be at least 64"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        MarginalSketch.of(np.eye(2), np.ones((2, 2)), **options)


def test_sketches_of_other_kinds_do_not_add_up():
    one = MarginalSketch.of(np.eye(3), np.ones((3, 3)))
    with pytest.raises(ValueError, match="latents, order and budget"):
        one + MarginalSketch.of(np.eye(2), np.ones((2, 2)))


def test_rows_beside_the_first_ones_are_counted(monkeypatch):
    """The dense table is laid out for the first rows; the others must not be lost."""
    monkeypatch.setattr(_cells, "_TABLE", 2000)
    rng = np.random.default_rng(4)
    batches = [
        (loc + rng.normal(size=(50, 1)), np.full((50, 1), v))
        for loc, v in ((0, 0.01), (1e4, 1e-9), (0, 5.0), (-3, 0.01))
    ]
    sketch = MarginalSketch.of_batches(batches)
    mean, var = (np.concatenate(x) for x in zip(*batches, strict=True))
    assert sketch.n == np.sum(sketch.cells[0].sums[0]) == 200
    np.testing.assert_allclose(
        sketch.moments(0), [np.mean(mean**2 + var), np.mean(np.log(var))], rtol=1e-12
    )


def test_the_terms_of_an_order_are_closed():
    for order in (6, 8):
        for i, j in terms(order):
            assert {(a, b) for a in range(i + 1) for b in range(j + 1)} <= set(terms(order))
