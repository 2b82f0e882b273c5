"""Several encoders side by side: values, differences and their tables."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from disentangle_indicators._blocks import Block, Table, with_error
from disentangle_indicators._means_result import EXPORT, MeansOnly
from disentangle_indicators._result import Result, plain
from disentangle_indicators._scorecard_result import Scorecard
from disentangle_indicators.aggregate._joint_result import in_words, span
from disentangle_indicators.registry import COUNTS, INDICATORS
from disentangle_indicators.supervised._evaluation_result import MetricScore

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Comparison", "differing"]


def shown() -> dict[str, str]:
    """Return the name and the heading of every number that is compared."""
    counts = {name: count.label for name, count in COUNTS.items() if count.label}
    compared = {name: i.label for name, i in INDICATORS.items() if i.compared}
    return {"n": "n", "d": "d", **counts, **compared}


def differing() -> dict[str, str]:
    """Return the name and the heading of the indicators whose differences have an error."""
    return {
        name: i.label for name, i in INDICATORS.items() if i.compared and i.weights is not None
    }


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
    as of two independent samples. `metric_differences` holds, by metric@protocol, the difference
    and its standard error. A scorecard of means only has neither.

    Examples
    --------
    >>> import numpy as np
    >>> from disentangle_indicators import score
    >>> from disentangle_indicators.comparison import compare
    >>> mean, var = np.array([[1.0], [-1.0], [2.0]]), np.full((3, 1), 0.5)
    >>> both = compare([score(mean, var=var), score(mean, var=var / 2)], paired=True)
    >>> round(both.differences[0]["mutual_information"], 3)
    0.294
    """

    schema: ClassVar[str] = "dindic.comparison/1"

    cards: tuple[Scorecard, ...]
    paired: bool
    differences: tuple[dict[str, float], ...]
    metric_differences: tuple[dict[str, tuple[float, float]], ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values; each scorecard as its own dict under `files`."""
        differences = [
            {
                "of": card.name,
                "to": self.cards[0].name,
                **plain(totals),
                "metrics": _named(metrics),
            }
            for card, totals, metrics in zip(
                self.cards[1:], self.differences, self.metric_differences, strict=True
            )
        ]
        return self.stamped(
            {
                "schema": self.schema,
                "paired": self.paired,
                "files": [card.to_dict() for card in self.cards],
                "differences": differences,
            }
        )

    def to_frame(self) -> "pd.DataFrame":
        """Return a data frame with one row per file."""
        import pandas as pd

        names = tuple(shown())
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
        rows = [(x, *(_cell(card, x) for card in self.cards)) for x in shown()]
        exact = self._exact_rows()
        tables = [Table(("", *names), (*rows, *exact), title="Side by side (nats)")]
        if len(names) > 4:
            lines = zip(names, *(row[1:] for row in rows), strict=True)
            tables = [Table(("", *shown().values()), tuple(lines), title="Side by side (nats)")]
            if exact:
                columns = ("", *(row[0] for row in exact))
                lines = zip(names, *(row[1:] for row in exact), strict=True)
                tables.append(Table(columns, tuple(lines), title="Aggregated posterior (nats)"))
        metrics = self._metric_tables(names)
        return [used, *tables, *metrics, *self._difference_table(names), *self._missing()]

    def _metric_tables(self, names: list[str]) -> list[Block]:
        """Return the metrics of all cards, and the differences from the first."""
        parts = [card.metrics.metrics if card.metrics is not None else {} for card in self.cards]
        names_of_metrics = list(dict.fromkeys(m for part in parts for m in part))
        if not names_of_metrics:
            return []
        rows = [(m, *(_metric_cell(part.get(m)) for part in parts)) for m in names_of_metrics]
        differences = [
            (m, *(with_error(*d[m]) if m in d else "-" for d in self.metric_differences))
            for m in names_of_metrics
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
        names = _short_names([card.name for card in self.cards])
        reasons: list[Block] = [
            f"{name}: {section}: none: {card.reasons[section]}."
            for name, card in zip(names, self.cards, strict=True)
            for section in ("joint", "certificate", "metrics")
            if section in card.reasons
        ]
        means_only = any(isinstance(card.result, MeansOnly) for card in self.cards)
        return [*reasons, *([EXPORT] if means_only else [])]

    def _difference_table(self, names: list[str]) -> list[Block]:
        if not any(self.differences):
            return []
        rows = [
            (
                x,
                *(with_error(d[x], d[f"{x}_se"], 4) if d else "-" for d in self.differences),
            )
            for x in differing()
        ]
        how = "paired over rows" if self.paired else "as of independent samples"
        could = not self.paired and len({card.n for card in self.cards}) == 1
        hint = "; if the rows are the same inputs in the same order: --paired" if could else ""
        columns = ("", *(f"{name} - {names[0]}" for name in names[1:]))
        if len(names) > 4:
            columns, rows = (
                ("", *differing().values()),
                list(zip(columns[1:], *(r[1:] for r in rows), strict=True)),
            )
        note = f"± one standard error, {how}{hint}"
        return [Table(columns, tuple(rows), title="Differences (nats)", note=note)]


def _named(differences: dict[str, tuple[float, float]]) -> dict[str, dict[str, float]]:
    """Return the differences of metrics with their names in JSON."""
    return {
        metric: {"difference": value, "standard_error": error}
        for metric, (value, error) in differences.items()
    }


def _metric_cell(score: MetricScore | None) -> str:
    return (
        "-"
        if score is None or score.value is None
        else with_error(score.value, score.standard_error)
    )


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
