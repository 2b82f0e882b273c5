"""Scores of rotated codes, in this process or in several."""

import math
import pickle
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from disentangle_indicators._array import Float, scalar
from disentangle_indicators._progress import Progress
from disentangle_indicators.factors import Factors

__all__ = ["Job", "Score", "Task", "evaluator", "run_tasks"]

Score = Callable[..., Any]
"""A function of codes, factors and rng that returns a number, of which more is better."""

Task = tuple[Float | None, str]
"""A matrix that rotates the code, None for the identity, and the name of a part of the rows."""


@dataclass(frozen=True)
class Job:
    """What a process needs to score a rotation; `parts` are rows by name, None for all rows."""

    name: str
    function: Score
    codes: Float
    var: Float | None
    factors: Factors | NDArray[Any] | None
    seed: int
    parts: dict[str, NDArray[np.int64] | None]

    def _factors(self, rows: NDArray[np.int64] | None) -> Any:
        if self.factors is None or rows is None:
            return self.factors
        return self.factors.take(rows) if isinstance(self.factors, Factors) else self.factors[rows]

    def __call__(self, task: tuple[Float | None, str]) -> float:
        """Score the rows of a part under a matrix, None for the identity."""
        q, part = task
        rows = self.parts[part]
        at = slice(None) if rows is None else rows
        codes = self.codes[at] if q is None else self.codes[at] @ q.T
        factors = self._factors(rows)
        if self.var is None:
            value = self.function(codes, factors, rng=self.seed)
        else:
            var = self.var[at] if q is None else self.var[at] @ (q**2).T
            value = self.function(codes, var, factors, rng=self.seed)
        number = scalar(value)
        if not isinstance(number, Real):
            raise ValueError(  # noqa: TRY004 - all bad input is a ValueError
                f"{self.name} must return a number; got {value!r}"
            )
        number = float(number)
        if not math.isfinite(number):
            where = "on the unrotated code" if q is None else "on a rotated code"
            raise ValueError(f"{self.name} must be finite; {where} ({part} rows) it is {number}")
        return number


Evaluate = Callable[[list[Task]], Iterable[float]]

# A pool pickles its arguments for every task. The job has the whole code in it, so each process
# gets it once, when it starts, and keeps it here.
_job: Job | None = None


def _take(job: Job) -> None:
    global _job
    _job = job


def _work(task: Task) -> float:
    assert _job is not None
    return _job(task)


def _ready() -> bool:
    return _job is not None


@contextmanager
def evaluator(job: Job, workers: int) -> Iterator[tuple[Evaluate, tuple[str, ...]]]:
    """Yield a function that scores tasks in their order, and notes on the processes."""
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
    # a forked process may inherit a locked thread pool of the linear algebra, and wait forever
    context = get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=_take, initargs=(job,)) as pool:
        # without this task, a score that breaks a process would break the first of many results
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


def run_tasks(
    evaluate: Evaluate, progress: Progress | None, tasks: list[Task], description: str
) -> list[float]:
    """Score tasks; `progress` sees those with a description."""
    values = iter(evaluate(tasks))
    steps: Iterable[int] = range(len(tasks))
    if progress is not None and description:
        steps = progress(steps, description, len(tasks))
    return [next(values) for _ in steps]
