"""The page of HTML: whole, alone, escaped, small, and with the numbers of the JSON."""

import re
from base64 import b64decode
from functools import cache
from html.parser import HTMLParser
from urllib.parse import urlsplit

import numpy as np
import pytest

from disentangle_indicators import Encodings, Summary, score
from disentangle_indicators._blocks import Table
from disentangle_indicators.comparison import compare, match, sweep
from disentangle_indicators.registry import COUNTS, INDICATORS
from disentangle_indicators.report._page import page
from disentangle_indicators.report._svg import PADDING, inline
from disentangle_indicators.summary import merge
from disentangle_indicators.theorems import theorems

HOSTILE = "\"><script>alert(1)</script><img src=x onerror=y>'&{{ 7*7 }}"
DATE = "2026-11-26"
VOID = {"meta", "link", "br", "img", "hr", "input"}


class Reader(HTMLParser):
    """Checks that tags close in order, and keeps attributes and text."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.found, self.text = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def tags(self, name):
        return [attrs for tag, attrs in self.found if tag == name]


def encodings(d=3, n=80):
    rng = np.random.default_rng(0)
    width = np.minimum(np.geomspace(0.02, 1.2, d), 0.999)
    return rng.normal(size=(n, d)) * np.sqrt(1 - width), np.tile(width, (n, 1))


@cache
def card():
    mean, var = encodings()
    return score(
        mean,
        var=var,
        factors=(mean[:, :2] > 0) * 1,
        factor_names=[HOSTILE, "b"],
        metrics="sap",
        name=f"runs/{HOSTILE}",
    )


@cache
def comparison():
    mean, var = encodings()
    return compare([score(mean, var=var / k, name=f"{HOSTILE}{k}", joint=False) for k in (1, 2)])


RESULTS = {
    "card": card,
    "comparison": comparison,
    "means": lambda: score(encodings()[0], name=HOSTILE),
    "one sample": lambda: score(*encodings(n=1)[:1], var=encodings(n=1)[1]),
}


@cache
def text_of(kind):
    return page(RESULTS[kind](), DATE)


@pytest.mark.parametrize("kind", RESULTS)
def test_a_page_needs_nothing_else_and_runs_nothing(kind):
    read = Reader(text_of(kind))
    assert read.tags("script") == []
    assert not [a for _, attrs in read.found for a in attrs if a.startswith("on")]
    references = {
        attrs[a]
        for _, attrs in read.found
        for a in ("href", "src", "xlink:href", "action", "data", "poster")
        if a in attrs
    }
    assert {urlsplit(r).scheme for r in references if not r.startswith("#")} <= {"data"}
    assert not re.search(r"@import|url\((?!#)", text_of(kind))
    (policy,) = [m for m in read.tags("meta") if m.get("http-equiv")]
    assert policy["content"].startswith("default-src 'none'")


@pytest.mark.parametrize("kind", RESULTS)
def test_ids_are_unique_and_every_reference_is_there(kind):
    read = Reader(text_of(kind))
    ids = [attrs["id"] for _, attrs in read.found if "id" in attrs]
    assert len(ids) == len(set(ids))
    wanted = {i for _, a in read.found for i in a.get("aria-labelledby", "").split()}
    wanted |= {a["xlink:href"][1:] for _, a in read.found if a.get("xlink:href", "")[:1] == "#"}
    wanted |= set(re.findall(r"url\(#([^)]*)\)", text_of(kind)))
    assert wanted <= set(ids)


def test_a_page_of_sums_has_the_rows_in_its_title():
    rows = [Encodings.of(np.ones((n, 1)), np.ones((n, 1)), name=f"{n}") for n in (1, 2)]
    both = score(merge(map(Summary.of, rows)), marginals=False, joint=False)
    assert "<title>Sums over 3 rows of 1 latent, of 2 parts</title>" in page(both)
    one = score(Summary.of(Encodings.of(np.ones((1, 2)), np.ones((1, 2)))), joint=False)
    assert one.source == "sums over 1 row of 2 latents, of 1 part"


@pytest.mark.parametrize("kind", ["card", "comparison"])
def test_every_picture_has_a_title_and_a_description(kind):
    text = text_of(kind)
    pictures = re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL)
    assert len(pictures) == {"card": 7, "comparison": 1}[kind]
    for picture in pictures:
        assert re.match(
            r"<svg role=\"img\" aria-labelledby[^>]*><title [^>]*>[^<]+</title><desc ", picture
        )
        assert "#000000" not in picture


def test_the_box_of_a_picture_is_what_was_drawn():
    """Those of ``get_tightbbox``, which asks every artist, but for lines that end at an edge."""
    from disentangle_indicators.plots import PLOTS
    from disentangle_indicators.plots._style import figure_of

    for name in ("pulse", "information", "variances", "marginals", "brackets", "correlation"):
        figure = figure_of(PLOTS[name](card()))
        svg = inline(figure, "k", "title", "description")
        left, up, width, height = map(float, re.search('viewBox="([^"]*)"', svg)[1].split())
        box, whole = figure.get_tightbbox(), 72 * figure.get_figheight()
        drawn = [72 * box.x0, whole - 72 * box.y1, 72 * box.width, 72 * box.height]
        wanted = [drawn[0] - PADDING, drawn[1] - PADDING, *(2 * PADDING + x for x in drawn[2:])]
        np.testing.assert_allclose([left, up, width, height], wanted, atol=PADDING, err_msg=name)


def test_numbers_in_a_picture_keep_their_decimals():
    """Coordinates have two; what is written has all that were written."""
    from matplotlib.figure import Figure

    figure = Figure()
    figure.add_subplot().set_title("0.12345 nats, version 1.2345")
    svg = inline(figure, "k", "title", "description")
    assert ">0.12345 nats, version 1.2345</text>" in svg
    assert not re.search(r'<path d="[^"]*\.\d{3}', svg)


def test_the_sentences_of_any_result_open_its_page():
    mean, var = encodings()
    several = [Encodings.of(mean, v, name=f"{HOSTILE}{k}") for k, v in enumerate((var, var / 2))]
    for result, label in (
        (match(several, same_rows=True, latents="all"), "MATCH"),
        (theorems(several[0], axes=False), "Theorem 1"),
    ):
        text = page(result, DATE)
        assert '<dl class="verdict">\n<dt>' in text
        assert text.index(f"<dt>{label}</dt>") < text.index("Tables")
        assert "<script" not in text
    assert "<title>Theorems: " in text


def test_pages_of_theorems_and_of_sweeps_have_pictures_with_captions():
    mean, var = encodings()
    assert captions(theorems(mean, var, axes=False)) == [
        "Intrinsic dimension beside the used latents"
    ]
    made = [Encodings.of(mean, var / k) for k in (1, 2, 4)]
    with_distortion = [
        each.replaced(metadata={"distortion": f"{k}"}) for k, each in enumerate(made)
    ]
    titles = ["Rate, information and used latents against the setting", "Rate against distortion"]
    for several, wanted in ((made, titles[:1]), (with_distortion, titles)):
        cards = [score(each, joint=False) for each in several]
        assert captions(sweep(compare(cards), [1, 2, 4])) == wanted


def captions(result):
    """The titles of the pictures of a page."""
    text = page(result, DATE)
    return [each.partition(".")[0] for each in re.findall(r"<figcaption>(.*?)</figcaption>", text)]


def test_the_paper_behind_labels_is_that_of_the_page():
    text = text_of("card")
    assert "fill: Canvas; opacity" in text
    assert "fill: #ffffff; opacity" not in text


def test_a_figure_of_pixels_is_an_image_with_words():
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2, 1))
    figure.add_subplot().imshow(np.arange(6).reshape(2, 3))
    text = page(card(), DATE, pictures=[(figure, HOSTILE)])
    (image,) = Reader(text).tags("img")
    assert image["alt"] == HOSTILE
    head, _, content = image["src"].partition(",")
    assert head == "data:image/png;base64"
    assert b64decode(content).startswith(b"\x89PNG")
    assert text == page(card(), DATE, pictures=[(figure, HOSTILE)])


def test_names_of_strangers_are_text():
    read = Reader(text_of("card"))
    whole = "".join(read.text)
    assert HOSTILE in whole
    assert "49" not in re.findall(r"\{\{ (\S+)", whole)
    assert read.tags("img") == []
    assert HOSTILE not in text_of("card")


def test_the_page_has_the_verdict_the_tables_and_how_to_read_each_number():
    read = Reader(text_of("card"))
    cells = {text.strip() for text in read.text}
    assert set(card().verdict.values()) <= cells
    for block in card().blocks():
        if isinstance(block, Table):
            assert {cell.strip() for row in block.rows for cell in row} - {""} <= cells
    for name, indicator in INDICATORS.items():
        assert name in cells
        assert indicator.misleads in cells
    assert {count.misleads for count in COUNTS.values()} <= cells


def test_numbers_are_those_of_the_json():
    found = card().to_dict()
    shown = dict(re.findall(r'data-name="([^"]*)">([^<]*)<', text_of("card")))
    for name in COUNTS:
        assert shown[name] == str(found[name])
    for name, indicator in INDICATORS.items():
        values = np.atleast_1d(found[name])
        ends = [float(t) for t in re.split(r" to | ± ", shown[name])]
        expected = [values.min(), values.max()] if indicator.per_latent else values[:1]
        np.testing.assert_allclose(ends[: len(expected)], expected, atol=6e-3)


def test_the_page_says_what_it_takes_to_compute_it_again():
    whole = "".join(Reader(text_of("card")).text)
    assert "disentangle_indicators.score" in whole
    assert f"numpy {np.__version__}" in whole
    (metric,) = card().metrics.metrics.values()
    assert metric.source in whole


def test_the_same_result_gives_the_same_page_but_for_the_line_of_the_date():
    one, other = text_of("comparison"), page(comparison(), "another day")
    apart = [
        pair for pair in zip(one.split("\n"), other.split("\n"), strict=True) if len(set(pair)) > 1
    ]
    assert [pair[0] for pair in apart] == [f'<p class="soft">Written: {DATE}</p>']


@pytest.mark.parametrize("d", [40, 1024])
def test_a_page_has_at_most_300_kb(d):
    mean, var = encodings(d, 50)
    found = score(mean, var=var, joint=False, marginals=d < 100, name="x" * 80)
    assert len(page(found, DATE).encode()) < 300_000
