"""Comparing encoders, with paired differences where they encoded the same rows."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import Any

import numpy as np

from disentangle_indicators._array import Float
from disentangle_indicators._brackets import NOTHING
from disentangle_indicators._cluster_errors import jackknife, left_out
from disentangle_indicators._errors import Undefined
from disentangle_indicators._provenance import Input, Provenance
from disentangle_indicators._scorecard_result import Scorecard
from disentangle_indicators.comparison._comparison_result import Comparison, differing
from disentangle_indicators.comparison._lines import Line, line_of
from disentangle_indicators.comparison._names import short_names
from disentangle_indicators.standard_errors import Influence
from disentangle_indicators.supervised import compare_scores

__all__ = ["compare"]


Report = Scorecard | Mapping[str, Any]
"""A scorecard, or the dict that its JSON is."""


def compare(
    cards: Sequence[Report],
    *,
    paired: bool = False,
    reference: str | int = 0,
    sort: str | None = None,
) -> Comparison:
    """Compare encoders: one line each, and differences to a reference.

    Parameters
    ----------
    cards : sequence of Scorecard or dict
        At least two, fresh or read from saved reports (:func:`saved_report`).
    paired : bool
        Whether all encoded the same inputs in the same order; then differences are taken row by
        row, and their errors are those of the differences. Saved reports have no rows to pair.
    reference : int or str
        Number or name of the encoder that the others are compared with; the name in full, or as
        tables cut it.
    sort : str, optional
        Name of an indicator, a count of latents, "distance", or metric@protocol: lines are in the
        order of its values, from the least. By default they are in the order given.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError
        On fewer than two encoders, on paired ones that differ in rows or clusters or have no
        rows, and on a reference or a column that is not there.

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
    reports = [_report(card) for card in cards]
    lines = [line_of(report) for report in reports]
    first = _reference([line.name for line in lines], reference)
    if paired and len({line.n for line in lines}) > 1:
        counts = ", ".join(str(line.n) for line in lines)
        raise ValueError(f"paired encodings must have the same rows; they have {counts}")
    if paired:
        fresh = [card for card in cards if isinstance(card, Scorecard)]
        if len(fresh) < len(cards):
            raise ValueError("a saved report has no rows to be paired")
        _check_clusters(fresh)
    others = [k for k in range(len(cards)) if k != first]
    order = _sorted(lines, sort)
    inputs = tuple(i for c in cards if isinstance(c, Scorecard) for i in _inputs(c))
    parameters = {"paired": paired, "reference": lines[first].name, "sort": sort}
    call = "disentangle_indicators.comparison.compare"
    return Comparison(
        tuple(reports),
        tuple(lines),
        first,
        tuple(order),
        paired,
        tuple(_differences(cards, lines, first, k, paired) for k in others),
        tuple(_metric_differences(cards, lines, first, k, paired) for k in others),
        provenance=Provenance(call, inputs, parameters),
    )


def _report(card: Report) -> dict[str, Any]:
    """Return a scorecard as the dict that is saved of it; refuse what is neither."""
    if isinstance(card, Scorecard):
        return card.to_dict()
    if not isinstance(card, Mapping):
        raise ValueError(  # noqa: TRY004 - all bad input is a ValueError
            f"compare takes scorecards and saved reports; got {type(card).__name__} {str(card)[:60]!r}: "
            "score(...) makes a scorecard of a file"
        )
    return dict(card)


def _check_clusters(cards: Sequence[Scorecard]) -> None:
    """Refuse clusters that differ: then neither rows nor halves are pairs."""
    codes = [None if c.encodings is None else c.encodings.cluster_codes for c in cards]
    for one in codes[1:]:
        same = one is codes[0] is None or (
            one is not None and codes[0] is not None and np.array_equal(one[1], codes[0][1])
        )
        if not same:
            raise ValueError("paired encodings must have the same clusters")


def _reference(names: list[str], reference: str | int) -> int:
    """Return the number of the reference."""
    if isinstance(reference, int) and 0 <= reference < len(names):
        return reference
    for known in (names, short_names(names)):
        if reference in known:
            return known.index(str(reference))
    raise ValueError(f"reference must be one of {', '.join(names)}; got {reference!r}")


def _sorted(lines: list[Line], sort: str | None) -> list[int]:
    """Return the numbers of the lines in the order of a column; those without a value come last."""
    numbers = range(len(lines))
    if sort is None:
        return list(numbers)

    def key(line: Line) -> float | None:
        if sort == "distance":
            return None if line.distance is None else _seen(line.distance.low)
        if sort in line.metrics:
            return line.metrics[sort][0]
        return (line.values | line.counts).get(sort)

    values = [key(line) for line in lines]
    if all(value is None for value in values):
        there = ["distance", *lines[0].counts, *lines[0].values, *lines[0].metrics]
        raise ValueError(f"sort must be one of {', '.join(there)}; got {sort!r}")
    known = [math.inf if value is None else value for value in values]
    high = [math.inf if line.distance is None else line.distance.high for line in lines]
    return sorted(numbers, key=lambda k: (known[k], high[k] if sort == "distance" else 0.0))


def _seen(low: float) -> float:
    """Return the lower end of a distance, 0 where it is printed as none."""
    return low if low >= NOTHING else 0.0


def _inputs(card: Scorecard) -> tuple[Input, ...]:
    return card.provenance.inputs if card.provenance else ()


def _differences(
    cards: Sequence[Report], lines: list[Line], first: int, other: int, paired: bool
) -> dict[str, float]:
    """Return the totals of one encoder less those of the reference, with standard errors."""
    names = differing()
    one, two = lines[first], lines[other]
    if not all(name in line.values for name in names for line in (one, two)):
        return {}
    out = {}
    for x in names:
        out[x] = two.values[x] - one.values[x]
        out[f"{x}_se"] = math.hypot(one.errors.get(x, math.inf), two.errors.get(x, math.inf))
    if not paired:
        return out
    mine, theirs = cards[first], cards[other]
    assert isinstance(mine, Scorecard)
    assert isinstance(theirs, Scorecard)
    return out | _paired(mine, theirs)


def _metric_differences(
    cards: Sequence[Report], lines: list[Line], first: int, other: int, paired: bool
) -> dict[str, tuple[float, float]]:
    """Return the difference and its standard error of each metric that both have a value of."""
    out = {}
    for name, (one, one_error) in lines[first].metrics.items():
        two, two_error = lines[other].metrics.get(name, (None, None))
        if one is None or two is None:
            continue
        if not paired:
            out[name] = two - one, math.hypot(one_error or 0.0, two_error or 0.0)
            continue
        mine, theirs = cards[first], cards[other]
        assert isinstance(mine, Scorecard)
        assert isinstance(theirs, Scorecard)
        assert mine.metrics is not None
        assert theirs.metrics is not None
        try:
            out[name] = compare_scores(mine.metrics.metrics[name], theirs.metrics.metrics[name])
        except Undefined:  # without halves in common there is no error
            continue
    return out


def _paired(first: Scorecard, other: Scorecard) -> dict[str, float]:
    """Return the standard errors of differences that are taken row by row, or by cluster.

    With clusters each difference is that of all clusters but one: what both encoders share cancels
    to first order, and of few clusters the rest is not small beside it.
    """
    for card in (first, other):
        if card.encodings is None:
            raise ValueError("a scorecard that was pickled has no rows left to be paired")
    assert first.encodings is not None
    if first.encodings.clusters is None:
        return _paired_rows(first, other)
    if first.encodings.draws < 2:
        return {f"{x}_se": math.inf for x in differing()}
    one, two = _left_out(first), _left_out(other)
    return {f"{x}_se": float(jackknife(two[x] - one[x])) for x in differing()}


def _paired_rows(first: Scorecard, other: Scorecard) -> dict[str, float]:
    names = tuple(differing())
    squares = np.zeros(len(names))
    for a, b in zip_longest(_influences(first), _influences(other)):
        squares += ((b - a) ** 2).sum(axis=0)
    n = first.n
    spread = squares * n / (n - 1) if n > 1 else np.full(len(names), math.inf)
    return {f"{x}_se": math.sqrt(spread[i]) / n for i, x in enumerate(names)}


def _left_out(card: Scorecard) -> dict[str, Float]:
    """Return the totals without each cluster."""
    assert card.encodings is not None
    clusters = card.encodings.cluster_codes
    assert clusters is not None
    return left_out(card.encodings.batches, replace(card.moments, scatter=None), clusters)[0]


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
