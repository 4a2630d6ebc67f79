"""Follows one process of a kernel from its launch to its end, and feeds what it sees.

All that is opened for a process (sockets, descriptors, timers) is opened here and closed together,
so that no news of a process can be taken for news of the next one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from ..core.events import (
    Answered,
    ChildOutOfMemory,
    Event,
    StartOverdue,
)
from ..core.messages import GarbledMessage, Header, is_activity, read_header, status_event
from ..core.model import Exit, Kernel, Request
from ..core.remains import NOTHING_FOUND, Remains
from ..core.routing import Channel, Claim, Message, Reading, Routing
from .attention import Attention
from .desk import Desk
from .doubts import Doubts
from .heartbeat import Rhythm
from .iopub import Parts, split
from .probe import NUDGE_EVERY, Announcement, PatientQuestion, Question
from .process import watch_process
from .pulse import Pulse
from .senses import Senses
from .timers import Timers
from .vitals import Vitals, Ward
from .wire import Wire

MUTE_AFTER = 5.0
"""Seconds after which a kernel that answers without iopub is connected all the same."""

LAST_WORDS, ALL_WORDS = 2, 1.0
"""Milliseconds that the last words of a process at work are waited for; seconds for all of them."""


class Follower:
    """Everything that watches one process."""

    def __init__(
        self,
        senses: Senses,
        kernel: Kernel,
        wire: Wire,
        *,
        start_timeout: float,
        rhythm: Rhythm,
        on_exit: Callable[[int, Exit, Remains], None],
    ) -> None:
        """Begin to follow.

        Args:
            senses: What it shares with others.
            kernel: The kernel with its new process.
            wire: How the process is reached.
            start_timeout: Seconds after which a start is called overdue.
            rhythm: How its heartbeat is felt.
            on_exit: Told once when the process has ended, with what was found of it.
        """
        self._tracker = senses.tracker
        self._ledger = senses.ledger
        self._id = kernel.id
        self.generation = kernel.generation
        self._wire = wire
        self._session_id = wire.session.session
        self._reader = senses.reader
        self._log = senses.log
        self._on_exit = on_exit
        self._rhythm = rhythm
        self._heard = False
        self._replied_at: float | None = None
        self._complained: set[str] = set()
        self._timers = Timers()
        self._doubts = Doubts(self._tracker, kernel, wire, self._reader, self._shells_said)
        self._pulse = self._feel_pulse()
        self.routing = self._route(senses, kernel)
        self._desk: Desk | None = None
        self._control_question: Question | None = None
        self._announcement: Announcement | None = None
        self._vitals: Vitals | None = None
        self._listeners = senses.ward.listeners
        self._kernel_pid: int | None = None
        self._looks_for_kernel = False
        self._listen()
        self._watch = watch_process(wire.process, wire.poll, self._exited, self._log)
        self._vitals = self._look_after_body(senses.ward)
        self._timers.set("overdue", start_timeout, lambda: self._overdue(start_timeout))

    # -- its process ---------------------------------------------------------------------

    def look(self) -> None:
        """Look at once whether the process has ended, and tell it."""
        ended = self._watch.look()
        if ended is not None:
            self._exited(ended, until=0)

    def _exited(self, ended: Exit, until: float | None = None) -> None:
        until = time.monotonic() + ALL_WORDS if until is None else until
        if not self.closed and not self._hear_last_words() and time.monotonic() < until:
            # What its runs have put out is more than can be taken in at once.
            self._timers.set("exited", 0, lambda: self._exited(ended, until))
        elif not self.closed:
            remains = self._vitals.after_death(ended) if self._vitals else NOTHING_FOUND
            self.close()
            self._on_exit(self.generation, ended, remains)

    def _hear_last_words(self) -> bool:
        """Take in what it said before its end, also what is on its way through zmq's own thread."""
        kernel = self._tracker.get(self._id)
        patience = LAST_WORDS if kernel is not None and (kernel.sent or kernel.running) else 0
        all_heard = self._iopub.catch_up(patience)
        return all_heard if self._desk is None else self._desk.catch_up()

    def _look_after_body(self, ward: Ward) -> Vitals | None:
        if self._wire.process is None:
            # The number of a process elsewhere would be another one's here.
            return None
        pid, watch = self._wire.process.pid, self._watch
        vitals = Vitals(ward, pid, watch, lambda kills: self._feed(ChildOutOfMemory, kills=kills))

        def look() -> None:
            lately = self._doubts.worked_within(2 * self._rhythm.interval)
            self._timers.set("vitals", self._rhythm.interval, look)
            vitals.look(worked=lately or bool(self._work()))

        self._timers.set("vitals", self._rhythm.interval, look)
        return vitals

    # -- its readiness -------------------------------------------------------------------

    def _replied(self) -> None:
        if self._replied_at is None:
            self._replied_at = time.monotonic()
            self._look_for_kernel()
        self._consider_connected()

    def _look_for_kernel(self) -> None:
        """Find out which process has answered: the one that was launched may be a wrapper."""
        if self._wire.process is not None:
            self._looks_for_kernel = True
            self._listeners.find(self._wire.process.pid, self._iopub.endpoint, self._found_kernel)

    def _found_kernel(self, pid: int | None) -> None:
        self._looks_for_kernel = False
        if self.closed:
            return
        self._kernel_pid = pid
        if self._vitals is not None:
            self._vitals.found_kernel(pid)
        self._consider_connected()

    def _consider_connected(self) -> None:
        if self._replied_at is None or self._shell_question is None or self._looks_for_kernel:
            return
        waited = time.monotonic() - self._replied_at
        if not self._heard and waited < MUTE_AFTER:
            self._timers.set("nudge", NUDGE_EVERY, self._nudge)
            return
        if not self._heard:
            self._complain(f"answers, but its iopub has been mute for {MUTE_AFTER:g} s")
        self._stop_asking()
        self._feed(Answered, kernel_pid=self._kernel_pid)
        self._pulse.judge()
        if self._vitals is not None:
            # A wrapper may have put it into a group of its own by now.
            self._vitals.look()
        self._expect_idle()

    def _nudge(self) -> None:
        # Its statuses went out before our subscription reached it: have it say them again.
        if self._shell_question is not None:
            self._shell_question.ask()
            self._consider_connected()

    def _listen(self) -> None:
        self._iopub = self._reader.open(self._wire.connect("iopub"), self._received, self._id)
        self._attention = Attention(self._iopub.socket)
        self._pulse.listen(self._wire)
        self._shell_question: Question | None = self._ask_shell()

    def _ask_shell(self) -> Question:
        return PatientQuestion(self._reader, self._wire, "shell", self._replied, self._listen_anew)

    def _overdue(self, waited: float) -> None:
        self._feed(StartOverdue, waited=waited)
        if not self._heard and self._replied_at is None:
            self._go_on_patiently()

    def _go_on_patiently(self) -> None:
        """Nothing has come by these sockets: go on with some that cost less."""
        self._wire = replace(self._wire, connect=self._wire.connect_patiently)
        self._listen_anew()

    def _listen_anew(self) -> None:
        """Open other sockets: these have met somebody who is not the kernel."""
        self._ask_no_more()
        self._stop_listening()
        self._listen()

    def announce(self, heard: Callable[[], bool]) -> None:
        """Have the kernel publish something until everybody has heard it, or it is mute.

        Args:
            heard: Tells whether everybody has.
        """
        if self._announcement is not None:
            self._announcement.close()
        self._announcement = Announcement(self._reader, self._wire, heard, MUTE_AFTER)

    def _stop_asking(self) -> None:
        self._timers.cancel("overdue")
        self._ask_no_more()

    def _ask_no_more(self) -> None:
        self._timers.cancel("nudge")
        for question in (self._shell_question, self._control_question):
            if question is not None:
                question.close()
        self._shell_question = self._control_question = None

    # -- its work ------------------------------------------------------------------------

    def _feel_pulse(self) -> Pulse:
        return Pulse(
            self._reader,
            self._wire,
            self._rhythm,
            work=self._work,
            stopped=lambda: self._vitals.is_stopped if self._vitals is not None else None,
            feed=self._feed,
        )

    @property
    def desk(self) -> Desk:
        """Our own way to its shell, opened when it is first needed."""
        if self._desk is None:
            self._desk = Desk(self._reader, self._wire, self.routing, self._iopub, self._attention)
        return self._desk

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
        self._pulse.heard()
        self._doubts.heard_work(parent.msg_id, self._work())
        if is_activity(
            header,
            parent,
            self._wire.tracked,
            busy=bool(self._work()),
            server_session=self._session_id,
        ):
            self._wire.on_activity()
        if is_status:
            self._attention.status(topic)
        else:
            self._doubts.heard(parent.msg_id, flood=self._attention.other())
        reading = self.routing.reading(Channel.IOPUB, header.msg_type)
        if reading is not None:
            is_genuine = partial(self._wire.is_genuine, parts)
            reading(Message(header, parent, parts, is_genuine=is_genuine))

    def _route(self, senses: Senses, kernel: Kernel) -> Routing:
        routing = Routing()
        for bundle in (self, *(make(kernel) for make in senses.bundles)):
            routing.register(bundle)
        return routing

    def claims(self) -> Mapping[Claim, Reading]:
        """Name what it reads itself."""
        return {(Channel.IOPUB, "status"): self._status}

    def _status(self, message: Message) -> None:
        parent, tracked = message.parent, self._wire.tracked
        event = status_event(parent, message.content, tracked, self.generation, self._now())
        if event is None:
            return
        if not tracked(parent.msg_type):
            # Somebody wants runs not to count as activity: then only the runs are told of.
            self._ledger.heard(self._id, event)
            return
        self._doubts.consider(event, self._work())
        self._shells_said(event)
        self._pulse.works()
        self._expect_idle()

    # -- work that does not end ------------------------------------------------------------

    def _expect_idle(self) -> None:
        kernel = self._tracker.get(self._id)
        if kernel is None or self.closed or not kernel.requests:
            return
        if kernel.answered:
            self._doubts.watch()
        elif self._control_question is None and self._shell_question is not None:
            # It works before it answered us: its shell comes to us later, its control may now.
            self._control_question = Question(self._reader, self._wire, "control", self._replied)

    # -- housekeeping --------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether it follows no more."""
        return self._iopub.closed

    def close(self) -> None:
        """Close all that was opened for this process."""
        self._timers.close()
        self._stop_asking()
        if self._announcement is not None:
            self._announcement.close()
        if self._desk is not None:
            self._desk.close()
        self._doubts.close()
        self._pulse.close()
        if self._vitals is not None:
            self._vitals.close()
        self._watch.close()
        self._stop_listening()

    def _stop_listening(self) -> None:
        self._pulse.listen_no_more()
        self._attention.close()
        self._iopub.close()

    def _shells_said(self, event: Event) -> None:
        """Tell what shells do: of the kernel first, then of its runs."""
        self._tracker.feed(self._id, event)
        self._ledger.heard(self._id, event)

    def _feed(self, kind: type[Event], **facts: Any) -> None:
        self._tracker.feed(self._id, kind(self.generation, self._now(), **facts))

    def _now(self) -> datetime:
        return self._tracker.now()

    def _complain(self, what: str) -> None:
        kind = what.split(" (", 1)[0]
        if kind not in self._complained:
            self._complained.add(kind)
            self._log.warning("Kernel %s: it %s", self._id, what)
