"""A step of training, of one model or of several that see the same batches.

On one GPU the step is recorded as a CUDA graph at the first full batch, because its hundred small
kernels take less time than Python needs to start them; replayed, it starts as one. Several models
are branches of one graph, recorded on streams of their own, so that kernels of one fill what those
of another leave idle. On the CPU each has a thread, with operations of one thread. In both cases
every model takes the very step that it would take alone; on the CPU bit for bit, if there operations
have one thread as well.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from typing import Any

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from dindic_models.devices import Group
from dindic_models.objective import Terms, draw, objective
from dindic_models.state import State

__all__ = ["Step", "record"]

STREAMS = 16
"""Streams that the branches of a graph are recorded on."""


class Step:
    """One step of Adam on the objective (11), and of the noise's closed form, for every model.

    Parameters
    ----------
    states : sequence of State
        On one device, with the same batch size, samples, latents and precision. With several
        processes a single one.
    group : Group
    """

    def __init__(self, states: Sequence[State], group: Group) -> None:
        self.states, self.group = states, group
        self.config = states[0].config
        self.models: list[Any] = [state.model for state in states]
        device = states[0].totals.device
        self.bf16 = self.config.precision == "bf16"
        self.graphed = device.type == "cuda" and group.size == 1
        self.graph: Any = None
        self.inputs: tuple[Tensor, Tensor]
        self.streams: list[Any] = []
        self.threads: ThreadPoolExecutor | None = None
        if len(states) > 1 and device.type == "cuda":
            number = min(STREAMS, len(states))
            self.streams = [torch.cuda.Stream(device) for _ in range(number)]  # type: ignore[no-untyped-call]
        elif len(states) > 1:
            self.threads = ThreadPoolExecutor(
                min(len(states), torch.get_num_threads()),
                initializer=torch.set_num_threads,
                initargs=(1,),
            )
        if group.size > 1:
            self.models = [DistributedDataParallel(model) for model in self.models]

    def __call__(self, x: Tensor, size: int, seed: int) -> None:
        """Take a step on this process's part x of a batch of `size` images."""
        shape = (self.config.samples, size, self.config.latents)
        noise = draw(seed, shape, x)[:, self.group.rank :: self.group.size]
        # A graph has the shapes it was recorded with: the last, smaller batch of an epoch goes
        # without.
        if not self.graphed or size < self.config.batch:
            self.take(x, noise, size)
            return
        if self.graph is None:
            self.inputs = x.clone(), noise.clone()
            self.graph = record(lambda: self.take(*self.inputs, size), self.tensors())
        # It reads the memory it was recorded on, whatever tensors are passed now.
        for static, new in zip(self.inputs, (x, noise), strict=True):
            static.copy_(new)
        self.graph.replay()

    def take(self, x: Tensor, noise: Tensor, size: int) -> None:
        """Take the step of every model: one after the other, in threads, or on streams."""
        each = range(len(self.states))
        if self.threads is not None:
            list(self.threads.map(lambda i: self.take_one(i, x, noise, size), each))
            return
        if not self.streams:
            for i in each:
                self.take_one(i, x, noise, size)
            return
        # Streams know nothing of each other: without waiting they would read a batch that is not
        # there yet, and the next step would begin before their last kernels end.
        here = torch.cuda.current_stream()
        for stream in self.streams:
            stream.wait_stream(here)
        for i, stream in zip(each, cycle(self.streams)):
            with torch.cuda.stream(stream):
                self.take_one(i, x, noise, size)
        for stream in self.streams:
            here.wait_stream(stream)

    def take_one(self, i: int, x: Tensor, noise: Tensor, size: int) -> None:
        """Move weights and noise of a model, and add log likelihood and KL to its sums."""
        state = self.states[i]
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.bf16, cache_enabled=False):
            values = self.models[i](x, noise)
        sums = Terms(values.log_likelihood.sum(), values.kl.sum(), values.output)
        # Times the processes, because gradients are averaged over them.
        loss = objective(sums, state.config.beta) * (-self.group.size / size)
        state.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        state.optimiser.step()
        with torch.no_grad():
            own = state.model.noise
            repeated = x.repeat(len(noise), 1, 1, 1) if len(noise) > 1 else x
            own.absorb(self.group.sum(own.statistics(repeated, values.output)))
            state.totals += torch.stack([sums.log_likelihood, sums.kl])

    def tensors(self) -> list[Tensor]:
        """Return everything that a step changes."""
        changed = []
        for state in self.states:
            adam_state = [t for values in state.optimiser.state.values() for t in values.values()]
            changed += [*state.model.state_dict().values(), *adam_state, state.totals]
        return changed

    def close(self) -> None:
        """End the threads."""
        if self.threads is not None:
            self.threads.shutdown()


def record(step: Callable[[], None], changed: list[Tensor]) -> Any:
    """Return a CUDA graph of a step, after some steps to warm up, which are taken back."""
    # Libraries choose algorithms and allocate at their first calls, which a recording must not
    # hold; and the steps of the warm-up are real ones, so that what they changed is put back.
    before = [tensor.detach().clone() for tensor in changed]
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):  # a reader may be at work
        step()
    with torch.no_grad():
        for tensor, old in zip(changed, before, strict=True):
            tensor.copy_(old)
    return graph
