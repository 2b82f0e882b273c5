"""Files in, batches of posterior means and variances out."""

from disentangle_indicators.encodings._append import append_encodings
from disentangle_indicators.encodings._columns import read_column
from disentangle_indicators.encodings._layout import spread_of_channels
from disentangle_indicators.encodings._read import read_encodings
from disentangle_indicators.encodings._stored import AmbiguousEncodings
from disentangle_indicators.encodings._write import write_encodings
from disentangle_indicators.encodings.formats import FORMATS
from disentangle_indicators.posteriors import Encodings

__all__ = [
    "FORMATS",
    "AmbiguousEncodings",
    "Encodings",
    "append_encodings",
    "read_column",
    "read_encodings",
    "spread_of_channels",
    "write_encodings",
]
