"""The only place that wakes threads which read from a server while another closes their client."""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from weakref import WeakSet

OPENED = (".connect_tcp.complete", ".connect_unix_socket.complete", ".start_tls.complete")
"""How the events end by which httpcore tells of a new connection: "trace" in its documentation."""


class Sockets:
    """The sockets of one client; closing a socket alone does not wake who reads from it."""

    def __init__(self) -> None:
        """Begin with none."""
        self._known: WeakSet[socket.socket] = WeakSet()
        self._are_shut = False
        self._lock = threading.Lock()

    def note(self, event: str, told: Mapping[str, Any]) -> None:
        """Note a connection.

        Args:
            event: What has happened.
            told: What came of it: the connection as ``return_value``.
        """
        if not event.endswith(OPENED):
            return
        with self._lock:
            opened = told["return_value"].get_extra_info("socket")
            if not isinstance(opened, socket.socket):  # of somebody's own transport
                return
            self._known.add(opened)
            if self._are_shut:
                _shut(opened)

    def shut(self) -> None:
        """Shut all, also those that are still being opened."""
        with self._lock:
            self._are_shut = True
            for each in self._known:
                _shut(each)


def _shut(each: socket.socket) -> None:
    with suppress(OSError):  # it is closed, or was never connected
        # Not each.shutdown: that of TLS first forgets its state, which the reader needs.
        socket.socket.shutdown(each, socket.SHUT_RDWR)
