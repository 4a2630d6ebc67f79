"""Behind a gateway: no worse than stock. The remote is a stock server."""

from __future__ import annotations

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
        assert server.stop(timeout=20).returncode == 0
