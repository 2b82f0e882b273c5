"""The linear VAE in closed form: its optimum, and expectations over z that are exact.

For data (n, p) with mean m and covariance (divided by n) of eigenvalues lambda and vectors U, at
the normalised variance s = beta sigma^2, latent h is active where lambda_h > s:

    W = U (Lambda - s)^(1/2),  V = Lambda^-1 (Lambda - s)^(1/2) U^T,  v_h = s / lambda_h or 1.
"""

from dataclasses import dataclass

import numpy as np
import torch
from strategies import orthogonal

from dindic_models.config import Config, make_model
from dindic_models.objective import objective


@dataclass(frozen=True)
class Optimum:
    """Parameters of the linear VAE: x = W z + m, z ~ N(V (x - m), diag v)."""

    eigenvalues: np.ndarray  # all of them, falling
    decoder: np.ndarray  # W, (p, d)
    encoder: np.ndarray  # V, (d, p)
    var: np.ndarray  # v, (d,)
    centre: np.ndarray  # m, (p,)

    @property
    def of_latents(self):
        """The eigenvalue that belongs to each latent; 0 beyond the last."""
        d = len(self.var)
        return np.pad(self.eigenvalues[:d], (0, max(0, d - len(self.eigenvalues))))

    def rotated(self, r, var):
        """z -> R^T z, and other variances."""
        return Optimum(self.eigenvalues, self.decoder @ r, r.T @ self.encoder, var, self.centre)


def best(x, d, s):
    """The optimum for data (n, p), d latents and the normalised variance s."""
    centre = x.mean(0)
    values, vectors = np.linalg.eigh((x - centre).T @ (x - centre) / len(x))
    values, vectors = values[::-1].clip(0), vectors[:, ::-1]
    k = min(d, len(values))
    top = np.zeros(d)
    top[:k] = values[:k]
    active = top > s
    u = np.zeros((x.shape[1], d))
    u[:, :k] = vectors[:, :k]
    root = np.sqrt(np.where(active, top - s, 0))
    divisor = np.where(active, top, 1)
    return Optimum(
        values, u * root, (u * root / divisor).T, np.where(active, s / divisor, 1.0), centre
    )


def model_of(optimum, shape, sigma2, **settings):
    """The optimum as a model of the package."""
    d = len(optimum.var)
    settings = {"noise": "fixed", "precision": "float64"} | settings
    model = make_model(
        Config(network="linear", activation="linear", latents=d, sigma2=sigma2, **settings), shape
    )
    values = {
        "encoder.mean.weight": optimum.encoder,
        "encoder.mean.bias": -optimum.encoder @ optimum.centre,
        "encoder.logvar": np.log(optimum.var),
        "decoder.0.weight": optimum.decoder,
        "decoder.0.bias": optimum.centre,
    }
    own = model.state_dict()
    model.load_state_dict(own | {key: torch.asarray(value) for key, value in values.items()})
    return model


def as_images(x, shape):
    return torch.asarray(x).reshape(-1, *shape)


def sigma_points(d, n):
    """Noise (2 d, n, d) whose average is the expectation of every quadratic: +- sqrt(d) e_h."""
    points = np.sqrt(d) * np.concatenate([np.eye(d), -np.eye(d)])
    return torch.asarray(points)[:, None].expand(2 * d, n, d)


def expected(model, images, beta=1.0):
    """The objective, its average over data and exact expectation over z."""
    noise = sigma_points(model.encode(images[:1])[0].shape[1], len(images))
    return objective(model(images, noise), beta).mean()


def encode(model, images):
    """(mean, var) in numpy."""
    with torch.no_grad():
        mean, logvar = model.encode(images)
        return mean.numpy(), logvar.exp().numpy()


SHAPES = [(1, 2, 2), (2, 3, 1), (1, 3, 3), (3, 2, 2)]


def data(rng, shape, n):
    """Images (n, p) with skewed and bimodal factors, far from the origin, of distinct scales."""
    p = int(np.prod(shape))
    factors = np.where(
        rng.random(p) < 0.5,
        rng.standard_exponential((n, p)),
        np.sign(rng.normal(size=(n, p))) + 0.1 * rng.normal(size=(n, p)),
    )
    scales = np.exp(np.sort(rng.uniform(-4, 1, p))[::-1])
    return factors * scales @ orthogonal(rng, p) + rng.normal(size=p) * rng.uniform(0, 5)


def between(rng, eigenvalues):
    """A normalised variance that is not within a hundredth of an eigenvalue."""
    while True:
        s = np.exp(rng.uniform(-9, np.log(1.5 * eigenvalues[0])))
        if np.abs(np.log(eigenvalues.clip(1e-12) / s)).min() > 0.01:
            return s
