"""Named timers of one owner, which end together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tornado.ioloop import IOLoop


class Timers:
    """At most one timer of each name."""

    def __init__(self) -> None:
        """Begin with none."""
        self._loop = IOLoop.current()
        self._running: dict[str, Any] = {}

    def set(self, name: str, delay: float, call: Callable[[], None]) -> None:
        """Call something in so many seconds, and not what was to be called under this name."""
        self.cancel(name)
        self.set_once(name, delay, call)

    def set_once(self, name: str, delay: float, call: Callable[[], None]) -> None:
        """The same, unless something is to be called under this name already."""

        def due() -> None:
            self._running.pop(name, None)
            call()

        if name not in self._running:
            self._running[name] = self._loop.call_later(delay, due)

    def cancel(self, name: str) -> None:
        """Call nothing under this name."""
        timer = self._running.pop(name, None)
        if timer is not None:
            self._loop.remove_timeout(timer)

    def close(self) -> None:
        """Call nothing any more."""
        for name in list(self._running):
            self.cancel(name)
