"""Reference variational autoencoders of the paper, in torch."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dindic_models.checkpoint import load

__all__ = ["load"]


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is, because torch takes a second."""
    if name != "load":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from dindic_models.checkpoint import load

    return load
