"""The metric of Kim et al. (2019): the latent that varies most names the factor left free."""

from typing import Any, NamedTuple

import numpy as np

from disentangle_indicators._array import Array, Float
from disentangle_indicators._binning import Index
from disentangle_indicators._errors import Undefined
from disentangle_indicators.factors import Factors
from disentangle_indicators.supervised import _groups
from disentangle_indicators.supervised._metric import Metric, Outcome, measure

__all__ = ["METRIC", "rf_vae"]

PROTOCOLS: dict[str, dict[str, Any]] = {
    "default": {
        "batch": 64,
        "pool": 8,
        "scale": "batches",
        "train": 10_000,
        "evaluate": 5_000,
        "least_sd": 0.0,
        "rescale": False,
        "values": "rows",
        "draw": "passes",
        "factor_bins": None,
        "varies": True,
        "held_out": 1 / 2,
    },
    "ubisoft": {
        "batch": 200,
        "pool": 1,
        "scale": "rows",
        "train": 800,
        "evaluate": 800,
        "least_sd": 0.02,
        "rescale": True,
        "values": "values",
        "draw": "passes",
        "factor_bins": 10,
        "varies": False,
        "held_out": 0.0,
    },
}

SOURCES = {
    "default": "Kim et al. (2019), on arrays, which are sparse: a batch pools 8 combinations in "
    "which the free factor does vary, and each latent is compared with its own typical variance in "
    "batches, so that latents of noise do not win; the votes that score come from half of the "
    "rows, which the votes that train have not seen; only constant latents are left out",
    "ubisoft": "Carbonneau et al. (2022), with the settings of their experiments; another stream "
    "of random numbers, and variances over all rows, where 10,000 drawn ones gave them",
}


def rf_vae(
    codes: Array,
    factors: Any,
    *,
    rng: np.random.Generator | int = 0,
    protocol: str = "default",
    **overrides: Any,
) -> float:
    r"""Accuracy with which the latent of greatest variance names the factor that is left free.

    .. math:: \frac1{|E|} \sum_{(h, y) \in E} 1\big[\arg\max_k V_{hk} = y\big], \qquad
        h = \arg\max_j \frac{\operatorname{var}_{\text{batch}}(z_j)}{\operatorname{var}(z_j)}

    where the rows of a batch share the values of all factors but one, y, :math:`V_{hk}` counts the
    batches for training that leave factor k free and vote for latent h, and E are other batches.

    Parameters
    ----------
    codes : array, shape (n, d)
        Constant latents do not vote.
    factors : array, shape (n, K) or (n,)
        As :func:`~disentangle_indicators.supervised.as_table` takes them; each value is a class,
        and continuous factors are put in 20 bins. Only rows with a value of every factor are used.
        Constant factors are left out.
    rng : numpy.random.Generator or int
        The same seed gives the same number.
    protocol : {"default", "ubisoft"}
    **overrides
        Parameters that differ from the protocol's:

        - batch: L, rows in a batch, with the same values of all factors but one.
        - pool: combinations of values of which a batch takes L / pool rows each; the variance is
          the mean of theirs.
        - train, evaluate: votes for the majority, and for its accuracy.
        - least_sd: leave out latents with a smaller standard deviation, in the unit of the codes.
        - rescale: (accuracy - 1/K) / (1 - 1/K) in place of the accuracy, for K classes.
        - values: "rows" takes a combination of values as often as rows have it, "values" each
          alike.
        - draw: "independent" takes rows with replacement; "passes" takes whole reshuffled passes
          through the rows of a combination, often few, and cuts them in batches.
        - scale: var(z_j) over all "rows"; or the typical variance in "batches", the median over the
          batches for training, averaged over factors, so that latents which no factor moves have a
          ratio of 1 in any batch, and those that one factor moves up to K when it is free.
        - factor_bins: equal-width bins of each factor, or None to take its values as they are, and
          20 bins of equal counts for a continuous one.
        - varies: use only combinations in whose rows the free factor has two values.
        - held_out: share of the rows, drawn anew, that only the votes which score are from.

    Returns
    -------
    float
        The accuracy, between 0 and 1; chance is 1/K. With `rescale` chance is 0, and less is
        possible. Where every latent is left out, all votes are the same, which is chance.

    Raises
    ------
    ValueError
        On arrays that do not belong together, on codes that are not finite, and on parameters out
        of range.
    Undefined
        With fewer than two factors, and when for one of them no rows share the values of all
        others (in both parts of the rows, if some are held out): without it K and chance would be
        others.

    Notes
    -----
    Kim et al. (2019), the metric of their "Relevance Factor VAE"; Carbonneau et al. (2022) call it
    z-max-var. It rewards a latent that only one factor moves. It says nothing of a factor that two
    latents share. As they define it, with the variance over all rows, a latent of noise varies as
    much in every batch as any latent can: a perfect code with five of them scores 0.4. It needs
    rows that agree in all factors but one: on a sparse table it rests on a few of them.

    Examples
    --------
    >>> import numpy as np
    >>> factors = np.random.default_rng(0).integers(4, size=(500, 3))
    >>> rf_vae(factors, factors), rf_vae(factors, factors, protocol="ubisoft")
    (1.0, 1.0)
    """
    return measure(METRIC, codes, factors, rng=rng, protocol=protocol, **overrides).value


class _Tables(NamedTuple):
    """Of each factor, its classes and the combinations of the others, for each row; -1 for none."""

    labels: list[Index]
    combinations: list[Index]
    names: tuple[str, ...]


def _prepare(z: Float, factors: Factors, p: dict[str, Any]) -> tuple[Float, _Tables]:
    _groups.check(p, pool=1, batch=2 * p["pool"], train=1, evaluate=1, least_sd=0, factor_bins=1)
    labels = [factors.labels(k, p["factor_bins"]) for k in range(factors.number)]
    return z, _Tables(labels, _groups.others(labels), factors.names)


def _compute(
    codes: Float, tables: _Tables, p: dict[str, Any], rng: np.random.Generator
) -> Outcome:
    z, active, spread = _groups.active(codes, p["least_sd"])
    points, pool = p["train"] + p["evaluate"], p["pool"]
    parts = _groups.parts(len(z), p["train"], points, p["held_out"], rng)
    groups = [_groups_per_factor(tables, part.rows, p["varies"]) for part in parts]
    _check_shared(groups, tables)
    number = len(tables.names)
    y = rng.integers(number, size=points)
    variance = np.zeros((points, len(active)))
    for part, of_factor in zip(parts, groups, strict=True):
        for k in range(number):
            rows = np.flatnonzero(y[part.points] == k) + (part.points.start or 0)
            chosen = _groups.choose(of_factor[k], len(rows) * pool, p["values"], rng)
            batches = _groups.places(of_factor[k], chosen, p["batch"] // pool, p["draw"], rng)
            each = _groups.variances(_groups.centred(z, of_factor[k]), batches)
            variance[rows] = each.reshape(len(rows), pool, -1).mean(axis=1)
    if p["scale"] == "batches":
        spread = _typical(variance[: p["train"]], y[: p["train"]])
    ratio = variance / np.where(spread > 0, spread, 1.0)
    votes = ratio.argmax(axis=1) if len(active) else np.zeros(points, dtype=np.int64)
    found = _groups.count_votes(votes, y, p["train"], max(len(active), 1), number)
    return _groups.outcome(found, active, codes.shape[1], p["rescale"])


def _groups_per_factor(tables: _Tables, rows: Index, varies: bool) -> list[_groups.Groups]:
    """Return, for each factor, the rows that share all others; if asked, where it differs."""
    found = []
    for label, combination in zip(tables.labels, tables.combinations, strict=True):
        groups = _groups.groups_of(combination, rows)
        if varies and len(groups.size):
            ordered = label[groups.order]
            low, high = (f.reduceat(ordered, groups.first) for f in (np.minimum, np.maximum))
            groups = _groups.keep(groups, low < high)
        found.append(groups)
    return found


def _check_shared(groups: list[list[_groups.Groups]], tables: _Tables) -> None:
    """Refuse one factor alone, and one for which no rows share all others in one of the parts."""
    _groups.check_several(tables.names)
    shared = np.array([[int(each.size.sum()) for each in part] for part in groups])
    lacking = [tables.names[k] for k in np.flatnonzero(shared.min(axis=0) == 0)]
    if lacking:
        complete = int(np.sum(np.min(tables.labels, axis=0) >= 0))
        raise Undefined(
            "factors must have rows that share the values of all factors but one; of the "
            f"{complete} rows with a value of every factor none do for {', '.join(lacking)}"
            + (" in one part of the rows" if len(groups) > 1 else "")
        )


def _typical(variance: Float, y: Index) -> Float:
    """Return the median over batches, or where that is 0 the mean, averaged over free factors."""
    of_factors = [variance[y == k] for k in np.unique(y)]
    middle = np.mean([np.median(each, axis=0) for each in of_factors], axis=0)
    average = np.mean([each.mean(axis=0) for each in of_factors], axis=0)
    return np.asarray(np.where(middle > 0, middle, average))


METRIC = Metric(
    "rf_vae",
    "RF-VAE score (z-max-var)",
    _compute,
    PROTOCOLS,
    "how often the latent that varies most names the one factor that a batch leaves free; chance "
    "is one by the number of factors, and it rests on rows that agree in all other factors",
    SOURCES,
    ranges={"ubisoft": (-1.0, 1.0)},
    prepare=_prepare,
    choices={"scale": ("rows", "batches"), "values": _groups.VALUES, "draw": _groups.DRAWS},
)
