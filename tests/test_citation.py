"""Methods sentences of reports, and tables as LaTeX."""

import re

import numpy as np
import pytest

from disentangle_indicators import Encodings, score
from disentangle_indicators._blocks import Table
from disentangle_indicators._errors import Undefined
from disentangle_indicators._latex import SPECIAL, escaped, to_latex
from disentangle_indicators.citation import cite
from disentangle_indicators.comparison import compare, match


@pytest.fixture
def encodings():
    rng = np.random.default_rng(0)
    made = Encodings.of(rng.normal(size=(60, 2)), np.full((60, 2), 0.1), labels=np.arange(60) % 3)
    return made.replaced(metadata={"images": "part 'test' of the model's split"})


def test_a_methods_sentence_has_n_split_estimator_protocol_and_version(encodings):
    card = score(encodings, metrics="mig@locatello2019", joint=True)
    (text,) = cite([card.to_dict()]).methods
    assert text.startswith(
        "Computed with disentangle_indicators 0.1.0 from n = 60 rows of d = 2 latents: Definitions 1 "
        "to 7 at the closed-form q*"
    )
    for part in (
        "used latents have more than 0.5 nats",
        "the joint by Monte Carlo with 2 x 4096 points",
        "Rows: part 'test' of the model's split.",
        "Standard errors are of independent rows.",
        "Metrics and protocols: mig@locatello2019.",
        "Random seed 0.",
    ):
        assert part in text


def test_other_reports_have_their_own_estimators(encodings):
    found = cite(
        [
            match([encodings, encodings], rotations=19, same_rows=True).to_dict(),
            compare([score(encodings, joint=False)] * 2).to_dict(),
        ]
    ).methods
    assert "tested against random rotations" in found[0]
    assert "from n = 60 rows of d = 2 latents" in found[1]
    with pytest.raises(Undefined, match="no schema"):
        cite([{}])


def test_bibtex_has_balanced_braces_and_the_version():
    text = cite().bibtex
    assert text.count("{") == text.count("}")
    assert "version = {0.1.0}" in text
    assert re.findall(r"^@(\w+)\{", text, re.MULTILINE) == ["software", "unpublished"]


def test_nothing_that_latex_takes_for_a_command_is_left():
    text = "".join(SPECIAL) + "a"
    bare = re.sub(
        r"\\ensuremath\{[^{}]*\}|\\text\w+\{\}|\\dots\{\}|\\[&%$#_{}]", "", escaped(text)
    )
    assert bare == "a"


def test_latex_has_as_many_cells_as_the_table():
    table = Table(("name_1", "a & b"), (("x%", "1.0 ± 0.1"), ("{y}", "2.0")), "T_1", "note #1")
    lines = to_latex([table, "100% sure"]).splitlines()
    rows = [line for line in lines if line.endswith(r"\\")]
    assert [len(re.findall(r"(?<!\\)&", row)) for row in rows] == [1, 1, 1]
    assert r"\caption{T\_1. note \#1.}" in lines
    assert "% 100% sure" in lines


def test_a_scorecard_is_written_as_latex(tmp_path, encodings):
    from disentangle_indicators.report import write

    text = write(score(encodings, joint=False), tmp_path / "a.tex", "latex").read_text("utf-8")
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") >= 2
    assert not re.search(r"(?<!\\)_", re.sub(r"^%.*$", "", text, flags=re.MULTILINE))
