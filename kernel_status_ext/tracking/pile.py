"""Runs that stand in memory: as many as there is room for, the last news of each."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from ..core.run import Run, RunKey

MOST_TEXT = 1 << 24
"""Characters that are kept in all, of code and of errors; each takes four bytes at most."""

LOOK = 100
"""Among so many of the oldest, one that ended is dropped first; or else the oldest."""


class Pile:
    """Runs, each at a place in an order; what is beyond the limit is dropped."""

    def __init__(self, limit: int) -> None:
        """Begin with none.

        Args:
            limit: So many are kept.
        """
        self.limit = limit
        self.dropped = 0
        """How many had to go."""
        self._runs: dict[RunKey, tuple[int, Run]] = {}
        self._text = 0

    def __len__(self) -> int:
        """How many there are."""
        return len(self._runs)

    def __contains__(self, key: object) -> bool:
        """Whether a run is here."""
        return key in self._runs

    def __iter__(self) -> Iterator[tuple[int, Run]]:
        """Give each with its place."""
        return iter(self._runs.values())

    def runs(self) -> list[Run]:
        """Give them in the order in which each came first."""
        return [run for _, run in self._runs.values()]

    def get(self, run_id: str, kernel_id: str | None = None) -> tuple[int, Run] | None:
        """Give one with its place, the first if no kernel is named; None if it is not here."""
        if kernel_id is not None:
            return self._runs.get((kernel_id, run_id))
        return next((each for each in self._runs.values() if each[1].run_id == run_id), None)

    def put(self, run: Run, place: int = 0) -> None:
        """Add a run, or what is new of it; then drop what is too much."""
        before = self._runs.get(run.key)
        self._runs[run.key] = (place, run)
        self._text += size(run) - (0 if before is None else size(before[1]))
        while len(self._runs) > self.limit or self._text > MOST_TEXT:
            self._drop()

    def clear(self) -> None:
        """Let go of all."""
        self._runs.clear()
        self._text = 0

    def _drop(self) -> None:
        oldest = islice(self._runs.values(), LOOK)
        ended = (run.key for _, run in oldest if run.has_ended)
        _, run = self._runs.pop(next(ended, next(iter(self._runs))))
        self._text -= size(run)
        self.dropped += 1


def size(run: Run) -> int:
    """Count the characters of what may be long in a run."""
    error = 0 if run.error is None else len(run.error.ename) + len(run.error.evalue)
    return len(run.code or "") + len(run.path or "") + len(run.reason) + error
