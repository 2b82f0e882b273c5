"""Several encoders side by side, with paired differences where they encoded the same rows."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from disentangle_indicators._array import Float, on_host
from disentangle_indicators._result import Block, Result, Table, plain
from disentangle_indicators._source import Batches, cluster_codes
from disentangle_indicators._tables import with_error
from disentangle_indicators.aggregate._joint_result import in_words, span
from disentangle_indicators.evaluate import Indicators
from disentangle_indicators.means import EXPORT, MeansOnly
from disentangle_indicators.scorecard import Scorecard
from disentangle_indicators.standard_errors import TOTALS, Influence
from disentangle_indicators.supervised import MetricScore, compare_scores

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Comparison", "compare"]

COUNTS = ("n", "d", "used", "weak", "unused", "active_units")
SHOWN = (*TOTALS, "kl_q_star_prior", "gaussian_total_correlation")
DEFINED = ("Def 1", "Def 2", "Def 4")
EXACT = {
    "total_information": "sum of I(x; z_h)",
    "total_kl_prior": "sum of KL(q(z_h) || p)",
    "total_looseness": "sum of J_h",
}
JOINT = {
    "mutual_information": "I(x; z)",
    "total_correlation": "total correlation",
    "kl_aggregate_prior": "KL(q(z) || p)",
}
JOINT_ENDS = tuple(f"{name}_{end}" for name in JOINT for end in ("low", "high"))


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Result):
    """Scorecards side by side.

    `differences` holds, for each scorecard after the first, the totals less those of the first
    with their standard errors: paired, from the differences of each row, when `paired`, and else
    as of two independent samples.

    Examples
    --------
    >>> import numpy as np
    >>> from disentangle_indicators import score
    >>> mean, var = np.array([[1.0], [-1.0], [2.0]]), np.full((3, 1), 0.5)
    >>> both = compare([score(mean, var=var), score(mean, var=var / 2)], paired=True)
    >>> round(both.differences[0]["mutual_information"], 3)
    0.294
    """

    schema: ClassVar[str] = "dindic.comparison/1"

    cards: tuple[Scorecard, ...]
    paired: bool
    differences: tuple[dict[str, float], ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values; each scorecard as its own dict under `files`."""
        return {
            "schema": self.schema,
            "paired": self.paired,
            "files": [card.to_dict() for card in self.cards],
            "differences": [
                {"of": card.name, "to": self.cards[0].name, **plain(difference)}
                for card, difference in zip(self.cards[1:], self.differences, strict=False)
            ],
        }

    def to_frame(self) -> "pd.DataFrame":
        """Return a data frame with one row per file."""
        import pandas as pd

        names = (*COUNTS, *SHOWN)
        rows = []
        for card in self.cards:
            row = {"name": card.name} | {x: getattr(card.result, x, None) for x in names}
            errors = getattr(card.result, "standard_errors", {})
            row |= {f"{x}_se": errors.get(x) for x in names if x in errors}
            for part, prefix, parts in (
                (card.marginals, "marginals_", EXACT),
                (card.joint, "joint_", JOINT_ENDS),
                (card.certificate, "certificate_", ("low", "high")),
            ):
                if part is not None:
                    row |= {f"{prefix}{x}": getattr(part, x) for x in parts}
                    row |= {f"{prefix}{x}_se": part.standard_errors.get(x) for x in parts}
            rows.append(row)
        return pd.DataFrame(rows)

    def blocks(self) -> list[Block]:
        """Return what is used in each, the totals side by side, and the differences."""
        names = _short_names([card.name for card in self.cards])
        used = {name: card.verdict["USED"] for name, card in zip(names, self.cards, strict=True)}
        shown = (*COUNTS, *SHOWN)
        rows = [(x, *(_cell(card, x) for card in self.cards)) for x in shown]
        exact = self._exact_rows()
        tables = [Table(("", *names), (*rows, *exact), title="Side by side (nats)")]
        if len(names) > 4:
            short = ("n", "d", "used", "weak", "unused", "active", *DEFINED, "Def 5", "Gauss. TC")
            lines = zip(names, *(row[1:] for row in rows), strict=True)
            tables = [Table(("", *short), tuple(lines), title="Side by side (nats)")]
            if exact:
                columns = ("", *(row[0] for row in exact))
                lines = zip(names, *(row[1:] for row in exact), strict=True)
                tables.append(Table(columns, tuple(lines), title="Aggregated posterior (nats)"))
        metrics = self._metric_tables(names)
        return [used, *tables, *metrics, *self._difference_table(names), *self._missing()]

    def _metric_tables(self, names: list[str]) -> list[Block]:
        """Return the metrics that all cards have, and the differences from the first."""
        parts = [card.metrics.metrics if card.metrics is not None else {} for card in self.cards]
        shared = [m for m in parts[0] if all(m in part for part in parts)]
        if not shared:
            return []
        rows = [(m, *(_metric_cell(part[m]) for part in parts)) for m in shared]
        differences = [
            (m, *(self._metric_difference(parts[0][m], part[m]) for part in parts[1:]))
            for m in shared
        ]
        how = "paired over halves of the rows" if self.paired else "as of independent samples"
        columns = ("", *(f"{name} - {names[0]}" for name in names[1:]))
        return [
            Table(("", *names), tuple(rows), title="Metrics"),
            Table(
                columns,
                tuple(differences),
                title="Differences of metrics",
                note=f"± one standard error, {how}",
            ),
        ]

    def _metric_difference(self, one: MetricScore, two: MetricScore) -> str:
        if one.value is None or two.value is None:
            return "-"
        if self.paired:
            try:
                return with_error(*compare_scores(one, two))
            except ValueError:
                return "-"
        errors = one.standard_error or 0.0, two.standard_error or 0.0
        return with_error(two.value - one.value, math.hypot(*errors))

    def _exact_rows(self) -> list[tuple[str, ...]]:
        """Rows on the aggregated posterior itself, where any of the cards has them."""
        rows = []
        if any(card.marginals is not None for card in self.cards):
            for x, label in EXACT.items():
                cells = (
                    "-"
                    if card.marginals is None
                    else with_error(getattr(card.marginals, x), card.marginals.standard_errors[x])
                    for card in self.cards
                )
                rows.append((label, *cells))
        if any(card.joint is not None for card in self.cards):
            for x, label in JOINT.items():
                rows.append((label, *(_joint_cell(card, x) for card in self.cards)))
        if any(card.certificate is not None for card in self.cards):
            certain = (card.certificate for card in self.cards)
            cells = ("-" if c is None else in_words((c.low, c.high)) for c in certain)
            rows.append(("I(x; z) of the rows, certain", *cells))
        return rows

    def _missing(self) -> list[Block]:
        means_only = any(isinstance(card.result, MeansOnly) for card in self.cards)
        return [EXPORT] if means_only else []

    def _difference_table(self, names: list[str]) -> list[Block]:
        if not self.differences:
            return []
        rows = [
            (x, *(with_error(diff[x], diff[f"{x}_se"], 4) for diff in self.differences))
            for x in TOTALS
        ]
        how = "paired over rows" if self.paired else "as of independent samples"
        could = not self.paired and len({card.n for card in self.cards}) == 1
        hint = "; if the rows are the same inputs in the same order: --paired" if could else ""
        columns = ("", *(f"{name} - {names[0]}" for name in names[1:]))
        if len(names) > 4:
            columns, rows = (
                ("", *DEFINED),
                list(zip(columns[1:], *(r[1:] for r in rows), strict=True)),
            )
        note = f"± one standard error, {how}{hint}"
        return [Table(columns, tuple(rows), title="Differences (nats)", note=note)]


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
        On fewer than two scorecards, and on paired ones with different numbers of rows.

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
    if not all(isinstance(card.result, Indicators) for card in cards):
        return Comparison(tuple(cards), paired=False, differences=())
    first = cards[0]
    if paired and len({card.result.n for card in cards}) > 1:
        counts = ", ".join(str(card.result.n) for card in cards)
        raise ValueError(f"paired encodings must have the same rows; they have {counts}")
    difference = _paired if paired else _independent
    return Comparison(tuple(cards), paired, tuple(difference(first, card) for card in cards[1:]))


def _independent(first: Scorecard, other: Scorecard) -> dict[str, float]:
    out = {}
    for x in TOTALS:
        out[x] = getattr(other, x) - getattr(first, x)
        out[f"{x}_se"] = math.hypot(first.standard_errors[x], other.standard_errors[x])
    return out


def _paired(first: Scorecard, other: Scorecard) -> dict[str, float]:
    out = _independent(first, other)
    draws, cluster = first.n, None
    if first.clusters is not None or other.clusters is not None:
        if not np.array_equal(on_host(first.clusters), on_host(other.clusters)):
            raise ValueError("paired encodings must have the same clusters")
        draws, cluster = cluster_codes(first.clusters, first.n)
    squares, row = np.zeros(len(TOTALS)), 0
    sums = np.zeros((draws if cluster is not None else 0, len(TOTALS)))
    for a, b in zip_longest(_influences(first), _influences(other)):
        if cluster is None:
            squares += ((b - a) ** 2).sum(axis=0)
        else:
            np.add.at(sums, cluster[row : row + len(a)], b - a)
            row += len(a)
    squares += (sums**2).sum(axis=0)
    for i, x in enumerate(TOTALS):
        spread = squares[i] * draws / (draws - 1) if draws > 1 else math.inf
        out[f"{x}_se"] = math.sqrt(spread) / first.n
    return out


def _influences(card: Scorecard, rows: int = 4096) -> Iterator[Float]:
    """Influences on the totals, re-cut into runs of `rows` so that two encoders line up."""
    influence = Influence(card.moments)
    batches: Batches | None = card.batches
    if batches is None:
        raise ValueError("a scorecard that was pickled has no rows left to be paired")
    kept: Float | None = None
    for mean, var in batches():
        for start in range(0, mean.shape[0], rows):
            part = influence(mean[start : start + rows, :], var[start : start + rows, :])
            part = part[:, : len(TOTALS)]
            kept = part if kept is None else np.concatenate([kept, part])
            while len(kept) >= rows:
                yield kept[:rows]
                kept = kept[rows:]
    if kept is not None and len(kept):
        yield kept


def _metric_cell(score: MetricScore) -> str:
    return "-" if score.value is None else with_error(score.value, score.standard_error)


def _cell(card: Scorecard, name: str) -> str:
    value = getattr(card, name, None)
    if value is None:
        return "-"
    if isinstance(value, int):
        return str(value)
    digits = 4 if abs(value) < 0.1 else 3
    text = with_error(value, card.standard_errors.get(name), digits)
    return f"≥ {text}" if name == "kl_aggregate_prior" else text


def _joint_cell(card: Scorecard, name: str) -> str:
    if card.joint is None:
        return "-"
    if card.joint.saturated:
        return in_words(span(card.joint, name))
    return with_error(getattr(card.joint, name), card.joint.standard_errors[name])


def _short_names(names: list[str]) -> list[str]:
    """Keep of each path no more of its last parts than tell the files apart."""
    parts = [name.replace("\\", "/").split("/") for name in names]
    for k in range(1, max(map(len, parts)) + 1):
        short = ["/".join(part[-k:]) for part in parts]
        if len(set(short)) == len(set(names)):
            return short
    return names
