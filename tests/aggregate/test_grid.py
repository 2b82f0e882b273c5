"""The tree of panels: what it integrates, and what it says of the density, against direct sums."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mixtures import cross_entropies, density, mixtures, random_mixture
from strategies import rngs, seeds

from disentangle_indicators.aggregate import _grid
from disentangle_indicators.aggregate._grid import CHECK, MAIN, REACH, grid

BEYOND = 8.1e-11
"""The mass of a Gaussian beyond 6.5 standard deviations."""

BETWEEN = 1e-9
"""Of its peak: a Gaussian's height at 6.5 sd, and the error of 14 nodes across 2 sd, 6e-10."""


def peak(var):
    return np.mean(1 / np.sqrt(2 * np.pi * var))


def surprise(q):
    return -np.log(np.where(q > 0, q, 1.0))


def surprise_of_all(q):
    return q * surprise(q)


def nodes(tree):
    """Points and densities at the nodes of all leaves."""
    x = (np.polynomial.legendre.leggauss(MAIN)[0] + 1) / 2
    z = [lev.width * (lev.cells[lev.leaf][:, None] + x).ravel() for lev in tree.levels]
    q = [lev.density[lev.leaf, :MAIN].ravel() for lev in tree.levels]
    return tree.centre + np.concatenate(z), np.concatenate(q)


@given(data=mixtures())
def test_mass(data):
    for mass in grid(*data).integral(lambda q: q):
        assert -BEYOND - 1e-13 <= mass - 1 <= 1e-13


@given(data=mixtures(max_n=10))
def test_the_second_rule_shares_nothing_with_the_first(data):
    """Each is what a tree of its nodes alone gives, so that they can tell on each other."""
    first, second = grid(*data).integral(surprise_of_all)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_grid, "MAIN", CHECK)
        patch.setattr(_grid, "CHECK", MAIN)
        _grid._rules.cache_clear()
        _grid._halves.cache_clear()
        swapped = grid(*data).integral(surprise_of_all)
    _grid._rules.cache_clear()
    _grid._halves.cache_clear()
    assert swapped == pytest.approx((second, first), rel=1e-12, abs=1e-12)


@given(data=mixtures())
def test_square_has_a_closed_form(data):
    """The integral of q^2 is the mean of N(mu_i - mu_j; 0, v_i + v_j) over all pairs."""
    mean, var = data
    total = var[:, None] + var
    pairs = np.exp(-((mean[:, None] - mean) ** 2) / (2 * total)) / np.sqrt(2 * np.pi * total)
    main, check = grid(mean, var).integral(lambda q: q * q)
    assert main == pytest.approx(pairs.mean(), rel=1e-10)
    assert check == pytest.approx(pairs.mean(), rel=1e-7)


@given(data=mixtures())
def test_leaves_hold_the_density_of_all_components(data):
    z, q = nodes(grid(*data))
    assert np.max(np.abs(q - density(z, *data))) <= BETWEEN * peak(data[1])


@given(data=mixtures())
def test_leaves_cover_every_component_once(data):
    mean, var = data
    tree = grid(mean, var)
    panels = sorted(
        (tree.centre + float(cell) * level.width, tree.centre + float(cell + 1) * level.width)
        for level in tree.levels
        for cell in level.cells[level.leaf]
    )
    start, stop = np.array(panels).T
    assert np.all(start[1:] >= stop[:-1])
    assert tree.size == MAIN * len(panels)
    edges = np.append(start, np.inf)
    for end in (mean - REACH * np.sqrt(var), mean + REACH * np.sqrt(var)):
        at = np.searchsorted(edges, end, side="right") - 1
        assert np.all(at >= 0)
        assert np.all(end <= stop[at])


@given(data=mixtures(), seed=seeds)
def test_density_is_the_direct_sum(data, seed):
    mean, var = data
    rng = np.random.default_rng(seed)
    tree = grid(mean, var)
    z = np.concatenate(
        [rng.normal(mean, np.sqrt(var)), rng.uniform(mean.min() - 30, mean.max() + 30, 100)]
    )
    ours = tree.density(z)
    assert np.max(np.abs(ours - density(z, mean, var))) <= BETWEEN * peak(var)
    assert np.all(ours >= 0)


def test_density_where_it_is_asked_exactly_at_a_node():
    tree = grid(np.array([0.0, 0.25]), np.array([0.36, 0.01]))
    z, q = nodes(tree)
    assert tree.density(z) == pytest.approx(q, rel=1e-12)
    assert tree.density(np.array([-1e6, 1e6])).tolist() == [0.0, 0.0]
    assert tree.density(np.empty(0)).shape == (0,)


@given(data=mixtures())
def test_expectations_are_those_of_each_component(data):
    mean, var = data
    ours = grid(mean, var).expectations(surprise, np.ones(mean.size, bool))
    assert np.max(np.abs(ours - cross_entropies(mean, var))) <= 5e-9


@pytest.mark.parametrize("apart", [1e-12, 4.5e-12])
def test_the_last_digits_of_the_means_count(apart):
    """A panel's own place is exact: what 3 + 1e-12 is in float64, it is on the tree."""
    mean, var = np.array([3.0, 3.0 + apart]), np.full(2, 1e-24)
    tree = grid(mean, var)
    z = mean[0] + np.arange(-20, 40) * np.spacing(3.0) * 700
    assert np.max(np.abs(tree.density(z) - density(z, mean, var))) <= BETWEEN * peak(var)
    wanted = cross_entropies((mean - mean[0]) / 1e-12, np.ones(2)) + np.log(1e-12)
    assert tree.expectations(surprise, np.ones(2, bool)) == pytest.approx(wanted, abs=5e-9)


@given(data=mixtures())
def test_expectations_average_to_the_integral(data):
    """Pulling back is the transpose of pushing forward: to rounding, for any function."""
    tree = grid(*data)
    rows = np.ones(data[0].size, bool)
    for f in (surprise, np.ones_like, lambda q: q):
        wanted = tree.integral(lambda q, f=f: q * f(q))[0]
        assert tree.expectations(f, rows).mean() == pytest.approx(wanted, rel=1e-12, abs=1e-12)


@given(data=mixtures(), rng=rngs)
def test_expectations_of_some_are_those_of_all(data, rng):
    tree = grid(*data)
    picked = rng.random(data[0].size) < 0.5
    ours = tree.expectations(surprise, picked)
    everyone = tree.expectations(surprise, np.ones(picked.size, bool))
    assert np.array_equal(np.isnan(ours), ~picked)
    assert ours[picked] == pytest.approx(everyone[picked], rel=1e-13, abs=1e-13)


@given(data=mixtures(), power=st.integers(-60, 60))
def test_powers_of_two_change_nothing(data, power):
    """The unit is the components' own, so that the same tree is laid at any scale."""
    mean, var = data
    tree, other = grid(mean, var), grid(np.ldexp(mean, power), np.ldexp(var, 2 * power))
    for level, scaled in zip(tree.levels, other.levels, strict=True):
        assert scaled.width == np.ldexp(level.width, power)
        assert np.array_equal(scaled.cells, level.cells)
        back = np.ldexp(scaled.density, power)
        assert np.all(np.abs(back - level.density) <= 1e-13 * np.abs(level.density))


def test_more_rows_than_one_block():
    """9000 components of one level: blocks add up, and each row is in its place."""
    rng = np.random.default_rng(0)
    mean, var = rng.normal(size=9000), rng.uniform(0.0249, 0.0251, 9000)
    tree = grid(mean, var)
    assert max(group.rows.size for group in tree.groups) > 2 * _grid._BLOCK
    z = np.linspace(-6, 6, 200)
    assert np.max(np.abs(tree.density(z) - density(z, mean, var))) <= BETWEEN * peak(var)
    some = rng.permutation(9000)[:10]
    ours = tree.expectations(surprise, np.ones(9000, bool))
    x, weights = np.polynomial.hermite_e.hermegauss(80)
    points = mean[some, None] + np.sqrt(var[some, None]) * x
    log_q = np.log(density(points.ravel(), mean, var)).reshape(points.shape)
    wanted = -log_q @ weights / np.sqrt(2 * np.pi)
    assert ours[some] == pytest.approx(wanted, abs=5e-9)


def test_work_is_linear_in_the_rows_whatever_the_widths():
    """At most 2 x 7 + 2 panels of its own a row, and two on each coarser level."""
    rng = np.random.default_rng(1)
    mean, var = random_mixture(rng, 300, low=np.log(1e-20), high=np.log(10.0))
    levels = len(grid(mean, var).levels)
    assert grid(mean, var).size <= MAIN * 300 * (16 + 2 * levels)


def test_a_component_too_narrow_for_float64():
    mean, var = np.array([0.0, 1.0, 5.0]), np.array([1.0, 1e-32, 1e-3])
    with pytest.raises(ValueError, match=r"var is too small .* means up to 5; var\[1\] = 1e-32"):
        grid(mean, var)


@pytest.mark.parametrize("narrow", [1e-22, 1e-32, 1e-100])
def test_widths_alone_are_never_too_far_apart(narrow):
    """In one place float64 has digits enough, and the two halves do not see each other."""
    mean, var = np.full(2, 7.0), np.array([narrow, 1e3])
    wanted = 0.5 * np.log(2 * np.pi * np.e * var) + np.log(2)
    ours = grid(mean, var).expectations(surprise, np.ones(2, bool))
    assert ours == pytest.approx(wanted, abs=5e-9)


@pytest.mark.parametrize(
    ("own", "reach", "wanted"),
    [
        ([3], 2, [1, 2, 3, 4, 5]),
        ([-1, -1, 0], 1, [-2, -1, 0, 1]),
        ([0, 3, 10], 1, [-1, 0, 1, 2, 3, 4, 9, 10, 11]),
        ([0, 2], 3, [-3, -2, -1, 0, 1, 2, 3, 4, 5]),
    ],
)
def test_around(own, reach, wanted):
    assert _grid._around(np.array(own), reach).tolist() == wanted


def test_the_recurrence_is_the_exponential():
    rng = np.random.default_rng(2)
    t, u, x = rng.uniform(1, 2, 50), rng.random(50), _grid._rules((MAIN, CHECK))[0]
    seen = set()
    for c, panel in _grid._panels(t, u, 7, x):
        seen.add(c)
        wanted = t[:, None] * np.exp(-0.5 * (t[:, None] * (c + x - u[:, None])) ** 2)
        assert panel == pytest.approx(wanted, rel=1e-12)
    assert seen == set(range(-7, 8))


@pytest.mark.parametrize("count", [CHECK, MAIN])
def test_rules_and_halves_are_exact_for_polynomials(count):
    part = slice(MAIN) if count == MAIN else slice(MAIN, None)
    rules = MAIN, CHECK
    x, weights = (rule[part] for rule in _grid._rules(rules))
    left, right = (half[part, part] for half in _grid._halves(rules))
    for power in range(2 * count):
        assert x**power @ weights == pytest.approx(1 / (power + 1), rel=1e-13)
    for power in range(count):
        assert left @ x**power == pytest.approx((x / 2) ** power, abs=1e-13)
        assert right @ x**power == pytest.approx(((x + 1) / 2) ** power, abs=1e-13)
    for half in _grid._halves(rules):
        assert not np.any(half[:MAIN, MAIN:])
        assert not np.any(half[MAIN:, :MAIN])
