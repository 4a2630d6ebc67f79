"""Contract section 3, runs: what a request may say, and how it is refused otherwise."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from support.kernel_socket import connect
from support.runs import (
    RUNS,
    ended,
    execute,
    found,
    listed,
    post,
    refusal,
    runs_of,
    submit,
)
from support.server import Server

Starter = Callable[..., str]

LONGEST = "aZ09_.:-" * 16


@pytest.fixture(scope="module")
def resting(server: Server) -> str:
    """A fake kernel that runs nothing but what a test here sends."""
    return server.connected(server.fake())


def posted(server: Server, kernel: str, body: bytes | str) -> httpx.Response:
    """The answer to a body of any kind."""
    return server.http.post(runs_of(kernel), content=body)


# -- bodies

NO_OBJECTS: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"code=1",
    "half of it": b'{"code": "1"',
    "an array": b'["code"]',
    "a string": b'"code"',
    "a number": b"1",
    "null": b"null",
    "two": b'{"code": "1"} {"code": "1"}',
    "Latin-1": '{"code": "é"}'.encode("latin-1"),
    "UTF-16": '{"code": "1"}'.encode("utf-16"),
    "a surrogate in UTF-8": b'{"code": "\xed\xa0\x80"}',
    "too deep": b'{"code": "1", "metadata": {"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
}


@pytest.mark.parametrize("body", NO_OBJECTS.values(), ids=NO_OBJECTS)
def test_bodies_that_are_no_object(server: Server, resting: str, body: bytes) -> None:
    """They are refused with 400 and a sentence, and nothing is run."""
    before = listed(server, resting)
    refusal(posted(server, resting, body), 400)
    assert listed(server, resting) == before


WRONG: list[tuple[str, Any]] = [
    *(("code", each) for each in (None, 1, True, ["1"], {})),
    *(("silent", each) for each in ("yes", 1, 0, [])),
    *(("store_history", each) for each in ("", 1, {})),
    *(("stop_on_error", each) for each in ("false", 0)),
    *(("subshell_id", each) for each in (5, True, ["a"])),
    *(("timeout", each) for each in ("5", True, False, [], -1, -0.1)),
    *(("metadata", each) for each in ("x", 1, [], True)),
    *(("run_id", each) for each in (5, True, [], "", "a/b", "a b", "a\n", "é", "a?", "%61")),
    ("run_id", LONGEST + "x"),
]


@pytest.mark.parametrize(("field", "value"), WRONG)
def test_fields_of_a_wrong_type(server: Server, resting: str, field: str, value: Any) -> None:
    """The field is named, and nothing is run; no boolean is taken for a number, or the reverse."""
    before = listed(server, resting)
    body = {"code": "nothing", field: value}
    assert field in refusal(posted(server, resting, json.dumps(body)), 400)
    assert listed(server, resting) == before


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_timeouts_that_are_no_time(server: Server, resting: str, number: str) -> None:
    """What is no finite number is no timeout; that three of these are no JSON may be said."""
    body = f'{{"code": "nothing", "timeout": {number}}}'
    message = refusal(posted(server, resting, body), 400)
    assert ("timeout" if number == "1e999" else "JSON") in message


def test_code_is_needed(server: Server, resting: str) -> None:
    """An object without code is refused, and the message says what is missing."""
    assert "code" in refusal(posted(server, resting, '{"silent": true}'), 400)


@pytest.mark.parametrize("code", ["\\ud800", "x\\udfff", "\\udc00\\ud800"])
def test_code_that_is_no_text(server: Server, resting: str, code: str) -> None:
    """Half a character cannot be sent to a kernel."""
    assert "code" in refusal(posted(server, resting, f'{{"code": "{code}"}}'), 400)


@pytest.mark.parametrize("code", ["\\ud834\\udd1e", "\\u0000", ""])
def test_code_that_is_text(server: Server, resting: str, code: str) -> None:
    """Any text can: pairs of surrogates, a null character, nothing at all."""
    answer = posted(server, resting, f'{{"code": "{code}"}}')
    assert answer.status_code == 202, answer.text
    run = ended(server, answer.json()["run"]["run_id"])
    assert (run["code"], run["status"]) == (json.loads(f'"{code}"'), "ok")


def test_huge_code(server: Server, resting: str) -> None:
    """Two million characters of code are run."""
    assert execute(server, resting, "nothing " + "x" * 2_000_000).status == "ok"


# -- the caller's own name for a run


@pytest.mark.parametrize("run_id", ["a", LONGEST, "A.b:c_d-9", "..x", "-"])
def test_a_run_can_be_named(server: Server, resting: str, run_id: str) -> None:
    """The name is the run's, everywhere."""
    assert submit(server, resting, "nothing", run_id=run_id)["run_id"] == run_id
    assert ended(server, run_id)["run_id"] == run_id
    assert listed(server, resting, limit=1)[0]["run_id"] == run_id


def test_a_retry_runs_nothing(server: Server, fake: Starter) -> None:
    """A known name is refused with the place of its run: queued, running, ended, elsewhere."""
    kernel, other, gate = fake(), fake(), server.gate()
    submit(server, kernel, gate.command, run_id="first")
    submit(server, kernel, "nothing", run_id="second")
    for run_id in ("first", "second"):
        answer = post(server, kernel, "nothing", run_id=run_id)
        refusal(answer, 409)
        assert found(server, answer)["run_id"] == run_id
    gate.open()
    before = ended(server, "second")
    assert ended(server, "first")["status"] == "ok"
    for each in (kernel, other):
        answer = post(server, each, "error again", run_id="second")
        refusal(answer, 409)
        assert found(server, answer) == before
    assert len(listed(server, kernel)) == 2
    assert listed(server, other, limit=500) == []


def test_two_of_one_name_at_once(server: Server, fake: Starter) -> None:
    """Of ten at the same time one is run."""
    kernel = fake()
    with ThreadPoolExecutor(10) as pool:
        calls = [pool.submit(post, server, kernel, "nothing", run_id="at-once") for _ in range(10)]
        codes = [call.result().status_code for call in calls]
    assert sorted(codes) == [202] + [409] * 9
    ended(server, "at-once")
    assert execute(server, kernel, "nothing").run["run_id"] != "at-once"
    assert len(listed(server, kernel)) == 2


def test_a_websockets_message_is_known(server: Server, resting: str) -> None:
    """What a websocket has sent cannot be sent again under its name."""
    with connect(server, resting) as socket:
        cell = socket.execute("nothing")
        socket.finished(cell)
    assert found(server, post(server, resting, "nothing", run_id=cell))["run_id"] == cell
    refusal(post(server, resting, "nothing", run_id=cell), 409)


@pytest.mark.parametrize("limit", ["0", "-1", "501", "x", "1.5", "9" * 30])
def test_odd_limits(server: Server, resting: str, limit: str) -> None:
    """A list has 1 to 500 runs."""
    for path in (RUNS, runs_of(resting)):
        assert "limit" in refusal(server.http.get(path, params={"limit": limit}), 400)


def test_odd_wishes(server: Server, resting: str) -> None:
    """An unknown status is refused with those there are, an unknown run with its name."""
    for path in (RUNS, runs_of(resting)):
        message = refusal(server.http.get(path, params={"status": "ok,lots"}), 400)
        assert "aborted" in message
        message = refusal(server.http.get(path, params={"before": "nobodys"}), 400)
        assert "nobodys" in message


def test_a_run_is_no_other_extensions(server: Server, resting: str) -> None:
    """`POST .../execute` is not taken, and a `GET` there lists what was run, newest first."""
    assert server.http.post(f"api/kernels/{resting}/execute", json={}).status_code == 404
    ids = [ended(server, post(server, resting, "nothing").json()["run"]["run_id"])["run_id"]]
    ids.append(execute(server, resting, "nothing").run["run_id"])
    runs = server.get(runs_of(resting), limit=2)["runs"]
    assert [run["run_id"] for run in runs] == ids[::-1]
