"""dindic cite, through real files."""

import pytest
from cli_helpers import flat


def test_bibtex_and_the_methods_of_a_saved_report(dindic, good, folder):
    assert "@software{disentangle_indicators," in dindic("cite").stdout
    dindic("score", good, "--json", "r.json", "--latex", "r.tex", "--quiet")
    assert r"\begin{tabular}" in (folder / "r.tex").read_text("utf-8")
    text = flat(dindic("cite", "r.json").stdout)
    assert "from n = 80 rows of d = 4 latents: Definitions 1 to 7" in text
    assert "Inputs by SHA-256: good.npz" in text


def test_a_report_that_is_not_there(dindic, folder):
    assert "no such file" in dindic("cite", "none.json", code=2).stderr


@pytest.mark.parametrize("name", ["good.npz", "hello", "{", "{}"])
def test_what_is_no_report_is_answered_with_the_command_that_makes_one(dindic, good, folder, name):
    if not name.endswith(".npz"):
        (folder / "text").write_text(name)
        name = "text"
    message = dindic("cite", name, code=2).stderr
    assert f"{name}: this is no report; dindic score FILE --json report.json writes one" in message
