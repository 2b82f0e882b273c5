"""A training step of the reference models: the loop as used, by hand, and with one thing changed.

The network of MNIST, 100 images a step. Every round runs all variants in turn, and ratios are taken
within a round, so that other users of the machine disturb them alike; medians over rounds are
printed. Several models are trained at once in threads, one after the other, and stacked by
torch.func.vmap. On a machine with CUDA the step also runs there, with its graph and without, and
for up to 35 models as branches of one graph, on one stream and on several; --gpu leaves out the rest:

    python benchmarks/training.py [--data mnist/] [--rounds 5] [--steps 15] [--gpu]
"""

import argparse
import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import nn

from dindic_models import train as train_module
from dindic_models.batches import Batches
from dindic_models.config import Config, make_model, starting_values
from dindic_models.data import Data, open_data, rows
from dindic_models.devices import Group, keep_freed_memory, layout_of, set_precision
from dindic_models.history import evaluate
from dindic_models.objective import draw, objective
from dindic_models.state import State, adam
from dindic_models.step import Step, record
from dindic_models.train import plan

N, EPOCHS = 42_000, 200
LEARNED = Config(noise="learned")
CPU = torch.device("cpu")

Run = Callable[[int], None]


def images(path: str | None) -> tuple[np.ndarray, str]:
    """Return 42,000 images of uint8 and what they are."""
    if path is not None:
        data = open_data(path, dataset="mnist")
        return data.images[rows(data, "train")], data.source
    levels = np.random.default_rng(0).integers(0, 256, (N, 1, 28, 28), np.uint8)
    return levels, f"{N} synthetic images of 1x28x28, since there is no --data"


class Loop:
    """The loop of :mod:`dindic_models.train`, step by step, with one thing changed or none."""

    def __init__(
        self,
        pixels: np.ndarray,
        config: Config = LEARNED,
        *,
        layout: torch.memory_format | None = None,
        fused: bool = True,
        device: torch.device = CPU,
        graphed: bool = True,
        models: int = 1,
    ) -> None:
        layout = layout or layout_of(config.precision, device)
        states = []
        for seed in range(models):
            own = replace(config, seed=seed)
            model = make_model(own, pixels.shape[1:]).to(device, memory_format=layout)
            optimiser = adam(model, config.lr)
            if not fused:
                optimiser = torch.optim.Adam(optimiser.param_groups[0]["params"], lr=config.lr)
            zero = torch.zeros(2, device=device).double()
            states.append(State(own, Path(), model, optimiser, zero))
        self.step = Step(states, Group())
        self.step.graphed &= graphed
        self.config, self.epoch = config, -1
        self.batches = Batches(pixels, np.arange(len(pixels)), device, keep=True)
        self.queue = self.endless()

    def endless(self):
        while True:
            self.epoch += 1
            chosen, seeds = plan(self.config, len(self.batches), self.epoch)
            yield from zip(self.batches.each(chosen), chosen, seeds, strict=True)

    def __call__(self, steps: int) -> None:
        for _ in range(steps):
            x, index, seed = next(self.queue)
            self.step(x, len(index), seed)


class Stacked(Loop):
    """Several models of one architecture as one, their weights stacked by torch.func."""

    def __init__(self, pixels: np.ndarray, models: int, device: torch.device = CPU) -> None:
        super().__init__(pixels, models=models, device=device)
        self.models = [state.model for state in self.step.states]
        stacked, self.buffers = torch.func.stack_module_state(self.models)
        self.weights = {name: t.detach().requires_grad_() for name, t in stacked.items()}
        cuda = device.type == "cuda"
        self.adam = torch.optim.Adam(self.weights.values(), lr=1e-3, fused=True, capturable=cuda)
        self.graph = None

    def loss(self, weights, buffers, x, noise):
        values = torch.func.functional_call(self.models[0], (weights, buffers), (x, noise))
        return -objective(values, 1.0).sum() / len(x)

    def take(self, x, noise):
        self.adam.zero_grad(set_to_none=True)
        each = torch.vmap(self.loss, (0, 0, None, None))(self.weights, self.buffers, x, noise)
        each.sum().backward()
        self.adam.step()

    def __call__(self, steps: int) -> None:
        for _ in range(steps):
            x, index, seed = next(self.queue)
            if len(index) < 100:
                continue
            noise = draw(seed, (1, len(index), 128), x)
            if x.device.type == "cpu":
                self.take(x, noise)
                continue
            if self.graph is None:
                self.inputs = x.clone(), noise.clone()
                self.graph = record(lambda: self.take(*self.inputs), [])
            for static, new in zip(self.inputs, (x, noise), strict=True):
                static.copy_(new)
            self.graph.replay()


class ByHand:
    """A plain loop as tutorials have it: float images, usual memory layout, Adam as it comes."""

    def __init__(self, pixels: np.ndarray, latents: int = 128) -> None:
        torch.manual_seed(0)
        self.x = torch.from_numpy(pixels).float() / 255
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 32, 4, 2, 1),
            nn.ReLU(),
            nn.Conv2d(32, 32, 4, 2, 1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * 49, 256),
            nn.ReLU(),
            nn.Linear(256, 2 * latents),
        )
        self.decoder = nn.Sequential(
            nn.Linear(latents, 256),
            nn.ReLU(),
            nn.Linear(256, 32 * 49),
            nn.ReLU(),
            nn.Unflatten(1, (32, 7, 7)),
            nn.ConvTranspose2d(32, 32, 4, 2, 1),
            nn.ReLU(),
            nn.ConvTranspose2d(32, 1, 4, 2, 1),
            nn.Sigmoid(),
        )
        self.log_sigma = nn.Parameter(torch.tensor(-1.15))
        learned = [*self.encoder.parameters(), *self.decoder.parameters(), self.log_sigma]
        self.optimiser = torch.optim.Adam(learned, lr=1e-3)
        self.queue = self.endless()

    def endless(self):
        while True:
            yield from torch.randperm(len(self.x)).split(100)

    def __call__(self, steps: int) -> None:
        for _ in range(steps):
            x = self.x[next(self.queue)]
            mean, logvar = self.encoder(x).chunk(2, dim=1)
            g = self.decoder(mean + (logvar / 2).exp() * torch.randn_like(mean))
            squared = (x - g).pow(2).sum() / (2 * self.log_sigma).exp() / 2
            likelihood = squared + x.numel() * self.log_sigma
            kl = 0.5 * (mean.pow(2) + logvar.exp() - 1 - logvar).sum()
            loss = (likelihood + kl) / len(x)
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()


def cpu(run: Run, steps: int) -> tuple[float, float]:
    """Return CPU seconds and wall seconds of a step."""
    start, began = time.process_time(), time.perf_counter()
    run(steps)
    return (time.process_time() - start) / steps, (time.perf_counter() - began) / steps


def paired(runs: dict[str, Run], rounds: int, steps: int) -> dict[str, np.ndarray]:
    """Run every variant in turn, in every round; return CPU and wall times, (rounds, 2)."""
    for run in runs.values():
        run(2)  # caches
    times = [[cpu(run, steps) for run in runs.values()] for _ in range(rounds)]
    return dict(zip(runs, np.array(times).transpose(1, 0, 2), strict=True))


def table(title: str, times: dict[str, np.ndarray], against: str, clock: int = 0) -> None:
    """Print milliseconds, images a second, and the ratio to one of the rows, within rounds."""
    print(f"\n{title}")
    print(f"{'':38}{'ms a step':>10}{'images/s':>10}{'ratio':>8}{'from':>8}{'to':>7}")
    for name, all_rounds in times.items():
        ratio = all_rounds[:, clock] / times[against][:, clock]
        middle = median(all_rounds[:, clock])
        print(f"{name:38}{1e3 * middle:10.1f}{100 / middle:10.0f}", end="")
        print(f"{median(ratio):8.2f}{ratio.min():8.2f}{ratio.max():7.2f}")


def saved(state: State, folder: str) -> None:
    replace(state, folder=Path(folder)).save(Group())


def bench_together(pixels: np.ndarray, rounds: int, steps: int, models: int = 4) -> None:
    torch.set_num_threads(2)
    threads, alone = Loop(pixels, models=models), Loop(pixels, models=models)
    alone.step.threads = None
    runs: dict[str, Run] = {
        "in 2 threads, as used": threads,
        "one after the other, in 2 threads each": alone,
        "stacked by vmap": Stacked(pixels, models),
    }
    title = f"{models} models at once, two threads, wall time of a step of all"
    table(title, paired(runs, rounds, max(1, steps // models)), "in 2 threads, as used", clock=1)
    torch.set_num_threads(1)


def bench_loops(pixels: np.ndarray, rounds: int, steps: int) -> None:
    floats = pixels[: N // 4].astype(np.float32) / 255  # a quarter: images are taken at random
    runs: dict[str, Run] = {
        "as used": Loop(pixels),
        "channels_last off": Loop(pixels, layout=torch.contiguous_format),
        "fused Adam off": Loop(pixels, fused=False),
        "images kept as floats": Loop(floats),
        "all three": Loop(floats, layout=torch.contiguous_format, fused=False),
        "by hand": ByHand(pixels),
    }
    times = paired(runs, rounds, steps)
    table("one thread, CPU time", times, "as used")
    epoch = median(times["as used"][:, 0]) * N / 100
    print(f"an epoch of {N} images: {epoch:.1f} s", end="")
    model = runs["as used"].step.states[0].model
    held_out = Batches(pixels[:10_000], np.arange(10_000), CPU)
    judging, _ = cpu(lambda _: evaluate(model, held_out, LEARNED), 1)
    with tempfile.TemporaryDirectory() as folder:
        saving, _ = cpu(lambda _: saved(runs["as used"].step.states[0], folder), 1)
    print(f", {judging:.1f} s for the indicators of 10000 images, {saving:.2f} s to save")
    torch.set_num_threads(2)
    few = {name: runs[name] for name in ("as used", "by hand")}
    times = paired(few, rounds, max(1, steps // 3))  # threads that wait for a core spin meanwhile
    table("two threads, wall time", times, "as used", clock=1)
    torch.set_num_threads(1)


def bench_noise(pixels: np.ndarray, rounds: int, steps: int) -> None:
    configs = {
        "fixed": {"noise": "fixed"},
        "learned, by gradient": {"noise": "learned"},
        "learned, in closed form": {"noise": "learned", "closed_form": True},
        "mixture of 2": {"noise": "mog"},
        "mixture of 4": {"noise": "mog", "components": 4},
        "network": {"noise": "network"},
    }
    runs: dict[str, Run] = {
        name: Loop(pixels, replace(LEARNED, **settings)) for name, settings in configs.items()
    }
    table("noise models, one thread, CPU time", paired(runs, rounds, steps), "fixed")


def bench_sprites(rounds: int, steps: int) -> None:
    data = open_data(dataset="sprites")
    some = np.random.default_rng(0).integers(len(data), size=(rounds, steps, 100))
    config = Config("sprites", "burgess", latents=10)
    step = Loop(data.images[some[0, :, :].ravel()], config)
    left = iter(some.reshape(-1, 100))

    def render(number: int) -> None:
        for _ in range(number):
            data.images[next(left)]

    data.images[some[0, 0]]  # the table of outlines
    step(2)
    times = np.array([[cpu(run, steps)[0] for run in (render, step)] for _ in range(rounds)])
    rendering, training = np.median(times, axis=0)
    print(
        f"\nsprites: {100 / rendering:.0f} images/s rendered, a step of the Burgess network ",
        end="",
    )
    print(f"{1e3 * training:.0f} ms ({100 / training:.0f} images/s), ", end="")
    print(f"of which rendering would be {rendering / training:.1%}")


def bench_memory(rounds: int, steps: int) -> None:
    """Training as it is, and with glibc's own thresholds, each in a process, in every round."""
    print("\ntraining, one thread, CPU time, page faults of a step; ratio to freed memory kept")
    for dataset in ("sprites", "mnist"):
        program = f"import training; training.in_a_process('{dataset}', {steps}, %s)"
        times = []
        for _ in range(rounds):
            for kept in (True, False):
                done = subprocess.run(
                    [sys.executable, "-c", program % kept],
                    cwd=Path(__file__).parent,
                    check=True,
                    capture_output=True,
                    text=True,
                )
                times.append([float(word) for word in done.stdout.split()[-2:]])
        found = np.array(times).reshape(rounds, 2, 2)
        (kept, few), (returned, many) = np.median(found, axis=0)
        ratio = np.median(found[:, 1, 0] / found[:, 0, 0])
        print(f"{dataset:8} kept {1e3 * kept:4.0f} ms, {few:5.0f} faults; ", end="")
        print(f"as glibc does {1e3 * returned:4.0f} ms, {many:5.0f} faults; ratio {ratio:.2f}")


class Enough(Exception):
    """Ends training without a checkpoint, and without the rest of the epoch."""


def in_a_process(dataset: str, steps: int, kept: bool) -> None:
    """Print CPU seconds and page faults of a step of training, and end."""
    import resource

    torch.set_num_threads(1)
    if not kept:
        train_module.keep_freed_memory = lambda: False
    warm, began = 5, []

    def progress(work, words, total):
        for i, step in enumerate(work):
            if words == "training" and i in (warm, warm + steps):
                faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
                began.append(np.array([time.process_time(), faults]))
                if len(began) == 2:
                    raise Enough(began[1] - began[0])
            yield step

    pixels = None if dataset == "sprites" else images(None)[0]
    data = (
        open_data(dataset="sprites")
        if pixels is None
        else Data(
            name="mnist", images=pixels, source="made up", fingerprint="", ratio=(0.6, 0.2, 0.2)
        )
    )
    values = starting_values(data.name, data.images.shape[1:]) | {"dataset": data.name}
    with tempfile.TemporaryDirectory() as folder:
        try:
            train_module.train(Config(**values), data, folder, progress=progress)
        except Enough as enough:
            print(*enough.args[0] / steps)


def replayed(graph: torch.cuda.CUDAGraph) -> Run:
    def run(steps: int) -> None:
        for _ in range(steps):
            graph.replay()

    return run


def bench_gpu(pixels: np.ndarray, rounds: int, steps: int, device: torch.device) -> None:
    """Wall time of a step; how busy the GPU is follows from its graph, replayed alone."""

    def wall(run: Run) -> float:
        torch.cuda.synchronize()
        start = time.perf_counter()
        run(steps)
        torch.cuda.synchronize()
        return (time.perf_counter() - start) / steps

    print(f"\n{torch.cuda.get_device_name()}, wall time, {steps} steps a round")
    print(f"{'':24}{'ms a step':>10}{'GPU busy':>10}{f'  {EPOCHS} epochs of {N} images':>30}")
    for precision in ("float32", "tf32", "bf16"):
        set_precision(precision)
        config = replace(LEARNED, precision=precision)
        loops = {on: Loop(pixels, config, device=device, graphed=on) for on in (True, False)}
        for loop in loops.values():
            loop(20)
        alone = median(wall(replayed(loops[True].step.graph)) for _ in range(rounds))
        for on, loop in loops.items():
            spent = median(wall(loop) for _ in range(rounds))
            name = f"{precision}, {'graph' if on else 'no graph'}"
            print(f"{name:24}{1e3 * spent:10.3f}{alone / spent:10.0%}", end="")
            print(f"{spent * EPOCHS * N / 100:26.0f} s")


def bench_gpu_together(pixels: np.ndarray, rounds: int, steps: int, device: torch.device) -> None:
    """Wall time of a step of several models, and of the grid of 35 at that pace."""

    def wall(run: Run) -> float:
        torch.cuda.synchronize()
        start = time.perf_counter()
        run(steps)
        torch.cuda.synchronize()
        return (time.perf_counter() - start) / steps

    print(f"\nseveral models in one graph, wall time, {steps} steps a round")
    print(
        f"{'':34}{'ms a step':>10}{'ms a model':>12}{'GPU busy':>10}{'35 models, 200 epochs':>24}"
    )
    set_precision("float32")
    for models in (1, 4, 12, 35):
        branches = Loop(pixels, device=device, models=models)
        single = Loop(pixels, device=device, models=models)
        single.step.streams = single.step.streams[:1]
        kinds = {"branches": branches, "one stream": single}
        kinds["stacked by vmap"] = Stacked(pixels, models, device)
        for name, loop in kinds.items():
            loop(10)
            spent = median(wall(loop) for _ in range(rounds))
            print(f"{f'{models} models, {name}':34}{1e3 * spent:10.3f}", end="")
            graph = loop.graph if isinstance(loop, Stacked) else loop.step.graph
            alone = median(wall(replayed(graph)) for _ in range(rounds))
            print(f"{1e3 * spent / models:12.3f}{alone / spent:10.0%}", end="")
            print(f"{spent / models * 35 * EPOCHS * N / 100:22.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="the folder of MNIST; synthetic images without it")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--gpu", action="store_true", help="only what runs on a GPU")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    set_precision("float32")
    pixels, words = images(arguments.data)
    rounds, steps = arguments.rounds, arguments.steps
    print(f"{words}; {rounds} rounds of {steps} steps of 100 images")
    keep_freed_memory()  # as training does
    if not arguments.gpu:
        bench_loops(pixels, rounds, steps)
        bench_together(pixels, rounds, steps)
        bench_noise(pixels, rounds, steps)
        bench_sprites(rounds, steps)
        bench_memory(rounds, steps)
    if torch.cuda.is_available():
        bench_gpu(pixels, rounds, max(steps, 300), torch.device("cuda"))
        bench_gpu_together(pixels, rounds, max(steps, 100), torch.device("cuda"))
    else:
        print("\nno GPU here: skipped the step on one")


if __name__ == "__main__":
    main()
