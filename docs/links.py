"""Links inside of the built pages: each one leads to a page, and to a place on it that is there.

Sphinx looks at the links that it makes itself; these are all of them, with those of the reports.
"""

import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

_LINK = re.compile(r"""<a\b[^>]*?\shref=["']([^"']*)["']""")
_FILE = re.compile(r"""<(?:img|link|script)\b[^>]*?\s(?:src|href)=["']([^"']*)["']""")
_PLACE = re.compile(r"""\s(?:id|name)=["']([^"']+)["']""")


def broken(folder: Path) -> list[str]:
    """Return the links of all pages of a folder that lead nowhere: ``page: link``."""
    pages = {path.resolve(): path.read_text(encoding="utf-8") for path in folder.rglob("*.html")}
    places = {path: set(_PLACE.findall(text)) for path, text in pages.items()}
    found = []
    for path, text in pages.items():
        for link in sorted({*_LINK.findall(text), *_FILE.findall(text)}):
            parts = urlsplit(link.replace("&amp;", "&"))
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target /= "index.html"
            place = unquote(parts.fragment)
            known = place in {"", *places.get(target, {place})}
            if not target.exists() or not known:
                found.append(f"{path.relative_to(folder.resolve())}: {link}")
    return found


def _check(app: Any, exception: Exception | None) -> None:
    from sphinx.util import logging

    if exception is None and app.builder.format == "html":
        for line in broken(Path(app.outdir)):
            logging.getLogger(__name__).warning("broken link on %s", line)


def setup(app: Any) -> dict[str, bool]:
    """Check what was built, at the end of each build."""
    app.connect("build-finished", _check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
