"""Several encoders side by side."""

from disentangle_indicators.comparison._by import compare_by
from disentangle_indicators.comparison._compare import compare
from disentangle_indicators.comparison._comparison_result import Comparison
from disentangle_indicators.comparison._lines import Line, saved_report
from disentangle_indicators.comparison._match import match
from disentangle_indicators.comparison._match_result import Match, MatchedLatent, MatchedPair
from disentangle_indicators.comparison._same_rows import evidence_of_same_rows
from disentangle_indicators.comparison._sweep import sweep
from disentangle_indicators.comparison._sweep_result import Sweep

__all__ = [
    "Comparison",
    "Line",
    "Match",
    "MatchedLatent",
    "MatchedPair",
    "Sweep",
    "compare",
    "compare_by",
    "evidence_of_same_rows",
    "match",
    "saved_report",
    "sweep",
]
