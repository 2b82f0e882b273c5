"""The conditions of --fail-if: NAME OP NUMBER, over the numbers of the JSON."""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple

import click

from dindic.exits import BadInput

FLAGS = {
    "marginals": "--marginals",
    "joint": "--joint",
    "certificate": "--certify",
    "metrics": "--metrics",
    "channel": "--metrics",
    "unsupervised": "--metrics",
    "theorems": "--theorems",
}
"""The option that asks for a section of a report."""

PATTERN = re.compile(r"\s*([A-Za-z_][\w.@\-]*)\s*(<=|>=|==|!=|<|>)\s*(\S+)\s*")

OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": float.__lt__,
    "<=": float.__le__,
    "==": float.__eq__,
    "!=": float.__ne__,
    ">=": float.__ge__,
    ">": float.__gt__,
}

CLOSE = 0.6
"""Least similarity of a name that is suggested in place of an unknown one."""


class GateFailed(click.ClickException):
    """A --fail-if condition is true: exit code 3."""

    exit_code = 3

    def show(self, file: Any = None) -> None:
        """Print the message without the word Error: the command itself succeeded."""
        click.echo(self.message, err=True)


class Gate(NamedTuple):
    """One condition."""

    name: str
    operator: str
    number: float

    def __str__(self) -> str:
        """Return the condition as it is written."""
        return f"{self.name} {self.operator} {self.number:g}"


def parse(ctx: Any, param: Any, values: tuple[str, ...]) -> tuple[Gate, ...]:
    """Read conditions from the command line."""
    parsed = []
    for value in values:
        match = PATTERN.fullmatch(value)
        try:
            number = float(match[3]) if match else math.nan
        except ValueError:
            number = math.nan
        if match is None or math.isnan(number):
            message = f"{value!r} is not NAME OP NUMBER with OP one of < <= == != >= >"
            raise click.BadParameter(message, ctx, param)
        parsed.append(Gate(match[1], match[2], number))
    return tuple(parsed)


def failed(contents: Sequence[Mapping[str, Any]], gates: Iterable[Gate]) -> list[str]:
    """Return a message for each condition that is true, in each report.

    Raises
    ------
    BadInput
        If a condition names a number that a report does not have.
    """
    messages = []
    for content in contents:
        numbers = dict(_numbers(content))
        where = f"{content['name']}: " if len(contents) > 1 else ""
        for gate in gates:
            if gate.name not in numbers:
                raise BadInput(f"{where}--fail-if: {_why_not(gate.name, content, numbers)}")
            value = numbers[gate.name]
            if OPERATORS[gate.operator](value, gate.number):
                messages.append(f"{where}gate failed: {gate} ({gate.name} = {value:g})")
    return messages


def _numbers(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for name, value in content.items():
        if isinstance(value, dict):
            yield from _numbers(value, f"{prefix}{name}.")
        elif isinstance(value, (int, float)):
            yield f"{prefix}{name}", float(value)


def _why_not(name: str, content: Mapping[str, Any], numbers: Mapping[str, float]) -> str:
    """Return why a report has no number of this name, and which name to type instead."""
    section = name.partition(".")[0]
    if section in content and content[section] is None and section in FLAGS:
        reason = content.get("reasons", {}).get(section)
        if reason:
            return f"{name} has no value: {reason}"
        return f"{name} is computed only with {FLAGS[section]}"
    found, value, reason = _look_up(name, content)
    if found and value is None:
        return f"{name} has no value here{f': {reason}' if reason else ''}"
    if found:
        return f"{name} is {_kind(value)}; a condition needs one number"
    lacking = _of_variances(content)
    if name in lacking:
        return f"{name} needs the posterior variances; without them there is active_units"
    near = get_close_matches(name, [*numbers, *lacking], n=3, cutoff=CLOSE)
    if near:
        return f"no number is called {name!r}; did you mean {' or '.join(near)}?"
    return f"no number is called {name!r}; --json - prints the names"


def _look_up(name: str, content: Any, reason: str = "") -> tuple[bool, Any, str]:
    """Return whether there is a value of this name, the value, and the reason stored beside it."""
    if not name:
        return True, content, reason
    if not isinstance(content, Mapping):
        return False, None, ""
    for key, value in content.items():  # a key such as mig@default.v2 may hold a dot
        if name == key or name.startswith(f"{key}."):
            return _look_up(name[len(key) + 1 :], value, str(content.get("reason") or ""))
    return False, None, ""


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, Sequence) else "a section"


def _of_variances(content: Mapping[str, Any]) -> list[str]:
    """Return the numbers that a scorecard of means only lacks."""
    if "active_units" not in content or "used" in content:
        return []
    from disentangle_indicators.registry import COUNTS, INDICATORS

    return [name for name in (*COUNTS, *INDICATORS) if name not in content]
