"""Rotations of the latent space: which scores depend on them, and which axes the code prefers."""

from disentangle_indicators.rotation._audit import Audit, Audits, Orientation, audit_rotations
from disentangle_indicators.rotation._plots import save_violin, violin

__all__ = ["Audit", "Audits", "Orientation", "audit_rotations", "save_violin", "violin"]
