"""The metrics and their protocols as tables."""

from dataclasses import dataclass
from typing import Any, ClassVar

from disentangle_indicators._result import Block, Result, Table, plain
from disentangle_indicators.supervised._metric import Metric

__all__ = ["Listing"]


@dataclass(frozen=True, eq=False, repr=False)
class Listing(Result):
    """Metrics with their protocols, in full or as one line each."""

    schema: ClassVar[str] = "dindic.listing/1"

    metrics: dict[str, Metric]
    full: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return names, directions, ranges (None for no end), protocols and parameters."""
        return {
            "schema": self.schema,
            "metrics": {
                name: {
                    "title": metric.title,
                    "reading": metric.reading,
                    "range": plain([metric.low, metric.high]),
                    "higher_is_better": metric.higher_is_better,
                    "protocols": {
                        protocol: {
                            "parameters": plain(parameters),
                            "source": metric.sources[protocol],
                            "refits": protocol in metric.refits,
                        }
                        for protocol, parameters in metric.protocols.items()
                    },
                }
                for name, metric in self.metrics.items()
            },
        }

    def blocks(self) -> list[Block]:
        """Return one table, or one for each metric."""
        if self.full:
            return [block for metric in self.metrics.values() for block in _in_full(metric)]
        rows = tuple(
            (name, metric.title, _range(metric), ", ".join(metric.protocols))
            for name, metric in self.metrics.items()
        )
        return [
            Table(
                columns=("metric", "", "range", "protocols"),
                rows=rows,
                note="the best end of the range comes last; more about one: dindic metrics mig",
            )
        ]


def _range(metric: Metric) -> str:
    ends = (metric.low, metric.high) if metric.higher_is_better else (metric.high, metric.low)
    return " to ".join(f"{end:g}" for end in ends)


def _in_full(metric: Metric) -> list[Block]:
    names = list(next(iter(metric.protocols.values())))
    rows = tuple(
        (protocol, *(str(parameters[name]) for name in names))
        for protocol, parameters in metric.protocols.items()
    )
    return [
        f"{metric.name}: {metric.title}, {_range(metric)}",
        metric.reading[:1].upper() + metric.reading[1:] + ".",
        Table(columns=("protocol", *names), rows=rows),
        dict(metric.sources),
    ]
