"""Contract section 4: the calls for Python code in the server, made by a test extension."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from support.server import Server
from support.stories import execute


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server with a second extension that makes the calls."""
    with Server(config={"ServerApp": {"jpserver_extensions": {"probe_extension": True}}}) as server:
        yield server


def call(server: Server, name: str, **arguments: object) -> dict[str, Any]:
    """Have the probe make this call."""
    return server.post("probe", {"call": name, "with": arguments})


@pytest.mark.parametrize("on", ["mapping", "kernel"])
def test_wait_for_state_gives_the_state(server: Server, on: str) -> None:
    """`wait_for_state` waits for `connected` by default and gives the state."""
    gate = server.gate()
    kernel = server.start_kernel(server.fake(mode="slow", gate=gate))
    opener = threading.Thread(target=lambda: (server.taken_up(), gate.open()))
    opener.start()
    told = call(
        server,
        "wait_for_state",
        kernel_id=kernel,
        on=on,
        status="connected",
        execution_state="idle",
    )
    opener.join()
    assert told == {"status": "connected", "execution_state": "idle", "state": "idle", "reason": ""}
    server.delete(kernel)


@pytest.mark.parametrize("on", ["mapping", "kernel"])
def test_wait_for_state_times_out(server: Server, python_kernel: str, on: str) -> None:
    """After its timeout it raises KernelStateTimeout, which is a TimeoutError."""
    told = call(
        server, "wait_for_state", kernel_id=python_kernel, on=on, state="running", timeout=0.1
    )
    assert "KernelStateTimeout" in told["error"]
    assert "TimeoutError" in told["error"]


@pytest.mark.parametrize("on", ["mapping", "kernel"])
def test_wait_for_state_of_a_dead_kernel(server: Server, on: str) -> None:
    """A dead kernel raises KernelStateUnreachable with the kernel's reason."""
    kernel = server.start_kernel(server.fake(mode="die-at-start"))
    reason = server.until_dead(kernel)["reason"]
    told = call(server, "wait_for_state", kernel_id=kernel, on=on, timeout=60)
    assert (told["error"][0], told["reason"]) == ("KernelStateUnreachable", reason)
    server.delete(kernel)


def test_wait_for_state_with_since(server: Server, python_kernel: str) -> None:
    """`since` means the same as in the call."""
    before = server.status(python_kernel)["revision"]
    arguments = {
        "kernel_id": python_kernel,
        "on": "mapping",
        "since": before,
        "execution_state": "idle",
    }
    assert "KernelStateTimeout" in call(server, "wait_for_state", **arguments, timeout=0)["error"]
    with server.client(python_kernel) as client:
        execute(client, "1")
        assert call(server, "wait_for_state", **arguments, timeout=60)["execution_state"] == "idle"


@pytest.mark.parametrize(
    "arguments", [{"status": "nonsense"}, {"timeout": -1}, {"status": "dead", "state": "idle"}]
)
def test_wait_for_state_refuses_nonsense(
    server: Server, python_kernel: str, arguments: dict[str, object]
) -> None:
    """What the call answers with 400 is a ValueError here."""
    told = call(server, "wait_for_state", kernel_id=python_kernel, on="mapping", **arguments)
    assert "ValueError" in told["error"]


def test_exceptions_can_be_imported(server: Server) -> None:
    """Both exceptions come from the package itself."""
    assert call(server, "imports") == {"timeout": True, "unreachable": True}


def test_words_on_the_kernel_manager(server: Server, python_kernel: str) -> None:
    """Each kernel's manager has status, execution_state and reason, and `ready` still works."""
    told = call(server, "traits", kernel_id=python_kernel)
    assert told == {"status": "connected", "execution_state": "idle", "reason": ""}


def test_tracker_is_in_the_settings(server: Server) -> None:
    """Other extensions find the tracker."""
    assert call(server, "tracker") == {"there": True}


def test_end_with_the_server_has_its_own_cause() -> None:
    """Code in the server that waits for a kernel's end hears ServerStopped at the server's end."""
    extensions = {"jpserver_extensions": {"probe_extension": True}}
    with Server(
        config={"ServerApp": extensions, "KernelManager": {"shutdown_wait_time": 0.5}}
    ) as server:
        kernels = {
            server.connected(server.fake(mode=mode)): server.folder / mode
            for mode in ("good", "deaf")
        }
        for kernel, note in kernels.items():
            call(server, "note_end", kernel_id=kernel, path=str(note))
        assert server.stop().clean
        told = [json.loads(note.read_text()) for note in kernels.values()]
    assert told == [{"status": "dead", "cause": "ServerStopped"}] * 2
