"""dindic theorems, through real files."""

import json

import numpy as np
from cli_helpers import flat


def test_sentences_numbers_and_files(dindic, good, folder):
    result = dindic("theorems", good, "--no-axes")
    text = flat(result.stdout)
    assert "section 2 Means of used latents vary" in text
    assert (
        "Pairs of the 2 used latents were not turned, to save time: dindic theorems FILE --axes turns them."
        in text
    )
    words = ("--no-axes", "--json", "-", "--csv", "t.csv", "--noise", "0.5")
    content = json.loads(dindic("theorems", good, *words).stdout)
    assert content["noise"] == 0.5
    assert content["provenance"]["call"].startswith("dindic theorems good.npz")
    assert len((folder / "t.csv").read_text().splitlines()) == 10
    dindic("theorems", good, "--no-axes", "--quiet", "--fail-if", "participation > 1", code=3)


def test_many_rows_are_a_random_sample_which_is_said(dindic, good):
    content = json.loads(
        dindic("theorems", good, "--no-axes", "--rows", "60", "--json", "-").stdout
    )
    assert content["n"] == 60
    assert content["notes"][-1].startswith("60 random rows of ")


def test_data_are_an_array_of_the_same_rows(dindic, good, folder, pair):
    np.save("images.npy", np.random.default_rng(0).normal(size=(len(pair[0]), 2, 3)))
    content = json.loads(
        dindic("theorems", good, "--no-axes", "--data", "images.npy", "--json", "-").stdout
    )
    assert content["dimensions"]["data"]["d"] == 6
    assert "needs an .npy file" in dindic("theorems", good, "--data", good, code=2).stderr
    assert "give FILE" in dindic("theorems", code=2).stderr
