"""An independent zmq client of a kernel: the truth that both servers are compared with."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import zmq
from jupyter_client.session import Session

from .measurement import RoundFailedError
from .server import Server

# zmq retries a refused connection every 100 ms by default: an observer would be late itself.
RECONNECT_MS = 5
ANSWER_TIMEOUT = 60.0


@dataclass(frozen=True)
class Answer:
    """A reply of the kernel, and the `time.perf_counter()` at which it came."""

    at: float
    msg_type: str
    parent_id: str
    content: dict[str, Any]


class Observer:
    """A shell client with a socket of its own; a context manager, for one thread at a time."""

    def __init__(self, connection_file: Path) -> None:
        """Connect; what is asked before the kernel binds waits for it."""
        info = json.loads(connection_file.read_text())
        self._session = Session(key=info["key"].encode(), signature_scheme=info["signature_scheme"])
        self._host = f"{info['transport']}://{info['ip']}"
        self._iopub_port = info["iopub_port"]
        self._sockets: list[zmq.Socket[bytes]] = []
        self.socket = self._connect(zmq.DEALER, info["shell_port"])

    def __enter__(self) -> Observer:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the sockets."""
        self.close()

    def close(self) -> None:
        """Close the sockets."""
        for opened in self._sockets:
            opened.close()

    def subscribe(self, topic: bytes) -> zmq.Socket[bytes]:
        """Return a new iopub socket that hears the topic."""
        subscriber = self._connect(zmq.SUB, self._iopub_port)
        subscriber.setsockopt(zmq.SUBSCRIBE, topic)
        return subscriber

    def ask(self, msg_type: str, content: dict[str, Any] | None = None) -> str:
        """Send a request and return its id."""
        message = self._session.msg(msg_type, content or {})
        self._session.send(self.socket, message)
        return str(message["header"]["msg_id"])

    def read(self, channel: zmq.Socket[bytes] | None = None) -> Answer:
        """Return the message that is there; the time is taken before anything is decoded."""
        frames = (channel or self.socket).recv_multipart()
        at = time.perf_counter()
        _, signed = self._session.feed_identities(frames)
        message = self._session.deserialize(signed)
        parent_id = str(message["parent_header"].get("msg_id", ""))
        return Answer(at, str(message["msg_type"]), parent_id, message["content"])

    def answer(self, msg_id: str, timeout: float = ANSWER_TIMEOUT) -> Answer:
        """Wait for the reply to one request."""
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            if self.socket.poll(int(left * 1000)):
                answer = self.read()
                if answer.parent_id == msg_id:
                    return answer
        raise RoundFailedError(f"the kernel gave no reply within {timeout:g} s")

    def _connect(self, kind: int, port: int) -> zmq.Socket[bytes]:
        """Return a new socket that is quick to connect."""
        opened: zmq.Socket[bytes] = zmq.Context.instance().socket(kind)
        self._sockets.append(opened)
        opened.setsockopt(zmq.LINGER, 0)
        opened.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
        opened.connect(f"{self._host}:{port}")
        return opened


def first_reply(connection_file: Path, timeout: float = ANSWER_TIMEOUT) -> float:
    """Return when the kernel first answered a request that waited for it."""
    with Observer(connection_file) as observer:
        return observer.answer(observer.ask("kernel_info_request"), timeout).at


def start_idle_kernel(server: Server) -> str:
    """Start a kernel and return its id when the server's own model says `idle`.

    Stock learns of `idle` only from a status message, so the observer provokes some.
    """
    kernel_id = server.start_kernel()
    deadline = time.monotonic() + ANSWER_TIMEOUT
    with Observer(server.connection_file(kernel_id)) as observer:
        while time.monotonic() < deadline:
            observer.answer(observer.ask("kernel_info_request"))
            time.sleep(0.2)
            if server.execution_state(kernel_id) == "idle":
                return kernel_id
    raise RoundFailedError(
        f"{server.side}: kernel {kernel_id} answers and its model never said idle"
    )


def kill(pid: int) -> float:
    """Kill a process the hard way and return the `time.perf_counter()` of it."""
    at = time.perf_counter()
    os.kill(pid, signal.SIGKILL)
    return at


def wait_until_unbound(connection_file: Path, timeout: float = 5.0) -> None:
    """Wait until nobody listens on the shell port, so that no request goes to the dying process."""
    info = json.loads(connection_file.read_text())
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        try:
            socket.create_connection((info["ip"], info["shell_port"]), timeout=1).close()
        except ConnectionError:
            return
        time.sleep(0.002)
    raise RoundFailedError("the killed kernel still listens")
