"""Joins Jupyter's kernel managers and the tracker: who is followed, and what is told of whom."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from logging import Logger
from typing import Any

from tornado.ioloop import IOLoop

from ..core.events import (
    Event,
    LaunchFailed,
    ProcessExited,
    ProcessStarted,
    RestartRequested,
    ShutdownCompleted,
    ShutdownRequested,
)
from ..core.model import ChildrenLost, Exit, Kernel, Notice
from ..core.remains import Remains
from ..core.words import RequestedBy, Status
from ..tracking.follower import Follower
from ..tracking.foreign import ForeignFollower
from ..tracking.iopub import Reader
from ..tracking.process import kill
from ..tracking.senses import Senses
from ..tracking.tracker import Change, Tracker
from ..tracking.vitals import Ward
from . import failures
from .afterlife import Afterlife
from .charge import Charge, Manager, Settings, Sight, requested_by
from .clients import Clients
from .launches import Launch, Launches
from .remotes import Remotes
from .restarting import Restarting
from .runs import Runs
from .turns import Turn
from .wires import make_wire

CHILDREN_LOST = (
    "Kernel %s: its memory group counted %d out-of-memory kill(s) that it survived; "
    "a process that it started may be gone"
)
GONE_ELSEWHERE = "The kernel was removed where it runs."


class Supervisor:
    """One per server."""

    def __init__(self, settings: Settings, log: Logger) -> None:
        """Begin with no kernels.

        Args:
            settings: The administrator's.
            log: The server's log.
        """
        self.settings = settings
        self.log = log
        self._charges: dict[str, Charge] = {}
        self.tracker = Tracker(log)
        self.tracker.listen(self._changed)
        self.restarting = Restarting(self.tracker, settings, self.look, log)
        self.afterlife = Afterlife(self.tracker, settings, log)
        self.launches = Launches(settings, log)
        self.runs = Runs(self.tracker, settings, self.charge, log)
        bundles = (self.runs.reading,)
        self._senses = Senses(self.tracker, self.runs.ledger, bundles, Reader(log), Ward(), log)
        self.clients = Clients(self.tracker, self._announce)
        self.remotes = Remotes(self.tracker, log)
        self._loop = IOLoop.current()
        self._when_ended: list[Callable[[], None]] = []
        self.is_stopping = False

    def serve(self, mapping: Any, sessions: Any) -> None:
        """Get to know the managers of all kernels and of all sessions."""
        self.runs.sessions = sessions
        self.afterlife.mapping = self.runs.mapping = mapping
        self.remotes.ask = mapping.hear_of_all

    # -- kernels come and go -------------------------------------------------------------

    def take_charge(
        self, manager: Manager, kernel_id: str, name: str, sight: Sight = Sight.OWN
    ) -> Charge:
        """Begin to supervise a kernel.

        Args:
            manager: Its manager.
            kernel_id: Its id.
            name: Its kernelspec's name.
            sight: What can be seen of it.

        Returns:
            What is held for it.
        """
        charge = self._charges.get(kernel_id)
        if charge is None:
            charge = self._charges[kernel_id] = Charge(kernel_id, manager, Turn(), sight)
            charge.started.set()
            own = sight is Sight.OWN
            self.tracker.add(kernel_id, name, Status.STARTING if own else Status.UNKNOWN)
            if sight is Sight.REMOTE:
                self.remotes.begin(charge)
        return charge

    def sees(self, kernel_id: str) -> bool:
        """Tell whether a kernel is known and its processes are ours to see."""
        charge = self._charges.get(kernel_id)
        return charge is not None and charge.sight is Sight.OWN

    def is_here(self, kernel: Kernel) -> bool:
        """Tell whether a kernel's process is a child of ours, or would be if there were one."""
        charge = self._charges.get(kernel.id)
        if charge is None or charge.sight is not Sight.OWN:
            return False
        return kernel.process is None or charge.child is not None

    def knows(self, kernel_id: str) -> bool:
        """Tell whether it is the tracker that knows what a kernel does, not its manager."""
        charge = self._charges.get(kernel_id)
        return charge is not None and charge.sight is not Sight.REMOTE

    def may_start(self, charge: Charge) -> bool:
        """Tell whether a kernel may get another process: it is to stay, and so is the server.

        Whoever waited for its turn has to ask: it may have been removed meanwhile.
        """
        is_here = self._charges.get(charge.kernel_id) is charge
        return is_here and not charge.to_remove and not self.is_stopping

    def charge(self, kernel_id: str) -> Charge | None:
        """Return what is held for a kernel."""
        return self._charges.get(kernel_id)

    def charge_of(self, manager: Manager) -> Charge | None:
        """Return what is held for a kernel's manager."""
        return self._charges.get(manager.kernel_status_id or "")

    def being_launched(self) -> list[Charge]:
        """Return the kernels that were asked for and are not in the manager's list yet."""
        listed = self.afterlife.mapping
        return [each for each in self._charges.values() if each.kernel_id not in listed]

    def forget(self, kernel_id: str, why: str = "") -> None:
        """Let a kernel go that its manager does not have any more.

        Args:
            kernel_id: The kernel.
            why: What became of it, if it went behind our back.
        """
        if kernel_id in self.remotes and not why:
            self.shutdown_requested(kernel_id)
        kernel = self.tracker.get(kernel_id)
        if kernel is not None and kernel.status is Status.TERMINATING:
            self.shutdown_completed(kernel_id)
        self.remotes.forget(kernel_id)
        charge = self._charges.pop(kernel_id, None)
        if charge is not None:
            charge.stop_following()
            self.afterlife.keep(charge)
        self.tracker.remove(kernel_id, why)

    def forget_others(self, known: set[str]) -> None:
        """Let those go that were removed behind our back (gateway, external kernels)."""
        for charge in list(self._charges.values()):
            if charge.sight is not Sight.OWN and charge.kernel_id not in known:
                self.forget(charge.kernel_id, GONE_ELSEWHERE)

    def stopping(self) -> None:
        """Record that from now on it is the server's end that ends kernels."""
        self.is_stopping = True
        for charge in self._charges.values():
            self.afterlife.keep(charge)

    def when_ended(self, call: Callable[[], None]) -> None:
        """Have something called when all kernels are shut down."""
        self._when_ended.append(call)

    def ended(self) -> None:
        """Note that all kernels are shut down; whatever one of these raises, all are done."""
        with ExitStack() as last_first:
            for call in reversed(self._when_ended):
                last_first.callback(call)
            last_first.callback(self.runs.ended)
            for kernel in self.tracker:
                last_first.callback(self.forget, kernel.id)

    # -- kernels that run elsewhere ------------------------------------------------------

    def present(self, manager: Manager) -> Kernel | None:
        """Return a kernel as the tracker knows it, if it is the tracker that knows it."""
        kernel_id = manager.kernel_status_id or ""
        return self.tracker.get(kernel_id) if self.knows(kernel_id) else None

    def started(self, manager: Manager) -> None:
        """Note that a start is over: without a launch of ours, its process runs elsewhere."""
        charge = self.charge_of(manager)
        kernel = self.tracker.get(charge.kernel_id) if charge else None
        if charge is not None and kernel is not None and kernel.status is Status.STARTING:
            charge.sight = Sight.REMOTE
            self.remotes.begin(charge)

    def meet(self, manager: Manager, kernel_id: str) -> None:
        """Know a kernel that was met running; follow it if its sockets are here."""
        if kernel_id in self.tracker:
            return
        sight = Sight.REMOTE if manager.owns_kernel else Sight.EXTERNAL
        charge = self.take_charge(manager, kernel_id, manager.kernel_name, sight)
        kernel = self.tracker.get(kernel_id)
        if sight is Sight.EXTERNAL and kernel is not None:
            charge.follower = self._follow(charge, kernel, ForeignFollower)

    def buffering_began(self, kernel_id: str) -> None:
        """Note which process it is that a lost client was connected to."""
        charge, kernel = self._charges.get(kernel_id), self.tracker.get(kernel_id)
        if charge is not None and kernel is not None:
            charge.buffered = kernel.generation

    def still_buffered(self, kernel_id: str) -> bool:
        """Tell whether it is still the same process."""
        charge, kernel = self._charges.get(kernel_id), self.tracker.get(kernel_id)
        return charge is not None and kernel is not None and charge.buffered == kernel.generation

    # -- processes come and go -----------------------------------------------------------

    def launched(self, manager: Manager, launch: Launch) -> None:
        """Follow the process that a manager has launched."""
        if IOLoop.current(instance=False) is not self._loop:
            # jupyter_core's run_sync runs the coroutines of a blocking manager in another thread.
            self._loop.add_callback(self.launched, manager, launch)
            return
        charge = self.charge_of(manager) or self.take_charge(
            manager, manager.kernel_status_id, manager.kernel_name
        )
        self.look(charge.kernel_id)
        charge.stop_following()
        charge.launch = launch
        pid = getattr(manager.provisioner, "pid", None)
        kernel = self._feed(charge.kernel_id, ProcessStarted, pid=pid)
        if kernel is not None:
            charge.follower = self._follow(charge, kernel)

    def _follow(self, charge: Charge, kernel: Kernel, kind: type[Follower] = Follower) -> Follower:
        return kind(
            self._senses,
            kernel,
            make_wire(charge, self.tracker.now),
            start_timeout=self.settings.start_timeout,
            rhythm=self.settings.rhythm,
            on_exit=partial(self._exited, charge),
        )

    def launch_failed(self, manager: Manager, error: BaseException) -> None:
        """Tell that no process came."""
        charge = self.charge_of(manager)
        if charge is None:
            return
        self.look(charge.kernel_id)
        cause, reason = failures.explain(manager, error)
        self._feed(charge.kernel_id, LaunchFailed, cause=cause, reason=reason)

    def look(self, kernel_id: str) -> None:
        """Look at once whether a kernel's process has ended."""
        charge = self._charges.get(kernel_id)
        if charge is not None and charge.follower is not None:
            charge.follower.look()

    def _exited(self, charge: Charge, generation: int, ended: Exit, found: Remains) -> None:
        remains = self._examined(charge, found)
        will_act = self.restarting.will_act(charge, remains)
        event = ProcessExited(generation, self.tracker.now(), ended, will_act, remains)
        kernel = self.tracker.feed(charge.kernel_id, event)
        if kernel is not None and kernel.status is Status.AUTORESTARTING:
            self.restarting.hasten(charge)

    def _examined(self, charge: Charge, found: Remains) -> Remains:
        if charge.launch is None:
            return found
        mapping = self.afterlife.mapping
        # jupyter_server 2.21, MappingKernelManager.allow_tracebacks
        instead = None if mapping.allow_tracebacks else mapping.traceback_replacement_message
        try:
            return charge.launch.examine(found, instead=instead)
        except Exception:
            # A boundary: whatever cannot be found out, how it ended is known and is told.
            self.log.exception("Kernel %s: its remains could not be examined", charge.kernel_id)
            return found

    def _announce(self, kernel_id: str, heard: Callable[[], bool]) -> None:
        charge = self._charges.get(kernel_id)
        if charge is not None and charge.follower is not None:
            charge.follower.announce(heard)

    def kill(self, kernel_id: str) -> None:
        """Kill a kernel's process and give its files back, past a manager that does not answer."""
        charge = self._charges.get(kernel_id)
        if charge is not None:
            kill(charge.child)
            charge.manager.cleanup_connection_file()

    # -- ends are asked for --------------------------------------------------------------

    def restart_requested(self, kernel_id: str) -> None:
        """Record that somebody asked for a restart."""
        self._feed(kernel_id, RestartRequested)

    def shutdown_requested(self, kernel_id: str) -> None:
        """Record that somebody asked for the end, and who."""
        by = RequestedBy.SERVER_STOP if self.is_stopping else requested_by.get()
        self._feed(kernel_id, ShutdownRequested, by=by)

    def shutdown_completed(self, kernel_id: str) -> None:
        """Record that Jupyter is done with ending a kernel."""
        self.look(kernel_id)
        self._feed(kernel_id, ShutdownCompleted)

    # -- what follows --------------------------------------------------------------------

    def _changed(self, change: Change) -> None:
        before, after = change.before, change.after
        charge = self._charges.get(after.id) if after else None
        if charge is None or before is None or after is None:
            return
        self._log_change(before, after, change.notices)
        if after.proven and not before.proven:
            self.restarting.set_limit(charge)
        if after.status in (Status.CONNECTED, Status.RESTARTING):
            charge.moves = 0
        died = after.status is Status.DEAD and before.status is not Status.DEAD
        if died:
            charge.stop_following()
        if died and before.status is not Status.TERMINATING:
            self._died(charge)
        if before.status is Status.DEAD and after.status is not Status.DEAD:
            self.afterlife.revived(charge)

    def _log_change(self, before: Kernel, after: Kernel, notices: tuple[Notice, ...]) -> None:
        for notice in notices:
            if isinstance(notice, ChildrenLost):
                self.log.warning(CHILDREN_LOST, after.id, notice.kills)
        asked_for = before.status is Status.TERMINATING
        if after.reason not in ("", before.reason) and not asked_for:
            self.log.warning("Kernel %s is %s: %s", after.id, after.status, after.reason)

    def _died(self, charge: Charge) -> None:
        self.afterlife.died(charge)
        for kernel_id in self.afterlife.beyond_bounds():
            self.afterlife.let_go(self._charges[kernel_id])

    def _feed(self, kernel_id: str, kind: type[Event], **facts: Any) -> Kernel | None:
        kernel = self.tracker.get(kernel_id)
        if kernel is None:
            return None
        of_next = kind in (ProcessStarted, LaunchFailed)
        generation = kernel.next_generation if of_next else kernel.generation
        return self.tracker.feed(kernel_id, kind(generation, self.tracker.now(), **facts))
