"""The sums over many files, by workers of Dask."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack
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
            cluster = dask.LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                dashboard_address=None,
                silence_logs=logging.CRITICAL,  # an error of a task is printed once, by this command
            )
            where = stack.enter_context(cluster)
        client = stack.enter_context(dask.Client(where))
        if not options["quiet"]:
            say_notes((f"{len(files)} files, on {len(client.nthreads())} workers",))
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


def _names(events: SimpleQueue[str | None], files: int) -> Iterator[str]:
    """Yield the name of each file that workers have summed up, until the total ends, with None."""
    seen: set[str] = set()
    while len(seen) < files and (name := events.get()) is not None:
        if name not in seen:  # a worker that died may have said so already
            yield name
        seen.add(name)
