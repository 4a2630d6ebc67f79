"""Contract section 3, `watch`: readers that are slow, many, gone, or left by their server."""

from __future__ import annotations

import itertools
import resource
import signal
from collections.abc import Iterator

import httpx
import pytest
from support.server import Call, Server, eventually
from support.sse import Stream
from support.stories import come_back, kill, story
from support.watching import (
    BEGAN,
    ENDED,
    FEEDING,
    HEARD,
    SILENT,
    WATCH,
    Mirror,
    SlowReader,
    born,
    catch_up,
    present,
    remove,
    tell,
)

BOUND = 64 * 1024
"""Bytes that a reader may cost who does not read."""

KERNELS = [f"crowd-{number:03}" for number in range(300)]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that is fed."""
    with Server(config={"ServerApp": FEEDING}) as server:
        yield server


@pytest.fixture(scope="module")
def crowd() -> Iterator[Server]:
    """A server of three hundred kernels, fed: a snapshot is many times what a reader may cost."""
    with Server(config={"ServerApp": FEEDING}) as server:
        born(server, *KERNELS)
        yield server


@pytest.fixture(scope="module", autouse=True)
def many_files() -> None:
    """Room for a thousand connections in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 4096), hard), hard))


def complaints(server: Server, after: int) -> list[str]:
    """What the log has to complain of since then."""
    lines = server.log()[after:].splitlines()
    return [line for line in lines if line.startswith("[E") or "Traceback" in line]


def back_to(server: Server, fds: int) -> None:
    """Wait until the server has no more descriptors than it had."""
    eventually(lambda: server.fds() <= fds + 3, what=f"back to {fds} descriptors")


# -- slow


def test_a_reader_that_does_not_read_costs_little(server: Server) -> None:
    """Thousands of changes cost 64 KiB at most; then comes a true snapshot, then changes again."""
    (kernel,) = born(server, "slowly-read")
    reader, mirror = SlowReader(server), Mirror()
    server.taken_up()
    held = []
    for _ in range(50):
        tell(server, [kernel], SILENT, HEARD, times=50)
        held.append(reader.waiting())
    assert 0 < max(held) <= BOUND
    events = reader.events()
    catch_up(events, mirror, server)
    assert mirror.snapshots() >= 2  # it caught up and fell behind again as the system made room
    assert reader.taken <= BOUND + reader.room
    count = len(mirror.told)
    tell(server, [kernel], SILENT)
    catch_up(events, mirror, server)
    assert [event.name for event in mirror.told[count:]] == ["change"]
    reader.close()


def test_a_reader_falls_behind_again_and_again(server: Server) -> None:
    """Each time it has a fresh snapshot in the end, and what it knows is true."""
    (kernel,) = born(server, "read-in-steps")
    reader, mirror = SlowReader(server, f"api/kernels/{kernel}/watch"), Mirror()
    server.taken_up()
    events = reader.events()
    for _ in range(3):
        before = mirror.snapshots()
        for _ in range(10):
            tell(server, [kernel], SILENT, HEARD, times=50)
        eventually(lambda: reader.waiting() <= BOUND)
        while mirror.kernels.get(kernel) != server.status(kernel):
            mirror.take(next(events))
        assert mirror.snapshots() > max(before, 1)
    remove(server, kernel)
    assert [event.name for event in events] == ["removed"]
    reader.close()


def test_what_happens_while_nobody_reads_ends_in_the_truth(server: Server) -> None:
    """Kernels that came and went unread are known once it is read."""
    gone, stays = born(server, "goes-unread", "stays-unread")
    everything, mirror = SlowReader(server), Mirror()
    server.taken_up()
    for _ in range(10):
        tell(server, [gone, stays], SILENT, HEARD, times=25)
    born(server, "came-unread")
    remove(server, gone)
    catch_up(everything.events(), mirror, server)
    assert {"came-unread", "stays-unread"} <= set(mirror.kernels)
    assert gone not in mirror.kernels
    everything.close()


def test_a_removal_that_is_not_read_is_known_at_the_end(server: Server) -> None:
    """The stream of a kernel that was removed while nobody read never ends with a living kernel."""
    (kernel,), log = born(server, "removed-unread"), len(server.log())
    reader, mirror = SlowReader(server, f"api/kernels/{kernel}/watch"), Mirror()
    server.taken_up()
    for _ in range(10):
        tell(server, [kernel], SILENT, HEARD, times=25)
    remove(server, kernel)
    for event in reader.events():
        mirror.take(event)
    reader.close()
    server.taken_up()
    assert complaints(server, log) == []
    assert mirror.kernels == {}


def test_a_removal_right_after_many_changes(server: Server) -> None:
    """Nor does that of somebody who reads as fast as it can."""
    (kernel,), mirror = born(server, "removed-at-once"), Mirror()
    with Stream(server, f"api/kernels/{kernel}/watch") as stream:
        tell(server, [kernel], SILENT, HEARD, times=500, remove=True)
        for event in stream.ended():
            mirror.take(event)
        assert stream.broken is None
    assert mirror.kernels == {}


def test_a_stream_that_ends_during_a_look(server: Server) -> None:
    """Figures that come when the stream has ended are sent to nobody, without an error."""
    log, kernels = len(server.log()), [server.connected(server.fake()) for _ in range(3)]
    for kernel in kernels:
        looks = [Call(server, "GET", "api/kernels/inspect", detail="full") for _ in range(20)]
        with Stream(server, f"api/kernels/{kernel}/watch", figures=2) as stream:
            remove(server, kernel)
            stream.ended()
        assert {look.answer().status_code for look in looks} == {200}
    assert complaints(server, log) == []


def test_many_deaths_with_long_last_words(server: Server) -> None:
    """Kernels that die at once, 16 KiB of stderr each: every status is told to who keeps up."""
    name = server.fake(stderr="\n".join(f"word {number} of a story" for number in range(1500)))
    kernels, mirror = [server.connected(name) for _ in range(12)], Mirror()
    before = {kernel: server.status(kernel)["revision"] for kernel in kernels}
    with Stream(server, WATCH) as stream:
        mirror.take(stream.next())
        for kernel in kernels:
            kill(server, kernel)
        back = {kernel: come_back(server, kernel, before[kernel]) for kernel in kernels}
        mirror.follow(stream, lambda: back.items() <= mirror.kernels.items())
    for kernel in kernels:
        told = story(mirror.changes_of(kernel), "status")
        # Much at once for a slow machine: one that fell behind has a snapshot in its place.
        assert told == ["autorestarting", "connected"] or mirror.snapshots() > 1
        server.delete(kernel)


def test_one_slow_reader_holds_up_nobody(server: Server) -> None:
    """Beside it another one is told every status."""
    (kernel,) = born(server, "read-by-two")
    reader, mirror = SlowReader(server), Mirror()
    with Stream(server, WATCH) as stream:
        mirror.take(stream.next())
        for _ in range(50):
            tell(server, [kernel], SILENT, HEARD, times=5)
            truth = server.status(kernel)
            mirror.follow(stream, lambda truth=truth: mirror.kernels[kernel] == truth)
    assert story(mirror.changes_of(kernel), "status") == ["unresponsive", "connected"] * 250
    assert mirror.snapshots() == 1
    reader.close()


def test_a_snapshot_of_many_kernels_is_bounded(crowd: Server) -> None:
    """Who stops in the middle of a long snapshot costs no more, and knows the truth in the end."""
    reader, mirror = SlowReader(crowd), Mirror()
    eventually(reader.waiting, what="the snapshot has begun")
    for number in range(10):
        tell(crowd, KERNELS[number::10], BEGAN, SILENT, HEARD, ENDED)
        assert reader.waiting() <= BOUND
    tell(crowd, KERNELS[::7], SILENT)
    remove(crowd, KERNELS[0], KERNELS[150], KERNELS[299])
    born(crowd, "newcomer", KERNELS[150])
    events = reader.events()
    catch_up(events, mirror, crowd)
    assert len(mirror.kernels) == 299
    tell(crowd, KERNELS[1:3], BEGAN)
    catch_up(events, mirror, crowd)
    reader.close()
    remove(crowd, "newcomer")
    tell(crowd, KERNELS[1:3], ENDED)
    born(crowd, KERNELS[0], KERNELS[299])


def test_changes_while_a_long_snapshot_is_read(crowd: Server) -> None:
    """What happens between its pieces, to kernels of its beginning and of its end, gets known."""
    reader, mirror = SlowReader(crowd), Mirror()
    events, turns = reader.events(), itertools.count()
    reader.meanwhile = lambda: tell(crowd, KERNELS[next(turns) % 20 :: 20], SILENT, HEARD, BEGAN)
    mirror.take(next(events))
    assert next(turns) > 20
    reader.meanwhile = lambda: tell(crowd, KERNELS, ENDED)
    mirror.take(next(events))
    reader.meanwhile = lambda: None
    catch_up(events, mirror, crowd)
    assert set(mirror.kernels) == set(KERNELS)
    reader.close()


def test_readers_that_stopped_take_little_memory(crowd: Server) -> None:
    """Two hundred who stopped in a long snapshot, and the changes since, cost little each."""
    present(crowd)
    count, fds = 200, crowd.fds()
    for _ in range(2):
        before = crowd.ps.memory_info().rss
        readers = [SlowReader(crowd) for _ in range(count)]
        some = readers[::20]
        eventually(lambda some=some: all(reader.waiting() for reader in some))
        for _ in range(5):
            tell(crowd, KERNELS, SILENT, HEARD)
        grown = crowd.ps.memory_info().rss - before
        assert max(reader.waiting() for reader in readers[::10]) <= BOUND
        assert grown / count <= 200 * 1024, f"{grown / count / 1024:.0f} KiB each"
        for reader in readers:
            reader.vanish()
        back_to(crowd, fds)


# -- many


def test_hundreds_hang_up_at_once(crowd: Server) -> None:
    """The server has the descriptors it had, says nothing of it, and works on."""
    crowd.taken_up()
    fds, log = crowd.fds(), len(crowd.log())
    calls = [Call(crowd, "GET", WATCH, figures=2) for _ in range(400)]
    crowd.taken_up()
    assert crowd.fds() >= fds + 400
    tell(crowd, KERNELS, SILENT)
    for call in calls:
        call.hang_up()
    tell(crowd, KERNELS, HEARD)
    back_to(crowd, fds)
    assert {kernel["status"] for kernel in present(crowd).values()} == {"connected"}
    assert complaints(crowd, log) == []


def test_readers_that_vanish_in_a_snapshot(crowd: Server) -> None:
    """Reset connections in the middle of it are no error, and others read on."""
    crowd.taken_up()
    fds, log = crowd.fds(), len(crowd.log())
    with Stream(crowd, WATCH) as stream:
        stream.next()
        readers = [SlowReader(crowd) for _ in range(20)]
        eventually(lambda: all(reader.waiting() for reader in readers))
        for reader in readers:
            reader.vanish()
        tell(crowd, KERNELS[:1], SILENT)
        assert stream.next().data["status"] == "unresponsive"
        tell(crowd, KERNELS[:1], HEARD)
    back_to(crowd, fds)
    assert complaints(crowd, log) == []


# -- the server's end


def test_sigterm_ends_all_streams() -> None:
    """They are told of the kernels' end, then end regularly; a stopped reader delays nothing."""
    with Server(config={"ServerApp": FEEDING}) as server:
        kernel = server.connected(server.fake())
        born(server, "artificial")
        with (
            Stream(server, WATCH, figures=2) as everything,
            Stream(server, f"api/kernels/{kernel}/watch") as one,
            Stream(server, "api/kernels/artificial/watch") as quiet,
        ):
            stopped = [SlowReader(server) for _ in range(3)]
            server.taken_up()
            tell(server, ["artificial"], *[SILENT, HEARD] * 10)
            ended = server.stop()
            told = [stream.ended() for stream in (everything, one, quiet)]
            assert [stream.broken for stream in (everything, one, quiet)] == [None] * 3
        assert ended.clean
        last = [e.data for e in told[1] if e.name == "change"][-1]
        assert (last["status"], last["cause"]) == ("dead", "ServerStopped")
        assert last in [event.data for event in told[0]]
        assert complaints(server, 0) == []
        for reader in stopped:
            reader.close()


def test_kill_of_the_server_breaks_the_streams() -> None:
    """Without the regular end of a body a client sees that it was left."""
    with Server() as server, Stream(server, WATCH) as stream:
        stream.next()
        server.stop(how=signal.SIGKILL)
        stream.ended()
        assert isinstance(stream.broken, httpx.TransportError)
