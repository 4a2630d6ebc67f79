"""The only place that remembers the runs that are not over, and tells what becomes of each.

``core.runs`` decides; the history keeps what has ended. A kernel's own value knows which runs it
works on and which wait; this knows everything else of them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile
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
    RunRefused,
    RunSent,
    ServerEnded,
    ShellMovedOn,
    WorkerEnded,
)
from ..core.runs import raised, step
from ..core.words import RequestedBy, RunStatus, Status
from .tracker import Change, Tracker

REMEMBERED = 4096
"""Runs whose ids are remembered after their end: a request with such an id is no new run."""

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
        self._active: dict[str, _Entry] = {}
        self._ended: OrderedDict[str, Run] = OrderedDict()
        self._listeners: list[Listener] = []
        tracker.listen(self._kernel_changed)

    def listen(self, listener: Listener) -> None:
        """Have each change of a run told, at once and in the server's loop."""
        self._listeners.append(listener)

    # -- runs come -------------------------------------------------------------------------

    def knows(self, run_id: str) -> bool:
        """Tell whether a run of this id is under way, or was a while ago."""
        return run_id in self._active or run_id in self._ended

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
        if not run.run_id or self.knows(run.run_id):
            return False
        self._active[run.run_id] = _Entry(run, sender)
        return True

    def waits(self, run: Run) -> None:
        """Note that a run waits here until its kernel is connected."""
        self._tell(run)
        self._feed_kernel(run.kernel_id, RunAwaited, run_id=run.run_id)

    def goes_by(self, run_id: str, sender: Sender) -> None:
        """Note by whose socket a run will go that waited."""
        entry = self._active.pop(run_id)
        entry.sender = sender
        # Behind those that were sent before it, though it came earlier.
        self._active[run_id] = entry

    def sent(self, run_id: str) -> None:
        """Note that a run's request leaves for the present process of its kernel."""
        entry = self._active[run_id]
        kernel = self._tracker.get(entry.run.kernel_id)
        if kernel is not None:
            pid = kernel.process.pid if kernel.process else None
            self.feed(run_id, RunSent(kernel.generation, self._tracker.now(), pid))
            self._feed_kernel(kernel.id, RunQueued, run_id=run_id)

    # -- what is heard of them ---------------------------------------------------------------

    def feed(self, run_id: str | None, event: RunEvent) -> Run | None:
        """Take in a fact about a run.

        Args:
            run_id: Which; nothing happens where it is not under way.
            event: What happened.

        Returns:
            The run as it is now, or None.
        """
        entry = self._active.get(run_id or "")
        if entry is None:
            return None
        if isinstance(event, RunAnswered):
            # A new process may say busy before anybody here listens to it.
            self._take_for_sent(entry.run.run_id)
        before = entry.run
        # Found before it is over: then it would stand among the others no more.
        overtaken = self._overtaken_by(entry) if isinstance(event, RunAnswered) else []
        entry.run = after = step(before, event)
        if after is not before:
            self._settle(entry, before)
        for each in overtaken:
            self.feed(each, ShellMovedOn(event.generation, event.at))
        return after

    def _settle(self, entry: _Entry, before: Run) -> None:
        run = entry.run
        if run.asks is not before.asks:
            kind = InputRequested if run.asks else InputProvided
            self._feed_kernel(run.kernel_id, kind, run_id=run.run_id)
        if run.has_ended:
            del self._active[run.run_id]
            self._ended[run.run_id] = replace(run, code=None, error=None)
            while len(self._ended) > REMEMBERED:
                self._ended.popitem(last=False)
            kernel = self._tracker.get(run.kernel_id)
            if kernel is not None and run.run_id in (*kernel.sent, *kernel.awaiting):
                self._feed_kernel(run.kernel_id, RunWithdrawn, run_id=run.run_id)
        if _told(run) != _told(before):
            self._tell(run)

    def _overtaken_by(self, entry: _Entry) -> list[str]:
        """Find what its sender asked of the same shell earlier and that was never answered."""
        if entry.sender is None:
            return []
        earlier = takewhile(lambda each: each is not entry, self._active.values())
        return [each.run.run_id for each in earlier if _is_overtaken(each, entry)]

    def heard(self, kernel_id: str, event: Event) -> None:
        """Take in what a kernel's statuses say of its runs."""
        generation, at = event.generation, event.at
        if isinstance(event, RequestBegan) and event.request.is_run:
            self._meet(kernel_id, event)
            self._take_for_sent(event.request.msg_id)
            self.feed(event.request.msg_id, RunBegan(generation, at))
        elif isinstance(event, RequestEnded):
            self.feed(event.request.msg_id, RunBecameIdle(generation, at))
        elif isinstance(event, ShellAnswered):
            for request in event.asked:
                self.feed(request.msg_id, RunBecameIdle(generation, at))

    def _take_for_sent(self, run_id: str) -> None:
        """Note which process has a run that waited in zmq."""
        run = self.get(run_id)
        if run is not None and run.generation is None:
            self.sent(run_id)

    def _meet(self, kernel_id: str, event: RequestBegan) -> None:
        """Get to know a run that came by another way."""
        run_id = event.request.msg_id
        kernel = self._tracker.get(kernel_id)
        if kernel is None or self.knows(run_id):
            return
        subshell = event.request.subshell
        run = self.new(run_id, kernel, Origin.ELSEWHERE, subshell=subshell, reply_comes=False)
        pid = kernel.process.pid if kernel.process else None
        self.came(step(run, RunSent(event.generation, event.at, pid)))

    # -- ends ----------------------------------------------------------------------------------

    def gone(self, sender: Sender) -> None:
        """Note that nobody reads the replies to a sender any more."""
        for run in [each.run for each in self._active.values() if each.sender is sender]:
            self.feed(run.run_id, ReplyMissed(run.generation or 0, self._tracker.now()))

    def server_ended(self) -> None:
        """Note that nobody will follow them any more."""
        for run in self.active():
            self.feed(run.run_id, ServerEnded(run.generation or 0, self._tracker.now()))

    def _kernel_changed(self, change: Change) -> None:
        before, after = change.before, change.after
        if before is None:
            return
        for notice in change.notices:
            if isinstance(notice, Terminated):
                self._feed_all(before.id, _worker_ended(notice.termination))
        if after is None:
            now = self._tracker.now()
            end = WorkerEnded(before.generation, now, RequestedBy.SHUTDOWN, REMOVED)
            self._feed_all(before.id, end)
            self._feed_all(before.id, RunRefused(0, now, REMOVED))
        elif after.status is Status.DEAD and before.status is not Status.DEAD:
            self._feed_all(after.id, RunRefused(0, self._tracker.now(), after.reason))
        elif after.requested_by and after.requested_by is not before.requested_by:
            self._feed_all(after.id, _end_requested(after, after.requested_by, self._tracker))

    def _feed_all(self, kernel_id: str, event: RunEvent) -> None:
        for run in self.active(kernel_id):
            self.feed(run.run_id, event)

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

    def get(self, run_id: str) -> Run | None:
        """Return a run as it is now, or None if it is not under way."""
        entry = self._active.get(run_id)
        return None if entry is None else entry.run

    def at_work(self, kernel: Kernel) -> list[Run]:
        """Return what a kernel works on now: also what is over for us and not for the kernel."""
        known = (self.get(each) or self._ended.get(each) for each in kernel.running)
        return [each for each in known if each is not None]

    def active(self, kernel_id: str | None = None) -> list[Run]:
        """Return the runs that are not over, oldest first; of one kernel or of all."""
        runs = (each.run for each in self._active.values())
        return [run for run in runs if kernel_id is None or run.kernel_id == kernel_id]


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
