"""The only place that knows which runs stand in the history's file, and which only in memory.

What is noted goes into the file. What it cannot take now waits in memory; what it cannot take at
all stays there. Whoever reads does not see the difference.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from heapq import nlargest
from itertools import count
from logging import Logger
from operator import itemgetter

from msgspec import structs

from ..core.run import Run, RunKey
from ..core.words import RunStatus
from . import place
from .pile import Pile, size
from .shelf import BEYOND, Shelf, Wish
from .vault import Vault

MOST_IN_MEMORY = 10_000
"""Runs that are kept where there is no file."""

MOST_WAITING = 100_000
"""Runs that wait for the file at most."""

BATCH = 500
"""Runs that are written, or forgotten, at once."""

MOST_TEXT = 1 << 20
"""Characters, of code and of errors, that are written at once."""

TIDY_AFTER = 1000
"""Runs that are written until it is looked for old ones."""

TIDY_AFTER_TEXT = 1 << 23
"""Characters likewise."""

TIDY_EVERY = 3600.0
"""Seconds after which it is done in any case."""

LOST = "The server that followed it ended before the run did."


@dataclass(frozen=True, slots=True)
class Keep:
    """How much of the past is kept."""

    days: float = 30
    """Days since the last news of a run; 0 for no such limit."""
    runs: int = 1_000_000
    """Runs; 0 for no such limit."""
    bytes: int = 1 << 30
    """Bytes of the file; 0 for no such limit."""

    @property
    def runs_at_most(self) -> int | None:
        """The limit of runs, if there is one."""
        return self.runs if self.runs > 0 else None

    def since(self, now: datetime) -> datetime | None:
        """Give the moment since when there must be news of a run; None for no such limit."""
        try:
            return now - timedelta(days=self.days) if self.days > 0 else None
        except OverflowError:
            # No calendar knows it.
            return None


class Stacks:
    """All that is kept. One thread makes it and uses it."""

    def __init__(self, path: str, keep: Keep, log: Logger, now: Callable[[], datetime]) -> None:
        """Begin with nothing open.

        Args:
            path: Of the file; ``:memory:`` for none.
            keep: How much is kept.
            log: Where it is said, once, that there is no file.
            now: Tells the time, timezone-aware.
        """
        self._keep, self._log, self._now = keep, log, now
        self._vault = Vault(path, log, self._carry)
        self._aside = Pile(MOST_WAITING if self._vault.is_kept else self._room)
        self._outdated: set[RunKey] = set()
        """Runs of which the file has an older news than memory has, or had."""
        self._places = count(BEYOND)
        self._active: dict[RunKey, Run] = {}
        """What the file believes to be running here."""
        self._told_dropped = False
        self._written = self._written_text = 0
        self._tidy_at = 0.0

    @property
    def is_behind(self) -> bool:
        """Whether the file has yet to be asked again."""
        return self._vault.is_kept and (not self._vault.is_open or len(self._aside) > 0)

    def due(self) -> float | None:
        """Say in how many seconds there is something to do; None for never."""
        if not self._vault.is_kept:
            return None
        if self.is_behind:
            return self._vault.patience()
        return max(0.0, self._tidy_at - time.monotonic())

    def save(self, noted: list[Run]) -> None:
        """Take what is new of runs, and what the file could not take before."""
        may_ask = self._vault.is_kept and self._vault.patience() == 0
        if may_ask and self._writes([*self._aside.runs(), *noted]):
            self._aside.clear()
            self._outdated.clear()
            return
        for run in noted:
            self._put_aside(run)
        if self._vault.is_kept and self._aside.dropped:
            self.tell_dropped()

    def get(self, run_id: str, kernel_id: str | None = None, *, patient: bool = True) -> Run | None:
        """Look up a run; None if it is not known.

        Args:
            run_id: Which.
            kernel_id: On which kernel; None for the first run of this id.
            patient: Whether the file can be waited for.

        Raises:
            BusyError: It must be.
        """
        self._settle()
        found = self._found(run_id, kernel_id, patient=patient)
        return None if found is None else found[1]

    def find(self, wish: Wish, before: str | None, *, patient: bool = True) -> list[Run]:
        """Look up the newest runs that are wanted.

        Args:
            wish: Which.
            before: Only those that came before this one.
            patient: Whether the file can be waited for.

        Raises:
            BusyError: It must be.
            LookupError: ``before`` is not known.
        """
        self._settle()
        below = 2 * BEYOND - 1
        if before is not None:
            below = self._place(before, wish.kernel_id, patient=patient)
        more = replace(wish, limit=wish.limit + len(self._outdated))
        none: list[tuple[int, Run]] = []
        kept = self._vault.read(lambda file: file.find(more, below), none, patient=patient)
        found = [each for each in kept if each[1].key not in self._outdated]
        found += [each for each in self._aside if each[0] < below and wish.holds(each[1])]
        return [run for _, run in nlargest(wish.limit, found, key=itemgetter(0))]

    def tidy(self) -> None:
        """Forget a batch of what is too old or too much, if it is time to look."""
        if not (self._vault.is_open and self._vault.is_kept):
            return
        is_much = self._written >= TIDY_AFTER or self._written_text >= TIDY_AFTER_TEXT
        if time.monotonic() < self._tidy_at and not is_much:
            return
        self._written = self._written_text = 0
        self._tidy_at = time.monotonic() + TIDY_EVERY
        if self._vault.did(self._forget):
            self._tidy_at = 0.0

    def _forget(self, file: Shelf) -> bool:
        place.check_room(self._vault.path)
        before, keep = self._keep.since(self._now()), self._keep
        more = [
            before is not None and file.forget_old(before, BATCH),
            keep.runs > 0 and file.forget_beyond(keep.runs, BATCH),
            keep.bytes > 0 and file.forget_larger(keep.bytes, BATCH),
        ]
        return any(more)

    def give_up(self, error: Exception) -> None:
        """Keep everything in memory from now on: the file met what nobody foresaw."""
        self._vault.give_up(error)

    def close(self) -> None:
        """Let go of the file; raises nothing."""
        if self.is_behind and len(self._aside):
            self._log.warning(
                "The history of runs in %s lacks the last news of %d runs: another program held "
                "the file until this server ended.",
                self._vault.path,
                len(self._aside),
            )
        self._vault.close()

    def tell_dropped(self) -> None:
        """Say once that runs were not recorded."""
        if not self._told_dropped:
            self._told_dropped = True
            self._log.warning(
                "The history of runs in %s will lack some: the file could not be written for so "
                "long that they are too many to wait.",
                self._vault.path,
            )

    @property
    def _room(self) -> int:
        return min(self._keep.runs_at_most or MOST_IN_MEMORY, MOST_IN_MEMORY)

    def _writes(self, runs: list[Run]) -> bool:
        """Whether the file takes them."""
        if self._vault.is_open and not runs:
            return True

        def write(file: Shelf) -> bool:
            for portion in _portions(runs):
                place.check_room(self._vault.path)
                file.put(portion, self._now())
            return True

        if not self._vault.did(write):
            return False
        self._written += len(runs)
        self._written_text += sum(map(size, runs))
        for run in runs:
            self._active[run.key] = run
            if run.has_ended:
                del self._active[run.key]
        return True

    def _carry(self) -> None:
        """Keep in memory what has not ended, for the file is given up."""
        self._aside.limit = self._room
        for run in self._active.values():
            if run.key not in self._aside:
                self._put_aside(run)

    def _put_aside(self, run: Run) -> None:
        known = self._aside.get(run.run_id, run.kernel_id)
        if known is None:
            where = self._vault.read(lambda file: file.place(run.run_id, run.kernel_id), None)
            if where is not None:
                self._outdated.add(run.key)
        else:
            where = known[0]
        self._aside.put(run, next(self._places) if where is None else where)

    def _place(self, run_id: str, kernel_id: str | None, *, patient: bool) -> int:
        found = self._found(run_id, kernel_id, patient=patient)
        if found is None:
            raise LookupError(f"No run {run_id} is known.")
        return found[0]

    def _found(
        self, run_id: str, kernel_id: str | None, *, patient: bool
    ) -> tuple[int, Run] | None:
        """Look up a run with its place; on any kernel the first of this id."""
        kept, here = None, self._aside.get(run_id, kernel_id)
        if here is None or kernel_id is None:
            patient = patient and here is None
            kept = self._vault.read(lambda file: file.get(run_id, kernel_id), None, patient=patient)
        # If the file was given up just now, it came here.
        here = self._aside.get(run_id, kernel_id)
        if kept is None or kept[1].key in self._outdated or kept[1].key in self._aside:
            return here
        return kept if here is None else min(kept, here, key=itemgetter(0))

    def _settle(self) -> None:
        """Tell of the runs whose server lives no more that they are lost."""
        nobody: list[str] = []
        for server in self._vault.read(lambda file: file.writers(), nobody):
            if not self._vault.presence.lives(server):
                self.save([lost(run) for run in self._unfinished(server)])

    def _unfinished(self, server: str) -> list[Run]:
        none: list[Run] = []
        runs = self._vault.read(lambda file: file.unfinished(server), none)
        return [run for run in runs if run.key not in self._outdated]


def _portions(runs: list[Run]) -> Iterator[list[Run]]:
    """Divide what is written, so that nobody waits long for the file, nor a full disk is met."""
    portion: list[Run] = []
    characters = 0
    for run in runs:
        portion.append(run)
        characters += size(run)
        if len(portion) == BATCH or characters > MOST_TEXT:
            yield portion
            portion, characters = [], 0
    if portion:
        yield portion


def lost(run: Run) -> Run:
    """Make of a run that nobody follows any more what can be told of it; when it ended cannot."""
    return structs.replace(run, status=RunStatus.LOST, reason=LOST)
