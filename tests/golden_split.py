"""The stored arrays with their test rows, for metrics that fit on some rows and score others."""

from functools import cache

import numpy as np
import pytest
from golden import DATA, FOLDER


@cache
def both(name):
    """Codes and factors of an input: 10,000 rows to train on, then 5,000 to test on."""
    if name == "btcvae":
        with np.load(DATA / "encodings" / "dsprites_btcvae.npz") as file:
            return file["mean"][:15_000].astype(np.float64), file["factors"][:15_000]
    with np.load(FOLDER / f"{name}.npz") as file:
        codes, factors = (
            np.vstack([file[f"{kind}_train"], file[f"{kind}_test"]]) for kind in ("mus", "ys")
        )
    return codes.astype(np.float64), factors


def quick(cases, name="fixed_a"):
    """The cases of a test, all but that of one input slow."""
    return [
        case
        if case.values[0] in ("", name)
        else pytest.param(*case.values, id=case.id, marks=pytest.mark.slow)
        for case in cases
    ]
