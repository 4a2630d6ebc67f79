"""The client library against a real server, with both clients."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any

import pytest
import support.server
from support.clients import KINDS, Kind, ask, waiters, watch
from support.command import start, stop
from support.proxy import Proxy
from support.server import PATIENCE, Server, eventually

import kernel_status_ext
from kernel_status_ext.client import (
    AsyncKernelStatusClient,
    BadRequest,
    Change,
    ClientClosed,
    Event,
    Figures,
    Kernel,
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
def test_errors(of: dict[str, Any], fake: Callable[..., str], kind: Kind) -> None:
    """Each failure has a class of its own, a sentence, and no token in it."""
    kernel, wrong, nobody = (
        fake(),
        {**of, "token": "secret-word"},
        {"url": NOWHERE, "token": "secret-word"},
    )
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
def test_a_timeout_tells_how_the_kernel_is(
    of: dict[str, Any], fake: Callable[..., str], kind: Kind
) -> None:
    """It is the TimeoutError of the package, and names kernel, status and wish."""
    kernel = fake()
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


@pytest.mark.parametrize("cut_after", [0.5, 5])
def test_a_proxy_that_cuts(
    of: dict[str, Any],
    server: Server,
    fake: Callable[..., str],
    pool: ThreadPoolExecutor,
    cut_after: float,
) -> None:
    """Both clients wait and watch on, each cut gives a new snapshot, and nothing is missed."""
    kernel_id, gate = fake(), server.gate()
    seen: dict[Kind, list[Event]] = {kind: [] for kind in KINDS}
    lost: list[str] = []

    def hears(kind: Kind, event: Event) -> bool:
        seen[kind].append(event)
        return any(each.execution_state == "busy" for each in told_of(event))

    with Proxy(server.port, cut_after) as proxy, server.client(kernel_id) as sender:
        via = {**of, "url": f"http://127.0.0.1:{proxy.port}{server.base_url}"}
        wish = {"execution_state": "busy", "timeout": 60, "of": via}
        waits = [pool.submit(ask, kind, "wait", kernel_id, **wish) for kind in KINDS]
        watches = [
            pool.submit(watch, kind, partial(hears, kind), of=via, on_lost=lost.append)
            for kind in KINDS
        ]
        assert proxy.has_cut(len(waits) + len(watches))
        eventually(lambda: all(len(each) > 1 for each in seen.values()), what="snapshots anew")
        sender.execute(gate.command)
        reached = [waiting.result(PATIENCE) for waiting in waits]
        assert [watching.result(PATIENCE) for watching in watches] == [None, None]
        gate.open()
    assert {(each.id, each.execution_state) for each in reached} == {(kernel_id, "busy")}
    assert all([type(event) for event in each[:2]] == [Snapshot] * 2 for each in seen.values())
    assert len(lost) >= len(watches)


def told_of(event: Event) -> tuple[Kernel, ...]:
    """The kernels whose present an event tells."""
    if isinstance(event, Snapshot):
        return event.kernels
    return (event.kernel,) if isinstance(event, Change) else ()


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


@pytest.fixture
def mortal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that comes back at the same port when it is launched again."""
    with Server() as server:
        monkeypatch.setattr(support.server, "free_port", lambda *_: server.port)
        yield server


class Watching:
    """Somebody who watches until the connection was lost and a new one tells something."""

    def __init__(self, kind: Kind, of: dict[str, Any], pool: ThreadPoolExecutor) -> None:
        self.seen: list[Event] = []
        self.lost: list[str] = []
        self.end = pool.submit(watch, kind, self.hears, of=of, on_lost=self.lost.append)

    def hears(self, event: Event) -> bool:
        """Note an event, and tell whether it was enough."""
        self.seen.append(event)
        return bool(self.lost)


def test_a_server_that_is_killed(mortal: Server, pool: ThreadPoolExecutor) -> None:
    """A wait gives up when its patience is over; a watch goes on with the next server there."""
    kernel_id = mortal.connected(mortal.fake("mine"))
    url = f"http://127.0.0.1:{mortal.port}{mortal.base_url}"
    of = {"url": url, "token": mortal.token, "patience": 0.5}
    command = start(mortal, "watch")
    assert kernel_id in command.stdout.readline()
    commanded = start(mortal, "wait", kernel_id, "--state", "running")
    waits = [pool.submit(ask, kind, "wait", kernel_id, status="dead", of=of) for kind in KINDS]
    watches = [Watching(kind, of, pool) for kind in KINDS]
    eventually(lambda: all(each.seen for each in watches), what="they watch")
    eventually(lambda: waiters(mortal) == 3, what="they wait")
    mortal.process.kill()
    mortal.process.wait()
    for waiting in waits:
        with pytest.raises(ServerUnreachable, match="cannot be reached") as raised:
            waiting.result(PATIENCE)
        assert raised.value.kernel.id == kernel_id
    assert "cannot be reached" in command.stderr.readline()
    eventually(lambda: all(each.lost for each in watches), what="they are told")
    mortal.launch()
    assert commanded.wait(PATIENCE) == 3
    assert kernel_id in commanded.communicate()[1]
    assert command.stdout.readline() == f"Kernel {kernel_id} was removed.\n"
    for each in watches:
        each.end.result(PATIENCE)
        assert isinstance(each.seen[-1], Snapshot)
        assert each.seen[-1].kernels == ()
    second = mortal.connected("mine")
    assert second in command.stdout.readline()
    stop(command)
    killed_for_good(mortal, second)


def killed_for_good(mortal: Server, kernel_id: str) -> None:
    """The command line's wait ends with status 3 and one line when no server comes back."""
    command = start(mortal, "wait", kernel_id, "--state", "running")
    eventually(lambda: waiters(mortal) == 1, what="it waits")
    mortal.process.kill()
    out, err = command.communicate(timeout=PATIENCE)
    assert (command.returncode, out) == (3, "")
    assert f"Connection refused); kernel {kernel_id} was last connected (idle)" in err
    assert err.count("\n") == 1


def test_closed_by_another_thread(
    of: dict[str, Any], server: Server, fake: Callable[..., str], pool: ThreadPoolExecutor
) -> None:
    """What is still asked ends at once, with an error of ours, and nothing more can be asked."""
    kernel_id, client = fake(), KernelStatusClient(**of)
    begun = threading.Event()

    def watches() -> None:
        for _ in client.watch():
            begun.set()

    going_on = [pool.submit(client.wait, kernel_id, state="running"), pool.submit(watches)]
    assert begun.wait(PATIENCE)
    eventually(lambda: waiters(server) == 1, what="it waits")
    client.close()
    assert [type(each.exception(PATIENCE)) for each in going_on] == [ClientClosed, ClientClosed]
    with pytest.raises(ClientClosed, match="make a new one"):
        client.status(kernel_id)


def test_closed_by_another_task(
    of: dict[str, Any], server: Server, fake: Callable[..., str]
) -> None:
    """The asynchronous client's calls end as those of the other one."""
    kernel_id = fake()

    async def closed() -> BaseException | None:
        client = AsyncKernelStatusClient(**of)
        waiting = asyncio.create_task(client.wait(kernel_id, state="running"))
        await asyncio.to_thread(eventually, lambda: waiters(server) == 1, what="it waits")
        await client.aclose()
        await asyncio.wait([waiting])
        with pytest.raises(ClientClosed):
            await client.list()
        return waiting.exception()

    assert isinstance(asyncio.run(closed()), ClientClosed)
