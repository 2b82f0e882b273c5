r"""The rotation audit: a score of a code among the scores of its random rotations.

A prior that no rotation changes cannot prefer axes. A score that depends on the axes needs the
scores of random axes beside it:

.. math::

   p = \frac{1 + \#\{i : s(Q_i z) \ge s(z)\}}{n + 1}, \qquad Q_1, \dots, Q_n \sim \text{Haar}.

No draw hits the best axes, which have measure zero: a search finds them, one plane at a time.
"""

import inspect
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from disentangle_indicators._array import Array, Float, generator, seed_of, to_numpy
from disentangle_indicators._drawn import drawn
from disentangle_indicators._leave_out import deal
from disentangle_indicators._progress import Progress
from disentangle_indicators._provenance import Provenance
from disentangle_indicators.factors import Factors, as_table
from disentangle_indicators.posteriors import Encodings
from disentangle_indicators.rotation._audit_result import (
    GROUPS,
    Audit,
    Audits,
    Orientation,
    better_sentence,
    random_sentence,
)
from disentangle_indicators.rotation._orthogonal import haar
from disentangle_indicators.rotation._search import climb, matrix
from disentangle_indicators.rotation._workers import Job, Score, Task, evaluator, run_tasks
from disentangle_indicators.states import USED

__all__ = ["Audit", "Audits", "Orientation", "audit_rotations"]

LEAST_ROWS = 4 * GROUPS
"""Rows that a search needs: two halves, and two rows in each group of one half."""

LEAST_GAIN = 0.05
"""Least gain of a turn, in standard deviations of the null: less is the noise of one half."""

ROUNDING = 1e-9
"""Scores whose relative difference is less are ties."""

Run = Callable[[list[Task], str], list[float]]
"""Scores tasks, given a description for the progress bar."""


def audit_rotations(
    score: str | Score,
    mean: "Array | Encodings",
    factors: Any = None,
    *,
    var: Array = None,
    std: Array = None,
    logvar: Array = None,
    logstd: Array = None,
    clusters: Any = None,
    latents: str = "used",
    rotations: int = 199,
    search: bool = True,
    rng: np.random.Generator | int = 0,
    workers: int = 1,
    threshold: float = USED,
    rows: int | None = None,
    progress: Progress | None = None,
) -> Audit:
    r"""Audit a score by rotating the code that it is a score of.

    .. math:: p = \frac{1 + \#\{i : s(Q_i z) \ge s(z)\}}{n + 1}, \qquad Q_i \sim \text{Haar}

    Used latents are rotated without standardisation. Unused latents are dropped, because noise
    turned into the code would flatter the unrotated axes. Every call of the metric has the same
    seed, so that only rotations make scores differ. The search for the best and the worst
    orientation sees a random half of the rows. It starts from the unrotated code and turns one
    pair of latents after the other. Their gain is measured on the other half. A turn needs a gain
    of a twentieth of the null's standard deviation. The search ends in a local optimum: it can
    miss a better orientation, but not make one up.

    Parameters
    ----------
    score : str or callable
        A name in ``supervised.METRICS``, with a protocol after @ if it has any. Or a function
        called as ``score(codes, factors, rng=)`` that returns a number, of which more is better.
        A function with a parameter `var` is called as ``score(mean, var, factors, rng=)``, with
        posteriors of the rotated code: Q mean and diag(Q diag(var) Q^T).
    mean : array, shape (n, d), or Encodings
        Encodings have their variances, factors and clusters with them.
    factors : array, shape (n, K) or (n,), optional
        Handed to the score. The metrics by name need them.
    var : array, shape (n, d), optional
        Posterior variances, from which Definition 3 decides whether a latent is used. Without
        variances, a latent is used if its mean has a variance of at least 0.01.
    std, logvar, logstd : array, shape (n, d), optional
        In place of `var`: standard deviations, log variances, log standard deviations.
    clusters : array, shape (n,), optional
        Rows of one cluster stay in one half, and in one group of the standard error.
    latents : {"used", "all"}
        Which latents are rotated; the others are dropped.
    rotations : int
        Haar rotations of the null, at least 2.
    search : bool
        Whether to look for the best and the worst orientation.
    rng : numpy.random.Generator or int
    workers : int
        Processes, which change no number. Each process imports the script anew: keep calls with
        more than one worker below ``if __name__ == "__main__":``. A score that cannot be pickled
        runs in one process, with a note in the result.
    threshold : float
        Least information of a used latent, in nats.
    rows : int, optional
        Random rows to take; by default 20,000 of more than 100,000, and otherwise all. Where rows
        are drawn, a note gives the standard error of the score over rows.
    progress : callable, optional
        Wraps loops, given an iterable, a description and its length.

    Returns
    -------
    Audit

    Raises
    ------
    ValueError
        On a name that is no metric, on arrays that do not belong together, on entries that are
        not finite, on fewer than 2 rows, or 40 for a search, and on a score that is not a finite
        number. If no latent is used, an ``Undefined``, which is a ValueError.

    Notes
    -----
    199 rotations give p-values down to 0.005. The p-value is exact when the axes are arbitrary:
    it is then uniform. Haar matrices as in Mezzadri (2007).

    Examples
    --------
    >>> import numpy as np
    >>> factors = np.random.default_rng(0).integers(10, size=(400, 2))
    >>> turned = (factors - 4.5) @ np.array([[0.8, 0.6], [-0.6, 0.8]])  # by 37 degrees
    >>> audit = audit_rotations("mig", turned, factors, rotations=19, rng=0)
    >>> [(i, j, abs(round(angle)) in range(34, 41)) for i, j, angle in audit.best.turns]
    [(0, 1, True)]
    """
    metric = _Metric.of(score)
    encodings = Encodings.of(
        mean, var, std=std, logvar=logvar, logstd=logstd, clusters=clusters, progress=progress
    )
    table = _table_of_factors(encodings, factors, score)
    some = drawn(encodings, rows, rng)
    encodings, table = some.encodings, some.taken(table)
    _check(metric, encodings, rotations, search, workers)
    rotated = encodings.used(latents, threshold)
    codes = to_numpy(encodings.mean_on_host)
    widths = None if encodings.means_only else to_numpy(encodings.arrays_on_host("noise needs")[1])
    drawing = generator(rng)
    score_seed = int(drawing.integers(2**31))
    parts = _parts(drawing, encodings)
    if some.note:
        parts |= _groups(generator(rng).spawn(2)[1], encodings)
    turned = [haar(len(rotated), drawing) for _ in range(rotations)]
    var = widths if metric.posteriors else None
    whole = Job(metric.name, metric.function, codes, var, table, score_seed, parts)
    job = replace(whole, codes=codes[:, rotated], var=None if var is None else var[:, rotated])
    with evaluator(job, workers) as (evaluate, notes):
        run = partial(run_tasks, evaluate, encodings.progress)
        own = run([(None, "all")], "")[0]
        dropped = len(rotated) < codes.shape[1]
        with_all = whole((None, "all")) if dropped else own
        error = _error(run) if some.note else None
        scores = run([(q, "all") for q in turned], f"{metric.name}: random rotations")
        null = _Null(own, np.array(scores))
        best, worst = (
            _oriented(run, metric.name, rotated, null, sign) if search else None
            for sign in (1, -1)
        )
    return Audit(
        metric=metric.name,
        parameters=metric.parameters,
        n=len(codes),
        d=codes.shape[1],
        latents=latents,
        rotated=tuple(rotated),
        posteriors=metric.posteriors,
        rotations=rotations,
        seed=seed_of(rng),
        score_seed=score_seed,
        score=own,
        score_se=error,
        score_all_latents=with_all,
        null=null.scores,
        null_mean=float(np.mean(null.scores)),
        null_sd=null.sd if null.sd > null.tie else 0.0,
        quantiles=null.quantiles,
        p_value=null.p_value,
        percentile=null.percentile,
        best=best,
        worst=worst,
        sentences={
            "RANDOM": random_sentence(
                own, null.p_value, null.percentile, rotations, null.quantiles
            ),
            "BETTER": better_sentence(best, null.least_gain),
        },
        notes=(
            *notes,
            *_notes(metric.name, rotated, null, best),
            *_cluster_notes(encodings, search),
            *_drawn_notes(metric.name, some.note, error),
        ),
        means_only=encodings.means_only,
        provenance=Provenance(
            "disentangle_indicators.rotation.audit_rotations",
            encodings.inputs,
            {
                "latents": latents,
                "rotations": rotations,
                "search": search,
                "threshold": threshold,
                "rows": encodings.n,
            },
            seed_of(rng),
        ),
    )


@dataclass(frozen=True)
class _Metric:
    """A score that can be called, with its parameters, and whether it takes variances."""

    name: str
    function: Score
    parameters: dict[str, Any]
    posteriors: bool

    @classmethod
    def of(cls, score: str | Score) -> "_Metric":
        """Find a metric by its name, or read the parameters of a function."""
        if isinstance(score, str):
            return cls._named(score)
        if not callable(score):
            raise ValueError(  # noqa: TRY004 - all bad input is a ValueError
                f"score must be the name of a metric or callable; got {score!r}"
            )
        inner: Any = score
        given: dict[str, Any] = {}
        while isinstance(inner, partial):
            inner, given = inner.func, inner.keywords | given
        try:
            signature = dict(inspect.signature(score).parameters)
        except ValueError:  # of a builtin
            signature = {}
        values = {key: parameter.default for key, parameter in signature.items()} | given
        parameters = {
            key: value
            for key, value in values.items()
            if key != "rng" and isinstance(value, (str, int, float, bool))
        }
        name = getattr(inner, "__name__", type(inner).__name__)
        return cls(name, score, parameters, "var" in signature)

    @classmethod
    def _named(cls, name: str) -> "_Metric":
        from disentangle_indicators.supervised import find, score_of

        metric, protocol = find(name)
        parameters = {"protocol": protocol, **metric.parameters(protocol)}
        return cls(name, partial(score_of, name), parameters, posteriors=False)


def _check(
    metric: _Metric, encodings: Encodings, rotations: int, search: bool, workers: int
) -> None:
    if encodings.n < 2:
        raise ValueError(f"an audit needs at least 2 rows; got {encodings.n}")
    if metric.posteriors and encodings.means_only:
        raise ValueError(f"{metric.name} takes posteriors, so var must be given")
    for what, number, fewest in (("rotations", rotations, 2), ("workers", workers, 1)):
        if number < fewest:
            raise ValueError(f"{what} must be at least {fewest}; got {number}")
    draws, what = encodings.n, "rows of mean"
    if encodings.cluster_codes is not None:
        draws, what = encodings.cluster_codes[0], "clusters"
    if search and draws < LEAST_ROWS:
        raise ValueError(
            f"a search needs at least {LEAST_ROWS} {what}; got {draws} (search=False goes without)"
        )


def _table_of_factors(
    encodings: Encodings, factors: Any, score: str | Score
) -> Factors | NDArray[Any] | None:
    """Return the factors as metrics take them, and for a function as the array it expects."""
    if isinstance(score, str):
        if factors is not None:
            return as_table(factors, encodings.n)
        if encodings.factors is None:
            raise ValueError(f"factors are missing: {score} compares the code with them")
        return encodings.factors
    if factors is None:
        return None if encodings.factors is None else encodings.factors.to_array()
    return as_table(factors, encodings.n).to_array()


def _parts(rng: np.random.Generator, encodings: Encodings) -> dict[str, NDArray[np.int64] | None]:
    """Split rows in two halves, and take one group at a time out of the second half.

    Whole clusters, where there are some, go to one half and one group.
    """
    count, code = encodings.cluster_codes or (encodings.n, np.arange(encodings.n))
    order = rng.permutation(count)
    half = count // 2
    other = order[half:]
    parts = {"fit": order[:half], "held out": other}
    parts |= {f"without {g}": np.delete(other, np.s_[g::GROUPS]) for g in range(GROUPS)}
    rows = {name: np.flatnonzero(np.isin(code, chosen)) for name, chosen in parts.items()}
    return {"all": None, **rows}


def _groups(rng: np.random.Generator, encodings: Encodings) -> dict[str, NDArray[np.int64] | None]:
    """Return all rows but those of one group, or of one group of clusters, for each group."""
    group = deal(encodings.n, encodings.cluster_codes, rng, GROUPS)
    return {f"all without {g}": np.flatnonzero(group != g) for g in range(GROUPS)}


def _error(run: Run) -> float:
    """Return the standard error of the score over rows: the jackknife of groups of them."""
    left = run([(None, f"all without {g}") for g in range(GROUPS)], "")
    return math.sqrt((GROUPS - 1) * float(np.var(left)))


def _drawn_notes(name: str, note: str, error: float | None) -> tuple[str, ...]:
    if error is None:
        return ()
    return (note, f"{name}: the standard error of the score over rows is {error:.2g}")


@dataclass(frozen=True)
class _Null:
    """Scores of one code under random rotations, beside the score of the unrotated code."""

    own: float
    scores: Float

    @property
    def tie(self) -> float:
        """Difference up to which two scores are the same number."""
        return ROUNDING * float(max(abs(self.own), np.max(np.abs(self.scores))))

    @property
    def sd(self) -> float:
        return float(np.std(self.scores, ddof=1))

    @property
    def least_gain(self) -> float:
        """Least gain of a turn."""
        return max(LEAST_GAIN * self.sd, self.tie)

    @property
    def above(self) -> int:
        """Number of rotations with a higher score."""
        return int(np.sum(self.scores > self.own + self.tie))

    @property
    def tied(self) -> int:
        return int(np.sum(np.abs(self.scores - self.own) <= self.tie))

    @property
    def p_value(self) -> float:
        return (1 + self.above + self.tied) / (len(self.scores) + 1)

    @property
    def percentile(self) -> float:
        rotations = len(self.scores)
        return 100 * (rotations - self.above - self.tied / 2) / rotations

    @property
    def quantiles(self) -> dict[str, float]:
        values = np.quantile(self.scores, (0.05, 0.5, 0.95))
        return dict(zip(("0.05", "0.5", "0.95"), map(float, values), strict=True))


def _oriented(run: Run, name: str, rotated: list[int], null: _Null, sign: int) -> Orientation:
    """Search on one half of the rows, and measure on the other half."""
    own_fit, own_held_out = run([(None, "fit"), (None, "held out")], "")

    def scores(matrices: Iterable[Float], description: str) -> list[float]:
        return run([(q, "fit") for q in matrices], description)

    k = len(rotated)
    word = f"{name}: {'best' if sign > 0 else 'worst'} orientation"
    turns = climb(scores, k, own_fit, null.least_gain, sign, word)
    q = matrix(k, turns)
    if turns:
        groups = [f"without {g}" for g in range(GROUPS)]
        tasks: list[Task] = [(q, part) for part in ("all", "fit", "held out", *groups)]
        score, score_fit, score_held_out, *turned = run(tasks, "")
        unturned = run([(None, part) for part in groups], "")
        gain_se = math.sqrt((GROUPS - 1) * float(np.var(np.subtract(turned, unturned))))
    else:
        score, score_fit, score_held_out, gain_se = null.own, own_fit, own_held_out, 0.0
    return Orientation(
        turns=tuple((rotated[i], rotated[j], degrees) for i, j, degrees in turns),
        matrix=q,
        score=score,
        score_fit=score_fit,
        score_held_out=score_held_out,
        own_fit=own_fit,
        own_held_out=own_held_out,
        gain=score_held_out - own_held_out,
        gain_se=gain_se,
    )


def _cluster_notes(encodings: Encodings, search: bool) -> tuple[str, ...]:
    if encodings.clusters is None:
        return ("rows are taken as independent",) if search else ()
    if not search:
        return ("clusters are not used: without a search no rows are split",)
    return ("whole clusters are in one half of the search and in one group of its standard error",)


def _notes(
    name: str, rotated: list[int], null: _Null, best: Orientation | None
) -> tuple[str, ...]:
    notes = []
    if len(rotated) == 1:
        notes.append("only one latent is rotated, so every rotation gives the same axes")
    highest = float(null.scores.max())
    if best is not None and highest > best.score + null.tie:
        notes.append(f"{name}: a random rotation scores {highest:.3f}, more than the search found")
    return tuple(notes)
