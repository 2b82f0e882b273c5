"""Progress of long loops."""

from collections.abc import Callable, Iterable
from typing import Any

Progress = Callable[[Iterable[Any], str, int], Iterable[Any]]
"""Wraps an iterable, given a description and its length, as progress bars do."""
