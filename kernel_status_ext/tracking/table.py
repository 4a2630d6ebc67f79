"""The process table: who has started whom, and what each uses, read in one pass.

On Linux the pass reads ``/proc/PID/stat``, once for each process: psutil would open it four times
for what stands in this one line, which made up two thirds of the cost. Elsewhere psutil reads.
What a process holds is not taken from there: that number lags behind. Times are seconds.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from .usage import read_small

PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Entry:
    """One process of the table; None where this platform does not tell."""

    pid: int
    parent: int
    status: str
    """In psutil's words."""
    born: float
    """What tells it from an earlier process of the same number."""
    create_time: float
    """Since 1970; moves a little when the system's clock is set."""
    used: float | None
    """Processor time, its own."""
    threads: int | None


class Table:
    """The table as it was at one moment."""

    def __init__(self) -> None:
        """Read it."""
        entries, self._hidden = _from_proc() if (PROC / "self/stat").exists() else _from_psutil()
        self._entries = {each.pid: each for each in entries}
        self._children: dict[int, list[Entry]] = defaultdict(list)
        for each in entries:
            self._children[each.parent].append(each)

    def get(self, pid: int) -> Entry | None:
        """Return a process; None for one that has ended, or that may not be looked at."""
        entry = self._entries.get(pid)
        return None if entry is None or entry.status == psutil.STATUS_ZOMBIE else entry

    def hides(self, pid: int) -> bool:
        """Tell whether there is such a process and it may not be looked at."""
        return pid in self._hidden

    def below(self, pid: int) -> Iterator[Entry]:
        """Go through those that a process has started, and those that these have; no zombies."""
        found = [pid]
        for each in found:
            for child in self._children.get(each, ()):
                found.append(child.pid)
                if child.status != psutil.STATUS_ZOMBIE:
                    yield child


Read = tuple[list[Entry], set[int]]
"""The processes that may be looked at, and the numbers of those that may not."""


def _from_proc() -> Read:
    entries, hidden = [], set()
    # psutil.boot_time is in whole seconds: a process would be older than what started it.
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    for name in os.listdir(PROC):  # noqa: PTH208 - a thousand names
        if name.isdecimal():
            try:
                entries.append(_parsed(int(name), read_small(f"{PROC}/{name}/stat"), booted))
            except PermissionError:
                hidden.add(int(name))
            except (FileNotFoundError, ProcessLookupError):
                # It has ended since the list was made.
                continue
    return entries, hidden


# proc(5), /proc/pid/stat, counted from the field after the name, which is in parentheses and
# may contain anything.
_STATE, _PARENT, _USER, _SYSTEM, _THREADS, _STARTED = 0, 1, 11, 12, 17, 19

_TICK = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100

_STATES = {
    b"R": psutil.STATUS_RUNNING,
    b"S": psutil.STATUS_SLEEPING,
    b"D": psutil.STATUS_DISK_SLEEP,
    b"T": psutil.STATUS_STOPPED,
    b"t": psutil.STATUS_TRACING_STOP,
    b"Z": psutil.STATUS_ZOMBIE,
    b"X": psutil.STATUS_DEAD,
    b"x": psutil.STATUS_DEAD,
    b"I": psutil.STATUS_IDLE,
    b"P": psutil.STATUS_PARKED,
}


def _parsed(pid: int, line: bytes, booted: float) -> Entry:
    told = line[line.rindex(b")") + 2 :].split(None, _STARTED + 1)
    return Entry(
        pid=pid,
        parent=int(told[_PARENT]),
        status=_STATES.get(told[_STATE], "?"),
        born=int(told[_STARTED]),
        create_time=booted + int(told[_STARTED]) / _TICK,
        used=(int(told[_USER]) + int(told[_SYSTEM])) / _TICK,
        threads=int(told[_THREADS]),
    )


_ASKED = ["ppid", "status", "create_time", "cpu_times", "num_threads"]


def _from_psutil() -> Read:
    entries, hidden = [], set()
    for process in psutil.process_iter(_ASKED):
        told = process.info
        times = told["cpu_times"]
        if told["create_time"] is None:
            hidden.add(process.pid)
            continue
        entry = Entry(
            pid=process.pid,
            parent=told["ppid"],
            status=told["status"],
            born=told["create_time"],
            create_time=told["create_time"],
            used=times and times.user + times.system,
            threads=told["num_threads"],
        )
        entries.append(entry)
    return entries, hidden
