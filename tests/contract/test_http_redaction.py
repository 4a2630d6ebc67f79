"""Contract section 3, `allow_tracebacks=False`: what failed is told, how it failed is not.

The secrets are put together by the code that fails, so that the echo of the code is none of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from support.kernel_socket import (
    PROTOCOLS,
    KernelSocket,
    Message,
    Upgrade,
    connect,
    of_type,
)
from support.server import Server, eventually
from support.stories import kill

REPLACEMENT = "Ask the people who run this server, mentioning the hour."
SECRET = "hush" * 3
FAILING = "int('hush' * 3)"
"""ValueError: invalid literal for int() with base 10: 'hushhushhush'"""
DEEP = "def inner(): return {}['hush' * 3]\ndef outer(): return inner()\nouter()"
"""The same with frames of its own."""
STDERR = f"ModuleNotFoundError: No module named '{SECRET}'"
SHELLS = ("shell", "control")


def config(*, tracebacks: bool) -> dict:
    """A server that restarts no kernel and shows tracebacks, or not."""
    return {
        "KernelManager": {"autorestart": False, "shutdown_wait_time": 0.5},
        "MappingKernelManager": {
            "allow_tracebacks": tracebacks,
            "traceback_replacement_message": REPLACEMENT,
        },
    }


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that hides tracebacks."""
    with Server(config=config(tracebacks=False)) as server:
        yield server


@pytest.fixture(scope="module")
def candid() -> Iterator[Server]:
    """A server that does not."""
    with Server(config=config(tracebacks=True)) as server:
        yield server


@pytest.fixture(scope="module")
def candid_kernel(candid: Server) -> str:
    """Its ipykernel."""
    return candid.connected("python3")


@pytest.fixture(params=PROTOCOLS.values(), ids=PROTOCOLS)
def protocol(request: pytest.FixtureRequest) -> str:
    """Each of the two subprotocols."""
    return request.param


def replies(messages: list[Message]) -> list[dict]:
    """The contents of the execute replies."""
    return of_type(messages, "execute_reply")


def bytes_told(socket: KernelSocket) -> str:
    """All that this client has received, JSON escapes undone where there were any."""
    again = json.dumps(socket.received, ensure_ascii=False)
    return socket.raw.decode(errors="replace") + again


@pytest.mark.parametrize("channel", SHELLS)
@pytest.mark.parametrize("code", [FAILING, DEEP, "raise RuntimeError(f'{12 * 3 * \"hush\"}')"])
def test_an_error_is_told_without_its_traceback(
    server: Server, python_kernel: str, protocol: str, code: str, channel: str
) -> None:
    """Iopub and reply both say that it failed, with the replacement and no trace of the secret."""
    with connect(server, python_kernel, protocol=protocol) as socket:
        messages = socket.run(code, channel=channel)
        (error,) = of_type(socket.received, "error")  # of control it names no sure parent
        (reply,) = replies(messages)
        assert error["traceback"] == reply["traceback"] == [REPLACEMENT]
        assert reply["status"] == "error"
        assert reply["execution_count"] == of_type(messages, "execute_input")[0]["execution_count"]
        names = [content[name] for content in (error, reply) for name in ("ename", "evalue")]
        assert all(isinstance(name, str) for name in names)
        assert SECRET not in bytes_told(socket)


def test_a_syntax_error_is_told_without_its_traceback(
    server: Server, python_kernel: str, protocol: str
) -> None:
    """An error of the code itself, made by `exec` from a secret line, is none the less an error."""
    with connect(server, python_kernel, protocol=protocol) as socket:
        messages = socket.run("exec('hush' * 3 + ' = = 1')")
        assert of_type(messages, "error")[0]["traceback"] == [REPLACEMENT]
        assert replies(messages)[0]["traceback"] == [REPLACEMENT]
        assert SECRET not in bytes_told(socket)


def test_a_failing_user_expression_is_told_without_its_traceback(
    server: Server, python_kernel: str, protocol: str
) -> None:
    """The reply of a cell that went well hides what its user expressions failed with."""
    with connect(server, python_kernel, protocol=protocol) as socket:
        expressions = {"bad": FAILING, "good": "6 * 7"}
        (reply,) = replies(socket.run("1", user_expressions=expressions))
        assert reply["status"] == "ok"
        told = reply["user_expressions"]
        assert told["good"]["data"]["text/plain"] == "42"
        assert (told["bad"]["status"], told["bad"]["traceback"]) == ("error", [REPLACEMENT])
        assert SECRET not in bytes_told(socket)


def test_what_goes_well_is_not_touched(server: Server, python_kernel: str, protocol: str) -> None:
    """After an error, on the same websocket, a result and what is printed arrive as they are."""
    with connect(server, python_kernel, protocol=protocol) as socket:
        socket.run(FAILING)
        messages = socket.run("print('said', flush=True)\n'hush' * 3")
        assert of_type(messages, "execute_result")[0]["data"]["text/plain"] == repr(SECRET)
        assert of_type(messages, "stream") == [{"name": "stdout", "text": "said\n"}]
        assert replies(messages)[0]["status"] == "ok"
        assert REPLACEMENT not in json.dumps(messages)


def test_every_client_of_the_kernel_is_told_the_same(
    server: Server, python_kernel: str, protocol: str
) -> None:
    """A client that only looks on reads the replacement, not the traceback."""
    with (
        connect(server, python_kernel, protocol=protocol) as actor,
        connect(server, python_kernel, protocol=protocol) as onlooker,
    ):
        onlooker.run("1")
        cell = actor.execute(FAILING)
        actor.finished(cell)
        onlooker.hear("idle", cell)
        assert of_type(onlooker.received, "error")[0]["traceback"] == [REPLACEMENT]
        assert SECRET not in bytes_told(onlooker) + bytes_told(actor)


def test_what_a_lost_client_missed_is_redacted_too(server: Server, protocol: str) -> None:
    """An error during a loss of connection reaches the same session with the replacement."""
    kernel, gate = server.connected("python3"), server.gate()
    before = server.status(kernel)["revision"]
    with connect(server, kernel, protocol=protocol) as lost:
        cell = lost.execute(f"{gate.cell}\n{FAILING}")
        lost.hear("busy", cell)
        lost.vanish()
    eventually(lambda: server.model(kernel)["connections"] == 0)
    gate.open()
    assert server.wait(kernel, execution_state="idle", since=before).status_code == 200
    server.taken_up()
    with connect(server, kernel, protocol=protocol, session_id=lost.session_id) as found:
        missed = found.finished(cell)
        assert of_type(missed, "error")[0]["traceback"] == [REPLACEMENT]
        assert (replies(missed)[0]["status"], replies(missed)[0]["traceback"]) == (
            "error",
            [REPLACEMENT],
        )
        assert SECRET not in bytes_told(found)
    server.delete(kernel)


@pytest.mark.parametrize("mode", ["die-at-start", "good,die-at-start"])
def test_last_words_are_not_quoted(server: Server, mode: str) -> None:
    """What a dying kernel wrote is in no refusal, close text, model, status or history."""
    kernel = server.start_kernel(server.fake(mode=mode, stderr=STDERR, code=7))
    told = ""
    if mode != "die-at-start":
        server.settled(kernel)
        with connect(server, kernel) as socket:
            kill(server, kernel)
            told += socket.closed().text + bytes_told(socket)
        server.restart(kernel)
    dead = server.until_dead(kernel)
    assert dead["reason"]
    told += json.dumps([dead, server.model(kernel), server.models(), server.history(kernel)])
    told += json.dumps(Upgrade(server, kernel).refused())
    assert SECRET not in told
    assert REPLACEMENT in server.model(kernel)["traceback"]
    server.delete(kernel)


# -- with tracebacks allowed, all as it was


def test_tracebacks_that_are_allowed_are_told(
    candid: Server, candid_kernel: str, protocol: str
) -> None:
    """By default the error has its name, its words and its traceback in both places."""
    with connect(candid, candid_kernel, protocol=protocol) as socket:
        messages = socket.run(FAILING)
        (error,) = of_type(messages, "error")
        (reply,) = replies(messages)
        assert (error["ename"], reply["ename"]) == ("ValueError", "ValueError")
        assert SECRET in error["evalue"]
        assert SECRET in "".join(reply["traceback"])
        assert error["traceback"] == reply["traceback"]
        assert REPLACEMENT not in bytes_told(socket)


def test_user_expressions_that_are_allowed_are_told(
    candid: Server, candid_kernel: str, protocol: str
) -> None:
    """The same of a failing user expression."""
    with connect(candid, candid_kernel, protocol=protocol) as socket:
        (reply,) = replies(socket.run("1", user_expressions={"bad": FAILING}))
        bad = reply["user_expressions"]["bad"]
        assert (bad["status"], bad["ename"]) == ("error", "ValueError")
        assert SECRET in bad["evalue"]


def test_last_words_that_are_allowed_are_told(candid: Server) -> None:
    """What a dying kernel wrote is the model's traceback."""
    kernel = candid.start_kernel(candid.fake(mode="die-at-start", stderr=STDERR, code=7))
    candid.until_dead(kernel)
    assert STDERR in candid.model(kernel)["traceback"]
    candid.delete(kernel)
