"""What happens to a kernel after its death: it is cleaned up, kept for a while, and let go."""

from __future__ import annotations

from logging import Logger

from jupyter_core.utils import ensure_async
from jupyter_server.prometheus.metrics import KERNEL_CURRENTLY_RUNNING_TOTAL
from tornado.ioloop import IOLoop

from ..core.words import Status
from ..tracking.tasks import spawn
from ..tracking.tracker import Tracker
from .charge import Charge, Manager, Settings
from .pollers import asked_by_jupyter


class Afterlife:
    """Keeps the dead, within bounds, and what they held for nobody."""

    def __init__(self, tracker: Tracker, settings: Settings, log: Logger) -> None:
        """Begin.

        Args:
            tracker: Knows who is dead.
            settings: The administrator's.
            log: The server's log.
        """
        self.mapping: Manager = None
        """The server's manager of all kernels, once there is one."""
        self._tracker = tracker
        self._settings = settings
        self._log = log
        self._loop = IOLoop.current()

    def dead_ids(self) -> set[str]:
        """Return the ids of all dead kernels."""
        return {each.id for each in self._tracker if each.status is Status.DEAD}

    def died(self, charge: Charge) -> None:
        """Take in a kernel that died by itself."""
        charge.manager.stop_restarter()
        self.count(charge, running=False)
        what = f"Kernel {charge.kernel_id}: cleaning up after its death"
        spawn(self._clean_up(charge), what, self._log)
        retention = self._settings.dead_kernel_retention
        if retention > 0:
            charge.retention = self._loop.call_later(retention, self._let_go, charge)

    def revived(self, charge: Charge) -> None:
        """Give a kernel back that is started again."""
        self.count(charge, running=True)
        self.keep(charge)

    def keep(self, charge: Charge) -> None:
        """Let time not remove it any more."""
        if charge.retention is not None:
            self._loop.remove_timeout(charge.retention)
            charge.retention = None

    def beyond_bounds(self) -> list[str]:
        """Return the ids of the dead that are too many, those that died first."""
        dead = [each for each in self._tracker if each.status is Status.DEAD]
        dead.sort(key=lambda kernel: kernel.revision)
        return [each.id for each in dead[: max(0, len(dead) - self._settings.max_dead_kernels)]]

    def let_go(self, charge: Charge) -> None:
        """Remove a dead kernel for good."""
        self.keep(charge)
        self._let_go(charge)

    def _let_go(self, charge: Charge) -> None:
        if charge.kernel_id in self.mapping:
            what = f"Kernel {charge.kernel_id}: removing it, dead for long"
            spawn(self._remove(charge), what, self._log)

    async def _remove(self, charge: Charge) -> None:
        """Remove a kernel if it is there and dead when its turn comes."""
        async with charge.turn.taken():
            if charge.kernel_id in self.dead_ids() and charge.kernel_id in self.mapping:
                await ensure_async(self.mapping.shutdown_kernel(charge.kernel_id))

    def counted(self, charge: Charge) -> None:
        """Note that core has counted the start of a kernel, which may be dead already."""
        charge.counted = True
        self.count(charge, running=charge.kernel_id not in self.dead_ids())

    def count(self, charge: Charge, *, running: bool) -> None:
        """Have core's gauge count a kernel, or not, and never twice."""
        # jupyter_server 2.21 counts in MappingKernelManager.start_kernel and shutdown_kernel.
        if charge.counted is not None and charge.counted is not running:
            charge.counted = running
            name = charge.manager.kernel_name
            KERNEL_CURRENTLY_RUNNING_TOTAL.labels(type=name).inc(1 if running else -1)

    async def _clean_up(self, charge: Charge) -> None:
        """Give back what a dead process held; the ports stay for its restart."""
        manager = charge.manager
        async with charge.turn.taken():
            if charge.kernel_id not in self.dead_ids():
                return
            with asked_by_jupyter():
                is_gone = manager.has_kernel and not await ensure_async(manager.is_alive())
            if is_gone:
                await manager.provisioner.wait()
            await ensure_async(manager.cleanup_resources(restart=True))
            manager.cleanup_connection_file()
            if charge.kernel_id in self.mapping:
                self.mapping.stop_watching_activity(charge.kernel_id)
                self.mapping.stop_buffering(charge.kernel_id)
