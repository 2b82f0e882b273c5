"""What a run is made of: one frozen dataclass, from TOML and flags, stored beside the weights."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dindic_models.networks import INITIALISATIONS, NETWORKS, Shape, initialise
from dindic_models.noise import (
    NOISES,
    FixedGaussian,
    LearnedGaussian,
    MixtureOfGaussians,
    NetworkGaussian,
    Noise,
)
from dindic_models.vae import ACTIVATIONS, VAE

__all__ = [
    "STARTING",
    "Config",
    "make_model",
    "make_noise",
    "read_toml",
    "seed_of",
    "seeds_of",
    "settings",
    "starting_values",
]

PRECISIONS = ("float32", "tf32", "bf16", "float64")
KINDS: dict[Any, tuple[type, str]] = {
    str: (str, "text"),
    bool: (bool, "true or false"),
    int: (int, "an integer"),
    float: (float, "a number"),
}


@dataclass(frozen=True)
class Config:
    """A run: everything that its weights depend on, but for the data themselves.

    Attributes
    ----------
    dataset : str
        Name of the data set, a key of ``dindic_models.data.DATASETS``.
    network : str
        A key of ``dindic_models.networks.NETWORKS``.
    latents : int
        Width d of the code.
    activation : {"linear", "sigmoid"}
        Activation of G(z).
    init : {"torch", "xavier", "kaiming"}
    noise : {"fixed", "learned", "mog", "network"}
    sigma2 : float
        The variance of fixed noise, and where learned ones start, in squared pixel units of [0, 1].
    closed_form : bool
        Whether learned noise takes its closed form (A.1) instead of a gradient on log sigma.
    components : int
        K of the mixture.
    floor : float
        Least variance of a pixel, for noise that is not fixed; 0 for that of the noise model.
    beta : float
        Weight of the KL divergence.
    samples : int
        L, codes drawn for each image.
    batch : int
        Images of a step, over all processes together.
    epochs : int
    lr : float
        Step size of Adam.
    seed : int
        Of the weights, the order of images, and the noise; the split has its own.
    split : {"paper", "official"}
        A random split by the ratio of appendix D, or the parts that the data set comes with.
    split_seed : int
    precision : {"float32", "tf32", "bf16", "float64"}
    """

    dataset: str = "mnist"
    network: str = "mnist"
    latents: int = 128
    activation: str = "sigmoid"
    init: str = "torch"
    noise: str = "learned"
    sigma2: float = 0.1
    closed_form: bool = False
    components: int = 2
    floor: float = 0.0
    beta: float = 1.0
    samples: int = 1
    batch: int = 100
    epochs: int = 200
    lr: float = 1e-3
    seed: int = 0
    split: str = "paper"
    split_seed: int = 0
    precision: str = "float32"

    def __post_init__(self) -> None:
        """Check every value.

        Raises
        ------
        ValueError
            That names the setting, the rule and the value.
        """
        choices: dict[str, tuple[str, ...]] = {
            "network": tuple(NETWORKS),
            "activation": tuple(ACTIVATIONS),
            "init": tuple(INITIALISATIONS),
            "noise": tuple(NOISES),
            "split": ("paper", "official"),
            "precision": PRECISIONS,
        }
        for item in fields(self):
            value, kind = getattr(self, item.name), item.type
            fits = isinstance(value, (int, float) if kind is float else KINDS[kind][0])
            if not fits or (isinstance(value, bool) and kind is not bool):
                raise ValueError(f"{item.name} must be {KINDS[kind][1]}; it is {value!r}")
            if item.name in choices and value not in choices[item.name]:
                raise ValueError(
                    f"{item.name} must be one of {', '.join(choices[item.name])}; it is {value!r}"
                )
        for name in ("latents", "components", "samples", "batch", "epochs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1; it is {getattr(self, name)}")
        for name in ("sigma2", "beta", "lr"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(
                    f"{name} must be positive and finite; it is {getattr(self, name)}"
                )
        for name in ("seed", "split_seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative; it is {getattr(self, name)}")
        if not 0 <= self.floor < float("inf"):
            raise ValueError(f"floor must be finite and not negative; it is {self.floor}")
        if self.closed_form and self.noise != "learned":
            raise ValueError(f"closed_form goes with noise 'learned', not {self.noise!r}")

    def to_dict(self) -> dict[str, Any]:
        """Return the settings by name."""
        return asdict(self)


def settings(values: Mapping[str, Any], where: str) -> Config:
    """Build a configuration from names and values.

    Raises
    ------
    ValueError
        If a name is not a setting (with the nearest ones), or a value is not allowed.
    """
    known = [item.name for item in fields(Config)]
    for name in values:
        if name not in known:
            near = get_close_matches(name, known, n=3) or known
            raise ValueError(f"{where}: there is no setting {name!r}; there is {', '.join(near)}")
    try:
        return Config(**values)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


SPRITES: dict[str, Any] = {
    "network": "burgess",
    "latents": 10,
    "epochs": 30,
    "lr": 1e-3,
    "activation": "linear",
}
"""With a sigmoid and 5e-4 no latent is used in 5,000 steps."""

STARTING: dict[str, dict[str, Any]] = {
    "mnist": {"network": "mnist", "latents": 128, "epochs": 200, "lr": 1e-3},
    "celeba": {"network": "celeba", "latents": 128, "epochs": 20, "lr": 1e-4},
    "yale": {"network": "yale", "latents": 128, "epochs": 2002, "lr": 1e-4},
    "sprites": SPRITES,
    "dsprites": SPRITES,
}
"""What runs start from: appendix D.5 for the paper's data sets."""


def starting_values(dataset: str, shape: Sequence[int], network: str = "") -> dict[str, Any]:
    """Return the settings that a run on this data set starts from.

    Images of no known data set get the network of MNIST, or of CelebA from 48 pixels a side on. The
    network "linear" starts without an activation, as a linear VAE has none, and so do sprites.
    """
    usual = "celeba" if min(shape[1:]) >= 48 else "mnist"
    values = {"network": usual, "latents": 32, "epochs": 100, "lr": 5e-4}
    values = STARTING.get(dataset, values)
    return {"activation": "linear" if network == "linear" else "sigmoid"} | values


def read_toml(path: str | Path) -> dict[str, Any]:
    """Read settings from a TOML file.

    Raises
    ------
    ValueError
        If the file is not TOML.
    """
    try:
        with open(path, "rb") as stream:
            return tomllib.load(stream)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not TOML ({error})") from error


def make_noise(config: Config) -> Noise:
    """Build the noise model of a configuration."""
    floor = {"floor": config.floor} if config.floor else {}
    if config.noise == "fixed":
        return FixedGaussian(config.sigma2)
    if config.noise == "learned":
        return LearnedGaussian(config.sigma2, closed_form=config.closed_form, **floor)
    if config.noise == "mog":
        return MixtureOfGaussians(config.components, config.sigma2, **floor)
    return NetworkGaussian(**floor)


def make_model(config: Config, shape: Shape) -> VAE:
    """Build the model of a configuration for images (C, H, W), with weights drawn from its seed.

    Examples
    --------
    >>> model = make_model(Config(latents=3), (1, 28, 28))
    >>> sum(p.numel() for p in model.parameters())
    841096
    """
    noise = make_noise(config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(config.seed, "weights"))
        network = NETWORKS[config.network](shape, config.latents, noise.outputs)
        model = VAE(network, noise, shape, config.activation)
        generator = torch.Generator().manual_seed(seed_of(config.seed, "weights"))
        initialise(model, config.init, generator)
    return model.to(torch.float64 if config.precision == "float64" else torch.float32)


STREAMS = {"weights": 0, "order": 1, "noise": 2, "evaluation": 3}


def seeds_of(seed: int, stream: str, *key: int, number: int = 1) -> list[int]:
    """Return independent 63-bit seeds for a use, and an epoch or step of it."""
    sequence = np.random.SeedSequence((seed, STREAMS[stream], *key))
    return [int(word) >> 1 for word in sequence.generate_state(number, np.uint64)]


def seed_of(seed: int, stream: str, *key: int) -> int:
    """Return the first of :func:`seeds_of`."""
    return seeds_of(seed, stream, *key)[0]
