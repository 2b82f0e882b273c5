"""Names of encoders, as tables and sentences show them."""

import os
from collections.abc import Sequence

__all__ = ["quoted", "short_names"]

NAME = 16
"""Letters of a name in tables."""


def quoted(name: str) -> str:
    """Set the name of an encoder apart from the words of a sentence."""
    return f"'{name}'"


def short_names(names: Sequence[str]) -> list[str]:
    """Return what tells names apart: no common folders, beginnings and ends, and cut if long.

    Examples
    --------
    >>> short_names(["runs/vae_beta1_seed0.npz", "runs/vae_beta4_seed0.npz"])
    ['beta1', 'beta4']
    """
    short = [name.replace("\\", "/") for name in names]
    if len(set(short)) == len(short) > 1:
        start = _boundary(os.path.commonprefix(short))
        backwards = [name[start:][::-1] for name in short]
        end = _boundary(os.path.commonprefix(backwards))
        cut = [name[start : len(name) - end] for name in short]
        short = cut if all(cut) else short
    shortened = [_shortened(name) for name in short]
    distinct = len(set(shortened)) == len(set(names))
    return [name or str(k + 1) for k, name in enumerate(shortened if distinct else short)]


def _boundary(common: str) -> int:
    """Return how much of a common part ends at a separator."""
    return max(common.rfind(mark) + 1 for mark in "/_-. ")


def _shortened(name: str) -> str:
    """Cut a long name in its middle."""
    half = (NAME - 1) // 2
    return name if len(name) <= NAME else f"{name[: NAME - 1 - half]}…{name[-half:]}"
