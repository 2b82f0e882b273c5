"""Supervised disentanglement metrics: functions of codes and ground-truth factors.

`METRICS` holds every metric with its protocols, named sets of parameters: ``mig@locatello2019``.
Without a protocol a metric takes its default, chosen for soundness; the others are those of
published toolkits, so that their numbers can be compared with. :func:`evaluate_metrics` computes
each score with its null, its ceiling and its standard error.
"""

from disentangle_indicators.factors import KINDS, Factors, as_table
from disentangle_indicators.supervised._channel_result import Channel
from disentangle_indicators.supervised._check_result import Attempt, Check
from disentangle_indicators.supervised._evaluation_result import MetricScore, Scores
from disentangle_indicators.supervised._metric import Metric, Outcome, measure
from disentangle_indicators.supervised._options import MetricOptions
from disentangle_indicators.supervised._registry import METRICS, choose, find, score_of
from disentangle_indicators.supervised.channel import channel
from disentangle_indicators.supervised.check import check_claim
from disentangle_indicators.supervised.dci import dci
from disentangle_indicators.supervised.dcimig import dcimig
from disentangle_indicators.supervised.dmig import dmig
from disentangle_indicators.supervised.evaluation import (
    compare_scores,
    evaluate,
    evaluate_metrics,
)
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

__all__ = [
    "KINDS",
    "METRICS",
    "Attempt",
    "Channel",
    "Check",
    "Factors",
    "Metric",
    "MetricOptions",
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
    "evaluate",
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
