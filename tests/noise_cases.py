"""Noise models, images and residuals that several tests of noise share."""

import numpy as np
import pytest
from torch.distributions import Normal

from dindic_models.noise import (
    LearnedGaussian,
    MixtureOfGaussians,
)

torch = pytest.importorskip("torch", reason="torch is not installed: NO model is tested")


TINY = 1e-30


def images(rng, noise, b=4, shape=(2, 3, 2)):
    """(x, g), with log variances for the noise that asks for them."""
    x, g = rng.random((2, b, *shape))
    if noise.outputs == 2:
        g = np.concatenate([g, rng.normal(size=(b, *shape)) - 3], 1)
    return torch.asarray(x), torch.asarray(g)


def residuals(rng, n=300, zeros=False):
    """From one to four scales, some of them exact copies or exact zeros; never all zero."""
    scales = np.exp(rng.uniform(-5, 1, rng.integers(1, 5)))
    r = rng.normal(size=n) * rng.choice(scales, n)
    r[: n // 10] = r[n // 10 : n // 10 * 2]
    if zeros:
        r[rng.random(n) < 0.3] = 0.0
    return torch.asarray(rng.permutation(r))


def as_images(r, b=1):
    """Residuals as images (b, 1, 1, n / b) under a decoder that says zero."""
    x = r.reshape(b, 1, 1, -1)
    return x, torch.zeros_like(x)


def mixture(components, sigma2=0.1, floor=TINY):
    return MixtureOfGaussians(components, sigma2, floor=floor).double()


def of(weights, variances):
    """A mixture of these parameters."""
    noise = mixture(len(weights))
    noise.weights.copy_(torch.as_tensor(weights, dtype=torch.float64))
    noise.variances.copy_(torch.as_tensor(variances, dtype=torch.float64))
    return noise


def random_mixture(rng, components):
    return of(rng.dirichlet(np.ones(components)), np.exp(rng.uniform(-8, 2, components)))


def assert_same_parameters(one, other):
    names = ("log_sigma",) if isinstance(one, LearnedGaussian) else ("weights", "variances")
    for name in names:
        torch.testing.assert_close(getattr(one, name), getattr(other, name), rtol=1e-13, atol=0)


def library_step(weights, variances, r):
    noise = of(weights, variances)
    noise.update(noise.statistics(*as_images(r.flatten(), len(r))))
    return noise.weights, noise.variances


def joint(weights, variances, r):
    return weights * Normal(0.0, variances.sqrt()).log_prob(r[..., None]).exp()


def over_components(weights, variances, r):
    p = joint(weights, variances, r)
    return p / p.sum(-1, keepdim=True)


def separated(seed, components=2):
    """Residuals (b, D) of well filled components, and where to start."""
    rng = np.random.default_rng(seed)
    sd = 10.0 ** -np.arange(components)
    r = rng.normal(size=(60, 5)) * rng.choice(sd, (60, 5))
    weights = torch.asarray(rng.dirichlet(3 * np.ones(components)))
    return weights, torch.asarray(sd**2 * np.exp(rng.uniform(-1, 1, components))), torch.asarray(r)
