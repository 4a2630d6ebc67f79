"""Joins Jupyter's kernel managers and the tracker: who is followed, and what is told of whom."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from functools import partial
from logging import Logger
from typing import Any

from tornado.ioloop import IOLoop

from ..core.model import (
    Event,
    Exit,
    Kernel,
    LaunchFailed,
    ProcessExited,
    ProcessStarted,
    Reported,
    RestartRequested,
    ShutdownCompleted,
    ShutdownRequested,
)
from ..core.words import ExecutionState, RequestedBy, Status
from ..tracking.follower import Follower
from ..tracking.iopub import Reader
from ..tracking.tracker import Change, Tracker
from ..tracking.wire import Wire
from . import failures
from .afterlife import Afterlife
from .charge import Charge, Manager, Settings, requested_by
from .restarting import Restarting
from .sockets import RECONNECT_PATIENTLY, connect
from .turns import Turn


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
        self.tracker = Tracker(log)
        self.tracker.listen(self._changed)
        self.restarting = Restarting(self.tracker, settings, self.look, log)
        self.afterlife = Afterlife(self.tracker, settings, log)
        self._reader = Reader(log)
        self._charges: dict[str, Charge] = {}
        self._loop = IOLoop.current()
        self.is_stopping = False

    # -- kernels come and go -------------------------------------------------------------

    def take_charge(
        self, manager: Manager, kernel_id: str, name: str, *, seen: bool = True
    ) -> Charge:
        """Begin to supervise a kernel.

        Args:
            manager: Its manager.
            kernel_id: Its id.
            name: Its kernelspec's name.
            seen: Whether its process is ours to see.

        Returns:
            What is held for it.
        """
        charge = self._charges.get(kernel_id)
        if charge is None:
            charge = self._charges[kernel_id] = Charge(kernel_id, manager, Turn(), seen)
            self.tracker.add(kernel_id, name, Status.STARTING if seen else Status.UNKNOWN)
        return charge

    def sees(self, kernel_id: str) -> bool:
        """Tell whether a kernel is known and its processes are ours to see."""
        charge = self._charges.get(kernel_id)
        return charge is not None and charge.seen

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

    def forget(self, kernel_id: str) -> None:
        """Let a kernel go that its manager does not have any more."""
        kernel = self.tracker.get(kernel_id)
        if kernel is not None and kernel.status is Status.TERMINATING:
            self.shutdown_completed(kernel_id)
        charge = self._charges.pop(kernel_id, None)
        if charge is not None:
            charge.stop_following()
            self.afterlife.keep(charge)
        self.tracker.remove(kernel_id)

    def forget_others(self, known: set[str]) -> None:
        """Let those go that were removed behind our back (gateway, external kernels)."""
        for charge in list(self._charges.values()):
            if not charge.seen and charge.kernel_id not in known:
                self.forget(charge.kernel_id)

    def stopping(self) -> None:
        """Record that from now on it is the server's end that ends kernels."""
        self.is_stopping = True
        for charge in self._charges.values():
            self.afterlife.keep(charge)

    # -- kernels that run elsewhere ------------------------------------------------------

    def present(self, manager: Manager) -> Kernel | None:
        """Return a kernel as the tracker knows it, if we see its processes ourselves."""
        charge = self.charge_of(manager)
        return self.tracker.get(charge.kernel_id) if charge and charge.seen else None

    def started(self, manager: Manager) -> None:
        """Note that a start is over: without a launch of ours, its process runs elsewhere."""
        charge = self.charge_of(manager)
        kernel = self.tracker.get(charge.kernel_id) if charge else None
        if charge is not None and kernel is not None and kernel.status is Status.STARTING:
            charge.seen = False

    def reported(self, kernel_id: str, word: str) -> None:
        """Take in what the manager of a kernel that runs elsewhere says of it."""
        with suppress(ValueError):
            state = ExecutionState(word)
            self._feed(kernel_id, Reported, execution_state=state)

    # -- processes come and go -----------------------------------------------------------

    def launched(self, manager: Manager) -> None:
        """Follow the process that a manager has launched."""
        if IOLoop.current(instance=False) is not self._loop:
            # jupyter_core's run_sync runs the coroutines of a blocking manager in another thread.
            self._loop.add_callback(self.launched, manager)
            return
        charge = self.charge_of(manager) or self.take_charge(
            manager, manager.kernel_status_id, manager.kernel_name
        )
        self.look(charge.kernel_id)
        charge.stop_following()
        pid = getattr(manager.provisioner, "pid", None)
        kernel = self._feed(charge.kernel_id, ProcessStarted, pid=pid)
        if kernel is not None:
            charge.follower = self._follow(charge, kernel)

    def _follow(self, charge: Charge, kernel: Kernel) -> Follower:
        return Follower(
            self.tracker,
            kernel,
            self._wire(charge),
            reader=self._reader,
            start_timeout=self.settings.start_timeout,
            rhythm=self.settings.rhythm,
            on_exit=lambda generation, ended: self._exited(charge, generation, ended),
            log=self.log,
        )

    def _wire(self, charge: Charge) -> Wire:
        manager = charge.manager
        process = getattr(manager.provisioner, "process", None)
        mapping = manager.parent

        def on_activity() -> None:
            # jupyter_server 2.21, MappingKernelManager.start_watching_activity
            mapping.last_kernel_activity = manager.last_activity = self.tracker.now()

        return Wire(
            kernel_id=charge.kernel_id,
            connect=partial(connect, manager),
            connect_patiently=partial(connect, manager, reconnect_every=RECONNECT_PATIENTLY),
            session=manager.session.clone(),
            process=process if isinstance(process, subprocess.Popen) else None,
            poll=manager.provisioner.poll,
            tracked=mapping.track_message_type,
            on_activity=on_activity,
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

    def _exited(self, charge: Charge, generation: int, ended: Exit) -> None:
        will_act = self.restarting.will_act(charge)
        event = ProcessExited(generation, self.tracker.now(), ended, will_act)
        kernel = self.tracker.feed(charge.kernel_id, event)
        if kernel is not None and kernel.status is Status.AUTORESTARTING:
            self.restarting.hasten(charge)

    def kill(self, kernel_id: str) -> None:
        """Kill a kernel's process and give its files back, past a manager that does not answer."""
        charge = self._charges.get(kernel_id)
        if charge is not None:
            if charge.follower is not None:
                charge.follower.kill()
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
        if after.proven and not before.proven:
            self.restarting.set_limit(charge)
        asked_for = before.status is Status.TERMINATING
        if after.reason not in ("", before.reason) and not asked_for:
            self.log.warning("Kernel %s is %s: %s", after.id, after.status, after.reason)
        died = after.status is Status.DEAD and before.status is not Status.DEAD
        if died:
            charge.stop_following()
        if died and not asked_for:
            self.afterlife.died(charge)
            for kernel_id in self.afterlife.beyond_bounds():
                self.afterlife.let_go(self._charges[kernel_id])
        if before.status is Status.DEAD and after.status is not Status.DEAD:
            self.afterlife.revived(charge)

    def _feed(self, kernel_id: str, kind: type[Event], **facts: Any) -> Kernel | None:
        kernel = self.tracker.get(kernel_id)
        if kernel is None:
            return None
        of_next = kind in (ProcessStarted, LaunchFailed)
        generation = kernel.next_generation if of_next else kernel.generation
        return self.tracker.feed(kernel_id, kind(generation, self.tracker.now(), **facts))
