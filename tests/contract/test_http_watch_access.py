"""Contract section 3, `watch`: who is let in and how many, and what a proxy must know."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator

import httpx
import pytest
from support.authorizers import HEADER
from support.server import Server, eventually
from support.sse import Stream
from support.watching import FEEDING, SILENT, WATCH, Mirror, SlowReader, born, remove, tell


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server where five may watch, and whose authorizer denies what a request asks for."""
    config = {
        "ServerApp": FEEDING | {"authorizer_class": "authorizers.DenyByHeader"},
        "KernelStatusApp": {"max_watchers": 5},
    }
    with Server(config=config) as server:
        yield server


@pytest.fixture(scope="module")
def artificial(server: Server) -> str:
    """A connected kernel that has no process."""
    (kernel,) = born(server, "artificial")
    return kernel


# -- what is asked and what is answered


@pytest.mark.parametrize("path", [WATCH, "api/kernels/{}/watch"])
def test_headers_keep_the_stream_flowing(server: Server, artificial: str, path: str) -> None:
    """An event stream, that nobody stores and no proxy holds back."""
    with Stream(server, path.format(artificial)) as stream:
        headers = stream.response.headers
    assert headers["Content-Type"].split(";")[0] == "text/event-stream"
    assert "no-" in headers["Cache-Control"]
    assert headers["X-Accel-Buffering"] == "no"
    assert "Content-Length" not in headers


def test_a_client_of_http_1_0_reads_it(server: Server) -> None:
    """As many proxies are: no chunks then, the events all the same."""
    (kernel,), mirror = born(server, "read-by-a-proxy"), Mirror()
    reader = SlowReader(server, f"api/kernels/{kernel}/watch", version="1.0")
    events = reader.events()
    mirror.take(next(events))
    tell(server, [kernel], SILENT)
    mirror.take(next(events))
    assert mirror.kernels[kernel] == server.status(kernel)
    remove(server, kernel)
    assert [event.name for event in events] == ["removed"]
    reader.close()


@pytest.mark.parametrize("kernel", [str(uuid.UUID(int=3)), "a-b-c-d-e", "nobody"])
def test_unknown_kernel_is_404(server: Server, kernel: str) -> None:
    """An unknown kernel is 404 in Jupyter's JSON whose message names it."""
    answer = server.http.get(f"api/kernels/{kernel}/watch")
    assert (answer.status_code, answer.headers["Content-Type"].split(";")[0]) == (
        404,
        "application/json",
    )
    assert {"message", "reason"} <= set(answer.json())
    assert kernel in answer.json()["message"]


@pytest.mark.parametrize("figures", ["-1", "-0.5", "nan", "inf", "-inf", "1e999", "x", "", "2,5"])
@pytest.mark.parametrize("path", [WATCH, "api/kernels/{}/watch"])
def test_bad_figures_are_400(server: Server, artificial: str, path: str, figures: str) -> None:
    """What is no finite number of seconds is refused, the parameter named."""
    answer = server.http.get(path.format(artificial), params={"figures": figures})
    assert answer.status_code == 400, answer.text
    assert {"message", "reason"} <= set(answer.json())
    assert "figures" in answer.json()["message"]


# -- who may


def status_code(server: Server, path: str, **headers: str) -> int:
    """The code that a request without our token is answered with, its stream not read."""
    with httpx.stream("GET", f"{server.http.base_url}{path}", headers=headers) as answer:
        return answer.status_code


@pytest.mark.parametrize("path", [WATCH, "api/kernels/{}/watch", "api/kernels/nobody/watch"])
def test_who_may_watch(server: Server, artificial: str, path: str) -> None:
    """A token is wanted, in the query too as browsers' EventSource sends it; a wrong one is 403."""
    path = path.format(artificial)
    assert status_code(server, path) == 403
    assert status_code(server, f"{path}?token=wrong") == 403
    assert status_code(server, path, Authorization="token wrong") == 403
    right = 404 if "nobody" in path else 200
    assert status_code(server, f"{path}?token={server.token}") == right


@pytest.mark.parametrize("path", [WATCH, "api/kernels/{}/watch"])
def test_watching_needs_read_on_kernels(server: Server, artificial: str, path: str) -> None:
    """Who may not read kernels gets 403 in JSON; nothing else is asked for."""
    path = path.format(artificial)
    denied = server.http.get(path, headers={HEADER: "read:kernels"})
    assert (denied.status_code, "message" in denied.json()) == (403, True)
    for other in ("write:kernels", "execute:kernels", "read:api"):
        with Stream(server, path, headers={HEADER: other}) as stream:
            assert stream.next().name == "snapshot"


# -- how many


def test_more_watchers_than_allowed(server: Server) -> None:
    """One more gets 503 with the reason in JSON; a place that is left is free."""
    eventually(lambda: watchers(server) == 0, what="those who came before are gone")
    (kernel,) = born(server, "sought-after")
    paths = [WATCH, f"api/kernels/{kernel}/watch"]
    with contextlib.ExitStack() as stack:
        first = Stream(server, paths[1])
        with first:
            for _ in range(4):
                assert stack.enter_context(Stream(server, WATCH)).next().name == "snapshot"
            for path in paths:
                answer = server.http.get(path)
                assert (answer.status_code, answer.json()["reason"]) == (503, "too many watchers")
                assert " " in answer.json()["message"]
        eventually(lambda: watches(server, paths[0]), what="a place is free")
        eventually(lambda: watches(server, paths[1]), what="a place is free")
    remove(server, kernel)


def watchers(server: Server) -> float:
    """How many watch now."""
    name = "kernel_status_watchers "
    lines = server.http.get("metrics").text.splitlines()
    return float(next(line for line in lines if line.startswith(name)).removeprefix(name))


def watches(server: Server, path: str) -> bool:
    """Whether one who comes is let in; hangs up at once."""
    with server.http.stream("GET", path) as answer:
        return answer.status_code == 200


def test_who_is_refused_takes_no_place(server: Server) -> None:
    """Requests that answer no stream, and streams that have ended, leave all places free."""
    for number in range(7):
        server.get("api/kernels/nobody/watch", expect=404)
        server.get(WATCH, expect=400, figures="x")
        assert server.http.head(WATCH).status_code in (200, 405)
        (kernel,) = born(server, f"passes-{number}")
        with Stream(server, f"api/kernels/{kernel}/watch") as stream:
            remove(server, kernel)
            stream.ended()
    eventually(lambda: free_places(server) == 5, what="all five places are free")


def free_places(server: Server) -> int:
    """How many are let in at a time, of ten."""
    with contextlib.ExitStack() as stack:
        answers = [stack.enter_context(server.http.stream("GET", WATCH)) for _ in range(10)]
        return [answer.status_code for answer in answers].count(200)
