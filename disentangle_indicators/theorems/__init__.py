"""What each theorem of the paper says of one encoder, and the dimensions that they speak of."""

from disentangle_indicators.theorems._counts import (
    VARIABLES,
    entropy_of_means,
    isometric_importance,
    participation_ratio,
    share_of_rows,
    variables,
)
from disentangle_indicators.theorems._dimension import (
    intrinsic_dimension,
    levina_bickel,
    two_nn,
)
from disentangle_indicators.theorems._dimension_result import IntrinsicDimension
from disentangle_indicators.theorems._theorems import of_parts, theorems
from disentangle_indicators.theorems._theorems_result import Finding, Theorems

__all__ = [
    "VARIABLES",
    "Finding",
    "IntrinsicDimension",
    "Theorems",
    "entropy_of_means",
    "intrinsic_dimension",
    "isometric_importance",
    "levina_bickel",
    "of_parts",
    "participation_ratio",
    "share_of_rows",
    "theorems",
    "two_nn",
    "variables",
]
