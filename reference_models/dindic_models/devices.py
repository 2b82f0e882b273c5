"""Where a model runs: device, precision, determinism, and the processes that share the work."""

import ctypes
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist


@dataclass(frozen=True)
class Group:
    """The processes of a run (torchrun); one process is a group of one."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum over all processes."""
        if self.size > 1 and values.numel():
            dist.all_reduce(values)
        return values

    def any(self, flag: bool, like: Tensor) -> bool:
        """Return whether the flag is set in any process."""
        if self.size == 1:
            return flag
        return bool(self.sum(like.new_full((), float(flag))) > 0)

    def wait(self) -> None:
        """Wait for the others."""
        if self.size > 1:
            dist.barrier()


@contextmanager
def processes(device: torch.device) -> Iterator[Group]:
    """Join the other processes, if torchrun started this one, by nccl on GPUs and gloo else."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Group()
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Group(dist.get_rank(), dist.get_world_size())
        dist.barrier()  # one that leaves while another still talks to it may take it along
    finally:
        dist.destroy_process_group()


def pick_device(name: str = "auto") -> torch.device:
    """Return the device of that name; "auto" is the GPU of this process, else the CPU.

    Raises
    ------
    ValueError
        If there is no such device.
    """
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"there is no device {name!r} here; give cpu, cuda or cuda:1")
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise ValueError(f"device={name!r}: torch finds no GPU here")
        device = torch.device("cuda", local if device.index is None else device.index)
        if device.index >= torch.cuda.device_count():
            number = torch.cuda.device_count()
            raise ValueError(f"there is no device '{device}' here; torch finds {number} of them")
        torch.cuda.set_device(device)
    return device


def on_device(device: torch.device) -> AbstractContextManager[Any]:
    """Make a GPU the current one, where streams and graphs are made; nothing for a CPU."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def name_of(device: torch.device) -> str:
    """Return what a device is called, as "NVIDIA H100" or "CPU (x86_64)"."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU ({platform.machine()})"


def layout_of(precision: str, device: torch.device) -> torch.memory_format:
    """Return how weights and images are best laid out for convolutions there.

    In float32 a GPU's kernels transpose what is stored channels last, and transpose back: a step of
    the network of MNIST took 0.69 ms with it and 0.60 ms without on an H200.
    """
    transposes = device.type == "cuda" and precision in ("float32", "float64")
    return torch.contiguous_format if transposes else torch.channels_last


M_MMAP_THRESHOLD, M_TRIM_THRESHOLD = -3, -1
"""Names of glibc's mallopt, from malloc.h."""


def keep_freed_memory() -> bool:
    """Let glibc keep freed blocks for the next step; return whether it agreed.

    A setting of the process, as :func:`set_precision` is. Other allocators are left alone.
    """
    # A step frees the megabytes that the next one asks for. By default glibc returns such blocks
    # to the system and every step faults them in anew, page by page: 6,000 faults a step of
    # sprites, a fifth of its time. 32 MiB is the largest threshold that glibc accepts.
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # musl has none
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, 1 << 25) and mallopt(M_TRIM_THRESHOLD, 1 << 30))


def set_precision(precision: str, *, deterministic: bool = False) -> None:
    """Choose how float32 products are rounded, and whether every operation has to repeat itself.

    Deterministic operations are a setting of the process, for training commands; on the CPU all
    operations used here repeat themselves anyway.
    """
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.benchmark = not deterministic
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
