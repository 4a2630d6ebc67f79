"""Contract section 2: restart, interrupt and DELETE in every status, and the ends asked for."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import psutil
import pytest
from support.server import PATIENCE, Gate, Server, eventually, held_for
from support.stories import changes, come_back, execute, kill, reply_to, request, run, story

Starter = Callable[..., str]

ALLOWED = {"restart": (200, 409), "interrupt": (204, 409), "delete": (204, 409)}

UNKNOWN_IDS = [str(uuid.UUID(int=7)), "a-b-c-d-e"]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that gives a deaf kernel little time, and up after one restart."""
    config = {
        "KernelManager": {"shutdown_wait_time": 0.6},
        "KernelRestarter": {"restart_limit": 1, "stable_start_time": 3600.0},
    }
    with Server(config=config) as server:
        yield server


def act(server: Server, kernel: str, action: str) -> int:
    """Do it, check that the answer is allowed and a refusal has a sentence; gives the code."""
    path = f"api/kernels/{kernel}"
    response = (
        server.http.delete(path) if action == "delete" else server.http.post(f"{path}/{action}")
    )
    assert response.status_code in ALLOWED[action], response.text
    if response.status_code == 409:
        assert " " in response.json()["message"]
    return response.status_code


def connecting(server: Server, _gate: Gate) -> str:
    """A kernel that has not answered."""
    return server.start_kernel(server.fake(mode="mute"))


def unbound(server: Server, _gate: Gate) -> str:
    """A kernel that lives and listens nowhere."""
    return server.start_kernel(server.fake(mode="never-binds"))


def idle(server: Server, _gate: Gate) -> str:
    """A connected kernel that rests."""
    return server.connected(server.fake())


def busy(server: Server, gate: Gate) -> str:
    """A connected kernel with a cell."""
    kernel = server.connected(server.fake())
    before = server.status(kernel)["revision"]
    with server.client(kernel) as client:
        execute(client, gate.command)
        server.wait(kernel, execution_state="busy", since=before)
    return kernel


def restarting(server: Server, gate: Gate) -> str:
    """A kernel whose requested new process has not answered."""
    kernel = server.connected(server.fake(mode="good,slow", gate=gate))
    server.restart(kernel)
    return kernel


def autorestarting(server: Server, gate: Gate) -> str:
    """A kernel that died and whose new process has not answered."""
    kernel = server.connected(server.fake(mode="good,slow", gate=gate))
    kill(server, kernel)
    server.wait(kernel, status="autorestarting")
    return kernel


def dead_at_start(server: Server, _gate: Gate) -> str:
    """A kernel that never answered."""
    kernel = server.start_kernel(server.fake(mode="die-at-start"))
    server.until_dead(kernel)
    return kernel


def crashed(server: Server, _gate: Gate) -> str:
    """A kernel that was given up."""
    kernel = server.connected(server.fake(mode="good,die-at-start"))
    kill(server, kernel)
    server.until_dead(kernel)
    return kernel


def deaf(server: Server, _gate: Gate) -> str:
    """A connected kernel that only SIGKILL ends."""
    return server.connected(server.fake(mode="deaf"))


SITUATIONS = (
    connecting,
    unbound,
    idle,
    busy,
    restarting,
    autorestarting,
    dead_at_start,
    crashed,
    deaf,
)


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda each: each.__name__)
def test_delete_in_every_status(server: Server, situation: Callable[..., str]) -> None:
    """`DELETE` removes a kernel in any status: 404 afterwards, no process, no connection file."""
    kernel = situation(server, server.gate())
    assert act(server, kernel, "delete") == 204
    server.get(f"api/kernels/{kernel}", expect=404)
    server.get(f"api/kernels/{kernel}/status", expect=404)
    assert kernel not in server.models()
    assert server.kernel_processes(kernel) == []
    assert not [path for path in server.connection_files() if kernel in path.name]


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda each: each.__name__)
def test_restart_in_every_status(server: Server, situation: Callable[..., str]) -> None:
    """A restart in any status works or is refused with a sentence, and the kernel is not stuck."""
    gate = server.gate()
    kernel = situation(server, gate)
    before = server.status(kernel)
    if act(server, kernel, "restart") == 200 and situation in (idle, busy, deaf):
        after = come_back(server, kernel, before["revision"])
        assert (after["generation"], after["restart_count"]) == (before["generation"] + 1, 0)
    gate.open()
    if situation in (restarting, autorestarting):
        assert server.settled(kernel)["reason"] == ""
    server.delete(kernel)


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda each: each.__name__)
def test_interrupt_in_every_status(server: Server, situation: Callable[..., str]) -> None:
    """An interrupt in any status is taken or refused with a sentence, and ends no fake kernel."""
    gate = server.gate()
    kernel = situation(server, gate)
    before = server.status(kernel)
    code = act(server, kernel, "interrupt")
    if situation in (dead_at_start, crashed):
        assert code == 409
    if situation in (idle, busy, deaf, connecting, unbound, restarting):
        assert code == 204
    after = server.status(kernel)
    if situation is not autorestarting:  # that one goes on meanwhile
        assert (after["status"], after["pid"]) == (before["status"], before["pid"])
    gate.open()
    server.delete(kernel)


@pytest.mark.parametrize("action", ["restart", "interrupt"])
@pytest.mark.parametrize("kernel", UNKNOWN_IDS)
def test_actions_on_unknown_kernels(server: Server, action: str, kernel: str) -> None:
    """An unknown id answers 404 in JSON that names it, never 500."""
    assert kernel in server.post(f"api/kernels/{kernel}/{action}", expect=404)["message"]


@pytest.mark.parametrize("kernel", UNKNOWN_IDS)
def test_get_and_delete_of_unknown_kernels(server: Server, kernel: str) -> None:
    """The same holds for the model and its removal."""
    assert server.get(f"api/kernels/{kernel}", expect=404)["message"]
    assert server.delete(kernel, expect=404)["message"]


def test_interrupt_ends_a_real_cell(server: Server) -> None:
    """An interrupt of a busy ipykernel ends the cell with KeyboardInterrupt, not the process."""
    kernel = server.connected("python3")
    before = server.status(kernel)
    gate = server.gate()
    with server.client(kernel) as client:
        cell = execute(client, gate.cell)
        busy_at = server.wait(kernel, execution_state="busy", since=before["revision"]).json()[
            "revision"
        ]
        eventually(gate.reached.exists, what="the cell runs")
        server.post(f"api/kernels/{kernel}/interrupt", expect=204)
        assert reply_to(client, "shell", cell)["content"]["ename"] == "KeyboardInterrupt"
    after = server.wait(kernel, execution_state="idle", since=busy_at).json()
    assert (after["pid"], after["reason"]) == (before["pid"], "")
    server.delete(kernel)


def test_restart_is_restarting_until_the_new_process_answers(server: Server) -> None:
    """`POST .../restart` answers `restarting`; idle is told only when the new process answered."""
    gate = server.gate()
    kernel = server.connected(server.fake(mode="good,slow", gate=gate))
    before = server.status(kernel)
    model = server.restart(kernel)
    assert (model["status"], model["execution_state"], model["reason"]) == (
        "restarting",
        "starting",
        "",
    )
    assert held_for(lambda: server.model(kernel)["status"] == "restarting", 0.5)
    assert server.wait(kernel, state="idle", timeout=0).status_code == 504
    gate.open()
    after = come_back(server, kernel, before["revision"])
    assert (after["execution_state"], after["generation"]) == ("idle", 1)
    assert after["pid"] != before["pid"]
    told = story(changes(server, kernel, before["revision"]), "status")
    assert told == ["restarting", "connected"]


def test_restart_of_a_real_kernel_is_true(server: Server) -> None:
    """What a client runs the moment the restarted kernel reads idle is run by the new process."""
    kernel = server.connected("python3")
    before = server.status(kernel)
    server.restart(kernel)
    after = come_back(server, kernel, before["revision"])
    with server.client(kernel) as client:
        client.execute("", user_expressions={"pid": "__import__('os').getpid()"})
        told = client.get_shell_msg(timeout=PATIENCE)["content"]["user_expressions"]["pid"]["data"][
            "text/plain"
        ]
    assert int(told) == after["pid"] != before["pid"]
    server.delete(kernel)


def test_restart_of_a_busy_real_kernel(server: Server) -> None:
    """A restart ends a running cell; the kernel is idle with the new process, not before."""
    kernel = server.connected("python3")
    before = server.status(kernel)
    gate = server.gate()
    with server.client(kernel) as client:
        execute(client, gate.cell)
        at = server.wait(kernel, execution_state="busy", since=before["revision"]).json()[
            "revision"
        ]
        server.restart(kernel)
        after = come_back(server, kernel, at)
    assert (after["execution_state"], after["generation"]) == ("idle", 1)
    assert not psutil.pid_exists(before["pid"])
    server.delete(kernel)


def test_restart_was_asked_for(server: Server) -> None:
    """A process ended by a requested restart is expected, cause Restarted, not counted."""
    kernel = server.connected(server.fake())
    before = server.status(kernel)
    server.restart(kernel)
    last = come_back(server, kernel, before["revision"])["last_termination"]
    assert (last["cause"], last["expected"], last["requested_by"]) == ("Restarted", True, "restart")
    assert (last["pid"], last["generation"]) == (before["pid"], 0)


def test_deaf_kernel_is_restarted(server: Server) -> None:
    """A kernel that only SIGKILL ends was still asked to: Restarted, not Killed."""
    kernel = server.connected(server.fake(mode="deaf,good"))
    before = server.status(kernel)
    server.restart(kernel)
    last = come_back(server, kernel, before["revision"])["last_termination"]
    assert (last["cause"], last["expected"], last["signal"]) == ("Restarted", True, "SIGKILL")


@pytest.mark.parametrize("mode", ["good", "deaf"])
def test_shutdown_passes_through_dead(server: Server, mode: str) -> None:
    """A kernel that is deleted passes through dead, cause Shutdown: who waits for dead hears it."""
    kernel = server.connected(server.fake(mode=mode))
    waiter = server.send_wait(kernel, status="dead")
    server.delete(kernel)
    answer = waiter.answer()
    assert answer.status_code == 200
    told = answer.json()
    assert (told["status"], told["execution_state"], told["cause"]) == ("dead", "dead", "Shutdown")
    last = told["last_termination"]
    assert (last["cause"], last["expected"], last["requested_by"]) == ("Shutdown", True, "shutdown")


def test_shutdown_by_session_is_a_shutdown(server: Server) -> None:
    """The removal of the session is a shutdown asked for, like the removal of the kernel."""
    session = server.session("shut.ipynb", server.fake())
    kernel = session["kernel"]["id"]
    server.settled(kernel)
    waiter = server.send_wait(kernel, status="dead")
    assert server.http.delete(f"api/sessions/{session['id']}").status_code == 204
    last = waiter.answer().json()["last_termination"]
    assert (last["cause"], last["requested_by"], last["expected"]) == ("Shutdown", "shutdown", True)


def test_shutdown_passes_through_terminating(server: Server) -> None:
    """While a deaf kernel is being shut down it is terminating and takes no work."""
    kernel = server.connected(server.fake(mode="deaf"))
    waiter = server.send_wait(kernel, status="terminating")
    removal = server.send("DELETE", f"api/kernels/{kernel}")
    told = waiter.answer().json()
    assert (told["status"], told["state"], told["execution_state"]) == (
        "terminating",
        "stopped",
        "idle",
    )
    assert removal.answer().status_code == 204


def test_dies_while_terminating(server: Server) -> None:
    """A kernel that is killed while somebody shuts it down is no crash and is not started again."""
    name = server.fake(mode="deaf")
    kernel = server.connected(name)
    pid = server.status(kernel)["pid"]
    stage = server.send_wait(kernel, status="terminating")
    end = server.send_wait(kernel, status="dead")
    removal = server.send("DELETE", f"api/kernels/{kernel}")
    assert stage.answer().status_code == 200
    psutil.Process(pid).kill()
    assert end.answer().json()["cause"] == "Shutdown"
    assert removal.answer().status_code == 204
    server.get(f"api/kernels/{kernel}", expect=404)
    assert server.starts(name) == [pid]


def test_shutdown_by_the_kernel_itself_is_no_request(server: Server) -> None:
    """A `shutdown_request` sent straight to the kernel is, for the server, an exit by itself."""
    kernel = server.connected(server.fake())
    before = server.status(kernel)["revision"]
    with server.client(kernel) as client:
        request(client, "shutdown_request", {"restart": False}, "control")
        last = come_back(server, kernel, before)["last_termination"]
    assert (last["cause"], last["exit_code"], last["expected"]) == ("Exited", 0, False)


@pytest.mark.parametrize(
    ("first", "second"), [("restart", "restart"), ("restart", "delete"), ("delete", "restart")]
)
def test_two_actions_at_once(server: Server, first: str, second: str) -> None:
    """Two actions at the same time are both answered, no 500, and the kernel ends as one wanted."""
    kernel = server.connected(server.fake())
    path = f"api/kernels/{kernel}"
    calls = [
        server.send("DELETE", path)
        if action == "delete"
        else server.send("POST", f"{path}/{action}")
        for action in (first, second)
    ]
    codes = [call.answer().status_code for call in calls]
    assert all(code in (200, 204, 404, 409) for code in codes), codes
    if "delete" in (first, second):
        eventually(lambda: server.http.get(path).status_code == 404, what="the kernel is gone")
        eventually(lambda: not server.kernel_processes(kernel), what="its processes are gone")
    else:
        assert server.settled(kernel)["restart_count"] == 0
        eventually(
            lambda: len(server.kernel_processes(kernel)) == 1, what="one process of the kernel"
        )
        server.delete(kernel)


def test_two_deletes_at_once(server: Server) -> None:
    """Of two removals one answers 204, the other 204 or 404 or 409."""
    kernel = server.connected(server.fake(mode="deaf"))
    calls = [server.send("DELETE", f"api/kernels/{kernel}") for _ in range(2)]
    codes = sorted(call.answer().status_code for call in calls)
    assert codes[0] == 204
    assert codes[1] in (204, 404, 409)
    server.get(f"api/kernels/{kernel}", expect=404)


def test_death_during_a_requested_restart_of_a_busy_kernel(server: Server) -> None:
    """A kernel killed while a restart waits for its end comes back once, by that restart."""
    name = server.fake(mode="deaf,good")
    kernel = server.connected(name)
    before = server.status(kernel)
    restart = server.send("POST", f"api/kernels/{kernel}/restart")
    psutil.Process(before["pid"]).kill()
    assert restart.answer().status_code == 200
    after = come_back(server, kernel, before["revision"])
    assert (after["generation"], after["restart_count"], len(server.starts(name))) == (1, 0, 2)
    assert run(server, kernel, "nothing")["status"] == "ok"
