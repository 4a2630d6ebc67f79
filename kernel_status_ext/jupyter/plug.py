"""Plugs the seam into a server, at the one moment when its classes are known and not yet made."""

from __future__ import annotations

from typing import Any

from jupyter_server.gateway.gateway_client import GatewayClient

from .charge import Sight
from .kernel import tracked
from .mapping import tracked_mapping_class
from .sessions import revived_session_class
from .supervisor import Supervisor
from .websocket import telling_connection_class


def plug_in(serverapp: Any, supervisor: Supervisor) -> None:
    """Have the server make its kernel and session managers of tracked classes.

    Reading ``kernel_manager_class`` while extensions are linked would raise, and setting it would
    drop the user's own: both are right only inside ``init_configurables``.

    Args:
        serverapp: A ServerApp that links its extensions (jupyter_server 2.21).
        supervisor: Gets to know what the managers do.
    """
    original = serverapp.init_configurables

    def init_configurables() -> None:
        del serverapp.init_configurables
        # ServerApp.init_configurables does the same first: the default classes depend on it.
        serverapp.gateway_config = GatewayClient.instance(parent=serverapp)
        serverapp.kernel_manager_class = tracked_mapping_class(
            serverapp.kernel_manager_class, supervisor
        )
        serverapp.session_manager_class = revived_session_class(serverapp.session_manager_class)
        original()
        supervisor.serve(serverapp.kernel_manager, serverapp.session_manager)

    serverapp.init_configurables = init_configurables


def plug_in_websockets(serverapp: Any, supervisor: Supervisor) -> None:
    """Have websockets wait for their kernels, whatever class connects them.

    Args:
        serverapp: A ServerApp that loads its extensions.
        supervisor: Knows the kernels.
    """
    # jupyter_server 2.21, KernelWebsocketHandler.kernel_websocket_connection_class
    settings = serverapp.web_app.settings
    configured = settings["kernel_websocket_connection_class"]
    settings["kernel_websocket_connection_class"] = telling_connection_class(configured, supervisor)


def plug_in_late(serverapp: Any, supervisor: Supervisor) -> None:
    """Take over managers that were made already, where linking did not happen.

    Args:
        serverapp: A ServerApp that loads its extensions.
        supervisor: Gets to know what the managers do.
    """
    if supervisor.afterlife.mapping is not None:
        return
    mapping, sessions = serverapp.kernel_manager, serverapp.session_manager
    mapping.__class__ = tracked_mapping_class(type(mapping), supervisor)
    mapping.kernel_manager_factory = mapping._create_kernel_manager_factory()
    sessions.__class__ = revived_session_class(type(sessions))
    supervisor.serve(mapping, sessions)
    for kernel_id, manager in mapping._kernels.items():
        tracked(manager, supervisor).kernel_status_own_id = kernel_id
        supervisor.take_charge(manager, kernel_id, manager.kernel_name, Sight.REMOTE)
