"""The only place that makes Prometheus metrics of what the tracker knows."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import ClassVar

from prometheus_client import REGISTRY, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric

from ..core.model import Kernel, Terminated
from ..core.run import Run
from ..core.words import Status
from ..tracking.tracker import Change, Tracker

MOST_NAMES = 50
"""Kernelspecs that are told apart."""

OTHER = "other"
"""The kernel name of all further ones."""

BUCKETS = (0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 7.5, 10, 20, 30, 60, 120, 300)
"""Seconds until a kernel is connected: a Python one takes about one, a heavy one a minute."""

AUTOMATIC = "automatic"
REQUESTED = "requested"

Number = Callable[[], int]


class Metrics:
    """What Prometheus is told of one server's kernels; counting is all it does at a change."""

    _printed: ClassVar[Metrics | None] = None
    """The one that ``/metrics`` prints: names are there once in a process."""

    def __init__(self, tracker: Tracker, waiters: Number, watchers: Number) -> None:
        """Begin to count.

        Args:
            tracker: Knows the kernels.
            waiters: Tells how many wait for a state now.
            watchers: Tells how many read the stream of changes now.
        """
        self._tracker = tracker
        self._waiters = waiters
        self._watchers = watchers
        self._name = Names()
        self._terminations = Counter(
            "kernel_status_terminations",
            "Processes of kernels that ended, by kernelspec and by why they did.",
            ["kernel_name", "cause"],
            registry=None,
        )
        self._restarts = Counter(
            "kernel_status_restarts",
            "Processes that took the place of an earlier one of the same kernel: automatic after "
            "a death, or requested by somebody.",
            ["kernel_name", "kind"],
            registry=None,
        )
        self._runs = Counter(
            "kernel_status_runs",
            "Runs that are over, whoever sent them, by how they ended.",
            ["kernel_name", "status"],
            registry=None,
        )
        self._connect = Histogram(
            "kernel_status_connect_seconds",
            "Seconds from the start of a kernel's process until it could be worked with.",
            ["kernel_name"],
            registry=None,
            buckets=BUCKETS,
        )

    # -- the registry --------------------------------------------------------------------

    def register(self) -> None:
        """Be printed at ``/metrics``, in the place of an earlier server of this process."""
        if Metrics._printed is not None:
            Metrics._printed.unregister()
        REGISTRY.register(self)
        Metrics._printed = self

    def unregister(self) -> None:
        """Be printed no more; nothing happens where another server is printed by now."""
        if Metrics._printed is self:
            Metrics._printed = None
            with suppress(KeyError):  # somebody has emptied the registry
                REGISTRY.unregister(self)

    def collect(self) -> Iterator[Metric]:
        """Make all metrics as they are now; for the registry."""
        yield self._kernels()
        yield GaugeMetricFamily(
            "kernel_status_waiters",
            "Calls that wait now until a kernel is in a state.",
            value=self._waiters(),
        )
        yield GaugeMetricFamily(
            "kernel_status_watchers",
            "Readers of the stream of changes that are connected now.",
            value=self._watchers(),
        )
        for counted in (self._terminations, self._restarts, self._runs, self._connect):
            yield from counted.collect()

    def _kernels(self) -> Metric:
        family = GaugeMetricFamily(
            "kernel_status_kernels",
            "Kernels that the server lists now, by the status of their process.",
            labels=["status"],
        )
        count = Tally(each.status for each in self._tracker)
        for status in Status:
            family.add_metric([status.value], count[status])
        return family

    # -- what happens --------------------------------------------------------------------

    def changed(self, change: Change) -> None:
        """Count what a change brought; for the tracker's ``listen``."""
        before, after = change.before, change.after
        if before is None or after is None:
            return
        for notice in change.notices:
            if isinstance(notice, Terminated):
                cause = notice.termination.cause.value
                self._terminations.labels(self._name(after.name), cause).inc()
        if after.generation > before.generation:
            kind = AUTOMATIC if after.restart_count > before.restart_count else REQUESTED
            self._restarts.labels(self._name(after.name), kind).inc()
        seconds = _until_connected(before, after)
        if seconds is not None:
            self._connect.labels(self._name(after.name)).observe(seconds)

    def run_changed(self, run: Run) -> None:
        """Count a run that is over; for the ledger's ``listen``."""
        if run.has_ended:
            self._runs.labels(self._name(run.kernel_name), run.status.value).inc()


class Names:
    """Names of kernelspecs as values of a label: so many, and no more."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def __call__(self, name: str) -> str:
        """Give the name, or ``other`` for one that comes after the first so many.

        Args:
            name: The name of a kernelspec.

        Returns:
            The value of the label.
        """
        if name not in self._known:
            if len(self._known) == MOST_NAMES:
                return OTHER
            self._known.add(name)
        return name


def _until_connected(before: Kernel, after: Kernel) -> float | None:
    """Tell how long the start took whose end this change is; None for any other change."""
    process = after.process
    if process is None or process.connected_at is None or process.started_at is None:
        return None
    if before.answered and before.generation == after.generation:
        return None
    # The system's clock may have been set back meanwhile.
    return max(0.0, (process.connected_at - process.started_at).total_seconds())
