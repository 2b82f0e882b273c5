"""Every head of a table is in the glossary, and reports name the page."""

import re
from pathlib import Path

import numpy as np
import pytest

from disentangle_indicators import Encodings, score
from disentangle_indicators._blocks import Table
from disentangle_indicators.aggregate import marginals
from disentangle_indicators.comparison import compare
from disentangle_indicators.rotation import audit_rotations, axes
from disentangle_indicators.supervised import METRICS, channel, check_claim, find
from disentangle_indicators.supervised.listing import Listing

PAGE = Path(__file__).parents[1] / "docs" / "glossary.md"
FACTORS = ("shape_of_object", "hue")


@pytest.fixture(scope="module")
def encodings():
    rng = np.random.default_rng(0)
    factors = rng.integers(4, size=(200, 2))
    mean = rng.normal(size=(200, 4)) * [0.9, 0.9, 0.5, 0.0]
    mean[:, :2] = (factors - 1.5) / 1.2
    var = np.tile([0.1, 0.1, 0.7, 1.0], (200, 1))
    return Encodings.of(mean, var, factors=factors, factor_names=FACTORS, name="run_a")


def entries():
    """The words and heads of the page, one by one."""
    cells = re.findall(r"^\| (.*?) (?<!\\)\| ", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    words = [re.sub(r"\\(.)", r"\1", cell) for cell in cells]
    return {part for word in words for part in word.split(", ")} | set(words)


def results(encodings):
    card = score(encodings, metrics=["mig", "sap"], certify=True, joint=200)
    yield card
    yield score(encodings.arrays("")[0])
    yield score(encodings.arrays("")[0] * 9, var=encodings.arrays("")[1] / 9)
    yield compare([card, card])
    yield card.result
    yield marginals(encodings)
    yield channel(encodings, rng=0)
    yield axes(encodings, rng=0)
    yield audit_rotations("mig", encodings, rotations=3, rng=0)
    yield check_claim(find("mig")[0], encodings, halves=2)
    yield Listing(METRICS)


def test_every_head_of_a_table_is_in_the_glossary(encodings):
    known = entries()
    names = {*FACTORS, "run_a", ""}
    for result in results(encodings):
        for table in result.blocks():
            if not isinstance(table, Table):
                continue
            for head in table.columns:
                word = re.sub(r"^[≤≥] | \[nats\]$", "", head)
                word = re.sub(r"^Def \d$", "Def", word)
                word = re.sub(r"^all \d+ latents$", "all latents", word)
                assert word in known | names, (type(result).__name__, table.title)


def test_a_head_that_is_not_in_the_glossary_is_noticed():
    assert "frobnication" not in entries()
    assert {"I(x; z_h)", "KL(q(z_h) || p)", "S", "used"} <= entries()


def test_reports_end_with_the_page_of_their_words(encodings):
    card = score(encodings, joint=False)
    for result in (card, compare([card, card])):
        assert repr(result).endswith("All words are explained in docs/glossary.md.")
