"""What a client may send by a kernel's websocket, checked before jupyter_server reads it.

Its own readers believe the numbers that a message begins with: fifty bytes of 0xff make them count
to 2 ** 64, and offsets that go back and forth copy one buffer as often as they like.
"""

from __future__ import annotations

import struct
from itertools import pairwise

MOST_PARTS = 4096
"""Parts of one message: each becomes an object that is larger than its offset."""

LENGTH_V1 = 8
"""Bytes of an offset in ``v1.kernel.websocket.jupyter.org``."""

LEAST_OFFSETS_V1 = 6
"""Offsets of the channel and of a message's four parts, and the end of the last."""

LENGTH = 4
"""Bytes of an offset in the protocol without a name."""

UNREADABLE = (
    *(AssertionError, AttributeError, LookupError, RecursionError, TypeError, ValueError),
    struct.error,
)
"""What jupyter_server's readers raise where a message is none of the protocol."""


def fault_of(raw: str | bytes, *, v1: bool) -> str | None:
    """Say what is wrong with a message's frame.

    Args:
        raw: As it came by the websocket.
        v1: Whether it is in the protocol ``v1.kernel.websocket.jupyter.org``.

    Returns:
        What is wrong, None if it can be read at no greater cost than its size.
    """
    if isinstance(raw, str):
        return "it is text, and this protocol is binary" if v1 else None
    if v1:
        return _fault_of_v1(raw)
    return _fault_of_binary(raw)


def _fault_of_v1(raw: bytes) -> str | None:
    # jupyter_server 2.21, deserialize_msg_from_ws_v1
    count = int.from_bytes(raw[:LENGTH_V1], "little")
    head = LENGTH_V1 * (count + 1)
    if fault := _fault_of_count(count, LEAST_OFFSETS_V1, head, len(raw)):
        return fault
    return _fault_of_offsets(struct.unpack(f"<{count}Q", raw[LENGTH_V1:head]), head, len(raw))


def _fault_of_binary(raw: bytes) -> str | None:
    # jupyter_server 2.21, deserialize_binary_message
    count = int.from_bytes(raw[:LENGTH], "big")
    head = LENGTH * (count + 1)
    if fault := _fault_of_count(count, 1, head, len(raw)):
        return fault
    return _fault_of_offsets(struct.unpack(f"!{count}I", raw[LENGTH:head]), head, len(raw))


def _fault_of_count(count: int, least: int, head: int, size: int) -> str | None:
    if count < least:
        return f"it has {count} offsets, and a message has {least} at least"
    if head > size:
        return "it has fewer bytes than its offsets would take"
    if count > MOST_PARTS:
        return f"it has {count} offsets, and {MOST_PARTS} are allowed"
    return None


def _fault_of_offsets(offsets: tuple[int, ...], head: int, size: int) -> str | None:
    in_order = all(first <= second for first, second in pairwise(offsets))
    if in_order and head <= offsets[0] and offsets[-1] <= size:
        return None
    return "its offsets are not in order, or lie beyond it"
