"""The metrics and their protocols as tables."""

import re
from dataclasses import dataclass
from inspect import getdoc
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
        (name, *(in_words(parameters[name]) for parameters in metric.protocols.values()))
        for name in metric.parameters()
    ]
    return [
        f"{metric.name}: {metric.title}",
        metric.reading[:1].upper() + metric.reading[1:] + ".",
        Table(columns=("", *metric.protocols), rows=tuple(rows)),
        dict(metric.sources),
        "Parameters:",
        explained(metric),
    ]


def explained(metric: Metric) -> dict[str, str]:
    """Return what the parameters of a metric are, by their names, from its docstring.

    Examples
    --------
    >>> from disentangle_indicators.supervised import METRICS
    >>> explained(METRICS["irs"])["quantile"]
    'of the deviations in a group, interpolated; 1 for the maximum.'
    """
    from disentangle_indicators import supervised

    text = getdoc(getattr(supervised, metric.name)) or ""
    _, _, text = text.partition("**overrides\n")
    text, _, _ = text.partition("\nReturns\n")
    _, _, text = " ".join(text.split()).partition(": ")
    text = _ROLE.sub(lambda role: role[1].rpartition(".")[2], text)
    items = _ITEM.findall(text)
    if not items:
        names, _, rest = text.partition(", as ")
        items = [(names, f"as {rest}")]
    return {names: _NONE.sub("none", words).strip() for names, words in items}


_ROLE = re.compile(r":\w+:`~?([^`]*)`")
_ITEM = re.compile(r"(?:^|(?<=\s))- ([\w, ]+): (.*?)(?=\s- [\w, ]+: |$)")
_NONE = re.compile(r"\bNone\b")


def in_words(value: Any) -> str:
    """Write a value of a parameter in words."""
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    if isinstance(value, tuple):
        return ", ".join(map(in_words, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
