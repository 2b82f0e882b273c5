"""Where codes claim more than the channel carries: means that know what samples do not transmit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from disentangle_indicators._array import (
    Array,
    Float,
    as_codes,
    as_pair,
    check_positive,
    seed_of,
    to_numpy,
)
from disentangle_indicators._binning import Index
from disentangle_indicators._progress import Progress
from disentangle_indicators._result import Block, Result, Table
from disentangle_indicators.aggregate._marginals import marginals
from disentangle_indicators.factors import as_table
from disentangle_indicators.supervised import _information as info

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Channel", "channel"]

SURE = 1.96
"""Standard errors that a flagged cell is beyond the channel."""

SHOWN = 3
"""Cells that the sentence names."""


@dataclass(frozen=True, eq=False, repr=False)
class Channel(Result):
    """What codes know of factors beside what samples carry; the result of :func:`channel`.

    Nats; d latents, K factors.

    Parameters
    ----------
    n : int
        Rows.
    factors : tuple of str, length K
    claimed : array, shape (d, K)
        I(z_h; v_k) of the codes, in bins; biased upwards.
    chance : array, shape (d, K)
        What the most of the permutations reaches: a bound of the bias.
    errors : array, shape (d, K)
        Standard errors of `claimed`, of row sampling.
    carried : array, shape (d, K)
        I(x; z_h), exact, over the rows where the factor has a value: no function of x, and so no
        factor that depends on x alone, can have more in common with a sample.
    information : array, shape (d,)
        I(x; z_h) over all rows.
    flagged : array of bool, shape (d, K)
        Where `claimed` less `chance` is above `carried` by more than 1.96 standard errors.
    cells : tuple of (int, str)
        The flagged ones, the greatest excess first.
    sentence : str
    parameters : dict
        Bins, permutations and seed.
    """

    schema: ClassVar[str] = "dindic.channel/1"

    n: int
    factors: tuple[str, ...]
    claimed: Float
    chance: Float
    errors: Float
    carried: Float
    information: Float
    flagged: Any
    cells: tuple[tuple[int, str], ...]
    sentence: str
    parameters: dict[str, Any]

    def to_frame(self) -> "pd.DataFrame":
        """Return a data frame with one row per latent and factor."""
        import pandas as pd

        d = len(self.claimed)
        columns = {
            name: getattr(self, name).ravel()
            for name in ("claimed", "chance", "errors", "carried", "flagged")
        }
        index = pd.MultiIndex.from_product([range(d), self.factors], names=["latent", "factor"])
        return pd.DataFrame(columns, index=index)

    def blocks(self) -> list[Block]:
        """Return the sentence and the table of latents and factors, the flagged cells marked."""
        order = np.argsort(-self.information, kind="stable")
        rows = tuple(
            (
                str(h),
                f"{self.information[h] + 0.0:.3f}",
                *(
                    f"{value:.3f}{' !' if flag else ''}"
                    for value, flag in zip(self.claimed[h], self.flagged[h], strict=True)
                ),
            )
            for h in order
        )
        note = (
            f"nats; I(x; z_h): what a sample of the latent carries, exact; the others: I(z_h; v_k) "
            f"of the codes in bins; !: more than it carries, also less what the best of "
            f"{self.parameters['permutations']} permutations of the rows reaches (up to "
            f"{self.chance.max():.3f}) and {SURE:g} standard errors"
        )
        columns = ("latent", "I(x; z_h)", *self.factors)
        return [self.sentence, Table(columns, rows, "What codes claim and samples carry", note)]


def channel(
    mean: Array,
    var: Array,
    factors: Any,
    *,
    codes: Array | None = None,
    bins: int = 20,
    code_bins: str = "count",
    permutations: int = 20,
    kinds: Mapping[str, str] | Sequence[str] | None = None,
    factor_names: Sequence[str] | None = None,
    rng: np.random.Generator | int = 0,
    threads: int = 1,
    progress: Progress | None = None,
) -> Channel:
    r"""Flag latents that know more of a factor by their mean than a sample of them can carry.

    .. math:: I(v_k; z_h) \le I(x; z_h) \qquad \text{for } z_h \sim q(z_h | x)

    by data processing, since v_k and z_h have only x in common. A posterior mean is no sample: a
    latent whose means move by a hundredth of the posterior's width can be read off exactly, and a
    metric of means gives it full marks. A cell is flagged where

    .. math:: \hat I(v_k; \mu_h) - b_{hk} - 1.96\, s_{hk} > I(x; z_h),

    with b the most that permutations of the rows reach, which is more than the bias of the plug-in
    estimate, and s its standard error.

    Parameters
    ----------
    mean, var : array, shape (n, d)
        Means and variances of the posteriors.
    factors : Factors, or array, shape (n, K) or (n,)
        As :func:`~disentangle_indicators.supervised.as_table` takes them. Constant factors have
        information 0; of rows without a value both sides are taken without these rows.
    codes : array, shape (n, d), optional
        What is compared with the channel, `mean` by default. Samples from the posteriors are never
        flagged, but for chance.
    bins : int
        Of each latent, at least.
    code_bins : {"count", "width"}
        Bins of equal counts, as many as the factors have values if those are more, or of equal
        width.
    permutations : int
        At least 1.
    kinds, factor_names
        As :func:`~disentangle_indicators.supervised.as_table` takes them.
    rng : numpy.random.Generator or int
        Of the permutations.
    threads, progress
        As for :func:`disentangle_indicators.aggregate.marginals`.

    Returns
    -------
    Channel

    Raises
    ------
    ValueError
        On arrays that do not belong together, on entries that are not finite, on variances that
        are not positive, and on parameters out of range.

    Notes
    -----
    Cover & Thomas, theorem 2.8.1; the right side is that of
    :func:`~disentangle_indicators.aggregate.marginals`. Beside sampling error, bins only lose
    information, so that a flag is never their doing. No flag does not mean that metrics of means
    are right: below I(x; z_h) a latent may still claim more of a factor than its samples transmit.

    Examples
    --------
    >>> import numpy as np
    >>> factor = np.arange(1000) % 4
    >>> mean = np.stack([factor, 0.01 * factor], axis=1)
    >>> result = channel(mean, np.array([[0.01, 1.0]]).repeat(1000, axis=0), factor)
    >>> print(result.sentence)
    1 of 2 latents claims more than it carries: latent 1 tells 1.386 nats of factor_0 by its mean
    and transmits 0.000.
    """
    _, mean, var = as_pair(mean, var)
    check_positive(var, "var")
    z = as_codes(mean if codes is None else codes)
    if z.shape != tuple(mean.shape):
        raise ValueError(f"codes must have the shape {tuple(mean.shape)}; got {z.shape}")
    if permutations < 1:
        raise ValueError(f"permutations must be at least 1; got {permutations}")
    n, d = z.shape
    table = as_table(factors, n, kinds=kinds, names=factor_names)
    missing = [name for k, name in enumerate(table.names) if not table.present(k).size]
    if missing:
        raise ValueError(f"factors must have values; {missing[0]} has none")
    p = {"bins": bins, "code_bins": code_bins, "factor_bins": None}
    cells, labels = info.prepare(z, table, p)
    claimed = info.information(cells, labels).mutual
    drawing = np.random.default_rng(rng)
    chance = np.zeros_like(claimed)
    for _ in range(permutations):
        moved = cells[drawing.permutation(n)]
        chance = np.maximum(chance, info.information(moved, labels).mutual)
    errors = np.stack([_errors(cells, label) for label in labels], axis=1)
    mean, var = to_numpy(mean), to_numpy(var)
    whole = marginals(mean, var, threads=threads, progress=progress)
    carried = np.repeat(whole.information[:, None], table.number, axis=1)
    slack = np.repeat((whole.errors + whole.shortfall)[:, None], table.number, axis=1)
    for k in range(table.number):
        rows = table.present(k)
        if len(rows) < n:
            part = marginals(mean[rows], var[rows], threads=threads)
            carried[:, k], slack[:, k] = part.information, part.errors + part.shortfall
    excess = claimed - chance - SURE * errors - carried - slack
    order = np.argsort(-excess, axis=None, kind="stable")
    found = [np.unravel_index(i, excess.shape) for i in order[: int(np.sum(excess > 0))]]
    pairs = [(int(h), int(k)) for h, k in found]
    return Channel(
        n=n,
        factors=table.names,
        claimed=claimed,
        chance=chance,
        errors=errors,
        carried=carried,
        information=whole.information,
        flagged=excess > 0,
        cells=tuple((h, table.names[k]) for h, k in pairs),
        sentence=_sentence(
            [(h, table.names[k], claimed[h, k], carried[h, k]) for h, k in pairs],
            d,
            "mean" if codes is None else "code",
        ),
        parameters={
            "bins": bins,
            "code_bins": code_bins,
            "permutations": permutations,
            "seed": seed_of(rng),
        },
    )


def _errors(cells: Index, label: Index) -> Float:
    """Return the standard errors (d,) of the information: the spread of the log ratio of rows."""
    rows = label >= 0
    cells, label = cells[rows], label[rows]
    n, values = len(label), int(label.max()) + 1
    factor = np.bincount(label, minlength=values)
    out = np.empty(cells.shape[1])
    for h, column in enumerate(cells.T):
        flat = column * values + label
        both, code = np.bincount(flat), np.bincount(column)
        ratio = np.log(both[flat]) + np.log(n) - np.log(code[column]) - np.log(factor[label])
        out[h] = np.std(ratio) / np.sqrt(n)
    return out


def _sentence(cells: list[tuple[int, str, float, float]], d: int, code: str) -> str:
    if not cells:
        return "No latent claims more of a factor than its samples carry."
    count = len({h for h, *_ in cells})
    shown = "; ".join(
        f"latent {h} tells {claimed:.3f} nats of {name} by its {code} and transmits "
        f"{carried + 0.0:.3f}"
        for h, name, claimed, carried in cells[:SHOWN]
    )
    rest = len(cells) - SHOWN
    more = f"; and {rest} more" if rest > 0 else ""
    verb = "claims more than it carries" if count == 1 else "claim more than they carry"
    return f"{count} of {d} latent{'s' * (d > 1)} {verb}: {shown}{more}."
