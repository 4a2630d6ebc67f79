"""The only place where tests subscribe to Jupyter's event bus from outside.

with Subscription(server) as events:
    told = events.until(lambda event: event["status"] == "dead")
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import websocket

from .server import PATIENCE, Server

Event = dict[str, Any]

OURS = "https://events.jupyter.org/kernel_status_ext/"


class Subscription:
    """A websocket of `GET /api/events/subscribe`, and all of our events that it was told."""

    def __init__(self, server: Server, timeout: float = PATIENCE) -> None:
        url = f"ws://127.0.0.1:{server.port}{server.base_url}api/events/subscribe"
        header = {"Authorization": f"token {server.token}"}
        self.told: list[Event] = []
        self._socket = websocket.create_connection(url, timeout=timeout, header=header)
        server.taken_up()

    def __enter__(self) -> Subscription:  # noqa: PYI034 - Self is younger than Python 3.10
        """Give the open subscription."""
        return self

    def __exit__(self, *_: object) -> None:
        """Hang up."""
        self._socket.close()

    def next(self) -> Event:
        """Wait for the next event of ours."""
        while True:
            event = json.loads(self._socket.recv())
            if event["schema_id"].startswith(OURS):
                self.told.append(event)
                return event

    def until(self, wanted: Callable[[Event], bool]) -> list[Event]:
        """Wait until an event is as wanted and give all until then, that one included."""
        begin = len(self.told)
        while not wanted(self.next()):
            pass
        return self.told[begin:]
