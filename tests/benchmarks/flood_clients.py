"""The clients that make kernels flood, and hear apart from the server how each one ends."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from threading import Event

import zmq

from .observer import Observer

CONNECT = 0.3
Times = dict[str, float]


class FloodClients:
    """A shell client and a status subscriber for each kernel; one thread runs them all.

    `replies` and `published` say at which `time.perf_counter()` a kernel's own execute_reply and the
    `idle` of that request came; they grow while `run` runs.
    """

    def __init__(self, connection_files: Mapping[str, Path]) -> None:
        """Connect to the kernels."""
        self.replies: Times = {}
        self.published: Times = {}
        self._requests: dict[str, str] = {}
        self._clients = {name: Observer(path) for name, path in connection_files.items()}
        self._owners: dict[zmq.Socket[bytes], str] = {}
        self._poller = zmq.Poller()
        for name, client in self._clients.items():
            # ipykernel's topic for everything but streams: the subscriber adds no load of its own.
            for channel in (client.socket, client.subscribe(b"kernel.")):
                self._owners[channel] = name
                self._poller.register(channel, zmq.POLLIN)
        time.sleep(CONNECT)

    def run(self, code: str, stop: Event) -> None:
        """Let every kernel run the code and note how each ends, until all have or the event is set."""
        for name, client in self._clients.items():
            content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False}
            self._requests[name] = client.ask("execute_request", content)
        while not (stop.is_set() or self._ended()):
            for channel, _ in self._poller.poll(200):
                self._note(self._owners[channel], channel)

    def answered(self) -> bool:
        """Tell whether every kernel has sent its execute_reply."""
        return len(self.replies) == len(self._clients)

    def close(self) -> None:
        """Close the sockets; only when `run` has ended."""
        for client in self._clients.values():
            client.close()

    def _ended(self) -> bool:
        """Tell whether every reply and every idle has come."""
        return self.answered() and len(self.published) == len(self._clients)

    def _note(self, name: str, channel: zmq.Socket[bytes]) -> None:
        """Keep the time of a reply or of an idle to our own request."""
        answer = self._clients[name].read(channel)
        if answer.parent_id != self._requests[name]:
            return
        if answer.msg_type == "execute_reply":
            self.replies[name] = answer.at
        elif answer.content.get("execution_state") == "idle":
            self.published[name] = answer.at
