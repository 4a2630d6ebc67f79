"""The only place that merges changes for those who watch: of what shells do, never of a status."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from ..core.model import Kernel
from .timers import Timers
from .tracker import Change, Tracker

MERGED_WITHIN = 0.05
"""Seconds between two changes of one kernel's ``execution_state`` that are told apart."""


@dataclass(frozen=True, slots=True)
class Gone:
    """A kernel was removed.

    Attributes:
        id: Which.
        revision: The number of this change.
    """

    id: str
    revision: int


News = Kernel | Gone
"""What is told: a kernel as a change left it, or that it is gone."""


class Merging:
    """Passes changes on: the first at once, and then what became of it a moment later."""

    def __init__(self, tracker: Tracker, tell: Callable[[News], None]) -> None:
        """Begin to listen.

        Args:
            tracker: Who knows.
            tell: Called in the server's loop.
        """
        self._tracker = tracker
        self._tell = tell
        self._timers = Timers()
        self._told_at: dict[str, float] = {}
        self._unlisten = tracker.listen(self._changed)

    def close(self) -> None:
        """Listen no more."""
        self._unlisten()
        self._timers.close()

    def _changed(self, change: Change) -> None:
        before, after = change.before, change.after
        if after is None:
            if before is not None:
                self._gone(before.id)
        elif before is None or _lasting(before) != _lasting(after):
            self._pass_on(after.id)
        elif before.revision != after.revision:
            self._merge(after.id)

    def _gone(self, kernel_id: str) -> None:
        self._timers.cancel(kernel_id)
        self._told_at.pop(kernel_id, None)
        self._tell(Gone(kernel_id, self._tracker.revision))

    def _merge(self, kernel_id: str) -> None:
        waits = self._told_at.get(kernel_id, 0) + MERGED_WITHIN - time.monotonic()
        if waits <= 0:
            self._pass_on(kernel_id)
        else:
            self._timers.set_once(kernel_id, waits, lambda: self._pass_on(kernel_id))

    def _pass_on(self, kernel_id: str) -> None:
        kernel = self._tracker.get(kernel_id)
        if kernel is not None:
            self._timers.cancel(kernel_id)
            self._told_at[kernel_id] = time.monotonic()
            self._tell(kernel)


def _lasting(kernel: Kernel) -> tuple[object, ...]:
    """Return what is told each time that it changes."""
    return (kernel.status, kernel.reason, kernel.cause)
