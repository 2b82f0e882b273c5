"""Groups of rows, the batches drawn from them, their variances and their votes: by plain loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import rngs

from disentangle_indicators.supervised import _groups


@st.composite
def labelled(draw):
    rng = draw(rngs)
    n = draw(st.integers(4, 60))
    label = rng.integers(-1, 6, size=n)
    label[:2] = 3  # a group of two, at least
    return label, rng


@given(labelled())
def test_groups_are_the_rows_that_share_a_label(table):
    label, _ = table
    groups = _groups.groups_of(label)
    found = [
        set(groups.order[a : a + size]) for a, size in zip(groups.first, groups.size, strict=True)
    ]
    expected = [set(np.flatnonzero(label == v)) for v in range(6)]
    assert found == [rows for rows in expected if len(rows) > 1]


@given(labelled())
def test_some_rows_and_some_groups(table):
    label, rng = table
    rows = np.flatnonzero(rng.random(len(label)) < 0.7)
    groups = _groups.groups_of(label, rows)
    assert set(groups.order) <= set(rows)
    which = rng.random(len(groups.size)) < 0.5
    kept = _groups.keep(groups, which)
    assert list(kept.size) == list(groups.size[which])
    assert np.all(np.bincount(label[kept.order], minlength=6)[label[kept.order]] > 1)
    values = [v for v in np.unique(label[rows]) if v >= 0 and np.sum(label[rows] == v) > 1]
    assert list(label[kept.order[kept.first]]) == list(np.array(values)[which])


@given(labelled(), st.sampled_from(["independent", "passes"]), st.integers(2, 30))
def test_variances_are_those_of_the_rows_drawn(table, draw, batch):
    label, rng = table
    z = rng.normal(size=(len(label), 3)) * [1, 1e-3, 1e3] + [0, 1, 1e5]
    z[:, 2] = label  # which no group varies in
    groups = _groups.groups_of(label)
    chosen = _groups.choose(groups, 40, "values", rng)
    places = _groups.places(groups, chosen, batch, draw, rng)
    assert places.shape == (40, batch)
    rows = groups.order[places]
    assert np.all(label[rows] == label[groups.order[groups.first[chosen]]][:, None])
    found = _groups.variances(_groups.centred(z, groups), places)
    np.testing.assert_allclose(found, z[rows].var(axis=1, ddof=1), rtol=1e-9, atol=1e-15)
    assert np.all(found[:, 2] == 0)


@given(labelled(), st.integers(2, 30))
def test_passes_use_all_rows_of_a_group_alike(table, batch):
    label, rng = table
    groups = _groups.groups_of(label)
    chosen = _groups.choose(groups, 30, "rows", rng)
    places = _groups.places(groups, chosen, batch, "passes", rng)
    for g in np.unique(chosen):
        inside = places[chosen == g].ravel() - groups.first[g]
        counts = np.bincount(inside, minlength=groups.size[g])
        assert len(counts) == groups.size[g]
        assert counts.max() - counts.min() <= 1


def test_passes_are_shuffled():
    groups = _groups.groups_of(np.zeros(5, dtype=int))
    rng = np.random.default_rng(0)
    places = _groups.places(groups, np.zeros(4000, dtype=int), 5, "passes", rng)
    for place in range(5):
        counts = np.bincount(places[:, place], minlength=5)
        assert np.all(np.abs(counts - 800) < 5 * np.sqrt(800))


@pytest.mark.parametrize(("values", "law"), [("rows", [0.2, 0.3, 0.5]), ("values", [1 / 3] * 3)])
def test_how_often_groups_are_chosen(values, law):
    groups = _groups.groups_of(np.repeat([0, 1, 2, 3], [4, 6, 10, 1]))
    chosen = _groups.choose(groups, 10_000, values, np.random.default_rng(0))
    counts = np.bincount(chosen, minlength=3)
    assert np.all(np.abs(counts - 10_000 * np.array(law)) < 5 * np.sqrt(2500))


@given(labelled())
def test_combinations_of_the_other_factors(table):
    _, rng = table
    table = rng.integers(-1, 3, size=(30, 3))
    found = _groups.others(list(table.T))
    for k in range(3):
        rest = np.delete(table, k, axis=1)
        complete = table.min(axis=1) >= 0
        assert np.all((found[k] >= 0) == complete)
        for i in np.flatnonzero(complete):
            same = np.all(rest == rest[i], axis=1) & complete
            np.testing.assert_array_equal(found[k] == found[k][i], same)


def test_one_factor_leaves_one_combination():
    (found,) = _groups.others([np.array([0, 2, -1, 1])])
    assert list(found) == [0, 0, -1, 0]


@given(labelled(), st.integers(1, 60))
def test_counting_votes(table, train):
    _, rng = table
    votes, labels = rng.integers(4, size=80), rng.integers(3, size=80)
    found = _groups.count_votes(votes, labels, train, 4, 3)
    stands = []
    for h in range(4):
        counts = [np.sum((votes[:train] == h) & (labels[:train] == k)) for k in range(3)]
        stands.append(counts.index(max(counts)))
    right = [stands[h] == k for h, k in zip(votes[train:], labels[train:], strict=True)]
    assert found.accuracy == pytest.approx(np.mean(right))
    for k in range(3):
        of_k = np.array(right)[labels[train:] == k]
        assert found.recall[k] == pytest.approx(of_k.mean() if len(of_k) else 0)
    assert np.all(np.isclose(found.shares.sum(axis=0), [np.any(labels == k) for k in range(3)]))


def test_parts_hold_out_rows():
    rng = np.random.default_rng(0)
    whole = _groups.parts(10, 6, 9, 0.0, rng)
    assert [(part.points, list(part.rows)) for part in whole] == [(slice(0, 9), list(range(10)))]
    first, second = _groups.parts(10, 6, 9, 1 / 3, rng)
    assert (first.points, second.points) == (slice(0, 6), slice(6, 9))
    assert (len(first.rows), len(second.rows)) == (7, 3)
    assert sorted([*first.rows, *second.rows]) == list(range(10))


@given(rngs, st.floats(1e-3, 1e3), st.sampled_from([0.0, 1e3]))
def test_latents_are_left_out_by_their_standard_deviation(rng, sd, centre):
    codes = rng.normal(size=(20, 1))
    codes = centre + sd * codes / codes.std(ddof=1)
    assert list(_groups.active(codes, 0.999 * sd)[1]) == [0]
    assert list(_groups.active(codes, 1.001 * sd)[1]) == []


def test_latents_that_vary():
    rng = np.random.default_rng(0)
    codes = np.stack(
        [np.full(50, 0.1), 0.01 * rng.normal(size=50), rng.normal(size=50) + 1e6], axis=1
    )
    for least, columns in ((0, [1, 2]), (0.05, [2]), (5, [])):
        z, active, spread = _groups.active(codes, least)
        assert list(active) == columns
        np.testing.assert_allclose(z.var(axis=0, ddof=1), spread)
    z, active, _ = _groups.active(codes[:1], 0.0)
    assert (z.shape, list(active)) == ((1, 0), [])
