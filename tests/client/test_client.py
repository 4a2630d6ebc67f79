"""The client library against a real server, with both clients."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import support.server
from support.clients import KINDS, Kind, ask, watch
from support.proxy import Proxy
from support.server import Server

import kernel_status_ext
from kernel_status_ext.client import (
    BadRequest,
    Change,
    Event,
    Figures,
    KernelNotFound,
    KernelStateTimeout,
    KernelStateUnreachable,
    KernelStatusClient,
    KernelStatusError,
    NoExtension,
    NotAllowed,
    Removed,
    RevisionUnknown,
    ServerUnreachable,
    Snapshot,
)
from kernel_status_ext.core.words import Status

NOWHERE = "http://127.0.0.1:1/"

both = pytest.mark.parametrize("kind", KINDS, ids=["sync", "async"])


@pytest.fixture
def of(server: Server) -> dict[str, Any]:
    """What a client of the shared server is made of."""
    return {"url": f"http://127.0.0.1:{server.port}{server.base_url}", "token": server.token}


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    """Where a test waits in the background."""
    with ThreadPoolExecutor() as pool:
        yield pool


def test_importing_it_is_cheap() -> None:
    """The HTTP library is loaded only with the first client."""
    code = "import sys, kernel_status_ext.client as c; print('httpx' in sys.modules, c.__all__)"
    code += "; assert all(hasattr(c, each) for each in c.__all__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("False")


@both
def test_what_is_known(
    of: dict[str, Any], server: Server, fake: Callable[..., str], kind: Kind
) -> None:
    """Status, list, history and figures tell the same, as words, times and numbers."""
    kernel_id = fake()
    kernel = ask(kind, "status", kernel_id, of=of)
    assert (kernel.id, kernel.status, kernel.body) == (
        kernel_id,
        Status.CONNECTED,
        server.status(kernel_id),
    )
    assert isinstance(kernel.status, Status)
    assert abs(datetime.now(timezone.utc) - kernel.since) < timedelta(minutes=1)
    assert kernel in ask(kind, "list", of=of)
    story = ask(kind, "history", kernel_id, of=of)
    assert story.changes[-1].revision == kernel.revision
    alone = ask(kind, "inspect", kernel_id, detail="full", of=of)
    every = ask(kind, "inspect", of=of)
    assert alone.pid == every[kernel_id].pid == kernel.pid
    assert alone.memory_uss_bytes is not None
    assert every[kernel_id].memory_uss_bytes is None


@both
def test_a_death_is_typed(of: dict[str, Any], fake: Callable[..., str], kind: Kind) -> None:
    """A wait for a kernel that dies raises with its reason and its last termination."""
    kernel_id = fake("die-at-start", code=3, gate="/", wait=False)
    with pytest.raises(KernelStateUnreachable) as raised:
        ask(kind, "wait", kernel_id, timeout=20, of=of)
    error = raised.value
    assert isinstance(error, kernel_status_ext.KernelStateUnreachable)
    assert error.reason == error.kernel.reason != ""
    assert (error.status_code, error.kernel.last_termination.exit_code) == (409, 3)


@both
def test_errors(of: dict[str, Any], kernel: str, kind: Kind) -> None:
    """Each failure has a class of its own, a sentence, and no token in it."""
    wrong, nobody = {**of, "token": "secret-word"}, {"url": NOWHERE, "token": "secret-word"}
    elsewhere = {**of, "url": of["url"] + "elsewhere/"}
    cases: list[tuple[type[Exception], str, tuple[str, ...], dict[str, Any], dict[str, Any]]] = [
        (KernelNotFound, "status", ("nobody",), {}, of),
        (BadRequest, "wait", (kernel,), {"status": "nice"}, of),
        (ValueError, "wait", (kernel,), {"timeout": -1}, of),
        (BadRequest, "status", ("..",), {}, of),
        (RevisionUnknown, "wait", (kernel,), {"since": 10**6}, of),
        (NotAllowed, "list", (), {}, wrong),
        (NotAllowed, "wait", (kernel,), {}, wrong),
        (ConnectionError, "list", (), {}, nobody),
        (ServerUnreachable, "wait", (kernel,), {}, nobody),
        (NoExtension, "list", (), {}, elsewhere),
    ]
    for expected, call, args, params, client in cases:
        with pytest.raises(expected) as raised:
            ask(kind, call, *args, of=client, **params)
        assert isinstance(raised.value, KernelStatusError)
        assert "secret-word" not in f"{raised.value!r} {raised.value}"


@both
def test_a_timeout_tells_how_the_kernel_is(of: dict[str, Any], kernel: str, kind: Kind) -> None:
    """It is the TimeoutError of the package, and names kernel, status and wish."""
    with pytest.raises(kernel_status_ext.KernelStateTimeout) as raised:
        ask(kind, "wait", kernel, state=["running", "stopped"], timeout=0, of=of)
    assert isinstance(raised.value, KernelStateTimeout)
    assert raised.value.kernel.id == kernel
    for told in (kernel, "connected (idle)", "state=running,stopped"):
        assert told in str(raised.value)


@both
def test_since_tells_each_change(
    of: dict[str, Any], server: Server, fake: Callable[..., str], kind: Kind
) -> None:
    """Without words and with a revision, any later change is an answer, also one that is over."""
    kernel_id = fake()
    before = ask(kind, "status", kernel_id, of=of)
    server.restart(kernel_id)
    server.settled(kernel_id)
    after = ask(kind, "wait", kernel_id, since=before.revision, timeout=10, of=of)
    assert after.status == Status.RESTARTING


@both
@pytest.mark.parametrize("cut_after", [1, 5])
def test_wait_survives_a_proxy(
    of: dict[str, Any],
    server: Server,
    fake: Callable[..., str],
    pool: ThreadPoolExecutor,
    kind: Kind,
    cut_after: int,
) -> None:
    """A proxy that cuts each call makes the calls shorter, and no harm is done."""
    if (kind, cut_after) == (KINDS[1], 5):
        return  # the conversation is the same: once is enough for what takes so long
    kernel_id, gate = fake(), server.gate()
    with Proxy(server.port, cut_after) as proxy, server.client(kernel_id) as sender:
        via = {**of, "url": f"http://127.0.0.1:{proxy.port}{server.base_url}"}
        waiting = pool.submit(
            ask, kind, "wait", kernel_id, execution_state="busy", timeout=60, of=via
        )
        threading.Event().wait(cut_after + 1)  # the passing of time is what is tested
        assert proxy.cuts >= 1
        sender.execute(gate.command)
        busy = waiting.result(10)
        gate.open()
    assert (busy.id, busy.execution_state) == (kernel_id, "busy")


@both
def test_watch_survives_a_proxy(of: dict[str, Any], server: Server, kind: Kind) -> None:
    """Each cut gives a new snapshot."""
    with Proxy(server.port, 0.5) as proxy:
        via = {**of, "url": f"http://127.0.0.1:{proxy.port}{server.base_url}"}
        seen: list[Event] = []
        lost: list[str] = []

        def hears(event: Event) -> bool:
            seen.append(event)
            return len(seen) == 3

        watch(kind, hears, of=via, on_lost=lost.append)
    assert [type(event) for event in seen] == [Snapshot] * 3
    assert len(lost) == 2


@both
def test_a_kernel_is_watched_to_its_end(
    of: dict[str, Any], server: Server, fake: Callable[..., str], kind: Kind
) -> None:
    """Snapshot, figures, changes, removal; then the iteration ends by itself."""
    kernel_id = fake()
    seen: list[Event] = []

    def hears(event: Event) -> bool:
        seen.append(event)
        if isinstance(event, Figures):
            server.delete(kernel_id)
        return False

    watch(kind, hears, kernel_id, figures=2, of=of)
    assert isinstance(seen[0], Snapshot)
    assert isinstance(seen[-1], Removed)
    statuses = [event.kernel.status for event in seen if isinstance(event, Change)]
    assert statuses[-1] == Status.DEAD
    with pytest.raises(KernelNotFound):
        watch(kind, hears, kernel_id, of=of)


@both
def test_a_login_is_enough(of: dict[str, Any], server: Server, kind: Kind) -> None:
    """Cookies of a browser open the door, and a token in the URL does."""
    with server._client() as browser:
        browser.headers.pop("Authorization")
        browser.get("", params={"token": server.token})
        cookies = dict(browser.cookies)
    url = of["url"].rstrip("/")
    assert isinstance(ask(kind, "list", of={"url": url, "cookies": cookies}), list)
    pasted = {"url": f"{url}/lab?token={server.token}"}
    assert isinstance(ask(kind, "list", of=pasted), list)
    with KernelStatusClient(**pasted) as client:
        assert server.token not in repr(client)


@both
def test_a_server_that_is_killed(
    kind: Kind, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wait gives up when its patience is over; a watch goes on with the next server there."""
    with Server() as mortal:
        kernel_id = mortal.connected(mortal.fake())
        of = {
            "url": f"http://127.0.0.1:{mortal.port}{mortal.base_url}",
            "token": mortal.token,
            "patience": 0.5,
        }
        seen: list[Event] = []
        is_lost = threading.Event()
        begun = threading.Event()

        def hears(event: Event) -> bool:
            seen.append(event)
            begun.set()
            return is_lost.is_set()

        waiting = pool.submit(ask, kind, "wait", kernel_id, status="dead", of=of)
        watching = pool.submit(watch, kind, hears, of=of, on_lost=lambda _: is_lost.set())
        assert begun.wait(10)
        mortal.taken_up()
        mortal.process.kill()
        with pytest.raises(ServerUnreachable, match="cannot be reached"):
            waiting.result(20)
        assert is_lost.wait(10)
        mortal.process.wait()
        monkeypatch.setattr(support.server, "free_port", lambda: mortal.port)
        mortal.launch()
        watching.result(30)
    assert isinstance(seen[-1], Snapshot)
    assert seen[-1].kernels == ()
