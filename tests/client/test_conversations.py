"""The client library against servers that answer what no server of today does."""

from __future__ import annotations

import itertools
import json
import pickle
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from support.clients import KINDS, Answers, Kind, ask, watch

from kernel_status_ext.client import (
    AnswerNotUnderstood,
    KernelNotFound,
    KernelStateTimeout,
    KernelStateUnreachable,
    KernelStatusClient,
    NoExtension,
    NotAllowed,
    RevisionUnknown,
    ServerUnreachable,
    Snapshot,
    TooManyWatchers,
)
from kernel_status_ext.client.address import address
from kernel_status_ext.client.sse import Parser
from kernel_status_ext.client.steps import Answer, Ask, Failed, Rest
from kernel_status_ext.client.waiting import MARGIN, SLICE, Wait

both = pytest.mark.parametrize("kind", KINDS, ids=["sync", "async"])

KERNEL: dict[str, Any] = {
    "id": "k",
    "name": "python3",
    "state": "idle",
    "status": "connected",
    "execution_state": "idle",
    "reason": "",
    "cause": None,
    "revision": 7,
    "generation": 0,
    "since": "2026-01-02T03:04:05.678901Z",
}


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


# -- the loop of a wait ----------------------------------------------------------------------


class Time:
    """A clock that goes on when it is told."""

    now = 0.0

    def __call__(self) -> float:
        """Tell seconds."""
        return self.now


def dialogue(
    replies: Iterable[tuple[float, Answer | Failed]],
    *,
    timeout: float | None = None,
    since: int | None = None,
    patience: float = 10,
) -> tuple[list[Ask], Any]:
    """Carry on a wait in which each reply takes its time; give what was asked and the outcome."""
    clock, asked, source = Time(), [], iter(replies)
    wait = Wait(
        "p",
        "s",
        "k",
        {"state": "idle"},
        timeout=timeout,
        since=since,
        patience=patience,
        clock=clock,
    )
    talk = wait.go_on()
    try:
        step = next(talk)
        while True:
            if isinstance(step, Rest):
                clock.now += step.seconds
                step = talk.send(None)
                continue
            asked.append(step)
            seconds, reply = next(source)
            clock.now += seconds
            step = talk.send(reply)
    except StopIteration as end:
        return asked, end.value
    except (KernelStateTimeout, KernelStateUnreachable, ServerUnreachable, RevisionUnknown) as end:
        return asked, end


def said(status: int, **more: Any) -> Answer:
    """An answer to a wait."""
    body = (
        {**KERNEL, **more}
        if status == 200
        else {"message": "M.", "reason": "r", "kernel": {**KERNEL, **more}}
    )
    return Answer(status, json.dumps(body).encode())


CUT = Failed("cut")
REFUSED = Failed("refused", connected=False)


def test_a_later_slice_asks_since_the_one_before() -> None:
    """What comes and goes between two slices is not missed: the revision tells where to go on."""
    asked, kernel = dialogue([(20, said(504, revision=5)), (3, said(200, revision=6))])
    assert [each.params.get("since") for each in asked] == [None, "5"]
    assert kernel.revision == 6


def test_a_given_revision_stays() -> None:
    """With a revision of the caller's each slice passes that one, and 410 is the caller's."""
    asked, error = dialogue([(20, said(504, revision=5)), (0, said(410))], since=3)
    assert [each.params["since"] for each in asked] == ["3", "3"]
    assert isinstance(error, RevisionUnknown)


def test_a_forgotten_revision_of_ours_is_no_error() -> None:
    """A server that does not know our own revision any more is simply looked at again."""
    replies = [(20, said(504, revision=5)), (0, said(410)), (0, said(200))]
    asked, kernel = dialogue(replies)
    assert [each.params.get("since") for each in asked] == [None, "5", None]
    assert kernel.id == "k"


def test_slices_get_shorter_than_the_proxy_allows() -> None:
    """After a cut at 5 s no call is asked to take so long, and the next follows at once."""
    asked, _ = dialogue([(5, CUT), (3.5, said(504)), (0, said(200))])
    lengths = [float(each.params["timeout"]) for each in asked]
    assert lengths[0] == SLICE
    assert lengths[1] == 3.5
    assert asked[1].patience == 3.5 + MARGIN


def test_the_time_is_over() -> None:
    """All slices together take as long as the caller allows, and the last kernel is told."""
    asked, error = dialogue([(20, said(504)), (10, said(504, revision=9))], timeout=30)
    assert [float(each.params["timeout"]) for each in asked] == [20, 10]
    assert isinstance(error, KernelStateTimeout)
    assert error.kernel.revision == 9
    assert "after 30 s, expected state=idle" in str(error)


def test_nobody_there_at_first() -> None:
    """Where nothing listens nothing is waited for."""
    asked, error = dialogue([(0, REFUSED)])
    assert len(asked) == 1
    assert isinstance(error, ServerUnreachable)


def test_a_server_that_has_gone() -> None:
    """It is tried again with growing pauses until the patience is over."""
    replies = itertools.chain([(20, said(504))], itertools.repeat((0, REFUSED)))
    asked, error = dialogue(replies, patience=10)
    assert isinstance(error, ServerUnreachable)
    assert error.kernel.id == "k"
    assert 6 < len(asked) < 14


def test_a_server_that_goes_in_the_first_slice() -> None:
    """It was there: it is given the same time to come back."""
    asked, kernel = dialogue([(3, CUT), (0, REFUSED), (0, REFUSED), (0, said(200))])
    assert len(asked) == 4
    assert kernel.id == "k"


def test_a_server_that_comes_back() -> None:
    """A restart of the server's proxy that is shorter than the patience is not noticed."""
    bad = Answer(502)
    _, kernel = dialogue([(20, said(504)), (0, bad), (0, CUT), (0, bad), (1, said(200))])
    assert kernel.id == "k"


def test_the_time_is_over_while_nobody_answers() -> None:
    """The caller's time goes before our patience."""
    _, error = dialogue(itertools.chain([(1, said(504))], itertools.repeat((0, CUT))), timeout=3)
    assert isinstance(error, KernelStateTimeout)
    _, error = dialogue(itertools.repeat((0, CUT)), timeout=3)
    assert isinstance(error, ServerUnreachable)


def test_a_kernel_that_is_removed_between_two_slices() -> None:
    """It is as unreachable as one that is removed during a slice."""
    _, error = dialogue([(20, said(504)), (0, said(404))])
    assert isinstance(error, KernelStateUnreachable)
    assert "removed" in error.reason


def test_a_server_that_waits_less_long_is_not_flooded() -> None:
    """A small `max_wait` there makes pauses here."""
    replies = itertools.repeat((0, said(504)))
    asked, error = dialogue(replies, timeout=20)
    assert isinstance(error, KernelStateTimeout)
    assert len(asked) < 20


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
        assert all(asked.acquire(timeout=10) for _ in range(3))
        client.close()
        assert isinstance(waiting.exception(10), RuntimeError)
