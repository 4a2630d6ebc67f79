"""A gateway of which tests choose what it answers, and when."""

from __future__ import annotations

import asyncio
import json
import threading
import uuid
from typing import Any

from tornado import httpserver, netutil, web, websocket

MOMENT = "2026-01-02T03:04:05.678901Z"


class Gateway:
    """A gateway in a thread of its own whose answers tests choose; its kernels are words.

    `answers` holds (code, body) by the name of what is asked: list, model, action, channels.
    What is asked for and stands in `hanging` is not answered until `release`.
    """

    def __init__(self) -> None:
        self.words: dict[str, str] = {}
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.hanging: set[str] = set()
        self.first: str | bytes | None = None
        """What a websocket says before anything else."""
        self.hangs_up = False
        """Whether a websocket is closed as soon as it is open."""
        self.sockets: list[websocket.WebSocketHandler] = []
        """Those that are open."""
        self.opened = 0
        self.asked: list[str] = []
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        assert ready.wait(10)

    def _run(self, ready: threading.Event) -> None:
        self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self._loop)
        self._released = asyncio.Event()
        given = {"gateway": self}
        kernel = r"/api/kernels/(?P<kernel>[^/]+)"
        routes = [
            ("/api/kernels", _List, given),
            (kernel, _Model, given),
            (kernel + "/(?:restart|interrupt)", _Action, given),
            (kernel + "/channels", _Channels, given),
        ]
        sockets = netutil.bind_sockets(0, "127.0.0.1")
        self.port = sockets[0].getsockname()[1]
        httpserver.HTTPServer(web.Application(routes)).add_sockets(sockets)
        ready.set()
        self._loop.run_forever()
        self._loop.close()

    def release(self) -> None:
        """Let go on whatever hangs, and hang no more."""
        self.hanging.clear()
        self._loop.call_soon_threadsafe(self._let_go)

    def _let_go(self) -> None:
        self._released.set()
        self._released = asyncio.Event()

    def forget(self) -> None:
        """Be as it was at first, without kernels."""
        self.words.clear()
        self.answers.clear()
        self.first, self.hangs_up, self.opened = None, False, 0
        self.asked.clear()
        self.release()

    def close(self) -> None:
        """End the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)

    def model(self, kernel: str) -> dict[str, Any]:
        """What it says of a kernel."""
        told = {"execution_state": self.words[kernel], "last_activity": MOMENT, "connections": 0}
        return {"id": kernel, "name": "python3"} | told

    async def answer(self, handler: web.RequestHandler, what: str) -> bool:
        """Give the answer that was chosen, after hanging; tell whether there was one."""
        self.asked.append(what)
        if what in self.hanging:
            await self._released.wait()
        code, body = self.answers.get(what, (0, b""))
        if code:
            handler.set_status(code)
            handler.finish(body)
        return bool(code)


class _OfGateway(web.RequestHandler):
    def initialize(self, gateway: Gateway) -> None:
        self.gateway = gateway


class _List(_OfGateway):
    async def get(self) -> None:
        if not await self.gateway.answer(self, "list"):
            self.finish(json.dumps([self.gateway.model(each) for each in self.gateway.words]))

    def post(self) -> None:
        kernel = str(uuid.uuid4())
        self.gateway.words[kernel] = "idle"
        self.set_status(201)
        self.finish(self.gateway.model(kernel))


class _Model(_OfGateway):
    async def get(self, kernel: str) -> None:
        if kernel not in self.gateway.words:
            raise web.HTTPError(404)
        if not await self.gateway.answer(self, "model"):
            self.finish(self.gateway.model(kernel))

    async def delete(self, kernel: str) -> None:
        if not await self.gateway.answer(self, "action"):
            del self.gateway.words[kernel]
            self.set_status(204)


class _Action(_OfGateway):
    async def post(self, kernel: str) -> None:
        if not await self.gateway.answer(self, "action"):
            self.finish(self.gateway.model(kernel))


class _Channels(websocket.WebSocketHandler):
    def initialize(self, gateway: Gateway) -> None:
        self.gateway = gateway

    async def get(self, kernel: str) -> None:
        if not await self.gateway.answer(self, "channels"):
            await super().get(kernel)

    def open(self, kernel: str) -> None:
        self.gateway.sockets.append(self)
        self.gateway.opened += 1
        if self.gateway.first is not None:
            self.write_message(self.gateway.first, binary=isinstance(self.gateway.first, bytes))
        if self.gateway.hangs_up:
            self.close()

    def on_message(self, message: str | bytes) -> None:
        question = json.loads(message)
        header = {"msg_type": "kernel_info_reply", "msg_id": uuid.uuid4().hex}
        told = {"header": header, "parent_header": question["header"], "content": {}}
        self.write_message(told | {"channel": question["channel"], "metadata": {}})

    def on_close(self) -> None:
        self.gateway.sockets.remove(self)
