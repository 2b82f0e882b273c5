r"""The noise models p(x | z) of the paper: what the decoder's output :math:`g` means for a pixel.

==================  ==============================================================================
FixedGaussian       :math:`N(x_d; G_d, \sigma^2)`, :math:`\sigma^2` given (section 7.1)
LearnedGaussian     the same, :math:`\sigma^2` learned by gradient or in closed form (A.1)
MixtureOfGaussians  :math:`\sum_k \pi_k N(x_d; G_d, \sigma_k^2)`, by EM (A.2, corrected)
NetworkGaussian     :math:`N(x_d; G_d, \sigma_d^2(z))`, the decoder gives both (D.5)
==================  ==============================================================================

One interface: ``log_prob(x, g)`` is differentiated; parameters that have a closed form take it from
``statistics(x, g)``, which add up over samples, batches and processes, by ``update(statistics)``.
While training, ``absorb`` follows a running average of them (stepwise EM, Cappe and Moulines 2009),
because the closed form of one minibatch often lowers the bound of the data (erratum E18).
"""

from math import log, pi
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = [
    "FLOOR",
    "NETWORK_FLOOR",
    "NOISES",
    "FixedGaussian",
    "LearnedGaussian",
    "MixtureOfGaussians",
    "NetworkGaussian",
    "Noise",
    "gaussian_log_prob",
    "histogram",
    "isotropic_log_prob",
]

FLOOR = (1 / 255) ** 2 / 12
"""The least variance of a pixel in [0, 1]: what rounding to 8 bits leaves.

The bound on the likelihood has no maximum without one, since residuals can be zero."""

NETWORK_FLOOR = 1e-3
"""The least variance of a pixel where a network gives each its own.

With less, the pixels that are always black get weights 1 / sigma^2 that drown all others, and
latents stay unused (MNIST)."""

BINS = 4096
HISTOGRAM_ABOVE = 2**19
_LOG_LOW, _LOG_HIGH = log(1e-14), log(1e2)


def gaussian_log_prob(squared: Tensor, variance: Tensor) -> Tensor:
    r"""Return :math:`-\tfrac12 (r^2 / s + \log 2 \pi s)`, elementwise."""
    return -0.5 * (squared / variance + variance.log() + log(2 * pi))


def isotropic_log_prob(x: Tensor, g: Tensor, variance: Tensor) -> Tensor:
    r"""Return :math:`-\tfrac12 (\|x - g\|^2 / s + d \log 2 \pi s)` of images (b, C, H, W), (b,)."""
    # mse_loss subtracts and squares in one kernel, there and back; and what follows the sum has b
    # values, not b C H W.
    squared = F.mse_loss(g, x, reduction="none").flatten(1).sum(1)
    return -0.5 * (squared / variance + x.shape[1:].numel() * (2 * pi * variance).log())


class Noise(nn.Module):
    """p(x | z), given the output g of the decoder; a base for the four below."""

    outputs: ClassVar[int] = 1
    """Blocks of C channels that the decoder has to return."""

    running: Tensor
    seen: Tensor

    def __init__(self, statistics: int = 0, rate: float = 0.01) -> None:
        super().__init__()
        if not 0 < rate <= 1:
            raise ValueError(f"rate must be in (0, 1]; it is {rate}")
        self.rate = rate
        self.register_buffer("running", torch.zeros(statistics, dtype=torch.float64))
        self.register_buffer("seen", torch.zeros((), dtype=torch.float64))

    def mean(self, g: Tensor) -> Tensor:
        """Return G(z), (b, C, H, W)."""
        return g

    def variance(self) -> Tensor:
        """Return the variance of a pixel, a scalar; an average where pixels differ."""
        raise NotImplementedError

    def log_prob(self, x: Tensor, g: Tensor) -> Tensor:
        """Return log p(x | z) in nats, summed over pixels, (b,)."""
        raise NotImplementedError

    def statistics(self, x: Tensor, g: Tensor) -> Tensor:
        """Return sums over samples and pixels, float64; none for what gradients learn."""
        return self.running.new_zeros(0)

    def update(self, statistics: Tensor) -> None:
        """Set the parameters to their closed form."""

    @torch.no_grad()
    def absorb(self, statistics: Tensor) -> None:
        """Move the running sums towards those of a batch, and update from them."""
        if len(statistics):
            self.seen += 1
            rate = torch.clamp(1 / self.seen, min=self.rate)
            self.running += rate * (statistics - self.running)
            self.update(self.running)

    def forward(self, x: Tensor, g: Tensor) -> Tensor:
        """Return :meth:`log_prob`."""
        return self.log_prob(x, g)


class FixedGaussian(Noise):
    """Gaussian noise of a variance given beforehand."""

    sigma2: Tensor

    def __init__(self, sigma2: float = 0.02) -> None:
        super().__init__()
        self.register_buffer("sigma2", float64(positive("sigma2", sigma2)))

    def variance(self) -> Tensor:
        """Return sigma^2."""
        return self.sigma2

    def log_prob(self, x: Tensor, g: Tensor) -> Tensor:
        """Return log N(x; g, sigma^2 I), (b,)."""
        return isotropic_log_prob(x, g, self.sigma2)


class LearnedGaussian(Noise):
    r"""Gaussian noise whose variance is learned.

    By gradient on log sigma, or by the closed form of A.1,
    :math:`\sigma^2 = \sum \|x - G\|^2 / d M L`.
    """

    def __init__(
        self,
        sigma2: float = 0.1,
        *,
        closed_form: bool = False,
        rate: float = 0.01,
        floor: float = FLOOR,
    ) -> None:
        super().__init__(2 * closed_form, rate)
        self.closed_form, self.floor = closed_form, positive("floor", floor)
        start = float64(0.5 * log(positive("sigma2", sigma2)))
        self.log_sigma = nn.Parameter(start, requires_grad=not closed_form)

    def variance(self) -> Tensor:
        """Return sigma^2, no less than the floor; below it, log sigma keeps its gradient."""
        sigma2 = (2 * self.log_sigma).exp()
        return sigma2 + (self.floor - sigma2.detach()).clamp(min=0)

    def log_prob(self, x: Tensor, g: Tensor) -> Tensor:
        """Return log N(x; g, sigma^2 I), (b,)."""
        return isotropic_log_prob(x, g, self.variance())

    def statistics(self, x: Tensor, g: Tensor) -> Tensor:
        """Return the sum of squared residuals and their number."""
        if not self.closed_form:
            return super().statistics(x, g)
        squared = (x - g).detach().square()
        return torch.stack([squared.sum(dtype=torch.float64), count(squared)])

    @torch.no_grad()
    def update(self, statistics: Tensor) -> None:
        """Set sigma^2 to the mean of the squared residuals."""
        if self.closed_form:
            sigma2 = (statistics[0] / statistics[1]).clamp(min=self.floor)
            self.log_sigma.copy_(0.5 * sigma2.log())


class MixtureOfGaussians(Noise):
    r"""A mixture of K zero-mean Gaussians for the residual of every pixel.

    .. math:: \gamma_{dmk} = \frac{\pi_k N(x_d; G_d, \sigma_k^2)}{\sum_j \pi_j N(x_d; G_d,
        \sigma_j^2)}, \quad \pi_k = N_k / N, \quad \sigma_k^2 = \sum \gamma r^2 / N_k.

    The responsibilities are normalised over k (erratum E2; the paper's (23) sums over samples).
    """

    weights: Tensor
    variances: Tensor

    def __init__(
        self, components: int = 2, sigma2: float = 0.1, *, rate: float = 0.01, floor: float = FLOOR
    ) -> None:
        if components < 1:
            raise ValueError(f"a mixture needs at least one component; got {components}")
        super().__init__(2 * components, rate)
        self.floor = positive("floor", floor)
        steps = torch.arange(components, dtype=torch.float64) - (components - 1) / 2
        variances = positive("sigma2", sigma2) * 10.0**steps  # equal ones would never part
        self.register_buffer("weights", torch.full_like(variances, 1 / components))
        self.register_buffer("variances", variances.clamp(min=floor))

    def variance(self) -> Tensor:
        """Return the variance of the mixture."""
        return (self.weights * self.variances).sum()

    def log_joint(self, squared: Tensor) -> Tensor:
        """Return log pi_k + log N(r; 0, sigma_k^2), with a last axis of K."""
        weights, variances = self.weights.to(squared.dtype), self.variances.to(squared.dtype)
        return weights.log() + gaussian_log_prob(squared[..., None], variances)

    def log_prob(self, x: Tensor, g: Tensor) -> Tensor:
        """Return the log density of the mixture, (b,).

        Its gradient with respect to g is that of the M-step at these responsibilities (Fisher).
        """
        return self.log_joint((x - g).square()).logsumexp(-1).flatten(1).sum(1)

    def memberships(self, x: Tensor, g: Tensor) -> Tensor:
        """Return the responsibilities gamma, (b, C, H, W, K)."""
        return self.log_joint((x - g).square()).softmax(-1)

    def statistics(self, x: Tensor, g: Tensor) -> Tensor:
        """Return N_k and the sums of gamma r^2, (2K,); by a histogram where pixels are many."""
        squared = (x - g).detach().square().flatten()
        if squared.numel() > HISTOGRAM_ABOVE:
            return self.statistics_of(*histogram(squared))
        return self.statistics_of(squared, None)

    @torch.no_grad()
    def statistics_of(self, squared: Tensor, number: Tensor | None) -> Tensor:
        """Return the statistics of squared residuals, each counted `number` times, (2K,)."""
        gamma = self.log_joint(squared).softmax(-1).double()
        if number is not None:
            gamma = gamma * number[:, None]
        return torch.cat([gamma.sum(0), squared.double() @ gamma])

    @torch.no_grad()
    def update(self, statistics: Tensor) -> None:
        """Take the M-step; a component with less than one pixel keeps its variance."""
        number, sums = statistics.chunk(2)
        variances = (sums / number.clamp(min=1)).clamp(min=self.floor)
        self.weights.copy_((number / number.sum()).clamp(min=torch.finfo(torch.float32).tiny))
        self.variances.copy_(torch.where(number >= 1, variances, self.variances))

    def effective_components(self) -> float:
        """Return exp of the entropy of pi, after merging variances within 1%; in [1, K]."""
        variances, order = self.variances.double().sort()
        group = torch.cat([variances.new_zeros(1), (variances.diff() > 0.01 * variances[:-1])])
        weights = variances.new_zeros(len(order))
        weights.index_add_(0, group.cumsum(0).long(), self.weights.double()[order])
        return float(torch.special.entr(weights / weights.sum()).sum().exp())


class NetworkGaussian(Noise):
    r"""Gaussian noise whose variance the decoder gives for every pixel.

    The second half of g is :math:`t`, and :math:`\sigma_d^2 = \mathrm{floor} + e^t`.
    """

    outputs = 2

    def __init__(self, *, rate: float = 0.01, floor: float = NETWORK_FLOOR) -> None:
        super().__init__(2, rate)
        self.floor = positive("floor", floor)

    def mean(self, g: Tensor) -> Tensor:
        """Return G(z), the first half of g."""
        return g.chunk(2, dim=1)[0]

    def log_variances(self, g: Tensor) -> Tensor:
        """Return log sigma^2 of every pixel, (b, C, H, W)."""
        t = g.chunk(2, dim=1)[1]
        return torch.logaddexp(t, t.new_full((), log(self.floor)))

    def variance(self) -> Tensor:
        """Return the average variance of a pixel over the latest batches."""
        return self.running[0] / self.running[1].clamp(min=1)

    def log_prob(self, x: Tensor, g: Tensor) -> Tensor:
        """Return log N(x; G, diag(sigma_d^2)), (b,)."""
        log_variance = self.log_variances(g)
        squared = (x - self.mean(g)).square()
        each = squared * (-log_variance).exp() + log_variance + log(2 * pi)
        return -0.5 * each.flatten(1).sum(1)

    def statistics(self, x: Tensor, g: Tensor) -> Tensor:
        """Return the sum of the variances and their number, for the report alone."""
        variances = self.log_variances(g.detach()).exp()
        return torch.stack([variances.sum(dtype=torch.float64), count(variances)])


def histogram(squared: Tensor, bins: int = BINS) -> tuple[Tensor, Tensor]:
    """Return the mean and the number of squared residuals in bins of log r^2, each (bins,).

    The bin means keep the sum of all squares exact, so that sum pi_k sigma_k^2 = mean r^2 still
    holds after an M-step from them. Bins range over (1e-14, 100), the outer ones beyond.
    """
    position = (squared.clamp(min=1e-37).log() - _LOG_LOW) * (bins / (_LOG_HIGH - _LOG_LOW))
    index = position.long().clamp(0, bins - 1)
    number = torch.zeros(bins, dtype=torch.float64, device=squared.device)
    sums = torch.zeros_like(number)
    number.index_add_(0, index, torch.ones_like(squared, dtype=torch.float64))
    sums.index_add_(0, index, squared.double())
    return sums / number.clamp(min=1), number


def count(values: Tensor) -> Tensor:
    """Return the number of entries, as a float64 scalar on their device."""
    return torch.full((), values.numel(), dtype=torch.float64, device=values.device)


def float64(value: float) -> Tensor:
    """Return a scalar that a float64 model has exactly and a float32 one rounds."""
    return torch.tensor(value, dtype=torch.float64)


def positive(name: str, value: float) -> float:
    """Return the value, which must be positive and finite."""
    if not 0 < value < float("inf"):
        raise ValueError(f"{name} must be positive and finite; it is {value}")
    return value


NOISES: dict[str, type[Noise]] = {
    "fixed": FixedGaussian,
    "learned": LearnedGaussian,
    "mog": MixtureOfGaussians,
    "network": NetworkGaussian,
}
