"""Contract section 3, runs: kernels that take none, or not yet, and callers who may not."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator

import httpx
import pytest
from support.authorizers import HEADER
from support.external import External
from support.odd_gateway import Gateway
from support.runs import (
    RUNS,
    ended,
    execute,
    followed,
    interrupt,
    listed,
    look,
    place,
    post,
    refusal,
    runs_of,
    sent,
    started,
    submit,
)
from support.server import Server
from support.stories import kill

Starter = Callable[..., str]

NOBODY = "00000000-0000-0000-0000-000000000003"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that can be told to deny, that knows kernels of others and starts none again."""
    config = {
        "ServerApp": {
            "allow_external_kernels": True,
            "authorizer_class": "authorizers.DenyByHeader",
        },
        "KernelManager": {"shutdown_wait_time": 1.0},
        "KernelRestarter": {"restart_limit": 1, "stable_start_time": 3600.0},
    }
    with Server(config=config) as server:
        yield server


@pytest.fixture(scope="module")
def resting(server: Server) -> str:
    """A fake kernel that runs nothing but what a test here sends."""
    return server.connected(server.fake())


# -- kernels that take none, or not yet


def test_a_dead_kernel(server: Server, fake: Starter) -> None:
    """It is refused at once, with the kernel's reason, streamed or not."""
    kernel = fake("die-at-start", code=6, wait=False)
    reason = server.until_dead(kernel)["reason"]
    for accept in ("application/json", "text/event-stream"):
        answer = server.http.post(
            runs_of(kernel), json={"code": "nothing"}, headers={"Accept": accept}
        )
        refusal(answer, 409)
        assert reason in (answer.json()["reason"], answer.json()["message"])
    assert server.get(runs_of(kernel)) == {"runs": [], "next": None}


def test_a_kernel_that_is_ended(server: Server) -> None:
    """While it is terminating nothing is taken."""
    kernel = server.connected(server.fake(mode="deaf"))
    deleting = server.send("DELETE", f"api/kernels/{kernel}")
    assert server.status(kernel)["status"] == "terminating"
    assert "terminating" in refusal(post(server, kernel, "nothing"), 409)
    assert deleting.answer().status_code == 204


def test_a_kernel_that_is_not_known_to_live(server: Server) -> None:
    """Nor of an external kernel that was never heard."""
    folder = server.runtime / "external_kernels"
    folder.mkdir(exist_ok=True)
    external = External(folder)
    try:
        kernel = external.id(server)
        assert server.status(kernel)["status"] == "unknown"
        refusal(post(server, kernel, "nothing"), 409)
    finally:
        external.close()
        server.models()


def test_a_kernel_behind_a_gateway() -> None:
    """Runs are not sent there, and the refusal says so."""
    gateway = Gateway()
    try:
        with Server(f"--GatewayClient.url=http://127.0.0.1:{gateway.port}") as server:
            kernel = server.start_kernel("python3")
            server.settled(kernel)
            assert "gateway" in refusal(post(server, kernel, "1"), 409).lower()
    finally:
        gateway.close()


def starting(server: Server, kernel: str) -> None:
    """It is on its first way up."""


def restarting(server: Server, kernel: str) -> None:
    """It was asked to restart."""
    server.settled(kernel)
    server.restart(kernel)


def autorestarting(server: Server, kernel: str) -> None:
    """It died and comes back."""
    server.settled(kernel)
    kill(server, kernel, signal.SIGKILL)
    assert server.wait(kernel, status="autorestarting").status_code == 200


@pytest.mark.parametrize("way", [starting, restarting, autorestarting])
def test_a_kernel_on_its_way_is_waited_for(
    server: Server, fake: Starter, way: Callable[[Server, str], None]
) -> None:
    """Runs are taken at once, queued, and run in their order once the kernel is connected."""
    gate = server.gate()
    kernel = fake("slow" if way is starting else "good,slow", gate=gate, wait=False)
    way(server, kernel)
    first = submit(server, kernel, "nothing")
    with sent(server, kernel, "flood 3") as second:
        runs = [first, second.next().data["run"]]
        assert [run["status"] for run in runs] == ["queued", "queued"]
        assert server.status(kernel)["queued"] == [run["run_id"] for run in runs]
        assert server.status(kernel)["state"] == "stopped"
        assert second.silent()
        gate.open()
        assert second.whole().text("stdout") == "0\n1\n2\n"
    assert look(server, first["run_id"])["status"] == "ok"
    assert look(server, first["run_id"])["generation"] == server.status(kernel)["generation"]


def test_kernels_on_their_way_lose_nothing(server: Server) -> None:
    """Whatever is sent to eight kernels while they restart is run, once, in its order."""
    name = server.fake()
    kernels = [server.start_kernel(name) for _ in range(8)]
    for kernel in kernels:
        server.settled(kernel)
        server.restart(kernel)
        for _ in range(3):
            submit(server, kernel, "flood 2")
    for kernel in kernels:
        ids = [run["run_id"] for run in listed(server, kernel)]
        runs = [ended(server, run_id) for run_id in reversed(ids)]
        assert [(run["status"], run["reason"]) for run in runs] == [("ok", "")] * 3
        assert [run["execution_count"] for run in runs] == [1, 2, 3]
        for run_id in ids:
            with followed(server, run_id) as stream:
                assert stream.whole().text("stdout") == "0\n1\n"
        server.delete(kernel)


def test_a_kernel_that_never_comes_up(server: Server, fake: Starter) -> None:
    """What waits for it is ended with the kernel's reason when it dies instead."""
    gate = server.gate()
    kernel = fake("die-at-start", gate=gate, code=6, wait=False)
    with sent(server, kernel, "nothing") as stream:
        stream.next()
        gate.open()
        told = stream.whole()
    assert told.status == "aborted"
    assert server.until_dead(kernel)["reason"].split(".")[0] in told.text("stderr")


def test_unknown_kernels_and_runs(server: Server) -> None:
    """They are 404, in JSON, on every call."""
    refusal(post(server, NOBODY, "nothing"), 404)
    refusal(server.http.get(runs_of(NOBODY)), 404)
    refusal(interrupt(server, "nobodys"), 404)
    for below in ("", "/events", "/inspect"):
        refusal(server.http.get(place("nobodys", below)), 404)


# -- who may


def test_nobody_without_a_token(server: Server, resting: str) -> None:
    """Without a token every call is 403 in JSON, and nothing is run."""
    before = listed(server, resting)
    base = str(server.http.base_url)
    calls = [("POST", runs_of(resting)), ("POST", place("a", "/interrupt")), ("GET", RUNS)]
    calls += [("GET", place("a", below)) for below in ("", "/events", "/inspect")]
    calls += [("GET", runs_of(resting)), ("GET", "api/kernels/workers/active")]
    for method, path in calls:
        answer = httpx.request(method, base + path, content=b'{"code": "nothing"}')
        assert "message" in answer.json()
        assert answer.status_code == 403, path
    assert listed(server, resting) == before


def test_running_needs_execute(server: Server, resting: str, fake: Starter) -> None:
    """Who may not execute runs nothing and interrupts nothing; others are not hindered by it."""
    gate, kernel = server.gate(), fake()
    run_id = submit(server, kernel, gate.command)["run_id"]
    started(server, run_id)
    denied = {HEADER: "execute:kernels"}
    for path in (runs_of(resting), place(run_id, "/interrupt")):
        answer = server.http.post(path, json={"code": "nothing"}, headers=denied)
        refusal(answer, 403)
    assert look(server, run_id)["status"] == "running"
    for path in (RUNS, place(run_id), runs_of(kernel), "api/kernels/workers/active"):
        assert server.http.get(path, headers=denied).status_code == 200
    answer = server.http.post(
        runs_of(resting), json={"code": "nothing"}, headers={HEADER: "write:kernels"}
    )
    assert answer.status_code == 202
    gate.open()
    assert ended(server, run_id)["status"] == "ok"


def test_looking_needs_read(server: Server, resting: str) -> None:
    """Who may not read sees no run."""
    run_id = execute(server, resting, "nothing").run["run_id"]
    paths = [RUNS, runs_of(resting), "api/kernels/workers/active"]
    for path in [*paths, *(place(run_id, below) for below in ("", "/events", "/inspect"))]:
        refusal(server.http.get(path, headers={HEADER: "read:kernels"}), 403)


def test_kernels_that_may_not_execute() -> None:
    """Where `allowed_message_types` has no `execute_request` nobody runs anything."""
    config = {"MappingKernelManager": {"allowed_message_types": ["kernel_info_request"]}}
    with Server(config=config) as server:
        kernel = server.connected(server.fake())
        assert "execute_request" in refusal(post(server, kernel, "nothing"), 403)
        assert server.get(runs_of(kernel)) == {"runs": [], "next": None}
