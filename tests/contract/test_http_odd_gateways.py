"""Contract sections 3 and 6 where others misbehave: odd gateways, clients that leave early."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from support.odd_gateway import Gateway
from support.server import Server, eventually, free_port
from support.sse import Stream

from kernel_status_ext.api.sse import Outlet


@pytest.fixture(scope="module")
def the_gateway() -> Iterator[Gateway]:
    """A gateway that does as it is told."""
    made = Gateway()
    yield made
    made.release()
    made.close()


def behind(gateway: Gateway) -> Server:
    """A server whose kernels run there."""
    url = f"--GatewayClient.url=http://127.0.0.1:{gateway.port}"
    return Server(url, config={"KernelManager": {"shutdown_wait_time": 0.5}})


@pytest.fixture(scope="module")
def server(the_gateway: Gateway) -> Iterator[Server]:
    """The server of most tests here."""
    with behind(the_gateway) as server:
        yield server
        the_gateway.forget()


@pytest.fixture
def gateway(the_gateway: Gateway) -> Iterator[Gateway]:
    """The gateway, without kernels, and as it was at first."""
    the_gateway.forget()
    yield the_gateway
    the_gateway.forget()


def waiters(server: Server) -> float:
    """How many wait now, as the server's metrics tell."""
    lines = server.http.get("metrics").text.splitlines()
    return next(float(each.split()[1]) for each in lines if each.startswith("kernel_status_waiter"))


NONSENSE = {
    "a page": (200, b"<html>log in</html>"),
    "null": (200, b"null"),
    "no list": (200, b'{"a": 1}'),
    "no models": (200, b'[{"a": 1}]'),
    "an error that is a list": (500, b'["x"]'),
    "an error that is no text": (500, b"\xff\xfe"),
}


@pytest.mark.parametrize("answer", NONSENSE.values(), ids=NONSENSE)
def test_gateway_that_answers_nonsense(
    server: Server, gateway: Gateway, answer: tuple[int, bytes]
) -> None:
    """What cannot be understood is no sign of life: unknown, with a reason, until it can be."""
    kernel = server.start_kernel("python3")
    server.settled(kernel)
    gateway.answers["list"] = answer
    model = server.models()[kernel]
    assert (model["status"], model["execution_state"]) == ("unknown", "unknown")
    assert model["reason"]
    del gateway.answers["list"]
    assert server.models()[kernel]["status"] == "connected"
    assert "Traceback" not in server.log()


@pytest.mark.parametrize("word", ["paused", None, ["idle"]])
def test_gateway_that_says_an_unknown_word(server: Server, gateway: Gateway, word: Any) -> None:
    """A word that nobody knows does not make a kernel idle."""
    kernel = server.start_kernel("python3")
    server.settled(kernel)
    gateway.words[kernel] = word
    assert server.status(kernel)["status"] == "unknown"


def test_probe_that_is_given_up_leaves_no_connection(server: Server, gateway: Gateway) -> None:
    """A websocket that opens after nobody wants it any more is closed at once."""
    gateway.hanging.add("channels")
    kernel = server.start_kernel("python3")
    eventually(lambda: "channels" in gateway.asked, what="the probe knocks")
    server.delete(kernel)
    gateway.release()
    eventually(lambda: gateway.opened, what="the websocket is open")
    eventually(lambda: not gateway.sockets, what="it is closed again")


@pytest.mark.parametrize("first", [b"\x00\x00\x00\x02\xff", "<html>", "[]"])
def test_probe_hears_what_it_does_not_understand(
    server: Server, gateway: Gateway, first: str | bytes
) -> None:
    """Binary messages, as those with buffers are, and nonsense do not hide the reply."""
    gateway.first = first
    kernel = server.start_kernel("python3")
    assert server.wait(kernel, status="connected").status_code == 200
    assert "Traceback" not in server.log()


def test_probe_whose_websocket_is_closed_at_once(server: Server, gateway: Gateway) -> None:
    """It is tried again, quietly."""
    gateway.hangs_up = True
    kernel = server.start_kernel("python3")
    eventually(lambda: gateway.opened > 1, what="a second attempt")
    assert server.status(kernel)["status"] == "connecting"
    assert "Traceback" not in server.log()


def test_probe_whose_websocket_is_a_page(server: Server, gateway: Gateway) -> None:
    """It is tried again, quietly."""
    gateway.answers["channels"] = (200, b"<html>log in</html>")
    kernel = server.start_kernel("python3")
    eventually(lambda: gateway.asked.count("channels") > 1, what="a second attempt")
    assert server.status(kernel)["status"] == "connecting"
    assert "Traceback" not in server.log()


@pytest.mark.parametrize("between", ["dead", "unknown", "autorestarting"])
def test_remote_kernel_that_is_started_again_there(
    server: Server, gateway: Gateway, between: str
) -> None:
    """Its new process is another generation, and connected only when it has answered."""
    kernel = server.start_kernel("python3")
    before = server.settled(kernel)
    gateway.hanging.add("channels")
    gateway.words[kernel] = between
    server.status(kernel)
    gateway.words[kernel] = "starting"
    server.status(kernel)
    assert server.status(kernel)["status"] == "connecting"
    gateway.words[kernel] = "idle"
    gateway.release()
    after = server.wait(kernel, status="connected").json()
    assert after["generation"] == before["generation"] + 1


def test_list_that_lacks_a_kernel_which_cannot_be_asked_for(
    server: Server, gateway: Gateway
) -> None:
    """Only a 404 says that a kernel is gone; a 503 says that nobody knows."""
    kernel = server.start_kernel("python3")
    server.settled(kernel)
    gateway.answers |= {"list": (200, b"[]"), "model": (503, b"")}
    assert server.status(kernel)["status"] == "unknown"
    gateway.answers.clear()
    assert server.status(kernel)["status"] == "connected"


@pytest.mark.parametrize("action", ["restart", "interrupt"])
def test_refusal_there_that_is_no_text(server: Server, gateway: Gateway, action: str) -> None:
    """It is answered with a sentence, and no process is counted that never was."""
    kernel = server.start_kernel("python3")
    before = server.settled(kernel)
    gateway.answers["action"] = (500, b"\xff\xfe")
    server.post(f"api/kernels/{kernel}/{action}", expect=503)
    assert server.settled(kernel)["generation"] == before["generation"]


def test_look_while_a_kernel_is_restarted_there(server: Server, gateway: Gateway) -> None:
    """What its old process does meanwhile is no news, and one restart is one generation."""
    kernel = server.start_kernel("python3")
    before = server.settled(kernel)
    gateway.hanging.add("action")
    call = server.send("POST", f"api/kernels/{kernel}/restart")
    eventually(lambda: "action" in gateway.asked, what="the restart is under way")
    assert server.status(kernel)["status"] == "restarting"
    gateway.release()
    assert call.answer().status_code == 200
    assert server.settled(kernel)["generation"] == before["generation"] + 1


def test_restart_of_a_client_that_hangs_up(server: Server, gateway: Gateway) -> None:
    """What was asked for is done, also if nobody is there to hear of it."""
    kernel = server.start_kernel("python3")
    server.settled(kernel)
    gateway.asked.clear()
    gateway.hanging.add("list")
    call = server.send("POST", f"api/kernels/{kernel}/restart")
    eventually(lambda: gateway.asked, what="the gateway is asked")
    call.hang_up()
    server.taken_up()
    gateway.release()
    eventually(lambda: "action" in gateway.asked, what="the restart is asked for")


def test_removal_while_the_gateway_is_asked(server: Server, gateway: Gateway) -> None:
    """A kernel that was deleted here does not come back with an older answer."""
    kernel = server.start_kernel("python3")
    server.settled(kernel)
    gateway.asked.clear()
    gateway.hanging.add("list")
    call = server.send("GET", "api/kernels")
    eventually(lambda: gateway.asked, what="the gateway is asked")
    server.delete(kernel)
    gateway.answers["model"] = (503, b"")
    gateway.release()
    assert call.answer().json() == []
    assert server.get("api/kernels") == []
    assert server.http.get(f"api/kernels/{kernel}").status_code == 404


def test_waiter_that_hangs_up_before_it_waits(server: Server, gateway: Gateway) -> None:
    """Nobody waits for a client that went away while a slow gateway was asked."""
    kernel = server.start_kernel("python3")
    server.settled(kernel)
    gateway.asked.clear()
    gateway.hanging.add("list")
    call = server.send_wait(kernel, status="dead", timeout=300)
    eventually(lambda: gateway.asked, what="the gateway is asked")
    call.hang_up()
    server.taken_up()
    gateway.release()
    later = server.send_wait(kernel, status="dead", timeout=300)
    eventually(lambda: waiters(server) > 0, what="the one who came later waits")
    assert waiters(server) == 1
    later.hang_up()


def test_sigterm_while_the_gateway_hangs(gateway: Gateway) -> None:
    """A server does not wait for ever for kernels that run elsewhere."""
    with behind(gateway) as server:
        for _ in range(2):
            server.settled(server.start_kernel("python3"))
        gateway.hanging |= {"action", "list"}
        assert server.stop(how=signal.SIGTERM).returncode == 0


def test_no_gateway_and_no_kernels() -> None:
    """Without its gateway a server that has no kernels says so."""
    with Server(f"--GatewayClient.url=http://127.0.0.1:{free_port()}") as server:
        assert server.get("api/kernels") == []
        assert server.get("api/kernels/inspect") == {"kernels": {}}
        with Stream(server, "api/kernels/watch") as stream:
            assert stream.next().data["kernels"] == []


def test_stream_of_http_1_0_ends() -> None:
    """Where only the connection's end can tell that a stream has ended, it does."""
    with Server() as server:
        kernel = server.connected(server.fake())
        lines = (
            f"GET {server.base_url}api/kernels/{kernel}/watch HTTP/1.0",
            f"Authorization: token {server.token}",
            "Connection: keep-alive",
        )
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
            sock.sendall("\r\n".join((*lines, "", "")).encode())
            read = sock.recv(65536)
            server.delete(kernel)
            while piece := sock.recv(65536):
                read += piece
        assert b"event: removed" in read


def test_what_waits_for_a_reader_who_does_not_read() -> None:
    """It is bounded also when a part of it has begun to be written."""
    assert asyncio.run(_left_for_a_reader(events=80, size=999)) <= 48 * 1024


async def _left_for_a_reader(events: int, size: int) -> int:
    """Count the bytes that come after a reader took only the beginning of half of the events."""
    written: list[tuple[bytes, asyncio.Future[None]]] = []

    def write(piece: bytes) -> asyncio.Future[None]:
        leaving: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        written.append((piece, leaving))
        return leaving

    outlet = Outlet(write, lambda: [b"snapshot"])
    for _ in range(2):
        for _ in range(events // 2):
            outlet.send(b"x" * size)
        written[-1][1].set_result(None)
        await asyncio.sleep(0)
    left = 0
    while not outlet.is_idle:
        piece, leaving = written[-1]
        left += len(piece)
        leaving.set_result(None)
        await asyncio.sleep(0)
    return left
