"""Populations of posteriors whose indicators are known: draws of rows, and the truth.

A design gives `draw(rng)`, one sample of (mean, var, clusters), and `truth`, numbers of the
population. A latent has a mean of one `shape` (Gaussian, uniform, Laplace, t with nine or three
degrees of freedom, a grid) and variance `spread`, about `offset`, and posteriors of the width
`width`, or of log-normal widths. Unused latents have means of variance 1e-4 and posteriors that are the
prior's. With `clusters`, a share of the variance is that of the cluster; with `copies`, every row
comes several times.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import stats
from scipy.signal import fftconvolve

UNUSED = 1e-4
"""Variance of the means of an unused latent."""

SHAPES = {
    "gaussian": stats.norm(),
    "uniform": stats.uniform(-np.sqrt(3), 2 * np.sqrt(3)),
    "laplace": stats.laplace(scale=np.sqrt(0.5)),
    "t9": stats.t(9, scale=np.sqrt(7 / 9)),
    "t5": stats.t(5, scale=np.sqrt(3 / 5)),
    "t3": stats.t(3, scale=np.sqrt(1 / 3)),
}
"""Means of variance 1."""

REACH = {"uniform": 3, "laplace": 30, "t9": 60, "t5": 200, "t3": 2000}
"""Standard deviations beyond which their tails hold less than 1e-9."""


@dataclass(frozen=True)
class Design:
    """See the module."""

    n: int
    d: int = 4
    used: int | None = None
    shape: str = "gaussian"
    width: float = 0.1
    spread: float | None = None
    widths: float = 0.0
    offset: float = 0.0
    clusters: int = 0
    share: float = 0.7
    copies: int = 1
    jitter: float = 0.0
    correlation: float = 0.0

    @property
    def k(self) -> int:
        """Return the number of used latents."""
        return self.d if self.used is None else self.used

    @property
    def variance(self) -> float:
        """Return the variance of the means: by default that of a match with the prior."""
        return 1 - self.width if self.spread is None else self.spread

    def words(self) -> str:
        """Return what sets the design apart, in words."""
        used = "" if self.k == self.d else f", {self.k} used"
        parts = [f"{self.shape} means{used}", f"posterior variance {self.width:g}"]
        parts += [f"of log-normal widths ({self.widths:g})"] * (self.widths > 0)
        parts += [] if self.spread is None else [f"means of variance {self.spread:g}"]
        parts += [f"offset {self.offset:g}"] * (self.offset != 0)
        parts += [f"correlation {self.correlation:g}"] * (self.correlation != 0)
        parts += [f"{self.clusters} clusters"] * (self.clusters > 0)
        parts += [f"{self.copies} copies of each row"] * (self.copies > 1)
        parts += [f"jitter {self.jitter:g}"] * (self.jitter > 0)
        return ", ".join(parts)

    def draw(self, rng):
        """Return one sample: mean, var (n, d) and clusters (n,) or None."""
        rows = self.n // self.copies
        mean, groups = self._standard(rng, rows, self.k), None
        if self.clusters:
            groups = np.arange(rows) * self.clusters // rows
            centre = self._standard(rng, self.clusters, self.k)[groups]
            mean = np.sqrt(self.share) * centre + np.sqrt(1 - self.share) * mean
        if self.correlation:
            other = np.sqrt(1 - self.correlation**2) * mean[:, 1]
            mean[:, 1] = self.correlation * mean[:, 0] + other
        mean = self.offset + np.sqrt(self.variance) * mean
        var = self.width * np.exp(self.widths * rng.standard_normal(mean.shape))
        rest = rows, self.d - self.k
        mean = np.hstack([mean, np.sqrt(UNUSED) * rng.standard_normal(rest)])
        var = np.hstack([var, np.full(rest, 1 - UNUSED)])
        if self.copies > 1:
            mean, var = (np.repeat(x, self.copies, axis=0) for x in (mean, var))
            mean = mean + self.jitter * rng.standard_normal(mean.shape)
        return mean, var, groups

    def _standard(self, rng, rows, columns):
        if self.shape == "grid":  # five points
            return rng.integers(-2, 3, size=(rows, columns)) / np.sqrt(2)
        return SHAPES[self.shape].rvs(size=(rows, columns), random_state=rng)

    @cached_property
    def truth(self) -> dict[str, float]:
        """Return the indicators of the population; I only where all posteriors are equally wide."""
        average = self.width * np.exp(self.widths**2 / 2)
        second = self.offset**2 + self.variance + average
        log_var = np.log(self.width)
        rest = self.d - self.k
        first_unused = -0.5 * np.log(1 - UNUSED)
        truth = {
            "kl_posterior_prior": self.k * 0.5 * (second - 1 - log_var) + rest * first_unused,
            "mutual_information": self.k * 0.5 * (np.log(second) - log_var) + rest * first_unused,
            "mutual_information_per_latent": 0.5 * (np.log(second) - log_var),
            "kl_aggregate_prior": self.k * 0.5 * (second - 1 - np.log(second)),
            "second_moment": second,
            "gaussian_total_correlation": self._correlation(average),
            "total_correlation": self._correlation(average),
        }
        if self.widths == 0:
            entropy = self._entropy()
            information = entropy - 0.5 * (np.log(2 * np.pi * np.e) + log_var)
            kl = 0.5 * (np.log(2 * np.pi) + second) - entropy
            truth["information_per_latent"] = information
            truth["total_information"] = self.k * information + rest * first_unused
            truth["total_kl_prior"] = self.k * kl
            truth["joint_information"] = truth["total_information"] - truth["total_correlation"]
            truth["joint_kl_prior"] = truth["total_kl_prior"] + truth["total_correlation"]
        return truth

    def _correlation(self, average):
        w = self.correlation * self.variance / (self.variance + average)
        return -0.5 * np.log(1 - w**2)

    def _entropy(self):
        """Return the entropy of the aggregated posterior of a used latent, by quadrature."""
        if self.shape == "gaussian":
            return 0.5 * np.log(2 * np.pi * np.e * (self.variance + self.width))
        scale, sd = np.sqrt(self.variance), np.sqrt(self.width)
        step = sd / 40
        if self.shape == "grid":
            points = scale * np.arange(-2, 3) / np.sqrt(2)
            z = np.arange(points[0] - 10 * sd, points[-1] + 10 * sd, step)
            q = stats.norm.pdf(z, points[:, None], sd).mean(axis=0)
        else:
            reach = scale * REACH[self.shape]
            edges = np.arange(-int(reach / step) - 0.5, int(reach / step) + 1) * step
            mass = np.diff(SHAPES[self.shape].cdf(edges / scale))
            q = fftconvolve(mass, stats.norm.pdf(np.arange(-400, 401) / 40) / sd)
        return float(-step * np.sum(q * np.log(np.maximum(q, 1e-300))))


def factors_of(rng, rows, values=(4, 3), clusters=0):
    """Return independent factors (rows, k) with some numbers of values; per cluster if clustered."""
    draws = clusters or rows
    table = np.stack([rng.integers(v, size=draws) for v in values], axis=1)
    return table[np.arange(rows) * clusters // rows] if clusters else table
