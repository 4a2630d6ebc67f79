"""The mixin over the manager of one kernel: it reports launches, restarts and shutdowns.

It is laid over whatever class is configured, so that nobody's class is lost. Each override names
the upstream method and the version it was read in; ``super()`` is always the configured class.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import ensure_async
from traitlets import Unicode

from ..core.errors import KernelNotOursError
from ..core.model import Kernel
from ..core.targets import Wish, read_target
from ..core.words import Status
from ..tracking.tasks import uncancelled
from .charge import Charge, Sight, restarter_acts
from .pollers import asked_by_jupyter
from .restarting import leave_held_ports, patient_restarter_class
from .supervisor import Supervisor
from .turns import Turn

if TYPE_CHECKING:
    # For the type checker the mixins have no base: what they call on super() is dynamic.
    Base = Any
else:
    Base = object


SOMEBODY_ELSES = (
    "Kernel {} was started by somebody else, so it cannot be restarted here: "
    "restart it where it was started."
)

HELD_PORTS = (
    "Kernel %s: something still listens on the ports of its last process, so the next one gets "
    "others; if that is the old kernel, end it"
)

REMOVED = (
    "Kernel {} is {}: it was removed, or its server stops, so it cannot be restarted: "
    "start another one."
)


class ToldByTracker(Unicode):
    """A trait of a kernel manager that Jupyter assigns, and that the tracker knows better.

    What Jupyter assigns is kept for kernels that we do not see (gateway); otherwise nobody
    reads it, so that there is no second truth.
    """

    def get(self, obj: Any, cls: Any = None) -> Any:
        """Return the tracker's word."""
        kernel: Kernel | None = obj.kernel_status.present(obj)
        if kernel is None:
            return super().get(obj, cls)
        return str(getattr(kernel, str(self.name)))


class TrackedKernelManager(Base):
    """Over the manager of one kernel: tells of launches, restarters, and the kernel's words."""

    kernel_status: Supervisor
    kernel_status_own_id: str | None = None
    restarter_class: Any

    @property
    def kernel_status_id(self) -> str | None:
        """The kernel's id, known before Jupyter sets it."""
        return self.kernel_status_own_id or self.kernel_id

    @property
    def status(self) -> str:
        """The life of the kernel's process (contract, section 1)."""
        kernel = self.kernel_status.tracker.get(self.kernel_status_id or "")
        return str(kernel.status if kernel else Status.UNKNOWN)

    async def wait_for_state(
        self,
        *,
        status: Wish = None,
        execution_state: Wish = None,
        state: Wish = None,
        timeout: float | None = None,
        since: int | None = None,
    ) -> Kernel:
        """Wait until this kernel is in a state.

        Args:
            status: Any of these words (a comma list or several words); None for any.
            execution_state: The same for what its shells do.
            state: The same for the one word.
            timeout: Seconds at most; 0 looks once, None waits for ever.
            since: A revision: the states must come true in a later change.

        Returns:
            The kernel as it was when the state was reached.

        Raises:
            ValueError: An unknown word or an impossible combination.
            KernelStateTimeout: The time is over.
            KernelStateUnreachable: It is dead, or was removed.
            RevisionUnknown: ``since`` is not known (any more).
            KeyError: The kernel was never started.
        """
        target = read_target(
            status=status, execution_state=execution_state, state=state, change=since is not None
        )
        kernel_id = self.kernel_status_id or ""
        return await self.kernel_status.tracker.wait(kernel_id, target, timeout, since)

    async def _async_pre_start_kernel(self, **kw: Any) -> Any:
        # jupyter_client 8.10, KernelManager._async_pre_start_kernel: chooses the ports; the process
        # before, if there was one, has been ended by now.
        if await leave_held_ports(self):
            self.kernel_status.log.warning(HELD_PORTS, self.kernel_status_id)
        return await super()._async_pre_start_kernel(**kw)

    async def _async_post_start_kernel(self, **kw: Any) -> None:
        # jupyter_client 8.10, KernelManager._async_post_start_kernel: opens a socket to control,
        # which is opened again when there is something to send: two descriptors per idle kernel.
        await super()._async_post_start_kernel(**kw)
        self._close_control_socket()

    async def _async_launch_kernel(self, kernel_cmd: list[str], **kw: Any) -> None:
        # jupyter_client 8.10, KernelManager._async_launch_kernel: "override in a subclass"; every
        # start, restart and autorestart comes through here.
        launch = self.kernel_status.launches.prepare(self, kernel_cmd, kw)
        try:
            await super()._async_launch_kernel(kernel_cmd, **kw)
        finally:
            if launch.pipe is not None:
                launch.pipe.handed_over()
        self.kernel_status.launched(self, launch)

    def _close_control_socket(self) -> None:
        # jupyter_client 8.10, KernelManager._close_control_socket: the process is gone by now, and
        # a socket that lingers would hand a shutdown_request that it never read to the next
        # process on the same port.
        if self._control_socket is not None:
            self._control_socket.linger = 0
        super()._close_control_socket()

    def start_restarter(self) -> None:
        """Let the restarter follow the contract's limits."""
        # jupyter_client 8.10, KernelManager.start_restarter
        if self._restarter is None and self.has_trait("restarter_class"):
            self.restarter_class = patient_restarter_class(self.restarter_class)
        super().start_restarter()
        charge = self.kernel_status.charge_of(self)
        if charge is not None:
            self.kernel_status.restarting.started(charge)

    def client(self, **kwargs: Any) -> Any:
        """Make a client; while its channels are open, a restart leaves it time to see a death."""
        # jupyter_client 8.10, KernelManager.client
        client = super().client(**kwargs)
        charge = self.kernel_status.charge_of(self)
        if charge is not None:
            charge.pollers.client_made(client)
        return client

    def is_alive(self) -> Any:
        """Tell whether the process is there; a restart leaves time to see to those who ask."""
        # jupyter_client 8.10, KernelManager.is_alive; async in AsyncKernelManager
        charge = self.kernel_status.charge_of(self)
        if charge is not None:
            charge.pollers.asked()
        return super().is_alive()


class TrackedAsyncKernelManager(TrackedKernelManager):
    """The same, and it reports what is asked for; Jupyter Server's managers are of this kind."""

    async def start_kernel(self, *args: Any, **kwargs: Any) -> Any:
        """Start, and tell why it failed."""
        # jupyter_client 8.10, AsyncKernelManager.start_kernel
        charge = self.kernel_status.charge_of(self)
        turn = charge.turn if charge else Turn()
        async with turn.taken():
            with self.__failures_told():
                answer = await ensure_async(super().start_kernel(*args, **kwargs))
        self.kernel_status.started(self)
        return answer

    async def restart_kernel(self, *args: Any, **kwargs: Any) -> Any:
        """Restart, in its turn."""
        # jupyter_client 8.10, AsyncKernelManager.restart_kernel; the restarter calls it, too
        return await uncancelled(self.__restart(*args, **kwargs))

    async def __restart(self, *args: Any, **kwargs: Any) -> Any:
        automatic = restarter_acts.get()
        charge = self.kernel_status.charge_of(self)
        if charge is not None and charge.sight is Sight.EXTERNAL:
            raise KernelNotOursError(SOMEBODY_ELSES.format(charge.kernel_id))
        if charge is None or charge.sight is not Sight.OWN:
            return await ensure_async(super().restart_kernel(*args, **kwargs))
        if automatic:
            await charge.started.wait()
        async with charge.turn.taken():
            if automatic and not await self.__needs_process(charge):
                return None
            if not automatic:
                self.__check_to_stay(charge)
                self.kernel_status.restart_requested(charge.kernel_id)
            with self.__failures_told():
                if automatic:
                    await self.kernel_status.restarting.before(charge)
                return await ensure_async(super().restart_kernel(*args, **kwargs))

    async def __needs_process(self, charge: Charge) -> bool:
        """Tell whether the restarter, now that it has its turn, still has something to do."""
        # It looked before its turn: since then somebody may have removed or restarted the kernel.
        if not self.kernel_status.may_start(charge) or self.status != Status.AUTORESTARTING:
            return False
        with asked_by_jupyter():
            return not await ensure_async(self.is_alive())

    def __check_to_stay(self, charge: Charge) -> None:
        if not self.kernel_status.may_start(charge):
            raise RuntimeError(REMOVED.format(charge.kernel_id, self.status))

    async def shutdown_kernel(self, *args: Any, **kwargs: Any) -> Any:
        """Shut down, in its turn."""
        # jupyter_client 8.10, AsyncKernelManager.shutdown_kernel(now=False, restart=False)
        return await uncancelled(self.__shut_down(*args, **kwargs))

    async def __shut_down(self, *args: Any, **kwargs: Any) -> Any:
        charge = self.kernel_status.charge_of(self)
        if charge is None or charge.sight is not Sight.OWN:
            return await ensure_async(super().shutdown_kernel(*args, **kwargs))
        for_restart = kwargs.get("restart", args[1] if len(args) > 1 else False)
        async with charge.turn.taken():
            if for_restart:
                self.kernel_status.restart_requested(charge.kernel_id)
                return await ensure_async(super().shutdown_kernel(*args, **kwargs))
            self.kernel_status.shutdown_requested(charge.kernel_id)
            try:
                return await ensure_async(super().shutdown_kernel(*args, **kwargs))
            finally:
                self.kernel_status.shutdown_completed(charge.kernel_id)

    @contextmanager
    def __failures_told(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            # A boundary: whatever a launch raises is told as the kernel's reason, and raised on.
            self.kernel_status.launch_failed(self, error)
            raise


@functools.cache
def _tracked_class(base: Any) -> Any:
    mixin = (
        TrackedAsyncKernelManager if issubclass(base, AsyncKernelManager) else TrackedKernelManager
    )
    members = {
        # jupyter_server 2.21, ServerKernelManager.execution_state and .reason; made here because
        # traitlets names only the traits in a HasTraits class's own namespace.
        "execution_state": ToldByTracker(None, allow_none=True),
        "reason": ToldByTracker(""),
        "__module__": base.__module__,
    }
    return type(base.__name__, (mixin, base), members)


def tracked(manager: Any, supervisor: Supervisor) -> Any:
    """Lay the mixin over one kernel's manager, whatever its class.

    Args:
        manager: What the configured factory made.
        supervisor: The server's.

    Returns:
        The same manager.
    """
    if not isinstance(manager, TrackedKernelManager):
        manager.__class__ = _tracked_class(manager.__class__)
    manager.kernel_status = supervisor
    return manager
