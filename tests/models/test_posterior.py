"""What encoders return, recognised by names and classes, never by values; what is no posterior is refused."""

from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: posterior_of is NOT tested")

from torch import distributions

from dindic_models.posterior import Posterior, parse_returns, posterior_of

MEAN = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
STD = torch.rand(5, 3, generator=torch.Generator().manual_seed(1)) + 0.1
LOGVAR = 2 * STD.log()


class DiagonalGaussianDistribution:
    """As in diffusers."""

    def __init__(self, mean, logvar, deterministic=False):
        self.mean, self.logvar, self.deterministic = mean, logvar, deterministic
        self.std = torch.zeros_like(mean) if deterministic else (logvar / 2).exp()
        self.var = self.std**2


class OobleckDiagonalGaussianDistribution:
    """As in diffusers: `scale` comes before a softplus."""

    def __init__(self, mean, std):
        self.mean, self.std, self.scale = mean, std, torch.expm1(std).log()


class MiniMaxH3AudioDiagonalGaussianDistribution:
    """As in diffusers: `logs` is a log standard deviation, and there is no variance."""

    def __init__(self, mean, std):
        self.mean, self.std, self.logs = mean, std, std.log()


class IdentityDistribution:
    """As in diffusers, of models without a posterior."""

    def __init__(self, parameters):
        self.parameters = parameters


class ModelOutput(OrderedDict):
    """As in pythae."""


Pair = namedtuple("Pair", "z_mean z_log_var z")


@dataclass
class Output:
    mu: torch.Tensor
    logvar: torch.Tensor
    extra: int = 3


RECOGNISED = {
    "Normal": distributions.Normal(MEAN, STD),
    "Independent": distributions.Independent(distributions.Normal(MEAN, STD), 1),
    "diffusers": DiagonalGaussianDistribution(MEAN, LOGVAR),
    "diffusers' output": SimpleNamespace(latent_dist=DiagonalGaussianDistribution(MEAN, LOGVAR)),
    "Oobleck": OobleckDiagonalGaussianDistribution(MEAN, STD),
    "MiniMax": MiniMaxH3AudioDiagonalGaussianDistribution(MEAN, STD),
    "pythae": ModelOutput(embedding=MEAN, log_covariance=LOGVAR),
    "dict": {"mu": MEAN, "std": STD, "z": MEAN + 1},
    "dict of a distribution": {"qz": distributions.Normal(MEAN, STD), "z": MEAN + 1},
    "named tuple": Pair(MEAN, LOGVAR, MEAN + 1),
    "dataclass": Output(MEAN, LOGVAR),
    "variances": {"qzm": MEAN, "qzv": STD**2},
    "log standard deviations": {"mean": MEAN, "log_std": STD.log()},
    "a posterior": Posterior(MEAN, LOGVAR, "logvar"),
}


@pytest.mark.parametrize("kind", RECOGNISED)
def test_what_is_recognised(kind):
    found = posterior_of(RECOGNISED[kind])
    assert found.mean is MEAN or torch.equal(found.mean, MEAN)
    torch.testing.assert_close(found.std, STD)
    torch.testing.assert_close(found.logvar, LOGVAR)


@pytest.mark.parametrize(
    ("output", "returns"),
    [
        ((MEAN, LOGVAR), "mean,logvar"),
        ([STD, MEAN], "std,mean"),
        ((MEAN + 1, MEAN, STD**2), "_,mean,var"),
        ({"scale": STD, "location": MEAN}, "std,mean"),
    ],
)
def test_what_has_no_names_is_named(output, returns):
    found = posterior_of(output, returns)
    assert torch.equal(found.mean, MEAN)
    torch.testing.assert_close(found.std, STD)


REFUSED = {
    "one tensor": (MEAN, "one tensor, and gives no posterior"),
    "a tuple": ((MEAN, LOGVAR), "2 values without names: .* returns='mean,logvar'"),
    "a full covariance": (
        distributions.MultivariateNormal(MEAN, torch.eye(3)),
        "has a full covariance",
    ),
    "a flow": (distributions.LogNormal(MEAN, STD), "a flow, or another transform"),
    "Laplace": (distributions.Laplace(MEAN, STD), "its densities are not Gaussian"),
    "discrete": (distributions.Bernoulli(logits=MEAN), "its latents are discrete"),
    "identity": (IdentityDistribution(MEAN), "no mean and no width"),
    "deterministic": (DiagonalGaussianDistribution(MEAN, LOGVAR, True), "is deterministic"),
    "no scale": ({"latents": MEAN}, "latents, and gives no posterior"),
    "a vague scale": (
        {"mean": MEAN, "sigma": STD},
        "0 names of a scale; .* returns='mean,logvar'",
    ),
    "two means": ({"mean": MEAN, "mu": MEAN, "std": STD}, "2 names of a mean"),
    "a sample": ({"z": MEAN, "logvar": LOGVAR}, "0 names of a mean"),
    "nothing": ({}, "returns nothing, and gives no posterior"),
    "a number": (3, "returns a int, and gives no posterior"),
    "other shapes": ({"mean": MEAN, "logvar": LOGVAR[:, :1]}, r"\(5, 3\) and \(5, 1\)"),
    "integers": ({"mean": MEAN.long(), "logvar": LOGVAR}, "the mean .* no tensor of floats"),
    "a vector": ({"mean": MEAN[0], "logvar": LOGVAR[0]}, r"must have the shape \(b, d\)"),
    "a negative width": ({"mean": MEAN, "std": LOGVAR}, "std must be positive; .* a logarithm"),
    "one tensor twice": ({"mean": MEAN, "logvar": MEAN}, "one tensor as mean and as logvar"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused(kind):
    output, message = REFUSED[kind]
    with pytest.raises(ValueError, match=message):
        posterior_of(output)


@pytest.mark.parametrize(
    "returns",
    ["mean", "mean,var,std", "mean,mean,std", "logvar", "mean,sigma", "", "mean,logvar,"],
)
def test_names_that_are_no_posterior(returns):
    with pytest.raises(ValueError, match="must be a mean and a scale"):
        parse_returns(returns)


def test_more_values_than_names():
    with pytest.raises(ValueError, match="returns 3 values, and returns='mean,logvar' names 2"):
        posterior_of((MEAN, LOGVAR, MEAN), "mean,logvar")
