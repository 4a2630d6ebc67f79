"""How the documentation is built: ``sphinx-build -W docs docs/_build``."""

project = "kernel_status_ext"
author = "The kernel_status_ext developers"
extensions = ["myst_parser"]
exclude_patterns = ["_build"]
html_theme = "alabaster"
myst_heading_anchors = 3
