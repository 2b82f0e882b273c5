"""A variational autoencoder: an encoder, a decoder, an activation of the output, and its noise."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from dindic_models.networks import Network, Shape
from dindic_models.noise import Noise
from dindic_models.objective import Terms, kl_prior, sample

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda g: g,
    "sigmoid": torch.sigmoid,
}


class VAE(nn.Module):
    """A VAE with a standard normal prior and diagonal Gaussian posteriors.

    Parameters
    ----------
    network : Network
    noise : Noise
    shape : (C, H, W)
    activation : {"linear", "sigmoid"}
        What is applied to G(z), not to the variances that :class:`~dindic_models.noise` may ask
        the decoder for.

    Examples
    --------
    >>> from dindic_models.networks import mlp
    >>> from dindic_models.noise import FixedGaussian
    >>> model = VAE(mlp((1, 8, 8), 3), FixedGaussian(0.1), (1, 8, 8))
    >>> mean, logvar = model.encode(torch.zeros(5, 1, 8, 8))
    >>> tuple(mean.shape), tuple(model.reconstruct(mean).shape)
    ((5, 3), (5, 1, 8, 8))
    """

    def __init__(
        self, network: Network, noise: Noise, shape: Shape, activation: str = "linear"
    ) -> None:
        super().__init__()
        self.encoder, self.decoder = network
        self.noise = noise
        self.shape = shape
        self.activation = activation

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the means and log variances of q(z | x), each (b, d)."""
        mean, logvar = self.encoder(x)
        return mean.to(x.dtype), logvar.to(x.dtype)  # a KL divergence in bfloat16 has no digits

    def decode(self, z: Tensor) -> Tensor:
        """Return the output g of the decoder, (b, outputs C, H, W), that the noise understands."""
        g: Tensor = self.decoder(z).to(z.dtype)
        channels = self.shape[0]
        if self.activation == "linear":
            return g
        activated = ACTIVATIONS[self.activation](g[:, :channels])
        return torch.cat([activated, g[:, channels:]], 1) if self.noise.outputs > 1 else activated

    def reconstruct(self, z: Tensor) -> Tensor:
        """Return G(z), (b, C, H, W)."""
        return self.noise.mean(self.decode(z))

    def forward(self, x: Tensor, noise: Tensor) -> Terms:
        """Return both terms of the bound, for images (b, C, H, W) and noise (L, b, d)."""
        mean, logvar = self.encode(x)
        g = self.decode(sample(mean, logvar, noise))
        several = len(noise) > 1
        log_likelihood = self.noise(x.repeat(len(noise), 1, 1, 1) if several else x, g)
        if several:
            log_likelihood = log_likelihood.unflatten(0, noise.shape[:2]).mean(0)
        return Terms(log_likelihood, kl_prior(mean, logvar).sum(1), g)
