"""A direct client of a kernel, with its sockets open and warm: what runs over HTTP are held against."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import zmq

from .measurement import RoundFailedError
from .observer import Answer, Observer

TIMEOUT = 60.0
WARM_UP = 3
FIRST = "1"


class DirectClient(Observer):
    """A shell client that also hears all that the kernel publishes."""

    def __init__(self, connection_file: Path) -> None:
        """Connect, and run something until its idle comes: the subscription is there then."""
        super().__init__(connection_file)
        self.iopub = self.subscribe(b"")
        self._published = 0
        self._poller = zmq.Poller()
        for channel in (self.socket, self.iopub):
            self._poller.register(channel, zmq.POLLIN)
        self._await_subscription()
        for _ in range(WARM_UP):
            self.round_trip(FIRST)

    def round_trip(self, code: str) -> float:
        """Return the seconds until both the reply and the idle of a request have come."""
        return self.execute(code)[0]

    def published_of(self, code: str) -> int:
        """Return how many messages the kernel publishes about a request."""
        before = self._published
        self.round_trip(code)
        return self._published - before

    def execute(self, code: str) -> tuple[float, str]:
        """Return the same, and what the code wrote to stdout."""
        written: list[str] = []
        awaited = {"execute_reply", "idle"}
        self._leave_the_past()
        sent = at = time.perf_counter()
        msg_id = self.ask("execute_request", request(code))
        while awaited:
            for answer in self._come(sent + TIMEOUT):
                if answer.parent_id == msg_id:
                    at = answer.at
                    awaited.discard(word(answer))
                    self._published += answer.msg_type != "execute_reply"
                    if answer.msg_type == "stream":
                        written.append(answer.content["text"])
        return at - sent, "".join(written)

    def _leave_the_past(self) -> None:
        """Read what was published about the requests of others."""
        while self.iopub.poll(0):
            self.iopub.recv_multipart()

    def _come(self, until: float) -> list[Answer]:
        """Return the next messages, at most one of each channel."""
        left = until - time.perf_counter()
        ready = self._poller.poll(max(0, int(left * 1000)))
        if not ready:
            raise RoundFailedError(f"the kernel was not done within {TIMEOUT:g} s")
        return [self.read(channel) for channel, _ in ready]

    def _await_subscription(self) -> None:
        """Ask until something is published to us."""
        until = time.perf_counter() + TIMEOUT
        while not self.iopub.poll(100):
            if time.perf_counter() > until:
                raise RoundFailedError(f"the kernel published nothing within {TIMEOUT:g} s")
            self.answer(self.ask("kernel_info_request"))


def request(code: str) -> dict[str, Any]:
    """Return the content of an execute_request as any client sends it."""
    return {
        "code": code,
        "silent": False,
        "store_history": True,
        "user_expressions": {},
        "allow_stdin": False,
        "stop_on_error": True,
    }


def word(answer: Answer) -> str:
    """Return the state that a status tells, or the type of any other message."""
    told = answer.content.get("execution_state") if answer.msg_type == "status" else None
    return str(told or answer.msg_type)
