"""The only place where tests send runs and read what becomes of them.

told = execute(server, kernel, "print(1)")             # to its end
with sent(server, kernel, gate.cell) as stream:        # as it comes
    stream.until(named("stdout"))
run = ended(server, submit(server, kernel, "1")["run_id"])
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import httpx

from .server import PATIENCE, Server, eventually
from .sse import EVENT_STREAM, Event, Stream, parse
from .stories import moment

Run = dict[str, Any]

RUNS = "api/kernels/runs"
"""The runs of all kernels."""

RUN_KEYS = {
    *("run_id", "kernel_id", "kernel_name", "session", "path", "code", "status", "username"),
    *("timeout", "worker_pid", "generation", "queued_at", "started_at", "ended_at"),
    *("execution_count", "error", "reason"),
}
UNDERWAY = {"queued", "running"}
ENDED = {"ok", "error", "aborted", "died", "lost"}
EVENT_KEYS = {
    "run": {"run"},
    "stdout": {"data"},
    "stderr": {"data"},
    "display": {"data", "metadata", "display_id", "update"},
    "clear": {"wait"},
    "result": {"data", "metadata", "execution_count"},
    "done": {"run_id", "success", "status", "output"},
    "truncated": {"dropped_events", "dropped_bytes"},
}
NOTHING = {"mimetype": "text/plain", "data": ""}
"""The output of a run without a result, and of one that failed."""


def runs_of(kernel: str) -> str:
    """The path of a kernel's runs."""
    return f"api/kernels/{kernel}/runs"


def place(run_id: str, below: str = "") -> str:
    """The path of a run, or of what is below it."""
    return f"{RUNS}/{run_id}{below}"


# -- what is told of a run


def checked(run: Run) -> Run:
    """The same, after a look at its shape."""
    assert set(run) == RUN_KEYS
    assert run["status"] in UNDERWAY | ENDED
    times = [run[key] for key in ("queued_at", "started_at", "ended_at")]
    order = [moment(each) for each in times if each is not None]
    assert order == sorted(order), run
    if run["status"] in UNDERWAY:
        assert run["ended_at"] is None, run
    elif run["status"] != "lost":
        assert run["ended_at"] is not None, run
    if run["status"] in ("queued", "running"):
        assert (run["started_at"] is None) == (run["status"] == "queued"), run
    _check_failure(run)
    return run


def _check_failure(run: Run) -> None:
    """What went wrong is told of what went wrong, and of nothing else."""
    if run["error"] is not None:
        assert set(run["error"]) == {"ename", "evalue"}
        assert run["status"] in ("running", "error", "aborted"), run
    if run["status"] == "error":
        assert run["error"] is not None
    if run["status"] in ("ok", "queued"):
        assert not run["reason"], run
    if run["status"] in ("aborted", "died", "lost"):
        assert len(run["reason"].split()) > 1, run


def look(server: Server, run_id: str, kernel_id: str | None = None) -> Run:
    """The run as it is now: the first of this id, or that of a kernel."""
    body = server.get(place(run_id, f"?kernel_id={kernel_id}" if kernel_id else ""))
    assert set(body) == {"run"}
    return checked(body["run"])


def look_for(server: Server, run_id: str, *statuses: str, timeout: float = PATIENCE) -> Run:
    """Wait until the run is one of these and give it."""

    def found() -> Run | None:
        answer = server.http.get(place(run_id))
        if answer.status_code == 404:
            return None  # it is not known yet
        run = look(server, run_id)
        return run if run["status"] in statuses else None

    return eventually(found, timeout, f"{run_id} is {' or '.join(statuses)}")


def started(server: Server, run_id: str) -> Run:
    """Wait until the kernel runs it."""
    return look_for(server, run_id, "running")


def ended(server: Server, run_id: str, timeout: float = PATIENCE) -> Run:
    """Wait until it has ended."""
    return look_for(server, run_id, *ENDED, timeout=timeout)


def listed(server: Server, kernel: str = "", **params: object) -> list[Run]:
    """The runs of a kernel, or of all, newest first, as a list tells them."""
    body = server.get(runs_of(kernel) if kernel else RUNS, **params)
    assert set(body) == {"runs", "next"}
    return [checked(run) for run in body["runs"]]


# -- streams


@dataclass(frozen=True)
class Told:
    """What a whole stream has told, after a look at its grammar."""

    events: Sequence[Event]

    @property
    def names(self) -> list[str]:
        """What kinds of events there were."""
        return [event.name for event in self.events]

    def of(self, name: str) -> list[Any]:
        """The data of the events of this name."""
        return [event.data for event in self.events if event.name == name]

    def text(self, name: str) -> str:
        """All that was written to this stream."""
        return "".join(data["data"] for data in self.of(name))

    @property
    def run(self) -> Run:
        """The run as it was at first."""
        return self.events[0].data["run"]

    @property
    def done(self) -> dict[str, Any]:
        """How it ended."""
        return self.events[-1].data

    @property
    def status(self) -> str:
        """Its last word."""
        return self.done["status"]


def whole(events: Sequence[Event]) -> Told:
    """What these events have told, which must be all of a stream."""
    told = Told(events)
    assert (told.names[:1], told.names[-1:]) == (["run"], ["done"]), told.names
    assert [told.names.count(each) for each in ("run", "done")] == [1, 1], told.names
    assert [event.id for event in events] == [str(at) for at in range(1, len(events) + 1)]
    for event in events:
        assert set(event.data) == EVENT_KEYS[event.name], event
    checked(told.run)
    _check_end(told)
    return told


def _check_end(told: Told) -> None:
    """Its last event, and that a failure said why before."""
    done = told.done
    assert done["run_id"] == told.run["run_id"]
    assert done["status"] in ENDED
    assert done["success"] is (done["status"] == "ok")
    assert set(done["output"]) == {"mimetype", "data"}
    assert all(isinstance(each, str) for each in done["output"].values())
    if not done["success"]:
        assert done["output"] == NOTHING
        assert told.text("stderr"), "a failure says why"


class RunStream(Stream):
    """The stream of a run; what has come is kept in `told`."""

    def __init__(
        self,
        server: Server,
        path: str,
        call: AbstractContextManager[httpx.Response] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(server, path, headers)
        self._call = call or self._call
        self.told: list[Event] = []

    def next(self, timeout: float = PATIENCE) -> Event:
        """Wait for the next event; raises as `Stream.next` does."""
        self.told.append(super().next(timeout))
        return self.told[-1]

    def whole(self, timeout: float = PATIENCE) -> Told:
        """Read on to the end and give all that was told."""
        self.ended(timeout)
        assert self.broken is None, self.broken
        return whole(self.told)

    def silent(self, seconds: float = 0.3) -> bool:
        """Whether nothing comes for so long."""
        try:
            event = super().next(seconds)
        except AssertionError as error:
            return str(error).startswith("nothing came")
        self.told.append(event)
        return False


def sent(server: Server, kernel: str, code: str, **body: object) -> RunStream:
    """Send a run whose stream is to be read."""
    call = server.http.stream(
        "POST",
        runs_of(kernel),
        json={"code": code, **body},
        headers={"Accept": EVENT_STREAM},
        timeout=httpx.Timeout(60, read=None),
    )
    return RunStream(server, runs_of(kernel), call)


def followed(server: Server, run_id: str, after: object = None) -> RunStream:
    """The stream of a run once more, from the event after this one on."""
    headers = {} if after is None else {"Last-Event-ID": str(after)}
    return RunStream(server, place(run_id, "/events"), headers=headers)


def named(name: str) -> Callable[[Event], bool]:
    """Whether an event has this name."""
    return lambda event: event.name == name


def execute(
    server: Server, kernel: str, code: str, within: float = PATIENCE, **body: object
) -> Told:
    """Run code to its end."""
    with sent(server, kernel, code, **body) as stream:
        return stream.whole(within)


def pieces(body: bytes) -> list[str]:
    """The events of a stream as they travelled, without comments."""
    blocks = body.decode().split("\n\n")
    assert blocks.pop() == "", "it ends within an event"
    return [block for block in blocks if not block.startswith(":")]


def sent_raw(server: Server, kernel: str, code: str, **body: object) -> list[str]:
    """Run code to its end and give the events as they travelled."""
    answer = server.http.post(
        runs_of(kernel), json={"code": code, **body}, headers={"Accept": EVENT_STREAM}
    )
    assert answer.status_code == 200, answer.text
    return pieces(answer.content)


def read(travelled: list[str]) -> Told:
    """What the events of a whole stream tell, as they travelled."""
    return whole(list(parse("\n\n".join([*travelled, "", ""]).split("\n"))))


def followed_raw(server: Server, run_id: str, after: object = None) -> list[str]:
    """The events of a run that has ended as they travel again, after this one."""
    headers = {} if after is None else {"Last-Event-ID": str(after)}
    answer = server.http.get(place(run_id, "/events"), headers={"Accept": EVENT_STREAM, **headers})
    assert answer.status_code in (200, 204), answer.text
    return pieces(answer.content) if answer.status_code == 200 else []


# -- calls


def post(server: Server, kernel: str, code: str, **body: object) -> httpx.Response:
    """The answer to a run whose stream is not wanted."""
    return server.http.post(
        runs_of(kernel), json={"code": code, **body}, headers={"Accept": "application/json"}
    )


def submit(server: Server, kernel: str, code: str, **body: object) -> Run:
    """Send a run that must be taken, and give it as it was answered."""
    answer = post(server, kernel, code, **body)
    assert answer.status_code == 202, answer.text
    assert set(answer.json()) == {"run"}
    run = checked(answer.json()["run"])
    assert found(server, answer)["run_id"] == run["run_id"]
    return run


def found(server: Server, answer: httpx.Response) -> Run:
    """The run at the `Location` of an answer."""
    again = server.http.get(str(answer.url.join(answer.headers["Location"])))
    assert again.status_code == 200, again.text
    return checked(again.json()["run"])


def refusal(answer: httpx.Response, code: int) -> str:
    """The sentence of an answer that must be an error with this code."""
    assert answer.status_code == code, f"{answer.status_code} {answer.text[:600]}"
    assert answer.headers["Content-Type"].startswith("application/json")
    assert {"message", "reason"} <= set(answer.json())
    assert len(answer.json()["message"].split()) > 1, answer.text
    return answer.json()["message"]


def interrupt(server: Server, run_id: str) -> httpx.Response:
    """The answer to the wish to interrupt a run."""
    return server.http.post(place(run_id, "/interrupt"))


def interruptible(server: Server, **options: object) -> str:
    """The kernelspec of a fake kernel that is interrupted by a message."""
    name = server.fake(**options)
    file = server.data / "kernels" / name / "kernel.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"interrupt_mode": "message"}))
    return name
