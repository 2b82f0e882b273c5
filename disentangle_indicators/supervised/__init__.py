"""Supervised disentanglement metrics: functions of codes and ground-truth factors.

Every metric in `METRICS` is called as ``metric(codes, factors, rng=rng)`` and returns a float.
"""

from collections.abc import Callable

from disentangle_indicators.supervised.higgins import PROTOCOLS, higgins, z_diff
from disentangle_indicators.supervised.mig import mig, mutual_information_matrix
from disentangle_indicators.supervised.sap import r_squared_matrix, sap

__all__ = [
    "METRICS",
    "PROTOCOLS",
    "higgins",
    "mig",
    "mutual_information_matrix",
    "r_squared_matrix",
    "sap",
    "z_diff",
]

METRICS: dict[str, Callable[..., float]] = {"higgins": higgins, "mig": mig, "sap": sap}
