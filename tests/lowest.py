"""What `make lowest-pins` resolves: the oldest declared releases, and the usual pins of the rest.

    python tests/lowest.py FOLDER

writes FOLDER/direct.txt, what the package requires, of which the resolver takes the lowest, FOLDER/tools.txt, what the
tests require, and FOLDER/indirect.txt, the pins of all that the package does not require: hypothesis draws the
same examples as in `make test`, and the environment is the same every day.
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LEFT_OUT = {"dask", "diffusers", "distributed", "lightgbm", "onnxruntime", "torch", "torchmetrics"}
"""What is too large for a second environment, goes with torch, or starts processes; their tests are skipped."""

TOOLS_LEFT_OUT = {"dask", "distributed", "jax", "onnxruntime", "torchmetrics"}


def name_of(requirement):
    """Return the normalised name of a requirement or a pin."""
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", requirement)[0]).lower()


def direct():
    """Return the requirements of the package and of its extras."""
    project = PYPROJECT["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    return [line for lines in lists for line in lines if name_of(line) not in LEFT_OUT]


def indirect():
    """Return the pins of the packages that the package does not require."""
    declared = {name_of(line) for line in direct()} | LEFT_OUT
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    return [p for p in pins if p and not p.startswith("#") and name_of(p) not in declared]


if __name__ == "__main__":
    Path(sys.argv[1]).mkdir(exist_ok=True)
    tests = PYPROJECT["dependency-groups"]["test"]
    tools = [line for line in tests if name_of(line) not in TOOLS_LEFT_OUT]
    for name, lines in {"direct": direct(), "tools": tools, "indirect": indirect()}.items():
        Path(sys.argv[1], f"{name}.txt").write_text("\n".join(lines) + "\n")
