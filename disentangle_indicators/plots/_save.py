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


def save(drawn: "Axes | Figure", path: str | Path) -> Path:
    """Write a picture to a file.

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
    path = Path(path)
    if path.suffix.lower() not in PICTURES:
        raise ValueError(f"{path}: a picture ends in .png, .svg or .pdf")
    with atomic(path) as temporary:
        figure_of(drawn).savefig(temporary, dpi=DPI, format=path.suffix[1:].lower())
    return path
