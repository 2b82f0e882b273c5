"""Files of weights: into a built-in architecture, or a whole module where the file is trusted."""

from pathlib import Path

import torch
from torch import Tensor, nn

from dindic_models.checkpoint import file_hash, fit
from dindic_models.encoder import Encoder, as_encoder
from dindic_models.networks import NETWORKS, Network, burgess_shape
from dindic_models.openers._asked import WITH_OWN_CODE, Asked
from dindic_models.openers._weights import read_object, read_tensors_of

WHAT = "a file of weights"

WEIGHTS = (".pt", ".pth", ".ckpt", ".bin", ".safetensors")
"""Suffixes of files of weights."""


class Pair(nn.Module):
    """An encoder and a decoder of logits, without a noise model: nobody stated one."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.encoder, self.decoder = network

    def decode(self, z: Tensor) -> Tensor:
        """Return images in [0, 1]."""
        return torch.sigmoid(self.decoder(z))


def matches(path: Path) -> bool:
    """Whether the suffix is that of weights."""
    return path.is_file() and path.suffix.lower() in WEIGHTS


def open(path: Path, asked: Asked) -> Encoder:
    """Read the weights into a built-in architecture."""
    if asked.network is None:
        return _whole(path, asked)
    if asked.network not in NETWORKS:
        raise ValueError(f"there is no network {asked.network!r}; there is {', '.join(NETWORKS)}")
    if asked.network != "burgess":
        raise ValueError(
            f"weights of others are read for the burgess network only, not for {asked.network!r}; "
            f"for any other network, {WITH_OWN_CODE}"
        )
    weights = read_tensors_of(path, trust=asked.trust)[0]
    try:
        shape, latents = burgess_shape(weights)
        model = Pair(NETWORKS[asked.network](shape, latents, 1))
    except (KeyError, IndexError, ValueError, RuntimeError) as error:
        first = (str(error).strip() or type(error).__name__).split("\n")[0]
        raise ValueError(f"{path}: not the weights of a burgess network ({first})") from error
    fit(model, weights, path)
    return as_encoder(
        model.eval(),
        shape=tuple(shape),
        returns="mean,logvar",
        source=f"weights of a burgess network, from {path}",
        about={"model": file_hash(path), "network": asked.network},
    )


def _whole(path: Path, asked: Asked) -> Encoder:
    """Return a module that was pickled whole, of a trusted file."""
    content = read_object(path, trust=asked.trust)
    if not isinstance(content, nn.Module):
        raise ValueError(  # noqa: TRY004 - all bad input is a ValueError
            f"{path} is a file of weights: name their network, as network='burgess', or "
            f"{WITH_OWN_CODE}"
        )
    return as_encoder(
        content.eval(),
        returns=asked.returns,
        source=f"a pickled {type(content).__name__}, from {path}",
        about={"model": file_hash(path), "network": type(content).__name__},
    )
