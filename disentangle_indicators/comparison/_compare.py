"""Comparing encoders, with paired differences where they encoded the same rows."""

import math
from collections.abc import Iterator, Sequence
from itertools import zip_longest

import numpy as np

from disentangle_indicators._array import Float
from disentangle_indicators._errors import Undefined
from disentangle_indicators._indicators_result import Indicators
from disentangle_indicators._provenance import Provenance
from disentangle_indicators._scorecard_result import Scorecard
from disentangle_indicators.comparison._comparison_result import Comparison, differing
from disentangle_indicators.standard_errors import Influence
from disentangle_indicators.supervised import compare_scores

__all__ = ["compare"]


def compare(cards: Sequence[Scorecard], *, paired: bool = False) -> Comparison:
    """Compare scorecards, the first being the reference.

    Parameters
    ----------
    cards : sequence of Scorecard
        At least two.
    paired : bool
        Whether all encoded the same inputs in the same order; then differences are taken row by
        row, and their errors are those of the differences.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError
        On fewer than two scorecards, and on paired ones with different numbers of rows or other
        clusters.

    Examples
    --------
    >>> import numpy as np
    >>> from disentangle_indicators import score
    >>> card = score(np.eye(2), var=np.ones((2, 2)))
    >>> compare([card, card], paired=True).differences[0]["kl_posterior_prior_se"]
    0.0
    """
    if len(cards) < 2:
        raise ValueError(f"a comparison needs at least two scorecards; got {len(cards)}")
    first = cards[0]
    whole = [card for card in cards if isinstance(card.result, Indicators)]
    if paired and len({card.n for card in cards}) > 1:
        counts = ", ".join(str(card.n) for card in cards)
        raise ValueError(f"paired encodings must have the same rows; they have {counts}")
    if paired:
        _check_clusters(cards)
    difference = _paired if paired else _independent
    differences = [difference(first, c) if {first, c} <= set(whole) else {} for c in cards[1:]]
    inputs = tuple(i for card in cards if card.provenance for i in card.provenance.inputs)
    call, parameters = "disentangle_indicators.comparison.compare", {"paired": paired}
    return Comparison(
        tuple(cards),
        paired,
        tuple(differences),
        tuple(_metric_differences(first, card, paired) for card in cards[1:]),
        provenance=Provenance(call, inputs, parameters),
    )


def _check_clusters(cards: Sequence[Scorecard]) -> None:
    """Refuse clusters that differ: then neither rows nor halves are pairs."""
    codes = [None if c.encodings is None else c.encodings.cluster_codes for c in cards]
    for one in codes[1:]:
        same = one is codes[0] is None or (
            one is not None and codes[0] is not None and np.array_equal(one[1], codes[0][1])
        )
        if not same:
            raise ValueError("paired encodings must have the same clusters")


def _metric_differences(
    first: Scorecard, other: Scorecard, paired: bool
) -> dict[str, tuple[float, float]]:
    """Return the difference and its standard error of each metric that both have a value of."""
    if first.metrics is None or other.metrics is None:
        return {}
    out = {}
    for name, one in first.metrics.metrics.items():
        two = other.metrics.metrics.get(name)
        if two is None or one.value is None or two.value is None:
            continue
        if not paired:
            errors = one.standard_error or 0.0, two.standard_error or 0.0
            out[name] = two.value - one.value, math.hypot(*errors)
            continue
        try:
            out[name] = compare_scores(one, two)
        except Undefined:  # without halves in common there is no error
            continue
    return out


def _independent(first: Scorecard, other: Scorecard) -> dict[str, float]:
    out = {}
    for x in differing():
        out[x] = getattr(other, x) - getattr(first, x)
        out[f"{x}_se"] = math.hypot(first.standard_errors[x], other.standard_errors[x])
    return out


def _paired(first: Scorecard, other: Scorecard) -> dict[str, float]:
    out = _independent(first, other)
    for card in (first, other):
        if card.encodings is None:
            raise ValueError("a scorecard that was pickled has no rows left to be paired")
    assert first.encodings is not None
    assert other.encodings is not None
    draws, cluster = first.encodings.cluster_codes or (first.n, None)
    names = tuple(differing())
    squares, row = np.zeros(len(names)), 0
    sums = np.zeros((draws if cluster is not None else 0, len(names)))
    for a, b in zip_longest(_influences(first), _influences(other)):
        if cluster is None:
            squares += ((b - a) ** 2).sum(axis=0)
        else:
            np.add.at(sums, cluster[row : row + len(a)], b - a)
            row += len(a)
    squares += (sums**2).sum(axis=0)
    for i, x in enumerate(names):
        spread = squares[i] * draws / (draws - 1) if draws > 1 else math.inf
        out[f"{x}_se"] = math.sqrt(spread) / first.n
    return out


def _influences(card: Scorecard, rows: int = 4096) -> Iterator[Float]:
    """Influences on the totals, re-cut into runs of `rows` so that two encoders line up."""
    assert card.encodings is not None
    influence = Influence(card.moments)
    columns = [influence.names.index(name) for name in differing()]
    kept: Float | None = None
    for mean, var in card.encodings.batches():
        for start in range(0, mean.shape[0], rows):
            part = influence(mean[start : start + rows, :], var[start : start + rows, :])
            part = part[:, columns]
            kept = part if kept is None else np.concatenate([kept, part])
            while len(kept) >= rows:
                yield kept[:rows]
                kept = kept[rows:]
    if kept is not None and len(kept):
        yield kept
