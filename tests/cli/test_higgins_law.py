"""dindic higgins-law: the table, the JSON, and what is refused."""

import json

import pytest

from disentangle_indicators.rotation import higgins_law

SMALL = ("higgins-law", "--dimensions", 3, "--rotations", 5)


def test_the_table_is_that_of_the_library(dindic):
    result = dindic(*SMALL, "--pairs", 32, "--encoder-variance", 0.1, "--seed", 4)
    assert (
        result.stdout == repr(higgins_law(3, 32, rotations=5, encoder_variance=0.1, rng=4)) + "\n"
    )
    assert "L for a mean of 0.95" in result.stdout
    assert "seed 4" in result.stdout
    assert result.stderr == ""


def test_json_in_place_of_the_table(dindic):
    content = json.loads(dindic(*SMALL, "--json", "-").stdout)
    assert (
        content.pop("provenance")["call"]
        == "dindic higgins-law --dimensions 3 --rotations 5 --json -"
    )
    wanted = higgins_law(3, rotations=5).to_dict()
    assert content == {k: v for k, v in wanted.items() if k != "provenance"}
    assert content["schema"] == "dindic.higgins-law/1"
    assert (content["pairs"], content["seed"], content["encoder_variance"]) == (64, 0, 0)


def test_json_in_a_file(dindic, folder):
    result = dindic(*SMALL, "--json", "law.json")
    assert "mean" in result.stdout
    assert result.stderr == "written: law.json\n"
    found = json.loads((folder / "law.json").read_text())
    assert found | {"provenance": None} == higgins_law(3, rotations=5).to_dict() | {
        "provenance": None
    }


def test_quiet(dindic, folder):
    result = dindic(*SMALL, "--json", "law.json", "--quiet")
    assert result.output == ""
    assert (folder / "law.json").exists()


def test_the_same_seed_prints_the_same(dindic):
    runs = [dindic(*SMALL, "--seed", seed).stdout for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "Missing option '--dimensions'"),
        (("--dimensions", 1), "1 is not in the range 2<=x<=256"),
        (("--dimensions", 3, "--pairs", 0), "0 is not in the range x>=1"),
        (("--dimensions", 3, "--rotations", 1), "1 is not in the range x>=2"),
        (("--dimensions", 3, "--encoder-variance", -1), "-1.0 is not in the range x>=0"),
        (
            ("--dimensions", 3, "--encoder-variance", 1e9),
            "--encoder-variance must be at most 1e+06",
        ),
        (("--dimensions", 3, "--encoder-variance", "nan"), "--encoder-variance must be"),
        (("--dimensions", 3, "--json", ""), "--json needs the name of a file"),
    ],
)
def test_refused(say, words, message):
    assert message in say("higgins-law", *words)


def test_a_file_that_cannot_be_written(dindic, folder):
    result = dindic(*SMALL, "--json", "nowhere/law.json", code=1)
    assert "cannot write" in result.stderr
