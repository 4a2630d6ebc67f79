"""Restarts and shutdowns of one kernel take turns; Jupyter's own would launch two processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar

_mine: ContextVar[object | None] = ContextVar("kernel_status_turn", default=None)


class Turn:
    """A lock that whoever holds it may take again, in the tasks it awaits too."""

    def __init__(self) -> None:
        """Begin free."""
        self._lock = asyncio.Lock()
        self._holder: object | None = None

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Wait for the turn and hold it."""
        if self._holder is not None and _mine.get() is self._holder:
            yield
            return
        async with self._lock:
            self._holder = object()
            token = _mine.set(self._holder)
            try:
                yield
            finally:
                _mine.reset(token)
                self._holder = None
