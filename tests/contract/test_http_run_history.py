"""Contract section 3: runs outlive their kernel and their server, in a file of the user's own."""

from __future__ import annotations

import signal
import sqlite3
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.kernel_socket import connect
from support.runs import (
    RUNS,
    ended,
    execute,
    found,
    listed,
    look,
    look_for,
    place,
    post,
    refusal,
    sent,
    started,
    submit,
)
from support.server import Server, eventually
from support.stories import come_back, kill
from support.stories import execute as execute_by_zmq

Starter = Callable[..., str]

STATUSES = ["ok", "error", "aborted", "died", "running", "queued"]


def files(server: Server) -> list[Path]:
    """The history in this server's data directory: the SQLite file and what stands beside it."""
    (main,) = [each for each in server.data.rglob("*") if each.is_file() and is_sqlite(each)]
    return [each for each in sorted(main.parent.glob(main.name + "*")) if each.is_file()]


def is_sqlite(file: Path) -> bool:
    """Whether it begins as SQLite's files do."""
    with file.open("rb") as content:
        return content.read(16) == b"SQLite format 3\0"


def names(runs: list[dict]) -> list[str]:
    """The ids of runs."""
    return [run["run_id"] for run in runs]


# -- lists


@pytest.fixture(scope="module")
def told(server: Server) -> Iterator[dict[str, str]]:
    """The ids of runs by status, one of each, of a kernel that has no others, oldest first."""
    kernel, gate = server.connected(server.fake()), server.gate()
    ids = {"ok": execute(server, kernel, "nothing").run["run_id"]}
    ids["error"] = execute(server, kernel, "error really").run["run_id"]
    ids["died"] = submit(server, kernel, "wait nowhere")["run_id"]
    started(server, ids["died"])
    before = server.status(kernel)["revision"]
    kill(server, kernel)
    come_back(server, kernel, before)
    first = server.gate()
    submit(server, kernel, first.command, run_id="restarted")
    started(server, "restarted")
    ids["aborted"] = submit(server, kernel, "nothing")["run_id"]
    server.restart(kernel)
    server.settled(kernel)
    ids["running"] = submit(server, kernel, gate.command)["run_id"]
    ids["queued"] = submit(server, kernel, "nothing")["run_id"]
    started(server, ids["running"])
    yield {"kernel": kernel, **ids}
    gate.open()
    ended(server, ids["queued"])
    server.delete(kernel)


def test_lists_by_status(server: Server, told: dict[str, str]) -> None:
    """One status, or several, newest first, of one kernel or of all."""
    for kernel in ("", told["kernel"]):
        for status in STATUSES:
            runs = listed(server, kernel, status=status)
            assert {run["status"] for run in runs} == {status}
            assert told[status] in names(runs)
        both = names(listed(server, kernel, status="ok,running"))
        assert both == [told["running"], told["ok"]]
        assert listed(server, kernel, status="lost") == []


def test_lists_page_by_page(server: Server, told: dict[str, str]) -> None:
    """`before` gives what is older than a run, so that pages of any size give all, once."""
    whole = listed(server, told["kernel"])
    assert names(whole) == [
        *(told[status] for status in ("queued", "running", "aborted")),
        "restarted",
        *(told[status] for status in ("died", "error", "ok")),
    ]
    for size in (1, 2, 3, 7):
        pages, page = [], listed(server, told["kernel"], limit=size)
        while page:
            pages += page
            page = listed(server, told["kernel"], limit=size, before=page[-1]["run_id"])
        assert pages == whole
    older = listed(server, told["kernel"], before=told["died"], status="ok")
    assert names(older) == [told["ok"]]
    of_all = names(listed(server, limit=500))
    assert [run_id for run_id in of_all if run_id in names(whole)] == names(whole)


def test_lists_keep_to_their_bound(server: Server, fake: Starter) -> None:
    """Fifty unless one asks for others."""
    kernel = fake()
    ids = [submit(server, kernel, "nothing")["run_id"] for _ in range(55)]
    ended(server, ids[-1])
    assert names(listed(server, kernel)) == ids[:4:-1]
    assert names(listed(server, kernel, limit=500)) == ids[::-1]


def test_runs_outlive_their_kernel(server: Server) -> None:
    """Of a removed kernel they are listed as before; one that never had any is 404."""
    kernel, other = server.connected(server.fake()), server.connected(server.fake())
    run_id = execute(server, kernel, "nothing").run["run_id"]
    run = look(server, run_id)
    for each in (kernel, other):
        server.delete(each)
    assert listed(server, kernel) == [run]
    assert run in listed(server, limit=500)
    assert look(server, run_id) == run
    refusal(server.http.get(f"api/kernels/{other}/runs"), 404)


@pytest.mark.usefixtures("told")
def test_the_file_is_the_users_own(server: Server) -> None:
    """It stands in Jupyter's data directory, and nobody else may read it or what is beside it."""
    assert {stat.S_IMODE(file.stat().st_mode) for file in files(server)} == {0o600}
    with sqlite3.connect(f"file:{files(server)[0]}?mode=ro", uri=True) as database:
        assert database.execute("pragma integrity_check").fetchone() == ("ok",)


# -- over the end of a server


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_over_the_end_of_a_server(how: signal.Signals) -> None:
    """What had ended is there as it was; what ran or waited is lost, and said to be."""
    with Server(config={"KernelManager": {"shutdown_wait_time": 0.5}}) as server:
        kernel, gate = server.connected(server.fake()), server.gate()
        for code in ("nothing", "error x", "die 3"):
            execute(server, kernel, code)
            server.settled(kernel)
        before = [look(server, run["run_id"]) for run in listed(server, kernel)]
        with sent(server, kernel, gate.command) as stream:
            running = stream.next().data["run"]["run_id"]
            started(server, running)
            queued = submit(server, kernel, "nothing")["run_id"]
            eventually(lambda: queued.encode() in kept(server), what="it is written")
            server.stop(how=how)
            if how == signal.SIGTERM:
                told = stream.whole()
                assert told.status == "lost"
        server.launch()
        assert listed(server, kernel)[2:] == before
        assert listed(server)[2:] == before
        for run_id in (running, queued):
            run = look(server, run_id)
            assert (run["status"], run["kernel_id"]) == ("lost", kernel)
        refusal(server.http.get(place(before[-1]["run_id"], "/events")), 410)
        refusal(server.http.post(place(running, "/interrupt")), 409)
        assert server.get(place(running, "/inspect"))["alive"] is False
        assert server.get("api/kernels/workers/active")["count"] == 0
        again = server.connected(server.fake())
        assert found(server, post(server, again, "nothing", run_id=queued))["status"] == "lost"
        execute(server, again, "nothing")
        assert len(listed(server)) == 6


def test_two_servers_of_one_user() -> None:
    """Each lists the other's runs; neither takes the other's for its own, or for lost."""
    quick = {"KernelManager": {"shutdown_wait_time": 0.5}}
    with Server(config=quick) as first:
        kernel, gate = first.connected(first.fake("shared")), first.gate()
        old = execute(first, kernel, "nothing").run["run_id"]
        running = submit(first, kernel, gate.command)["run_id"]
        started(first, running)
        with Server(config=quick, env={"JUPYTER_DATA_DIR": str(first.data)}) as second:
            assert look(second, old) == look(first, old)
            assert names(listed(second, kernel)) == [running, old]
            assert look(second, running)["status"] == "running"
            refusal(second.http.post(place(running, "/interrupt")), 409)
            refusal(second.http.get(place(running, "/events")), 410)
            other = second.connected("shared")
            refusal(post(second, other, "nothing", run_id=old), 409)
            new = execute(second, other, "nothing").run["run_id"]
            assert look_for(first, new, "ok") == look(second, new)
            gate.open()
            assert ended(first, running)["status"] == "ok"
            assert look_for(second, running, "ok") == look(first, running)
            last = submit(first, kernel, "wait nowhere")["run_id"]
            assert look_for(second, last, "running") == look(first, last)
            first.stop(how=signal.SIGKILL)
            assert look_for(second, last, "lost")["kernel_id"] == kernel


# -- what is kept


def kept(server: Server) -> bytes:
    """All bytes of the history."""
    return b"".join(file.read_bytes() for file in files(server))


def ways(server: Server, kernel: str, code: str) -> list[str]:
    """Run code by this API, a websocket and a stranger, and give the runs."""
    ids = [execute(server, kernel, code).run["run_id"]]
    with connect(server, kernel) as socket, server.client(kernel) as client:
        ids += [socket.execute(code), execute_by_zmq(client, code)]
        for run_id in ids:
            ended(server, run_id)
    return ids


def test_code_that_is_not_recorded() -> None:
    """Without `record_code` no run's code is told or written, whoever sent it."""
    with Server(config={"KernelStatusApp": {"record_code": False}}) as server:
        kernel, gate = server.connected(server.fake()), server.gate()
        gate.open()
        ids = ways(server, kernel, gate.command)
        assert [look(server, run_id)["code"] for run_id in ids] == [None] * 3
        failed = ways(server, kernel, "error said-by-an-error")
        # Who only listens hears no failure of this kernel.
        assert look(server, failed[0])["error"] == {"ename": "Wanted", "evalue": ""}
        server.stop()
        assert b"said-by-an-error" not in kept(server)
        assert str(gate).encode() not in kept(server)
        assert ids[0].encode() in kept(server)


def test_long_code_is_cut() -> None:
    """It is recorded up to `code_limit` bytes, in whole characters, and is run whole."""
    with Server(config={"KernelStatusApp": {"code_limit": 101}}) as server:
        kernel = server.connected("python3")
        code = "'" + "é" * 100 + "'; print('whole')"
        ids = ways(server, kernel, code)
        with connect(server, kernel) as socket:
            assert socket.run(code)
        for run_id in ids:
            told = look(server, run_id)["code"]
            assert told.startswith("'" + "é" * 40)
            assert len(told.encode()) <= 101
        assert execute(server, kernel, code).text("stdout") == "whole\n"


def test_the_oldest_go() -> None:
    """Of more than `history_runs` the newest are left when a server starts."""
    with Server(config={"KernelStatusApp": {"history_runs": 3}}) as server:
        kernel = server.connected(server.fake())
        ids = [execute(server, kernel, "nothing").run["run_id"] for _ in range(5)]
        server.stop()
        server.launch()
        assert names(listed(server)) == ids[:1:-1]
        refusal(server.http.get(place(ids[0])), 404)


def test_history_in_memory() -> None:
    """With `:memory:` all works the same, nothing is written, and the next server knows nothing."""
    with Server(config={"KernelStatusApp": {"history_path": ":memory:"}}) as server:
        kernel = server.connected(server.fake())
        run_id = execute(server, kernel, "nothing").run["run_id"]
        server.delete(kernel)
        assert names(listed(server, kernel)) == [run_id]
        assert not [file for file in server.data.rglob("*") if file.is_file() and is_sqlite(file)]
        assert not list(server.folder.rglob("*:memory:*"))
        server.stop()
        server.launch()
        assert server.get(RUNS) == {"runs": [], "next": None}
        refusal(server.http.get(place(run_id)), 404)


def unusable(folder: Path, kind: str) -> Path:
    """A place for the history that is none."""
    place = folder / "elsewhere" / "runs.sqlite"
    if kind == "a folder":
        place.mkdir(parents=True)
    elif kind == "no database":
        place.parent.mkdir()
        place.write_text("This is none.\n" * 100)
    else:
        place.parent.write_text("")
    return place


@pytest.mark.parametrize("kind", ["a folder", "no database", "below a file"])
def test_history_that_cannot_be_written(tmp_path: Path, kind: str) -> None:
    """The server says so once, and goes on in memory."""
    path = unusable(tmp_path, kind)
    with Server(config={"KernelStatusApp": {"history_path": str(path)}}) as server:
        kernel = server.connected(server.fake())
        ids = [execute(server, kernel, "nothing").run["run_id"] for _ in range(3)]
        assert names(listed(server, kernel)) == ids[::-1]
        lines = [line for line in server.log().splitlines() if str(path) in line]
        assert len(lines) == 1, lines
        assert "Traceback" not in server.log()
