"""Follows a kernel that somebody else started: its process is not ours, its sockets tell."""

from __future__ import annotations

import time

from ..core.events import ProcessFound, RequestBegan, ShellAnswered
from ..core.messages import Header
from ..core.model import Request
from .doubts import QUIET_AFTER
from .follower import MUTE_AFTER, Follower
from .iopub import Parts
from .probe import NUDGE_EVERY, PatientQuestion, Question

SOMETHING = Request("")
"""Work that was under way when the kernel was met, and of which nothing is known."""

BEAT_WITHIN = 3.0
"""Seconds for its first heartbeat: what is stopped before that could not be judged. Any heart that
beats is felt within milliseconds of the first word, on a machine that is overloaded later."""


BEAT_AGAIN = 0.2
"""Seconds until a heart that was not felt since its process was found is felt for again."""


class ForeignFollower(Follower):
    """Everything that listens to an external kernel."""

    _first_heard: float | None = None
    _found = False
    _shell_answered = False

    def _ask_shell(self) -> Question:
        # A kernel that is at work answers on control before its shell comes to us.
        self._control_question = Question(
            self._reader, self._wire, "control", self._consider_connected
        )
        return PatientQuestion(self._reader, self._wire, "shell", self._replied, self._listen_anew)

    def _replied(self) -> None:
        self._shell_answered = True
        if not self._found:
            self._consider_connected()
            return
        self._timers.cancel("at work")
        self._stop_asking()
        self._feed(ShellAnswered, asked=(SOMETHING,))

    def _consider_connected(self) -> None:
        now = time.monotonic()
        self._first_heard = now if self._first_heard is None else self._first_heard
        if self._found:
            return
        waited = now - self._first_heard
        if not self._heard and waited < MUTE_AFTER:
            # Its iopub tells what it does: before that is heard, nobody knows.
            self._timers.set("nudge", NUDGE_EVERY, self._nudge)
        elif not self._pulse.felt and waited < BEAT_WITHIN:
            self._timers.set("beat", NUDGE_EVERY, self._consider_connected)
        else:
            self._become_found()

    def _nudge(self) -> None:
        """Have it publish something by the channel on which it answers."""
        question = self._shell_question if self._shell_answered else self._control_question
        if question is not None:
            question.ask()
        self._consider_connected()

    def _become_found(self) -> None:
        self._found = True
        if not self._heard:
            self._complain(f"answers, but its iopub has been mute for {MUTE_AFTER:g} s")
        self._feed(ProcessFound)
        self._pulse.judge()
        self._pulse.ask()
        # What it began before its iopub was heard is not known: its shell is asked from now on.
        self._stop_asking()
        self._shell_answered = False
        self._shell_question = PatientQuestion(
            self._reader, self._wire, "shell", self._replied, self._listen_anew
        )
        self._timers.set("at work", QUIET_AFTER, self._at_work)

    def _at_work(self) -> None:
        if self._pulse.felt and not self._pulse.beats:
            # It was stopped meanwhile: that its shell has not answered says nothing of its work.
            self._pulse.ask()
            self._timers.set("at work", BEAT_AGAIN, self._at_work)
            return
        if not self._work():
            self._feed(RequestBegan, request=SOMETHING)
        self._expect_idle()

    def _heed(self, topic: bytes, parts: Parts, header: Header, parent: Header) -> None:
        if not self._found and self._wire.is_genuine(parts):
            self._heard = True
            self._consider_connected()
        if not self._found:
            return
        super()._heed(topic, parts, header, parent)
        if self._shell_answered or header.msg_type == "status":
            return
        if parent.msg_id and parent.msg_type == "execute_request":
            # Its busy went out before we listened.
            request = Request(parent.msg_id, parent.subshell_id or "")
            self._feed(RequestBegan, request=request)

    def _overdue(self, waited: float) -> None:
        if not self._found:
            self._go_on_patiently()
