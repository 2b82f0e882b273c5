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
LIBRARY = "disentangle_indicators"
HEAVY = ["torch", "matplotlib", "pandas", "sklearn", "scipy", "rich"]
MODULES = [
    *("aggregate", "comparison", "plots", "report"),
    *("rotation", "supervised", "theorems", "unsupervised"),
]
NAMES = getattr(disentangle_indicators, "__all__", [])


def loaded_after(code):
    """Return the names of the modules that a fresh interpreter has loaded after the code."""
    report = "import json, sys; print(json.dumps(sorted(sys.modules)))"
    command = [sys.executable, "-c", f"{code}\n{report}"]
    done = subprocess.run(command, cwd=ROOT / "tests", capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def heavy(modules):
    return sorted({*HEAVY} & {*modules})


def own(modules):
    return [name for name in modules if name.split(".")[0] == LIBRARY]


def test_the_library_imports_nothing():
    modules = loaded_after(f"import {LIBRARY}")
    assert own(modules) == [LIBRARY]
    assert heavy(modules) == []
    assert not {"click", "numpy"} & {*modules}


def test_score_imports_only_what_every_call_needs():
    modules = loaded_after(f"from {LIBRARY} import score")
    assert heavy(modules) == []
    assert "click" not in modules
    rooms = {name.split(".")[1] for name in own(modules) if "." in name}
    assert rooms.isdisjoint(
        {"comparison", "encodings", "plots", "report", "rotation", "supervised", "unsupervised"}
    )


@pytest.mark.parametrize("name", [*NAMES, *MODULES])
def test_a_name_is_reachable_from_the_package_alone(name):
    assert disentangle_indicators.__getattr__(name) is getattr(disentangle_indicators, name)


def test_a_fresh_interpreter_finds_the_modules():
    lines = [f"{LIBRARY}.{name}" for name in MODULES]
    assert {*lines} <= {*loaded_after("; ".join([f"import {LIBRARY}", *lines]))}


def test_a_name_is_looked_up_once():
    value = disentangle_indicators.score
    assert vars(disentangle_indicators)["score"] is value


def test_a_name_that_does_not_exist():
    with pytest.raises(AttributeError, match=r"disentangle_indicators.*no attribute 'scores'"):
        disentangle_indicators.scores  # noqa: B018
    with pytest.raises(ImportError, match="scores"):
        from disentangle_indicators import scores  # noqa: F401


def test_completion_lists_the_names_and_the_modules():
    assert {*NAMES, *MODULES, "__version__"} <= {*dir(disentangle_indicators)}


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_the_command_line_imports_nothing_heavy(option):
    code = f"from dindic import main; main(['{option}'], standalone_mode=False)"
    modules = loaded_after(code)
    assert heavy(modules) == []
    assert "numpy" not in modules
    assert len(own(modules)) < 5


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
