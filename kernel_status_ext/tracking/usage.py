"""The only place that reads what a process used, its peak memory and processor time, and its state.

Both are read now and then while it lives, and once more from what the system keeps of a zombie.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import sys
from dataclasses import dataclass

import psutil

_WAITID = {"x86_64": 247, "aarch64": 95, "riscv64": 95, "ppc64le": 272, "s390x": 281}
"""The raw system call: libc's waitid leaves out its fifth argument, the resource usage."""

_P_PIDFD, _WEXITED, _WNOHANG, _WNOWAIT = 3, 4, 1, 0x01000000
_MICROSECONDS = 1e6
_KIBI = 1024


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process used so far."""

    peak_memory: int | None = None
    """Bytes."""
    cpu_seconds: float | None = None
    """Its own and, after its end, also that of children that it waited for."""

    def later(self, other: Usage | None) -> Usage:
        """Take what a later look saw, where it saw something."""
        if other is None:
            return self
        peaks = [each for each in (self.peak_memory, other.peak_memory) if each is not None]
        cpu = self.cpu_seconds if other.cpu_seconds is None else other.cpu_seconds
        return Usage(max(peaks, default=None), cpu)


def usage_of(pid: int) -> Usage:
    """Read what a living process has used; nothing where that is not told.

    Args:
        pid: A child of ours, so that no other process can have this number.

    Returns:
        What it has used.
    """
    try:
        process = psutil.Process(pid)
        times = process.cpu_times()
        peak = high_water(pid) or process.memory_info().rss
    except (psutil.Error, OSError):
        return Usage()
    return Usage(peak or None, times.user + times.system)


def usage_of_tree(pid: int) -> Usage:
    """Read what a living process and all below it have used; nothing where that is not told."""
    try:
        below = psutil.Process(pid).children(recursive=True)
    except (psutil.Error, OSError):
        return Usage()
    used = [usage_of(each) for each in (pid, *(child.pid for child in below))]
    peaks = [each.peak_memory for each in used if each.peak_memory is not None]
    seconds = [each.cpu_seconds for each in used if each.cpu_seconds is not None]
    return Usage(sum(peaks) or None, sum(seconds) if seconds else None)


def is_stopped(pid: int) -> bool:
    """Tell whether a signal has stopped a process."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    except (psutil.Error, OSError):
        return False


def high_water(pid: int) -> int | None:
    """Read the most that a process ever held, in bytes; None where Linux does not tell."""
    try:
        text = read_small(f"/proc/{pid}/status")
    except OSError:
        return None
    found = _HIGH_WATER.search(text)
    return int(found.group(1)) * _KIBI if found else None


_HIGH_WATER = re.compile(rb"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


def read_small(path: str) -> bytes:
    """Read a file of the system in one go; pathlib's way takes five times as long.

    Args:
        path: Where.

    Returns:
        The first 4 KiB.

    Raises:
        OSError: It cannot be read.
    """
    file = os.open(path, os.O_RDONLY)
    try:
        return os.read(file, 4096)
    finally:
        os.close(file)


class _ResourceUsage(ctypes.Structure):
    _fields_ = (
        ("user_seconds", ctypes.c_long),
        ("user_microseconds", ctypes.c_long),
        ("system_seconds", ctypes.c_long),
        ("system_microseconds", ctypes.c_long),
        ("max_resident_kib", ctypes.c_long),
        ("others", ctypes.c_long * 13),
    )


_SIGINFO_SIZE = 128


def usage_of_zombie(pidfd: int) -> Usage | None:
    """Read what a process used that has ended and was not reaped, without reaping it.

    Args:
        pidfd: Its file descriptor.

    Returns:
        What it used; None where this machine does not tell.
    """
    number = _WAITID.get(platform.machine()) if sys.platform == "linux" else None
    if number is None or sys.maxsize < 1 << 32:
        return None
    used, info = _ResourceUsage(), ctypes.create_string_buffer(_SIGINFO_SIZE)
    options = _WEXITED | _WNOHANG | _WNOWAIT
    syscall = ctypes.CDLL(None, use_errno=True).syscall
    arguments = (number, _P_PIDFD, pidfd, ctypes.byref(info), options, ctypes.byref(used))
    if syscall(*map(_as_long, arguments)) != 0:
        return None
    seconds = used.user_seconds + used.system_seconds
    cpu = seconds + (used.user_microseconds + used.system_microseconds) / _MICROSECONDS
    return Usage(_peak_of_its_own(used.max_resident_kib), cpu)


def _as_long(value: object) -> object:
    return ctypes.c_long(value) if isinstance(value, int) else value


def _peak_of_its_own(kib: int) -> int | None:
    """Believe a zombie's peak only above ours: it began as a copy of this server.

    Ours without what this server inherited in the same way from whoever started it
    (``ru_maxrss`` has that, ``VmHWM`` has not): a child gets the memory's mark, not the past.
    """
    ours = high_water(os.getpid())
    return kib * _KIBI if ours is not None and kib * _KIBI > ours else None
