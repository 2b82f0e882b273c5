"""Copies of rows: those that are there are found, and independent rows never pass for copies."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import rngs

from disentangle_indicators import Encodings, score
from disentangle_indicators._copies import _EVIDENCE, _evidence, find_copies, joined


def same_groups(codes, wanted):
    """Whether two codes part the rows in the same way."""
    pairs = np.unique(np.stack([codes, wanted]), axis=1).shape[1]
    return pairs == np.unique(codes).size == np.unique(wanted).size


def repeated(rng, originals, copies, d, jitter=0.0):
    """Rows in random order, and the original of each."""
    original = rng.permutation(np.repeat(np.arange(originals), copies))
    mean = rng.normal(size=(originals, d))[original]
    return mean + jitter * rng.normal(size=mean.shape), original


@given(rng=rngs, d=st.integers(1, 4))
def test_exact_copies_are_found(rng, d):
    sizes = rng.integers(1, 5, size=12)
    sizes[0] = 2
    original = rng.permutation(np.repeat(np.arange(12), sizes))
    copies = find_copies(rng.normal(size=(12, d))[original])
    assert same_groups(copies.codes, original)
    assert copies.exact
    assert (copies.groups, copies.rows) == (12, sizes[sizes > 1].sum())


def test_zeros_of_both_signs_are_the_same():
    assert find_copies(np.array([[0.0, 1.0], [-0.0, 1.0], [2.0, 1.0]])).rows == 2


@pytest.mark.parametrize(
    ("originals", "copies", "d", "jitter"),
    [(400, 10, 6, 0.01), (400, 10, 128, 0.1), (100, 2, 6, 0.01), (500, 3, 4, 0.001)],
)
def test_near_copies_are_found(originals, copies, d, jitter):
    mean, original = repeated(np.random.default_rng(0), originals, copies, d, jitter)
    found = find_copies(mean)
    assert same_groups(found.codes, original)
    assert not found.exact
    assert (found.groups, found.rows) == (originals, originals * copies)


def test_pairs_among_rows_without_copies():
    rng = np.random.default_rng(1)
    pairs, original = repeated(rng, 500, 2, 10, 0.01)
    found = find_copies(np.concatenate([rng.normal(size=(4000, 10)), pairs]))
    assert found.rows == 1000
    assert same_groups(found.codes[4000:], original)


def test_copies_of_near_copies_are_one_group():
    mean, original = repeated(np.random.default_rng(2), 500, 5, 6, 0.01)
    found = find_copies(np.repeat(mean, 2, axis=0))
    assert same_groups(found.codes, np.repeat(original, 2))


@pytest.mark.parametrize("latents", [[0, 1, 2], None])
def test_latents_that_are_not_used_do_not_hide_near_copies(latents):
    """Noise in the other latents does."""
    rng = np.random.default_rng(3)
    mean, original = repeated(rng, 300, 4, 3, 0.001)
    found = find_copies(np.concatenate([mean, rng.normal(size=(1200, 5))], axis=1), latents)
    assert found is None if latents is None else same_groups(found.codes, original)


def low(rng, n, dimension):
    """Rows on a curved surface in 20 latents."""
    u = rng.normal(size=(n, dimension))
    return np.tanh(u @ rng.normal(size=(dimension, 20))) + np.sin(
        u @ rng.normal(size=(dimension, 20))
    )


def cells(rng, n, number, power=0.0):
    """A discrete code with a trace of noise, of equal cells or of frequent and rare ones."""
    shares = np.arange(1.0, number + 1) ** -power
    cell = rng.choice(number, n, p=shares / shares.sum())
    return rng.normal(size=(number, 6))[cell] + 0.01 * rng.normal(size=(n, 6))


def lattice(n):
    side = int(np.sqrt(n))
    return np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2)


INDEPENDENT = {
    **{f"Gaussian, d = {d}": lambda rng, n, d=d: rng.normal(size=(n, d)) for d in (1, 2, 10, 128)},
    **{f"t2, d = {d}": lambda rng, n, d=d: rng.standard_t(2, size=(n, d)) for d in (1, 3, 10)},
    "Cauchy": lambda rng, n: rng.standard_cauchy(size=(n, 5)),
    **{f"dimension {k} of 20": lambda rng, n, k=k: low(rng, n, k) for k in (1, 2, 3)},
    **{
        f"grid of 5 levels, d = {d}, noise {s}": lambda rng, n, d=d, s=s: (
            rng.integers(5, size=(n, d)) + s * rng.normal(size=(n, d))
        )
        for d in (1, 2, 4, 6)
        for s in (0.001, 0.05)
    },
    **{f"{c} cells": lambda rng, n, c=c: cells(rng, n, c) for c in (100, 1000, 5000)},
    "cells by Zipf's law": lambda rng, n: cells(rng, n, 1000, 1.0),
    "equal steps": lambda rng, n: np.linspace(0, 1, n)[:, None],
    "a lattice": lambda rng, n: lattice(n) + 0.01 * rng.normal(size=(len(lattice(n)), 2)),
    "a random walk": lambda rng, n: np.cumsum(rng.normal(size=(n, 3)), axis=0),
    "25 cells of equal size": lambda rng, n: (
        np.repeat(np.arange(25), n // 25)[:, None] + 0.01 * rng.normal(size=(n, 2))
    ),
}


@pytest.mark.parametrize("n", [500, 3000])
@pytest.mark.parametrize("name", INDEPENDENT)
def test_independent_rows_are_no_copies(name, n):
    rng = np.random.default_rng(4)
    for _ in range(3):
        assert find_copies(INDEPENDENT[name](rng, n)) is None


@pytest.mark.slow
@pytest.mark.parametrize("n", [60, 200, 1000])
@pytest.mark.parametrize("name", INDEPENDENT)
def test_independent_rows_are_no_copies_in_many_samples(name, n):
    if name.startswith("25") and n < 12.5 * 25:
        pytest.skip("25 cells of 12 rows or fewer, all of one size, are 25 originals and copies")
    rng = np.random.default_rng(5)
    sample = INDEPENDENT[name]
    assert not any(find_copies(sample(rng, n - n % 25)) for _ in range(30))


def test_evidence_in_closed_form():
    """Of 50 rows with one neighbour, none with 0 or 2: a Poisson's share is at most sqrt 2 - 1."""
    one = np.array([50.0])
    none = np.zeros(1)
    k = np.array([1])
    assert _evidence(none, one, none, k) == pytest.approx(-100 * np.log(np.sqrt(2) - 1))
    assert _evidence(none, one, none, k) > _EVIDENCE


@given(rate=st.floats(0.1, 20), k=st.integers(1, 30))
def test_no_evidence_against_a_poisson_number(rate, k):
    """Nor against a mixture of two, which has less in the middle."""
    from scipy.stats import poisson

    def of(shares):
        return _evidence(*(np.array([1e4 * share]) for share in shares), np.array([k]))

    around = [k - 1, k, k + 1]
    assert of(poisson.pmf(around, rate)) <= 1e-6
    assert of(poisson.pmf(around, rate) + poisson.pmf(around, 3 * rate)) <= 1e-6


def test_rows_that_cannot_be_told_apart_are_not_copies():
    for mean in (np.ones((1, 2)), np.ones((50, 2)), np.zeros((2, 1))):
        assert find_copies(mean) is None


def test_two_rows_in_many_are_left_out():
    mean = np.random.default_rng(6).normal(size=(3000, 2))
    mean[1] = mean[0]
    assert find_copies(mean) is None
    mean[2] = mean[0]
    assert find_copies(mean).rows == 3


def test_clusters_and_copies_are_joined():
    """Rows 0 and 3 are copies, of two clusters."""
    copies = find_copies(np.array([[0.0], [1.0], [2.0], [0.0], [4.0]]))
    codes = joined(np.array([0, 0, 1, 1, 2]), copies)
    assert same_groups(codes, [0, 0, 0, 0, 1])


def test_encodings_name_their_copies():
    mean, original = repeated(np.random.default_rng(7), 100, 3, 2)
    encodings = Encodings.of(mean, np.full(mean.shape, 0.1))
    assert encodings.copies.rows == 300
    assert encodings.independent_codes[0] == 100
    (note,) = encodings.copy_notes
    assert note.startswith("300 of 300 rows repeat the means of another row exactly")
    assert "100 distinct rows" in note
    assert encodings.dependence == "Copies of one row count as one draw, of 100."
    named = Encodings.of(encodings, clusters=original)
    assert named.copies is encodings.copies
    assert named.dependence == "Rows of one cluster count as one draw, of 100."
    other = Encodings.of(encodings, clusters=np.arange(300) % 50)
    assert other.copy_notes == encodings.copy_notes
    assert other.dependence.startswith("Copies of one row count as one draw, of ")
    assert Encodings.of(mean).copies.rows == 300  # means only
    near = Encodings.of(
        mean + 1e-3 * np.random.default_rng(8).normal(size=mean.shape), var=mean**0
    )
    assert near.copies is None  # no latent is used
    alone = Encodings.of(mean[:1], np.ones((1, 2)))
    assert alone.dependence == "Rows are taken as independent."
    assert alone.independent_codes is None


@pytest.mark.parametrize("given", [{"var": True}, {"var": True, "marginals": False}, {}])
def test_reports_name_copies_unless_clusters_do(given):
    """With variances, without marginals, and of means only."""
    mean, original = repeated(np.random.default_rng(9), 100, 3, 2, 0.001)
    options = given | ({"var": np.full(mean.shape, 0.1)} if given else {})
    wanted = "300 of 300 rows nearly repeat another row"
    card = score(mean, **options)
    assert card.verdict["CHECK"].count(wanted) == 1
    assert "name the input of each row with clusters=." in " ".join(repr(card).split())
    assert wanted not in repr(score(mean, **options, clusters=original))
    assert wanted not in repr(score(mean[:1], **{k: v for k, v in options.items() if k != "var"}))


def test_reports_of_metrics_name_copies():
    mean, original = repeated(np.random.default_rng(10), 100, 3, 2)
    wanted = "300 of 300 rows repeat the means of another row exactly"
    card = score(mean, factors=original % 4, metrics="mig")
    assert any(note.startswith(wanted) for note in card.metrics.notes)
    named = score(mean, factors=original % 4, metrics="mig", clusters=original)
    assert not any(note.startswith(wanted) for note in named.metrics.notes)


@pytest.mark.parametrize(("kind", "n", "seed"), [("float32", 2000, 42), ("float16", 2000, 0)])
def test_numbers_that_are_rounded_to_the_same_are_no_copies(kind, n, seed):
    """Of 2,000 draws in float32 two are equal in one case of thirty, of float16 hundreds are."""
    mean = np.random.default_rng(seed).normal(size=(n, 1)).astype(kind)
    assert len(np.unique(mean)) < n
    assert find_copies(mean) is None
    assert find_copies(np.hstack([mean, np.zeros_like(mean)])) is None
    copied = np.concatenate([mean[: n // 2], mean[: n // 2]])
    if kind == "float32":
        assert find_copies(copied).rows == n
    pair = np.random.default_rng(seed).normal(size=(n, 3)).astype(kind)
    pair[:4] = pair[4:8]
    assert find_copies(pair).rows >= 8
