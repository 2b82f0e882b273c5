"""A result as one page of HTML that needs nothing else: no script, no request, no file beside it."""

import json
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from typing import Any, NamedTuple

from disentangle_indicators._blocks import WORDS, Block, printable, with_error
from disentangle_indicators._indicators_result import Indicators
from disentangle_indicators._result import Result, plain
from disentangle_indicators._scorecard_result import Scorecard
from disentangle_indicators._wrapping import is_numeric
from disentangle_indicators.comparison import Comparison
from disentangle_indicators.registry import COUNTS, INDICATORS
from disentangle_indicators.report._pictures import pictures as of_result
from disentangle_indicators.report._reading import JOINT, Reading, of_count, of_indicator
from disentangle_indicators.report._svg import as_image

LIBRARIES = ("numpy", "scipy", "scikit-learn", "matplotlib")
"""Packages on which numbers or pictures depend."""

LONG = 400
"""Letters of a value of a parameter that are shown."""


class Part(NamedTuple):
    """A block of a page: "text", "list" or "table", and its content."""

    kind: str
    content: Any


class Number(NamedTuple):
    """One number of the page, and how to read it."""

    name: str
    value: str
    reading: Reading


def page(result: Result, date: str | None = None, pictures: Sequence[tuple[Any, str]] = ()) -> str:
    """Return a result as a page of HTML.

    Parameters
    ----------
    result : Result
    date : str, optional
        When it was written; now by default. It stands in a line of its own.
    pictures : sequence of (figure, str)
        More pictures, with their captions.

    Returns
    -------
    str

    Examples
    --------
    >>> import numpy as np
    >>> from disentangle_indicators import score
    >>> text = page(score(np.array([[1.0], [-1.0]]), var=np.full((2, 1), 0.5), name="<b>"))
    >>> "<title>&lt;b&gt;</title>" in text, "<script" in text
    (True, False)
    """
    title, source, verdict, rest = _parts(result)
    text = (
        _template().render(
            title=title,
            source=source,
            verdict=verdict,
            parts=[_part(block) for block in rest],
            pictures=[*of_result(result), *(_embedded(*picture) for picture in pictures)],
            numbers=_numbers(result),
            protocols=_protocols(result),
            origin=_origin(result),
            words=WORDS,
            date=date or f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        )
        + "\n"
    )
    return printable(text)  # who prints the page on a terminal is safe too


@cache
def _template() -> Any:
    from jinja2 import Environment, PackageLoader

    loader = PackageLoader("disentangle_indicators.report", ".")
    environment = Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template("page.html.jinja")


def _embedded(figure: Any, caption: str) -> tuple[str, str]:
    return as_image(figure, caption), caption


def _parts(result: Result) -> tuple[str, str, dict[str, str], list[Block]]:
    """Return the title, the source, the sentences that open the page, and the other blocks."""
    blocks = [block for block in result.blocks() if block != WORDS]
    if isinstance(result, Scorecard):
        title, source = result.name or "Encodings without a name", result.source
        if not result.name and result.encodings is None:  # sums over several files
            title, source = source.capitalize(), ""
        head = "\n".join(line for line in (result.name, result.source) if line)
        return title, source, result.verdict, blocks[2:] if head else blocks[1:]
    title = type(result).__name__
    if isinstance(result, Comparison):
        title = f"Comparison of {len(result.lines)} encoders"
    name = getattr(result, "name", "")
    if name and blocks[:1] == [name]:
        title, blocks = f"{title}: {name}", blocks[1:]
    if blocks and isinstance(blocks[0], dict):
        return title, "", blocks[0], blocks[1:]
    return title, "", {}, blocks


def _part(block: Block) -> Part:
    if isinstance(block, str):
        return Part("text", block)
    if isinstance(block, dict):
        return Part("list", block)
    right = [is_numeric(block, i) for i in range(len(block.columns))]
    return Part("table", {"table": block, "right": right})


def _numbers(result: Result) -> list[Number]:
    """Return the numbers of a result with what each is, its range, and when it misleads."""
    if isinstance(result, Comparison):
        return _compared(result)
    if not isinstance(result, Scorecard) or not isinstance(result.result, Indicators):
        return []
    found = result.result
    numbers = [
        Number(name, str(count), of_count(COUNTS[name])) for name, count in found.counts.items()
    ]
    for name, value in found.values.items():
        if value is None:
            continue
        indicator = INDICATORS[name]
        if indicator.per_latent:
            text = f"{value.min():.3f} to {value.max():.3f}"
        else:
            text = with_error(value, found.standard_errors.get(name), 4)
        numbers.append(Number(name, text, of_indicator(indicator)))
    if result.joint is not None:
        from disentangle_indicators.aggregate._joint_result import in_words, span

        numbers += [
            Number(f"joint.{name}", in_words(span(result.joint, name)), reading)
            for name, reading in JOINT.items()
        ]
    return numbers


def _compared(result: Comparison) -> list[Number]:
    """Return the range over encoders of each indicator that is compared."""
    found = []
    for name, indicator in INDICATORS.items():
        values = [line.values[name] for line in result.lines if name in line.values]
        if indicator.compared and values:
            text = f"{min(values):.3f} to {max(values):.3f}"
            found.append(Number(name, text, of_indicator(indicator)))
    return found


def _protocols(result: Result) -> list[dict[str, str]]:
    """Return the protocol of each metric: its source, its parameters and how to read it."""
    scores = getattr(result, "metrics", None)
    if not isinstance(result, Scorecard) or scores is None:
        return []
    return [
        {
            "name": m.name,
            "parameters": _short(m.parameters),
            "source": m.source,
            "reading": m.reading,
        }
        for m in scores.metrics.values()
    ]


def _origin(result: Result) -> dict[str, Any]:
    """Return what it takes to compute the result once more."""
    provenance = {} if result.provenance is None else plain(result.provenance.to_dict())
    inputs = list(provenance.get("inputs", ()))
    if isinstance(result, Comparison) and not inputs:
        origins = [report.get("provenance") or {} for report in result.reports]
        inputs = [each for origin in origins for each in origin.get("inputs", ())]
    inputs = list({(each["name"], each["sha256"]): each for each in inputs}.values())
    versions = {name: version(name) for name in LIBRARIES}
    own = provenance.get("version", "")
    return {
        "call": provenance.get("call", ""),
        "seed": provenance.get("seed"),
        "inputs": inputs,
        "parameters": {
            name: _short(value) for name, value in provenance.get("parameters", {}).items()
        },
        "versions": {"disentangle_indicators": own, "Python": platform.python_version()}
        | versions,
    }


def _short(value: Mapping[str, Any] | Sequence[Any] | Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONG else f"{text[:LONG]} …"
