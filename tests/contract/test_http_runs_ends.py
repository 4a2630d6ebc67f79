"""Contract section 3, runs: however a run ends, it ends once, is told so, and by its own news."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator

import pytest
from support.runs import (
    ended,
    execute,
    followed,
    listed,
    look,
    named,
    sent,
    started,
    submit,
)
from support.server import Gate, Server, held_for
from support.stories import ask, come_back, kill

Starter = Callable[..., str]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that feels hearts often."""
    config = {
        "KernelStatusApp": {"heartbeat_interval": 0.5},
        "KernelManager": {"shutdown_wait_time": 0.5},
    }
    with Server(config=config) as server:
        yield server


@pytest.fixture(scope="module", autouse=True)
def mute(server: Server) -> str:
    """A kernel that publishes nothing: it is given up to be heard some seconds after its start."""
    return server.start_kernel(server.fake(mode="no-iopub"))


# -- a kernel's news, and whose it is


def test_an_idle_before_the_reply(server: Server, fake: Starter) -> None:
    """A run has not ended with its idle: what is printed until its reply belongs to it."""
    kernel, gate = fake(), server.gate()
    with sent(server, kernel, f"idle-then {gate}") as stream:
        started(server, stream.next().data["run"]["run_id"])
        assert stream.silent()
        gate.open()
        told = stream.whole()
    assert told.names == ["run", "stdout", "done"]
    assert told.status == "ok"


def test_a_reply_before_the_idle(server: Server, fake: Starter) -> None:
    """A run has not ended with its reply."""
    kernel, gate = fake(), server.gate()
    with sent(server, kernel, f"reply-then {gate}") as stream:
        started(server, stream.next().data["run"]["run_id"])
        assert stream.silent()
        assert server.status(kernel)["running"] == [stream.told[0].data["run"]["run_id"]]
        gate.open()
        assert stream.whole().names == ["run", "done"]


def test_an_idle_too_many(server: Server, fake: Starter) -> None:
    """A second idle ends neither the run again nor the next one."""
    kernel, gate = fake(), server.gate()
    assert execute(server, kernel, "idle-twice").names == ["run", "done"]
    first = submit(server, kernel, "idle-twice")["run_id"]
    with sent(server, kernel, gate.command) as stream:
        started(server, stream.next().data["run"]["run_id"])
        assert ended(server, first)["status"] == "ok"
        assert stream.silent()
        gate.open()
        assert stream.whole().status == "ok"


def test_output_after_the_end(server: Server, fake: Starter) -> None:
    """What a run prints after its idle is never behind its `done`, and never in the next one."""
    kernel = fake()
    first = execute(server, kernel, "output-last late")
    second = execute(server, kernel, "flood 1")
    assert first.text("stdout") in ("", "late")  # the reply may be later than it
    assert second.text("stdout") == "0\n"
    with followed(server, first.run["run_id"]) as again:
        assert again.whole() == first


def test_news_of_what_nobody_sent(server: Server, fake: Starter) -> None:
    """A strange request that runs, prints, fails and ends beside a run changes nothing of it."""
    kernel = fake()
    told = execute(server, kernel, "foreign own")
    assert told.names == ["run", "stdout", "done"]
    assert (told.text("stdout"), told.status) == ("own", "ok")


def test_a_lost_idle(server: Server, fake: Starter) -> None:
    """A run whose idle never comes ends all the same: the kernel's next answers tell of it."""
    kernel = fake()
    assert execute(server, kernel, "reply-only").status == "ok"
    assert execute(server, kernel, "flood 1").text("stdout") == "0\n"
    assert server.settled(kernel)["running"] == []


def test_a_lost_idle_with_another_behind_it(server: Server, fake: Starter) -> None:
    """It has ended at the latest when the next run of its shell begins."""
    kernel, gate = fake(), server.gate()
    first = submit(server, kernel, "reply-only")["run_id"]
    second = submit(server, kernel, gate.command)["run_id"]
    started(server, second)
    assert ended(server, first)["status"] == "ok"
    assert server.status(kernel)["running"] == [second]
    gate.open()
    assert ended(server, second)["status"] == "ok"


# -- death


def test_death_while_one_runs_and_one_waits(server: Server, fake: Starter) -> None:
    """SIGKILL: the running one died and is named by the death, the queued one is aborted."""
    kernel, gate = fake(), server.gate()
    before = server.status(kernel)["revision"]
    with (
        sent(server, kernel, gate.command) as first,
        sent(server, kernel, "nothing") as second,
    ):
        ids = [stream.next().data["run"]["run_id"] for stream in (first, second)]
        started(server, ids[0])
        kill(server, kernel)
        ends = [stream.whole() for stream in (first, second)]
    assert [told.status for told in ends] == ["died", "aborted"]
    runs = [look(server, run_id) for run_id in ids]
    for told, run in zip(ends, runs, strict=True):
        assert run["reason"] in told.text("stderr")
        assert run["generation"] == 0
    assert "SIGKILL" in runs[0]["reason"]
    after = come_back(server, kernel, before)
    assert (after["running"], after["queued"]) == ([], [])
    assert (after["last_termination"]["run_id"], after["generation"]) == (ids[0], 1)
    again = execute(server, kernel, "flood 1")
    assert (again.text("stdout"), again.status) == ("0\n", "ok")
    assert look(server, again.run["run_id"])["generation"] == 1


@pytest.mark.parametrize("code", [0, 3, 4])
def test_death_by_its_own_code(server: Server, fake: Starter, code: int) -> None:
    """A run whose process ends meanwhile died of that, success or not, and its reason says how."""
    gate = server.gate()
    kernel = fake("die-on-gate,good", gate=gate, code=code)
    before = server.status(kernel)["revision"]
    with sent(server, kernel, "wait nowhere") as stream:
        started(server, stream.next().data["run"]["run_id"])
        gate.open()
        told = stream.whole()
    after = come_back(server, kernel, before)
    assert told.status == "died"
    assert str(code) in told.text("stderr")
    assert after["last_termination"]["run_id"] == told.run["run_id"]
    assert after["last_termination"]["exit_code"] == code


def test_death_by_a_cell(server: Server, kernel: str) -> None:
    """A cell that ends the process has died, and what it printed before is told."""
    gate = server.gate()
    with sent(server, kernel, f"print('last', flush=True)\n{gate.cell}\nos._exit(7)") as stream:
        stream.until(named("stdout"))
        gate.open()
        told = stream.whole()
    assert (told.status, told.text("stdout")) == ("died", "last\n")
    assert "7" in told.text("stderr")


def test_death_between_reply_and_idle(server: Server, fake: Starter) -> None:
    """What answered and died before it was idle died, however soon after its beginning."""
    kernels = [fake() for _ in range(6)]
    ends = [execute(server, kernel, "reply-die 5") for kernel in kernels]
    assert [(told.names, told.status) for told in ends] == [(["run", "stderr", "done"], "died")] * 6


def test_death_of_an_idle_kernel(server: Server, fake: Starter) -> None:
    """It interrupts no run, and changes none that has ended."""
    kernel = fake()
    run_id = execute(server, kernel, "nothing").run["run_id"]
    run, before = look(server, run_id), server.settled(kernel)["revision"]
    kill(server, kernel, signal.SIGKILL)
    assert come_back(server, kernel, before)["last_termination"]["run_id"] is None
    assert look(server, run_id) == run


def test_death_for_good(server: Server) -> None:
    """A kernel that is not started again ends its runs just so, and lists them afterwards."""
    kernel, gate = server.connected(server.fake(mode="good,die-at-start")), server.gate()
    run_id = submit(server, kernel, gate.command)["run_id"]
    started(server, run_id)
    kill(server, kernel)
    server.until_dead(kernel, 40)
    assert look(server, run_id)["status"] == "died"
    assert [run["run_id"] for run in listed(server, kernel)] == [run_id]
    server.delete(kernel)


# -- ends that were asked for


def restarted(server: Server, kernel: str) -> None:
    """Somebody restarts it."""
    server.restart(kernel)


def deleted(server: Server, kernel: str) -> None:
    """Somebody removes it."""
    server.delete(kernel)


def left(server: Server, kernel: str) -> None:
    """Somebody ends its session."""
    session = next(each for each in server.get("api/sessions") if each["kernel"]["id"] == kernel)
    assert server.http.delete(f"api/sessions/{session['id']}").status_code == 204


@pytest.mark.parametrize("name", ["python3", "fake"])
@pytest.mark.parametrize(
    ("act", "word"), [(restarted, "restart"), (deleted, "shut"), (left, "shut")]
)
def test_an_end_that_was_asked_for(
    server: Server, act: Callable[[Server, str], None], word: str, name: str
) -> None:
    """It aborts what runs and what waits, each with one end that says who ended it."""
    gate = server.gate()
    spec, code = (name, gate.cell) if name == "python3" else (server.fake(), gate.command)
    kernel = server.session(f"{act.__name__}-{name}.ipynb", spec)["kernel"]["id"]
    server.settled(kernel)
    with sent(server, kernel, code) as first, sent(server, kernel, "nothing") as second:
        ids = [stream.next().data["run"]["run_id"] for stream in (first, second)]
        started(server, ids[0])
        act(server, kernel)
        ends = [stream.whole() for stream in (first, second)]
    assert [told.status for told in ends] == ["aborted", "aborted"]
    for told, run_id in zip(ends, ids, strict=True):
        assert look(server, run_id)["status"] == "aborted"
        assert word in told.text("stderr").lower(), told.text("stderr")
    assert [run["run_id"] for run in listed(server, kernel)] == ids[::-1]
    if act is restarted:
        server.settled(kernel)
        code = "print(5)" if name == "python3" else "flood 1"
        assert execute(server, kernel, code).text("stdout") in ("5\n", "0\n")
        server.delete(kernel)


# -- timeouts


def test_a_timeout_counts_from_the_start(server: Server, kernel: str) -> None:
    """A queued run with a timeout interrupts nobody; running, it is interrupted and aborted."""
    first, second = server.gate(), server.gate()
    ahead = submit(server, kernel, f"{first.cell}\n'unharmed'")["run_id"]
    with sent(server, kernel, second.cell, timeout=0.4) as stream:
        stream.next()
        started(server, ahead)
        assert stream.silent(1.0)
        assert look(server, ahead)["status"] == "running"
        first.open()
        told = stream.whole()
    assert told.status == "aborted"
    assert ended(server, ahead)["status"] == "ok"
    run = look(server, told.run["run_id"])
    assert (run["timeout"], "0.4" in run["reason"]) == (0.4, True)
    assert run["reason"] in told.text("stderr")


def test_a_timeout_beside_a_queue(server: Server, kernel: str) -> None:
    """At its limit the running one is interrupted alone: the one behind it runs, undisturbed."""
    first, second = server.gate(), server.gate()
    ahead = submit(server, kernel, first.cell, timeout=0.4, stop_on_error=False)["run_id"]
    behind = submit(server, kernel, f"{second.cell}\n'unharmed'", timeout=30)["run_id"]
    assert ended(server, ahead)["status"] == "aborted"
    started(server, behind)
    second.open()
    assert ended(server, behind)["status"] == "ok"


def test_a_timeout_of_a_run_that_ends_in_time(server: Server, kernel: str) -> None:
    """It interrupts nobody afterwards."""
    gate = server.gate()
    assert execute(server, kernel, "1", timeout=3).status == "ok"
    with sent(server, kernel, f"{gate.cell}\n'unharmed'") as stream:
        stream.next()
        assert stream.silent(3.3)
        gate.open()
        assert stream.whole().status == "ok"


def test_a_timeout_on_a_subshell(server: Server, kernel: str) -> None:
    """A signal would hit the main shell's run: it is not harmed, and the other is aborted."""
    gates = server.gate(), server.gate()
    with server.client(kernel) as client:
        subshell = ask(client, "create_subshell_request", "control")["subshell_id"]
    main = submit(server, kernel, f"{gates[0].cell}\n'unharmed'")["run_id"]
    started(server, main)
    with sent(server, kernel, gates[1].cell, subshell_id=subshell, timeout=0.3) as side:
        started(server, side.next().data["run"]["run_id"])
        assert held_for(lambda: look(server, main)["status"] == "running", 1.0)
        gates[1].open()
        told = side.whole()
    assert (told.status, "0.3" in told.text("stderr")) == ("aborted", True)
    gates[0].open()
    assert ended(server, main)["status"] == "ok"


def stubborn(gate: Gate) -> str:
    """A cell that no KeyboardInterrupt ends."""
    loop = gate.cell.replace("\n", "\n  ")
    return f"while True:\n try:\n  {loop}\n  break\n except KeyboardInterrupt: pass"


def test_a_timeout_that_is_not_heeded(server: Server, kernel: str, fake: Starter) -> None:
    """Five seconds later it is done all the same, and what it still does is nobody's end."""
    gate, other, mute = server.gate(), fake(), fake()
    with (
        sent(server, kernel, stubborn(gate), timeout=0.3) as cell,
        sent(server, other, gate.command, timeout=0.3) as command,
        sent(server, mute, "idle-only", timeout=0.3) as unanswered,
    ):
        ends = [stream.whole() for stream in (cell, command, unanswered)]
        waited = [told.events[-1].at - told.events[0].at for told in ends]
    assert [told.status for told in ends] == ["aborted"] * 3
    assert all(seconds > 5 for seconds in waited[:2]), waited
    runs = [look(server, told.run["run_id"]) for told in ends]
    assert all("0.3" in run["reason"] for run in runs)
    assert server.status(other)["execution_state"] == "busy"
    gate.open()
    for each in (kernel, other):
        server.settled(each)
    assert [look(server, run["run_id"]) for run in runs] == runs
    assert execute(server, kernel, "1").done["output"]["data"] == "1"
    assert execute(server, other, "flood 1").text("stdout") == "0\n"


def test_a_kernel_without_iopub(server: Server, mute: str) -> None:
    """Of a kernel that publishes nothing a run ends with its reply, and the next one too."""
    assert server.wait(mute, status="connected").status_code == 200
    assert [execute(server, mute, "nothing").status for _ in range(2)] == ["ok", "ok"]
