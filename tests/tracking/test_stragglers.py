"""Runs whose end nobody hears: when they are ended, and when never, without any server."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
from support.dialogues import answered, began, ended, exited, restart, started
from support.run_world import World

from kernel_status_ext.core.routing import Sender
from kernel_status_ext.core.run import Origin, Run
from kernel_status_ext.core.runs import UNANSWERED
from kernel_status_ext.core.words import RunStatus
from kernel_status_ext.tracking import timers
from kernel_status_ext.tracking.ledger import Ledger
from kernel_status_ext.tracking.stragglers import ANSWERS, Stragglers

QUEUED, RUNNING, OK, ABORTED = (
    RunStatus.QUEUED,
    RunStatus.RUNNING,
    RunStatus.OK,
    RunStatus.ABORTED,
)


class Looks:
    """A loop in which the time for the next look has come when a test says so."""

    def __init__(self) -> None:
        self.due: list[Callable[[], None]] = []

    def call_later(self, _delay: float, call: Callable[[], None]) -> Callable[[], None]:
        """Wait for the next look."""
        self.due.append(call)
        return call

    def remove_timeout(self, call: Callable[[], None]) -> None:
        """Wait no more."""
        self.due.remove(call)


class Shells:
    """A desk whose kernel is quiet or not, and whose shells answer when they are told to."""

    def __init__(self) -> None:
        self.is_quiet = self.takes_questions = True
        self.held: set[str] = set()
        self.asked: list[str] = []
        self._open: dict[str, Callable[[], None]] = {}

    def has_been_quiet_for(self, seconds: float) -> bool:
        """Whether nothing was heard, and nothing waits in the socket."""
        assert seconds > 0
        return self.is_quiet

    def holds(self, _subshell: str, run_id: str) -> bool:
        """Whether it was not sent yet."""
        return run_id in self.held

    def ask(self, subshell: str, on_answer: Callable[[], None]) -> bool:
        """Note a question."""
        self.asked.append(subshell)
        if self.takes_questions:
            self._open[subshell] = on_answer
        return self.takes_questions

    def answer(self, subshell: str = "") -> None:
        """Answer the question that is open."""
        self._open.pop(subshell)()


class Scene:
    """A kernel whose runs are looked after."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.loop = Looks()
        monkeypatch.setattr(timers, "IOLoop", SimpleNamespace(current=lambda: self.loop))
        self.world, self.shells = World(), Shells()
        self.desk: Shells | None = self.shells
        ledger: Ledger = self.world.ledger
        self.stragglers = Stragglers(self.world.tracker, ledger, lambda _: self.desk)

    def look(self, times: int = 1) -> None:
        """Have the next looks taken."""
        for _ in range(times):
            due, self.loop.due = self.loop.due, []
            for call in due:
                call()

    def answers(self, subshell: str = "") -> None:
        """A question is asked at the next look, and answered."""
        self.look()
        self.shells.answer(subshell)

    def run(self, run_id: str) -> Run:
        """A run as it is now."""
        return self.world.run(run_id)

    def status(self, *run_ids: str) -> list[RunStatus]:
        """How far these runs are."""
        return [self.run(each).status for each in run_ids]


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    """A kernel that is connected, quiet and idle."""
    return Scene(monkeypatch)


def test_a_dropped_request_is_over_after_two_answers(scene: Scene) -> None:
    """Its shell is asked one question after the other; one answer is not enough."""
    scene.world.send("a")
    scene.look()
    assert scene.shells.asked == []
    for count in range(1, ANSWERS + 1):
        assert scene.status("a") == [QUEUED]
        scene.answers()
        assert scene.shells.asked == [""] * count
    scene.look()
    assert (scene.run("a").status, scene.run("a").reason) == (ABORTED, UNANSWERED)
    kernel = scene.world.kernel()
    assert (kernel.queued, kernel.running, str(kernel.state)) == ((), (), "idle")


def test_nothing_is_over_because_of_time(scene: Scene) -> None:
    """A shell that does not answer is asked once, and its run stays."""
    scene.world.send("a")
    scene.look(50)
    assert (scene.shells.asked, scene.status("a")) == ([""], [QUEUED])


def test_not_while_something_is_heard(scene: Scene) -> None:
    """As long as iopub is not quiet or its socket has something, no shell is even asked."""
    scene.shells.is_quiet = False
    scene.world.send("a", "b")
    scene.world.tell(began("a", is_run=True))
    scene.world.answer("a")
    scene.look(20)
    assert scene.shells.asked == []
    assert scene.status("a", "b") == [RUNNING, QUEUED]


def test_noise_begins_it_anew(scene: Scene) -> None:
    """Answers from before something was heard count no more."""
    scene.world.send("a")
    scene.look()
    for _ in range(ANSWERS):
        scene.answers()
    scene.shells.is_quiet = False
    scene.look()
    scene.shells.is_quiet = True
    scene.look(2)
    assert scene.status("a") == [QUEUED]
    assert len(scene.shells.asked) == ANSWERS + 1


def test_a_kernel_whose_sockets_are_not_here(scene: Scene) -> None:
    """Nobody can be asked, so nothing is ended."""
    scene.desk = None
    scene.world.send("a")
    scene.look(9)
    assert scene.status("a") == [QUEUED]


def test_a_kernel_at_work_is_left_alone(scene: Scene) -> None:
    """What runs and was not answered runs, and what is queued behind it waits for it."""
    scene.world.send("a", "b")
    scene.world.tell(began("a", is_run=True))
    scene.look(9)
    assert (scene.shells.asked, scene.status("a", "b")) == ([], [RUNNING, QUEUED])


def test_an_answered_run_whose_shell_went_on(scene: Scene) -> None:
    """Its reply came, its idle was lost, and its shell works on the next one."""
    scene.world.send("a", "b")
    scene.world.tell(began("a", is_run=True))
    scene.world.answer("a")
    scene.world.tell(began("b", is_run=True))
    scene.look()
    assert scene.status("a", "b") == [RUNNING, RUNNING]
    scene.look()
    assert scene.status("a", "b") == [OK, RUNNING]
    assert scene.world.kernel().running == ("b",)


def test_an_answered_run_beside_a_busy_subshell(scene: Scene) -> None:
    """What another shell works on says nothing of it."""
    scene.world.send("a")
    scene.world.tell(began("a", is_run=True), began("b", "side", is_run=True))
    scene.world.answer("a")
    scene.look(9)
    assert scene.status("a") == [RUNNING]


def test_an_idle_run_without_a_reply(scene: Scene) -> None:
    """Its kernel was done with it and never answered: it is over, and not for nothing."""
    scene.world.send("a")
    scene.world.tell(began("a", is_run=True), ended("a", is_run=True))
    scene.look()
    for _ in range(ANSWERS):
        assert scene.status("a") == [RUNNING]
        scene.answers()
    scene.look()
    assert (scene.status("a"), scene.run("a").reason) == ([ABORTED], UNANSWERED)


def test_a_run_that_begins_after_all(scene: Scene) -> None:
    """The others are asked for anew: who is left has changed."""
    scene.world.send("a", "b")
    scene.look()
    for _ in range(ANSWERS):
        scene.answers()
    scene.world.tell(began("a", is_run=True))
    scene.look()
    scene.world.tell(ended("a", is_run=True))
    scene.world.answer("a")
    scene.look()
    for _ in range(ANSWERS):
        assert scene.status("a", "b") == [OK, QUEUED]
        scene.answers()
    scene.look()
    assert scene.status("b") == [ABORTED]


def test_a_run_that_ended_between_two_looks(scene: Scene) -> None:
    """That a shell answered while it had another one to do is forgotten, too."""
    scene.world.send("a")
    scene.world.send("b", sender=Sender("other"))
    scene.look()
    for _ in range(ANSWERS):
        scene.answers()
    scene.world.tell(began("a", is_run=True), ended("a", is_run=True))
    scene.world.answer("a")
    scene.look(2)
    assert scene.status("a", "b") == [OK, QUEUED]
    assert len(scene.shells.asked) == ANSWERS + 1


def test_who_came_later_is_not_ended_with_them(scene: Scene) -> None:
    """A run that was sent after the questions has questions of its own."""
    scene.world.send("a")
    scene.look()
    for _ in range(ANSWERS):
        scene.answers()
    scene.world.send("b", sender=Sender("other"))
    scene.look()
    assert scene.status("a", "b") == [ABORTED, QUEUED]


def test_subshells_apart(scene: Scene) -> None:
    """Each is asked, and the answers of one end nothing of the other."""
    scene.world.send("a")
    scene.world.send("b", subshell="side")
    scene.look(2)
    assert sorted(scene.shells.asked) == ["", "side"]
    scene.shells.answer("side")
    for _ in range(ANSWERS - 1):
        scene.answers("side")
    scene.look()
    assert scene.status("a", "b") == [QUEUED, ABORTED]


def sent_between_two_processes(scene: Scene) -> World:
    """A websocket's request that came when there was no process; now there is, and starts."""
    world = scene.world
    world.tell(restart(), exited(0))
    run = world.new("a")
    assert world.ledger.came(run, world.me)
    world.ledger.waits(run)
    world.tell(started(99))
    return world


def test_what_waited_in_zmq_is_taken_for_sent(scene: Scene) -> None:
    """A websocket's request that no process has taken yet belongs to the one that is there now."""
    world = sent_between_two_processes(scene)
    scene.look()
    assert world.run("a").generation is None
    world.tell(answered())
    scene.look()
    assert (world.run("a").generation, world.run("a").worker_pid) == (1, 99)
    scene.look()
    for _ in range(ANSWERS):
        assert scene.status("a") == [QUEUED]
        scene.answers()
    scene.look()
    assert scene.status("a") == [ABORTED]


def test_what_waited_in_zmq_may_be_answered_first(scene: Scene) -> None:
    """A new process can be done with it before anybody here hears what it publishes."""
    world = sent_between_two_processes(scene)
    world.answer("a", generation=1)
    world.tell(answered())
    scene.look(2)
    for _ in range(ANSWERS):
        scene.answers()
    scene.look()
    assert (world.run("a").status, world.run("a").generation) == (OK, 1)


def test_what_waits_here_is_not(scene: Scene) -> None:
    """A run of our own that was not sent is sent by others, and never ended before."""
    world = scene.world
    run = world.ledger.new("a", world.kernel(), Origin.API)
    world.ledger.came(run)
    world.ledger.waits(run)
    scene.look(9)
    assert (world.run("a").generation, scene.status("a")) == (None, [QUEUED])


def test_nobody_looks_when_nothing_runs(scene: Scene) -> None:
    """Looks end with the last run, with the kernel, and with the server."""
    scene.world.send("a")
    scene.world.tell(began("a", is_run=True), ended("a", is_run=True))
    scene.world.answer("a")
    scene.look()
    assert scene.loop.due == []
    scene.world.send("b")
    assert len(scene.loop.due) == 1
    scene.stragglers.close()
    assert scene.loop.due == []


def test_what_was_not_sent_yet_is_not_left_behind(scene: Scene) -> None:
    """The desk holds it back until the one before it is done."""
    scene.world.send("a", "b")
    scene.shells.held = {"b"}
    scene.look()
    scene.look()
    for _ in range(ANSWERS):
        scene.shells.answer()
        scene.look()
    assert scene.world.run("a").status is ABORTED
    assert scene.world.run("b").status is QUEUED


def test_a_shell_that_could_not_be_asked_is_asked_again(scene: Scene) -> None:
    """The socket refused the question, so no answer to it will come."""
    scene.world.send("a")
    scene.shells.takes_questions = False
    scene.look(3)
    assert scene.shells.asked == ["", ""]
    scene.shells.takes_questions = True
    scene.look()
    scene.shells.answer()
