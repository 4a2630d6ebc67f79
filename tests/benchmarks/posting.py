"""A plain client of `POST /api/kernels/ID/runs`: one connection that stays open, and its streams."""

from __future__ import annotations

import json
import re
import time
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException

from .measurement import RoundFailedError
from .server import Server

PIECE = 64 * 1024
TIMEOUT = 120.0
EVENT = re.compile(rb"id: \d+\nevent: ([a-z]+)\ndata: (.*)\n\n")
DONE = b"\nevent: done\n"


class Poster:
    """A client as anybody would write it with the standard library."""

    def __init__(self, server: Server, kernel_id: str) -> None:
        """Say whose kernel it is; the first request connects."""
        self._connection = HTTPConnection(server.url.removeprefix("http://"), timeout=TIMEOUT)
        self._path = f"/api/kernels/{kernel_id}/runs"
        self._headers = {
            "Authorization": f"token {server.process.token}",
            "Content-Type": "application/json",
            "Accept": "text/event-stream",
        }

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def round_trip(self, code: str) -> float:
        """Return the seconds until a run's `done` has come."""
        return self.execute(code)[0]

    def execute(self, code: str) -> tuple[float, str]:
        """Return the same, and what the code wrote to stdout."""
        try:
            taken, told = self._stream(json.dumps({"code": code}).encode())
        except HTTPException as error:
            raise RoundFailedError(f"{self._path}: {type(error).__name__} {error}") from error
        events = [(name.decode(), json.loads(data)) for name, data in EVENT.findall(told)]
        if not events or not events[-1][1].get("success"):
            raise RoundFailedError(f"{self._path}: a run did not end well: {events[-3:]}")
        return taken, "".join(data["data"] for name, data in events if name == "stdout")

    def _stream(self, body: bytes) -> tuple[float, bytes]:
        """Send a run; return the seconds until its last event, and all that came."""
        told = bytearray()
        sent = time.perf_counter()
        self._connection.request("POST", self._path, body, self._headers)
        response = self._connection.getresponse()
        while piece := response.read1(PIECE):
            told += piece
            if told.endswith(b"\n\n") and DONE in told[told.rfind(b"\n\nid: ") :]:
                break
        taken = time.perf_counter() - sent
        told += response.read()
        if response.status != HTTPStatus.OK:
            raise RoundFailedError(f"{self._path}: {response.status} {bytes(told)[:300]!r}")
        return taken, bytes(told)
