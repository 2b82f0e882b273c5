"""DCI: disentanglement, completeness and informativeness by how much regressors use latents."""

import warnings
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from disentangle_indicators._array import Array, Float
from disentangle_indicators._binning import Index
from disentangle_indicators._errors import Undefined
from disentangle_indicators.factors import Factors
from disentangle_indicators.supervised._metric import Metric, Outcome, measure
from disentangle_indicators.supervised._softmax import scaled
from disentangle_indicators.supervised._splits import ORDERS, splits

__all__ = ["METRIC", "dci", "disentanglement"]

PROTOCOLS: dict[str, dict[str, Any]] = {
    "default": {
        "model": "extra-trees",
        "trees": 25,
        "depth": None,
        "leaf": 5,
        "deviations": 4.0,
        "alphas": None,
        "scale": "ranks",
        "train": 10_000,
        "test": 5_000,
        "order": "shuffled",
    },
    "locatello2019": {
        "model": "boosting",
        "trees": 100,
        "depth": 3,
        "leaf": 1,
        "deviations": 0.0,
        "alphas": None,
        "scale": "raw",
        "train": 10_000,
        "test": 5_000,
        "order": "shuffled",
    },
    "eastwood2018-lasso": {
        "model": "lasso",
        "trees": None,
        "depth": None,
        "leaf": None,
        "deviations": 0.0,
        "alphas": (0.02,),
        "scale": "standard",
        "train": 10_000,
        "test": 5_000,
        "order": "shuffled",
    },
    "eastwood2018-forest": {
        "model": "forest",
        "trees": 10,
        "depth": 8,
        "leaf": 1,
        "deviations": 0.0,
        "alphas": None,
        "scale": "standard",
        "train": 10_000,
        "test": 5_000,
        "order": "shuffled",
    },
    "ubisoft-lasso": {
        "model": "lasso",
        "trees": None,
        "depth": None,
        "leaf": None,
        "deviations": 0.0,
        "alphas": (1e-4, 1e-3, 0.01, 0.1, 0.2, 0.4, 0.8, 1.0),
        "scale": "range",
        "train": None,
        "test": 0,
        "order": "as given",
    },
    "lightgbm": {
        "model": "lightgbm",
        "trees": 100,
        "depth": None,
        "leaf": 20,
        "deviations": 0.0,
        "alphas": None,
        "scale": "raw",
        "train": 10_000,
        "test": 5_000,
        "order": "shuffled",
    },
}

SOURCES = {
    "default": "Eastwood and Williams (2018), with extremely randomised trees on ranks of latents. "
    "An importance is the share of a factor's variance that splits on the latent explain on rows "
    "left out (Li et al., 2019), and 0 within 4 standard errors: splits on noise, which the usual "
    "importance counts, explain nothing there. Fast, seeded, for factors of all kinds",
    "locatello2019": "disentanglement_lib: scikit-learn's GradientBoostingClassifier as it is, a "
    "tree for each value and round, which takes minutes; seeded, where it was not; informativeness "
    "is the accuracy",
    "eastwood2018-lasso": "Eastwood and Williams (2018): Lasso with alpha 0.02, everything "
    "standardised; informativeness is 1 - NRMSE, where they print NRMSE",
    "eastwood2018-forest": "Eastwood and Williams (2018): random forests of 10 trees, of depth 8 "
    "where they choose it for each factor; informativeness is 1 - NRMSE, where they print NRMSE",
    "ubisoft-lasso": "Carbonneau et al. (2022): Lasso between 0 and 1, alpha by 10-fold "
    "cross-validation, scored on the rows it is fitted on; informativeness is 1 - 12 MSE. Their "
    "loop ends at the first latent without weight, which leaves out all later ones; this one goes "
    "on",
    "lightgbm": "As locatello2019, with LightGBM's classifier and its gain as importance, in a "
    "fraction of the time; scores differ (disent offers it too, with counts of splits)",
}

_MODELS = ("extra-trees", "boosting", "lasso", "forest", "lightgbm")
_LARGEST = 1e30


def dci(
    codes: Array,
    factors: Any,
    *,
    rng: np.random.Generator | int = 0,
    protocol: str = "default",
    **overrides: Any,
) -> float:
    r"""Disentanglement, with completeness and informativeness as its parts.

    .. math:: D = \sum_h \rho_h \Big(1 - H_K\big(R_{h\cdot} / \textstyle\sum_k R_{hk}\big)\Big),
        \qquad \rho_h = \frac{\sum_k R_{hk}}{\sum_{hk} R_{hk}}, \qquad
        C = \frac1K \sum_k \Big(1 - H_d\big(R_{\cdot k} / \textstyle\sum_h R_{hk}\big)\Big)

    where :math:`R_{hk}` is how much a regressor of factor k uses latent h, and the entropies are in
    base K and d.

    Parameters
    ----------
    codes : array, shape (n, d)
        With one latent completeness is the share of factors that use it.
    factors : array, shape (n, K) or (n,)
        As :func:`~disentangle_indicators.supervised.as_table` takes them. Constant factors are
        left out, and so are rows without a value of the factor at hand. With one factor
        disentanglement is 1, if a latent is used. A factor that uses no latent is 0 complete.
    rng : numpy.random.Generator or int
        Shuffles the rows, and grows the trees.
    protocol : str
        "default", "locatello2019", "eastwood2018-lasso", "eastwood2018-forest", "ubisoft-lasso" or
        "lightgbm".
    **overrides
        Parameters that differ from the protocol's:

        - model: "extra-trees" regress on numbers, cosine and sine, or indicators of classes;
          "boosting" and "lightgbm" classify; "lasso" and "forest" regress on numbers as they are.
        - trees, depth, leaf: how many, how deep, and rows in a leaf at least.
        - deviations: standard errors within which an importance is 0, for "extra-trees".
        - alphas: penalties of "lasso"; of several the best of a 10-fold cross-validation.
        - scale: of codes, and of the factors for "lasso" and "forest": "ranks", "raw", "standard"
          or "range".
        - train, test, order: rows to fit on and rows to score, "shuffled" or "as given". Fewer
          rows than that are shared out in proportion; without test rows those for training are
          scored.

    Returns
    -------
    float
        Disentanglement, between 0 and 1, where 1 is best; 0 when no latent is used. So are the
        parts "completeness" and "informativeness". No unit.

    Raises
    ------
    ValueError
        On arrays that do not belong together, on codes that are not finite, and on parameters out
        of range.
    Undefined
        When all factors are constant, and when LightGBM is asked for and not installed.

    Notes
    -----
    Eastwood and Williams (2018), section 2. Disentanglement rewards latents that serve one factor,
    completeness factors served by one latent, informativeness predictions of the factors. Both of
    the former depend on K and d by the base of the logarithm, and on the regressor: trees that
    overfit use noise, so a perfect code with many unused latents scores less. Importances of one
    factor add up to 1 for all models but Lasso and "default", where a factor that cannot be
    predicted weighs little.

    Examples
    --------
    >>> import numpy as np
    >>> factors = np.stack(np.divmod(np.arange(600) % 12, 4), axis=1)
    >>> dci(factors, factors) > 0.99
    True
    """
    return measure(METRIC, codes, factors, rng=rng, protocol=protocol, **overrides).value


def disentanglement(importance: Any) -> tuple[float, Float, Float, Float]:
    """Return disentanglement from importances, that of each latent, its weight, completeness.

    Parameters
    ----------
    importance : array, shape (d, K)
        At least 0.

    Returns
    -------
    value : float
    per_latent : array, shape (d,)
        0 for a latent that is not used.
    weights : array, shape (d,)
    completeness : array, shape (K,)
        0 for a factor that uses none.

    Notes
    -----
    Eastwood and Williams (2018), section 2.

    Examples
    --------
    >>> disentanglement([[0.5, 0.0], [0.5, 0.5]])[0]
    0.3333333333333333
    """
    r = np.asarray(importance, dtype=np.float64)
    total = float(r.sum())
    per_latent, completeness = _one_minus_entropy(r), _one_minus_entropy(r.T)
    weights = r.sum(axis=1) / (total if total > 0 else 1.0)
    return float(per_latent @ weights), per_latent, weights, completeness


def _one_minus_entropy(r: Float) -> Float:
    total = r.sum(axis=1, keepdims=True)
    p = r / np.where(total > 0, total, 1.0)
    entropy = -np.sum(p * np.log(np.where(p > 0, p, 1.0)), axis=1) / np.log(max(r.shape[1], 2))
    return np.asarray(np.where(total[:, 0] > 0, np.clip(1 - entropy, 0.0, 1.0), 0.0))


class _Task(NamedTuple):
    """A regression of factor k, which has classes `label`, on codes z: fitted on rows `train`."""

    z: Float
    factors: Factors
    k: int
    label: Index
    train: Index
    test: Index
    p: dict[str, Any]
    seed: int


def _prepare(z: Float, factors: Factors, p: dict[str, Any]) -> tuple[Float, Any]:
    labels = [factors.labels(k) for k in range(factors.number)]
    if p["scale"] == "ranks":
        from scipy.stats import rankdata

        z = np.asarray(rankdata(z, axis=0))
    elif p["scale"] == "raw":  # trees take float32, and its range
        largest = np.abs(z).max(axis=0)
        z = z / np.where(largest > _LARGEST, largest, 1.0)
    return z, (factors, labels)


def _compute(
    z: Float,
    prepared: tuple[Factors, list[Index]],
    p: dict[str, Any],
    rng: np.random.Generator,
) -> Outcome:
    factors, labels = prepared
    model = _FITS[p["model"]]
    columns, informative = [], []
    for k, (train, test) in enumerate(splits(factors, p, rng)):
        seed = int(rng.integers(2**31 - 1))
        used, well = model(_Task(z, factors, k, labels[k], train, test, p, seed))
        columns.append(used)
        informative.append(well)
    importance = np.stack(columns, axis=1)
    value, per_latent, _, complete = disentanglement(importance)
    return Outcome(
        value,
        {
            "completeness": float(complete.mean()),
            "informativeness": float(np.mean(informative)),
        },
        per_factor=complete,
        per_factor_name="completeness",
        per_latent=per_latent,
        matrix=importance,
        matrix_name="importance of z_h for v_k",
    )


def _extra_trees(t: _Task) -> tuple[Float, float]:
    from sklearn.ensemble import ExtraTreesRegressor  # type: ignore[import-untyped]

    target = t.factors.targets(t.k)
    if t.factors.kinds[t.k] == "categorical":
        target = np.eye(int(t.label.max()) + 1)[t.label]
    scale = np.abs(target[t.train]).max()
    target = target / (scale if scale > 0 else 1.0)
    target = target - target[t.train].mean(axis=0)
    spread = np.sqrt(np.mean(np.sum(target[t.train] ** 2, axis=1)))
    target = target / (spread if spread > 0 else 1.0)
    forest = ExtraTreesRegressor(
        t.p["trees"], max_depth=t.p["depth"], min_samples_leaf=t.p["leaf"], random_state=t.seed
    )
    x = t.z.astype(np.float32)
    forest.fit(x[t.train], target[t.train] if target.shape[1] > 1 else target[t.train, 0])
    x, truth = x[t.test], target[t.test]
    centred = truth - truth.mean(axis=0)
    gains, predicted = np.zeros((len(x), t.z.shape[1])), np.zeros_like(truth)
    for tree in forest.estimators_:
        step, feature, value = _splits_of(tree.tree_)
        path = tree.tree_.decision_path(x)
        row = np.repeat(np.arange(len(x)), np.diff(path.indptr))
        gain = np.einsum("ij,ij->i", step[path.indices], centred[row])
        flat = np.bincount(row * t.z.shape[1] + feature[path.indices], gain, gains.size)
        gains += flat.reshape(gains.shape) / len(forest.estimators_)
        predicted += value[tree.tree_.apply(x)] / len(forest.estimators_)
    mean = gains.mean(axis=0)
    doubt = t.p["deviations"] * gains.std(axis=0) / np.sqrt(len(x))
    error, variance = np.sum((truth - predicted) ** 2), np.sum(truth**2)
    well = max(0.0, 1 - float(error / variance)) if variance > 0 else 0.0
    return np.where(mean > np.maximum(doubt, 1e-12), mean, 0.0), well


def _splits_of(tree: Any) -> tuple[Float, Index, Float]:
    """Return for each node how far it moves the prediction, by which feature, and to where."""
    value = tree.value[:, :, 0]
    inner = np.flatnonzero(tree.children_left >= 0)
    parent = np.zeros(tree.node_count, dtype=np.int64)
    parent[tree.children_left[inner]] = inner
    parent[tree.children_right[inner]] = inner
    step = value - value[parent]  # 0 at the root
    return step, np.maximum(tree.feature[parent], 0), value


def _boosting(t: _Task) -> tuple[Float, float]:
    from sklearn.ensemble import GradientBoostingClassifier

    classifier = GradientBoostingClassifier(
        n_estimators=t.p["trees"],
        max_depth=t.p["depth"],
        min_samples_leaf=t.p["leaf"],
        random_state=t.seed,
    )
    return _classified(classifier, t)


def _lightgbm(t: _Task) -> tuple[Float, float]:
    try:
        lightgbm = import_module("lightgbm")
    except ImportError as error:
        raise Undefined(
            "model lightgbm needs LightGBM (pip install 'disentangle-indicators[lightgbm]')"
        ) from error
    classifier = lightgbm.LGBMClassifier(
        n_estimators=t.p["trees"],
        max_depth=-1 if t.p["depth"] is None else t.p["depth"],
        min_child_samples=t.p["leaf"],
        importance_type="gain",
        random_state=t.seed,
        deterministic=True,
        n_jobs=1,
        verbose=-1,
    )
    return _classified(classifier, t)


def _classified(classifier: Any, t: _Task) -> tuple[Float, float]:
    seen, y = np.unique(t.label[t.train], return_inverse=True)
    if len(seen) == 1:
        return np.zeros(t.z.shape[1]), float(np.mean(t.label[t.test] == seen[0]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of few rows for so many classes
        classifier.fit(t.z[t.train], y.reshape(-1))
    importance = np.asarray(classifier.feature_importances_, dtype=np.float64)
    total = importance.sum()
    right = np.mean(seen[classifier.predict(t.z[t.test])] == t.label[t.test])
    return importance / (total if total > 0 else 1.0), float(right)


def _forest(t: _Task) -> tuple[Float, float]:
    from sklearn.ensemble import RandomForestRegressor

    x, y = _numbers(t)
    forest = RandomForestRegressor(
        t.p["trees"], max_depth=t.p["depth"], min_samples_leaf=t.p["leaf"], random_state=t.seed
    )
    forest.fit(x[t.train], y[t.train])
    importance = np.maximum(forest.feature_importances_, 0.0)
    return importance, _without_error(y, forest.predict(x[t.test]), t)


def _lasso(t: _Task) -> tuple[Float, float]:
    from sklearn.linear_model import Lasso  # type: ignore[import-untyped]

    if not t.p["alphas"] or min(t.p["alphas"]) <= 0:
        raise ValueError(f"alphas must be positive numbers; got {t.p['alphas']}")
    x, y = _numbers(t)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        best = _best_alpha(x[t.train], y[t.train], sorted(t.p["alphas"]))
        lasso = Lasso(alpha=best).fit(x[t.train], y[t.train])
    return np.abs(lasso.coef_), _without_error(y, lasso.predict(x[t.test]), t)


def _best_alpha(x: Float, y: Float, alphas: list[float]) -> float:
    """Return the alpha with the least squared error, summed over ten blocks of rows."""
    from sklearn.linear_model import lasso_path

    if len(alphas) == 1 or len(y) < 2:
        return float(alphas[0])
    errors = []
    for block in np.array_split(np.arange(len(y)), min(10, len(y))):
        kept = np.ones(len(y), dtype=bool)
        kept[block] = False
        x_mean, y_mean = x[kept].mean(axis=0), y[kept].mean()
        found, coefficients, _ = lasso_path(
            x[kept] - x_mean, y[kept] - y_mean, alphas=alphas, max_iter=5000, precompute=True
        )
        order = np.argsort(found)
        predicted = (x[block] - x_mean) @ coefficients[:, order] + y_mean
        errors.append(np.mean((predicted - y[block, None]) ** 2, axis=0))
    return float(alphas[int(np.argmin(np.mean(errors, axis=0)))])


def _numbers(t: _Task) -> tuple[Float, Float]:
    """Return codes and the numbers of a factor on the same scale; 0 where it has none."""
    if t.p["scale"] not in ("standard", "range"):
        raise ValueError(
            f"model {t.p['model']} needs the scale standard or range; got {t.p['scale']!r}"
        )
    values = np.nan_to_num(t.factors.values[:, t.k : t.k + 1], nan=0.0)
    return scaled(t.z, t.train, t.p["scale"]), scaled(values, t.train, t.p["scale"])[:, 0]


def _without_error(y: Float, predicted: Float, t: _Task) -> float:
    error = float(np.mean((y[t.test] - predicted) ** 2))
    if t.p["scale"] == "range":
        return max(0.0, 1 - 12 * error)
    spread = float(np.std(y[t.test]))
    return max(0.0, 1 - np.sqrt(error) / spread) if spread > 0 else 0.0


_FITS = {
    "extra-trees": _extra_trees,
    "boosting": _boosting,
    "lasso": _lasso,
    "forest": _forest,
    "lightgbm": _lightgbm,
}

METRIC = Metric(
    "dci",
    "Disentanglement, with completeness and informativeness",
    _compute,
    PROTOCOLS,
    "whether a latent that regressors of the factors use serves one factor only, whether a factor "
    "uses one latent (completeness), and how well factors are predicted (informativeness)",
    SOURCES,
    refits=tuple(PROTOCOLS),
    slow=("locatello2019",),
    prepare=_prepare,
    choices={"model": _MODELS, "scale": ("ranks", "raw", "standard", "range"), "order": ORDERS},
)
