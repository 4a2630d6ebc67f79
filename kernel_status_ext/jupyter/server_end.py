"""The part of the mixin over all kernels that ends them with their server, whatever they do."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from jupyter_core.utils import ensure_async

from ..core.words import RequestedBy
from ..tracking.tasks import apart
from .charge import on_behalf_of
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
            await self.__abandon_launches()
            for kernel_id in self.kernel_status.afterlife.dead_ids() & set(self._kernels):
                await self.shutdown_kernel(kernel_id)
            await self.__shut_down(*self._kernels, **kwargs)
            try:
                await ensure_async(super().shutdown_all(*args, **kwargs))
            except Exception:
                # A boundary: the server stops, whatever a provisioner thinks of it.
                self.log.exception("Not all kernels could be shut down")
            self.kernel_status.ended()

    async def __shut_down(self, *kernel_ids: str, now: bool = False) -> None:
        """Shut kernels down side by side, each in its turn; upstream would not wait for that."""
        remotes = self.kernel_status.remotes
        seen = [each for each in kernel_ids if self.kernel_status.sees(each) or each in remotes]
        work = (self.__shut_down_in_time(each, now=now) for each in seen)
        for kernel_id, told in zip(
            seen, await asyncio.gather(*work, return_exceptions=True), strict=True
        ):
            if isinstance(told, BaseException):
                self.log.error("Kernel %s could not be shut down", kernel_id, exc_info=told)

    async def __shut_down_in_time(self, kernel_id: str, *, now: bool) -> None:
        """Shut a kernel down, or leave it to its own end: the server's must not wait for ever."""
        manager = self._kernels[kernel_id]
        is_elsewhere = kernel_id in self.kernel_status.remotes
        limit = 2 * manager.shutdown_wait_time + GRACE
        try:
            await asyncio.wait_for(self.shutdown_kernel(kernel_id, now=now), limit)
        except asyncio.TimeoutError:
            fate = "left where it runs" if is_elsewhere else "killed"
            self.log.error(  # noqa: TRY400  the traceback would be our own patience's
                "Kernel %s could not be shut down within %g s; it is %s", kernel_id, limit, fate
            )
            self.kernel_status.kill(kernel_id)
            self._pending_kernels.pop(kernel_id, None)
            self.remove_kernel(kernel_id)

    async def __abandon_launches(self) -> None:
        for charge in self.kernel_status.being_launched():
            task = self._pending_kernels.pop(charge.kernel_id, None)
            if task is not None:
                task.cancel()
            self.kernel_status.shutdown_requested(charge.kernel_id)
            if charge.manager.has_kernel:
                await ensure_async(charge.manager.shutdown_kernel(now=True))
            self.kernel_status.forget(charge.kernel_id)
