"""Reference variational autoencoders of the paper, in torch."""

from dindic_models.checkpoint import load

__all__ = ["load"]
