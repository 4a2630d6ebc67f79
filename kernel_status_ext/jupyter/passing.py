"""What passes by between one websocket and its kernel, told to those who follow the runs."""

from __future__ import annotations

from logging import Logger
from typing import Any

import msgspec
from jupyter_server.services.kernels.connection.base import deserialize_msg_from_ws_v1

from ..core.messages import GarbledMessage, Header, read_header
from ..core.routing import Channel, Message, Sender
from ..tracking.iopub import split
from .runs import Runs

NOT_SIGNED = b""

FOLLOWED = {Channel.SHELL.value: Channel.SHELL, Channel.STDIN.value: Channel.STDIN}
"""The channels on which what passes by says anything of a run that iopub does not say better."""


class _Text(msgspec.Struct):
    """A message in the websocket protocol without a name: one JSON object."""

    header: msgspec.Raw
    channel: str = Channel.SHELL.value
    parent_header: msgspec.Raw = msgspec.Raw(b"{}")
    content: msgspec.Raw = msgspec.Raw(b"{}")


_read_text = msgspec.json.Decoder(_Text).decode


class Passing:
    """One websocket's requests and the replies to them."""

    def __init__(self, runs: Runs, kernel_id: str, username: str | None, log: Logger) -> None:
        """Begin.

        Args:
            runs: The server's.
            kernel_id: Whose websocket it is.
            username: Of the authenticated user.
            log: For what cannot be read; it passes all the same.
        """
        self._runs = runs
        self._id = kernel_id
        self._sender = Sender(username)
        self._log = log

    def to_kernel(self, raw: Any, allowed: Any, *, v1: bool) -> None:
        """Look at a message before it is sent to the kernel.

        Args:
            raw: As it came by the websocket.
            allowed: The message types that are let through; empty for all.
            v1: Whether it is in the protocol ``v1.kernel.websocket.jupyter.org``.
        """
        try:
            channel, parts = _parts_of_v1(raw) if v1 else _parts_of_text(raw)
            if channel in FOLLOWED:
                header = read_header(parts[1])
                if not allowed or header.msg_type in allowed:
                    self._read(FOLLOWED[channel], header, parts)
        except (GarbledMessage, ValueError, IndexError, MemoryError) as error:
            self._log.debug("Kernel %s: an unreadable message passed by: %s", self._id, error)

    def from_kernel(self, channel: str | None, frames: list[Any]) -> None:
        """Look at a message before it is sent to the client."""
        if channel not in FOLLOWED:
            return
        parts = split([bytes(getattr(each, "bytes", each)) for each in frames])
        if parts is None:
            return
        try:
            self._read(FOLLOWED[channel], read_header(parts[1]), parts)
        except GarbledMessage as error:
            self._log.debug("Kernel %s: an unreadable reply passed by: %s", self._id, error)

    def _read(self, channel: Channel, header: Header, parts: list[bytes]) -> None:
        routing = self._runs.routing_of(self._id)
        reading = routing.reading(channel, header.msg_type) if routing is not None else None
        if reading is not None:
            reading(Message(header, read_header(parts[2]), parts, self._sender))

    def over(self) -> None:
        """Note that no reply passes by here any more."""
        self._runs.ledger.gone(self._sender)


def _parts_of_v1(raw: bytes) -> tuple[str, list[bytes]]:
    channel, parts = deserialize_msg_from_ws_v1(raw)
    return channel, [NOT_SIGNED, *parts]


def _parts_of_text(raw: str | bytes) -> tuple[str, list[bytes]]:
    if isinstance(raw, bytes):
        # jupyter_server 2.21, deserialize_binary_message: buffers follow the message
        count = int.from_bytes(raw[:4], "big")
        start, end = (int.from_bytes(raw[4 * i : 4 * i + 4], "big") for i in (1, 2))
        raw = raw[start:end] if count > 1 else raw[start:]
    text = _read_text(raw)
    return text.channel, [
        NOT_SIGNED,
        *map(bytes, (text.header, text.parent_header, b"{}", text.content)),
    ]
