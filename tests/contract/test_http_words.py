"""Contract section 1: the words of a kernel's start, and the numbers that order them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest
from support.server import Server, eventually
from support.stories import changes, come_back, kill, moment, run, story

Starter = Callable[..., str]


@pytest.fixture(scope="module")
def impatient() -> Iterator[Server]:
    """A server that finds a start long after one second."""
    config = {
        "KernelStatusApp": {"start_timeout": 1.0},
        "KernelManager": {"shutdown_wait_time": 0.5},
    }
    with Server(config=config) as server:
        yield server


def until_late(server: Server, kernel: str) -> dict[str, Any]:
    """Wait until a start has a reason and give the status."""

    def look() -> dict[str, Any] | None:
        status = server.status(kernel)
        return status if status["reason"] else None

    return eventually(look, what="a reason")


def test_connecting_until_it_answers(server: Server, fake: Starter) -> None:
    """A process that has not answered is connecting, starting and stopped, whatever it binds."""
    gate = server.gate()
    kernel = fake("slow", gate=gate, wait=False)
    assert server.wait(kernel, status="connecting").status_code == 200
    status = server.status(kernel)
    assert (status["status"], status["execution_state"], status["state"]) == (
        "connecting",
        "starting",
        "stopped",
    )
    assert (status["reason"], status["cause"], status["connected_at"]) == ("", None, None)
    assert f"--gate={gate}" in psutil.Process(status["pid"]).cmdline()
    gate.open()
    assert server.settled(kernel)["connected_at"] is not None


def test_connected_without_any_websocket(server: Server, start: Starter) -> None:
    """An ipykernel that nobody talks to is connected soon: the server asks it by itself."""
    kernel = start("python3", wait=False)
    status = server.settled(kernel)
    assert (status["state"], status["reason"], status["cause"], status["generation"]) == (
        "idle",
        "",
        None,
        0,
    )
    assert server.model(kernel)["connections"] == 0


def test_story_of_a_start(server: Server, fake: Starter) -> None:
    """The history of an undisturbed start tells connecting, then connected, once each."""
    kernel = fake("good")
    told = story(changes(server, kernel), "status")
    assert told in (["starting", "connecting", "connected"], ["connecting", "connected"])
    assert story(changes(server, kernel), "state") == ["stopped", "idle"]


@pytest.mark.parametrize("mode", ["no-starting", "garbage", "deaf"])
def test_connected_in_spite_of_manners(fake: Starter, server: Server, mode: str) -> None:
    """A kernel that sends no `starting`, sends garbage or is deaf is connected like any other."""
    kernel = fake(mode)
    assert server.status(kernel)["status"] == "connected"
    assert story(changes(server, kernel), "execution_state") == ["starting", "idle"]


def test_mute_iopub_is_connected_after_five_seconds(server: Server, fake: Starter) -> None:
    """A kernel that replies but publishes nothing is connected after 5 s; the log says so once."""
    kernel = fake("no-iopub")
    status = server.status(kernel)
    assert moment(status["connected_at"]) - moment(status["started_at"]) >= 4.5
    told = [
        line for line in server.log().splitlines() if kernel in line and "iopub" in line.lower()
    ]
    assert len(told) == 1


@pytest.mark.parametrize("mode", ["mute", "never-binds"])
def test_silent_kernel_stays_connecting_with_a_reason(impatient: Server, mode: str) -> None:
    """A silent kernel has no reason before `start_timeout`, one with cause StartTimeout after."""
    kernel = impatient.start_kernel(impatient.fake(mode=mode))
    impatient.wait(kernel, status="connecting")
    first = next(each for each in changes(impatient, kernel) if each["status"] == "connecting")
    assert (first["reason"], first["cause"]) == ("", None)
    later = until_late(impatient, kernel)
    assert (later["status"], later["execution_state"], later["cause"]) == (
        "connecting",
        "starting",
        "StartTimeout",
    )
    assert later["reason"]
    assert moment(later["since"]) - moment(later["started_at"]) >= 0.9
    assert impatient.model(kernel)["reason"] == later["reason"]
    impatient.delete(kernel)


def test_late_start_clears_its_reason(impatient: Server) -> None:
    """The reason of a start that takes too long is gone once the kernel is connected."""
    gate = impatient.gate()
    kernel = impatient.start_kernel(impatient.fake(mode="slow", gate=gate))
    until_late(impatient, kernel)
    gate.open()
    settled = impatient.settled(kernel)
    assert (settled["reason"], settled["cause"]) == ("", None)
    assert impatient.model(kernel)["reason"] == ""
    impatient.delete(kernel)


def test_slow_restart_gets_a_reason(impatient: Server) -> None:
    """A restart longer than `start_timeout` is still restarting and says why one waits."""
    gate = impatient.gate()
    kernel = impatient.connected(impatient.fake(mode="good,slow", gate=gate))
    model = impatient.restart(kernel)
    assert (model["status"], model["execution_state"]) == ("restarting", "starting")
    impatient.wait(kernel, status="restarting")
    late = until_late(impatient, kernel)
    assert (late["status"], late["cause"]) == ("restarting", "StartTimeout")
    gate.open()
    assert impatient.settled(kernel)["reason"] == ""
    impatient.delete(kernel)


def test_generation_is_one_process(server: Server, fake: Starter) -> None:
    """Every new process is the next generation; only the automatic one counts as restart."""
    kernel = fake("good")
    before = server.status(kernel)
    server.restart(kernel)
    asked = come_back(server, kernel, before["revision"])
    kill(server, kernel)
    came = come_back(server, kernel, asked["revision"])
    server.restart(kernel)
    again = come_back(server, kernel, came["revision"])
    told = [
        (status["generation"], status["restart_count"]) for status in (before, asked, came, again)
    ]
    assert told == [(0, 0), (1, 0), (2, 1), (3, 1)]
    assert len({status["pid"] for status in (before, asked, came, again)}) == 4


def test_revision_counts_the_changes_of_all_kernels(server: Server, fake: Starter) -> None:
    """Each change of any kernel takes the next revision: together no gap and no double."""
    one, two = fake("good"), fake("good")
    first = max(server.status(one)["revision"], server.status(two)["revision"])
    for kernel in (one, two, one):
        before = server.status(kernel)["revision"]
        run(server, kernel, "nothing")
        assert server.wait(kernel, execution_state="idle", since=before).status_code == 200
    taken = sorted(
        change["revision"] for kernel in (one, two) for change in changes(server, kernel, first)
    )
    assert taken == list(range(first + 1, first + 7))


def test_since_is_the_time_of_the_last_change(server: Server, fake: Starter) -> None:
    """`revision` and `since` of a kernel are of its own last change, not of another kernel's."""
    one, two = fake("good"), fake("good")
    before = server.status(one)
    revision = server.status(two)["revision"]
    run(server, two, "nothing")
    server.wait(two, execution_state="idle", since=revision)
    after = server.status(one)
    assert (after["revision"], after["since"]) == (before["revision"], before["since"])
    last = server.history(one)["changes"][-1]
    assert (last["revision"], last["at"]) == (after["revision"], after["since"])


def test_running_and_idle_for_people(server: Server, fake: Starter) -> None:
    """`state` is stopped while it starts, idle when it rests, running while it works."""
    gate = server.gate()
    kernel = fake("good")
    before = server.status(kernel)
    with server.client(kernel) as client:
        client.execute(gate.command)
        working = server.wait(kernel, state="running", since=before["revision"]).json()
        gate.open()
        resting = server.wait(kernel, state="idle", since=working["revision"]).json()
    assert [(each["state"], each["execution_state"]) for each in (before, working, resting)] == [
        ("idle", "idle"),
        ("running", "busy"),
        ("idle", "idle"),
    ]


def test_reason_never_empty_while_autorestarting(server: Server, fake: Starter) -> None:
    """While a kernel is brought back its reason tells how it died; connected clears it."""
    gate = server.gate()
    kernel = fake("good,slow", gate=gate)
    before = server.status(kernel)
    kill(server, kernel)
    away = server.wait(kernel, status="autorestarting", since=before["revision"]).json()
    assert (away["status"], away["execution_state"], away["state"]) == (
        "autorestarting",
        "starting",
        "stopped",
    )
    assert (away["cause"], bool(away["reason"])) == ("Killed", True)
    model = server.model(kernel)
    assert (model["status"], model["execution_state"], model["reason"]) == (
        "autorestarting",
        "starting",
        away["reason"],
    )
    gate.open()
    back = come_back(server, kernel, away["revision"])
    assert (back["reason"], back["cause"], back["restart_count"]) == ("", None, 1)


def test_cause_stands_beside_every_reason(server: Server, fake: Starter) -> None:
    """In the whole life of a kernel there is a cause exactly where there is a reason."""
    kernel = fake("good,good,die-at-start", code=3)
    for _ in range(2):
        before = server.status(kernel)["revision"]
        kill(server, kernel)
        server.wait(kernel, status="connected,dead", since=before)
    told = changes(server, kernel)
    assert {bool(change["reason"]) for change in told} == {True, False}
    assert all(bool(change["reason"]) == (change["cause"] is not None) for change in told)


def test_autorestart_waits_for_no_poll() -> None:
    """The new process is asked for at once: it comes where the restarter never polls."""
    with Server(config={"KernelRestarter": {"time_to_dead": 10_000.0}}) as server:
        kernel = server.connected(server.fake())
        before = server.status(kernel)["revision"]
        kill(server, kernel)
        assert come_back(server, kernel, before)["generation"] == 1
