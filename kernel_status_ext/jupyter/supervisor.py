"""Joins Jupyter's kernel managers and the tracker: who is followed, restarted, kept, let go."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Coroutine, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from logging import Logger
from typing import Any

from jupyter_core.utils import ensure_async
from jupyter_server.prometheus.metrics import KERNEL_CURRENTLY_RUNNING_TOTAL
from tornado.ioloop import IOLoop

from ..core.model import (
    AutorestartBegan,
    Event,
    Exit,
    Kernel,
    LaunchFailed,
    ProcessExited,
    ProcessStarted,
    Reported,
    RestarterGaveUp,
    RestartRequested,
    ShutdownCompleted,
    ShutdownRequested,
)
from ..core.words import ExecutionState, RequestedBy, Status
from ..tracking.follower import Follower
from ..tracking.iopub import Reader
from ..tracking.tasks import spawn
from ..tracking.tracker import Change, Tracker
from ..tracking.wire import Wire
from . import failures
from .sockets import connect
from .turns import Turn

# The managers are dynamic classes of whatever is configured: there is no static type for them.
Manager = Any


@dataclass(frozen=True, slots=True)
class Settings:
    """What the administrator may set (contract, section 7); times in seconds."""

    start_timeout: float = 60
    start_retries: int = 0
    fast_restart: bool = True
    dead_kernel_retention: float = 86400
    max_dead_kernels: int = 100


_requested_by: ContextVar[RequestedBy] = ContextVar(
    "kernel_status_requested_by", default=RequestedBy.SHUTDOWN
)

restarter_acts: ContextVar[bool] = ContextVar("kernel_status_restarter_acts", default=False)
"""Whether the present task is Jupyter's restarter at work."""


@contextlib.contextmanager
def on_behalf_of(by: RequestedBy) -> Iterator[None]:
    """Record who asks for the shutdowns made inside."""
    token = _requested_by.set(by)
    try:
        yield
    finally:
        _requested_by.reset(token)


@dataclass(eq=False, slots=True)
class Charge:
    """What the supervisor holds for one kernel."""

    kernel_id: str
    manager: Manager
    turn: Turn
    seen: bool = True
    """Whether we see its processes; a gateway's and an external kernel's we do not."""
    follower: Follower | None = None
    restart_limit: int | None = None
    """The restarter's own limit, as configured."""
    retention: Any = None
    """The timer that removes a dead kernel."""


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
        self.mapping: Manager = None
        """The server's mapping kernel manager, once there is one."""
        self._reader = Reader()
        self._charges: dict[str, Charge] = {}
        self._loop = IOLoop.current()
        self._stopping = False

    # -- kernels come --------------------------------------------------------------------

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

    def charge_of(self, manager: Manager) -> Charge | None:
        """Return what is held for a kernel's manager."""
        return self._charges.get(manager.kernel_status_id or "")

    def charge(self, kernel_id: str) -> Charge | None:
        """Return what is held for a kernel."""
        return self._charges.get(kernel_id)

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
        with contextlib.suppress(ValueError):
            state = ExecutionState(word)
            self._feed(kernel_id, Reported, execution_state=state)

    # -- processes come ------------------------------------------------------------------

    def launched(self, manager: Manager) -> None:
        """Follow the process that a manager has launched."""
        if IOLoop.current(instance=False) is not self._loop:
            # jupyter_core's run_sync runs the coroutines of a blocking manager in another thread.
            self._loop.add_callback(self.launched, manager)
            return
        charge = self.charge_of(manager) or self.take_charge(
            manager, manager.kernel_status_id, manager.kernel_name
        )
        self._stop_following(charge)
        pid = getattr(manager.provisioner, "pid", None)
        kernel = self._feed(charge.kernel_id, ProcessStarted, pid=pid)
        if kernel is not None:
            charge.follower = Follower(
                self.tracker,
                kernel,
                self._wire(manager),
                reader=self._reader,
                start_timeout=self.settings.start_timeout,
                on_exit=lambda generation, ended: self._exited(charge, generation, ended),
                log=self.log,
            )

    def _wire(self, manager: Manager) -> Wire:
        process = getattr(manager.provisioner, "process", None)
        mapping = manager.parent

        def on_activity() -> None:
            # jupyter_server 2.21, MappingKernelManager.start_watching_activity
            mapping.last_kernel_activity = manager.last_activity = self.tracker.now()

        return Wire(
            connect=lambda channel: connect(manager, channel),
            session=manager.session.clone(),
            process=process if isinstance(process, subprocess.Popen) else None,
            poll=manager.provisioner.poll,
            tracked=mapping.track_message_type,
            on_activity=on_activity,
        )

    def launch_failed(self, manager: Manager, error: BaseException) -> None:
        """Tell that no process came."""
        charge = self.charge_of(manager)
        kernel = self.tracker.get(charge.kernel_id) if charge else None
        if charge is None or kernel is None or kernel.process is not None:
            return
        cause, reason = failures.explain(manager, error)
        self._feed(charge.kernel_id, LaunchFailed, cause=cause, reason=reason)

    # -- ends are asked for --------------------------------------------------------------

    def restart_requested(self, kernel_id: str) -> None:
        """Record that somebody asked for a restart."""
        self._feed(kernel_id, RestartRequested)

    def shutdown_requested(self, kernel_id: str) -> None:
        """Record that somebody asked for the end, and who."""
        by = RequestedBy.SERVER_STOP if self._stopping else _requested_by.get()
        self._feed(kernel_id, ShutdownRequested, by=by)

    def shutdown_completed(self, kernel_id: str) -> None:
        """Record that Jupyter is done with ending a kernel."""
        self.look(kernel_id)
        self._feed(kernel_id, ShutdownCompleted)

    def look(self, kernel_id: str) -> None:
        """Look at once whether a kernel's process has ended."""
        charge = self._charges.get(kernel_id)
        if charge is not None and charge.follower is not None:
            charge.follower.look()

    # -- processes end -------------------------------------------------------------------

    def _exited(self, charge: Charge, generation: int, ended: Exit) -> None:
        restarts = self._restarter_will_act(charge)
        event = ProcessExited(generation, self.tracker.now(), ended, restarts)
        kernel = self.tracker.feed(charge.kernel_id, event)
        if kernel is not None and kernel.status is Status.AUTORESTARTING:
            self._hasten(charge)

    def _restarter_will_act(self, charge: Charge) -> bool:
        manager = charge.manager
        if not manager.autorestart or not manager.has_trait("restarter_class"):
            return False
        return self._limit(charge) > 0

    def _limit(self, charge: Charge) -> int:
        kernel = self.tracker.get(charge.kernel_id)
        if kernel is None or not kernel.proven:
            return self.settings.start_retries
        if charge.restart_limit is None:
            return int(charge.manager.restarter_class.restart_limit.default_value)
        return charge.restart_limit

    def _hasten(self, charge: Charge) -> None:
        # jupyter_client 8.10, AsyncIOLoopKernelRestarter.poll: look now, not in up to 3 s.
        restarter = charge.manager._restarter
        if not self.settings.fast_restart or restarter is None or charge.manager.shutting_down:
            return
        self._spawn(charge, ensure_async(restarter.poll()), "restarting it")

    def restarter_started(self, manager: Manager) -> None:
        """Set the restarter up for this kernel; called whenever Jupyter starts it."""
        charge, restarter = self.charge_of(manager), manager._restarter
        if charge is None or restarter is None:
            return
        if charge.restart_limit is None:
            charge.restart_limit = restarter.restart_limit
            restarter.add_callback(lambda: self._restarter_began(charge), "restart")
            restarter.add_callback(lambda: self._restarter_gave_up(charge), "dead")
        restarter.restart_limit = self._limit(charge)
        kernel = self.tracker.get(charge.kernel_id)
        if kernel is not None and kernel.status is Status.DEAD:
            manager.stop_restarter()
        elif kernel is not None and kernel.status is Status.AUTORESTARTING and not kernel.process:
            self._hasten(charge)

    def _restarter_began(self, charge: Charge) -> None:
        restarter_acts.set(True)
        self.look(charge.kernel_id)
        self._feed(charge.kernel_id, AutorestartBegan)

    def _restarter_gave_up(self, charge: Charge) -> None:
        self.look(charge.kernel_id)
        self._feed(charge.kernel_id, RestarterGaveUp, deaths=self._limit(charge))

    # -- what follows from a change ------------------------------------------------------

    def _changed(self, change: Change) -> None:
        before, after = change.before, change.after
        charge = self._charges.get(after.id) if after else None
        if charge is None or before is None or after is None:
            return
        if after.proven and not before.proven and charge.manager._restarter is not None:
            charge.manager._restarter.restart_limit = self._limit(charge)
        if after.status is Status.DEAD and before.status is not Status.DEAD:
            self._died(charge, by_itself=before.status is not Status.TERMINATING)
        if before.status is Status.DEAD and after.status is not Status.DEAD:
            self._revived(charge)

    def _died(self, charge: Charge, *, by_itself: bool) -> None:
        self._stop_following(charge)
        if not by_itself:
            return
        self.log.warning("Kernel %s is dead: %s", charge.kernel_id, self._reason(charge.kernel_id))
        manager = charge.manager
        manager.stop_restarter()
        self._count(charge, -1)
        self._spawn(charge, self._clean_up(charge), "cleaning up after its death")
        retention = self.settings.dead_kernel_retention
        if retention > 0:
            charge.retention = self._loop.call_later(retention, self._let_go, charge)
        self._keep_within_bounds()

    def _revived(self, charge: Charge) -> None:
        self._count(charge, +1)
        self._cancel_retention(charge)

    def _count(self, charge: Charge, change: int) -> None:
        # jupyter_server 2.21 counts in MappingKernelManager.start_kernel and shutdown_kernel.
        if self.mapping is not None and charge.kernel_id in self.mapping:
            name = charge.manager.kernel_name
            KERNEL_CURRENTLY_RUNNING_TOTAL.labels(type=name).inc(change)

    async def _clean_up(self, charge: Charge) -> None:
        """Give back what a dead process held; the ports stay for its restart."""
        manager = charge.manager
        async with charge.turn.taken():
            kernel = self.tracker.get(charge.kernel_id)
            if kernel is None or kernel.status is not Status.DEAD:
                return
            if manager.has_kernel and not await ensure_async(manager.is_alive()):
                await manager.provisioner.wait()
            await ensure_async(manager.cleanup_resources(restart=True))
            manager.cleanup_connection_file()
            if charge.kernel_id in self.mapping:
                self.mapping.stop_watching_activity(charge.kernel_id)

    def _keep_within_bounds(self) -> None:
        dead = [each for each in self.tracker if each.status is Status.DEAD]
        dead.sort(key=lambda kernel: kernel.revision)
        for kernel in dead[: max(0, len(dead) - self.settings.max_dead_kernels)]:
            charge = self._charges.get(kernel.id)
            if charge is not None:
                self._let_go(charge)

    def _let_go(self, charge: Charge) -> None:
        self._cancel_retention(charge)
        if charge.kernel_id in self.mapping:
            work = ensure_async(self.mapping.shutdown_kernel(charge.kernel_id))
            self._spawn(charge, work, "removing it, dead for long")

    def forget(self, kernel_id: str) -> None:
        """Let a kernel go that its manager does not have any more."""
        charge = self._charges.pop(kernel_id, None)
        if charge is not None:
            self._stop_following(charge)
            self._cancel_retention(charge)
        self.tracker.remove(kernel_id)

    def forget_others(self, known: set[str]) -> None:
        """Let those go that were removed behind our back (gateway, external kernels)."""
        for kernel in self.tracker:
            if kernel.id not in known and kernel.status is not Status.STARTING:
                self.forget(kernel.id)

    # -- the server ends -----------------------------------------------------------------

    def stopping(self) -> None:
        """Record that from now on it is the server's end that ends kernels."""
        self._stopping = True
        for charge in self._charges.values():
            self._cancel_retention(charge)

    def dead_ids(self) -> set[str]:
        """Return the ids of all dead kernels."""
        return {each.id for each in self.tracker if each.status is Status.DEAD}

    def being_launched(self) -> list[Charge]:
        """Return the kernels that were asked for and are not in the manager's list yet."""
        return [each for each in self._charges.values() if each.kernel_id not in self.mapping]

    # -- helpers -------------------------------------------------------------------------

    def _feed(self, kernel_id: str, kind: type[Event], **facts: Any) -> Kernel | None:
        kernel = self.tracker.get(kernel_id)
        if kernel is None:
            return None
        of_next = kind in (ProcessStarted, LaunchFailed)
        generation = kernel.next_generation if of_next else kernel.generation
        return self.tracker.feed(kernel_id, kind(generation, self.tracker.now(), **facts))

    def _reason(self, kernel_id: str) -> str:
        kernel = self.tracker.get(kernel_id)
        return kernel.reason if kernel else ""

    def _stop_following(self, charge: Charge) -> None:
        if charge.follower is not None:
            charge.follower.close()
            charge.follower = None

    def _cancel_retention(self, charge: Charge) -> None:
        if charge.retention is not None:
            self._loop.remove_timeout(charge.retention)
            charge.retention = None

    def _spawn(self, charge: Charge, work: Coroutine[Any, Any, Any], what: str) -> None:
        spawn(work, f"Kernel {charge.kernel_id}: {what}", self.log)
