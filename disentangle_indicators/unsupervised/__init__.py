"""Scores without ground-truth factors: dependence of latents, agreement of models, information.

`UNSUPERVISED` holds functions of one code, which return a float; `MODEL_SELECTION` functions of
the codes that several models give the same rows. What posterior variances make possible is in
:func:`informativeness` and :func:`activity`.
"""

from collections.abc import Callable
from typing import Any

from disentangle_indicators.unsupervised._informativeness_result import Informativeness
from disentangle_indicators.unsupervised._udr_result import UDR
from disentangle_indicators.unsupervised.code_scores import (
    UNSUPERVISED,
    CodeScores,
    code_scores,
)
from disentangle_indicators.unsupervised.gaussian_total_correlation_of_codes import (
    gaussian_total_correlation_of_codes,
)
from disentangle_indicators.unsupervised.gaussian_wasserstein_correlation import (
    gaussian_wasserstein_correlation,
    gaussian_wasserstein_correlation_norm,
)
from disentangle_indicators.unsupervised.informativeness import (
    ACTIVITIES,
    activity,
    informativeness,
)
from disentangle_indicators.unsupervised.mutual_info_score import (
    mutual_info_score,
    pairwise_information,
)
from disentangle_indicators.unsupervised.udr import udr

__all__ = [
    "ACTIVITIES",
    "MODEL_SELECTION",
    "UDR",
    "UNSUPERVISED",
    "CodeScores",
    "Informativeness",
    "activity",
    "code_scores",
    "gaussian_total_correlation_of_codes",
    "gaussian_wasserstein_correlation",
    "gaussian_wasserstein_correlation_norm",
    "informativeness",
    "mutual_info_score",
    "pairwise_information",
    "udr",
]

MODEL_SELECTION: dict[str, Callable[..., Any]] = {"udr": udr}
"""Called as ``metric(models)``, of which each is a code of the same rows."""
