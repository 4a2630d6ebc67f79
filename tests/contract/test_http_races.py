"""What happens at the same moment: asked for twice, cut short, overtaken, misunderstood."""

from __future__ import annotations

import concurrent.futures
import signal
from collections.abc import Iterator

import pytest
from support.server import Server, eventually, held_for


@pytest.fixture
def hands() -> Iterator[concurrent.futures.ThreadPoolExecutor]:
    """Several clients at once."""
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        yield pool


def test_a_kernel_deleted_while_it_restarts_is_dead_only_when_nothing_comes(
    server: Server, hands: concurrent.futures.ThreadPoolExecutor
) -> None:
    """Who waits for `dead` is told when the restart's process has gone, too, and not before."""
    for _ in range(5):
        kernel = server.connected(server.fake())
        waiter = server.send_wait(kernel, status="dead")
        restart = hands.submit(server.http.post, f"api/kernels/{kernel}/restart")
        server.wait(kernel, status="restarting,connected")
        delete = hands.submit(server.http.delete, f"api/kernels/{kernel}")
        told = waiter.answer().json()
        assert told["status"] == "dead"
        assert server.kernel_processes(kernel) == []
        assert delete.result().status_code == 204
        assert restart.result().status_code in (200, 404, 409)
        assert server.http.get(f"api/kernels/{kernel}").status_code == 404


def test_the_gauge_counts_what_runs(server: Server) -> None:
    """Kernels that end before their start is over leave core's gauge where it was."""
    name = server.spec("false", ["/bin/false", "{connection_file}"])
    for _ in range(3):
        kernel = server.start_kernel(name)
        server.until_dead(kernel)
        server.delete(kernel)
    assert server.running_gauge(name) == 0
    kernel = server.connected(server.fake("counted"))
    assert server.running_gauge("counted") == 1
    server.restart(kernel)
    server.wait(kernel)
    assert server.running_gauge("counted") == 1
    server.delete(kernel)
    assert server.running_gauge("counted") == 0


def test_one_id_asked_for_by_several_at_once_is_one_kernel(
    server: Server, hands: concurrent.futures.ThreadPoolExecutor
) -> None:
    """Three POSTs with the same kernel_id start one process, and its DELETE leaves none."""
    name, wanted = server.fake(), "0a1b2c3d-0000-4000-8000-0000000000aa"
    body = {"name": name, "kernel_id": wanted}
    posts = [hands.submit(server.http.post, "api/kernels", json=body) for _ in range(3)]
    answers = [post.result() for post in posts]
    assert all(answer.status_code in (201, 409) for answer in answers)
    if any(answer.json().get("id", wanted) != wanted for answer in answers):
        pytest.skip("this jupyter_server does not take a kernel_id")
    server.settled(wanted)
    assert len(server.starts(name)) == 1
    server.delete(wanted)
    assert server.kernel_processes(wanted) == []


def test_a_message_that_cannot_be_read_does_not_deafen(server: Server) -> None:
    """A header nested too deep is told with the kernel's id, and the next cell is heard."""
    kernel = server.connected(server.fake())
    with server.client(kernel) as client:
        client.execute("deep")
        before = server.status(kernel)["revision"]
        client.execute("1")
        assert server.wait(kernel, execution_state="idle", since=before).status_code == 200
    assert any(kernel in line and "garbage" in line for line in server.log().splitlines())
    server.delete(kernel)


def test_a_shell_that_answers_while_it_works_is_busy_all_the_same(server: Server) -> None:
    """A quiet cell on a kernel with a concurrent shell is busy until its own idle."""
    kernel = server.connected(server.fake(mode="concurrent"))
    gate = server.gate()
    before = server.status(kernel)["revision"]
    with server.client(kernel) as client:
        client.execute(gate.command)
        server.wait(kernel, execution_state="busy", since=before)
        assert held_for(lambda: server.model(kernel)["execution_state"] == "busy", 2.5)
        gate.open()
        assert server.wait(kernel, execution_state="idle").status_code == 200
    server.delete(kernel)


@pytest.mark.parametrize("mode", ["good", "never-binds"])
def test_sigterm_while_the_only_kernel_is_being_started(mode: str) -> None:
    """The server ends, and so do a process that was just launched and its connection file."""
    with Server() as server:
        call = server.send("POST", "api/kernels", name=server.fake(mode=mode))
        eventually(lambda: server.connection_files() or server.kernel_processes(), what="a launch")
        ended = server.stop()
        assert ended.clean, ended
        assert server.connection_files() == []
        call.hang_up()


def test_sigterm_when_all_kernels_are_dead() -> None:
    """A server that has only dead kernels cleans up after them like any other."""
    with Server() as server:
        kernel = server.start_kernel(server.fake(mode="die-at-start"))
        server.until_dead(kernel)
        assert server.stop(how=signal.SIGTERM).clean
        assert server.connection_files() == []
