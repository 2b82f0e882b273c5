"""The registry of indicators: complete, read everywhere, and each error the derivative's."""

import json

import numpy as np
import pytest
from strategies import random_encodings

from disentangle_indicators import Moments, estimate_q_star, indicators, registry, score
from disentangle_indicators._blocks import Table
from disentangle_indicators.comparison import compare
from disentangle_indicators.registry import COUNTS, INDICATORS, Indicator, totals
from disentangle_indicators.standard_errors import Influence

DIRECTIONS = {"", "lower bound", "upper bound"}


def effective_latents(moments, q_star):
    """Participation ratio of Definition 3."""
    information = INDICATORS["mutual_information_per_latent"].function(moments, q_star)
    return float(information.sum() ** 2 / (information**2).sum())


@pytest.fixture
def one_more(monkeypatch):
    """Add an indicator in the one place that the recipe names."""
    added = Indicator(
        name="effective_latents",
        title="participation ratio of Definition 3",
        label="eff. latents",
        reading="latents that share the information",
        misleads="It counts latents of equal information only.",
        function=effective_latents,
        unit="latents",
        low=1.0,
        compared=True,
    )
    monkeypatch.setitem(INDICATORS, added.name, added)
    return added


@pytest.mark.parametrize("name", INDICATORS)
def test_every_entry_is_complete(name):
    entry = INDICATORS[name]
    assert entry.name == name
    assert min(map(len, (entry.title, entry.label, entry.reading, entry.unit))) > 0
    assert entry.misleads.endswith(".")
    assert entry.direction in DIRECTIONS
    assert (entry.sign == "") == (entry.direction == "")
    assert not (entry.weights and entry.influence)
    assert not entry.error_of or entry.error_of in INDICATORS
    assert not entry.sum_of or INDICATORS[entry.sum_of].per_latent
    assert entry.per_latent == ("per_latent" in name)


def test_the_definitions_of_the_paper_are_there_once():
    numbers = [i.definition for i in INDICATORS.values() if i.definition is not None]
    assert numbers == [1, 2, 3, 4, 5, 6, 7]


def test_values_are_within_their_ranges():
    mean, var = random_encodings(np.random.default_rng(0), 200, 4)
    found = indicators(mean, var, covariance=True)
    for name, entry in INDICATORS.items():
        low, high = np.min(found.values[name]), np.max(found.values[name])
        assert entry.low is None or low >= entry.low - 1e-9, name
        assert entry.high is None or high <= entry.high + 1e-9, name


@pytest.mark.parametrize("name", [i for i, entry in INDICATORS.items() if entry.sum_of])
def test_totals_are_the_sums_of_their_latents(name):
    found = indicators(*random_encodings(np.random.default_rng(1), 100, 3))
    assert found.values[name] == pytest.approx(found.values[INDICATORS[name].sum_of].sum())


def weighted_rows(mean, var, m, k):
    """The encodings with row m taken k times more."""
    rows = np.r_[np.arange(len(mean)), np.full(k, m)]
    return mean[rows], var[rows]


def test_every_influence_is_the_derivative_of_its_indicator():
    """One more copy of a row among n moves an indicator by its influence over n, to first order."""
    mean, var = random_encodings(np.random.default_rng(2), 2000, 3)
    moments = Moments.of(mean, var, covariance=True)
    influence = Influence(moments)
    values = influence(mean, var)
    q_star = estimate_q_star(moments=moments)
    far = np.argsort(-np.abs(values).max(axis=1))[:5]
    for m in far:
        more = Moments.of(*weighted_rows(mean, var, m, 1), covariance=True)
        fit = estimate_q_star(moments=more)
        for column, entry in enumerate(totals(moments)):
            moved = entry.function(more, fit) - entry.function(moments, q_star)
            assert influence.names[column] == entry.name
            wanted = values[m, column] / len(mean)
            assert moved == pytest.approx(wanted, rel=0.1, abs=1e-6), entry.name


def test_a_new_indicator_is_one_entry(one_more):
    """Score, JSON, CSV, comparison and its heading read the registry."""
    mean, var = random_encodings(np.random.default_rng(3), 60, 3)
    card = score(mean, var=var, name="a")
    assert 1 <= card.effective_latents <= 3
    assert json.loads(card.to_json())["effective_latents"] == card.effective_latents
    assert "effective_latents" in repr(card)
    cards = [score(mean, var=var * k, name=str(k)) for k in range(1, 6)]
    both = compare(cards)
    assert both.to_frame()["effective_latents"].tolist() == [c.effective_latents for c in cards]
    tables = [block for block in both.blocks() if isinstance(block, Table)]
    (table,) = [each for each in tables if each.title.startswith("Indicators")]
    assert "eff. latents" in table.columns
    assert {len(row) for row in table.rows} == {len(table.columns)}


@pytest.mark.parametrize("number", [2, 5])
def test_every_column_of_a_comparison_has_a_heading(number):
    mean, var = random_encodings(np.random.default_rng(4), 40, 2)
    both = compare([score(mean, var=var, name=str(k)) for k in range(number)])
    for block in both.blocks():
        if hasattr(block, "columns"):
            assert all(block.columns[1:]), block.title
            assert {len(row) for row in block.rows} <= {len(block.columns)}, block.title


def test_counts_are_those_of_the_result():
    found = indicators(*random_encodings(np.random.default_rng(5), 50, 4))
    assert set(found.counts) == set(COUNTS)
    assert registry.DEFINITIONS["mutual_information"][0] == 2
