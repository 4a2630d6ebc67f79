"""The only place where the loop meets the history of runs, which a thread of its own keeps.

A disk may take seconds to answer, or for ever. The loop never waits for it: what is noted is put
down in memory, and what is asked for is answered when the thread has it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from logging import Logger
from typing import Any, Protocol, TypeVar

from ..core.run import Run
from ..core.words import RunStatus
from .pile import Pile
from .shelf import Wish
from .stacks import MOST_WAITING, Keep, Stacks
from .vault import IN_MEMORY, RETRY, BusyError

__all__ = ["History", "Keep"]

T = TypeVar("T")

LINGER = 0.02
"""Seconds in which notes gather that are written together."""

PATIENCE = 5.0
"""Seconds that a file which somebody else holds is waited for."""

FAREWELL = 5.0
"""Seconds that the server's end waits for the thread's."""


class Question(Protocol):
    """What is asked of all that is kept."""

    def __call__(self, stacks: Stacks, *, patient: bool) -> Any:
        """Answer it; raises BusyError where the file must be waited for."""


@dataclass(slots=True)
class Asked:
    """A question, and who waits for its answer."""

    question: Question
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Any]
    otherwise: object
    """The answer when there is none."""
    until: float = field(default_factory=lambda: time.monotonic() + PATIENCE)

    def tell(self, result: object, error: Exception | None = None) -> None:
        """Answer in the loop of who asked, if there is one still."""
        with suppress(RuntimeError):  # The loop is closed.
            self.loop.call_soon_threadsafe(self._tell, result, error)

    def _tell(self, result: object, error: Exception | None) -> None:
        if self.answer.done():
            return
        if error is None:
            self.answer.set_result(result)
        else:
            self.answer.set_exception(error)


class History:
    """The runs of this server and of those before it and beside it."""

    def __init__(self, path: str, keep: Keep, log: Logger, now: Callable[[], datetime]) -> None:
        """Start the thread, which opens the file.

        Args:
            path: Of the file, shared by all servers of a user; ``:memory:`` for none.
            keep: How much of the past is kept.
            log: Where it is said, once, that there can be no file.
            now: Tells the time, timezone-aware; called in the thread.
        """
        self._open = partial(Stacks, keep=keep, log=log, now=now)
        self._path, self._log = path, log
        self._news = threading.Condition()
        # What follows is shared with the thread and touched while holding that.
        self._noted = Pile(MOST_WAITING)
        self._asked: list[Asked] = []
        self._closing: float | None = None
        self._is_over = False
        self._thread = threading.Thread(target=self._run, name="kernel-status-history", daemon=True)
        self._thread.start()

    def note(self, run: Run) -> None:
        """Record how a run is now; the last note of each run wins. Never waits, never raises."""
        with self._news:
            if self._is_over:
                return
            if not self._noted:
                self._news.notify()
            self._noted.put(run)

    async def get(self, run_id: str, kernel_id: str | None = None) -> Run | None:
        """Look up a run; None if it is not known. Sees all that was noted before.

        Args:
            run_id: Which.
            kernel_id: On which kernel; None for the first run of this id.
        """

        def question(stacks: Stacks, *, patient: bool) -> Run | None:
            return stacks.get(run_id, kernel_id, patient=patient)

        found: Run | None = await self._ask(question, None)
        return found

    async def find(
        self,
        *,
        kernel_id: str | None = None,
        status: Collection[RunStatus] | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> list[Run]:
        """Look up runs, newest first. Sees all that was noted before.

        Args:
            kernel_id: Only those of this kernel.
            status: Only those that are one of these; none of them if it is empty.
            limit: So many at most.
            before: Only those that came before the run of this id, on this kernel if one is given.

        Raises:
            LookupError: ``before`` is not known.
        """
        wish = Wish(kernel_id, status, limit)

        def question(stacks: Stacks, *, patient: bool) -> list[Run]:
            return stacks.find(wish, before, patient=patient)

        found: list[Run] = await self._ask(question, [])
        return found

    def close(self) -> None:
        """Write what was noted and end the thread; waits 5 s at most. What comes later is lost."""
        with self._news:
            if self._closing is None:
                self._closing = time.monotonic() + FAREWELL - 1
                self._news.notify()
        self._thread.join(FAREWELL)
        with self._news:
            if not self._is_over:
                self._is_over = True
                self._log.warning(
                    "The history of runs in %s could not be closed within %g s; the last runs may "
                    "be missing.",
                    self._path,
                    FAREWELL,
                )

    async def _ask(self, question: Question, otherwise: T) -> T:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        with self._news:
            if self._is_over:
                return otherwise
            self._asked.append(Asked(question, loop, answer, otherwise))
            self._news.notify()
        return await answer

    # -- in the thread -------------------------------------------------------------------------

    def _run(self) -> None:
        stacks, waiting = self._opened(), list[Asked]()
        try:
            self._save(stacks, [])
            while not self._is_time_to_end(stacks):
                waiting = self._turn(stacks, waiting)
        finally:
            try:
                stacks.close()
            finally:
                self._end(waiting)

    def _opened(self) -> Stacks:
        try:
            return self._open(self._path)
        except Exception:  # noqa: BLE001
            # A boundary: whatever such a path is, runs are kept.
            self._log.exception("The history of runs in %s is in memory only", self._path)
            return self._open(IN_MEMORY)

    def _save(self, stacks: Stacks, noted: list[Run]) -> None:
        try:
            stacks.save(noted)
        except Exception as error:  # noqa: BLE001
            # A boundary: this thread has no one to raise it to, and must go on to answer.
            self._log.exception("The history of runs in %s could not be written", self._path)
            stacks.give_up(error)
            stacks.save(noted)

    def _tidy(self, stacks: Stacks) -> None:
        try:
            stacks.tidy()
        except Exception:  # noqa: BLE001
            # A boundary: likewise.
            self._log.exception("The history of runs in %s could not be tidied", self._path)

    def _answered(self, asked: Asked, stacks: Stacks) -> bool:
        """Answer a question; returns whether it was."""
        try:
            asked.tell(asked.question(stacks, patient=time.monotonic() < asked.until))
        except LookupError as error:
            asked.tell(None, error)
        except BusyError:
            return False
        except Exception as error:  # noqa: BLE001
            # A boundary: whoever asked is told, and nobody waits for ever.
            self._log.exception("The history of runs in %s could not be read", self._path)
            asked.tell(None, error)
        return True

    def _is_time_to_end(self, stacks: Stacks) -> bool:
        with self._news:
            if self._closing is None or self._noted or self._asked:
                return False
            return not stacks.is_behind or time.monotonic() > self._closing

    def _turn(self, stacks: Stacks, waiting: list[Asked]) -> list[Asked]:
        """Write what was noted, then answer; returns the questions that have to wait."""
        noted, asked = self._take(stacks, RETRY if waiting else stacks.due())
        self._save(stacks, noted.runs())
        if noted.dropped:
            stacks.tell_dropped()
        unanswered = [each for each in (*waiting, *asked) if not self._answered(each, stacks)]
        self._tidy(stacks)
        return unanswered

    def _take(self, stacks: Stacks, timeout: float | None) -> tuple[Pile, list[Asked]]:
        """Wait for something to do, and a little longer for what comes with it."""
        with self._news:
            self._news.wait_for(lambda: self._is_needed(stacks), timeout)
            if self._noted:
                self._news.wait_for(self._is_urgent, LINGER)
            noted, asked = self._noted, self._asked
            self._noted, self._asked = Pile(MOST_WAITING), []
            return noted, asked

    def _is_needed(self, stacks: Stacks) -> bool:
        """Whether there is something to do; a file that is held is not asked without a pause."""
        is_ending = self._closing is not None and not stacks.is_behind
        return bool(self._noted) or bool(self._asked) or is_ending

    def _is_urgent(self) -> bool:
        return bool(self._asked) or self._closing is not None

    def _end(self, waiting: list[Asked]) -> None:
        with self._news:
            self._is_over = True
            waiting = [*waiting, *self._asked]
            self._asked = []
        for each in waiting:
            each.tell(each.otherwise)
