"""Contract section 2: culling, and what counts as running for core's idle shutdown."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from support.server import Server, eventually, held_for
from support.stories import execute


@pytest.fixture(scope="module")
def culling() -> Iterator[Server]:
    """A server that culls after one second without activity."""
    manager = {"cull_idle_timeout": 1, "cull_interval": 1}
    with Server(config={"MappingKernelManager": manager}) as server:
        yield server


def test_culled_kernel_says_so_to_its_waiter(culling: Server) -> None:
    """An idle kernel that nobody connected to is culled; its waiter hears cause Culled."""
    kernel = culling.start_kernel(culling.fake())
    culling.settled(kernel)
    told = culling.wait(kernel, status="dead")
    assert told.status_code == 200
    last = told.json()["last_termination"]
    assert (told.json()["cause"], last["cause"], last["requested_by"]) == (
        "Culled",
        "Culled",
        "cull",
    )
    assert last["expected"] is True
    eventually(
        lambda: culling.http.get(f"api/kernels/{kernel}").status_code == 404,
        what="the culled kernel is gone",
    )


def test_waiter_of_a_culled_kernel_hears_who(culling: Server) -> None:
    """Who waits for work of a kernel that is culled gets 409 and a reason that says so."""
    kernel = culling.start_kernel(culling.fake())
    culling.settled(kernel)
    told = culling.wait(kernel, execution_state="busy")
    assert (told.status_code, told.json()["kernel"]["cause"]) == (409, "Culled")
    assert "cull" in told.json()["reason"].lower()


def test_busy_kernel_is_not_culled(culling: Server) -> None:
    """A kernel with a cell outlives the timeout, and is culled once the cell has ended."""
    gate = culling.gate()
    kernel = culling.start_kernel(culling.fake())
    before = culling.settled(kernel)["revision"]
    with culling.client(kernel) as client:
        execute(client, gate.command)
        culling.wait(kernel, execution_state="busy", since=before)
        assert held_for(lambda: culling.model(kernel)["execution_state"] == "busy", 3.5)
        gate.open()
        assert culling.wait(kernel, status="dead").json()["cause"] == "Culled"


def test_dead_kernel_is_not_culled(culling: Server) -> None:
    """A dead kernel stays for its retention, not for the culler's timeout."""
    kernel = culling.start_kernel(culling.fake(mode="die-at-start"))
    culling.until_dead(kernel)
    assert held_for(lambda: culling.model(kernel)["status"] == "dead", 4)
    culling.delete(kernel)


def test_dead_kernels_do_not_keep_the_server() -> None:
    """`shutdown_no_activity_timeout` ends a server whose only kernels are dead, no other."""
    config = {"ServerApp": {"jpserver_extensions": {"probe_extension": True}}}
    with Server("--ServerApp.shutdown_no_activity_timeout=1", config=config) as server:
        alive = server.connected(server.fake())
        dead = server.start_kernel(server.fake(mode="die-at-start"))
        server.until_dead(dead)
        assert held_for(lambda: not ended_by_core(server), 2)
        server.delete(alive)
        eventually(lambda: ended_by_core(server), what="the server ends")


def ended_by_core(server: Server) -> bool:
    """Have core look for activity, as it does once a minute, and tell if the server is ending."""
    try:
        server.http.post("probe", json={"call": "no_activity"})
    except httpx.TransportError:
        return True
    return server.process.poll() is not None
