"""Figures that a notebook shows."""

import io

from matplotlib.figure import Figure


class Picture(Figure):
    """A figure outside pyplot that a notebook shows, whether pyplot was imported or not."""

    def _repr_png_(self) -> bytes:
        return png(self)


def png(figure: Figure) -> bytes:
    """Return a figure as the content of a PNG file."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()
