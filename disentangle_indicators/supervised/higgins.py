"""The metric of Higgins et al. (2017): a linear classifier names the factor that was fixed."""

import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from disentangle_indicators._array import Array, Float, as_codes, generator
from disentangle_indicators._binning import Index
from disentangle_indicators._errors import Undefined
from disentangle_indicators.factors import Factors, as_table
from disentangle_indicators.supervised import _groups
from disentangle_indicators.supervised._metric import Metric, Outcome, measure, one_of

__all__ = ["METRIC", "PROTOCOLS", "higgins", "z_diff"]

PROTOCOLS: dict[str, dict[str, Any]] = {
    "default": {
        "pairs": 64,
        "train": 10_000,
        "evaluate": 5_000,
        "C": 1e6,
        "max_iter": 10_000,
        "standardise": True,
        "rescale": False,
        "values": "rows",
        "factor_bins": None,
        "held_out": 1 / 3,
    },
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
        "held_out": 0.0,
    },
    "locatello2019": {
        "pairs": 64,
        "train": 10_000,
        "evaluate": 5_000,
        "C": 1.0,
        "max_iter": 100,
        "standardise": False,
        "rescale": False,
        "values": "rows",
        "factor_bins": None,
        "held_out": 0.0,
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
        "held_out": 0.0,
    },
}
"""Parameters by name; :func:`higgins` says what each one means and `SOURCES` where it is from."""

SOURCES = {
    "default": "Higgins et al. (2017), with a classifier that is fitted until it converges and "
    "does not see the scale of the codes; its accuracy is over a third of the rows, from which it "
    "was not fitted, so that codes without information score 1/K at any n",
    "higgins2017": "Higgins et al. (2017), section 3, on arrays: a linear classifier without a "
    "penalty, trained until it converges; their figures drop the lower half of all scores, and "
    "this drops none",
    "locatello2019": "disentanglement_lib, as a variant for fixed data: both rows of a pair are "
    "drawn from those at hand, where a simulator drew fresh ones",
    "ubisoft": "Carbonneau et al. (2022), with the settings of their experiments; both rows of a "
    "pair are drawn at random, where they took reshuffled halves of the rows with a value: for one "
    "pair that is the same law",
}

Single = NDArray[np.float32]

_LARGEST = 1e20
_BLOCK = 1 << 14
"""Pairs that are gathered at a time, so that they stay in the cache."""


def higgins(
    codes: Array,
    factors: Any,
    *,
    rng: np.random.Generator | int = 0,
    protocol: str = "default",
    **overrides: Any,
) -> float:
    r"""Accuracy with which a linear classifier names the factor that pairs of rows share.

    .. math:: \frac1{|E|} \sum_{(x, y) \in E} 1\big[\arg\max_k (w_k^\top x + b_k) = y\big]

    where the points x are those of :func:`z_diff`, and w, b are fitted to other such points.

    Parameters
    ----------
    codes : array, shape (n, d)
        On their own scale: a penalised classifier sees the scale.
    factors : array, shape (n, K) or (n,)
        As :func:`~disentangle_indicators.supervised.as_table` takes them; each value is a class,
        and continuous factors are put in 20 bins. Values with a single row are not used; constant
        factors are left out. A row without a value of a factor is in no pair that shares it.
    rng : numpy.random.Generator or int
        The same seed gives the same number.
    protocol : {"default", "higgins2017", "locatello2019", "ubisoft"}
        A set of parameters in `PROTOCOLS`.
    **overrides
        Parameters that differ from the protocol's:

        - pairs: L, over which a point averages.
        - train, evaluate: points for the classifier, and for its accuracy.
        - C, max_iter: of scikit-learn's LogisticRegression, converged or not.
        - standardise: points to mean 0 and variance 1 first, which matters only to a penalty and
          to the path of the optimiser.
        - rescale: (accuracy - 1/K) / (1 - 1/K) in place of the accuracy, for K classes.
        - values: "rows" takes a value as often as rows have it, "values" each alike.
        - factor_bins: equal-width bins of each factor, or None to take its values as they are, and
          20 bins of equal counts for a continuous one.
        - held_out: share of the rows, drawn anew, that only the points which score are from.

    Returns
    -------
    float
        The accuracy, between 0 and 1; chance is 1/K. With `rescale` chance is 0, and less is
        possible.

    Raises
    ------
    ValueError
        On arrays that do not belong together, on codes that are not finite, and on parameters out
        of range.
    Undefined
        With fewer than two factors, when a factor has no value that two rows share (in both parts
        of the rows, if some are held out; without it K and chance would be others), and on codes
        so large that the classifier cannot be fitted to them as they are.

    Notes
    -----
    Higgins et al. (2017), section 3, on arrays: both rows of a pair are drawn from those at hand,
    so the other factors vary as they do there. It rewards codes in which some direction stands
    still when a factor does. It is blind to one factor that no latent captures, and with many
    pairs also to rotations: :func:`~disentangle_indicators.rotation.higgins_law` says how many.

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
    return measure(METRIC, codes, factors, rng=rng, protocol=protocol, **overrides).value


def z_diff(
    codes: Array,
    factors: Any,
    points: int,
    pairs: int,
    rng: np.random.Generator | int = 0,
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
        On arrays that do not belong together, on codes that are not finite, and on counts below 1.
    Undefined
        When no factor can be used.

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
    one_of("values", values, _groups.VALUES)
    z = as_codes(codes)
    table = as_table(factors, len(z))
    usable = [k for k in table.varying if _groups.repeats(table.levels(k))]
    if not usable:
        raise Undefined(
            "factors must have a column that varies and in which two rows share a value; none of "
            f"the {table.number} columns does over {len(z)} rows"
        )
    rng = generator(rng)
    labels = np.array(usable)[rng.integers(len(usable), size=points)]
    groups = {k: _groups.groups_of(table.levels(k)) for k in usable}
    scaled, exponent = _single(z)
    features = np.empty((points, z.shape[1]), dtype=np.float32)
    _fill(features, labels, scaled, groups, pairs, values, rng)
    return np.ldexp(features.astype(np.float64) / pairs, exponent), labels


class _Shared(NamedTuple):
    """The classes of each factor, and the powers of two that scale the codes."""

    classes: _groups.Classes
    exponent: Index


def _prepare(z: Float, factors: Factors, p: dict[str, Any]) -> tuple[Single, _Shared]:
    for name in ("pairs", "train", "evaluate", "max_iter", "C", "factor_bins"):
        if p[name] is not None and not p[name] > 0:
            raise ValueError(f"{name} must be positive; got {p[name]}")
    _groups.check(p)
    scaled, exponent = _single(z)
    labels = [factors.labels(k, p["factor_bins"]) for k in range(factors.number)]
    return scaled, _Shared(_groups.Classes(labels, factors.names), exponent)


def _compute(
    codes: Single, shared: _Shared, p: dict[str, Any], rng: np.random.Generator
) -> Outcome:
    points, cut, number = p["train"] + p["evaluate"], p["train"], len(shared.classes.names)
    parts = _groups.parts(len(codes), cut, points, p["held_out"], rng)
    _groups.check_shared(shared.classes, [part.rows for part in parts])
    y = rng.integers(number, size=points)
    features = np.empty((points, codes.shape[1]), dtype=np.float32)
    for part in parts:
        groups = {
            k: _groups.groups_of(label, part.rows) for k, label in enumerate(shared.classes.labels)
        }
        _fill(features[part.points], y[part.points], codes, groups, p["pairs"], p["values"], rng)
    x = np.ldexp(features.astype(np.float64) / p["pairs"], shared.exponent)
    if p["standardise"]:
        x = _standardised(x, x[:cut])
    if np.max(x) > _LARGEST:
        raise Undefined(
            f"codes must differ by less than {_LARGEST:g} for a classifier that is not told to "
            f"standardise; they differ by {np.max(x):g}"
        )
    right = _predicted(x[:cut], y[:cut], x[cut:], p["C"], p["max_iter"]) == y[cut:]
    recall = np.bincount(y[cut:], right, number) / np.maximum(
        np.bincount(y[cut:], None, number), 1
    )
    share, accuracy = 1 / number, float(np.mean(right))
    return Outcome(
        (accuracy - share) / (1 - share) if p["rescale"] else accuracy,
        per_factor=recall,
        per_factor_name="recall",
        matrix=_stillness(features, y, number),
        matrix_name="mean difference of pairs that share the factor, per its mean over factors",
    )


def _stillness(features: Single, y: Index, number: int) -> Float:
    """Return the mean of each feature (d, K) where a factor is shared, over its mean; else 1."""
    found = np.ones((features.shape[1], number))
    for k in np.unique(y):
        found[:, k] = features[y == k].mean(axis=0, dtype=np.float64)
    mean = found[:, np.unique(y)].mean(axis=1, keepdims=True)
    found[:, np.unique(y)] /= np.where(mean > 0, mean, 1.0)
    return found


def _fill(
    features: Single,
    labels: Index,
    scaled: Single,
    groups: dict[int, _groups.Groups],
    pairs: int,
    values: str,
    rng: np.random.Generator,
) -> None:
    """Write the sum of |z1 - z2| over pairs that share factor labels[i] to each row i."""
    block = max(1, _BLOCK // pairs)
    for k, (order, first, size) in groups.items():
        for rows in _blocks(np.flatnonzero(labels == k), block):
            one, two = _pairs(first, size, len(rows) * pairs, values, rng)
            difference = scaled.take(order.take(one), axis=0)
            difference -= scaled.take(order.take(two), axis=0)
            np.abs(difference, out=difference)
            features[rows] = difference.reshape(len(rows), pairs, -1).sum(axis=1)


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


def _single(z: Float) -> tuple[Single, Index]:
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


def _predicted(x: Float, y: Index, x_new: Float, c: float, max_iter: int) -> Index:
    """Fit a logistic regression to (x, y) and return the classes that it gives x_new."""
    if np.all(y == y[0]):
        return np.full(len(x_new), y[0])
    from sklearn.exceptions import ConvergenceWarning  # type: ignore[import-untyped]
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the protocol says when to stop
        model = LogisticRegression(C=c, max_iter=max_iter).fit(x, y)
    return np.asarray(model.predict(x_new))


def _accuracy(x: Float, y: Index, x_new: Float, y_new: Index, c: float, max_iter: int) -> float:
    """Fit a logistic regression to (x, y) and return its accuracy on (x_new, y_new)."""
    return float(np.mean(_predicted(x, y, x_new, c, max_iter) == y_new))


METRIC = Metric(
    "higgins",
    "Higgins metric (beta-VAE score, z-diff)",
    _compute,
    PROTOCOLS,
    "how often a linear classifier names the factor that pairs of rows share; chance is one by "
    "the number of factors, and one factor that no latent captures costs nothing",
    SOURCES,
    ranges={"ubisoft": (-1.0, 1.0)},
    refits=tuple(PROTOCOLS),
    prepare=_prepare,
    choices={"values": _groups.VALUES},
)
