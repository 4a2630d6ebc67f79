"""The signs of life of one process, its heartbeat and its interpreter, as events."""

from __future__ import annotations

from collections.abc import Callable

from ..core.events import (
    HeartbeatLost,
    HeartbeatReturned,
    InterpreterBlocked,
    InterpreterReturned,
)
from .heartbeat import Heartbeat, Rhythm, Work
from .interpreter import Interpreter
from .iopub import Reader
from .wire import Wire


class Pulse:
    """Whether a process that exists is there, and comes to anything."""

    def __init__(
        self,
        reader: Reader,
        wire: Wire,
        rhythm: Rhythm,
        *,
        work: Callable[[], Work],
        stopped: Callable[[], bool | None],
        feed: Callable[..., None],
    ) -> None:
        """Begin; its heart is felt from the first ``listen`` on.

        Args:
            reader: Reads the answers.
            wire: The process.
            rhythm: How often and how long.
            work: Tells what the kernel works on now.
            stopped: Tells whether the process is seen to be stopped by a signal; None where it
                cannot be seen.
            feed: Called with the kind of an event and its facts.
        """
        self._reader = reader
        self._rhythm = rhythm
        self._work = work
        self._stopped = stopped
        self._feed = feed
        self._interpreter = Interpreter(
            reader,
            wire,
            rhythm,
            work=work,
            steady=lambda: 0.0 if self._stopped() else self._heartbeat.steady,
            on_blocked=lambda silence: self._feed(InterpreterBlocked, silence=silence),
            on_returned=lambda: self._feed(InterpreterReturned),
        )

    def listen(self, wire: Wire) -> None:
        """Listen to the heart, anew if it was listened to by another wire."""
        self._heartbeat = Heartbeat(
            self._reader,
            wire,
            self._rhythm,
            work=self._work,
            stopped=self._stopped,
            on_lost=lambda silence, stopped: self._feed(
                HeartbeatLost, silence=silence, stopped=stopped
            ),
            on_returned=self._returned,
        )

    def _returned(self) -> None:
        self._interpreter.begin_anew()
        self._feed(HeartbeatReturned)

    @property
    def felt(self) -> bool:
        """Whether its heartbeat has ever answered."""
        return self._heartbeat.felt

    @property
    def beats(self) -> bool:
        """Whether its heart has answered what was asked last."""
        return self._heartbeat.beats

    def ask(self) -> None:
        """Have its heart answer, also between two beats."""
        self._heartbeat.ask()

    def judge(self) -> None:
        """Judge its silence from now on."""
        self._heartbeat.judge()

    def heard(self) -> None:
        """Take in any other sign of life."""
        self._heartbeat.heard()
        self._interpreter.heard()

    def works(self) -> None:
        """Look after its interpreter as long as it works."""
        self._interpreter.watch()

    def listen_no_more(self) -> None:
        """Close what listens to the heart."""
        self._heartbeat.close()

    def close(self) -> None:
        """Look after it no more."""
        self._interpreter.close()
