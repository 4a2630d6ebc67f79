"""The mixin over a kernel's websocket connection: it opens for kernels that answer."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NoReturn

from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from tornado import web

from .. import views
from ..core.errors import KernelStateTimeout, KernelStateUnreachable
from ..core.targets import read_target
from ..core.words import Status
from .supervisor import Supervisor

if TYPE_CHECKING:
    # For the type checker the mixins have no base: what they call on super() is dynamic.
    Base = Any
else:
    Base = object

OPEN_FOR = (Status.CONNECTED, Status.UNRESPONSIVE)
"""A frozen kernel may be continued, and somebody may want to interrupt it."""


class PatientConnection(Base):
    """Over the class of the connection between a websocket and a kernel."""

    kernel_status: Supervisor

    async def prepare(self) -> None:
        """Wait for the kernel to answer; refuse before the upgrade if it is dead or does not."""
        # jupyter_server 2.21, ZMQChannelsWebsocketConnection.prepare holds the upgrade for 60 s
        # and then lets it through to nobody.
        if self.kernel_status.sees(self.kernel_id):
            bound = self.multi_kernel_manager.kernel_info_timeout
            target = read_target(status=OPEN_FOR)
            try:
                await self.kernel_status.tracker.wait(self.kernel_id, target, bound)
            except (KernelStateTimeout, KernelStateUnreachable) as error:
                told = f"Kernel {self.kernel_id} is {error.kernel.status}, so no websocket opens"
                self.__refuse(f"{told}: {error.reason}" if error.reason else told, error.reason)
        await super().prepare()

    def __refuse(self, message: str, reason: str) -> NoReturn:
        handler = self.websocket_handler
        handler.set_status(HTTPStatus.SERVICE_UNAVAILABLE)
        handler.set_header("Content-Type", "application/json")
        raise web.Finish(json.dumps(views.error(message, reason)))


def patient_connection_class(base: Any, supervisor: Supervisor) -> Any:
    """Lay the mixin over a connection class; those to a gateway do not prepare anything.

    Args:
        base: The configured class.
        supervisor: Knows the kernels.

    Returns:
        The class to use.
    """
    if not issubclass(base, ZMQChannelsWebsocketConnection):
        return base
    members = {"kernel_status": supervisor, "__module__": base.__module__}
    return type(base.__name__, (PatientConnection, base), members)
