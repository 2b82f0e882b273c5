r"""How far the bound is from the likelihood, by importance weighting, and whether the weights can say.

With :math:`z_k \sim q(z|x)` and :math:`w_k = p(x|z_k)p(z_k)/q(z_k|x)`, the bound is the average of
:math:`\log w_k`, and :math:`\log \frac1K\sum_k w_k` is a tighter one (Burda et al. 2016). Their
difference is at most :math:`D_{KL}(q(z|x)\|p(z|x))`, and tends to it as K grows, where the weights have a
finite variance. Their largest values follow a generalised Pareto distribution of shape k; above 0.7 no
affordable K suffices (Vehtari et al. 2024).
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dindic_models.encoder import Encoder, as_encoder, evaluating
from dindic_models.noise import gaussian_log_prob
from dindic_models.traverse import VALUES, images_of
from dindic_models.vae import VAE

__all__ = ["RELIABLE", "BoundGap", "bound_gap", "likelihood_of", "pareto_shape"]

RELIABLE = 0.7
"""The largest Pareto shape with which an average of so many weights can be trusted."""

LEAST = 100
"""Fewest samples of which a tail can be fitted."""

Likelihood = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class BoundGap:
    """The bound and the tighter one, in nats an image, with standard errors over images.

    Attributes
    ----------
    bound, bound_se : float
        Average of log w.
    log_likelihood, log_likelihood_se : float
        Average of log mean w, a lower bound of log p(x).
    gap, gap_se : float
        The difference: at least 0 but for sampling, at most KL(q(z|x) || p(z|x)).
    k : array, shape (n,)
        Pareto shape of the weights of each image.
    samples : int
        K.
    """

    bound: float
    bound_se: float
    log_likelihood: float
    log_likelihood_se: float
    gap: float
    gap_se: float
    k: NDArray[np.float64]
    samples: int

    @property
    def reliable(self) -> float:
        """The share of the images whose weights have a shape of at most 0.7."""
        return float(np.mean(self.k <= RELIABLE))

    def __str__(self) -> str:
        """Return the finding, the numbers and the consequence."""
        least = (
            ""
            if self.reliable > 0.9
            else "; the gap is then a lower bound, and may be far too low"
        )
        return (
            f"The bound is {self.gap:.3g} ± {self.gap_se:.2g} nats an image below the likelihood with "
            f"K = {self.samples}. Pareto k is {np.median(self.k):.2f} (median), and at most {RELIABLE} for "
            f"{self.reliable:.0%} of the {len(self.k)} images{least}."
        )


def bound_gap(
    model: Any,
    images: NDArray[Any],
    *,
    rng: np.random.Generator,
    noise: str | None = None,
    samples: int = 1000,
) -> BoundGap:
    """Return the importance-weighted gap of the bound, and the Pareto shape of its weights.

    Parameters
    ----------
    model : Encoder, VAE, nn.Module or callable
        With a decoder, and the prior N(0, 1).
    images : array, shape (n, C, H, W)
        uint8 or floats in [0, 1].
    rng : numpy.random.Generator
    noise : "bernoulli" or "gaussian:VAR", optional
        The likelihood p(x | z) of a model that states none; VAR is the variance of a pixel, of images in
        [0, 1].
    samples : int
        K, the samples of each posterior.

    Returns
    -------
    BoundGap

    Raises
    ------
    ValueError
        If the model has no decoder or states no likelihood, there are fewer than two images, or too few
        samples.

    Examples
    --------
    >>> from dindic_models.config import Config, make_model
    >>> model = make_model(Config(latents=2, network="linear", activation="linear"), (1, 4, 4))
    >>> images = np.random.default_rng(0).uniform(size=(3, 1, 4, 4))
    >>> found = bound_gap(model, images, rng=np.random.default_rng(0), samples=200)
    >>> found.gap > 0, found.k.shape
    (True, (3,))
    """
    encoder = as_encoder(model)
    likelihood = likelihood_of(encoder, noise)
    if samples < LEAST:
        raise ValueError(f"samples must be at least {LEAST}; got {samples}")
    if len(images) < 2:
        raise ValueError(f"images must be at least two, for an error; got {len(images)}")
    log_weights = _log_weights(encoder, images, likelihood, samples, rng)
    bounds = log_weights.mean(1)
    tight = np.logaddexp.reduce(log_weights, 1) - np.log(samples)
    pairs = (_average(values) for values in (bounds, tight, tight - bounds))
    (bound, bound_se), (likely, likely_se), (gap, gap_se) = pairs
    k = np.array([pareto_shape(each) for each in log_weights])
    return BoundGap(bound, bound_se, likely, likely_se, gap, gap_se, k, samples)


def _average(values: NDArray[np.float64]) -> tuple[float, float]:
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))


def _log_weights(
    encoder: Encoder,
    images: NDArray[Any],
    likelihood: Likelihood,
    samples: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Return log w, shape (n, K): log p(x | z) + log p(z) - log q(z | x), whose constants cancel."""
    generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
    size = max(1, VALUES // prod(images.shape[1:]))
    parts = []
    with evaluating(encoder):
        x = images_of(encoder, images)
        found = encoder.encode(x)
        mean, log_std, x = found.mean, found.logvar / 2, encoder.unit(x)
        for start in range(0, len(x) * samples, size):
            row = torch.arange(start, min(start + size, len(x) * samples)) // samples
            noise = torch.randn(
                len(row), *mean.shape[1:], generator=generator, dtype=torch.float64
            )
            noise, row = noise.to(mean.device, mean.dtype), row.to(mean.device)
            z = mean[row] + log_std[row].exp() * noise
            ratio = 0.5 * (noise.square() - z.square()) + log_std[row]
            weights = likelihood(x[row], z).double() + ratio.double().flatten(1).sum(1)
            parts.append(weights.cpu().numpy())
    return np.concatenate(parts).reshape(len(x), samples)


def likelihood_of(encoder: Encoder, noise: str | None = None) -> Likelihood:
    """Return log p(x | z), (b,), as a function of images in [0, 1] and codes.

    Parameters
    ----------
    encoder : Encoder
    noise : "bernoulli" or "gaussian:VAR", optional

    Raises
    ------
    ValueError
        If the model states no likelihood and none is given, both are there, or there is no decoder.
    """
    if encoder.decoder is None:
        raise ValueError("this model has no decoder, so that the bound cannot be computed")
    own = encoder.module
    if isinstance(own, VAE):
        if noise is not None:
            raise ValueError("this model states its noise; noise= is for models that state none")
        return lambda x, z: own.noise.log_prob(x, own.decode(z))
    if noise is None:
        raise ValueError(
            "this model states no likelihood p(x | z), and without one there is no bound: say which, as "
            "noise='bernoulli' or noise='gaussian:0.02'"
        )
    name, _, variance = noise.partition(":")
    if noise == "bernoulli":
        return lambda x, z: _bernoulli(x, encoder.unit(encoder.decode(z)))
    try:
        sigma2 = float(variance) if name == "gaussian" else 0.0
    except ValueError:
        sigma2 = 0.0
    if not 0 < sigma2 < float("inf"):
        raise ValueError(f"noise must be bernoulli or gaussian:VAR, VAR above 0; got {noise!r}")
    wide = torch.tensor(sigma2, dtype=torch.float64)

    def gaussian(x: Tensor, z: Tensor) -> Tensor:
        residual = x - encoder.unit(encoder.decode(z))
        return gaussian_log_prob(residual.square(), wide.to(x.device, x.dtype)).flatten(1).sum(1)

    return gaussian


def _bernoulli(x: Tensor, g: Tensor) -> Tensor:
    """Return log g for the share x of each pixel and log(1 - g) for the rest, neither below -100."""
    log, other = g.log().clamp(min=-100), (1 - g).log().clamp(min=-100)
    return (x * log + (1 - x) * other).flatten(1).sum(1)


def pareto_shape(log_weights: NDArray[np.float64]) -> float:
    r"""Return the shape k of the generalised Pareto distribution of the largest weights.

    The estimate of Zhang and Stephens (2009) for the :math:`\min(K/5, 3\sqrt K)` largest weights, drawn
    towards 0.5 with the weight of ten of them, as in Vehtari et al. (2024), appendix C.

    Parameters
    ----------
    log_weights : array, shape (K,)

    Returns
    -------
    float
        -inf where all of them are equal.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> round(pareto_shape(0.8 * rng.exponential(size=100_000)), 1)      # a Pareto tail of shape 0.8
    0.8
    """
    ordered = np.sort(log_weights)
    tail = int(min(len(ordered) / 5, 3 * np.sqrt(len(ordered))))
    scaled = np.exp(ordered[-tail - 1 :] - ordered[-1])
    x = scaled[1:] - scaled[0]
    if x[-1] <= np.finfo(np.float64).eps * scaled[-1] * 1e3:
        return -np.inf
    # candidates theta = -k / sigma, weighted by their profile likelihoods
    grid = np.arange(1, 30 + int(np.sqrt(tail)) + 1) - 0.5
    quartile = x[int(tail / 4 + 0.5) - 1]
    theta = 1 / x[-1] + (1 - np.sqrt(len(grid) / grid)) / (3 * quartile)
    k = np.log1p(-theta[:, None] * x).mean(1)
    profile = tail * (np.log(-theta / k) - k - 1)
    weights = np.exp(profile - np.logaddexp.reduce(profile))
    found = float(np.log1p(-float(weights @ theta) * x).mean())
    return (tail * found + 5) / (tail + 10)
