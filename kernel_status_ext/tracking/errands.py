"""The runs that this server itself sends to kernels, each followed to its end."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from logging import Logger

from tornado.ioloop import IOLoop

from ..core.requests import interrupt_refusal
from ..core.run import LimitIgnored, LimitReached, Run, RunKey, RunSkipped
from ..core.run_messages import Output, Stderr
from ..core.words import RunStatus, Status
from .desk import Desk, Order
from .ledger import Ledger
from .tasks import spawn
from .timers import Timers
from .tracker import Change, Tracker

GRACE = 5.0
"""Seconds after the interrupt for its limit in which a run may end by itself."""

TURN_LASTS = 0.01
"""Seconds after which the sending of what has waited makes way for others, and then goes on."""

TAKES_WORK = (Status.CONNECTED, Status.UNRESPONSIVE)


Skips = Callable[[str, int], bool]


def read_all(_kind: str, _size: int) -> bool:
    """Skip nothing of what is put out."""
    return False


class NotInterrupted(Exception):
    """A run cannot be interrupted now; the message says why and what to do."""


@dataclass(eq=False, slots=True)
class Errand:
    """One run that we send.

    Attributes:
        order: What is run.
        put: Takes what the run puts out, in order.
        skips: Is told the type and the size of what it puts out; whether that is enough.
    """

    order: Order
    put: Callable[[Output], None]
    skips: Skips
    desk: Desk | None = None
    """The process that it was sent to."""
    _was_told: bool = False
    _late: str = ""
    timers: Timers = field(default_factory=Timers)

    def failed(self, traceback: str) -> None:
        """Put out what the kernel published of a failure."""
        self._was_told = True
        self.put(Stderr(traceback))

    def failed_late(self, traceback: str) -> None:
        """Keep what the reply says of a failure, in case that nothing was published."""
        self._late = traceback

    def stops(self, run: Run) -> bool:
        """Tell whether a run has failed, or was skipped itself, so that those behind it are."""
        was_skipped = run.answer is RunStatus.ABORTED and run.started_at is None
        failed = run.answer is RunStatus.ERROR and self.order.content.get("stop_on_error") is True
        return was_skipped or failed

    def ended(self, run: Run) -> None:
        """Put out why it did not end well, where that was not done yet."""
        if self._late and not self._was_told:
            self.put(Stderr(self._late))
        if run.status not in (RunStatus.OK, RunStatus.ERROR):
            self.put(Stderr(f"{run.reason}\n"))


class Errands:
    """All runs of ours that are not over."""

    def __init__(
        self,
        tracker: Tracker,
        ledger: Ledger,
        desk_of: Callable[[str], Desk | None],
        interrupt: Callable[[str], Awaitable[None]],
        log: Logger,
    ) -> None:
        """Begin with none.

        Args:
            tracker: Knows the kernels.
            ledger: Knows all runs.
            desk_of: Gives, of a kernel id, the way to its present process.
            interrupt: Interrupts a kernel.
            log: Where failures are told.
        """
        self._tracker = tracker
        self._ledger = ledger
        self._desk_of = desk_of
        self._interrupt = interrupt
        self._log = log
        self._errands: dict[RunKey, Errand] = {}
        self._waiting: dict[str, deque[RunKey]] = {}
        """By kernel what waits until it is connected; what ends meanwhile stands here still."""
        self._sending: set[str] = set()
        """The kernels that are about to be sent what has waited for them."""
        ledger.listen(self._changed)
        tracker.listen(self._kernel_changed)

    def get(self, kernel_id: str, run_id: str) -> Errand | None:
        """Return a run of ours, or None for any other."""
        return self._errands.get((kernel_id, run_id))

    def submit(
        self, run: Run, order: Order, put: Callable[[Output], None], skips: Skips = read_all
    ) -> None:
        """Have something run, as soon as its kernel is connected.

        Args:
            run: It, taken in by nobody yet.
            order: The request.
            put: Takes what it puts out; its end is told by the ledger.
            skips: Tells, of the type and the size of what it puts out, that nobody wants it.
        """
        self._errands[run.key] = Errand(order, put, skips)
        # Behind those that have waited and are being sent.
        desk = None if run.kernel_id in self._waiting else self._open_desk(run.kernel_id)
        self._ledger.came(run, desk.sender if desk is not None else None)
        if desk is not None:
            self._send(run.key, desk)
        else:
            self._waiting.setdefault(run.kernel_id, deque()).append(run.key)
            self._ledger.waits(run)

    def _open_desk(self, kernel_id: str) -> Desk | None:
        """Return the way to a kernel that takes work, or None."""
        kernel = self._tracker.get(kernel_id)
        takes_work = kernel is not None and kernel.status in TAKES_WORK
        return self._desk_of(kernel_id) if takes_work else None

    def _kernel_changed(self, change: Change) -> None:
        after = change.after
        if after is None:
            self._waiting.pop(change.before.id if change.before else "", None)
        elif after.id in self._waiting and after.status in TAKES_WORK:
            self._send_soon(after.id)

    def _send_soon(self, kernel_id: str) -> None:
        if kernel_id not in self._sending:
            self._sending.add(kernel_id)
            # Later: everybody is to be told of this change before it brings another.
            IOLoop.current().add_callback(self._send_waiting, kernel_id)

    def _send_waiting(self, kernel_id: str) -> None:
        """Send what has waited for a kernel, in the order in which it came, in several turns."""
        self._sending.discard(kernel_id)
        desk, until = self._open_desk(kernel_id), time.monotonic() + TURN_LASTS
        waiting = self._waiting.get(kernel_id, deque())
        while desk is not None and waiting and time.monotonic() < until:
            key = waiting.popleft()
            if key in self._errands:
                self._ledger.goes_by(*key, desk.sender)
                self._send(key, desk)
        if not waiting:
            self._waiting.pop(kernel_id, None)
        elif desk is not None:
            self._send_soon(kernel_id)

    def _send(self, key: RunKey, desk: Desk) -> None:
        errand = self._errands[key]
        errand.desk = desk
        self._ledger.sent(*key)
        desk.take(errand.order)

    # -- how they go on --------------------------------------------------------------------

    def _changed(self, run: Run) -> None:
        errand = self._errands.get(run.key)
        if errand is None:
            return
        if run.has_ended:
            del self._errands[run.key]
            errand.timers.close()
            errand.ended(run)
            if errand.desk is not None:
                is_ending = run.end_requested is not None
                errand.desk.done(run.subshell, run.run_id, is_ending=is_ending)
                if errand.stops(run) and not is_ending:
                    self._skip(run, errand.desk.held_back(run.subshell))
        elif run.status is RunStatus.RUNNING and run.timeout is not None and not run.over_limit:
            errand.timers.set_once("limit", run.timeout, lambda: self._limit_reached(run.key))

    def _skip(self, failed: Run, behind: list[str]) -> None:
        """End what a kernel that had it in its queue would have skipped."""
        for run_id in behind:
            event = RunSkipped(failed.generation or 0, self._tracker.now())
            self._ledger.feed(failed.kernel_id, run_id, event)

    def _limit_reached(self, key: RunKey) -> None:
        run = self._ledger.get(*key)
        if run is None:
            return
        self._ledger.feed(*key, LimitReached(run.generation or 0, self._tracker.now()))
        errand = self._errands.get(key)
        if errand is not None:
            errand.timers.set("grace", GRACE, lambda: self._limit_ignored(key))
            what = f"Kernel {run.kernel_id}: interrupting run {run.run_id}, whose time is over"
            spawn(self._interrupt_if_it_runs(key), what, self._log)

    async def _interrupt_if_it_runs(self, key: RunKey) -> None:
        try:
            await self.interrupt(*key)
        except KeyError:
            # It ended in the moment in which its time was over.
            return
        except (NotInterrupted, RuntimeError) as error:
            self._log.info("Run %s is over its limit: %s", key[1], error)

    def _limit_ignored(self, key: RunKey) -> None:
        run = self._ledger.get(*key)
        if run is not None:
            event = LimitIgnored(run.generation or 0, self._tracker.now(), GRACE)
            self._ledger.feed(*key, event)

    async def interrupt(self, kernel_id: str, run_id: str) -> Run:
        """Interrupt the kernel of a run if that run is what it works on now.

        Args:
            kernel_id: Which kernel.
            run_id: A run that is under way, whoever sent it.

        Returns:
            The run as it was when its kernel was sent the signal.

        Raises:
            NotInterrupted: It is not at work; the message says why.
            KeyError: It is not under way.
            RuntimeError: Jupyter's, for a kernel that ends at this moment.
        """
        if self._ledger.get(kernel_id, run_id) is None:
            raise KeyError(run_id)
        desk = self._desk_of(kernel_id)
        # What the kernel has said already may be that it is over.
        all_heard = desk is None or desk.catch_up()
        run = self._ledger.get(kernel_id, run_id)
        if run is None:
            raise NotInterrupted(f"Run {run_id} of kernel {kernel_id} has just ended.")
        refused = interrupt_refusal(run, self._tracker.get(kernel_id), all_heard=all_heard)
        if refused is not None:
            raise NotInterrupted(refused)
        await self._interrupt(kernel_id)
        return run
