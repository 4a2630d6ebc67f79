"""Contract section 3: `GET /api/kernels/watch` and `/api/kernels/ID/watch`, what they tell."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.server import Server, eventually, held_for
from support.sse import Event, Stream, StreamEnded
from support.stories import STATUS_KEYS, changes, come_back, execute, heard, kill, story
from support.watching import (
    BEGAN,
    BLOCKED,
    ENDED,
    FEEDING,
    HEARD,
    SILENT,
    UNBLOCKED,
    WATCH,
    Mirror,
    born,
    by_id,
    present,
    remove,
    tell,
)

Starter = Callable[..., str]

ROW = ("revision", "generation", "status", "execution_state", "state", "reason", "cause")
"""What a change and a row of the history both tell."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that is fed with news."""
    config = {
        "ServerApp": FEEDING,
        "KernelManager": {"shutdown_wait_time": 1.0},
    }
    with Server(config=config) as server:
        yield server


@pytest.fixture(scope="module")
def patient(server: Server) -> Iterator[Stream]:
    """Somebody who watches a kernel to which nothing happens, for as long as the module's tests."""
    (kernel,) = born(server, "never-changes")
    with Stream(server, f"api/kernels/{kernel}/watch") as stream:
        yield stream


@pytest.fixture
def artificial(server: Server) -> Iterator[str]:
    """A connected kernel that has no process and is fed."""
    (kernel,) = born(server, f"fed-{uuid.uuid4().hex[:8]}")
    yield kernel
    if kernel in present(server):
        remove(server, kernel)


def rows(changes: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """What a change and a row of the history both tell, of each."""
    return [tuple(change[word] for word in ROW) for change in changes]


def lasting(changes: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """What is never merged: each status and reason once for as long as it lasted."""
    told = [(each["status"], each["reason"], each["cause"]) for each in changes]
    return [words for words, _ in itertools.groupby(told)]


def about(event: Event) -> str | None:
    """The kernel that a change or a removal is about."""
    return event.data["id"] if event.name in ("change", "removed") else None


def told_of(server: Server, kernel: str, happens: Callable[[], object]) -> list[dict[str, Any]]:
    """The changes of a kernel that a reader is told from something on to what is true by then."""
    mirror = Mirror()
    with Stream(server, WATCH) as stream:
        mirror.take(stream.next())
        happens()
        truth = server.status(kernel)
        if mirror.kernels[kernel] != truth:
            mirror.follow(stream, lambda: mirror.kernels[kernel] == truth)
    return mirror.changes_of(kernel)


# -- the snapshot


@pytest.mark.usefixtures("patient")
def test_a_snapshot_comes_first(server: Server, fake: Starter, artificial: str) -> None:
    """It has every kernel, also a dead one, as `/status` tells it, and the latest revision."""
    good, dead = fake("good"), fake("die-at-start", wait=False)
    newest = server.until_dead(dead)["revision"]
    with Stream(server, WATCH) as stream:
        first = stream.next()
    assert (first.name, set(first.data)) == ("snapshot", {"revision", "kernels"})
    kernels = by_id(first.data["kernels"])
    assert {good, dead, artificial} < set(kernels)
    assert kernels == {kernel: server.status(kernel) for kernel in kernels}
    assert all(set(kernel) == STATUS_KEYS for kernel in kernels.values())
    assert first.data["revision"] == newest


def test_a_snapshot_of_one_kernel(server: Server, fake: Starter, artificial: str) -> None:
    """The stream of one kernel begins with this kernel alone."""
    kernel = fake("good")
    with Stream(server, f"api/kernels/{kernel}/watch") as stream:
        first = stream.next()
    assert (first.name, first.data["kernels"]) == ("snapshot", [server.status(kernel)])
    assert artificial not in str(first.data)


def test_a_snapshot_comes_after_each_reconnect(server: Server, artificial: str) -> None:
    """Whoever comes again begins anew, whatever it says it has read."""
    for _ in range(2):
        with Stream(server, WATCH, headers={"Last-Event-ID": "1"}) as stream:
            assert stream.next().name == "snapshot"
            tell(server, [artificial], SILENT, HEARD)
            assert stream.next().data["status"] == "unresponsive"


# -- changes


def test_the_whole_life_of_a_kernel(server: Server) -> None:
    """Start, kill -9, automatic restart and removal: every status once, in order, as in history."""
    name, mirror = server.fake(), Mirror()
    with Stream(server, WATCH) as stream:
        mirror.take(stream.next())
        kernel = server.connected(name)
        kill(server, kernel)
        back = come_back(server, kernel, server.status(kernel)["revision"])
        history = server.history(kernel)["changes"]
        server.delete(kernel)
        mirror.follow(stream, lambda: mirror.told[-1].name == "removed")
    told = mirror.changes_of(kernel)
    assert set(rows(told[: len(told) - 2])) <= set(rows(history))
    assert lasting([each for each in told if each["revision"] <= back["revision"]]) == lasting(
        history
    )
    lived = ["starting", "connecting", "connected", "autorestarting", "connected"]
    assert story(told, "status") == [*lived, "terminating", "dead"]
    assert told[-1]["cause"] == "Shutdown"
    assert all(set(each) == STATUS_KEYS for each in told)


def test_no_status_is_merged(server: Server, artificial: str) -> None:
    """Statuses that last no time at all, many in one turn of the loop, are all told in order."""
    before = server.status(artificial)
    news = [BEGAN, SILENT, HEARD, ENDED]

    def happens() -> None:
        for _ in range(20):
            tell(server, [artificial], *news, times=4)

    told = told_of(server, artificial, happens)
    history = changes(server, artificial, before["revision"])
    assert [each["status"] for each in told].count("unresponsive") == 80
    assert lasting([before, *told]) == lasting([before, *history])
    assert set(rows(told)) <= set(rows(history))


def test_no_reason_is_merged(server: Server, artificial: str) -> None:
    """Nor is a reason that comes and goes while the status stays."""
    news = [BLOCKED, UNBLOCKED]
    tell(server, [artificial], BEGAN)
    told = told_of(server, artificial, lambda: tell(server, [artificial], *news, times=5))
    assert [bool(each["reason"]) for each in told] == [True, False] * 5
    assert {each["status"] for each in told} == {"connected"}


def test_what_shells_do_is_merged_and_the_last_is_told(server: Server, artificial: str) -> None:
    """Of a thousand changes in a moment a few are told, the last of them always."""
    before = server.status(artificial)["revision"]
    told = told_of(server, artificial, lambda: tell(server, [artificial], BEGAN, ENDED, times=500))
    assert 1 <= len(told) <= 5
    assert (told[-1]["execution_state"], told[-1]["revision"]) == ("idle", before + 1000)


def test_what_ends_in_busy_is_told_busy(server: Server, artificial: str) -> None:
    """The last is told also where it is what was told before."""
    told = told_of(
        server, artificial, lambda: tell(server, [artificial], BEGAN, *[ENDED, BEGAN] * 9)
    )
    assert told[-1] == server.status(artificial)
    assert told[-1]["execution_state"] == "busy"


def test_a_status_overtakes_no_change_that_is_held_back(server: Server, artificial: str) -> None:
    """What shells did just before a status is told with it or before it, never after it."""
    news = [BEGAN, ENDED, BEGAN, SILENT]
    told = told_of(server, artificial, lambda: tell(server, [artificial], *news))
    assert (told[-1]["status"], told[-1]["execution_state"]) == ("unresponsive", "busy")


def test_what_a_snapshot_tells_is_not_told_again(server: Server, artificial: str) -> None:
    """A change that is held back when somebody comes is in the snapshot and nowhere else."""
    with Stream(server, WATCH):
        for _ in range(8):
            tell(server, [artificial], BEGAN, ENDED, BEGAN, ENDED)
            with Stream(server, WATCH) as stream:
                mirror = Mirror()
                mirror.follow(stream, lambda: True)
                assert held_for(lambda: server.status(artificial)["state"] == "idle", 0.1)
                tell(server, [artificial], SILENT, HEARD)
                mirror.follow(stream, lambda mirror=mirror: len(mirror.told) == 3)
            first = mirror.told[0].data["revision"]
            assert all(change["revision"] > first for change in mirror.changes_of(artificial))


def test_many_short_cells(server: Server, fake: Starter) -> None:
    """After many cells of a real process the last that is told is idle, and nothing is untrue."""
    kernel = fake("good")
    before = server.status(kernel)["revision"]

    def happens() -> None:
        with server.client(kernel) as client:
            cells = [execute(client, "nothing") for _ in range(100)]
            heard(client, "idle", *cells)
        idle = server.wait(kernel, execution_state="idle", since=before)
        assert idle.status_code == 200
        eventually(lambda: server.status(kernel)["revision"] >= before + 200, what="all cells")

    told = told_of(server, kernel, happens)
    assert told[-1]["execution_state"] == "idle"
    assert set(rows(told)) <= set(rows(changes(server, kernel, before)))


def test_text_of_a_kernel_breaks_no_line(server: Server) -> None:
    """Whatever ends a line for some reader stands in a reason and harms no event."""
    kernel, mirror = f"odd-{uuid.uuid4().hex[:8]}", Mirror()
    reason = 'One\ntwo\r\nthree\u2028four\u2029five\x85six\x0b "seven" \U0001f600\x00.'
    with Stream(server, WATCH) as stream:
        mirror.take(stream.next())
        server.post("feed", {"call": "add", "with": {"kernels": [kernel]}})
        tell(server, [kernel], ("launch_failed", {"reason": reason}))
        mirror.follow(stream, lambda: mirror.kernels.get(kernel, {}).get("status") == "dead")
    assert mirror.kernels[kernel] == server.status(kernel)
    assert "seven" in mirror.kernels[kernel]["reason"]
    remove(server, kernel)


# -- removals, and the stream of one kernel


def test_a_removal_is_told(server: Server, fake: Starter) -> None:
    """`removed` has the id and a revision of its own, and is the last about this kernel."""
    kernel, other = fake("good"), fake("good")
    with Stream(server, WATCH) as stream:
        server.delete(kernel)
        removed = stream.until(lambda event: event.name == "removed")
        server.delete(other)
        later = stream.until(lambda event: event.name == "removed" and about(event) == other)
    assert (set(removed.data), removed.data["id"]) == ({"id", "revision"}, kernel)
    assert later.data["revision"] > removed.data["revision"]


def test_one_kernel_alone(server: Server, fake: Starter, artificial: str) -> None:
    """Its stream tells nothing of others, and ends after its removal."""
    kernel = fake("good")
    with (
        Stream(server, f"api/kernels/{kernel}/watch") as stream,
        Stream(server, WATCH) as everything,
    ):
        tell(server, [artificial], SILENT, HEARD, BEGAN, ENDED)
        server.delete(kernel)
        events = stream.ended()
        everything.until(lambda event: event.name == "removed" and about(event) == kernel)
        assert stream.broken is None
        with pytest.raises(StreamEnded):
            stream.next()
    assert [event.name for event in events][0 :: len(events) - 1] == ["snapshot", "removed"]
    assert {about(event) for event in events[1:]} == {kernel}
    assert story([event.data for event in events[1:-1]], "status")[-1] == "dead"


def test_the_same_id_comes_again(server: Server, artificial: str) -> None:
    """A kernel that is removed with a change held back, and met again, is told as it is."""
    mirror = Mirror()
    with Stream(server, WATCH) as stream:
        mirror.take(stream.next())
        tell(server, [artificial], BEGAN, ENDED, BEGAN)
        remove(server, artificial)
        born(server, artificial)
        truth = server.status(artificial)
        mirror.follow(stream, lambda: mirror.kernels.get(artificial) == truth)
    assert [event.name for event in mirror.told if about(event) == artificial].count("removed") == 1


# -- figures


def test_figures_on_request(server: Server, fake: Starter, artificial: str) -> None:
    """At once, and again: of every kernel what `inspect` tells; then there is an interval."""
    kernel = fake("good")
    with Stream(server, WATCH, figures="2") as stream:
        names = [stream.next().name, (first := stream.next()).name]
        again = stream.until(lambda event: event.name == "figures")
    assert names == ["snapshot", "figures"]
    assert {kernel, artificial} < set(first.data)
    assert set(first.data) == set(again.data)
    inspected = server.get(f"api/kernels/{kernel}/inspect")
    for event in (first, again):
        assert set(event.data[kernel]) == set(inspected)
        assert event.data[kernel]["pid"] == inspected["pid"]
        assert event.data[artificial]["alive"] is not True
    assert again.data[kernel]["cpu_percent"] is not None


def test_figures_of_one_kernel(server: Server, fake: Starter, artificial: str) -> None:
    """The stream of one kernel has the figures of no other."""
    kernel = fake("good")
    with Stream(server, f"api/kernels/{kernel}/watch", figures="2.5") as stream:
        figures = stream.until(lambda event: event.name == "figures")
    assert set(figures.data) == {kernel}
    assert artificial not in str(figures.data)


def test_no_figures_unless_asked(server: Server, fake: Starter) -> None:
    """Without the parameter there are none."""
    kernel = fake("good")
    with Stream(server, f"api/kernels/{kernel}/watch") as stream:
        server.delete(kernel)
        assert {event.name for event in stream.ended()} == {"snapshot", "change", "removed"}


# -- keep-alive: the last of the module, so that little is left to be waited for


def test_a_comment_keeps_a_silent_stream_alive(patient: Stream) -> None:
    """A comment comes where nothing happens; slow, for the first comes after 15 s."""
    patient.comment()
    assert patient.next().name == "snapshot"
    with pytest.raises(AssertionError, match="nothing came"):
        patient.next(timeout=0)
