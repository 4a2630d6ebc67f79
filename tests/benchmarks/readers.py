"""Many readers of `/api/kernels/watch` in one thread, on sockets that are theirs alone."""

from __future__ import annotations

import json
import re
import selectors
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from types import TracebackType
from typing import Any

from .measurement import RoundFailedError
from .server import Server

PIECE = 64 * 1024
LIMIT = 60.0
PATIENCE = 0.2
END = b"\n\n"
EVENT = re.compile(rb"event: ([a-z]+)\ndata: (.*)")

Event = tuple[str, Any]
"""Its name and its data."""

Wanted = Callable[[Event], bool]


@dataclass(eq=False)
class Reader:
    """One connection, and what of an event has come of it."""

    socket: socket.socket
    rest: bytes = b""


Read = tuple[Reader, float, Event]
"""Who has read what, and when: `time.time()`, as the server tells it."""


@dataclass
class Heard:
    """Which readers have come to a wanted event, and when."""

    wanted: Wanted
    event: Event = ("", None)
    at: dict[Reader, float] = field(default_factory=dict)

    def take(self, reader: Reader, at: float, event: Event) -> None:
        """Note what a reader has read if it is the first that is wanted."""
        if reader not in self.at and self.wanted(event):
            self.event = event
            self.at[reader] = at

    @property
    def first(self) -> float:
        """When the first reader had it."""
        return min(self.at.values())

    @property
    def last(self) -> float:
        """When the last reader had it."""
        return max(self.at.values())


class Readers:
    """Readers who read only when they are told to; a context manager.

    Args:
        server: the server to ask.
        count: how many.
        query: the query of their request.
        receive_buffer: bytes that the system holds for each here; None for its own choice.
    """

    def __init__(
        self, server: Server, count: int, *, query: str = "", receive_buffer: int | None = None
    ) -> None:
        """Ask; nothing is read yet."""
        self.host, port = server.url.removeprefix("http://").split(":")
        self.port = int(port)
        self._selector = selectors.DefaultSelector()
        self._readers: list[Reader] = []
        try:
            for _ in range(count):
                reader = Reader(self._ask(server.process.token, query, receive_buffer))
                self._readers.append(reader)
                self._selector.register(reader.socket, selectors.EVENT_READ, reader)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Readers:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Hang up."""
        self.close()

    def close(self) -> None:
        """Hang up."""
        for reader in self._readers:
            reader.socket.close()
        self._selector.close()

    def ports(self) -> list[int]:
        """Return the ports of this side, by which the connections can be found at the other."""
        return [int(reader.socket.getsockname()[1]) for reader in self._readers]

    def hear(self, *wanted: Wanted, limit: float = LIMIT) -> list[Heard]:
        """Read until every reader has come to an event of each kind that is wanted; return these."""
        heard = [Heard(each) for each in wanted]
        deadline = time.monotonic() + limit
        while missing := sum(len(self._readers) - len(each.at) for each in heard):
            if time.monotonic() > deadline:
                raise RoundFailedError(f"{missing} events were waited for in vain for {limit:g} s")
            for reader, at, event in self._ready(PATIENCE):
                for each in heard:
                    each.take(reader, at, event)
        return heard

    def read_for(self, seconds: float) -> list[Read]:
        """Read what comes in so many seconds, and return it."""
        deadline = time.monotonic() + seconds
        read: list[Read] = []
        while (left := deadline - time.monotonic()) > 0:
            read += self._ready(left)
        return read

    def _ready(self, patience: float) -> Iterator[Read]:
        """Read what is there, or comes soon; the time is taken before anything is decoded."""
        for key, _ in self._selector.select(patience):
            reader: Reader = key.data
            data = reader.socket.recv(PIECE)
            at = time.time()
            if not data:
                raise RoundFailedError("the server has ended a stream")
            whole, _, reader.rest = (reader.rest + data).rpartition(END)
            for event in _events(whole):
                yield reader, at, event

    def _ask(self, token: str, query: str, receive_buffer: int | None) -> socket.socket:
        """Return a connection on which the server streams."""
        opened = socket.socket()
        if receive_buffer is not None:  # later it would not limit the window
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        opened.connect((self.host, self.port))
        head = [
            f"GET /api/kernels/watch{query} HTTP/1.1",
            f"Host: {self.host}:{self.port}",
            f"Authorization: token {token}",
            "Accept: text/event-stream",
        ]
        opened.sendall("\r\n".join([*head, "", ""]).encode())
        opened.setblocking(False)
        return opened


@lru_cache(maxsize=64)
def _events(text: bytes) -> tuple[Event, ...]:
    """Decode whole events, once for all readers: they are sent the same bytes."""
    # Between them stand the lengths of HTTP's chunks, and in a long one, too.
    found = EVENT.findall(re.sub(rb"\r\n[0-9a-f]+\r\n", b"", text))
    return tuple((name.decode(), json.loads(data)) for name, data in found)
