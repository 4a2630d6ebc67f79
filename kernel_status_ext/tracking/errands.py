"""The runs that this server itself sends to kernels, each followed to its end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from logging import Logger

from tornado.ioloop import IOLoop

from ..core.requests import interrupt_refusal
from ..core.run import LimitIgnored, LimitReached, Run, RunKey
from ..core.run_messages import Output, Stderr
from ..core.words import RunStatus, Status
from .desk import Desk, Order
from .ledger import Ledger
from .tasks import spawn
from .timers import Timers
from .tracker import Change, Tracker

GRACE = 5.0
"""Seconds after the interrupt for its limit in which a run may end by itself."""

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
        kernel = self._tracker.get(run.kernel_id)
        if kernel is not None and kernel.awaiting:
            self._send_waiting(kernel.id)
        desk = self._open_desk(run.kernel_id)
        self._ledger.came(run, desk.sender if desk is not None else None)
        if desk is not None:
            self._send(run.key, desk)
        else:
            self._ledger.waits(run)

    def _open_desk(self, kernel_id: str) -> Desk | None:
        """Return the way to a kernel that takes work, or None."""
        kernel = self._tracker.get(kernel_id)
        takes_work = kernel is not None and kernel.status in TAKES_WORK
        return self._desk_of(kernel_id) if takes_work else None

    def _kernel_changed(self, change: Change) -> None:
        after = change.after
        if after is not None and after.awaiting and after.status in TAKES_WORK:
            # Later: everybody is to be told of this change before it brings another.
            IOLoop.current().add_callback(self._send_waiting, after.id)

    def _send_waiting(self, kernel_id: str) -> None:
        """Send what has waited for a kernel, in the order in which it came."""
        desk = self._open_desk(kernel_id)
        if desk is None:
            return
        for run in self._ledger.active(kernel_id):
            errand = self._errands.get(run.key)
            if errand is not None and errand.desk is None:
                self._ledger.goes_by(*run.key, desk.sender)
                self._send(run.key, desk)

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
            if errand.desk is not None:
                errand.desk.done(run.run_id)
            errand.ended(run)
        elif run.status is RunStatus.RUNNING and run.timeout is not None and not run.over_limit:
            errand.timers.set_once("limit", run.timeout, lambda: self._limit_reached(run.key))

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
