"""Pictures in files."""

from pathlib import Path
from typing import TYPE_CHECKING

from disentangle_indicators._files import atomic
from disentangle_indicators.plots._style import DPI, figure_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PICTURES = (".png", ".svg", ".pdf")
"""Endings of picture files."""

_DATES: dict[str, dict[str, str | None]] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
"""Metadata that are left out, so that the same picture has the same bytes."""


def save(drawn: "Axes | Figure", path: str | Path) -> Path:
    """Write a picture to a file; the same picture has the same bytes.

    Parameters
    ----------
    drawn : matplotlib axes or figure
        For axes, the whole figure that contains them is written.
    path : path
        .png, .svg or .pdf; written whole or not at all.

    Returns
    -------
    Path

    Raises
    ------
    ValueError
        On an ending that is not a picture format.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> from disentangle_indicators import score
    >>> from disentangle_indicators.plots import pulse
    >>> card = score(np.array([[1.0], [-1.0]]), var=np.full((2, 1), 0.5))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(pulse(card), f"{folder}/latents.png").name
    'latents.png'
    """
    import matplotlib as mpl

    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in PICTURES:
        raise ValueError(f"{path}: a picture ends in .png, .svg or .pdf")
    figure, dates = figure_of(drawn), _DATES.get(suffix)
    with atomic(path) as temporary, mpl.rc_context({"svg.hashsalt": "dindic"}):
        figure.savefig(temporary, dpi=DPI, format=suffix[1:], metadata=dates)
    return path
