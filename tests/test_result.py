"""What every result can do."""

import html.parser
import json
import math
import re
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

from disentangle_indicators import score
from disentangle_indicators._blocks import Table
from disentangle_indicators._render import WIDTH, to_html, to_markdown, to_text
from disentangle_indicators._result import Result, plain


@dataclass(frozen=True, eq=False, repr=False)
class Small(Result):
    schema: ClassVar[str] = "small/1"

    number: float
    column: Any
    matrix: Any
    inner: Any = None


def small(**changes):
    values = {"number": 1.5, "column": np.array([1.0, np.nan]), "matrix": np.eye(2)}
    return Small(**values | changes)


TABLE = Table(("", "KL [nats]", "a|b"), (("<x>", "1.0", "p|q"), ("[red]y", "", "-")), "T", "N [1]")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        ("text", "text"),
        (3, 3),
        (1.5, 1.5),
        (math.inf, None),
        (-math.inf, None),
        (math.nan, None),
        (np.float32(0.5), 0.5),
        (np.float64("nan"), None),
        (np.int64(7), 7),
        (np.bool_(True), True),
        (np.array(2.5), 2.5),
        (np.array([1.0, np.inf]), [1.0, None]),
        (np.array([[1, 2]]), [[1, 2]]),
        (np.array([], float), []),
        ((1, (2, "x")), [1, [2, "x"]]),
        ({1: np.array([1.0])}, {"1": [1.0]}),
        ({"a": {"b": math.inf}}, {"a": {"b": None}}),
    ],
)
def test_plain(value, expected):
    found = plain(value)
    assert found == expected
    assert type(found) is type(expected)
    json.dumps(found, allow_nan=False)


def test_plain_tensors():
    torch = pytest.importorskip("torch")
    values = torch.tensor([1.0, math.inf], requires_grad=True)
    assert plain(values) == [1.0, None]
    assert plain(torch.tensor(2.5)) == 2.5


def test_plain_of_other_things():
    with pytest.raises(TypeError, match="no plain form for object"):
        plain(object())


def test_dict_and_json():
    result = small(inner=small(number=math.inf))
    content = result.to_dict()
    assert list(content) == ["schema", "number", "column", "matrix", "inner"]
    assert content["column"] == [1.0, None]
    assert content["inner"]["schema"] == "small/1"
    assert content["inner"]["number"] is None
    assert json.loads(result.to_json()) == content
    assert "\n" not in result.to_json(indent=None)


def test_frame_takes_the_columns_only():
    frame = small(number=2.0, column=np.array([3, 4])).to_frame()
    assert frame.columns.tolist() == ["column"]
    assert frame["column"].tolist() == [3.0, 4.0]
    assert frame.index.name == "latent"


def test_a_printed_result_is_as_wide_as_the_terminal(monkeypatch):
    words = score(np.eye(2), var=np.ones((2, 2)))
    assert max(map(len, repr(words).splitlines())) > 70
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "70")
    assert max(map(len, repr(words).splitlines())) <= 70


def test_repr_lists_the_fields():
    text = repr(small(number=0.123456789, matrix=np.ones((100, 3))))
    assert "Small" in text
    assert "0.123457" in text
    assert "array (100, 3)" in text
    assert text.count("\n") >= 4


def test_text_keeps_brackets():
    for text in (to_text([TABLE]), to_text(["[red]paragraph[/nope]", {"[b]": "[i]x"}])):
        assert "[" in text
    assert "KL [nats]" in to_text([TABLE])
    assert "[red]y" in to_text([TABLE])
    assert "N [1]" in to_text([TABLE])
    assert "[red]paragraph[/nope]" in to_text(["[red]paragraph[/nope]"])
    named = to_text([{"[b]": "[i]x"}])
    assert "[b]" in named
    assert "[i]x" in named


def test_text_takes_closing_tags_as_text():
    table = Table(("[/a]", "[/]"), (("[/b]", "1"),), "[/title]", "[/note]")
    text = to_text([table])
    for word in ("[/a]", "[/]", "[/b]", "[/title]", "[/note]"):
        assert word in text


@pytest.mark.parametrize("width", [40, WIDTH])
def test_text_fits_the_width_and_has_no_trailing_spaces(width):
    rows = tuple((f"a_very_long_name_of_a_row_{i}", "1.0 ± 0.1", "words " * 30) for i in range(3))
    lines = to_text([Table(("name", "value", "hint"), rows), "word " * 100], width).splitlines()
    assert max(map(len, lines)) <= width
    assert [line for line in lines if line != line.rstrip()] == []
    assert sum(line.count("words") for line in lines) == 90


def test_numbers_are_right_aligned_and_words_left():
    table = Table(("", "n", "w"), (("a", "1", "x"), ("b", "≥ 200 ± 3", "yy"), ("c", "-", "z")))
    lines = to_text([table]).splitlines()[-3:]
    assert lines[0].index("1") == lines[1].index("3") == lines[2].index("-")
    assert lines[0].index("x") == lines[1].index("y") == lines[2].index("z")


class Tags(html.parser.HTMLParser):
    VOID = ("br", "hr")

    def __init__(self, page):
        super().__init__()
        self.open, self.seen = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.seen.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_html_is_well_formed_and_escaped():
    hostile = "<script>&\"'"
    page = to_html([hostile, {hostile: hostile}, TABLE, Table((hostile,), ((hostile,),), hostile)])
    tags = Tags(page)
    assert tags.open == []
    assert "script" not in tags.seen
    assert page.count("&lt;script&gt;&amp;") == 6
    assert tags.seen.count("tr") == 5
    assert tags.seen.count("td") == 7
    assert re.search("<caption[^>]*>T</caption>", page)
    assert "&lt;x&gt;" in page
    assert "KL [nats]" in page


def test_html_aligns_numbers_to_the_right_and_words_to_the_left():
    page = to_html([Table(("a", "b", "c"), (("x", "1.0", "word"), ("y", "≥ 2", "")))])
    sides = re.findall(r'<(t[hd]) style="text-align: (\w+)">', page)
    assert sides == [*zip(["th"] * 3 + ["td"] * 6, ["left", "right", "left"] * 3, strict=True)]


@pytest.mark.parametrize("blocks", [["head", TABLE], ["head"]])
def test_html_has_the_picture_once_before_the_first_table(blocks):
    page = to_html([*blocks, *blocks], '<img src="x" />')
    assert page.count("<img") == 1
    assert Tags(page).seen[:2] == ["p", "img" if TABLE in blocks else "p"]


@pytest.mark.parametrize("variable", ["TERM", "COLUMNS", "JUPYTER_COLUMNS", "FORCE_COLOR"])
def test_text_does_not_depend_on_the_terminal(monkeypatch, variable):
    expected = to_text([TABLE, "word " * 100])
    value = {"TERM": "dumb", "FORCE_COLOR": "1"}.get(variable, "30")
    monkeypatch.setenv(variable, value)
    assert to_text([TABLE, "word " * 100]) == expected
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert to_text([TABLE, "word " * 100]) == expected


def test_a_result_without_a_picture_refuses_to_plot():
    with pytest.raises(ValueError, match="no picture of Small; there is of Scorecard, "):
        small().plot()


def test_html_of_a_result():
    assert Tags(small()._repr_html_()).seen.count("tr") == 5


def test_markdown():
    text = to_markdown(["head", {"USED": "all."}, TABLE])
    assert text == (
        "head\n\n**USED** all.\n\n**T**\n\n"
        "|  | KL [nats] | a\\|b |\n| --- | --- | --- |\n"
        "| &lt;x&gt; | 1.0 | p\\|q |\n| [red]y |  | - |\n\n*N [1]*\n"
    )


def test_results_cannot_be_changed():
    with pytest.raises(AttributeError):
        small().number = 2.0
