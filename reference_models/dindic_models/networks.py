"""Encoders and decoders: the three architectures of appendix D.5, Burgess et al.'s, an MLP, linear.

An encoder maps images (b, C, H, W) to means and log variances (b, d); a decoder maps codes (b, d)
to `outputs` blocks of C channels (b, outputs C, H, W): one for G(z), two where the noise has a
variance per pixel. Decoders end without an activation; :class:`dindic_models.vae.VAE` adds it.

What appendix D.5 leaves open is chosen here. Convolutions pad as "SAME" does: the size halves and
is rounded up (168, 84, 42, 21, 11), with the odd row or column of zeros at the end; transposed
convolutions are their exact adjoints, and so return to the sizes stored on the way down. "FC 256.
Linear." of the decoder is a layer of 256 and a linear one up to the size of the smallest map, with
ReLU after both. Weights are those torch starts with (uniform, +- 1 / sqrt(fan in)), or
:func:`initialise` changes them.
"""

from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = [
    "INITIALISATIONS",
    "NETWORKS",
    "BurgessDecoder",
    "BurgessEncoder",
    "Encoder",
    "LinearEncoder",
    "Network",
    "SameConv2d",
    "SameDeconv2d",
    "Shape",
    "burgess",
    "burgess_shape",
    "conv",
    "initialise",
    "linear",
    "mlp",
]

Shape = tuple[int, int, int]


class Network(NamedTuple):
    """An encoder and a decoder that fit together."""

    encoder: nn.Module
    decoder: nn.Module


class SameConv2d(nn.Module):
    """A 4x4 convolution with stride 2 that turns n rows into ceil(n / 2)."""

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, filters, 4, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (b, filters, ceil(H / 2), ceil(W / 2))."""
        odd_rows, odd_columns = x.shape[-2] % 2, x.shape[-1] % 2
        if odd_rows or odd_columns:
            x = F.pad(x, (0, odd_columns, 0, odd_rows))
        out: Tensor = self.conv(x)
        return out


class SameDeconv2d(nn.Module):
    """The adjoint of :class:`SameConv2d`: ceil(n / 2) rows back into the n there were."""

    def __init__(self, channels: int, filters: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size
        self.conv = nn.ConvTranspose2d(channels, filters, 4, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (b, filters, H, W), with H and W of `size`."""
        out: Tensor = self.conv(x)
        return out[..., : self.size[0], : self.size[1]]


class Encoder(nn.Module):
    """Layers, then one linear layer that makes the mean and the log variance."""

    def __init__(self, body: nn.Module, width: int, latents: int) -> None:
        super().__init__()
        self.body = body
        self.head = nn.Linear(width, 2 * latents)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and logvar, each (b, d)."""
        mean, logvar = self.head(self.body(x)).chunk(2, dim=1)
        return mean, logvar


def conv(
    shape: Shape,
    latents: int,
    outputs: int = 1,
    *,
    channels: tuple[int, ...] = (32, 32),
    hidden: int = 256,
) -> Network:
    """Build the convolutional pair of appendix D.5 for images of any size.

    Parameters
    ----------
    shape : (C, H, W)
    latents : int
        d, the width of the code.
    outputs : int
        Blocks of C channels that the decoder returns.
    channels : tuple of int
        Filters of the convolutions, all 4x4 with stride 2.
    hidden : int
        Width of the fully connected layers.

    Examples
    --------
    >>> network = conv((1, 192, 168), 128, channels=(32, 32, 64, 64))
    >>> mean, logvar = network.encoder(torch.zeros(2, 1, 192, 168))
    >>> tuple(mean.shape), tuple(network.decoder(mean).shape)
    ((2, 128), (2, 1, 192, 168))
    """
    sizes = [shape[1:]]
    for _ in channels:
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
    smallest = (channels[-1], *sizes[-1])
    width = prod(smallest)
    filters = (shape[0], *channels)
    down = [layer for pair in pairwise(filters) for layer in (SameConv2d(*pair), nn.ReLU())]
    body = nn.Sequential(*down, nn.Flatten(), nn.Linear(width, hidden), nn.ReLU())
    up: list[nn.Module] = []
    for level in reversed(range(len(channels))):
        last = level == 0
        wanted = outputs * shape[0] if last else filters[level]
        up.append(SameDeconv2d(filters[level + 1], wanted, sizes[level]))
        up += [] if last else [nn.ReLU()]
    decoder = nn.Sequential(
        nn.Linear(latents, hidden),
        nn.ReLU(),
        nn.Linear(hidden, width),
        nn.ReLU(),
        nn.Unflatten(1, smallest),
        *up,
    )
    return Network(Encoder(body, hidden, latents), decoder)


def mlp(
    shape: Shape, latents: int, outputs: int = 1, *, hidden: tuple[int, ...] = (512, 256)
) -> Network:
    """Build fully connected layers with ReLU, and their reverse."""
    width = prod(shape)
    body = nn.Sequential(nn.Flatten(), *_dense((width, *hidden)))
    decoder = nn.Sequential(
        *_dense((latents, *reversed(hidden))),
        nn.Linear(hidden[0], outputs * width),
        nn.Unflatten(1, (outputs * shape[0], *shape[1:])),
    )
    return Network(Encoder(body, hidden[-1], latents), decoder)


def _dense(widths: tuple[int, ...]) -> list[nn.Module]:
    return [layer for pair in pairwise(widths) for layer in (nn.Linear(*pair), nn.ReLU())]


class LinearEncoder(nn.Module):
    """Means linear in x, and one variance per latent: the posterior of a linear decoder."""

    def __init__(self, width: int, latents: int) -> None:
        super().__init__()
        self.mean = nn.Linear(width, latents)
        self.logvar = nn.Parameter(torch.zeros(latents))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and logvar, each (b, d)."""
        mean = self.mean(x.flatten(1))
        return mean, self.logvar.expand_as(mean)


def linear(shape: Shape, latents: int, outputs: int = 1) -> Network:
    """Build the linear VAE, whose optimum is probabilistic PCA and known in closed form."""
    width = prod(shape)
    decoder = nn.Sequential(
        nn.Linear(latents, outputs * width), nn.Unflatten(1, (outputs * shape[0], *shape[1:]))
    )
    return Network(LinearEncoder(width, latents), decoder)


class BurgessEncoder(nn.Module):
    """Burgess et al. (2018), with the parameter names of YannDubs/disentangling-vae.

    Convolutions of 32 4x4 filters with stride 2 down to 4x4, two layers of 256; the last layer
    holds mean and log variance of each latent side by side.
    """

    def __init__(self, shape: Shape, latents: int) -> None:
        super().__init__()
        self.conv1 = _half(shape[0], 32)
        self.conv2 = _half(32, 32)
        self.conv3 = _half(32, 32)
        if shape[1] == 64:
            self.conv_64 = _half(32, 32)
        self.lin1 = nn.Linear(512, 256)
        self.lin2 = nn.Linear(256, 256)
        self.mu_logvar_gen = nn.Linear(256, 2 * latents)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and logvar, each (b, d)."""
        for name in ("conv1", "conv2", "conv3", "conv_64"):
            if hasattr(self, name):
                x = F.relu(getattr(self, name)(x))
        x = F.relu(self.lin2(F.relu(self.lin1(x.flatten(1)))))
        mean, logvar = self.mu_logvar_gen(x).unflatten(1, (-1, 2)).unbind(-1)
        return mean, logvar


class BurgessDecoder(nn.Module):
    """The reverse of :class:`BurgessEncoder`."""

    def __init__(self, shape: Shape, latents: int, outputs: int) -> None:
        super().__init__()
        self.lin1 = nn.Linear(latents, 256)
        self.lin2 = nn.Linear(256, 256)
        self.lin3 = nn.Linear(256, 512)
        if shape[1] == 64:
            self.convT_64 = _double(32, 32)
        self.convT1 = _double(32, 32)
        self.convT2 = _double(32, 32)
        self.convT3 = _double(32, outputs * shape[0])

    def forward(self, z: Tensor) -> Tensor:
        """Return (b, outputs C, H, W)."""
        for name in ("lin1", "lin2", "lin3"):
            z = F.relu(getattr(self, name)(z))
        x = z.view(-1, 32, 4, 4)
        for name in ("convT_64", "convT1", "convT2"):
            if hasattr(self, name):
                x = F.relu(getattr(self, name)(x))
        out: Tensor = self.convT3(x)
        return out


def _half(channels: int, filters: int) -> nn.Conv2d:
    return nn.Conv2d(channels, filters, 4, stride=2, padding=1)


def _double(channels: int, filters: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(channels, filters, 4, stride=2, padding=1)


def burgess(shape: Shape, latents: int, outputs: int = 1) -> Network:
    """Build the network of Burgess et al. (2018) for images of 32x32 or 64x64.

    Raises
    ------
    ValueError
        If the images have another size.
    """
    if shape[1:] not in ((32, 32), (64, 64)):
        raise ValueError(
            f"the Burgess network takes images of 32x32 or 64x64, not {shape[1]}x{shape[2]}"
        )
    return Network(BurgessEncoder(shape, latents), BurgessDecoder(shape, latents, outputs))


def burgess_shape(state: Mapping[str, Tensor]) -> tuple[Shape, int]:
    """Return the image shape and the latent count that the weights of a Burgess network imply.

    Raises
    ------
    KeyError, IndexError, ValueError
        If these are not such weights.
    """
    side = 64 if "encoder.conv_64.weight" in state else 32
    latents = state["encoder.mu_logvar_gen.weight"].shape[0] // 2
    channels = int(state["encoder.conv1.weight"].shape[1])
    if not latents or not channels:
        raise ValueError(f"{channels} channels, {latents} latents")
    return (channels, side, side), latents


Builder = Callable[[Shape, int, int], Network]

NETWORKS: dict[str, Builder] = {
    "mnist": partial(conv, channels=(32, 32)),
    "celeba": partial(conv, channels=(32, 32, 64, 64)),
    "yale": partial(conv, channels=(32, 32, 64, 64)),
    "burgess": burgess,
    "mlp": mlp,
    "linear": linear,
}


def _xavier(weight: Tensor, generator: Any) -> None:
    nn.init.xavier_uniform_(weight, generator=generator)


def _kaiming(weight: Tensor, generator: Any) -> None:
    nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=generator)


INITIALISATIONS: dict[str, Callable[[Tensor, Any], None] | None] = {
    "torch": None,
    "xavier": _xavier,
    "kaiming": _kaiming,
}


def initialise(module: nn.Module, name: str, generator: torch.Generator) -> None:
    """Draw all weights anew, with zero biases, unless `name` is "torch", which keeps them.

    Parameters
    ----------
    module : torch.nn.Module
    name : {"torch", "xavier", "kaiming"}
        Uniform with variance 2 / (fan in + fan out), or normal with variance 2 / fan in.
    generator : torch.Generator
    """
    draw = INITIALISATIONS[name]
    if draw is None:
        return
    for layer in module.modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            draw(layer.weight, generator)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
