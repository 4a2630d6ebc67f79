"""How long `1+1` takes as a run over HTTP, beside a direct client and stock's websocket."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing
from statistics import median

from kernel_status_ext.client import KernelStatusClient, KernelStatusError

from .direct import DirectClient
from .figures import Figure, ours_at_most, ratio_at_most
from .measurement import Measurement, Round, RoundFailedError, Values
from .observer import start_idle_kernel
from .posting import Poster
from .server import Server
from .websocket import AFTER_A_PAUSE, IN_A_ROW, PAUSE, V1, talk

CODE = "1+1"
WARM_UP = 2
BLOCKS = 4
IN_A_BLOCK = 10
OF_DIRECT = 2.0
OF_WEBSOCKET = 0.3


def run(server: Server, _round: Round) -> Values:
    """Run `1+1` again and again in every way that this server has."""
    kernel_id = start_idle_kernel(server)
    with closing(DirectClient(server.connection_file(kernel_id))) as direct:
        if server.side == "stock":
            return {
                "runs": talk(server, kernel_id, V1, IN_A_ROW),
                "runs_paused": talk(server, kernel_id, V1, AFTER_A_PAUSE, PAUSE),
                "runs_direct": block(lambda: direct.round_trip(CODE)),
            }
        with closing(Poster(server, kernel_id)) as poster, library(server) as client:
            values = in_turn(
                {
                    "runs_direct": lambda: direct.round_trip(CODE),
                    "runs": lambda: poster.round_trip(CODE),
                    "runs_client": lambda: by_library(client, kernel_id),
                }
            )
            return values | {"runs_paused": [paused(poster) for _ in range(AFTER_A_PAUSE)]}


def in_turn(ways: dict[str, Callable[[], float]]) -> Values:
    """Run it in each way for a block, and again; and divide each block's median by the direct one's."""
    values: Values = defaultdict(list)
    for _ in range(BLOCKS):
        taken = {key: block(way) for key, way in ways.items()}
        for key, each in taken.items():
            values[key] += each
        values["runs_of_direct"].append(median(taken["runs"]) / median(taken["runs_direct"]))
    return values


def block(way: Callable[[], float]) -> list[float]:
    """Return the milliseconds of each of some runs in a row, once what was before is over."""
    time.sleep(PAUSE)
    for _ in range(WARM_UP):
        way()
    return [way() * 1000 for _ in range(IN_A_BLOCK)]


def paused(poster: Poster) -> float:
    """Return the milliseconds of one after a pause."""
    time.sleep(PAUSE)
    return poster.round_trip(CODE) * 1000


def library(server: Server) -> KernelStatusClient:
    """Return our own client."""
    return KernelStatusClient(server.url, server.process.token)


def by_library(client: KernelStatusClient, kernel_id: str) -> float:
    """Return the seconds that a run takes with our own client."""
    sent = time.perf_counter()
    try:
        ended = client.run(kernel_id, CODE)
    except KernelStatusError as error:
        raise RoundFailedError(f"our own client: {error}") from error
    taken = time.perf_counter() - sent
    if ended.status != "ok":
        raise RoundFailedError(f"a run did not end well: {ended}")
    return taken


MEASUREMENT = Measurement(
    name="runs",
    rounds=6,
    figures=(
        Figure(
            "runs",
            "`1+1` by POST .../runs with SSE, until `done`; stock: by websocket in a row, until reply and idle",
            "ms",
            (ratio_at_most(OF_WEBSOCKET),),
        ),
        Figure("runs_direct", "the same by a direct zmq client, until reply and idle", "ms"),
        Figure(
            "runs_of_direct",
            f"{IN_A_BLOCK} by POST .../runs in a row, divided by {IN_A_BLOCK} by the direct client before them (medians), on one kernel",
            "times",
            (ours_at_most(OF_DIRECT, "times"),),
            note="Little drift of the machine between the two: this is the one to trust.",
        ),
        Figure("runs_client", "the same by KernelStatusClient.run", "ms"),
        Figure("runs_paused", f"as the first, each after a pause of {PAUSE:g} s", "ms"),
    ),
    run=run,
)
