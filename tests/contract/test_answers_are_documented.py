"""What holds every answer of the tests against the OpenAPI document bites, and only where it may.

A liar stands in for a server of ours: it answers what a test tells it to.
"""

from __future__ import annotations

import asyncio
import copy
import json
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from support import openapi
from support.openapi import DOCUMENT, Violation, check_event, operation
from support.server import Server
from support.sse import Stream

Body = dict[str, Any]
PLACE = "api/kernels/{kernel_id}/status"
STATUS: Body = DOCUMENT["paths"][f"/{PLACE}"]["get"]["responses"]["200"]["content"][
    "application/json"
]["examples"]["again"]["value"]
"""A real answer: a kernel that was killed and has come back."""


class Liar(ThreadingHTTPServer):
    """Answers every GET with the same; `base_url` and `http` are those of a `Server`."""

    daemon_threads = True
    base_url = "/b/"

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.port = self.server_address[1]
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}{self.base_url}")
        self.code, self.kind, self.body = 200, "application/json", b""


class _Answer(BaseHTTPRequestHandler):
    server: Liar

    def do_GET(self) -> None:
        self.send_response(self.server.code)
        self.send_header("Content-Type", self.server.kind)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - upstream's name
        """Say nothing."""


@pytest.fixture
def liar() -> Iterator[Liar]:
    """A server that is taken for one of ours."""
    with Liar() as liar, liar.http:
        threading.Thread(target=liar.serve_forever, args=(0.01,), daemon=True).start()
        openapi.SERVERS[liar.port] = liar.base_url
        yield liar
        del openapi.SERVERS[liar.port]
        liar.shutdown()


def changed(**fields: object) -> Body:
    """A status with other fields."""
    return copy.deepcopy(STATUS) | fields


def ended(**fields: object) -> Body:
    """A status whose last termination has other fields."""
    return changed(last_termination=STATUS["last_termination"] | fields)


WRONG = {
    "a field too many": changed(surprise=1),
    "a field too few": {key: each for key, each in STATUS.items() if key != "pid"},
    "an unknown word": changed(status="ready"),
    "words that exclude each other": changed(state="stopped"),
    "dead and idle": changed(status="dead", reason="Because.", cause="Killed", pid=None),
    "dead without a reason": changed(status="dead", execution_state="dead", state="stopped"),
    "a reason without a cause": changed(reason="Because."),
    "a cause without a reason": changed(cause="Killed"),
    "a time without microseconds": changed(since="2026-01-02T03:04:05Z"),
    "a time in another form": changed(since="2026-01-02T03:04:05.678901+00:00"),
    "a number as a string": changed(revision="5"),
    "a negative number": changed(generation=-1),
    "null where something is known": changed(revision=None),
    "an exit code and a signal": ended(exit_code=137),
    "a signal's number": ended(signal="9"),
    "expected by nobody": ended(expected=True),
    "a termination without a reason": ended(reason=""),
    "a termination with a field too few": changed(
        last_termination={
            key: each for key, each in STATUS["last_termination"].items() if key != "hint"
        }
    ),
}


@pytest.mark.parametrize("body", WRONG.values(), ids=WRONG.keys())
def test_wrong_bodies_are_violations(liar: Liar, body: Body) -> None:
    """Whoever gets a body that breaks the contract fails, with path, code and sentence."""
    liar.body = json.dumps(body).encode()
    with pytest.raises(Violation, match=r"GET /api/kernels/\{kernel_id\}/status answered 200, and"):
        liar.http.get("api/kernels/a/status")


def test_true_bodies_pass(liar: Liar) -> None:
    """A real answer passes, whoever asks and however it is read."""
    liar.body = json.dumps(STATUS).encode()
    assert liar.http.get("api/kernels/a/status").json() == STATUS
    with liar.http.stream("GET", "api/kernels/a/status?x=1") as answer:
        assert json.loads(b"".join(answer.iter_raw())) == STATUS
    assert httpx.get(f"{liar.http.base_url}api/kernels/a/status").json() == STATUS


def test_a_body_read_in_pieces(liar: Liar) -> None:
    """Who reads a body piece by piece hears of it at its end."""
    liar.body = json.dumps(changed(surprise=1)).encode()
    with (
        liar.http.stream("GET", "api/kernels/a/status") as answer,
        pytest.raises(Violation, match="'surprise' was unexpected"),
    ):
        list(answer.iter_bytes())


@pytest.mark.parametrize("code", [202, 409, 500])
def test_unknown_codes_are_violations(liar: Liar, code: int) -> None:
    """So does whoever gets a status code that the document does not know for this call."""
    liar.code, liar.body = code, b'{"message": "No.", "reason": "no"}'
    with pytest.raises(Violation, match=rf"answered {code}; the document knows \[200, 403, 404\]"):
        liar.http.get("api/kernels/a/status")


def test_other_content_types_are_violations(liar: Liar) -> None:
    """An error page is no error."""
    liar.code, liar.kind, liar.body = 404, "text/html; charset=UTF-8", b"<html>"
    with pytest.raises(Violation, match="as 'text/html; charset=UTF-8'"):
        liar.http.get("api/kernels/a/status")


def test_a_body_where_there_is_none() -> None:
    """A 204 has no body."""
    known = operation("DELETE", "/api/kernels/a-b-c-d-e")
    assert known is not None
    known.check(204, "", b"")
    with pytest.raises(Violation, match="with a body"):
        known.check(204, "application/json", b"{}")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_methods_that_are_not_there(method: str) -> None:
    """A method that a path does not have is refused, or the document lacks it."""
    known = operation(method, "/api/kernels/a/status")
    assert known is not None
    known.check(405, "application/json", b'{"message": "Method Not Allowed", "reason": null}')
    with pytest.raises(Violation, match="answered 200"):
        known.check(200, "application/json", json.dumps(STATUS).encode())


def test_asynchronous_clients(liar: Liar) -> None:
    """What an asynchronous client gets is held against the document, too."""

    async def ask() -> Body:
        async with httpx.AsyncClient(base_url=liar.http.base_url) as client:
            answer: Body = (await client.get("api/kernels/a/status")).json()
            return answer

    liar.body = json.dumps(STATUS).encode()
    assert asyncio.run(ask()) == STATUS
    liar.body = b"{}"
    with pytest.raises(Violation, match="is a required property"):
        asyncio.run(ask())


# -- streams ---------------------------------------------------------------------------------

SNAPSHOT = {"revision": 5, "kernels": [STATUS]}


def streamed(*events: tuple[str, object]) -> bytes:
    """The bytes of a stream of events."""
    return b": hello\n\n" + b"".join(
        f"event: {name}\ndata: {json.dumps(data)}\n\n".encode() for name, data in events
    )


def test_true_events_pass(liar: Liar) -> None:
    """A stream of events as they are promised passes, event by event."""
    liar.kind = "text/event-stream; charset=utf-8"
    events = [("snapshot", SNAPSHOT), ("change", STATUS), ("removed", {"id": "a", "revision": 6})]
    liar.body = streamed(*events)
    with Stream(liar, "api/kernels/watch") as stream:
        assert stream.comment() == "hello"
        assert [(each.name, each.data) for each in stream.ended()] == events


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("change", changed(state="stopped"), "state of it is wrong"),
        ("removed", {"id": "a"}, '"revision" is a required property'),
        ("figures", {"a": {"alive": True}}, "a of it is wrong"),
        ("surprise", {}, "the document knows"),
    ],
)
def test_wrong_events_are_violations(liar: Liar, name: str, data: Body, said: str) -> None:
    """Whoever reads an event that breaks the contract fails; what came before was read."""
    liar.kind, liar.body = "text/event-stream", streamed(("snapshot", SNAPSHOT), (name, data))
    with Stream(liar, "api/kernels/watch") as stream, pytest.raises(Violation, match=said):
        stream.until(lambda event: event.name == name)
    with pytest.raises(Violation, match=said):
        check_event(name, data)

    async def read() -> None:
        async with (
            httpx.AsyncClient(base_url=liar.http.base_url) as client,
            client.stream("GET", "api/kernels/a/watch") as answer,
        ):
            async for _ in answer.aiter_lines():
                pass

    with pytest.raises(Violation, match=said):
        asyncio.run(read())


# -- what is left alone ----------------------------------------------------------------------


@pytest.mark.parametrize("path", ["api/kernels/a/execute", "api/status", "api/kernels/a-b"])
def test_other_paths_are_left_alone(liar: Liar, path: str) -> None:
    """What is not in the document may answer what it likes."""
    liar.code, liar.body = 500, b"nothing"
    assert liar.http.get(path).status_code == 500


def test_other_servers_are_left_alone(liar: Liar) -> None:
    """So may servers without the extension, and what stands outside of the base_url."""
    liar.code, liar.body = 500, b"nothing"
    outside = f"http://127.0.0.1:{liar.port}/api/kernels"
    assert httpx.get(outside).status_code == 500
    openapi.SERVERS[liar.port] = "/other/"
    assert liar.http.get("api/kernels").status_code == 500


def test_transports_that_are_none_are_left_alone(liar: Liar) -> None:
    """An answer that a test has made up itself never travelled."""
    made_up = httpx.MockTransport(lambda _: httpx.Response(500))
    with httpx.Client(base_url=liar.http.base_url, transport=made_up) as client:
        assert client.get("api/kernels").status_code == 500


def test_servers_are_known_while_they_run_with_the_extension() -> None:
    """A server is held to the document from its start to its end, a stock one never."""
    with Server(stock=True) as stock, Server() as ours:
        assert openapi.SERVERS.get(ours.port) == ours.base_url
        assert stock.port not in openapi.SERVERS
    assert ours.port not in openapi.SERVERS


def median_seconds(work: Callable[[], object], times: int = 300) -> float:
    """How long it takes in the median."""

    def once() -> float:
        begin = time.perf_counter()
        work()
        return time.perf_counter() - begin

    return statistics.median(once() for _ in range(times))


def test_cheap_enough_for_every_answer(liar: Liar) -> None:
    """It takes less than a millisecond, so that tens of thousands of answers cost seconds."""
    body, target = json.dumps(STATUS).encode(), f"{liar.base_url}api/kernels/a/status"
    call = (liar.port, "GET", target, 200, "application/json", body)
    assert median_seconds(lambda: openapi.check(*call)) < 0.001
