"""Links between the pages: those of the sources, and the check of what Sphinx builds."""

import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "docs").glob("[im]*/*.md")]


def checker():
    spec = spec_from_file_location("links", ROOT / "docs" / "links.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def anchors(path):
    """The places that a page of Markdown has: its headings, as GitHub and Sphinx name them."""
    heads = re.findall(r"^#+ (.*)$", path.read_text("utf-8"), re.MULTILINE)
    words = (re.sub(r"[^\w\- ]", "", head.lower()) for head in heads)
    return {word.replace(" ", "-") for word in words}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_of_the_sources_lead_to_files_and_headings(path):
    text = re.sub(r"^```.*?^```", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith(("http", "mailto:")):
            continue
        name, _, place = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        built = path.parent.name == "docs" and name.startswith(
            ("generated", "reports/", "schema/")
        )
        assert built or target.exists(), link
        assert not place or built or place in anchors(target), link


def test_the_address_of_the_repository_is_a_placeholder_in_one_place():
    found = [path for path in SOURCES if "REPOSITORY" in path.read_text("utf-8")]
    assert found == [ROOT / "docs" / "index.md"]


@pytest.mark.parametrize(
    ("link", "lost"),
    [
        ("b.html", False),
        ("b.html#here", False),
        ("#top", False),
        ("https://example.org/x", False),
        ("c.html", True),
        ("b.html#there", True),
        ("#there", True),
        ("sub/", True),
    ],
)
def test_a_link_of_a_built_page_that_leads_nowhere_is_found(tmp_path, link, lost):
    (tmp_path / "a.html").write_text(f'<p id="top"><a class="x" href="{link}">l</a></p>')
    (tmp_path / "b.html").write_text('<h2 id="here">h</h2><img alt="" src="a.html">')
    found = checker().broken(tmp_path)
    assert found == ([f"a.html: {link}"] if lost else [])
