"""What the reading of runs does for each kind of message, timed apart from sockets and servers."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

from jupyter_client.session import Session
from jupyter_server.services.kernels.connection.base import serialize_msg_to_ws_v1

from kernel_status_ext.api.recordings import Recordings
from kernel_status_ext.api.sse import Playback
from kernel_status_ext.core.events import Answered, ProcessStarted, RequestBegan, RequestEnded
from kernel_status_ext.core.messages import Header, read_header
from kernel_status_ext.core.model import Request
from kernel_status_ext.core.routing import Channel, Message, Routing, Sender
from kernel_status_ext.core.run import Origin
from kernel_status_ext.jupyter.charge import Settings
from kernel_status_ext.jupyter.metrics import Metrics
from kernel_status_ext.jupyter.passing import Passing
from kernel_status_ext.jupyter.runs import Runs
from kernel_status_ext.tracking.desk import Order
from kernel_status_ext.tracking.iopub import split
from kernel_status_ext.tracking.tracker import Tracker
from kernel_status_ext.tracking.wire import Wire

from .direct import request
from .figures import Figure
from .measurement import Values

STORIES = 1500
KERNEL = "00000000-0000-0000-0000-000000000000"
CODE = "1+1"
RESULT = {"data": {"text/plain": "2"}, "metadata": {}, "execution_count": 1}
REPLY = {"status": "ok", "execution_count": 1, "user_expressions": {}, "payload": []}
PUBLISHED: dict[str, dict[str, Any]] = {
    "execute_input": {"code": CODE, "execution_count": 1},
    "stream": {"name": "stdout", "text": "a line of text\n"},
    "execute_result": RESULT,
}
SENDERS = {
    "foreign": ("busy", *PUBLISHED, "idle"),
    "websocket": ("execute_request", "busy", *PUBLISHED, "idle", "execute_reply"),
    "ours": ("busy", *PUBLISHED, "idle", "execute_reply"),
}
"""Who sends a run, and what is read of it in this order; `ours` is one of POST .../runs."""

Taken = dict[str, list[float]]


class World:
    """All that a server has for runs, and one connected kernel; to be used in a loop."""

    def __init__(self, folder: Path) -> None:
        """Make it; the history's file is in the folder."""
        log = logging.getLogger("passages")
        self.tracker = Tracker(log)
        self.session = Session(key=b"a key")
        self.routing = Routing()
        self.sender = Sender()
        follower = SimpleNamespace(closed=False, routing=self.routing, desk=self)
        charge: Any = SimpleNamespace(follower=follower)
        settings = Settings(history_path=str(folder / "runs.sqlite3"))
        self.runs = Runs(self.tracker, settings, lambda _: charge, log)
        self.runs.sessions = SimpleNamespace(cursor=session_table())
        self.recordings = Recordings(2**23)
        self.runs.ledger.listen(self.recordings.changed)
        metrics = Metrics(self.tracker, lambda: 0, lambda: 0)
        self.runs.ledger.listen(metrics.run_changed)
        self.tracker.add(KERNEL, "python3")
        self.tracker.feed(KERNEL, ProcessStarted(0, self.tracker.now(), 4711))
        kernel = self.tracker.feed(KERNEL, Answered(0, self.tracker.now()))
        assert kernel is not None
        self.routing.register(self.runs.reading(kernel))
        self.passing = Passing(self.runs, KERNEL, "somebody", log)
        self.taken: Taken = defaultdict(list)

    def take(self, _order: Order) -> None:
        """Send nothing: this stands in for the way to the shell."""

    def done(self, _run_id: str) -> None:
        """Forget nothing."""

    def tell(self, who: str) -> None:
        """Let one run pass, and note how long each message took."""
        asked = self.session.msg("execute_request", request(CODE))
        if who == "ours":
            self.submit(asked["header"]["msg_id"])
        for kind in SENDERS[who]:
            read = self.reading(who, kind, asked)
            began = time.perf_counter()
            read()
            self.taken[f"{who}_{kind}"].append((time.perf_counter() - began) * 1e6)

    def reading(self, who: str, kind: str, asked: dict[str, Any]) -> Callable[[], object]:
        """Return what the server does for a message of this kind, about what was asked."""
        now, work = self.tracker.now(), Request(asked["header"]["msg_id"], is_run=True)
        if kind in ("busy", "idle"):
            event = (RequestBegan if kind == "busy" else RequestEnded)(0, now, work)
            self.tracker.feed(KERNEL, event)  # it does so for kernels, whoever follows runs
            return partial(self.runs.ledger.heard, KERNEL, event)
        if kind == "execute_request":
            raw = bytes(serialize_msg_to_ws_v1(asked, "shell", self.session.pack))
            return partial(self.passing.to_kernel, raw, (), v1=True)
        content = REPLY if kind == "execute_reply" else PUBLISHED[kind]
        frames = self.session.serialize(self.session.msg(kind, content, parent=asked), b"topic")
        if kind == "execute_reply" and who == "websocket":
            return partial(self.passing.from_kernel, "shell", frames)
        parts = split(frames) or []
        header, parent = read_header(parts[1]), read_header(parts[2])
        channel = Channel.SHELL if kind == "execute_reply" else Channel.IOPUB
        return partial(self.route, channel, header, parent, parts)

    def route(self, channel: Channel, header: Header, parent: Header, parts: list[bytes]) -> None:
        """Do what a follower does with a message whose headers it has read."""
        reading = self.routing.reading(channel, header.msg_type)
        if reading is not None:
            is_genuine = partial(Wire.is_genuine, self, parts)  # type: ignore[arg-type]
            reading(Message(header, parent, parts, self.sender, is_genuine))

    def submit(self, run_id: str) -> None:
        """Let it be one of POST .../runs, whose stream somebody reads."""
        kernel = self.tracker.get(KERNEL)
        assert kernel is not None
        run = self.runs.ledger.new(
            run_id, kernel, Origin.API, code=CODE, queued_at=datetime.now(timezone.utc)
        )
        recording = self.recordings.begin(run)
        recording.join(Playback(written, lambda: None), 0, lambda: None)
        self.runs.errands.submit(run, Order(run_id, {}, {}, ""), recording.put)


def written(_piece: bytes) -> asyncio.Future[None]:
    """Take what is written at once."""
    future = asyncio.get_running_loop().create_future()
    future.set_result(None)
    return future


def session_table() -> sqlite3.Cursor:
    """Return a table of sessions as the session manager has it."""
    cursor = sqlite3.connect(":memory:").cursor()
    cursor.execute("CREATE TABLE session (session_id, path, name, type, kernel_id)")
    row = (str(uuid.uuid4()), "a.ipynb", "", "notebook", KERNEL)
    cursor.execute("INSERT INTO session VALUES (?, ?, ?, ?, ?)", row)
    return cursor


async def tell_all(folder: Path) -> Taken:
    """Let runs of every sender pass in turn."""
    world = World(folder)
    try:
        for _ in range(STORIES):
            for who in SENDERS:
                world.tell(who)
                await asyncio.sleep(0)
    finally:
        world.runs.history.close()
    return world.taken


def passages() -> Values:
    """Return the median microseconds of each kind of message, and the mean of those of a run."""
    with tempfile.TemporaryDirectory(prefix="benchmark-passages-") as folder:
        taken = asyncio.run(tell_all(Path(folder)))
    values: Values = {f"passage_{key}": [median(each)] for key, each in taken.items()}
    for who, kinds in SENDERS.items():
        total = sum(values[f"passage_{who}_{kind}"][0] for kind in kinds)
        values[f"passage_{who}"] = [total / len(kinds)]
    return values


def figures() -> list[Figure]:
    """Return the figure of each kind of message."""
    made = []
    for who, kinds in SENDERS.items():
        made += [Figure(f"passage_{who}_{kind}", f"a run of {who}: {kind}", "us") for kind in kinds]
        made.append(Figure(f"passage_{who}", f"a run of {who}: the mean of its messages", "us"))
    return made
