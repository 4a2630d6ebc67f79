"""The part of the mixin over all kernels that answers what is asked about them."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from jupyter_core.utils import ensure_async
from tornado import web

from .. import views
from ..core.causes import ASK_THERE, NOT_LISTED, sentence
from .charge import listing, plain_models, wants_plain_models
from .gateway import is_gateway, last_model, still_knows
from .kernel import TrackedKernelManager
from .supervisor import Supervisor

if TYPE_CHECKING:
    # For the type checker the mixins have no base: what they call on super() is dynamic.
    Base = Any
else:
    Base = object


class ToldModels(Base):
    """Makes the models of Jupyter's own calls of what the tracker knows."""

    kernel_status: Supervisor
    __heard: dict[str, Any] = {}  # noqa: RUF012 - replaced, never changed
    """What upstream's list told last, by id."""

    def kernel_model(self, kernel_id: str) -> Any:
        """Make the model, with ``status`` and ``reason``, and a dead one's last words."""
        # jupyter_server 2.21: sync in MappingKernelManager, async in the gateway's
        if wants_plain_models():
            return super().kernel_model(kernel_id)
        alone = not listing()
        if alone and kernel_id in self.kernel_status.remotes:
            return self.__model_from_elsewhere(kernel_id)
        return self.__model_known_here(kernel_id, alone=alone)

    def __model_known_here(self, kernel_id: str, *, alone: bool) -> Any:
        return _then(
            super().kernel_model(kernel_id), lambda model: self.__extended(model, alone=alone)
        )

    async def __model_from_elsewhere(self, kernel_id: str) -> Any:
        # Upstream answers what the gateway said when somebody listed last.
        await self.kernel_status.remotes.look()
        if kernel_id not in self._kernels:
            raise web.HTTPError(404, f"Kernel {kernel_id} does not exist any more where it ran.")
        return await ensure_async(self.__model_known_here(kernel_id, alone=True))

    async def look_at(self, kernel_id: str) -> None:
        """Find out what a kernel does of which nobody tells us: one that runs elsewhere."""
        if kernel_id in self.kernel_status.remotes:
            await self.kernel_status.remotes.look()

    async def look_at_all(self) -> None:
        """Get to know kernels that come and go without our doing: external and remote ones."""
        await self.kernel_status.remotes.look()
        # jupyter_client 8.10, MultiKernelManager.external_connection_dir
        if self.external_connection_dir is not None:
            await ensure_async(self.list_kernels())

    def list_kernel_ids(self) -> list[str]:
        """List the ids of all kernels; external ones come and go here."""
        # jupyter_client 8.10, MultiKernelManager.list_kernel_ids
        self.__forget_deleted()
        ids: list[str] = super().list_kernel_ids()
        return ids

    def __forget_deleted(self) -> None:
        """Forget the files of external kernels that were deleted here: upstream fails on them."""
        for kernel_id, file in list(self.kernel_id_to_connection_file.items()):
            if kernel_id not in self._kernels and not file.exists():
                del self.kernel_id_to_connection_file[kernel_id]

    def list_kernels(self, *args: Any, **kwargs: Any) -> Any:
        """List all kernels, with ``status`` and ``reason``, also when their gateway is away."""
        # jupyter_server 2.21: sync in MappingKernelManager, async in the gateway's
        self.__forget_deleted()
        if self.kernel_status.remotes or is_gateway(self):
            return self.__list_after_a_look()
        return self.__list(*args, **kwargs)

    def __list(self, *args: Any, **kwargs: Any) -> Any:
        # Each model is extended once, when all are there.
        with plain_models():
            return _then(super().list_kernels(*args, **kwargs), self.__take_in)

    def __take_in(self, models: list[dict[str, Any]]) -> list[dict[str, Any] | None]:
        self.kernel_status.forget_others(set(self._kernels))
        self.__heard = {model["id"]: model for model in models}
        return [self.__extended(model, alone=False, heard=True) for model in models]

    async def __list_after_a_look(self) -> list[dict[str, Any] | None]:
        await self.kernel_status.remotes.look()
        ids = self.list_kernel_ids()
        models = [self.__heard.get(each) or last_model(self._kernels[each]) for each in ids]
        return [self.__extended(model, alone=False) for model in models]

    async def hear_of_all(self) -> None:
        """Ask the server where the kernels run what they do, and tell the tracker."""
        before = dict(self._kernels)
        with plain_models():
            models = await ensure_async(super().list_kernels())
        for kernel_id in before.keys() - self._kernels.keys() if is_gateway(self) else ():
            # What was removed here meanwhile is not to come back.
            if kernel_id in self.kernel_status.remotes:
                models += await self.__not_listed(kernel_id, before[kernel_id])
        self.__take_in(models)

    async def __not_listed(self, kernel_id: str, manager: Any) -> list[dict[str, Any] | None]:
        # jupyter_server 2.21, GatewayMappingKernelManager.list_kernels drops what is not listed,
        # also if the gateway did not say that it knows it no more.
        self._kernels[kernel_id] = manager
        try:
            if await still_knows(manager):
                return [last_model(manager)]
        except web.HTTPError:
            nobody_knows = {"execution_state": "unknown", "reason": sentence(NOT_LISTED, ASK_THERE)}
            return [{**(last_model(manager) or {"id": kernel_id}), **nobody_knows}]
        self._kernels.pop(kernel_id, None)
        return []

    def __extended(
        self, model: dict[str, Any] | None, *, alone: bool, heard: bool = False
    ) -> dict[str, Any] | None:
        if model is None:
            # The gateway's kernel_model when its remote does not know the kernel any more.
            return None
        kernel_id = model["id"]
        manager = self._kernels[kernel_id]
        if isinstance(manager, TrackedKernelManager):
            self.kernel_status.meet(manager, kernel_id)
        if heard:
            told = model.get("execution_state"), model.get("reason")
            self.kernel_status.remotes.reported(kernel_id, *told)
        moment = views.iso(manager.last_activity)
        return {**model, "last_activity": moment, **self.__told(kernel_id, alone=alone)}

    def __told(self, kernel_id: str, *, alone: bool) -> dict[str, Any]:
        kernel = self.kernel_status.tracker.get(kernel_id)
        return views.model_fields(kernel, alone=alone) if kernel else views.UNTRACKED

    def __bool__(self) -> bool:
        """Be there, also without kernels: ServerApp.cleanup_kernels asks so before it cleans up."""
        return True

    def __len__(self) -> int:
        """Count the running kernels; the dead do not keep a server from shutting down."""
        # jupyter_client 8.10, MultiKernelManager.__len__; ServerApp.shutdown_no_activity asks it
        return len(set(self.list_kernel_ids()) - self.kernel_status.afterlife.dead_ids())


def _then(result: Any, follow: Callable[[Any], Any]) -> Any:
    """Apply a function to a result, now or when it comes."""
    if not inspect.isawaitable(result):
        return follow(result)

    async def later(coming: Awaitable[Any]) -> Any:
        return follow(await coming)

    return later(result)
