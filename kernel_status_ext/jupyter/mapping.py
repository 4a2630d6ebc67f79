"""The mixin over the server's manager of all kernels: it reports who comes and goes.

It is laid over whatever class is configured, so that nobody's class is lost. Each override names
the upstream method and the version it was read in; ``super()`` is always the configured class.
What is our own has mangled names (``__bury``): they cannot hide a method of the configured class.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from jupyter_core.utils import ensure_async
from tornado import web

from ..core.model import Kernel
from ..core.requests import has_nothing_to_interrupt
from ..core.targets import Wish
from ..core.words import RequestedBy, Status
from ..tracking.tasks import done, uncancelled
from . import failures
from .charge import Charge, on_behalf_of
from .gateway import raise_in_gateway_words
from .kernel import tracked
from .layers import laid_over
from .models import ToldModels
from .server_end import EndOfServer
from .supervisor import Supervisor

if TYPE_CHECKING:
    # For the type checker the mixins have no base: what they call on super() is dynamic.
    Base = Any
else:
    Base = object

STOPPING = "The server stops and starts no kernel."

_born: ContextVar[list[Charge] | None] = ContextVar("kernel_status_born", default=None)


@contextmanager
def _births() -> Iterator[list[Charge]]:
    """Collect the kernels that ``pre_start_kernel`` makes inside."""
    born: list[Charge] = []
    token = _born.set(born)
    try:
        yield born
    finally:
        _born.reset(token)


class TrackedMappingKernelManager(ToldModels, EndOfServer):
    """Over the server's manager of all kernels."""

    kernel_status: Supervisor

    # -- kernels come ----------------------------------------------------------------------

    def _create_kernel_manager_factory(self) -> Callable[..., Any]:
        # jupyter_client 8.10, MultiKernelManager._create_kernel_manager_factory
        factory = super()._create_kernel_manager_factory()

        @functools.wraps(factory)
        def create(*args: Any, **kwargs: Any) -> Any:
            return tracked(factory(*args, **kwargs), self.kernel_status)

        return create

    def pre_start_kernel(self, kernel_name: str | None, kwargs: Any) -> tuple[Any, str, str]:
        """Begin to track the kernel that is asked for."""
        # jupyter_client 8.10, MultiKernelManager.pre_start_kernel
        if self.kernel_status.is_stopping:
            raise web.HTTPError(503, STOPPING)
        manager, name, kernel_id = super().pre_start_kernel(kernel_name, kwargs)
        manager.kernel_status_own_id = kernel_id
        # Jupyter sets it after the start; until then the model could not be made.
        manager.last_activity = self.kernel_status.tracker.now()
        charge = self.kernel_status.take_charge(manager, kernel_id, name)
        born = _born.get()
        if born is not None:
            born.append(charge)
            charge.started.clear()
        return manager, name, kernel_id

    async def start_kernel(self, *args: Any, **kwargs: Any) -> str:
        """Start; a launch that fails says why, and leaves nothing behind."""
        # jupyter_server 2.21, MappingKernelManager.start_kernel
        await self.__start_over(kwargs.get("kernel_id") or "")
        with _births() as born:
            try:
                kernel_id: str = await ensure_async(super().start_kernel(*args, **kwargs))
            except asyncio.CancelledError:
                if not self.kernel_status.is_stopping:
                    raise
                raise web.HTTPError(503, STOPPING) from None
            except Exception as error:
                # A boundary: whatever a launch raises is answered with its cause.
                if not born:
                    raise_in_gateway_words(error)
                    raise
                self.log.debug("A kernel could not be started", exc_info=True)
                for charge in born:
                    self.kernel_status.kill(charge.kernel_id)
                    self.__drop(charge.kernel_id)
                raise failures.as_http(born[0].manager, error) from error
            finally:
                # Until now a restart would have replaced the future that upstream looks at.
                for charge in born:
                    charge.started.set()
        for charge in born:
            self.kernel_status.afterlife.counted(charge)
        self.kernel_status.meet(self._kernels[kernel_id], kernel_id)
        return kernel_id

    # -- kernels are asked for something -----------------------------------------------------

    async def restart_kernel(self, kernel_id: str, *args: Any, **kwargs: Any) -> Any:
        """Restart a kernel in any status; a dead one is started again."""
        # jupyter_server 2.21, MappingKernelManager.restart_kernel(kernel_id, now=False)
        self._check_kernel_id(kernel_id)
        return await uncancelled(self.__restart(kernel_id, *args, **kwargs))

    async def __restart(self, kernel_id: str, *args: Any, **kwargs: Any) -> Any:
        charge = self.kernel_status.charge(kernel_id)
        if charge is None or not self.kernel_status.sees(kernel_id):
            return await self.__restart_elsewhere(kernel_id, *args, **kwargs)
        self.__check_to_stay(charge)
        self.kernel_status.look(kernel_id)
        if charge.manager.status == Status.DEAD:
            # There is nobody to be asked politely (and no provisioner if it never came).
            args, kwargs = (), {"now": True}
        self.kernel_status.restart_requested(kernel_id)
        async with charge.turn.taken():
            self.__check_to_stay(charge)
            _give_up_waiting(charge.manager)
            # _finish_kernel_start sets them, but not after a pending launch that failed.
            self._kernel_ports.setdefault(kernel_id, list(charge.manager.ports))
            try:
                answer = await ensure_async(super().restart_kernel(kernel_id, *args, **kwargs))
            except Exception as error:
                # What fails because the kernel was removed meanwhile is no launch that failed.
                self.__check_to_stay(charge)
                # A boundary: whatever a launch raises is answered with its cause.
                raise failures.as_http(charge.manager, error) from error
        _take_exception(answer)
        return answer

    def __check_to_stay(self, charge: Charge) -> None:
        """Refuse to start what is removed, or was while this waited for its turn."""
        if self.kernel_status.is_stopping:
            raise web.HTTPError(503, STOPPING)
        if not self.kernel_status.may_start(charge):
            raise web.HTTPError(404, "Kernel does not exist: %s", charge.kernel_id)

    async def __restart_elsewhere(self, kernel_id: str, *args: Any, **kwargs: Any) -> Any:
        remotes = self.kernel_status.remotes
        if kernel_id in remotes:
            self.kernel_status.restart_requested(kernel_id)
        with remotes.asked(kernel_id, to_restart=True):
            answer = await ensure_async(super().restart_kernel(kernel_id, *args, **kwargs))
        remotes.begin_again(kernel_id)
        return answer

    def interrupt_kernel(self, kernel_id: str, *args: Any, **kwargs: Any) -> Any:
        """Interrupt a kernel; one that has not answered has nothing to interrupt."""
        # jupyter_client 8.10, MultiKernelManager.interrupt_kernel; async in the gateway's
        if kernel_id in self.kernel_status.remotes:
            return self.__interrupt_elsewhere(kernel_id, *args, **kwargs)
        kernel = self.kernel_status.tracker.get(kernel_id)
        if kernel is not None and has_nothing_to_interrupt(kernel):
            # Upstream would send the signal, which ends a process that does not handle it yet.
            return done()
        return super().interrupt_kernel(kernel_id, *args, **kwargs)

    async def __interrupt_elsewhere(self, kernel_id: str, *args: Any, **kwargs: Any) -> Any:
        with self.kernel_status.remotes.asked(kernel_id):
            return await ensure_async(super().interrupt_kernel(kernel_id, *args, **kwargs))

    async def shutdown_kernel(self, kernel_id: str, *args: Any, **kwargs: Any) -> Any:
        """Shut a kernel down in any status; a dead one is removed."""
        # jupyter_server 2.21, MappingKernelManager.shutdown_kernel(kernel_id, now, restart)
        self._check_kernel_id(kernel_id)
        return await uncancelled(self.__end(kernel_id, *args, **kwargs))

    async def __end(self, kernel_id: str, *args: Any, **kwargs: Any) -> Any:
        charge = self.kernel_status.charge(kernel_id)
        if charge is None or not self.kernel_status.sees(kernel_id):
            return await self.__end_elsewhere(kernel_id, *args, **kwargs)
        if charge.to_remove:
            return await self.__gone(charge)
        charge.to_remove = True
        self.kernel_status.shutdown_requested(kernel_id)
        await self.__start_over(kernel_id)
        # In its turn: the upstream method reads `ready`, which a restart has replaced meanwhile.
        async with charge.turn.taken():
            if kernel_id in self.kernel_status.afterlife.dead_ids():
                # Also one whose restart failed while this waited: upstream would leave its files.
                return await self.__bury(kernel_id)
            # Upstream counts it down, whatever it was counted before.
            self.kernel_status.afterlife.count(charge, running=True)
            charge.counted = None
            return await ensure_async(super().shutdown_kernel(kernel_id, *args, **kwargs))

    async def __end_elsewhere(self, kernel_id: str, *args: Any, **kwargs: Any) -> Any:
        kernel = self.kernel_status.tracker.get(kernel_id)
        if kernel is not None and kernel.status is Status.DEAD:
            return await self.__bury(kernel_id)
        if kernel is not None and kernel.status is Status.TERMINATING:
            return None
        with self.kernel_status.remotes.asked(kernel_id):
            return await ensure_async(super().shutdown_kernel(kernel_id, *args, **kwargs))

    async def _remove_kernel_when_ready(self, kernel_id: str, kernel_awaitable: Any) -> None:
        # jupyter_server 2.21, MappingKernelManager._remove_kernel_when_ready(kernel_id, awaitable)
        charge = self.kernel_status.charge(kernel_id)
        await super()._remove_kernel_when_ready(kernel_id, kernel_awaitable)
        if charge is not None:
            # It stays if it could not be shut down.
            charge.to_remove = kernel_id not in self

    async def __start_over(self, kernel_id: str) -> None:
        """Wait until the start of this id, if there is one under way, is over."""
        pending = self._pending_kernels.get(kernel_id)
        if pending is not None and not pending.done():
            await asyncio.wait([pending])

    async def __bury(self, kernel_id: str) -> None:
        manager = self._kernels[kernel_id]
        try:
            await ensure_async(manager.shutdown_kernel(now=True))
        finally:
            if kernel_id in self:
                self.__drop(kernel_id)

    async def __gone(self, charge: Charge) -> None:
        """Wait for somebody else's shutdown; with pending kernels only the server's end does."""
        if self.kernel_status.is_stopping or not self._using_pending_kernels():
            async with charge.turn.taken():
                return

    def __drop(self, kernel_id: str) -> None:
        # What MappingKernelManager.shutdown_kernel gives back, for one that it cannot shut down.
        self._pending_kernels.pop(kernel_id, None)
        self._kernel_connections.pop(kernel_id, None)
        self._kernel_ports.pop(kernel_id, None)
        if kernel_id in self:
            self.stop_buffering(kernel_id)
        self.remove_kernel(kernel_id)

    def remove_kernel(self, kernel_id: str) -> Any:
        """Let a kernel go, whoever asks for it."""
        # jupyter_client 8.10, MultiKernelManager.remove_kernel
        removed = super().remove_kernel(kernel_id)
        self.kernel_status.forget(kernel_id)
        return removed

    async def cull_kernel_if_idle(self, kernel_id: str) -> None:
        """Cull, but let the dead rest: they have their own retention."""
        # jupyter_server 2.21, MappingKernelManager.cull_kernel_if_idle
        if kernel_id in self and kernel_id not in self.kernel_status.afterlife.dead_ids():
            with on_behalf_of(RequestedBy.CULL):
                await super().cull_kernel_if_idle(kernel_id)

    # -- kernels die -------------------------------------------------------------------------

    def _handle_kernel_died(self, kernel_id: str) -> None:
        # jupyter_server 2.21, MappingKernelManager._handle_kernel_died removes it; here the dead
        # stay, with their reason, and the supervisor cleans up after them.
        self.log.debug("Kernel %s died and stays listed", kernel_id)

    def start_buffering(self, kernel_id: str, session_key: str, channels: Any) -> None:
        """Keep messages for a client that lost its connection, unless no more will come."""
        # jupyter_server 2.21, MappingKernelManager.start_buffering
        if kernel_id in self.kernel_status.afterlife.dead_ids():
            for stream in channels.values():
                if not stream.closed():
                    stream.on_recv(None)
                    stream.close()
            return
        super().start_buffering(kernel_id, session_key, channels)
        self.kernel_status.buffering_began(kernel_id)

    def start_watching_activity(self, kernel_id: str) -> None:
        """Leave it to the one reader of all iopubs, which keeps ``last_activity``."""
        # jupyter_server 2.21, MappingKernelManager.start_watching_activity
        kernel = self._kernels[kernel_id]
        kernel.last_activity = self.kernel_status.tracker.now()

    async def wait_for_state(
        self,
        kernel_id: str,
        *,
        status: Wish = None,
        execution_state: Wish = None,
        state: Wish = None,
        timeout: float | None = None,
        since: int | None = None,
    ) -> Kernel:
        """Wait until a kernel is in a state; see ``wait_for_state`` of its own manager.

        Args:
            kernel_id: The kernel.
            status: Any of these words (a comma list or several words); None for any.
            execution_state: The same for what its shells do.
            state: The same for the one word.
            timeout: Seconds at most; 0 looks once, None waits for ever.
            since: A revision: the states must come true in a later change.

        Returns:
            The kernel as it was when the state was reached.

        Raises:
            tornado.web.HTTPError: 404, no such kernel; and what its manager's call raises.
        """
        kernel: Kernel = await self.get_kernel(kernel_id).wait_for_state(
            status=status,
            execution_state=execution_state,
            state=state,
            timeout=timeout,
            since=since,
        )
        return kernel


def _give_up_waiting(manager: Any) -> None:
    """Close the socket by which upstream waits for a restart that another one overtakes."""
    # jupyter_server 2.21, MappingKernelManager.restart_kernel would keep it for a minute.
    finish = vars(manager).get("_pending_restart_cleanup")
    if finish is not None:
        finish()


def _take_exception(future: Any) -> None:
    """Have nobody told that a future's exception was never retrieved: the tracker tells it."""
    if hasattr(future, "add_done_callback"):
        future.add_done_callback(lambda done: done.cancelled() or done.exception())


def tracked_mapping_class(base: Any, supervisor: Supervisor) -> Any:
    """Lay the mixin over a mapping kernel manager class."""
    return laid_over(base, TrackedMappingKernelManager, {"kernel_status": supervisor})
