"""The only place that says where the files lie that a browser gets."""

from __future__ import annotations

from pathlib import Path

TEMPLATES = Path(__file__).parent / "templates"
"""What pages are made of."""

STATIC = Path(__file__).parent / "static"
"""Scripts and styles; in a folder of their own, for Jupyter Server remembers by relative path alone
where a static file lies (jupyter_server 2.21, FileFindHandler), whichever extension it is of."""
