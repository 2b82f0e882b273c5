r"""Marginals of the aggregated posterior in one pass, from sums that add up.

The marginal of a latent, :math:`q = \frac1n \sum_m N(\mu_m, v_m)`, has the characteristic function

.. math:: \varphi(\omega) = \frac1n \sum_m e^{-i \omega \mu_m - \omega^2 v_m / 2}.

With the rows in cells of centre c, width w and variance s, and the sums M_ij of each cell
(:mod:`._cells`), the Taylor expansion of the exponential is

.. math::

   n \varphi(\omega) \approx \sum_{\text{cells}} e^{-i \omega c - \omega^2 s / 2}
   \sum_{i + 2j < p} (-i \omega w)^i (-\omega^2 s / 2)^j \frac{M_{ij}}{i!\, j!}

(a fast Gauss transform; Greengard and Strain, 1991; here the variances are binned as well). The
centres of a level lie on a lattice, so that its sum over cells is a Fourier transform, and the
density is one more.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from disentangle_indicators._array import Float
from disentangle_indicators.aggregate._cells import Cells, Places, geometry, raised, split, terms

__all__ = [
    "Density",
    "Latent",
    "at_rows",
    "density",
    "latent",
    "moments",
    "standard_errors",
    "surprise",
]

_POINTS = 1 << 21
"""Points of a density at most; where more are due, it is evaluated under a higher floor."""

_REACH = 8.6
"""Standard deviations beyond which a Gaussian is below 1e-16, in z and in frequency."""

_AT_ONCE = 1 << 16
"""Numbers of a lattice at a time: more would leave the cache."""

_DERIVATIVES = 5
"""Derivatives of the surprise by u, from that of order 0 on."""


class Density(NamedTuple):
    """The density of a marginal at evenly spaced points, by the orders p and p - 2.

    Parameters
    ----------
    start, step : float
        First point, and distance of the points.
    values, check : array, shape (k,)
    """

    start: float
    step: float
    values: Float
    check: Float


@dataclass(frozen=True)
class Latent:
    """What the cells of a latent determine; nats.

    Parameters
    ----------
    entropy : float
        Of q(z_h).
    estimate : float
        Estimate of its error: the difference of two orders or of two floors, the larger one.
    guarantee : float
        Bound of the error of the floor, by de Bruijn's identity; 0 without a floor.
    negative : float
        Mass of the density that is negative, where the expansion fails.
    cells : Cells
        Those that the density is made of.
    density : Density
    surprise : array, shape (5, k)
        Surprise of posteriors at the cells, and its derivatives; see :func:`surprise`.
    """

    entropy: float
    estimate: float
    guarantee: float
    negative: float
    cells: Cells
    density: Density
    surprise: Float


def density(cells: Cells, order: int, n: int) -> Density:
    """Evaluate the density of the marginal of these cells of n rows."""
    from scipy.fft import irfft, next_fast_len

    level, cell = split(cells.keys)
    width, s = geometry(level, cells.floor)
    widest, narrowest = float(width.max()), float(width.min())
    margin = 2 * _REACH * math.sqrt(float(s.max()))
    first = math.floor((float(np.min(cell * width)) - margin) / widest)
    last = math.ceil((float(np.max((cell + 1) * width)) + margin) / widest)
    period = next_fast_len(last - first, real=True) * widest
    points = 4 * round(period / narrowest)
    spectra = np.zeros((2, points // 2 + 1), dtype=complex)
    series = _series(cells, order)
    for lattice in _lattices(cells, first * widest, period, order):
        _add_lattice(spectra, lattice, series[:, lattice.here])
    values, check = irfft(spectra, points, axis=1) * (points / period / n)
    return Density(first * widest, period / points, values, check)


class _Lattice(NamedTuple):
    """Cells of a few levels of one width, on a period of a lattice that all levels share.

    Parameters
    ----------
    here : slice
        Of the cells.
    row, position : array of int, shape (k,)
        Level of each cell, from 0 on, and place on the lattice.
    width, period : float
    s : array, shape (levels,)
        Variances.
    """

    here: slice
    row: Any
    position: Any
    width: float
    period: float
    s: Float

    @property
    def length(self) -> int:
        """Number of the lattice's places."""
        return round(self.period / self.width)

    @property
    def frequencies(self) -> Float:
        """The frequencies (k,), from 0 on, at which the posteriors are not nearly 0."""
        step = 2 * math.pi / self.period
        return np.asarray(
            step * np.arange(math.ceil(_REACH / math.sqrt(float(self.s.min())) / step) + 1)
        )

    def gaussians(self, omega: Float, sign: int) -> Any:
        """Return the spectra (levels, k) of posteriors in the middle of the first place."""
        middle = np.exp(0.5j * sign * self.width * omega)
        return np.exp(-0.5 * self.s[:, None] * omega**2) * middle


def _lattices(cells: Cells, start: float, period: float, order: int) -> Iterator[_Lattice]:
    """Yield all cells, at most `_AT_ONCE` numbers of a lattice at a time."""
    level, cell = split(cells.keys)
    begins = np.flatnonzero(np.concatenate([[True], level[1:] != level[:-1]]))
    ends = np.append(begins[1:], len(level))
    widths, s = geometry(level[begins], cells.floor)
    one = 0
    while one < len(begins):
        w = float(widths[one])
        most = max(1, _AT_ONCE // (order * round(period / w)))
        two = one + min(int(np.sum(widths[one:] == w)), most)
        here = slice(int(begins[one]), int(ends[two - 1]))
        row = np.repeat(np.arange(two - one), ends[one:two] - begins[one:two])
        yield _Lattice(here, row, cell[here] - round(start / w), w, period, s[one:two])
        one = two


def _series(cells: Cells, order: int) -> Float:
    r"""Return the coefficients (order, k) of the powers of :math:`-i \omega w` in each cell.

    That of power m is :math:`\sum_{i + 2j = m} \rho^j M_{ij} / i! j!` with :math:`\rho = s / 2w^2`.
    """
    width, s = geometry(split(cells.keys)[0], cells.floor)
    rho, power = s / (2 * width * width), np.ones(len(s))
    out, first = np.zeros((order, len(s))), 0
    for j in range(order // 2):
        last = first + order - 2 * j
        over = [math.factorial(i) * math.factorial(j) for i in range(order - 2 * j)]
        out[2 * j :] += cells.sums[first:last] / np.array(over)[:, None] * power
        first, power = last, power * rho
    return out


def _add_lattice(spectra: Any, lattice: _Lattice, series: Float) -> None:
    """Add the cells of a lattice to the characteristic functions of both orders."""
    from scipy.fft import rfft

    values = np.zeros((len(series), len(lattice.s), lattice.length))
    values[:, lattice.row, lattice.position] = series
    omega = lattice.frequencies
    *low, high, highest = _unfolded(rfft(values), len(omega), lattice.length)
    turn = -1j * lattice.width * omega
    rest = turn ** len(low) * (high + turn * highest)
    check = low.pop()
    while low:
        check *= turn
        check += low.pop()
    gaussians = lattice.gaussians(omega, -1)
    both = spectra[:, : len(omega)]
    both += np.stack([(gaussians * each).sum(axis=0) for each in (check + rest, check)])


def _unfolded(half: Any, count: int, length: int) -> Any:
    """Return Fourier transforms (..., count) of real sequences from their first halves."""
    back = half[..., length - count + 1 : (length + 1) // 2][..., ::-1]
    return np.concatenate([half[..., :count], back.conj()], axis=-1)


def _folded(spectrum: Any, length: int) -> Any:
    """Return the first halves of the transforms of a real function at so many places only."""
    half, count = length // 2 + 1, spectrum.shape[-1]
    out = np.zeros((*spectrum.shape[:-1], half), dtype=complex)
    out[..., : min(half, count)] = spectrum[..., :half]
    back = spectrum[..., (length + 1) // 2 :]
    out[..., length - count + 1 :] += back[..., ::-1].conj()
    return out


def _entropy(values: Float, step: float) -> float:
    r"""Return :math:`-\int q \log q` by the trapezoid rule."""
    from scipy.special import entr

    return float(entr(np.maximum(values, 0.0)).sum()) * step


def latent(cells: Cells, order: int, n: int) -> Latent:
    """Return the entropy of the marginal of these cells of n rows, and its errors."""
    cells = _resolved(cells, order)
    q = density(cells, order, n)
    entropy, check = _entropy(q.values, q.step), _entropy(q.check, q.step)
    estimate, guarantee = abs(entropy - check), 0.0
    under = cells.under
    if under.any():
        higher = density(raised(cells, cells.floor + 1, order), order, n)
        estimate = max(estimate, abs(entropy - _entropy(higher.values, higher.step)))
        guarantee = _guarantee(cells, under, order, n, entropy)
    negative = -float(np.minimum(q.values, 0.0).sum()) * q.step
    return Latent(entropy, estimate, guarantee, negative, cells, q, surprise(cells, q))


def _resolved(cells: Cells, order: int) -> Cells:
    """Raise the floor until the points of the density are few enough."""
    level, cell = split(cells.keys)
    width, s = geometry(level, cells.floor)
    ends = np.min(cell * width), np.max((cell + 1) * width)
    span = float(ends[1] - ends[0]) + 5 * _REACH * math.sqrt(float(s.max()))
    least = math.ceil(math.log2(4 * span / _POINTS)) + 1  # octave of the standard deviation
    return raised(cells, max(cells.floor, least), order)


def _guarantee(cells: Cells, under: Any, order: int, n: int, entropy: float) -> float:
    r"""Bound the error of the floor.

    Let q_c be the marginal with the posteriors under the floor widened to its variance s. By de
    Bruijn's identity and the convexity of Fisher's information,
    :math:`0 \le H(q_c) - H(q) \le \frac1n \sum \tfrac12 \log(s / v_m)` over these rows.
    """
    sums = cells.sums.copy()
    for k, (_, j) in enumerate(terms(order)):
        if j:
            sums[k, under] = 0.0
    widened = density(Cells(cells.keys, sums, cells.floor), order, n)
    high = _entropy(widened.values, widened.step)
    log_s = 2 * cells.floor * math.log(2)
    width = 0.5 * float(np.sum(log_s * cells.sums[0, under] - cells.sums[-1, under])) / n
    return max(abs(high - entropy), abs(entropy - (high - width)))


def surprise(cells: Cells, q: Density) -> Float:
    r"""Return the surprise of posteriors at the cells, and its derivatives by u: (5, k).

    .. math:: g(\mu, v) = -\int N(z; \mu, v) \log q(z) \, dz, \qquad
              \partial_v g = \tfrac12 \partial_\mu^2 g
    """
    from scipy.fft import irfft, rfft

    points, out = len(q.values), np.empty((_DERIVATIVES, len(cells.keys)))
    spectrum = rfft(-np.log(np.maximum(q.values, 1e-17 * q.values.max()))) / points
    for lattice in _lattices(cells, q.start, q.step * points, _DERIVATIVES):
        omega, length = lattice.frequencies, lattice.length
        powers = (1j * lattice.width * omega) ** np.arange(_DERIVATIVES)[:, None]
        each = powers[:, None] * (spectrum[: len(omega)] * lattice.gaussians(omega, 1))
        values = irfft(_folded(each, length), length) * length
        out[:, lattice.here] = values[:, lattice.row, lattice.position]
    return out


def at_rows(found: Latent, places: Places) -> Float:
    r"""Return the surprise (s,) of rows, from that of their cells and its derivatives.

    .. math:: g(c + w u, s + s r) = \sum_k a_k \partial_u^k g(c, s), \qquad
              k a_k = u a_{k-1} + \tfrac{s}{w^2} r a_{k-2}
    """
    cell, u, r = places
    level, _ = split(found.cells.keys)
    width, s = geometry(level, found.cells.floor)
    r = r * (s / width**2)[cell]
    before, here = np.zeros_like(u), np.ones_like(u)
    total = found.surprise[0, cell]
    for k in range(1, _DERIVATIVES):
        before, here = here, (u * here + r * before) / k
        total += here * found.surprise[k, cell]
    return np.asarray(total)


def standard_errors(found: Latent, order: int, n: int, second: float) -> dict[str, float]:
    r"""Return the standard errors of row sampling, with S the second moment of q(z_h).

    The influence of a row is g for the entropy, :math:`g - \tfrac12 \log v` for the information,
    and :math:`\tfrac12 (\mu^2 + v) - g` for KL(q(z_h) || p). In a cell, each is to second order
    a combination of 1, u, u^2 and r, whose squares the sums M_ij average.
    """
    if n == 1:
        return dict.fromkeys(("entropy", "information", "kl_prior", "looseness"), math.inf)
    cells = found.cells
    level, cell = split(cells.keys)
    w, s = geometry(level, cells.floor)
    c = (cell + 0.5) * w
    g, first, curved, *_ = found.surprise
    at = {pair: total for pair, total in zip(terms(order), cells.sums, strict=False)}
    count, zero = at[0, 0], np.zeros_like(g)
    of_g = np.stack([g, first, 0.5 * curved, 0.5 * curved * s / w**2])
    of_u = np.stack([c * c + s, 2 * c * w, w * w, s])
    of_log = np.stack([cells.sums[-1] / count, zero, zero, np.where(cells.under, 0.0, 1.0)])
    of_log[0] -= of_log[3] * at[0, 1] / count
    influences = {
        "entropy": of_g,
        "information": of_g - 0.5 * of_log,
        "kl_prior": 0.5 * of_u - of_g,
        "looseness": 0.5 * of_u / second - of_g,
    }
    basis = ((0, 0), (1, 0), (2, 0), (0, 1))
    out = {}
    for name, a in influences.items():
        average = sum(float(a[k] @ at[pair]) for k, pair in enumerate(basis)) / n
        a = a.copy()
        a[0] -= average
        square = sum(
            float((a[k] * a[m]) @ at[one[0] + two[0], one[1] + two[1]])
            for k, one in enumerate(basis)
            for m, two in enumerate(basis)
        )
        out[name] = math.sqrt(max(square, 0.0) / (n - 1) / n)
    return out


def moments(cells: Cells, order: int, n: int) -> tuple[float, float]:
    """Return the second moment of the marginal and the average log variance."""
    level, cell = split(cells.keys)
    w, s = geometry(level, cells.floor)
    c = (cell + 0.5) * w
    at = dict(zip(terms(order), cells.sums, strict=False))
    second = (c * c + s) @ at[0, 0] + (2 * c * w) @ at[1, 0] + (w * w) @ at[2, 0] + s @ at[0, 1]
    return float(second) / n, float(cells.sums[-1].sum()) / n
