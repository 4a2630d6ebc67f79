"""The only place that tells a blocked interpreter from one that works.

A kernel's heart may beat while native code holds its interpreter: no cell ends then, and no
interrupt is heard. The control channel tells, where a kernel is known to answer it at work: it is
asked once in the first long cell of a process, to know, and later only when a busy kernel has been
silent for long.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tornado.ioloop import IOLoop

from .heartbeat import STALL, Rhythm, Work
from .iopub import Reader
from .probe import Question
from .wire import Wire

LONG = 1.0
"""Seconds at work after which it is found out whether a kernel answers at work."""


class Interpreter:
    """The interpreter of one process."""

    def __init__(
        self,
        reader: Reader,
        wire: Wire,
        rhythm: Rhythm,
        *,
        work: Callable[[], Work],
        steady: Callable[[], float],
        on_blocked: Callable[[float], None],
        on_returned: Callable[[], None],
    ) -> None:
        """Begin; nothing is asked while nothing runs.

        Args:
            reader: Reads the answers.
            wire: The process.
            rhythm: How long it may be silent.
            work: Tells what the kernel works on now.
            steady: Tells for how many seconds its heart has beaten without a pause.
            on_blocked: Called once per silence, with its length in seconds.
            on_returned: Called when a silence that was told is over.
        """
        self._reader = reader
        self._wire = wire
        self._rhythm = rhythm
        self._work = work
        self._steady = steady
        self._on_blocked = on_blocked
        self._on_returned = on_returned
        self._loop = IOLoop.current()
        self._alive_at = self._ticked_at = time.monotonic()
        self._answers_at_work = False
        self._asked_during: Work = ()
        self._answered_during: Work = ()
        self._blocked = False
        self._question: Question | None = None
        self._timer: Any = None

    def watch(self) -> None:
        """Look after it as long as it works."""
        if self._work() and self._timer is None:
            self._alive_at = self._ticked_at = time.monotonic()
            self._timer = self._loop.call_later(LONG, self._tick)

    def heard(self) -> None:
        """Take in a sign of life."""
        self._alive_at = time.monotonic()
        if self._blocked:
            self._blocked = False
            self._on_returned()

    def begin_anew(self) -> None:
        """Forget a silence that was told: the whole process has been silent since."""
        self._blocked = False

    def _tick(self) -> None:
        self._timer = None
        work, now = self._work(), time.monotonic()
        if not work:
            self._stop_asking()
            return
        if now - self._ticked_at > STALL * (self._rhythm.interval + LONG):
            # A stall on our side, or a laptop that slept, is no silence of the kernel.
            self._alive_at = now
        self._ticked_at = now
        # That it answered at work is known when it goes on working: a single loop does not.
        self._answers_at_work = self._answers_at_work or self._answered_during == work
        self._judge(now - self._alive_at, work)
        self._timer = self._loop.call_later(self._rhythm.interval, self._tick)

    def _judge(self, silence: float, work: Work) -> None:
        if self._question is None:
            if not self._answers_at_work or silence >= self._rhythm.unresponsive_after / 2:
                self._asked_during = work
                self._question = Question(self._reader, self._wire, "control", self._answered)
            return
        too_long = silence >= self._rhythm.unresponsive_after
        if self._answers_at_work and too_long and not self._blocked:
            self._consider_blocked(silence)

    def _consider_blocked(self, silence: float) -> None:
        # What a process that was stopped or frozen did not answer says nothing of its interpreter.
        silence = min(silence, self._steady())
        if silence >= self._rhythm.unresponsive_after:
            self._blocked = True
            self._on_blocked(silence)

    def _answered(self) -> None:
        self._answered_during = self._asked_during
        self._stop_asking()
        self.heard()

    def _stop_asking(self) -> None:
        if self._question is not None:
            self._question.close()
            self._question = None

    def close(self) -> None:
        """Look after it no more."""
        self._stop_asking()
        if self._timer is not None:
            self._loop.remove_timeout(self._timer)
            self._timer = None
