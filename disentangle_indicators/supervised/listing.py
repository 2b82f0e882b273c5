"""The metrics and their protocols as tables."""

from dataclasses import dataclass
from typing import Any, ClassVar

from disentangle_indicators._blocks import Block, Table
from disentangle_indicators._result import Result, plain
from disentangle_indicators.supervised._metric import Metric

__all__ = ["Listing"]


@dataclass(frozen=True, eq=False, repr=False)
class Listing(Result):
    """Metrics with their protocols, in full or as one line each."""

    schema: ClassVar[str] = "dindic.listing/1"

    metrics: dict[str, Metric]
    full: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return names, directions, choices, protocols, ranges (None for no end) and parameters."""
        content = {
            "schema": self.schema,
            "metrics": {
                name: {
                    "title": metric.title,
                    "reading": metric.reading,
                    "higher_is_better": metric.higher_is_better,
                    "choices": plain(metric.choices),
                    "protocols": {
                        protocol: {
                            "parameters": plain(parameters),
                            "source": metric.sources[protocol],
                            "range": plain([*metric.range(protocol)]),
                            "refits": protocol in metric.refits,
                        }
                        for protocol, parameters in metric.protocols.items()
                    },
                }
                for name, metric in self.metrics.items()
            },
        }
        return self.stamped(content)

    def blocks(self) -> list[Block]:
        """Return one table, or one for each metric."""
        if self.full:
            return [block for metric in self.metrics.values() for block in _in_full(metric)]
        rows = tuple(
            (name, metric.title, _range(metric, "default"), _protocols(metric))
            for name, metric in self.metrics.items()
        )
        return [
            Table(
                columns=("metric", "", "range", "protocols"),
                rows=rows,
                note="the best end of the range, which is that of the default, comes last; protocols "
                "with another one say so",
            )
        ]


def _range(metric: Metric, protocol: str) -> str:
    low, high = metric.range(protocol)
    ends = (low, high) if metric.higher_is_better else (high, low)
    return " to ".join(f"{end:g}" for end in ends)


def _protocols(metric: Metric) -> str:
    """Name the protocols, with their range where it is not that of the default."""
    usual = metric.range()
    return ", ".join(
        name if metric.range(name) == usual else f"{name} ({_range(metric, name)})"
        for name in metric.protocols
    )


def _in_full(metric: Metric) -> list[Block]:
    rows = [("range", *(_range(metric, protocol) for protocol in metric.protocols))]
    rows += [
        (name, *(_word(parameters[name]) for parameters in metric.protocols.values()))
        for name in metric.parameters()
    ]
    allowed = {name: ", ".join(map(str, words)) for name, words in metric.choices.items()}
    blocks: list[Block] = [
        f"{metric.name}: {metric.title}",
        metric.reading[:1].upper() + metric.reading[1:] + ".",
        Table(columns=("", *metric.protocols), rows=tuple(rows)),
        dict(metric.sources),
    ]
    return [*blocks, "Choices of the parameters:", allowed] if allowed else blocks


def _word(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
