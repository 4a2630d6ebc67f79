"""The list of our calls, below the server's base_url."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..tracking.inspection import Inspector
from .execute import KernelRunsHandler
from .handlers import ID, RUN
from .inspect import InspectHandler
from .kernels import ActionHandler, HistoryHandler, KernelsHandler, StatusHandler, WaitHandler
from .openapi import DocumentHandler
from .page import PageHandler
from .runs import (
    AllRunsHandler,
    Records,
    RunEventsHandler,
    RunHandler,
    RunInspectHandler,
    RunInterruptHandler,
    WorkersHandler,
)
from .watch import Watchers, WatchHandler


@dataclass(frozen=True, slots=True)
class Parts:
    """What the handlers need beside the tracker.

    Attributes:
        max_wait: The longest time that anybody may wait, in seconds.
        watchers: All who watch.
        inspector: Looks at processes.
        records: Who knows of runs.
    """

    max_wait: float
    watchers: Watchers
    inspector: Inspector
    records: Records


def routes(parts: Parts) -> list[tuple[Any, ...]]:
    """List the calls."""
    watchers, inspector = {"watchers": parts.watchers}, {"inspector": parts.inspector}
    records = {"records": parts.records}
    return [
        (r"/kernel-status", PageHandler),
        (r"/api/kernels", KernelsHandler),
        (r"/api/kernels/watch", WatchHandler, watchers),
        (r"/api/kernels/inspect", InspectHandler, inspector),
        (r"/api/kernels/openapi\.json", DocumentHandler),
        (r"/api/kernels/runs", AllRunsHandler, records),
        (rf"/api/kernels/runs/{RUN}", RunHandler, records),
        (rf"/api/kernels/runs/{RUN}/events", RunEventsHandler, records),
        (rf"/api/kernels/runs/{RUN}/inspect", RunInspectHandler, records),
        (rf"/api/kernels/runs/{RUN}/interrupt", RunInterruptHandler, records),
        (r"/api/kernels/workers/active", WorkersHandler, records),
        (rf"/api/kernels/{ID}/runs", KernelRunsHandler, records),
        (rf"/api/kernels/{ID}/status", StatusHandler),
        (rf"/api/kernels/{ID}/history", HistoryHandler),
        (rf"/api/kernels/{ID}/wait", WaitHandler, {"max_wait": parts.max_wait}),
        (rf"/api/kernels/{ID}/watch", WatchHandler, watchers),
        (rf"/api/kernels/{ID}/inspect", InspectHandler, inspector),
        (rf"/api/kernels/{ID}/(?P<action>restart|interrupt)", ActionHandler),
    ]
