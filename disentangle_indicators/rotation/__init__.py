"""Rotations of the latent space: which scores depend on them, and which axes the code prefers."""

from disentangle_indicators.rotation._audit import Audit, Audits, Orientation, audit_rotations
from disentangle_indicators.rotation._axes import Axes, AxisPair, axes
from disentangle_indicators.rotation._law import (
    HigginsLaw,
    higgins_law,
    predicted_accuracy,
    z_diff_law,
)

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
    "predicted_accuracy",
    "z_diff_law",
]
