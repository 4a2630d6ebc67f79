"""Running code through whatever breaks: what is asked next, what is heard, what comes of it."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from support.scripted_runs import (
    CUT,
    ENDED,
    KERNEL,
    KINDS,
    NO_SERVER,
    NOBODY,
    RUN,
    TOLD,
    Scripted,
    answer,
    calls,
    carried_on,
    refused,
    stream,
)

from kernel_status_ext.client import (
    AnswerNotUnderstood,
    BadRequest,
    KernelNotFound,
    KernelStateUnreachable,
    NotInterrupted,
    Run,
    RunNotFound,
    ServerUnreachable,
    Truncated,
)
from kernel_status_ext.client.run_calls import asked_for
from kernel_status_ext.client.runs import NAMES, RunEvent
from kernel_status_ext.client.steps import Answer, Failed, Read, Rest


def run(server: Scripted, **more: Any) -> tuple[list[RunEvent], Run]:
    """Run code at a scripted server; give what was heard, and the run."""
    heard: list[RunEvent] = []
    talk = calls(server).run(KERNEL, asked_for("1", run_id="r", **more))
    return heard, carried_on(talk, server.reply, heard)


def names(heard: list[RunEvent]) -> list[str]:
    """What events were heard, by the names under which they travel."""
    return [NAMES[type(each)] for each in heard]


def test_a_run_without_trouble() -> None:
    """One POST, one look when it is over; events are typed, unknown ones skipped."""
    server = Scripted()
    heard, ended = run(server, timeout=4, silent=True, metadata={"a": 1})
    assert [(each.method, each.path) for each in server.asked] == [
        ("POST", "api/kernels/k/runs"),
        ("GET", "api/kernels/runs/r"),
    ]
    assert server.asked[0].body == {
        "code": "1",
        "run_id": "r",
        "timeout": 4,
        "silent": True,
        "metadata": {"a": 1},
    }
    assert names(heard) == KINDS
    assert [each.body for each in heard] == [data for name, data in TOLD if name != "moon"]
    assert (ended.status, ended.success, ended.output.data) == ("ok", True, "1")
    assert ended.lasted.total_seconds() == 2.5
    assert ended.body == {**ENDED, "output": TOLD[-1][1]["output"]}


@pytest.mark.parametrize(
    ("before", "pace"),
    [([], 1), ([CUT, None], 13), ([NO_SERVER], 13)],
    ids=["", "lost answer", "lost request"],
)
def test_a_break_at_every_byte(before: list[Failed | Answer | None], pace: int) -> None:
    """Wherever a stream breaks, and whatever became of the POST, all comes and nothing twice."""
    for cut in range(0, len(stream()), pace):
        server = Scripted(breaks=iter([*before, cut]))
        heard, ended = run(server)
        assert names(heard) == KINDS, cut
        assert (server.runs, ended.status) == (["r"], "ok"), cut


def test_many_breaks() -> None:
    """Something that cuts each stream after a few events loses nothing, however often."""
    lines = [("stdout", {"data": str(each)}) for each in range(20)]
    told = [TOLD[0], *lines, TOLD[-1]]
    longest = max(len(stream([each])) for each in told) + len("id: 22")
    for cut in range(longest, 2 * longest, 11):
        server = Scripted(told=told, breaks=itertools.repeat(cut, 30))
        heard, _ = run(server)
        assert [each.data for each in heard[1:-1]] == [str(each) for each in range(20)]


def test_what_is_asked_after_a_break() -> None:
    """The number of the last whole event, and none before the first has come."""
    first = len(stream(TOLD[:1]))
    server = Scripted(breaks=iter([5, first, CUT, 20]))
    run(server)
    resumed = [each.headers.get("Last-Event-ID") for each in server.asked[1:-1]]
    assert resumed == [None, "1", "1", "1"]
    assert {each.path for each in server.asked[1:-1]} == {"api/kernels/runs/r/events"}


def test_a_stream_that_begins_anew_is_not_heard_twice() -> None:
    """Something between that repeats what was asked for before is no matter."""
    server = Scripted(breaks=iter([len(stream(TOLD[:3]))]))
    talk = calls(server).run(KERNEL, asked_for("1", run_id="r"))
    heard: list[RunEvent] = []

    def forgetful(step: Any) -> Any:
        if getattr(step, "headers", None):
            step.headers.pop("Last-Event-ID", None)
        return server.reply(step)

    carried_on(talk, forgetful, heard)
    assert names(heard) == KINDS


def test_nothing_is_waited_for_after_the_end() -> None:
    """Something between may leave a stream open that the server has ended."""
    server, pieces = Scripted(), [stream()]

    def reply(step: Any) -> Any:
        return pieces.pop() if isinstance(step, Read) else server.reply(step)

    talk = calls(server).run(KERNEL, asked_for("1", run_id="r"))
    assert carried_on(talk, reply).success


def test_nobody_is_there() -> None:
    """Nobody to connect to at first raises at once; a server that goes away, after patience."""
    with pytest.raises(ServerUnreachable, match="refused") as raised:
        run(Scripted(breaks=iter([NOBODY])))
    assert "run r" not in str(raised.value)
    server = Scripted(breaks=itertools.chain([20], itertools.repeat(NOBODY)))
    with pytest.raises(ServerUnreachable, match="run r may go on there"):
        run(server)
    assert 10 < server.clock.now < 15


def test_patience_begins_anew() -> None:
    """Each time that the server has gone it has as long to come back."""
    away, back = [NOBODY] * 7, 5
    server = Scripted(breaks=iter([30, *away, back, *away[:4]]))
    heard, _ = run(server)
    assert names(heard) == KINDS
    assert server.clock.now > 15


def test_the_last_look_fails() -> None:
    """A server that goes right after the end takes nothing with it but the details."""
    server = Scripted(breaks=itertools.chain([None], itertools.repeat(NOBODY)))
    heard, ended = run(server)
    assert names(heard) == KINDS
    assert (ended.status, ended.output.data, ended.ended_at) == ("ok", "1", None)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (refused(409, "It is dead."), KernelStateUnreachable),
        (refused(404), KernelNotFound),
        (refused(400), BadRequest),
        (answer({}, 500), AnswerNotUnderstood),
        (Answer(200, kind="text/html"), AnswerNotUnderstood),
    ],
)
def test_nothing_is_run(reply: Answer, expected: type[Exception]) -> None:
    """A kernel that takes no work, or is not there, raises, with its reason."""
    with pytest.raises(expected) as raised:
        run(Scripted(breaks=iter([reply])))
    if reply.status == 409:
        assert raised.value.reason == "It is dead."


def test_what_makes_no_sense_is_not_sent() -> None:
    """A limit that is none, a field that is none."""
    for timeout in (0, -1, float("nan"), float("inf")):
        with pytest.raises(BadRequest, match="more than 0"):
            asked_for("1", timeout)
    with pytest.raises(TypeError, match="slient"):
        asked_for("1", slient=True)
    assert asked_for("1")["run_id"] != asked_for("1")["run_id"]


def test_the_output_is_not_kept() -> None:
    """What cannot be heard any more is said to be missing; the run is looked at to its end."""
    server = Scripted(breaks=iter([30]), kept=False)
    looks = iter([RUN, RUN])
    server_reply = server.reply

    def reply(step: Any) -> Any:
        given = server_reply(step)
        is_look = getattr(step, "path", "") == "api/kernels/runs/r"
        return answer({"run": next(looks, ENDED)}) if is_look else given

    heard: list[RunEvent] = []
    talk = calls(server).run(KERNEL, asked_for("1", run_id="r"))
    ended = carried_on(talk, reply, heard)
    assert names(heard) == ["run", "truncated", "done"]
    assert heard[1] == Truncated(dropped_events=None, dropped_bytes=None)
    assert (ended.status, heard[-1].success, ended.output.data) == ("ok", True, "")


def test_the_server_forgot_it() -> None:
    """A server that was started anew and remembers nothing does not know the run."""
    with pytest.raises(RunNotFound, match="A sentence"):
        run(Scripted(breaks=iter([30, NOBODY, refused(404)])))


def test_a_known_id() -> None:
    """An id that is known is followed and not run again; that of another kernel's is refused."""
    server = Scripted(runs=["r"])
    heard, ended = run(server)
    assert names(heard) == KINDS
    assert (ended.status, server.runs) == ("ok", ["r"])
    told = [("run", {"run": {**RUN, "kernel_id": "other"}}), *TOLD[1:]]
    with pytest.raises(BadRequest, match="of a run of kernel other"):
        run(Scripted(told=told, runs=["r"]))


@pytest.mark.parametrize("breaks", [[], [CUT], [NO_SERVER, CUT]])
def test_submitting(breaks: list[Failed | Answer]) -> None:
    """The run as it is taken; sent again where the answer was lost, and run once."""
    server = Scripted(breaks=iter(breaks))
    taken = carried_on(calls(server).submit(KERNEL, asked_for("1", run_id="r")), server.reply)
    assert (taken.run_id, server.runs) == ("r", ["r"])
    assert taken.has_ended == bool(breaks)


def test_following_a_run_of_somebody_else() -> None:
    """It begins with the first event, or, where nothing is kept, with the run as it is."""
    server, heard = Scripted(), []
    assert carried_on(calls(server).follow("r"), server.reply, heard).success
    assert names(heard) == KINDS
    server, heard = Scripted(kept=False), []
    assert carried_on(calls(server).follow("r"), server.reply, heard).success
    assert names(heard) == ["run", "truncated", "done"]


# -- interrupts ------------------------------------------------------------------------------


class Stubborn(Scripted):
    """A server whose run ends when its kernel is restarted or shut down, or after a while."""

    ends_at = float("inf")
    chatters = False
    restarted = "restarting"
    gone = 204

    def _ask(self, ask: Any) -> Answer | Failed:
        path = ask.path
        if path.endswith("/interrupt"):
            return answer({"run": RUN}, 202)
        if path.endswith("/restart") or ask.method == "DELETE":
            self.ends_at = self.clock.now
            model = {"status": self.restarted, "reason": "Oh."}
            return answer(model) if ask.method == "POST" else Answer(self.gone)
        if not path.endswith("/events"):
            return answer({"run": ENDED if self.clock.now >= self.ends_at else RUN})
        if not self.kept:
            return refused(410)
        self.opened, self.patience = self.clock.now, ask.patience
        return Answer(200, kind="text/event-stream")

    def reply(self, step: Any) -> Any:
        """Let time pass where a stream is read."""
        if type(step).__name__ != "Read":
            return super().reply(step)
        if self.chatters:
            self.clock.now += 0.1
            return stream(TOLD[:1])
        silence = min(self.patience, max(0.0, self.ends_at - self.clock.now))
        self.clock.now += silence
        return stream(TOLD[-1:]) if self.clock.now >= self.ends_at else Failed("silent")


def interrupted(server: Scripted, **more: Any) -> Any:
    """Interrupt the run of a server."""
    return carried_on(
        calls(server).interrupt("r", **{"grace": None, "then": None, **more}), server.reply
    )


def paths(server: Scripted) -> list[str]:
    """What was asked, without the calls' common beginning."""
    return [f"{each.method} {each.path.removeprefix('api/kernels/')}" for each in server.asked]


def test_an_interrupt_alone() -> None:
    """Nothing is waited for, and nothing done."""
    server = Stubborn()
    came = interrupted(server)
    assert (came.run.status, came.did) == ("running", None)
    assert paths(server) == ["POST runs/r/interrupt"]


@pytest.mark.parametrize("kept", [True, False])
def test_a_run_that_ends_in_time(kept: bool) -> None:
    """Its end is waited for and no longer; its kernel is left alone."""
    server = Stubborn(kept=kept)
    server.ends_at = 2.2
    came = interrupted(server, grace=10, then="restart")
    assert (came.run.status, came.did) == ("ok", None)
    assert 2.2 <= server.clock.now < 3
    assert "POST k/restart" not in paths(server)


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("chatters", [True, False])
@pytest.mark.parametrize(
    ("then", "call"), [("restart", "POST k/restart"), ("shutdown", "DELETE k")]
)
def test_a_run_that_does_not_end(then: str, call: str, chatters: bool, kept: bool) -> None:
    """After the time that it has, whether it says something or not, its kernel is ended."""
    server = Stubborn(kept=kept)
    server.chatters = chatters
    came = interrupted(server, grace=4.2, then=then)
    assert (came.run.has_ended, came.did) == (True, then)
    assert paths(server).count(call) == 1
    assert server.clock.now == pytest.approx(4.2, abs=0.11)


def test_the_usual_grace() -> None:
    """Where more is to be done and no time is said, the run has 5 s."""
    server = Stubborn()
    assert interrupted(server, then="restart").did == "restart"
    assert server.clock.now == pytest.approx(5)


def test_a_run_that_goes_on() -> None:
    """Without more to be done it is told as it is."""
    server = Stubborn()
    came = interrupted(server, grace=1)
    assert (came.run.status, came.did) == ("running", None)


def test_a_kernel_that_is_gone_already() -> None:
    """Somebody else may have removed it: that is as good."""
    server = Stubborn()
    server.gone = 404
    assert interrupted(server, grace=0, then="shutdown").did == "shutdown"
    server = Stubborn()
    server.gone = 500
    with pytest.raises(AnswerNotUnderstood):
        interrupted(server, grace=0, then="shutdown")


def test_a_restart_that_fails() -> None:
    """The kernel is dead then, and why is said."""
    server = Stubborn()
    server.restarted = "dead"
    with pytest.raises(KernelStateUnreachable, match=r"is dead: Oh\.") as raised:
        interrupted(server, grace=0, then="restart")
    assert raised.value.reason == "Oh."


def test_what_cannot_be_interrupted() -> None:
    """A queued or unknown run raises before anything is done; so do senseless arguments."""
    for status, expected in ((409, NotInterrupted), (404, RunNotFound)):
        server = Scripted(breaks=iter([refused(status)]))
        with pytest.raises(expected, match="A sentence"):
            interrupted(server, grace=1, then="restart")
        assert len(server.asked) == 1
    for more in ({"then": "kill"}, {"grace": -1}, {"grace": float("nan")}):
        with pytest.raises(BadRequest, match="allowed are"):
            interrupted(Scripted(), **more)


def test_a_broken_stream_while_waiting() -> None:
    """It is asked for again, after a rest, until the time is over."""
    server = Stubborn()
    rests: list[float] = []

    def reply(step: Any) -> Any:
        if isinstance(step, Rest):
            rests.append(step.seconds)
        if type(step).__name__ == "Read":
            return None
        return server.reply(step)

    carried_on(calls(server).interrupt("r", 2, None), reply)
    assert len(rests) == 4
    assert server.clock.now == pytest.approx(2)
