"""Contract section 2: no message of a client freezes the server or costs it more than its own size.

What is malformed closes that websocket (1003), and nothing else.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator

import pytest
from support.kernel_socket import BINARY, LEGACY, TEXT, V1, connect, of_type
from support.server import Server

UNSUPPORTED = 1003


def v1(count: int, *offsets: int, rest: bytes = b"") -> bytes:
    """A message of v1 that claims to have so many offsets."""
    return b"".join(each.to_bytes(8, "little") for each in (count, *offsets)) + rest


def binary(count: int, *offsets: int, rest: bytes = b"") -> bytes:
    """A binary message of the old protocol that claims to have so many parts."""
    return struct.pack(f"!{1 + len(offsets)}I", count, *offsets) + rest


FRAMES = {
    "all ones": (V1, BINARY, b"\xff" * 50),
    "empty": (V1, BINARY, b""),
    "no offsets": (V1, BINARY, v1(0)),
    "too few": (V1, BINARY, v1(3, 32, 37, 37, rest=b"shell")),
    "back and forth": (V1, BINARY, v1(7, 64, 69, 1000, 69, 1000, 69, 1000, rest=b"shell" * 200)),
    "beyond the end": (V1, BINARY, v1(6, 56, 61, 61, 61, 61, 1 << 60, rest=b"shell")),
    "inside the head": (V1, BINARY, v1(6, 0, 5, 6, 7, 8, 9, rest=b"shell")),
    "a million parts": (V1, BINARY, v1(1 << 16, *[9] * (1 << 16))),
    "channel is no text": (V1, BINARY, v1(6, 56, 61, 63, 65, 67, 69, rest=b"\xff" * 5 + b"{}" * 4)),
    "text": (V1, TEXT, b"{}"),
    "binary, all ones": (LEGACY, BINARY, b"\xff" * 50),
    "binary, many parts": (LEGACY, BINARY, binary(0x7FFFFFFF, 8)),
    "binary, empty": (LEGACY, BINARY, b""),
    "binary, back and forth": (LEGACY, BINARY, binary(3, 16, 1000, 16, rest=b"{}" * 500)),
    "binary, no json": (LEGACY, BINARY, binary(1, 8, rest=b"{")),
    "no json": (LEGACY, TEXT, b"{"),
    "no object": (LEGACY, TEXT, b"[1]"),
    "no header": (LEGACY, TEXT, b'{"channel": "shell"}'),
    "deep": (LEGACY, TEXT, b"[" * 100_000),
    "channel is a list": (LEGACY, TEXT, json.dumps({"channel": ["shell"]}).encode()),
}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server."""
    with Server() as server:
        yield server


@pytest.fixture(scope="module")
def kernel(server: Server) -> str:
    """A kernel for all of them."""
    return server.connected(server.fake())


@pytest.mark.parametrize(("protocol", "kind", "frame"), FRAMES.values(), ids=FRAMES)
def test_what_is_malformed_closes_that_websocket(
    server: Server, kernel: str, protocol: str, kind: int, frame: bytes
) -> None:
    """With 1003 and what is wrong; another websocket of the kernel, and the server, go on."""
    with connect(server, kernel, protocol=V1) as other:
        with connect(server, kernel, protocol=protocol) as socket:
            socket._send_frame(kind, frame)
            end = socket.closed()
        assert end.code == UNSUPPORTED
        assert "message" in end.text
        (reply,) = of_type(other.run("nothing"), "execute_reply")
        assert reply["status"] == "ok"
    assert server.status(kernel)["status"] == "connected"


def test_a_message_with_buffers_is_none_that_is_malformed(server: Server, kernel: str) -> None:
    """Widgets send them; a part may be empty."""
    parts = [
        b"shell",
        b'{"msg_type": "comm_msg", "msg_id": "b"}',
        b"{}",
        b"{}",
        b"{}",
        b"",
        b"\xff",
    ]
    offsets = [8 * (len(parts) + 2)]
    for part in parts:
        offsets.append(offsets[-1] + len(part))
    with connect(server, kernel, protocol=V1) as socket:
        socket._send_frame(BINARY, v1(len(offsets), *offsets, rest=b"".join(parts)))
        (reply,) = of_type(socket.run("nothing"), "execute_reply")
        assert reply["status"] == "ok"
