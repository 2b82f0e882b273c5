"""What Sphinx changes on the pages: results have attributes, and code can be scrolled by keys."""

from typing import Any

from disentangle_indicators._result import Result

SHARED = ("to_dict", "to_json", "to_markdown", "to_html", "to_frame", "to_scalars", "plot")
"""What every result can do."""

HOME = "disentangle_indicators.Scorecard"
"""The class at which these methods are described."""


def _fields(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Call the parameters of a result attributes: nobody makes a result by hand."""
    if what != "class" or not issubclass(obj, Result):
        return
    for i, line in enumerate(lines[:-1]):
        if line == "Parameters" and lines[i + 1].startswith("---"):
            lines[i : i + 2] = ["Attributes", "----------"]
    if name != HOME:
        methods = ", ".join(f":meth:`~{HOME}.{method}`" for method in SHARED)
        end = next((i for i, line in enumerate(lines) if line in HEADINGS), len(lines))
        lines[end:end] = [f"Methods of every result: {methods}.", ""]


HEADINGS = ("Attributes", "Raises", "Notes", "Examples", "See Also")


def _skip(app: Any, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Leave out fields of named tuples: the parameters describe them."""
    return True if str(getattr(obj, "__doc__", "")).startswith("Alias for field") else None


def _reachable(app: Any, page: str, template: str, context: dict[str, Any], tree: Any) -> None:
    """Let keys reach blocks of code, which scroll where they are wide, and give headings a level."""
    for part in ("body", "furo_navigation_tree"):
        for old, new in (("<pre>", '<pre tabindex="0">'), (HEADING, f'{HEADING} aria-level="2"')):
            context[part] = (context.get(part) or "").replace(old, new)


HEADING = 'role="heading"'
"""What captions of the contents have."""


def setup(app: Any) -> dict[str, bool]:
    """Change docstrings before numpydoc reads their sections, and pages before they are written."""
    app.connect("autodoc-process-docstring", _fields, priority=400)
    app.connect("autodoc-skip-member", _skip)
    app.connect("html-page-context", _reachable, priority=900)  # after the theme
    return {"parallel_read_safe": True, "parallel_write_safe": True}
