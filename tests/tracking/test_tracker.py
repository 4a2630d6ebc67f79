"""What the tracker remembers, and whom it wakes: with a clock that moves only when it is told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from support.dialogues import (
    BIRTH,
    CONNECTED,
    News,
    answered,
    began,
    died,
    ended,
    exited,
    heard,
    overdue,
    reported,
    restart,
    shutdown,
    silent,
    started,
)

from kernel_status_ext.core.errors import (
    KernelStateTimeout,
    KernelStateUnreachable,
    RevisionUnknown,
)
from kernel_status_ext.core.events import Answered, RequestBegan
from kernel_status_ext.core.model import Kernel, Surprise
from kernel_status_ext.core.targets import Target, read_target
from kernel_status_ext.core.words import ExecutionState, Status
from kernel_status_ext.tracking.tracker import (
    EVENTS_IN_A_SURPRISE,
    STORY_LENGTH,
    TERMINATIONS_LENGTH,
    Change,
    Tracker,
)

LOG = logging.getLogger("test_tracker")
ANY = read_target(change=True)
UP = read_target(status="connected")
IDLE = read_target(execution_state="idle")
BUSY = read_target(execution_state="busy")
DEAD = read_target(status="dead")


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        """Begin at the birth of all kernels here."""
        self.time = BIRTH

    def __call__(self) -> datetime:
        """Tell the time."""
        return self.time

    def tick(self) -> None:
        """Move by a second."""
        self.time += timedelta(seconds=1)


class World:
    """A tracker with a clock, told news of kernels that are called by short names."""

    def __init__(self) -> None:
        """Begin with no kernels, and note every change that listeners are told of."""
        self.clock = Clock()
        self.tracker = Tracker(LOG, self.clock)
        self.changes: list[Change] = []
        self.tracker.listen(self.changes.append)

    def born(self, *news: News, name: str = "k") -> Kernel:
        """A new kernel, and what happens to it."""
        self.tracker.add(name, "python3")
        return self.tell(*news, name=name)

    def tell(self, *news: News, name: str = "k") -> Kernel:
        """Tell what happens to a kernel, a second for each."""
        for each in news:
            self.clock.tick()
            self.tracker.feed(name, each.event(self.kernel(name), self.clock.time))
        return self.kernel(name)

    def kernel(self, name: str = "k") -> Kernel:
        """A kernel as it is now."""
        kernel = self.tracker.get(name)
        assert kernel is not None
        return kernel

    def waiters(self, name: str = "k") -> int:
        """How many wait for a kernel."""
        return len(self.tracker._entries[name].waiters)

    async def waiting(
        self, target: Target, timeout: float | None = None, since: int | None = None
    ) -> asyncio.Task[Kernel]:
        """Somebody who waits by now for the kernel."""
        task = asyncio.ensure_future(self.tracker.wait("k", target, timeout, since))
        await turn()
        return task

    async def look(self, target: Target, since: int | None = None) -> Kernel:
        """Somebody who looks once."""
        return await self.tracker.wait("k", target, 0, since)


async def turn() -> None:
    """Let the loop turn once, so that everybody who can do something does it."""
    await asyncio.sleep(0)


@pytest.fixture
def world() -> World:
    """A tracker without kernels."""
    return World()


def play(scene: Coroutine[Any, Any, None]) -> None:
    """Play a scene in a loop of its own, which has no patience for tasks that were forgotten."""
    asyncio.run(asyncio.wait_for(scene, 20))


# -- revisions -----------------------------------------------------------------------------------


def test_every_told_change_is_one_revision(world: World) -> None:
    """A change of status, execution_state, state, reason or cause is numbered, by one each."""
    kernel = world.born()
    revisions = [kernel.revision]
    for news in (
        *(started(), overdue(60), overdue(70), answered(), began(), ended()),
        *(silent(15), heard(), died(9), restart(), started(), answered(), exited(1)),
    ):
        before, kernel = kernel, world.tell(news)
        told = (kernel.status, kernel.execution_state, kernel.reason, kernel.cause)
        was = (before.status, before.execution_state, before.reason, before.cause)
        revisions.append(kernel.revision)
        assert kernel.revision - before.revision == (told != was), news
        assert kernel.revision == world.tracker.revision
    assert revisions == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 11, 12, 13]


def test_what_is_not_told_makes_no_revision(world: World) -> None:
    """A second running request, a new process while restarting: remembered, but no change."""
    kernel = world.born(*CONNECTED, began("a"))
    more = world.tell(began("b", "sub"))
    assert (more.revision, more.since) == (kernel.revision, kernel.since)
    assert len(more.requests) == 2
    quiet = world.tell(restart())
    later = world.tell(exited(0), started(4712))
    assert (later.revision, later.since) == (quiet.revision, quiet.since)
    assert later.process is not None
    assert later.process.pid == 4712


def test_what_changes_nothing_is_nothing(world: World) -> None:
    """Late news makes no revision, and no listener hears of it."""
    kernel = world.born(*CONNECTED, exited(1))
    count = len(world.changes)
    assert world.tell(answered(), began(), exited(2)) is kernel
    assert len(world.changes) == count


def test_revisions_are_of_all_kernels_together(world: World) -> None:
    """One number for the server; each kernel has that of its own last change."""
    world.born(name="a")
    world.born(name="b")
    world.tell(started(), name="a")
    world.tell(started(), name="b")
    assert (world.kernel("a").revision, world.kernel("b").revision) == (3, 4)
    world.tracker.remove("a")
    world.tell(answered(), name="b")
    assert world.kernel("b").revision == 6


def test_since_is_the_time_of_the_last_change(world: World) -> None:
    """The clock is the tracker's, also if an event took its time to come."""
    world.born(started())
    kernel = world.kernel()
    late_by = Answered(0, BIRTH - timedelta(hours=1))
    world.clock.tick()
    world.tracker.feed("k", late_by)
    assert world.kernel().since == kernel.since + timedelta(seconds=1)


# -- kernels come and go ---------------------------------------------------------------------------


def test_a_kernel_that_is_tracked_stays_as_it_is(world: World) -> None:
    """Adding it again neither changes nor renames it."""
    kernel = world.born(*CONNECTED)
    assert world.tracker.add("k", "other", Status.UNKNOWN) is kernel
    assert world.tracker.revision == kernel.revision


def test_a_kernel_can_be_met_running(world: World) -> None:
    """One that runs elsewhere is unknown until it is told of."""
    kernel = world.tracker.add("k", "python3", Status.UNKNOWN)
    assert (kernel.status, kernel.revision) == (Status.UNKNOWN, 1)
    assert world.tell(reported(ExecutionState.BUSY)).execution_state is ExecutionState.BUSY


def test_news_of_nobody_is_dropped(world: World) -> None:
    """Events of a kernel that is gone change nothing."""
    assert world.tracker.feed("gone", Answered(0, BIRTH)) is None
    world.tracker.remove("gone")
    assert world.tracker.get("gone") is None
    assert (world.tracker.revision, world.changes) == (0, [])


def test_the_tracked_kernels_can_be_gone_through(world: World) -> None:
    """In the order in which they came, also while one is removed."""
    for name in "abc":
        world.born(name=name)
    for kernel in world.tracker:
        if kernel.id == "b":
            world.tracker.remove("b")
    assert [kernel.id for kernel in world.tracker] == ["a", "c"]
    assert "b" not in world.tracker
    assert "a" in world.tracker


# -- the story -------------------------------------------------------------------------------------


def test_the_story_is_the_changes_oldest_first(world: World) -> None:
    """One kernel for each revision of it, and every termination."""
    world.born(*CONNECTED, died(3), started(), answered(), exited(4))
    changes, terminations = world.tracker.story("k")
    assert [str(each.status) for each in changes] == [
        *("starting", "connecting", "connected", "autorestarting", "connected", "dead"),
    ]
    assert [each.revision for each in changes] == [1, 2, 3, 4, 5, 6]
    assert [each.exit.code for each in terminations] == [3, 4]
    assert changes[-1] == world.kernel()


def test_the_story_is_bounded(world: World) -> None:
    """A kernel that lives for ever does not fill the memory; the latest is kept."""
    world.born(*CONNECTED, *[began(), ended()] * STORY_LENGTH)
    changes, _ = world.tracker.story("k")
    assert len(changes) == STORY_LENGTH
    assert changes[-1] == world.kernel()
    revisions = [each.revision for each in changes]
    newest = world.tracker.revision
    assert revisions == list(range(newest - STORY_LENGTH + 1, newest + 1))


def test_terminations_are_bounded(world: World) -> None:
    """So are the ends of a kernel that dies again and again."""
    world.born(*CONNECTED)
    for code in range(TERMINATIONS_LENGTH + 5):
        world.tell(died(code), started(), answered())
    _, terminations = world.tracker.story("k")
    assert [each.exit.code for each in terminations] == list(range(5, TERMINATIONS_LENGTH + 5))


def test_who_is_not_tracked_has_no_story(world: World) -> None:
    """Nor can anybody wait for it."""
    with pytest.raises(KeyError):
        world.tracker.story("k")
    with pytest.raises(KeyError):
        asyncio.run(world.look(UP))


# -- listeners -------------------------------------------------------------------------------------


def test_listeners_are_told_of_every_change(world: World) -> None:
    """Of a new kernel with nothing before, of a removed one with nothing after."""
    world.born(started())
    world.tracker.remove("k")
    told = [
        (change.before and str(change.before.status), change.after and str(change.after.status))
        for change in world.changes
    ]
    assert told == [(None, "starting"), ("starting", "connecting"), ("connecting", None)]


def test_a_termination_is_told_with_its_change(world: World) -> None:
    """Who listens need not look for it."""
    world.born(*CONNECTED, exited(1))
    (notice,) = world.changes[-1].notices
    assert notice.termination == world.kernel().last_termination  # type: ignore[union-attr]


def test_a_listener_that_raises_harms_nobody(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """The truth goes on, other listeners hear it, and the log has the traceback."""

    def fail(_change: Change) -> None:
        raise RuntimeError("not my day")

    heard_after: list[Change] = []
    world.tracker.listen(fail)
    world.tracker.listen(heard_after.append)

    async def scene() -> None:
        world.born()
        waiter = await world.waiting(UP)
        world.tell(*CONNECTED)
        assert (await waiter).status is Status.CONNECTED

    play(scene())
    assert heard_after == world.changes
    assert len(heard_after) == 3
    assert [record.levelname for record in caplog.records] == ["ERROR"] * 3
    assert "not my day" in caplog.text


def test_a_listener_can_stop_listening(world: World) -> None:
    """Even while it is being told, without its neighbours missing anything."""
    told: list[Change] = []

    def once(change: Change) -> None:
        told.append(change)
        stop()

    stop = world.tracker.listen(once)
    after_it: list[Change] = []
    world.tracker.listen(after_it.append)
    world.born(started())
    assert (len(told), len(after_it)) == (1, 2)


def test_a_surprise_is_logged_with_the_latest_events(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """It says what came, in which status, and what came before; nothing changes."""
    kernel = world.born(*CONNECTED, *[began(), ended()] * EVENTS_IN_A_SURPRISE)
    strange = RequestBegan(7, BIRTH, began().facts["request"])
    world.tracker.feed("k", strange)
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    told = record.getMessage()
    assert "RequestBegan(generation=7" in told
    assert "while connected" in told
    assert told.count("generation=") == EVENTS_IN_A_SURPRISE + 1
    assert world.kernel() is kernel
    assert world.changes[-1].notices == (Surprise(strange, Status.CONNECTED),)


# -- waiting ---------------------------------------------------------------------------------------


def test_what_holds_is_answered_at_once(world: World) -> None:
    """A wait for what is does not wait, not even with no time at all."""
    kernel = world.born(*CONNECTED)
    assert asyncio.run(world.look(UP)) is kernel


def test_a_wait_ends_when_the_state_comes(world: World) -> None:
    """It ends with the change that made it true, and leaves nothing behind."""

    async def scene() -> None:
        world.born()
        waiter = await world.waiting(UP)
        world.tell(started())
        await turn()
        assert not waiter.done()
        connected = world.tell(answered())
        assert await waiter is connected
        assert world.waiters() == 0

    play(scene())


def test_a_state_that_is_over_when_the_waiter_wakes_was_reached(world: World) -> None:
    """Who waits gets the kernel as it was then, whatever happened since."""

    async def scene() -> None:
        world.born(*CONNECTED)
        waiter = await world.waiting(BUSY)
        busy = world.tell(began())
        world.tell(ended(), exited(1))
        assert await waiter is busy

    play(scene())


def test_a_wait_of_no_time_looks_once(world: World) -> None:
    """0 answers at once that it is not so, with the kernel, and never joins the waiters."""
    world.born(started())
    with pytest.raises(KernelStateTimeout) as told:
        asyncio.run(world.look(UP))
    assert told.value.kernel is world.kernel()
    assert told.value.reason == ""
    assert isinstance(told.value, TimeoutError)
    assert world.waiters() == 0


def test_a_wait_can_be_over_before_the_state_comes(world: World) -> None:
    """The error says how the kernel is by then, for how long it was waited and for what."""

    async def scene() -> None:
        world.born(started(), overdue(60))
        with pytest.raises(KernelStateTimeout) as told:
            await world.tracker.wait("k", UP, 0.01)
        assert told.value.kernel is world.kernel()
        assert told.value.reason == world.kernel().reason
        message = str(told.value)
        assert "k is connecting (starting) after 0.01 s, expected status=connected" in message
        assert "has not answered for 60 s" in message
        assert world.waiters() == 0

    play(scene())


@pytest.mark.parametrize("timeout", [-1.0, float("nan"), float("-inf")])
def test_a_time_that_is_none_is_refused(world: World, timeout: float) -> None:
    """Less than nothing and no number are mistakes, also if the state holds."""
    world.born(*CONNECTED)
    with pytest.raises(ValueError, match="allowed are 0 or more"):
        asyncio.run(world.tracker.wait("k", UP, timeout))


def test_a_dead_kernel_is_answered_at_once(world: World) -> None:
    """No time is wasted on a state that will not come; being dead can be waited for."""

    async def scene() -> None:
        dead = world.born(*CONNECTED, exited(3))
        with pytest.raises(KernelStateUnreachable) as told:
            await world.tracker.wait("k", UP, None)
        assert told.value.kernel is dead
        assert told.value.reason == dead.reason != ""
        assert await world.look(DEAD) is dead

    play(scene())


def test_a_death_ends_every_wait(world: World) -> None:
    """Those who waited for it get it, all others the reason."""

    async def scene() -> None:
        world.born(started())
        hopeful, prepared = await world.waiting(UP), await world.waiting(DEAD)
        dead = world.tell(exited(3))
        with pytest.raises(KernelStateUnreachable) as told:
            await hopeful
        assert (told.value.kernel, told.value.reason) == (dead, dead.reason)
        assert await prepared is dead
        assert world.waiters() == 0

    play(scene())


def test_an_autorestart_ends_no_wait(world: World) -> None:
    """The kernel comes back, and so does the state that is waited for."""

    async def scene() -> None:
        world.born(*CONNECTED, began())
        waiter = await world.waiting(IDLE)
        world.tell(died(9), started())
        await turn()
        assert not waiter.done()
        connected = world.tell(answered())
        assert await waiter is connected

    play(scene())


def test_a_removal_ends_every_wait(world: World) -> None:
    """With the last status, and who removed it; even of those who waited for dead."""

    async def scene() -> None:
        last = world.born(*CONNECTED, shutdown())
        waiters = [await world.waiting(target) for target in (UP, DEAD)]
        world.tracker.remove("k", "The kernel was deleted by ada.")
        for waiter in waiters:
            with pytest.raises(KernelStateUnreachable) as told:
                await waiter
            assert told.value.kernel is last
            assert told.value.reason == "The kernel was deleted by ada."

    play(scene())


def test_a_removal_has_a_reason_even_if_nobody_gave_one(world: World) -> None:
    """The reason of a 409 is never empty."""

    async def scene() -> None:
        world.born(started())
        waiter = await world.waiting(UP)
        world.tracker.remove("k")
        with pytest.raises(KernelStateUnreachable) as told:
            await waiter
        assert told.value.reason

    play(scene())


def test_a_thousand_wait_for_one_change(world: World) -> None:
    """All are woken by the same change, and none stays behind."""

    async def scene() -> None:
        world.born(started())
        waiters = [await world.waiting(UP) for _ in range(1000)]
        assert world.waiters() == 1000
        connected = world.tell(answered())
        assert all(got is connected for got in await asyncio.gather(*waiters))
        assert world.waiters() == 0

    play(scene())


def test_a_waiter_that_goes_away_leaves_nothing(world: World) -> None:
    """A client that hangs up is forgotten at once, and the change that comes then hurts nobody."""

    async def scene() -> None:
        world.born(started())
        gone, stays = await world.waiting(UP), await world.waiting(UP)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        assert world.waiters() == 1
        connected = world.tell(answered())
        assert await stays is connected

    play(scene())


def test_a_waiter_that_goes_away_just_when_it_comes_leaves_nothing(world: World) -> None:
    """Cancelled and woken in the same turn of the loop: no trace of it either way."""

    async def scene() -> None:
        world.born(started())
        going, dying = await world.waiting(UP), await world.waiting(DEAD)
        world.tell(answered())
        going.cancel()
        world.tell(exited(1))
        dying.cancel()
        await asyncio.gather(going, dying, return_exceptions=True)
        assert world.waiters() == 0

    play(scene())


# -- waiting since a revision ----------------------------------------------------------------------


def test_what_merely_lasts_does_not_count(world: World) -> None:
    """Since the revision of an idle kernel, idle comes only after it was busy."""

    async def scene() -> None:
        idle = world.born(*CONNECTED)
        with pytest.raises(KernelStateTimeout):
            await world.look(IDLE, idle.revision)
        waiter = await world.waiting(IDLE, since=idle.revision)
        world.tell(silent(), heard(), began())
        await turn()
        assert not waiter.done()
        again = world.tell(ended())
        assert await waiter is again

    play(scene())


def test_what_came_since_is_answered_at_once(world: World) -> None:
    """A run that was over before anybody asked was still a run."""
    idle = world.born(*CONNECTED)
    again = world.tell(began(), ended())
    assert asyncio.run(world.look(IDLE, idle.revision)) is again


def test_what_came_since_and_is_over_by_now_counts(world: World) -> None:
    """The answer is the kernel as it was then, even of a kernel that is dead by now."""
    before = world.born(started())
    connected = world.tell(answered())
    world.tell(began(), exited(1))
    assert asyncio.run(world.look(UP, before.revision)) is connected
    with pytest.raises(KernelStateUnreachable):
        asyncio.run(world.look(UP, world.tracker.revision))


def test_any_change_since_is_any(world: World) -> None:
    """The first one later than the revision, or the next to come."""

    async def scene() -> None:
        first = world.born(started())
        second = world.tell(answered())
        assert await world.look(ANY, first.revision) is second
        waiter = await world.waiting(ANY, since=second.revision)
        third = world.tell(began())
        assert await waiter is third

    play(scene())


def test_changes_of_others_are_no_changes(world: World) -> None:
    """A revision is the server's, a wait is for one kernel."""

    async def scene() -> None:
        world.born(*CONNECTED)
        since = world.tracker.revision
        waiter = await world.waiting(ANY, since=since)
        world.born(*CONNECTED, name="other")
        await turn()
        assert not waiter.done()
        changed = world.tell(began())
        assert await waiter is changed

    play(scene())


def test_what_is_not_told_is_no_change_to_wait_for(world: World) -> None:
    """Any change is any of those that make a revision."""

    async def scene() -> None:
        kernel = world.born(*CONNECTED, began("a", "one"))
        waiter = await world.waiting(ANY, since=kernel.revision)
        world.tell(began("b", "two"))
        await turn()
        assert not waiter.done()
        waiter.cancel()

    play(scene())


def test_a_revision_of_before_the_kernel_was_born_is_known(world: World) -> None:
    """Then all of its story is later."""
    world.born(name="older")
    since = world.tracker.revision
    world.born(*CONNECTED)
    assert asyncio.run(world.look(UP, since)).status is Status.CONNECTED


def test_a_revision_of_the_future_is_not_known(world: World) -> None:
    """Nobody was ever given it; the newest one was."""
    world.born(*CONNECTED)
    newest = world.tracker.revision
    with pytest.raises(RevisionUnknown, match=f"Revision {newest + 1} of kernel k is not known"):
        asyncio.run(world.look(UP, newest + 1))
    with pytest.raises(KernelStateTimeout):
        asyncio.run(world.look(UP, newest))
    with pytest.raises(RevisionUnknown):
        asyncio.run(world.look(UP, -1))


def test_a_revision_that_was_forgotten_is_not_known(world: World) -> None:
    """What happened since cannot be told any more; the oldest state that is kept can."""
    early_on = world.born(*CONNECTED)
    world.tell(*[began(), ended()] * STORY_LENGTH)
    oldest = world.tracker.story("k")[0][0].revision
    with pytest.raises(RevisionUnknown, match=f"remembers {oldest} to {world.tracker.revision}"):
        asyncio.run(world.look(IDLE, early_on.revision))
    with pytest.raises(RevisionUnknown):
        asyncio.run(world.look(IDLE, oldest - 1))
    assert asyncio.run(world.look(IDLE, oldest)).revision > oldest


def test_a_story_that_is_just_full_is_known_from_its_beginning(world: World) -> None:
    """Nothing is forgotten before it has to be."""
    world.born(*CONNECTED)
    while len(world.tracker.story("k")[0]) < STORY_LENGTH:
        world.tell(began() if len(world.tracker.story("k")[0]) % 2 else ended())
    assert asyncio.run(world.look(UP, 0)).revision == 3
    world.tell(silent())
    with pytest.raises(RevisionUnknown):
        asyncio.run(world.look(UP, 0))


def test_the_kernels_of_a_story_are_never_changed(world: World) -> None:
    """What was told once stays as it was told."""
    first = world.born()
    copy = replace(first)
    world.tell(*CONNECTED, exited(1))
    assert world.tracker.story("k")[0][0] is first
    assert first == copy
