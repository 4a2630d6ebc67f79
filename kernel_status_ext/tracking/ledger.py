"""The only place that remembers the runs that are not over, and tells what becomes of each.

``core.runs`` decides; the history keeps what has ended. A kernel's own value knows which runs it
works on and which wait; this knows everything else of them.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, takewhile
from logging import Logger
from operator import attrgetter
from typing import Any

from msgspec.structs import replace

from ..core import causes
from ..core.events import (
    Event,
    InputProvided,
    InputRequested,
    RequestBegan,
    RequestEnded,
    RunAwaited,
    RunQueued,
    RunWithdrawn,
    ShellAnswered,
)
from ..core.model import Kernel, Terminated, Termination
from ..core.routing import Sender
from ..core.run import (
    EndRequested,
    Failure,
    Origin,
    ReplyMissed,
    Run,
    RunAnswered,
    RunBecameIdle,
    RunBegan,
    RunEvent,
    RunKey,
    RunRefused,
    RunSent,
    ServerEnded,
    ShellMovedOn,
    WorkerEnded,
)
from ..core.runs import raised, step, suspects
from ..core.words import RequestedBy, RunStatus, Status
from .tracker import Change, Tracker

REMEMBERED = 4096
"""Runs whose ids are remembered after their end: a request with such an id is no new run."""

MOST_MET = 10_000
"""Runs of a kernel that are not over, beyond which none is followed that nobody sent by here."""

REMOVED = "The kernel was removed before the run was over."


@dataclass(frozen=True, slots=True)
class Recording:
    """How much of what runs is written down.

    Attributes:
        code: Whether its code is.
        limit: So many bytes of it.
    """

    code: bool = True
    limit: int = 65536

    def of(self, code: str) -> str | None:
        """Return as much of a code as is recorded, cut between two characters."""
        if not self.code:
            return None
        shown = code[: self.limit].encode("utf-8", "replace")
        return shown[: self.limit].decode("utf-8", "ignore")

    def of_run(self, run: Run) -> Run:
        """Return a run as it is written down: where code is not, what it raised with is neither."""
        if self.code or run.error is None:
            return run
        bare = Failure(run.error.ename, "")
        # The sentence quotes it.
        reason = raised(bare) if run.reason == raised(run.error) else run.reason
        return replace(run, error=bare, reason=reason)


Session = tuple[str | None, str | None]
"""The id and the path of the Jupyter session that a kernel works for."""

Listener = Callable[[Run], None]


@dataclass(eq=False, slots=True)
class _Entry:
    run: Run
    sender: Sender | None


class Ledger:
    """Every run that is not over, of every kernel."""

    def __init__(
        self,
        tracker: Tracker,
        recording: Recording,
        session_of: Callable[[str], Session],
        log: Logger,
    ) -> None:
        """Begin without runs.

        Args:
            tracker: Knows the kernels.
            recording: How much is written down.
            session_of: Tells of a kernel id which session it works for.
            log: Where failures of listeners are told.
        """
        self.recording = recording
        self._tracker = tracker
        self._session_of = session_of
        self._log = log
        self._active: dict[str, dict[str, _Entry]] = {}
        """By kernel, then by id; no kernel is without any."""
        self._ended: OrderedDict[RunKey, Run] = OrderedDict()
        self._first: dict[str, str] = {}
        """The kernel of the first run of each id that is known."""
        self._listeners: list[Listener] = []
        tracker.listen(self._kernel_changed)

    def listen(self, listener: Listener) -> None:
        """Have each change of a run told, at once and in the server's loop."""
        self._listeners.append(listener)

    # -- runs come -------------------------------------------------------------------------

    def knows(self, kernel_id: str, run_id: str) -> bool:
        """Tell whether a kernel has a run of this id under way, or had one a while ago."""
        return self._entry(kernel_id, run_id) is not None or (kernel_id, run_id) in self._ended

    def kernel_of(self, run_id: str) -> str | None:
        """Name the kernel of the first run of an id, under way or a while ago; None for none."""
        return self._first.get(run_id)

    def _entry(self, kernel_id: str, run_id: str) -> _Entry | None:
        return self._active.get(kernel_id, {}).get(run_id)

    def new(self, run_id: str, kernel: Kernel, origin: Origin, **facts: Any) -> Run:
        """Make a run, with what is known of its kernel."""
        session, path = self._session_of(kernel.id)
        return Run(run_id, kernel.id, kernel.name, origin, session=session, path=path, **facts)

    def came(self, run: Run, sender: Sender | None = None) -> bool:
        """Take in a run that is sent to its kernel, or waits for it; that is told, not this.

        Args:
            run: The run.
            sender: By whose socket it goes.

        Returns:
            Whether it is a new one.
        """
        if not run.run_id or self.knows(*run.key):
            return False
        self._active.setdefault(run.kernel_id, {})[run.run_id] = _Entry(run, sender)
        self._first.setdefault(run.run_id, run.kernel_id)
        return True

    def waits(self, run: Run) -> None:
        """Note that a run waits here until its kernel is connected."""
        self._tell(run)
        self._feed_kernel(run.kernel_id, RunAwaited, run_id=run.run_id)

    def goes_by(self, kernel_id: str, run_id: str, sender: Sender) -> None:
        """Note by whose socket a run will go that waited."""
        entry = self._active[kernel_id].pop(run_id)
        entry.sender = sender
        # Behind those that were sent before it, though it came earlier.
        self._active[kernel_id][run_id] = entry

    def sent(self, kernel_id: str, run_id: str) -> None:
        """Note that a run's request leaves for the present process of its kernel."""
        kernel = self._tracker.get(kernel_id)
        if kernel is not None:
            pid = kernel.process.pid if kernel.process else None
            self.feed(kernel_id, run_id, RunSent(kernel.generation, self._tracker.now(), pid))
            self._feed_kernel(kernel_id, RunQueued, run_id=run_id)

    # -- what is heard of them ---------------------------------------------------------------

    def expects_reply(self, kernel_id: str, run_id: str, sender: Sender | None) -> bool:
        """Tell whether a reply that a sender is given is that to a run.

        A request that another one sends under the same id is not that run's.
        """
        entry = self._entry(kernel_id, run_id)
        return entry is not None and (entry.sender is sender or not entry.run.reply_comes)

    def feed(self, kernel_id: str, run_id: str | None, event: RunEvent) -> Run | None:
        """Take in a fact about a run.

        Args:
            kernel_id: On which kernel.
            run_id: Which; nothing happens where it is not under way there.
            event: What happened.

        Returns:
            The run as it is now, or None.
        """
        entry = self._entry(kernel_id, run_id or "")
        if entry is None:
            return None
        if isinstance(event, RunAnswered):
            # A new process may say busy before anybody here listens to it.
            self._take_for_sent(*entry.run.key)
        before = entry.run
        # Found before it is over: then it would stand among the others no more.
        overtaken = self._overtaken_by(entry) if isinstance(event, RunAnswered) else []
        entry.run = after = step(before, event)
        if after is not before:
            self._settle(entry, before)
        for each in overtaken:
            self.feed(kernel_id, each, ShellMovedOn(event.generation, event.at))
        return after

    def _settle(self, entry: _Entry, before: Run) -> None:
        run = entry.run
        if run.asks is not before.asks:
            kind = InputRequested if run.asks else InputProvided
            self._feed_kernel(run.kernel_id, kind, run_id=run.run_id)
        if run.has_ended:
            self._end(run)
            kernel = self._tracker.get(run.kernel_id)
            if kernel is not None and run.run_id in (*kernel.sent, *kernel.awaiting):
                self._feed_kernel(run.kernel_id, RunWithdrawn, run_id=run.run_id)
        if _told(run) != _told(before):
            self._tell(run)

    def _end(self, run: Run) -> None:
        """Remember of a run only that it ended; of those that ended long ago nothing."""
        del self._active[run.kernel_id][run.run_id]
        if not self._active[run.kernel_id]:
            del self._active[run.kernel_id]
        self._ended[run.key] = replace(run, code=None, error=None)
        while len(self._ended) > REMEMBERED:
            _, oldest = self._ended.popitem(last=False)
            if self._first.get(oldest.run_id) == oldest.kernel_id:
                del self._first[oldest.run_id]

    def _overtaken_by(self, entry: _Entry) -> list[str]:
        """Find what its sender asked of the same shell earlier and that was never answered."""
        if entry.sender is None:
            return []
        all_here = self._active[entry.run.kernel_id].values()
        earlier = takewhile(lambda each: each is not entry, all_here)
        return [each.run.run_id for each in earlier if _is_overtaken(each, entry)]

    def heard(self, kernel_id: str, event: Event) -> None:
        """Take in what a kernel's statuses say of its runs."""
        generation, at = event.generation, event.at
        if isinstance(event, RequestBegan) and event.request.is_run:
            self._meet(kernel_id, event)
            self._take_for_sent(kernel_id, event.request.msg_id)
            self.feed(kernel_id, event.request.msg_id, RunBegan(generation, at))
        elif isinstance(event, RequestEnded):
            self.feed(kernel_id, event.request.msg_id, RunBecameIdle(generation, at))
        elif isinstance(event, ShellAnswered):
            for request in event.asked:
                self.feed(kernel_id, request.msg_id, RunBecameIdle(generation, at))

    def _take_for_sent(self, kernel_id: str, run_id: str) -> None:
        """Note which process has a run that waited in zmq."""
        run = self.get(kernel_id, run_id)
        if run is not None and run.generation is None:
            self.sent(kernel_id, run_id)

    def _meet(self, kernel_id: str, event: RequestBegan) -> None:
        """Get to know a run that came by another way."""
        run_id = event.request.msg_id
        kernel = self._tracker.get(kernel_id)
        if kernel is None or self.knows(kernel_id, run_id):
            return
        if len(self._active.get(kernel_id, ())) >= MOST_MET:
            # A kernel that makes them up: it is busy all the same.
            return
        subshell = event.request.subshell
        run = self.new(run_id, kernel, Origin.ELSEWHERE, subshell=subshell, reply_comes=False)
        pid = kernel.process.pid if kernel.process else None
        self.came(step(run, RunSent(event.generation, event.at, pid)))

    # -- ends ----------------------------------------------------------------------------------

    def gone(self, sender: Sender) -> None:
        """Note that nobody reads the replies to a sender any more."""
        theirs = [each.run for each in self._entries() if each.sender is sender]
        for run in theirs:
            self.feed(*run.key, ReplyMissed(run.generation or 0, self._tracker.now()))

    def server_ended(self) -> None:
        """Note that nobody will follow them any more."""
        for run in self.active():
            self.feed(*run.key, ServerEnded(run.generation or 0, self._tracker.now()))

    def _kernel_changed(self, change: Change) -> None:
        before, after = change.before, change.after
        if before is None:
            return
        for notice in change.notices:
            if isinstance(notice, Terminated):
                self._feed_ends(before, _worker_ended(notice.termination))
        if after is None:
            now = self._tracker.now()
            end = WorkerEnded(before.generation, now, RequestedBy.SHUTDOWN, REMOVED)
            self._feed_all(before.id, end)
            self._feed_all(before.id, RunRefused(0, now, REMOVED))
        elif after.status is Status.DEAD and before.status is not Status.DEAD:
            self._feed_all(after.id, RunRefused(0, self._tracker.now(), after.reason))
        elif after.requested_by and after.requested_by is not before.requested_by:
            self._feed_all(after.id, _end_requested(after, after.requested_by, self._tracker))

    def _feed_ends(self, kernel: Kernel, end: WorkerEnded) -> None:
        runs = self.active(kernel.id)
        suspected = suspects(kernel, runs)
        for run in runs:
            event = dataclasses.replace(end, is_suspect=True) if run.run_id in suspected else end
            self.feed(*run.key, event)

    def _feed_all(self, kernel_id: str, event: RunEvent) -> None:
        for run in self.active(kernel_id):
            self.feed(kernel_id, run.run_id, event)

    def _feed_kernel(self, kernel_id: str, kind: Any, **facts: Any) -> None:
        kernel = self._tracker.get(kernel_id)
        if kernel is not None:
            self._tracker.feed(kernel_id, kind(kernel.generation, self._tracker.now(), **facts))

    def _tell(self, run: Run) -> None:
        for listener in tuple(self._listeners):
            try:
                listener(run)
            except Exception:  # noqa: BLE001
                # A boundary: a listener of somebody else must not stop the truth.
                self._log.exception("Run %s of kernel %s: a listener failed", *_ids(run))

    # -- what is asked ---------------------------------------------------------------------------

    def get(self, kernel_id: str, run_id: str) -> Run | None:
        """Return a run as it is now, or None if it is not under way."""
        entry = self._entry(kernel_id, run_id)
        return None if entry is None else entry.run

    def at_work(self, kernel: Kernel) -> list[Run]:
        """Return what a kernel works on now: also what is over for us and not for the kernel."""
        known = (
            self.get(kernel.id, each) or self._ended.get((kernel.id, each))
            for each in kernel.running
        )
        return [each for each in known if each is not None]

    def active(self, kernel_id: str | None = None) -> list[Run]:
        """Return the runs that are not over, of one kernel oldest first, or of all."""
        return [each.run for each in self._entries(kernel_id)]

    def _entries(self, kernel_id: str | None = None) -> Iterator[_Entry]:
        if kernel_id is not None:
            return iter(self._active.get(kernel_id, {}).values())
        return chain.from_iterable(runs.values() for runs in self._active.values())


def _is_overtaken(earlier: _Entry, answered: _Entry) -> bool:
    run = earlier.run
    same = earlier.sender is answered.sender and run.subshell == answered.run.subshell
    return same and run.answer is None and (run.is_idle or run.status is RunStatus.QUEUED)


def _ids(run: Run) -> tuple[str, str]:
    return run.run_id, run.kernel_id


_told = attrgetter(
    *("status", "code", "generation", "started_at", "execution_count", "error", "reason")
)
"""What listeners are told of; the rest is only needed to follow a run."""


def _worker_ended(end: Termination) -> WorkerEnded:
    return WorkerEnded(end.generation, end.finished_at, end.requested_by, end.reason)


def _end_requested(kernel: Kernel, by: RequestedBy, tracker: Tracker) -> EndRequested:
    _, happened = causes.REQUESTED[by]
    now = tracker.now()
    end = WorkerEnded(kernel.generation, now, by, causes.sentence(happened))
    return EndRequested(kernel.generation, now, end)
