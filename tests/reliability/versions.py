"""Other releases of Python, and each extra alone: installed with the pins, and tried."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
PYTHONS = ("3.12", "3.13")
EXTRAS = {
    "h5": "h5py",
    "parquet": "pyarrow",
    "zarr": "zarr",
    "dask": "dask.array",
    "lightgbm": "lightgbm",
    "models": "dindic_models",
    "onnx": "onnxruntime",
    "torchmetrics": "torchmetrics",
    "diffusers": "diffusers",
}
"""What an extra installs."""

TOOLS = (
    "array-api-strict",
    "hypothesis",
    "jsonschema",
    "mpmath",
    "packaging",
    "pytest",
    "threadpoolctl",
)
CORE = (
    *("encodings", "test_definitions.py", "test_imports.py", "test_moments.py", "test_summary.py"),
    *("test_scorecard.py", "test_q_star.py", "test_gaussian.py", "test_standard_errors.py"),
)

Found = dict[str, object]


def python(version: str) -> Found:
    """Install the package with the pins for another Python, and run tests of the core, without torch."""
    name = shutil.which(f"python{version}")
    if name is None or subprocess.run([name, "-c", ""], check=False).returncode:
        return {"count": 0, "outcome": f"there is no python{version} here", "bad": []}
    with tempfile.TemporaryDirectory() as made:
        own = _environment(made, name, [str(ROOT), *TOOLS, "h5py", "pyarrow", "zarr"])
        tests = [str(ROOT / "tests" / each) for each in CORE]
        options = {"HYPOTHESIS_PROFILE": "few", "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [own, "-m", "pytest", "-q", *tests],
            cwd=ROOT, env=os.environ | options, capture_output=True, text=True, check=False,
        )  # fmt: skip
    return of_tests(done.stdout)


def of_tests(text: str) -> Found:
    """Return the row of what pytest printed."""
    found = re.findall(r"(\d+) (passed|failed|skipped|error)", text)
    counts = {word: int(number) for number, word in found}
    bad = re.findall(r"^(?:FAILED|ERROR) (\S+)", text, re.MULTILINE)
    words = (
        f"{counts.get('passed', 0):,} passed, {counts.get('skipped', 0):,} skipped, without torch"
    )
    return {"count": counts.get("passed", 0) + len(bad), "outcome": words, "bad": bad}


def extra(name: str) -> Found:
    """Install the package with one extra in an environment of its own, and import what it brings."""
    code = f"import {EXTRAS[name]}, disentangle_indicators, dindic"
    with tempfile.TemporaryDirectory() as made:
        own = _environment(made, sys.executable, [f"{ROOT}[{name}]"])
        done = subprocess.run(
            [own, "-c", code], cwd=made, capture_output=True, text=True, check=False
        )
    said = done.stderr.strip().rpartition("\n")[2]
    return {
        "count": 1,
        "outcome": f"installed alone, {EXTRAS[name]} is imported",
        "bad": [said] if done.returncode else [],
    }


def _environment(folder: str, name: str, packages: list[str]) -> str:
    """Return the interpreter of a new environment with these packages."""
    subprocess.run([name, "-m", "venv", folder], check=True)
    own = str(Path(folder, "bin", "python"))
    pins = ["-m", "pip", "install", "--quiet", "--constraint", str(ROOT / "constraints.txt")]
    subprocess.run([own, *pins, *packages], check=True, capture_output=True)
    return own
