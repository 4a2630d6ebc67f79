"""The only place that sends code to a process: one socket, so that its runs keep their order.

While something of ours runs all of the kernel's iopub is listened to, also in a flood.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..core.messages import RUN, GarbledMessage, read_header
from ..core.model import MAIN_SHELL
from ..core.routing import Channel, Message, Routing, Sender
from .attention import Attention
from .iopub import Parts, Reader, Source, split
from .probe import Question
from .timers import Timers
from .wire import Wire

LISTENING_WITHIN = 1.0
"""Seconds within which a kernel has heard that all of its iopub is listened to."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be run.

    Attributes:
        run_id: The ``msg_id`` of the request.
        content: Of the ``execute_request``.
        metadata: Of the message.
        subshell: Which shell is to run it.
    """

    run_id: str
    content: dict[str, Any]
    metadata: dict[str, Any]
    subshell: str = MAIN_SHELL


class Desk:
    """Our own way to one process's shell."""

    def __init__(
        self, reader: Reader, wire: Wire, routing: Routing, iopub: Source, attention: Attention
    ) -> None:
        """Open it.

        Args:
            reader: Reads the replies.
            wire: The process.
            routing: Who reads what they say.
            iopub: What the process publishes.
            attention: How much of that is listened to.
        """
        self._reader = reader
        self._wire = wire
        self._routing = routing
        self._iopub = iopub
        self._attention = attention
        self._asked: dict[str, Callable[[], None]] = {}
        self._held: list[Order] = []
        self._question: Question | None = None
        self._timers = Timers()
        self.sender = Sender()
        self._source = reader.open(wire.connect("shell"), self._received, wire.kernel_id)

    def take(self, order: Order) -> None:
        """Send an order, and listen to all that comes of it until it is done."""
        listened = self._attention.hold(order.run_id)
        if listened and not self._held:
            self._send(order)
            return
        self._held.append(order)
        if self._question is None:
            # In a flood only the statuses were listened to. That has changed, and when the kernel
            # has answered anything after it, it knows.
            self._question = Question(self._reader, self._wire, "control", self._send_held)
            self._timers.set("held", LISTENING_WITHIN, self._send_held)

    def _send_held(self) -> None:
        self._timers.cancel("held")
        if self._question is not None:
            self._question.close()
            self._question = None
        held, self._held = self._held, []
        for order in held:
            self._send(order)

    def _send(self, order: Order) -> None:
        message = self._wire.session.msg(RUN)
        message["header"]["msg_id"] = order.run_id
        message |= {"content": order.content, "metadata": order.metadata}
        self._leave(message, order.subshell)

    def done(self, run_id: str) -> None:
        """Note that nobody listens for a run any more."""
        self._attention.release(run_id)

    def catch_up(self) -> bool:
        """Take in at once what the process has said already.

        Returns:
            Whether that was all: a flood may be more than can be taken in at once.
        """
        self._source.catch_up()
        return self._iopub.catch_up()

    def has_been_quiet_for(self, seconds: float) -> bool:
        """Tell whether nothing was heard of the process lately, and nothing waits to be."""
        return self._iopub.has_been_quiet_for(seconds)

    def ask(self, subshell: str, on_answer: Callable[[], None]) -> None:
        """Ask a shell for a sign, which comes after the replies to all that was sent before."""
        message = self._wire.session.msg("kernel_info_request")
        self._asked[message["header"]["msg_id"]] = on_answer
        self._leave(message, subshell)

    def _leave(self, message: dict[str, Any], subshell: str) -> None:
        if subshell != MAIN_SHELL:
            message["header"]["subshell_id"] = subshell
        self._source.send(self._wire.session.serialize(message))

    def _received(self, frames: Parts) -> None:
        parts = split(frames)
        if parts is None or not self._wire.is_genuine(parts):
            return
        try:
            header, parent = read_header(parts[1]), read_header(parts[2])
        except GarbledMessage:
            return
        answer = self._asked.pop(parent.msg_id or "", None)
        if answer is not None:
            answer()
            return
        reading = self._routing.reading(Channel.SHELL, header.msg_type)
        if reading is not None:
            reading(Message(header, parent, parts, self.sender))

    def close(self) -> None:
        """Send nothing more."""
        self._timers.close()
        if self._question is not None:
            self._question.close()
        self._source.close()
