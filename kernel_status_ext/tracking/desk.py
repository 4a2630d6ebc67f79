"""The only place that sends code to a process: one socket, so that its runs keep their order.

A shell is sent one run at a time, the next when the one before is done: however many there are, no
socket can refuse one, nor does the kernel hold what could still be withdrawn.

While something of ours runs all of the kernel's iopub is listened to, also in a flood.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tornado.ioloop import IOLoop

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

AGAIN = 0.1
"""Seconds after which what zmq did not take is offered to it again."""


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
        self._waiting: dict[str, OrderedDict[str, Order]] = {}
        """What is held back, by subshell, in its order."""
        self._out: dict[str, str] = {}
        """The run that a subshell was sent and that is not done."""
        self._unheard: list[Order] = []
        """What is sent when the kernel knows that all of its iopub is listened to."""
        self._question: Question | None = None
        self._timers = Timers()
        self.sender = Sender()
        self._source = reader.open(wire.connect("shell"), self._received, wire.kernel_id)

    def take(self, order: Order) -> None:
        """Send an order when its shell is done with those before it."""
        self._waiting.setdefault(order.subshell, OrderedDict())[order.run_id] = order
        self._send_next(order.subshell)

    def held_back(self, subshell: str) -> list[str]:
        """Name the runs that a shell was not sent yet, in their order."""
        return list(self._waiting.get(subshell, ()))

    def holds(self, subshell: str, run_id: str) -> bool:
        """Tell whether a run is held back here."""
        return run_id in self._waiting.get(subshell, ())

    def _send_next(self, subshell: str) -> None:
        waiting = self._waiting.get(subshell)
        if not waiting or subshell in self._out or self._source.closed:
            return
        run_id, order = waiting.popitem(last=False)
        if not waiting:
            del self._waiting[subshell]
        self._out[subshell] = run_id
        self._listen_and_send(order)

    def _listen_and_send(self, order: Order) -> None:
        """Listen to all that comes of an order until it is done."""
        listened = self._attention.hold(order.run_id)
        if listened and not self._unheard:
            self._send(order)
            return
        self._unheard.append(order)
        if self._question is None:
            # In a flood only the statuses were listened to. That has changed, and when the kernel
            # has answered anything after it, it knows.
            self._question = Question(self._reader, self._wire, "control", self._send_unheard)
            self._timers.set("unheard", LISTENING_WITHIN, self._send_unheard)

    def _send_unheard(self) -> None:
        self._timers.cancel("unheard")
        if self._question is not None:
            self._question.close()
            self._question = None
        orders, self._unheard = self._unheard, []
        for order in orders:
            self._send(order)

    def _send(self, order: Order) -> None:
        if self._out.get(order.subshell) != order.run_id:
            # It is over: its process is about to end.
            return
        message = self._wire.session.msg(RUN)
        message["header"]["msg_id"] = order.run_id
        message |= {"content": order.content, "metadata": order.metadata}
        if not self._leave(message, order.subshell):
            self._timers.set(f"again {order.run_id}", AGAIN, lambda: self._send(order))

    def done(self, subshell: str, run_id: str, *, is_ending: bool) -> None:
        """Note that a run is over, and send its shell the next one.

        Args:
            subshell: Its shell.
            run_id: The run.
            is_ending: Whether the process is to end: then it is sent no more.
        """
        self._attention.release(run_id)
        if self._out.get(subshell) == run_id and not is_ending:
            del self._out[subshell]
            # Later: when all are over, as those of a process that ends, none is sent.
            IOLoop.current().add_callback(self._send_next, subshell)
        elif self.holds(subshell, run_id):
            del self._waiting[subshell][run_id]

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

    def ask(self, subshell: str, on_answer: Callable[[], None]) -> bool:
        """Ask a shell for a sign, which comes after the replies to all that was sent before.

        Returns:
            Whether it could be asked.
        """
        message = self._wire.session.msg("kernel_info_request")
        if not self._leave(message, subshell):
            return False
        self._asked[message["header"]["msg_id"]] = on_answer
        return True

    def _leave(self, message: dict[str, Any], subshell: str) -> bool:
        """Send a message; returns whether zmq has taken it."""
        if subshell != MAIN_SHELL:
            message["header"]["subshell_id"] = subshell
        return self._source.send(self._wire.session.serialize(message))

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
