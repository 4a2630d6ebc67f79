"""The only place that finds out which process holds a kernel's port.

The process that was launched need not be the kernel: a shell, ``uv run`` or ``conda run`` starts
another one in it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from tornado.ioloop import IOLoop

from .table import PROC, Table

Found = Callable[[int | None], None]

_ON_LINUX = (PROC / "net" / "tcp").exists()

_ACCEPTS = "00010000"
"""Of a Unix socket: that it listens (``__SO_ACCEPTCON``)."""


class Listeners:
    """Looks for those who listen, in a thread of its own: a table of sockets may be long."""

    def __init__(self) -> None:
        """Begin without a look."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="kernel-status-listener")

    def find(self, pid: int, endpoint: str, found: Found) -> None:
        """Find out who holds an address, of a process and those below it.

        Args:
            pid: A child of ours.
            endpoint: The address, as zmq writes it.
            found: Called in the loop with the holder; None where none of them is seen to hold it.
        """
        looking = IOLoop.current().run_in_executor(self._thread, listener_below, pid, endpoint)
        looking.add_done_callback(lambda done: found(done.result()))


def listener_below(pid: int, endpoint: str) -> int | None:
    """Find who holds an address, of a process and those below it; takes some milliseconds."""
    sockets = _sockets(endpoint) if _ON_LINUX else None
    if sockets is not None and not sockets:
        return None

    def holds(each: int) -> bool:
        return _has_port(each, endpoint) if sockets is None else _has_any(each, sockets)

    if holds(pid):
        return pid
    return next((each.pid for each in Table().below(pid) if holds(each.pid)), None)


def _sockets(endpoint: str) -> set[str]:
    """Name the listening sockets of an address, as ``/proc/PID/fd`` does."""
    address = urlsplit(endpoint)
    if address.scheme == "tcp" and address.port:
        # proc(5), /proc/net/tcp: local and remote address, state (0A listens), ..., inode
        line = rb":%04X [0-9A-F]+:0000 0A \S+ \S+ \S+ +\d+ +\d+ (\d+)" % address.port
        tables = ["tcp", "tcp6"]
    else:
        path = re.escape(endpoint.partition("://")[2].encode())
        line = rb"(?m): \S+ \S+ %s \S+ \S+ +(\d+) %s$" % (_ACCEPTS.encode(), path)
        tables = ["unix"]
    found = (inode for name in tables for inode in re.findall(line, _read(PROC / "net" / name)))
    return {f"socket:[{inode.decode()}]" for inode in found}


def _has_any(pid: int, sockets: Iterable[str]) -> bool:
    folder = f"{PROC}/{pid}/fd"
    with suppress(OSError):
        for name in os.listdir(folder):  # noqa: PTH208 - it is looked through at each start
            with suppress(OSError):
                if os.readlink(f"{folder}/{name}") in sockets:  # noqa: PTH115 - likewise
                    return True
    return False


def _has_port(pid: int, endpoint: str) -> bool:
    port = urlsplit(endpoint).port
    with suppress(psutil.Error, OSError):
        process = psutil.Process(pid)
        # psutil 6 has renamed it.
        look = getattr(process, "net_connections", None) or process.connections
        held = (each.laddr.port for each in look("tcp") if each.status == psutil.CONN_LISTEN)
        return port in held
    return False


def _read(path: Path) -> bytes:
    with suppress(OSError):
        return path.read_bytes()
    return b""
