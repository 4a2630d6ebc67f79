"""What those who watch are told: every status, and of what shells do what lasts."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.dialogues import (
    BIRTH,
    CONNECTED,
    News,
    answered,
    began,
    blocked,
    died,
    ended,
    exited,
    heard,
    restart,
    silent,
    started,
    unblocked,
)
from support.hurry import HurriedLoop, hurried

from kernel_status_ext.core.model import Kernel
from kernel_status_ext.core.words import ExecutionState, Status
from kernel_status_ext.tracking.merging import Gone, Merging
from kernel_status_ext.tracking.tracker import Change, Tracker

WITHIN = 0.05
"""Seconds within which changes of the execution state alone may be merged."""

A_LITTLE = 1e-3
"""More than what adding up floats may miss."""


class World:
    """A tracker, all that it does, and what is told of it, with the moments of both."""

    def __init__(self, loop: HurriedLoop) -> None:
        """Begin to watch; nothing is there."""
        self.loop = loop
        self.tracker = Tracker(logging.getLogger("test_merging"), lambda: BIRTH)
        self.happened: list[tuple[float, Kernel | Gone]] = []
        self.told: list[tuple[float, Kernel | Gone]] = []
        self.tracker.listen(self._note)
        self.merging = Merging(
            self.tracker, lambda news: self.told.append((self.loop.time(), news))
        )

    def _note(self, change: Change) -> None:
        news = change.after
        if change.before is None or news is None or news.revision != change.before.revision:
            gone = Gone(change.before.id, self.tracker.revision) if change.before else None
            self.happened.append((self.loop.time(), news or gone))

    def born(self, *news: News, name: str = "k") -> None:
        """A kernel, and what happens to it."""
        self.tracker.add(name, "python3")
        self.tell(*news, name=name)

    def tell(self, *news: News, name: str = "k") -> None:
        """What happens to a kernel that is there, all at this moment."""
        for each in news:
            self.tracker.feed(name, each.event(self.tracker.get(name), BIRTH))

    async def quiet(self) -> None:
        """Wait until nothing is held back, and forget what was told."""
        await self.later(1)
        self.told.clear()
        self.happened.clear()

    async def later(self, seconds: float = 1) -> None:
        """Let time pass."""
        await self.loop.reach(self.loop.time() + seconds)

    @property
    def news(self) -> list[Kernel | Gone]:
        """What was told."""
        return [news for _, news in self.told]

    @property
    def does(self) -> list[str]:
        """What shells do, as it was told."""
        return [str(kernel.execution_state) for kernel in self.news]


Scene = Callable[[World], Coroutine[Any, Any, None]]


def play(scene: Scene) -> World:
    """Play a scene in a hurry and give what is left of it."""

    async def whole() -> World:
        world = World(loop)
        await scene(world)
        return world

    with hurried() as loop:
        return loop.run_until_complete(whole())


def test_the_first_is_told_at_once() -> None:
    """Who looks at something quiet learns of a change in the moment of it."""

    async def scene(world: World) -> None:
        world.born(*CONNECTED)
        await world.quiet()
        world.tell(began())
        assert world.does == ["busy"]

    play(scene)


def test_a_burst_is_two_changes() -> None:
    """The first of them at once, and 50 ms later what became of it; then nothing more."""

    async def scene(world: World) -> None:
        world.born(*CONNECTED)
        await world.quiet()
        world.tell(*[began(), ended()] * 100)
        await world.later()
        assert world.does == ["busy", "idle"]
        assert world.news[-1] is world.tracker.get("k")
        assert world.told[1][0] - world.told[0][0] <= WITHIN + A_LITTLE

    play(scene)


def test_every_status_is_told_at_once_and_in_order() -> None:
    """However short it was, and whatever is held back meanwhile."""

    async def scene(world: World) -> None:
        world.born(*CONNECTED)
        await world.quiet()
        world.tell(began(), ended(), began(), silent(), heard(), died(3), started(), answered())
        at_once = [str(kernel.status) for kernel in world.news]
        assert [status for status, _ in itertools.groupby(at_once)] == [
            *("connected", "unresponsive", "connected", "autorestarting", "connected")
        ]
        await world.later()
        assert world.news[-1] is world.tracker.get("k")

    play(scene)


def test_a_reason_is_told_at_once() -> None:
    """What is wrong with a kernel is no matter of its shells."""

    async def scene(world: World) -> None:
        world.born(*CONNECTED, began())
        await world.quiet()
        world.tell(blocked(), unblocked(), blocked())
        assert [bool(kernel.reason) for kernel in world.news] == [True, False, True]

    play(scene)


def test_nothing_is_told_after_a_later_change() -> None:
    """What was held back is out of date once a status was told."""

    async def scene(world: World) -> None:
        world.born(*CONNECTED)
        await world.quiet()
        world.tell(began(), ended(), silent())
        count = len(world.told)
        await world.later()
        assert len(world.told) == count
        assert world.news[-1].status is Status.UNRESPONSIVE

    play(scene)


def test_a_removal_is_the_last_word() -> None:
    """What was held back is not told after it."""

    async def scene(world: World) -> None:
        world.born(*CONNECTED)
        await world.quiet()
        world.tell(began(), ended())
        world.tracker.remove("k")
        assert world.news[-1] == Gone("k", world.tracker.revision)
        await world.later()
        assert world.news[-1] == Gone("k", world.tracker.revision)

    play(scene)


def test_the_same_id_begins_anew() -> None:
    """What was held back of a removed kernel is not told of the next one with its id."""

    async def scene(world: World) -> None:
        world.born(*CONNECTED)
        await world.quiet()
        world.tell(began(), ended(), began())
        world.tracker.remove("k")
        world.born(started())
        await world.later()
        assert [type(news) for news in world.news[-3:]] == [Gone, Kernel, Kernel]
        assert world.news[-1] is world.tracker.get("k")

    play(scene)


def test_kernels_do_not_hold_each_other_back() -> None:
    """The first change of each is told at once."""

    async def scene(world: World) -> None:
        world.born(*CONNECTED)
        world.born(*CONNECTED, name="other")
        await world.quiet()
        world.tell(began(), ended(), began())
        world.tell(began(), name="other")
        assert [news.id for news in world.news] == ["k", "other"]
        await world.later()
        assert [news.id for news in world.news] == ["k", "other", "k"]

    play(scene)


def test_nothing_is_told_after_the_end() -> None:
    """Who listens no more is told nothing, not even what was held back."""

    async def scene(world: World) -> None:
        world.born(*CONNECTED)
        await world.quiet()
        world.tell(began(), ended())
        world.merging.close()
        count = len(world.told)
        world.tell(silent(), exited(1))
        world.tracker.remove("k")
        await world.later()
        assert len(world.told) == count

    play(scene)


def test_a_clock_that_is_set_back_holds_nothing_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sets the machine's clock, a laptop that wakes up for one, changes no interval."""

    async def scene() -> str:
        tracker, told = Tracker(logging.getLogger("test_merging"), lambda: BIRTH), asyncio.Queue()
        merging = Merging(tracker, told.put_nowait)
        tracker.add("k", "python3")
        for each in CONNECTED:
            tracker.feed("k", each.event(tracker.get("k"), BIRTH))
        right = time.time
        monkeypatch.setattr(time, "time", lambda: right() - 3600)
        tracker.feed("k", began().event(tracker.get("k"), BIRTH))
        while (news := await asyncio.wait_for(told.get(), 5)).state != "running":
            pass
        merging.close()
        return str(news.execution_state)

    assert asyncio.run(scene()) == "busy"


# -- whatever happens

SAID = st.sampled_from(
    [
        *(began(), ended(), began("b", "sub"), ended("b", "sub"), silent(), heard(), blocked()),
        *(unblocked(), restart(), died(3), exited(1), started(), answered()),
    ]
)
PAUSE = st.sampled_from([0.0, 0.01, 0.04, 0.05, 0.06, 0.2])
STEPS = st.lists(
    st.tuples(st.sampled_from(["k", "other"]), st.lists(SAID, max_size=6) | st.none(), PAUSE),
    max_size=12,
)


async def live(world: World, steps: list[tuple[str, list[News] | None, float]]) -> None:
    """Tell two kernels what happens to them; None removes one, which comes back then."""
    for name in ("k", "other"):
        world.born(*CONNECTED, name=name)
    for name, news, pause in steps:
        if news is None:
            world.tracker.remove(name)
            world.born(*CONNECTED, name=name)
        world.tell(*(news or ()), name=name)
        await world.later(pause)
    await world.later()


def lasting(news: Kernel | Gone) -> tuple[object, ...]:
    """What is never merged."""
    if isinstance(news, Gone):
        return (Gone,)
    return news.status, news.reason, news.cause


def of(kernel: str, all_news: list[tuple[float, Kernel | Gone]]) -> list[tuple[float, Any]]:
    """The news of one kernel."""
    return [(at, news) for at, news in all_news if news.id == kernel]


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_whatever_happens_is_told_in_time(
    steps: list[tuple[str, list[News] | None, float]],
) -> None:
    """Nothing is made up, each status is told at once, all else within 50 ms, in order."""
    world = play(lambda world: live(world, steps))
    for kernel in ("k", "other"):
        happened, told = of(kernel, world.happened), of(kernel, world.told)
        known = {news.revision: news for _, news in happened}
        at_once = {(at, news.revision) for at, news in told}
        revisions = [news.revision for _, news in told]
        assert revisions == sorted(set(revisions))
        assert all(lasting(known[news.revision]) == lasting(news) for _, news in told)
        assert told[-1][1].revision == happened[-1][1].revision
        before: tuple[object, ...] = ()
        for at, news in happened:
            late = next(when for when, each in told if each.revision >= news.revision) - at
            assert late <= WITHIN + A_LITTLE
            assert lasting(news) == before or (at, news.revision) in at_once
            before = lasting(news)


@settings(max_examples=100, deadline=None)
@given(st.lists(PAUSE, min_size=2, max_size=30))
def test_shells_are_told_of_at_most_every_50_ms(pauses: list[float]) -> None:
    """However many cells come one after another."""

    async def scene(world: World) -> None:
        world.born(*CONNECTED)
        await world.quiet()
        for pause in pauses:
            world.tell(began(), ended())
            await world.later(pause)
        await world.later()

    world = play(scene)
    moments = [at for at, _ in world.told]
    assert all(later - at >= WITHIN - A_LITTLE for at, later in itertools.pairwise(moments))
    assert world.news[-1].execution_state is ExecutionState.IDLE
