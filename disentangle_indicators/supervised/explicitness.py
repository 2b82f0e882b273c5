"""Explicitness: whether a linear classifier reads the factors off the latents."""

import warnings
from typing import Any

import numpy as np

from disentangle_indicators._array import Array, Float
from disentangle_indicators._binning import Index
from disentangle_indicators.factors import Factors
from disentangle_indicators.supervised._metric import Metric, Outcome, measure
from disentangle_indicators.supervised._softmax import SCALES, probabilities, scaled, softmax
from disentangle_indicators.supervised._splits import ORDERS, splits

__all__ = ["METRIC", "explicitness"]

PROTOCOLS: dict[str, dict[str, Any]] = {
    "default": {
        "train": 10_000,
        "test": 5_000,
        "order": "shuffled",
        "factor_bins": None,
        "scale": "whitened",
        "outliers": 0.002,
        "classifier": "softmax",
        "C": 1.0,
        "max_iter": 1000,
        "rescale": True,
    },
    "locatello2019": {
        "train": 10_000,
        "test": 5_000,
        "order": "shuffled",
        "factor_bins": None,
        "scale": "standard",
        "outliers": 0.0,
        "classifier": "softmax",
        "C": 1.0,
        "max_iter": 100,
        "rescale": False,
    },
    "ubisoft": {
        "train": None,
        "test": 0,
        "order": "as given",
        "factor_bins": 10,
        "scale": "range",
        "outliers": 0.0,
        "classifier": "one-vs-rest",
        "C": 1.0,
        "max_iter": 100,
        "rescale": True,
    },
}

SOURCES = {
    "default": "Ridgeway and Mozer (2018), section 3.2: softmax regression until it converges, on "
    "principal components of variance 1, so that a linear map of the latents changes little, and "
    "with outliers moved in; scored on rows left out, chance at 0",
    "locatello2019": "disentanglement_lib: scikit-learn's LogisticRegression on standardised codes "
    "with at most 100 iterations, fitted on 10,000 rows and scored on 5,000; chance at 0.5. A "
    "class without test rows is left out, where it was an error, and so is a constant latent, "
    "where it was nan",
    "ubisoft": "Carbonneau et al. (2022): one balanced logistic regression for each of 10 bins, "
    "codes between 0 and 1, scored on the rows it is fitted on; chance at 0",
}


def explicitness(
    codes: Array,
    factors: Any,
    *,
    rng: np.random.Generator | int = 0,
    protocol: str = "default",
    **overrides: Any,
) -> float:
    r"""Area under the ROC curve of a linear classifier, averaged over values and factors.

    .. math:: \frac1K \sum_k \frac{1}{C_k} \sum_c \big(2\,\mathrm{AUC}_{kc} - 1\big)

    where :math:`\mathrm{AUC}_{kc}` is the probability that a row with value c of factor k gets a
    higher probability of c than a row with another value; ties count one half.

    Parameters
    ----------
    codes : array, shape (n, d)
    factors : array, shape (n, K) or (n,)
        Used as classes: a continuous one is put in 20 bins of equal counts. Constant factors are
        left out, and so are rows without a value of the factor at hand, and classes that the rows
        for training or for testing lack. A factor of which no class is left scores chance.
    rng : numpy.random.Generator or int
        Shuffles the rows.
    protocol : {"default", "locatello2019", "ubisoft"}
    **overrides
        Parameters that differ from the protocol's:

        - train, test, order: rows to fit on and rows to score, "shuffled" or "as given". Fewer
          rows than that are shared out in proportion; without test rows those for training are
          scored.
        - factor_bins: of equal width, or None to take the values of factors as they are, and 20
          bins of equal counts for a continuous one.
        - scale: "whitened", "standard" or "range", over the rows for training.
        - outliers: share of them that is moved in at either end first.
        - classifier: "softmax", or "one-vs-rest" with balanced classes.
        - C, max_iter: inverse penalty, and iterations.
        - rescale: 2 AUC - 1 in place of AUC.

    Returns
    -------
    float
        At most 1, which is best; chance is 0, or 0.5 unless rescaled, and less is possible on rows
        left out. No unit. The part "train" is the same for the rows that were fitted.

    Raises
    ------
    ValueError
        On arrays that do not belong together, on codes that are not finite, and on parameters out
        of range.
    Undefined
        When all factors are constant.

    Notes
    -----
    Ridgeway and Mozer (2018), section 3.2. It asks whether factors can be read linearly, from any
    number of latents together: a rotation does not change it, and it says nothing of axes. A value
    in the middle of a latent's range cannot be separated linearly, though the other values tell
    it apart well enough for a high AUC.

    Examples
    --------
    >>> import numpy as np
    >>> factors = np.stack(np.divmod(np.arange(60) % 6, 3), axis=1)
    >>> explicitness(factors, factors)
    1.0
    """
    return measure(METRIC, codes, factors, rng=rng, protocol=protocol, **overrides).value


def _prepare(z: Float, factors: Factors, p: dict[str, Any]) -> tuple[Float, tuple[Any, ...]]:
    return z, (factors, [factors.labels(k, p["factor_bins"]) for k in range(factors.number)])


def _compute(
    z: Float, prepared: tuple[Factors, list[Index]], p: dict[str, Any], rng: np.random.Generator
) -> Outcome:
    factors, labels = prepared
    if not p["C"] > 0 or p["max_iter"] < 1:
        raise ValueError(
            f"C must be positive and max_iter at least 1; got {p['C']} and {p['max_iter']}"
        )
    of_train, of_test = [], []
    for label, (train, test) in zip(labels, splits(factors, p, rng), strict=True):
        x = scaled(z, train, p["scale"], p["outliers"])
        seen, y = np.unique(label[train], return_inverse=True)
        score = _classifier(x[train], y.reshape(-1), p)
        of_train.append(_area(score(x[train]), label[train], seen))
        same = train is test
        of_test.append(of_train[-1] if same else _area(score(x[test]), label[test], seen))
    scale, shift = (2.0, -1.0) if p["rescale"] else (1.0, 0.0)
    per_factor = scale * np.array(of_test) + shift
    return Outcome(
        float(per_factor.mean()),
        {"train": float(scale * np.mean(of_train) + shift)},
        per_factor=per_factor,
    )


def _classifier(x: Float, y: Index, p: dict[str, Any]) -> Any:
    """Return the function from codes to scores of the classes that y holds."""
    if y.max() == 0:
        return lambda other: np.ones((len(other), 1))
    if p["classifier"] == "softmax":
        w = softmax(x, y, penalty=1 / p["C"] / len(x), max_iter=p["max_iter"], tol=1e-4)
        return lambda other: np.exp(probabilities(w, other))
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
    from sklearn.multiclass import OneVsRestClassifier  # type: ignore[import-untyped]

    one = LogisticRegression(C=p["C"], class_weight="balanced", max_iter=p["max_iter"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return OneVsRestClassifier(one).fit(x, y).predict_proba


def _area(score: Float, label: Index, seen: Index) -> float:
    """Return the mean area under the curves of the classes seen that some, not all, rows have."""
    from scipy.stats import rankdata

    n = len(label)
    column = np.searchsorted(seen, label)
    known = (column < len(seen)) & (seen[np.minimum(column, len(seen) - 1)] == label)
    rows, column = np.flatnonzero(known), column[known]
    inside = np.bincount(column, minlength=len(seen)).astype(np.float64)
    usable = (inside > 0) & (inside < n)
    if not np.any(usable):
        return 0.5
    ranks = rankdata(score, axis=0)[rows, column]
    above = np.bincount(column, ranks, len(seen)) - inside * (inside + 1) / 2
    return float(np.mean(above[usable] / (inside * (n - inside))[usable]))


METRIC = Metric(
    "explicitness",
    "Explicitness",
    _compute,
    PROTOCOLS,
    "how well a linear classifier on all latents tells the values of a factor apart; 1 means that "
    "every value can be read off linearly, along whatever axes",
    SOURCES,
    ranges={"default": (-1.0, 1.0), "ubisoft": (-1.0, 1.0)},
    refits=tuple(PROTOCOLS),
    prepare=_prepare,
    choices={"order": ORDERS, "scale": SCALES, "classifier": ("softmax", "one-vs-rest")},
    curved=2,
)
