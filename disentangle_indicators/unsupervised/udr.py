"""Unsupervised disentanglement ranking: whether models trained alike found the same latents."""

import warnings
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np

from disentangle_indicators._array import Array, Float, as_codes, to_numpy
from disentangle_indicators._errors import Undefined
from disentangle_indicators._provenance import Provenance
from disentangle_indicators.definitions import kl_posterior_prior_per_latent
from disentangle_indicators.moments import Moments
from disentangle_indicators.unsupervised._udr_result import UDR

__all__ = ["UDR", "udr"]

INFORMATIVE = 0.01
"""Nats of average KL divergence to the prior above which UDR compares a latent.

A number of the protocol of Duan et al. (2020). It is neither the threshold of used latents nor that
of weak ones (`states`), which are about Definition 3 and may change without it.
"""

PROTOCOLS: dict[str, dict[str, Any]] = {
    "default": {
        "similarity": "regression",
        "alpha": 0.0,
        "threshold": INFORMATIVE,
        "copies": False,
        "average": "latents",
    },
    "duan2020-lasso": {
        "similarity": "lasso",
        "alpha": 0.1,
        "threshold": INFORMATIVE,
        "copies": True,
        "average": "latents",
    },
    "duan2020-spearman": {
        "similarity": "spearman",
        "alpha": 0.0,
        "threshold": INFORMATIVE,
        "copies": True,
        "average": "latents",
    },
}

SOURCES = {
    "default": "Duan et al. (2020), section 4, by least squares between ranks, whose "
    "weights are cut off at 1: models that are the same but for order, signs and monotone "
    "rescaling of latents score 1, whatever the latents of one model share",
    "duan2020-lasso": "Duan et al. (2020), UDR Lasso with alpha = 0.1 on standardised codes, on "
    "the given rows; the penalty keeps the same model from scoring more than 0.9. "
    "disentanglement_lib draws 1000 rows from a simulator, wants equal numbers of latents and "
    "takes the mean of the average over the latents of each side (average='sides')",
    "duan2020-spearman": "Duan et al. (2020), UDR Spearman, on the given rows; the same model "
    "scores 1 only if its latents are uncorrelated",
}

SAME = 1e-9
"""Latents whose ranks correlate by 1 less this are copies of each other."""


def udr(
    models: Sequence[Array],
    *,
    variances: Sequence[Array] | None = None,
    names: Sequence[str] | None = None,
    protocol: str = "default",
    **overrides: Any,
) -> UDR:
    r"""Score models by how well their latents match those of the others, one to one.

    .. math::

       \mathrm{UDR}_{ij} = \frac{1}{d_i + d_j} \Big[\sum_b \frac{r_b^2}{\sum_a R_{ab}}
       + \sum_a \frac{r_a^2}{\sum_b R_{ab}}\Big], \qquad
       r_b = \max_a R_{ab},\; r_a = \max_b R_{ab}

    where :math:`R_{ab}` in [0, 1] says how much latent a of model j has to do with latent b of
    model i. The score of a model is the median over the others.

    Parameters
    ----------
    models : sequence of m arrays, shape (n, d_i)
        Posterior means of the same rows, in the same order. The numbers of latents may differ.
    variances : sequence of m arrays, shape (n, d_i), optional
        Posterior variances. Latents whose KL divergence to the prior N(0, 1) is not above the
        threshold are left out. Constant latents always are.
    names : sequence of str, optional
        Of the models; default "model 0", ...
    protocol : {"default", "duan2020-lasso", "duan2020-spearman"}
    **overrides
        Parameters that differ from the protocol's:

        - similarity: "regression", absolute weights of least squares between ranks, cut off at 1;
          "lasso", absolute weights of the Lasso between standardised codes, clipped nowhere;
          "spearman", absolute rank correlation.
        - alpha: penalty of the Lasso.
        - threshold: nats of average KL divergence.
        - copies: whether a latent whose ranks are those of another one, or their reverse, counts
          beside it. Such latents cannot be told apart.
        - average: "latents" as above, "sides" for the mean of the averages over a and over b.

    Returns
    -------
    UDR
        Scores between 0 and 1 (those of the Lasso may pass 1 where latents are correlated).

    Raises
    ------
    ValueError
        With fewer than two models, on codes that do not belong together or are not finite, and on
        parameters that do not exist.
    Undefined
        Where least squares has no more rows than latents.

    Notes
    -----
    Duan et al. (2020), section 4. It rewards what models agree on: latents that any seed
    finds, in any order and with any sign. It needs no labels, and it lies where all models share a
    bias: models that entangle alike score 1. A model of which no latent is left agrees with none:
    0. With one latent each, it is the similarity of the two. A latent is explained by least squares
    given all others of a model, so correlated latents of a model do not count against it; where
    their ranks are linearly dependent in another way than by copies, the weights are those of
    least norm, and the same model scores below 1.

    Examples
    --------
    >>> import numpy as np
    >>> z = np.random.default_rng(0).normal(size=(500, 2))
    >>> turned = z @ np.array([[0.8, 0.6], [-0.6, 0.8]])
    >>> udr([z, -z[:, [1, 0]], turned]).pairs.round(2)
    array([[1.  , 1.  , 0.46],
           [1.  , 1.  , 0.46],
           [0.46, 0.46, 1.  ]])
    """
    p = _parameters(protocol, overrides)
    codes = [as_codes(z) for z in models]
    if len(codes) < 2:
        raise ValueError(f"udr compares at least 2 models; got {len(codes)}")
    n = len(codes[0])
    for i, z in enumerate(codes):
        if len(z) != n:
            raise ValueError(f"models must have the same rows; {len(z)} in model {i}, {n} before")
    for what, given in (("variances", variances), ("names", names)):
        if given is not None and len(given) != len(codes):
            raise ValueError(f"{what} must be {len(codes)}, one per model; got {len(given)}")
    widths = [None] * len(codes) if variances is None else list(variances)
    latents = [
        _informative_for_udr(z, v, p["threshold"]) for z, v in zip(codes, widths, strict=True)
    ]
    scaled = [_standard(z[:, kept], p) for z, kept in zip(codes, latents, strict=True)]
    if not p["copies"]:
        single = [_without_copies(x) for x in scaled]
        latents = [[kept[h] for h in one] for kept, one in zip(latents, single, strict=True)]
        scaled = [x[:, one] for x, one in zip(scaled, single, strict=True)]
    most = max(x.shape[1] for x in scaled)
    if p["similarity"] == "regression" and n <= most:
        raise Undefined(
            f"least squares needs more rows than latents; got {n} rows, {most} latents"
        )
    pairs = np.array(
        [[_agreement(_similarity(y, x, p), p["average"]) for y in scaled] for x in scaled]
    )
    others = pairs[~np.eye(len(codes), dtype=bool)].reshape(len(codes), -1)
    return UDR(
        protocol=protocol,
        parameters=p,
        n=n,
        names=tuple(names or (f"model {i}" for i in range(len(codes)))),
        scores=np.median(others, axis=1),
        pairs=pairs,
        latents=tuple(map(tuple, latents)),
        provenance=Provenance(
            "disentangle_indicators.unsupervised.udr", parameters={"protocol": protocol, **p}
        ),
    )


def _parameters(protocol: str, overrides: dict[str, Any]) -> dict[str, Any]:
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol must be one of {', '.join(PROTOCOLS)}; got {protocol!r}")
    known = PROTOCOLS[protocol]
    for name in overrides:
        if name not in known:
            near = ", ".join(get_close_matches(name, known, n=3, cutoff=0.4) or known)
            raise ValueError(f"no parameter of udr is called {name!r}; there is {near}")
    p = known | overrides
    for name, allowed in (
        ("similarity", ("regression", "lasso", "spearman")),
        ("average", ("latents", "sides")),
    ):
        if p[name] not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(allowed)}; got {p[name]!r}")
    if p["similarity"] == "lasso" and not p["alpha"] > 0:
        raise ValueError(f"alpha must be positive; got {p['alpha']}")
    return p


def _informative_for_udr(z: Float, var: Array | None, threshold: float) -> list[int]:
    """Return the latents that UDR compares: those that vary, with Definition 1 above a threshold.

    This is the rule of the metric as it was published, not that of "used" latents.
    """
    kept = z.min(axis=0) < z.max(axis=0)
    if var is not None:
        moments = Moments.of(z, to_numpy(var), errors=False)
        kept &= to_numpy(kl_posterior_prior_per_latent(moments)) > threshold
    return [int(h) for h in np.flatnonzero(kept)]


def _standard(z: Float, p: dict[str, Any]) -> Float:
    """Return standardised codes for the Lasso, standardised ranks for the others."""
    from scipy.stats import rankdata

    if p["similarity"] == "lasso":
        x = z / np.maximum(np.abs(z).max(axis=0, initial=0.0), np.finfo(float).tiny)
    else:
        x = rankdata(z, axis=0)
    x = x - x.mean(axis=0)
    return np.asarray(x / np.sqrt(np.mean(x * x, axis=0)))


def _without_copies(x: Float) -> list[int]:
    same = np.abs(x.T @ x) / len(x) > 1 - SAME
    return [h for h in range(x.shape[1]) if not same[h, :h].any()]


def _similarity(x: Float, y: Float, p: dict[str, Any]) -> Float:
    """Return R (a, b): what latent a of x has to do with latent b of y."""
    if 0 in (x.shape[1], y.shape[1]):
        return np.zeros((x.shape[1], y.shape[1]))
    if p["similarity"] == "spearman":
        return np.minimum(np.abs(x.T @ y) / len(x), 1.0)
    if p["similarity"] == "regression":
        weights = np.linalg.lstsq(x, y, rcond=1e-10)[0]
        return np.asarray(np.minimum(np.abs(weights), 1.0))
    from sklearn.exceptions import ConvergenceWarning  # type: ignore[import-untyped]
    from sklearn.linear_model import Lasso  # type: ignore[import-untyped]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = Lasso(alpha=p["alpha"], max_iter=10000).fit(x, y).coef_
    return np.asarray(np.abs(fitted.reshape(y.shape[1], x.shape[1]).T))


def _agreement(r: Float, average: str) -> float:
    def strength(axis: int) -> Float:
        total = r.sum(axis=axis)
        return np.asarray(r.max(axis=axis, initial=0.0) ** 2 / np.where(total > 0, total, 1.0))

    if r.size == 0:
        return 0.0
    one, two = strength(0), strength(1)
    if average == "sides":
        return float(one.mean() + two.mean()) / 2
    return float(one.sum() + two.sum()) / (one.size + two.size)
