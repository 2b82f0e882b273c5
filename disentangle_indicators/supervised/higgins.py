"""The metric of Higgins et al. (2017): a linear classifier names the factor that was fixed."""

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from disentangle_indicators._array import Array, Float
from disentangle_indicators.supervised._columns import (
    Index,
    as_codes,
    as_factors,
    as_numbers,
    binned,
    levels,
)

__all__ = ["PROTOCOLS", "higgins", "z_diff"]

PROTOCOLS: dict[str, dict[str, Any]] = {
    "higgins2017": {
        "pairs": 64,
        "train": 10_000,
        "evaluate": 5_000,
        "C": 1e6,
        "max_iter": 10_000,
        "standardise": True,
        "rescale": False,
        "values": "rows",
        "factor_bins": None,
    },
    "locatello2019-fixed": {
        "pairs": 64,
        "train": 10_000,
        "evaluate": 5_000,
        "C": 1.0,
        "max_iter": 100,
        "standardise": False,
        "rescale": False,
        "values": "rows",
        "factor_bins": None,
    },
    "ubisoft": {
        "pairs": 200,
        "train": 10_000,
        "evaluate": 5_000,
        "C": 1.0,
        "max_iter": 10_000,
        "standardise": False,
        "rescale": True,
        "values": "values",
        "factor_bins": 10,
    },
}
"""Parameters by name; :func:`higgins` says what each one means and where it is from."""

_LARGEST = 1e20
_BLOCK = 1 << 14
"""Pairs that are gathered at a time, so that they stay in the cache."""


def higgins(
    codes: Array,
    factors: Any,
    *,
    rng: np.random.Generator | int,
    protocol: str = "locatello2019-fixed",
    **overrides: Any,
) -> float:
    r"""Accuracy with which a linear classifier names the factor that pairs of rows share.

    .. math:: \frac1{|E|} \sum_{(x, y) \in E} 1\big[\arg\max_k (w_k^\top x + b_k) = y\big]

    where the points x are those of :func:`z_diff`, and w, b are fitted to other such points.

    Parameters
    ----------
    codes : array, shape (n, d)
        Mean codes, on their own scale: a penalised classifier sees the scale.
    factors : array, shape (n, K) or (n,)
        Each value is a class. Values with a single row are not used; constant factors, and factors
        none of whose values has two rows, are left out, which leaves fewer classes.
    rng : numpy.random.Generator or int
        The same seed gives the same number.
    protocol : {"locatello2019-fixed", "higgins2017", "ubisoft"}
        A set of parameters in `PROTOCOLS`.
    **overrides
        Parameters that differ from the protocol's:

        - pairs: L, over which a point averages.
        - train, evaluate: points for the classifier, and for its accuracy.
        - C, max_iter: of scikit-learn's LogisticRegression, converged or not.
        - standardise: points to mean 0 and variance 1 first, which matters only to a penalty and to
          the path of the optimiser.
        - rescale: (accuracy - 1/K) / (1 - 1/K) in place of the accuracy, for K classes.
        - values: "rows" takes a value as often as rows have it, "values" each alike.
        - factor_bins: equal-width bins of each factor, or None to take its values as they are.

    Returns
    -------
    float
        The accuracy, between 0 and 1; chance is 1/K. With `rescale` chance is 0, and less is
        possible. With one class it is 1 either way: there is nothing to tell apart.

    Raises
    ------
    ValueError
        On arrays that do not belong together, on codes and factors that are not finite, when no
        factor can be used, on parameters that do not exist or are out of their range, and on codes
        so large that the classifier cannot be fitted to them as they are.

    Notes
    -----
    Higgins et al. (2017), section 3, on arrays: both rows of a pair are drawn from those at hand,
    so the other factors vary as they do there. "locatello2019-fixed" has the numbers of
    `disentanglement_lib` (Locatello et al., 2019), whose simulator draws fresh rows; "ubisoft"
    those of Carbonneau et al. (2022), whose pairs are taken from reshuffled halves of the rows
    with a value: for one pair that is the same law. "higgins2017" trains its classifier without a
    penalty until it converges, as they did with Adagrad; their figures also drop the lower half
    of all scores, and this function drops none. Its other numbers are those of "locatello2019-fixed".

    C = 1 matters where classes differ by little: two latents turned by 44.95 degrees are still
    separable, and a classifier with C = 1e6 separates them, but C = 1 leaves 0.6.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> factors = rng.integers(5, size=(1000, 3))
    >>> higgins(factors, factors, rng=0, train=500, evaluate=500)
    1.0
    """
    p = _parameters(protocol, overrides)
    rng = np.random.default_rng(rng)
    if p["factor_bins"] is not None:
        factors = binned(as_numbers(factors, len(codes)), p["factor_bins"])
    x, y = z_diff(codes, factors, p["train"] + p["evaluate"], p["pairs"], rng, values=p["values"])
    share = 1 / len(_usable(*levels(as_factors(factors, len(codes)))))
    if share == 1:
        return 1.0
    cut = p["train"]
    if p["standardise"]:
        x = _standardised(x, x[:cut])
    if np.max(x) > _LARGEST:
        raise ValueError(
            f"codes must differ by less than {_LARGEST:g} for a classifier that is not told to "
            f"standardise; they differ by {np.max(x):g}"
        )
    accuracy = _accuracy(x[:cut], y[:cut], x[cut:], y[cut:], p["C"], p["max_iter"])
    return (accuracy - share) / (1 - share) if p["rescale"] else accuracy


def z_diff(
    codes: Array,
    factors: Any,
    points: int,
    pairs: int,
    rng: np.random.Generator | int,
    *,
    values: str = "rows",
) -> tuple[Float, Index]:
    r"""Draw the points that the classifier sees: mean differences of pairs that share a factor.

    .. math:: x = \frac1L \sum_{l=1}^L |z^{1l} - z^{2l}|, \quad v_y^{1l} = v_y^{2l},
        \quad y \sim \text{uniform}

    Parameters
    ----------
    codes : array, shape (n, d)
    factors : array, shape (n, K) or (n,)
        Each value is a class. Constant factors, and factors without a value that two rows have,
        do not occur as y.
    points : int
    pairs : int
        L. Each pair draws a value of factor y of its own, and two different rows that have it.
    rng : numpy.random.Generator or int
    values : {"rows", "values"}
        Whether a value is drawn as often as rows have it, or each value alike.

    Returns
    -------
    features : array, shape (points, d)
        In the unit of the codes, at least 0; exact to about 1e-6 of the largest centred code.
    labels : array, shape (points,)
        The column y of the factors.

    Raises
    ------
    ValueError
        On arrays that do not belong together, on codes and factors that are not finite, when no
        factor can be used, and on counts below 1.

    Notes
    -----
    Higgins et al. (2017), section 3; the pairs of Appendix C.

    Examples
    --------
    >>> import numpy as np
    >>> factors = np.stack(np.divmod(np.arange(12), 4), axis=1)
    >>> x, y = z_diff(factors, factors, 4, 8, rng=0)
    >>> bool(np.all(x[np.arange(4), y] == 0))
    True
    """
    for name, number in (("points", points), ("pairs", pairs)):
        if number < 1:
            raise ValueError(f"{name} must be at least 1; got {number}")
    if values not in ("rows", "values"):
        raise ValueError(f"values must be rows or values; got {values!r}")
    z = as_codes(codes)
    numbers, counts = levels(as_factors(factors, len(z)))
    usable = _usable(numbers, counts)
    rng = np.random.default_rng(rng)
    labels = usable[rng.integers(len(usable), size=points)]
    scaled, exponent = _single(z)
    features = np.empty((points, z.shape[1]), dtype=np.float32)
    block = max(1, _BLOCK // pairs)
    for k in usable:
        order = np.argsort(numbers[:, k], kind="stable")
        group = np.flatnonzero(counts[k] > 1)
        first, size = (np.cumsum(counts[k]) - counts[k])[group], counts[k][group]
        for rows in _blocks(np.flatnonzero(labels == k), block):
            one, two = _pairs(first, size, len(rows) * pairs, values, rng)
            difference = scaled.take(order.take(one), axis=0)
            difference -= scaled.take(order.take(two), axis=0)
            np.abs(difference, out=difference)
            features[rows] = difference.reshape(len(rows), pairs, -1).sum(axis=1)
    return np.ldexp(features.astype(np.float64) / pairs, exponent), labels


def _pairs(
    first: Index, size: Index, count: int, values: str, rng: np.random.Generator
) -> tuple[Index, Index]:
    """Draw pairs of different places in groups of the given first places and sizes."""
    if values == "rows":
        ends = np.cumsum(size)
        place = rng.integers(ends[-1], size=count)
        group = np.repeat(np.arange(len(size)), size).take(place)
        offset = place - (ends - size).take(group)
    else:
        group = rng.integers(len(size), size=count)
        offset = (rng.random(count) * size.take(group)).astype(np.int64)
    other = (rng.random(count) * (size.take(group) - 1)).astype(np.int64)
    other += other >= offset
    start = first.take(group)
    return start + offset, start + other


def _blocks(rows: Index, block: int) -> Iterator[Index]:
    for start in range(0, len(rows), block):
        yield rows[start : start + block]


def _usable(numbers: Index, counts: list[Index]) -> Index:
    """Return the columns that vary and have a value that two rows share."""
    usable = [k for k, count in enumerate(counts) if len(count) > 1 and np.max(count) > 1]
    if not usable:
        raise ValueError(
            "factors must have a column that varies and in which two rows share a value; none of "
            f"the {len(counts)} columns does over {len(numbers)} rows (continuous factors need "
            "bins)"
        )
    return np.array(usable)


def _single(z: Float) -> tuple[np.ndarray[Any, np.dtype[np.float32]], Index]:
    """Centre the codes and scale each by a power of two, so that float32 is enough for them."""
    z = np.ldexp(z, -2)
    centred = z - z.mean(axis=0)
    exponent = np.frexp(np.max(np.abs(centred), axis=0))[1]
    return np.ldexp(centred, -exponent).astype(np.float32), exponent + 2


def _standardised(x: Float, like: Float) -> Float:
    """Shift and scale each column so that `like` has mean 0 and variance 1; constants to 0."""
    top = np.max(x, axis=0)
    top = np.where(top > 0, top, 1.0)  # so that no square leaves the range of the floats
    x, like = x / top, like / top
    sd = like.std(axis=0)
    return np.asarray((x - like.mean(axis=0)) / np.where(sd > 0, sd, 1.0))


def _accuracy(x: Float, y: Index, x_new: Float, y_new: Index, c: float, max_iter: int) -> float:
    """Fit a logistic regression to (x, y) and return its accuracy on (x_new, y_new)."""
    if np.all(y == y[0]):
        return float(np.mean(y_new == y[0]))
    from sklearn.exceptions import ConvergenceWarning  # type: ignore[import-untyped]
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the protocol says when to stop
        model = LogisticRegression(C=c, max_iter=max_iter).fit(x, y)
    return float(np.mean(model.predict(x_new) == y_new))


def _parameters(protocol: str, overrides: dict[str, Any]) -> dict[str, Any]:
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol must be one of {', '.join(PROTOCOLS)}; got {protocol!r}")
    known = PROTOCOLS[protocol]
    for name, value in overrides.items():
        if name not in known:
            raise ValueError(f"no parameter is called {name!r}; there is {', '.join(known)}")
        positive = name in ("pairs", "train", "evaluate", "max_iter", "C")
        if (positive or (name == "factor_bins" and value is not None)) and not value > 0:
            raise ValueError(f"{name} must be positive; got {value}")
    return known | overrides
