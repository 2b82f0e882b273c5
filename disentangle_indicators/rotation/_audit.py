r"""The rotation audit: whether a score is due to these axes, or any others would do.

A prior that every rotation leaves alone cannot prefer axes, so a score that depends on them is to
be read against what it is under random ones:

.. math::

   p = \frac{1 + \#\{i : s(Q_i z) \ge s(z)\}}{n + 1}, \qquad Q_1, \dots, Q_n \sim \text{Haar}.

No draw hits the best axes, a set of measure zero; those are looked for, one plane at a time.
"""

import inspect
import math
import pickle
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from disentangle_indicators._array import (
    Array,
    Float,
    as_mean,
    as_pair,
    check_finite,
    check_positive,
    on_host,
    seed_of,
    to_numpy,
)
from disentangle_indicators._progress import Progress
from disentangle_indicators._result import Block, Result, Table, plain
from disentangle_indicators._tables import with_error
from disentangle_indicators.rotation._orthogonal import haar
from disentangle_indicators.rotation._search import Turn, climb, matrix
from disentangle_indicators.states import USED
from disentangle_indicators.supervised.latents import kept

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Audit", "Audits", "Orientation", "audit_rotations"]

Score = Callable[..., Any]

SUBSPACES = ("used", "all")

SIGNIFICANT = 0.05
"""Greatest p-value at which a score is said to beat random rotations."""

GROUPS = 10
"""Groups of rows of which one at a time is left out, for the standard error of the gain."""

LEAST_ROWS = 4 * GROUPS
"""Rows that a search needs: two halves, and two rows in each group of one half."""

LEAST_GAIN = 0.05
"""Least gain of a turn, in standard deviations of the null: less is the noise of one half."""

ROUNDING = 1e-9
"""Scores whose relative difference is less are ties."""


@dataclass(frozen=True, eq=False, repr=False)
class Orientation(Result):
    """An orientation that the search found, fitted on one half of the rows, tried on the other.

    Parameters
    ----------
    turns : tuple of (int, int, float)
        Latents i and j, and by how many degrees they are turned, in (-45, 45], in the order in
        which they are applied. A turn by 90 degrees more is the same but for a swap and a sign.
    matrix : array, shape (k, k)
        The turns together, Q, over the latents that were kept: z -> z Q^T.
    score : float
        On all rows, one half of which chose it.
    score_fit, score_held_out : float
        On the half that chose it, and on the other.
    own_fit, own_held_out : float
        Of the unrotated code on the same halves.
    gain : float
        On the other half: `score_held_out` less `own_held_out`; negative for a worse one.
    gain_error : float
        Its standard error, of row sampling: one of 10 groups of rows left out at a time. A metric
        that draws pairs of rows adds the error of drawing them, about threefold.
    """

    turns: tuple[Turn, ...]
    matrix: Float
    score: float
    score_fit: float
    score_held_out: float
    own_fit: float
    own_held_out: float
    gain: float
    gain_error: float

    @property
    def certain(self) -> bool:
        """Whether the gain on the other half is more than two standard errors from 0."""
        return bool(self.turns) and abs(self.gain) > 2 * self.gain_error


@dataclass(frozen=True, eq=False, repr=False)
class Audit(Result):
    """A score under rotations of the latent space; the result of :func:`audit_rotations`.

    Scores are in the units of the metric, of which more is better.

    Parameters
    ----------
    metric : str
    parameters : dict
        What the metric takes beside codes, factors and rng, with the values it had.
    n, d : int
        Rows, and latents before any were dropped.
    latents : tuple of int, length k
        Those that were kept and rotated.
    subspace : {"used", "all"}
    posteriors : bool
        Whether the variances were rotated too.
    rotations : int
    seed : int or None
        As given; None for a generator.
    score_seed : int
        What every call of the metric had for rng.
    score : float
        Of the unrotated code, its unused latents dropped: what the rotations are compared with.
    score_all_latents : float
        Of the code as it came.
    null : array, shape (rotations,)
        Scores under Haar rotations.
    null_mean, null_sd : float
    quantiles : dict of str to float
        Of the null, under "0.05", "0.5" and "0.95".
    p_value : float
        (1 + number of rotations that score as much) / (rotations + 1), in (0, 1].
    percentile : float
        Percent of the null below the score, ties counted half.
    best, worst : Orientation or None
        None without a search.
    sentences : dict of str to str
        RANDOM, whether the score beats random rotations; BETTER, whether a better one exists.
    notes : tuple of str
    """

    schema: ClassVar[str] = "dindic.audit/1"

    metric: str
    parameters: dict[str, Any]
    n: int
    d: int
    latents: tuple[int, ...]
    subspace: str
    posteriors: bool
    rotations: int
    seed: int | None
    score_seed: int
    score: float
    score_all_latents: float
    null: Float
    null_mean: float
    null_sd: float
    quantiles: dict[str, float]
    p_value: float
    percentile: float
    best: Orientation | None
    worst: Orientation | None
    sentences: dict[str, str]
    notes: tuple[str, ...]

    def to_frame(self) -> "pd.DataFrame":
        """Return a data frame of one row."""
        return Audits("", "", {self.metric: self}, ()).to_frame()

    def blocks(self) -> list[Block]:
        """Return the sentences and the table."""
        return [_labelled(self), *_tables([self]), *map(_note, self.notes)]


@dataclass(frozen=True, eq=False, repr=False)
class Audits(Result):
    """Audits of several metrics of one code, by name."""

    schema: ClassVar[str] = "dindic.audits/1"

    name: str
    source: str
    audits: dict[str, Audit]
    notes: tuple[str, ...]

    def to_frame(self) -> "pd.DataFrame":
        """Return a data frame with one row per metric."""
        import pandas as pd

        return pd.DataFrame([_row(audit) for audit in self.audits.values()]).set_index("metric")

    def blocks(self) -> list[Block]:
        """Return two sentences per metric, then one table."""
        head = "\n".join(line for line in (self.name, self.source) if line)
        audits = list(self.audits.values())
        remarks = dict.fromkeys(note for audit in audits for note in audit.notes)
        blocks: list[Block] = [head] if head else []
        blocks += [_labelled(audit) for audit in audits]
        return [*blocks, *_tables(audits), *map(_note, remarks)]


def audit_rotations(
    score: str | Score,
    mean: Array,
    factors: Any = None,
    *,
    var: Array = None,
    subspace: str = "used",
    rotations: int = 199,
    search: bool = True,
    rng: np.random.Generator | int,
    workers: int = 1,
    threshold: float = USED,
    progress: Progress | None = None,
) -> Audit:
    r"""Audit a score by rotating the code that it is a score of.

    .. math:: p = \frac{1 + \#\{i : s(Q_i z) \ge s(z)\}}{n + 1}, \qquad Q_i \sim \text{Haar}

    Used latents are rotated as they are, without standardisation; unused ones are dropped,
    because noise turned into the code would flatter the unrotated axes. The same seed goes into
    every call of the metric, so that differences are those of rotations. The best and the worst
    orientation are looked for on a random half of the rows, one pair of latents after the other,
    from the unrotated code; what they gain is measured on the other half. Turns that gain less than
    a twentieth of the null's standard deviation are not taken. Such a search ends in a local
    optimum: it can miss a better orientation, but not make one up.

    Parameters
    ----------
    score : str or callable
        A name in ``supervised.METRICS``, with a protocol after @ if it has any, or a function called as ``score(codes, factors, rng=)``
        that returns a number, of which more is better. One that has a parameter of the name `var`
        is called as ``score(mean, var, factors, rng=)``, with posteriors of the rotated code:
        Q mean and diag(Q diag(var) Q^T).
    mean : array, shape (n, d)
    factors : array, shape (n, K) or (n,), optional
        Handed to the score. The metrics by name need them.
    var : array, shape (n, d), optional
        Posterior variances. They tell which latents are used, by Definition 3; without them a
        latent is used whose mean has a variance of at least 0.01.
    subspace : {"used", "all"}
        Which latents are kept.
    rotations : int
        Haar rotations of the null, at least 2.
    search : bool
        Whether to look for the best and the worst orientation.
    rng : numpy.random.Generator or int
    workers : int
        Processes, which change no number. They are started afresh: a script that asks for more
        than one keeps its calls below ``if __name__ == "__main__":``. A score that cannot be
        pickled runs in one, and a note says so.
    threshold : float
        Least information of a used latent, in nats.
    progress : callable, optional
        Wraps loops, given an iterable, a description and its length.

    Returns
    -------
    Audit

    Raises
    ------
    ValueError
        On a name that is no metric, on arrays that do not belong together, on entries that are
        not finite, when no latent is used, when there are fewer than 2 rows, or 40 for a search,
        and on a score that is not a finite number.

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
    name, function, parameters, posteriors = _metric(score)
    codes, widths = _code(mean, var)
    table = _table_of_factors(factors, len(codes), score)
    if posteriors and widths is None:
        raise ValueError(f"{name} takes posteriors, so var must be given")
    if subspace not in SUBSPACES:
        raise ValueError(f"subspace must be one of {', '.join(SUBSPACES)}; got {subspace!r}")
    for what, number, fewest in (("rotations", rotations, 2), ("workers", workers, 1)):
        if number < fewest:
            raise ValueError(f"{what} must be at least {fewest}; got {number}")
    n, d = codes.shape
    if search and n < LEAST_ROWS:
        raise ValueError(
            f"a search needs at least {LEAST_ROWS} rows of mean; got {n} (search=False goes without)"
        )
    latents = kept(codes, widths, subspace, threshold)
    generator = np.random.default_rng(rng)
    score_seed = int(generator.integers(2**31))
    order = generator.permutation(n)
    drawn = [haar(len(latents), generator) for _ in range(rotations)]
    job = _Job(
        name,
        function,
        codes[:, latents],
        widths[:, latents] if posteriors and widths is not None else None,
        table,
        score_seed,
        _parts(order),
    )
    with _evaluator(job, workers) as (evaluate, notes):
        run = partial(_run, evaluate, progress)
        own = run([(None, "all")], "")[0]
        dropped = len(latents) < d
        whole = replace(job, codes=codes, var=widths if posteriors else None)
        as_it_came = whole((None, "all")) if dropped else own
        null = np.array(run([(q, "all") for q in drawn], f"{name}: random rotations"))
        tie = ROUNDING * float(max(abs(own), np.max(np.abs(null))))
        sd = float(np.std(null, ddof=1))
        least = max(LEAST_GAIN * sd, tie)
        found: list[Orientation | None] = [None, None]
        if search:
            k = len(latents)
            found = [_oriented(run, name, latents, k, least, own, sign) for sign in (1, -1)]
    above, tied = int(np.sum(null > own + tie)), int(np.sum(np.abs(null - own) <= tie))
    if len(latents) == 1:
        notes = (*notes, "one latent was kept, so there is nothing to rotate")
    best, worst = found
    if best is not None and float(null.max()) > best.score + tie:
        notes = (
            *notes,
            f"{name}: a random rotation scores {float(null.max()):.3f}, more than the search found",
        )
    low, middle, high = (float(q) for q in np.quantile(null, (0.05, 0.5, 0.95)))
    p_value = (1 + above + tied) / (rotations + 1)
    percentile = 100 * (rotations - above - tied / 2) / rotations
    return Audit(
        metric=name,
        parameters=parameters,
        n=n,
        d=d,
        latents=tuple(latents),
        subspace=subspace,
        posteriors=posteriors,
        rotations=rotations,
        seed=seed_of(rng),
        score_seed=score_seed,
        score=own,
        score_all_latents=as_it_came,
        null=null,
        null_mean=float(np.mean(null)),
        null_sd=sd if sd > tie else 0.0,
        quantiles={"0.05": low, "0.5": middle, "0.95": high},
        p_value=p_value,
        percentile=percentile,
        best=best,
        worst=worst,
        sentences={
            "RANDOM": _random(own, p_value, percentile, rotations, (low, middle, high)),
            "BETTER": _better(best, least),
        },
        notes=tuple(notes),
    )


def _metric(score: str | Score) -> tuple[str, Score, dict[str, Any], bool]:
    """Return the name of a metric, its function, its parameters, and whether it takes var."""
    from disentangle_indicators.supervised import find, score_of

    if isinstance(score, str):
        metric, protocol = find(score)
        parameters = {"protocol": protocol, **metric.parameters(protocol)}
        return score, partial(score_of, score), parameters, False
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
    known = (str, int, float, bool)
    parameters = {
        key: parameter.default
        for key, parameter in signature.items()
        if key != "rng" and isinstance(parameter.default, known)
    }
    parameters |= {key: v for key, v in given.items() if key != "rng" and isinstance(v, known)}
    return getattr(inner, "__name__", type(inner).__name__), score, parameters, "var" in signature


def _code(mean: Any, var: Any) -> tuple[Float, Float | None]:
    """Check means and variances and return them as numpy arrays (n, d)."""
    if var is None:
        _, mean = as_mean(mean)
    else:
        _, mean, var = as_pair(mean, var)
    if mean.ndim != 2 or mean.shape[0] < 2:
        raise ValueError(
            f"mean must have the shape (n, d) with n of at least 2; its shape is "
            f"{tuple(mean.shape)}"
        )
    check_finite(mean, "mean")
    if var is None:
        return to_numpy(mean), None
    check_positive(var, "var")
    return to_numpy(mean), to_numpy(var)


def _table_of_factors(factors: Any, n: int, score: str | Score) -> NDArray[Any] | None:
    if factors is None:
        if isinstance(score, str):
            raise ValueError(f"factors are missing: {score} compares the code with them")
        return None
    table = on_host(factors)
    if table.ndim not in (1, 2) or len(table) != n:
        raise ValueError(f"factors must have {n} rows, as mean has; their shape is {table.shape}")
    return table


def _parts(order: NDArray[np.int64]) -> dict[str, NDArray[np.int64] | None]:
    """Split rows in two halves, of which the second lacks one group at a time as well."""
    half = len(order) // 2
    fit, other = np.sort(order[:half]), order[half:]
    without = {f"without {g}": np.sort(np.delete(other, np.s_[g::GROUPS])) for g in range(GROUPS)}
    return {"all": None, "fit": fit, "held out": np.sort(other), **without}


@dataclass(frozen=True)
class _Job:
    """All that a process needs to know to score a rotation."""

    name: str
    function: Score
    codes: Float
    var: Float | None
    factors: NDArray[Any] | None
    seed: int
    parts: dict[str, NDArray[np.int64] | None]

    def __call__(self, task: tuple[Float | None, str]) -> float:
        """Score the rows of a part under a matrix, None for the identity."""
        q, part = task
        rows = self.parts[part]
        at = slice(None) if rows is None else rows
        codes = self.codes[at] if q is None else self.codes[at] @ q.T
        factors = None if self.factors is None else self.factors[at]
        if self.var is None:
            value = self.function(codes, factors, rng=self.seed)
        else:
            var = self.var[at] if q is None else self.var[at] @ (q**2).T
            value = self.function(codes, var, factors, rng=self.seed)
        try:
            number = float(value)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{self.name} must return a number; got {value!r}") from error
        if not math.isfinite(number):
            where = "on the unrotated code" if q is None else "on a rotated code"
            raise ValueError(f"{self.name} must be finite; {where} ({part} rows) it is {number}")
        return number


Task = tuple[Float | None, str]
Evaluate = Callable[[list[Task]], Iterable[float]]

_job: _Job | None = None
"""Of this worker process."""


def _take(job: _Job) -> None:
    global _job
    _job = job


def _work(task: Task) -> float:
    assert _job is not None
    return _job(task)


def _ready() -> bool:
    return _job is not None


@contextmanager
def _evaluator(job: _Job, workers: int) -> Iterator[tuple[Evaluate, tuple[str, ...]]]:
    """Yield a function that scores tasks in their order, and notes on how it does."""
    here: Evaluate = partial(map, job)
    if workers == 1:
        yield here, ()
        return
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import get_context

    try:
        pickle.dumps(job.function)
    except (pickle.PicklingError, AttributeError, TypeError):
        yield here, (f"{job.name} cannot be pickled, so one process was used",)
        return
    context = get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=_take, initargs=(job,)) as pool:
        try:
            pool.submit(_ready).result()
        except BrokenProcessPool:
            pool.shutdown()
            yield here, ("worker processes could not be started, so one process was used",)
            return
        try:
            yield partial(pool.map, _work), ()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _run(
    evaluate: Evaluate, progress: Progress | None, tasks: list[Task], description: str
) -> list[float]:
    """Score tasks; steps with a description are shown."""
    values = iter(evaluate(tasks))
    steps: Iterable[int] = range(len(tasks))
    if progress is not None and description:
        steps = progress(steps, description, len(tasks))
    return [next(values) for _ in steps]


def _oriented(
    run: Callable[[list[Task], str], list[float]],
    name: str,
    latents: list[int],
    k: int,
    least: float,
    own: float,
    sign: int,
) -> Orientation:
    """Search on one half of the rows, and measure on the other what was found."""
    own_fit, own_other = run([(None, "fit"), (None, "held out")], "")

    def scores(matrices: Iterable[Float], description: str) -> list[float]:
        return run([(q, "fit") for q in matrices], description)

    word = f"{name}: {'best' if sign > 0 else 'worst'} orientation"
    turns = climb(scores, k, own_fit, least, sign, word)
    numbered = tuple((latents[i], latents[j], degrees) for i, j, degrees in turns)
    q = matrix(k, turns)
    if not turns:
        return Orientation((), q, own, own_fit, own_other, own_fit, own_other, 0.0, 0.0)
    groups = [f"without {g}" for g in range(GROUPS)]
    tasks: list[Task] = [(q, part) for part in ("all", "fit", "held out", *groups)]
    everywhere, fit, other, *turned = run(tasks, "")
    unturned = run([(None, part) for part in groups], "")
    gains = np.subtract(turned, unturned)
    error = math.sqrt((GROUPS - 1) * float(np.var(gains)))
    return Orientation(
        numbered, q, everywhere, fit, other, own_fit, own_other, other - own_other, error
    )


def _random(
    own: float, p: float, percentile: float, rotations: int, quantiles: tuple[float, ...]
) -> str:
    low, middle, high = quantiles
    beats = "beats" if p <= SIGNIFICANT else "does not beat"
    return (
        f"{own:.3f} {beats} random rotations: p = {p:.3g}, above {percentile:.0f}% of {rotations}, "
        f"which score {middle:.3f} (median; {low:.3f} to {high:.3f} for 90% of them)."
    )


def _better(best: Orientation | None, least: float) -> str:
    if best is None:
        return "No search for a better rotation was asked for."
    if not best.turns:
        return f"No better rotation was found: no turn of two latents gains {least:.2g}."
    change = (
        f"from {best.own_held_out:.3f} to {best.score_held_out:.3f} on the rows that the search "
        f"did not see (gain {with_error(best.gain, best.gain_error)})"
    )
    if best.gain > 0 and best.certain:
        return f"A better rotation exists: turn {_turns(best.turns)}, {change}."
    return f"No better rotation is certain: turning {_turns(best.turns)} goes {change}."


def _turns(turns: tuple[Turn, ...], most: int = 3) -> str:
    """Describe turns, the largest first."""
    largest = sorted(turns, key=lambda turn: -abs(turn[2]))
    words = [f"latents {i} and {j} by {angle:.0f} degrees" for i, j, angle in largest[:most]]
    left = len(turns) - most
    return ", ".join([*words, *([f"and {left} more"] if left > 0 else [])])


def _labelled(audit: Audit) -> dict[str, str]:
    return {f"{audit.metric} {word}": text for word, text in audit.sentences.items()}


def _row(audit: Audit) -> dict[str, Any]:
    row: dict[str, Any] = {
        "metric": audit.metric,
        "score": audit.score,
        "score_all_latents": audit.score_all_latents,
        "p_value": audit.p_value,
        "percentile": audit.percentile,
        "null_mean": audit.null_mean,
        "null_sd": audit.null_sd,
        **{f"null_{level}": value for level, value in audit.quantiles.items()},
    }
    for word, found in (("best", audit.best), ("worst", audit.worst)):
        row[f"{word}_score"] = math.nan if found is None else found.score_held_out
        row[f"{word}_gain"] = math.nan if found is None else found.gain
        row[f"{word}_gain_se"] = math.nan if found is None else found.gain_error
        row[f"{word}_turns"] = "" if found is None else plain(found.turns)
    return row


def _listed(parameters: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in parameters.items()) or "no parameters"


def _tables(audits: list[Audit]) -> list[Block]:
    """Return the table of the nulls, and that of the orientations that were found."""
    if not audits:
        return []
    first = audits[0]
    kept = f"{len(first.latents)} of {first.d} latents ({', '.join(map(str, first.latents))})"
    which = "" if first.subspace == "all" else ", the used ones,"
    dropped = len(first.latents) < first.d
    columns = ("metric", "own score", "p", "above", "5%", "median", "95%", "mean", "sd")
    null = Table(
        columns=(*columns, f"all {first.d} latents") if dropped else columns,
        rows=tuple(
            (
                audit.metric,
                f"{audit.score:.3f}",
                f"{audit.p_value:.3f}",
                f"{audit.percentile:.0f}%",
                *(f"{value:.3f}" for value in audit.quantiles.values()),
                f"{audit.null_mean:.3f}",
                f"{audit.null_sd:.3f}",
                *([f"{audit.score_all_latents:.3f}"] if dropped else []),
            )
            for audit in audits
        ),
        title=f"Under {first.rotations} random rotations",
        note=(
            f"{kept}{which} rotated, n = {first.n}. p = (1 + rotations that score as much) / "
            f"({first.rotations} + 1)."
            + (" The last column is the score before the others were dropped." if dropped else "")
            + "".join(f" {audit.metric}: {_listed(audit.parameters)}." for audit in audits)
        ),
    )
    rows = tuple(
        (
            f"{audit.metric}, {word}",
            f"{found.own_held_out:.3f}",
            f"{found.score_held_out:.3f}",
            with_error(found.gain, found.gain_error),
            _pairs(found.turns),
        )
        for audit in audits
        for word, found in (("best", audit.best), ("worst", audit.worst))
        if found is not None
    )
    if not rows:
        return [null]
    found = Table(
        columns=("orientation", "own score", "score", "gain", "turns"),
        rows=rows,
        title="Orientations found on one half of the rows, measured on the other",
        note="± standard error of row sampling. A turn is latent-latent: degrees, modulo 90.",
    )
    return [null, found]


def _pairs(turns: tuple[Turn, ...], most: int = 3) -> str:
    """Write turns as short as they go, the largest first."""
    largest = sorted(turns, key=lambda turn: -abs(turn[2]))
    words = [f"{i}-{j}: {angle:.0f}°" for i, j, angle in largest[:most]]
    left = len(turns) - most
    return ", ".join([*words, *([f"{left} more"] if left > 0 else [])]) or "none"


def _note(text: str) -> str:
    return f"Note: {text}."
