"""A machine made of folders: what /proc and the memory groups of processes would say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

UNLIMITED_V1 = 9223372036854771712
"""What version 1 writes where there is no limit."""

ALIVE = {"State": "S (sleeping)", "VmRSS": "1024 kB", "SigPnd": "0" * 16, "ShdPnd": "0" * 16}
KILLED = ALIVE | {"ShdPnd": f"{1 << 8:016x}"}
"""A process that was sent SIGKILL and has not come to ending yet."""
ZOMBIE = {key: value for key, value in ALIVE.items() if key != "VmRSS"} | {"State": "Z (zombie)"}


def escaped(path: str) -> str:
    r"""Write a path as mountinfo does.

    >>> escaped("/a b")
    '/a\\040b'
    """
    return "".join(f"\\{ord(each):03o}" if each in " \t\n\\" else each for each in path)


class FakeGroup:
    """A memory group: a folder with what it counts and may hold."""

    def __init__(self, folder: Path, version: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.version = folder, version
        self._kills = 0
        self.count(0)
        self.limit(None)

    def count(self, kills: int) -> None:
        """Have it count so many kills."""
        self._kills = kills
        if self.version == 1:
            self.write("memory.oom_control", f"oom_kill_disable 0\nunder_oom 0\noom_kill {kills}\n")
            return
        for name in ("memory.events", "memory.events.local"):
            self.write(name, f"low 0\nhigh 0\nmax 9\noom 9\noom_kill {kills}\noom_group_kill 0\n")

    def kill(self, times: int = 1) -> None:
        """Count more kills."""
        self.count(self._kills + times)

    def limit(self, size: int | None) -> None:
        """Let it hold so much."""
        if self.version == 1:
            size = UNLIMITED_V1 if size is None else size
            self.write("memory.limit_in_bytes", f"{size}\n")
        else:
            self.write("memory.max", f"{'max' if size is None else size}\n")

    def write(self, name: str, text: str) -> None:
        """Write one of its files."""
        (self.folder / name).write_text(text)

    def remove(self, name: str) -> None:
        """Remove one of its files."""
        (self.folder / name).unlink()


class FakeMachine:
    """Processes, mounts and groups below a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.proc = folder / "proc"
        (self.proc / "self").mkdir(parents=True)
        self._mounts = ["22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/root rw,discard"]
        self._write_mounts()

    def _write_mounts(self) -> None:
        (self.proc / "self" / "mountinfo").write_text("\n".join(self._mounts) + "\n")

    def mount(
        self, version: int, *, root: str = "/", point: str = "", controllers: str = ""
    ) -> Path:
        """Mount a hierarchy, which counts memory unless it has other controllers."""
        path = self.folder / (point or f"cgroup{version}")
        path.mkdir(parents=True, exist_ok=True)
        kind = "cgroup2" if version == 2 else "cgroup"
        options = "rw,nsdelegate" if version == 2 else f"rw,{controllers or 'memory'}"
        number = 30 + len(self._mounts)
        self._mounts.append(
            f"{number} 22 0:{number} {escaped(root)} {escaped(str(path))} rw,nosuid,relatime "
            f"shared:{number} - {kind} {kind} {options}"
        )
        self._write_mounts()
        return path

    def place(self, pid: int, *lines: str) -> None:
        """Put a process into groups, each as /proc/PID/cgroup tells it."""
        folder = self.proc / str(pid)
        folder.mkdir(exist_ok=True)
        (folder / "cgroup").write_text("".join(f"{line}\n" for line in lines))

    def states(self, pid: int, fields: dict[str, str]) -> None:
        """Have /proc/PID/status tell this of a process."""
        lines = [f"{name}:\t{value}" for name, value in ({"Name": "python"} | fields).items()]
        (self.proc / str(pid) / "status").write_text("\n".join(lines) + "\n")

    def process(self, pid: int, *lines: str) -> None:
        """Begin a process in these groups."""
        self.place(pid, *lines)
        self.states(pid, ALIVE)

    def zombie(self, pid: int, groups: Sequence[str] = ("0::/",)) -> None:
        """End a process that nobody has waited for: the system says that it is in the root."""
        self.place(pid, *groups)
        self.states(pid, ZOMBIE)

    def reap(self, pid: int) -> None:
        """Forget a process."""
        for path in (self.proc / str(pid)).iterdir():
            path.unlink()
        (self.proc / str(pid)).rmdir()
