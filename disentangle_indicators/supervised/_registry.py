"""All supervised metrics by name, and protocols by metric@protocol."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

import numpy as np

from disentangle_indicators.supervised._metric import Metric, measure
from disentangle_indicators.supervised.dci import METRIC as DCI
from disentangle_indicators.supervised.dcimig import METRIC as DCIMIG
from disentangle_indicators.supervised.dmig import METRIC as DMIG
from disentangle_indicators.supervised.explicitness import METRIC as EXPLICITNESS
from disentangle_indicators.supervised.factor_vae import METRIC as FACTOR_VAE
from disentangle_indicators.supervised.higgins import METRIC as HIGGINS
from disentangle_indicators.supervised.infomec import METRIC as INFOMEC
from disentangle_indicators.supervised.irs import METRIC as IRS
from disentangle_indicators.supervised.jemmig import METRIC as JEMMIG
from disentangle_indicators.supervised.mcc import METRIC as MCC
from disentangle_indicators.supervised.med import METRIC as MED
from disentangle_indicators.supervised.mig import METRIC as MIG
from disentangle_indicators.supervised.mig_sup import METRIC as MIG_SUP
from disentangle_indicators.supervised.modularity import METRIC as MODULARITY
from disentangle_indicators.supervised.omes import METRIC as OMES
from disentangle_indicators.supervised.rf_vae import METRIC as RF_VAE
from disentangle_indicators.supervised.rmig import METRIC as RMIG
from disentangle_indicators.supervised.sap import METRIC as SAP

__all__ = ["METRICS", "choose", "find", "score_of"]

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        HIGGINS,
        FACTOR_VAE,
        RF_VAE,
        MIG,
        RMIG,
        JEMMIG,
        MIG_SUP,
        DCIMIG,
        DMIG,
        DCI,
        MED,
        SAP,
        MODULARITY,
        EXPLICITNESS,
        IRS,
        INFOMEC,
        OMES,
        MCC,
    )
}
"""Every metric, in the order of listings. A new one is its own file and its name here."""


def find(name: str) -> tuple[Metric, str]:
    """Return a metric and the name of a protocol of it.

    Parameters
    ----------
    name : str
        A key of `METRICS`, or that and a key of its protocols with @ in between.

    Returns
    -------
    metric : Metric
    protocol : str
        "default" where none is named.

    Raises
    ------
    ValueError
        When there is no such metric or protocol; names near to it are listed.

    Examples
    --------
    >>> metric, protocol = find("higgins@ubisoft")
    >>> metric.parameters(protocol)["pairs"]
    200
    """
    key, _, protocol = name.partition("@")
    known = [*METRICS, *(f"{m}@{p}" for m in METRICS for p in METRICS[m].protocols)]
    if name not in known:
        near = get_close_matches(name.lower(), known, n=4, cutoff=0.4) or list(METRICS)
        raise ValueError(f"no metric is called {name!r}; there is {', '.join(near)}")
    return METRICS[key], protocol or "default"


def choose(
    names: str | Iterable[str], protocol: str | None = None
) -> tuple[dict[str, tuple[Metric, str]], tuple[str, ...]]:
    """Return metrics and protocols by name, and what has to be said about the choice.

    Parameters
    ----------
    names : "all", or names as :func:`find` takes them
    protocol : str, optional
        For the metrics whose name does not say one. Metrics that do not have it take their default.

    Returns
    -------
    chosen : dict of str to (Metric, str)
        By metric@protocol.
    notes : tuple of str

    Raises
    ------
    ValueError
        On names that do not exist, and on a protocol that none of the metrics has.

    Examples
    --------
    >>> list(choose(["mig", "sap@ubisoft"], "locatello2019")[0])
    ['mig@locatello2019', 'sap@ubisoft']
    """
    listed = list(METRICS) if names == "all" else [names] if isinstance(names, str) else names
    chosen, without, had = {}, [], False
    for name in listed:
        metric, named = find(name)
        if "@" not in name and protocol is not None:
            had = had or protocol in metric.protocols
            named = protocol if protocol in metric.protocols else "default"
            without += [] if protocol in metric.protocols else [metric.name]
        chosen[f"{metric.name}@{named}"] = metric, named
    if not chosen:
        raise ValueError(f"no metric is named; there is {', '.join(METRICS)}")
    if without and not had:
        known = dict.fromkeys(p for metric, _ in chosen.values() for p in metric.protocols)
        raise ValueError(f"no protocol is called {protocol!r}; there is {', '.join(known)}")
    notes = (f"without {protocol}, so by default: {', '.join(without)}",) if without else ()
    return chosen, notes


def score_of(name: str, codes: Any, factors: Any, *, rng: np.random.Generator | int = 0) -> float:
    """Return the score of a metric by name, as ``mig@ubisoft``, of which more is better."""
    metric, protocol = find(name)
    value = measure(metric, codes, factors, rng=rng, protocol=protocol).value
    return value if metric.higher_is_better else -value
