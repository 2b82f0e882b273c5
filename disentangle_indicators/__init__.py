"""Say what the latents of a VAE learned, and whether the number can be trusted.

>>> import numpy as np
>>> from disentangle_indicators import score
>>> mean, logvar = np.random.default_rng(0).normal(size=(2, 500, 4))
>>> card = score(mean, logvar=logvar - 3)
>>> card.used
4

``score`` computes what the input allows; ``indicators`` gives Definitions 1-7 of "Preliminary
theoretical troubleshooting in variational autoencoder", ``estimate_q_star`` the fit of q*(z), and
``read_encodings`` reads the files that encoders leave behind.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from disentangle_indicators import aggregate as aggregate
    from disentangle_indicators import comparison as comparison
    from disentangle_indicators import plots as plots
    from disentangle_indicators import report as report
    from disentangle_indicators import rotation as rotation
    from disentangle_indicators import supervised as supervised
    from disentangle_indicators import theorems as theorems
    from disentangle_indicators import unsupervised as unsupervised
    from disentangle_indicators._indicators import Indicators, indicators
    from disentangle_indicators._memory import max_memory
    from disentangle_indicators.encodings import read_encodings, write_encodings
    from disentangle_indicators.moments import Moments
    from disentangle_indicators.posteriors import Encodings
    from disentangle_indicators.q_star import QStar, estimate_q_star
    from disentangle_indicators.scorecard import Scorecard, score
    from disentangle_indicators.summary import Summary

__all__ = [
    "Encodings",
    "Indicators",
    "Moments",
    "QStar",
    "Scorecard",
    "Summary",
    "estimate_q_star",
    "indicators",
    "max_memory",
    "read_encodings",
    "score",
    "write_encodings",
]

__version__ = "0.1.0"

_HOMES = {
    "Indicators": "_indicators",
    "Encodings": "posteriors",
    "Moments": "moments",
    "QStar": "q_star",
    "Scorecard": "scorecard",
    "Summary": "summary",
    "estimate_q_star": "q_star",
    "indicators": "_indicators",
    "max_memory": "_memory",
    "read_encodings": "encodings",
    "score": "scorecard",
    "write_encodings": "encodings",
}

_MODULES = (
    "aggregate",
    "comparison",
    "plots",
    "report",
    "rotation",
    "supervised",
    "theorems",
    "unsupervised",
)


def __dir__() -> list[str]:
    """List the names that are not loaded yet, too."""
    return sorted({*globals(), *_HOMES, *_MODULES})


if not TYPE_CHECKING:  # a type checker would take every name for one that exists

    def __getattr__(name: str) -> Any:
        """Import the home of a name when it is first asked for (PEP 562)."""
        if name in _MODULES:
            return import_module(f"{__name__}.{name}")
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
