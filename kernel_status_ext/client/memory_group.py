"""The only place that makes a memory group (cgroup) for the demo, where this machine lets us."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from .errors import DemoError
from .server import LOOK_AGAIN, STOPPING

LIMIT = 300 * 2**20
"""Bytes: enough for a kernel to start, little enough to be filled at once."""

LIMITS = ("memory.max", "memory.limit_in_bytes")
"""Where the limit is set: version 2, version 1 (cgroups(7))."""

COUNTERS = ("memory.events", "memory.oom_control")
"""Where the kills are counted."""

NO_SWAP = {
    "memory.swap.max": 0,
    "memory.memsw.limit_in_bytes": LIMIT,  # memory and swap together
    "memory.swappiness": 0,
}
"""What keeps the group out of the swap; which of them there are depends on the machine."""


@dataclass(frozen=True)
class MemoryGroup:
    """A group that limits, counts its kills, and takes processes.

    Attributes:
        folder: The group.
    """

    folder: Path

    @property
    def processes(self) -> Path:
        """Who is in it; who writes a process id there moves that process."""
        return self.folder / "cgroup.procs"

    def joining(self, *argv: str) -> list[str]:
        """Return the command that joins the group and then becomes another, in one process.

        Args:
            argv: The other command.
        """
        join = 'echo $$ > "$1" && shift && exec "$@"'
        return ["/bin/sh", "-c", join, "sh", str(self.processes), *argv]


@contextlib.contextmanager
def memory_group() -> Iterator[MemoryGroup | None]:
    """Make a memory group that holds ``LIMIT``; it is removed, and what is still in it is killed.

    Yields:
        The group; None where none can be made, as on most machines for most users.

    Raises:
        DemoError: It could not be removed.
    """
    name = f"kernel-status-demo-{os.getpid()}-{secrets.token_hex(4)}"
    groups = [MemoryGroup(parent / name) for parent in _parents()]
    try:
        yield next((group for group in groups if _is_made(group)), None)
    finally:
        # All of them: an interruption may come when one is made and not yet yielded.
        for group in groups:
            _remove(group)


def _parents() -> Iterator[Path]:
    """Find the groups that may get a child: first our own, whose limits then hold on."""
    for mount, inner in _memberships():
        own = mount / inner.strip("/")
        for parent in (own, *own.parents):
            # Version 2 moves a process only for those who may write this.
            if parent.is_relative_to(mount) and os.access(parent / "cgroup.procs", os.W_OK):
                yield parent


def _memberships() -> Iterator[tuple[Path, str]]:
    """Read which groups this process is in, of those that may count memory."""
    for line in _read(Path("/proc/self/cgroup")).splitlines():
        _, controllers, inner = line.split(":", 2)
        if "memory" in controllers.split(","):
            yield Path("/sys/fs/cgroup/memory"), inner
        elif not controllers:
            yield Path("/sys/fs/cgroup"), inner


def _is_made(group: MemoryGroup) -> bool:
    try:
        group.folder.mkdir()
    except OSError:
        return False
    limited = any(_written(group.folder / name, LIMIT) for name in LIMITS)
    for name, value in NO_SWAP.items():
        _written(group.folder / name, value)
    return limited and _kills_and_counts(group) and _takes_a_process(group)


def _kills_and_counts(group: MemoryGroup) -> bool:
    told = "".join(_read(group.folder / name) for name in COUNTERS).splitlines()
    return "oom_kill 0" in told and "oom_kill_disable 1" not in told


def _takes_a_process(group: MemoryGroup) -> bool:
    try:
        tried = subprocess.run(group.joining("true"), capture_output=True, check=False)
    except OSError:
        return False
    return tried.returncode == 0


def _remove(group: MemoryGroup) -> None:
    deadline = time.monotonic() + STOPPING
    while group.folder.is_dir():
        # The server has ended its kernels: this is one whose server went away.
        psutil.wait_procs(list(_killed(group)), timeout=LOOK_AGAIN)
        with contextlib.suppress(OSError):  # somebody is still leaving
            group.folder.rmdir()
            return
        if time.monotonic() > deadline:
            raise DemoError(f"A memory group is left over, remove it: rmdir {group.folder}")


def _killed(group: MemoryGroup) -> Iterator[psutil.Process]:
    for pid in map(int, _read(group.processes).split()):
        if pid:  # 0 is a process that we cannot see
            with contextlib.suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                process.kill()
                yield process


def _written(file: Path, value: int) -> bool:
    try:
        with file.open("r+") as existing:
            existing.write(str(value))
    except OSError:
        return False
    return True


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
