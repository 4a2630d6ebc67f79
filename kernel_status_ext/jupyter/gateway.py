"""The only place that speaks to a kernel through Jupyter's gateway client."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

from jupyter_server.gateway.gateway_client import GatewayClient
from jupyter_server.gateway.managers import GatewayKernelManager
from jupyter_server.utils import url_path_join
from tornado.escape import url_escape
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

CHANNELS = ("shell", "control")
"""A kernel that works answers on control, one that has no such channel on shell."""


def is_behind_gateway(manager: Any) -> bool:
    """Tell whether a kernel runs behind a gateway, where a websocket reaches it."""
    return isinstance(manager, GatewayKernelManager)


def last_model(manager: Any) -> dict[str, Any] | None:
    """Return what the gateway said of a kernel last; None if it never did."""
    # jupyter_server 2.21, GatewayKernelManager.kernel
    return manager.kernel if is_behind_gateway(manager) else None


async def kernel_answers(kernel_id: str) -> None:
    """Ask a kernel who it is, by a websocket that is closed as soon as it has answered.

    One that stayed open would be counted by the gateway as a connection, and the kernel would
    never be culled there.

    Raises:
        OSError: The gateway cannot be reached, or hung up.
        tornado.httpclient.HTTPClientError: It refused.
    """
    # jupyter_server 2.21, GatewayWebSocketConnection.connect
    client = GatewayClient.instance()
    base = client.ws_url or ""
    url = url_path_join(base, client.kernels_endpoint, url_escape(kernel_id), "channels")
    connection = await websocket_connect(HTTPRequest(url, **client.load_connection_args()))
    try:
        session = uuid4().hex
        for channel in CHANNELS:
            await connection.write_message(json.dumps(_question(session, channel)))
        await _first_reply(connection)
    finally:
        connection.close()


async def _first_reply(connection: Any) -> None:
    while True:
        text = await connection.read_message()
        if text is None:
            raise ConnectionError("the websocket was closed before the kernel answered")
        if json.loads(text)["header"]["msg_type"] == "kernel_info_reply":
            return


def _question(session: str, channel: str) -> dict[str, Any]:
    header = {
        "msg_id": uuid4().hex,
        "msg_type": "kernel_info_request",
        "session": session,
        "username": "kernel_status",
        "version": "5.3",
    }
    return {
        "header": header,
        "parent_header": {},
        "metadata": {},
        "content": {},
        "buffers": [],
        "channel": channel,
    }
