"""The websocket of a kernel as a browser has it, in both protocols, with manners no browser has.

    with connect(server, kernel) as socket:
        assert socket.told()["execution_state"] == "idle"
        socket.run("1+1")

Blocking, on a plain socket: a test decides when the client reads, whether it does, how it goes.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import time
import uuid
from collections.abc import Callable, Iterator
from http.client import parse_headers
from io import BytesIO
from typing import Any

from jupyter_server.services.kernels.connection.base import (
    deserialize_msg_from_ws_v1,
    serialize_msg_to_ws_v1,
)

from . import openapi
from .server import PATIENCE, Server

V1, LEGACY = "v1.kernel.websocket.jupyter.org", ""
PROTOCOLS = {"v1": V1, "legacy": LEGACY}
WORDS = {"starting", "idle", "busy", "restarting", "dead"}
"""The only states that clients accept in an iopub status."""
CONTINUED, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

Message = dict[str, Any]


class Closed(Exception):
    """The server has closed the websocket; 1006 if it did not say so."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"closed with {code} {text!r}")
        self.code, self.text = code, text


class Wire:
    """A TCP connection that is read in pieces of the wanted size."""

    def __init__(self, port: int, receive_buffer: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect(("127.0.0.1", port))
        self.buffer = bytearray()

    def more(self, deadline: float) -> None:
        """Wait for more bytes.

        Raises:
            Closed: there are none to come.
            TimeoutError: none came until the deadline.
        """
        self.socket.settimeout(max(0.001, deadline - time.monotonic()))
        try:
            data = self.socket.recv(1 << 20)
        except ConnectionError:
            data = b""
        if not data:
            raise Closed(1006, "")
        self.buffer += data

    def read(self, size: int, deadline: float) -> bytes:
        """Exactly so many bytes."""
        while len(self.buffer) < size:
            self.more(deadline)
        return self.take(size)

    def read_until(self, end: bytes, deadline: float) -> bytes:
        """The bytes up to and including `end`."""
        while end not in self.buffer:
            self.more(deadline)
        return self.take(self.buffer.index(end) + len(end))

    def take(self, size: int) -> bytes:
        """Remove the first bytes from what has come."""
        taken = bytes(self.buffer[:size])
        del self.buffer[:size]
        return taken

    def vanish(self) -> None:
        """Go without a word, as when the network breaks: the server gets a reset."""
        with contextlib.suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


class Upgrade:
    """A websocket that has been asked for and not been answered; the server has begun it.

    Args:
        server: the server.
        kernel_id: the kernel.
        protocol: one of `PROTOCOLS`.
        session_id: the client's own; a new one by default.
        receive_buffer: how much the client's system takes while the client does not read.
    """

    def __init__(
        self,
        server: Server,
        kernel_id: str,
        *,
        protocol: str = V1,
        session_id: str | None = None,
        receive_buffer: int | None = None,
    ) -> None:
        self.protocol, self.session_id = protocol, session_id or uuid.uuid4().hex
        self.wire = Wire(server.port, receive_buffer)
        target = f"{server.base_url}api/kernels/{kernel_id}/channels?session_id={self.session_id}"
        self.asked = server.port, "GET", target
        head = (
            f"GET {target} HTTP/1.1\r\n"
            f"Host: 127.0.0.1:{server.port}\r\nAuthorization: token {server.token}\r\n"
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        )
        offer = f"Sec-WebSocket-Protocol: {protocol}\r\n" if protocol else ""
        self.wire.socket.sendall((head + offer + "\r\n").encode())
        server.taken_up()

    def answer(self, timeout: float = PATIENCE) -> tuple[int, dict[str, Any]]:
        """Status code and, if it was refused, the JSON body."""
        deadline = time.monotonic() + timeout
        try:
            head = self.wire.read_until(b"\r\n\r\n", deadline)
        except TimeoutError:
            msg = f"the upgrade was held for {timeout} s"
            raise AssertionError(msg) from None
        line, _, rest = head.partition(b"\r\n")
        code, headers = int(line.split()[1]), parse_headers(BytesIO(rest))
        if code == 101:
            assert headers.get("Sec-WebSocket-Protocol", LEGACY) == self.protocol
            openapi.check(*self.asked, code, "", b"")
            return code, {}
        body = self.wire.read(int(headers["Content-Length"]), deadline)
        self.wire.socket.close()
        openapi.check(*self.asked, code, headers["Content-Type"], body)
        assert headers.get_content_type() == "application/json", (code, body[:600])
        return code, json.loads(body)

    def accepted(self, timeout: float = PATIENCE) -> KernelSocket:
        """Wait for the answer, which must be a websocket."""
        code, body = self.answer(timeout)
        assert code == 101, f"refused with {code}: {body}"
        return KernelSocket(self)

    def refused(self, timeout: float = PATIENCE) -> dict[str, Any]:
        """Wait for the answer, which must be 503 with a message and a reason; gives the body."""
        code, body = self.answer(timeout)
        assert code == 503, f"answered {code}: {body}"
        assert set(body) >= {"message", "reason"}
        return body

    def vanish(self) -> None:
        """Go before there is an answer."""
        self.wire.vanish()


class KernelSocket:
    """An open websocket; what it receives is kept in `received`, the bytes in `raw`."""

    def __init__(self, upgrade: Upgrade) -> None:
        self.wire, self.protocol = upgrade.wire, upgrade.protocol
        self.session_id = upgrade.session_id
        self.received: list[Message] = []
        self.raw = bytearray()
        self.end: Closed | None = None

    @property
    def port(self) -> int:
        """The client's TCP port, by which the server knows this connection."""
        return self.wire.socket.getsockname()[1]

    @property
    def states(self) -> list[str]:
        """Every state that an iopub status has told."""
        return [message["content"]["execution_state"] for message in filter(state, self.received)]

    # -- receiving

    def receive(self, timeout: float = PATIENCE) -> Message:
        """The next message.

        Raises:
            Closed: the server closed the websocket instead.
            TimeoutError: nothing came.
        """
        deadline, data = time.monotonic() + timeout, b""
        while True:
            kind, last, payload = self._frame(deadline)
            if kind in (CONTINUED, TEXT, BINARY):
                data += payload
                if last:
                    self.raw += data
                    self.received.append(self._message(data))
                    return self.received[-1]
            elif kind == PING:
                self._send_frame(PONG, payload)
            elif kind == CLOSE:
                self._end(payload)

    def _frame(self, deadline: float) -> tuple[int, bool, bytes]:
        if self.end is not None:
            raise self.end
        try:
            first, size = self.wire.read(2, deadline)
            if size > 125:
                width, form = (2, ">H") if size == 126 else (8, ">Q")
                (size,) = struct.unpack(form, self.wire.read(width, deadline))
            return first & 0xF, bool(first & 0x80), self.wire.read(size, deadline)
        except Closed as end:
            self.end = end
            raise

    def _end(self, payload: bytes) -> None:
        """Answer the closing handshake; the text must be UTF-8."""
        code, text = struct.unpack(">H", payload[:2])[0] if payload else 1005, payload[2:]
        self._send_frame(CLOSE, payload[:2])
        self.wire.socket.close()
        self.end = Closed(code, text.decode())
        raise self.end

    def _message(self, data: bytes) -> Message:
        if self.protocol == LEGACY:
            return json.loads(data)
        channel, parts = deserialize_msg_from_ws_v1(data)
        names = ("header", "parent_header", "metadata", "content")
        return {"channel": channel} | {
            name: json.loads(part) for name, part in zip(names, parts, strict=False)
        }

    def until(
        self, look: Callable[[Message], bool], timeout: float = PATIENCE, what: str = ""
    ) -> list[Message]:
        """Receive until `look` says yes; gives what came, the last one included."""
        deadline, begin = time.monotonic() + timeout, len(self.received)
        try:
            while not look(self.receive(deadline - time.monotonic())):
                pass
        except TimeoutError:
            came = [short(message) for message in self.received[begin:][-10:]]
            msg = f"not within {timeout} s: {what or look}; the last that came: {came}"
            raise AssertionError(msg) from None
        return self.received[begin:]

    def told(self, word: str | None = None, timeout: float = PATIENCE) -> dict[str, Any]:
        """The content of the next status without a parent, or of the next that says this word."""

        def look(message: Message) -> bool:
            if not state(message) or message["parent_header"]:
                return False
            return word in (None, message["content"]["execution_state"])

        return self.until(look, timeout, f"told {word or 'a state'}")[-1]["content"]

    def tells(self, word: str, within: float) -> bool:
        """Whether a status without a parent says this word within so many seconds."""
        try:
            self.told(word, within)
        except AssertionError:
            return False
        return True

    def hear(self, word: str, msg_id: str, timeout: float = PATIENCE) -> Message:
        """The kernel's own status for this request."""

        def look(message: Message) -> bool:
            mine = message["parent_header"].get("msg_id") == msg_id
            return mine and state(message) and message["content"]["execution_state"] == word

        return self.until(look, timeout, f"{word} for {msg_id}")[-1]

    def closed(self, timeout: float = PATIENCE) -> Closed:
        """Read everything until the server closes the websocket, and tell how it did."""
        try:
            self.until(lambda _: False, timeout, "closed by the server")
        except Closed as end:
            return end
        raise AssertionError

    # -- sending

    def _send_frame(self, kind: int, payload: bytes) -> None:
        mask = os.urandom(4)
        size = len(payload)
        length = (
            bytes([0x80 | size])
            if size < 126
            else bytes([0x80 | 126]) + struct.pack(">H", size)
            if size < 1 << 16
            else bytes([0x80 | 127]) + struct.pack(">Q", size)
        )
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
        with contextlib.suppress(ConnectionError):  # what the server did is seen by reading
            self.wire.socket.sendall(bytes([0x80 | kind]) + length + mask + masked)

    def send(
        self,
        msg_type: str,
        content: dict[str, Any],
        channel: str = "shell",
        msg_id: str | None = None,
    ) -> str:
        """Send a request and give its id, a new one unless it is given."""
        header = {
            "msg_id": msg_id or uuid.uuid4().hex,
            "msg_type": msg_type,
            "session": self.session_id,
            "username": "somebody",
            "date": "2026-01-02T03:04:05.678901Z",
            "version": "5.3",
        }
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
        if self.protocol == LEGACY:
            self._send_frame(TEXT, json.dumps(message | {"channel": channel}).encode())
        else:
            pack = lambda part: json.dumps(part).encode()  # noqa: E731 - what upstream calls it
            self._send_frame(BINARY, serialize_msg_to_ws_v1(message, channel, pack))
        return header["msg_id"]

    def execute(
        self, code: str, channel: str = "shell", msg_id: str | None = None, **more: object
    ) -> str:
        """Send a cell and give its id."""
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": False,
        }
        return self.send("execute_request", content | more, channel, msg_id)

    def finished(self, msg_id: str, timeout: float = PATIENCE) -> list[Message]:
        """Receive until this request's reply and its idle have come; gives all it has led to."""
        begin, missing = len(self.received), {"reply", "idle"}

        def look(message: Message) -> bool:
            if message["parent_header"].get("msg_id") == msg_id:
                if message["header"]["msg_type"].endswith("_reply"):
                    missing.discard("reply")
                elif state(message) and message["content"]["execution_state"] == "idle":
                    missing.discard("idle")
            return not missing

        self.until(look, timeout, f"reply and idle of {msg_id}")
        mine = self.received[begin:]
        return [each for each in mine if each["parent_header"].get("msg_id") == msg_id]

    def run(self, code: str, timeout: float = PATIENCE, **more: object) -> list[Message]:
        """Run a cell to its end; gives the messages it has led to."""
        return self.finished(self.execute(code, **more), timeout)

    # -- going

    def close(self) -> None:
        """Say goodbye as a browser does when its page is left, and go."""
        if self.end is None:
            self._send_frame(CLOSE, struct.pack(">H", 1000))
            self.wire.socket.close()
            self.end = Closed(1000, "")

    def vanish(self) -> None:
        """Go without a word."""
        self.wire.vanish()
        self.end = Closed(1006, "")


def state(message: Message) -> bool:
    """Whether it is an iopub status."""
    return message["channel"] == "iopub" and message["header"]["msg_type"] == "status"


def short(message: Message) -> str:
    """A message in a few words, for failures."""
    word = message["content"].get("execution_state") or message["content"].get("status") or ""
    parent = message["parent_header"].get("msg_type", "nobody")
    return f"{message['channel']} {message['header']['msg_type']} {word} for {parent}"


def of_type(messages: list[Message], msg_type: str) -> list[dict[str, Any]]:
    """The contents of the messages of this type."""
    return [each["content"] for each in messages if each["header"]["msg_type"] == msg_type]


@contextlib.contextmanager
def connect(
    server: Server, kernel_id: str, timeout: float = PATIENCE, **how: Any
) -> Iterator[KernelSocket]:
    """An open `KernelSocket`, closed politely at the end (see `Upgrade` for `how`)."""
    opened = Upgrade(server, kernel_id, **how).accepted(timeout)
    try:
        yield opened
    finally:
        opened.close()
