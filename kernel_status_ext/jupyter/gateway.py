"""The only place that speaks to a kernel through Jupyter's gateway client."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import uuid4

from jupyter_server.gateway.gateway_client import GatewayClient
from jupyter_server.gateway.managers import GatewayKernelManager, GatewayMappingKernelManager
from jupyter_server.utils import url_path_join
from tornado import web
from tornado.escape import url_escape
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.simple_httpclient import HTTPTimeoutError
from tornado.websocket import websocket_connect

CHANNELS = ("shell", "control")
"""A kernel that works answers on control, one that has no such channel on shell."""

NO_ANSWER = 599
"""What tornado's client calls it when no answer came."""

NOT_REACHED = "The gateway {} did not answer ({}): see whether it runs, and try again."


def is_behind_gateway(manager: Any) -> bool:
    """Tell whether a kernel runs behind a gateway, where a websocket reaches it."""
    return isinstance(manager, GatewayKernelManager)


def is_gateway(mapping: Any) -> bool:
    """Tell whether all kernels of a server run behind a gateway."""
    return isinstance(mapping, GatewayMappingKernelManager)


async def still_knows(manager: Any) -> bool:
    """Ask the gateway for one kernel that its list does not have.

    Raises:
        tornado.web.HTTPError: It did not answer, so it has not said that it knows it no more.
    """
    # jupyter_server 2.21, GatewayKernelManager.refresh_model: None for a 404
    return await manager.refresh_model() is not None


def raise_in_gateway_words(error: Exception) -> None:
    """Raise what is to be answered in place of an error of the gateway client; else do nothing.

    Args:
        error: What asking the gateway raised.

    Raises:
        tornado.web.HTTPError: For a refusal, with the gateway's status and its own words; for no
            answer, with 502 or 504.
    """
    # jupyter_server 2.21, gateway_request: it raises its own error from what happened, leaves its
    # message unfilled, and passes on tornado's 599, which is no HTTP status.
    happened = error.__cause__
    if not isinstance(error, web.HTTPError) or not isinstance(happened, HTTPClientError):
        return
    said, url = str(next(iter(error.args), happened.message)), GatewayClient.instance().url
    if happened.code != NO_ANSWER:
        raise web.HTTPError(happened.code, said) from error
    code = 504 if isinstance(happened, HTTPTimeoutError) else 502
    raise web.HTTPError(code, NOT_REACHED.format(url, said.rstrip("."))) from error


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
        tornado.websocket.WebSocketError: It speaks otherwise, or hung up while we spoke.
    """
    # jupyter_server 2.21, GatewayWebSocketConnection.connect
    client = GatewayClient.instance()
    base = client.ws_url or ""
    url = url_path_join(base, client.kernels_endpoint, url_escape(kernel_id), "channels")
    connection = await _connected(HTTPRequest(url, **client.load_connection_args()))
    try:
        session = uuid4().hex
        for channel in CHANNELS:
            await connection.write_message(json.dumps(_question(session, channel)))
        await _first_reply(connection)
    finally:
        connection.close()


async def _connected(request: HTTPRequest) -> Any:
    connecting: Any = websocket_connect(request)
    try:
        return await asyncio.shield(connecting)
    except asyncio.CancelledError:
        # tornado goes on connecting, and what opens later would stay open.
        connecting.add_done_callback(_close)
        raise


def _close(connecting: asyncio.Future[Any]) -> None:
    if not connecting.cancelled() and connecting.exception() is None:
        connecting.result().close()


async def _first_reply(connection: Any) -> None:
    while True:
        message = await connection.read_message()
        if message is None:
            raise ConnectionError("the websocket was closed before the kernel answered")
        if _is_reply(message):
            return


def _is_reply(message: object) -> bool:
    """Tell whether this is the answer; what has buffers comes as bytes, and is none."""
    try:
        kind = json.loads(message)["header"]["msg_type"] if isinstance(message, str) else ""
    except (ValueError, TypeError, KeyError):
        return False
    return bool(kind == "kernel_info_reply")


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
