"""Live figures of kernels' processes, from the system and never from the kernel itself."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import psutil
from tornado.ioloop import IOLoop

from ..core.model import Kernel
from .usage import high_water

LEAST_INTERVAL = 0.1
"""Seconds between two looks below which they do not tell how busy a processor was."""


@dataclass(frozen=True, slots=True)
class Children:
    """The processes that a process has started, and those that these have."""

    count: int
    memory_rss: int


@dataclass(frozen=True, slots=True)
class Costly:
    """What takes fifty times as long to find out; sizes in bytes, None where not told."""

    memory_uss: int | None
    memory_pss: int | None
    read: int | None
    written: int | None


@dataclass(frozen=True, slots=True)
class Figures:
    """A living process at one moment; sizes in bytes, None where this platform does not tell."""

    pid: int
    process_status: str
    create_time: datetime
    cpu_percent: float | None
    """Since the look before; None for the first."""
    cpu_seconds: float | None
    memory_rss: int
    memory_vms: int
    memory_peak: int | None
    num_threads: int | None
    num_fds: int | None
    cmdline: tuple[str, ...] | None
    children: Children
    costly: Costly | None = None
    """None if it was not asked for."""


@dataclass(frozen=True, slots=True)
class NoProcess:
    """There is none, and this is why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Hidden:
    """A process lives and we may not look at it."""

    pid: int


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """If there is a process it is not one of this machine, or not one that we started."""

    reason: str


Inspection = Figures | NoProcess | Hidden | Elsewhere


class Inspector:
    """Looks at processes in a thread of its own; what was seen last is kept between looks."""

    def __init__(self, is_here: Callable[[Kernel], bool]) -> None:
        """Begin without a look.

        Args:
            is_here: Tells of a kernel whether its process is a child of ours.
        """
        self._is_here = is_here
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="kernel-status-inspect")
        self._patients: dict[int, _Patient] = {}

    async def inspect(
        self, kernels: Sequence[Kernel], *, full: bool = False
    ) -> dict[str, Inspection]:
        """Look at the processes of kernels, with one pass over the process table.

        Args:
            kernels: Which.
            full: Whether also at what is costly.

        Returns:
            What was found, by kernel id.
        """
        known = {each.id: self._without_a_look(each) for each in kernels}
        pids = [each.process.pid for each in kernels if each.process and not known[each.id]]
        seen: dict[int, Figures | Hidden] = {}
        if pids:
            work = self._thread, self._look, pids, full
            seen = await IOLoop.current().run_in_executor(*work)
        return {each.id: known[each.id] or _found(each, seen) for each in kernels}

    def _without_a_look(self, kernel: Kernel) -> Inspection | None:
        if kernel.process is None:
            why = kernel.reason or f"Kernel {kernel.id} is {kernel.status} and has no process."
            return NoProcess(why) if self._is_here(kernel) else _elsewhere(kernel)
        is_seen = self._is_here(kernel) and kernel.process.pid is not None
        return None if is_seen else _elsewhere(kernel)

    # -- in the thread -------------------------------------------------------------------

    def _look(self, pids: Sequence[int], full: bool) -> dict[int, Figures | Hidden]:  # noqa: FBT001 - executors take no keywords
        table = _Table()
        seen = {}
        for pid in pids:
            try:
                patient = self._patient(pid)
                seen[pid] = patient.look(table, full=full)
            except psutil.AccessDenied:
                seen[pid] = Hidden(pid)
            except psutil.NoSuchProcess:
                self._patients.pop(pid, None)
        for pid in self._patients.keys() - table.parents.keys():
            del self._patients[pid]
        return seen

    def _patient(self, pid: int) -> _Patient:
        known = self._patients.get(pid)
        if known is None or not known.process.is_running():
            known = self._patients[pid] = _Patient(psutil.Process(pid))
        return known


def _elsewhere(kernel: Kernel) -> Elsewhere:
    return Elsewhere(f"The process of kernel {kernel.id} was not started here and cannot be seen.")


def _found(kernel: Kernel, seen: dict[int, Figures | Hidden]) -> Inspection:
    pid = kernel.process.pid if kernel.process else None
    found = None if pid is None else seen.get(pid)
    return found or NoProcess(f"Process {pid} of kernel {kernel.id} has just ended.")


class _Table:
    """The process table, read once: who has started whom."""

    def __init__(self) -> None:
        self.parents: dict[int, int] = {}
        self._children: dict[int, list[psutil.Process]] = defaultdict(list)
        for process in psutil.process_iter(["ppid"]):
            parent = process.info["ppid"]
            self.parents[process.pid] = parent
            self._children[parent].append(process)

    def below(self, pid: int) -> Iterator[psutil.Process]:
        """Go through those that a process has started, and those that these have."""
        for child in self._children[pid]:
            yield child
            yield from self.below(child.pid)


class _Patient:
    """A process that is looked at again and again."""

    def __init__(self, process: psutil.Process) -> None:
        self.process = process
        self._looked_at = 0.0
        self._used: float | None = None
        self._percent: float | None = None

    def look(self, table: _Table, *, full: bool) -> Figures | Hidden:
        """Look at it now; raises ``psutil.Error`` where that is not possible."""
        with self.process.oneshot():
            told = self.process.as_dict(_ATTRIBUTES)
            if told["status"] == psutil.STATUS_ZOMBIE:
                raise psutil.NoSuchProcess(self.process.pid)
            memory, times = told["memory_info"], told["cpu_times"]
            if memory is None or told["create_time"] is None:
                return Hidden(self.process.pid)
            used = times and times.user + times.system
            return Figures(
                pid=self.process.pid,
                process_status=told["status"],
                create_time=datetime.fromtimestamp(told["create_time"], timezone.utc),
                cpu_percent=self._busy(used),
                cpu_seconds=used,
                memory_rss=memory.rss,
                memory_vms=memory.vms,
                memory_peak=_peak(self.process.pid, memory),
                num_threads=told["num_threads"],
                num_fds=told.get("num_fds"),
                cmdline=told["cmdline"] and tuple(told["cmdline"]),
                children=_children(table.below(self.process.pid)),
                costly=_costly(self.process) if full else None,
            )

    def _busy(self, used: float | None) -> float | None:
        """Tell how much of a processor it took since the look before, in percent."""
        now = time.monotonic()
        passed = now - self._looked_at
        if used is None or passed < LEAST_INTERVAL:
            return self._percent
        if self._used is not None:
            self._percent = round(max(0.0, used - self._used) / passed * 100, 1)
        self._looked_at, self._used = now, used
        return self._percent


_ATTRIBUTES = [
    each
    for each in (
        "status", "create_time", "cpu_times", "memory_info", "num_threads", "num_fds", "cmdline",
    )
    if hasattr(psutil.Process, each)
]  # fmt: skip
"""What is asked; Windows has no ``num_fds``."""


def _peak(pid: int, memory: Any) -> int | None:
    """Find the most that it ever held: Linux tells in a file, Windows beside what it holds now."""
    peak: int | None = high_water(pid) or getattr(memory, "peak_wset", None)
    return peak


def _children(processes: Iterable[psutil.Process]) -> Children:
    held = [_held(each) for each in processes]
    return Children(len(held), sum(held))


def _held(process: psutil.Process) -> int:
    try:
        held: int = process.memory_info().rss
    except psutil.Error:
        return 0
    return held


def _costly(process: psutil.Process) -> Costly:
    memory = counters = None
    with suppress(psutil.AccessDenied):
        memory = process.memory_full_info()
    with suppress(psutil.AccessDenied, AttributeError):  # macOS has no counters
        counters = process.io_counters()
    return Costly(
        memory_uss=getattr(memory, "uss", None),
        memory_pss=getattr(memory, "pss", None),
        read=getattr(counters, "read_bytes", None),
        written=getattr(counters, "write_bytes", None),
    )
