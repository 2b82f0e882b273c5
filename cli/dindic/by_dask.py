"""The sums over many files, by workers of Dask."""

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import click

from dindic.exits import bad_input
from dindic.inputs import read_arguments
from dindic.output import progress, say_notes

if TYPE_CHECKING:
    from disentangle_indicators import Summary

WAIT = 30
"""Seconds in which a scheduler must have a worker."""

LOCAL = "local"
"""What --dask takes in place of an address, for processes of this machine."""


def summary_by_dask(file: str, options: dict[str, Any]) -> "Summary":
    """Sum up the files of a pattern, a folder or a list, one task for each file.

    Raises
    ------
    click.ClickException
        If Dask is missing, or its workers die.
    BadInput
        If a file cannot be read or added up.
    """
    try:
        import distributed
        from dask.system import CPU_COUNT
    except ModuleNotFoundError as error:
        raise click.ClickException(
            "--dask needs the package distributed: pip install 'disentangle-indicators[dask]'"
        ) from error
    from disentangle_indicators.encodings._many import files_of
    from disentangle_indicators.engines import summarise_files

    with bad_input(file), ExitStack() as stack:
        files = files_of(Path(file))
        dask: Any = distributed  # whose classes have no types
        where = options["dask"]
        if where == LOCAL:
            workers = min(len(files), CPU_COUNT)
            with _workers_ignore_ctrl_c():
                cluster = dask.LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    dashboard_address=":0",  # a free port
                    silence_logs=logging.CRITICAL,  # this command prints an error of a task, once
                )
            where = stack.enter_context(cluster)
        try:
            client = stack.enter_context(dask.Client(where))
            client.wait_for_workers(1, timeout=WAIT)
        except (OSError, TimeoutError) as error:
            raise click.ClickException(
                f"--dask {where}: {error}. Start a worker with: dask worker {where}; or use --dask {LOCAL}"
            ) from error
        if not options["quiet"]:
            workers = len(client.nthreads())
            on = f"{workers} worker{'s' * (workers != 1)}"
            say_notes((f"{len(files)} file{'s' * (len(files) != 1)}, on {on}",))
        try:
            topic, events = f"dindic-{uuid4()}", SimpleQueue[str | None]()
            client.subscribe_topic(topic, lambda event: events.put(event[1]))
            total = client.compute(summarise_files(files, topic=topic, **read_arguments(options)))
            total.add_done_callback(lambda _: events.put(None))
            steps = _names(events, len(files))
            for _ in steps if options["quiet"] else progress(steps, "files", len(files)):
                pass
            whole: Summary = total.result()
        except dask.KilledWorker as error:
            raise click.ClickException(f"workers of Dask died, too often: {error}") from error
        return whole


@contextmanager
def _workers_ignore_ctrl_c() -> Iterator[None]:
    """Start processes that leave Ctrl-C to this one, which ends them without a traceback."""
    if threading.current_thread() is not threading.main_thread():
        yield  # which alone may set signals
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _names(events: SimpleQueue[str | None], files: int) -> Iterator[str]:
    """Yield the name of each file that workers have summed up, until the total ends, with None."""
    seen: set[str] = set()
    while len(seen) < files and (name := events.get()) is not None:
        if name not in seen:  # a worker that died may have said so already
            yield name
        seen.add(name)
