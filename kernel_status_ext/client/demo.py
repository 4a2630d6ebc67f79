"""The only place that runs the demo: its server, its memory group and its acts, in their order."""

from __future__ import annotations

import importlib.util
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TextIO

from .acts import acts
from .errors import DemoError
from .lines import Lines
from .memory_group import memory_group
from .server import temporary_server
from .stage import Stage


def run(out: TextIO | None = None) -> None:
    """Show a kernel's life, from its start to its end, on a server that is made for it.

    Args:
        out: Where it is shown; stdout by default.

    Raises:
        DemoError: Something did not happen as promised, or is missing; says what and what to do.
    """
    _check_needs()
    lines = Lines.to(out or sys.stdout)
    lines.remark("Starting a Jupyter server in a temporary folder ...")
    # Pool and group stand outside: calls and kernels end with the server.
    with ThreadPoolExecutor() as pool, memory_group() as group, temporary_server() as server:
        stage = Stage(server, pool, lines)
        lines.remark("Each line below is a change, as GET .../wait?since=REVISION told it:")
        lines.columns()
        for number, (headline, act) in enumerate(acts(group), 1):
            lines.headline(f"{number}. {headline}")
            act(stage)
    lines.headline("That was all: the server is stopped and its folder is removed.")


def _check_needs() -> None:
    if os.name != "posix":
        raise DemoError("The demo kills a process with SIGKILL: it needs Linux, macOS or the like.")
    if importlib.util.find_spec("ipykernel") is None:
        raise DemoError("The demo needs a Python kernel, and there is none: pip install ipykernel")
