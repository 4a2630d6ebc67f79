"""The only place that remembers what kernels are, and wakes those who wait for a change."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextvars import Context
from dataclasses import dataclass, field
from datetime import datetime, timezone
from logging import Logger

from msgspec.structs import replace

from ..core.errors import KernelStateTimeout, KernelStateUnreachable, RevisionUnknown
from ..core.events import Event
from ..core.lifecycle import step
from ..core.model import Kernel, Notice, Surprise, Terminated, Termination
from ..core.targets import Target, first_coming_true
from ..core.words import Status

STORY_LENGTH = 500
"""Changes kept per kernel: a few hundred cells' worth, some 100 KiB at most."""

TERMINATIONS_LENGTH = 50
"""Terminations kept per kernel."""

EVENTS_IN_A_SURPRISE = 12
"""Latest events of a kernel that the log shows when something unforeseen happens."""


def utcnow() -> datetime:
    """Tell the time, in UTC."""
    return datetime.now(timezone.utc)


@dataclass(frozen=True, slots=True)
class Change:
    """What listeners are told.

    Attributes:
        before: The kernel before, None for a new one.
        after: The kernel now, None for one that was removed.
        notices: What else followed, terminations for example.
    """

    before: Kernel | None
    after: Kernel | None
    notices: tuple[Notice, ...] = ()


Listener = Callable[[Change], None]


@dataclass(eq=False, slots=True)
class _Waiter:
    target: Target
    only_new: bool
    future: asyncio.Future[Kernel]


@dataclass(eq=False, slots=True)
class _Entry:
    kernel: Kernel
    story: deque[Kernel] = field(default_factory=lambda: deque(maxlen=STORY_LENGTH))
    terminations: deque[Termination] = field(
        default_factory=lambda: deque(maxlen=TERMINATIONS_LENGTH)
    )
    events: deque[Event] = field(default_factory=lambda: deque(maxlen=EVENTS_IN_A_SURPRISE))
    waiters: set[_Waiter] = field(default_factory=set)
    oldest: int = 0
    """The oldest revision whose state is still known."""


class Tracker:
    """Every kernel's present and a bounded story of its past."""

    def __init__(self, log: Logger, clock: Callable[[], datetime] = utcnow) -> None:
        """Start with no kernels.

        Args:
            log: Where surprises are told.
            clock: Tells the time, timezone-aware.
        """
        self.revision = 0
        self.now = clock
        self._log = log
        self._entries: dict[str, _Entry] = {}
        self._listeners: list[Listener] = []

    # -- what happens --------------------------------------------------------------------

    def add(self, kernel_id: str, name: str, status: Status = Status.STARTING) -> Kernel:
        """Begin to track a kernel; one that is tracked already stays as it is.

        Args:
            kernel_id: Its id.
            name: Its kernelspec's name.
            status: ``starting`` for one that is asked for, ``unknown`` for one met running.

        Returns:
            The kernel.
        """
        if kernel_id in self._entries:
            return self._entries[kernel_id].kernel
        self.revision += 1
        kernel = Kernel(kernel_id, name, self.now(), status, revision=self.revision)
        entry = self._entries[kernel_id] = _Entry(kernel)
        entry.story.append(kernel)
        self._tell(Change(None, kernel))
        return kernel

    def feed(self, kernel_id: str, event: Event) -> Kernel | None:
        """Take in a fact.

        Args:
            kernel_id: The kernel it is about.
            event: What happened.

        Returns:
            The kernel as it is now, None for one that is not tracked (any more).
        """
        entry = self._entries.get(kernel_id)
        if entry is None:
            return None
        entry.events.append(event)
        before = entry.kernel
        outcome = step(before, event)
        self._note(entry, outcome.notices)
        if outcome.kernel is not before:
            self._settle(entry, before, outcome.kernel)
        if entry.kernel is not before or outcome.notices:
            self._tell(Change(before, entry.kernel, outcome.notices))
        return entry.kernel

    def remove(self, kernel_id: str, why: str = "") -> None:
        """Stop tracking a kernel and tell those who wait for it.

        Args:
            kernel_id: The kernel.
            why: Who removed it, for people; the kernel's own reason if empty.
        """
        entry = self._entries.pop(kernel_id, None)
        if entry is None:
            return
        self.revision += 1
        reason = why or entry.kernel.reason or "The kernel was removed."
        for waiter in entry.waiters:
            _fail(waiter, entry.kernel, reason)
        self._tell(Change(entry.kernel, None))

    def _note(self, entry: _Entry, notices: tuple[Notice, ...]) -> None:
        for notice in notices:
            if isinstance(notice, Terminated):
                entry.terminations.append(notice.termination)
            elif isinstance(notice, Surprise):
                self._log.warning(
                    "Kernel %s: unforeseen %s while %s; its latest events: %s",
                    entry.kernel.id,
                    notice.event,
                    notice.status,
                    "; ".join(map(str, entry.events)),
                )

    def _settle(self, entry: _Entry, before: Kernel, after: Kernel) -> None:
        if _told(before) == _told(after):
            entry.kernel = after
            return
        self.revision += 1
        entry.kernel = replace(after, revision=self.revision, since=self.now())
        if len(entry.story) == STORY_LENGTH:
            entry.oldest = entry.story[1].revision
        entry.story.append(entry.kernel)
        self._wake(entry, before)

    def _wake(self, entry: _Entry, before: Kernel) -> None:
        kernel = entry.kernel
        for waiter in entry.waiters:
            if _fulfilled(waiter, before, kernel):
                if not waiter.future.done():
                    waiter.future.set_result(kernel)
            elif kernel.status is Status.DEAD:
                _fail(waiter, kernel, kernel.reason)

    def _tell(self, change: Change) -> None:
        for listener in tuple(self._listeners):
            try:
                # In a context of its own: tasks that it starts are on nobody's behalf.
                Context().run(listener, change)
            except Exception:  # noqa: BLE001
                # A boundary: a listener of somebody else must not stop the truth.
                kernel = change.after or change.before
                self._log.exception("Kernel %s: a listener failed", kernel and kernel.id)

    # -- what is asked -------------------------------------------------------------------

    def __contains__(self, kernel_id: object) -> bool:
        """Tell whether a kernel is tracked."""
        return kernel_id in self._entries

    def __iter__(self) -> Iterator[Kernel]:
        """Go through all kernels as they are now."""
        return iter([entry.kernel for entry in self._entries.values()])

    def get(self, kernel_id: str) -> Kernel | None:
        """Return a kernel as it is now, or None if it is not tracked."""
        entry = self._entries.get(kernel_id)
        return None if entry is None else entry.kernel

    @property
    def waiting(self) -> int:
        """How many wait for a state now."""
        return sum(len(entry.waiters) for entry in self._entries.values())

    def story(self, kernel_id: str) -> tuple[list[Kernel], list[Termination]]:
        """Return what is remembered of a kernel, oldest first.

        Raises:
            KeyError: The kernel is not tracked.
        """
        entry = self._entries[kernel_id]
        return list(entry.story), list(entry.terminations)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Be told of every change, at once and in the server's loop.

        Args:
            listener: Called with each change; it must not block.

        Returns:
            A function that ends it.
        """
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def wait(
        self, kernel_id: str, target: Target, timeout: float | None, since: int | None = None
    ) -> Kernel:
        """Wait until a kernel is in a state.

        Args:
            kernel_id: The kernel.
            target: What is waited for.
            timeout: How long at most, in seconds; 0 looks once, None is for ever.
            since: A revision; the target must then come true in a later change.

        Returns:
            The kernel as it was when the target was reached.

        Raises:
            KeyError: The kernel is not tracked.
            ValueError: ``timeout`` is negative or not a number.
            RevisionUnknown: ``since`` is not known (any more).
            KernelStateTimeout: The time is over.
            KernelStateUnreachable: The kernel is dead, or was removed meanwhile.
        """
        if timeout is not None and not timeout >= 0:
            raise ValueError(f"timeout is {timeout}; allowed are 0 or more seconds, or None.")
        entry = self._entries[kernel_id]
        reached = self._reached(entry, target, since)
        if reached is not None:
            return reached
        if entry.kernel.status is Status.DEAD:
            raise KernelStateUnreachable(entry.kernel, target, entry.kernel.reason)
        if timeout == 0:
            raise KernelStateTimeout(entry.kernel, target, timeout)
        future = asyncio.get_running_loop().create_future()
        waiter = _Waiter(target, since is not None, future)
        entry.waiters.add(waiter)
        try:
            return await asyncio.wait_for(future, timeout)
        except asyncio.TimeoutError:
            raise KernelStateTimeout(entry.kernel, target, timeout or 0) from None
        finally:
            entry.waiters.discard(waiter)

    def _reached(self, entry: _Entry, target: Target, since: int | None) -> Kernel | None:
        if since is None:
            return entry.kernel if target.holds(entry.kernel) else None
        if not entry.oldest <= since <= self.revision:
            raise RevisionUnknown(entry.kernel, since, entry.oldest, self.revision)
        return first_coming_true(target, entry.story, since)


def _told(kernel: Kernel) -> tuple[object, ...]:
    """Return the fields whose change makes a revision (contract, section 1)."""
    return (kernel.status, kernel.execution_state, kernel.state, kernel.reason, kernel.cause)


def _fulfilled(waiter: _Waiter, before: Kernel, after: Kernel) -> bool:
    if waiter.only_new:
        return waiter.target.comes_true(before, after)
    return waiter.target.holds(after)


def _fail(waiter: _Waiter, kernel: Kernel, reason: str) -> None:
    if not waiter.future.done():
        waiter.future.set_exception(KernelStateUnreachable(kernel, waiter.target, reason))
