"""What latents do to an image, and what a model keeps of it: traversals and reconstructions.

In a traversal one latent sweeps a range while the others stay at the means of q(z | x) of a seed
image (Fig. 2, 7 and 12 to 14 of the paper); a one-shot traversal sweeps about the seed's own mean
(Fig. 3). :mod:`dindic_models.pictures` draws them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, prod
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dindic_models.batches import Progress
from dindic_models.data import Images, to_unit
from dindic_models.encode import check_shape, posteriors
from dindic_models.encoder import Encoder, as_encoder, evaluating
from dindic_models.noise import MixtureOfGaussians, NetworkGaussian, Noise
from dindic_models.vae import VAE
from disentangle_indicators import Encodings, indicators
from disentangle_indicators._errors import Undefined
from disentangle_indicators.states import USED, used_exact

Floats = NDArray[np.floating[Any]]

VALUES = 1 << 20
"""Pixel values that are decoded at once."""


def traverse(
    model: Any,
    images: NDArray[Any],
    latents: Sequence[int],
    *,
    span: tuple[float, float] = (-3.0, 3.0),
    steps: int = 9,
    around_seed: bool = False,
    progress: Progress | None = None,
) -> Floats:
    """Decode codes in which one latent sweeps a range and the others are those of an image.

    Parameters
    ----------
    model : Encoder, VAE, nn.Module or callable
        With a decoder, on any device. Where its codes have sites, as (b, C, h, w), a latent is a
        channel, and sweeps at all sites at once.
    images : array, shape (s, C, H, W)
        Seed images, uint8 or floats in [0, 1]; their codes are the means of q(z | x).
    latents : sequence of int, length l
    span : (float, float)
        First and last value of the latent that sweeps.
    steps : int
        Values, evenly spaced, both ends included; with an odd number the middle is one of them.
    around_seed : bool
        Whether `span` is about the seed's own mean, as in Fig. 3, or about 0.
    progress : callable, optional
        Called with an iterable over batches, a description and its length.

    Returns
    -------
    array, shape (s, l, steps, C, H, W)
        G(z), not clipped, in the units of images in [0, 1].

    Raises
    ------
    ValueError
        If the model has no decoder, and on images of another shape, a latent that is not there, or a range without an extent.

    Examples
    --------
    >>> import numpy as np
    >>> from dindic_models.config import Config, make_model
    >>> model = make_model(Config(latents=4, network="mlp"), (1, 8, 8))
    >>> traverse(model, np.zeros((2, 1, 8, 8)), [3, 0, 1], steps=5).shape
    (2, 3, 5, 1, 8, 8)
    """
    if steps < 2:
        raise ValueError(f"steps must be at least 2; got {steps}")
    if not -np.inf < span[0] < span[1] < np.inf:
        raise ValueError(f"span must be two finite numbers, the lower first; got {tuple(span)}")
    encoder = as_encoder(model)
    with evaluating(encoder):
        mean = encoder.encode(images_of(encoder, images)).mean
        check_latents(latents, mean.shape[1])
        chosen = torch.tensor(latents, dtype=torch.long, device=mean.device)
        values = torch.linspace(*span, steps, dtype=mean.dtype, device=mean.device)
        shape = (len(mean), len(latents), steps)
        size = max(1, VALUES // prod(images.shape[1:]))
        starts: Iterable[int] = range(0, prod(shape), size)
        if progress is not None:
            starts = progress(starts, "decoding", ceil(prod(shape) / size))
        decoded = []
        for start in starts:
            index = torch.arange(start, min(start + size, prod(shape)), device=mean.device)
            seed, latent, step = torch.unravel_index(index, shape)
            z = mean[seed]
            rows, swept = torch.arange(len(z), device=z.device), chosen[latent]
            value = values[step].reshape(-1, *[1] * (z.ndim - 2))
            z[rows, swept] = value + around_seed * z[rows, swept]
            decoded.append(encoder.unit(encoder.decode(z)).cpu().numpy())
    out = np.concatenate(decoded)
    return out.reshape(*shape, *out.shape[1:])


class Memberships(NamedTuple):
    """Which component of a mixture each residual belongs to.

    `component` (s, C, H, W) is that of largest responsibility, of `responsibilities`
    (s, C, H, W, K); `weights` and `deviations` (K,) are pi and sigma.
    """

    component: NDArray[np.int64]
    responsibilities: Floats
    weights: Floats
    deviations: Floats


@dataclass(frozen=True, eq=False)
class Reconstructions:
    """What a model makes of images, at the means of q(z | x).

    Attributes
    ----------
    images : array, shape (s, C, H, W)
        In [0, 1].
    mean : array, shape (s, C, H, W)
        G(z), not clipped.
    words : str
        The mean squared residual, and sigma^2 where pixels share one.
    members : Memberships or None
        Of a mixture (Fig. 15).
    deviations : array, shape (s, C, H, W), or None
        sigma_d(z), where the decoder gives the noise of each pixel.
    """

    images: Floats
    mean: Floats
    words: str
    members: Memberships | None = None
    deviations: Floats | None = None

    @property
    def squared(self) -> Floats:
        """Squared residuals, (s, C, H, W)."""
        return np.square(self.images - self.mean)


def reconstruct(model: Any, images: NDArray[Any]) -> Reconstructions:
    """Decode the means of q(z | x), and say what the noise model makes of the residuals.

    Parameters
    ----------
    model : Encoder, VAE, nn.Module or callable
        With a decoder. Foreign models state no noise model.
    images : array, shape (s, C, H, W)
        uint8 or floats in [0, 1].

    Raises
    ------
    ValueError
        If the model has no decoder, and on images of another shape.

    Examples
    --------
    >>> import numpy as np
    >>> from dindic_models.config import Config, make_model
    >>> model = make_model(Config(latents=4, network="mlp", noise="mog"), (1, 8, 8))
    >>> found = reconstruct(model, np.zeros((2, 1, 8, 8)))
    >>> found.mean.shape, found.members.responsibilities.shape
    ((2, 1, 8, 8), (2, 1, 8, 8, 2))
    """
    members = deviations = None
    encoder = as_encoder(model)
    with evaluating(encoder):
        x = images_of(encoder, images)
        z = encoder.encode(x).mean
        mean = encoder.unit(encoder.decode(z))
        x = encoder.unit(x)
        words = f"mean squared residual {float((x - mean).square().mean()):.4g}"
        if isinstance(encoder.module, VAE):
            own = encoder.module
            if isinstance(own.noise, MixtureOfGaussians):
                members = memberships(own.noise, x, own.decode(z))
            elif isinstance(own.noise, NetworkGaussian):
                deviations = (0.5 * own.noise.log_variances(own.decode(z))).exp().cpu().numpy()
            else:
                words += f", sigma^2 = {float(own.noise.variance()):.4g}"
    return Reconstructions(x.cpu().numpy(), mean.cpu().numpy(), words, members, deviations)


def memberships(noise: Noise, x: Tensor, g: Tensor) -> Memberships:
    """Return the component of the residual of every pixel (Fig. 15).

    Parameters
    ----------
    noise : MixtureOfGaussians
    x, g : Tensor, shape (s, C, H, W)
        Images, and what the decoder returns for them.

    Raises
    ------
    ValueError
        If the noise is not a mixture.
    """
    if isinstance(noise, MixtureOfGaussians):
        gamma = noise.memberships(x, g)
        found = (gamma.argmax(-1), gamma, noise.weights, noise.variances.sqrt())
        return Memberships(*(values.detach().cpu().numpy() for values in found))
    raise ValueError(f"memberships are those of a mixture; the noise is {type(noise).__name__}")


class Information(NamedTuple):
    """The information of every latent, by which traversals are ordered.

    `values` (d,) in nats are I(x; z_h) of n posteriors, or where `refusal` says why it cannot be
    had, Definition 3, an upper bound of it.
    """

    values: Floats
    n: int
    refusal: str = ""

    @property
    def source(self) -> str:
        """Say what the numbers are."""
        if self.refusal:
            return f"I is Definition 3 of {self.n} posteriors, an upper bound ({self.refusal})"
        return f"I is I(x; z_h), exact for {self.n} posteriors"

    def title(self, latent: int) -> str:
        """Return "latent 37   I = 2.31 nats"."""
        sign = "≤" if self.refusal else "="
        return f"latent {latent}   I {sign} {self.values[latent]:.2f} nats"


def information(
    mean: NDArray[Any], var: NDArray[Any], *, progress: Progress | None = None
) -> Information:
    """Return I(x; z_h) of every latent, exact for these posteriors, or else Definition 3.

    Parameters
    ----------
    mean, var : array, shape (n, d)
    progress : callable, optional

    Raises
    ------
    ValueError
        On arrays that do not belong together, or entries that are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> information(np.array([[3.0], [-3.0]]), np.full((2, 1), 0.01)).title(0)
    'latent 0   I = 0.69 nats'
    """
    encodings = Encodings.of(mean, var, progress=progress)
    try:
        return Information(encodings.marginals.information, encodings.n)
    except Undefined as refusal:
        bound = indicators(encodings, errors=False).mutual_information_per_latent
        return Information(np.asarray(bound), encodings.n, str(refusal))


def information_of(
    model: Any,
    images: Images,
    rows: NDArray[np.int64],
    *,
    rng: np.random.Generator,
    most: int = 10_000,
    progress: Progress | None = None,
) -> Information:
    """Encode images, at most so many of them at random, and return the information of latents.

    Parameters
    ----------
    model : Encoder, VAE, nn.Module or callable
        Where its codes have sites, each site of an image is a row.
    images : Images, shape (n, C, H, W)
    rows : array of int, shape (r,)
    rng : numpy.random.Generator
    most : int
        The paper takes 10,000.
    progress : callable, optional
    """
    if len(rows) > most:
        rows = np.sort(rng.choice(rows, most, replace=False))
    batches = posteriors(model, images, rows, progress=progress)
    mean, logvar = (by_site(np.concatenate(x)) for x in zip(*batches, strict=True))
    return information(mean, np.exp(logvar, dtype=np.float64), progress=progress)


def by_site(codes: Floats) -> Floats:
    """Return codes (n, C, h, w) as rows of C latents, one for each site; others as they are."""
    return np.moveaxis(codes, 1, -1).reshape(-1, codes.shape[1])


def choose(
    found: Information,
    *,
    latents: Sequence[int] | None = None,
    top: int | None = None,
    threshold: float = USED,
) -> tuple[list[int], str]:
    """Return which latents to draw, the most informative first, and a sentence about them.

    Parameters
    ----------
    found : Information
    latents : sequence of int, optional
        These.
    top : int, optional
        So many, in place of those above the threshold.
    threshold : float
        Least information of a used latent, in nats.

    Raises
    ------
    ValueError
        If a latent is not there, or none passes the threshold.

    Examples
    --------
    >>> choose(Information(np.array([0.1, 2.0, 1.0]), 100), top=1)
    ([1], '2 of 3 latents carry more than 0.5 nats; 1 of them is left out')
    """
    order = [int(h) for h in np.argsort(-found.values, kind="stable")]
    above = set(used_exact(found.values, threshold))
    used = [h for h in order if h in above]
    if latents is not None:
        check_latents(latents, len(order))
        chosen = [h for h in order if h in latents]
    else:
        chosen = used if top is None else order[:top]
    if not chosen:
        best = order[0]
        raise ValueError(
            f"no latent carries more than {threshold:g} nats; latent {best} has the most, "
            f"{found.values[best]:.2g} nats (top= draws the best ones all the same)"
        )
    out = len(set(used) - set(chosen))
    words = f"{len(used)} of {len(order)} latents carry more than {threshold:g} nats"
    if out:
        words += f"; {out} of them {'is' if out == 1 else 'are'} left out"
    return chosen, words


def check_latents(latents: Sequence[int], d: int) -> None:
    """Refuse latents that are not there, or none."""
    if len(latents) == 0:
        raise ValueError("latents must name at least one; got none")
    for latent in latents:
        if latent not in range(d):
            raise ValueError(f"latents must be from 0 to {d - 1}; got {latent}")


def images_of(encoder: Encoder, images: NDArray[Any]) -> Tensor:
    """Return images on the device and in the units of a model."""
    if images.ndim != 4:
        raise ValueError(f"images must have the shape (s, C, H, W); their shape is {images.shape}")
    check_shape(encoder, images.shape[1:])
    if len(images) == 0:
        raise ValueError("images must be at least one; got none")
    x = torch.from_numpy(to_unit(images)).to(encoder.device, encoder.dtype)
    return encoder.scaled(x)
