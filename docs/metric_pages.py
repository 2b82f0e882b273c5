"""The page of each metric: what its protocols are and what it scored, beside its docstring."""

import re
from pathlib import Path

from disentangle_indicators.supervised import METRICS, Metric

HERE = Path(__file__).parent
OVERVIEW = HERE / "supervised_metrics.md"
"""Its first table has the score of every metric, on one file."""

COMMAND = "dindic score examples/data/dsprites_btcvae.npz --metrics {} --permutations 50"


def write(folder: Path) -> None:
    """Write the part of each page that is made from the code, and the table of all metrics."""
    (folder / "metrics").mkdir(parents=True, exist_ok=True)
    for name, metric in METRICS.items():
        (folder / "metrics" / f"{name}.md").write_text(page(metric), encoding="utf-8")
    lines = ["| metric | what it measures | range |", "| --- | --- | --- |"]
    for name, metric in METRICS.items():
        lines.append(f"| [{name}](metrics/{name}.md) | {metric.reading} | {ends(metric)} |")
    (folder / "metrics.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def page(metric: Metric) -> str:
    """Return what it measures, a command with its output, the docstring, and the protocols."""
    protocols = "\n\n".join(
        f"`{metric.name}@{name}`\n: {source}. Range: {ends(metric, name)}."
        for name, source in metric.sources.items()
    )
    return f"""**Measures** {metric.reading}.

**Range** {ends(metric)} by default; {"higher" if metric.higher_is_better else "lower"} is better.

## On sprites

    {COMMAND.format(metric.name)}

```text
{chr(10).join(row(metric.name))}
```

[How to read a score](../supervised_metrics.md) explains the columns: the null, the 95th percentile of the null, the
p-value, and the ceiling, which is the score of a perfect code.

## Formula, source, and when it misleads

```{{eval-rst}}
.. autofunction:: disentangle_indicators.supervised.{metric.name}
```

## Protocols

`dindic metrics {metric.name}` prints the parameters of each one, and
`dindic check FILE --metric {metric.name} --claimed VALUE` the score under all of them.
[Published toolkits](../supervised_metrics.md) has how near the numbers are to those of the toolkits.

{protocols}
"""


def ends(metric: Metric, protocol: str = "default") -> str:
    """Return the least and the greatest score in words."""
    low, high = metric.range(protocol)
    return f"{low:g} to {high:g}" if high < float("inf") else f"{low:g} and more"


def row(name: str) -> list[str]:
    """Return the lines of a metric in the table of the overview, below the heading."""
    lines = OVERVIEW.read_text(encoding="utf-8").splitlines()
    (first,) = [i for i, line in enumerate(lines) if line.startswith(f" {name}@default  ")][:1]
    top = next(i for i in range(first, 0, -1) if "metric@protocol" in lines[i])
    found = [lines[first]]
    while re.match(r" {40}", lines[first + len(found)]):
        found.append(lines[first + len(found)])
    return [lines[top - 1], lines[top], lines[top + 1], *found]
