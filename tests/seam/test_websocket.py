"""The websocket of a kernel: it opens when the kernel answers, and says why it does not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest
from support.server import Server
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from kernel_status_ext.jupyter.websocket import _failures


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server with little patience."""
    with Server(config={"MappingKernelManager": {"kernel_info_timeout": 3.0}}) as server:
        yield server


def upgrade(server: Server, kernel: str) -> tuple[int, dict]:
    """Try to open the websocket; return the status code and, if it was refused, the body."""
    url = f"ws://127.0.0.1:{server.port}{server.base_url}api/kernels/{kernel}/channels?session_id=s"
    request = HTTPRequest(url, headers={"Authorization": f"token {server.token}"})

    async def connect() -> tuple[int, dict]:
        try:
            websocket = await websocket_connect(request)
        except HTTPClientError as refused:
            body = refused.response.body if refused.response else b"{}"
            return refused.code, json.loads(body)
        websocket.close()
        return 101, {}

    return asyncio.run(connect())


def test_a_dead_kernel_refuses_at_once_with_its_reason(server: Server) -> None:
    """Before the upgrade: 503 and the sentence, so that JupyterLab shows it."""
    kernel = server.start_kernel(server.fake(mode="die-at-start", code=7))
    dead = server.until_dead(kernel)
    code, body = upgrade(server, kernel)
    assert (code, body["reason"]) == (503, dead["reason"])
    assert "code 7" in body["reason"]
    server.delete(kernel)


def test_a_kernel_that_comes_is_waited_for(server: Server) -> None:
    """A websocket opened right after the start is open when the kernel answers."""
    kernel = server.start_kernel(server.fake())
    assert upgrade(server, kernel) == (101, {})
    assert server.status(kernel)["status"] == "connected"
    server.delete(kernel)


def test_a_kernel_that_does_not_answer_is_refused_at_the_bound(server: Server) -> None:
    """After kernel_info_timeout there is an answer, and not a websocket to nobody."""
    kernel = server.start_kernel(server.fake(mode="mute"))
    code, body = upgrade(server, kernel)
    assert code == 503
    assert kernel in body["message"]
    assert "connecting" in body["message"]
    server.delete(kernel)


def test_a_kernel_that_dies_meanwhile_refuses_at_once(server: Server) -> None:
    """A death while the upgrade waits ends the wait with the reason."""
    gate = server.gate()
    kernel = server.start_kernel(server.fake(mode="die-at-start", gate=gate, code=9))

    async def both() -> tuple[int, dict]:
        opening = asyncio.get_running_loop().run_in_executor(None, upgrade, server, kernel)
        await asyncio.to_thread(server.taken_up)
        gate.open()
        return await opening

    code, body = asyncio.run(both())
    assert code == 503
    assert "code 9" in body["reason"]
    server.delete(kernel)


def test_an_unknown_kernel_is_unknown(server: Server) -> None:
    """What is not there is answered as always."""
    url_code, _ = upgrade_code(server, "00000000-0000-4000-8000-000000000000")
    assert url_code == 404


def upgrade_code(server: Server, kernel: str) -> tuple[int, str]:
    """Try the upgrade by plain HTTP, where the body of a refusal may be a page."""
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    answer = server.http.get(f"api/kernels/{kernel}/channels", headers=headers)
    return answer.status_code, answer.text


@pytest.mark.parametrize("expressions", [None, [], "", {"a": None}, {"a": {"status": "ok"}}])
def test_odd_user_expressions_are_no_failures(expressions: object) -> None:
    """A reply that went well has nothing to be hidden, whatever its kernel sends."""
    assert _failures({"status": "ok", "user_expressions": expressions}) == []


def test_failures_of_a_reply_are_found() -> None:
    """The request and each of its expressions may fail."""
    bad = {"status": "error"}
    reply = {"status": "error", "user_expressions": {"a": bad, "b": {"status": "ok"}}}
    assert _failures(reply) == [reply, bad]
