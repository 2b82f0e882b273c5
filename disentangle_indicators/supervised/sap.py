"""Separated attribute predictability: whether one latent, and only one, predicts a factor."""

import warnings
from typing import Any

import numpy as np

from disentangle_indicators._array import Array, Float, as_codes
from disentangle_indicators._errors import Undefined
from disentangle_indicators._factor_columns import TRUTH
from disentangle_indicators.factors import Factors, as_table
from disentangle_indicators.supervised import _information as info
from disentangle_indicators.supervised._metric import Metric, Outcome, measure
from disentangle_indicators.supervised._ranks import beyond_chance, explained
from disentangle_indicators.supervised._splits import ORDERS, splits

__all__ = ["METRIC", "r_squared_matrix", "sap"]

PROTOCOLS: dict[str, dict[str, Any]] = {
    "default": {
        "predictor": "ranks",
        "neighbours": 20,
        "C": 0.01,
        "train": None,
        "test": 0,
        "order": "as given",
    },
    "locatello2019": {
        "predictor": "svm",
        "neighbours": 20,
        "C": 0.01,
        "train": 10_000,
        "test": 5_000,
        "order": "shuffled",
    },
    "locatello2019-continuous": {
        "predictor": "line",
        "neighbours": 20,
        "C": 0.01,
        "train": None,
        "test": 0,
        "order": "as given",
    },
    "ubisoft": {
        "predictor": "line",
        "neighbours": 20,
        "C": 0.01,
        "train": None,
        "test": 0,
        "order": "as given",
    },
}

SOURCES = {
    "default": "Kumar et al. (2018), section 3, on ranks, which outliers and the scale of codes do "
    "not move. Of numbers, and of two classes, the square of the rank slope of mcc, less chance: a "
    "code that keeps the order of the factor has 1 whatever its ties. Classes and angles are "
    "predicted by the mean of the other rows with the nearest codes, which need not lie in order, "
    "less what so few rows miss by chance",
    "locatello2019": "disentanglement_lib, as published: accuracy of scikit-learn's LinearSVC on "
    "one raw code, fitted on 10,000 rows and scored on 5,000; where it met liblinear's random dual "
    "solver, this is the primal one, which is deterministic. Where one value is common, a latent "
    "that captures nothing is often right, and the gap of a perfect code is far below 1",
    "locatello2019-continuous": "disentanglement_lib with continuous_factors: squared correlation "
    "on all rows given, which were 10,000 there; numbers of a factor, not its classes, count",
    "ubisoft": "Carbonneau et al. (2022): in-sample R squared of one code, the same number",
}

_LARGEST = 1e20
_SMALLEST = 1e-100
"""Least size of codes that a machine sees: subnormal ones let liblinear run for ever."""


def sap(
    codes: Array,
    factors: Any,
    *,
    rng: np.random.Generator | int = 0,
    protocol: str = "default",
    **overrides: Any,
) -> float:
    r"""Separated attribute predictability, averaged over factors.

    .. math:: \frac1K \sum_k \big(S_{(1) k} - S_{(2) k}\big), \qquad
        S_{hk} = 1 - \frac{\sum_i \lVert t_{ik} - \hat t_k(z_{ih}) \rVert^2}
        {\sum_i \lVert t_{ik} - \bar t_k \rVert^2}

    where :math:`\hat t_k(z_{ih})` predicts row i from latent h alone, and (1) and (2) are the two
    latents that predict factor k best; 0 stands for a latent that predicts worse than the mean. By
    default, :math:`S_{hk}` of numbers and of two classes is :math:`(R^2 - E) / (1 - E)`, where R is
    the rank slope and E the mean of :math:`R^2` over permuted rows, as in
    :func:`~disentangle_indicators.supervised.mcc`.

    Parameters
    ----------
    codes : array, shape (n, d)
        With one latent the second score is 0.
    factors : array, shape (n, K) or (n,)
        As :func:`~disentangle_indicators.supervised.as_table` takes them. Constant factors are
        left out, and so are rows without a value of the factor at hand.
    rng : numpy.random.Generator or int
        Shuffles the rows, where a protocol splits them.
    protocol : {"default", "locatello2019", "locatello2019-continuous", "ubisoft"}
    **overrides
        Parameters that differ from the protocol's:

        - predictor: "ranks" as above. The indicators of three classes or more, and cosine and sine
          of a circular factor, are predicted for each row by means over m other rows of nearest
          rank; the squared error of each row counts m / (m + 1) times, as the mean of m rows has
          1 / m of their variance. "line" is the squared correlation of the numbers as they are, of
          whatever kind; "svm" the accuracy of a linear support vector machine for classes.
        - neighbours: how many rows that are, shared by both sides: no more than a tenth of all,
          and half of the rows of a class on average, but for two; and all rows of the same code.
        - C: inverse penalty of "svm".
        - train, test, order: rows to fit on and rows to score, "shuffled" or "as given". Fewer
          rows than that are shared out in proportion; without test rows those for training are
          scored.

    Returns
    -------
    float
        Between 0 and 1, where 1 is best. No unit.

    Raises
    ------
    ValueError
        On arrays that do not belong together, on codes that are not finite, and on parameters out
        of range.
    Undefined
        When all factors are constant, and on codes too large for "svm".

    Notes
    -----
    Kumar et al. (2018), section 3. It rewards one latent per factor and says nothing about a latent
    that predicts several factors. The published version with a linear machine on one latent cannot
    tell values in the middle from others: on a perfect code of five values it is far below 1, and
    on a latent that is not monotone at 0.

    Examples
    --------
    >>> import numpy as np
    >>> factors = np.stack(np.divmod(np.arange(12), 4), axis=1)
    >>> round(sap(-2.0 * factors, factors), 12)
    1.0
    >>> round(sap(factors[:, :1], factors, protocol="ubisoft"), 12)
    0.5
    """
    return measure(METRIC, codes, factors, rng=rng, protocol=protocol, **overrides).value


def r_squared_matrix(codes: Array, factors: Any) -> Float:
    r"""Squared correlation of each latent with each factor.

    .. math:: R^2_{hk} = \frac{\operatorname{cov}(z_h, v_k)^2}
        {\operatorname{var}(z_h)\operatorname{var}(v_k)}

    Parameters
    ----------
    codes : array, shape (n, d)
    factors : array, shape (n, K) or (n,)

    Returns
    -------
    array, shape (d, K)
        Between 0 and 1; 0 for constant latents and factors.

    Raises
    ------
    ValueError
        On arrays that do not belong together, on numbers that are not finite, on text, and on
        missing values.

    Notes
    -----
    Kumar et al. (2018), section 3.

    Examples
    --------
    >>> r_squared_matrix([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0]], [2, 1, 0]).round(4)
    array([[1.],
           [0.]])
    """
    z = as_codes(codes)
    table = as_table(factors, len(z))
    for name, classes, values in zip(table.names, table.classes, table.values.T, strict=True):
        if classes not in (None, TRUTH):
            raise ValueError(f"factors must be numbers here; {name} holds text")
        if np.isnan(values).any():
            row = int(np.argmax(np.isnan(values)))
            raise ValueError(
                f"factors must have a value in every row here; {name}[{row}] has none"
            )
    return _line(z, table.values)


def _prepare(z: Float, factors: Factors, p: dict[str, Any]) -> tuple[Float, Factors]:
    if p["neighbours"] < 1:
        raise ValueError(f"neighbours must be at least 1; got {p['neighbours']}")
    if p["predictor"] != "ranks":
        return z, factors
    from scipy.stats import rankdata

    return rankdata(z, axis=0), factors


def _compute(
    codes: Float, factors: Factors, p: dict[str, Any], rng: np.random.Generator
) -> Outcome:
    if p["predictor"] == "ranks":
        score = _of_ranks(codes, factors, p["neighbours"])
    elif p["predictor"] == "line":
        columns = [
            _line(codes[train], factors.values[train, k : k + 1])
            for k, (train, _) in enumerate(splits(factors, p, rng))
        ]
        score = np.concatenate(columns, axis=1)
    else:
        score = _machines(codes, factors, p, rng)
    first, second = info.top_two(score)
    return Outcome(
        float(np.mean(first - second)),
        per_factor=first - second,
        matrix=score,
        matrix_name=_NAMES[p["predictor"]],
    )


_NAMES = {
    "ranks": "share of the variance of v_k that z_h explains",
    "line": "squared correlation of z_h and v_k",
    "svm": "accuracy of z_h for v_k",
}


def _of_ranks(ranks: Float, factors: Factors, neighbours: int) -> Float:
    from scipy.stats import rankdata

    score = np.zeros((ranks.shape[1], factors.number))
    for k, kind in enumerate(factors.kinds):
        rows, classes = factors.present(k), factors.levels(k)
        x, label = ranks[rows], classes[rows]
        if kind in ("ordinal", "continuous") or label.max() == 1:
            x = x if len(x) == len(ranks) else rankdata(x, axis=0)
            score[:, k] = beyond_chance(explained(x, label, ordered=True))
            continue
        target = factors.targets(k)[rows]
        if kind == "categorical":
            target = np.eye(int(label.max()) + 1)[label]
        of_class = len(rows) // (int(label.max()) + 1)
        few = max(min(neighbours, len(rows) // 10, of_class // 2), 2)
        score[:, k] = [_by_neighbours(column, target, few) for column in x.T]
    return np.maximum(score, 0.0)


def _by_neighbours(x: Float, target: Float, neighbours: int) -> float:
    """Return 1 - (squared errors of means over other rows) / (those of the mean), less chance.

    A row is predicted by the rows of the same x, and as many nearest as it takes.
    """
    n = len(x)
    order = np.argsort(x)
    x, target = x[order], target[order] - target.mean(axis=0)
    new = np.concatenate([[True], x[1:] > x[:-1]])
    start = np.flatnonzero(new)
    stop = np.append(start[1:], n)
    same = np.cumsum(new) - 1  # which of the different x
    more = -(-np.maximum(neighbours + 1 - (stop - start), 0) // 2)
    low = start[same[np.maximum(start - more, 0)]][same]
    high = stop[same[np.minimum(stop - 1 + more, n - 1)]][same]
    sums = np.concatenate([np.zeros((1, target.shape[1])), np.cumsum(target, axis=0)])
    m = (high - low - 1)[:, None]
    error = target - (sums[high] - sums[low] - target) / m
    of_mean = np.sum(target**2) * n / (n - 1)  # n - 1 other rows have 1 / (n - 1) of the variance
    return float(1 - np.sum(error**2 * m / (m + 1)) / of_mean)


def _machines(z: Float, factors: Factors, p: dict[str, Any], rng: np.random.Generator) -> Float:
    from sklearn.svm import LinearSVC  # type: ignore[import-untyped]

    if not p["C"] > 0:
        raise ValueError(f"C must be positive; got {p['C']}")
    if np.abs(z).max() > _LARGEST:
        raise Undefined(
            f"codes must be no larger than {_LARGEST:g} for a machine on raw codes; the largest "
            f"is {np.abs(z).max():g}"
        )
    z = np.where(np.abs(z) < _SMALLEST, 0.0, z)
    score = np.empty((z.shape[1], factors.number))
    for k, (train, test) in enumerate(splits(factors, p, rng)):
        label = factors.labels(k)
        y, truth = label[train], label[test]
        if np.all(y == y[0]):
            score[:, k] = np.mean(truth == y[0])
            continue
        for h, column in enumerate(z.T):
            machine = LinearSVC(C=p["C"], class_weight="balanced", dual=False)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                machine.fit(column[train, None], y)
            score[h, k] = np.mean(machine.predict(column[test, None]) == truth)
    return score


def _line(z: Float, values: Float) -> Float:
    r = _standardise(z).T @ _standardise(values)
    return np.asarray(np.clip(r, -1.0, 1.0) ** 2)


def _standardise(columns: Float) -> Float:
    """Centre each column and scale it to length one; constant columns become zeros."""
    largest = np.max(np.abs(columns), axis=0)
    scaled = columns / np.where(largest > 0, largest, 1.0)  # a constant becomes 1: no rounding
    centred = scaled - scaled.mean(axis=0)
    spread = np.max(np.abs(centred), axis=0)
    centred = centred / np.where(spread > 0, spread, 1.0)
    length = np.sqrt(np.sum(centred**2, axis=0))
    return np.asarray(centred / np.where(length > 0, length, 1.0))


METRIC = Metric(
    "sap",
    "Separated attribute predictability",
    _compute,
    PROTOCOLS,
    "how much better the best latent predicts a factor than the second best; 1 means one latent "
    "per factor, and two latents that share a factor cost as much as none that captures it",
    SOURCES,
    refits=("locatello2019",),
    prepare=_prepare,
    curved=1,
    choices={"predictor": tuple(_NAMES), "order": ORDERS},
)
