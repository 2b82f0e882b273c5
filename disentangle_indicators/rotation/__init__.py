"""Rotations of the latent space: which scores depend on them, and which axes the code prefers."""

from disentangle_indicators.rotation._audit import Audit, Audits, Orientation, audit_rotations
from disentangle_indicators.rotation._axes import Axes, AxisPair, axes
from disentangle_indicators.rotation._law import (
    HigginsLaw,
    higgins_law,
    predicted_accuracy,
    z_diff_law,
)
from disentangle_indicators.rotation._plots import pairs, save_pairs, save_violin, violin

__all__ = [
    "Audit",
    "Audits",
    "Axes",
    "AxisPair",
    "HigginsLaw",
    "Orientation",
    "audit_rotations",
    "axes",
    "higgins_law",
    "pairs",
    "predicted_accuracy",
    "save_pairs",
    "save_violin",
    "violin",
    "z_diff_law",
]
