"""What somebody who watches a server's kernels knows, and a reader of that who takes its time.

    mirror = Mirror()
    with Stream(server, "api/kernels/watch") as stream:
        mirror.follow(stream, lambda: mirror.kernels == present(server))

The servers that are fed need `FEEDING` in their configuration.
"""

from __future__ import annotations

import http.client
import json
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from .server import PATIENCE, Server
from .sse import Event, Stream, parse

WATCH = "api/kernels/watch"

FEEDING = {"jpserver_extensions": {"feeding_extension": True}}
"""For the `ServerApp` of a server whose kernels are fed by the test."""

CONNECTED = (("started", {"pid": None}), ("answered", {}))
BEGAN, ENDED = ("began", {}), ("ended", {})
SILENT, HEARD = ("silent", {}), ("heard", {})
BLOCKED, UNBLOCKED = ("blocked", {}), ("unblocked", {})

News = tuple[str, dict[str, Any]]


def _feed(server: Server, call: str, kernels: Sequence[str], **arguments: object) -> None:
    body = {"call": call, "with": {"kernels": list(kernels), **arguments}}
    assert server.post("feed", body) == {}


def born(server: Server, *kernels: str) -> tuple[str, ...]:
    """Feed connected, idle kernels that have no process."""
    _feed(server, "add", kernels)
    tell(server, kernels, *CONNECTED)
    return kernels


def tell(
    server: Server, kernels: Sequence[str], *news: News, times: int = 1, remove: bool = False
) -> None:
    """Feed what happens to these kernels, all of it in one turn of the server's loop."""
    _feed(server, "tell", kernels, news=list(news), times=times, remove=remove)


def remove(server: Server, *kernels: str) -> None:
    """Feed that these kernels are gone."""
    _feed(server, "remove", kernels)


def by_id(kernels: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The same statuses by the kernels' ids, of which none comes twice."""
    found = {kernel["id"]: kernel for kernel in kernels}
    assert len(found) == len(kernels)
    return found


def present(server: Server) -> dict[str, dict[str, Any]]:
    """All kernels as a new reader is told at once."""
    with Stream(server, WATCH) as stream:
        return by_id(stream.next().data["kernels"])


class Mirror:
    """The kernels as a stream tells them; what cannot follow from what came before fails."""

    def __init__(self) -> None:
        self.kernels: dict[str, dict[str, Any]] = {}
        self.told: list[Event] = []
        self.revision = -1
        """The latest of all."""

    def take(self, event: Event) -> None:
        """Apply an event."""
        self.told.append(event)
        if event.name in ("snapshot", "change", "removed"):
            getattr(self, f"_{event.name}")(event.data)

    def _snapshot(self, data: dict[str, Any]) -> None:
        assert set(data) == {"revision", "kernels"}
        assert data["revision"] >= self.revision
        self.kernels = by_id(data["kernels"])
        self.revision = max([data["revision"], *(each["revision"] for each in data["kernels"])])

    def _change(self, kernel: dict[str, Any]) -> None:
        assert self.told[0].name == "snapshot"
        before = self.kernels.get(kernel["id"], {"revision": -1})
        assert kernel["revision"] > before["revision"], f"{kernel} after {before}"
        self.kernels[kernel["id"]] = kernel
        self.revision = max(self.revision, kernel["revision"])

    def _removed(self, data: dict[str, Any]) -> None:
        assert set(data) == {"id", "revision"}
        assert data["revision"] > self.kernels.pop(data["id"])["revision"]
        self.revision = max(self.revision, data["revision"])

    def follow(self, stream: Stream, until: Callable[[], bool], timeout: float = PATIENCE) -> None:
        """Take events of a stream until something is true."""

        def taken(event: Event) -> bool:
            self.take(event)
            return until()

        stream.until(taken, timeout)

    def changes_of(self, kernel: str) -> list[dict[str, Any]]:
        """The changes of one kernel that were told, in their order."""
        return [
            event.data
            for event in self.told
            if event.name == "change" and event.data["id"] == kernel
        ]

    def snapshots(self) -> int:
        """How many there were."""
        return sum(event.name == "snapshot" for event in self.told)


class SlowReader:
    """A client with a small window that reads nothing, not even the headers, unless it is told.

    Args:
        server: the server to ask.
        path: the path below its base_url.
        version: of HTTP.
    """

    def __init__(self, server: Server, path: str = WATCH, version: str = "1.1") -> None:
        self.port = server.port
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(("127.0.0.1", server.port))
        self.room = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        """Bytes that the system may hold on this side."""
        lines = (
            f"GET {server.base_url}{path} HTTP/{version}",
            "Host: localhost",
            f"Authorization: token {server.token}",
        )
        self.sock.sendall("\r\n".join((*lines, "", "")).encode())
        self.taken = 0
        """Bytes of the stream that were read."""
        self.meanwhile: Callable[[], object] = lambda: None
        """Called after each piece that was read."""

    def waiting(self) -> int:
        """Bytes that the system holds for this reader on the server's side."""
        mine = f":{self.sock.getsockname()[1]:04X}"
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            _, local, remote, _, queues = line.split()[:5]
            if local.endswith(f":{self.port:04X}") and remote.endswith(mine):
                return int(queues.split(":")[0], 16)
        raise AssertionError(f"no connection of {mine}")

    def events(self) -> Iterator[Event]:
        """Read on, from the headers; a stream that is silent for long is an error."""
        self.response = http.client.HTTPResponse(self.sock, method="GET")
        self.response.begin()
        assert self.response.status == 200
        return parse(self._lines(self.response))

    def _lines(self, response: http.client.HTTPResponse) -> Iterator[str]:
        rest = b""
        while piece := response.read1(4096):
            self.taken += len(piece)
            self.meanwhile()
            *lines, rest = (rest + piece).split(b"\n")
            yield from (line.decode() for line in lines)

    def vanish(self) -> None:
        """Be gone at once, without a word."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self) -> None:
        """Hang up."""
        self.sock.close()


def catch_up(events: Iterator[Event], mirror: Mirror, server: Server) -> None:
    """Read on until what is known is true."""
    truth = present(server)
    try:
        while mirror.kernels != truth:
            mirror.take(next(events))
    except (TimeoutError, StopIteration):
        wrong = {key for key in truth | mirror.kernels if mirror.kernels.get(key) != truth.get(key)}
        told = json.dumps([mirror.told[-1].name, mirror.told[-1].data])[:500]
        raise AssertionError(f"never true: {sorted(wrong)[:5]}; last told {told}") from None
