"""The client library against servers that answer what no server of today does."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from support.clients import KERNEL, KINDS, Answers, Kind, ask, watch

from kernel_status_ext.client import (
    AnswerNotUnderstood,
    ClientClosed,
    KernelNotFound,
    KernelStateUnreachable,
    KernelStatusClient,
    NoExtension,
    NotAllowed,
    ServerUnreachable,
    Snapshot,
    TooManyWatchers,
)
from kernel_status_ext.client.address import address
from kernel_status_ext.client.sse import Parser
from kernel_status_ext.client.watching import SILENCE

both = pytest.mark.parametrize("kind", KINDS, ids=["sync", "async"])


def of(answers: Answers, **more: Any) -> dict[str, Any]:
    """What a client is made of whose server answers so."""
    return {"url": "http://server:8888/", "transport": httpx.MockTransport(answers), **more}


def always(status: int, **more: Any) -> Answers:
    """A server that has but one answer."""
    return lambda _request: httpx.Response(status, **more)


def told(status: int, reason: str = "a word", **more: Any) -> httpx.Response:
    """An error in our shape."""
    return httpx.Response(status, json={"message": "A sentence.", "reason": reason, **more})


@both
def test_a_newer_server_breaks_nothing(kind: Kind) -> None:
    """New words stay strings, new fields are in the body, what is left out is None."""
    newer = {**KERNEL, "status": "hibernating", "cause": "Bored", "colour": "blue"}
    newer |= {"last_termination": {"generation": 0, "cause": "Moonlight", "moon": "full"}}
    kernel = ask(kind, "status", "k", of=of(always(200, json=newer)))
    assert (kernel.status, kernel.cause, kernel.pid) == ("hibernating", "Bored", None)
    assert kernel.body["colour"] == "blue"
    assert kernel.last_termination.body["moon"] == "full"
    assert kernel.since.utcoffset().total_seconds() == 0


@both
@pytest.mark.parametrize(
    ("answer", "expected", "says"),
    [
        (httpx.Response(502), ServerUnreachable, "502"),
        (httpx.Response(503, html="<p>away"), ServerUnreachable, "503"),
        (httpx.Response(404, html="<p>no"), NoExtension, "extension enable kernel_status_ext"),
        (httpx.Response(404, json={"message": "no", "reason": None}), NoExtension, "install"),
        (httpx.Response(401), NotAllowed, "--token"),
        (httpx.Response(302, headers={"location": "/hub/login?next=x"}), NotAllowed, "token"),
        (httpx.Response(301, headers={"location": "https://s/"}), AnswerNotUnderstood, "https://s"),
        (httpx.Response(500, json={"message": "Oh."}), AnswerNotUnderstood, "500: Oh."),
        (httpx.Response(200, html="<p>hello"), AnswerNotUnderstood, "no JSON"),
        (httpx.Response(200, json=[]), AnswerNotUnderstood, "no kernel"),
        (httpx.Response(200, json={**KERNEL, "pid": "x"}), AnswerNotUnderstood, "pid"),
        (told(404), KernelNotFound, "A sentence."),
        (told(409, kernel=KERNEL), KernelStateUnreachable, "A sentence."),
        (told(409, kernel={"id": 3}), KernelStateUnreachable, "A sentence."),
    ],
)
def test_what_an_answer_means(
    kind: Kind, answer: httpx.Response, expected: type[Exception], says: str
) -> None:
    """Each answer that is not the one that was asked for is one kind of error."""
    with pytest.raises(expected, match=says) as raised:
        ask(kind, "status", "k", of=of(lambda _: copy_of(answer)))
    again = pickle.loads(pickle.dumps(raised.value))
    assert (type(again), str(again)) == (expected, str(raised.value))


def copy_of(answer: httpx.Response) -> httpx.Response:
    """The same answer again: each can be read once."""
    return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


STREAM = {"content-type": "text/event-stream"}


def events(*told: tuple[str, Any]) -> bytes:
    """A stream of events."""
    return "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in told).encode()


@both
def test_what_a_watch_makes_of_answers(kind: Kind) -> None:
    """It raises what must be told, begins again after the rest, and skips events it knows not."""
    snapshot = events(("moon", {"full": True}), ("snapshot", {"revision": 7, "kernels": [KERNEL]}))
    answers = iter(
        [
            httpx.Response(200, headers=STREAM, content=snapshot),
            httpx.Response(502),
            httpx.Response(200, headers=STREAM, content=snapshot),
            told(503, "too many watchers"),
        ]
    )
    seen: list[Any] = []
    with pytest.raises(TooManyWatchers, match=r"A sentence\."):
        watch(kind, lambda each: bool(seen.append(each)), of=of(lambda _: next(answers)))
    assert [type(each) for each in seen] == [Snapshot, Snapshot]
    assert seen[0].kernels[0].body == KERNEL


@both
def test_a_page_is_no_stream(kind: Kind) -> None:
    """Something between that answers 200 to everything is found out."""
    with pytest.raises(AnswerNotUnderstood, match="text/event-stream"):
        ask(kind, "list", of=of(always(200, html="<p>Please log in")))


@both
def test_a_broken_list(kind: Kind) -> None:
    """A stream that ends before its first event is a server that went away."""
    with pytest.raises(ServerUnreachable, match="ended before"):
        ask(kind, "list", of=of(always(200, headers=STREAM, content=b": hello\n\n")))


@both
def test_a_secret_is_never_told(kind: Kind) -> None:
    """What HTTP cannot send is not quoted, wherever it stands."""

    def answers(_request: httpx.Request) -> httpx.Response:
        raise httpx.LocalProtocolError("Illegal header value b'se\\ncret'")

    with pytest.raises(ValueError, match="cannot be sent") as raised:
        ask(kind, "status", "k", of=of(answers))
    assert "cret" not in str(raised.value)
    with pytest.raises(ValueError, match="token has characters") as raised:
        kind("http://server/", "se\ncret")
    assert "cret" not in str(raised.value)


# -- streams and addresses -------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_events_however_they_come(size: int) -> None:
    """Comments, lines of data, ends of lines and bytes that arrive one by one."""
    stream = (
        b": hi\n\nevent: a\r\ndata: 1\r\ndata:2\r\n\r\ndata: \xc3\xa4\r\revent: lost\n\n"
        b"id: 4\nevent:b\ndata\n\ndata: not yet"
    )
    parser = Parser()
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    found = [event for piece in pieces for event in parser.feed(piece)]
    assert found == [("a", "1\n2"), ("message", "ä"), ("b", "")]


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://h:8888", "http://h:8888/"),
        ("http://h/user/me/", "http://h/user/me/"),
        ("http://h/b%40se/x", "http://h/b%40se/x/"),
        ("http://h/lab?token=t", "http://h/"),
        ("http://h/lab", "http://h/lab/"),
        ("https://u:p@h/", "https://h/"),
        ("http+unix://%2Ftmp%2Fs/b", "http://localhost/b/"),
    ],
)
def test_addresses(url: str, base: str) -> None:
    """A base_url with or without its slash, or what Jupyter prints, and never a secret."""
    read = address(url)
    assert read.url == base
    assert "'t'" not in repr(read)
    assert ":p" not in repr(read)


@pytest.mark.parametrize("url", ["", "localhost:8888", "ftp://h/", "http://", "http://h:x/", "h\n"])
def test_no_addresses(url: str) -> None:
    """What is no address is refused with an example of one."""
    with pytest.raises(ValueError, match="like http://localhost:8888/"):
        address(url)


def test_a_closed_client_does_not_rest() -> None:
    """Closing wakes whoever rests before another try, and ends what was tried."""
    asked = threading.Semaphore(0)

    def answers(_request: httpx.Request) -> httpx.Response:
        asked.release()
        return httpx.Response(502)

    with ThreadPoolExecutor() as pool, KernelStatusClient(**of(answers, patience=1000)) as client:
        waiting = pool.submit(client.wait, "k")
        assert all(asked.acquire(timeout=60) for _ in range(3))
        client.close()
        assert isinstance(waiting.exception(10), ClientClosed)


@both
def test_a_list_is_not_waited_for_as_changes_are(kind: Kind) -> None:
    """A server that hangs is given the client's own time for a short answer."""
    allowed: list[float] = []

    def answers(request: httpx.Request) -> httpx.Response:
        allowed.append(request.extensions["timeout"]["read"])
        raise httpx.ReadTimeout("")

    with pytest.raises(ServerUnreachable, match="nothing for too long"):
        ask(kind, "list", of=of(answers, timeout=3))
    with pytest.raises(ServerUnreachable):
        watch(kind, lambda _: True, of=of(answers, timeout=3))
    assert allowed == [3, SILENCE]


@both
def test_an_error_of_httpx_that_is_none_of_ours_is_not_hidden(kind: Kind) -> None:
    """Only what a closed client causes is called so."""

    def answers(_request: httpx.Request) -> httpx.Response:
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        ask(kind, "status", "k", of=of(answers))


FIRST_OF_ALL = """
import json, sys, threading
from kernel_status_ext.client.results import Kernel, Snapshot, read
sys.setswitchinterval(1e-6)
kernel, start, read_by = json.loads(sys.argv[1]), threading.Barrier(8), []
def reads():
    start.wait()
    read_by.append(read(Snapshot, {"revision": 1, "kernels": [kernel]}).kernels)
threads = [threading.Thread(target=reads) for _ in range(8)]
for each in threads: each.start()
for each in threads: each.join()
print(len(read_by))
"""


def test_threads_may_read_first_results_at_once() -> None:
    """What prepares the reading of a kind of result is no matter of two threads."""
    words = [sys.executable, "-c", FIRST_OF_ALL, json.dumps(KERNEL)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "8\n", "")
