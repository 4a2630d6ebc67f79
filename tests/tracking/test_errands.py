"""The runs that this server sends: their order, who is interrupted, and ends that were wanted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
from support.dialogues import (
    News,
    answered,
    began,
    completed,
    ended,
    exited,
    restart,
    shutdown,
    started,
)
from support.run_dialogues import INTERRUPTED
from support.run_world import LOG, Loop, World

from kernel_status_ext.core.answers import MAX_RUNS
from kernel_status_ext.core.routing import Sender
from kernel_status_ext.core.run import FailurePublished, Origin, RunAnswered
from kernel_status_ext.core.run_messages import Output
from kernel_status_ext.core.runs import SKIPPED
from kernel_status_ext.core.words import RequestedBy, RunStatus
from kernel_status_ext.tracking import errands, timers
from kernel_status_ext.tracking.desk import Order
from kernel_status_ext.tracking.errands import Errands, NotInterrupted

NEW = "new"
"""A kernel whose process was started and has not answered yet."""


class Counter:
    """A desk that keeps what it is to send, and hears what a test has it hear."""

    def __init__(self) -> None:
        self.sender = Sender()
        self.taken: list[str] = []
        self.done_with: list[str] = []
        self.held: list[str] = []
        self.is_ending = False
        self.hears_all = True
        self.unheard: Callable[[], object] = lambda: None

    def take(self, order: Order) -> None:
        """Send an order."""
        self.taken.append(order.run_id)

    def done(self, _subshell: str, run_id: str, *, is_ending: bool) -> None:
        """Listen no more."""
        self.done_with.append(run_id)
        self.is_ending = is_ending

    def held_back(self, _subshell: str) -> list[str]:
        """Name what was not sent yet."""
        return [each for each in self.held if each not in self.done_with]

    def catch_up(self) -> bool:
        """Hear at once what was not heard yet."""
        self.unheard()
        return self.hears_all


class Scene:
    """A kernel that is connected, one that comes up, and runs that are sent to them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.loop = Loop()
        current = SimpleNamespace(current=lambda: self.loop)
        monkeypatch.setattr(errands, "IOLoop", current)
        monkeypatch.setattr(timers, "IOLoop", current)
        self.world, self.desk = World(), Counter()
        self.world.born(started(), name=NEW)
        self.interrupted: list[str] = []
        self.put: list[Output] = []
        self.errands = Errands(
            self.world.tracker, self.world.ledger, lambda _: self.desk, self._interrupt, LOG
        )

    async def _interrupt(self, kernel_id: str) -> None:
        self.interrupted.append(kernel_id)

    def submit(self, *run_ids: str, kernel: str = "k", **content: object) -> None:
        """Have runs of ours sent, or wait."""
        for run_id in run_ids:
            run = self.world.ledger.new(run_id, self.world.kernel(kernel), Origin.API)
            self.errands.submit(run, Order(run_id, content, {}), self.put.append)

    def interrupt(self, run_id: str) -> None:
        """Interrupt a run; raises as `Errands.interrupt` does."""
        asyncio.run(self.errands.interrupt("k", run_id))


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    """Two kernels without runs."""
    return Scene(monkeypatch)


# -- runs that wait for their kernel

MANY = [f"r{number:04}" for number in range(MAX_RUNS + 100)]


def test_all_that_wait_are_sent_in_their_order(scene: Scene) -> None:
    """Also more than a kernel's value names."""
    scene.submit(*MANY, kernel=NEW)
    assert scene.desk.taken == []
    scene.world.tell(answered(), name=NEW)
    scene.loop.turn()
    assert scene.desk.taken == MANY
    assert {run.generation for run in scene.world.ledger.active(NEW)} == {0}
    assert scene.world.kernel(NEW).awaiting == ()


def test_all_that_waited_come_to_their_ends(scene: Scene) -> None:
    """And then nothing of them is left anywhere."""
    scene.submit(*MANY, kernel=NEW)
    scene.world.tell(answered(), name=NEW)
    scene.loop.turn()
    for run_id in MANY:
        scene.world.tell(began(run_id, is_run=True), ended(run_id, is_run=True), name=NEW)
        scene.world.answer(run_id, name=NEW)
    assert {scene.world.run(each, NEW).status for each in MANY} == {RunStatus.OK}
    kernel = scene.world.kernel(NEW)
    assert (kernel.queued, kernel.running, kernel.awaiting) == ((), (), ())
    assert (scene.world.ledger.active(), scene.desk.done_with) == ([], MANY)


def test_who_comes_late_does_not_overtake(scene: Scene) -> None:
    """What comes between the kernel's answer and the sending goes behind what has waited."""
    scene.submit("a", "b", kernel=NEW)
    scene.world.tell(answered(), name=NEW)
    scene.submit("c", kernel=NEW)
    scene.loop.turn()
    assert scene.desk.taken == ["a", "b", "c"]


def test_what_waits_for_another_kernel_waits(scene: Scene) -> None:
    """A kernel that is connected is sent its own."""
    scene.submit("a", kernel=NEW)
    scene.submit("b")
    scene.loop.turn()
    assert scene.desk.taken == ["b"]


def test_what_has_waited_is_sent_in_turns(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are, others have their turn between; what comes goes behind them."""
    scene.submit("a", "b", "c", kernel=NEW)
    scene.world.tell(answered(), name=NEW)
    seconds = iter(range(100))
    monkeypatch.setattr(errands, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    monkeypatch.setattr(errands, "TURN_LASTS", 1.5)
    (call, args), scene.loop.calls = scene.loop.calls[0], []
    call(*args)
    assert scene.desk.taken == ["a"]
    scene.submit("d", kernel=NEW)
    scene.loop.turn()
    assert scene.desk.taken == ["a", "b", "c", "d"]


def test_what_was_refused_while_it_waited_is_not_sent(scene: Scene) -> None:
    """Its kernel was dead meanwhile: it is over, and no later process is given it."""
    scene.submit("a", kernel=NEW)
    scene.world.tell(exited(1), name=NEW)
    assert scene.world.run("a", NEW).status is RunStatus.ABORTED
    scene.world.tell(restart(), started(), answered(), name=NEW)
    scene.submit("b", kernel=NEW)
    scene.loop.turn()
    assert scene.desk.taken == ["b"]


# -- runs that are held back


@pytest.mark.parametrize("stops", [True, False])
def test_a_failure_stops_those_that_are_held_back(scene: Scene, *, stops: bool) -> None:
    """As a kernel skips what is in its queue, and only where that was asked for."""
    scene.submit("a", "b", "c", stop_on_error=stops)
    scene.desk.held = ["b", "c"]
    scene.world.tell(began("a", is_run=True), ended("a", is_run=True))
    scene.world.answer("a", RunStatus.ERROR)
    assert scene.world.run("a").status is RunStatus.ERROR
    expected = RunStatus.ABORTED if stops else RunStatus.QUEUED
    assert [scene.world.run(each).status for each in "bc"] == [expected] * 2
    assert [scene.world.run(each).reason for each in "bc"] == [SKIPPED if stops else ""] * 2


def test_what_the_kernel_skips_stops_those_behind_it(scene: Scene) -> None:
    """A notebook's cell failed: had the kernel had them all, it would have skipped them all."""
    scene.submit("a", "b")
    scene.desk.held = ["b"]
    scene.world.answer("a", RunStatus.ABORTED)
    scene.world.tell(ended("a", is_run=True))
    assert [scene.world.run(each).reason for each in "ab"] == [SKIPPED] * 2


def test_a_process_that_is_to_end_is_sent_no_more(scene: Scene) -> None:
    """Jupyter interrupts what runs before a restart: what is behind it ends with the process."""
    scene.submit("a", "b")
    scene.desk.held = ["b"]
    scene.world.tell(began("a", is_run=True), restart(), ended("a", is_run=True))
    scene.world.answer("a", RunStatus.ERROR)
    assert scene.desk.is_ending
    assert scene.world.run("b").status is RunStatus.QUEUED
    scene.world.tell(exited(0))
    assert scene.world.run("b").reason == scene.world.run("a").reason


# -- interrupts


def test_the_one_at_work_is_interrupted(scene: Scene) -> None:
    """Ours, also when the flood of its output was not heard whole: its reply was not read."""
    scene.submit("a", "b")
    scene.world.tell(began("a", is_run=True))
    scene.desk.hears_all = False
    scene.interrupt("a")
    assert scene.interrupted == ["k"]


def test_an_answered_one_is_not(scene: Scene) -> None:
    """Its reply was read, its idle was not: the signal would hit the one behind it."""
    scene.submit("a", "b")
    scene.world.tell(began("a", is_run=True))
    scene.world.answer("a")
    assert scene.world.kernel().running == ("a",)
    with pytest.raises(NotInterrupted, match=r"Run a .* answered"):
        scene.interrupt("a")
    assert scene.interrupted == []


def test_one_whose_reply_is_read_at_the_last_moment_is_not(scene: Scene) -> None:
    """What was not heard yet is heard before it is decided."""
    scene.submit("a", "b")
    scene.world.tell(began("a", is_run=True))
    scene.desk.unheard = lambda: scene.world.answer("a")
    with pytest.raises(NotInterrupted, match="answered"):
        scene.interrupt("a")
    assert scene.interrupted == []


def test_one_whose_end_is_read_at_the_last_moment_is_not(scene: Scene) -> None:
    """It has just ended, which is said."""
    scene.submit("a", "b")
    scene.world.tell(began("a", is_run=True), ended("a", is_run=True))
    scene.desk.unheard = lambda: scene.world.answer("a")
    with pytest.raises(NotInterrupted, match=r"Run a of kernel .* has just ended"):
        scene.interrupt("a")
    assert scene.interrupted == []


@pytest.mark.parametrize("origin", [Origin.WEBSOCKET, Origin.ELSEWHERE])
def test_one_that_is_not_ours_waits_for_all_to_be_heard(scene: Scene, origin: Origin) -> None:
    """Nothing but its idle tells its end, and that may be behind the flood."""
    if origin is Origin.WEBSOCKET:
        scene.world.send("a")
    scene.world.tell(began("a", is_run=True))
    assert scene.world.run("a").origin is origin
    scene.desk.hears_all = False
    with pytest.raises(NotInterrupted, match="try again"):
        scene.interrupt("a")
    assert scene.interrupted == []
    scene.desk.hears_all = True
    scene.interrupt("a")
    assert scene.interrupted == ["k"]


def test_an_unknown_one(scene: Scene) -> None:
    """Nobody is interrupted for it."""
    with pytest.raises(KeyError):
        scene.interrupt("nobodys")
    assert scene.interrupted == []


# -- ends that somebody asked for

WANTED: dict[str, tuple[RunStatus, tuple[News, ...]]] = {
    "restart": (RunStatus.ABORTED, (restart(), exited(0))),
    "shutdown": (RunStatus.ABORTED, (shutdown(), exited(0), completed())),
    "server": (RunStatus.LOST, (shutdown(RequestedBy.SERVER_STOP), exited(0), completed())),
}


@pytest.fixture(params=WANTED.values(), ids=WANTED)
def wanted(request: pytest.FixtureRequest) -> Iterator[tuple[RunStatus, tuple[News, ...]]]:
    """How a run ends whose process somebody ends."""
    return request.param


def interrupted_by_jupyter(scene: Scene) -> None:
    """What the kernel publishes of the interrupt that Jupyter sends before it ends a process."""
    scene.world.ledger.feed("k", "a", FailurePublished(0, scene.world.now(), INTERRUPTED))


def test_it_is_no_failure_when_the_process_answered(
    scene: Scene, wanted: tuple[RunStatus, tuple[News, ...]]
) -> None:
    """Jupyter's own interrupt is not the run's error, though the reply says so."""
    status, (wish, *end) = wanted
    scene.submit("a")
    scene.world.tell(began("a", is_run=True), wish)
    interrupted_by_jupyter(scene)
    said = RunAnswered(0, scene.world.now(), RunStatus.ERROR, 1, INTERRUPTED)
    scene.world.ledger.feed("k", "a", said)
    scene.world.tell(ended("a", is_run=True), *end)
    run = scene.world.run("a")
    assert (run.status, run.error) == (status, None)
    assert run.reason


def test_it_is_no_failure_when_the_process_did_not(
    scene: Scene, wanted: tuple[RunStatus, tuple[News, ...]]
) -> None:
    """Nor is it when the process was gone before it could reply."""
    status, (wish, *end) = wanted
    scene.submit("a")
    scene.world.tell(began("a", is_run=True), wish)
    interrupted_by_jupyter(scene)
    scene.world.tell(*end)
    run = scene.world.run("a")
    assert (run.status, run.error) == (status, None)
    assert run.reason


def test_it_is_no_failure_when_nothing_was_idle(
    scene: Scene, wanted: tuple[RunStatus, tuple[News, ...]]
) -> None:
    """Nor when it replied and was gone before it said idle."""
    status, (wish, *end) = wanted
    scene.submit("a")
    scene.world.tell(began("a", is_run=True), wish)
    said = RunAnswered(0, scene.world.now(), RunStatus.ERROR, 1, INTERRUPTED)
    scene.world.ledger.feed("k", "a", said)
    scene.world.tell(*end)
    run = scene.world.run("a")
    assert (run.status, run.error) == (status, None)
