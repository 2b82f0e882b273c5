"""Groups of rows that share a value: their batches, their variances, and the votes these cast."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from disentangle_indicators._array import Float
from disentangle_indicators._binning import Index
from disentangle_indicators._errors import Undefined
from disentangle_indicators.supervised._metric import Outcome

VALUES = ("rows", "values")
DRAWS = ("independent", "passes")


class Groups(NamedTuple):
    """Groups of two rows or more; those of group g are order[first[g] : first[g] + size[g]].

    Parameters
    ----------
    order : array of int
        The rows of all groups, one group after the other.
    first, size : array of int, shape (groups,)
    """

    order: Index
    first: Index
    size: Index


class Classes(NamedTuple):
    """Factors as classes 0, 1, ..., -1 where one has no value, and their names.

    Parameters
    ----------
    labels : list of arrays of int, shape (n,)
    names : tuple of str
    """

    labels: list[Index]
    names: tuple[str, ...]


class Part(NamedTuple):
    """Points that are drawn from the same rows.

    Parameters
    ----------
    points : slice
    rows : array of int
    """

    points: slice
    rows: Index


def groups_of(label: Index, rows: Index | None = None) -> Groups:
    """Return the groups of two rows or more that share a label; those below 0 are in none."""
    rows = np.arange(len(label)) if rows is None else rows
    rows = rows[label[rows] >= 0]
    counts = np.bincount(label[rows], minlength=1)
    rows = rows[counts[label[rows]] > 1]
    size = counts[counts > 1]
    return Groups(rows[np.argsort(label[rows], kind="stable")], np.cumsum(size) - size, size)


def others(labels: list[Index]) -> list[Index]:
    """Return, for each factor, the combinations of the other ones as labels; -1 where one lacks.

    A row without a value of any factor has no combination.
    """
    table = np.stack(labels, axis=1)
    complete = np.flatnonzero(table.min(axis=1) >= 0)
    found = []
    for k in range(len(labels)):
        label = np.full(len(table), -1, dtype=np.int64)
        label[complete] = 0
        for column in np.delete(table[complete], k, axis=1).T:
            pair = label[complete] * (int(column.max(initial=0)) + 1) + column
            label[complete] = np.unique(pair, return_inverse=True)[1].reshape(-1)
        found.append(label)
    return found


def parts(
    n: int, train: int, points: int, held_out: float, rng: np.random.Generator
) -> list[Part]:
    """Return from which rows points are drawn: all, or other ones for those after `train`."""
    if not held_out:
        return [Part(slice(0, points), np.arange(n))]
    cut = n - int(np.floor(n * held_out))
    rows = rng.permutation(n)
    first, second = np.sort(rows[:cut]), np.sort(rows[cut:])
    return [Part(slice(0, train), first), Part(slice(train, points), second)]


def check_shared(classes: Classes, rows: Iterable[Index]) -> None:
    """Refuse one factor alone, and one without a value that two rows share in each set of rows.

    Leaving such a factor out would leave fewer factors to name, and so raise the chance to guess.
    """
    check_several(classes.names)
    sets = list(rows)
    lacking = [
        name
        for name, label in zip(classes.names, classes.labels, strict=True)
        if not all(repeats(label[part]) for part in sets)
    ]
    if lacking:
        sizes = " and of ".join(str(len(part)) for part in sets)
        raise Undefined(
            f"factors must have a value that two rows share; {', '.join(lacking)} has none in "
            f"the part of {sizes} rows"
        )


def check_several(names: tuple[str, ...]) -> None:
    """Refuse one factor alone, which any code names: chance is 1."""
    if len(names) == 1:
        raise Undefined(f"factors must be two at least, to be told apart; only {names[0]} varies")


def repeats(label: Index) -> bool:
    """Return whether two rows share a class; -1 is none."""
    return int(np.bincount(label[label >= 0], minlength=1).max()) > 1


def choose(groups: Groups, count: int, values: str, rng: np.random.Generator) -> Index:
    """Draw groups: each as often as it has rows, or each alike."""
    if values == "values":
        return rng.integers(len(groups.size), size=count)
    ends = np.cumsum(groups.size)
    return np.searchsorted(ends, rng.integers(ends[-1], size=count), side="right")


def places(
    groups: Groups, chosen: Index, batch: int, draw: str, rng: np.random.Generator
) -> Index:
    """Draw the rows of batches, as places in the order of the groups.

    Parameters
    ----------
    groups : Groups
    chosen : array of int, shape (batches,)
        The group of each batch.
    batch : int
        Rows of each.
    draw : {"independent", "passes"}
        Rows with replacement; or the batches of a group cut one after the other from passes
        through its rows, each pass in an order of its own.
    rng : numpy.random.Generator

    Returns
    -------
    array of int, shape (batches, batch)
    """
    first, size = groups.first[chosen][:, None], groups.size[chosen][:, None]
    if draw == "independent":
        return first + (rng.random((len(chosen), batch)) * size).astype(np.int64)
    counts = np.bincount(chosen, minlength=len(groups.size))
    passes = -(-counts * batch // groups.size)
    length = passes * groups.size
    start = np.cumsum(length) - length
    group = np.repeat(np.arange(len(length)), length)
    within = np.arange(len(group)) - start[group]
    turn = (np.cumsum(passes) - passes)[group] + within // groups.size[group]
    shuffled = np.argsort(turn + rng.random(len(group)))
    stream = (groups.first[group] + within % groups.size[group])[shuffled]
    by_group = np.argsort(chosen, kind="stable")
    rank = np.empty(len(chosen), dtype=np.int64)
    rank[by_group] = np.arange(len(chosen)) - np.repeat(np.cumsum(counts) - counts, counts)
    found: Index = stream[(start[chosen] + rank * batch)[:, None] + np.arange(batch)]
    return found


def scaled(z: Float) -> tuple[Float, Index]:
    """Shift each latent to begin at 0 and scale it by a power of two, to at most 1 in size."""
    z = np.ldexp(z, -2)
    shifted = z - z[0]
    exponent = np.frexp(np.max(np.abs(shifted), axis=0))[1]
    return np.ldexp(shifted, -exponent), exponent + 2


def active(codes: Float, least_sd: float) -> tuple[Float, Index, Float]:
    """Return the latents that vary, by `least_sd` or more: scaled, their columns, variances."""
    z, exponent = scaled(codes)
    spread = z.var(axis=0, ddof=1) if len(z) > 1 else np.zeros(z.shape[1])
    keep = (np.ptp(z, axis=0) > 0) & (spread > 0)
    keep &= np.ldexp(np.sqrt(spread), np.minimum(exponent, 1000)) >= least_sd
    columns = np.flatnonzero(keep)
    return z[:, columns], columns, spread[columns]


def centred(z: Float, groups: Groups) -> Float:
    """Return rows in the order of the groups, less the mean of their group: 0 where all agree."""
    ordered = z[groups.order]
    ordered -= np.repeat(ordered[groups.first], groups.size, axis=0)
    means = np.add.reduceat(ordered, groups.first, axis=0) / groups.size[:, None]
    return np.asarray(ordered - np.repeat(means, groups.size, axis=0))


def keep(groups: Groups, which: NDArray[np.bool_]) -> Groups:
    """Return some of the groups."""
    size = groups.size[which]
    order = groups.order[np.repeat(which, groups.size)]
    return Groups(order, np.cumsum(size) - size, size)


def variances(z: Float, batches: Index) -> Float:
    """Return the variance of each latent in each batch of rows of z, with n - 1 below."""
    from scipy.sparse import csr_array

    count, batch = batches.shape
    ends = np.arange(0, count * batch + 1, batch)
    draw = csr_array((np.ones(count * batch), batches.ravel(), ends), shape=(count, len(z)))
    total, square = np.split(draw @ np.concatenate([z, z**2], axis=1), 2, axis=1)
    return np.asarray(np.maximum(square - total**2 / batch, 0.0) / (batch - 1))


class Votes(NamedTuple):
    """What a majority vote makes of votes.

    Parameters
    ----------
    accuracy : float
        Share of the votes after `train` that fall on a latent which stands for their factor.
    recall : array, shape (K,)
        The same for each factor; 0 where it has no such vote.
    shares : array, shape (d, K)
        Of the votes of each factor, how many fall on each latent.
    """

    accuracy: float
    recall: Float
    shares: Float


def count_votes(votes: Index, labels: Index, train: int, d: int, k: int) -> Votes:
    """Let each latent stand for the factor with most of its first `train` votes; first on ties."""
    flat = votes * k + labels
    table = np.bincount(flat[:train], minlength=d * k).reshape(d, k)
    after = np.bincount(flat[train:], minlength=d * k).reshape(d, k)
    right = np.where(np.arange(k) == table.argmax(axis=1)[:, None], after, 0)
    both = table + after
    return Votes(
        float(right.sum() / after.sum()),
        right.sum(axis=0) / np.maximum(after.sum(axis=0), 1),
        both / np.maximum(both.sum(axis=0), 1),
    )


def outcome(found: Votes, active: Index, d: int, rescale: bool) -> Outcome:
    """Return the accuracy, rescaled if asked so that chance is 0."""
    number = found.shares.shape[1]
    shares = np.zeros((d, number))
    shares[active] = found.shares[: len(active)]
    chance = 1 / number
    return Outcome(
        (found.accuracy - chance) / (1 - chance) if rescale else found.accuracy,
        per_factor=found.recall,
        per_factor_name="recall",
        matrix=shares,
        matrix_name="share of the factor's votes",
    )


def check(p: dict[str, Any], **least: float) -> None:
    """Refuse parameters below their least value, and shares outside [0, 1)."""
    for name, low in least.items():
        if p[name] is not None and not p[name] >= low:
            raise ValueError(f"{name} must be at least {low:g}; got {p[name]}")
    if not 0 <= p.get("held_out", 0) < 1:
        raise ValueError(f"held_out must be in [0, 1); got {p['held_out']}")
