"""Contract section 6: kernels behind a gateway. The remote is a stock server."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from support.server import Server, eventually
from support.stories import MODEL_KEYS


@pytest.fixture(scope="module")
def remote() -> Iterator[Server]:
    """The server that has the kernels."""
    with Server(stock=True) as server:
        yield server


@pytest.fixture(scope="module")
def server(remote: Server) -> Iterator[Server]:
    """The server with the extension that only forwards."""
    url = f"http://127.0.0.1:{remote.port}{remote.base_url}".rstrip("/")
    with Server(
        f"--GatewayClient.url={url}", f"--GatewayClient.auth_token={remote.token}"
    ) as server:
        yield server


def test_kernel_lives_through_a_gateway(server: Server, remote: Server) -> None:
    """Start, list, model, interrupt, restart and removal of a remote kernel work as in stock."""
    kernel = server.start_kernel(remote.fake())
    assert kernel in remote.models()
    assert set(server.models()[kernel]) >= MODEL_KEYS - {"connections"}
    assert server.model(kernel)["id"] == kernel
    server.post(f"api/kernels/{kernel}/interrupt", expect=204)
    assert server.restart(kernel)["id"] == kernel
    server.delete(kernel)
    assert kernel not in remote.models()
    eventually(
        lambda: server.http.get(f"api/kernels/{kernel}").status_code == 404,
        what="the kernel is gone",
    )


def test_remote_kernel_is_connected_without_a_websocket(server: Server, remote: Server) -> None:
    """One probe finds out that a remote kernel answers, and leaves no connection behind."""
    kernel = server.start_kernel("python3")
    assert server.status(kernel)["status"] in ("connecting", "connected")
    status = server.settled(kernel)
    assert (status["reason"], status["cause"], status["pid"]) == ("", None, None)
    assert server.model(kernel)["status"] == "connected"
    eventually(lambda: remote.model(kernel)["connections"] == 0, what="no connection stays")
    server.delete(kernel)


def test_restart_of_a_remote_kernel_is_another_generation(server: Server) -> None:
    """A restarted remote kernel is restarting until its new process has answered."""
    kernel = server.start_kernel("python3")
    before = server.settled(kernel)
    server.restart(kernel)
    after = server.wait(kernel, status="connected", since=before["revision"]).json()
    assert (before["generation"], after["generation"]) == (0, 1)
    words = [each["status"] for each in server.history(kernel)["changes"]]
    assert words[-2:] == ["restarting", "connected"]
    server.delete(kernel)


def test_remote_kernel_at_work_is_busy(server: Server, remote: Server) -> None:
    """What a client of the remote server runs is seen here by whoever waits."""
    kernel = server.start_kernel("python3")
    server.settled(kernel)
    gate = remote.gate()
    with remote.client(kernel) as client:
        client.execute("pass")
        client.execute(gate.cell)
        assert server.wait(kernel, execution_state="busy").status_code == 200
        gate.open()
        assert server.wait(kernel, state="idle").status_code == 200
    server.delete(kernel)


def test_kernel_removed_at_the_remote_is_gone(server: Server, remote: Server) -> None:
    """Who waits for it is told so, and every call knows it no more."""
    kernel = server.start_kernel("python3")
    server.settled(kernel)
    call = server.send_wait(kernel, status="dead")
    remote.delete(kernel)
    answer = call.answer()
    assert (answer.status_code, answer.json()["reason"]) == (
        409,
        "The kernel was removed where it runs.",
    )
    for path in ("", "/status", "/history", "/wait", "/watch", "/inspect"):
        assert server.http.get(f"api/kernels/{kernel}{path}").status_code == 404
    assert kernel not in server.models()


def test_removal_of_a_remote_kernel_here(server: Server) -> None:
    """A kernel that is shut down from here was asked to end."""
    kernel = server.start_kernel("python3")
    server.settled(kernel)
    call = server.send_wait(kernel, status="unresponsive")
    server.delete(kernel)
    assert call.answer().json()["kernel"]["cause"] == "Shutdown"


def test_figures_of_a_remote_kernel(server: Server) -> None:
    """Its process is not to be seen from here, and that is said."""
    kernel = server.start_kernel("python3")
    found = server.get(f"api/kernels/{kernel}/inspect")
    assert (found["alive"], found["pid"]) == (None, None)
    assert kernel in found["reason"]
    assert server.get("api/kernels/inspect")["kernels"][kernel] == found
    server.delete(kernel)


def test_no_gateway() -> None:
    """Without its gateway a kernel is unknown, with a reason, and the list still answers."""
    with Server(stock=True) as lost:
        url = f"http://127.0.0.1:{lost.port}{lost.base_url}".rstrip("/")
        arguments = f"--GatewayClient.url={url}", f"--GatewayClient.auth_token={lost.token}"
        with Server(*arguments) as server:
            session = server.session("lost.ipynb", "python3")
            kernel = session["kernel"]["id"]
            server.settled(kernel)
            lost.stop(how=signal.SIGKILL)
            model = server.models()[kernel]
            assert (model["status"], model["execution_state"]) == ("unknown", "unknown")
            assert "cannot be reached" in model["reason"]
            assert server.model(kernel)["reason"] == model["reason"]
            assert server.status(kernel)["cause"] == "Remote"
            assert [each["id"] for each in server.get("api/sessions")] == [session["id"]]
            for action in ("restart", "interrupt"):
                assert server.http.post(f"api/kernels/{kernel}/{action}").status_code == 503
            assert server.status(kernel)["status"] == "unknown"


def test_session_lives_through_a_gateway(server: Server, remote: Server) -> None:
    """A session with a remote kernel is made, listed and removed."""
    session = server.session("remote.ipynb", remote.fake())
    assert session["id"] in [each["id"] for each in server.get("api/sessions")]
    assert server.http.delete(f"api/sessions/{session['id']}").status_code == 204


@pytest.mark.parametrize("call", ["status", "history", "wait?timeout=0"])
def test_new_calls_answer_through_a_gateway(server: Server, remote: Server, call: str) -> None:
    """The new calls answer JSON for a remote kernel, whatever they know, and no 500."""
    kernel = server.start_kernel(remote.fake())
    response = server.http.get(f"api/kernels/{kernel}/{call}")
    assert response.status_code in (200, 504), response.text
    assert isinstance(response.json(), dict)
    server.delete(kernel)


@pytest.mark.parametrize("action", ["restart", "interrupt"])
def test_unknown_kernel_through_a_gateway(server: Server, action: str) -> None:
    """An unknown kernel is 404 here too."""
    server.post(f"api/kernels/a-b-c-d-e/{action}", expect=404)


def test_sigterm_behind_a_gateway(remote: Server) -> None:
    """The forwarding server ends cleanly with a remote kernel."""
    url = f"http://127.0.0.1:{remote.port}{remote.base_url}".rstrip("/")
    with Server(
        f"--GatewayClient.url={url}", f"--GatewayClient.auth_token={remote.token}"
    ) as server:
        server.start_kernel(remote.fake())
        assert server.stop().returncode == 0
