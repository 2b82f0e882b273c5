"""The search over orientations: coordinate ascent, one turn in one plane at a time.

Why no gradient: most scores are steps in the angle, because metrics bin, rank or fit. Why no search
over all angles at once: k latents have k (k - 1) / 2 of them, and one score may take seconds.
"""

import math
from collections.abc import Callable, Iterable
from itertools import combinations

import numpy as np

from disentangle_indicators._array import Float
from disentangle_indicators.rotation._orthogonal import Turn, givens

Scores = Callable[[Iterable[Float], str], list[float]]
"""Scores of orthogonal matrices, given a description for the progress bar."""

COARSE = (-30.0, -15.0, 15.0, 30.0, 45.0)
"""Degrees of the first rounds."""

# a peak between 0 and 15 degrees can be lower at 15 than at 0, so that the coarse rounds miss it
NEAR = (-6.0, -2.0, 2.0, 6.0)
"""Degrees of the last rounds, after no coarse angle gains."""

HALF_STEP = 7.5
"""Degrees on either side by which an angle is refined; halved until it is below `FINEST`."""

FINEST = 0.5
"""Degrees."""

SMALLEST = 1.0
"""Least angle of a turn, in degrees: smaller ones are left out."""

ROUNDS = 6


def wrapped(degrees: float) -> float:
    """Return the angle in (-45, 45]: a turn by 90 degrees only swaps two latents and a sign."""
    return 45.0 - (45.0 - degrees) % 90.0


def matrix(k: int, turns: Iterable[Turn]) -> Float:
    """Return the orthogonal matrix (k, k) of turns applied one after the other."""
    q = np.eye(k)
    for i, j, degrees in turns:
        q = givens(k, i, j, math.radians(degrees)) @ q
    return q


def climb(
    scores: Scores, k: int, start: float, least: float, sign: int, word: str
) -> tuple[Turn, ...]:
    r"""Find turns that raise (sign 1) or lower (sign -1) a score, by coordinate ascent.

    Each round scores every pair of latents at some angles. It takes the pairs in the order of their
    gain, each latent once, and refines each angle by halving the step. Rounds of large angles come
    first, until no turn gains more than `least`; rounds of small angles follow. The angles are in
    (-45, 45], because a turn by 90 degrees is a signed permutation.

    Parameters
    ----------
    scores : callable
        Scores a list of matrices (k, k), given a description.
    k : int
        Latents.
    start : float
        Score of the identity.
    least : float
        Least gain of a turn.
    sign : {1, -1}
        Whether to raise or to lower the score.
    word : str
        First words of the description.

    Returns
    -------
    tuple of (int, int, float)
        Latents and degrees, in the order of application.
    """
    turns: tuple[Turn, ...] = ()
    now = sign * start
    pairs = list(combinations(range(k), 2))

    def gains(candidates: list[Turn], description: str) -> list[float]:
        matrices = [matrix(k, joined(turns, turn)) for turn in candidates]
        return [sign * s - now for s in scores(matrices, description)]

    for grid, size in ((COARSE, "large"), (NEAR, "small")):
        for round_ in range(1, ROUNDS + 1):
            candidates = [(i, j, angle) for i, j in pairs for angle in grid]
            description = f"{word}, {size} turns, round {round_}"
            gain = dict(zip(candidates, gains(candidates, description), strict=True))
            top: dict[tuple[int, int], Turn] = {}
            for turn in sorted(candidates, key=gain.__getitem__):
                top[turn[:2]] = turn
            # Turns that share a latent do not commute, so the gain of the second one is unknown
            # once the first is made: it waits for the next round.
            free, before = set(range(k)), turns
            for turn in sorted(top.values(), key=gain.__getitem__, reverse=True):
                if gain[turn] <= least or not free.issuperset(turn[:2]):
                    continue
                refined, gained = _refined(turn, gains)
                if gained > least:
                    free -= {*refined[:2]}
                    turns, now = joined(turns, refined), now + gained
            if turns == before:
                break
    return tuple(turn for turn in turns if abs(turn[2]) >= SMALLEST)


def _refined(turn: Turn, gains: Callable[[list[Turn], str], list[float]]) -> tuple[Turn, float]:
    """Return the best angle near that of a turn, and its gain."""
    i, j, angle = turn
    # scored again: other turns were made since the round began
    best, step = gains([turn], "")[0], HALF_STEP
    while step > FINEST:
        near = [(i, j, wrapped(angle + s * step)) for s in (-1, 1)]
        (_, _, other), gained = max(zip(near, gains(near, ""), strict=True), key=lambda x: x[1])
        if gained > best:
            angle, best = other, gained
        step /= 2
    return (i, j, angle), best


def joined(turns: tuple[Turn, ...], turn: Turn) -> tuple[Turn, ...]:
    """Append a turn, or add it to an earlier turn of the same pair if it commutes with the rest.

    The matrix stays the same up to a signed permutation, from wrapping the angle.
    """
    for at in range(len(turns) - 1, -1, -1):
        i, j, degrees = turns[at]
        if (i, j) == turn[:2]:
            both = (i, j, wrapped(degrees + turn[2]))
            return (*turns[:at], both, *turns[at + 1 :])
        if {i, j} & {*turn[:2]}:
            break
    return (*turns, turn)
