"""How soon a run is found among a million, and a list of runs, over HTTP and in the history itself."""

from __future__ import annotations

import asyncio
import logging
import random
import time
import uuid
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from kernel_status_ext.core.run import Failure, Origin, Run
from kernel_status_ext.core.words import RunStatus
from kernel_status_ext.tracking.history import History, Keep
from kernel_status_ext.tracking.shelf import Shelf

from .figures import Figure
from .inspect import ask
from .measurement import Measurement, Round, RoundFailedError, Values
from .server import Server

SIZES = {"few": 1000, "many": 1_000_000}
KERNELS = 200
RARE = 20_000
"""Every so many runs have died."""
BATCH = 20_000
LOOKS = 100
OPENINGS = 5
WRITER = "a server that has ended"
SPACE = uuid.UUID(int=0)
RUNS = "/api/kernels/runs"
BEGAN = datetime.now(timezone.utc) - timedelta(days=20)
TITLES = {
    "get": "one by its id",
    "list": "the newest 50",
    "kernel": "the newest 50 of a kernel",
    "died": "the newest 50 that died, of which there are few",
    "before": "50 before any of them",
}
WAYS = {"http": "GET", "history": "the history itself"}


def run(server: Server, turn: Round) -> Values:
    """Look runs up among few, then among many."""
    values: Values = {}
    path = server.process.root / "data" / "kernel_status_ext" / "runs.sqlite3"
    filled = 0
    for size, count in SIZES.items():
        began = time.perf_counter()
        fill(path, range(filled, count))
        took, megabytes = time.perf_counter() - began, path.stat().st_size / 2**20
        turn.remarks.append(f"{count:,} runs: {megabytes:.0f} MB, filled in {took:.0f} s")
        filled = count
        for way, taken in (
            ("history", asyncio.run(in_history(path, count))),
            ("http", over_http(server, count)),
        ):
            values |= {f"lookup_{key}_{way}_{size}": each for key, each in taken.items()}
    return values | {"lookup_open": [opened(path) for _ in range(OPENINGS)]}


def fill(path: Path, numbers: range) -> None:
    """Write runs as a server of the same user does."""
    with closing(Shelf(path, WRITER)) as shelf:
        for start in range(numbers.start, numbers.stop, BATCH):
            batch = numbers[start - numbers.start :][:BATCH]
            shelf.put(map(made, batch), datetime.now(timezone.utc))


def made(number: int) -> Run:
    """Return one of the runs."""
    began = BEGAN + timedelta(seconds=number)
    has_died = number % RARE == 0
    return Run(
        run_id(number),
        kernel_id(number),
        "python3",
        Origin.WEBSOCKET,
        RunStatus.DIED if has_died else RunStatus.OK,
        session=kernel_id(number),
        path=f"notebooks/{number % KERNELS}.ipynb",
        code=f"frame = frame.assign(total=frame.price * {number})\nframe.describe()",
        username="somebody",
        generation=0,
        worker_pid=4711,
        queued_at=began,
        started_at=began,
        ended_at=began + timedelta(seconds=1),
        execution_count=number,
        error=Failure("MemoryError", "") if has_died else None,
        reason="Its kernel died." if has_died else "",
    )


def run_id(number: int) -> str:
    """Return the id of one of the runs."""
    return str(uuid.uuid5(SPACE, str(number)))


def kernel_id(number: int) -> str:
    """Return the id of the kernel of one of the runs."""
    return str(uuid.uuid5(SPACE, f"kernel {number % KERNELS}"))


def opened(path: Path) -> float:
    """Return the milliseconds until a history that is opened gives its first answer."""
    began = time.perf_counter()
    with closing(history(path)) as opening:
        asyncio.run(ensured(opening.get(run_id(0))))
        return (time.perf_counter() - began) * 1000


def history(path: Path) -> History:
    """Open the file as another server would."""
    return History(
        str(path), Keep(), logging.getLogger("lookup"), lambda: datetime.now(timezone.utc)
    )


async def in_history(path: Path, count: int) -> Values:
    """Return the milliseconds of each question to the history itself."""
    with closing(history(path)) as asked:
        return {
            "get": await timed(lambda: asked.get(run_id(any_of(count)))),
            "list": await timed(asked.find),
            "kernel": await timed(lambda: asked.find(kernel_id=kernel_id(any_of(count)))),
            "died": await timed(lambda: asked.find(status={RunStatus.DIED})),
            "before": await timed(lambda: asked.find(before=run_id(any_of(count)))),
        }


async def timed(question: Callable[[], Coroutine[Any, Any, Any]]) -> list[float]:
    """Ask again and again; return the milliseconds of each."""
    taken = []
    for _ in range(LOOKS):
        asked = time.perf_counter()
        await ensured(question())
        taken.append((time.perf_counter() - asked) * 1000)
    return taken


async def ensured(question: Coroutine[Any, Any, Any]) -> None:
    """Await an answer, which must be there."""
    if not await question:
        raise RoundFailedError("the history has not found what is there")


def over_http(server: Server, count: int) -> Values:
    """Return the milliseconds of each call."""
    paths: dict[str, Callable[[], str]] = {
        "get": lambda: f"{RUNS}/{run_id(any_of(count))}",
        "list": lambda: RUNS,
        "kernel": lambda: f"/api/kernels/{kernel_id(any_of(count))}/runs",
        "died": lambda: f"{RUNS}?status=died",
        "before": lambda: f"{RUNS}?before={run_id(any_of(count))}",
    }
    return {key: [ask(server, path()) for _ in range(LOOKS)] for key, path in paths.items()}


def any_of(count: int) -> int:
    """Return the number of any run but the first, before which there is none."""
    return random.randrange(1, count)


def figures() -> Iterator[Figure]:
    """Return the figures of every question."""
    for key, title in TITLES.items():
        for way, asked in WAYS.items():
            for size, count in SIZES.items():
                yield Figure(
                    f"lookup_{key}_{way}_{size}", f"{asked}, {count:,} runs: {title}", "ms"
                )


MEASUREMENT = Measurement(
    name="lookup",
    rounds=1,
    heavy=True,
    sides=("ours",),
    figures=(
        *figures(),
        Figure("lookup_open", "a history is opened and finds the oldest run", "ms"),
    ),
    run=run,
)
