"""Several encoders side by side."""

from disentangle_indicators.comparison._by import compare_by
from disentangle_indicators.comparison._compare import compare
from disentangle_indicators.comparison._comparison_result import Comparison
from disentangle_indicators.comparison._lines import Line, saved_report

__all__ = ["Comparison", "Line", "compare", "compare_by", "saved_report"]
