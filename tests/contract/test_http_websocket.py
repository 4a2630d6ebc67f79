"""Contract section 2, the websocket: what an unmodified client is told, and never has to wait for.

"At once" is proved without a clock: the bound of a wait (`kernel_info_timeout`) is 60 s, a kernel
that could answer is held back by a gate, and the client gives up after `AT_ONCE`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator

import pytest
from support.kernel_socket import (
    LEGACY,
    PROTOCOLS,
    V1,
    WORDS,
    KernelSocket,
    Message,
    Upgrade,
    connect,
    of_type,
)
from support.server import FAKE_KERNEL, Gate, Server, eventually, held_for
from support.stories import come_back, execute, kill

Starter = Callable[..., str]

AT_ONCE = 30
"""Seconds; half of what a held upgrade would take."""
CLOSE_TEXT = 123
"""Bytes that a close frame has for its text (RFC 6455, section 5.5)."""
DEATHS = 20
BIG = 30_000_000
"""Bytes, more than the sockets between server and client take."""

FAST = {"heartbeat_interval": 0.2, "unresponsive_after": 2.0}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that restarts a kernel once, feels hearts often and can tell of its sockets."""
    config = {
        "KernelManager": {"shutdown_wait_time": 1.0},
        "KernelRestarter": {"restart_limit": 1, "stable_start_time": 3600.0},
        "KernelStatusApp": FAST,
        "ServerApp": {"jpserver_extensions": {"socket_probe": True}},
    }
    with Server(config=config) as server:
        yield server


@pytest.fixture(scope="module")
def passive() -> Iterator[Server]:
    """A server that restarts no kernel."""
    config = {"KernelManager": {"autorestart": False, "shutdown_wait_time": 0.5}}
    with Server(config=config) as server:
        yield server


@pytest.fixture(scope="module")
def pending() -> Iterator[Server]:
    """A server with pending kernels."""
    config = {
        "AsyncMultiKernelManager": {"use_pending_kernels": True},
        "KernelManager": {"shutdown_wait_time": 0.5},
    }
    with Server(config=config) as server:
        yield server


@pytest.fixture(params=PROTOCOLS.values(), ids=PROTOCOLS)
def protocol(request: pytest.FixtureRequest) -> str:
    """Each of the two subprotocols."""
    return request.param


def connections(server: Server, kernel: str) -> int:
    """The model's own count of websockets, the same in the list."""
    count = server.model(kernel)["connections"]
    return count if server.models()[kernel]["connections"] == count else -1


def until_connections(server: Server, kernel: str, wanted: int) -> None:
    """Wait until the model counts so many websockets; never fewer than none."""

    def look() -> bool:
        seen = connections(server, kernel)
        assert server.model(kernel)["connections"] >= 0
        return seen == wanted

    eventually(look, what=f"{wanted} connections")


def pause(server: Server, kernel: str) -> int:
    """Stop the kernel's process (SIGSTOP), wait until that is told, and give its pid."""
    pid = server.status(kernel)["pid"]
    os.kill(pid, signal.SIGSTOP)
    assert server.wait(kernel, status="unresponsive").status_code == 200
    return pid


@contextlib.contextmanager
def busy(server: Server, kernel: str, gate: Gate, *, real: bool = False) -> Iterator[str]:
    """The kernel, busy with a cell of a zmq client that the server does not know; gives its id."""
    before = server.status(kernel)["revision"]
    with server.client(kernel) as client:
        cell = execute(client, gate.cell if real else gate.command)
        assert server.wait(kernel, execution_state="busy", since=before).status_code == 200
        yield cell


def printed(messages: list[Message]) -> str:
    """What these messages print."""
    return "".join(content["text"] for content in of_type(messages, "stream"))


def result(messages: list[Message]) -> str:
    """What these messages say the cell's value is."""
    (content,) = of_type(messages, "execute_result")
    return content["data"]["text/plain"]


def cut(reason: str) -> str:
    """The reason as it fits into a close frame, no character broken."""
    return reason.encode()[:CLOSE_TEXT].decode(errors="ignore")


def succeeds(socket: KernelSocket) -> bool:
    """Whether a request through this websocket comes to its end."""
    (reply,) = of_type(socket.run("nothing"), "execute_reply")
    return reply["status"] == "ok"


# -- what is told, and when


def test_idle_is_told_at_open(server: Server, fake: Starter, protocol: str) -> None:
    """A websocket to an idle kernel reads idle, from nobody's request, before it asked anything."""
    kernel = fake()
    with connect(server, kernel, protocol=protocol) as socket:
        assert socket.told()["execution_state"] == "idle"
        assert succeeds(socket)


def test_idle_is_told_of_a_real_kernel(server: Server, python_kernel: str, protocol: str) -> None:
    """The same of an ipykernel, to the first websocket and to the second."""
    with (
        connect(server, python_kernel, protocol=protocol) as first,
        connect(server, python_kernel, protocol=protocol) as second,
    ):
        told = [socket.told()["execution_state"] for socket in (first, second)]
        assert told == ["idle", "idle"]
        assert result(second.run("20 + 3")) == "23"


@pytest.mark.parametrize("mode", ["good", "single-loop"])
def test_busy_is_told_at_open(server: Server, fake: Starter, protocol: str, mode: str) -> None:
    """The first ever websocket to a kernel that is busy opens at once, the second too: busy."""
    gate = server.gate()
    kernel = fake(mode)
    with busy(server, kernel, gate) as cell, contextlib.ExitStack() as sockets:
        opened = [
            sockets.enter_context(connect(server, kernel, AT_ONCE, protocol=protocol))
            for _ in range(2)
        ]
        for socket in opened:
            assert socket.told(timeout=AT_ONCE)["execution_state"] == "busy"
        server.taken_up()
        gate.open()
        for socket in opened:
            socket.hear("idle", cell)
            assert socket.states[-1] == "idle"


def test_busy_is_told_of_a_real_kernel(server: Server, kernel: str) -> None:
    """An ipykernel that is in a cell of somebody else reads busy at open, and idle afterwards."""
    gate = server.gate()
    with (
        busy(server, kernel, gate, real=True) as cell,
        connect(server, kernel, AT_ONCE) as socket,
    ):
        assert socket.told(timeout=AT_ONCE)["execution_state"] == "busy"
        server.taken_up()
        gate.open()
        socket.hear("idle", cell)
        assert result(socket.run("20 + 4")) == "24"


@pytest.mark.parametrize("same", [True, False], ids=["same-session", "other-session"])
def test_busy_is_told_after_a_reload(
    server: Server, fake: Starter, protocol: str, same: bool
) -> None:
    """A page that is loaded again while its cell runs reads busy at once, and idle at the end."""
    gate = server.gate()
    kernel = fake()
    with connect(server, kernel, protocol=protocol) as page:
        cell = page.execute(gate.command)
        page.hear("busy", cell)
    until_connections(server, kernel, 0)
    session = page.session_id if same else None
    with connect(server, kernel, AT_ONCE, protocol=protocol, session_id=session) as page:
        assert page.told(timeout=AT_ONCE)["execution_state"] == "busy"
        server.taken_up()
        gate.open()
        page.hear("idle", cell)
        assert page.states[-1] == "idle"
        assert succeeds(page)


@pytest.mark.parametrize(
    ("command", "cause", "word"),
    [
        ("die 3", "Error", "3"),
        ("die 77", "Error", "77"),
        ("signal 11", "SegmentationFault", "SEGV"),
    ],
)
def test_restarting_says_why(
    server: Server, fake: Starter, protocol: str, command: str, cause: str, word: str
) -> None:
    """The stock `restarting` message carries the reason and the cause of the death before it."""
    kernel = fake()
    with connect(server, kernel, protocol=protocol) as socket:
        socket.execute(command)
        content = socket.told("restarting")
        assert content["cause"] == cause
        assert word in content["reason"]
        socket.told("idle")
        (last,) = server.history(kernel)["terminations"]
        assert content["reason"] in (last["reason"], *reasons(server, kernel))


def reasons(server: Server, kernel: str) -> set[str]:
    """Every reason that the kernel's history tells."""
    return {change["reason"] for change in server.history(kernel)["changes"]}


def test_idle_is_told_after_an_autorestart(server: Server, fake: Starter, protocol: str) -> None:
    """A client that was there reads restarting, then idle once the new process has answered."""
    gate = server.gate()
    kernel = fake("good,slow", gate=gate)
    with connect(server, kernel, protocol=protocol) as socket:
        assert socket.told()["execution_state"] == "idle"
        kill(server, kernel)
        socket.told("restarting")
        assert not socket.tells("idle", 0.5)
        gate.open()
        socket.told("idle")
        status = server.status(kernel)
        assert (status["status"], status["generation"]) == ("connected", 1)
        assert succeeds(socket)
        assert set(socket.states) <= WORDS - {"dead"}


def test_idle_is_told_after_a_restart(server: Server, fake: Starter, protocol: str) -> None:
    """After `POST .../restart` the client reads idle once the new process has answered."""
    gate = server.gate()
    kernel = fake("good,slow", gate=gate)
    with connect(server, kernel, protocol=protocol) as socket:
        assert socket.told()["execution_state"] == "idle"
        server.restart(kernel)
        assert not socket.tells("idle", 0.5)
        gate.open()
        socket.told("idle")
        status = server.status(kernel)
        assert (status["status"], status["generation"]) == ("connected", 1)
        assert succeeds(socket)
        assert set(socket.states) <= WORDS - {"dead"}


def test_a_cell_after_a_wait_for_a_restart_is_published(server: Server, fake: Starter) -> None:
    """Who waits for `connected` and then uses the websocket that was open gets output and idle."""
    kernel = fake()
    with connect(server, kernel) as socket:
        for _ in range(6):
            before = server.status(kernel)["revision"]
            server.restart(kernel)
            assert server.wait(kernel, status="connected", since=before).status_code == 200
            assert succeeds(socket)


def test_what_a_kernel_says_and_nobody_can_read_costs_that_message(server: Server) -> None:
    """It is said in the log, and what flushes the stream goes on: the next message is read."""
    kernel = server.connected(server.fake(mode="garbage"))
    with connect(server, kernel) as socket:
        socket.execute("nothing")
        told = f"Kernel {kernel}: a message of it cannot be read and is not handed on"
        # Several come at once: one whose error is raised on would be the last that is said.
        eventually(lambda: server.log().count(told) > 1, what="said in the log")
    assert "Exception in callback" not in server.log()
    server.delete(kernel)


def test_every_client_is_told(server: Server, fake: Starter) -> None:
    """Three clients of one kernel all read restarting and idle, whichever protocol they speak."""
    kernel = fake()
    with contextlib.ExitStack() as stack:
        sockets = [
            stack.enter_context(connect(server, kernel, protocol=each)) for each in (V1, LEGACY, V1)
        ]
        kill(server, kernel)
        for socket in sockets:
            socket.told("restarting")
            socket.told("idle")
        assert [succeeds(socket) for socket in sockets] == [True] * 3


def test_a_websocket_lives_through_everything(server: Server, kernel: str, protocol: str) -> None:
    """One websocket runs cells before and after a kill, a restart and a halt of an ipykernel."""
    with connect(server, kernel, protocol=protocol) as socket:
        assert result(socket.run("1 + 1")) == "2"
        kill(server, kernel)
        socket.told("restarting")
        socket.told("idle")
        assert result(socket.run("2 + 1")) == "3"
        server.restart(kernel)
        socket.told("idle")
        assert result(socket.run("3 + 1")) == "4"
        pid = pause(server, kernel)
        cell = socket.execute("4 + 1")
        os.kill(pid, signal.SIGCONT)
        assert result(socket.finished(cell)) == "5"
        assert set(socket.states) <= WORDS - {"dead"}
        assert connections(server, kernel) == 1


# -- a kernel that dies by itself


def is_killed_twice(server: Server, kernel: str) -> None:
    """Kill it until it is given up."""
    before = server.status(kernel)["revision"]
    kill(server, kernel)
    come_back(server, kernel, before)
    kill(server, kernel)


def test_a_crash_loop_closes_with_the_reason(server: Server, fake: Starter, protocol: str) -> None:
    """The kernel that is given up closes its websocket: 1011, its reason; `dead` is never said."""
    kernel = fake()
    with connect(server, kernel, protocol=protocol) as socket:
        is_killed_twice(server, kernel)
        end = socket.closed()
        dead = server.status(kernel)
        assert (dead["status"], dead["cause"]) == ("dead", "CrashLoop")
        assert (end.code, end.text) == (1011, cut(dead["reason"]))
        assert set(socket.states) <= WORDS - {"dead"}
    until_connections(server, kernel, 0)


@pytest.mark.parametrize("how", ["kill", "restart"])
def test_a_new_process_that_fails_closes_with_the_reason(
    server: Server, fake: Starter, how: str
) -> None:
    """The same when the processes after a kill, or after a restart asked for, never answer."""
    kernel = fake("good,die-at-start", code=7)
    with connect(server, kernel) as socket:
        assert socket.told()["execution_state"] == "idle"
        if how == "kill":
            kill(server, kernel)
        else:
            server.restart(kernel)
        end = socket.closed()
        dead = server.until_dead(kernel)
        assert (end.code, end.text) == (1011, cut(dead["reason"]))
        assert "dead" not in socket.states
    until_connections(server, kernel, 0)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGABRT])
def test_a_death_without_autorestart_closes_with_the_reason(
    passive: Server, protocol: str, how: signal.Signals
) -> None:
    """Without automatic restarts one death is enough; no `restarting` is promised before it."""
    kernel = passive.connected(passive.fake())
    with connect(passive, kernel, protocol=protocol) as socket:
        assert socket.told()["execution_state"] == "idle"
        kill(passive, kernel, how)
        end = socket.closed()
        dead = passive.status(kernel)
        assert (end.code, end.text) == (1011, cut(dead["reason"]))
        assert how.name in end.text
        assert not {"dead", "restarting"} & set(socket.states)
    until_connections(passive, kernel, 0)
    passive.delete(kernel)


@pytest.mark.parametrize("first", ["", "a"])
def test_a_long_reason_is_cut_between_characters(passive: Server, first: str) -> None:
    """Of a reason longer than 123 bytes as many characters are told as fit, none of them broken."""
    command = passive.script(first + "é" * 100, f'exec {sys.executable} {FAKE_KERNEL} "$@"')
    kernel = passive.connected(
        passive.spec(f"long{first}", [str(command), "-f", "{connection_file}"])
    )
    with connect(passive, kernel) as socket:
        assert socket.told()["execution_state"] == "idle"
        command.unlink()
        passive.restart(kernel)
        end = socket.closed()
        reason = passive.status(kernel)["reason"]
        assert end.code == 1011
        assert len(reason.encode()) > CLOSE_TEXT
        assert end.text == cut(reason)
        assert "é" in end.text
    passive.delete(kernel)


def test_ten_clients_of_a_dying_kernel(server: Server, fake: Starter) -> None:
    """Ten clients hear the same end, and ten new ones at that moment are refused with it."""
    kernel = fake()
    sockets = [
        Upgrade(server, kernel, protocol=protocol).accepted() for protocol in [V1, LEGACY] * 5
    ]
    until_connections(server, kernel, 10)
    is_killed_twice(server, kernel)
    ends = [socket.closed() for socket in sockets]
    reason = server.status(kernel)["reason"]
    assert {(end.code, end.text) for end in ends} == {(1011, cut(reason))}
    assert not [socket for socket in sockets if "dead" in socket.states]
    upgrades = [Upgrade(server, kernel) for _ in range(10)]
    assert {upgrade.refused(AT_ONCE)["reason"] for upgrade in upgrades} == {reason}
    until_connections(server, kernel, 0)


@pytest.mark.parametrize("state", ["idle", "busy"])
@pytest.mark.parametrize("what", ["kernels", "sessions"])
def test_delete_closes_normally(server: Server, protocol: str, what: str, state: str) -> None:
    """Who removes a kernel, or its session, closes its websockets with 1000 and nobody else's."""
    gate, name = server.gate(), server.fake()
    neighbour = server.connected(name)
    session = server.session(f"{what}-{state}-{protocol}.ipynb", name)
    kernel = session["kernel"]["id"]
    server.settled(kernel)
    with (
        connect(server, kernel, protocol=protocol) as socket,
        connect(server, neighbour, protocol=protocol) as other,
    ):
        if state == "busy":
            socket.hear("busy", socket.execute(gate.command))
        path = f"api/{what}/{kernel if what == 'kernels' else session['id']}"
        assert server.http.delete(path).status_code == 204
        assert socket.closed().code == 1000
        assert succeeds(other)
        assert connections(server, neighbour) == 1
    server.delete(neighbour)


# -- refused before the upgrade, or held no longer than needed


def test_a_dead_kernel_refuses_with_its_reason(passive: Server) -> None:
    """Two kernels that died refuse at once, each with its own reason, as often as one asks."""
    told = []
    for code in (5, 6):
        kernel = passive.connected(passive.fake())
        with passive.client(kernel) as client:
            execute(client, f"die {code}")
            dead = passive.until_dead(kernel)
        bodies = [Upgrade(passive, kernel).refused(AT_ONCE) for _ in range(5)]
        assert {body["reason"] for body in bodies} == {dead["reason"]}
        assert all(" " in body["message"] for body in bodies)
        assert connections(passive, kernel) == 0
        told.append(dead["reason"])
        passive.delete(kernel)
    assert told[0] != told[1]


@pytest.mark.parametrize("when", ["connecting", "autorestarting", "restarting"])
def test_a_death_while_the_upgrade_waits(server: Server, fake: Starter, when: str) -> None:
    """Upgrades that wait for a process which then dies are refused with the kernel's reason."""
    gate = server.gate()
    modes = "die-at-start" if when == "connecting" else "good,die-at-start"
    kernel = fake(modes, gate=gate, code=9, wait=when != "connecting")
    if when == "autorestarting":
        kill(server, kernel)
    elif when == "restarting":
        server.restart(kernel)
    server.wait(kernel, status=when)
    upgrades = [Upgrade(server, kernel) for _ in range(3)]
    gate.open()
    bodies = [upgrade.refused() for upgrade in upgrades]
    dead = server.until_dead(kernel)
    assert {body["reason"] for body in bodies} == {dead["reason"]}
    assert connections(server, kernel) == 0


def test_a_launch_that_fails_refuses(pending: Server) -> None:
    """A pending kernel whose command is missing refuses with the reason, in JSON, nobody waits."""
    kernel = pending.start_kernel(pending.spec("none", ["/nowhere/python", "{connection_file}"]))
    body = Upgrade(pending, kernel).refused(AT_ONCE)
    assert body["reason"] == pending.until_dead(kernel)["reason"] != ""
    pending.delete(kernel)


def test_a_pending_kernel_is_waited_for(pending: Server) -> None:
    """A websocket to a kernel that was only just asked for opens when it has answered."""
    gate = pending.gate()
    kernel = pending.start_kernel(pending.fake(mode="slow", gate=gate))
    upgrade = Upgrade(pending, kernel)
    gate.open()
    socket = upgrade.accepted()
    assert socket.told("idle")
    assert succeeds(socket)
    socket.close()
    pending.delete(kernel)


def test_a_removal_while_the_upgrade_waits(server: Server) -> None:
    """A kernel that is deleted before it answered holds no upgrade: refused or unknown."""
    kernel = server.start_kernel(server.fake(mode="mute"))
    upgrade = Upgrade(server, kernel)
    server.delete(kernel)
    code, body = upgrade.answer(AT_ONCE)
    assert code in (404, 503)
    assert body["message"]


@pytest.mark.parametrize("how", ["kill", "restart"])
def test_a_kernel_that_comes_back_is_waited_for(server: Server, fake: Starter, how: str) -> None:
    """An upgrade during an autorestart or a restart opens with the new process, and reads idle."""
    gate = server.gate()
    kernel = fake("good,slow", gate=gate)
    if how == "kill":
        kill(server, kernel)
        server.wait(kernel, status="autorestarting")
    else:
        server.restart(kernel)
    upgrade = Upgrade(server, kernel)
    gate.open()
    socket = upgrade.accepted()
    assert socket.told("idle")
    assert server.status(kernel)["generation"] == 1
    assert succeeds(socket)
    socket.close()


@pytest.mark.parametrize("name", ["python3", "fake"])
@pytest.mark.parametrize("earlier", [False, True], ids=["first-ever", "second"])
def test_an_unresponsive_kernel_accepts_at_once(
    server: Server, start: Starter, name: str, earlier: bool
) -> None:
    """A stopped process holds no upgrade: the client reads idle, and works when it goes on."""
    kernel = start(server.fake() if name == "fake" else name)
    with contextlib.ExitStack() as stack:
        if earlier:
            stack.enter_context(connect(server, kernel)).told("idle")
        pid = pause(server, kernel)
        socket = stack.enter_context(connect(server, kernel, AT_ONCE))
        assert socket.told(timeout=AT_ONCE)["execution_state"] == "idle"
        assert server.status(kernel)["status"] == "unresponsive"
        os.kill(pid, signal.SIGCONT)
        assert server.wait(kernel, status="connected").status_code == 200
        assert of_type(socket.run("1"), "execute_reply")[0]["status"] == "ok"
        assert connections(server, kernel) == 1 + earlier


def test_an_unresponsive_busy_kernel_reads_busy(
    server: Server, fake: Starter, protocol: str
) -> None:
    """What a stopped kernel was doing is what a new websocket reads; in the end it reads idle."""
    gate = server.gate()
    kernel = fake()
    with busy(server, kernel, gate):
        assert held_for(lambda: server.status(kernel)["status"] == "connected", 1.5)
        pid = pause(server, kernel)
        with connect(server, kernel, AT_ONCE, protocol=protocol) as socket:
            assert socket.told(timeout=AT_ONCE)["execution_state"] == "busy"
            os.kill(pid, signal.SIGCONT)
            server.wait(kernel, status="connected")
            server.taken_up()
            gate.open()
            socket.until(lambda _: socket.states[-1] == "idle", what="idle")


@pytest.mark.parametrize("how", ["close", "vanish"])
def test_leaving_an_unresponsive_kernel(server: Server, fake: Starter, how: str) -> None:
    """A client that leaves while the process is stopped is not counted any more."""
    kernel = fake()
    pid = pause(server, kernel)
    socket = Upgrade(server, kernel).accepted(AT_ONCE)
    until_connections(server, kernel, 1)
    getattr(socket, how)()
    until_connections(server, kernel, 0)
    os.kill(pid, signal.SIGCONT)


def test_an_unresponsive_kernel_that_dies_closes(passive: Server) -> None:
    """A stopped kernel that is killed closes its websocket like any other."""
    kernel = passive.connected(passive.fake())
    pid = passive.status(kernel)["pid"]
    with connect(passive, kernel) as socket:
        os.kill(pid, signal.SIGSTOP)
        os.kill(pid, signal.SIGKILL)
        end = socket.closed()
        assert (end.code, end.text) == (1011, cut(passive.status(kernel)["reason"]))
    passive.delete(kernel)


# -- a dead kernel that is started again


def test_a_restarted_dead_kernel_works(passive: Server, protocol: str) -> None:
    """After `POST .../restart` of a dead kernel a websocket opens, reads idle and runs cells."""
    kernel = passive.connected("python3")
    with connect(passive, kernel, protocol=protocol) as socket:
        assert result(socket.run("30 + 1")) == "31"
        kill(passive, kernel)
        assert socket.closed().code == 1011
    passive.restart(kernel)
    with connect(passive, kernel, protocol=protocol, session_id=socket.session_id) as socket:
        assert socket.told("idle")
        assert result(socket.run("30 + 2")) == "32"
        until_connections(passive, kernel, 1)
    until_connections(passive, kernel, 0)
    passive.delete(kernel)


def test_connections_are_counted(server: Server, fake: Starter) -> None:
    """The model's `connections` is right through opens, losses, deaths, a restart and a removal."""
    kernel = fake()
    assert connections(server, kernel) == 0
    one, two = (Upgrade(server, kernel).accepted() for _ in range(2))
    until_connections(server, kernel, 2)
    two.vanish()
    until_connections(server, kernel, 1)
    before = server.status(kernel)["revision"]
    kill(server, kernel)
    come_back(server, kernel, before)
    until_connections(server, kernel, 1)
    three = Upgrade(server, kernel).accepted()
    until_connections(server, kernel, 2)
    kill(server, kernel)
    assert [one.closed().code, three.closed().code] == [1011, 1011]
    until_connections(server, kernel, 0)
    Upgrade(server, kernel).refused()
    assert connections(server, kernel) == 0
    dead = server.status(kernel)["revision"]
    server.restart(kernel)
    come_back(server, kernel, dead)
    assert connections(server, kernel) == 0
    with connect(server, kernel) as four:
        assert four.told("idle")
        until_connections(server, kernel, 1)
    until_connections(server, kernel, 0)


def test_the_same_session_again_replaces_the_old(
    server: Server, kernel: str, protocol: str
) -> None:
    """A client that comes back before its loss was seen takes its own place: one connection."""
    old = Upgrade(server, kernel, protocol=protocol).accepted()
    assert old.told("idle")
    with connect(server, kernel, protocol=protocol, session_id=old.session_id) as new:
        old.closed()
        assert new.told("idle")
        assert result(new.run("30 + 3")) == "33"
        until_connections(server, kernel, 1)
    until_connections(server, kernel, 0)


# -- clients that are lost


@pytest.mark.parametrize("how", ["close", "vanish"])
def test_a_lost_client_gets_what_was_printed_meanwhile(
    server: Server, kernel: str, protocol: str, how: str
) -> None:
    """A client that comes back as the same session gets the output and the reply it missed."""
    gate = server.gate()
    before = server.status(kernel)["revision"]
    with connect(server, kernel, protocol=protocol) as lost:
        cell = lost.execute(f"print('one', flush=True)\n{gate.cell}\nprint('two', flush=True)")
        lost.until(lambda message: "one" in printed([message]))
        getattr(lost, how)()
    until_connections(server, kernel, 0)
    gate.open()
    assert server.wait(kernel, execution_state="idle", since=before).status_code == 200
    server.taken_up()
    with connect(server, kernel, protocol=protocol, session_id=lost.session_id) as found:
        missed = found.finished(cell)
        assert printed(missed) == "two\n"
        assert of_type(missed, "execute_reply")[0]["status"] == "ok"
        assert result(found.run("40 + 1")) == "41"
        assert found.states[-1] == "idle"


def test_nothing_is_lost_at_the_moment_of_the_return(server: Server, fake: Starter) -> None:
    """A client that is back the instant its cell ends gets the reply and the idle, every time."""
    kernel = fake()
    session = f"back-{kernel}"
    for _ in range(20):
        gate, before = server.gate(), server.status(kernel)["revision"]
        with connect(server, kernel, session_id=session) as lost:
            cell = lost.execute(gate.command)
            lost.hear("busy", cell)
            lost.vanish()
        until_connections(server, kernel, 0)
        gate.open()
        assert server.wait(kernel, execution_state="idle", since=before).status_code == 200
        with connect(server, kernel, session_id=session) as found:
            found.finished(cell)
        until_connections(server, kernel, 0)


def test_a_client_that_returns_while_its_cell_prints(
    server: Server, kernel: str, protocol: str
) -> None:
    """Every line comes once and in order, those before, at and after the moment of the return."""
    lines = "for line in range(400): print(line, flush=True)"
    for turn in range(8):
        gate, session = server.gate(), f"{protocol}-{turn}"
        with connect(server, kernel, protocol=protocol, session_id=session) as lost:
            cell = lost.execute(f"{gate.cell}\n{lines}")
            lost.hear("busy", cell)
            lost.vanish()
        until_connections(server, kernel, 0)
        gate.open()
        with connect(server, kernel, protocol=protocol, session_id=session) as found:
            assert printed(found.finished(cell)) == "".join(f"{line}\n" for line in range(400))
        until_connections(server, kernel, 0)


def test_what_was_printed_is_not_for_others(server: Server, kernel: str) -> None:
    """Another session gets none of it, and from then on nobody does."""
    gate = server.gate()
    before = server.status(kernel)["revision"]
    with connect(server, kernel) as lost:
        lost.hear("busy", lost.execute(f"{gate.cell}\nprint('two', flush=True)"))
    until_connections(server, kernel, 0)
    gate.open()
    server.wait(kernel, execution_state="idle", since=before)
    server.taken_up()
    for session in (None, lost.session_id):
        with connect(server, kernel, session_id=session) as socket:
            assert result(socket.run("40 + 2")) == "42"
            assert printed(socket.received) == ""


def test_a_lost_client_comes_back_after_an_autorestart(
    server: Server, fake: Starter, protocol: str
) -> None:
    """A loss, a death, a new process: the same session reads idle and works."""
    kernel = fake()
    with connect(server, kernel, protocol=protocol) as lost:
        assert lost.told("idle")
        lost.vanish()
    until_connections(server, kernel, 0)
    before = server.status(kernel)["revision"]
    kill(server, kernel)
    come_back(server, kernel, before)
    with connect(server, kernel, protocol=protocol, session_id=lost.session_id) as found:
        assert found.told("idle")
        assert succeeds(found)
        assert connections(server, kernel) == 1


def die_with_a_client(server: Server, *, lost: bool) -> str:
    """A kernel that dies with an open websocket, or one that was lost before; gives its id."""
    kernel = server.connected(server.fake("mortal"))
    socket = Upgrade(server, kernel).accepted()
    assert socket.told("idle")
    if lost:
        socket.vanish()
        until_connections(server, kernel, 0)
    kill(server, kernel)
    server.until_dead(kernel)
    assert lost or socket.closed().code == 1011
    return kernel


def test_dead_kernels_hold_nothing_for_their_clients(passive: Server) -> None:
    """After twenty deaths with websockets the server has the descriptors that it had."""
    dead = [die_with_a_client(passive, lost=lost) for lost in (True, False)]
    passive.taken_up()
    before = passive.fds()
    dead += [die_with_a_client(passive, lost=bool(turn % 2)) for turn in range(DEATHS)]
    eventually(lambda: passive.fds() <= before + 3, what=f"back to {before} descriptors")
    models = passive.models()
    assert {(models[kernel]["status"], models[kernel]["connections"]) for kernel in dead} == {
        ("dead", 0)
    }
    for kernel in dead:
        passive.delete(kernel)


def test_a_kernel_that_lives_buffers_for_one_client_only(server: Server, fake: Starter) -> None:
    """Many clients that came and were lost leave no more than one of them would."""
    kernel = fake()
    for turn in range(12):
        if turn == 2:
            before = server.fds()
        with connect(server, kernel) as socket:
            assert socket.told("idle")
            socket.vanish()
        until_connections(server, kernel, 0)
    eventually(lambda: server.fds() <= before + 3, what=f"back to {before} descriptors")


@pytest.mark.parametrize("then", ["comes", "dies", "is deleted"])
def test_clients_that_vanish_in_the_middle_of_the_upgrade(
    server: Server, fake: Starter, then: str
) -> None:
    """Fifteen clients that do not wait for their answer leave no connection and no descriptor."""
    gate = server.gate()
    mode = "die-at-start" if then == "dies" else "slow"
    before, log = server.fds(), len(server.log())
    kernel = fake(mode, gate=gate, wait=False)
    for _ in range(15):
        Upgrade(server, kernel).vanish()
    server.taken_up()
    if then == "is deleted":
        server.delete(kernel)
    gate.open()
    if then == "dies":
        Upgrade(server, kernel).refused()
    if then == "comes":
        with connect(server, kernel) as socket:
            assert succeeds(socket)
    if then != "is deleted":
        until_connections(server, kernel, 0)
        server.delete(kernel)
    eventually(lambda: server.fds() <= before + 3, what=f"back to {before} descriptors")
    assert "Uncaught exception" not in server.log()[log:]


@pytest.mark.parametrize("then", ["dies", "is deleted"])
def test_a_client_that_never_reads(passive: Server, protocol: str, then: str) -> None:
    """It holds up neither the kernel's end nor its neighbour, and is let go in the end."""
    kernel = passive.connected(passive.fake())
    before = passive.fds()
    sleeper = Upgrade(passive, kernel, protocol=protocol, receive_buffer=4096).accepted()
    with connect(passive, kernel, protocol=protocol) as other:
        other.hear("idle", other.execute(f"big {BIG}"))
        assert len(other.raw) > BIG
        if then == "dies":
            kill(passive, kernel)
            passive.until_dead(kernel)
        else:
            passive.delete(kernel)
        assert other.closed(AT_ONCE).code == (1011 if then == "dies" else 1000)
    if then == "dies":
        until_connections(passive, kernel, 0)
    eventually(lambda: passive.fds() <= before, what=f"back to {before} descriptors")
    sleeper.vanish()
    if then == "dies":
        passive.delete(kernel)


# -- small messages


def test_small_messages_leave_at_once(server: Server, fake: Starter, protocol: str) -> None:
    """The system is told not to hold small messages back (`TCP_NODELAY`), and it stays told."""
    kernel = fake()
    with connect(server, kernel, protocol=protocol) as socket:
        assert socket.told("idle")
        assert server.get("probe/nodelay", port=socket.port) == {"nodelay": True}
        assert succeeds(socket)
        assert server.get("probe/nodelay", port=socket.port) == {"nodelay": True}
