"""The only place where tests read Server-Sent Events.

    with Stream(server, "api/kernels/watch", figures=2) as stream:
        snapshot = stream.next()
        dead = stream.until(lambda event: event.data.get("status") == "dead")

A thread reads, so that a test waits with a limit and a server never waits for a test.
"""

from __future__ import annotations

import contextlib
import json
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx

from .patience import PATIENCE

if TYPE_CHECKING:
    from .server import Server

EVENT_STREAM = "text/event-stream"
"""The content type of what is read here."""

COMMENT = ":"
"""The name under which a comment comes out of the parser: no event can have it."""


@dataclass(frozen=True)
class Event:
    """One event of a stream."""

    name: str
    data: Any
    """Its JSON, read; a comment's text."""
    id: str | None = None
    """The last `id` that the stream has given."""
    at: float = field(default_factory=time.monotonic, compare=False)
    """When it was read here."""


class StreamEnded(AssertionError):
    """The server ended the stream, and nothing of it is left to be read."""


def parse(lines: Iterable[str]) -> Iterator[Event]:
    """Make events of lines, as the standard says (WHATWG HTML, 9.2.6); comments come, too."""
    name, data, last = "", [], None
    for line in lines:
        key, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if line.startswith(":"):
            yield Event(COMMENT, value)
        elif key == "data":
            data.append(value)
        elif key == "event":
            name = value
        elif key == "id":
            last = value
        elif not line:
            if data:
                yield Event(name or "message", json.loads("\n".join(data)), last)
            name, data = "", []


class Stream:
    """A stream of events, read by a thread until it ends or is closed.

    Args:
        server: the server to ask.
        path: the path below its base_url.
        headers: more headers.
        params: the query.
    """

    def __init__(
        self, server: Server, path: str, headers: dict[str, str] | None = None, **params: object
    ) -> None:
        self._call = server.http.stream(
            "GET",
            path,
            params=params or None,
            headers={"Accept": EVENT_STREAM} | (headers or {}),
            timeout=httpx.Timeout(60, read=None),
        )
        self._events: queue.Queue[Event | None] = queue.Queue()
        self._comments: queue.Queue[Event | None] = queue.Queue()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self.broken: Exception | None = None
        """What ended the stream when it was not its regular end."""

    def __enter__(self) -> Stream:  # noqa: PYI034 - Self is younger than Python 3.10
        """Give the open stream; what is no stream is an AssertionError."""
        self.response = self._call.__enter__()
        if self.response.status_code != 200:
            self.response.read()
            self._call.__exit__(None, None, None)
            raise AssertionError(f"{self.response.status_code}: {self.response.text[:600]}")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Hang up."""
        self.hang_up()
        self._thread.join(PATIENCE)
        self._call.__exit__(None, None, None)

    def hang_up(self) -> None:
        """Close the connection as a client does that goes away."""
        sock = self.response.extensions["network_stream"].get_extra_info("socket")
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)

    def _read(self) -> None:
        try:
            for event in parse(self.response.iter_lines()):
                (self._comments if event.name == COMMENT else self._events).put(event)
        except (httpx.TransportError, httpx.StreamError, ValueError, AssertionError) as error:
            self.broken = error
        self._events.put(None)
        self._comments.put(None)

    def next(self, timeout: float = PATIENCE) -> Event:
        """Wait for the next event that is no comment.

        Raises:
            StreamEnded: there is none and none comes.
            AssertionError: none came within `timeout` seconds.
        """
        return self._take(self._events, timeout)

    def comment(self, timeout: float = PATIENCE) -> str:
        """Wait for the next comment; raises as `next` does."""
        return self._take(self._comments, timeout).data

    def _take(self, source: queue.Queue[Event | None], timeout: float) -> Event:
        try:
            event = source.get(timeout=timeout)
        except queue.Empty:
            raise AssertionError(f"nothing came within {timeout} s") from None
        if event is None:
            source.put(None)  # for those who ask again
            if isinstance(self.broken, AssertionError):
                raise self.broken
            raise StreamEnded(f"the stream ended: {self.broken or 'regularly'}")
        return event

    def until(self, wanted: Callable[[Event], bool], timeout: float = PATIENCE) -> Event:
        """Read on to the first event that is wanted and give it; raises as `next` does."""
        deadline = time.monotonic() + timeout
        seen = []
        while not wanted(event := self._before(deadline, seen)):
            seen.append(event)
        return event

    def _before(self, deadline: float, seen: list[Event]) -> Event:
        left = deadline - time.monotonic()
        try:
            return self.next(max(left, 0.0))
        except AssertionError as error:
            raise type(error)(f"{error}; came before: {seen}") from None

    def ended(self, timeout: float = PATIENCE) -> list[Event]:
        """Wait for the stream's end and give what came before it."""
        deadline, rest = time.monotonic() + timeout, []
        with contextlib.suppress(StreamEnded):
            while True:
                rest.append(self.next(max(deadline - time.monotonic(), 0.0)))
        return rest
