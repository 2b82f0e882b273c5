"""Pages in a real browser: nothing is asked for, nothing fails, everything fits and can be read.

Skipped where there is no Chromium. axe-core is used where DINDIC_AXE names its axe.min.js; with
DINDIC_PICTURES, a folder, the pages are kept there as pictures.
"""

import os
from pathlib import Path

import numpy as np
import pytest
from browser import Browser, find
from matplotlib.figure import Figure

from disentangle_indicators import score
from disentangle_indicators.comparison import compare
from disentangle_indicators.registry import COUNTS

pytestmark = pytest.mark.slow

LOOKS = {
    "light": {},
    "dark": {"scheme": "dark"},
    "phone": {"width": 390},
    "dark phone": {"width": 390, "scheme": "dark"},
    "print": {"medium": "print", "width": 794},
}


@pytest.fixture(scope="module")
def browser():
    program = find()
    if program is None:
        pytest.skip(
            "NO BROWSER: the pages were not opened; install chromium or set DINDIC_CHROMIUM"
        )
    found = Browser(program)
    yield found
    found.close()


def encodings(d, n=400):
    rng = np.random.default_rng(0)
    width = np.minimum(np.geomspace(0.02, 1.2, d), 0.999)
    return rng.normal(size=(n, d)) * np.sqrt(1 - width), np.tile(width, (n, 1))


def collapsed():
    return score(np.zeros((300, 8)), var=np.ones((300, 8)), name="collapsed")


def with_factors():
    mean, var = encodings(10)
    asked = {"metrics": ["mig", "sap"], "theorems": True}
    return score(mean, var=var, factors=(mean[:, :3] > 0) * 1, name="a", **asked)


def pixels():
    figure = Figure(figsize=(12, 3))
    figure.add_subplot().imshow(np.arange(6).reshape(2, 3))
    return [(figure, "six cells")]


def several(k):
    mean, var = encodings(6)
    return compare(
        [score(mean, var=var / i, name=f"run{i}.npz", joint=False) for i in range(1, k + 1)]
    )


RESULTS = {
    "collapsed": collapsed,
    "factors": with_factors,
    "128": lambda: score(encodings(128)[0], var=encodings(128)[1], name="x" * 80, joint=False),
    "1024": lambda: score(
        *[encodings(1024)[0]], var=encodings(1024)[1], marginals=False, joint=False
    ),
    "eight models": lambda: several(8),
}


@pytest.fixture(scope="module", params=RESULTS)
def made(request, tmp_path_factory):
    result = RESULTS[request.param]()
    path = tmp_path_factory.mktemp("pages") / f"{request.param}.html".replace(" ", "_")
    more = pixels() if request.param == "factors" else ()
    path.write_text(result.to_html(pictures=more), encoding="utf-8")
    return path, result


@pytest.mark.parametrize("look", LOOKS)
def test_a_page_opens_alone_without_errors_and_fits(browser, made, look):
    path, _ = made
    browser.open(path, **LOOKS[look])
    assert browser.requests() == []
    assert browser.errors() == []
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert browser.evaluate(wide) <= 0
    paper = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    dark = "dark" in look
    assert (sum(map(int, paper[4:-1].split(",")[:3])) < 200) == dark
    ink = browser.evaluate(
        "[...document.querySelectorAll('svg text')].map(e => getComputedStyle(e).fill)"
    )
    assert all((sum(map(int, c[4:-1].split(",")[:3])) > 600) == dark for c in set(ink) - WRITTEN)
    if folder := os.environ.get("DINDIC_PICTURES"):
        browser.picture(Path(folder) / f"{path.stem}_{look.replace(' ', '_')}.png")


WRITTEN = {"rgb(255, 255, 255)"}
"""Colours of numbers on coloured cells, which do not follow the page."""


def test_the_numbers_of_the_page_are_those_of_the_json(browser, made):
    path, result = made
    browser.open(path)
    shown = browser.evaluate(
        "Object.fromEntries([...document.querySelectorAll('[data-name]')]"
        ".map(e => [e.dataset.name, e.textContent]))"
    )
    if "files" in (found := result.to_dict()):
        text = browser.evaluate("document.body.textContent")
        assert all(report["name"].removesuffix(".npz") in text for report in found["files"])
        return
    assert {name: int(shown[name]) for name in COUNTS} == {name: found[name] for name in COUNTS}
    for name in ("kl_posterior_prior", "mutual_information", "kl_q_star_prior"):
        value = float(shown[name].partition(" ")[0])
        assert value == pytest.approx(found[name], abs=0.51, rel=1e-3)


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
def test_nobody_is_shut_out(browser, made, look):
    """Serious and critical violations of axe-core: none."""
    browser.open(made[0], **LOOKS[look])
    browser.ask("Page.setBypassCSP", enabled=True)
    assert violations(browser, "document") == []


def violations(browser, where):
    """The serious and critical rules of axe-core that a part of the page breaks."""
    axe = os.environ.get("DINDIC_AXE")
    if not axe or not Path(axe).is_file():
        pytest.skip("NO AXE: accessibility was not checked; set DINDIC_AXE to its axe.min.js")
    browser.evaluate(Path(axe).read_text(encoding="utf-8") + "; 0")
    run = f"axe.run({where}, {{preload: false}})"
    found = browser.evaluate(f"{run}.then(r => r.violations.map(v => [v.id, v.impact]))")
    return sorted(rule for rule, impact in found if impact in ("serious", "critical"))


DOCS = Path(os.environ.get("DINDIC_DOCS", Path(__file__).parents[1] / "docs" / "_build" / "html"))

OF_THE_THEME: list[str] = []
"""Rules that the theme breaks outside of our text: none, as docs/hooks.py mends its headings."""


@pytest.fixture(
    params=[
        "index.html",
        "indicators/2-mutual-information.html",
        "metrics/mig.html",
        "gallery.html",
        "generated/disentangle_indicators.summary.html",
    ]
)
def docs_page(request):
    path = DOCS / request.param
    if not path.is_file():
        pytest.skip(f"NO DOCS: {request.param} was not opened; build them with make docs")
    if "tex-mml" in path.read_text(encoding="utf-8"):
        pytest.skip("NO FORMULAS: the docs were built without latex2mathml; make docs installs it")
    return path


@pytest.mark.parametrize("look", LOOKS)
def test_a_page_of_the_docs_needs_no_network_and_fits(browser, docs_page, look):
    browser.open(docs_page, **LOOKS[look])
    assert [url for url in browser.requests() if not url.startswith(DOCS.resolve().as_uri())] == []
    assert browser.errors() == []
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert browser.evaluate(wide) <= 0
    if folder := os.environ.get("DINDIC_PICTURES"):
        browser.picture(Path(folder) / f"docs_{docs_page.stem}_{look.replace(' ', '_')}.png")


@pytest.mark.parametrize("look", ["light", "dark phone"])
def test_nobody_is_shut_out_of_the_docs(browser, docs_page, look):
    browser.open(docs_page, **LOOKS[look])
    assert violations(browser, "document.querySelector('article')") == []
    assert violations(browser, "document") == OF_THE_THEME
