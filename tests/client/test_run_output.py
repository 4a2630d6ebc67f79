"""What `jupyter kernel-status run` and its like write, and how they exit, at a scripted server."""

from __future__ import annotations

import asyncio
import io
import json
import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.clients import KERNEL, KINDS, Kind, ask
from support.command import ESCAPE
from support.scripted_runs import (
    CUT,
    ENDED,
    NOBODY,
    RUN,
    TOLD,
    Scripted,
    answer,
    refused,
    stream,
    transport,
)

from kernel_status_ext.client import (
    AsyncKernelStatusClient,
    Done,
    KernelStatusClient,
    Run,
    RunStarted,
    cli,
    roster,
)
from kernel_status_ext.client.printing import Colourless, ForPeople
from kernel_status_ext.client.recent import Known, first_line
from kernel_status_ext.client.results import read
from kernel_status_ext.client.run_tables import duration, show_runs
from kernel_status_ext.client.running import Running
from kernel_status_ext.client.runs import Display, RunResult, Stderr, Stdout, Truncated
from kernel_status_ext.client.screen import screen

both = pytest.mark.parametrize("kind", KINDS, ids=["sync", "async"])
URL = "http://server/"


def of(server: Scripted, **more: Any) -> dict[str, Any]:
    """What a client of a scripted server is made of."""
    return {"url": URL, "transport": transport(server, KERNEL), **more}


# -- both clients ----------------------------------------------------------------------------


@both
def test_a_run_with_a_break(kind: Kind) -> None:
    """Both clients send once, resume, call `on_event` with everything, and give the run."""
    server, heard = Scripted(breaks=iter([CUT, None, 90])), []
    ended = ask(kind, "run", "k", "1", on_event=heard.append, run_id="r", of=of(server))
    assert (type(heard[0]), type(heard[-1]), len(heard)) == (RunStarted, Done, len(TOLD) - 1)
    assert (ended.status, server.runs, ended.output.data) == ("ok", ["r"], "1")


def test_a_coroutine_function_is_awaited() -> None:
    """The asynchronous client awaits what `on_event` returns before it reads on."""
    server, heard = Scripted(), []

    async def hears(event: Any) -> None:
        await asyncio.sleep(0)
        heard.append(event)

    async def alone() -> None:
        async with AsyncKernelStatusClient(**of(server)) as client:
            await client.run("k", "1", on_event=hears, run_id="r")

    asyncio.run(alone())
    assert isinstance(heard[-1], Done)


@both
def test_what_on_event_raises(kind: Kind) -> None:
    """It comes out of `run`, and the connection is closed."""

    def refuses(_event: Any) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ask(kind, "run", "k", "1", on_event=refuses, of=of(Scripted()))


@both
def test_half_a_character_reaches_the_server(kind: Kind) -> None:
    """What UTF-8 has no bytes for is sent as JSON has it: the server says what it thinks of it."""
    server = Scripted()
    ask(kind, "submit", "k", "'\ud800'", run_id="r", of=of(server))
    assert server.asked[0].body["code"] == "'\ud800'"


@both
def test_without_a_token(kind: Kind) -> None:
    """A server that asks for none still wants proof that no page of another site asks."""
    seen: list[Any] = []
    scripted = transport(Scripted(), KERNEL)

    def answers(request: Any) -> Any:
        seen.append(request)
        return scripted.handler(request)

    mine = {"url": URL, "transport": type(scripted)(answers)}
    ask(kind, "submit", "k", "1", of=mine)
    ask(kind, "submit", "k", "1", of={**mine, "token": "t"})
    first, second = seen
    assert first.headers["cookie"] == f"_xsrf={first.headers['x-xsrftoken']}"
    assert "x-xsrftoken" not in second.headers


@both
def test_lists(kind: Kind) -> None:
    """Runs, workers and figures of a run, typed, with their bodies."""
    worker = {"run_id": "r", "kernel_id": "k", "status": "running", "memory_rss_bytes": 7}
    look = {"workers": [worker], "count": 1, "checked_at": RUN["started_at"]}
    replies = [answer({"runs": [RUN, ENDED]}), answer(look), answer({"alive": True, "pid": 7})]
    server = Scripted(breaks=iter(replies))
    mine = of(server)
    listed = ask(kind, "runs", "k", status=["ok", "died"], limit=2, before="x", of=mine)
    assert [each.body for each in listed] == [RUN, ENDED]
    assert server.asked[0].params == {"status": "ok,died", "limit": "2", "before": "x"}
    found = ask(kind, "workers", of=mine)
    assert (found.workers[0].memory_rss_bytes, found.count) == (7, 1)
    assert ask(kind, "inspect_run", "r", of=mine).pid == 7
    assert [each.path for each in server.asked] == [
        "api/kernels/k/runs",
        "api/kernels/workers/active",
        "api/kernels/runs/r/inspect",
    ]


# -- the command line ------------------------------------------------------------------------

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Call]:
    """Call the command line in this process at a scripted server: exit status, stdout, stderr."""
    monkeypatch.setattr(cli, "_end_in_good_order", lambda: None)

    def called(server: Scripted, *words: str) -> tuple[int, str, str]:
        through = partial(KernelStatusClient, transport=transport(server, KERNEL))
        monkeypatch.setattr(roster, "KernelStatusClient", through)
        code = cli.main([words[0], "--url", URL, *words[1:]])
        out, err = capsys.readouterr()
        return code, out, err

    before = signal.getsignal(signal.SIGINT)
    yield called
    assert signal.getsignal(signal.SIGINT) is before


def test_what_goes_where(call: Call) -> None:
    """Output to stdout, in lines of its own what is displayed; the rest to stderr."""
    code, out, err = call(Scripted(), "run", "k", "1")
    assert code == 0
    assert out == "a\r\nä\nd\n1\n"
    assert err == "b[the server has not kept some of the output: 2 events, 9 bytes]\n"


def test_events_for_programs(call: Call) -> None:
    """One object in each line, as the server tells it."""
    code, out, err = call(Scripted(), "run", "k", "--json", "1")
    assert (code, err) == (0, "")
    told = [json.loads(line) for line in out.splitlines()]
    expected = [{"event": name, "data": data} for name, data in TOLD if name != "moon"]
    assert told == expected


def test_detached(call: Call) -> None:
    """The id alone, or the run for programs."""
    server = Scripted()
    code, out, err = call(server, "run", "k", "--detach", "1", "--timeout", "9")
    assert (code, out, err) == (0, "r\n", "")
    assert server.asked[0].body["timeout"] == 9
    assert json.loads(call(Scripted(), "run", "k", "1", "--detach", "--json")[1]) == RUN


OVER = {**ENDED, "status": "aborted", "timeout": 2.0, "reason": "Its limit."}


@pytest.mark.parametrize(
    ("ended", "expected"),
    [
        (ENDED, 0),
        ({**ENDED, "status": "error"}, 1),
        ({**ENDED, "status": "aborted"}, 1),
        ({**OVER, "timeout": 60.0}, 1),
        ({**ENDED, "status": "died"}, 3),
        ({**ENDED, "status": "lost"}, 3),
        (OVER, 4),
        ({**OVER, "status": "error"}, 1),
        ({**ENDED, "status": "evaporated"}, 1),
    ],
)
def test_how_it_ends(call: Call, ended: dict[str, Any], expected: int) -> None:
    """Each end has its exit status, and nothing more is said than the run has said itself."""
    last = {**TOLD[-1][1], "status": ended["status"], "success": ended["status"] == "ok"}
    server = Scripted(told=[TOLD[0], ("stderr", {"data": "why\n"}), ("done", last)], ended=ended)
    assert call(server, "run", "k", "1") == (expected, "", "why\n")


@pytest.mark.parametrize(
    ("reply", "expected"),
    [(refused(409, "It is dead."), 3), (NOBODY, 3), (refused(400), 2), (refused(403), 1)],
)
def test_nothing_is_run(call: Call, reply: Any, expected: int) -> None:
    """A sentence and the exit status of what went wrong."""
    code, out, err = call(Scripted(breaks=iter([reply])), "run", "k", "1")
    assert (code, out) == (expected, "")
    assert err.startswith("jupyter kernel-status run: ")


def test_output_that_is_not_kept(call: Call) -> None:
    """Why the run ended is said where its own words are lost."""
    told = {**ENDED, "status": "lost", "reason": "Its server ended."}
    server = Scripted(breaks=iter([30]), kept=False, ended=told)
    code, _, err = call(server, "run", "k", "1")
    assert code == 3
    assert "not kept the output from here on" in err
    assert "run r: Its server ended." in err


@pytest.mark.parametrize(
    ("words", "sent"),
    [
        (("k", "1"), "1"),
        (("k", "--timeout", "5", "1"), "1"),
        (("--timeout", "5", "k", "1"), "1"),
        (("--name", "python3", "1"), "1"),
        (("k", "--name", "python3", "1"), "1"),
        (("k", "--", "-1"), "-1"),
        (("k", "--file", "job.py"), "ä = 1"),
        (("k", "-"), "from stdin"),
        (("k", "--file", "-"), "from stdin"),
    ],
)
def test_ways_to_say_the_code(
    call: Call,
    words: tuple[str, ...],
    sent: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A word, a file, stdin; options may stand anywhere."""
    monkeypatch.chdir(tmp_path)
    Path("job.py").write_text("ä = 1", encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", io.StringIO("from stdin"))
    server = Scripted()
    assert call(server, "run", *words)[0] == 0
    assert server.asked[0].body["code"] == sent


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("k",), "say which code"),
        (("k", "1", "--file", "x"), "not both"),
        (("k", "--file", "no/such"), "no/such cannot be read"),
        (("1", "2", "3"), "unrecognized arguments: 3"),
        (("k", "1", "--timeout", "0"), "more than 0"),
    ],
)
def test_ways_that_are_none(
    call: Call, words: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 2 and what is wrong; nothing is run."""
    server = Scripted()
    try:
        code, _, err = call(server, "run", *words)
    except SystemExit as end:
        code, err = end.code, capsys.readouterr().err
    assert (code, server.runs) == (2, [])
    assert says in err


def test_the_table_of_runs(call: Call) -> None:
    """Whole ids, the first line of the code, and no escape sequence."""
    code = "\n  x = '\x1b[31m\u202e'  \ny"
    other = {**ENDED, "run_id": "r2", "status": "error", "reason": "It raised E.", "code": code}
    server = Scripted(breaks=iter([answer({"runs": [RUN, other]})]))
    code, out, err = call(server, "runs", "--status", "running,error", "--limit", "5")
    assert (code, err) == (0, "")
    assert server.asked[0].params == {"status": "running,error", "limit": "5"}
    head, first, second = out.splitlines()
    assert head.split()[:4] == ["RUN", "KERNEL", "STATUS", "STARTED"]
    assert first.split()[:3] == ["r", "k", "running"]
    assert "2.50 s" in second
    assert second.endswith(r"x = '\x1b[31m\u202e'  It raised E.")
    server = Scripted(breaks=iter([answer({"runs": [RUN]})]))
    told = json.loads(call(server, "runs", "k", "--json")[1])
    assert told == {"runs": [{**RUN, "server": URL}]}
    assert server.asked[0].path == "api/kernels/k/runs"
    assert call(Scripted(breaks=iter([answer({"runs": []})])), "runs")[1] == (
        "There is no such run.\n"
    )


def test_runs_of_a_kernel_that_is_gone(call: Call) -> None:
    """Its whole id is enough; one that nobody ever had is no kernel."""
    gone = {**RUN, "kernel_id": "gone"}
    server = Scripted(breaks=iter([answer({"runs": [gone]})]))
    assert "gone" in call(server, "runs", "gone")[1]
    code, _, err = call(Scripted(breaks=iter([refused(404)])), "runs", "nobody")
    assert code == 1
    assert "No kernel has id 'nobody'" in err


def test_the_table_of_workers(call: Call) -> None:
    """What each kernel works at, and what that takes."""
    worker = {
        "run_id": "r",
        "kernel_id": "k",
        "kernel_name": "python3",
        "path": "a.ipynb",
        "status": "running",
        "username": "me",
        "timeout": None,
        "worker_pid": 7,
        "started_at": RUN["started_at"],
        "last_activity": None,
        "memory_rss_bytes": 1 << 20,
        "cpu_percent": 99.6,
    }
    look = {"workers": [worker], "count": 1, "checked_at": RUN["started_at"]}
    _, out, _ = call(Scripted(breaks=iter([answer(look)])), "workers")
    line = out.splitlines()[1]
    assert "100 %" in line
    assert "1.0 MiB" in line
    assert line.endswith("7    me    a.ipynb")
    told = json.loads(call(Scripted(breaks=iter([answer(look)])), "workers", "--json")[1])
    assert told == {**look, "workers": [{**worker, "server": URL}]}
    nothing = {"workers": [], "count": 0, "checked_at": RUN["started_at"]}
    assert "No kernel works" in call(Scripted(breaks=iter([answer(nothing)])), "workers")[1]


def test_interrupts(call: Call) -> None:
    """By the beginning of an id among recent runs; what was done is said."""
    first, second = {**RUN, "run_id": "abc1"}, {**RUN, "run_id": "abd"}

    def known() -> list[Any]:
        return [refused(404), answer({"runs": [first, second]}), answer({"runs": []})]

    server = Scripted(breaks=iter([*known(), answer({"run": first}, 202)]))
    code, out, err = call(server, "interrupt", "abc")
    assert (code, out, err) == (0, "Run abc1 of kernel k was interrupted.\n", "")
    assert server.asked[-1].path == "api/kernels/runs/abc1/interrupt"
    code, _, err = call(Scripted(breaks=iter(known())), "interrupt", "ab")
    assert code == 2
    assert "abc1 running kernel k 1" in err
    assert "abd running kernel k 1" in err
    code, _, err = call(Scripted(breaks=iter(known())), "interrupt", "x")
    assert code == 1
    assert "begins with 'x'" in err


def test_interrupts_with_time(call: Call) -> None:
    """0 when it has ended, or its kernel was; 4 when it goes on; 1 when it cannot be."""
    ended = answer({"run": {**ENDED, "status": "error", "error": {"ename": "E", "evalue": ""}}})
    going = answer({"run": RUN})
    taken = answer({"run": RUN}, 202)
    done = Scripted(breaks=iter([going, taken, refused(410), ended, ended]))
    assert call(done, "interrupt", "r", "--grace", "9")[:2] == (0, "Run r ended: error (E).\n")
    words = ("interrupt", "r", "--grace", "0")
    code, out, err = call(Scripted(breaks=iter([going, taken, going])), *words)
    assert (code, out) == (4, "")
    assert "is still running 0 s after" in err
    restarted = answer({"status": "restarting", "reason": ""})
    server = Scripted(breaks=iter([going, taken, going, restarted, ended]))
    code, out, _ = call(server, *words, "--then", "restart", "--json")
    assert (code, json.loads(out)["did"]) == (0, "restart")
    server = Scripted(breaks=iter([going, taken, going, restarted, ended]))
    assert (
        "so kernel k was restarted; the run is error."
        in call(server, *words, "--then", "restart")[1]
    )
    code, _, err = call(Scripted(breaks=iter([going, refused(409)])), "interrupt", "r")
    assert (code, err) == (1, "jupyter kernel-status interrupt: A sentence.\n")


# -- how it is written -----------------------------------------------------------------------


class Tty(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def written(*events: Any, out: io.StringIO, err: io.StringIO) -> tuple[str, str]:
    """Write events for people."""
    shown = ForPeople(out, err)
    for each in events:
        shown(each)
    return out.getvalue(), err.getvalue()


DONE = read(Done, TOLD[-1][1])
RED = "\x1b[31mred\x1b[0m"


def test_colours_go_to_terminals_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe gets stderr without them, however it was cut; stdout as it is."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    told = [Stdout(data=RED), *(Stderr(data=each) for each in f"{RED} 1\x1b[2"), DONE]
    assert written(*told, out=io.StringIO(), err=io.StringIO()) == (RED, "red 1")
    assert written(*told, out=Tty(), err=Tty()) == (RED, f"{RED} 1\x1b[2")
    monkeypatch.setenv("NO_COLOR", "1")
    assert written(*told, out=Tty(), err=Tty())[1] == "red 1"
    alone = Colourless()
    assert "".join(map(alone.feed, "a\x1b[38;5;1mb\x1bc")) == "ab\x1bc"


def test_lines_of_their_own() -> None:
    """A value begins a line and ends it, also behind what has no end; on a terminal also stderr."""
    value = RunResult(data={"text/plain": "1\n"})
    picture = Display(data={"image/png": "…"})
    told = [Stdout(data="a"), Stdout(data=""), value, picture, Stdout(data="b\n"), value]
    assert written(*told, out=io.StringIO(), err=io.StringIO())[0] == "a\n1\n<image/png>\nb\n1\n"
    assert written(Stderr(data="e"), value, out=Tty(), err=Tty())[0] == "\n1\n"
    assert written(Stderr(data="e"), value, out=io.StringIO(), err=Tty())[0] == "1\n"


def test_ids_that_begin_alike() -> None:
    """Each is as short as it may be and is still the beginning of no other."""
    out, ids = Tty(), ["0123456789_1", "0123456789_12", "abcdefghijk"]
    known = [Known(Running(URL), read(Run, {**RUN, "run_id": each})) for each in ids]
    show_runs(screen(out), known, [Running(URL)])
    shown = [line.split()[0] for line in ESCAPE.sub("", out.getvalue()).splitlines()]
    assert shown == ["RUN", "0123456789_1", "0123456789_12", "abcdefgh"]


def test_an_encoding_that_has_not_all_characters() -> None:
    """What cannot be written is shown as Python would write it."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    ForPeople(out, io.StringIO())(Stdout(data="ä\ud800"))
    assert out.buffer.getvalue() == rb"\xe4\ud800"


def test_small_things() -> None:
    """Durations, first lines, output that is missing."""
    assert [duration(each) for each in (None, 0, 9.994, 59, 61, 3 * 3600 + 60)] == [
        "",
        "0.00 s",
        "9.99 s",
        "59 s",
        "1 min 1 s",
        "3 h 1 min",
    ]
    assert [first_line(each) for each in (None, "", "\n\n a \nb")] == ["", "", "a"]
    told = written(Truncated(), out=io.StringIO(), err=io.StringIO())
    assert told == ("", "[the server has not kept the output from here on]\n")
    assert stream(TOLD, len(TOLD)) == b""
