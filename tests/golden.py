"""Values that published toolkits gave on stored arrays, and small arrays that are always there.

The stored ones are large and not in the repository: DINDIC_DATA names the folder of the encodings,
and reference/golden is beside it.
"""

import json
import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest

DATA = Path(os.environ.get("DINDIC_DATA", ""))
FOLDER = DATA.parent / "reference" / "golden"
SMALL = Path(__file__).parent / "data" / "information.npz"


def records(toolkit, metric, dtype="float64"):
    """Parameters (input, value) of a test, or one that is skipped."""
    if not (FOLDER / "shared.json").exists():
        reason = f"no golden values in {FOLDER}: {metric} of {toolkit} is NOT compared with them"
        return [pytest.param("", 0.0, marks=pytest.mark.skip(reason=reason))]
    values = json.loads((FOLDER / "shared.json").read_text())["values"]
    return [
        pytest.param(record["input"], record["value"], id=record["input"])
        for record in values
        if (record["toolkit"], record["metric"], record["codes_dtype"]) == (toolkit, metric, dtype)
    ]


@cache
def arrays(name, rows=None):
    """Codes and factors of an input; those to train on, if it has others."""
    path = DATA / "encodings" / "dsprites_btcvae.npz"
    with np.load(path if name == "btcvae" else FOLDER / f"{name}.npz") as file:
        pairs = {"mus_train": "ys_train", "codes": "factors", "mean": "factors"}
        codes = next(key for key in pairs if key in file)
        return file[codes][:rows].astype(np.float64), file[pairs[codes]][:rows]


def small():
    """Codes (300, 6), one of them constant, and factors (300, 4) of 3, 6, 40 and 25 values."""
    with np.load(SMALL) as file:
        return file["codes"].astype(np.float64), file["factors"].astype(np.int64)


def width_bins(column, bins):
    """Bins of equal width as the toolkits make them: edges on the column scaled to 0..1."""
    low, high = column.min(), column.max()
    scaled = (column - low) / (high - low) if high > low else np.zeros(len(column))
    return np.digitize(scaled, np.linspace(0, 1, bins + 1)[:-1])


def entropy(*columns):
    """Joint entropy of columns of labels, by counting their rows."""
    _, counts = np.unique(np.stack(columns, axis=1), axis=0, return_counts=True)
    p = counts / counts.sum()
    return float(-np.sum(p * np.log(p)))


def information(codes, factors, bins, factor_bins=None):
    """Mutual information (d, K), entropies (d,) and (K,), joint entropy (d, K), by counting."""
    cells = [width_bins(column, bins) for column in codes.T]
    labels = [width_bins(v, factor_bins) if factor_bins else v for v in factors.T]
    joint = np.array([[entropy(cell, label) for label in labels] for cell in cells])
    h_codes = np.array([entropy(cell) for cell in cells])
    h_factors = np.array([entropy(label) for label in labels])
    return h_codes[:, None] + h_factors - joint, h_codes, h_factors, joint
