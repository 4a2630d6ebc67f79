"""How long a client of the kernel websocket waits for the answer to `1+1`."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Mapping
from typing import Any

from jupyter_client.jsonutil import json_default
from jupyter_client.session import Session
from jupyter_server.services.kernels.connection.base import (
    deserialize_msg_from_ws_v1,
    serialize_msg_to_ws_v1,
)
from tornado.httpclient import HTTPError, HTTPRequest
from tornado.websocket import (
    WebSocketClientConnection,
    WebSocketClosedError,
    WebSocketError,
    websocket_connect,
)

from .figures import Figure, ratio_at_most
from .measurement import Measurement, Round, RoundFailedError, Values
from .observer import start_idle_kernel
from .server import Server

V1 = "v1.kernel.websocket.jupyter.org"
IN_A_ROW = 20
AFTER_A_PAUSE = 5
PAUSE = 0.3
TIMEOUT = 30.0
PARTS = ("header", "parent_header", "metadata", "content")
Message = Mapping[str, Any]


def run(server: Server, _round: Round) -> Values:
    """Ask one kernel over a websocket of each subprotocol."""
    kernel_id = start_idle_kernel(server)
    return {
        "websocket_v1": talk(server, kernel_id, V1, IN_A_ROW),
        "websocket_legacy": talk(server, kernel_id, None, IN_A_ROW),
        "websocket_paused": talk(server, kernel_id, V1, AFTER_A_PAUSE, PAUSE),
    }


def talk(
    server: Server, kernel_id: str, subprotocol: str | None, times: int, pause: float = 0
) -> list[float]:
    """Return how long each of so many requests took, in milliseconds."""
    try:
        return asyncio.run(_talk(server, kernel_id, subprotocol, times, pause))
    except (HTTPError, WebSocketError, TimeoutError, asyncio.TimeoutError) as error:
        raise RoundFailedError(
            f"{subprotocol or 'legacy'}: {type(error).__name__} {error}"
        ) from error


async def _talk(
    server: Server, kernel_id: str, subprotocol: str | None, times: int, pause: float
) -> list[float]:
    client = await Client.connect(server, kernel_id, subprotocol)
    try:
        taken = []
        for _ in range(times):
            await asyncio.sleep(pause)
            taken.append(await asyncio.wait_for(client.round_trip("1+1"), TIMEOUT) * 1000)
        return taken
    finally:
        client.close()


class Client:
    """A client as anybody would write it: no option of its socket is touched."""

    def __init__(self, connection: WebSocketClientConnection, subprotocol: str | None) -> None:
        """Talk on an open connection."""
        self._connection = connection
        self._is_v1 = subprotocol == V1
        self._session = Session()

    @classmethod
    async def connect(cls, server: Server, kernel_id: str, subprotocol: str | None) -> Client:
        """Open a websocket; None asks for no subprotocol, which is the legacy one."""
        url = f"{server.url.replace('http', 'ws', 1)}/api/kernels/{kernel_id}/channels"
        request = HTTPRequest(
            f"{url}?session_id={uuid.uuid4().hex}",
            headers={"Authorization": f"token {server.process.token}"},
        )
        wanted = [subprotocol] if subprotocol else None
        connection = await websocket_connect(request, subprotocols=wanted)
        if connection.selected_subprotocol != subprotocol:
            raise RoundFailedError(f"the server chose {connection.selected_subprotocol}")
        return cls(connection, subprotocol)

    def close(self) -> None:
        """Close the websocket."""
        self._connection.close()

    async def round_trip(self, code: str) -> float:
        """Return the seconds until both the reply and the idle of a request have arrived."""
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": True,
        }
        request = self._session.msg("execute_request", content)
        packed = self._packed(request)
        awaited = {"execute_reply", "idle"}
        sent = at = time.perf_counter()
        await self._connection.write_message(packed, binary=self._is_v1)
        while awaited:
            received = await self._connection.read_message()
            at = time.perf_counter()
            if received is None:
                raise WebSocketClosedError("the server closed the websocket")
            awaited.discard(self._ended_by(received, request["header"]["msg_id"]))
        return at - sent

    def _packed(self, message: Message) -> bytes | str:
        """Return the message as the subprotocol wants it."""
        if self._is_v1:
            return bytes(serialize_msg_to_ws_v1(message, "shell", self._session.pack))
        return json.dumps({**message, "channel": "shell", "buffers": []}, default=json_default)

    def _ended_by(self, received: bytes | str, msg_id: str) -> str:
        """Return `execute_reply` or `idle` if the message is that of the request, else nothing."""
        if self._is_v1:
            _, parts = deserialize_msg_from_ws_v1(received)
            message = dict(zip(PARTS, map(json.loads, parts), strict=False))
        else:
            message = json.loads(received)
        if message["parent_header"].get("msg_id") != msg_id:
            return ""
        kind = message["header"]["msg_type"]
        return str(message["content"]["execution_state"] if kind == "status" else kind)


MEASUREMENT = Measurement(
    name="websocket",
    rounds=6,
    figures=(
        Figure(
            "websocket_v1",
            "`1+1` in a row, until its execute_reply and its idle have arrived; subprotocol v1",
            "ms",
            (ratio_at_most(0.35),),
        ),
        Figure(
            "websocket_legacy",
            "the same, legacy subprotocol",
            "ms",
            (ratio_at_most(0.35),),
        ),
        Figure(
            "websocket_paused",
            f"as the first, each after a pause of {PAUSE:g} s",
            "ms",
            note="After a pause Linux acknowledges at once for a while, so nothing is held back.",
        ),
    ),
    run=run,
)
