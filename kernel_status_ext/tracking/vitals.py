"""What is known of the bodies of all kernels: their memory groups and what they used.

Each process is looked at now and then while it lives, for the system forgets most of it at its
end, and once more when it has ended.
"""

from __future__ import annotations

import signal
from collections.abc import Callable

from ..core.causes import signal_of
from ..core.model import Exit
from ..core.remains import OutOfMemory, Remains
from .listener import Listeners
from .memory import Groups
from .process import DeathWatch
from .usage import Usage, is_stopped, usage_of, usage_of_tree

SIGKILL = getattr(signal, "SIGKILL", None)


class Ward:
    """The processes of all kernels whose bodies can be seen."""

    def __init__(self, groups: Groups | None = None) -> None:
        """Begin with none.

        Args:
            groups: Where memory groups are read; the system's by default.
        """
        self.groups = Groups() if groups is None else groups
        self.patients: dict[int, Vitals] = {}
        self.listeners = Listeners()


class Vitals:
    """One process that is a child of ours."""

    def __init__(
        self, ward: Ward, pid: int, watch: DeathWatch, survived: Callable[[int], None]
    ) -> None:
        """Meet a process, at its start.

        Args:
            ward: The others.
            pid: Its number.
            watch: Tells whether it has ended.
            survived: Called with the out-of-memory kills that its group counted and that it
                survived.
        """
        self._ward = ward
        self._pid = pid
        self._watch = watch
        self._told_survived = survived
        self._usage = Usage()
        self._kernel_pid = pid
        ward.patients[pid] = self
        ward.groups.look(pid)

    def found_kernel(self, pid: int | None) -> None:
        """Note which process is the kernel, where it is seen: one below this if it is a wrapper."""
        self._kernel_pid = self._pid if pid is None else pid

    def look(self, *, worked: bool = True) -> None:
        """Look at it while it lives.

        Args:
            worked: Whether it may have used anything since the last look.
        """
        if self._watch.look() is not None:
            return
        if worked:
            look = usage_of if self._kernel_pid == self._pid else usage_of_tree
            self._usage = self._usage.later(look(self._pid))
        kills = self._ward.groups.look(self._pid)
        if kills:
            for each in {self._pid} | self._ward.groups.neighbours(self._pid):
                self._ward.patients[each].survived(kills)

    @property
    def is_stopped(self) -> bool:
        """Whether a signal has stopped it (SIGSTOP, Ctrl-Z)."""
        return is_stopped(self._kernel_pid)

    def survived(self, kills: int) -> None:
        """Take in that others of its group were killed for memory."""
        self._told_survived(kills)

    def after_death(self, ended: Exit) -> Remains:
        """Find out what can be known now of a process that has ended.

        Args:
            ended: How it ended.

        Returns:
            What it used, and whether its group counted a kill that explains its end.
        """
        used = self.used
        memory = self._killed_for_memory(used) if _was_killed(ended) else None
        return Remains(memory=memory, peak_memory=used.peak_memory, cpu_seconds=used.cpu_seconds)

    @property
    def used(self) -> Usage:
        """What it has used, as far as is known."""
        return self._usage.later(self._watch.usage)

    def _killed_for_memory(self, used: Usage) -> OutOfMemory | None:
        groups = self._ward.groups
        killed = [self._ward.patients[each] for each in groups.neighbours(self._pid)]
        rivals = [each.used for each in killed if _was_killed(each.looked())]
        # The system kills the one that holds most.
        bigger = [each for each in rivals if (each.peak_memory or 0) > (used.peak_memory or 0)]
        return groups.explain(self._pid, len(bigger))

    def looked(self) -> Exit | None:
        """Return how it ended, None while it lives."""
        return self._watch.look()

    def close(self) -> None:
        """Look at it no more."""
        self._ward.groups.forget(self._pid)
        self._ward.patients.pop(self._pid, None)


def _was_killed(ended: Exit | None) -> bool:
    return ended is not None and SIGKILL is not None and signal_of(ended) == SIGKILL
