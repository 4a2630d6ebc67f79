"""The part of the mixin over all kernels that ends them with their server, whatever they do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from jupyter_core.utils import ensure_async

from ..core.words import RequestedBy
from ..tracking.tasks import apart
from .charge import Charge, on_behalf_of
from .supervisor import Supervisor

if TYPE_CHECKING:
    # For the type checker the mixins have no base: what they call on super() is dynamic.
    Base = Any
else:
    Base = object

GRACE = 2.0
"""Seconds beyond what Jupyter itself may take to end a kernel, when the server stops."""


class EndOfServer(Base):
    """Shuts down all kernels: those that live, that are dead, that are just being launched."""

    kernel_status: Supervisor

    async def shutdown_all(self, *args: Any, **kwargs: Any) -> None:
        """Shut all kernels down, also those that are being launched or cannot be."""
        # jupyter_client 8.10, MultiKernelManager.shutdown_all(now=False): raises 404 for an id
        # that is pending and not listed, and then the server would not stop.
        # Apart: a signal is handled in the context of whatever runs just then, a restart maybe.
        await apart(self.__shut_all_down(*args, **kwargs))

    async def __shut_all_down(self, *args: Any, **kwargs: Any) -> None:
        with on_behalf_of(RequestedBy.SERVER_STOP):
            for charge in self.kernel_status.being_launched():
                await self.__try(self.__abandon(charge))
            await self.__shut_down(*self._kernels, **kwargs)
            await self.__try(ensure_async(super().shutdown_all(*args, **kwargs)))
            await self.__try(self.__tell_ended())

    async def __try(self, work: Awaitable[None]) -> None:
        try:
            await work
        except (Exception, asyncio.CancelledError):
            # A boundary: the server stops, whatever a provisioner thinks of it.
            self.log.exception("Not all kernels could be shut down")

    async def __tell_ended(self) -> None:
        self.kernel_status.ended()

    async def __shut_down(self, *kernel_ids: str, now: bool = False) -> None:
        """Shut kernels down side by side, each in its turn; upstream would not wait for that."""
        remotes = self.kernel_status.remotes
        seen = [each for each in kernel_ids if self.kernel_status.sees(each) or each in remotes]
        work = (self.__shut_down_in_time(each, now=now) for each in seen)
        for kernel_id, told in zip(
            seen, await asyncio.gather(*work, return_exceptions=True), strict=True
        ):
            # One that went meanwhile, a dead one that time removed, is unknown: that is no fault.
            if isinstance(told, BaseException) and kernel_id in self:
                self.log.error("Kernel %s could not be shut down", kernel_id, exc_info=told)
                self.kernel_status.kill(kernel_id)

    async def __shut_down_in_time(self, kernel_id: str, *, now: bool) -> None:
        """Shut a kernel down, or leave it to its own end: the server's must not wait for ever."""
        manager = self._kernels[kernel_id]
        is_elsewhere = kernel_id in self.kernel_status.remotes
        limit = 2 * manager.shutdown_wait_time + GRACE
        try:
            await asyncio.wait_for(self.__shut_one_down(kernel_id, now=now), limit)
        except asyncio.TimeoutError:
            fate = "left where it runs" if is_elsewhere else "killed"
            self.log.error(  # noqa: TRY400  the traceback would be our own patience's
                "Kernel %s could not be shut down within %g s; it is %s", kernel_id, limit, fate
            )
            self.kernel_status.kill(kernel_id)
            self._pending_kernels.pop(kernel_id, None)
            self.remove_kernel(kernel_id)

    async def __shut_one_down(self, kernel_id: str, *, now: bool) -> None:
        await self.shutdown_kernel(kernel_id, now=now)
        # jupyter_client 8.10, MultiKernelManager: with pending kernels it goes on there.
        pending = self._pending_kernels.get(kernel_id)
        if pending is not None and not pending.done():
            await asyncio.wait([pending])

    async def __abandon(self, charge: Charge) -> None:
        """End a launch that has not come to its end."""
        task = self._pending_kernels.pop(charge.kernel_id, None)
        if task is not None:
            task.cancel()
        self.kernel_status.shutdown_requested(charge.kernel_id)
        try:
            if charge.manager.has_kernel:
                await ensure_async(charge.manager.shutdown_kernel(now=True))
        finally:
            self.kernel_status.kill(charge.kernel_id)
            self.kernel_status.forget(charge.kernel_id)
