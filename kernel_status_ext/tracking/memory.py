"""The only place that reads memory groups (cgroups): whether somebody was killed for memory.

A group counts its out-of-memory kills. What counts for a death is what was counted since, not
what stands there: so each group is met while its processes live, what it counts is compared with
what has been explained, and a kill that explains one death explains no other. Where nothing can be
read (other systems, no cgroups, no permission) nothing is claimed.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from ..core.remains import OutOfMemory

V1_UNLIMITED = 1 << 60
"""Version 1 writes a number close to 2**63 where there is no limit."""


@dataclass(frozen=True, slots=True)
class _Mount:
    root: str
    point: Path
    version: int


@dataclass(eq=False, slots=True)
class Group:
    """A memory group and how much of what it counts has been explained."""

    folder: Path
    counters: tuple[str, ...]
    limits: tuple[str, ...]
    explained: int = 0
    noticed: int = 0
    """What it counted when ``noticed_by`` looked; still unexplained at that one's next look, it
    was no kernel's death: those are seen within milliseconds."""
    noticed_by: int = 0
    members: set[int] = field(default_factory=set)
    """The pids of kernels in it."""

    def count(self) -> int | None:
        """Read how many of its processes were killed for memory; None where that is not told."""
        for name in self.counters:
            found = re.search(r"^oom_kill (\d+)$", _read(self.folder / name), re.MULTILINE)
            if found:
                return int(found.group(1))
        return None

    def limit(self) -> int | None:
        """Read what it may hold, in bytes."""
        for name in self.limits:
            text = _read(self.folder / name).strip()
            if text.isdecimal():
                return int(text) if int(text) < V1_UNLIMITED else None
        return None


class Groups:
    """The memory groups of all kernels."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        """Begin.

        Args:
            proc: Where the system tells of processes and mounts.
        """
        self._proc = proc
        self._mounts: list[_Mount] | None = None
        self._groups: dict[Path, Group] = {}
        self._memberships: dict[int, str] = {}
        """What /proc/PID/cgroup said of each pid at its last look."""
        self._of: dict[int, tuple[Group, int]] = {}
        """For each pid its group, and what that counted when they met."""

    def look(self, pid: int) -> int:
        """Look where a process is now and what its group counts; while it lives, now and then.

        Args:
            pid: A kernel's process.

        Returns:
            How many kills its group has counted that no death has explained since the last look.
        """
        membership = _read(self._proc / str(pid) / "cgroup")
        if membership != self._memberships.get(pid):
            self._find(pid, membership)
        known = self._of.get(pid)
        return 0 if known is None else self._survived(pid, known[0])

    def _find(self, pid: int, membership: str) -> None:
        found = self._folder(membership)
        known = self._of.get(pid)
        is_new = found is not None and (known is None or known[0].folder != found[0])
        if is_new and self._is_dying(pid):
            # The end is about to be told; the system says of a zombie that it is in the root.
            return
        if found is not None and is_new:
            self.forget(pid)
            self._join(pid, *found)
        self._memberships[pid] = membership

    def _survived(self, pid: int, group: Group) -> int:
        count = group.count()
        if count is None or group.noticed_by in group.members - {pid}:
            return 0
        if count > group.explained and any(map(self._is_dying, group.members)):
            # The count comes before the end, and a big process takes its time to end.
            return 0
        survived = max(0, group.noticed - group.explained)
        group.explained += survived
        group.noticed, group.noticed_by = count, pid if count > group.explained else 0
        return survived

    def _is_dying(self, pid: int) -> bool:
        return _is_dying(_read(self._proc / str(pid) / "status"))

    def _join(self, pid: int, folder: Path, version: int) -> None:
        group = self._groups.get(folder)
        if group is None:
            group = Group(folder, *FILES[version])
            group.explained = group.noticed = group.count() or 0
            self._groups[folder] = group
        group.members.add(pid)
        self._of[pid] = (group, group.count() or 0)

    def neighbours(self, pid: int) -> set[int]:
        """Return the pids of other kernels in the same group."""
        known = self._of.get(pid)
        return set() if known is None else known[0].members - {pid}

    def explain(self, pid: int, rivals: int) -> OutOfMemory | None:
        """Tell whether the death of a process by SIGKILL is explained by what its group counted.

        Args:
            pid: The process.
            rivals: How many others of the group ended by SIGKILL, too, and held more memory.

        Returns:
            What explains it, and then nothing else; None if nothing does.
        """
        known = self._of.get(pid)
        if known is None:
            return None
        group, at_first = known
        count = group.count()
        explained = max(group.explained, at_first)
        if count is None or count - explained <= rivals:
            return None
        group.explained = explained + 1
        return OutOfMemory(group.limit())

    def forget(self, pid: int) -> None:
        """Let go of a process that has ended."""
        self._memberships.pop(pid, None)
        known = self._of.pop(pid, None)
        if known is not None:
            group = known[0]
            group.members.discard(pid)
            if not group.members:
                self._groups.pop(group.folder, None)

    def _folder(self, membership: str) -> tuple[Path, int] | None:
        paths = dict(_memberships(membership))
        if self._mounts is None:
            self._mounts = list(_mounts(_read(self._proc / "self" / "mountinfo")))
        for mount in self._mounts:
            path = paths.get(mount.version)
            folder = None if path is None else _below(mount, path)
            counters = FILES[mount.version][0]
            if folder is not None and any(
                map(os.path.exists, (folder / name for name in counters))
            ):
                return folder, mount.version
        return None


FILES: dict[int, tuple[tuple[str, ...], tuple[str, ...]]] = {
    1: (("memory.oom_control",), ("memory.limit_in_bytes",)),
    2: (("memory.events.local", "memory.events"), ("memory.max",)),
}
"""By version: where the kills are counted, and where the limit stands (cgroups(7))."""


def _memberships(text: str) -> list[tuple[int, str]]:
    """Read /proc/PID/cgroup: the version and the path of each group that counts memory."""
    found = []
    for line in text.splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if "memory" in controllers.split(","):
            found.append((1, path))
        elif controllers == "" and path:
            found.append((2, path))
    return found


def _mounts(text: str) -> list[_Mount]:
    """Read /proc/self/mountinfo: where groups that count memory are mounted; version 1 first."""
    found = []
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        root, point = [*before.split(), "", "", "", "", ""][3:5]
        kind, _, options = [*after.split(None, 2), "", "", ""][:3]
        if kind == "cgroup" and "memory" in options.rsplit(" ", 1)[-1].split(","):
            found.append(_Mount(_unescaped(root), Path(_unescaped(point)), 1))
        elif kind == "cgroup2":
            found.append(_Mount(_unescaped(root), Path(_unescaped(point)), 2))
    return sorted(found, key=lambda mount: mount.version)


def _unescaped(path: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found.group(1), 8)), path)


def _below(mount: _Mount, path: str) -> Path | None:
    """Find a group's folder: in a container only a part of the tree is mounted."""
    inside = path
    if mount.root != "/" and (path == mount.root or path.startswith(mount.root + "/")):
        inside = path[len(mount.root) :]
    folder = mount.point / inside.lstrip("/")
    if ".." not in folder.parts and os.path.isdir(folder):  # noqa: PTH112 - Path.is_dir raises
        return folder
    # Where only a part is mounted, that is the container's own group.
    return None if mount.root == "/" else mount.point


_SIGKILL_BIT = 1 << 8


def _is_dying(status: str) -> bool:
    """Read /proc/PID/status: killed, or without memory of its own any more (proc(5))."""
    pending = re.findall(r"^(?:SigPnd|ShdPnd):\s+([0-9a-f]+)$", status, re.MULTILINE)
    return "VmRSS:" not in status or any(int(each, 16) & _SIGKILL_BIT for each in pending)


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
