"""Every score of one code that needs no factors, in one call."""

from collections.abc import Sequence

from disentangle_indicators._array import to_numpy
from disentangle_indicators._errors import Undefined
from disentangle_indicators._provenance import Provenance
from disentangle_indicators.posteriors import Encodings
from disentangle_indicators.unsupervised._code_scores_result import CodeScores
from disentangle_indicators.unsupervised.gaussian_total_correlation_of_codes import (
    gaussian_total_correlation_of_codes,
)
from disentangle_indicators.unsupervised.gaussian_wasserstein_correlation import (
    gaussian_wasserstein_correlation,
    gaussian_wasserstein_correlation_norm,
)
from disentangle_indicators.unsupervised.mutual_info_score import mutual_info_score

__all__ = ["UNSUPERVISED", "CodeScores", "code_scores"]

UNSUPERVISED = {
    "gaussian_total_correlation_of_codes": gaussian_total_correlation_of_codes,
    "gaussian_wasserstein_correlation": gaussian_wasserstein_correlation,
    "gaussian_wasserstein_correlation_norm": gaussian_wasserstein_correlation_norm,
    "mutual_info_score": mutual_info_score,
}
"""Called as ``metric(codes)``; lower is more independent."""


def code_scores(encodings: Encodings, latents: Sequence[int]) -> CodeScores:
    """Compute every score of :data:`UNSUPERVISED` of the posterior means.

    Parameters
    ----------
    encodings : Encodings
    latents : sequence of int
        Those to look at.

    Returns
    -------
    CodeScores

    Examples
    --------
    >>> import numpy as np
    >>> mean = np.random.default_rng(0).normal(size=(500, 2)) @ [[1.0, 0.5], [0.0, 1.0]]
    >>> found = code_scores(Encodings.of(mean), [0, 1])
    >>> round(found.scores["gaussian_total_correlation_of_codes"], 1)
    0.1
    """
    z = to_numpy(encodings.mean)[:, list(latents)]
    scores, reasons = {}, {}
    for name, function in UNSUPERVISED.items():
        try:
            scores[name] = function(z)
        except Undefined as refusal:
            reasons[name] = str(refusal)
    return CodeScores(
        scores,
        reasons,
        tuple(latents),
        provenance=Provenance(
            "disentangle_indicators.unsupervised.code_scores",
            encodings.inputs,
            {"latents": list(latents)},
        ),
    )
