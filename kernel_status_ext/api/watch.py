"""The stream of changes: who watches, and what each of them is sent."""

from __future__ import annotations

import asyncio
import json
import socket
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from logging import Logger
from typing import Any

from jupyter_server.auth.decorator import authorized
from tornado import web
from tornado.ioloop import PeriodicCallback

from .. import views
from ..core.model import Kernel
from ..tracking.inspection import Inspector
from ..tracking.merging import Gone, Merging, News
from ..tracking.tracker import Tracker
from . import sse
from .handlers import RESOURCE, WatchingHandler
from .paces import Pace, Paces

KEEP_ALIVE_EVERY = 15.0
"""Seconds between two comments."""

SEND_BUFFER = 8 * 1024
"""Bytes that the system may hold for a reader who does not read; Linux doubles them."""


@dataclass(eq=False)
class Reader:
    """Somebody who watches.

    Attributes:
        kernel_id: The only kernel that is watched; None for all.
        end: Ends the stream.
        since: The revision of the latest snapshot.
        outlet: The way out.
        pace: The figures that are wanted; None for none.
    """

    kernel_id: str | None
    end: Callable[[], None]
    since: int = 0
    outlet: sse.Outlet = field(init=False)
    pace: Pace | None = None


class Watchers:
    """All who watch; while there are none, nothing is done."""

    def __init__(self, tracker: Tracker, inspector: Inspector, limit: int, log: Logger) -> None:
        """Begin with nobody.

        Args:
            tracker: Who knows.
            inspector: Looks at processes.
            limit: How many may watch at a time.
            log: Where failures are told.
        """
        self._tracker = tracker
        self._limit = limit
        self._paces = Paces(tracker, inspector, log)
        self._readers: dict[str | None, set[Reader]] = defaultdict(set)
        self._encoded: dict[str, tuple[Kernel, bytes]] = {}
        self._merging: Merging | None = None
        self._clock = PeriodicCallback(self._keep_alive, KEEP_ALIVE_EVERY * 1000)

    def __len__(self) -> int:
        """Count those who watch."""
        return sum(map(len, self._readers.values()))

    @property
    def is_full(self) -> bool:
        """Whether nobody else may watch."""
        return len(self) >= self._limit

    # -- they come and go ----------------------------------------------------------------

    def join(self, reader: Reader, write: sse.Write, figures: float | None) -> None:
        """Send somebody a snapshot, and from now on all changes.

        Args:
            reader: Who watches.
            write: Writes bytes to them.
            figures: Seconds between two looks at processes; None for no looks.
        """
        if self._merging is None:
            self._merging = Merging(self._tracker, self._tell)
            self._clock.start()
        self._readers[reader.kernel_id].add(reader)
        reader.outlet = sse.Outlet(write, lambda: self._snapshot(reader))
        if figures is not None:
            reader.pace = self._paces.join(reader.outlet, reader.kernel_id, figures)

    def leave(self, reader: Reader) -> None:
        """Send somebody nothing more."""
        reader.outlet.close()
        readers = self._readers.get(reader.kernel_id, set())
        readers.discard(reader)
        if not readers:
            self._readers.pop(reader.kernel_id, None)
        if reader.pace is not None:
            self._paces.leave(reader.outlet, reader.pace)
        if not self._readers and self._merging is not None:
            self._merging.close()
            self._merging = None
            self._clock.stop()
            self._encoded.clear()

    def close(self) -> None:
        """End all streams: the server stops."""
        for reader in self._all():
            reader.outlet.close()
            reader.end()

    def _all(self) -> list[Reader]:
        return [each for readers in self._readers.values() for each in readers]

    # -- they are told -------------------------------------------------------------------

    def _tell(self, news: News) -> None:
        concerned = [*self._readers.get(None, ()), *self._readers.get(news.id, ())]
        if isinstance(news, Gone):
            self._encoded.pop(news.id, None)
            event = sse.event("removed", _bytes(views.removed(news.id, news.revision)))
        elif concerned:
            event = sse.event("change", self._status(news))
        for reader in concerned:
            if isinstance(news, Gone) and reader.kernel_id is not None:
                reader.outlet.end(event, reader.end)
            elif news.revision > reader.since:
                reader.outlet.send(event)

    def _snapshot(self, reader: Reader) -> Iterable[bytes]:
        reader.since = self._tracker.revision
        only = reader.kernel_id
        kernels = [each for each in self._tracker if only in (None, each.id)]
        # Kernel by kernel, so that a thousand of them are never in memory for one slow reader.
        return sse.framed("snapshot", views.snapshot(reader.since, map(self._status, kernels)))

    def _status(self, kernel: Kernel) -> bytes:
        """Encode a status, once for all readers."""
        known = self._encoded.get(kernel.id)
        if known is None or known[0] is not kernel:
            known = self._encoded[kernel.id] = (kernel, _bytes(views.status(kernel)))
        return known[1]

    def _keep_alive(self) -> None:
        for reader in self._all():
            if reader.outlet.is_idle:
                reader.outlet.send(sse.KEEP_ALIVE)


def _bytes(data: views.JSON) -> bytes:
    return json.dumps(data).encode()


class WatchHandler(WatchingHandler):
    """``GET /api/kernels/watch`` and ``/api/kernels/ID/watch``."""

    watchers: Watchers

    def initialize(self, watchers: Watchers) -> None:
        """Take all who watch."""
        self.watchers = watchers
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @web.authenticated
    @authorized(action="read", resource=RESOURCE)
    async def get(self, kernel_id: str | None = None) -> None:
        """Stream changes until the reader goes away, the kernel is removed or the server stops."""
        figures = self.number("figures", None)
        await self.meet_all()
        if kernel_id is not None:
            self.known(kernel_id)
        if self.watchers.is_full:
            message = (
                f"{len(self.watchers)} watch already, no more are allowed: try again later, "
                "or have the administrator raise KernelStatusApp.max_watchers."
            )
            self.set_header("Retry-After", "15")
            self.refuse(HTTPStatus.SERVICE_UNAVAILABLE, message, "too many watchers")
        self._begin()
        reader = Reader(kernel_id, self._end)
        self.watchers.join(reader, self.write_piece, figures)
        try:
            await self.ended
        finally:
            self.watchers.leave(reader)

    def _end(self) -> None:
        """End the stream, at once: the server may be about to stop."""
        if not self.ended.done():
            self.ended.set_result(None)
            stream = self.request.connection.stream  # type: ignore[union-attr]
            self.finish().add_done_callback(lambda _: stream.close())

    def _begin(self) -> None:
        # Its end is the stream's, also for HTTP/1.0; and nobody else is to have this small buffer.
        self.set_header("Connection", "close")
        self.begin_stream()
        stream: Any = self.request.connection.stream  # type: ignore[union-attr]
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)

    def on_connection_close(self) -> None:
        """Send nothing more to somebody who hung up."""
        if not self.ended.done():
            self.ended.set_result(None)
