"""Training: one loop, on one process or several, that can be stopped and gone on with anywhere.

Nothing random is carried from step to step. The order of the images depends on the seed and the
epoch, the noise on the seed and the step, and is drawn for the whole batch whichever process needs
which part of it: so a run that was stopped gives the weights of one that was not, and two processes
those of one.
"""

import json
import signal
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from dindic_models.batches import Batches, Progress, Rows, fits
from dindic_models.checkpoint import (
    CONFIG,
    MODEL,
    TRAINING,
    read_config,
    read_tensors,
    save_config,
    save_model,
    write_tensors,
)
from dindic_models.config import Config, make_model, seed_of, seeds_of
from dindic_models.data import Data, rows, some
from dindic_models.devices import Group, processes, set_precision
from dindic_models.history import Row, evaluate, noise_row, write_csv
from dindic_models.objective import draw, objective
from dindic_models.vae import VAE

HELD_OUT = 10_000
"""Images that the indicators of every epoch are computed on, at most (appendix D.2)."""

SAVE_EVERY = 600.0
"""Seconds after which a checkpoint is saved within an epoch."""

CHECK_EVERY = {"cpu": 1, "cuda": 100}
"""Steps between two looks at the loss: a look waits for the GPU."""


class TrainingStoppedError(Exception):
    """A signal ended the training, after a checkpoint."""

    def __init__(self, step: int, epoch: int, number: int) -> None:
        super().__init__(f"stopped in epoch {epoch}, after step {step}, which is saved")
        self.signal = number


class TrainingDivergedError(Exception):
    """The loss is no longer a finite number."""


@dataclass
class State:
    """What a run has come to: weights, Adam's averages, steps done, sums of the epoch, rows."""

    model: VAE
    optimiser: torch.optim.Adam
    totals: Tensor
    step: int = 0
    history: list[Row] = field(default_factory=list)

    def save(self, folder: Path, config: Config, group: Group) -> None:
        """Write training.safetensors, all that going on needs, then what others read."""
        self.check(config, group, weights=True)
        totals = group.sum(self.totals.clone())
        self.totals.copy_(totals * group.first)
        if group.first:
            tensors = {f"model.{name}": t for name, t in self.model.state_dict().items()}
            tensors |= self.averages() | {"totals": self.totals}
            said = {"step": str(self.step), "history": json.dumps(self.history)}
            write_tensors(folder / TRAINING, tensors, said)
            self.publish(folder)
        group.wait()

    def publish(self, folder: Path) -> None:
        """Write model.safetensors and history.csv, which others read."""
        save_model(folder, self.model, self.step)
        if self.history:
            write_csv(folder / "history.csv", self.history)

    def averages(self) -> dict[str, Tensor]:
        """Return what Adam carries, by name."""
        state = self.optimiser.state_dict()["state"]
        return {f"adam.{i}.{name}": t for i in state for name, t in state[i].items()}

    def check(
        self, config: Config, group: Group, *, weights: bool = False, failed: bool = False
    ) -> None:
        """Raise TrainingDivergedError, in all processes, if sums or weights are not finite."""
        values = [self.totals, *(self.model.state_dict().values() if weights else ())]
        finite = all(bool(t.isfinite().all()) for t in values)
        if group.any(failed or not finite, self.totals):
            raise TrainingDivergedError(
                f"the loss is not a finite number by step {self.step}; the checkpoint before it "
                f"stays. A smaller lr than {config.lr:g}, or a larger sigma2 to start from than "
                f"{config.sigma2:g}, usually helps"
            )

    def load(self, folder: Path) -> None:
        """Read training.safetensors.

        Raises
        ------
        ValueError
            If it is damaged or belongs to another model.
        """
        path = folder / TRAINING
        tensors, said = read_tensors(path)
        try:
            weights = {k[6:]: t for k, t in tensors.items() if k.startswith("model.")}
            self.model.load_state_dict(weights)
            for name, tensor in self.averages().items():  # fused Adam needs their memory layout
                tensor.copy_(tensors[name])
            self.totals.copy_(tensors["totals"])
            self.step, self.history = int(said["step"]), json.loads(said["history"])
        except (KeyError, ValueError, RuntimeError) as error:
            reason = str(error).strip().split("\n")[0]
            raise ValueError(f"{path}: not the state of this run ({reason})") from error


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
        Go on from training.safetensors, or from the start if nothing has been saved yet; all
        settings but `epochs` must be those of the run.
    device : torch.device, optional
    deterministic : bool
        On a GPU, use only operations that repeat themselves bit for bit. The CPU does anyway.
    progress : callable, optional
        ``progress(steps, description, total)`` yields the steps and shows how far they are.
    say : callable, optional
        Called with one line after every epoch.

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
    folder, device = Path(folder), device or torch.device("cpu")
    set_precision(config.precision, deterministic=deterministic)
    shape = (data.images.shape[1], data.images.shape[2], data.images.shape[3])
    model: VAE = make_model(config, shape)
    model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    state = State(model, adam(model, config.lr), torch.zeros(2, device=device).double())
    with processes(device) as group, stop_requests() as stopping:
        if group.first:
            _check_folder(folder, config, shape, data, resume)
        group.wait()
        saved = resume and (folder / TRAINING).is_file()
        if saved:
            state.load(folder)
            state.totals *= group.first
        batches, held_out = _batches(config, data, device, progress)
        per_epoch = -(-len(batches) // config.batch)
        steps = range(state.step, config.epochs * per_epoch)
        if state.step > steps.stop:
            raise ValueError(f"{folder} has been trained for more than {config.epochs} epochs")
        if group.first:
            save_config(folder, config, shape, _about(data, source))
            if saved:
                state.publish(folder)
        if not len(steps) and say is not None and group.first:
            say(f"all {config.epochs} epochs are done already; --epochs gives it more")
        with closing((progress or _silent)(steps, "training", len(steps))) as shown:
            run(state, config, group, batches, held_out, folder, stopping, shown, say)
    return model.eval()


def run(
    state: State,
    config: Config,
    group: Group,
    batches: Batches,
    held_out: Batches,
    folder: Path,
    stopping: Sequence[int],
    shown: Iterator[Any],
    say: Callable[[str], None] | None,
) -> None:
    """Train from where the state is to the last epoch, and save after each."""
    step = Step(state, config, group)
    per_epoch = -(-len(batches) // config.batch)
    saved = time.monotonic()
    for epoch in range(state.step // per_epoch, config.epochs):
        began, done = time.monotonic(), state.step % per_epoch
        chosen, seeds = plan(config, len(batches), epoch)
        mine = [index[group.rank :: group.size] for index in chosen]
        images = batches.each(mine[done:])
        for x, index, seed, _ in zip(images, chosen[done:], seeds[done:], shown, strict=False):
            step(x, len(index), seed)
            state.step += 1
            if state.step % CHECK_EVERY.get(x.device.type, 1) == 0:
                state.check(config, group)
            if state.step % per_epoch == 0:  # what is saved then has the row of the epoch
                continue
            if group.any(bool(stopping), state.totals):
                state.save(folder, config, group)
                raise TrainingStoppedError(state.step, epoch + 1, [*stopping, signal.SIGTERM][0])
            if group.any(time.monotonic() - saved > SAVE_EVERY, state.totals):
                state.save(folder, config, group)
                saved = time.monotonic()
        totals = group.sum(state.totals.clone())
        row = _row(state, config, totals / len(batches), epoch, time.monotonic() - began)
        state.history.append(row | _judged(state, config, group, held_out))
        state.totals.zero_()
        state.save(folder, config, group)
        saved = time.monotonic()
        if say is not None and group.first:
            say(_line(state.history[-1], config))
        if epoch + 1 < config.epochs and group.any(bool(stopping), state.totals):
            raise TrainingStoppedError(state.step, epoch + 1, [*stopping, signal.SIGTERM][0])


def plan(config: Config, n: int, epoch: int) -> tuple[list[Rows], list[int]]:
    """Return the positions of the images of every batch of an epoch, and the seed of its noise."""
    order = np.random.default_rng(seed_of(config.seed, "order", epoch)).permutation(n)
    chosen = np.split(order, range(config.batch, n, config.batch))
    return chosen, seeds_of(config.seed, "noise", epoch, number=len(chosen))


class Step:
    """One step of Adam on the objective (11), and of the noise's closed form.

    On one GPU the step is recorded as a CUDA graph at the first full batch, because its hundred
    small kernels take less time than Python needs to start them; replayed, it starts as one.
    """

    def __init__(self, state: State, config: Config, group: Group) -> None:
        self.state, self.config, self.group = state, config, group
        self.model: Any = state.model
        device = state.totals.device
        self.bf16 = config.precision == "bf16"
        self.graphed = device.type == "cuda" and group.size == 1
        self.graph: Any = None
        self.inputs: tuple[Tensor, Tensor]
        if group.size > 1:
            self.model = DistributedDataParallel(state.model)

    def __call__(self, x: Tensor, size: int, seed: int) -> None:
        """Take a step on this process's part x of a batch of `size` images."""
        shape = (self.config.samples, size, self.config.latents)
        noise = draw(seed, shape, x)[:, self.group.rank :: self.group.size]
        if not self.graphed or size < self.config.batch:
            self.take(x, noise, size)
            return
        if self.graph is None:
            self.inputs = x.clone(), noise.clone()
            self.graph = record(lambda: self.take(*self.inputs, size), self.tensors())
        for static, new in zip(self.inputs, (x, noise), strict=True):
            static.copy_(new)
        self.graph.replay()

    def take(self, x: Tensor, noise: Tensor, size: int) -> None:
        """Move weights and noise, and add log likelihood and KL to the sums of the epoch."""
        device = x.device.type
        with torch.autocast(device, torch.bfloat16, enabled=self.bf16, cache_enabled=False):
            values = self.model(x, noise)
        loss = -objective(values, self.config.beta).sum() / size
        self.state.optimiser.zero_grad(set_to_none=True)
        loss = loss * self.group.size  # because gradients are averaged over the processes
        loss.backward()  # type: ignore[no-untyped-call]
        self.state.optimiser.step()
        with torch.no_grad():
            model = self.state.model
            repeated = x.repeat(len(noise), 1, 1, 1) if len(noise) > 1 else x
            model.noise.absorb(self.group.sum(model.noise.statistics(repeated, values.output)))
            sums = torch.stack([values.log_likelihood.sum(), values.kl.sum()])
            self.state.totals += sums.detach()

    def tensors(self) -> list[Tensor]:
        """Return everything that a step changes."""
        adam_state = [t for values in self.state.optimiser.state.values() for t in values.values()]
        return [*self.state.model.state_dict().values(), *adam_state, self.state.totals]


def record(step: Callable[[], None], changed: list[Tensor]) -> Any:
    """Return a CUDA graph of a step, after some steps to warm up, which are taken back."""
    before = [tensor.detach().clone() for tensor in changed]
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    with torch.no_grad():
        for tensor, old in zip(changed, before, strict=True):
            tensor.copy_(old)
    return graph


def adam(model: VAE, lr: float) -> torch.optim.Adam:
    """Return Adam with its averages at zero, where a CUDA graph and a checkpoint find them."""
    learned = [p for p in model.parameters() if p.requires_grad]
    cuda = learned[0].device.type == "cuda"
    optimiser = torch.optim.Adam(learned, lr=lr, fused=True, capturable=cuda)
    for p in learned:
        optimiser.state[p] = {
            "step": torch.zeros((), device=p.device),
            "exp_avg": torch.zeros_like(p),
            "exp_avg_sq": torch.zeros_like(p),
        }
    return optimiser


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


def _check_folder(
    folder: Path, config: Config, shape: tuple[int, int, int], data: Data, resume: bool
) -> None:
    """Make the folder; or, to go on, compare the run with the one in it."""
    if not resume:
        if any((folder / name).exists() for name in (CONFIG, MODEL, TRAINING)):
            raise ValueError(
                f"{folder} holds a run already; give --resume {folder} in place of -o, or another folder"
            )
        folder.mkdir(parents=True, exist_ok=True)
        return
    if (folder / MODEL).exists() and not (folder / TRAINING).is_file():
        raise ValueError(f"{folder} has no {TRAINING} to go on from")
    old, old_shape, old_data = read_config(folder)
    for name, value in replace(old, epochs=config.epochs).to_dict().items():
        if value != config.to_dict()[name]:
            raise ValueError(
                f"{folder} was trained with {name} = {value}, not {config.to_dict()[name]}; "
                "only epochs may change"
            )
    if old_shape != shape or old_data.get("fingerprint") != data.fingerprint:
        raise ValueError(f"{folder} was trained on other data ({old_data.get('name')})")


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
    rendered = data.name == "sprites" and device.type == "cpu"
    keep = fits(data.images, len(train)) and not rendered
    return (
        Batches(data.images, train, device, dtype, keep=keep, progress=progress),
        Batches(data.images, some(held_out, HELD_OUT, seed=config.split_seed), device, dtype),
    )


def _judges(config: Config, data: Data) -> str:
    official = config.split == "official" and "validation" not in data.official
    return "test" if official else "validation"


def _silent(steps: Iterable[Any], description: str, total: int) -> Generator[Any, None, None]:
    yield from steps


def _row(state: State, config: Config, averages: Tensor, epoch: int, seconds: float) -> Row:
    log_likelihood, kl = averages.tolist()
    return {
        "epoch": epoch + 1,
        "step": state.step,
        "seconds": round(seconds, 3),
        "train_evlb": log_likelihood - kl,
        "train_kl": kl,
        **noise_row(state.model, config),
    }


def _judged(state: State, config: Config, group: Group, held_out: Batches) -> Row:
    """Return the rest of the row, in the first process."""
    row: Row = {}
    failed = False
    if group.first:
        try:
            row = evaluate(state.model, held_out, config)
        except FloatingPointError:
            failed = True
    state.check(config, group, failed=failed)
    return row


def _line(row: Row, config: Config) -> str:
    words = [
        f"epoch {row['epoch']:.0f}/{config.epochs}",
        f"EVLB {row['train_evlb']:.1f}",
        f"KL {row['train_kl']:.2f} nats",
        f"sigma^2 {row['sigma2']:.3g}",
    ]
    if "used" in row:
        words += [f"held out: EVLB {row['evlb']:.1f}", f"{row['used']:.0f} latents used"]
    return "  ".join([*words, f"{row['seconds']:.1f} s"])
