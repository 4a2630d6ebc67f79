"""A server extension that turns off what is read of runs, or times it, and tells the loop's CPU time.

POST recording-switch {"mode": "off"} lets messages pass unread from now on: no reader of a kernel's
runs is called, what a status says goes to the kernel alone, and a websocket's messages go by; "on"
is as it was; "timed" times what is done. GET recording-switch tells the seconds of CPU that the
loop's thread and the whole process have used, and the microseconds of CPU of each call that was
timed since the last POST, by its name. Kernels that start later are read, and not timed.
"""

from __future__ import annotations

import functools
import json
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado import web

from kernel_status_ext.jupyter.passing import Passing
from kernel_status_ext.tracking.ledger import Ledger
from kernel_status_ext.tracking.run_reading import RunReading

SWITCHED = {
    (Ledger, "heard"): Ledger.heard,
    (Passing, "to_kernel"): Passing.to_kernel,
    (Passing, "from_kernel"): Passing.from_kernel,
}

Do = Callable[..., Any]

OF_WHAT: dict[str, Do] = {
    "Ledger.heard": lambda _self, _kernel_id, event: type(event).__name__,
    "Passing.from_kernel": lambda _self, channel, _frames: channel,
}
"""By what the calls of a method are told apart."""


class Clock:
    """Times calls; one that is made inside of another is part of that."""

    def __init__(self) -> None:
        """Begin with none."""
        self.taken: dict[str, list[float]] = defaultdict(list)
        self._is_inside = False

    def timed(self, name: str, do: Do) -> Do:
        """Return what does the same and is timed."""

        @functools.wraps(do)
        def doing(*args: Any, **facts: Any) -> Any:
            if self._is_inside:
                return do(*args, **facts)
            of_what = f"{name} {OF_WHAT[name](*args)}" if name in OF_WHAT else name
            self._is_inside = True
            began = time.thread_time_ns()
            try:
                return do(*args, **facts)
            finally:
                self.taken[of_what].append((time.thread_time_ns() - began) / 1000)
                self._is_inside = False

        return doing


class Switch:
    """Turns the reading of runs off and on again, or times it."""

    def __init__(self, runs: Any) -> None:
        """Begin with what is: on."""
        self._runs = runs
        self._originals: list[tuple[dict[Any, Do], dict[Any, Do]]] = []
        self.clock = Clock()

    def turn(self, mode: str, kernels: list[str]) -> None:
        """Turn it `on` or `off`, or have it `timed`."""
        self.clock = Clock()
        for readings, claims in self._originals:
            readings.update(claims)
        self._originals = []
        for (owner, name), method in SWITCHED.items():
            setattr(owner, name, self._in_place_of(method, mode))
        if mode != "on":
            self._originals = [self._replace(each, mode) for each in kernels]

    def _replace(self, kernel_id: str, mode: str) -> tuple[dict[Any, Do], dict[Any, Do]]:
        """Put something in the place of the readers of a kernel's runs."""
        routing = self._runs.routing_of(kernel_id)
        readings = routing._readings if routing is not None else {}
        mine = {
            claim: reading
            for claim, reading in readings.items()
            if isinstance(reading.__self__, RunReading)
        }
        for claim, reading in mine.items():
            if mode == "off":
                del readings[claim]
            else:
                readings[claim] = self._in_place_of(reading, mode)
        return readings, mine

    def _in_place_of(self, do: Do, mode: str) -> Do:
        """Return what stands in the place of a method."""
        if mode == "timed":
            return self.clock.timed(do.__qualname__, do)
        return ignore if mode == "off" else do


def ignore(*_args: Any, **_facts: Any) -> None:
    """Stand in for what reads."""


class RecordingSwitchHandler(APIHandler):
    """Switches, and tells the time."""

    _track_activity = False

    @web.authenticated
    async def post(self) -> None:
        """Switch."""
        kernels = [kernel.id for kernel in self.settings["kernel_status"]]
        self.settings["recording_switch"].turn(self.get_json_body()["mode"], kernels)
        self.finish("{}")

    @web.authenticated
    async def get(self) -> None:
        """Tell."""
        used = {"loop": time.thread_time(), "process": time.process_time()}
        self.finish(json.dumps(used | {"timed": self.settings["recording_switch"].clock.taken}))


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "recording_switch"}]


def _load_jupyter_server_extension(serverapp: Any) -> None:
    # Extensions load in the order of their names: the one that is measured is there.
    (app,) = serverapp.extension_manager.extension_apps["kernel_status_ext"]
    serverapp.web_app.settings["recording_switch"] = Switch(app.supervisor.runs)
    route = url_path_join(serverapp.web_app.settings["base_url"], "recording-switch")
    serverapp.web_app.add_handlers(".*$", [(route, RecordingSwitchHandler)])
