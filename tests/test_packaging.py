"""What the repository says about itself: metadata, pins, commands, no private paths."""

import os
import re
import shutil
import subprocess
import tomllib
from importlib.metadata import version as installed
from pathlib import Path

import audited
import pytest
from lowest import LEFT_OUT, direct, indirect, name_of
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import disentangle_indicators
from dindic import main
from disentangle_indicators.supervised import METRICS

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PRIVATE_PATH = re.compile(rb"(?<![\w.])/(?:work|root|home)/")


def declared():
    """Every requirement of pyproject.toml: core, extras, groups and build."""
    project, groups = PYPROJECT["project"], PYPROJECT["dependency-groups"]
    lists = [
        project["dependencies"],
        *project["optional-dependencies"].values(),
        *groups.values(),
        PYPROJECT["build-system"]["requires"],
    ]
    return sorted({line for lines in lists for line in lines if isinstance(line, str)})


def pins():
    """Package name -> version, of every line in constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(name): Version(version) for name, version in pairs}


@pytest.mark.parametrize("line", declared())
def test_every_declared_dependency_is_pinned_within_its_range(line):
    requirement = Requirement(line)
    assert pins()[canonicalize_name(requirement.name)] in requirement.specifier


def test_pins_are_public_releases():
    assert not [name for name, version in pins().items() if version.local]
    assert pins()["torch"] == Version("2.13.0")


def floor(line):
    """Return the one lower bound of a requirement."""
    (bound,) = Requirement(line).specifier
    assert bound.operator == ">="
    return Version(bound.version)


def test_the_lowest_job_takes_every_floor_but_those_of_large_packages():
    project = PYPROJECT["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    wanted = {line for lines in lists for line in lines}
    assert {name_of(line) for line in wanted - {*direct()}} == LEFT_OUT
    large = {"diffusers", "lightgbm", "onnxruntime", "torch", "torchmetrics"}
    assert large | {"dask", "distributed"} == LEFT_OUT
    assert {*map(name_of, direct())} | {*map(name_of, indirect())} | LEFT_OUT == {*pins()}
    assert all(map(floor, direct()))


def test_the_lowest_job_is_a_target_that_ci_runs():
    makefile = (ROOT / "Makefile").read_text()
    assert "--requirement constraints-lowest.txt" in makefile
    assert "--resolution lowest-direct" in makefile
    targets = re.search("for target in (.*); do", (ROOT / ".ci" / "run").read_text())[1]
    assert "lowest" in targets.split()


LOWEST = (ROOT / "constraints-lowest.txt").read_text().splitlines()


@pytest.mark.parametrize("line", direct())
def test_the_lowest_job_installs_the_floors(line):
    (pin,) = (p for p in LOWEST if not p.startswith("#") and name_of(p) == name_of(line))
    assert Version(pin.partition("==")[2]) == floor(line)
    if os.environ.get("DINDIC_LOWEST"):
        assert Version(installed(Requirement(line).name)) == floor(line)


def test_version_is_canonical_and_the_same_everywhere():
    version = disentangle_indicators.__version__
    assert str(Version(version)) == version
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {version}\n" in citation
    assert re.search(r"\ndate-released: 20\d\d-[01]\d-[0-3]\d\n", citation)
    assert version in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("name", sorted(main.commands))
def test_every_command_is_in_the_changelog(name):
    assert re.search(rf"`dindic {name}\b", (ROOT / "CHANGELOG.md").read_text()), (
        f"add a line on `dindic {name}` to CHANGELOG.md, under Unreleased"
    )


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_is_in_the_changelog(name):
    assert f"`{name}`" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github" / "workflows").glob("*.yml")), ids=lambda p: p.name
)
def test_workflows_name_actions_by_hash_and_ask_for_few_permissions(path):
    text = path.read_text()
    actions = re.findall(r"uses: (\S+)", text)
    assert actions
    assert not [action for action in actions if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action)]
    assert re.search(r"^permissions:", text, re.MULTILINE)
    assert "write-all" not in text


def test_the_day_of_a_release_is_that_of_the_changelog():
    version = disentangle_indicators.__version__
    date = re.search(r"\ndate-released: (\S+)", (ROOT / "CITATION.cff").read_text())[1]
    changelog = (ROOT / "CHANGELOG.md").read_text()
    released = re.search(rf"^## \[{re.escape(version)}\] - (\S+)$", changelog, re.MULTILINE)
    if released:
        assert released[1] == date
    else:
        assert f"will be {version}" in changelog


@pytest.mark.parametrize(
    ("report", "words"),
    [
        ({"dependencies": []}, "nothing was audited"),
        ({"dependencies": [{"name": "a", "skip_reason": "not found"}]}, "nothing was audited"),
        (
            {"dependencies": [{"name": "a", "version": "1", "vulns": [{"id": "CVE-1"}]}]},
            "a 1: CVE-1",
        ),
        (
            {
                "dependencies": [
                    {"name": "a", "version": "1", "vulns": []},
                    {"name": "b", "skip_reason": ""},
                ]
            },
            "not audited: b",
        ),
        ({"dependencies": [{"name": "a", "version": "1", "vulns": []}]}, ""),
    ],
)
def test_an_audit_that_audits_nothing_fails(report, words):
    assert words in "\n".join(audited.failures(report))
    assert bool(words) == bool(audited.failures(report))


def test_every_citation_of_the_paper_is_in_its_bibliography():
    folder = ROOT / "docs" / "joss"
    cited = set(re.findall(r"@(\w+)\]", (folder / "paper.md").read_text()))
    assert cited == set(re.findall(r"@\w+\{(\w+),", (folder / "paper.bib").read_text()))


@pytest.mark.parametrize("target", ["demo", "test"])
def test_commands_of_the_readme_are_makefile_targets(target):
    assert f"make {target}" in (ROOT / "README.md").read_text()
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_source_roots_are_not_packages():
    assert not (ROOT / "cli" / "__init__.py").exists()
    assert not (ROOT / "reference_models" / "__init__.py").exists()


def test_no_tracked_file_names_a_private_directory():
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("not a git checkout")
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    files = [ROOT / name for name in listing.stdout.decode().split("\0") if name]
    assert not [f for f in files if f.is_file() and PRIVATE_PATH.search(f.read_bytes())]
