"""Points drawn from the aggregated posterior, and means over them with control variates."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from disentangle_indicators._array import LOG_2PI, Float, to_numpy
from disentangle_indicators.aggregate._marginals import Evaluation
from disentangle_indicators.moments import Moments

FEWEST_POINTS = 100
"""Least number of points of a Monte Carlo run."""

_LITTLE = 0.05
"""Spread of a control, beside that of the widest, that is little; and share of points that are few."""


@dataclass(frozen=True)
class Draw:
    """Points z (s, d), the rows (s,) whose posteriors they come from, and their log densities.

    `log_own` (s, d) is the log density of the row's own posterior at the point, per latent.
    """

    rows: Any
    z: Float
    log_own: Float


def draw(mean: Float, var: Float, points: int, rng: np.random.Generator) -> Draw:
    """Draw points from the mixture, from each component as often as from any other but for one."""
    n, d = mean.shape
    whole = np.tile(np.arange(n), points // n)
    rows = np.concatenate([whole, rng.permutation(n)[: points % n]])
    noise = rng.standard_normal((points, d))
    z = mean[rows] + np.sqrt(var[rows]) * noise
    return Draw(rows, z, -0.5 * (noise * noise + np.log(var[rows]) + LOG_2PI))


def log_marginals(points: Draw, density: Float, n: int) -> Float:
    """Return the log of each marginal at the points (s, d), from its density there."""
    log_density = np.log(np.maximum(density, np.finfo(float).tiny))
    # a point's own posterior counts, also where the quadrature has cut off its tail
    return np.asarray(np.maximum(log_density, points.log_own - math.log(n)))


@dataclass(frozen=True)
class Estimate:
    """A mean over points, its Monte Carlo error, and its error as a value of the population."""

    value: float
    error: float
    population_error: float


@dataclass(frozen=True)
class Controls:
    """Functions of the points whose means over the mixture are known, less these means.

    They are, up to factors, the log densities of the point's own posterior, of the prior, of q*,
    of the Gaussian with all covariances, and of the product of marginals. `x` (s, k) are their
    values at the points and `rows` (p, k) their expectations under the posteriors of the picked
    rows; `point_codes` (s,) and `row_codes` (p,) say which of them belong to one draw of the
    population. Three of the log densities (s,) are kept as they are.
    """

    log_own: Float
    log_prior: Float
    log_marginals: Float
    x: Float
    rows: Float
    n: int
    point_rows: Any
    point_codes: Any
    picked: Any
    row_codes: Any

    @classmethod
    def of(
        cls,
        points: Draw,
        log_marginals: Float,
        moments: Moments,
        exact: Evaluation,
        mean: Float,
        var: Float,
        codes: Any,
    ) -> "Controls":
        """Evaluate the controls at the points, and their expectations under picked rows.

        `log_marginals` (s, d) is the log of each marginal at the points, `codes` (n,) the group
        of each row, one draw of the population.
        """
        second, centre = to_numpy(moments.second_moment), to_numpy(moments.mean)
        precision = np.linalg.pinv(to_numpy(moments.covariance), hermitian=True)
        log_var = np.log(var).sum(axis=1)
        d = second.size

        def quadratic(z: Float, spread: Float | None = None) -> list[Float]:
            """Return E sum z^2, E sum z^2 / S and the Mahalanobis square of z about the mean."""
            v = 0.0 if spread is None else spread
            x, u = z - centre, z * z + v
            far = np.sum((x @ precision) * x, axis=1) + np.sum(v * np.diag(precision), axis=-1)
            return [u.sum(axis=1), (u / second).sum(axis=1), far]

        m, v = mean[exact.picked], var[exact.picked]
        log_own, log_product = points.log_own.sum(axis=1), log_marginals.sum(axis=1)
        own = log_own + 0.5 * (d + d * LOG_2PI + log_var.mean())
        known = [
            float(second.sum()),
            float(d),
            float(np.sum(precision * to_numpy(moments.covariance))),
        ]
        entropy = float(exact.marginals.entropy.sum())
        x = [own, *(f - k for f, k in zip(quadratic(points.z), known, strict=True))]
        x.append(log_product + entropy)
        rows = [-0.5 * (log_var[exact.picked] - log_var.mean())]
        rows += [f - k for f, k in zip(quadratic(m, v), known, strict=True)]
        rows.append(entropy - exact.surprise.sum(axis=1))
        return cls(
            log_own,
            -0.5 * np.sum(points.z**2 + LOG_2PI, axis=1),
            log_product,
            np.stack(x, axis=1),
            np.stack(rows, axis=1),
            len(mean),
            points.rows,
            codes[points.rows],
            exact.picked,
            codes[exact.picked],
        )

    def expectation(self, y: Float) -> Estimate:
        """Return the mean of y (s,) over the mixture, by regression on the controls.

        All rows that were drawn have the same weight, however often they were. Where each was
        drawn twice or more, only what varies within rows is left to chance. What is too rare to
        be among the points is left to chance as well, about one point's share. So is what the
        refused part of the regression would have changed: it shows how far the share of a few
        deciding points is from its known value.
        """
        count = np.bincount(self.point_rows, minlength=self.n)
        weight = 1 / count[self.point_rows] / np.count_nonzero(count)
        within = count.min() >= 2

        def centred(f: Float) -> Float:
            if not within:
                return np.asarray(f - weight @ f)
            columns = f.reshape(len(f), -1).T
            means = [np.bincount(self.point_rows, column) / count for column in columns]
            return np.asarray(f - np.stack(means, axis=1)[self.point_rows].reshape(f.shape))

        slope, refused = _slope(centred(self.x), centred(y))
        rest = y - self.x @ slope
        value = float(weight @ rest)
        lost = self.n if within else 1
        spread = weight * centred(rest)
        if within:
            spread *= np.sqrt(count / (count - 1))[self.point_rows]
        freedom = (y.size - lost) / max(y.size - lost - slope.size, 1)
        error = math.sqrt(freedom * float(spread @ spread))
        if not within:
            error *= math.sqrt(y.size / (y.size - 1))
        error = math.hypot(max(error, 1 / y.size), float(weight @ (self.x @ refused)))
        rows = self.rows @ slope
        sampled = 0.0
        if within:  # the rest and the controls vary together between rows
            rows = rows + (np.bincount(self.point_rows, rest) / count)[self.picked]
        else:
            sampled = _clustered(weight * (rest - value), self.point_codes)
        known = _clustered((rows - rows.mean()) / rows.size, self.row_codes)
        known *= math.sqrt(rows.size / self.n)
        return Estimate(value, error, max(math.hypot(sampled, known), error))


def _slope(x: Float, y: Float) -> tuple[Float, Float]:
    """Return the coefficients (k,) of least squares of y (s,) on x (s, k), and the refused ones.

    A direction of x that a few points alone decide, and in which x hardly varies, is refused: its
    coefficient is that of those few, and its mean that of the points which were not drawn. So it is
    with the own log density and that of the marginals where posteriors hardly overlap.
    """
    scale = np.maximum(np.sqrt(np.mean(x * x, axis=0)), np.finfo(float).tiny)
    left, size, right = np.linalg.svd(x / scale, full_matrices=False)
    deciding = 1 / np.maximum(np.sum(left**4, axis=0), np.finfo(float).tiny)
    of_few = (size < _LITTLE * size[0]) & (deciding < _LITTLE * len(x))
    alive = size > 1e-10 * size[0]
    parts = np.where(alive, left.T @ y / np.where(alive, size, 1.0), 0.0)[:, None] * right / scale
    return parts[~of_few].sum(axis=0), parts[of_few].sum(axis=0)


def _clustered(terms: Float, codes: Any) -> float:
    """Return the standard error of a sum when all its terms with one code are one draw."""
    sums = np.bincount(codes, terms)
    count = np.unique(codes).size
    if count == 1:
        return math.inf
    return math.sqrt(count / (count - 1) * float(sums @ sums))
