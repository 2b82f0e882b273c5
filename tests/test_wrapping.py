"""Tables fit the width that there is, and no number is cut."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from disentangle_indicators import score
from disentangle_indicators._blocks import Table
from disentangle_indicators._render import to_text
from disentangle_indicators._wrapping import wrapped

NUMBER = st.sampled_from(["1.5", "≥ 12.345 ± 0.006", "-", "", "1e-07", "123456.7 ± 10.1"])
WORD = st.text("abc_de fg@h-", max_size=45)


@st.composite
def tables(draw):
    columns = draw(st.integers(1, 12))
    kinds = [WORD, *(draw(st.sampled_from([NUMBER, WORD])) for _ in range(columns - 1))]
    rows = draw(st.lists(st.tuples(*kinds), min_size=1, max_size=4))
    heads = draw(st.tuples(*[WORD] * columns))
    return Table(heads, tuple(rows), "a title of a table that is long " * 3, "a note " * 20)


@given(tables(), st.sampled_from([60, 80, 120]))
def test_every_line_fits_and_every_number_is_whole(table, width):
    lines = to_text([table], width).splitlines()
    assert max(map(len, lines), default=0) <= width
    numbers = [cell for row in table.rows for cell in row if cell[:1].isdigit() or "±" in cell]
    for number in numbers:
        assert any(number in line for line in lines)


@given(WORD, st.integers(4, 60))
def test_wrapping_cuts_and_loses_nothing(text, width):
    lines = wrapped(text, width)
    assert max(map(len, lines)) <= width
    assert re.sub(r"\s", "", "".join(lines)) == re.sub(r"\s", "", text)


def model(d, n=120):
    rng, levels = np.random.default_rng(0), np.exp(np.linspace(-4, 0, d))
    levels[: min(d, 5)] = np.array([1e-9, 0.1, 0.6, 0.9, 1.0])[: min(d, 5)]
    mean = rng.normal(size=(n, d)) * np.sqrt(1 - levels) * 30 + 50.0 * (np.arange(d) == 3)
    return score(
        mean,
        var=np.ones((n, 1)) * levels,
        factors=np.arange(n) % 3,
        factor_names=["a_factor_with_a_name_of_many_letters_as_tables_have_them"],
        name="runs/" + "vae_mnist_z16_lr1e-3_b4_seed0_epoch200_" * 2 + ".npz",
    )


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("d", [2, 16, 1024])
def test_reports_fit_and_no_value_is_parted_from_its_error(d, width):
    card = model(d)
    text = to_text(card.blocks(), width)
    assert max(map(len, text.splitlines())) <= width
    assert not re.search(r"±\s*$", text, re.MULTILINE)
    assert not re.search(r"^\s*±", text, re.MULTILINE)
    rows = [line for line in text.splitlines() if re.search(r" (used|weak|unused)$", line)]
    assert len(rows) >= min(d, 40) // 2  # one line a latent


NAME = "mutual_information_per_latent_via_q_star"


def test_states_and_names_are_cut_at_their_joints_only():
    table = Table(
        ("Def", "name", "value [nats]", "how to read it"),
        (("7", NAME, "≥ 12.345 ± 0.678", "= Def 3 " * 4),),
    )
    words = to_text([table], 60).split()
    pieces = [word for word in words if word in NAME]
    assert len(pieces) > 1
    assert [piece for piece in pieces[:-1] if not piece.endswith("_")] == []
    text = to_text(model(5).blocks(), 80)
    assert re.search(r"^ \d .* near-det\.$", text, re.MULTILINE)
    assert "near-det.: near-deterministic" in " ".join(text.split())


def test_columns_that_do_not_fit_go_into_a_table_below():
    table = Table(
        ("latent", *(f"score {i}" for i in range(9))), (("0", *["≥ 12.345 ± 0.006"] * 9),)
    )
    text = to_text([table], 60)
    assert text.count("latent") == 5
    assert text.count("≥ 12.345 ± 0.006") == 9
