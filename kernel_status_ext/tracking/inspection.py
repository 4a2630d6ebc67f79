"""Live figures of kernels' processes, from the system and never from the kernel itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import psutil

from ..core.model import Kernel
from .table import Entry, Table
from .usage import high_water

N = TypeVar("N", int, float)

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


@dataclass(eq=False, slots=True)
class _Round:
    """One pass over the process table, for all who asked before it began."""

    done: asyncio.Future[dict[int, Figures | Hidden]]
    pids: dict[int, int] = field(default_factory=dict)
    """The processes, each with the one that is the kernel: one below it if it is a wrapper."""
    full: bool = False


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
        self._next: _Round | None = None
        self._is_looking = False

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
        pids = dict(_processes(each for each in kernels if not known[each.id]))
        seen = await self._seen(pids, full=full) if pids else {}
        return {each.id: known[each.id] or _found(each, seen, full=full) for each in kernels}

    def _without_a_look(self, kernel: Kernel) -> Inspection | None:
        if kernel.process is None:
            why = kernel.reason or f"Kernel {kernel.id} is {kernel.status} and has no process."
            return NoProcess(why) if self._is_here(kernel) else _elsewhere(kernel)
        is_seen = self._is_here(kernel) and kernel.process.pid is not None
        return None if is_seen else _elsewhere(kernel)

    async def _seen(self, pids: Mapping[int, int], *, full: bool) -> dict[int, Figures | Hidden]:
        """Join the round that comes next: many who ask at once share one."""
        if self._next is None:
            self._next = _Round(asyncio.get_running_loop().create_future())
        joined = self._next
        joined.pids.update(pids)
        joined.full = joined.full or full
        if not self._is_looking:
            self._begin()
        return await asyncio.shield(joined.done)

    def _begin(self) -> None:
        mine, self._next = self._next, None
        self._is_looking = mine is not None
        if mine is not None:
            looking = self._thread.submit(self._look, dict(mine.pids), full=mine.full)
            ended = asyncio.wrap_future(looking)
            ended.add_done_callback(lambda seen: self._ended(mine, seen))

    def _ended(self, mine: _Round, seen: asyncio.Future[dict[int, Figures | Hidden]]) -> None:
        error = seen.exception()
        if error is None:
            mine.done.set_result(seen.result())
        else:
            mine.done.set_exception(error)
        self._begin()

    # -- in the thread -------------------------------------------------------------------

    def _look(self, pids: Mapping[int, int], *, full: bool) -> dict[int, Figures | Hidden]:
        table = Table()
        seen: dict[int, Figures | Hidden] = {
            each: Hidden(each) for each in pids if table.hides(each)
        }
        entries = filter(None, map(table.get, pids))
        for entry in entries:
            try:
                patient, inside = self._patient(entry), table.get(pids[entry.pid])
                seen[entry.pid] = patient.look(entry, inside, table, full=full)
            except psutil.AccessDenied:
                seen[entry.pid] = Hidden(entry.pid)
            except psutil.NoSuchProcess:
                # It has ended since the table was read.
                continue
        for pid in [each for each in self._patients if table.get(each) is None]:
            del self._patients[pid]
        return seen

    def _patient(self, entry: Entry) -> _Patient:
        known = self._patients.get(entry.pid)
        if known is None or known.born != entry.born:
            known = self._patients[entry.pid] = _Patient(entry)
        return known


def _processes(kernels: Iterable[Kernel]) -> Iterator[tuple[int, int]]:
    for each in kernels:
        if each.process is not None and each.process.pid is not None:
            inside = each.process.kernel_pid if each.is_wrapped else None
            yield each.process.pid, inside or each.process.pid


def _elsewhere(kernel: Kernel) -> Elsewhere:
    return Elsewhere(f"The process of kernel {kernel.id} was not started here and cannot be seen.")


def _found(kernel: Kernel, seen: dict[int, Figures | Hidden], *, full: bool) -> Inspection:
    pid = kernel.process.pid if kernel.process else None
    found = None if pid is None else seen.get(pid)
    if found is None:
        return NoProcess(f"Process {pid} of kernel {kernel.id} has just ended.")
    # Somebody else of the same round may have asked for more.
    return replace(found, costly=None) if isinstance(found, Figures) and not full else found


class _Patient:
    """A process that is looked at again and again."""

    def __init__(self, entry: Entry) -> None:
        self.born = entry.born
        self._create_time = datetime.fromtimestamp(entry.create_time, timezone.utc)
        self._process = psutil.Process(entry.pid)
        self._looked_at = 0.0
        self._used: float | None = None
        self._percent: float | None = None
        self._peak = 0

    def look(self, entry: Entry, inside: Entry | None, table: Table, *, full: bool) -> Figures:
        """Look at it now; raises ``psutil.Error`` where that is not possible.

        Args:
            entry: The process.
            inside: The process that is the kernel: the same, or one below it if it is a wrapper,
                and then the figures are those of all of them together.
            table: What is below it.
            full: Whether also at what is costly.
        """
        if not self._process.memory_info().vms:
            # It is being torn down: what it held is gone, and in a moment it is.
            raise psutil.NoSuchProcess(entry.pid)
        below = list(table.below(entry.pid))
        is_wrapper = inside is not None and inside.pid != entry.pid
        tree = [entry, *below] if is_wrapper else [entry]
        bodies = list(_bodies(self._process, tree))
        used = _sum(each.used for each in tree)
        return Figures(
            pid=entry.pid,
            process_status=entry.status if inside is None else inside.status,
            create_time=self._create_time,
            cpu_percent=self._busy(used),
            cpu_seconds=used,
            memory_rss=sum(each.memory.rss for each in bodies),
            memory_vms=sum(each.memory.vms for each in bodies),
            memory_peak=self._highest(bodies),
            num_threads=_sum(each.threads for each in tree),
            num_fds=_sum(_open_files(each.process) for each in bodies),
            cmdline=self._command(),
            children=_children(below),
            costly=_costly([each.process for each in bodies]) if full else None,
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

    def _highest(self, bodies: Iterable[_Body]) -> int | None:
        """Tell the most that it ever held: Linux knows it in a file, Windows beside the rest."""
        told = _sum(
            high_water(each.process.pid) or getattr(each.memory, "peak_wset", None)
            for each in bodies
        )
        # Linux counts it less exactly than what is held now.
        self._peak = max(self._peak, told or 0, sum(each.memory.rss for each in bodies))
        return self._peak if told else None

    def _command(self) -> tuple[str, ...] | None:
        with suppress(psutil.AccessDenied):
            return tuple(self._process.cmdline())
        return None


class _Body(NamedTuple):
    """A process and what it holds."""

    process: psutil.Process
    memory: Any


def _bodies(first: psutil.Process, tree: Sequence[Entry]) -> Iterator[_Body]:
    """Look at a process and at those below it, as far as these are still there."""
    yield _Body(first, first.memory_info())
    for each in tree[1:]:
        with suppress(psutil.Error):
            process = psutil.Process(each.pid)
            yield _Body(process, process.memory_info())


def _sum(numbers: Iterable[N | None]) -> N | None:
    """Add those that are told; None where none is."""
    told = [each for each in numbers if each is not None]
    return sum(told[1:], told[0]) if told else None


def _open_files(process: psutil.Process) -> int | None:
    with suppress(OSError):
        # Linux 6.2: the size of this folder is their number; before it is 0.
        size = Path(f"/proc/{process.pid}/fd").stat().st_size
        if size:
            return size
    with suppress(psutil.AccessDenied, AttributeError):  # Windows has none
        count: int = process.num_fds()
        return count
    return None


def _children(entries: Iterable[Entry]) -> Children:
    held = [_held(each.pid) for each in entries]
    return Children(len(held), sum(held))


def _held(pid: int) -> int:
    try:
        held: int = psutil.Process(pid).memory_info().rss
    except psutil.Error:
        return 0
    return held


def _costly(processes: Sequence[psutil.Process]) -> Costly:
    memory, counters = [], []
    for process in processes:
        with suppress(psutil.AccessDenied):
            memory.append(process.memory_full_info())
        with suppress(psutil.AccessDenied, AttributeError):  # macOS has no counters
            counters.append(process.io_counters())
    return Costly(
        memory_uss=_sum(getattr(each, "uss", None) for each in memory),
        memory_pss=_sum(getattr(each, "pss", None) for each in memory),
        read=_sum(getattr(each, "read_bytes", None) for each in counters),
        written=_sum(getattr(each, "write_bytes", None) for each in counters),
    )
