"""Formulas as MathML, which browsers draw without a script and without a network."""

from html import escape
from typing import Any


def _inline(self: Any, node: Any) -> None:
    from docutils.nodes import SkipNode

    self.body.append(_mathml(node.astext(), "inline"))
    raise SkipNode


def _block(self: Any, node: Any) -> None:
    from docutils.nodes import SkipNode

    self.body.append(
        '<div class="formula" tabindex="0" style="overflow-x: auto; overflow-y: hidden">'
    )
    for part in filter(str.strip, node.astext().split("\n\n")):
        self.body.append(_mathml(part, "block"))
    self.body.append("</div>\n")
    raise SkipNode


def _mathml(latex: str, display: str) -> str:
    from latex2mathml.converter import convert

    known = latex.replace(r"\arg", r"\operatorname{arg}")
    made = convert(known, display=display)
    return made.replace("<math ", f'<math alttext="{escape(latex, quote=True)}" ', 1)


def setup(app: Any) -> dict[str, bool]:
    """Replace how HTML shows formulas."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    app.config.html_math_renderer = "mathml"
    return {"parallel_read_safe": True, "parallel_write_safe": True}
