"""Who in this server follows a kernel by asking its manager or its client whether it is alive.

nbclient, and Voila by it, asks once a second and raises only if it asks while the process is dead:
a restart at once would hide the death from it, and it would wait for its reply for ever.
"""

from __future__ import annotations

import math
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

LOOK = 2.0
"""Seconds within which whoever polls has looked; a restart leaves them so much time."""

_by_jupyter: ContextVar[bool] = ContextVar("kernel_status_by_jupyter", default=False)


@contextmanager
def asked_by_jupyter() -> Iterator[None]:
    """Record that Jupyter's restarter, or this package, asks inside whether a kernel is alive."""
    token = _by_jupyter.set(True)
    try:
        yield
    finally:
        _by_jupyter.reset(token)


class Pollers:
    """Those who follow one kernel."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self._clients: weakref.WeakSet[Any] = weakref.WeakSet()
        self._asked = -math.inf

    def client_made(self, client: Any) -> None:
        """Note a client that the kernel's manager has made."""
        self._clients.add(client)

    def asked(self) -> None:
        """Note that somebody asked the kernel's manager whether it is alive."""
        if not _by_jupyter.get():
            self._asked = time.monotonic()

    def __bool__(self) -> bool:
        """Tell whether there is anybody: a client with open channels, or who asked a moment ago."""
        if time.monotonic() - self._asked < LOOK:
            return True
        # jupyter_client 8.10, KernelClient.channels_running
        return any(client.channels_running for client in self._clients)
