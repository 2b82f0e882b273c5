"""What the tests of the command line share."""

from pathlib import Path

import numpy as np

EXAMPLE = Path(__file__).parents[1] / "examples" / "data" / "mnist_vae.npz"

FORMS = ["json", "csv", "markdown"]

METRICS = ("--metrics", "mig,sap@ubisoft", "--permutations", "4")
"""Two metrics that are quick."""

TO_SCALE = {
    "var": lambda var: var,
    "std": np.sqrt,
    "logvar": np.log,
    "logstd": lambda var: np.log(var) / 2,
}


def flat(text):
    """Undo the line breaks of the terminal."""
    return " ".join(text.split())
