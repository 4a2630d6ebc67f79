"""Python loads it by itself in servers under test, which then do without two things.

jsonschema's `_format` does without `rfc3987_syntax` where it is missing; it checks the syntax of
URIs, which no test here is about, and building its grammar is half of what a server's start takes.

Jupyter asks the system for free ports, closes them, and gives them to a kernel, which binds them
later: on a busy machine somebody else has one by then. Here they are a server's own, one after the
other.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import sys

sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]  # Python then says it is missing


def take_own_ports(first: int, count: int) -> None:
    """Have whoever in this process asks for any port get the next of its own."""
    bind, turns = socket.socket.bind, itertools.count()

    def bind_own(self: socket.socket, address: object) -> None:
        if not (isinstance(address, tuple) and address[1:2] == (0,)):
            return bind(self, address)
        # Once in a round it is the system's: Jupyter asks on while it has given all of ours away.
        while (turn := next(turns) % (count + 1)) < count:
            with contextlib.suppress(OSError):
                return bind(self, (address[0], first + turn))
        return bind(self, address)

    socket.socket.bind = bind_own


if "jupyter_server" in sys.orig_argv and "KERNEL_STATUS_TEST_PORTS" in os.environ:
    take_own_ports(*map(int, os.environ["KERNEL_STATUS_TEST_PORTS"].split()))
