"""The only place that asks kernels something: whether they answer, and whether they are idle."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tornado.ioloop import IOLoop

from ..core.messages import GarbledMessage, read_header
from ..core.model import MAIN_SHELL
from .iopub import Parts, Reader, Source, split
from .wire import Wire

ASK_AGAIN_AFTER = 2.0
"""Seconds until a kernel that has not answered is asked again; doubles each time."""

ASK_AGAIN_AT_MOST = 30.0


class Question:
    """A ``kernel_info_request`` on one channel, and the answer to it.

    The request waits in the socket until the kernel binds its side, so that its answer is the
    earliest that anybody can have.
    """

    def __init__(
        self,
        reader: Reader,
        wire: Wire,
        channel: str,
        on_answer: Callable[[], None],
        subshell: str = MAIN_SHELL,
    ) -> None:
        """Ask.

        Args:
            reader: Reads the answers.
            wire: The process.
            channel: ``shell`` or ``control``.
            on_answer: Called at each answer to what was asked here.
            subshell: The subshell that is to answer (JEP 91), the main shell if empty.
        """
        self._wire = wire
        self._on_answer = on_answer
        self._subshell = subshell
        self._asked: set[str] = set()
        self._source: Source = reader.open(wire.connect(channel), self._received, wire.kernel_id)
        self.ask()

    def ask(self) -> bool:
        """Ask (once more); tells whether that was possible."""
        if not self._source.closed:
            message: dict[str, Any] = self._wire.session.msg("kernel_info_request")
            self._asked.add(message["header"]["msg_id"])
            if self._subshell != MAIN_SHELL:
                message["header"]["subshell_id"] = self._subshell
            return self._source.send(self._wire.session.serialize(message))
        return True

    def _received(self, frames: Parts) -> None:
        parts = split(frames)
        if parts is None or not self._wire.is_genuine(parts):
            return
        try:
            header, parent = read_header(parts[1]), read_header(parts[2])
        except GarbledMessage:
            return
        if header.msg_type == "kernel_info_reply" and parent.msg_id in self._asked:
            self._wire.on_reply(header.version or "")
            self._on_answer()

    def close(self) -> None:
        """Stop asking."""
        self._source.close()


class PatientQuestion(Question):
    """A question that is asked again, ever more slowly, until it is closed."""

    def __init__(
        self,
        reader: Reader,
        wire: Wire,
        channel: str,
        on_answer: Callable[[], None],
        on_broken: Callable[[], None],
    ) -> None:
        """Ask, and go on asking.

        Args:
            reader: Reads the answers.
            wire: The process.
            channel: ``shell`` or ``control``.
            on_answer: Called at each answer to what was asked here.
            on_broken: Called when nothing can be asked by this socket any more.
        """
        super().__init__(reader, wire, channel, on_answer)
        self._on_broken = on_broken
        self._pause = ASK_AGAIN_AFTER
        self._timer = IOLoop.current().call_later(self._pause, self._again)

    def _again(self) -> None:
        if not self.ask():
            self._on_broken()
            return
        self._pause = min(2 * self._pause, ASK_AGAIN_AT_MOST)
        self._timer = IOLoop.current().call_later(self._pause, self._again)

    def close(self) -> None:
        """Stop asking."""
        IOLoop.current().remove_timeout(self._timer)
        super().close()


NUDGE_EVERY = 0.05
"""Seconds between requests to a kernel that answers while not everybody hears it publish yet."""


class Announcement(Question):
    """Has a kernel publish something until everybody has heard it."""

    def __init__(self, reader: Reader, wire: Wire, heard: Callable[[], bool], limit: float) -> None:
        """Ask, for the statuses that go with it.

        Args:
            reader: Reads the answers, which nobody needs.
            wire: The process.
            heard: Tells whether everybody has heard.
            limit: Seconds after which a kernel counts as mute.
        """
        super().__init__(reader, wire, "shell", lambda: None)
        self._heard = heard
        self._until = time.monotonic() + limit
        self._timer = IOLoop.current().call_later(NUDGE_EVERY, self._look)

    def _look(self) -> None:
        if self._heard() or time.monotonic() > self._until or not self.ask():
            super().close()
        else:
            self._timer = IOLoop.current().call_later(NUDGE_EVERY, self._look)

    def close(self) -> None:
        """Stop asking."""
        IOLoop.current().remove_timeout(self._timer)
        super().close()
