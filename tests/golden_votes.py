"""The golden values of metrics that vote: repeats over seeds, to be compared by distribution."""

import json

import golden
import numpy as np
import pytest


def repeats(toolkit, metric, fast=None):
    """Parameters (input, values) of a test, slow but for one input, or one that is skipped."""
    if not (golden.FOLDER / "shared.json").exists():
        reason = f"no golden values in {golden.FOLDER}: {metric} of {toolkit} is NOT compared"
        return [pytest.param("", [0.0], marks=pytest.mark.skip(reason=reason))]
    values = json.loads((golden.FOLDER / "shared.json").read_text())["values"]
    return [
        pytest.param(
            record["input"],
            record.get("repeats", [record["value"]]),
            id=record["input"],
            marks=[pytest.mark.slow] if fast not in (None, record["input"]) else [],
        )
        for record in values
        if (record["toolkit"], record["metric"]) == (toolkit, metric)
    ]


def tolerance(found, values, points):
    """Five standard errors of the difference of two means of the same law."""
    share = np.clip(np.mean(values), 0, 1)
    variance = max(np.var(found, ddof=1), share * (1 - share) / points)
    return 5 * np.sqrt(variance * (1 / len(found) + 1 / len(values))) + 2 / points
