"""Training: one loop, on one process or several, that can be stopped and gone on with anywhere.

Nothing random is carried from step to step. The order of the images depends on the seed and the
epoch, the noise on the seed and the step, and is drawn for the whole batch whichever process needs
which part of it: so a run that was stopped gives the weights of one that was not, and two processes
those of one. Several models of one seed see the same batches, and can be trained together.
"""

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dindic_models.batches import Batches, Progress, Rows, fits
from dindic_models.checkpoint import TRAINING, save_config
from dindic_models.config import Config, seed_of, seeds_of
from dindic_models.data import Data, rows, some
from dindic_models.devices import (
    Group,
    keep_freed_memory,
    name_of,
    on_device,
    processes,
    set_precision,
)
from dindic_models.folders import SHARED, check_folder, check_together, locked
from dindic_models.history import epoch_line, evaluate, noise_row
from dindic_models.state import State, TrainingDivergedError
from dindic_models.step import Step
from dindic_models.stopping import (
    TimeIsUpError,
    TimeLimit,
    TrainingStoppedError,
    stop_requests,
    why_stopped,
)
from dindic_models.vae import VAE

__all__ = [
    "SHARED",
    "TimeIsUpError",
    "TimeLimit",
    "TrainingDivergedError",
    "TrainingStoppedError",
    "plan",
    "train",
    "train_together",
]

HELD_OUT = 10_000
"""Images that the indicators of every epoch are computed on, at most (appendix D.2)."""

SAVE_EVERY = 600.0
"""Seconds after which a checkpoint is saved within an epoch."""

CHECK_EVERY = {"cpu": 1, "cuda": 100}
"""Steps between two looks at the loss: a look waits for the GPU."""


def train(
    config: Config,
    data: Data,
    folder: str | Path,
    *,
    source: str | None = None,
    resume: bool = False,
    device: torch.device | None = None,
    deterministic: bool = False,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
    limit: TimeLimit | None = None,
) -> VAE:
    """Train a model and leave it in a folder: config.json, model.safetensors, history.csv.

    Parameters
    ----------
    config : Config
    data : Data
    folder : path
        Made if it is not there; a run that is in it is gone on with if `resume`, and refused else.
    source : str, optional
        Where the data came from, kept for ``dindic encode``.
    resume : bool
        Go on from training.safetensors, or from the start if nothing has been saved yet, or there
        is no run at all; all settings but `epochs` must be those of the run.
    device : torch.device, optional
    deterministic : bool
        On a GPU, use only operations that repeat themselves bit for bit. The CPU does anyway.
    progress : callable, optional
        ``progress(steps, description, total)`` yields the steps and shows how far they are.
    say : callable, optional
        Called with one line after every epoch.
    limit : TimeLimit, optional
        When it is over, training stops at the next step, after a checkpoint.

    Returns
    -------
    VAE
        In evaluation mode.

    Raises
    ------
    ValueError
        If the folder holds another run, or the data do not fit.
    TrainingStoppedError
        After SIGINT or SIGTERM and a checkpoint.
    TimeIsUpError
        After the limit and a checkpoint, unless that was the last step.
    TrainingDivergedError
        When the loss is nan or inf; the last checkpoint stays.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from dindic_models.data import open_data
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/images.npy", np.eye(64, dtype=np.float32).reshape(64, 8, 8))
    ...     config = Config("array", "mlp", latents=2, epochs=1, batch=16)
    ...     model = train(config, open_data(f"{folder}/images.npy"), f"{folder}/run")
    >>> tuple(model.reconstruct(torch.zeros(1, 2)).shape)
    (1, 1, 8, 8)
    """
    return train_together(
        [config],
        data,
        [folder],
        source=source,
        resume=resume,
        device=device,
        deterministic=deterministic,
        progress=progress,
        say=say,
        limit=limit,
    )[0]


def train_together(
    configs: Sequence[Config],
    data: Data,
    folders: Sequence[str | Path],
    *,
    source: str | None = None,
    resume: bool = False,
    device: torch.device | None = None,
    deterministic: bool = False,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
    judge_every: int = 1,
    save_every: float = 0.0,
    limit: TimeLimit | None = None,
) -> list[VAE]:
    """Train several models at once, each in its folder and as :func:`train` would alone.

    They see the same batches and the same noise, and take their steps in parallel: as branches of
    one CUDA graph, or in threads of the CPU.

    Parameters
    ----------
    configs : sequence of Config
        The settings in ``SHARED``, and epochs, are the same.
    data : Data
    folders : sequence of path
        One for each.
    source, resume, device, deterministic, progress, say, limit
        As for :func:`train`. Runs that are resumed have come to the same step.
    judge_every : int
        Epochs between two looks at held-out images; the last epoch always has one.
    save_every : float
        Seconds between two checkpoints at the end of an epoch, 0 for one after each.

    Returns
    -------
    list of VAE

    Raises
    ------
    ValueError
        If settings, steps or folders do not fit.
    TrainingStoppedError, TimeIsUpError, TrainingDivergedError
        As :func:`train`. The last names the folder of the run; the others keep their checkpoints.
    """
    device, paths = device or torch.device("cpu"), [Path(folder) for folder in folders]
    check_together(configs, paths)
    config = configs[0]
    set_precision(config.precision, deterministic=deterministic)
    if device.type == "cpu":
        keep_freed_memory()
    shape = (data.images.shape[1], data.images.shape[2], data.images.shape[3])
    pairs = list(zip(configs, paths, strict=True))
    states = [State.new(each, shape, path, device) for each, path in pairs]
    with (
        on_device(device),
        processes(device) as group,
        stop_requests() as stopping,
        ExitStack() as held,
    ):
        if len(states) > 1 and group.size > 1:
            raise ValueError("several models are trained together by one process, not by several")
        if group.first:
            for each, path in pairs:
                held.enter_context(locked(path))
                check_folder(path, each, shape, data, resume)
        group.wait()
        saved = [resume and (path / TRAINING).is_file() for path in paths]
        for state, there in zip(states, saved, strict=True):
            if there:
                state.load()
                state.totals *= group.first
        if len({state.step for state in states}) > 1:
            raise ValueError("models that are trained together must have come to the same step")
        batches, held_out = _batches(config, data, device, progress)
        per_epoch = -(-len(batches) // config.batch)
        steps = range(states[0].step, config.epochs * per_epoch)
        if states[0].step > steps.stop:
            raise ValueError(f"{paths[0]} has been trained for more than {config.epochs} epochs")
        if group.first:
            for state, there in zip(states, saved, strict=True):
                about = _about(data, source)
                on = [name_of(device)] if len(steps) else []
                save_config(state.folder, state.config, shape, about, on)
                if there:
                    state.publish()
        if not len(steps) and say is not None and group.first:
            say(f"all {config.epochs} epochs are done already; a larger epochs= continues")
        with closing((progress or _silent)(steps, "training", len(steps))) as shown:
            run(
                states,
                group,
                batches,
                held_out,
                stopping,
                shown,
                say,
                judge_every=judge_every,
                save_every=save_every,
                limit=limit,
            )
    return [state.model.eval() for state in states]


def run(
    states: Sequence[State],
    group: Group,
    batches: Batches,
    held_out: Batches,
    stopping: Sequence[int],
    shown: Iterator[Any],
    say: Callable[[str], None] | None,
    *,
    judge_every: int,
    save_every: float,
    limit: TimeLimit | None = None,
) -> None:
    """Train from where the states are to the last epoch, and save on the way."""
    first, config = states[0], states[0].config
    per_epoch = -(-len(batches) // config.batch)
    saved = time.monotonic()

    def asked() -> bool:
        return bool(stopping) or (limit is not None and limit.is_over())

    with closing(Step(states, group)) as step:
        for epoch in range(first.step // per_epoch, config.epochs):
            began, done = time.monotonic(), first.step % per_epoch
            chosen, seeds = plan(config, len(batches), epoch)
            mine = [index[group.rank :: group.size] for index in chosen]
            images = batches.each(mine[done:])
            for x, index, seed, _ in zip(images, chosen[done:], seeds[done:], shown, strict=False):
                step(x, len(index), seed)
                for state in states:
                    state.step += 1
                if first.step % CHECK_EVERY.get(x.device.type, 1) == 0:
                    _each(states, lambda state: state.check(group))
                if first.step % per_epoch == 0:  # what is saved then has the row of the epoch
                    continue
                if group.any(asked(), first.totals):
                    _each(states, lambda state: state.save(group))
                    raise why_stopped(first.step, epoch, stopping, limit)
                if group.any(time.monotonic() - saved > SAVE_EVERY, first.totals):
                    _each(states, lambda state: state.save(group))
                    saved = time.monotonic()
            last, seconds = epoch + 1 == config.epochs, time.monotonic() - began
            judges = held_out if last or (epoch + 1) % judge_every == 0 else None
            for state in states:
                _end_epoch(state, group, len(batches), judges, seconds / len(states))
            if say is not None and group.first:
                say(epoch_line([state.history[-1] for state in states], config.epochs))
            stop = group.any(asked(), first.totals)
            if last or stop or group.any(time.monotonic() - saved >= save_every, first.totals):
                _each(states, lambda state: state.save(group))
                saved = time.monotonic()
            if stop and not last:
                raise why_stopped(first.step, epoch, stopping, limit)


def _each(states: Sequence[State], action: Callable[[State], None]) -> None:
    """Do something to every state, also to those after one that diverged."""
    diverged: list[TrainingDivergedError] = []
    for state in states:
        try:
            action(state)
        except TrainingDivergedError as error:
            diverged.append(error)
    if diverged:
        raise diverged[0]


def _end_epoch(
    state: State, group: Group, images: int, held_out: Batches | None, seconds: float
) -> None:
    """Add the row of the epoch, with the indicators of held-out images, and start anew."""
    log_likelihood, kl = (group.sum(state.totals.clone()) / images).tolist()
    row = {
        "epoch": state.step // -(-images // state.config.batch),
        "step": state.step,
        "seconds": round(seconds, 3),
        "train_evlb": log_likelihood - kl,
        "train_kl": kl,
        **noise_row(state.model, state.config),
    }
    failed = False
    if group.first and held_out is not None:
        try:
            row |= evaluate(state.model, held_out, state.config)
        except FloatingPointError:
            failed = True
    state.check(group, failed=failed)
    state.history.append(row)
    state.totals.zero_()


def plan(config: Config, n: int, epoch: int) -> tuple[list[Rows], list[int]]:
    """Return the positions of the images of every batch of an epoch, and the seed of its noise."""
    order = np.random.default_rng(seed_of(config.seed, "order", epoch)).permutation(n)
    chosen = np.split(order, range(config.batch, n, config.batch))
    return chosen, seeds_of(config.seed, "noise", epoch, number=len(chosen))


def _about(data: Data, source: str | None) -> dict[str, Any]:
    return {"name": data.name, "fingerprint": data.fingerprint, "n": len(data), "path": source}


def _batches(
    config: Config, data: Data, device: torch.device, progress: Progress | None
) -> tuple[Batches, Batches]:
    """Return the images to train on, and those that every epoch is judged by."""
    train, held_out = (
        rows(data, part, split=config.split, seed=config.split_seed)
        for part in ("train", _judges(config, data))
    )
    dtype = torch.float64 if config.precision == "float64" else torch.float32
    held_out = some(held_out, HELD_OUT, seed=config.split_seed)
    # A CPU renders sprites as fast as it reads them, and reads held-out images where they are.
    on_gpu = device.type == "cuda"
    keep = fits(data.images, len(train)) and (on_gpu or data.name != "sprites")
    keep_held_out = fits(data.images, len(held_out)) and on_gpu
    return (
        Batches(data.images, train, device, dtype, keep=keep, progress=progress),
        Batches(data.images, held_out, device, dtype, keep=keep_held_out),
    )


def _judges(config: Config, data: Data) -> str:
    official = config.split == "official" and "validation" not in data.official
    return "test" if official else "validation"


def _silent(steps: Iterable[Any], description: str, total: int) -> Generator[Any, None, None]:
    yield from steps
