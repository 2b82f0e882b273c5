"""The metric of Kim and Mnih (2018): the latent that varies least names the factor held fixed."""

from typing import Any

import numpy as np

from disentangle_indicators._array import Array, Float
from disentangle_indicators.factors import Factors
from disentangle_indicators.supervised import _groups
from disentangle_indicators.supervised._metric import Metric, Outcome, measure

__all__ = ["METRIC", "factor_vae"]

PROTOCOLS: dict[str, dict[str, Any]] = {
    "default": {
        "batch": 64,
        "train": 10_000,
        "evaluate": 5_000,
        "least_sd": 0.0,
        "rescale": False,
        "values": "rows",
        "draw": "independent",
        "factor_bins": None,
        "held_out": 1 / 3,
    },
    "locatello2019": {
        "batch": 64,
        "train": 10_000,
        "evaluate": 5_000,
        "least_sd": 0.05,
        "rescale": False,
        "values": "rows",
        "draw": "independent",
        "factor_bins": None,
        "held_out": 0.0,
    },
    "ubisoft": {
        "batch": 200,
        "train": 800,
        "evaluate": 800,
        "least_sd": 0.02,
        "rescale": True,
        "values": "values",
        "draw": "passes",
        "factor_bins": 10,
        "held_out": 0.0,
    },
}

SOURCES = {
    "default": "Kim and Mnih (2018), section 3, on arrays: the votes that score come from a third "
    "of the rows, which the votes that train have not seen, so that codes without information score "
    "1/K at any n; only constant latents are left out, so that the scale does not matter",
    "locatello2019": "disentanglement_lib, as a variant for fixed data: batches are drawn from the "
    "rows at hand, where a simulator drew fresh ones; variances over all rows, where 10,000 drawn "
    "ones gave them; without an active latent the score is chance, where it was 0",
    "ubisoft": "Carbonneau et al. (2022), with the settings of their experiments; another stream "
    "of random numbers, and variances over all rows, where 10,000 drawn ones gave them",
}


def factor_vae(
    codes: Array,
    factors: Any,
    *,
    rng: np.random.Generator | int = 0,
    protocol: str = "default",
    **overrides: Any,
) -> float:
    r"""Accuracy with which the latent of least variance names the factor that a batch shares.

    .. math:: \frac1{|E|} \sum_{(h, y) \in E} 1\big[\arg\max_k V_{hk} = y\big], \qquad
        h = \arg\min_j \frac{\operatorname{var}_{\text{batch}}(z_j)}{\operatorname{var}(z_j)}

    where :math:`V_{hk}` counts the batches for training that share factor k and vote for latent h,
    and E are other batches.

    Parameters
    ----------
    codes : array, shape (n, d)
        Constant latents do not vote.
    factors : array, shape (n, K) or (n,)
        As :func:`~disentangle_indicators.supervised.as_table` takes them; each value is a class,
        and continuous factors are put in 20 bins. Values with a single row are not used. Constant
        factors are left out. A row without a value of a factor is in no batch that shares it.
    rng : numpy.random.Generator or int
        The same seed gives the same number.
    protocol : {"default", "locatello2019", "ubisoft"}
    **overrides
        Parameters that differ from the protocol's:

        - batch: L, rows in a batch, all with the same value of one factor.
        - train, evaluate: votes for the majority, and for its accuracy.
        - least_sd: leave out latents with a smaller standard deviation, in the unit of the codes.
        - rescale: (accuracy - 1/K) / (1 - 1/K) in place of the accuracy, for K classes.
        - values: "rows" takes a value as often as rows have it, "values" each alike.
        - draw: "independent" takes rows with replacement; "passes" takes whole reshuffled passes
          through the rows with a value and cuts them in batches.
        - factor_bins: equal-width bins of each factor, or None to take its values as they are, and
          20 bins of equal counts for a continuous one.
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
        With fewer than two factors, and when a factor has no value that two rows share (in both
        parts of the rows, if some are held out): without it K and chance would be others.

    Notes
    -----
    Kim and Mnih (2018), section 3 and Figure 2. It rewards a factor that holds a latent still, and
    needs no classifier that could mix latents. It says nothing of a factor that two latents share,
    and a batch that shares a factor which no latent captures still votes for some latent. Rows and
    not a simulator are drawn from: where factors are correlated, sharing one narrows the others.

    Examples
    --------
    >>> import numpy as np
    >>> factors = np.random.default_rng(0).integers(5, size=(500, 3))
    >>> factor_vae(factors, factors), factor_vae(factors, factors, protocol="ubisoft")
    (1.0, 1.0)
    """
    return measure(METRIC, codes, factors, rng=rng, protocol=protocol, **overrides).value


def _prepare(z: Float, factors: Factors, p: dict[str, Any]) -> tuple[Float, _groups.Classes]:
    _groups.check(p, batch=2, train=1, evaluate=1, least_sd=0, factor_bins=1)
    labels = [factors.labels(k, p["factor_bins"]) for k in range(factors.number)]
    return z, _groups.Classes(labels, factors.names)


def _compute(
    codes: Float, classes: _groups.Classes, p: dict[str, Any], rng: np.random.Generator
) -> Outcome:
    z, active, spread = _groups.active(codes, p["least_sd"])
    points, number = p["train"] + p["evaluate"], len(classes.names)
    parts = _groups.parts(len(z), p["train"], points, p["held_out"], rng)
    _groups.check_shared(classes, [part.rows for part in parts])
    y = rng.integers(number, size=points)
    votes = np.zeros(points, dtype=np.int64)
    for part in parts:
        for k, label in enumerate(classes.labels):
            rows = np.flatnonzero(y[part.points] == k) + (part.points.start or 0)
            groups = _groups.groups_of(label, part.rows)
            chosen = _groups.choose(groups, len(rows), p["values"], rng)
            batches = _groups.places(groups, chosen, p["batch"], p["draw"], rng)
            ratio = _groups.variances(_groups.centred(z, groups), batches) / spread
            votes[rows] = ratio.argmin(axis=1) if len(active) else 0
    found = _groups.count_votes(votes, y, p["train"], max(len(active), 1), number)
    return _groups.outcome(found, active, codes.shape[1], p["rescale"])


METRIC = Metric(
    "factor_vae",
    "FactorVAE score (z-min-var)",
    _compute,
    PROTOCOLS,
    "how often the latent that varies least names the factor that a batch shares; chance is one "
    "by the number of factors, and a factor spread over two latents costs nothing",
    SOURCES,
    ranges={"ubisoft": (-1.0, 1.0)},
    prepare=_prepare,
    choices={"values": _groups.VALUES, "draw": _groups.DRAWS},
)
