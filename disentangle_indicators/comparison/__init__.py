"""Several encoders side by side."""

from disentangle_indicators.comparison._compare import compare
from disentangle_indicators.comparison._comparison_result import Comparison

__all__ = ["Comparison", "compare"]
