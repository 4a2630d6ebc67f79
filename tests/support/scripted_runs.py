"""A server of runs that needs no network: it answers the steps of conversations, and breaks."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from kernel_status_ext.client.run_calls import RunCalls
from kernel_status_ext.client.runs import RunEvent
from kernel_status_ext.client.steps import Answer, Ask, Failed, Read, Rest, Talk, TellOfRun

SERVER, KERNEL = "http://server/", "k"
STREAM = "text/event-stream"

RUN: dict[str, Any] = {
    "run_id": "r",
    "kernel_id": KERNEL,
    "kernel_name": "python3",
    "session": None,
    "path": None,
    "code": "1",
    "status": "running",
    "username": None,
    "timeout": None,
    "worker_pid": 7,
    "generation": 0,
    "queued_at": "2026-01-02T03:04:05.000000Z",
    "started_at": "2026-01-02T03:04:05.000000Z",
    "ended_at": None,
    "execution_count": None,
    "error": None,
    "reason": "",
}
ENDED = {**RUN, "status": "ok", "ended_at": "2026-01-02T03:04:07.500000Z", "execution_count": 3}

TOLD: list[tuple[str, Any]] = [
    ("run", {"run": RUN}),
    ("stdout", {"data": "a\r\nä"}),
    ("stderr", {"data": "b"}),
    ("moon", {"full": True}),
    ("display", {"data": {"text/plain": "d"}, "metadata": {}, "display_id": None, "update": False}),
    ("clear", {"wait": True}),
    ("truncated", {"dropped_events": 2, "dropped_bytes": 9}),
    ("result", {"data": {"text/plain": "1"}, "metadata": {}, "execution_count": 3}),
    (
        "done",
        {
            "run_id": "r",
            "success": True,
            "status": "ok",
            "output": {"mimetype": "text/plain", "data": "1"},
        },
    ),
]
"""All events there are, and one that this client does not know."""

KINDS = [name for name, _ in TOLD if name != "moon"]


def stream(told: list[tuple[str, Any]] = TOLD, after: int = 0) -> bytes:
    """Events with their numbers, and a comment before each."""
    numbered = list(enumerate(told, start=1))[after:]
    return "".join(
        f": hello\n\nid: {number}\nevent: {name}\ndata: {json.dumps(data)}\n\n"
        for number, (name, data) in numbered
    ).encode()


def answer(body: Any, status: int = 200, location: str = "") -> Answer:
    """An answer in JSON."""
    return Answer(status, json.dumps(body).encode(), "application/json", location)


def refused(status: int, reason: str = "a word", location: str = "") -> Answer:
    """An error in our shape."""
    return answer({"message": "A sentence.", "reason": reason}, status, location)


CUT = Failed("cut")
NOBODY = Failed("refused", connected=False)
NO_SERVER = Answer(502)


@dataclass
class Time:
    """A clock that goes on when it is told."""

    now: float = 0.0

    def __call__(self) -> float:
        """Tell seconds."""
        return self.now


@dataclass
class Scripted:
    """A server that runs what it is sent, and loses answers.

    Attributes:
        told: What its runs put out.
        ended: How they are in the end.
        breaks: What comes instead of the next answers, or how many bytes of a stream come before
            it breaks; None for an answer as it should be.
        kept: Whether output is kept.
    """

    told: list[tuple[str, Any]] = field(default_factory=lambda: TOLD)
    ended: dict[str, Any] = field(default_factory=lambda: ENDED)
    breaks: Iterator[Failed | Answer | int | None] = field(default_factory=lambda: iter(()))
    kept: bool = True
    clock: Time = field(default_factory=Time)
    asked: list[Ask] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    """The ids of what was run."""
    _pieces: list[bytes | Failed | None] = field(default_factory=list)

    def reply(self, step: Any) -> Any:
        """Answer a step."""
        match step:
            case Read():
                return self._pieces.pop(0) if self._pieces else None
            case Rest(seconds):
                self.clock.now += seconds
                return None
            case Ask():
                self.asked.append(step)
                return self._ask(step)
        return None

    def _ask(self, ask: Ask) -> Answer | Failed:
        self._pieces = []
        broken = next(self.breaks, None)
        if isinstance(broken, Answer) or broken is NOBODY:  # it has not even arrived
            return broken
        given = self._answer(ask, broken if isinstance(broken, int) else None)
        return broken if isinstance(broken, Failed) else given

    def _answer(self, ask: Ask, limit: int | None) -> Answer:
        if ask.method == "POST":
            return self._post(ask, limit)
        if ask.path.endswith("/events"):
            if not self.kept:
                return refused(410)
            return self._streamed(int(ask.headers.get("Last-Event-ID", "0")), limit)
        return answer({"run": self.ended})

    def _post(self, ask: Ask, limit: int | None) -> Answer:
        if ask.body["run_id"] in self.runs:
            return refused(409, location="/api/kernels/runs/r")
        self.runs.append(ask.body["run_id"])
        if ask.headers["Accept"] == STREAM:
            return self._streamed(0, limit)
        return answer({"run": RUN}, 202, "/api/kernels/runs/r")

    def _streamed(self, after: int, limit: int | None) -> Answer:
        whole = stream(self.told, after)
        if not whole:
            return Answer(204)
        self._pieces = [whole[:limit], None if limit is None else CUT]
        return Answer(200, kind=STREAM)


def calls(server: Scripted, patience: float = 10) -> RunCalls:
    """The calls of a client of this server."""
    return RunCalls(SERVER, patience, server.clock)


def carried_on(
    talk: Talk[Any], reply: Callable[[Any], Any], heard: list[RunEvent] | None = None
) -> Any:
    """Carry on a conversation and give its outcome; errors are raised."""
    try:
        step = next(talk)
        while True:
            if isinstance(step, TellOfRun) and heard is not None:
                heard.append(step.event)
            step = talk.send(reply(step))
    except StopIteration as end:
        return end.value


class Pieces(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that comes piece by piece, and may break."""

    def __init__(self, server: Scripted) -> None:
        self.server = server

    def __iter__(self) -> Iterator[bytes]:
        """Give what comes."""
        while (piece := self.server.reply(Read())) is not None:
            if isinstance(piece, Failed):
                raise httpx.ReadError(piece.why)
            yield piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Give what comes."""
        for piece in self:
            yield piece


def transport(server: Scripted, kernel: dict[str, Any]) -> httpx.MockTransport:
    """What httpx sends requests through, for a client of this server and this one kernel."""

    def answers(request: httpx.Request) -> httpx.Response:
        path = request.url.path.lstrip("/")
        if path == "api/sessions":
            return httpx.Response(200, json=[])
        if path == "api/kernels/watch":
            told = stream([("snapshot", {"revision": 1, "kernels": [kernel]})])
            return httpx.Response(200, headers={"content-type": STREAM}, content=told)
        sent = json.loads(request.content) if request.content else None
        names = {"accept": "Accept", "last-event-id": "Last-Event-ID"}
        headers = {names[name]: each for name, each in request.headers.items() if name in names}
        query = dict(request.url.params)
        given = server.reply(Ask(path, query, method=request.method, body=sent, headers=headers))
        if isinstance(given, Failed):
            raise httpx.ReadError(given.why) if given.connected else httpx.ConnectError(given.why)
        said = {"content-type": given.kind, "location": given.location}
        said = {name: each for name, each in said.items() if each}
        if given.kind == STREAM:
            return httpx.Response(given.status, headers=said, stream=Pieces(server))
        return httpx.Response(given.status, headers=said, content=given.body)

    return httpx.MockTransport(answers)
