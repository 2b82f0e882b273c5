"""A device that is pretended, for tests without a GPU: its tensors are on the CPU and say they are not.

As on a GPU, numpy cannot see them, and an operation refuses tensors of both devices. What is
transferred to the CPU is noted.
"""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

NAME = "lazy"
"""A type of device that torch knows in every build and that needs no set-up."""

MOVES = torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default


class Tensor(torch.Tensor):
    """A tensor of the pretended device; `near` is the one on the CPU."""

    @staticmethod
    def __new__(cls, near):
        return torch.Tensor._make_wrapper_subclass(
            cls,
            near.shape,
            strides=near.stride(),
            storage_offset=near.storage_offset(),
            dtype=near.dtype,
            device=f"{NAME}:0",
        )

    def __init__(self, near):
        self.near = near

    def __repr__(self):
        return f"far.{self.near}"

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        raise RuntimeError("a tensor of the pretended device was used outside of it")


class Device(TorchDispatchMode):
    """While it is entered, there is such a device; `transfers` has the shape of each to the CPU."""

    def __init__(self):
        super().__init__()
        self.transfers = []

    def put(self, array, **options):
        return torch.tensor(array).to(NAME).requires_grad_(**options)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        flat, _ = tree_flatten((args, kwargs))
        far = [x for x in flat if isinstance(x, Tensor)]
        near = any(isinstance(x, torch.Tensor) and x.ndim and type(x) is not Tensor for x in flat)
        if far and near and function not in MOVES:
            raise RuntimeError(f"{function} has tensors of two devices")
        asked = kwargs.get("device")
        stays = bool(far) if asked is None else torch.device(asked).type == NAME
        if far and not stays:
            self.transfers.append(tuple(far[0].shape))
        out = function(*tree_map(_near, args), **tree_map(_near, kwargs))
        wrap = Tensor if stays else lambda x: x
        return tree_map(lambda x: wrap(x) if isinstance(x, torch.Tensor) else x, out)


def _near(x):
    if isinstance(x, torch.device):
        return torch.device("cpu")
    return x.near if isinstance(x, Tensor) else x
