"""Supervised disentanglement metrics: functions of codes and ground-truth factors.

Every metric in `METRICS` is called as ``metric(codes, factors, rng=rng)`` and returns a float. A
metric that has protocols, named sets of parameters, takes one of them by name as well:
``higgins@ubisoft``.
"""

from collections.abc import Callable
from difflib import get_close_matches
from functools import partial
from typing import Any

from disentangle_indicators.supervised.higgins import PROTOCOLS, higgins, z_diff
from disentangle_indicators.supervised.mig import mig, mutual_information_matrix
from disentangle_indicators.supervised.sap import r_squared_matrix, sap

__all__ = [
    "METRICS",
    "PROTOCOLS",
    "find",
    "higgins",
    "mig",
    "mutual_information_matrix",
    "r_squared_matrix",
    "sap",
    "z_diff",
]

DEFAULT = "locatello2019-fixed"
"""Protocol of Higgins' metric where none is named."""

METRICS: dict[str, Callable[..., float]] = {"higgins": higgins, "mig": mig, "sap": sap}


def find(name: str) -> tuple[Callable[..., float], dict[str, Any]]:
    """Return a metric and its parameters by name, with or without a protocol.

    Parameters
    ----------
    name : str
        A key of `METRICS`, or that and a key of its protocols with @ in between.

    Returns
    -------
    metric : callable
    parameters : dict

    Raises
    ------
    ValueError
        When there is no such metric or protocol; names near to it are listed.

    Examples
    --------
    >>> find("higgins@ubisoft")[1]["pairs"]
    200
    """
    metric, _, protocol = name.partition("@")
    known = [*METRICS, *(f"higgins@{key}" for key in PROTOCOLS)]
    if metric not in METRICS or ("@" in name and name not in known):
        near = get_close_matches(name.lower(), known, n=4, cutoff=0.4) or known
        raise ValueError(f"no metric is called {name!r}; there is {', '.join(near)}")
    if metric != "higgins":
        return METRICS[metric], {}
    if not protocol:
        return higgins, {"protocol": DEFAULT, **PROTOCOLS[DEFAULT]}
    return partial(higgins, protocol=protocol), {"protocol": protocol, **PROTOCOLS[protocol]}
