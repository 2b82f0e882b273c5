r"""How orthogonal the directions are in which latents move the output of a decoder.

Column h of the Jacobian :math:`J = \partial G(z) / \partial z` is the direction of latent h. A VAE with
diagonal posteriors is drawn towards orthogonal columns (Rolinek, Zietlow and Martius 2019); a rotation of
the latents would lose that.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from math import pi, prod, sqrt
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dindic_models.encoder import as_encoder, evaluating
from disentangle_indicators._errors import Undefined

__all__ = ["ColumnCosines", "column_cosines"]


@dataclass(frozen=True, eq=False)
class ColumnCosines:
    r"""Absolute cosines between the columns of the Jacobian of a decoder.

    Attributes
    ----------
    value, se : float
        Average of :math:`|\cos|` over pairs of latents and over points, in [0, 1], and its standard error
        over points; 0 where all columns are orthogonal.
    pairs : array, shape (l, l)
        The average over points for each pair; 1 on the diagonal.
    latents : tuple of int
    points : int
    chance : float
        What random directions among as many output values show.
    """

    value: float
    se: float
    pairs: NDArray[np.float64]
    latents: tuple[int, ...]
    points: int
    chance: float

    def __str__(self) -> str:
        """Return the finding, the number and what to compare it with."""
        return (
            f"Columns of the decoder's Jacobian have a mean absolute cosine of {self.value:.3f} ± "
            f"{self.se:.2g} ({len(self.latents)} latents, {self.points} points); 0 is orthogonal, random "
            f"directions show {self.chance:.3f}."
        )


def column_cosines(
    model: Any, codes: NDArray[Any], *, latents: Sequence[int] | None = None, batch: int = 64
) -> ColumnCosines:
    """Return how orthogonal the columns of the decoder's Jacobian are, on average over points.

    Parameters
    ----------
    model : Encoder, VAE, nn.Module or callable
        With a decoder; nothing else of it is used.
    codes : array, shape (n, d) or (n, C, ...)
        The points: posterior means, or draws from the prior. Of codes with sites every entry is a latent.
    latents : sequence of int, optional
        Those to compare, all by default. Columns of unused latents are noise: leave them out.
    batch : int
        Points at a time; the numbers do not depend on it.

    Returns
    -------
    ColumnCosines

    Raises
    ------
    Undefined
        If a column is zero at a point, so that it has no direction.
    ValueError
        If there is no decoder, there are fewer than two points or latents, a latent is not there, or the
        decoder has an operation without a forward derivative.

    Examples
    --------
    >>> turn = torch.tensor([[1.0, 0.0, 0.0], [0.6, 0.8, 0.0]])
    >>> found = column_cosines(as_encoder(torch.relu, decoder=lambda z: z @ turn), np.ones((4, 2)))
    >>> round(found.value, 3), round(found.se, 3)
    (0.6, 0.0)
    """
    encoder = as_encoder(model)
    if encoder.decoder is None:
        raise ValueError("this model has no decoder, so that there is no Jacobian")
    if codes.ndim < 2 or len(codes) < 2:
        raise ValueError(f"codes must have the shape (n, d), n at least 2; it is {codes.shape}")
    d = prod(codes.shape[1:])
    chosen = tuple(range(d)) if latents is None else tuple(latents)
    if len(set(chosen)) < 2 or len(set(chosen)) < len(chosen):
        raise ValueError(f"latents must be at least two, each once; got {len(chosen)}")
    if not set(chosen) <= set(range(d)):
        raise ValueError(f"latents must be from 0 to {d - 1}; got {max(chosen, key=abs)}")
    found, size = [], 0
    with evaluating(encoder):
        for start in range(0, len(codes), batch):
            part = torch.as_tensor(codes[start : start + batch])
            columns = _columns(encoder.decode, part.to(encoder.device, encoder.dtype), chosen)
            found.append(_cosines(columns, start))
            size = columns.shape[-1]
    cosines = np.concatenate(found)
    above = np.triu_indices(len(chosen), 1)
    each = cosines[:, *above].mean(1)
    chance = sqrt(2 / (pi * size))
    se = float(each.std(ddof=1) / np.sqrt(len(each)))
    return ColumnCosines(float(each.mean()), se, cosines.mean(0), chosen, len(each), chance)


def _columns(decode: Any, z: Tensor, latents: Sequence[int]) -> Tensor:
    """Return columns of the Jacobian at each point, (b, l, D): rows are decoded apart from each other."""
    columns = []
    for latent in latents:
        tangent = torch.zeros_like(z).flatten(1)
        tangent[:, latent] = 1
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*torch.jit.script")  # torch's own call
                column: Tensor = torch.func.jvp(decode, (z,), (tangent.reshape(z.shape),))[1]
        except NotImplementedError as error:
            first = str(error).split("\n")[0]
            raise ValueError(f"the decoder has no forward derivative: {first}") from error
        columns.append(column.flatten(1).double())
    return torch.stack(columns, 1)


def _cosines(columns: Tensor, first: int) -> NDArray[np.float64]:
    lengths = columns.norm(dim=2)
    if not bool((lengths > 0).all()):
        point, latent = (int(i) for i in (lengths <= 0).nonzero()[0])
        raise Undefined(f"column {latent} of the Jacobian is zero at point {first + point}")
    units = columns / lengths[:, :, None]
    cosines: NDArray[np.float64] = (units @ units.mT).abs().clamp(max=1).cpu().numpy()
    return cosines
