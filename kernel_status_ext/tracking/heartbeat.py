"""The only place that listens to heartbeats: whether a kernel that says nothing is still there.

A kernel is judged only by what it is known to do: silence while it is idle counts if its
heartbeat has answered before, silence while it is busy only if it has answered while busy (a
kernel with a single loop does not, and is none the worse for it). A stall of this server, or a
laptop that slept, is no silence of the kernel.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tornado.ioloop import IOLoop

from .iopub import Parts, Reader
from .wire import Wire

BEATS_UNDER_WAY = 3
"""Unanswered beats after which no more are sent: they would only pile up."""

STALL = 2.0
"""A beat that comes later than so many intervals tells of a stall on our side."""


PAUSE = 1.5
"""Intervals without an answer, at least, after which a heart is said to pause."""


Work = tuple[object, ...]
"""What a kernel works on; empty when it is idle."""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How often a heartbeat is felt and how long it may be silent, in seconds."""

    interval: float = 5.0
    unresponsive_after: float = 15.0


class Heartbeat:
    """The heartbeat of one process."""

    def __init__(
        self,
        reader: Reader,
        wire: Wire,
        rhythm: Rhythm,
        *,
        work: Callable[[], Work],
        stopped: Callable[[], bool | None],
        on_lost: Callable[[float, bool | None], None],
        on_returned: Callable[[], None],
    ) -> None:
        """Begin to feel.

        Args:
            reader: Reads the answers.
            wire: The process.
            rhythm: How often and how long.
            work: Tells what the kernel works on now.
            stopped: Tells whether the process is seen to be stopped by a signal; None where it
                cannot be seen.
            on_lost: Called once per silence, with its length in seconds and that.
            on_returned: Called when a silence that was told is over.
        """
        self._rhythm = rhythm
        self._work = work
        self._stopped = stopped
        self._on_lost = on_lost
        self._on_returned = on_returned
        self._loop = IOLoop.current()
        self._alive_at = self._felt_at = time.monotonic()
        self._answered_at = self._steady_since = self._alive_at
        self._answers_idle = self._answers_busy = False
        self._sent_during: list[Work] = []
        self._answered_during: Work = ()
        self._lost = False
        self._judges = False
        self._timer: Any = None
        self._source = reader.open(wire.connect("hb"), self._answered, wire.kernel_id)
        self._feel()

    def judge(self) -> None:
        """Judge its silence from now on; before it is connected there is nothing to be lost."""
        self._alive_at = time.monotonic()
        self._judges = True

    @property
    def felt(self) -> bool:
        """Whether it has ever answered."""
        return self._answers_idle

    @property
    def steady(self) -> float:
        """For how many seconds it has beaten without a pause; 0 while it pauses."""
        now = time.monotonic()
        return 0.0 if self._pauses(now) else now - self._steady_since

    def _pauses(self, now: float) -> bool:
        rhythm = self._rhythm
        return now - self._answered_at > max(PAUSE * rhythm.interval, rhythm.unresponsive_after / 2)

    def heard(self) -> None:
        """Take in any other sign of life."""
        self._alive_at = time.monotonic()
        if self._lost:
            self._lost = False
            self._on_returned()

    def _answered(self, _frames: Parts) -> None:
        now = time.monotonic()
        if self._pauses(now):
            self._steady_since = now
        self._answered_at = now
        sent_during = self._sent_during.pop(0) if self._sent_during else ()
        self._answers_idle = True
        # Whether it really answered while it worked is known when it goes on working: the idle
        # of a single loop may be read after the beat that followed it.
        self._answered_during = sent_during if sent_during == self._work() else ()
        self.heard()

    def _feel(self) -> None:
        # First of all: whatever goes wrong now, it is felt again.
        self._timer = self._loop.call_later(self._rhythm.interval, self._feel)
        now = time.monotonic()
        if now - self._felt_at > STALL * self._rhythm.interval:
            self._alive_at = now
        self._felt_at = now
        if self._answered_during and self._answered_during == self._work():
            self._answers_busy = True
        self._judge(now - self._alive_at)
        self.ask()

    def ask(self) -> None:
        """Send a beat, unless several have not come back."""
        if len(self._sent_during) < BEATS_UNDER_WAY:
            self._sent_during.append(self._work())
            # A delimiter, for a REP socket on the other side; a ROUTER echoes it.
            self._source.send([b"", b"ping"])

    @property
    def beats(self) -> bool:
        """Whether all beats have come back."""
        return not self._sent_during

    def _judge(self, silence: float) -> None:
        if not self._judges or self._lost or silence < self._rhythm.unresponsive_after:
            return
        known_to_answer = self._answers_busy if self._work() else self._answers_idle
        stopped = self._stopped()
        if known_to_answer or stopped:
            self._lost = True
            self._on_lost(silence, stopped)

    def close(self) -> None:
        """Feel no more."""
        self._loop.remove_timeout(self._timer)
        self._source.close()
