"""What it costs the server's loop that the runs of others are recorded."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

from .direct import DirectClient
from .figures import Figure, ours_at_most
from .measurement import Measurement, Round, Values
from .observer import start_idle_kernel
from .passages import figures as passage_figures
from .passages import passages
from .process import Setup
from .server import Server
from .websocket import V1, Client

BLOCKS = 24
CELLS = 40
WARM_UP = 3
LINES = 10
LIMIT = 10.0
SETTLE = 0.05  # the server has heard what the client has, and the history has written
SWITCH = "/recording-switch"
MODES = ("off", "on", "timed")
WORKS = {"short": "1+1", "lines": f"for i in range({LINES}): print(i, flush=True)"}
CLIENTS = {"foreign": "a foreign client", "websocket": "a websocket client"}

RunCell = Callable[[str], object]


@dataclass(frozen=True)
class Work:
    """A cell that some client has a kernel run again and again."""

    name: str
    run_cell: RunCell
    code: str
    messages: int
    """How many of its messages pass by the server's loop."""

    def do(self, times: int) -> None:
        """Run it so often."""
        for _ in range(times):
            self.run_cell(self.code)


def run(server: Server, turn: Round) -> Values:
    """Let clients run cells, with the reading of runs and without it in turn."""
    kernel_id = start_idle_kernel(server)
    values: Values = {}
    with closing(DirectClient(server.connection_file(kernel_id))) as direct:
        published = {work: direct.published_of(code) for work, code in WORKS.items()}
        for work, code in WORKS.items():
            values |= compared(
                server, turn, Work(f"foreign_{work}", direct.round_trip, code, published[work])
            )
    with websocket_cell(server, kernel_id) as cell:
        for work, code in WORKS.items():
            # Its request and its reply pass, too.
            values |= compared(
                server, turn, Work(f"websocket_{work}", cell, code, published[work] + 2)
            )
    return values | passages()


@contextmanager
def websocket_cell(server: Server, kernel_id: str) -> Iterator[RunCell]:
    """Open a websocket; what is given runs a cell by it and waits for its end."""
    loop = asyncio.new_event_loop()
    client = loop.run_until_complete(Client.connect(server, kernel_id, V1))
    try:
        yield lambda code: loop.run_until_complete(client.round_trip(code))
    finally:
        loop.run_until_complete(hang_up(client))
        loop.close()


async def hang_up(client: Client) -> None:
    """Close a websocket in the loop that it was opened in."""
    client.close()


def compared(server: Server, turn: Round, work: Work) -> Values:
    """Return the microseconds of CPU that each message costs more with the reading on."""
    key = f"recording_{work.name}"
    values: Values = {f"{key}{each}": [] for each in ("", "_process", "_without", "_inside")}
    count = CELLS * work.messages / 1e6
    for block in range(BLOCKS):
        used = {mode: block_cpu(server, work, mode) for mode in in_turn(block)}
        for part, name in (("loop", key), ("process", f"{key}_process")):
            values[name].append((used["on"][part] - used["off"][part]) / count)
        values[f"{key}_without"].append(used["off"]["loop"] / count)
        values[f"{key}_inside"].append(used["timed"]["inside"] / count)
    turn.remarks.append(f"{work.name}: {by_kind(server, work)}")
    return values


def by_kind(server: Server, work: Work) -> str:
    """Return in words how long each part of the reading takes, the median of its calls."""
    block_cpu(server, work, "timed")
    timed = server.http.get(SWITCH).json()["timed"]
    told = (f"{name} {median(taken):.1f} us" for name, taken in sorted(timed.items()))
    return ", ".join(told)


def in_turn(block: int) -> tuple[str, ...]:
    """Return the order of a block: each mode comes first and last as often as the others."""
    first = block % len(MODES)
    return MODES[first:] + MODES[:first]


def block_cpu(server: Server, work: Work, mode: str) -> dict[str, float]:
    """Return the seconds of CPU that the loop, the process and the reading used for some cells."""
    server.http.post(SWITCH, json={"mode": mode}).raise_for_status()
    work.do(WARM_UP)
    before = clocks(server)
    work.do(CELLS)
    after = clocks(server)
    return {part: after[part] - before[part] for part in after}


def clocks(server: Server) -> dict[str, float]:
    """Return the CPU clocks of the server."""
    time.sleep(SETTLE)
    answer = server.http.get(SWITCH)
    answer.raise_for_status()
    told: dict[str, Any] = answer.json()
    inside = sum(sum(taken) for taken in told["timed"].values()) / 1e6
    return {"loop": told["loop"], "process": told["process"], "inside": inside}


def figures() -> Iterator[Figure]:
    """Return the figures of each client and each kind of cell."""
    for client, who in CLIENTS.items():
        for work, code in WORKS.items():
            key = f"recording_{client}_{work}"
            yield Figure(
                key,
                f"CPU of the loop for each message of {who} running `{code}`, less that without the reading of runs",
                "us",
                (ours_at_most(LIMIT, "us"),),
            )
            yield Figure(
                f"{key}_process",
                "the same of the whole process, the history's thread included",
                "us",
            )
            yield Figure(
                f"{key}_inside",
                "CPU inside of what reads, each call timed",
                "us",
                (ours_at_most(LIMIT, "us"),),
            )
            yield Figure(f"{key}_without", "what the loop uses for each without it", "us")
    yield from passage_figures()


MEASUREMENT = Measurement(
    name="recording",
    rounds=2,
    sides=("ours",),
    figures=tuple(figures()),
    run=run,
    setup=Setup(extension="recording_switch"),
)
