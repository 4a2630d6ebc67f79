"""Contract section 3: who may call, and the form of every error."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from support.authorizers import HEADER
from support.server import Server

CALLS = ["status", "wait", "history"]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server whose authorizer denies what a request asks to be denied."""
    config = {"ServerApp": {"authorizer_class": "authorizers.DenyByHeader"}}
    with Server(config=config) as server:
        yield server


def anonymous(server: Server, path: str, method: str = "GET") -> httpx.Response:
    """A request without token."""
    return httpx.request(method, str(server.http.base_url) + path)


@pytest.mark.parametrize("call", CALLS)
def test_no_token_is_403(server: Server, python_kernel: str, call: str) -> None:
    """Without a token each call answers 403 in JSON, of a known and of an unknown kernel alike."""
    for kernel in (python_kernel, "a-b-c-d-e"):
        answer = anonymous(server, f"api/kernels/{kernel}/{call}")
        assert (answer.status_code, "message" in answer.json()) == (403, True)


@pytest.mark.parametrize("action", ["restart", "interrupt"])
def test_no_token_no_action(server: Server, python_kernel: str, action: str) -> None:
    """Without a token nobody restarts or interrupts."""
    before = server.status(python_kernel)
    assert anonymous(server, f"api/kernels/{python_kernel}/{action}", "POST").status_code == 403
    assert server.status(python_kernel) == before


@pytest.mark.parametrize("call", CALLS)
def test_reading_needs_read_on_kernels(server: Server, python_kernel: str, call: str) -> None:
    """Who may not read kernels gets 403 in JSON, known and unknown kernel alike."""
    for kernel in (python_kernel, "a-b-c-d-e"):
        answer = server.http.get(f"api/kernels/{kernel}/{call}", headers={HEADER: "read:kernels"})
        assert (answer.status_code, "message" in answer.json()) == (403, True)


@pytest.mark.parametrize(
    "denied", ["write:kernels", "execute:kernels", "read:sessions", "read:api"]
)
@pytest.mark.parametrize("call", CALLS)
def test_reading_needs_no_more(server: Server, python_kernel: str, call: str, denied: str) -> None:
    """Reading asks for `read` on `kernels` and nothing else."""
    answer = server.http.get(f"api/kernels/{python_kernel}/{call}", headers={HEADER: denied})
    assert answer.status_code == 200


@pytest.mark.parametrize("action", ["restart", "interrupt"])
def test_actions_need_write_on_kernels(server: Server, python_kernel: str, action: str) -> None:
    """Restart and interrupt, which are replaced, ask for `write` on `kernels` as in stock."""
    before = server.status(python_kernel)
    denied = server.http.post(
        f"api/kernels/{python_kernel}/{action}", headers={HEADER: "write:kernels"}
    )
    assert (denied.status_code, server.status(python_kernel)) == (403, before)
    allowed = server.http.post(
        f"api/kernels/{python_kernel}/interrupt", headers={HEADER: "read:kernels"}
    )
    assert allowed.status_code == 204


def test_permissions_do_not_stick(server: Server, python_kernel: str) -> None:
    """What the first caller was asked for is not what all later ones are asked for."""
    for call in CALLS * 2:
        server.http.post(
            f"api/kernels/{python_kernel}/interrupt", headers={HEADER: "write:kernels"}
        )
        for denied, code in (("read:kernels", 403), ("write:kernels", 200)):
            path = f"api/kernels/{python_kernel}/{call}"
            assert server.http.get(path, headers={HEADER: denied}).status_code == code


@pytest.mark.parametrize(
    ("path", "code"),
    [("wait?status=nonsense", 400), ("wait?timeout=-1", 400), ("wait?since=99999999", 410)],
)
def test_errors_have_jupyters_shape(
    server: Server, python_kernel: str, path: str, code: int
) -> None:
    """An error is JSON with a message and a reason."""
    answer = server.http.get(f"api/kernels/{python_kernel}/{path}")
    assert answer.status_code == code
    assert {"message", "reason"} <= set(answer.json())
    assert isinstance(answer.json()["message"], str)


@pytest.mark.parametrize("call", CALLS)
def test_unknown_kernel_has_jupyters_shape(server: Server, call: str) -> None:
    """So is the 404 of an unknown kernel, by its header as well."""
    answer = server.http.get(f"api/kernels/a-b-c-d-e/{call}")
    assert (answer.status_code, answer.headers["Content-Type"].split(";")[0]) == (
        404,
        "application/json",
    )
    assert {"message", "reason"} <= set(answer.json())


def test_paths_of_others_are_not_taken(server: Server, python_kernel: str) -> None:
    """`POST .../execute` belongs to other extensions: without them it is as unknown as in stock."""
    assert (
        server.http.post(f"api/kernels/{python_kernel}/execute", json={"code": "1"}).status_code
        == 404
    )
