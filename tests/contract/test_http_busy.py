"""Contract section 1: `busy` exactly while a tracked request runs on main or a subshell."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from support.server import PATIENCE, Gate, Server, held_for
from support.stories import (
    ask,
    changes,
    come_back,
    execute,
    heard,
    kill,
    moment,
    reply_to,
    request,
    run,
    story,
)

Starter = Callable[..., str]

CONTROL_REQUESTS = {
    "kernel_info_request": {},
    "usage_request": {},
    "debug_request": {"seq": 1, "type": "request", "command": "debugInfo", "arguments": {}},
    "complete_request": {"code": "pri", "cursor_pos": 3},
    "execute_request": {
        "code": "1+1",
        "silent": False,
        "store_history": False,
        "user_expressions": {},
    },
    "create_subshell_request": {},
    "list_subshell_request": {},
}


SHELL_REQUESTS = {"complete_request", "execute_request"}
"""On control, of an idle kernel, nothing on iopub tells these from the same on its shell."""


@pytest.fixture(scope="module")
def untracking() -> Iterator[Server]:
    """A server for which `complete_request` is no activity."""
    from jupyter_server.services.kernels.kernelmanager import MappingKernelManager  # noqa: PLC0415

    stock = MappingKernelManager.untracked_message_types.default()
    config = {"MappingKernelManager": {"untracked_message_types": [*stock, "complete_request"]}}
    with Server(config=config) as server:
        yield server


def busy_cell(server: Server, kernel: str, client: object, code: str) -> tuple[str, int]:
    """Run a cell that waits; gives its id and the revision before, once the server saw it."""
    before = server.status(kernel)["revision"]
    cell = execute(client, code)
    assert server.wait(kernel, execution_state="busy", since=before).status_code == 200
    return cell, before


def finish(server: Server, kernel: str, gate: Gate) -> float:
    """Open the gate of a busy kernel and wait until it is idle; gives the time just before."""
    busy = server.status(kernel)["revision"]
    opened = time.time()
    gate.open()
    assert server.wait(kernel, execution_state="idle", since=busy).status_code == 200
    return opened


def test_busy_while_a_cell_runs(server: Server, python_kernel: str) -> None:
    """A cell sent by somebody the server does not know makes the kernel busy until it ends."""
    gate = server.gate()
    with server.client(python_kernel) as client:
        _, before = busy_cell(server, python_kernel, client, gate.cell)
        assert server.model(python_kernel)["execution_state"] == "busy"
        assert server.status(python_kernel)["state"] == "running"
        finish(server, python_kernel, gate)
    assert story(changes(server, python_kernel, before), "execution_state") == ["busy", "idle"]


def test_busy_with_an_unknown_wire(server: Server, fake: Starter) -> None:
    """The same holds for a kernel that is not ipykernel."""
    gate = server.gate()
    kernel = fake("good")
    with server.client(kernel) as client:
        _, before = busy_cell(server, kernel, client, gate.command)
        finish(server, kernel, gate)
    assert story(changes(server, kernel, before), "state") == ["running", "idle"]


@pytest.mark.parametrize("msg_type", CONTROL_REQUESTS)
def test_control_never_ends_busy(server: Server, python_kernel: str, msg_type: str) -> None:
    """A request on control, answered while a cell runs, changes nothing."""
    gate = server.gate()
    with server.client(python_kernel) as client:
        _, before = busy_cell(server, python_kernel, client, gate.cell)
        asked = request(client, msg_type, CONTROL_REQUESTS[msg_type], "control")
        reply_to(client, "control", asked)
        heard(client, "idle", asked)
        server.taken_up()
        assert server.status(python_kernel)["execution_state"] == "busy"
        opened = finish(server, python_kernel, gate)
    told = changes(server, python_kernel, before)
    assert story(told, "execution_state") == ["busy", "idle"]
    assert moment(told[-1]["at"]) >= opened


@pytest.mark.parametrize("msg_type", sorted(CONTROL_REQUESTS.keys() - SHELL_REQUESTS))
def test_control_never_makes_busy(server: Server, python_kernel: str, msg_type: str) -> None:
    """A request on control of an idle kernel leaves no trace: the cell is the next change."""
    before = server.status(python_kernel)["revision"]
    with server.client(python_kernel) as client:
        asked = request(client, msg_type, CONTROL_REQUESTS[msg_type], "control")
        reply_to(client, "control", asked)
        heard(client, "idle", asked)
        gate = server.gate()
        started = time.time()
        busy_cell(server, python_kernel, client, gate.cell)
        finish(server, python_kernel, gate)
    told = changes(server, python_kernel, before)
    assert story(told, "execution_state") == ["busy", "idle"]
    assert moment(told[0]["at"]) >= started


@pytest.mark.parametrize(
    "msg_type", ["kernel_info_request", "execute_request", "interrupt_request"]
)
def test_control_of_another_kernel_never_counts(
    server: Server, fake: Starter, msg_type: str
) -> None:
    """A kernel that publishes busy and idle for control like for shell stays busy with its cell."""
    gate = server.gate()
    kernel = fake("good")
    with server.client(kernel) as client:
        _, before = busy_cell(server, kernel, client, gate.command)
        asked = request(client, msg_type, {"code": "nothing"}, "control")
        reply_to(client, "control", asked)
        heard(client, "idle", asked)
        opened = finish(server, kernel, gate)
    told = changes(server, kernel, before)
    assert story(told, "execution_state") == ["busy", "idle"]
    assert moment(told[-1]["at"]) >= opened


def test_untracked_request_on_shell_changes_nothing(server: Server, python_kernel: str) -> None:
    """`kernel_info_request` on shell is untracked by default: no change of an idle kernel."""
    before = server.status(python_kernel)["revision"]
    with server.client(python_kernel) as client:
        ask(client, "kernel_info_request")
        ask(client, "comm_info_request")
    run(server, python_kernel, "pass")
    server.wait(python_kernel, execution_state="idle", since=before)
    assert story(changes(server, python_kernel, before), "execution_state") == ["busy", "idle"]


def test_tracked_request_on_shell_counts(server: Server, python_kernel: str) -> None:
    """`complete_request` on shell is tracked by default: busy, then idle."""
    before = server.status(python_kernel)["revision"]
    with server.client(python_kernel) as client:
        ask(client, "complete_request", code="pri", cursor_pos=3)
    assert server.wait(python_kernel, execution_state="idle", since=before).status_code == 200
    assert story(changes(server, python_kernel, before), "execution_state") == ["busy", "idle"]


def test_untracked_message_types_is_honoured(untracking: Server) -> None:
    """With `complete_request` untracked it changes nothing, while a cell still does."""
    kernel = untracking.connected("python3")
    before = untracking.status(kernel)["revision"]
    with untracking.client(kernel) as client:
        asked = request(client, "complete_request", {"code": "pri", "cursor_pos": 3})
        reply_to(client, "shell", asked)
        heard(client, "idle", asked)
        untracking.taken_up()
        assert untracking.status(kernel)["revision"] == before
        reply_to(client, "shell", execute(client, "1"))
    assert untracking.wait(kernel, execution_state="idle", since=before).status_code == 200
    assert story(changes(untracking, kernel, before), "execution_state") == ["busy", "idle"]


@pytest.mark.parametrize("first", ["main", "subshell"])
def test_busy_until_main_and_subshell_are_done(server: Server, kernel: str, first: str) -> None:
    """With a cell on main and one on a subshell, the end of one alone is no idle."""
    gates = {"main": server.gate(), "subshell": server.gate()}
    last = gates["subshell" if first == "main" else "main"]
    with server.client(kernel) as client:
        shells = {
            "main": None,
            "subshell": ask(client, "create_subshell_request", "control")["subshell_id"],
        }
        before = server.status(kernel)["revision"]
        sent = {name: execute(client, gates[name].cell, shell) for name, shell in shells.items()}
        heard(client, "busy", *sent.values())
        gates[first].open()
        heard(client, "idle", sent[first])
        server.taken_up()
        assert server.status(kernel)["execution_state"] == "busy"
        opened = finish(server, kernel, last)
    told = changes(server, kernel, before)
    assert story(told, "execution_state") == ["busy", "idle"]
    assert moment(told[-1]["at"]) >= opened


def test_subshells_are_told_apart(server: Server, kernel: str) -> None:
    """`subshells` names the subshell that works, and the kernel is running meanwhile."""
    gate = server.gate()
    with server.client(kernel) as client:
        subshell = ask(client, "create_subshell_request", "control")["subshell_id"]
        before = server.status(kernel)["revision"]
        execute(client, gate.cell, subshell)
        working = server.wait(kernel, execution_state="busy", since=before).json()
        assert (working["subshells"], working["state"]) == ({subshell: "busy"}, "running")
        finish(server, kernel, gate)
    assert server.status(kernel)["subshells"].get(subshell, "idle") == "idle"


def test_main_shell_is_free_while_a_subshell_works(server: Server, kernel: str) -> None:
    """Cells on the main shell come and go while a subshell works: busy all the time."""
    gate = server.gate()
    with server.client(kernel) as client:
        subshell = ask(client, "create_subshell_request", "control")["subshell_id"]
        before = server.status(kernel)["revision"]
        execute(client, gate.cell, subshell)
        server.wait(kernel, execution_state="busy", since=before)
        for _ in range(3):
            reply_to(client, "shell", execute(client, "1+1"))
        server.taken_up()
        assert server.status(kernel)["execution_state"] == "busy"
        opened = finish(server, kernel, gate)
    told = changes(server, kernel, before)
    assert story(told, "execution_state") == ["busy", "idle"]
    assert moment(told[-1]["at"]) >= opened


def test_queued_cells_one_after_another(server: Server, python_kernel: str) -> None:
    """Of ten queued cells none is lost: the kernel ends idle, the story only alternates."""
    before = server.status(python_kernel)["revision"]
    with server.client(python_kernel) as client:
        sent = [execute(client, f"x = {number}") for number in range(10)]
        reply_to(client, "shell", sent[-1])
        heard(client, "idle", sent[-1])
    assert server.wait(python_kernel, execution_state="idle").status_code == 200
    told = changes(server, python_kernel, before)
    assert [change["execution_state"] for change in told] == ["busy", "idle"] * (len(told) // 2)
    assert told[-1]["execution_state"] == "idle"


def test_failing_cell_ends_idle(server: Server, python_kernel: str) -> None:
    """A cell that raises is as over as one that does not, and no reason appears."""
    before = server.status(python_kernel)["revision"]
    assert run(server, python_kernel, "1/0")["status"] == "error"
    done = server.wait(python_kernel, execution_state="idle", since=before).json()
    assert (done["reason"], done["cause"], done["status"]) == ("", None, "connected")


@pytest.mark.parametrize("lines", [5_000, 40_000])
def test_flood_ends_idle(server: Server, fake: Starter, lines: int) -> None:
    """The idle after a flood of output is not lost, or made up for soon."""
    kernel = fake("good")
    before = server.status(kernel)["revision"]
    with server.client(kernel) as client:
        reply_to(client, "shell", execute(client, f"flood {lines}"), timeout=PATIENCE)
    assert server.wait(kernel, execution_state="idle", since=before).status_code == 200


def test_flood_of_a_real_kernel_ends_idle(server: Server, python_kernel: str) -> None:
    """2,500 flushed lines of an ipykernel leave it idle, 5 s after its own reply at the latest."""
    before = server.status(python_kernel)["revision"]
    with server.client(python_kernel) as client:
        reply_to(
            client,
            "shell",
            execute(client, "for i in range(2500): print(i, flush=True)"),
            timeout=60,
        )
    assert server.wait(python_kernel, execution_state="idle", since=before).status_code == 200


def test_garbage_never_counts(server: Server, fake: Starter) -> None:
    """Shapeless frames, wrong signatures and states that do not exist change nothing."""
    gate = server.gate()
    kernel = fake("garbage")
    before = server.status(kernel)["revision"]
    with server.client(kernel) as client:
        execute(client, gate.command)
        assert server.wait(kernel, execution_state="busy", since=before).status_code == 200
        request(client, "kernel_info_request", {}, "control")
        assert held_for(lambda: server.status(kernel)["execution_state"] == "busy", 0.4)
        finish(server, kernel, gate)
        request(client, "kernel_info_request")
        assert held_for(lambda: server.status(kernel)["execution_state"] == "idle", 0.4)
    assert story(changes(server, kernel, before), "execution_state") == ["busy", "idle"]


@pytest.mark.parametrize("mode", ["good", "no-starting"])
def test_busy_ends_with_the_process(server: Server, fake: Starter, mode: str) -> None:
    """A kernel killed while it was busy comes back idle, also one that sends no `starting`."""
    gate = server.gate()
    kernel = fake(mode)
    with server.client(kernel) as client:
        _, before = busy_cell(server, kernel, client, gate.command)
        kill(server, kernel)
        assert come_back(server, kernel, before)["execution_state"] == "idle"
    assert held_for(lambda: server.model(kernel)["execution_state"] == "idle", 0.4)
    assert story(changes(server, kernel, before), "execution_state") == ["busy", "starting", "idle"]


def test_silent_execution_counts(server: Server, python_kernel: str) -> None:
    """A silent request that stores nothing is a running request as well."""
    gate = server.gate()
    before = server.status(python_kernel)["revision"]
    with server.client(python_kernel) as client:
        request(client, "execute_request", {"code": gate.cell, "silent": True})
        assert server.wait(python_kernel, execution_state="busy", since=before).status_code == 200
        finish(server, python_kernel, gate)
