"""Supervised disentanglement metrics: functions of codes and ground-truth factors.

`METRICS` holds every metric with its protocols, named sets of parameters: ``mig@locatello2019``.
Without a protocol a metric takes its default, chosen for soundness; the others are those of
published toolkits, so that their numbers can be compared with. :func:`evaluate_metrics` puts what
noise and a perfect code would get beside each score.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

import numpy as np

from disentangle_indicators.factors import KINDS, Factors, as_table
from disentangle_indicators.supervised import dci as _dci
from disentangle_indicators.supervised import dcimig as _dcimig
from disentangle_indicators.supervised import dmig as _dmig
from disentangle_indicators.supervised import explicitness as _explicitness
from disentangle_indicators.supervised import factor_vae as _factor_vae
from disentangle_indicators.supervised import higgins as _higgins
from disentangle_indicators.supervised import infomec as _infomec
from disentangle_indicators.supervised import irs as _irs
from disentangle_indicators.supervised import jemmig as _jemmig
from disentangle_indicators.supervised import mcc as _mcc
from disentangle_indicators.supervised import med as _med
from disentangle_indicators.supervised import mig as _mig
from disentangle_indicators.supervised import mig_sup as _mig_sup
from disentangle_indicators.supervised import modularity as _modularity
from disentangle_indicators.supervised import omes as _omes
from disentangle_indicators.supervised import rf_vae as _rf_vae
from disentangle_indicators.supervised import rmig as _rmig
from disentangle_indicators.supervised import sap as _sap
from disentangle_indicators.supervised._metric import Metric, Outcome, measure
from disentangle_indicators.supervised.channel import Channel, channel
from disentangle_indicators.supervised.claim import Check, check_claim
from disentangle_indicators.supervised.dci import dci
from disentangle_indicators.supervised.dcimig import dcimig
from disentangle_indicators.supervised.dmig import dmig
from disentangle_indicators.supervised.explicitness import explicitness
from disentangle_indicators.supervised.factor_vae import factor_vae
from disentangle_indicators.supervised.higgins import higgins, z_diff
from disentangle_indicators.supervised.infomec import infomec
from disentangle_indicators.supervised.irs import irs
from disentangle_indicators.supervised.jemmig import jemmig
from disentangle_indicators.supervised.mcc import mcc
from disentangle_indicators.supervised.med import med
from disentangle_indicators.supervised.mig import mig, mutual_information_matrix
from disentangle_indicators.supervised.mig_sup import mig_sup
from disentangle_indicators.supervised.modularity import modularity
from disentangle_indicators.supervised.omes import omes
from disentangle_indicators.supervised.rf_vae import rf_vae
from disentangle_indicators.supervised.rmig import rmig
from disentangle_indicators.supervised.sap import r_squared_matrix, sap
from disentangle_indicators.supervised.scores import (
    MetricScore,
    Scores,
    compare_scores,
    evaluate_metrics,
)

__all__ = [
    "KINDS",
    "METRICS",
    "Channel",
    "Check",
    "Factors",
    "Metric",
    "MetricScore",
    "Outcome",
    "Scores",
    "as_table",
    "channel",
    "check_claim",
    "choose",
    "compare_scores",
    "dci",
    "dcimig",
    "dmig",
    "evaluate_metrics",
    "explicitness",
    "factor_vae",
    "find",
    "higgins",
    "infomec",
    "irs",
    "jemmig",
    "mcc",
    "measure",
    "med",
    "mig",
    "mig_sup",
    "modularity",
    "mutual_information_matrix",
    "omes",
    "r_squared_matrix",
    "rf_vae",
    "rmig",
    "sap",
    "score_of",
    "z_diff",
]

METRICS: dict[str, Metric] = {
    "higgins": _higgins.METRIC,
    "factor_vae": _factor_vae.METRIC,
    "rf_vae": _rf_vae.METRIC,
    "mig": _mig.METRIC,
    "rmig": _rmig.METRIC,
    "jemmig": _jemmig.METRIC,
    "mig_sup": _mig_sup.METRIC,
    "dcimig": _dcimig.METRIC,
    "dmig": _dmig.METRIC,
    "dci": _dci.METRIC,
    "med": _med.METRIC,
    "sap": _sap.METRIC,
    "modularity": _modularity.METRIC,
    "explicitness": _explicitness.METRIC,
    "irs": _irs.METRIC,
    "infomec": _infomec.METRIC,
    "omes": _omes.METRIC,
    "mcc": _mcc.METRIC,
}


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
