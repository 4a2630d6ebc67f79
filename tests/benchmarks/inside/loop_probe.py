"""A server extension that times every callback of the server's loop for some seconds.

POST loop-probe {"seconds": 3} begins 0.1 s later; GET loop-probe gives what came of it. So neither
request is among the callbacks that are timed.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import heapq
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado import web
from tornado.platform.asyncio import BaseAsyncIOLoop

DELAY = 0.1
KEPT = 50  # many may be of one name


@dataclass
class Recording:
    """What the loop did: seconds for each callback, the slowest ones, the longest turn."""

    walls: list[float] = field(default_factory=list)
    slowest: list[tuple[float, int, dict[str, Any]]] = field(default_factory=list)
    cpu: float = 0
    turn: float = 0

    def note(self, callback: Any, wall: float, cpu: float, collecting: float) -> None:
        """Take in one callback."""
        self.walls.append(wall)
        self.cpu = max(self.cpu, cpu)
        if len(self.slowest) < KEPT or wall > self.slowest[0][0]:
            told = {"name": name_of(callback), "wall": wall, "cpu": cpu, "collecting": collecting}
            heapq.heappush(self.slowest, (wall, len(self.walls), told))
            if len(self.slowest) > KEPT:
                heapq.heappop(self.slowest)

    def told(self) -> dict[str, Any]:
        """Return it for JSON."""
        slowest = [told for *_, told in sorted(self.slowest, reverse=True)]
        return {"walls": self.walls, "slowest": slowest, "cpu": self.cpu, "turn": self.turn}


class Probe:
    """Stands between the loop and its callbacks, and between the loop and its selector."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Put itself there for good."""
        self.loop = loop
        self.recording: Recording | None = None
        self.done: Recording | None = None
        self.collected = 0.0
        self._collecting_since = 0.0
        self._awake_since = 0.0
        gc.callbacks.append(self._collecting)
        self._stand_before_selector()
        self._stand_before_callbacks()

    def begin(self) -> None:
        """Record from now on."""
        self.recording, self.done = Recording(), None
        self._awake_since = time.perf_counter()

    def end(self) -> None:
        """Record no more."""
        self.recording, self.done = None, self.recording

    def _collecting(self, phase: str, _info: dict[str, int]) -> None:
        """Add up what garbage collection takes."""
        if phase == "start":
            self._collecting_since = time.perf_counter()
        else:
            self.collected += time.perf_counter() - self._collecting_since

    def _stand_before_selector(self) -> None:
        """Time how long the loop does not look at its sockets."""
        selector: Any = self.loop._selector  # the loop of asyncio on Linux and macOS
        select = selector.select

        def timed(timeout: float | None = None) -> Any:
            if self.recording is not None:
                turn = time.perf_counter() - self._awake_since
                self.recording.turn = max(self.recording.turn, turn)
            ready = select(timeout)
            self._awake_since = time.perf_counter()
            return ready

        selector.select = timed

    def _stand_before_callbacks(self) -> None:
        """Time each callback of this loop."""
        run = asyncio.Handle._run

        def timed(handle: Any) -> None:
            recording = self.recording
            if recording is None or handle._loop is not self.loop:
                run(handle)
                return
            callback, collected = called_by(handle), self.collected
            began, used = time.perf_counter(), time.thread_time()
            run(handle)
            wall, cpu = time.perf_counter() - began, time.thread_time() - used
            recording.note(callback, wall, cpu, self.collected - collected)

        asyncio.Handle._run = timed


def called_by(handle: Any) -> Any:
    """Return what a handle will call, before it does: it may be forgotten afterwards."""
    callback = handle._callback
    if getattr(callback, "__func__", None) is BaseAsyncIOLoop._handle_events:
        # tornado's handlers of file descriptors
        _, callback = callback.__self__.handlers.get(handle._args[0], (None, callback))
    elif getattr(callback, "__name__", "") == "_run_callback" and handle._args:
        callback = handle._args[0]  # tornado's IOLoop.add_callback
    return callback


def name_of(callback: Any) -> str:
    """Return by what name a callback can be found; a task by its coroutines, outermost first."""
    while isinstance(callback, functools.partial):
        callback = (
            callback.args[0] if callback.args and callable(callback.args[0]) else callback.func
        )
    task = getattr(callback, "__self__", None)
    if isinstance(task, asyncio.Task):
        return f"task {' > '.join(coroutines(task.get_coro())) or task.get_name()}"
    name = getattr(callback, "__qualname__", None) or type(callback).__qualname__
    return f"{getattr(callback, '__module__', None)}.{name}"


def coroutines(coroutine: Any) -> list[str]:
    """Return the names of a coroutine and of those that it awaits now, and where they are written."""
    names = []
    while hasattr(coroutine, "__qualname__"):
        code = getattr(coroutine, "cr_code", None) or getattr(coroutine, "gi_code", None)
        place = f" ({Path(code.co_filename).name}:{code.co_firstlineno})" if code else ""
        names.append(coroutine.__qualname__ + place)
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)
    return names


class LoopProbeHandler(APIHandler):
    """Begins a recording, and tells the last one."""

    _track_activity = False

    @web.authenticated
    async def post(self) -> None:
        """Begin."""
        loop = asyncio.get_running_loop()
        probe = self.settings.get("loop_probe") or Probe(loop)
        self.settings["loop_probe"] = probe
        probe.done = None
        loop.call_later(DELAY, probe.begin)
        loop.call_later(DELAY + self.get_json_body()["seconds"], probe.end)
        self.finish("{}")

    @web.authenticated
    async def get(self) -> None:
        """Tell, once it is over."""
        probe = self.settings.get("loop_probe")
        if probe is None or probe.done is None:
            raise web.HTTPError(409, "no recording is over")
        self.finish(json.dumps(probe.done.told()))


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "loop_probe"}]


def _load_jupyter_server_extension(serverapp: Any) -> None:
    route = url_path_join(serverapp.web_app.settings["base_url"], "loop-probe")
    serverapp.web_app.add_handlers(".*$", [(route, LoopProbeHandler)])
