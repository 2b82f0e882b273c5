"""Sphinx configuration."""

import disentangle_indicators

project = "disentangle_indicators"
author = "the disentangle_indicators authors"
copyright = f"2026, {author}"
version = release = disentangle_indicators.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "myst_parser",
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]
html_theme = "furo"
html_title = f"{project} {version}"

myst_enable_extensions = ["amsmath", "dollarmath", "deflist"]
myst_heading_anchors = 3

autosummary_generate = True
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
