"""What the server holds for readers of the stream of changes who have stopped to read."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from statistics import fmean

from .figures import Figure, ours_at_most, ours_never_above
from .measurement import Measurement, Round, RoundFailedError, Values
from .observer import start_idle_kernel
from .process import Setup
from .queues import waiting
from .readers import Readers, Wanted
from .server import Server

READERS = 200
CHANGES = 20_000
WHILE_READ = 2_000
EACH_TURN = 20
KIB = 1024
LIMIT = 64
SMALLEST_BUFFER = 4096  # what waits shall wait at the server
PIECE = 0.2
SETTLE = 1.0


def run(server: Server, _round: Round) -> Values:
    """Let readers stop while changes come, then others read, and look at what the server holds."""
    kernel_id = start_idle_kernel(server)
    make_steady(server, kernel_id)
    with ExitStack() as stack:
        before = server.process.rss()
        stopped = stack.enter_context(Readers(server, READERS, receive_buffer=SMALLEST_BUFFER))
        stopped.hear(snapshot_since(0))
        feed(server, kernel_id, CHANGES)
        held = server.process.rss()
        queued = [each / KIB for each in waiting(stopped.port, stopped.ports())]
        reading = stack.enter_context(Readers(server, READERS))
        feed_and_read(server, kernel_id, reading)
        after = server.process.rss()
        ensure_behind(server, kernel_id, stopped)
    memory, reader = (held - before) / READERS / KIB, (after - held) / READERS / KIB
    values = {"slowreader_memory": [memory], "slowreader_reading": [reader]}
    if queued:
        values["slowreader_queue"] = queued
        values["slowreader_held"] = [memory - reader + fmean(queued)]
    return values


def make_steady(server: Server, kernel_id: str) -> None:
    """Let the server grow to what changes and readers need once, whoever watches."""
    feed(server, kernel_id, CHANGES)
    with Readers(server, READERS // 10) as readers:
        feed_and_read(server, kernel_id, readers)
    time.sleep(SETTLE)


def feed(server: Server, kernel_id: str, count: int) -> None:
    """Let the kernel's status change so often."""
    wanted = {"kernel_id": kernel_id, "count": count, "each_turn": EACH_TURN}
    answer = server.http.post("/change-feeder", json=wanted)
    answer.raise_for_status()
    if answer.json()["changes"] < count:
        raise RoundFailedError(f"not all of {count} changes were made: {answer.text}")


def feed_and_read(server: Server, kernel_id: str, readers: Readers) -> None:
    """Let the status change while readers read all of it."""
    with ThreadPoolExecutor(1) as pool:
        readers.hear(snapshot_since(0))
        fed: Future[None] = pool.submit(feed, server, kernel_id, WHILE_READ)
        while not fed.done():
            readers.read_for(PIECE)
        fed.result()
        readers.read_for(SETTLE)


def snapshot_since(revision: int) -> Wanted:
    """Return what tells whether an event is a snapshot of this revision or a later one."""
    return lambda event: event[0] == "snapshot" and event[1]["revision"] >= revision


def ensure_behind(server: Server, kernel_id: str, stopped: Readers) -> None:
    """Make sure that those who stopped were dropped, and are whole again when they read on."""
    revision = server.status(kernel_id).json()["revision"]
    stopped.hear(snapshot_since(revision))


MEASUREMENT = Measurement(
    name="slowreader",
    rounds=3,
    heavy=True,
    sides=("ours",),
    figures=(
        Figure(
            "slowreader_memory",
            f"the server's memory for each of {READERS} who stop, {CHANGES} changes later",
            "KiB",
            (ours_at_most(LIMIT, "KiB"),),
        ),
        Figure("slowreader_reading", "the same for one who reads", "KiB"),
        Figure(
            "slowreader_queue",
            "what the system holds for one who has stopped, as far as it is to be sent",
            "KiB",
            (ours_never_above(LIMIT, "KiB"),),
        ),
        Figure(
            "slowreader_held",
            "both together, without what one costs who reads",
            "KiB",
            (ours_at_most(LIMIT, "KiB"),),
            note="Stock has no such stream.",
        ),
    ),
    run=run,
    setup=Setup(extension="change_feeder"),
)
