"""The only place that deals with Jupyter's restarter: its limit, its haste, what it tells."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from logging import Logger
from typing import TYPE_CHECKING, Any

from jupyter_client.connect import port_names
from jupyter_client.ioloop.restarter import AsyncIOLoopKernelRestarter
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from jupyter_core.utils import ensure_async

from ..core import last_words
from ..core.events import AutorestartBegan, RestarterGaveUp
from ..core.remains import Remains
from ..core.words import Cause, Status
from ..tracking.ports import any_is_held
from ..tracking.tasks import not_before, spawn
from ..tracking.tracker import Tracker
from .charge import Charge, Manager, Settings, restarter_acts
from .pollers import LOOK, asked_by_jupyter

if TYPE_CHECKING:
    # For the type checker the mixins have no base: what they call on super() is dynamic.
    Base = Any
else:
    Base = object


def names_address(remains: Remains) -> bool:
    """Tell whether a process says that an address was in use."""
    words = last_words.of_a_start(remains.stderr)
    return words is not None and words.cause is Cause.ADDRESS_IN_USE


async def forget_ports(manager: Manager) -> None:
    """Have a kernel's next process get other ports than the last one."""
    # jupyter_client 8.10: restart_kernel(newports=True) says so and keeps them, because
    # LocalProvisioner.pre_launch takes no new ones while ports_cached is set.
    if isinstance(manager.provisioner, LocalProvisioner) and manager.provisioner.ports_cached:
        await manager.provisioner.cleanup(restart=False)
        manager.provisioner.ports_cached = False
        manager.cleanup_connection_file()
    else:
        manager.cleanup_random_ports()


async def leave_held_ports(manager: Manager) -> bool:
    """Have a kernel's next process get other ports where somebody listens on those of the last one.

    A process in a session of its own outlives the one that we end, keeps its ports, and would
    answer in place of the next one.

    Returns:
        Whether it gets others.
    """
    if manager.transport != "tcp" or not isinstance(manager.provisioner, LocalProvisioner):
        return False
    # jupyter_client 8.10, ConnectionFileMixin.ip: these stand for every address.
    ip = "127.0.0.1" if manager.ip in ("", "*", "0.0.0.0") else manager.ip  # noqa: S104
    if not await any_is_held(ip, (getattr(manager, name) for name in port_names)):
        return False
    await forget_ports(manager)
    return True


class PatientRestarter(Base):
    """Over Jupyter's restarter: whoever polls the kernel sees its death before its restart."""

    __waits = False

    async def poll(self) -> None:
        """Look, and restart a kernel that has died."""
        # jupyter_client 8.10, AsyncIOLoopKernelRestarter.poll
        manager = self.kernel_manager
        charge = manager.kernel_status.charge_of(manager)
        if self.__waits or charge is None:
            # It was seen dead already, or it was removed.
            return
        with asked_by_jupyter():
            if charge.pollers and not await ensure_async(manager.is_alive()):
                await self.__let_see()
            if manager.kernel_status.may_start(charge):
                await super().poll()

    async def __let_see(self) -> None:
        self.__waits = True
        try:
            await not_before(time.monotonic() + LOOK)
        finally:
            self.__waits = False


@functools.cache
def patient_restarter_class(base: Any) -> Any:
    """Lay the mixin over a restarter class; one that blocks, or has it, stays as it is."""
    if not issubclass(base, AsyncIOLoopKernelRestarter) or issubclass(base, PatientRestarter):
        return base
    members = {"__module__": base.__module__}
    return type(base.__name__, (PatientRestarter, base), members)


class Restarting:
    """Has Jupyter's restarters act at once, and not before a kernel ever answered."""

    def __init__(
        self, tracker: Tracker, settings: Settings, look: Callable[[str], None], log: Logger
    ) -> None:
        """Begin.

        Args:
            tracker: Knows and gets to know.
            settings: The administrator's.
            look: Looks at once whether a kernel's process has ended.
            log: The server's log.
        """
        self._tracker = tracker
        self._settings = settings
        self._look = look
        self._log = log

    def will_act(self, charge: Charge, remains: Remains) -> bool:
        """Tell whether a restarter acts on the death of a kernel's process.

        Args:
            charge: The kernel.
            remains: What was found of its process.
        """
        manager = charge.manager
        if not manager.autorestart or not manager.has_trait("restarter_class"):
            return False
        kernel = self._tracker.get(charge.kernel_id)
        charge.to_move = kernel is not None and not kernel.answered and names_address(remains)
        charge.moves += charge.to_move
        self.set_limit(charge)
        return self._limit(charge) > 0

    def _limit(self, charge: Charge) -> int:
        kernel = self._tracker.get(charge.kernel_id)
        if kernel is None or not kernel.proven or charge.restart_limit is None:
            # Another address is worth one more start, whatever is configured.
            return max(self._settings.start_retries, int(charge.to_move and charge.moves == 1))
        return charge.restart_limit

    async def before(self, charge: Charge) -> None:
        """Give a kernel other ports if it could not have its own; called before its restart."""
        if charge.to_move:
            charge.to_move = False
            await forget_ports(charge.manager)

    def set_limit(self, charge: Charge) -> None:
        """Let the restarter have the limit that holds now."""
        # jupyter_client 8.10, KernelRestarter.restart_limit
        if charge.manager._restarter is not None:
            charge.manager._restarter.restart_limit = self._limit(charge)

    def hasten(self, charge: Charge) -> None:
        """Have the restarter look now, not in up to 3 s."""
        # jupyter_client 8.10, AsyncIOLoopKernelRestarter.poll
        restarter = charge.manager._restarter
        if self._settings.fast_restart and restarter and not charge.manager.shutting_down:
            what = f"Kernel {charge.kernel_id}: restarting it"
            spawn(ensure_async(restarter.poll()), what, self._log)

    def started(self, charge: Charge) -> None:
        """Set up the restarter of a kernel; called whenever Jupyter starts it."""
        # jupyter_client 8.10, KernelManager.start_restarter
        restarter = charge.manager._restarter
        if restarter is None:
            return
        if charge.restart_limit is None:
            charge.restart_limit = restarter.restart_limit
            restarter.add_callback(lambda: self._began(charge), "restart")
            restarter.add_callback(lambda: self._gave_up(charge), "dead")
        self.set_limit(charge)
        kernel = self._tracker.get(charge.kernel_id)
        if kernel is not None and kernel.status is Status.DEAD:
            charge.manager.stop_restarter()
        elif kernel is not None and kernel.status is Status.AUTORESTARTING and not kernel.process:
            self.hasten(charge)

    def _began(self, charge: Charge) -> None:
        restarter_acts.set(True)
        self._look(charge.kernel_id)
        kernel = self._tracker.get(charge.kernel_id)
        if kernel is not None:
            event = AutorestartBegan(kernel.generation, self._tracker.now())
            self._tracker.feed(kernel.id, event)

    def _gave_up(self, charge: Charge) -> None:
        self._look(charge.kernel_id)
        kernel = self._tracker.get(charge.kernel_id)
        if kernel is not None:
            limit = self._limit(charge)
            event = RestarterGaveUp(kernel.generation, self._tracker.now(), limit)
            self._tracker.feed(kernel.id, event)
