"""The only place that tells the open websockets of a kernel what becomes of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from ..core.model import Kernel
from ..core.words import RequestedBy, Status
from ..tracking.tracker import Change, Tracker

NORMAL, GOING_AWAY, FAILED, COME_AGAIN = 1000, 1001, 1011, 1012
"""Close codes (RFC 6455, section 7.4.1, IANA): asked for, the server ends, the kernel died by
itself, it was started anew at other addresses."""

CLOSE_TEXT = 123
"""Bytes of UTF-8 that a close frame holds beside its code (RFC 6455, section 5.5)."""

COMING_BACK = (Status.RESTARTING, Status.AUTORESTARTING)


def close_text(reason: str) -> str:
    """Cut a reason to what a close frame holds, between two characters.

    >>> len(close_text("é" * 100).encode())
    122
    """
    return reason.encode()[:CLOSE_TEXT].decode(errors="ignore")


Announce = Callable[[str, Callable[[], bool]], None]


class Clients:
    """The open websocket connections of all kernels."""

    def __init__(self, tracker: Tracker, announce: Announce) -> None:
        """Begin with none.

        Args:
            tracker: Tells what becomes of kernels.
            announce: Has a kernel publish something until everybody has heard it.
        """
        self._tracker = tracker
        self._announce = announce
        self._open: defaultdict[str, set[Any]] = defaultdict(set)
        tracker.listen(self._changed)

    def opened(self, kernel_id: str, connection: Any) -> Kernel | None:
        """Tell a new connection what its kernel does; it may have died during the upgrade.

        Args:
            kernel_id: The kernel.
            connection: What is open, a ``TellingConnection``.

        Returns:
            The kernel.
        """
        kernel = self._tracker.get(kernel_id)
        if kernel is None:
            return None
        self._open[kernel_id].add(connection)
        if kernel.status is Status.DEAD:
            connection.end(FAILED, close_text(kernel.reason))
        else:
            connection.tell_state(kernel)
        return kernel

    def closed(self, kernel_id: str, connection: Any) -> None:
        """Forget a connection."""
        self._open[kernel_id].discard(connection)
        if not self._open[kernel_id]:
            del self._open[kernel_id]

    def _changed(self, change: Change) -> None:
        before, after = change.before, change.after
        kernel = after or before
        if before is None or kernel is None or kernel.id not in self._open:
            return
        if after is None or after.status is Status.DEAD:
            for connection in tuple(self._open[kernel.id]):
                connection.end(_code(before, after), close_text(kernel.reason))
        elif before.status in COMING_BACK and after.status is Status.CONNECTED:
            self._came_back(after)

    def _came_back(self, kernel: Kernel) -> None:
        """Tell each connection when it hears the new process: what it asks before would be lost."""
        for connection in tuple(self._open[kernel.id]):
            if connection.has_moved:
                connection.end(COME_AGAIN, "The kernel has other addresses: connect again.")
            else:
                connection.await_iopub()

        def all_heard() -> bool:
            return not any(each.waits_for_iopub for each in self._open.get(kernel.id, ()))

        self._announce(kernel.id, all_heard)


def _code(before: Kernel, after: Kernel | None) -> int:
    if before.requested_by is RequestedBy.SERVER_STOP:
        return GOING_AWAY
    asked_for = after is None or before.status is Status.TERMINATING
    return NORMAL if asked_for else FAILED
