"""Sphinx: Markdown pages and the gallery, which runs every script when the docs are built."""

from __future__ import annotations

import importlib.metadata

project = "Theodolite"
author = "The Theodolite developers"
release = importlib.metadata.version("theodolite")

extensions = ["myst_parser", "sphinx_gallery.gen_gallery"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
suppress_warnings = ["myst.xref_missing"]  # anchors are <a id>; tests/test_documents.py checks them
exclude_patterns = ["_build", "gallery"]
html_theme = "pydata_sphinx_theme"
html_title = f"Theodolite {release}"

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "gallery_out",
    "filename_pattern": r"\.py$",
    "abort_on_example_error": True,
    "min_reported_time": 60,
}
