"""What is imported when, and what the package offers."""

import doctest
import inspect
import json
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import disentangle_indicators

ROOT = Path(__file__).parents[1]
HEAVY = ["torch", "matplotlib", "pandas", "sklearn", "scipy"]
NAMES = getattr(disentangle_indicators, "__all__", [])


def heavy_after(code):
    """Which heavy packages a fresh interpreter has loaded after running the code."""
    report = f"import json, sys; print(json.dumps(sorted(set({HEAVY}) & set(sys.modules))))"
    command = [sys.executable, "-c", f"{code}\n{report}"]
    done = subprocess.run(command, cwd=ROOT / "tests", capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def test_the_library_imports_nothing_heavy():
    assert heavy_after("import disentangle_indicators") == []


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_the_command_line_imports_nothing_heavy(option):
    code = f"from dindic import main; main(['{option}'], standalone_mode=False)"
    assert heavy_after(code) == []


def test_import_contracts_hold():
    pytest.importorskip("importlinter")
    command = [Path(sysconfig.get_path("scripts")) / "lint-imports", "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_public_names_are_listed_once_and_exist():
    assert NAMES
    assert len(NAMES) == len(set(NAMES))
    assert [name for name in NAMES if not hasattr(disentangle_indicators, name)] == []


@pytest.mark.parametrize("name", [name for name in NAMES if name != "__version__"])
def test_public_name_is_documented(name):
    thing = getattr(disentangle_indicators, name)
    text = inspect.getdoc(thing)
    assert text
    if inspect.isclass(thing) or inspect.isfunction(thing):
        assert "Examples\n--------" in text
        assert doctest.DocTestParser().get_examples(text)
