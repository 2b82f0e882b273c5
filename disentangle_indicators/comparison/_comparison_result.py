"""Several encoders side by side: one line each, differences, and their tables."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from disentangle_indicators._blocks import WORDS, Block, Table, with_error
from disentangle_indicators._brackets import Bracket, between, down, up
from disentangle_indicators._means_result import EXPORT
from disentangle_indicators._result import Result, plain
from disentangle_indicators.aggregate._joint_result import in_words
from disentangle_indicators.aggregate._marginals_result import BOUND, ERROR
from disentangle_indicators.comparison._lines import Line
from disentangle_indicators.comparison._names import quoted, short_names
from disentangle_indicators.registry import INDICATORS

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Comparison", "differing"]

FEW_MODELS = 4
"""Encoders up to which a table has one column each, for many metrics."""

SIZES = {"n": "rows", "d": "latents"}

METRICS = 3
"""Metrics beside each other in a table with one line an encoder."""


def differing() -> dict[str, str]:
    """Return the name and the heading of the indicators whose differences have an error."""
    return {
        name: i.label for name, i in INDICATORS.items() if i.compared and i.weights is not None
    }


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Result):
    """Encoders side by side.

    Parameters
    ----------
    reports : tuple of dict
        The report of each, as ``Scorecard.to_dict`` makes it.
    lines : tuple of Line
        What is shown of each.
    reference : int
        Number of the encoder that the others are compared with.
    order : tuple of int
        Numbers of the lines as they are printed.
    paired : bool
        Whether differences are taken row by row.
    differences : tuple of dict
        For each encoder but the reference, the totals less those of the reference, with their
        standard errors; empty for means only.
    metric_differences : tuple of dict
        By metric@protocol, the difference and its standard error.

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

    reports: tuple[dict[str, Any], ...]
    lines: tuple[Line, ...]
    reference: int
    order: tuple[int, ...]
    paired: bool
    differences: tuple[dict[str, float], ...]
    metric_differences: tuple[dict[str, tuple[float, float]], ...]

    @property
    def others(self) -> list[int]:
        """Numbers of the encoders but the reference, in the order of `differences`."""
        return [k for k in range(len(self.lines)) if k != self.reference]

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values; each report as its own dict under `files`."""
        to = self.lines[self.reference].name
        differences = [
            {"of": self.lines[k].name, "to": to, **plain(totals), "metrics": _named(metrics)}
            for k, totals, metrics in zip(
                self.others, self.differences, self.metric_differences, strict=True
            )
        ]
        return self.stamped(
            {
                "schema": self.schema,
                "paired": self.paired,
                "reference": to,
                "files": list(self.reports),
                "differences": differences,
            }
        )

    def to_frame(self) -> "pd.DataFrame":
        """Return a data frame with one row an encoder, for figures and tables of one's own.

        Its columns are `name`, `n`, `d`; the counts of latents by state; each indicator and its
        standard error under ``_se``; ``distance_low`` and ``distance_high``, the range of the
        distance from the prior; and where they were computed, columns that begin with
        ``marginals_``, ``joint_`` and ``certificate_``, and each metric@protocol with its ``_se``.
        """
        import pandas as pd

        rows = []
        for line in (self.lines[k] for k in self.order):
            row: dict[str, Any] = {"name": line.name, "n": line.n, "d": line.d, **line.counts}
            row |= line.values | {f"{x}_se": error for x, error in line.errors.items()}
            if line.distance is not None:
                row |= {"distance_low": line.distance.low, "distance_high": line.distance.high}
            for x, total in line.exact.items():
                row |= {f"marginals_{x}": total.value, f"marginals_{x}_se": total.standard_error}
            for x, (low, high) in line.joint.items():
                row |= {f"joint_{x}_low": low, f"joint_{x}_high": high}
            if line.certain is not None:
                row |= dict(
                    zip(("certificate_low", "certificate_high"), line.certain, strict=True)
                )
            for x, (score, spread) in line.metrics.items():
                row |= {x: score, f"{x}_se": spread}
            rows.append(row)
        return pd.DataFrame(rows)

    def blocks(self) -> list[Block]:
        """Return the sentences, one line an encoder, and the differences."""
        names = short_names([line.name for line in self.lines])
        tables = [self._overview(names), *self._indicators(names), *self._aggregated(names)]
        tables += self._metrics(names)
        return [
            self.sentences(names),
            *tables,
            *self._difference_table(names),
            *self._missing(names),
            WORDS,
        ]

    def sentences(self, names: Sequence[str]) -> dict[str, str]:
        """Return which uses most latents, which is closest to its prior, and what to distrust."""
        whole = [k for k in self.order if self.lines[k].distance is not None]
        out = {}
        if whole:
            out["USED"] = self._most_used(names, whole)
            out["PRIOR"] = self._closest(names, whole)
        words = {k: self.lines[k].trust for k in self.order if self.lines[k].trust}
        listed = ", ".join(f"{quoted(names[k])} ({word})" for k, word in list(words.items())[:8])
        more = f", and {len(words) - 8} more" if len(words) > 8 else ""
        if words:
            out["TRUST"] = f"Read with care: {listed}{more}."
        return out

    def _most_used(self, names: Sequence[str], whole: Sequence[int]) -> str:
        counts = {k: self.lines[k].counts["used"] for k in whole}
        least, most = min(whole, key=counts.__getitem__), max(whole, key=counts.__getitem__)
        latents = "latent" if counts[least] == 1 else "latents"
        text = f"Every encoder uses {counts[least]} {latents}."
        if counts[least] != counts[most]:
            low, high = (f"{counts[k]} of {self.lines[k].d}" for k in (least, most))
            text = f"Used latents: {low} in {quoted(names[least])} to {high} in {quoted(names[most])}."
            if len(whole) == 2:
                text = f"{quoted(names[least])} uses {low} latents, {quoted(names[most])} {high}."
        near = [
            quoted(names[k])
            for k in whole
            if 2 * self.lines[k].counts["near_deterministic"] > counts[k]
        ]
        if near:
            verb = "is" if len(near) == 1 else "are"
            text += f" {', '.join(near[:8])} {verb} near-deterministic."
        return text

    def _closest(self, names: Sequence[str], whole: Sequence[int]) -> str:
        known = {k: _known(self.lines[k].distance) for k in whole}
        near = min(whole, key=lambda k: known[k].high)
        rest = [k for k in whole if k != near]
        if not rest:
            return f"{quoted(names[near])} is at most {up(known[near].high)} nats from its prior."
        if any(known[k].low < known[near].high for k in rest):
            return (
                "Which encoder is closest to its prior is not known, because the ranges overlap: "
                f"{quoted(names[near])} is at most {up(known[near].high)} nats away."
            )
        far = max(whole, key=lambda k: known[k].low)
        return (
            f"Closest to its prior is {quoted(names[near])}, at most {up(known[near].high)} nats; "
            f"farthest is {quoted(names[far])}, at least {down(known[far].low)}."
        )

    def _overview(self, names: Sequence[str]) -> Table:
        """Return the table with one line an encoder."""
        states = [
            name
            for name in ("used", "weak", "offset", "unused")
            if name != "offset" or any(line.counts.get("offset") for line in self.lines)
        ]
        means = all(line.distance is None for line in self.lines)
        sizes = [x for x in ("n", "d") if len({getattr(line, x) for line in self.lines}) > 1]
        trust = ["trust"] * any(line.trust for line in self.lines)
        columns = ("", *sizes, *states, "rate", "info ≤", "from prior", *trust)
        if means:
            columns = ("", *sizes, "active units")
        rows = []
        for k in self.order:
            line = self.lines[k]
            row = [names[k], *(str(getattr(line, x)) for x in sizes)]
            if means:
                row.append(str(line.counts.get("active_units", "-")))
            else:
                row += [str(line.counts.get(name, "-")) for name in states]
                row += [_value(line, "kl_posterior_prior"), _value(line, "mutual_information")]
                row.append("-" if line.distance is None else between(line.distance))
                row += [line.trust] * len(trust)
            rows.append(tuple(row))
        first = self.lines[0]
        same = [f"{getattr(first, x)} {word}" for x, word in SIZES.items() if x not in sizes]
        note = f"{' and '.join(same)} each; " if same else ""
        if not means:
            note += (
                "nats; rate: Definition 1; info ≤: Definition 2, an upper bound of I(x; z); from prior: "
                "range of KL(q(z) || p) of the population; rounded to the standard error"
            )
        return Table(columns, tuple(rows), "Encoders", note.removesuffix("; "))

    def _indicators(self, names: Sequence[str]) -> list[Block]:
        """Return the indicators that are compared, without their errors."""
        labels = {name: i.label for name, i in INDICATORS.items() if i.compared}
        shown = [name for name in labels if any(name in line.values for line in self.lines)]
        if not shown:
            return []
        fourth, fifth = "kl_aggregate_prior", "kl_q_star_prior"
        if all(_value(line, fourth) == _value(line, fifth) for line in self.lines):
            shown = [name for name in shown if name != fifth]  # the same at the exact q*
        rows = [(names[k], *(_value(self.lines[k], name) for name in shown)) for k in self.order]
        columns = ("", *(f"{INDICATORS[x].sign} {labels[x]}".strip() for x in shown))
        return [Table(columns, tuple(rows), "Indicators", "nats")]

    def _aggregated(self, names: Sequence[str]) -> list[Block]:
        """Return what is known of the aggregated posterior, where any of them has it."""
        if not any(line.exact or line.joint or line.certain for line in self.lines):
            return []
        certain = any(line.certain for line in self.lines)
        rows = []
        for k in self.order:
            line = self.lines[k]
            cells = ["-", "-"]
            if line.exact:
                cells = [line.exact[x].in_words() for x in ("total_information", "total_kl_prior")]
            if any(other.joint for other in self.lines):
                cells += [
                    in_words(line.joint[x]) if line.joint else "-"
                    for x in ("mutual_information", "total_correlation")
                ]
            if certain:
                cells.append(in_words(line.certain) if line.certain else "-")
            rows.append((names[k], *cells))
        columns = ["", "sum of I(x; z_h)", "sum of KL(q(z_h) || p)"]
        if any(line.joint for line in self.lines):
            columns += ["I(x; z)", "total correlation"]
        columns += ["certain I(x; z) of the rows"] * certain
        note = f"nats; {ERROR}; ranges are of the population"
        if any(cell.startswith("≥") for _, *cells in rows for cell in cells[:2]):
            note += f"; {BOUND}"
        left_out = [reason for r in self.reports if (reason := r.get("reasons", {}).get("joint"))]
        note += f"; joints left out: {left_out[0]}" if left_out else ""
        return [Table(tuple(columns), tuple(rows), "Aggregated posteriors", note)]

    def _metrics(self, names: Sequence[str]) -> list[Block]:
        """Return the metrics, and their differences from the reference."""
        found = list(dict.fromkeys(name for line in self.lines for name in line.metrics))
        if not found:
            return []
        values = {k: {m: _score(self.lines[k].metrics.get(m)) for m in found} for k in self.order}
        apart = {
            k: {m: with_error(*d[m]) if m in d else "-" for m in found}
            for k, d in zip(self.others, self.metric_differences, strict=True)
        }
        order = [k for k in self.order if k != self.reference]
        how = "paired over parts of the rows" if self.paired else "as of independent samples"
        note = f"each minus {quoted(names[self.reference])}; ± one standard error, {how}"
        return [
            *_by_metric("Metrics", names, self.order, values, found, ""),
            *_by_metric("Differences of metrics", names, order, apart, found, note),
        ]

    def _difference_table(self, names: Sequence[str]) -> list[Block]:
        """Return the differences of the indicators from the reference, one line an encoder."""
        if not any(self.differences):
            return []
        of = dict(zip(self.others, self.differences, strict=True))
        rows = [
            (
                names[k],
                *(with_error(of[k][x], of[k][f"{x}_se"]) if of[k] else "-" for x in differing()),
            )
            for k in self.order
            if k != self.reference
        ]
        how = "paired over rows" if self.paired else "as of independent samples"
        note = f"nats; each row minus encoder {quoted(names[self.reference])}; ± one standard error, {how}"
        if not self.paired and len({line.n for line in self.lines}) == 1:
            note += "; rows of the same inputs in the same order can be paired"
        return [Table(("", *differing().values()), tuple(rows), "Differences", note)]

    def _missing(self, names: Sequence[str]) -> list[Block]:
        """Return why sections have no value."""
        reasons: list[Block] = [
            f"{names[k]}: {section}: none: {self.reports[k]['reasons'][section]}."
            for k in self.order
            for section in ("joint", "certificate", "metrics")
            if section in (self.reports[k].get("reasons") or {})
        ]
        means_only = any(line.distance is None for line in self.lines)
        return [*reasons, *([EXPORT] if means_only else [])]


def _by_metric(
    title: str,
    names: Sequence[str],
    order: Iterable[int],
    cells: dict[int, dict[str, str]],
    metrics: Sequence[str],
    note: str,
) -> list[Block]:
    """Return tables of metrics: a column an encoder, or a line each where there are many."""
    order = list(order)
    if len(order) <= FEW_MODELS:
        rows = [(m, *(cells[k][m] for k in order)) for m in metrics]
        return [Table(("", *(names[k] for k in order)), tuple(rows), title, note)]
    tables: list[Block] = []
    for start in range(0, len(metrics), METRICS):
        some = metrics[start : start + METRICS]
        rows = [(names[k], *(cells[k][m] for m in some)) for k in order]
        tables.append(Table(("", *some), tuple(rows), title if not start else "", note))
    return tables


def _named(differences: dict[str, tuple[float, float]]) -> dict[str, dict[str, float]]:
    """Return the differences of metrics with their names in JSON."""
    return {
        metric: {"difference": value, "standard_error": error}
        for metric, (value, error) in differences.items()
    }


def _known(distance: Bracket | None) -> Bracket:
    assert distance is not None
    return distance


def _score(pair: tuple[float | None, float | None] | None) -> str:
    return "-" if pair is None or pair[0] is None else with_error(pair[0], pair[1])


def _value(line: Line, name: str) -> str:
    """Write a value without its error, to the digit where that begins."""
    if name not in line.values:
        return "-"
    error = line.errors.get(name, 0.0)
    digits = 3 if error < 0.005 else 2 if error < 0.05 else 1
    return f"{line.values[name]:.{digits}f}"
