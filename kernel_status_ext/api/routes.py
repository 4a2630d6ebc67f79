"""The list of our calls, below the server's base_url."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..tracking.inspection import Inspector
from .handlers import ID
from .inspect import InspectHandler
from .kernels import ActionHandler, HistoryHandler, StatusHandler, WaitHandler
from .openapi import DocumentHandler
from .watch import Watchers, WatchHandler


@dataclass(frozen=True, slots=True)
class Parts:
    """What the handlers need beside the tracker.

    Attributes:
        max_wait: The longest time that anybody may wait, in seconds.
        watchers: All who watch.
        inspector: Looks at processes.
    """

    max_wait: float
    watchers: Watchers
    inspector: Inspector


def routes(parts: Parts) -> list[tuple[Any, ...]]:
    """List the calls."""
    watchers, inspector = {"watchers": parts.watchers}, {"inspector": parts.inspector}
    return [
        (r"/api/kernels/watch", WatchHandler, watchers),
        (r"/api/kernels/inspect", InspectHandler, inspector),
        (r"/api/kernels/openapi\.json", DocumentHandler),
        (rf"/api/kernels/{ID}/status", StatusHandler),
        (rf"/api/kernels/{ID}/history", HistoryHandler),
        (rf"/api/kernels/{ID}/wait", WaitHandler, {"max_wait": parts.max_wait}),
        (rf"/api/kernels/{ID}/watch", WatchHandler, watchers),
        (rf"/api/kernels/{ID}/inspect", InspectHandler, inspector),
        (rf"/api/kernels/{ID}/(?P<action>restart|interrupt)", ActionHandler),
    ]
