"""How much of a kernel's iopub is listened to: all of it, but in a flood only its statuses.

A kernel that prints thousands of lines would have its final idle wait behind them. Where all
statuses of a kernel come under one topic (``kernel.<id>.status`` in ipykernel; the protocol
promises none) a flood is answered by unsubscribing from the rest for a moment. Then everything
is listened to again, for ``last_activity`` lives from output, too.
"""

from __future__ import annotations

import time
from typing import Any

import zmq
from tornado.ioloop import IOLoop

FLOOD = 50
"""Messages that are no status, since everything was listened to, that make a flood."""

CALM = 0.1
"""Seconds after which their count begins anew."""

PAUSE = 0.5
"""Seconds for which only statuses are listened to."""

EVERYTHING = b""


class Attention:
    """The subscriptions of one SUB socket that is subscribed to everything."""

    def __init__(self, socket: zmq.Socket[Any]) -> None:
        """Listen to everything."""
        self._socket = socket
        self._loop = IOLoop.current()
        self._topic: bytes | None = None
        self._unreliable = False
        self._count = 0
        self._since = 0.0
        self._pause: Any = None
        self._held_for: set[str] = set()

    def hold(self, run_id: str) -> bool:
        """Listen to everything while a run is under way, also in a flood.

        Returns:
            Whether everything was listened to before; if not, the kernel has to hear of it first.
        """
        self._held_for.add(run_id)
        if self._pause is None:
            return True
        self._loop.remove_timeout(self._pause)
        self._listen()
        return False

    def release(self, run_id: str) -> None:
        """Note that a run is over."""
        self._held_for.discard(run_id)

    def status(self, topic: bytes) -> None:
        """Learn under which topic statuses come; a kernel with several is always heard whole."""
        if self._topic is None and topic != EVERYTHING:
            self._topic = topic
            self._socket.setsockopt(zmq.SUBSCRIBE, topic)
        elif topic != self._topic:
            self._unreliable = True

    def other(self) -> bool:
        """Count a message that is no status, and turn away from a flood.

        Returns:
            Whether this is a flood.
        """
        now = time.monotonic()
        if now - self._since > CALM:
            self._since, self._count = now, 0
        self._count += 1
        flood = self._count >= FLOOD
        may_pause = self._pause is None and not self._held_for
        if flood and self._topic and not self._unreliable and may_pause:
            self._socket.setsockopt(zmq.UNSUBSCRIBE, EVERYTHING)
            self._pause = self._loop.call_later(PAUSE, self._listen)
        return flood

    def _listen(self) -> None:
        self._pause, self._count = None, 0
        self._socket.setsockopt(zmq.SUBSCRIBE, EVERYTHING)

    def close(self) -> None:
        """Change nothing any more; the socket is about to be closed."""
        if self._pause is not None:
            self._loop.remove_timeout(self._pause)
            self._pause = None
