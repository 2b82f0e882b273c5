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

from disentangle_indicators.encodings import read_encodings, write_encodings
from disentangle_indicators.evaluate import Indicators, indicators
from disentangle_indicators.moments import Moments
from disentangle_indicators.q_star import QStar, estimate_q_star
from disentangle_indicators.scorecard import Scorecard, score

__all__ = [
    "Indicators",
    "Moments",
    "QStar",
    "Scorecard",
    "estimate_q_star",
    "indicators",
    "read_encodings",
    "score",
    "write_encodings",
]

__version__ = "0.1.0"
