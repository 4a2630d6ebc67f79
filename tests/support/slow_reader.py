"""A reader of a stream who reads as fast as the test wants, and what was read."""

from __future__ import annotations

import asyncio
from asyncio import Future
from typing import Any

from kernel_status_ext.api.sse import Playback

from .sse import parse


class Reader:
    """Somebody who reads as fast as the test wants."""

    def __init__(self, *, reads: bool = True) -> None:
        """Begin to read at once, or not at all."""
        self.loop = asyncio.new_event_loop()
        self.pieces: list[bytes] = []
        self.untaken: list[Future[None]] = []
        self.reads = reads
        self.has_ended = 0
        self.sent_away = 0
        self.out = Playback(self.write, self._end)

    def write(self, piece: bytes) -> Future[None]:
        """Take a piece, now or later."""
        self.pieces.append(piece)
        written = self.loop.create_future()
        if self.reads:
            written.set_result(None)
        else:
            self.untaken.append(written)
        return written

    def _end(self) -> None:
        self.has_ended += 1

    def send_away(self) -> None:
        """Note that the connection was closed."""
        self.sent_away += 1

    def take(self) -> None:
        """Read whatever is written until there is nothing more."""
        while self.untaken:
            self.untaken.pop(0).set_result(None)
            self.loop.run_until_complete(asyncio.sleep(0))

    def take_one(self) -> None:
        """Read one piece."""
        self.untaken.pop(0).set_result(None)
        self.loop.run_until_complete(asyncio.sleep(0))

    def hang_up(self) -> None:
        """Go away while something is being written."""
        self.untaken.pop(0).set_exception(OSError("gone"))
        self.loop.run_until_complete(asyncio.sleep(0))

    @property
    def bytes(self) -> bytes:
        """All that was read."""
        return b"".join(self.pieces)


def events(raw: bytes) -> list[tuple[str, int, Any]]:
    """Read events: name, id, data."""
    return [(each.name, int(each.id or 0), each.data) for each in parse(raw.decode().split("\n"))]
