r"""The empirical variational lower bound (EVLB), its beta, and what it is at another noise.

.. math:: \mathrm{EVLB} = \frac1M \sum_m \Big[ \frac1L \sum_l \log p(x_m | z_{ml})
    - \mathrm{KL}(q(z | x_m) \,\|\, p(z)) \Big], \qquad z_{ml} = \mu_m + \sigma_m e_{ml}.

With Gaussian noise of variance :math:`\sigma^2`, the gradient of the beta-VAE's objective is
that of a VAE with the *normalised variance* :math:`\beta \sigma^2`, times 1 / beta (section 7.2.1,
with the sign of erratum E4): both minimise :math:`E \|x - G\|^2 + 2 \beta \sigma^2 KL`.
"""

from math import log, pi
from typing import NamedTuple

import torch
from torch import Tensor


class Terms(NamedTuple):
    """The two terms of the bound for every sample, in nats, and the decoder's output."""

    log_likelihood: Tensor
    kl: Tensor
    output: Tensor


def kl_prior(mean: Tensor, logvar: Tensor) -> Tensor:
    r"""Return :math:`\tfrac12 (\mu^2 + v - 1 - \log v)` of every latent in nats, (b, d)."""
    return 0.5 * (mean.square() + logvar.exp() - 1 - logvar)


def sample(mean: Tensor, logvar: Tensor, noise: Tensor) -> Tensor:
    """Return z = mean + sd e for noise e of shape (L, b, d), as (L b, d)."""
    return (mean + (0.5 * logvar).exp() * noise).flatten(0, 1)


def objective(values: Terms, beta: float) -> Tensor:
    """Return log p(x | z) - beta KL for every sample, which training maximises (11)."""
    return values.log_likelihood - beta * values.kl


def evlb_at(squared: Tensor, kl: Tensor, pixels: int, sigma2: float) -> Tensor:
    r"""Return the EVLB that given residuals have under Gaussian noise of variance `sigma2`.

    Figure 4 of the paper plots noise-learning models at their own :math:`\sigma^2` and
    noise-specified ones at :math:`\beta \sigma^2`: two conventions, not two qualities of model
    (see :func:`convention_gap`).

    Parameters
    ----------
    squared : Tensor, shape (b,)
        :math:`\|x - G(z)\|^2`, averaged over the samples of z.
    kl : Tensor, shape (b,)
    pixels : int
        d, the number of values in an image.
    sigma2 : float

    Returns
    -------
    Tensor, shape (b,)
        Nats.
    """
    return -0.5 * (squared / sigma2 + pixels * log(2 * pi * sigma2)) - kl


def convention_gap(pixels: int, beta: float) -> float:
    r"""Return what the two conventions of Figure 4 differ by for one and the same model.

    :math:`\tfrac d2 (1 / \beta - 1 + \log \beta)` nats (erratum E22), where sigma^2 is the mean
    squared residual: EVLB at sigma^2 less EVLB at beta sigma^2.

    Examples
    --------
    >>> round(convention_gap(784, 10), 1)
    549.8
    """
    return 0.5 * pixels * (1 / beta - 1 + log(beta))


def draw(seed: int, shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Return standard normal noise that depends on `seed` and the kind of device only."""
    generator = torch.Generator(like.device).manual_seed(seed)
    return torch.randn(shape, generator=generator, device=like.device, dtype=like.dtype)
