"""Sends figures of processes to those who watch and want them: one look for all of one pace."""

from __future__ import annotations

import json
from collections.abc import Collection
from logging import Logger

from tornado.ioloop import PeriodicCallback

from .. import views
from ..tracking.inspection import Inspector
from ..tracking.tasks import spawn
from ..tracking.tracker import Tracker
from . import sse

AT_LEAST = 2.0
"""Seconds between two looks, at least."""

AT_MOST = 86400.0
"""And at most: timers do not count for ever."""

Pace = tuple[str | None, float]
"""The only kernel that is looked at, None for all; and the seconds between two looks."""


class Paces:
    """Those who want figures, by what they want."""

    def __init__(self, tracker: Tracker, inspector: Inspector, log: Logger) -> None:
        """Begin with nobody.

        Args:
            tracker: Knows the kernels.
            inspector: Looks at their processes.
            log: Where failures are told.
        """
        self._tracker = tracker
        self._inspector = inspector
        self._log = log
        self._outlets: dict[Pace, set[sse.Outlet]] = {}
        self._clocks: dict[Pace, PeriodicCallback] = {}

    def join(self, outlet: sse.Outlet, kernel_id: str | None, seconds: float) -> Pace:
        """Send somebody figures, now and then every so many seconds.

        Args:
            outlet: The way out.
            kernel_id: The only kernel that matters; None for all.
            seconds: Between two looks; too few or too many are not taken literally.

        Returns:
            What to leave with.
        """
        pace = (kernel_id, min(max(seconds, AT_LEAST), AT_MOST))
        outlets = self._outlets.setdefault(pace, set())
        outlets.add(outlet)
        if pace not in self._clocks:
            clock = PeriodicCallback(lambda: self._send(kernel_id, outlets), pace[1] * 1000)
            self._clocks[pace] = clock
            clock.start()
        spawn(self._send(kernel_id, {outlet}), "A look at processes", self._log)
        return pace

    def leave(self, outlet: sse.Outlet, pace: Pace) -> None:
        """Send somebody no more figures."""
        self._outlets[pace].discard(outlet)
        if not self._outlets[pace]:
            del self._outlets[pace]
            self._clocks.pop(pace).stop()

    async def _send(self, kernel_id: str | None, outlets: Collection[sse.Outlet]) -> None:
        kernels = [each for each in self._tracker if kernel_id in (None, each.id)]
        figures = await self._inspector.inspect(kernels)
        event = sse.event("figures", json.dumps(views.inspections(figures)).encode())
        for outlet in tuple(outlets):
            # Figures can wait for the next look.
            if outlet.is_idle:
                outlet.send(event)
