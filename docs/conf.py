"""Sphinx configuration."""

import sys
from pathlib import Path

import disentangle_indicators

sys.path.insert(0, str(Path(__file__).parent))

import built

from disentangle_indicators.supervised import METRICS

built.build()

project = "disentangle_indicators"
author = "the disentangle_indicators authors"
copyright = f"2026, {author}"
version = release = disentangle_indicators.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",
    "hooks",
    "links",
    "mathml",
]
exclude_patterns = [
    "_build",
    "joss",
    "generated/extra",
    "generated/schema_fields.md",
    "generated/metrics.md",
    "generated/metrics",
]
html_extra_path = ["generated/extra"]
templates_path = ["_templates"]
html_theme = "furo"
html_title = f"{project} {version}"
html_static_path = ["_css"]
html_css_files = ["site.css"]
nitpicky = True

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autosummary_generate = True
autosummary_context = {
    "shown_elsewhere": ", ".join([*disentangle_indicators.__all__, *METRICS]),
}
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # numpydoc sections state types, with shapes

numpydoc_show_class_members = False
numpydoc_validation_checks = {
    "GL06",  # unknown section
    "GL07",  # sections in the wrong order
    "GL08",  # no docstring
    "PR02",  # a documented parameter that does not exist
    "PR10",  # no space before the colon
    "SS01",  # no summary
    "SS06",  # summary longer than a line
}
