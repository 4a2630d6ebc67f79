"""The only place that keeps the command line from loading what it has no use for.

httpx 0.28, `__init__`: it loads its own command line where click, rich and pygments are installed,
which takes longer than all the rest of it, and does without where that fails. So only our own
command line is to import this, first of all: a program that uses the library has httpx as it is.
"""

from __future__ import annotations

import sys
from typing import Any, cast

ITS_COMMAND_LINE = "httpx._main"

if "httpx" not in sys.modules:
    # None makes Python's import fail: its reference, 5.3.1 "The module cache".
    cast("Any", sys.modules)[ITS_COMMAND_LINE] = None
    import httpx  # noqa: F401 - to have it loaded so

    del sys.modules[ITS_COMMAND_LINE]
