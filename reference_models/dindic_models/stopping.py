"""Requests to stop: signals and the time limit, and the errors that a stopped run raises."""

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

__all__ = [
    "TimeIsUpError",
    "TimeLimit",
    "TrainingStoppedError",
    "stop_requests",
    "why_stopped",
]


class TrainingStoppedError(Exception):
    """A signal ended the training, after a checkpoint."""

    def __init__(self, step: int, epoch: int, number: int) -> None:
        super().__init__(f"stopped in epoch {epoch}, after step {step}, which is saved")
        self.signal = number


class TimeIsUpError(Exception):
    """The time limit ended the work; what is done is saved, and the same call resumes."""


class TimeLimit:
    """Minutes that a command may take, from the moment this is made.

    Parameters
    ----------
    minutes : float
    clock : callable
        Returns seconds.

    Examples
    --------
    >>> seconds = iter([0.0, 59.0, 61.0])
    >>> limit = TimeLimit(1, clock=lambda: next(seconds))
    >>> limit.is_over(), limit.is_over()
    (False, True)
    """

    def __init__(self, minutes: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = clock() + 60 * minutes

    def is_over(self) -> bool:
        """Return whether the time is used."""
        return self._clock() >= self._end


@contextmanager
def stop_requests() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM in place of dying of them; the second SIGINT is not held back."""
    got: list[int] = []

    def note(number: int, frame: Any) -> None:
        got.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    try:
        before = {s: signal.signal(s, note) for s in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not in the main thread, where signals do not arrive
        yield got
        return
    try:
        yield got
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def why_stopped(
    step: int, epoch: int, stopping: Sequence[int], limit: TimeLimit | None
) -> TrainingStoppedError | TimeIsUpError:
    """Return why training stops; without a signal here, another process had one or was first."""
    if limit is not None and not stopping:
        return TimeIsUpError(
            f"the time is up in epoch {epoch + 1}, after step {step}, which is saved"
        )
    return TrainingStoppedError(step, epoch + 1, [*stopping, signal.SIGTERM][0])
