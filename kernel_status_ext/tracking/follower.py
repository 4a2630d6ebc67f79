"""Follows one process of a kernel from its launch to its end, and feeds what it sees.

All that is opened for a process (sockets, descriptors, timers) is opened here and closed together,
so that no news of a process can be taken for news of the next one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from logging import Logger
from typing import Any

from tornado.ioloop import IOLoop

from ..core.messages import GarbledMessage, Header, is_activity, read_header, status_event
from ..core.model import (
    Answered,
    Exit,
    HeartbeatLost,
    HeartbeatReturned,
    Kernel,
    Request,
    StartOverdue,
)
from .attention import Attention
from .doubts import Doubts
from .heartbeat import Heartbeat, Rhythm
from .iopub import Parts, Reader, split
from .probe import PatientQuestion, Question
from .process import kill, watch_process
from .tracker import Tracker
from .wire import Wire

NUDGE_EVERY = 0.05
"""Seconds between requests to a kernel that answers while its iopub has not reached us yet."""

MUTE_AFTER = 5.0
"""Seconds after which a kernel that answers without iopub is connected all the same."""

QUIET_AFTER = 1.0
"""Seconds without a message after which a busy kernel is asked whether it is idle."""


class Follower:
    """Everything that watches one process."""

    def __init__(
        self,
        tracker: Tracker,
        kernel: Kernel,
        wire: Wire,
        *,
        reader: Reader,
        start_timeout: float,
        rhythm: Rhythm,
        on_exit: Callable[[int, Exit], None],
        log: Logger,
    ) -> None:
        """Begin to follow.

        Args:
            tracker: Gets the events.
            kernel: The kernel with its new process.
            wire: How the process is reached.
            reader: Reads its sockets.
            start_timeout: Seconds after which a start is called overdue.
            rhythm: How its heartbeat is felt.
            on_exit: Told once when the process has ended.
            log: For what is odd about this kernel.
        """
        self._tracker = tracker
        self._id = kernel.id
        self.generation = kernel.generation
        self._wire = wire
        self._reader = reader
        self._log = log
        self._on_exit = on_exit
        self._rhythm = rhythm
        self._heartbeat: Heartbeat | None = None
        self._loop = IOLoop.current()
        self._started = self._loop.time()
        self._heard = False
        self._replied_at: float | None = None
        self._complained: set[str] = set()
        self._timers: dict[str, Any] = {}
        self._worked_at = self._started
        self._doubts = Doubts(tracker, kernel, wire, reader)
        self._control_question: Question | None = None
        self._listen()
        self._watch = watch_process(wire.process, wire.poll, self._exited, log)
        self._later("overdue", start_timeout, lambda: self._overdue(start_timeout))

    # -- its process ---------------------------------------------------------------------

    def look(self) -> None:
        """Look at once whether the process has ended, and tell it."""
        ended = self._watch.look()
        if ended is not None:
            self._exited(ended)

    def kill(self) -> None:
        """Kill the process, for want of anybody else to do it."""
        kill(self._wire.process)

    def _exited(self, ended: Exit) -> None:
        if not self.closed:
            self.close()
            self._on_exit(self.generation, ended)

    # -- its readiness -------------------------------------------------------------------

    def _replied(self) -> None:
        if self._replied_at is None:
            self._replied_at = self._loop.time()
        self._consider_connected()

    def _consider_connected(self) -> None:
        if self._replied_at is None or self._shell_question is None:
            return
        waited = self._loop.time() - self._replied_at
        if not self._heard and waited < MUTE_AFTER:
            self._later("nudge", NUDGE_EVERY, self._nudge)
            return
        if not self._heard:
            self._complain(f"answers, but its iopub has been mute for {MUTE_AFTER:g} s")
        self._stop_asking()
        self._tracker.feed(self._id, Answered(self.generation, self._now()))
        self._heartbeat = self._feel_heartbeat()
        self._expect_idle()

    def _nudge(self) -> None:
        # Its statuses went out before our subscription reached it: have it say them again.
        if self._shell_question is not None:
            self._shell_question.ask()
            self._consider_connected()

    def _listen(self) -> None:
        self._iopub = self._reader.open(self._wire.connect("iopub"), self._received, self._id)
        self._attention = Attention(self._iopub.socket)
        self._shell_question: Question | None = PatientQuestion(
            self._reader, self._wire, "shell", self._replied
        )

    def _overdue(self, waited: float) -> None:
        self._tracker.feed(self._id, StartOverdue(self.generation, self._now(), waited))
        if not self._heard and self._replied_at is None:
            # Nothing has come by these sockets: go on with some that cost less.
            self._stop_asking()
            self._stop_listening()
            self._wire = replace(self._wire, connect=self._wire.connect_patiently)
            self._listen()

    def _stop_asking(self) -> None:
        self._cancel("overdue")
        self._cancel("nudge")
        for question in (self._shell_question, self._control_question):
            if question is not None:
                question.close()
        self._shell_question = self._control_question = None

    # -- its heartbeat -------------------------------------------------------------------

    def _feel_heartbeat(self) -> Heartbeat:
        def lost(silence: float) -> None:
            self._tracker.feed(self._id, HeartbeatLost(self.generation, self._now(), silence))

        def returned() -> None:
            self._tracker.feed(self._id, HeartbeatReturned(self.generation, self._now()))

        return Heartbeat(
            self._reader,
            self._wire,
            self._rhythm,
            work=self._work,
            on_lost=lost,
            on_returned=returned,
        )

    def _work(self) -> tuple[Request, ...]:
        kernel = self._tracker.get(self._id)
        return kernel.requests if kernel is not None else ()

    # -- its iopub -----------------------------------------------------------------------

    def _received(self, frames: Parts) -> None:
        parts = split(frames)
        try:
            if parts is None:
                raise GarbledMessage("no delimiter or too few frames")  # noqa: TRY301
            header, parent = read_header(parts[1]), read_header(parts[2])
            self._heed(frames[0], parts, header, parent)
        except GarbledMessage as garbled:
            self._complain(f"sent garbage on iopub ({garbled}), which is ignored")

    def _heed(self, topic: bytes, parts: Parts, header: Header, parent: Header) -> None:
        is_status = header.msg_type == "status"
        if (is_status or not self._heard) and not self._wire.is_genuine(parts):
            self._complain("sent a wrongly signed message on iopub, which is ignored")
            return
        if not self._heard:
            self._heard = True
            self._consider_connected()
        if self._heartbeat is not None:
            self._heartbeat.heard()
        if any(parent.msg_id == each.msg_id for each in self._work()):
            self._worked_at = self._loop.time()
        if is_activity(header, parent, self._wire.tracked, busy=bool(self._work())):
            self._wire.on_activity()
        if is_status:
            self._attention.status(topic)
            self._status(parts[4], parent)
        else:
            self._doubts.heard(parent.msg_id, flood=self._attention.other())

    def _status(self, content: bytes, parent: Header) -> None:
        event = status_event(parent, content, self._wire.tracked, self.generation, self._now())
        if event is None:
            return
        self._doubts.consider(event, self._work())
        self._tracker.feed(self._id, event)
        self._expect_idle()

    # -- work that does not end ------------------------------------------------------------

    def _expect_idle(self) -> None:
        kernel = self._tracker.get(self._id)
        if kernel is None or self.closed or not kernel.requests:
            return
        if kernel.answered:
            self._later_once("quiet", QUIET_AFTER, self._is_it_quiet)
        elif self._control_question is None and self._shell_question is not None:
            # It works before it answered us: its shell comes to us later, its control may now.
            self._control_question = Question(self._reader, self._wire, "control", self._replied)

    def _is_it_quiet(self) -> None:
        kernel = self._tracker.get(self._id)
        if kernel is not None and self._loop.time() - self._worked_at >= QUIET_AFTER:
            self._doubts.ask(kernel)
        self._expect_idle()

    # -- housekeeping --------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether it follows no more."""
        return self._iopub.closed

    def close(self) -> None:
        """Close all that was opened for this process."""
        for name in list(self._timers):
            self._cancel(name)
        self._stop_asking()
        if self._heartbeat is not None:
            self._heartbeat.close()
            self._heartbeat = None
        self._doubts.close()
        self._watch.close()
        self._stop_listening()

    def _stop_listening(self) -> None:
        self._attention.close()
        self._iopub.close()

    def _now(self) -> datetime:
        return self._tracker.now()

    def _later(self, name: str, delay: float, call: Any) -> None:
        self._cancel(name)
        self._later_once(name, delay, call)

    def _later_once(self, name: str, delay: float, call: Any) -> None:
        def due() -> None:
            self._timers.pop(name, None)
            call()

        if name not in self._timers:
            self._timers[name] = self._loop.call_later(delay, due)

    def _cancel(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            self._loop.remove_timeout(timer)

    def _complain(self, what: str) -> None:
        kind = what.split(" (", 1)[0]
        if kind not in self._complained:
            self._complained.add(kind)
            self._log.warning("Kernel %s: it %s", self._id, what)
