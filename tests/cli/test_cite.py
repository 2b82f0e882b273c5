"""dindic cite, through real files."""

from cli_helpers import flat


def test_bibtex_and_the_methods_of_a_saved_report(dindic, good, folder):
    assert "@software{disentangle_indicators," in dindic("cite").stdout
    dindic("score", good, "--json", "r.json", "--latex", "r.tex", "--quiet")
    assert r"\begin{tabular}" in (folder / "r.tex").read_text("utf-8")
    text = flat(dindic("cite", "r.json").stdout)
    assert "from n = 80 rows of d = 4 latents: Definitions 1 to 7" in text
    assert "Inputs by SHA-256: good.npz" in text


def test_what_is_no_report_is_refused(dindic, good, folder):
    (folder / "no.json").write_text("{}")
    (folder / "bad.json").write_text("{")
    assert "dindic score FILE --json writes one" in dindic("cite", "no.json", code=2).stderr
    assert "no JSON report" in dindic("cite", "bad.json", code=2).stderr
    assert "no such file" in dindic("cite", "none.json", code=2).stderr
