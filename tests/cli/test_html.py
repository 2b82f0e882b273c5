"""--html: the page, and the JSON beside it."""

import json
import re
from dataclasses import replace
from pathlib import Path

import click

from dindic.output import worded
from dindic.score import score as command
from disentangle_indicators import score
from disentangle_indicators.registry import COUNTS


def test_the_page_has_the_json_beside_it(dindic, good):
    result = dindic("score", good, "--html", "report.html", "--no-joint")
    assert "written: report.html" in result.stderr
    found = json.loads(Path("report.json").read_text())
    text = Path("report.html").read_text(encoding="utf-8")
    shown = dict(re.findall(r'data-name="([^"]*)">([^<]*)<', text))
    assert {name: int(shown[name]) for name in COUNTS} == {name: found[name] for name in COUNTS}
    assert "dindic score" in text
    assert found["provenance"]["inputs"][0]["sha256"] in text


def test_the_json_goes_where_it_is_sent(dindic, good):
    dindic("score", good, "--no-joint", "--quiet", "--html", "a.html", "--json", "b.json")
    assert not Path("a.json").exists()
    assert json.loads(Path("b.json").read_text())["schema"] == "dindic.score/1"


def test_what_would_be_overwritten_is_refused_before_anything_is_computed(dindic, good):
    dindic("score", good, "--no-joint", "--quiet", "--json", "saved.json")
    before = Path("saved.json").read_bytes()
    message = dindic("score", "saved.json", good, "--html", "saved.html", code=2).stderr
    assert "--json saved.json would overwrite an input" in message
    assert Path("saved.json").read_bytes() == before
    message = dindic("score", good, "--html", "x", "--json", "x", code=2).stderr
    assert "--json and --html are both x" in message


def test_the_page_has_the_theorems_where_the_joint_is_of_all_rows(dindic, good):
    dindic("score", good, "--quiet", "--html", "a.html")
    assert "Theorem 2" in Path("a.html").read_text()
    assert json.loads(Path("a.json").read_text())["theorems"]["counts"]["passive"] >= 0
    dindic("score", good, "--quiet", "--html", "b.html", "--no-joint")
    left_out = "Theorems left out: they need the joint of all rows; --joint computes it."
    assert left_out in Path("b.html").read_text()
    dindic("score", good, "--quiet", "--html", "c.html", "--no-theorems")
    assert "Theorem" not in Path("c.html").read_text()
    dindic("score", good, good, "--quiet", "--html", "d.html", "--no-joint")
    each = json.loads(Path("d.json").read_text())["files"]
    assert [(one["theorems"], "theorems" in one["reasons"]) for one in each] == [(None, False)] * 2
    assert "Theorem 2" not in dindic("score", good).stdout
    assert "Theorem 2" in dindic("score", good, "--theorems").stdout
    dindic("score", good, "--quiet", "--theorems", "--fail-if", "theorems.participation < 1")


def test_a_joint_of_some_rows_names_the_option_that_takes_all(pair):
    card = score(pair[0], var=pair[1])
    text = "The joint is of 4096 random rows of 40000; joint=True takes all of them."
    card = replace(card, joint=replace(card.joint, dependence=text))
    with click.Context(command):
        assert worded(card).joint.dependence.endswith("; --joint takes all of them.")


def test_what_the_page_of_one_encoder_has_does_not_go_with_others(say, good):
    assert "--theorems goes with one file" in say("score", good, good, "--theorems")
    for flag in ("joint", "marginals"):
        message = say("score", good, "--theorems", f"--no-{flag}")
        assert f"--theorems needs the joint of all rows: leave out --no-{flag}" in message
    assert "--model goes with one file" in say(
        "score", good, good, "--html", "a.html", "--model", "m"
    )
    assert "--model goes with --html" in say("score", good, "--model", "m")
    words = ("--html", "a.html", "--model", "m", "--state", "s.npz")
    assert "--state keeps sums over rows, to which --model does not apply" in say(
        "score", good, *words
    )
    assert "--data goes with --model" in say("score", good, "--html", "a.html", "--data", "m")
