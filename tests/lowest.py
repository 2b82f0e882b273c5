"""What `make lowest` installs: the oldest declared releases, and the usual pins of the rest.

    python tests/lowest.py FOLDER

writes FOLDER/direct.txt, the declared requirements, of which the resolver takes the lowest, and
FOLDER/indirect.txt, the pins of everything else, so that the environment is the same every day.
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
LEFT_OUT = {"lightgbm", "torch"}  # too large for a second environment; their tests are skipped


def name_of(requirement):
    """Return the normalised name of a requirement or a pin."""
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", requirement)[0]).lower()


def direct():
    """Return the declared requirements of the package, its extras and its tests."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = pyproject["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    lines = [line for lines in lists for line in lines] + pyproject["dependency-groups"]["test"]
    return [line for line in lines if name_of(line) not in LEFT_OUT]


def indirect():
    """Return the pins of the packages that are not declared."""
    declared = {name_of(line) for line in direct()} | LEFT_OUT
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    return [p for p in pins if p and not p.startswith("#") and name_of(p) not in declared]


if __name__ == "__main__":
    for lines, name in ((direct(), "direct.txt"), (indirect(), "indirect.txt")):
        Path(sys.argv[1], name).write_text("\n".join(lines) + "\n")
