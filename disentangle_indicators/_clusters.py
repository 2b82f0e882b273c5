"""Clusters of rows that depend on each other, as numbers."""

from typing import Any

import numpy as np

from disentangle_indicators.factors import as_column

__all__ = ["cluster_codes"]


def cluster_codes(clusters: Any, n: int) -> tuple[int, Any]:
    """Return the number of clusters and the code of each row's.

    Raises
    ------
    ValueError
        When there is not one entry per row, one is missing, or they are neither numbers nor text.
    """
    values = as_column(clusters, n, "clusters")
    missing = values == "" if values.dtype.kind == "U" else values != values  # noqa: PLR0124 - nan
    if np.any(missing):
        row = int(np.argmax(missing))
        raise ValueError(f"clusters must be given for every row; clusters[{row}] is missing")
    names, codes = np.unique(values, return_inverse=True)
    return len(names), codes
