"""What dies, restarts and is removed at the same moment: nothing of it is left or comes back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.pairs import CONFIG, PAIRS, SETTINGS, Rounds, ending, nothing_comes_back
from support.server import Server


@pytest.mark.parametrize(("setting", "count"), [("fast", len(PAIRS)), ("slow", 6), ("pending", 6)])
def test_two_acts_within_50_ms_leave_nothing(setting: str, count: int) -> None:
    """Every pair of death, failing start, restart, DELETE and cull; `pairs.py` does thousands."""
    with Server(config=CONFIG | SETTINGS[setting]) as server:
        rounds = Rounds(server, seed=7)
        rounds.pending = setting == "pending"
        assert rounds.run(count) == []
        assert nothing_comes_back(server) == []


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_server_that_ends_within_50_ms_leaves_nothing(setting: str) -> None:
    """The same acts, and SIGTERM meanwhile: exit code 0, no process, no connection file."""
    assert ending(setting, seed=7) == []


@pytest.fixture
def server() -> Iterator[Server]:
    """A server with the probe extension."""
    with Server(config=CONFIG) as server:
        yield server


@pytest.mark.parametrize("meanwhile", ["restarter", "restart", "restart by id"])
def test_what_waited_for_a_removal_starts_nothing(server: Server, meanwhile: str) -> None:
    """Jupyter's restarter, or a restart, that waits while a kernel is removed finds it gone."""
    kernel = server.connected(server.fake(mode="deaf"))
    body = {"call": "delete", "with": {"kernel_id": kernel, "meanwhile": meanwhile}}
    refused = server.post("probe", body)["refused"]
    assert (kernel in refused) == (meanwhile != "restarter")
    assert server.kernel_processes(kernel) == []
    assert server.connection_files() == []
    server.get(f"api/kernels/{kernel}/status", expect=404)


def test_a_restart_that_a_removal_overtakes_is_no_launch_that_failed(server: Server) -> None:
    """Whenever the DELETE comes, the restart is done or says 404, never that it cannot launch."""
    codes = set()
    for turns in range(12):
        kernel = server.connected(server.fake())
        body = {"call": "overtake", "with": {"kernel_id": kernel, "turns": turns}}
        codes.add(server.post("probe", body)["code"])
        server.get(f"api/kernels/{kernel}/status", expect=404)
    assert codes <= {None, 404}
    assert 404 in codes


def test_a_dead_kernel_that_goes_does_not_stop_the_end_of_all(server: Server) -> None:
    """Dead kernels that are removed while the server ends all: the end comes to its end."""
    dead = [server.start_kernel(server.fake(mode="die-at-start")) for _ in range(3)]
    for kernel in dead:
        server.until_dead(kernel)
    living = server.connected(server.fake())
    body = {"call": "shutdown_all", "with": {"removed_meanwhile": dead}}
    assert server.post("probe", body) == {}
    assert server.kernel_processes(living) == []
    assert (server.models(), server.connection_files()) == ({}, [])
