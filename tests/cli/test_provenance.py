"""Every report names its encodings, and what it takes to compute it once more."""

import hashlib
import json
from pathlib import Path

import pytest

from disentangle_indicators import __version__

COMMANDS = {
    "score": (("--metrics", "mig", "--permutations", "2"), {"threshold": 0.5}),
    "axes": ((), {"threshold": 0.5, "latents": "used"}),
    "audit": (
        ("--metrics", "mig", "--rotations", "3", "--no-search"),
        {"metrics": ["mig"], "rotations": 3, "search": False},
    ),
    "check": (("--metric", "sap@ubisoft", "--claimed", "0.5"), {"metric": "sap", "claimed": 0.5}),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_name_source_and_provenance(dindic, known, name):
    words, parameters = COMMANDS[name]
    result = dindic(name, known, *words, "--seed", "3", "--json", "a b.json")
    content = json.loads(Path("a b.json").read_text())
    assert content["name"] == "known.npz"
    assert content["source"].startswith("mean from 'mean', variance = 'var'")
    assert result.stdout.splitlines()[:2] == [content["name"], content["source"]]
    found = content["provenance"]
    line = " ".join((name, known, *words))
    assert found["call"] == f"dindic {line} --seed 3 --json 'a b.json'"
    assert found["package"] == "disentangle_indicators"
    assert found["version"] == __version__
    digest = hashlib.sha256(Path(known).read_bytes()).hexdigest()
    assert found["inputs"] == [{"name": "known.npz", "sha256": digest}]
    assert parameters.items() <= found["parameters"].items()
    assert found["seed"] == 3


def test_a_comparison_names_all_inputs(numbers, npz, good, pair):
    other = npz("other.npz", mean=pair[0] * 1.1, var=pair[1])
    found = numbers(good, other)
    assert [i["name"] for i in found["provenance"]["inputs"]] == [good, other]
    calls = {file["provenance"]["call"] for file in found["files"]}
    assert (
        calls
        == {found["provenance"]["call"]}
        == {"dindic score good.npz other.npz --quiet --json -"}
    )
