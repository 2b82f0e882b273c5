"""Figures as SVG inside a page: no ids of their own, colours that follow the page, and words."""

import io
import re
from base64 import b64encode
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

PIXELS, WIDTH = 110, 1056
"""Pixels an inch of what is drawn as pixels, and pixels of the width of a page."""

PADDING = 4
"""Points around what is drawn."""

BLACK = re.compile(r"(fill|stroke): #(?:000000|202020)")
"""Ink, which is light on a dark page."""

WHITE = re.compile(r"fill: #ffffff(?=; opacity)")
"""The paper behind a label, which is dark on a dark page (Canvas of CSS); white text has no opacity."""

FONTS = re.compile(r"font: (?:bold )?([\d.]+px) [^;\"]*(;?)")
"""The size of a text, and the list of fonts that matplotlib would like."""

TAG = re.compile(r"<[^>]*>")
"""An element, without the text inside of it."""

NUMBER = re.compile(r"(?<=[\d])\.(\d{2})\d+")
"""A number in an element, of which two decimals of a pixel are enough."""


def as_image(figure: "Figure", description: str) -> str:
    """Return a figure that is made of pixels as an element of HTML, in at most 256 colours.

    Parameters
    ----------
    figure : matplotlib figure
    description : str
        What a screen reader says; not escaped yet.
    """
    from PIL import Image  # matplotlib brings it

    drawn, stream = io.BytesIO(), io.BytesIO()
    dpi = min(PIXELS, WIDTH / figure.get_figwidth())
    figure.savefig(drawn, format="png", dpi=dpi)
    with Image.open(drawn, formats=["PNG"]) as image:
        image.convert("RGB").quantize().save(stream, "PNG", optimize=True)
    content = b64encode(stream.getvalue()).decode()
    return f'<img alt="{escape(description)}" src="data:image/png;base64,{content}">'


def _with_cut(axes: Any) -> "list[Axes]":
    """Return axes and those that are cut from them."""
    return [each for ax in axes for each in (ax, *_with_cut(ax.child_axes))]


def _box(figure: "Figure", axes: "Iterable[Axes]") -> "Bbox":
    """Return the box in points around axes, and around what is written beside them.

    ``figure.get_tightbbox()`` asks every line and every edge as well, which takes longer.
    """
    from matplotlib.backends.backend_svg import RendererSVG
    from matplotlib.transforms import Bbox

    figure.set_dpi(72)
    renderer = RendererSVG(*figure.bbox.size, io.StringIO())  # type: ignore[no-untyped-call]
    boxes = [ax.get_tightbbox(renderer, bbox_extra_artists=ax.texts) for ax in axes]
    return Bbox.union([box for box in boxes if box is not None])


def inline(figure: "Figure", key: str, title: str, description: str) -> str:
    """Return a figure as an element of HTML.

    The same figure and key give the same text, whenever it is drawn.

    Parameters
    ----------
    figure : matplotlib figure
    key : str
        Unique in the page; ids begin with it.
    title, description : str
        What a screen reader says; neither is escaped yet.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    stream = io.StringIO()
    figure.set_layout_engine("none")  # the box is fitted to what was drawn, which is faster
    canvas: Any = FigureCanvasSVG(figure)
    figure.set_dpi(min(PIXELS, WIDTH / figure.get_figwidth()))
    figure.patch.set_facecolor("none")
    axes = _with_cut(figure.axes)
    for ax in axes:
        ax.patch.set_facecolor("none")
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": key}):
        canvas.print_svg(stream, metadata={"Date": None})
    text = stream.getvalue()
    box = _box(figure, axes).padded(PADDING)
    view = f"{box.x0:.1f} {figure.bbox.height - box.y1:.1f} {box.width:.1f} {box.height:.1f}"
    body = text[text.index(">", text.index("<svg")) + 1 : text.rindex("</svg>")]
    body = re.sub(
        r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", body, flags=re.DOTALL
    )
    used = set(re.findall(r'(?:xlink:href="#|url\(#)([^")]*)', body))
    body = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", body)
    for name in sorted(used):
        body = re.sub(
            rf'(id="|href="#|url\(#){re.escape(name)}(?=[")])', rf"\g<1>{key}-{name}", body
        )
    body = BLACK.sub(r"\1: currentColor", body)
    body = WHITE.sub("fill: Canvas", body)
    body = FONTS.sub(r"font-size: \1\2", body)
    body = TAG.sub(lambda tag: NUMBER.sub(r".\1", tag[0]), body)
    body = re.sub(r"\n\s*", "\n", body)
    return (
        f'<svg role="img" aria-labelledby="{key}-t {key}-d" viewBox="{view}" '
        f'style="width: {box.width * 96 / 72:.0f}px" xmlns:xlink="http://www.w3.org/1999/xlink">'
        f'<title id="{key}-t">{escape(title)}</title>'
        f'<desc id="{key}-d">{escape(description)}</desc>{body.strip()}</svg>'
    )
