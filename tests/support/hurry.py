"""An event loop whose clock moves on at once when there is nothing to do but to wait.

with hurried() as loop:
    loop.run_until_complete(scene())
"""

from __future__ import annotations

import asyncio
import contextlib
import selectors
from collections.abc import Iterator
from unittest import mock

from tornado.ioloop import IOLoop


class HurriedLoop(asyncio.SelectorEventLoop):
    """Its time is that of its timers: none of them takes any."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(_HurriedSelector(self))

    def time(self) -> float:
        """Tell the time."""
        return self.now

    async def reach(self, moment: float) -> None:
        """Let everything happen that happens until then, and at that moment."""
        reached = self.create_future()
        self.call_at(moment, reached.set_result, None)
        await reached
        for _ in range(3):
            await asyncio.sleep(0)


class _HurriedSelector(selectors.DefaultSelector):
    def __init__(self, loop: HurriedLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Do not wait: it is later by then."""
        assert timeout is not None, "nothing will ever happen in this loop"
        self._loop.now += timeout
        return super().select(0)


@contextlib.contextmanager
def hurried() -> Iterator[HurriedLoop]:
    """A loop of that kind, closed at the end; all clocks for intervals go with it."""
    loop = HurriedLoop()
    with (
        contextlib.closing(loop),
        mock.patch.object(IOLoop, "time", new=loop.time),
        mock.patch("time.monotonic", new=loop.time),
    ):
        yield loop
