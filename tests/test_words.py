"""Messages speak the language of who reads them: Python has no options, the command line no Python."""

import ast
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

import dindic_models
import disentangle_indicators
from dindic import main
from dindic.wording import in_options
from disentangle_indicators import score
from disentangle_indicators.encodings import AmbiguousEncodings

LIBRARY = Path(disentangle_indicators.__file__).parent
MODELS = Path(dindic_models.__file__).parent
OPTION = r"(^|[^-\w])--[a-z]"

WRITES_COMMANDS = {"bundled.py", "study.py"}
"""Modules that write down with which command a model was trained."""


def texts(path):
    """All strings of a module, docstrings included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@pytest.mark.parametrize("folder", [LIBRARY, MODELS], ids=lambda folder: folder.name)
def test_no_string_of_the_library_names_an_option_of_the_command_line(folder):
    import re

    found = [
        (path.name, text)
        for path in folder.rglob("*.py")
        if path.name not in WRITES_COMMANDS
        for text in texts(path)
        if re.search(OPTION, text)
    ]
    assert not found


@pytest.mark.parametrize(
    ("python", "options"),
    [
        ("add scale_key='std' or 'sigma'", "add --scale-key std|sigma"),
        ('add mean_key="it\'s"', "add --mean-key it's"),
        (
            "add logvar='FILE' (or var=, std=, logstd=)",
            "add --logvar FILE (or --var, --std, --logstd)",
        ),
        (
            "marginals=True computes them, marginals=False does not",
            "--marginals computes them, --no-marginals does not",
        ),
        ("sort must be one of used", "--sort must be one of used"),
        ("var must be positive; var[1, 0] = -1", "var must be positive; var[1, 0] = -1"),
        ("a.toml: seed must be at least 0", "a.toml: seed must be at least 0"),
        ("runs/seed=1.npz: no mean; layout=3.npz", "runs/seed=1.npz: no mean; layout=3.npz"),
        ("threshold=0.5 stays, and unknown='x' too", "threshold=0.5 stays, and unknown='x' too"),
    ],
)
def test_arguments_become_options_of_the_command(python, options):
    with click.Context(main.commands["score"]):
        assert in_options(python) == options
    assert in_options(python) == python


def test_another_name_of_a_scale_is_answered_with_the_four():
    with pytest.raises(
        TypeError, match="no argument 'lgvar'; posteriors are given as var=, std=, "
    ):
        score(np.eye(2), lgvar=np.eye(2))


def test_an_ambiguous_file_is_explained_in_the_words_of_its_reader(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("two.npz", mu=np.zeros((4, 2)), z_mean=np.zeros((4, 2)), logvar=np.zeros((4, 2)))
    with pytest.raises(AmbiguousEncodings) as caught:
        score("two.npz")
    assert str(caught.value).endswith(
        "add mean_key='mu' or 'z_mean' to read_encodings, whose result score() takes"
    )
    printed = CliRunner().invoke(main, ["score", "two.npz"])
    assert printed.exit_code == 2
    assert printed.output.endswith("add --mean-key mu|z_mean\n")


@pytest.mark.parametrize("key", ["weights.pt", "runs"])
def test_what_is_no_encodings_file_names_the_command_only_on_the_command_line(
    tmp_path, monkeypatch, key
):
    monkeypatch.chdir(tmp_path)
    if key == "runs":
        Path("runs").mkdir()
        Path("runs", "config.json").write_text("{}", encoding="utf-8")
    else:
        torch = pytest.importorskip("torch")
        torch.save(torch.nn.Linear(2, 2).state_dict(), key)
    with pytest.raises(ValueError, match="first") as caught:
        score(key)
    assert "dindic" not in str(caught.value)
    assert "dindic encode" in CliRunner().invoke(main, ["score", key]).output
