"""Every score of one code that needs no factors, in one call."""

from collections.abc import Sequence

import numpy as np

from disentangle_indicators._array import Float, to_numpy
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
from disentangle_indicators.unsupervised.mutual_info_score import (
    expected_mutual_info_score,
    mutual_info_score,
)

__all__ = ["UNSUPERVISED", "CodeScores", "code_scores"]

UNSUPERVISED = {
    "gaussian_total_correlation_of_codes": gaussian_total_correlation_of_codes,
    "gaussian_wasserstein_correlation": gaussian_wasserstein_correlation,
    "gaussian_wasserstein_correlation_norm": gaussian_wasserstein_correlation_norm,
    "mutual_info_score": mutual_info_score,
}
"""Called as ``metric(codes)``; lower is more independent."""


def code_scores(encodings: Encodings, latents: Sequence[int]) -> CodeScores:
    """Compute every score of ``UNSUPERVISED`` of the posterior means.

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
    >>> round(found.chance["gaussian_total_correlation_of_codes"], 4)
    0.001
    """
    z = to_numpy(encodings.mean_on_host)[:, list(latents)]
    scores, reasons = {}, {}
    for name, function in UNSUPERVISED.items():
        try:
            scores[name] = function(z)
        except Undefined as refusal:
            reasons[name] = str(refusal)
    chance = _chance(z, encodings.draws)
    return CodeScores(
        scores,
        {name: value for name, value in chance.items() if name in scores},
        reasons,
        tuple(latents),
        provenance=Provenance(
            "disentangle_indicators.unsupervised.code_scores",
            encodings.inputs,
            {"latents": list(latents)},
        ),
    )


def _chance(z: Float, draws: int) -> dict[str, float]:
    r"""Return the mean score of independent latents: Gaussian, or in bins of any law.

    .. math:: \frac12 \sum_{h=1}^d \psi\Big(\frac{n - 1}2\Big) - \psi\Big(\frac{n - h}2\Big)
        \approx \frac{d (d - 1)}{4 n}, \qquad
        \frac1{n - 1} \sum_{h < g} \frac{s_h s_g}{s_h + s_g}

    are those of total and of Wasserstein correlation, with variances s and n independent draws.
    """
    from scipy.special import digamma

    top = np.max(np.abs(z), initial=0.0)
    variance = (z / (top if top > 0 else 1.0)).var(axis=0)
    variance = variance[variance > 0]
    d, found = len(variance), {}
    if draws > d > 0:
        half = (draws - np.arange(1, d + 1)) / 2
        pairs = np.triu(np.multiply.outer(variance, variance), 1)
        moved = np.sum(pairs / np.add.outer(variance, variance)) / (draws - 1)
        with np.errstate(over="ignore"):
            found = {
                "gaussian_total_correlation_of_codes": np.sum(digamma(half[0]) - digamma(half))
                / 2,
                "gaussian_wasserstein_correlation": moved * top * top,
                "gaussian_wasserstein_correlation_norm": moved / np.sum(variance),
            }
    found["mutual_info_score"] = expected_mutual_info_score(z) * len(z) / draws
    return {name: float(value) for name, value in found.items()}
