"""A memory cgroup of our own, version 1 or 2, in which a kernel can really run out of memory."""

from __future__ import annotations

import contextlib
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

from .server import eventually

HEADS = ("sh", "-c")
LIMITS = ("memory.max", "memory.limit_in_bytes")
COUNTERS = ("memory.events", "memory.oom_control")
NO_SWAP = {"memory.swap.max": "0", "memory.swappiness": "0"}


class NoMemoryGroupError(Exception):
    """This machine does not let us make one."""


class MemoryGroup:
    """A group that exists, with a limit of so many bytes."""

    def __init__(self, path: Path, limit: int) -> None:
        self.path, self.limit = path, limit
        self.procs = path / "cgroup.procs"

    def joining(self, *argv: str) -> list[str]:
        """The command that joins the group and then becomes `argv`, as one process."""
        return [*HEADS, f'echo $$ > {self.procs} && exec "$@"', "sh", *argv]

    def around(self, *argv: str) -> list[str]:
        """The command that joins the group and stays around `argv`, with its exit code."""
        return [*HEADS, f'echo $$ > {self.procs} && "$@"; exit $?', "sh", *argv]

    def join(self, pid: int) -> None:
        """Move a process into the group."""
        self.procs.write_text(str(pid))

    def leave(self) -> None:
        """Move all its processes out of the group."""
        for pid in self.procs.read_text().split():
            with contextlib.suppress(OSError):  # it has just gone
                (self.path.parent / "cgroup.procs").write_text(pid)

    @property
    def kills(self) -> int:
        """How many processes of the group the kernel of this machine has killed for memory."""
        for name in COUNTERS:
            with contextlib.suppress(FileNotFoundError):
                lines = (self.path / name).read_text().splitlines()
                return int(dict(line.split() for line in lines)["oom_kill"])
        msg = f"no counter of kills in {self.path}"
        raise NoMemoryGroupError(msg)

    def remove(self) -> None:
        """Remove the group, once it is empty."""

        def removed() -> bool:
            with contextlib.suppress(OSError):
                self.leave()
                self.path.rmdir()
            return not self.path.exists()

        eventually(removed, what=f"{self.path} is removed")


def _own_groups() -> Iterator[Path]:
    """The memory groups this process is in, the outermost first."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, inner = line.split(":", 2)
        if "memory" in controllers.split(","):
            mount = Path("/sys/fs/cgroup/memory")
        elif not controllers:
            mount = Path("/sys/fs/cgroup")
        else:
            continue
        own = mount / inner.strip("/")
        yield from (path for path in [*reversed(own.parents), own] if path.is_relative_to(mount))


def _made(parent: Path, limit: int) -> MemoryGroup | None:
    """A group below this one, if there can be one that limits, counts and takes a process."""
    group = MemoryGroup(parent / f"kernel-status-{uuid.uuid4().hex[:8]}", limit)
    try:
        group.path.mkdir()
    except OSError:
        return None
    try:
        next(group.path / name for name in LIMITS if (group.path / name).exists()).write_text(
            str(limit)
        )
        for name, value in NO_SWAP.items():
            with contextlib.suppress(OSError):
                (group.path / name).write_text(value)
        subprocess.run(group.joining("true"), check=True, capture_output=True)
        assert group.kills == 0
    except (OSError, StopIteration, KeyError, NoMemoryGroupError, subprocess.CalledProcessError):
        group.remove()
        return None
    return group


@contextlib.contextmanager
def memory_group(limit: int) -> Iterator[MemoryGroup]:
    """A new group, removed at the end; what is still in it by then moves out.

    Raises:
        NoMemoryGroupError: none can be made here.
    """
    made = (_made(parent, limit) for parent in _own_groups() if parent.is_dir())
    group = next((group for group in made if group), None)
    if group is None:
        raise NoMemoryGroupError
    try:
        yield group
    finally:
        group.remove()
